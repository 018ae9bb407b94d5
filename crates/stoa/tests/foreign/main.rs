//! An application that knows nothing of Stoa, with its sessions in memory, behind the built binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod site;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use site::{Shape, Site};

const USERS: usize = 10;

/// A user's cookie and the process that knows it.
struct User {
    name: String,
    cookie: String,
    at: String,
}

impl User {
    async fn sign_in(site: &Site, name: &str) -> Self {
        let answer = site.get(&format!("/sign-in/{name}"), None).await;
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("connect.sid="), "{cookie}");
        let answer: Value = answer.json().await.unwrap();
        Self {
            name: name.to_owned(),
            cookie,
            at: answer["name"].as_str().unwrap().to_owned(),
        }
    }

    async fn me(&self, site: &Site) -> Value {
        let answer = site.get("/me", Some(&self.cookie)).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// The same process still knows it.
    async fn stays(&self, site: &Site) {
        let expected = json!({ "name": self.at, "user": self.name });
        assert_eq!(self.me(site).await, expected);
    }
}

async fn check(shape: Shape) {
    let mut site = Site::start(shape).await;
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(User::sign_in(&site, &format!("user{number}")).await);
    }
    let at: BTreeSet<&str> = users.iter().map(|user| user.at.as_str()).collect();
    assert_eq!(at.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    for _ in 0..5 {
        for user in &users {
            user.stays(&site).await;
        }
    }

    let client: Value = site.get("/client", None).await.json().await.unwrap();
    assert_eq!(
        client,
        json!({ "address": "127.0.0.1", "protocol": "http", "host": site::HOST })
    );

    let logo = site.get("/logo.svg", None).await;
    assert!(logo.headers().contains_key("etag"), "{logo:?}");
    assert_eq!(logo.text().await.unwrap(), "<svg/>");
    let missing = site.get("/missing.svg", None).await;
    assert_eq!(missing.status(), 404);
    assert!(
        missing
            .text()
            .await
            .unwrap()
            .contains("does not know /missing.svg")
    );

    let heard = site.talk().await;
    assert!(
        heard == "one heard hello\none heard again\n"
            || heard == "two heard hello\ntwo heard again\n",
        "{heard}"
    );

    // One that is sick is left alone; its users find it again when it is well.
    site.tell("one", "/test/health/sick").await;
    site.until("the sick one is left alone", async |site| {
        let mut names = BTreeSet::new();
        for user in &users {
            names.insert(user.me(site).await["name"].as_str().unwrap().to_owned());
        }
        names == BTreeSet::from(["two".to_owned()])
    })
    .await;
    for user in users.iter().filter(|user| user.at == "one") {
        assert_eq!(user.me(&site).await, json!({ "name": "two", "user": null }));
    }
    site.tell("one", "/test/health/well").await;
    site.until("it is asked again", async |site| {
        let user = users.iter().find(|user| user.at == "one").unwrap();
        user.me(site).await["name"] == "one"
    })
    .await;
    for user in &users {
        user.stays(&site).await;
    }

    // One that is killed takes its sessions along, and nothing else.
    site.kill("one");
    for _ in 0..3 {
        for user in &users {
            let user_now = &user.me(&site).await["user"];
            let expected = if user.at == "two" {
                json!(user.name)
            } else {
                Value::Null
            };
            assert_eq!(*user_now, expected, "{}", user.name);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let user = User::sign_in(&site, "late").await;
    assert_eq!(user.at, "two");
    user.stays(&site).await;
}

#[tokio::test]
async fn on_one_server() {
    check(Shape::OneServer).await;
}

#[tokio::test]
async fn behind_a_web_server_of_its_own() {
    check(Shape::WebServer).await;
}
