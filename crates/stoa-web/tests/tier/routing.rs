//! Which requests go where, and what of them arrives.

use http::{HeaderMap, StatusCode};

use crate::client::get;
use crate::world::{Plan, World};

#[tokio::test]
async fn the_host_names_the_environment() {
    let world = World::new(Plan::default()).await;
    let _app = world.app("one").await;
    let check = async |host: &str, status: StatusCode| {
        let answer = get(world.address, "/who", &[("host", host)]).await;
        assert_eq!(answer.status, status, "{host}");
    };
    check("shop.example.com", StatusCode::OK).await;
    check("SHOP.example.com:8443", StatusCode::OK).await;
    check("en.shop.example.com", StatusCode::OK).await;
    check("a.en.shop.example.com", StatusCode::MISDIRECTED_REQUEST).await;
    check("example.com", StatusCode::MISDIRECTED_REQUEST).await;
    check("127.0.0.1", StatusCode::MISDIRECTED_REQUEST).await;
}

#[tokio::test]
async fn paths_of_links_are_not_for_clients() {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    for path in ["/.stoa/ready", "/.stoa/content/x", "/.stoa/"] {
        assert_eq!(
            world.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in [
        "/%2Estoa/ready",
        "/x/../.stoa/ready",
        "//.stoa/ready",
        "/./.stoa/ready",
    ] {
        let answer = world.get(path).await;
        // Whatever becomes of it: the instance has not taken it for one of a link.
        let said = answer.text();
        assert!(
            !answer.status.is_success() || !app.application.seen(path).is_empty(),
            "{path}: {said}"
        );
    }
}

#[tokio::test]
async fn what_a_client_says_of_itself_does_not_arrive() {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    let sent = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example.com"),
        ("x-forwarded-port", "444"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("x-stoa-environment", "other"),
        ("x-stoa-anything", "1"),
        ("connection", "x-secret"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic abc"),
        ("x-request-id", "my-request-0001"),
        ("accept-language", "de"),
    ];
    let answer = get(world.address, "/who", &sent).await.ok();
    let seen = app.application.seen("/who").swap_remove(0);
    let mut arrived: Vec<String> = seen
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    arrived.sort();
    let expected = [
        "accept-language: de",
        "host: shop.example.com",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: shop.example.com",
        "x-forwarded-proto: http",
        "x-request-id: my-request-0001",
        "x-stoa-environment: production",
    ];
    assert_eq!(arrived, expected);
    assert_eq!(answer.headers["x-request-id"], "my-request-0001");
}

#[tokio::test]
async fn a_request_without_an_id_gets_one() {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    let answer = world.get("/who").await.ok();
    let seen = app.application.seen("/who").swap_remove(0);
    assert_eq!(answer.headers["x-request-id"], seen.headers["x-request-id"]);
}

#[tokio::test]
async fn what_an_instance_says_of_itself_does_not_leave() {
    let world = World::new(Plan::default()).await;
    let _app = world.app("one").await;
    let headers: HeaderMap = world.get("/private").await.ok().headers;
    assert_eq!(headers["x-kept"], "1");
    for name in ["x-stoa-anything", "keep-alive"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_environment_out_of_service_says_so() {
    let world = World::new(Plan::default()).await;
    let _app = world.app("one").await;
    assert!(world.tier.set_maintenance("production", true));
    let answer = world.get("/who").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().contains("worked on"), "{answer:?}");
    assert!(world.tier.set_maintenance("production", false));
    world.get("/who").await.ok();
    assert!(!world.tier.set_maintenance("unknown", true));
}
