//! What happens when the database is away, slow, or given up on; and how writes share commits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use stoa_store::tokio_postgres::Client;
use stoa_store::{Config, DatabaseUrl, Store, StoreError};
use stoa_testing::postgres::{Cluster, Durability};

use crate::database::Database;
use crate::recorder::Recorder;
use crate::rows::{permitted, run, seed};

/// Runs forever.
const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const PATIENCE: Duration = Duration::from_secs(20);

async fn sqlite(config: Config) -> Result<(Store, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let url: DatabaseUrl = format!("sqlite:{}", folder.path().join("test.db").display()).parse()?;
    Ok((Store::open(&url, config).await?, folder))
}

fn endless(connection: &stoa_store::rusqlite::Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row(ENDLESS, [], |row| row.get(0))?)
}

/// Repeats until true.
async fn until(mut done: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    tokio::time::timeout(PATIENCE, async {
        while !done().await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .await?
}

#[tokio::test]
async fn a_slow_read_on_sqlite_ends_in_time() -> Result<()> {
    let config = Config {
        statement_timeout: Duration::from_millis(50),
        reader_threads: 1,
        ..Config::default()
    };
    let (store, _folder) = sqlite(config).await?;
    let outcome = store.sqlite().unwrap().read(endless).await;
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
    let outcome = store.sqlite().unwrap().write(endless).await;
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
    store.check().await?;
    Ok(())
}

#[tokio::test]
async fn a_read_given_up_on_sqlite_frees_its_thread() -> Result<()> {
    let (store, _folder) = sqlite(Config {
        reader_threads: 1,
        ..Config::default()
    })
    .await?;
    let database = store.sqlite().unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let read = database.read(move |connection| {
        let _ = begun.send(());
        endless(connection)
    });
    tokio::select! {
        _ = read => panic!("it has no end"),
        begun = has_begun => begun?,
    }
    // The only thread is free again, or this waits for ever.
    tokio::time::timeout(PATIENCE, store.check()).await??;
    assert_eq!(store.statistics().cancelled.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn queued_writes_share_a_commit_and_fail_alone() -> Result<()> {
    let (store, _folder) = sqlite(Config::default()).await?;
    let database = store.sqlite().unwrap().clone();
    database
        .write(|connection| Ok(connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)")?))
        .await?;
    let (release, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let blocking = tokio::spawn({
        let database = database.clone();
        async move {
            database
                .exclusive(move |_| {
                    let _ = wait.recv();
                    Ok(())
                })
                .await
        }
    });
    let writes: Vec<_> = (0..20)
        .map(|number| {
            let database = database.clone();
            tokio::spawn(async move {
                database
                    .write(move |connection| {
                        connection.execute("INSERT INTO t VALUES (?1)", [number])?;
                        // Every fifth fails after its insert.
                        if number % 5 == 0 {
                            connection.execute("INSERT INTO t VALUES (?1)", [number])?;
                        }
                        Ok(number)
                    })
                    .await
            })
        })
        .collect();
    until(async || Ok(store.statistics().jobs.load(Ordering::Relaxed) == 21)).await?;
    let before = store.statistics().commits.load(Ordering::Relaxed);
    release.send(())?;
    blocking.await??;
    let mut failed = 0;
    for write in writes {
        match write.await? {
            Ok(_) => {}
            Err(StoreError::Internal(_)) => failed += 1,
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(failed, 4);
    assert_eq!(
        store.statistics().commits.load(Ordering::Relaxed) - before,
        1
    );
    let count: i64 = database
        .read(
            |connection| Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?),
        )
        .await?;
    assert_eq!(count, 16);
    Ok(())
}

#[tokio::test]
async fn a_panic_in_a_job_harms_nobody_else() -> Result<()> {
    let (store, _folder) = sqlite(Config {
        reader_threads: 1,
        ..Config::default()
    })
    .await?;
    let database = store.sqlite().unwrap();
    assert!(
        database
            .write(|_| -> Result<(), StoreError> { panic!("on purpose") })
            .await
            .is_err()
    );
    assert!(
        database
            .read(|_| -> Result<(), StoreError> { panic!("on purpose") })
            .await
            .is_err()
    );
    store.check().await?;
    database.write(|_| Ok(())).await?;
    Ok(())
}

#[tokio::test]
async fn a_full_queue_refuses() -> Result<()> {
    let (store, _folder) = sqlite(Config {
        queue: 1,
        ..Config::default()
    })
    .await?;
    let database = store.sqlite().unwrap().clone();
    let (release, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let blocking = tokio::spawn({
        let database = database.clone();
        async move {
            database
                .exclusive(move |_| {
                    let _ = begun.send(());
                    let _ = wait.recv();
                    Ok(())
                })
                .await
        }
    });
    has_begun.await?;
    let waiting = tokio::spawn({
        let database = database.clone();
        async move { database.write(|_| Ok(())).await }
    });
    until(async || Ok(store.statistics().jobs.load(Ordering::Relaxed) == 2)).await?;
    let refused = database.write(|_| Ok(())).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    release.send(())?;
    blocking.await??;
    waiting.await??;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notes.txt");
    std::fs::write(
        &file,
        "this is certainly not a database, but long enough to be looked at".repeat(20),
    )?;
    let url: DatabaseUrl = format!("sqlite:{}", file.display()).parse()?;
    let error = Store::open(&url, Config::default()).await.err().unwrap();
    assert!(
        matches!(error, StoreError::Configuration { .. })
            && error.to_string().contains("notes.txt"),
        "{error}"
    );
    let url: DatabaseUrl = format!("sqlite:{}/missing/x.db", folder.path().display()).parse()?;
    let error = Store::open(&url, Config::default()).await.err().unwrap();
    assert!(error.to_string().contains("missing/x.db"), "{error}");
    Ok(())
}

/// A client that holds a lock which every read of a customer waits for.
async fn locked(database: &Database) -> Result<Client> {
    let client = stoa_testing::postgres::connect(database.server_url()).await?;
    client
        .batch_execute("BEGIN; LOCK TABLE customer IN ACCESS EXCLUSIVE MODE")
        .await?;
    Ok(client)
}

#[tokio::test]
async fn a_slow_read_on_postgres_ends_in_time() -> Result<()> {
    let mut database = Database::postgres().await?;
    seed(&database).await?;
    database
        .reopen(Config {
            statement_timeout: Duration::from_millis(100),
            ..Config::default()
        })
        .await?;
    let lock = locked(&database).await?;
    let query = database.query("Customer");
    let error = run(&database, &query).await.err().unwrap();
    let error = error.downcast::<StoreError>()?;
    assert!(
        matches!(error, StoreError::Timeout | StoreError::Busy { .. }),
        "{error:?}"
    );
    lock.batch_execute("ROLLBACK").await?;
    run(&database, &query).await?;
    Ok(())
}

#[tokio::test]
async fn a_read_given_up_on_postgres_is_cancelled_there() -> Result<()> {
    let mut database = Database::postgres().await?;
    seed(&database).await?;
    database
        .reopen(Config {
            connections: 1,
            ..Config::default()
        })
        .await?;
    let lock = locked(&database).await?;
    let query = database.query("Customer");
    let waiting = async || -> Result<i64> {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        Ok(lock.query_one(sql, &[]).await?.try_get(0)?)
    };
    let model = Arc::clone(&database.model);
    let permitted = permitted(&query);
    let read = database
        .store
        .read(&model, &permitted, Recorder::new(&model, &query));
    tokio::select! {
        _ = read => panic!("the table is locked"),
        outcome = until(async || Ok(waiting().await? == 1)) => outcome?,
    }
    until(async || Ok(waiting().await? == 0)).await?;
    lock.batch_execute("ROLLBACK").await?;
    // It is closed: the cancellation could have come late. There is room for another one.
    run(&database, &query).await?;
    assert_eq!(
        database
            .store
            .statistics()
            .connections_made
            .load(Ordering::Relaxed),
        2
    );
    Ok(())
}

#[tokio::test]
async fn reads_survive_a_restart_of_postgres() -> Result<()> {
    let cluster = Cluster::start(Durability::None).await?;
    let server = cluster.database().await?;
    let url: DatabaseUrl = server.url.parse()?;
    let model = crate::database::model();
    stoa_schema::apply(&url, &model, stoa_schema::Options::default()).await?;
    let config = Config {
        connections: 4,
        connect_timeout: Duration::from_secs(2),
        ..Config::default()
    };
    let database = Database::over(url, Store::open(&server.url.parse()?, config).await?, model);
    let query = database.query("Customer");
    let all = async || futures_util::future::join_all((0..8).map(|_| run(&database, &query))).await;
    assert!(all().await.iter().all(Result::is_ok));
    cluster.restart()?;
    for outcome in all().await {
        outcome?;
    }
    cluster.stop()?;
    for outcome in all().await {
        let error = outcome.err().unwrap().downcast::<StoreError>()?;
        assert!(
            matches!(error, StoreError::Unavailable { .. }) && error.is_retriable(),
            "{error:?}"
        );
    }
    assert!(database.store.check().await.is_err());
    cluster.resume()?;
    until(async || Ok(database.store.check().await.is_ok())).await?;
    for outcome in all().await {
        outcome?;
    }
    let state = database.store.pool_state();
    assert!(state.size <= 4 && state.waiting == 0, "{state:?}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_no_panic() -> Result<()> {
    let url: DatabaseUrl = "postgres://nobody:wrong@127.0.0.1:1/none".parse()?;
    let config = Config {
        connect_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let error = Store::open(&url, config).await.err().unwrap();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(!error.to_string().contains("wrong"));
    Ok(())
}

#[tokio::test]
async fn a_full_disk_loses_nothing_acknowledged() -> Result<()> {
    let Some(disk) = stoa_testing::disk::SmallDisk::mount(8 * 1024 * 1024)? else {
        eprintln!("SKIPPED: a small disk cannot be mounted here");
        return Ok(());
    };
    let url: DatabaseUrl = format!("sqlite:{}", disk.path().join("test.db").display()).parse()?;
    let store = Store::open(&url, Config::default()).await?;
    let database = store.sqlite().unwrap();
    database
        .write(|connection| {
            Ok(connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")?)
        })
        .await?;
    let mut acknowledged = 0_i64;
    let error = loop {
        let write = |connection: &stoa_store::rusqlite::Connection| {
            Ok(connection.execute("INSERT INTO t (b) VALUES (zeroblob(100000))", [])?)
        };
        match database.write(write).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "the disk has no end");
    };
    assert!(matches!(error, StoreError::StorageFull { .. }), "{error:?}");
    let rows = database
        .read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?)
        })
        .await?;
    assert_eq!(rows, acknowledged);
    Ok(())
}

/// Makes a key and a certificate for 127.0.0.1 in the server's own folder, as its own user.
const CERTIFY: &str = "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null; openssl req -x509 -newkey ec \
    -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.crt -days 2 -subj /CN=test \
    -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE && chmod 600 server.key'";

#[tokio::test]
async fn connections_are_encrypted_and_checked_as_asked() -> Result<()> {
    let cluster = Cluster::start(Durability::None).await?;
    let server = cluster.database().await?;
    let client = stoa_testing::postgres::connect(&server.url).await?;
    if client.batch_execute(CERTIFY).await.is_err() {
        eprintln!("SKIPPED: openssl is not installed");
        return Ok(());
    }
    client.batch_execute("ALTER SYSTEM SET ssl = on").await?;
    let certificate: String = client
        .query_one("SELECT pg_read_file('server.crt')", &[])
        .await?
        .try_get(0)?;
    drop(client);
    cluster.restart()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("root.pem");
    std::fs::write(&file, certificate)?;
    let roots = format!("sslrootcert={}", file.display());
    let base = server.url.split('?').next().unwrap_or_default();
    let open = async |parameters: &str| -> Result<bool> {
        let url: DatabaseUrl = format!("{base}?{parameters}").parse()?;
        let store = Store::open(
            &url,
            Config {
                connections: 1,
                ..Config::default()
            },
        )
        .await?;
        let connection = store.postgres().unwrap().connection().await?;
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let encrypted = connection.query_one(sql, &[]).await?.try_get(0)?;
        // Dropped, not released: the cancellation is encrypted too, and another connection takes its place.
        drop(connection);
        store.check().await?;
        assert_eq!(
            store.statistics().connections_made.load(Ordering::Relaxed),
            2
        );
        Ok(encrypted)
    };
    assert!(!open("sslmode=disable").await?);
    assert!(open("sslmode=prefer").await?);
    assert!(open("sslmode=require").await?);
    for mode in ["require", "verify-ca", "verify-full"] {
        assert!(open(&format!("sslmode={mode}&{roots}")).await?, "{mode}");
    }
    // The system's authorities do not know this certificate.
    if let Err(error) = open("sslmode=verify-full").await {
        assert!(!error.to_string().is_empty());
    } else {
        panic!("a certificate that nobody knows was trusted");
    }
    Ok(())
}
