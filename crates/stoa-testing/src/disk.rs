//! A disk that is too small.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A small file system in memory; unmounted and removed with the value.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one of this many bytes; none where the process may not mount (it needs root).
    ///
    /// # Errors
    /// No temporary folder can be made.
    pub fn mount(bytes: u64) -> Result<Option<Self>> {
        let folder = tempfile::Builder::new().prefix("stoa-disk-").tempdir()?;
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={bytes},mode=0777"),
                "stoa-test",
            ])
            .arg(folder.path())
            .output()
            .context("running mount")?;
        if mounted.status.success() {
            return Ok(Some(Self { folder }));
        }
        eprintln!(
            "SKIPPED: cannot mount a small disk: {}",
            String::from_utf8_lossy(&mounted.stderr).trim()
        );
        Ok(None)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills all that is free with a file, which is returned: delete it to make room again.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn fill(&self) -> Result<PathBuf> {
        use std::io::Write as _;
        let ballast = self.folder.path().join("ballast");
        let mut file = std::fs::File::create(&ballast)?;
        let mut piece = vec![1_u8; 1 << 20];
        while !piece.is_empty() {
            match file.write(&piece) {
                Ok(1..) => {}
                Ok(_) | Err(_) => {
                    let half = piece.len() / 2;
                    piece.truncate(half);
                }
            }
        }
        ensure!(file.metadata()?.len() > 0, "the disk was full already");
        Ok(ballast)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that the test kills may still have a file open there.
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path())
            .status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("could not unmount {}", self.folder.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_is_full_and_has_room_again() {
        let Some(disk) = SmallDisk::mount(1 << 20).unwrap() else {
            return;
        };
        let ballast = disk.fill().unwrap();
        let file = disk.path().join("file");
        assert!(std::fs::write(&file, [1; 8192]).is_err());
        std::fs::remove_file(ballast).unwrap();
        std::fs::write(&file, [1; 8192]).unwrap();
        let path = disk.path().to_owned();
        drop(disk);
        assert!(!path.exists());
    }
}
