//! The private authority of a site, and what it issues.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData as _,
};
use rustls::pki_types::CertificateDer;

use super::{ENVIRONMENT_SUFFIX, Roles, SERVER_SUFFIX, TrustError, files, is_label, names};

/// File with the authority's certificate.
const CERTIFICATE_FILE: &str = "authority.pem";
/// File with the authority's key.
const KEY_FILE: &str = "authority.key";
/// Clocks of servers may differ by as much.
const CLOCK_SKEW: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Issues the certificates of a site's servers. Whoever has its key can join the site: it belongs on the machine of
/// the operator, not on the servers.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, both as PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// A new authority for the site of this name.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn create(site: &str, days: u32) -> Result<Self, TrustError> {
        let key = KeyPair::generate().map_err(TrustError::Make)?;
        let now = SystemTime::now();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = common_name(&format!("links of the Stoa site {site}"));
        parameters.not_before = (now - DAY).into();
        parameters.not_after = (now + DAY * days).into();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Should somebody trust it for more than links, it is good for no name of the world outside.
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("stoa".to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let certificate = parameters.self_signed(&key).map_err(TrustError::Make)?;
        Ok(Self {
            certificate: certificate.pem(),
            issuer: Issuer::new(parameters, key),
        })
    }

    /// The authority of a folder. Its file of certificates may hold former ones too: those of the key counts.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn load(folder: &Path) -> Result<Self, TrustError> {
        let (certificate_file, key_file) = (Self::certificate_file(folder), Self::key_file(folder));
        let content = files::read(&certificate_file)?;
        let certificates = files::certificates(&certificate_file, &content)?;
        let not_a_key = || TrustError::NotPem {
            path: key_file.clone(),
            expected: "private key",
        };
        let key = String::from_utf8(files::read(&key_file)?).map_err(|_| not_a_key())?;
        let key = KeyPair::from_pem(&key).map_err(|_| not_a_key())?;
        let mut own = None;
        for certificate in &certificates {
            if is_of_key(certificate, &key)? {
                own = Some(certificate);
            }
        }
        let Some(own) = own else {
            return Err(TrustError::KeyMismatch {
                certificate: certificate_file,
                key: key_file,
            });
        };
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(own, key).map_err(TrustError::Make)?,
            certificate: String::from_utf8_lossy(&content).into_owned(),
        })
    }

    /// Writes certificate and key into a folder.
    ///
    /// # Errors
    /// There is an authority already, or a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TrustError> {
        files::make_folder(folder)?;
        for path in [Self::certificate_file(folder), Self::key_file(folder)] {
            if path.exists() {
                return Err(TrustError::AuthorityExists { path });
            }
        }
        files::write_private(&Self::key_file(folder), &self.issuer.key().serialize_pem())?;
        files::write_public(&Self::certificate_file(folder), &self.certificate)
    }

    /// File with the authority's certificate in a folder.
    #[must_use]
    pub fn certificate_file(folder: &Path) -> PathBuf {
        folder.join(CERTIFICATE_FILE)
    }

    /// File with the authority's key in a folder.
    #[must_use]
    pub fn key_file(folder: &Path) -> PathBuf {
        folder.join(KEY_FILE)
    }

    /// The authority's certificate, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate with a new key for a server, valid from now for this many days.
    ///
    /// # Errors
    /// A name is no label of a DNS name in lower case, or there is no role.
    pub fn issue(
        &self,
        server: &str,
        roles: Roles,
        environments: &BTreeSet<String>,
        days: u32,
    ) -> Result<Issued, TrustError> {
        let now = SystemTime::now();
        let validity = (now - CLOCK_SKEW, now + DAY * days);
        self.issue_for(server, roles, environments, validity)
    }

    pub(super) fn issue_for(
        &self,
        server: &str,
        roles: Roles,
        environments: &BTreeSet<String>,
        (not_before, not_after): (SystemTime, SystemTime),
    ) -> Result<Issued, TrustError> {
        if !(roles.web || roles.app) {
            return Err(TrustError::NoRole {
                server: server.to_owned(),
            });
        }
        let mut names = vec![name(server, SERVER_SUFFIX)?];
        if roles.app {
            for environment in environments {
                names.push(name(environment, ENVIRONMENT_SUFFIX)?);
            }
        }
        let key = KeyPair::generate().map_err(TrustError::Make)?;
        let mut parameters = CertificateParams::new(names).map_err(TrustError::Make)?;
        parameters.distinguished_name = common_name(server);
        parameters.not_before = not_before.into();
        parameters.not_after = not_after.into();
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if roles.web {
            parameters
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if roles.app {
            parameters
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .map_err(TrustError::Make)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl Issued {
    /// Writes certificate and key of a server into a folder, over former ones. A running server takes them up by
    /// itself.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path, server: &str) -> Result<(), TrustError> {
        let files = super::Files::of(folder, server);
        files::make_folder(folder)?;
        files::write_private(&files.key, &self.key)?;
        files::write_public(&files.certificate, &self.certificate)
    }
}

fn name(label: &str, suffix: &str) -> Result<String, TrustError> {
    if is_label(label) {
        Ok(format!("{label}{suffix}"))
    } else {
        Err(TrustError::Label {
            name: label.to_owned(),
        })
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn is_of_key(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<bool, TrustError> {
    let certificate = names::parse(certificate)?;
    Ok(certificate.public_key().raw == key.subject_public_key_info())
}
