//! API7, API10: addresses and headers that a client makes up.

use reqwest::Method;
use serde_json::json;
use stoa_testing::client::raw;
use tokio::net::TcpListener;

use crate::world::World;

/// The server fetches nothing that a client names.
#[tokio::test]
async fn no_address_of_a_client_is_fetched() {
    let world = World::new().await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", trap.local_addr().unwrap());
    let boss = &world.boss;
    for body in [
        json!({ "Name": "a", "Branch@odata.bind": format!("{address}/odata/Branches('NORTH')") }),
        json!({ "Name": "a", "@odata.id": format!("{address}/x"), "Branch@odata.bind": "Branches('NORTH')" }),
        json!({ "Name": "a", "@odata.context": format!("{address}/$metadata"), "Branch@odata.bind": "Branches('NORTH')" }),
        json!({ "Name": "a", "Photo@odata.mediaReadLink": format!("{address}/p"), "Branch@odata.bind": "Branches('NORTH')" }),
    ] {
        let answer = world
            .with_token(boss, Method::POST, "Customers", Some(&body))
            .await;
        assert!(
            matches!(answer.status, 201 | 400 | 403 | 404),
            "{}",
            answer.text()
        );
    }
    let reference = json!({ "@odata.id": format!("{address}/odata/Tags('good')") });
    let own = format!("Customers({})/Tags/$ref", world.own);
    let answer = world
        .with_token(boss, Method::POST, &own, Some(&reference))
        .await;
    assert!(
        matches!(answer.status, 204 | 400 | 404),
        "{}",
        answer.text()
    );
    for path in [
        "/odata/$entity?$id=",
        "/-/sign-in?return=",
        "/-/oidc/start?issuer=",
    ] {
        let _ = world.client.get(&format!("{path}{address}")).await.unwrap();
    }
    let came = tokio::time::timeout(std::time::Duration::from_millis(300), trap.accept()).await;
    assert!(
        came.is_err(),
        "the server has connected to an address that a client gave"
    );
}

/// A name that leads to this machine only because somebody's DNS says so (rebinding) is answered nothing.
#[tokio::test]
async fn other_names_of_a_loopback_server() {
    let world = World::new().await;
    for host in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
    ] {
        for path in ["/", "/odata/Customers", "/-/sign-in", "/-/admin/"] {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = raw(world.server.address(), request.as_bytes())
                .await
                .unwrap();
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                answer.starts_with("HTTP/1.1 421 "),
                "{host} {path}: {answer:.200}"
            );
        }
    }
}

/// What a client says of itself ends up neither in headers nor as markup of an answer.
#[tokio::test]
async fn headers_and_markup_of_clients() {
    let world = World::new().await;
    let mut browser = world.browser();
    for path in [
        "/-/sign-in?return=/%0d%0aSet-Cookie:%20evil=1",
        "/-/sign-in?name=%3Cscript%3Ealert(1)%3C/script%3E",
        "/-/link/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/-/%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/%0d%0aSet-Cookie:%20evil=1",
        "/odata/Customers('%0d%0aSet-Cookie:%20evil=1')",
    ] {
        let answer = browser.get(path).await;
        for cookie in answer.headers.get_all("set-cookie") {
            assert!(!cookie.to_str().unwrap().contains("evil"), "{path}");
        }
        assert!(
            !answer.text().contains("<script>alert"),
            "{path}: {}",
            answer.text()
        );
        assert!(
            !answer.text().contains("<img src=x"),
            "{path}: {}",
            answer.text()
        );
    }
    let answer = browser
        .sign_in("/-/sign-in", "\"><script>alert(1)</script>", "x")
        .await;
    assert!(
        !answer.text().contains("<script>alert"),
        "{}",
        answer.text()
    );
    // The identity of a request is the client's only if it is harmless.
    let request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: <script>\r\nConnection: close\r\n\r\n";
    let answer = raw(world.server.address(), request).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("<script>"));
    // Two requests in one: the second is none of this connection's.
    let smuggled = b"POST /odata/Customers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(world.server.address(), smuggled)
        .await
        .unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(!answer.contains("\"live\""), "{answer}");
}

/// What a client says about proxies is not believed without `--behind-tls`; with it, the last word counts.
#[tokio::test]
async fn forwarded_headers() {
    let world = World::new().await;
    let spoofed = [
        ("X-Forwarded-For", "192.0.2.99"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let mut browser = world.browser();
    let form = browser.get("/-/sign-in").await;
    let token = crate::world::hidden_token(&form.text()).unwrap();
    let fields = [
        ("token", token.as_str()),
        ("name", "cleo"),
        ("password", crate::world::PASSWORD),
    ];
    let answer = browser.bare_form("/-/sign-in", &fields, &spoofed).await;
    assert_eq!(answer.status, 303);
    let sessions = world.run(&["user", "sessions", "cleo"], "");
    assert!(
        sessions.contains("127.0.0.1") && !sessions.contains("192.0.2.99"),
        "{sessions}"
    );
}
