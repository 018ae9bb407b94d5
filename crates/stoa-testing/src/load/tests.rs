//! One user against a server that does as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::user::User;
use super::*;
use crate::history::{Kind, Operation, Outcome};

/// Answers in turn; none closes the connection instead.
type Script = Vec<Option<&'static str>>;

struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    async fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) = (
            Arc::clone(&server.requests),
            Arc::clone(&server.connections),
        );
        tokio::spawn(async move {
            let mut script = script.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                while let Some(request) = read(&mut stream).await {
                    requests.lock().unwrap().push(request);
                    let Some(answer) = script.next().flatten() else {
                        break;
                    };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains("\r\nx-then: close") {
                        break;
                    }
                }
            }
        });
        server
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => text.push_str(std::str::from_utf8(&buffer[..read]).unwrap()),
        }
    }
}

const NOTHING: Mix = Mix {
    read: 0,
    create: 0,
    update: 0,
    read_back: 0,
    file: 0,
};

fn load(addresses: &[SocketAddr], mix: Mix, repeat: Repeat) -> Load {
    Load {
        authority: "shop.example".to_owned(),
        addresses: addresses.to_vec(),
        trust: None,
        users: 1,
        accounts: vec![("ada".to_owned(), "pass word".to_owned())],
        each: Duration::from_millis(1),
        at_most: Duration::from_secs(5),
        connecting: Duration::from_secs(1),
        answering: Duration::from_millis(500),
        repeat,
        instance_cookie: Some("instance".to_owned()),
        workload: Workload {
            sign_in: "/-/sign-in".to_owned(),
            collection: "/odata/Notes".to_owned(),
            tag_prefix: "t".to_owned(),
            tag_attribute: "Tag".to_owned(),
            value_attribute: "Value".to_owned(),
            row: serde_json::Map::new(),
            reads: vec!["/odata/Notes".to_owned()],
            files: vec![StaticFile {
                path: "/file".to_owned(),
                digest: Sha256::digest("content").into(),
            }],
            mix,
        },
    }
}

/// What a user sees who sends so many requests.
async fn seen(load: Load, requests: usize) -> Vec<Operation> {
    let recorder = Arc::new(Recorder::default());
    let mut user = User::new(0, None, &load, None, Arc::clone(&recorder)).unwrap();
    for _ in 0..requests {
        user.next().await.unwrap();
    }
    recorder.so_far().operations
}

async fn seen_of_one(script: Script, mix: Mix, repeat: Repeat) -> (Operation, Vec<String>) {
    let server = Server::start(script).await;
    let operations = seen(load(&[server.address], mix, repeat), 1).await;
    let [operation] = operations.try_into().unwrap();
    (operation, server.requests())
}

const READ: Mix = Mix { read: 1, ..NOTHING };
const CREATE: Mix = Mix {
    create: 1,
    ..NOTHING
};
const UPDATE: Mix = Mix {
    update: 1,
    ..NOTHING
};
const FILE: Mix = Mix { file: 1, ..NOTHING };

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const CREATED: &str =
    "HTTP/1.1 201 Created\r\netag: \"1\"\r\ncontent-length: 10\r\n\r\n{\"id\":\"7\"}";

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let server = Server::start(vec![Some(EMPTY), Some(EMPTY)]).await;
    let closed = crate::free_address().unwrap();
    let load = load(&[closed, server.address], READ, Repeat::Never);
    for operation in seen(load, 2).await {
        assert_eq!(operation.outcome, Outcome::Done { status: 200 });
        assert_eq!(operation.attempts, 1);
    }
    // The second request went the same way.
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn what_could_not_be_sent_says_so() {
    let closed = crate::free_address().unwrap();
    let [operation] = seen(load(&[closed], CREATE, Repeat::All), 1)
        .await
        .try_into()
        .unwrap();
    assert!(
        matches!(operation.outcome, Outcome::NotSent { .. }),
        "{operation:?}"
    );
}

#[tokio::test]
async fn only_what_may_be_is_sent_again() {
    for (mix, repeat, attempts) in [
        (READ, Repeat::Never, 1),
        (READ, Repeat::Safe, 2),
        (CREATE, Repeat::Never, 1),
        (CREATE, Repeat::Safe, 1),
        (CREATE, Repeat::All, 2),
    ] {
        let script = vec![None, Some(EMPTY)];
        let (operation, requests) = seen_of_one(script, mix, repeat).await;
        assert_eq!(operation.attempts, attempts, "{repeat:?} {operation:?}");
        assert_eq!(requests.len(), usize::try_from(attempts).unwrap());
        assert_eq!(
            operation.outcome.is_done(),
            attempts == 2,
            "{repeat:?} {operation:?}"
        );
        if repeat == Repeat::All {
            // The same identity, and the rest of it.
            assert_eq!(requests[0], requests[1]);
            assert!(requests[0].contains("repeatability-request-id: "));
            assert!(requests[0].contains("repeatability-first-sent: "));
        }
    }
}

#[tokio::test]
async fn a_broken_or_late_answer_is_never_asked_for_again() {
    const HALF: &str = "HTTP/1.1 200 OK\r\nx-then: close\r\ncontent-length: 9\r\n\r\n{}";
    const NEVER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}";
    for answer in [HALF, NEVER] {
        let script = vec![Some(answer), Some(EMPTY)];
        let (operation, requests) = seen_of_one(script, READ, Repeat::All).await;
        assert!(
            matches!(operation.outcome, Outcome::NoAnswer { .. }),
            "{operation:?}"
        );
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_failure() {
    const CLOSING: &str = "HTTP/1.1 200 OK\r\nx-then: close\r\ncontent-length: 2\r\n\r\n{}";
    let server = Server::start(vec![Some(CLOSING), Some(CREATED)]).await;
    let recorder = Arc::new(Recorder::default());
    let load = load(&[server.address], CREATE, Repeat::Never);
    let mut user = User::new(0, None, &load, None, Arc::clone(&recorder)).unwrap();
    user.next().await.unwrap();
    // Until the end has arrived: it comes with the answer, or in a moment.
    tokio::time::sleep(Duration::from_millis(50)).await;
    user.next().await.unwrap();
    let operations = recorder.so_far().operations;
    assert!(
        operations
            .iter()
            .all(|operation| operation.outcome.is_done()),
        "{operations:?}"
    );
    assert_eq!(*server.connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn answers_are_understood() {
    let outcome = async |answer: &'static str, mix: Mix| {
        let (operation, _) = seen_of_one(vec![Some(answer)], mix, Repeat::Never).await;
        operation.outcome
    };
    let right = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontent";
    assert_eq!(outcome(right, FILE).await, Outcome::Done { status: 200 });
    let other = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nkontent";
    assert!(matches!(outcome(other, FILE).await, Outcome::Wrong { .. }));
    assert!(matches!(outcome(other, READ).await, Outcome::Wrong { .. }));
    let signed_out = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        outcome(signed_out, CREATE).await,
        Outcome::SignedOut { status: 401 }
    );
    let away = "HTTP/1.1 303 See Other\r\nlocation: /-/sign-in\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        outcome(away, READ).await,
        Outcome::SignedOut { status: 303 }
    );
    let elsewhere = "HTTP/1.1 303 See Other\r\nlocation: /\r\ncontent-length: 0\r\n\r\n";
    assert!(matches!(
        outcome(elsewhere, READ).await,
        Outcome::Failed { .. }
    ));
    let refused = "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n";
    assert!(matches!(
        outcome(refused, CREATE).await,
        Outcome::Refused { status: 412, .. }
    ));
    let failed = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\nsick";
    assert_eq!(
        outcome(failed, CREATE).await,
        Outcome::Failed {
            status: 502,
            error: "sick".to_owned()
        }
    );
}

#[tokio::test]
async fn a_user_looks_before_changing_what_may_have_changed() {
    const GONE_WRONG: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
    const CHANGED: &str = "HTTP/1.1 200 OK\r\netag: \"3\"\r\ncontent-length: 2\r\n\r\n{}";
    let row = "{\"Tag\":\"t0-0\",\"Value\":\"1\"}";
    let found: &'static str = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\netag: \"2\"\r\nset-cookie: instance=a; Path=/\r\ncontent-length: {}\r\n\r\n{row}",
            row.len()
        )
        .into_boxed_str(),
    );
    let script = [CREATED, GONE_WRONG, found, CHANGED].map(Some).to_vec();
    let server = Server::start(script).await;
    let operations = seen(load(&[server.address], UPDATE, Repeat::Never), 4).await;
    let kinds: Vec<_> = operations
        .iter()
        .map(|operation| (operation.kind, operation.value))
        .collect();
    assert_eq!(
        kinds,
        [
            (Kind::Create, Some(0)),
            (Kind::Update, Some(1)),
            (Kind::ReadBack, Some(1)),
            (Kind::Update, Some(2)),
        ]
    );
    let requests = server.requests();
    assert!(requests[0].contains("\"Tag\":\"t0-0\""), "{}", requests[0]);
    assert!(
        requests[1].starts_with("PATCH /odata/Notes(7) ")
            && requests[1].contains("if-match: \"1\""),
        "{}",
        requests[1]
    );
    assert!(requests[3].contains("if-match: \"2\""), "{}", requests[3]);
    assert!(
        requests[3].contains("cookie: instance=a"),
        "{}",
        requests[3]
    );
    assert_eq!(operations[1].answered_by, None);
    assert_eq!(operations[3].answered_by.as_deref(), Some("a"));
    assert!(
        operations
            .iter()
            .all(|operation| operation.tag.as_deref() == Some("t0-0"))
    );
}
