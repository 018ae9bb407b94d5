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
    sources: Mutex<Vec<Source>>,
    /// Host names whose certificate may be missing.
    awaited: HashSet<String>,
    current: ArcSwap<Set>,
}

/// Files of a certificate, and what was in them when they could last be used.
#[derive(Debug)]
struct Source {
    files: CertificateFiles,
    may_be_missing: bool,
    /// What they looked like when they were last read, well or not.
    seen: Option<[Look; 2]>,
    found: Option<Found>,
}

#[derive(Clone, Debug)]
struct Found {
    key: Arc<CertifiedKey>,
    certificate: Arc<Certificate>,
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
    fn at(path: &Path) -> Self {
        fs::metadata(path).map_or(Self::NONE, |metadata| Self::of(&metadata))
    }

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

impl Source {
    fn new(files: CertificateFiles, may_be_missing: bool) -> Self {
        Self {
            files,
            may_be_missing,
            seen: None,
            found: None,
        }
    }

    /// Reads the files if they look different. Returns whether there is something new in them; of what cannot be used,
    /// the former stays.
    fn look(&mut self) -> Result<bool, TlsError> {
        let looks = [&self.files.chain, &self.files.key].map(|path| Look::at(path));
        if self.seen == Some(looks) {
            return Ok(false);
        }
        // Before they are read: a change meanwhile is seen the next time.
        self.seen = Some(looks);
        match load(&self.files) {
            Ok(found) => {
                self.found = Some(found);
                Ok(true)
            }
            Err(error) if self.may_be_missing && error.is_missing() => Ok(false),
            Err(error) => {
                if error.is_passing() {
                    self.seen = None;
                }
                Err(error)
            }
        }
    }
}

#[derive(Debug, Default)]
struct Set {
    all: Vec<Found>,
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
        let given = files.into_iter().map(|files| Source::new(files, false));
        let mut sources: Vec<_> = given.collect();
        for source in &mut sources {
            source.look()?;
        }
        if sources.is_empty() && awaited.is_empty() {
            return Err(TlsError::NoCertificate);
        }
        for path in awaited.values() {
            let mut source = Source::new(CertificateFiles::together(path.clone()), true);
            if let Err(error) = source.look() {
                super::tell(&[error]);
            }
            sources.push(source);
        }
        Ok(Self {
            current: ArcSwap::from_pointee(Set::of(&sources)),
            sources: Mutex::new(sources),
            awaited: awaited.into_keys().collect(),
        })
    }

    pub(super) fn describe(&self) -> Vec<Arc<Certificate>> {
        let current = self.current.load();
        let all = current.all.iter();
        all.map(|found| Arc::clone(&found.certificate)).collect()
    }

    pub(super) fn reload(&self) -> Result<bool, Vec<TlsError>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        let mut errors = Vec::new();
        for source in sources.iter_mut() {
            match source.look() {
                Ok(is_other) => is_new |= is_other,
                Err(error) => errors.push(error),
            }
        }
        if is_new {
            self.current.store(Arc::new(Set::of(&sources)));
        }
        if errors.is_empty() {
            Ok(is_new)
        } else {
            Err(errors)
        }
    }
}

impl Set {
    fn of(sources: &[Source]) -> Self {
        let mut set = Self::default();
        for found in sources.iter().filter_map(|source| source.found.clone()) {
            for name in &found.certificate.names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut set.wildcards, suffix),
                    None => (&mut set.exact, name.as_str()),
                };
                map.entry(name.to_owned())
                    .or_default()
                    .push(Arc::clone(&found.key));
            }
            set.all.push(found);
        }
        set
    }

    /// All that are for this name, in lower case.
    fn find(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let exact = self.exact.get(name);
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        exact.or_else(wildcard).map(Vec::as_slice)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.current.load();
        let name = hello.server_name().unwrap_or_default();
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let Some(found) = set.find(&name) else {
            let first = set.all.first().map(|found| Arc::clone(&found.key));
            return first.filter(|_| !self.awaited.contains(&name));
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

/// What a certificate is for whose files are these, which can be used.
pub(super) fn examine(files: &CertificateFiles) -> Result<Certificate, TlsError> {
    load(files).map(|found| Arc::unwrap_or_clone(found.certificate))
}

fn load(files: &CertificateFiles) -> Result<Found, TlsError> {
    let content = |path: &Path, expected| TlsError::Content {
        path: path.to_owned(),
        expected,
    };
    let text = read(&files.chain)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| content(&files.chain, "certificate"))?;
    let own = chain
        .first()
        .ok_or_else(|| content(&files.chain, "certificate"))?;
    let certificate = describe(own, files)?;
    // One file with both is read once: it may be replaced in between.
    let text = match files.key == files.chain {
        true => text,
        false => read(&files.key)?,
    };
    let key =
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| content(&files.key, "private key"))?;
    let key =
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|source| {
            TlsError::Key {
                path: files.key.clone(),
                source,
            }
        })?;
    Ok(Found {
        key: Arc::new(key),
        certificate: Arc::new(certificate),
    })
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
