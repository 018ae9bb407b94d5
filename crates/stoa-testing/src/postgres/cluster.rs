//! A cluster of one's own: made, started, stopped, killed, removed.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::TestDatabase;
use super::folder::{Folder, Place};
use crate::network::Host;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// PostgreSQL's own defaults: for fault tests and measurements.
    Full,
    /// No fsync: for everything else, much faster.
    None,
}

/// A running (or stopped) cluster in a temporary folder; stopped and removed with the value, and also when
/// the process dies first.
#[derive(Debug)]
pub struct Cluster {
    folder: Folder,
    /// A shell that waits for the end of this process and then cleans up.
    warden: Child,
}

impl Cluster {
    /// Makes and starts a cluster.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start: with the end of its log.
    pub async fn start(durability: Durability) -> Result<Self> {
        let place = Place::loopback()?;
        tokio::task::spawn_blocking(move || {
            Self::prepare(place, |folder| folder.initialise(durability))
        })
        .await?
    }

    /// Makes and starts a cluster on a host, at its address and PostgreSQL's own port. Everybody who
    /// reaches it may do everything, replicate as well.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start: with the end of its log.
    pub async fn start_on(host: &Host, durability: Durability) -> Result<Self> {
        let place = Place::on(host);
        tokio::task::spawn_blocking(move || {
            Self::prepare(place, |folder| folder.initialise(durability))
        })
        .await?
    }

    /// Makes and starts a streaming replica of this cluster on another host.
    ///
    /// # Errors
    /// This cluster is not on a host or cannot be reached from there, or the replica does not start.
    pub async fn replicate_to(&self, host: &Host) -> Result<Self> {
        let place = Place::on(host);
        let primary = self.folder.place.clone();
        tokio::task::spawn_blocking(move || {
            Self::prepare(place, |folder| folder.copy_from(&primary))
        })
        .await?
    }

    fn prepare(place: Place, fill: impl FnOnce(&Folder) -> Result<()>) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("stoa-cluster-")
            .tempdir()?
            .keep();
        let folder = Folder::create(&path, place)?;
        let warden = folder.warden()?;
        let cluster = Self { folder, warden };
        fill(&cluster.folder)?;
        cluster.folder.start()?;
        Ok(cluster)
    }

    /// Does something with a connection to a database in it, from where it runs.
    ///
    /// # Errors
    /// It cannot be reached, or `work` fails.
    pub async fn with<T, F>(
        &self,
        database: &str,
        work: impl FnOnce(tokio_postgres::Client) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send,
    {
        let url = self.url_of(database);
        let connected = move || async move { work(super::connect(&url).await?).await };
        match &self.folder.place.host {
            Some(host) => host.ask(connected).await,
            None => connected().await,
        }
    }

    /// From now on a commit is acknowledged when a replica has it on its disk (or no longer).
    ///
    /// # Errors
    /// It is not running.
    pub async fn wait_for_replica(&self, waits: bool) -> Result<()> {
        let names = if waits { "*" } else { "" };
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        self.with("postgres", async move |client| {
            client.batch_execute(&sql).await?;
            client.batch_execute("SELECT pg_reload_conf()").await?;
            Ok(())
        })
        .await
    }

    /// Makes a replica the primary, and waits until it takes writes.
    ///
    /// # Errors
    /// It is no replica, or not running.
    pub fn promote(&self) -> Result<()> {
        self.folder.control(&["promote", "-w"])
    }

    /// Address of a database in it, as superuser.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        self.folder.url(database)
    }

    /// Makes an empty database in it.
    ///
    /// # Errors
    /// The cluster is stopped.
    pub async fn database(&self) -> Result<TestDatabase> {
        TestDatabase::create(&self.url(), None).await
    }

    /// Address of the database `postgres` in it, as superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.folder.url("postgres")
    }

    /// Its port; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.folder.place.port
    }

    /// Stops in good order, ending all sessions (`pg_ctl stop -m fast`).
    ///
    /// # Errors
    /// It is not running.
    pub fn stop(&self) -> Result<()> {
        self.folder.control(&["stop", "-w", "-m", "fast"])
    }

    /// Stops at once, as after a crash (`pg_ctl stop -m immediate`).
    ///
    /// # Errors
    /// It is not running.
    pub fn stop_at_once(&self) -> Result<()> {
        self.folder.control(&["stop", "-w", "-m", "immediate"])
    }

    /// Starts what was stopped or killed.
    ///
    /// # Errors
    /// It does not start.
    pub fn resume(&self) -> Result<()> {
        self.folder.start()
    }

    /// Stops and starts.
    ///
    /// # Errors
    /// As those.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.resume()
    }

    /// `kill -9` to the postmaster, then waits until it and all its children are gone.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&self) -> Result<()> {
        let postmaster = self.folder.postmaster()?;
        let children = children_of(postmaster)?;
        for process in std::iter::once(postmaster).chain(children.iter().copied()) {
            // A child may be gone by itself meanwhile.
            let _ = kill_process(process, Signal::KILL);
        }
        let start = Instant::now();
        while std::iter::once(&postmaster)
            .chain(&children)
            .any(|process| is_alive(*process))
        {
            ensure!(
                start.elapsed() < Duration::from_secs(30),
                "PostgreSQL survives SIGKILL"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        // PostgreSQL replaces a dead server's lock file itself, but takes a process that the container's
        // init has not collected yet for alive.
        fs::remove_file(self.folder.path.join("data/postmaster.pid"))?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Closing its input wakes the warden, which stops and removes everything.
        drop(self.warden.stdin.take());
        let _ = self.warden.wait();
    }
}

fn children_of(parent: Pid) -> Result<Vec<Pid>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // Fields after the program's name in parentheses: state, parent, …
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else {
            continue;
        };
        let parent_of_it = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<i32>().ok());
        if parent_of_it == Some(parent.as_raw_nonzero().get()) {
            children.extend(Pid::from_raw(process));
        }
    }
    Ok(children)
}

/// A zombie that init has not collected yet counts as dead.
fn is_alive(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| !rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::connect;

    #[tokio::test]
    async fn what_was_committed_survives_a_kill() {
        let cluster = Cluster::start(Durability::Full).await.unwrap();
        let database = cluster.database().await.unwrap();
        let client = database.connect().await.unwrap();
        client
            .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
            .await
            .unwrap();
        cluster.kill().unwrap();
        assert!(client.batch_execute("SELECT 1").await.is_err());
        assert!(connect(&database.url).await.is_err());
        cluster.resume().unwrap();
        let client = database.connect().await.unwrap();
        let row = client.query_one("SELECT a FROM t", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 7);

        cluster.restart().unwrap();
        let path = cluster.folder.path.clone();
        drop(client);
        drop(database);
        drop(cluster);
        assert!(!path.join("data").exists());
    }
}
