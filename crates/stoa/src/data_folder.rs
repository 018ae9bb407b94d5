//! The folder with a server's data, held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::failure::{Exit, Failure};
use crate::{Result, private_files};

const LOCK_FILE: &str = "lock";

/// Holds the lock on a data folder; released with the value, and by the system when the process dies.
#[derive(Debug)]
pub(crate) struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it lacks, and locks it.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let unwritable = |error: std::io::Error| {
            Failure::new(
                Exit::CannotCreate,
                format!(
                    "cannot write to the data folder {}: {error}",
                    folder.display()
                ),
            )
            .hint("give a folder of your own with --data")
        };
        private_files::make_folder(folder).map_err(unwritable)?;
        let mut lock = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(folder.join(LOCK_FILE))
            .map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = lock.read_to_string(&mut owner);
                let owner = match owner.trim() {
                    "" => "another process".to_owned(),
                    owner => format!("process {owner}"),
                };
                return Err(Failure::new(
                    Exit::Temporary,
                    format!("the data folder {} is in use by {owner}", folder.display()),
                )
                .hint("stop that one first, or give this one a folder of its own with --data"));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
        // For the message above only.
        let note = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        note(&mut lock).map_err(unwritable)?;
        // Nothing here is for version control.
        let ignore = folder.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(unwritable)?;
        }
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let first = DataFolder::open(&folder).unwrap();
        let failure = DataFolder::open(&folder).unwrap_err();
        assert_eq!(failure.exit, Exit::Temporary);
        let text = format!("{failure:?}");
        assert!(
            text.contains(&format!("in use by process {}", std::process::id())),
            "{text}"
        );
        drop(first);
        DataFolder::open(&folder).unwrap();
    }

    #[test]
    fn a_file_in_the_way() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = DataFolder::open(&file.join("data")).unwrap_err();
        assert_eq!(failure.exit, Exit::CannotCreate);
    }
}
