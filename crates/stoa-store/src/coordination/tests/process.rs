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
    let (_process, member) = runtime.block_on(async {
        let process = database.process().await;
        let member = process.join().await;
        (process, member)
    });
    for line in std::io::stdin().lines() {
        line.unwrap();
        println!("{ANSWER}{}", member.current().unwrap_or(-1));
    }
}

struct Member {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Member {
    fn start(database: &Database) -> Self {
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
        self.input.write_all(b"?\n").unwrap();
    }

    /// The revision that it goes by; none if it is not current.
    fn answer(&mut self) -> Option<i64> {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some((_, revision)) = line.split_once(ANSWER) {
                return Some(revision.trim().parse().unwrap()).filter(|revision| *revision >= 0);
            }
        }
    }

    fn goes_by(&mut self) -> Option<i64> {
        self.ask();
        self.answer()
    }

    fn signal(&self, name: &str) {
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
