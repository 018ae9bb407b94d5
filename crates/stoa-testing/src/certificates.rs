//! An authority that browsers of tests trust, and what it issues.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// How long certificates are good.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Clocks of hosts may differ.
const BEFORE: Duration = Duration::from_secs(60 * 60);

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub certificate: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub chain: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// No key can be made.
    pub fn new() -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters
            .distinguished_name
            .push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        })
    }

    /// A certificate for a server with these host names, good for a day.
    ///
    /// # Errors
    /// A name is malformed.
    pub fn issue(&self, names: &[&str]) -> Result<Certificate> {
        self.issue_for(names, DAY)
    }

    /// A certificate that expires after so long.
    ///
    /// # Errors
    /// A name is malformed.
    pub fn issue_for(&self, names: &[&str], time: Duration) -> Result<Certificate> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).context("host names")?;
        let now = SystemTime::now();
        parameters.not_before = (now - BEFORE).into();
        parameters.not_after = (now + time).into();
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}
