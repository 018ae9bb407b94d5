//! Members in processes of their own, which can really be stopped and killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::*;

const DATABASE: &str = "STOA_TEST_MEMBER_OF";
const ANSWER: &str = "member: ";

/// Not a test: what [`Member::start`] runs. Answers each line of its input with what it goes by.
#[test]
#[ignore = "started by other tests"]
fn a_member() {
    let url = std::env::var(DATABASE).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = Database {
        url,
        model: model(),
        _postgres: None,
        _folder: None,
    };
    let (process, member) = runtime.block_on(async {
        let process = database.process().await;
        let member = process.join().await;
        (process, member)
    });
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        // Begins a transaction that holds a lock; the answer comes when it does.
        let answer = match line.as_str() {
            BEGIN => runtime.block_on(begin(&process)),
            COMMIT => runtime.block_on(commit(&process)),
            WRITE => runtime.block_on(write(&process)),
            _ => member.current().unwrap_or(-1),
        };
        println!("{ANSWER}{answer}");
    }
}

pub(super) const BEGIN: &str = "begin";
pub(super) const COMMIT: &str = "commit";
pub(super) const WRITE: &str = "write";

thread_local! {
    static OPEN: std::cell::RefCell<Option<crate::PostgresConnection>> = const { std::cell::RefCell::new(None) };
}

/// Changes the revision and leaves the transaction open; gives the new revision.
async fn begin(process: &Process) -> i64 {
    let connection = process
        .store
        .postgres()
        .unwrap()
        .connection()
        .await
        .unwrap();
    connection.batch_execute("BEGIN").await.unwrap();
    let bump = "UPDATE _stoa_revision SET _version = _version + 1 RETURNING _version";
    let revision = connection.query_one(bump, &[]).await.unwrap().get(0);
    OPEN.set(Some(connection));
    revision
}

/// Ends that transaction: 1 if it was committed.
async fn commit(_: &Process) -> i64 {
    let connection = OPEN.take().unwrap();
    i64::from(connection.batch_execute("COMMIT").await.is_ok())
}

/// Adds a row through the store: 1 if it did.
async fn write(process: &Process) -> i64 {
    let model = &process.coordination_model();
    let entity = model.entities_by_name["Thing"];
    let action = stoa_model::change::Action::Insert {
        entity,
        values: vec![(
            model[entity].attributes_by_name["id"],
            stoa_model::value::Value::Uuid(Uuid::new_v4()),
        )],
        references: Vec::new(),
    };
    let change = stoa_model::change::Change {
        operations: vec![stoa_model::change::Operation {
            location: String::new(),
            action,
        }],
    };
    let written = process
        .store
        .write::<Nothing>(
            model,
            stoa_model::access::Permitted::by_system(change.into()),
            None,
        )
        .await;
    i64::from(written.is_ok())
}

/// Reads nothing.
struct Nothing;

impl stoa_model::query::RowWriter for Nothing {
    fn begin_collection(&mut self, _: usize, _: Option<u64>) {}
    fn end_collection(&mut self, _: usize, _: Option<&[stoa_model::value::Value]>) {}
    fn begin_row(&mut self, _: usize, _: stoa_model::query::Row<'_>) {}
    fn value(&mut self, _: usize, _: usize, _: stoa_model::value::ValueRef<'_>) {}
    fn null_target(&mut self, _: usize) {}
    fn count_only(&mut self, _: usize, _: u64) {}
    fn end_row(&mut self, _: usize) {}
    fn written(&self) -> usize {
        0
    }
}

pub(super) struct Member {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Member {
    pub(super) fn start(database: &Database) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "coordination::tests::process::a_member",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(DATABASE, &database.url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut member = Self {
            child,
            input,
            output,
        };
        // It answers when it has joined.
        assert!(member.goes_by().is_some());
        member
    }

    fn ask(&mut self) {
        self.tell("?");
    }

    pub(super) fn tell(&mut self, what: &str) {
        self.input
            .write_all(format!("{what}\n").as_bytes())
            .unwrap();
    }

    /// The revision that it goes by; none if it is not current.
    pub(super) fn answer(&mut self) -> Option<i64> {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, revision)) = line.split_once(ANSWER) {
                return Some(revision.trim().parse().unwrap()).filter(|revision| *revision >= 0);
            }
        }
    }

    pub(super) fn goes_by(&mut self) -> Option<i64> {
        self.ask();
        self.answer()
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

on_both! {
    async fn a_process_that_goes_on_after_a_stop_never_goes_by_what_was_revoked(database: Database) {
        let mut member = Member::start(&database);
        let outside = database.process().await;
        for _ in 0..3 {
            let revision = outside.change().await;
            outside.coordination.publish(revision).await.unwrap();
            assert!(member.goes_by().is_none_or(|current| current >= revision));

            member.signal("-STOP");
            let revision = outside.change().await;
            let begun = Instant::now();
            outside.coordination.publish(revision).await.unwrap();
            let took = begun.elapsed();
            assert!(took < TIMING.lease * 3, "{took:?}");
            // It finds the question when it goes on: the first thing that it does is to answer.
            member.ask();
            member.signal("-CONT");
            let current = member.answer();
            assert!(current.is_none_or(|current| current >= revision), "{current:?} of {revision}");
            let begun = Instant::now();
            while member.goes_by() != Some(revision) {
                assert!(begun.elapsed() < SOON, "it does not come back");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn a_killed_process_is_waited_for_no_longer_than_its_lease(database: Database) {
        let member = Member::start(&database);
        let outside = database.process().await;
        assert_eq!(outside.instances().await, 1);
        member.signal("-KILL");
        let revision = outside.change().await;
        let begun = Instant::now();
        outside.coordination.publish(revision).await.unwrap();
        assert!(begun.elapsed() < TIMING.lease * 3, "{:?}", begun.elapsed());
        let revision = outside.change().await;
        let begun = Instant::now();
        outside.coordination.publish(revision).await.unwrap();
        assert!(begun.elapsed() < TIMING.lease, "{:?}", begun.elapsed());
    }
}
