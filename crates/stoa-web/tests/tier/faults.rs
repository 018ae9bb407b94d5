//! Instances that die, in the middle of a request or of their answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use stoa_link::dial;
use stoa_web::Body;
use stoa_web::tier::Standing;

use crate::application::Seen;
use crate::client::{post, request, send};
use crate::world::{App, Plan, World, eventually};

fn plan() -> Plan {
    Plan {
        config: Box::new(|config| config.patience = Duration::from_secs(2)),
        ..Plan::default()
    }
}

async fn pair(plan: Plan) -> (World, [App; 2]) {
    let world = World::new(plan).await;
    let apps = [world.app("one").await, world.app("two").await];
    (world, apps)
}

fn seen(apps: &[App], path: &str) -> Vec<Seen> {
    apps.iter()
        .flat_map(|app| app.application.seen(path))
        .collect()
}

/// A body without a known length.
fn chunked(chunks: &[&'static [u8]]) -> Body {
    let chunks: Vec<_> = chunks
        .iter()
        .map(|chunk| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(chunk))))
        .collect();
    Body::stream(StreamBody::new(futures_util::stream::iter(chunks)))
}

#[tokio::test]
async fn reading_survives_a_death_before_the_answer() {
    let (world, apps) = pair(plan()).await;
    world.fuse.light();
    let answer = world.get("/die").await.ok();
    let seen = seen(&apps, "/die");
    assert_eq!(seen.len(), 2, "{answer:?}");
    assert_eq!(world.status().repeated, 1);
    assert!(!seen[0].headers.contains_key("repeatability-request-id"));
}

/// What kills three instances would kill the others, too.
#[tokio::test]
async fn a_request_that_kills_does_not_kill_all() {
    let world = World::new(plan()).await;
    let mut apps = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        apps.push(world.app(name).await);
    }
    let answer = world.get("/poison").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen(&apps, "/poison").len(), 3);
}

#[tokio::test]
async fn reading_survives_a_death_in_the_middle_of_the_answer() {
    let (world, apps) = pair(plan()).await;
    world.fuse.light();
    let answer = world.get("/half").await.ok();
    assert!(["one", "two"].contains(&answer.text()), "{answer:?}");
    assert_eq!(seen(&apps, "/half").len(), 2);
}

#[tokio::test]
async fn a_write_with_an_identity_is_sent_again_with_the_same() {
    let (world, apps) = pair(Plan {
        repeatable: true,
        ..plan()
    })
    .await;
    world.fuse.light();
    let answer = post(world.address, "/die", &[], "an order").await.ok();
    let sent = seen(&apps, "/die");
    let [first, second] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(
        (&first.body[..], &second.body[..]),
        (&b"an order"[..], &b"an order"[..])
    );
    for name in ["repeatability-request-id", "repeatability-first-sent"] {
        assert_eq!(first.headers[name], second.headers[name], "{name}");
    }
    assert_ne!(first.headers["repeatability-request-id"], "");
    assert!(!answer.headers.contains_key("repeatability-result"));
    // Another request is another one.
    post(world.address, "/die", &[], "an order").await.ok();
    let sent = seen(&apps, "/die");
    let ids: std::collections::HashSet<_> = sent
        .iter()
        .map(|seen| seen.headers["repeatability-request-id"].clone())
        .collect();
    assert_eq!((sent.len(), ids.len()), (3, 2));
}

#[tokio::test]
async fn an_identity_of_the_client_is_not_replaced() {
    let (world, apps) = pair(Plan {
        repeatable: true,
        ..plan()
    })
    .await;
    world.fuse.light();
    let own = [
        (
            "repeatability-request-id",
            "5dd52b64-52a8-4c42-b8ab-4b1ddcb2c2e8",
        ),
        ("repeatability-first-sent", "Sat, 28 Nov 2026 06:00:00 GMT"),
    ];
    post(world.address, "/die", &own, "an order").await.ok();
    let sent = seen(&apps, "/die");
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|seen| {
        own.iter()
            .all(|(name, value)| seen.headers[*name] == *value)
    }));
}

#[tokio::test]
async fn a_write_that_may_not_be_repeated_is_sent_once() {
    let (world, apps) = pair(plan()).await;
    world.fuse.light();
    let answer = post(world.address, "/die", &[], "an order").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let sent = seen(&apps, "/die");
    assert_eq!(sent.len(), 1);
    assert!(!sent[0].headers.contains_key("repeatability-request-id"));
    assert_eq!(world.status().failed, 1);
    assert_eq!(world.status().repeated, 0);
}

fn small_memory(repeatable: bool) -> Plan {
    Plan {
        config: Box::new(|config| {
            config.patience = Duration::from_secs(2);
            config.replay_bytes = 1024;
        }),
        repeatable,
        ..Plan::default()
    }
}

#[tokio::test]
async fn a_body_that_is_not_kept_is_sent_once() {
    let (world, apps) = pair(small_memory(true)).await;
    world.fuse.light();
    let answer = post(world.address, "/die", &[], "x".repeat(1025)).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen(&apps, "/die").len(), 1);
    let answer = post(world.address, "/whole", &[], "x".repeat(100_000)).await;
    answer.ok();
    assert_eq!(seen(&apps, "/whole")[0].body.len(), 100_000);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_kept_while_it_is_small() {
    let (world, apps) = pair(small_memory(true)).await;
    world.fuse.light();
    post(
        world.address,
        "/die",
        &[],
        chunked(&[b"in ", b"three ", b"pieces"]),
    )
    .await
    .ok();
    let sent = seen(&apps, "/die");
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|seen| seen.body == "in three pieces"));
}

#[tokio::test]
async fn a_body_of_unknown_length_that_becomes_large_arrives_once_and_whole() {
    let (world, apps) = pair(small_memory(true)).await;
    static PIECE: [u8; 700] = [b'x'; 700];
    let body = || chunked(&[&PIECE, &PIECE, &PIECE]);
    post(world.address, "/whole", &[], body()).await.ok();
    assert_eq!(seen(&apps, "/whole")[0].body.len(), 2100);
    world.fuse.light();
    let answer = post(world.address, "/die", &[], body()).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen(&apps, "/die").len(), 1);
}

#[tokio::test]
async fn a_body_that_could_not_be_sent_is_sent_elsewhere() {
    let (world, [one, two]) = pair(small_memory(false)).await;
    let cookie = format!("stoa-instance={}", one.tag);
    // Its connections end; the web server may not have seen it yet.
    one.dialer.abort();
    let headers = [("cookie", cookie.as_str())];
    let answer = post(world.address, "/whole", &headers, "x".repeat(100_000)).await;
    assert_eq!(answer.ok().text(), "two");
    assert_eq!(two.application.seen("/whole")[0].body.len(), 100_000);
}

#[tokio::test]
async fn who_is_busy_passes_a_request_on() {
    let (world, [one, two]) = pair(Plan {
        dial: dial::Config {
            requests: 1,
            ..dial::Config::default()
        },
        ..plan()
    })
    .await;
    let to_one = format!("stoa-instance={}", one.tag);
    let waiting = tokio::spawn(send(
        world.address,
        request(Method::GET, "/wait", &[("cookie", &to_one)], Body::Empty),
    ));
    eventually("one is busy", async || {
        one.application.working.load(Ordering::SeqCst) == 1
    })
    .await;
    let headers = [("cookie", to_one.as_str())];
    let answer = post(world.address, "/whole", &headers, "an order")
        .await
        .ok();
    assert_eq!(answer.text(), "two");
    assert_eq!(one.application.seen("/whole").len(), 0);
    assert_eq!(two.application.seen("/whole")[0].body, "an order");
    one.application.go.notify_one();
    assert_eq!(waiting.await.unwrap().ok().text(), "one");
}

#[tokio::test]
async fn who_fails_too_often_is_not_asked_until_it_is_well() {
    let (world, [one, _two]) = pair(Plan {
        config: Box::new(|config| {
            config.faults = 3;
            config.ejection = Duration::from_millis(300);
        }),
        ..Plan::default()
    })
    .await;
    one.application.is_faulty.store(true, Ordering::SeqCst);
    let cookie = format!("stoa-instance={}", one.tag);
    let headers = [("cookie", cookie.as_str())];
    eventually("it is not asked", async || {
        let answer = crate::client::get(world.address, "/who", &headers)
            .await
            .ok();
        assert_eq!(answer.text(), "two");
        one.standing(&world) == Some(Standing::Ejected)
    })
    .await;
    let faults = one.application.seen("/who").len();
    assert!(faults >= 3, "{faults}");
    for _ in 0..20 {
        world.get("/who").await.ok();
    }
    assert_eq!(one.application.seen("/who").len(), faults);
    // It is looked at while it is not asked, and stays out while it is not well.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(one.standing(&world), Some(Standing::Ejected));
    one.application.is_faulty.store(false, Ordering::SeqCst);
    eventually("it is asked again", async || {
        one.standing(&world) == Some(Standing::Ready)
    })
    .await;
    let answer = crate::client::get(world.address, "/who", &headers)
        .await
        .ok();
    assert_eq!(answer.text(), "one");
}
