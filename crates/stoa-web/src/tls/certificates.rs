//! Certificates by name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::{Certificate, CertificateFiles, TlsError};

/// The certificates in use, and where they come from.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Vec<CertificateFiles>,
    /// Those that may be missing.
    awaited: Vec<CertificateFiles>,
    /// Their host names.
    names: HashSet<String>,
    /// What the files looked like when they were last read, well or not.
    seen: Mutex<Vec<Look>>,
    current: ArcSwap<Set>,
}

/// A change of a file shows in one of these, also if it is replaced as a whole or through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    /// Of permissions, too.
    changed: (i64, i64),
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    const NONE: Self = Self {
        device: 0,
        inode: 0,
        length: 0,
        modified: (0, 0),
        changed: (0, 0),
    };
}

#[derive(Debug, Default)]
struct Set {
    all: Vec<(Arc<CertifiedKey>, Certificate)>,
    /// By name. Several for one name are of different kinds, for clients of different age.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`.
    wildcards: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Certificates {
    pub(super) fn load(
        files: Vec<CertificateFiles>,
        awaited: BTreeMap<String, PathBuf>,
    ) -> Result<Self, TlsError> {
        if files.is_empty() && awaited.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        let names = awaited.keys().cloned().collect();
        let awaited = awaited.into_values().map(CertificateFiles::together);
        let awaited: Vec<_> = awaited.collect();
        let mut seen = looks(files.iter().chain(&awaited));
        let mut set = Set::default();
        for files in &files {
            set.add(load(files)?);
        }
        for (index, file) in awaited.iter().enumerate() {
            let Err(error) = set.take(file, &Set::default()) else {
                continue;
            };
            look_again(&mut seen, files.len() + index, &error);
            if !error.is_missing() {
                super::tell(&[error]);
            }
        }
        Ok(Self {
            files,
            awaited,
            names,
            seen: Mutex::new(seen),
            current: ArcSwap::from_pointee(set),
        })
    }

    pub(super) fn describe(&self) -> Vec<Certificate> {
        let current = self.current.load();
        let described = current.all.iter().map(|(_, certificate)| certificate);
        described.cloned().collect()
    }

    pub(super) fn reload(&self) -> Result<bool, Vec<TlsError>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = looks(self.files.iter().chain(&self.awaited));
        if *seen == now {
            return Ok(false);
        }
        // Before the files are read: a change meanwhile is seen the next time.
        *seen = now;
        let former = self.current.load();
        let mut set = Set::default();
        let mut errors = Vec::new();
        for (index, files) in self.files.iter().chain(&self.awaited).enumerate() {
            let Err(error) = set.take(files, &former) else {
                continue;
            };
            look_again(&mut seen, index, &error);
            let may_be_missing = index >= self.files.len();
            if !(may_be_missing && error.is_missing()) {
                errors.push(error);
            }
        }
        self.current.store(Arc::new(set));
        if errors.is_empty() {
            Ok(true)
        } else {
            Err(errors)
        }
    }
}

/// Has the files of a certificate, by its place among all, looked at once more if the error may pass.
fn look_again(seen: &mut [Look], index: usize, error: &TlsError) {
    if error.is_passing()
        && let Some(looks) = seen.chunks_mut(2).nth(index)
    {
        looks.fill(Look::NONE);
    }
}

fn looks<'a>(files: impl Iterator<Item = &'a CertificateFiles>) -> Vec<Look> {
    files
        .flat_map(|files| [&files.chain, &files.key])
        .map(|path| fs::metadata(path).map_or(Look::NONE, |metadata| Look::of(&metadata)))
        .collect()
}

impl Set {
    /// Adds what these files hold. If that cannot be used, the `former` one of the same files stays.
    fn take(&mut self, files: &CertificateFiles, former: &Self) -> Result<(), TlsError> {
        match load(files) {
            Ok(found) => {
                self.add(found);
                Ok(())
            }
            Err(error) => {
                let mut former = former.all.iter();
                let former = former.find(|(_, certificate)| certificate.files == *files);
                if let Some((key, certificate)) = former {
                    self.add((Arc::clone(key), certificate.clone()));
                }
                Err(error)
            }
        }
    }

    fn add(&mut self, (key, certificate): (Arc<CertifiedKey>, Certificate)) {
        for name in &certificate.names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(suffix) => (&mut self.wildcards, suffix),
                None => (&mut self.exact, name.as_str()),
            };
            map.entry(name.to_owned())
                .or_default()
                .push(Arc::clone(&key));
        }
        self.all.push((key, certificate));
    }

    /// All that are for this name.
    fn find(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = plain(name);
        let exact = self.exact.get(&name);
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        exact.or_else(wildcard).map(Vec::as_slice)
    }
}

/// A host name as it stands in certificates.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.current.load();
        let name = hello.server_name().unwrap_or_default();
        let Some(found) = set.find(name) else {
            let first = set.all.first().map(|(key, _)| Arc::clone(key));
            return first.filter(|_| !self.names.contains(&plain(name)));
        };
        let schemes = hello.signature_schemes();
        found
            .iter()
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or_else(|| found.first())
            .cloned()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source: io::Error| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn load(files: &CertificateFiles) -> Result<(Arc<CertifiedKey>, Certificate), TlsError> {
    let content = |path: &Path, expected| TlsError::Content {
        path: path.to_owned(),
        expected,
    };
    let chain = CertificateDer::pem_slice_iter(&read(&files.chain)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| content(&files.chain, "certificate"))?;
    let own = chain
        .first()
        .ok_or_else(|| content(&files.chain, "certificate"))?;
    let certificate = describe(own, files)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_| content(&files.key, "private key"))?;
    let key =
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|source| {
            TlsError::Key {
                path: files.key.clone(),
                source,
            }
        })?;
    Ok((Arc::new(key), certificate))
}

fn describe(
    certificate: &CertificateDer<'_>,
    files: &CertificateFiles,
) -> Result<Certificate, TlsError> {
    let path = || files.chain.clone();
    let broken = || TlsError::Certificate { path: path() };
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| broken())?;
    let validity = certificate.validity();
    let alternatives = certificate
        .subject_alternative_name()
        .map_err(|_| broken())?;
    let names: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            // Clients never ask for an address by name, but the certificate may be for one.
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return Err(TlsError::NoName { path: path() });
    }
    Ok(Certificate {
        files: files.clone(),
        names,
        begins: instant(validity.not_before),
        expires: instant(validity.not_after),
    })
}

fn instant(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = || <[u8; 4]>::try_from(bytes).ok().map(std::net::IpAddr::from);
    let six = || <[u8; 16]>::try_from(bytes).ok().map(std::net::IpAddr::from);
    four().or_else(six).map(|address| address.to_string())
}
