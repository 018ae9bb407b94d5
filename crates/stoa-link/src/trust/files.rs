//! Certificates and keys on disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use uuid::Uuid;

use super::TrustError;

/// Permissions of a private key.
const PRIVATE: u32 = 0o600;
/// Permissions of a certificate.
const PUBLIC: u32 = 0o644;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    fs::read(path).map_err(|source| TrustError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The certificates of a PEM file's content, the server's own first. `path` is for the message.
///
/// # Errors
/// There is none, or one is damaged.
pub fn certificates(
    path: &Path,
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let not_pem = || TrustError::NotPem {
        path: path.to_owned(),
        expected: "certificate",
    };
    let certificates = CertificateDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| not_pem())?;
    if certificates.is_empty() {
        return Err(not_pem());
    }
    Ok(certificates)
}

/// The private key of a PEM file's content. `path` is for the message, which shows nothing of the content.
///
/// # Errors
/// There is none, or it is damaged.
pub fn private_key(path: &Path, content: &[u8]) -> Result<PrivateKeyDer<'static>, TrustError> {
    PrivateKeyDer::from_pem_slice(content).map_err(|_| TrustError::NotPem {
        path: path.to_owned(),
        expected: "private key",
    })
}

/// Makes a folder that only its owner may look into, and those above it, where they are missing.
///
/// # Errors
/// As the file system's.
pub fn make_folder(folder: &Path) -> Result<(), TrustError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| TrustError::Write {
            path: folder.to_owned(),
            source,
        })
}

/// Writes a file that only its owner may read: whole, or not at all.
///
/// # Errors
/// As the file system's.
pub fn write_private(path: &Path, content: &str) -> Result<(), TrustError> {
    write(path, content, PRIVATE)
}

pub(super) fn write_public(path: &Path, content: &str) -> Result<(), TrustError> {
    write(path, content, PUBLIC)
}

/// Whole or not at all, since a running server may be about to read it.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), TrustError> {
    let beside = beside(path);
    let written = write_new(&beside, content, mode).and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // What is left of it is of no use; that it cannot be removed adds nothing to the error.
        let _ = fs::remove_file(&beside);
        TrustError::Write {
            path: path.to_owned(),
            source,
        }
    })
}

fn write_new(path: &Path, content: &str, mode: u32) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// A name that nobody else writes to at the same time.
fn beside(path: &Path) -> PathBuf {
    path.with_added_extension(format!("{}.new", Uuid::new_v4().simple()))
}
