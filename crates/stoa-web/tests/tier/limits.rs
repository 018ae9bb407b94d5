//! When there is nobody, or no room; new instances and those that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use stoa_link::dial;
use stoa_web::Body;

use crate::client::{get, post, request, send};
use crate::world::{App, HOST, Plan, World, eventually};

fn narrow(queued: usize) -> Plan {
    Plan {
        config: Box::new(move |config| {
            config.queue = Duration::from_millis(400);
            config.queued = queued;
        }),
        dial: dial::Config {
            requests: 2,
            connections: 4,
            spares: 1,
            ..dial::Config::default()
        },
        ..Plan::default()
    }
}

/// Gives both instances all that they can do at once.
async fn fill(world: &World, apps: &[App]) -> Vec<tokio::task::JoinHandle<()>> {
    let mut waiting = Vec::new();
    for app in apps {
        let cookie = format!("stoa-instance={}", app.tag);
        for busy in 1..=2 {
            let wait = request(Method::GET, "/wait", &[("cookie", &cookie)], Body::Empty);
            let address = world.address;
            waiting.push(tokio::spawn(async move {
                send(address, wait).await.ok();
            }));
            eventually("it works", async || {
                app.application.working.load(Ordering::SeqCst) == busy
            })
            .await;
        }
    }
    waiting
}

#[tokio::test]
async fn without_room_a_client_is_told_so_soon() {
    let world = World::new(narrow(1000)).await;
    let apps = [world.app("one").await, world.app("two").await];
    let waiting = fill(&world, &apps).await;
    let start = Instant::now();
    let answer = post(world.address, "/who", &[], "an order").await;
    let time = start.elapsed();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(
        (Duration::from_millis(350)..Duration::from_secs(2)).contains(&time),
        "{time:?}"
    );
    assert_eq!(world.status().refused, 1);
    // One that comes free in time is taken.
    let queued = tokio::spawn(post_order(world.address));
    tokio::time::sleep(Duration::from_millis(100)).await;
    for app in &apps {
        app.application.go.notify_waiters();
    }
    assert_eq!(queued.await.unwrap(), StatusCode::OK);
    for waiting in waiting {
        waiting.await.unwrap();
    }
}

async fn post_order(address: std::net::SocketAddr) -> StatusCode {
    post(address, "/who", &[], "an order").await.status
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let world = World::new(narrow(3)).await;
    let apps = [world.app("one").await, world.app("two").await];
    let waiting = fill(&world, &apps).await;
    let (at_once, later) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let address = world.address;
            let (at_once, later) = (Arc::clone(&at_once), Arc::clone(&later));
            tokio::spawn(async move {
                let status = post_order(address).await;
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                let soon = start.elapsed() < Duration::from_millis(350);
                let count = if soon { at_once } else { later };
                count.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    for asked in asked {
        asked.await.unwrap();
    }
    let counts = (at_once.load(Ordering::SeqCst), later.load(Ordering::SeqCst));
    assert_eq!(counts, (7, 3));
    for app in &apps {
        app.application.go.notify_waiters();
    }
    for waiting in waiting {
        waiting.await.unwrap();
    }
}

#[tokio::test]
async fn an_environment_that_nobody_serves_is_unavailable() {
    let world = World::new(Plan {
        config: Box::new(|config| config.patience = Duration::from_millis(300)),
        ..Plan::default()
    })
    .await;
    let answer = get(world.address, "/", &[("host", "empty.example.com")]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert_ne!(HOST, "empty.example.com");
}

#[tokio::test]
async fn a_request_outlasts_the_only_instance() {
    let world = World::new(Plan::default()).await;
    let old = world.app("old").await;
    old.dialer.abort();
    let address = world.address;
    let asked = tokio::spawn(async move { get(address, "/who", &[]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _new = world.app("new").await;
    assert_eq!(asked.await.unwrap().ok().text(), "new");
}

/// What becomes of a write while what the instance needs is not there.
async fn check_patience(repeatable: bool, patience: u64, returns: bool, expected: StatusCode) {
    let world = World::new(Plan {
        config: Box::new(move |config| config.patience = Duration::from_millis(patience)),
        repeatable,
        ..Plan::default()
    })
    .await;
    let app = world.app("one").await;
    app.application.is_unavailable.store(true, Ordering::SeqCst);
    let address = world.address;
    let asked = tokio::spawn(async move { post(address, "/unavailable", &[], "an order").await });
    if returns {
        eventually("it is tried again", async || {
            app.application.seen("/unavailable").len() > 2
        })
        .await;
        app.application
            .is_unavailable
            .store(false, Ordering::SeqCst);
    }
    let answer = asked.await.unwrap();
    assert_eq!(answer.status, expected, "{answer:?}");
    assert!(!answer.headers.contains_key("x-stoa-refused"));
    let seen = app.application.seen("/unavailable");
    if repeatable {
        let id = &seen[0].headers["repeatability-request-id"];
        assert!(
            seen.len() > 2
                && seen
                    .iter()
                    .all(|seen| seen.headers["repeatability-request-id"] == id)
        );
    } else {
        assert_eq!(seen.len(), 1);
        assert_eq!(answer.text(), "not at present");
    }
}

#[tokio::test]
async fn a_write_outlasts_what_its_instance_needs() {
    check_patience(true, 15_000, true, StatusCode::OK).await;
}

#[tokio::test]
async fn patience_ends() {
    check_patience(true, 400, false, StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn a_write_that_may_not_be_repeated_is_not_tried_again() {
    check_patience(false, 15_000, false, StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn a_new_instance_begins_slowly() {
    const SLOW: Duration = Duration::from_secs(3);
    let world = World::new(Plan {
        config: Box::new(|config| config.slow_start = SLOW),
        ..Plan::default()
    })
    .await;
    let old = world.app("old").await;
    tokio::time::sleep(SLOW).await;
    let since = Instant::now();
    let new = world.app("new").await;
    let working = |app: &App| app.application.working.load(Ordering::SeqCst);
    let mut waiting = Vec::new();
    let mut ask = async |all: usize| {
        while waiting.len() < all {
            let address = world.address;
            waiting.push(tokio::spawn(async move {
                get(address, "/wait", &[]).await.ok();
            }));
        }
        eventually("all are at work", async || {
            working(&old) + working(&new) == all
        })
        .await;
        (working(&old), working(&new))
    };
    // One after the other: a burst takes the connections that are ready, whoever's they are.
    for all in 1..40 {
        ask(all).await;
    }
    let (first, second) = ask(40).await;
    // Its share grows from a tenth to a whole one.
    let share = (since.elapsed().as_secs_f64() / SLOW.as_secs_f64()).clamp(0.1, 1.0);
    let most = 40.0 * share / (1.0 + share) + 2.0;
    assert!(
        second > 0 && f64::from(u32::try_from(second).unwrap()) <= most,
        "{first} and {second} of {most}"
    );
    tokio::time::sleep(SLOW).await;
    for all in 41..100 {
        ask(all).await;
    }
    let (first, second) = ask(100).await;
    assert!(first.abs_diff(second) <= 6, "{first} and {second}");
    for app in [&old, &new] {
        app.application.go.notify_waiters();
    }
    for waiting in waiting {
        waiting.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_loses_nothing() {
    let world = Arc::new(World::new(Plan::default()).await);
    let mut apps = vec![world.app("one").await, world.app("two").await];
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let users: Vec<_> = (0..16)
        .map(|_| {
            let (stop, done, address) = (Arc::clone(&stop), Arc::clone(&done), world.address);
            tokio::spawn(async move {
                // Not repeatable: each must be answered the first time.
                while !stop.load(Ordering::Relaxed) {
                    post(address, "/who", &[], "an order").await.ok();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..4 {
        let before = done.load(Ordering::Relaxed);
        eventually("there is a load", async || {
            done.load(Ordering::Relaxed) > before + 100
        })
        .await;
        apps.push(world.app(&format!("new {round}")).await);
        let old = apps.remove(0);
        old.drain();
        assert!(old.dialer.settle(Duration::from_secs(10)).await);
        let seen = old.application.seen("/who").len();
        assert!(seen > 0, "nothing was to lose");
        old.dialer.close().await;
        assert_eq!(old.application.seen("/who").len(), seen);
    }
    stop.store(true, Ordering::Relaxed);
    for user in users {
        user.await.unwrap();
    }
    let status = world.status();
    assert_eq!((status.failed, status.refused, status.repeated), (0, 0, 0));
}
