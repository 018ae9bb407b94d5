//! Where a certificate is kept: one file with its key, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::failure::Failure;
use crate::tls::{Certificate, CertificateFiles};

/// How names of files begin that are not yet what they are to be.
const NEW: &str = ".new-";
/// More than a certificate with its chain and key takes.
const RESERVED: usize = 32 * 1024;

/// Room on disk for a new certificate, beside the former one.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: NamedTempFile,
}

impl Place {
    /// Takes room for what is to be at `path`. Only its owner may read it.
    pub(super) fn reserve(path: PathBuf) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(folder)?;
        file.write_all(&vec![b'\n'; RESERVED])?;
        file.as_file().sync_all()?;
        Ok(Self { path, file })
    }

    /// Removes what a process that was killed has left in a folder.
    pub(super) fn tidy(folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(NEW.as_bytes())
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes key and certificate, in PEM, and reads them again as the server will.
    pub(super) fn fill(&mut self, text: &str) -> Result<Certificate, Failure> {
        self.write(text).map_err(Failure::Lost)?;
        let files = CertificateFiles::together(self.file.path().to_owned());
        Certificate::load(&files).map_err(Failure::Unusable)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.file.as_file().set_len(length)?;
        self.file.as_file().sync_all()
    }

    /// Takes the place of the former file. A crash leaves one or the other.
    pub(super) fn keep(self) -> io::Result<()> {
        self.file.persist(&self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate(name: &str) -> String {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        key.serialize_pem() + &certificate.pem()
    }

    #[test]
    fn a_certificate_replaces_the_former_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.example.pem");
        let files = || fs::read_dir(folder.path()).unwrap().count();
        for text in [certificate("a.example"), certificate("a.example")] {
            let mut place = Place::reserve(path.clone()).unwrap();
            assert_eq!(place.fill(&text).unwrap().names, ["a.example"]);
            place.keep().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(files(), 1);
        }
        // Killed while it had a place.
        let (left, _) = Place::reserve(path.clone()).unwrap().file.keep().unwrap();
        drop(left);
        assert_eq!(files(), 2);
        Place::tidy(folder.path()).unwrap();
        assert_eq!(files(), 1);
        // Not what it should be: what is there stays.
        let kept = fs::read(&path).unwrap();
        for text in ["nothing", &certificate("a.example")[..300]] {
            let mut place = Place::reserve(path.clone()).unwrap();
            assert!(matches!(place.fill(text), Err(Failure::Unusable(_))));
            drop(place);
            assert_eq!(fs::read(&path).unwrap(), kept);
            assert_eq!(files(), 1);
        }
    }
}
