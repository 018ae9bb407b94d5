//! API8: what a careless configuration would open.

use reqwest::Method;
use stoa_testing::client::raw;

use crate::world::World;

/// Every answer tells browsers what not to do with it.
#[tokio::test]
async fn every_answer_has_its_headers() {
    let world = World::new().await;
    let mut browser = world.signed_in("cleo").await;
    for path in [
        "/",
        "/nothing",
        "/odata/",
        "/odata/Customers",
        "/odata/Nothing",
        "/odata/$metadata",
        "/-/sign-in",
        "/-/account",
        "/-/nothing",
        "/-/pages.css",
        "/health/live",
    ] {
        let answer = browser.get(path).await;
        let policy = answer
            .header("content-security-policy")
            .unwrap_or_default()
            .to_owned();
        assert!(policy.contains("default-src"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"),
            "{path}: {policy}"
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert!(answer.header("referrer-policy").is_some(), "{path}");
        assert!(
            answer.header("cross-origin-resource-policy").is_some(),
            "{path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        assert_eq!(
            answer.header("strict-transport-security"),
            None,
            "{path}: plain HTTP"
        );
        for name in ["server", "x-powered-by"] {
            assert_eq!(answer.header(name), None, "{path}");
        }
    }
    for path in ["/odata/Customers", "/-/sign-in", "/-/account"] {
        let cache = browser.get(path).await;
        let cache = cache.header("cache-control").unwrap_or_default().to_owned();
        assert!(
            cache.contains("no-store") || cache.contains("private"),
            "{path}: {cache}"
        );
    }
}

#[tokio::test]
async fn tls_in_front_is_made_sure_of() {
    let world = World::started(|launch| {
        launch
            .argument("--behind-tls")
            .argument("--host")
            .argument("bank.example")
    })
    .await;
    let request = "GET /-/sign-in HTTP/1.1\r\nHost: bank.example\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    let answer = raw(world.server.address(), request.as_bytes())
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer:.300}");
    assert!(
        answer.contains("strict-transport-security: max-age="),
        "{answer:.800}"
    );
    let cookie = answer
        .lines()
        .find(|line| line.starts_with("set-cookie: "))
        .unwrap();
    assert!(
        cookie.starts_with("set-cookie: __host-stoa") && cookie.contains("; secure"),
        "{cookie}"
    );
}

/// Methods nobody needs, and details nobody should see.
#[tokio::test]
async fn nothing_of_the_inside_is_shown() {
    let world = World::new().await;
    let clerk = world.token("cleo", &["--write"]);
    let bearer = format!("Bearer {clerk}");
    let headers = [("Authorization", bearer.as_str())];
    for method in ["TRACE", "CONNECT", "TRACK", "PROPFIND", "DEBUG"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        if method == Method::CONNECT {
            continue; // clients do not send it to a path
        }
        for path in ["/", "/odata/Customers", "/-/sign-in"] {
            let answer = world
                .client
                .send(method.clone(), path, &headers, None)
                .await
                .unwrap();
            assert!(
                (400..600).contains(&answer.status),
                "{method} {path}: {}",
                answer.status
            );
            assert!(!answer.text().contains(&clerk), "{method} {path}");
        }
    }
    for (path, body) in [
        ("/odata/Customers?$filter=Name eq 1", None),
        ("/odata/Customers?$filter=Name eq 'a' union select", None),
        ("/odata/Customers('x')", None),
        ("/odata/Customers?$skiptoken=AAAA", None),
        (
            "/odata/Customers",
            Some(("application/json", b"{\"Name\": 5}".to_vec())),
        ),
        (
            "/odata/Customers",
            Some(("application/json", b"{".to_vec())),
        ),
        ("/-/link/x", None),
    ] {
        let method = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let answer = world
            .client
            .send_bytes(method, path, &headers, body)
            .await
            .unwrap();
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        let text = answer.text().to_lowercase();
        for word in [
            "sqlite",
            "select ",
            "_stoa_",
            "panicked",
            ".rs:",
            "/tmp/",
            "backtrace",
        ] {
            assert!(!text.contains(word), "{path}: {text}");
        }
    }
}

/// What stands beside the application is not served.
#[tokio::test]
async fn files_of_the_application_are_not_content() {
    let world = World::new().await;
    for path in [
        "/app.toml",
        "/model/bank.toml",
        "/../app.toml",
        "/%2e%2e/app.toml",
        "/.stoa/data.sqlite",
        "/-/../app.toml",
        "/-/%2e%2e/app.toml",
        "/-/pages/../../app.toml",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(world.server.address(), request.as_bytes())
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 200"), "{path}: {answer:.200}");
        assert!(!answer.contains("[role."), "{path}");
    }
}

/// No secret in a log, whatever fails.
#[tokio::test]
async fn logs_keep_secrets() {
    let world =
        World::started(|launch| launch.argument("--access-log").argument("--log=debug")).await;
    let token = world.token("cleo", &[]);
    world.read(&token, "Customers", 200).await;
    let link = world.run(&["user", "link", "cleo"], "");
    let secret = link.rsplit('/').next().unwrap().to_owned();
    let mut browser = world.browser();
    browser.follow_link(&link).await.unwrap();
    let session = browser.cookie("stoa").unwrap().to_owned();
    browser
        .sign_in("/-/sign-in", "cleo", "not the pass phrase")
        .await;
    let log = world.server.log();
    for (what, secret) in [
        ("token", token.as_str()),
        ("link", &secret),
        ("session", &session),
        ("password", "not the pass phrase"),
        ("password", crate::world::PASSWORD),
    ] {
        assert!(!log.contains(secret), "the log has a {what}");
    }
    let audit = world.run(&["audit", "--json"], "");
    for secret in [token.as_str(), &secret, &session, "not the pass phrase"] {
        assert!(!audit.contains(secret), "the audit trail has a secret");
    }
}
