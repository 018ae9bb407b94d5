//! Requests that are repeated: after an answer, at the same time, and when the server that had done them is
//! gone before it could say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value as Json, json};
use stoa_testing::client::{Answer, Client};
use stoa_testing::eventually;
use stoa_testing::postgres::{self, Cluster, Durability};
use stoa_testing::process::Launch;
use stoa_testing::proxy::{Mode, Proxy};
use tokio::task::JoinSet;

use crate::trial;

const LONG: Duration = Duration::from_secs(60);

async fn create(client: &Client, id: &str, body: &Json) -> anyhow::Result<Answer> {
    let headers = [("Repeatability-Request-ID", id)];
    client
        .send(Method::POST, "/odata/Things", &headers, Some(body))
        .await
}

async fn number_of_things(client: &Client) -> String {
    let answer = client.get("/odata/Things/$count").await.unwrap();
    answer.expect_status(200).unwrap().text()
}

/// Status, headers that belong to the answer, body.
fn of_interest(answer: &Answer) -> (u16, Vec<Option<String>>, String) {
    let headers = [
        "location",
        "etag",
        "odata-entityid",
        "content-type",
        "repeatability-result",
    ]
    .iter()
    .map(|name| answer.header(name).map(str::to_owned))
    .collect();
    (answer.status, headers, answer.text())
}

async fn copies_at_once(client: &Client) {
    let body = json!({"Name": "n", "Parts": [{"Position": 1}]});
    for round in 0..10 {
        let mut copies = JoinSet::new();
        for _ in 0..20 {
            let (client, body) = (client.clone(), body.clone());
            copies.spawn(async move {
                create(&client, &format!("copy {round}"), &body)
                    .await
                    .map(|answer| of_interest(&answer))
            });
        }
        let mut answers = Vec::new();
        while let Some(answer) = copies.join_next().await {
            answers.push(answer.unwrap().unwrap());
        }
        assert_eq!(answers[0].0, 201, "{:?}", answers[0]);
        let different = answers.iter().find(|answer| **answer != answers[0]);
        assert_eq!(different, None, "{:?}", answers[0]);
        assert_eq!(number_of_things(client).await, (round + 1).to_string());
    }
}

#[tokio::test]
async fn of_twenty_copies_at_once_one_takes_effect_on_sqlite() {
    let application = trial::application();
    let server = Launch::new(application.path()).start().await.unwrap();
    copies_at_once(&server.client().unwrap()).await;
}

#[tokio::test]
async fn of_twenty_copies_at_once_one_takes_effect_on_postgres() {
    let application = trial::application();
    let database = postgres::database().await.unwrap();
    let server = Launch::new(application.path())
        .database(&database.url)
        .start()
        .await
        .unwrap();
    copies_at_once(&server.client().unwrap()).await;
}

/// The server commits, hears nothing of it, and dies; another one has the answer.
#[tokio::test]
async fn a_server_killed_between_commit_and_answer_loses_and_doubles_nothing() {
    let application = trial::application();
    let database = postgres::database().await.unwrap();
    let other = Launch::new(application.path())
        .database(&database.url)
        .start()
        .await
        .unwrap();
    let other = (other.client().unwrap(), other);
    let host = database.url.split('@').nth(1).unwrap();
    let proxy = Proxy::start(host.split('/').next().unwrap()).await.unwrap();
    for round in 0..3_usize {
        let server = Launch::new(application.path())
            .database(proxy.through(&database.url))
            .start()
            .await
            .unwrap();
        let client = server.client().unwrap();
        let body = json!({"Name": "n"});
        // Every connection knows the statements, so that the change goes out as a whole.
        let mut warm = JoinSet::new();
        for copy in 0..64 {
            let (client, body) = (client.clone(), body.clone());
            warm.spawn(
                async move { create(&client, &format!("warm {round} {copy}"), &body).await },
            );
        }
        while let Some(answer) = warm.join_next().await {
            assert_eq!(answer.unwrap().unwrap().status, 201);
        }
        let before: usize = number_of_things(&other.0).await.parse().unwrap();
        proxy.set(Mode::Unanswered);
        let id = format!("lost {round}");
        let lost = tokio::spawn({
            let (client, body, id) = (client.clone(), body.clone(), id.clone());
            async move { create(&client, &id, &body).await }
        });
        eventually("the change is there", LONG, || async {
            (number_of_things(&other.0).await == (before + 1).to_string()).then_some(())
        })
        .await
        .unwrap();
        assert!(!lost.is_finished());
        server.kill().unwrap();
        assert!(lost.await.unwrap().is_err());
        proxy.set(Mode::Cut);

        let answer = create(&other.0, &id, &body).await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("repeatability-result"), Some("accepted"));
        let location = answer.header("location").unwrap();
        let path = &location[location.find("/odata/").unwrap()..];
        assert_eq!(other.0.get(path).await.unwrap().status, 200);
        assert_eq!(number_of_things(&other.0).await, (before + 1).to_string());
        proxy.set(Mode::Pass);
    }
}

/// The database restarts in the middle: with an identity nobody notices, since it is safe to try again.
#[tokio::test]
async fn a_request_with_an_identity_outlives_a_restart_of_the_database() {
    let application = trial::application();
    let cluster = Cluster::start(Durability::None).await.unwrap();
    let database = cluster.database().await.unwrap();
    let server = Launch::new(application.path())
        .database(&database.url)
        .start()
        .await
        .unwrap();
    let client = server.client().unwrap();
    let mut writers = JoinSet::new();
    let stop = Arc::new(AtomicBool::new(false));
    for writer in 0..4 {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        writers.spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let id = format!("{writer} {number}");
                let answer = create(&client, &id, &json!({"Name": id})).await.unwrap();
                assert_eq!(answer.status, 201, "{}", answer.text());
                number += 1;
            }
            number
        });
    }
    let done = |least: usize| {
        let client = &client;
        eventually("requests are answered", LONG, move || async move {
            let number: usize = number_of_things(client).await.parse().ok()?;
            (number >= least).then_some(number)
        })
    };
    let before = done(20).await.unwrap();
    cluster.stop().unwrap();
    cluster.resume().unwrap();
    eventually("the database answers", LONG, || async {
        let answer = client.get("/odata/Things/$count").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await
    .unwrap();
    done(before + 20).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut expected = 0;
    while let Some(number) = writers.join_next().await {
        expected += number.unwrap();
    }
    assert_eq!(number_of_things(&client).await, expected.to_string());
}

/// `kill -9` under load, at any moment; what had no answer is repeated with the same identity.
#[tokio::test]
async fn under_kill_9_each_request_takes_effect_exactly_once() {
    for on_postgres in [false, true] {
        let application = trial::application();
        let data = tempfile::tempdir().unwrap();
        let database = postgres::database().await.unwrap();
        let start = || {
            let launch = Launch::new(application.path()).data(data.path());
            if on_postgres {
                launch.database(&database.url).start()
            } else {
                launch.start()
            }
        };
        let mut expected = 0;
        for round in 0..4_u64 {
            let server = start().await.unwrap();
            let client = server.client().unwrap();
            let mut writers = JoinSet::new();
            for writer in 0..8 {
                let client = client.clone();
                writers.spawn(async move {
                    for number in 0.. {
                        let id = format!("{round} {writer} {number}");
                        if create(&client, &id, &json!({"Name": id})).await.is_err() {
                            return (id, number);
                        }
                    }
                    unreachable!("writers end with the server")
                });
            }
            tokio::time::sleep(Duration::from_millis(300 + 137 * round)).await;
            server.kill().unwrap();
            let mut unanswered = Vec::new();
            while let Some(ended) = writers.join_next().await {
                let (id, answered) = ended.unwrap();
                expected += answered + 1;
                unanswered.push(id);
            }
            let server = start().await.unwrap();
            let client = server.client().unwrap();
            for id in &unanswered {
                let answer = create(&client, id, &json!({"Name": id})).await.unwrap();
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
            assert_eq!(number_of_things(&client).await, expected.to_string());
            server.stop().await.unwrap();
        }
    }
}
