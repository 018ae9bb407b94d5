//! Requests that become something else, all the way from the client to a foreign application.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use stoa_link::dial;
use stoa_web::server::{self, Traffic, Unobserved};
use stoa_web::upstream::Upstream;
use stoa_web::{Body, tier::Standing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::application::Application;
use crate::client::{begin, request};
use crate::world::{App, Plan, World, eventually};

type Echo = TokioIo<Upgraded>;

async fn become_echo(world: &World, headers: &[(&str, &str)]) -> Result<Echo, StatusCode> {
    let mut all = vec![("connection", "Upgrade"), ("upgrade", "echo")];
    all.extend_from_slice(headers);
    let mut answer = begin(
        world.address,
        request(Method::GET, "/echo", &all, Body::Empty),
    )
    .await;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(answer.status());
    }
    assert_eq!(answer.headers()["upgrade"], "echo");
    Ok(TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap()))
}

async fn check_echo(echo: &mut Echo) {
    for text in ["a", "some bytes", "more"] {
        echo.write_all(text.as_bytes()).await.unwrap();
        let mut buffer = vec![0; text.len()];
        echo.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, text.as_bytes());
    }
}

fn upgraded(app: &App) -> usize {
    app.application.upgraded.load(Ordering::SeqCst)
}

/// A foreign application, on a server of its own.
struct Foreign {
    upstream: Upstream,
    application: Arc<Application>,
    _shutdown: tokio_util::sync::DropGuard,
}

/// The same application, reached over HTTP instead of a link.
struct Direct(Arc<Application>);

impl server::Handler for Direct {
    async fn handle(
        &self,
        request: http::Request<hyper::body::Incoming>,
        _: &mut server::Asked,
    ) -> http::Response<Body> {
        dial::Handler::handle(&*self.0, request).await
    }
}

fn foreign(world: &World) -> Foreign {
    let listener = server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let upstream = Upstream::new(&listener.local_addr().unwrap().to_string(), None).unwrap();
    let application = Arc::new(Application::new("foreign", &world.fuse));
    let shutdown = CancellationToken::new();
    tokio::spawn(server::serve(
        listener,
        server::Config::default(),
        Arc::new(Direct(Arc::clone(&application))),
        Arc::new(Unobserved),
        Arc::new(Traffic::default()),
        shutdown.clone(),
    ));
    Foreign {
        upstream,
        application,
        _shutdown: shutdown.drop_guard(),
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_to_a_foreign_application() {
    let world = World::new(Plan::default()).await;
    let Foreign {
        upstream,
        application,
        _shutdown,
    } = foreign(&world);
    let app = Application::new("before it", &world.fuse).before(upstream);
    let app = world.app_with(app).await;
    let upgraded = || application.upgraded.load(Ordering::SeqCst);
    let mut echo = become_echo(&world, &[]).await.unwrap();
    check_echo(&mut echo).await;
    // A client that goes: the application sees it.
    drop(echo);
    eventually("the application is left", async || upgraded() == 0).await;
    // An application that goes: the client sees it.
    let mut echo = become_echo(&world, &[]).await.unwrap();
    check_echo(&mut echo).await;
    echo.write_all(b"bye").await.unwrap();
    let mut rest = Vec::new();
    echo.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    drop(echo);
    eventually("nothing is left", async || {
        app.dialer.links()[0].upgrades <= 1 && world.status().targets[0].in_flight == 0
    })
    .await;
    // Ordinary requests pass as well, with what a foreign application may know of the client.
    assert_eq!(world.get("/who").await.ok().text(), "foreign");
    let seen = application.seen("/who").swap_remove(0);
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen.headers["x-forwarded-proto"], "http");
    assert_eq!(seen.headers["host"], "shop.example.com");
    assert!(!seen.headers.contains_key("x-stoa-environment"));
}

fn few() -> Plan {
    Plan {
        config: Box::new(|config| config.queue = Duration::from_millis(300)),
        dial: dial::Config {
            upgrades: 2,
            requests: 3,
            connections: 3,
            ..dial::Config::default()
        },
        ..Plan::default()
    }
}

#[tokio::test]
async fn they_are_few_and_take_nothing_from_requests() {
    let world = World::new(few()).await;
    let app = world.app("one").await;
    let mut first = become_echo(&world, &[]).await.unwrap();
    let mut second = become_echo(&world, &[]).await.unwrap();
    eventually("both are there", async || upgraded(&app) == 2).await;
    assert_eq!(
        become_echo(&world, &[]).await.map(|_| ()),
        Err(StatusCode::SERVICE_UNAVAILABLE)
    );
    // Requests have connections of their own, all of them.
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let address = world.address;
            tokio::spawn(async move { crate::client::get(address, "/wait", &[]).await.ok() })
        })
        .collect();
    eventually("all are at work", async || {
        app.application.working.load(Ordering::SeqCst) == 3
    })
    .await;
    check_echo(&mut first).await;
    check_echo(&mut second).await;
    drop(first);
    // And the other way round: requests leave room for the next one.
    eventually("there is room", async || {
        become_echo(&world, &[]).await.is_ok()
    })
    .await;
    app.application.go.notify_waiters();
    for waiting in waiting {
        waiting.await.unwrap();
    }
}

#[tokio::test]
async fn who_has_no_room_leaves_it_to_another() {
    let world = World::new(few()).await;
    let [one, two] = [world.app("one").await, world.app("two").await];
    let cookie = format!("stoa-instance={}", one.tag);
    let mut all = Vec::new();
    for _ in 0..4 {
        let headers = [("cookie", cookie.as_str())];
        all.push(become_echo(&world, &headers).await.unwrap());
    }
    eventually("both have two", async || {
        (upgraded(&one), upgraded(&two)) == (2, 2)
    })
    .await;
    for echo in &mut all {
        check_echo(echo).await;
    }
}

#[tokio::test]
async fn who_drains_keeps_those_it_has_until_its_links_close() {
    let world = World::new(few()).await;
    let [one, two] = [world.app("one").await, world.app("two").await];
    let cookie = format!("stoa-instance={}", one.tag);
    let headers = [("cookie", cookie.as_str())];
    let mut echo = become_echo(&world, &headers).await.unwrap();
    eventually("it is there", async || upgraded(&one) == 1).await;
    one.drain();
    eventually("it drains", async || {
        one.standing(&world) == Some(Standing::Draining)
    })
    .await;
    let _other = become_echo(&world, &headers).await.unwrap();
    eventually("the next one is elsewhere", async || {
        (upgraded(&one), upgraded(&two)) == (1, 1)
    })
    .await;
    check_echo(&mut echo).await;
    // It does not hold the others up.
    assert!(one.dialer.settle(Duration::from_secs(5)).await);
    one.dialer.close().await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), echo.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it lives on");
    eventually("it is left", async || upgraded(&one) == 0).await;
}
