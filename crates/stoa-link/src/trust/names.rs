//! What a certificate of a link says: the server, its roles, the environments that it may serve.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::{ENVIRONMENT_SUFFIX, SERVER_SUFFIX, TrustError};

/// Most environments that a certificate may name.
const ENVIRONMENTS: usize = 10_000;

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Name of the server.
    pub server: String,
    /// Environments that it may serve; none for a web server.
    pub environments: BTreeSet<String>,
}

/// Which sides of a link a server may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// It accepts links.
    pub web: bool,
    /// It dials links.
    pub app: bool,
}

/// Everything that matters of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Who it speaks for.
    pub names: Names,
    /// What it may be.
    pub roles: Roles,
    /// Valid from then.
    pub not_before: SystemTime,
    /// Valid until then.
    pub not_after: SystemTime,
}

impl Description {
    /// Time until it expires; none when it has.
    #[must_use]
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        self.not_after.duration_since(now).ok()
    }
}

/// Who a certificate speaks for. Does not check who issued it: the handshake did.
///
/// # Errors
/// It is no certificate, or its names are not those of exactly one server of a site.
pub fn names(certificate: &CertificateDer<'_>) -> Result<Names, TrustError> {
    names_of(&parse(certificate)?)
}

/// Everything that matters of a certificate.
///
/// # Errors
/// As [`names`].
pub fn describe(certificate: &CertificateDer<'_>) -> Result<Description, TrustError> {
    let certificate = parse(certificate)?;
    let usage = certificate
        .extended_key_usage()
        .map_err(|error| not_a_certificate(&error))?;
    let roles = usage.map_or_else(Roles::default, |usage| Roles {
        web: usage.value.server_auth,
        app: usage.value.client_auth,
    });
    Ok(Description {
        names: names_of(&certificate)?,
        roles,
        not_before: time(certificate.validity().not_before),
        not_after: time(certificate.validity().not_after),
    })
}

/// Whether a name can be a label of a DNS name in lower case: 1 to 63 of a–z, 0–9 and -, with no - at either end.
#[must_use]
pub fn is_label(name: &str) -> bool {
    let is_of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_of_label)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

pub(super) fn parse<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, TrustError> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(not_a_certificate(&error)),
    }
}

fn not_a_certificate(error: &impl ToString) -> TrustError {
    TrustError::NotACertificate {
        reason: error.to_string(),
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> Result<Names, TrustError> {
    let wrong = |reason: String| TrustError::Names { reason };
    let alternative = certificate
        .subject_alternative_name()
        .map_err(|error| not_a_certificate(&error))?;
    let mut server = None;
    let mut environments = BTreeSet::new();
    for name in alternative
        .iter()
        .flat_map(|names| &names.value.general_names)
    {
        let GeneralName::DNSName(name) = name else {
            return Err(wrong("has a name that is no DNS name".to_owned()));
        };
        let label = |suffix| name.strip_suffix(suffix).filter(|label| is_label(label));
        if let Some(label) = label(SERVER_SUFFIX) {
            if server.replace(label.to_owned()).is_some() {
                return Err(wrong("names more than one server".to_owned()));
            }
        } else if let Some(label) = label(ENVIRONMENT_SUFFIX) {
            environments.insert(label.to_owned());
            if environments.len() > ENVIRONMENTS {
                return Err(wrong(format!(
                    "names more than {ENVIRONMENTS} environments"
                )));
            }
        } else {
            let shown: String = name.chars().take(100).collect();
            return Err(wrong(format!(
                "has the name `{shown}`, which is neither a server's nor an environment's"
            )));
        }
    }
    match server {
        Some(server) => Ok(Names {
            server,
            environments,
        }),
        None => Err(wrong("names no server".to_owned())),
    }
}

fn time(time: ASN1Time) -> SystemTime {
    match u64::try_from(time.timestamp()) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        // Before 1970: as good as never valid.
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}
