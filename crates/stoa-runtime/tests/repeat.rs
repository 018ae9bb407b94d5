//! Requests that arrive more than once, through an environment on SQLite: the same answer, and one effect.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use stoa_model::application::load_from_sources;
use stoa_runtime::Environment;
use stoa_runtime::identity::{Caller, Means, UserId};
use stoa_store::{Config, Store};
use stoa_testing::open;
use tempfile::TempDir;

const MODEL: &str = r#"
[entity.Product]
key = ["Sku"]
[entity.Product.attributes]
Sku   = { type = "String", length = 10, required = true }
Name  = { type = "String", length = 20, required = true }
Image = { type = "File", length = 100 }
[entity.Product.associations]
Tags = { to = "Tag", many_to_many = true, inverse = "Products" }

[entity.Tag.attributes]
Name = { type = "String", length = 20, required = true }

[entity.Ticket]
key = ["Number"]
[entity.Ticket.attributes]
Number = { type = "AutoNumber" }
Text = { type = "String", length = 20 }
"#;

struct Fixture {
    environment: Environment,
    _folder: TempDir,
}

/// All of an answer but the date.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(given, _)| given == name);
        found.map_or("", |(_, value)| value)
    }

    fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = vec![
            ("app.toml".to_owned(), open::manifest("name = \"Shop\"")),
            ("model/shop.toml".to_owned(), open::model(MODEL)),
        ];
        let application = match load_from_sources(folder.path(), sources) {
            Ok(loaded) => loaded.application,
            Err(faults) => panic!("{faults}"),
        };
        let url = format!("sqlite:{}", folder.path().join("data.sqlite").display())
            .parse()
            .unwrap();
        stoa_schema::apply(&url, &application.model, stoa_schema::Options::default())
            .await
            .unwrap();
        let store = Store::open(&url, Config::default()).await.unwrap();
        Self {
            environment: Environment::new(application, store, folder.path().join("files"), None),
            _folder: folder,
        }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response: Response<_> = self.environment.respond(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    async fn count(&self, collection: &str) -> String {
        let request = request("GET", &format!("{collection}/$count"), &[], "");
        self.send(request).await.body
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://shop.example/odata/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

const ID: &str = "repeatability-request-id";

/// Sent three times, a request has the same answer each time.
async fn check(
    fixture: &Fixture,
    id: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut headers = headers.to_vec();
    headers.push((ID, id));
    let first = fixture.send(request(method, path, &headers, body)).await;
    assert!(first.status < 300, "{first:?}");
    assert_eq!(first.header("repeatability-result"), "accepted");
    for _ in 0..2 {
        let again = fixture.send(request(method, path, &headers, body)).await;
        assert_eq!(again, first);
    }
    first
}

#[tokio::test]
async fn every_unsafe_request_is_answered_the_same_and_takes_effect_once() {
    let fixture = Fixture::new().await;
    let tag = check(&fixture, "1", "POST", "Tags", &[], r#"{"Name": "a"}"#).await;
    assert_eq!(tag.status, 201);
    assert!(
        tag.header("location")
            .starts_with("http://shop.example/odata/Tags(")
    );
    assert!(tag.body.contains("\"Name\":\"a\""));
    let address = tag
        .header("location")
        .split("/odata/")
        .nth(1)
        .unwrap()
        .to_owned();

    let minimal = [("prefer", "return=minimal")];
    let ticket = check(
        &fixture,
        "2",
        "POST",
        "Tickets",
        &minimal,
        r#"{"Text": "t"}"#,
    )
    .await;
    assert_eq!(ticket.status, 204);
    assert!(ticket.header("odata-entityid").ends_with("Tickets(1)"));
    assert_eq!(ticket.header("preference-applied"), "return=minimal");
    let ticket = check(&fixture, "3", "POST", "Tickets", &[], r#"{"Text": "t"}"#).await;
    assert!(ticket.header("location").ends_with("Tickets(2)"));

    let etag = tag.header("etag").to_owned();
    let with_etag = [("if-match", etag.as_str())];
    let changed = check(
        &fixture,
        "4",
        "PATCH",
        &address,
        &with_etag,
        r#"{"Name": "b"}"#,
    )
    .await;
    assert_ne!(changed.header("etag"), etag);
    let any = [("if-match", "*"), ("prefer", "return=representation")];
    let changed = check(&fixture, "5", "PUT", &address, &any, r#"{"Name": "c"}"#).await;
    assert!(changed.body.contains("\"Name\":\"c\""));

    check(
        &fixture,
        "6",
        "POST",
        "Products",
        &[],
        r#"{"Sku": "p", "Name": "P"}"#,
    )
    .await;
    let reference = json!({"@odata.id": address}).to_string();
    check(
        &fixture,
        "7",
        "POST",
        "Products('p')/Tags/$ref",
        &[],
        &reference,
    )
    .await;
    let image = check(
        &fixture,
        "8",
        "PUT",
        "Products('p')/Image",
        &[("if-match", "*")],
        "picture",
    )
    .await;
    assert!(!image.header("etag").is_empty());
    let fetched = fixture
        .send(request("GET", "Products('p')/Image", &[], ""))
        .await;
    assert_eq!(fetched.body, "picture");
    check(
        &fixture,
        "9",
        "DELETE",
        "Products('p')/Image",
        &[("if-match", "*")],
        "",
    )
    .await;
    let reference = format!("Products('p')/Tags/$ref?$id={address}");
    check(&fixture, "10", "DELETE", &reference, &[], "").await;
    check(
        &fixture,
        "11",
        "DELETE",
        "Products('p')",
        &[("if-match", "*")],
        "",
    )
    .await;

    assert_eq!(fixture.count("Tags").await, "1");
    assert_eq!(fixture.count("Tickets").await, "2");
    assert_eq!(fixture.count("Products").await, "0");
}

#[tokio::test]
async fn a_later_change_shows_in_the_body_and_not_in_the_etag() {
    let fixture = Fixture::new().await;
    let create = || request("POST", "Tags", &[(ID, "1")], r#"{"Name": "a"}"#);
    let first = fixture.send(create()).await;
    let address = first
        .header("location")
        .split("/odata/")
        .nth(1)
        .unwrap()
        .to_owned();
    let change = request("PATCH", &address, &[("if-match", "*")], r#"{"Name": "b"}"#);
    assert_eq!(fixture.send(change).await.status, 204);
    let again = fixture.send(create()).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.headers, first.headers);
    assert!(again.body.contains("\"Name\":\"b\""), "{again:?}");
    // And a row that has gone is not there to be shown.
    let delete = request("DELETE", &address, &[("if-match", "*")], "");
    assert_eq!(fixture.send(delete).await.status, 204);
    let again = fixture.send(create()).await;
    assert_eq!((again.status, again.body.as_str()), (204, ""));
    assert_eq!(again.header("odata-entityid"), first.header("location"));
    assert_eq!(fixture.count("Tags").await, "0");
}

#[tokio::test]
async fn an_identity_is_for_one_request_of_one_caller() {
    let fixture = Fixture::new().await;
    let by = |user: u128, body: &str| {
        let mut request = request("POST", "Tags", &[(ID, "1")], body);
        request.extensions_mut().insert(Caller {
            user: Some(UserId(uuid::Uuid::from_u128(user))),
            name: "somebody".into(),
            roles: (0..1).map(stoa_model::model::RoleId).collect(),
            values: [].into(),
            means: Means::Anonymous,
            address: None,
        });
        request
    };
    let first = fixture.send(by(1, r#"{"Name": "a"}"#)).await;
    assert_eq!(first.status, 201, "{first:?}");
    let other = fixture.send(by(1, r#"{"Name": "b"}"#)).await;
    assert_eq!(
        (other.status, other.code().as_str()),
        (400, "RequestIdReused")
    );
    assert_eq!(other.header("repeatability-result"), "rejected");
    let stranger = fixture.send(by(2, r#"{"Name": "a"}"#)).await;
    assert_eq!(stranger.status, 201);
    assert_ne!(stranger.header("location"), first.header("location"));
    assert_eq!(fixture.count("Tags").await, "2");
}

#[tokio::test]
async fn what_is_refused_is_judged_again() {
    let fixture = Fixture::new().await;
    let body = r#"{"Sku": "p", "Name": "P"}"#;
    let plain = request("POST", "Products", &[], body);
    assert_eq!(fixture.send(plain).await.header("repeatability-result"), "");
    let create = || request("POST", "Products", &[(ID, "1")], body);
    for _ in 0..2 {
        let refused = fixture.send(create()).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (409, "NotUnique")
        );
        assert_eq!(refused.header("repeatability-result"), "accepted");
    }
    fixture
        .send(request("DELETE", "Products('p')", &[("if-match", "*")], ""))
        .await;
    assert_eq!(fixture.send(create()).await.status, 201);
    assert_eq!(fixture.send(create()).await.status, 201);
}

#[tokio::test]
async fn headers_that_promise_nothing_are_rejected() {
    let fixture = Fixture::new().await;
    let sent = "repeatability-first-sent";
    for (headers, status, code) in [
        (
            &[(ID, "1"), (sent, "Sun, 06 Nov 1994 08:49:37 GMT")][..],
            412,
            "RepeatTooLate",
        ),
        (
            &[(ID, "1"), (sent, "Sun, 06 Nov 2994 08:49:37 GMT")],
            400,
            "InvalidHeader",
        ),
        (
            &[(ID, "1"), (sent, "Thu, 06 Nov 2994 08:49:37 GMT")],
            412,
            "RepeatTooLate",
        ),
        (&[(ID, "1"), (sent, "today")], 400, "InvalidHeader"),
        (&[(ID, "1"), (ID, "2")], 400, "InvalidHeader"),
        (&[(ID, "")], 400, "InvalidHeader"),
    ] {
        let answer = fixture
            .send(request("POST", "Tags", headers, r#"{"Name": "a"}"#))
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{headers:?}"
        );
        assert_eq!(
            answer.header("repeatability-result"),
            "rejected",
            "{headers:?}"
        );
    }
    // A request that changes nothing has nothing to repeat.
    let read = fixture.send(request("GET", "Tags", &[(ID, "")], "")).await;
    assert_eq!(
        (read.status, read.header("repeatability-result")),
        (200, "")
    );
    assert_eq!(fixture.count("Tags").await, "0");
}
