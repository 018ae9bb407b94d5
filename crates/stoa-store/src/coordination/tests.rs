//! Several members over one database; each store stands for a process.

macro_rules! on_both {
    ($(async fn $name:ident($database:ident: Database) $body:block)*) => {
        $(mod $name {
            use super::*;
            async fn test($database: Database) $body
            #[tokio::test]
            async fn sqlite() { test(Database::sqlite().await).await; }
            #[tokio::test]
            async fn postgres() { test(Database::postgres().await).await; }
        })*
    };
}

mod instances;
mod process;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use stoa_model::model::Model;
use stoa_testing::eventually;
use stoa_testing::postgres::{Cluster, Durability, TestDatabase};
use stoa_testing::proxy::{Mode, Proxy};

use super::*;
use crate::{Config, Dialect};

/// Longest wait for what happens at once.
const SOON: Duration = Duration::from_secs(20);

fn model() -> Arc<Model> {
    Arc::new(Model::from_text("coordination", "[entity.Thing]").unwrap())
}

/// Shorter than in service, so that the end of a lease can be awaited.
const TIMING: Timing = Timing {
    lease: Duration::from_millis(1500),
    held: Duration::from_millis(1000),
    grace: Some(Duration::from_millis(200)),
    renewal: Duration::from_millis(150),
    attempt: Duration::from_millis(300),
    poll: Duration::from_millis(10),
};

struct Database {
    url: String,
    model: Arc<Model>,
    _postgres: Option<TestDatabase>,
    _folder: Option<tempfile::TempDir>,
}

impl Database {
    async fn prepare(
        url: String,
        postgres: Option<TestDatabase>,
        folder: Option<tempfile::TempDir>,
    ) -> Self {
        let model = model();
        stoa_schema::apply(
            &url.parse().unwrap(),
            &model,
            stoa_schema::Options::default(),
        )
        .await
        .unwrap();
        Self {
            url,
            model,
            _postgres: postgres,
            _folder: folder,
        }
    }

    async fn postgres() -> Self {
        let database = stoa_testing::postgres::database().await.unwrap();
        Self::prepare(database.url.clone(), Some(database), None).await
    }

    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.db").display());
        Self::prepare(url, None, Some(folder)).await
    }

    /// Another process.
    async fn process(&self) -> Process {
        self.process_at(&self.url, TIMING).await
    }

    async fn process_at(&self, url: &str, timing: Timing) -> Process {
        self.process_with(url, timing, None).await
    }

    async fn process_with(&self, url: &str, timing: Timing, budget: Option<usize>) -> Process {
        let config = Config {
            connections: 4,
            budget,
            reader_threads: 1,
            connect_timeout: Duration::from_millis(500),
            ..Config::default()
        };
        let store = Store::open(&url.parse().unwrap(), config).await.unwrap();
        let coordination = Coordination {
            timing,
            ..store.coordination(&self.model)
        };
        Process {
            store,
            coordination,
        }
    }
}

struct Process {
    store: Store,
    coordination: Coordination,
}

impl Process {
    /// Does what a change of users does: bumps the revision in a transaction. Gives it.
    async fn change(&self) -> i64 {
        let bump = "UPDATE _stoa_revision SET _version = _version + 1 RETURNING _version";
        match self.store.backend() {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await.unwrap();
                let row = connection.query_one(bump, &[]).await.unwrap();
                connection.release();
                row.get(0)
            }
            Backend::Sqlite(sqlite) => sqlite
                .write(move |connection| Ok(connection.query_row(bump, [], |row| row.get(0))?))
                .await
                .unwrap(),
        }
    }

    async fn instances(&self) -> i64 {
        let count = "SELECT count(*) FROM _stoa_instance";
        match self.store.backend() {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await.unwrap();
                let row = connection.query_one(count, &[]).await.unwrap();
                connection.release();
                row.get(0)
            }
            Backend::Sqlite(sqlite) => sqlite
                .read(move |connection| Ok(connection.query_row(count, [], |row| row.get(0))?))
                .await
                .unwrap(),
        }
    }

    fn coordination_model(&self) -> Arc<Model> {
        model()
    }

    async fn join(&self) -> Membership {
        self.coordination.join("test").await.unwrap()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    eventually(what, SOON, || async { condition().then_some(()) })
        .await
        .unwrap();
}

on_both! {
    async fn a_published_revision_is_seen_everywhere_when_publish_returns(database: Database) {
        let (first, second, outside) = tokio::join!(database.process(), database.process(), database.process());
        let (one, two, three) = (first.join().await, first.join().await, second.join().await);
        assert!(one.is_current() && two.is_current() && three.is_current());
        let begun = Instant::now();
        let mut last = 0;
        for publisher in [&outside, &first, &second, &outside] {
            let revision = publisher.change().await;
            assert!(revision > last);
            publisher.coordination.publish(revision).await.unwrap();
            for member in [&one, &two, &three] {
                assert!(member.revision() >= revision);
                // A starved test machine may lose the lease; it never goes by an older revision.
                assert!(member.current().is_none_or(|current| current >= revision));
            }
            last = revision;
        }
        eprintln!("{:?}: four publications in {:?}", outside.store.dialect(), begun.elapsed());
        for member in [one, two, three] {
            member.leave().await;
        }
        assert_eq!(outside.instances().await, 0);
    }

    async fn a_revision_that_nobody_published_is_found_all_the_same(database: Database) {
        let (process, outside) = tokio::join!(database.process(), database.process());
        let member = process.join().await;
        let revision = outside.change().await;
        until("the revision is seen", || member.revision() == revision).await;
    }

    async fn a_member_that_joins_knows_the_newest_revision(database: Database) {
        let process = database.process().await;
        process.join().await.leave().await;
        let mut revision = 0;
        for _ in 0..3 {
            revision = process.change().await;
        }
        assert_eq!(process.join().await.current(), Some(revision));
    }

    async fn a_killed_member_delays_a_publication_by_its_lease_and_only_once(database: Database) {
        let (process, outside) = tokio::join!(database.process(), database.process());
        // Dropped, not left: its row stays.
        drop(process.join().await);
        let survivor = process.join().await;
        assert_eq!(outside.instances().await, 2);
        let revision = outside.change().await;
        let begun = Instant::now();
        outside.coordination.publish(revision).await.unwrap();
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(500) && took < TIMING.lease * 3, "{took:?}");
        assert!(survivor.revision() >= revision);
        let revision = outside.change().await;
        let begun = Instant::now();
        outside.coordination.publish(revision).await.unwrap();
        // Starved or not, less than another lease from the beginning.
        assert!(begun.elapsed() < TIMING.lease, "{:?}", begun.elapsed());
        assert!(survivor.revision() >= revision);
    }

    async fn nobody_current_is_ever_behind(database: Database) {
        let processes = futures_util::future::join_all((0..3).map(|_| database.process())).await;
        let mut members = Vec::new();
        for process in &processes {
            members.push(process.join().await);
        }
        let members = Arc::new(members);
        let published = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let publishing = processes.iter().map(|process| async {
            for _ in 0..10 {
                let revision = process.change().await;
                process.coordination.publish(revision).await.unwrap();
                published.fetch_max(revision, Ordering::SeqCst);
            }
        });
        let watcher = {
            let (members, published) = (Arc::clone(&members), Arc::clone(&published));
            tokio::spawn(async move {
                loop {
                    let least = published.load(Ordering::SeqCst);
                    for member in members.iter() {
                        assert!(member.current().is_none_or(|current| current >= least));
                    }
                    tokio::task::yield_now().await;
                }
            })
        };
        futures_util::future::join_all(publishing).await;
        assert!(!watcher.is_finished());
        watcher.abort();
        assert!(watcher.await.unwrap_err().is_cancelled());
    }
}

/// Seconds of processor time that this process has used.
fn processor_time() -> f64 {
    // Fields after the name, which ends with the last parenthesis: user and system time are the 12th and 13th,
    // in hundredths.
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text[text.rfind(')').unwrap() + 1..]
        .split_whitespace()
        .collect();
    let hundredths: f64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<f64>().unwrap())
        .sum();
    hundredths / 100.0
}

async fn cost_of_idling(database: Database, timing: Timing) {
    let process = database.process_at(&database.url, timing).await;
    let member = process.join().await;
    let (begun, before) = (Instant::now(), processor_time());
    // Nothing but a span of time can be measured here.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let share = (processor_time() - before) / begun.elapsed().as_secs_f64();
    eprintln!(
        "{:?}: {:.2} % of a core",
        process.store.dialect(),
        share * 100.0
    );
    assert!(share < 0.03, "{share}");
    member.leave().await;
}

/// Each test is a process of its own (nextest), so that nobody else's time is counted.
#[tokio::test]
async fn an_idle_member_over_sqlite_costs_next_to_nothing() {
    if std::env::var_os("NEXTEST").is_some() {
        cost_of_idling(Database::sqlite().await, Timing::SQLITE).await;
    }
}

#[tokio::test]
async fn an_idle_member_over_postgres_costs_next_to_nothing() {
    if std::env::var_os("NEXTEST").is_some() {
        cost_of_idling(Database::postgres().await, Timing::POSTGRES).await;
    }
}

/// A member whose process stands still: its runtime is not driven.
#[test]
fn a_stopped_process_finds_itself_not_current() {
    let stopped = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let running = tokio::runtime::Runtime::new().unwrap();
    let database = running.block_on(Database::postgres());
    let (process, member) = stopped.block_on(async {
        let process = database.process().await;
        let member = process.join().await;
        (process, member)
    });
    let begun = Instant::now();
    running.block_on(async {
        let outside = database.process().await;
        let revision = outside.change().await;
        outside.coordination.publish(revision).await.unwrap();
        assert!(begun.elapsed() < TIMING.lease * 3);
        // Publishing has waited for the lease; what is kept in memory is not used any more.
        assert!(member.revision() < revision);
        assert!(!member.is_current());
        assert_eq!(member.current(), None);
    });
    // It goes on, and finds everything by itself.
    stopped.block_on(async {
        until("current again", || member.is_current()).await;
        assert_eq!(member.current(), Some(process.change().await - 1));
    });
}

#[tokio::test]
async fn a_stopped_process_over_sqlite_finds_itself_not_current() {
    let database = Database::sqlite().await;
    let (process, outside) = tokio::join!(database.process(), database.process());
    let member = process.join().await;
    member.standing().frozen.store(true, Ordering::SeqCst);
    let revision = outside.change().await;
    let begun = Instant::now();
    outside.coordination.publish(revision).await.unwrap();
    assert!(begun.elapsed() >= TIMING.lease);
    assert!(member.revision() < revision && !member.is_current());
    // Its row is gone: nobody waits for it, and it comes back with a row of its own before it is current.
    assert_eq!(outside.instances().await, 0);
    member.standing().frozen.store(false, Ordering::SeqCst);
    until("current again", || member.is_current()).await;
    assert_eq!(outside.instances().await, 1);
    assert_eq!(member.current(), Some(revision));
}

#[tokio::test]
async fn a_cut_cable_ends_the_lease_and_its_repair_begins_another() {
    let database = Database::postgres().await;
    let port = database.url.split('@').nth(1).unwrap();
    let proxy = Proxy::start(port.split('/').next().unwrap()).await.unwrap();
    let process = database
        .process_at(&proxy.through(&database.url), TIMING)
        .await;
    let outside = database.process().await;
    let member = process.join().await;
    for broken in [Mode::Stall, Mode::Cut] {
        until("current", || member.is_current()).await;
        proxy.set(broken);
        let revision = outside.change().await;
        let begun = Instant::now();
        outside.coordination.publish(revision).await.unwrap();
        let took = begun.elapsed();
        assert!(took < TIMING.lease * 3, "{broken:?}: {took:?}");
        assert!(!member.is_current(), "{broken:?}");
        proxy.set(Mode::Pass);
        until("the lease is back", || member.is_current()).await;
        assert_eq!(member.current(), Some(revision), "{broken:?}");
        // The new connection listens again.
        let revision = outside.change().await;
        outside.coordination.publish(revision).await.unwrap();
        assert!(member.revision() >= revision);
    }
}

#[tokio::test]
async fn a_restart_of_the_database_is_survived() {
    let cluster = Cluster::start(Durability::None).await.unwrap();
    let server = cluster.database().await.unwrap();
    let database = Database::prepare(server.url.clone(), None, None).await;
    let process = database.process().await;
    let member = process.join().await;
    cluster.stop().unwrap();
    // A publisher without a database waits for the end of all leases, and no longer.
    let begun = Instant::now();
    process.coordination.publish(1000).await.unwrap();
    let took = begun.elapsed();
    assert!(took >= TIMING.lease && took < TIMING.lease * 2, "{took:?}");
    assert!(!member.is_current());
    cluster.resume().unwrap();
    until("the lease is back", || member.is_current()).await;
    assert_eq!(member.revision(), 1000);
}

/// Where no connection can be had to listen on, the pool does.
#[tokio::test]
async fn polling_goes_on_without_a_connection_to_listen_on() {
    let database = Database::postgres().await;
    let outside = database.process().await;
    let role = format!("limited_{}", Uuid::new_v4().simple());
    let administrator = stoa_testing::postgres::connect(&database.url)
        .await
        .unwrap();
    administrator
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        ))
        .await
        .unwrap();
    let url = database.url.replace("postgres@", &format!("{role}@"));
    let config = Config {
        connections: 1,
        ..Config::default()
    };
    let store = Store::open(&url.parse().unwrap(), config).await.unwrap();
    let coordination = Coordination {
        timing: TIMING,
        ..store.coordination(&database.model)
    };
    let member = coordination.join("limited").await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < TIMING.lease * 2 {
        let revision = outside.change().await;
        outside.coordination.publish(revision).await.unwrap();
        assert!(member.current().is_none_or(|current| current >= revision));
    }
    until("it has not lost its lease for good", || member.is_current()).await;
    member.leave().await;
    store.close();
    eventually("the role can go", SOON, || async {
        let gone = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        administrator.batch_execute(&gone).await.ok()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_model_without_the_entities_is_refused() {
    let database = Database::sqlite().await;
    let process = database.process().await;
    let mut model = (*database.model).clone();
    model.entities_by_name.remove("SystemInstance");
    let coordination = process.store.coordination(&Arc::new(model));
    assert!(coordination.join("test").await.is_err());
    assert!(coordination.publish(1).await.is_err());
}

#[test]
fn the_statements_are_as_written() {
    let postgres = Statements::of(&model(), Dialect::Postgres).unwrap();
    insta::assert_snapshot!(postgres.renew, @r#"INSERT INTO "_stoa_instance" ("id", "name", "lease_until", "confirmed", "process", "used", "_version", "_created_at", "_changed_at") VALUES ($1, $2, clock_timestamp() + make_interval(secs => $4), $3, $5, $6, 1, clock_timestamp(), clock_timestamp()) ON CONFLICT ("id") DO UPDATE SET "lease_until" = excluded."lease_until", "confirmed" = excluded."confirmed", "used" = excluded."used", "_version" = "_stoa_instance"."_version" + 1, "_changed_at" = excluded."_changed_at" RETURNING "share""#);
    let sqlite = Statements::of(&model(), Dialect::Sqlite).unwrap();
    insta::assert_snapshot!(sqlite.begin, @r#"INSERT INTO "_stoa_revision" ("name", "_version", "_created_at", "_changed_at") VALUES ('security', 1, ?1, ?1) ON CONFLICT ("name") DO NOTHING"#);
    insta::assert_snapshot!(sqlite.revision, @r#"SELECT "_version" FROM "_stoa_revision" WHERE "name" = 'security'"#);
}
