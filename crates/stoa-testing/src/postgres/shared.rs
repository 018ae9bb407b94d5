//! One cluster for all test processes of a user.
//!
//! Three files in a folder of the temporary folder: `start` is locked while somebody starts or reaps the
//! cluster, `users` is share-locked by every process that uses it, and `state` holds its URL.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::Durability;
use super::folder::{Folder, Place};

/// Holds the share of the lock on `users`.
#[derive(Debug)]
pub(super) struct InUse {
    _lock: File,
}

/// URL of the shared cluster, started if it was not running. Blocks.
pub(super) fn acquire() -> Result<(String, InUse)> {
    let folder = folder()?;
    let start = open(&folder.join("start"))?;
    start.lock().context("waiting for the shared cluster")?;
    let users = open(&folder.join("users"))?;
    users.lock_shared()?;
    users.set_modified(SystemTime::now())?;
    let in_use = InUse { _lock: users };

    let state = folder.join("state");
    if let Ok(url) = fs::read_to_string(&state)
        && is_listening(&url)
    {
        return Ok((url, in_use));
    }
    let path = tempfile::Builder::new()
        .prefix("stoa-shared-cluster-")
        .tempdir()?
        .keep();
    let cluster = Folder::create(&path, Place::loopback()?)?;
    cluster.initialise(Durability::None)?;
    cluster.start()?;
    fs::write(&state, cluster.url("postgres"))?;
    cluster.reaper(&folder.join("start"), &folder.join("users"), &state)?;
    Ok((cluster.url("postgres"), in_use))
}

/// Folder of the three files. Writable for the user PostgreSQL runs as, who also runs the reaper.
fn folder() -> Result<PathBuf> {
    static CREATING: Mutex<()> = Mutex::new(());
    let _one = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    let user = rustix::process::geteuid();
    let folder = std::env::temp_dir().join(format!("stoa-test-{}", user.as_raw()));
    fs::create_dir_all(&folder)?;
    if user.is_root() {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    }
    Ok(folder)
}

fn open(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| path.display().to_string())?;
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o666))?;
    }
    Ok(file)
}

fn is_listening(url: &str) -> bool {
    url.split_once('@')
        .and_then(|(_, rest)| rest.split_once('/'))
        .is_some_and(|(address, _)| TcpStream::connect(address).is_ok())
}
