//! What tests need around the code under test; never linked into the product.
//!
//! Owns: temporary PostgreSQL clusters and databases ([`postgres`]), the `stoa` binary as a running
//! process ([`process`]), an HTTP client that shows what came back ([`client`]), a proxy that breaks
//! connections ([`proxy`]), a disk that is too small ([`disk`]), applications opened to everybody, for
//! tests that are not about access ([`open`]), hosts on a real network ([`network`]), certificates for them
//! ([`certificates`]), an authority that is asked for some ([`pebble`]), users at work on them ([`load`]), and what
//! may be demanded of what they saw ([`history`]).
//!
//! Does not own: test cases, expected answers, or anything that knows more of a model than its text.
//!
//! Invariants: everything started here is stopped and removed when its value is dropped, and also when
//! the test process is killed; every wait is for a condition, with a deadline and a message that says
//! what was awaited; tests run in parallel and in any order.
//!
//! Start reading at [`postgres::database`], [`process::Launch`] and [`network::test()`].

pub mod certificates;
pub mod client;
pub mod disk;
pub mod history;
pub mod load;
pub mod network;
pub mod open;
pub mod pebble;
pub mod postgres;
pub mod process;
pub mod proxy;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// An address on loopback that nothing listened on a moment ago.
///
/// # Errors
/// No port is left.
pub fn free_address() -> Result<SocketAddr> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// The folder `shared` that stands beside the repository and holds test data from elsewhere: `STOA_SHARED`,
/// or `../shared`. None, with a loud line on stderr, where it is missing: the test is then to skip.
#[must_use]
pub fn shared_folder() -> Option<PathBuf> {
    let folder = std::env::var_os("STOA_SHARED")
        .map_or_else(|| repository().join("../shared"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED: no test data at {} (set STOA_SHARED to the folder that holds it)",
        folder.display()
    );
    None
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Waits until `condition` gives a value; asks again after a short pause as long as it gives none.
///
/// # Errors
/// `deadline` has passed; the message names `what`.
pub async fn eventually<T, F>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            bail!("waited {deadline:?} in vain: {what}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
