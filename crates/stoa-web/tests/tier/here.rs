//! Environments that are served in the web server's own process, alone or beside instances.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use stoa_web::Body;
use stoa_web::replica::{Replica, Source};
use stoa_web::server::{self, Asked, Traffic, Unobserved};
use stoa_web::static_content::{Config, StaticContent};
use stoa_web::tier::{Answerer, Local, Standing};
use stoa_web::upstream::Upstream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::{begin, get, post, request};
use crate::world::{Here, Plan, World, eventually};

/// A foreign application that tells its name.
struct Foreign {
    upstream: Arc<Upstream>,
    shutdown: DropGuard,
}

async fn foreign(name: &'static str) -> Foreign {
    let listener = server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shutdown = CancellationToken::new();
    let handler = move |mut request: Request<Incoming>, _: Asked| async move {
        if request.headers().contains_key("upgrade") {
            let becomes = hyper::upgrade::on(&mut request);
            tokio::spawn(becomes);
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            for (key, value) in [
                ("upgrade", "echo"),
                ("connection", "upgrade"),
                ("name", name),
            ] {
                let value = HeaderValue::from_static(value);
                response.headers_mut().insert(key, value);
            }
            return response;
        }
        assert!(!request.headers().contains_key("x-stoa-environment"));
        assert_eq!(request.headers()["x-forwarded-for"], "127.0.0.1");
        Response::new(Body::from(name))
    };
    tokio::spawn(server::serve(
        listener,
        server::Config {
            drain_timeout: std::time::Duration::ZERO,
            ..server::Config::default()
        },
        Arc::new(handler),
        Arc::new(Unobserved),
        Arc::new(Traffic::default()),
        shutdown.clone(),
    ));
    let upstream = Arc::new(Upstream::new(&address, None).unwrap());
    assert!(upstream.look().await);
    Foreign {
        upstream,
        shutdown: shutdown.drop_guard(),
    }
}

fn local(tag: &str, answerer: Answerer<Here>) -> Local<Here> {
    Local {
        environment: "production".into(),
        tag: tag.into(),
        capacity: 1,
        answerer,
    }
}

#[tokio::test]
async fn all_addresses_of_a_foreign_application_are_asked_and_clients_stay() {
    let (one, two) = (foreign("one").await, foreign("two").await);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("logo.svg"), "<svg/>").unwrap();
    let content = StaticContent::load(folder.path(), Config::default()).unwrap();
    let source = Source::of(folder.path(), &content.snapshot()).unwrap();
    let digest = source.digest().to_owned();
    let world = World::new(Plan {
        locals: vec![
            local("first", Answerer::Foreign(Arc::clone(&one.upstream))),
            local("second", Answerer::Foreign(Arc::clone(&two.upstream))),
        ],
        content: Some(Replica { digest, content }),
        ..Plan::default()
    })
    .await;
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let answer = world.get("/who").await.ok();
        assert!(answer.headers.contains_key("set-cookie"), "{answer:?}");
        names.insert(answer.text().to_owned());
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let cookie = [("cookie", "stoa-instance=first")];
    for _ in 0..20 {
        let answer = get(world.address, "/who", &cookie).await.ok();
        assert_eq!(answer.text(), "one");
    }
    assert_eq!(world.get("/logo.svg").await.ok().text(), "<svg/>");
    let headers = [("connection", "upgrade"), ("upgrade", "echo"), cookie[0]];
    let become_echo = request(Method::GET, "/", &headers, Body::Empty);
    let answer = begin(world.address, become_echo).await;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(answer.headers()["name"], "one");

    // One that has gone is found out by the first request, and by whoever looks.
    drop(one.shutdown);
    eventually("it is gone", async || !one.upstream.look().await).await;
    for _ in 0..20 {
        let answer = post(world.address, "/who", &cookie, "an order").await.ok();
        assert_eq!(answer.text(), "two");
    }
    eventually("it is not asked", async || {
        world.status().targets[0].standing == Standing::Unready
    })
    .await;
}

#[tokio::test]
async fn who_answers_here_takes_over_from_an_instance_that_dies() {
    let world = World::new(Plan {
        locals: vec![local("here", Answerer::Own(Arc::new(Here)))],
        repeatable: true,
        ..Plan::default()
    })
    .await;
    let app = world.app("elsewhere").await;
    let cookie = format!("stoa-instance={}", app.tag);
    let headers = [("cookie", cookie.as_str())];
    let before = post(world.address, "/die", &headers, "an order").await.ok();
    assert_eq!(before.text(), "elsewhere");
    world.fuse.light();
    let after = post(world.address, "/die", &headers, "an order").await;
    assert_eq!(after.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(after.text(), "an order");
    assert_eq!(world.status().repeated, 1);
}
