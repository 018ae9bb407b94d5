//! One application on both databases, and JSON compared in part.

use std::path::Path;

use serde_json::Value as Json;
use stoa_testing::client::{Answer, Client};
use stoa_testing::postgres::{self, TestDatabase};
use stoa_testing::process::{Launch, Server};

/// A running application.
pub(crate) struct Service {
    pub(crate) database: &'static str,
    pub(crate) server: Server,
    pub(crate) client: Client,
    _postgres: Option<TestDatabase>,
}

/// The application on SQLite and on PostgreSQL, each with a database of its own.
pub(crate) async fn both(application: &Path) -> [Service; 2] {
    let postgres = postgres::database().await.unwrap();
    let (on_sqlite, on_postgres) = tokio::join!(
        Launch::new(application).start(),
        Launch::new(application).database(&postgres.url).start()
    );
    let (on_sqlite, on_postgres) = (on_sqlite.unwrap(), on_postgres.unwrap());
    [
        Service {
            database: "SQLite",
            client: on_sqlite.client().unwrap(),
            server: on_sqlite,
            _postgres: None,
        },
        Service {
            database: "PostgreSQL",
            client: on_postgres.client().unwrap(),
            server: on_postgres,
            _postgres: Some(postgres),
        },
    ]
}

impl Service {
    /// Number of rows of a collection.
    pub(crate) async fn count(&self, collection: &str) -> u64 {
        let answer = self
            .client
            .get(&format!("/odata/{collection}/$count"))
            .await
            .unwrap();
        let answer = answer.expect_status(200).unwrap();
        answer
            .text()
            .trim_start_matches('\u{feff}')
            .parse()
            .unwrap()
    }

    /// Value of a member of a row.
    pub(crate) async fn row(&self, path: &str) -> Json {
        let answer = self.client.get(&format!("/odata/{path}")).await.unwrap();
        answer.expect_status(200).unwrap().json().unwrap()
    }
}

/// Says where `actual` lacks what `expected` has. Objects may have more members than expected; arrays must
/// have as many elements.
pub(crate) fn differences(expected: &Json, actual: &Json, at: &str, found: &mut Vec<String>) {
    match (expected, actual) {
        (Json::Object(expected), Json::Object(actual)) => {
            for (name, value) in expected {
                match actual.get(name) {
                    Some(other) => differences(value, other, &format!("{at}/{name}"), found),
                    None => found.push(format!("{at}/{name} is missing")),
                }
            }
        }
        (Json::Array(expected), Json::Array(actual)) => {
            if expected.len() != actual.len() {
                found.push(format!(
                    "{at}: {} elements, expected {}",
                    actual.len(),
                    expected.len()
                ));
            }
            for (i, (value, other)) in expected.iter().zip(actual).enumerate() {
                differences(value, other, &format!("{at}/{i}"), found);
            }
        }
        (Json::Number(expected), Json::Number(actual)) if expected.as_f64() == actual.as_f64() => {}
        _ if expected == actual => {}
        _ => found.push(format!("{at}: {actual}, expected {expected}")),
    }
}

/// The code, and every (code, target) of an error's details in order; the error's own when it has none.
pub(crate) fn faults(answer: &Answer) -> (String, Vec<(String, String)>) {
    let json = answer
        .json()
        .unwrap_or_else(|error| panic!("an error has no JSON body: {error:#}"));
    let error = &json["error"];
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    assert!(
        !text(&error["message"]).is_empty(),
        "an error has no message: {json}"
    );
    let details = match error["details"].as_array() {
        Some(details) if !details.is_empty() => details
            .iter()
            .map(|detail| (text(&detail["code"]), text(&detail["target"])))
            .collect(),
        _ => vec![(text(&error["code"]), text(&error["target"]))],
    };
    (text(&error["code"]), details)
}

/// Text that may differ between two servers taken out: addresses and instants of writing.
pub(crate) fn comparable(answer: &Answer, server: &Server) -> String {
    let Ok(mut json) = answer.json() else {
        return answer.text();
    };
    fn strip(json: &mut Json, address: &str) {
        match json {
            Json::Object(members) => {
                for name in ["createdAt", "changedAt", "requestId"] {
                    members.remove(name);
                }
                members.values_mut().for_each(|value| strip(value, address));
            }
            Json::Array(values) => values.iter_mut().for_each(|value| strip(value, address)),
            Json::String(text) => {
                *text = text.replace(address, "SERVER");
                // The keys of lines are made when the sample data is loaded.
                if let Some((before, _)) = text.split_once("/Lines(") {
                    *text = format!("{before}/Lines(…)");
                }
            }
            _ => {}
        }
    }
    strip(&mut json, &server.address().to_string());
    serde_json::to_string_pretty(&json).unwrap()
}

/// Notes what is wrong with an answer: its status, or its JSON body, which must have what is expected unless that
/// is null.
pub(crate) fn expect(
    wrong: &mut Vec<String>,
    at: &str,
    answer: &Answer,
    status: u16,
    expected: &Json,
) {
    let mut found = Vec::new();
    if answer.status != status {
        found.push(format!("status {}, expected {status}", answer.status));
    } else if !expected.is_null() {
        match serde_json::from_str(answer.text().trim_start_matches('\u{feff}')) {
            Ok(json) => differences(expected, &json, "", &mut found),
            Err(_) => found.push("no JSON".into()),
        }
    }
    if !found.is_empty() {
        wrong.push(format!(
            "{at}
  → {} {:.800}
  {}",
            answer.status,
            answer.text(),
            found.join(
                "
  "
            )
        ));
    }
}
