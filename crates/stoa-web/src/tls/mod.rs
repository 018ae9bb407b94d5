//! TLS 1.2 and 1.3 towards clients.
//!
//! The certificates are read from files, chosen by the name that a client asks for, and read again when the files
//! change. New ones that cannot be used change nothing: the server goes on with those it has.

mod certificates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::ServerSessionMemoryCache;
use stoa_link::cryptography::provider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use certificates::Certificates;

/// Sessions of TLS 1.2 that are remembered for clients that take no tickets.
const SESSIONS: usize = 4096;
/// As applications negotiate it (RFC 7301).
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Files of a certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those between it and an authority that clients know.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// One file with both.
    #[must_use]
    pub fn together(path: PathBuf) -> Self {
        Self {
            chain: path.clone(),
            key: path,
        }
    }
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Where it comes from.
    pub files: CertificateFiles,
    /// Host names, in lower case; `*.` stands for one label.
    pub names: Vec<String>,
    /// When it begins.
    pub begins: SystemTime,
    /// When it ends.
    pub expires: SystemTime,
}

impl Certificate {
    /// What a certificate is for whose files are these, which can be used.
    ///
    /// # Errors
    /// They cannot.
    pub fn load(files: &CertificateFiles) -> Result<Self, TlsError> {
        certificates::examine(files)
    }
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// TLS needs one.
    #[error("there is no certificate")]
    NoCertificate,
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has another content than it should.
    #[error("{} holds no {expected} in PEM", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The certificate itself is broken.
    #[error("the certificate in {} cannot be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// Nobody could ask for it.
    #[error("the certificate in {} names no host (subject alternative name)", path.display())]
    NoName {
        /// The file.
        path: PathBuf,
    },
    /// Key and certificate are not of a pair, or of a kind that is not supported.
    #[error("the key {} cannot be used with its certificate", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The system has no randomness, or the settings contradict each other.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// Worth another look, though the files are the same: there were too many open ones, or the disk did not answer.
    fn is_passing(&self) -> bool {
        let is_lasting = |kind| {
            matches!(
                kind,
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            )
        };
        matches!(self, Self::Read { source, .. } if !is_lasting(source.kind()))
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// TLS with the certificates of a site.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl Tls {
    /// Loads the certificates. A client that names no host, or one that no certificate is for, gets the first.
    ///
    /// `awaited` are files with certificate and key together, by host name, that somebody obtains while this runs
    /// ([`crate::acme`]): one that is missing, or damaged, stops nothing. Until it is there, handshakes for the name
    /// fail: nobody is to get used to a warning.
    ///
    /// # Errors
    /// There is none and none is awaited, or one of `files` cannot be used.
    pub fn load(
        files: Vec<CertificateFiles>,
        awaited: BTreeMap<String, PathBuf>,
    ) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::load(files, awaited)?);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificates) as Arc<_>);
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        // Clients built on OpenSSL or Windows ask for AES-256 first.
        config.ignore_client_order = true;
        // Tickets hold the session themselves: resumption takes no memory and no lock here.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        // Each connection leaves one to begin the next with.
        config.send_tls13_tickets = 1;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        // A request that comes before the handshake is complete could be sent again by anybody.
        config.max_early_data_size = 0;
        Ok(Self {
            config: Arc::new(config),
            certificates,
        })
    }

    /// The certificates in use, in order.
    #[must_use]
    pub fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.certificates.describe()
    }

    /// Reads the files again if they have changed. Returns whether there are new certificates in use. Reads files,
    /// so not for a thread that serves connections.
    ///
    /// # Errors
    /// What of it cannot be used: there the former certificates stay in use. All others are new.
    pub fn reload(&self) -> Result<bool, Vec<TlsError>> {
        self.certificates.reload()
    }

    /// Looks for new certificates, for ever. Failures are logged, once for each change of the files.
    pub async fn watch(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("new certificates are in use"),
                Ok(Err(errors)) => tell(&errors),
                Err(error) => tracing::error!(%error, "cannot look for new certificates"),
            }
        }
    }

    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        TlsAcceptor::from(Arc::clone(&self.config))
            .accept(stream)
            .await
    }
}

/// Logs which new certificates are not in use.
pub(crate) fn tell(errors: &[TlsError]) {
    for error in errors {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "a certificate cannot be used; if there was one before, it stays in use"
        );
    }
}

/// Whether a client has chosen HTTP/2.
pub(crate) fn is_http_2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP_2)
}
