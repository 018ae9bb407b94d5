//! Temporary PostgreSQL clusters.
//!
//! Ordinary tests call [`database`]: one database of their own in a cluster shared by every test process
//! of the machine's user. The first test starts the cluster; a reaper stops it once it was unused for a
//! minute. `STOA_TEST_POSTGRES` names a server to use instead (a superuser's URL).
//!
//! Fault tests start a [`Cluster`] of their own, which they may stop, kill and restart.
//!
//! The session time zone of every cluster is a strange one on purpose, so that a forgotten UTC shows.

mod cluster;
mod folder;
mod shared;

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use tokio_postgres::NoTls;

pub use cluster::{Cluster, Durability};

/// An empty database, dropped with the value.
#[derive(Debug)]
pub struct TestDatabase {
    /// `postgres://…`, as the product takes it.
    pub url: String,
    /// Its name.
    pub name: String,
    administration: String,
    /// Keeps the shared cluster from being reaped.
    _in_use: Option<shared::InUse>,
}

/// Makes a database in the shared cluster, starting that first if nobody has.
///
/// # Errors
/// PostgreSQL is not installed or does not start; the message says which.
pub async fn database() -> Result<TestDatabase> {
    if let Ok(url) = std::env::var("STOA_TEST_POSTGRES")
        && !url.is_empty()
    {
        return TestDatabase::create(&url, None)
            .await
            .with_context(|| format!("STOA_TEST_POSTGRES={url}"));
    }
    let (url, in_use) = tokio::task::spawn_blocking(shared::acquire).await??;
    TestDatabase::create(&url, Some(in_use)).await
}

/// Connects; the connection's task ends with the client.
///
/// # Errors
/// As the driver's.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        // A cluster that is killed ends its connections: that is what fault tests do.
        let _ = connection.await;
    });
    Ok(client)
}

impl TestDatabase {
    async fn create(administration: &str, in_use: Option<shared::InUse>) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .context("clock before 1970")?;
        let name = format!(
            "test_{}_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed),
            since_epoch.as_micros()
        );
        let client = connect(administration).await?;
        client
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))
            .await
            .with_context(|| format!("creating database {name}"))?;
        Ok(Self {
            url: with_database(administration, &name),
            name,
            administration: administration.to_owned(),
            _in_use: in_use,
        })
    }

    /// Connects to it.
    ///
    /// # Errors
    /// As the driver's.
    pub async fn connect(&self) -> Result<tokio_postgres::Client> {
        connect(&self.url).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let url = self.administration.clone();
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // Own thread and runtime: a drop may happen inside a runtime, where one cannot block.
        let dropper = std::thread::spawn(move || -> Result<()> {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(async { Ok(connect(&url).await?.batch_execute(&sql).await?) })
        });
        if let Ok(Err(error)) = dropper.join() {
            eprintln!("could not drop {}: {error:#}", self.name);
        }
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = match url.split_once('?') {
        Some((address, parameters)) => (address, format!("?{parameters}")),
        None => (url, String::new()),
    };
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..]
        .find('/')
        .map_or(address.len(), |at| authority + at);
    format!("{}/{name}{parameters}", &address[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_all_but_its_database() {
        assert_eq!(
            with_database("postgres://a@b:1/postgres?x=y", "t"),
            "postgres://a@b:1/t?x=y"
        );
        assert_eq!(with_database("postgres://b:1", "t"), "postgres://b:1/t");
    }

    #[tokio::test]
    async fn databases_are_apart_and_gone_afterwards() {
        let (first, second) = tokio::join!(database(), database());
        let (first, second) = (first.unwrap(), second.unwrap());
        let client = first.connect().await.unwrap();
        client
            .batch_execute("CREATE TABLE t (a int)")
            .await
            .unwrap();
        let other = second.connect().await.unwrap();
        let error = other.query("SELECT a FROM t", &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42P01");
        let icu = other
            .query_one("SELECT upper('straße' COLLATE \"und-x-icu\")", &[])
            .await
            .unwrap();
        assert_eq!(icu.get::<_, &str>(0), "STRASSE");

        let (administration, name) = (second.administration.clone(), first.name.clone());
        drop(first);
        let client = connect(&administration).await.unwrap();
        let left = client
            .query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await
            .unwrap();
        assert!(left.is_empty());
    }
}
