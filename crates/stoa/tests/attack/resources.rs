//! API4: requests that cost much.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use stoa_testing::client::raw;

use crate::world::{World, hidden_token};

#[tokio::test]
async fn sizes_have_limits() {
    let world = World::new().await;
    let clerk = world.token("cleo", &["--write"]);
    let bearer = format!("Bearer {clerk}");
    let headers = [("Authorization", bearer.as_str())];
    let long = format!("/odata/Customers?$filter=Name eq '{}'", "x".repeat(40_000));
    let answer = world
        .client
        .send(Method::GET, &long, &headers, None)
        .await
        .unwrap();
    assert!(
        matches!(answer.status, 400 | 414 | 431),
        "{}",
        answer.status
    );
    let deep = format!(
        "/odata/Customers?$filter={}true{}",
        "(".repeat(3000),
        ")".repeat(3000)
    );
    let answer = world
        .client
        .send(Method::GET, &deep, &headers, None)
        .await
        .unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text());
    let wide = format!(
        "/odata/Customers?$filter={}",
        vec!["Name eq 'a'"; 500].join(" or ")
    );
    let answer = world
        .client
        .send(Method::GET, &wide, &headers, None)
        .await
        .unwrap();
    assert!(matches!(answer.status, 400 | 414), "{}", answer.text());
    let large = json!({ "Name": "x".repeat(5_000_000) });
    let answer = world
        .client
        .send(Method::POST, "/odata/Customers", &headers, Some(&large))
        .await
        .unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = world
        .client
        .send_bytes(
            Method::POST,
            "/odata/Customers",
            &headers,
            Some(("application/json", nested.into_bytes())),
        )
        .await
        .unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text());
    world.read(&clerk, "Customers", 200).await;
}

/// A form or a name that is too long, too many fields, cookies without end: refused, and cheaply.
#[tokio::test]
async fn pages_have_limits() {
    let world = World::new().await;
    let mut browser = world.browser();
    let token = hidden_token(&browser.get("/-/sign-in").await.text()).unwrap();
    let same = [("Sec-Fetch-Site", "same-origin")];
    let long = "x".repeat(200_000);
    let answer = browser
        .bare_form(
            "/-/sign-in",
            &[("token", &token), ("name", &long), ("password", "a")],
            &same,
        )
        .await;
    assert_eq!(answer.status, 413);
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("a", "b"), 5000).collect();
    let answer = browser.bare_form("/-/sign-in", &many, &same).await;
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
    // A long password costs no more than a short one: it is refused before it is hashed.
    let long = "x".repeat(50_000);
    let start = Instant::now();
    let answer = browser
        .bare_form(
            "/-/sign-in",
            &[("token", &token), ("name", "cleo"), ("password", &long)],
            &same,
        )
        .await;
    assert!(
        matches!(answer.status, 403 | 413 | 422 | 429),
        "{}",
        answer.status
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    let answer = browser
        .send(
            Method::POST,
            "/-/sign-in",
            &same,
            Some(("application/json", b"{}".to_vec())),
        )
        .await;
    assert!(matches!(answer.status, 400 | 415), "{}", answer.status);
    let answer = browser
        .get(&format!("/-/sign-in?return=/{}", "a".repeat(20_000)))
        .await;
    assert!(
        matches!(answer.status, 200 | 400 | 414),
        "{}",
        answer.status
    );
}

/// Many sign-ins at once do not stop the others: the data is still served, and nothing falls over.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_sign_ins() {
    let world = World::new().await;
    let token = world.token("cleo", &[]);
    let mut flood = tokio::task::JoinSet::new();
    for attempt in 0..60 {
        let mut browser = world.browser();
        flood.spawn(async move {
            browser
                .sign_in("/-/sign-in", &format!("nobody{attempt}"), "guess")
                .await
                .status
        });
    }
    let start = Instant::now();
    for _ in 0..10 {
        world.read(&token, "Customers?$select=Name", 200).await;
    }
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    while let Some(status) = flood.join_next().await {
        let status = status.unwrap();
        assert!(matches!(status, 403 | 429 | 503), "{status}");
    }
    world.signed_in("bill").await;
}

/// Headers without end are cut off.
#[tokio::test]
async fn headers_without_end() {
    let world = World::new().await;
    let mut request = b"GET /-/sign-in HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    for number in 0..5000 {
        request.extend(format!("X-Header-{number}: {}\r\n", "x".repeat(100)).bytes());
    }
    request.extend(b"Connection: close\r\n\r\n");
    let answer = raw(world.server.address(), &request)
        .await
        .unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer:.100}"
    );
    assert_eq!(world.client.get("/health/live").await.unwrap().status, 200);
}
