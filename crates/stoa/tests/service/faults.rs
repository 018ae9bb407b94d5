//! What is acknowledged stays: under `kill -9`, a database that goes away, a full disk; and a request that
//! nobody waits for any more ends.
//!
//! `STOA_SOAK_SECONDS` makes the kill loops longer.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use stoa_testing::client::Client;
use stoa_testing::disk::SmallDisk;
use stoa_testing::eventually;
use stoa_testing::postgres::{self, Cluster, Durability};
use stoa_testing::process::{Launch, Server};
use stoa_testing::proxy::{Mode, Proxy};
use tokio::task::JoinSet;

use crate::trial;

const WRITERS: usize = 8;
const LONG: Duration = Duration::from_secs(60);

/// Writers that create things with two parts each, and remember what was acknowledged.
struct Load {
    acknowledged: Arc<Mutex<Vec<String>>>,
    /// Status codes other than 201, and how often.
    refused: Arc<Mutex<Vec<u16>>>,
    stop: Arc<AtomicBool>,
    writers: JoinSet<()>,
}

impl Load {
    /// Writes until stopped. Each writer ends at the first request without an answer unless it is to go on.
    fn start(client: &Client, go_on: bool) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let mut load = Self {
            acknowledged: Arc::default(),
            refused: Arc::default(),
            stop: Arc::default(),
            writers: JoinSet::new(),
        };
        for _ in 0..WRITERS {
            let (client, stop) = (client.clone(), Arc::clone(&load.stop));
            let (acknowledged, refused) =
                (Arc::clone(&load.acknowledged), Arc::clone(&load.refused));
            load.writers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let id = format!(
                        "018b8989-dee0-7123-8217-{:012x}",
                        NUMBER.fetch_add(1, Ordering::Relaxed)
                    );
                    let body =
                        json!({"id": id, "Name": "n", "Parts": [{"Position": 1}, {"Position": 2}]});
                    match client.post("/odata/Things", &body).await {
                        Ok(answer) if answer.status == 201 => acknowledged.lock().unwrap().push(id),
                        Ok(answer) => {
                            if answer.status == 503 {
                                assert!(
                                    answer.header("retry-after").is_some(),
                                    "503 without Retry-After"
                                );
                            }
                            refused.lock().unwrap().push(answer.status);
                            // What a polite client does, though sooner than it is asked to.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(_) if go_on => tokio::time::sleep(Duration::from_millis(5)).await,
                        Err(_) => return,
                    }
                }
            });
        }
        load
    }

    fn number_acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn until_acknowledged(&self, number: usize) {
        eventually(&format!("{number} acknowledged writes"), LONG, || async {
            (self.number_acknowledged() >= number).then_some(())
        })
        .await
        .unwrap();
    }

    async fn stop(mut self) -> (Vec<String>, BTreeSet<u16>) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writers.join_next().await {
            ended.unwrap();
        }
        let refused = self.refused.lock().unwrap().iter().copied().collect();
        (
            std::mem::take(&mut *self.acknowledged.lock().unwrap()),
            refused,
        )
    }
}

/// Every acknowledged thing is there, and every thing that is there has its two parts.
async fn check_complete(client: &Client, acknowledged: &BTreeSet<String>) {
    let mut found = BTreeSet::new();
    let mut next = Some("/odata/Things?$select=id&$expand=Parts($select=Position)".to_owned());
    while let Some(path) = next.take() {
        let page = client
            .get(&path)
            .await
            .unwrap()
            .expect_status(200)
            .unwrap()
            .json()
            .unwrap();
        for thing in page["value"].as_array().unwrap() {
            assert_eq!(
                thing["Parts"].as_array().unwrap().len(),
                2,
                "half a write: {thing}"
            );
            found.insert(thing["id"].as_str().unwrap().to_owned());
        }
        next = page["@odata.nextLink"]
            .as_str()
            .map(|link| format!("/odata/{}", link.split_once("/odata/").unwrap().1));
    }
    let lost: Vec<&String> = acknowledged.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged rows are lost: {:?}",
        lost.len(),
        acknowledged.len(),
        &lost[..lost.len().min(5)]
    );
}

/// True until the loop has run three times, or as long as a soak lasts.
fn again(rounds: &mut usize, start: Instant) -> bool {
    *rounds += 1;
    let seconds = std::env::var("STOA_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    *rounds <= 3 || start.elapsed() < Duration::from_secs(seconds)
}

fn check_sqlite_file(folder: &Path) {
    let file = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "db" || extension == "sqlite")
        })
        .expect("a database file in the data folder");
    let connection = rusqlite::Connection::open(file).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    let broken = connection
        .prepare("PRAGMA foreign_key_check")
        .unwrap()
        .query_map([], |_| Ok(()))
        .unwrap()
        .count();
    assert_eq!(broken, 0, "broken references");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_acknowledged_on_sqlite() {
    let application = trial::application();
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let (mut rounds, start) = (0, Instant::now());
    while again(&mut rounds, start) {
        let server = Launch::new(application.path())
            .data(data.path())
            .start()
            .await
            .unwrap();
        let client = server.client().unwrap();
        check_complete(&client, &acknowledged).await;
        let load = Load::start(&client, false);
        load.until_acknowledged(100 + 37 * (rounds % 5)).await;
        server.kill().unwrap();
        let (more, _) = load.stop().await;
        acknowledged.extend(more);
        check_sqlite_file(data.path());
    }
    let server = Launch::new(application.path())
        .data(data.path())
        .start()
        .await
        .unwrap();
    check_complete(&server.client().unwrap(), &acknowledged).await;
    println!(
        "SQLite: {} rounds, {} acknowledged, none lost",
        rounds - 1,
        acknowledged.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_acknowledged_on_postgresql() {
    let application = trial::application();
    let cluster = Cluster::start(Durability::Full).await.unwrap();
    let database = cluster.database().await.unwrap();
    let mut acknowledged = BTreeSet::new();
    let (mut rounds, start) = (0, Instant::now());
    while again(&mut rounds, start) {
        let server = Launch::new(application.path())
            .database(&database.url)
            .start()
            .await
            .unwrap();
        let client = server.client().unwrap();
        check_complete(&client, &acknowledged).await;
        // In turn the server is killed, and the database under it.
        if rounds % 2 == 1 {
            let load = Load::start(&client, false);
            load.until_acknowledged(100).await;
            server.kill().unwrap();
            acknowledged.extend(load.stop().await.0);
        } else {
            let load = Load::start(&client, true);
            load.until_acknowledged(100).await;
            cluster.kill().unwrap();
            cluster.resume().unwrap();
            let before = load.number_acknowledged();
            load.until_acknowledged(before + 50).await;
            acknowledged.extend(load.stop().await.0);
            check_complete(&client, &acknowledged).await;
        }
    }
    let server = Launch::new(application.path())
        .database(&database.url)
        .start()
        .await
        .unwrap();
    check_complete(&server.client().unwrap(), &acknowledged).await;
    println!(
        "PostgreSQL: {} rounds, {} acknowledged, none lost",
        rounds - 1,
        acknowledged.len()
    );
}

/// Connections of the server to its database.
async fn connections(observer: &tokio_postgres::Client, database: &str) -> i64 {
    observer
        .query_one(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
            &[&database],
        )
        .await
        .unwrap()
        .get(0)
}

/// Connections that the server's pool knows of.
async fn pooled(operator: &Client) -> i64 {
    let page = operator.get("/metrics").await.unwrap();
    let text = page.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("stoa_pool_size "))
        .unwrap_or_else(|| panic!("no size of the pool in {text}"));
    // A gauge is written as a floating-point number.
    line.trim_end_matches(".0").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_database_is_503_meanwhile_and_found_again() {
    let application = trial::application();
    let cluster = Cluster::start(Durability::Full).await.unwrap();
    let database = cluster.database().await.unwrap();
    let admin = stoa_testing::free_address().unwrap();
    let server = Launch::new(application.path())
        .database(&database.url)
        .argument("--admin")
        .argument(admin.to_string())
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let load = Load::start(&client, true);
    load.until_acknowledged(50).await;

    for _ in 0..3 {
        cluster.stop().unwrap();
        let away = client.get("/odata/Things?$top=1").await.unwrap();
        assert_eq!(away.status, 503, "{}", away.text());
        assert!(
            away.header("retry-after").is_some(),
            "503 without Retry-After"
        );
        assert_eq!(away.json().unwrap()["error"]["code"], "Unavailable");
        let ready = client.get("/health/ready").await.unwrap();
        assert_eq!(ready.status, 503, "ready says {}", ready.text());
        assert_eq!(client.get("/health/live").await.unwrap().status, 200);
        cluster.resume().unwrap();
        let before = load.number_acknowledged();
        load.until_acknowledged(before + 50).await;
        eventually("ready again", LONG, || async {
            (client.get("/health/ready").await.ok()?.status == 200).then_some(())
        })
        .await
        .unwrap();
    }
    let (acknowledged, refused) = load.stop().await;
    assert!(
        refused.iter().all(|status| *status == 503),
        "other refusals than 503: {refused:?}"
    );
    check_complete(&client, &acknowledged.into_iter().collect()).await;

    // How many the pool makes depends on how many requests were under way at once, but none may be open that
    // it has forgotten, beside the one that listens. A process of PostgreSQL outlives its connection a little.
    let observer = postgres::connect(&cluster.url()).await.unwrap();
    let operator = Client::new(format!("http://{admin}")).unwrap();
    eventually("no connection that nobody holds", LONG, || async {
        let open = connections(&observer, &database.name).await;
        let known = pooled(&operator).await + 1;
        println!("{open} connections, {known} of them known");
        (open <= known).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_stalled_connections_are_replaced() {
    let application = trial::application();
    let database = postgres::database().await.unwrap();
    let address = database
        .url
        .split('@')
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let proxy = Proxy::start(address).await.unwrap();
    let server = Launch::new(application.path())
        .database(proxy.through(&database.url))
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let load = Load::start(&client, true);
    load.until_acknowledged(50).await;
    for mode in [Mode::Cut, Mode::Delay(Duration::from_millis(20)), Mode::Cut] {
        proxy.set(mode);
        if mode == Mode::Cut {
            let away = client.get("/odata/Things?$top=1").await.unwrap();
            assert_eq!(away.status, 503, "{}", away.text());
        } else {
            let before = load.number_acknowledged();
            load.until_acknowledged(before + 10).await;
        }
        proxy.set(Mode::Pass);
        let before = load.number_acknowledged();
        load.until_acknowledged(before + 50).await;
    }
    let (acknowledged, refused) = load.stop().await;
    assert!(
        refused.iter().all(|status| *status == 503),
        "other refusals than 503: {refused:?}"
    );
    check_complete(&client, &acknowledged.into_iter().collect()).await;
}

/// Writes until something is refused; then there is room again, and everything acknowledged is there.
async fn fill_up(client: &Client, make_room: impl FnOnce()) {
    let load = Load::start(client, false);
    let refused = Arc::clone(&load.refused);
    eventually("a refusal because the disk is full", LONG, || async {
        (!refused.lock().unwrap().is_empty()).then_some(())
    })
    .await
    .unwrap();
    // Reading goes on.
    client
        .get("/odata/Things?$top=1")
        .await
        .unwrap()
        .expect_status(200)
        .unwrap();
    let full = client
        .post("/odata/Things", &json!({"Name": "x"}))
        .await
        .unwrap();
    assert!(
        matches!(full.status, 201 | 503 | 507),
        "{}: {}",
        full.status,
        full.text()
    );
    make_room();
    let before = load.number_acknowledged();
    load.until_acknowledged(before + 20).await;
    let (acknowledged, refused) = load.stop().await;
    assert!(
        refused.iter().all(|status| matches!(status, 503 | 507)),
        "other refusals than 503 and 507: {refused:?}"
    );
    check_complete(client, &acknowledged.into_iter().collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_clearly_and_loses_nothing_on_sqlite() {
    let application = trial::application();
    let Some(disk) = SmallDisk::mount(32 << 20).unwrap() else {
        return;
    };
    let folder = disk.path().join("data");
    let server = Launch::new(application.path())
        .data(&folder)
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let ballast = disk.fill().unwrap();
    fill_up(&client, || std::fs::remove_file(&ballast).unwrap()).await;
    let (status, log) = server.stop().await.unwrap();
    assert!(status.success(), "{log}");
    check_sqlite_file(&folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_grow_is_said_clearly_on_sqlite() {
    let application = trial::application();
    let data = tempfile::tempdir().unwrap();
    let server = Launch::new(application.path())
        .data(data.path())
        .file_size(2048)
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let load = Load::start(&client, false);
    let refused = Arc::clone(&load.refused);
    eventually("a refusal", LONG, || async {
        (!refused.lock().unwrap().is_empty()).then_some(())
    })
    .await
    .unwrap();
    let (acknowledged, refused) = load.stop().await;
    assert!(
        refused.iter().all(|status| matches!(status, 503 | 507)),
        "{refused:?}"
    );
    check_complete(&client, &acknowledged.iter().cloned().collect()).await;
    server.kill().unwrap();
    // Without the limit, nothing needs repair.
    let server = Launch::new(application.path())
        .data(data.path())
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    check_complete(&client, &acknowledged.into_iter().collect()).await;
    client
        .post("/odata/Things", &json!({"Name": "room again"}))
        .await
        .unwrap()
        .expect_status(201)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_cancels_its_query() {
    let application = trial::application();
    let database = postgres::database().await.unwrap();
    let server = Launch::new(application.path())
        .database(&database.url)
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    client
        .get("/odata/Things")
        .await
        .unwrap()
        .expect_status(200)
        .unwrap();

    // Readers wait for this lock for as long as they are let.
    let mut locker = database.connect().await.unwrap();
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let observer = database.connect().await.unwrap();
    let waiting = async || -> i64 {
        observer
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
                &[],
            )
            .await
            .unwrap()
            .get(0)
    };
    let mut requests = JoinSet::new();
    for _ in 0..3 {
        let client = client.clone();
        requests.spawn(async move { client.get("/odata/Things").await });
    }
    eventually("three queries that wait", LONG, || async {
        (waiting().await == 3).then_some(())
    })
    .await
    .unwrap();
    requests.shutdown().await;
    eventually(
        "no query that waits, after the clients gave up",
        Duration::from_secs(10),
        || async { (waiting().await == 0).then_some(()) },
    )
    .await
    .unwrap();
    lock.rollback().await.unwrap();
    client
        .get("/odata/Things")
        .await
        .unwrap()
        .expect_status(200)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_finishes_what_it_has_begun() {
    let application = trial::application();
    let data = tempfile::tempdir().unwrap();
    let server: Server = Launch::new(application.path())
        .data(data.path())
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let load = Load::start(&client, false);
    load.until_acknowledged(50).await;
    let (status, log) = server.stop().await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    let (acknowledged, refused) = load.stop().await;
    assert!(refused.iter().all(|status| *status == 503), "{refused:?}");
    let server = Launch::new(application.path())
        .data(data.path())
        .start()
        .await
        .unwrap();
    check_complete(
        &server.client().unwrap(),
        &acknowledged.into_iter().collect(),
    )
    .await;
}
