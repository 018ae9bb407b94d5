//! What can be wrong with certificates of the links.

use std::io;
use std::path::PathBuf;

/// A fault of the certificates of the links. All are the operator's.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is an authority already, and another would cut off every server.
    #[error("{} exists already", path.display())]
    AuthorityExists {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{} has no {expected} in PEM format", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// Bytes that are no X.509 certificate.
    #[error("this is no X.509 certificate: {reason}")]
    NotACertificate {
        /// What the parser says.
        reason: String,
    },
    /// A certificate and a key that are not of one pair.
    #[error("the key {} does not belong to the certificate {}", key.display(), certificate.display())]
    KeyMismatch {
        /// File with the certificate.
        certificate: PathBuf,
        /// File with the key.
        key: PathBuf,
    },
    /// A certificate that the authority did not issue.
    #[error("the certificate {} was not issued by the authority {}: {reason}", certificate.display(), authority.display())]
    OtherAuthority {
        /// File with the certificate.
        certificate: PathBuf,
        /// File with the authority's certificate.
        authority: PathBuf,
        /// What the check says.
        reason: String,
    },
    /// A new certificate that has expired already, in place of one that has not.
    #[error("the certificate {} has expired", certificate.display())]
    Expired {
        /// File with the certificate.
        certificate: PathBuf,
    },
    /// A certificate whose names are not those of a server of a site.
    #[error("the certificate {reason}")]
    Names {
        /// What is wrong with them.
        reason: String,
    },
    /// The other side showed no certificate, or did not speak the protocol of links.
    #[error("the other side {reason}")]
    Peer {
        /// What it did.
        reason: &'static str,
    },
    /// A name of a server or environment that cannot stand in a certificate.
    #[error(
        "`{name}` cannot stand in a certificate: names have 1 to 63 of a–z, 0–9 and -, with no - at either end"
    )]
    Label {
        /// The name.
        name: String,
    },
    /// A server with neither role.
    #[error("the server `{server}` has no role")]
    NoRole {
        /// Name of the server.
        server: String,
    },
    /// A certificate or key cannot be made.
    #[error("cannot make a certificate")]
    Make(#[source] rcgen::Error),
    /// TLS cannot be set up with this certificate.
    #[error("cannot use the certificate")]
    Tls(#[source] rustls::Error),
}
