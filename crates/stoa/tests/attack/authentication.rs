//! API2, API6: sessions, tokens, links, and requests that another site makes a browser send.

use reqwest::Method;
use serde_json::json;
use stoa_testing::process::Launch;

use crate::world::{PASSWORD, World, encoded, hidden_token};

/// A session that somebody else knows before the sign-in is worth nothing after it.
#[tokio::test]
async fn session_fixation() {
    let world = World::new().await;
    let mut attacker = world.signed_in("bill").await;
    let known = attacker.cookie("stoa").unwrap().to_owned();
    for planted in [
        known.as_str(),
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let mut victim = world.browser();
        victim.cookies.push(("stoa".to_owned(), planted.to_owned()));
        let answer = victim.sign_in("/-/sign-in", "cleo", PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let fresh = victim.cookie("stoa").unwrap();
        assert_ne!(fresh, planted);
        let mut forger = world.browser();
        forger.cookies.push(("stoa".to_owned(), planted.to_owned()));
        assert_eq!(forger.get("/odata/Customers").await.status, 401);
        assert_eq!(victim.get("/odata/Customers").await.status, 200);
    }
    assert_eq!(attacker.get("/odata/Customers").await.status, 401);
}

/// After sign-out, after a change of password, after the user is kept out: what was known is worth nothing.
#[tokio::test]
async fn replay_of_what_has_ended() {
    for world in World::both().await {
        replay_of_what_has_ended_in(world).await;
    }
}

async fn replay_of_what_has_ended_in(world: World) {
    let mut browser = world.signed_in("cleo").await;
    let mut copy = browser.clone();
    assert_eq!(copy.get("/odata/Customers").await.status, 200);
    let answer = browser.form("/-/sign-out", &[]).await;
    assert!(matches!(answer.status, 200 | 303), "{}", answer.text());
    assert_eq!(browser.cookie("stoa"), None);
    assert_eq!(copy.get("/odata/Customers").await.status, 401);

    let mut copy = world.signed_in("cleo").await;
    world.run(
        &["user", "set-password", "cleo", "--password-stdin"],
        "another 58 column roof",
    );
    assert_eq!(copy.get("/odata/Customers").await.status, 401);
    let mut browser = world.browser();
    let answer = browser.sign_in("/-/sign-in", "cleo", PASSWORD).await;
    assert_ne!(answer.status, 303, "the old password");

    let token = world.token("cleo", &[]);
    let mut copy = world.browser();
    copy.sign_in("/-/sign-in", "cleo", "another 58 column roof")
        .await;
    assert_eq!(copy.get("/odata/Customers").await.status, 200);
    world.read(&token, "Customers", 200).await;
    world.run(&["user", "disable", "cleo"], "");
    assert_eq!(copy.get("/odata/Customers").await.status, 401);
    world.read(&token, "Customers", 401).await;
    world.run(&["user", "enable", "cleo"], "");
    assert_eq!(
        copy.get("/odata/Customers").await.status,
        401,
        "the session stays ended"
    );
    world.read(&token, "Customers", 200).await;

    let listed: serde_json::Value =
        serde_json::from_str(&world.run(&["token", "list", "--user", "cleo", "--json"], ""))
            .unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    world.run(&["token", "revoke", id], "");
    world.read(&token, "Customers", 401).await;
}

/// Sessions and what ended them survive the server.
#[tokio::test]
async fn a_restart_brings_nothing_back() {
    let world = World::new().await;
    let mut living = world.signed_in("cleo").await;
    let mut ended = world.signed_in("cleo").await;
    let mut copy = ended.clone();
    ended.form("/-/sign-out", &[]).await;
    let World {
        server,
        application,
        data,
        ..
    } = world;
    let address = server.address();
    server.stop().await.unwrap();
    let _server = Launch::new(application.path())
        .data(data.path())
        .listen(address)
        .start()
        .await
        .unwrap();
    assert_eq!(living.get("/odata/Customers").await.status, 200);
    assert_eq!(copy.get("/odata/Customers").await.status, 401);
}

#[tokio::test]
async fn a_link_works_once() {
    for world in World::both().await {
        a_link_works_once_in(world).await;
    }
}

async fn a_link_works_once_in(world: World) {
    let link = world.run(&["user", "link", "cleo"], "");
    let mut first = world.browser();
    // Looking is not using: mail programs look at links.
    let path = &link[link.find("/-/").unwrap()..];
    assert_eq!(first.get(path).await.status, 200);
    first.follow_link(&link).await.unwrap();
    assert_eq!(first.get("/odata/Customers").await.status, 200);
    let mut second = world.browser();
    assert!(second.follow_link(&link).await.is_err());
    assert_eq!(second.get("/odata/Customers").await.status, 401);
    // Neither a made-up one nor part of one.
    for wrong in [
        &path[..path.len() - 1],
        "/-/link/AAAA",
        "/-/link/",
        "/-/link/..%2f..%2f",
    ] {
        let answer = world.browser().get(wrong).await;
        assert!(
            matches!(answer.status, 303 | 400 | 404 | 410),
            "{wrong}: {}",
            answer.status
        );
        assert_eq!(
            answer
                .header("set-cookie")
                .filter(|cookie| cookie.starts_with("stoa=")),
            None
        );
    }
}

/// What is no token of ours opens nothing, and says nothing.
#[tokio::test]
async fn made_up_credentials() {
    let world = World::new().await;
    let token = world.token("cleo", &[]);
    let none = base64("{\"alg\":\"none\",\"typ\":\"JWT\"}");
    let claims = base64("{\"sub\":\"bill\",\"roles\":[\"Boss\"],\"exp\":99999999999}");
    let mut bent = token.clone().into_bytes();
    let last = bent.len() - 1;
    bent[last] = if bent[last] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent).unwrap();
    for value in [
        "Bearer ".to_owned(),
        "Bearer x".to_owned(),
        format!("Bearer {bent}"),
        format!("Bearer {}", &token[..token.len() - 1]),
        format!("Bearer {token}A"),
        format!("Bearer {}", token.to_uppercase()),
        format!("Bearer {none}.{claims}."),
        format!("Bearer {none}.{claims}.{claims}"),
        format!("Basic {}", base64(&format!("bill:{token}"))),
        format!("Basic {}", base64(&format!("cleo:{PASSWORD}"))),
        format!("Basic {}", base64("cleo:")),
        "Basic ".to_owned(),
        "Basic !!!".to_owned(),
        format!("Basic {}", base64("no colon")),
        "Digest username=\"bill\"".to_owned(),
        format!("Bearer {}", "x".repeat(20_000)),
    ] {
        let headers = [("Authorization", value.as_str())];
        let answer = world
            .client
            .send(Method::GET, "/odata/Customers", &headers, None)
            .await
            .unwrap();
        assert!(
            matches!(answer.status, 401 | 431),
            "{value:.60}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(!answer.text().contains(&token), "{value:.60}");
        if answer.status == 401 {
            assert!(answer.header("www-authenticate").is_some(), "{value:.60}");
        }
    }
    // The right one, both ways.
    for value in [
        format!("Bearer {token}"),
        format!("Basic {}", base64(&format!("cleo:{token}"))),
    ] {
        let headers = [("Authorization", value.as_str())];
        let answer = world
            .client
            .send(Method::GET, "/odata/Customers", &headers, None)
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// A page of another site makes the browser of somebody who is signed in send requests.
#[tokio::test]
async fn requests_forged_by_other_sites() {
    let world = World::new().await;
    let mut browser = world.signed_in("bill").await;
    let own = format!("/odata/Customers({})", world.own);
    let origin = browser.origin.clone();
    let lookalike = format!("{origin}.evil.example");
    let foreign: [&[(&str, &str)]; 7] = [
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://evil.example"),
        ],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", lookalike.as_str())],
        // No sign of where it comes from, and a cookie.
        &[],
    ];
    for headers in foreign {
        let body = json!({ "Limit": 0 }).to_string().into_bytes();
        for content_type in ["application/json", "text/plain"] {
            let mut all = headers.to_vec();
            all.push(("If-Match", "*"));
            let answer = browser
                .send(
                    Method::PATCH,
                    &own,
                    &all,
                    Some((content_type, body.clone())),
                )
                .await;
            assert!(
                matches!(answer.status, 403 | 415),
                "{headers:?}: {} {}",
                answer.status,
                answer.text()
            );
        }
        let mut all = headers.to_vec();
        all.push(("If-Match", "*"));
        let answer = browser.send(Method::DELETE, &own, &all, None).await;
        assert_eq!(answer.status, 403, "{headers:?}: {}", answer.text());
        // Forms of the product's own pages: a token of somebody else's session does not help.
        let mut attacker = world.signed_in("cleo").await;
        let token = hidden_token(&attacker.get("/-/account").await.text()).unwrap();
        let answer = browser
            .bare_form(
                "/-/account/sessions",
                &[("token", &token), ("others", "yes")],
                headers,
            )
            .await;
        assert!(
            matches!(answer.status, 400 | 403),
            "{headers:?}: {} {}",
            answer.status,
            answer.text()
        );
        if !headers.is_empty() {
            let answer = browser
                .bare_form("/-/sign-out", &[("token", &token)], headers)
                .await;
            assert!(
                matches!(answer.status, 400 | 403),
                "{headers:?}: {}",
                answer.status
            );
        }
    }
    assert_eq!(
        world.read(&world.boss, &own["/odata/".len()..], 200).await["Limit"],
        700
    );
    // The page of this site may.
    let answer = browser
        .json(Method::PATCH, &own, &json!({ "Limit": 1 }))
        .await;
    assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
    // Reading from another site: the answer is none that its page may look at.
    let read = browser
        .send(
            Method::GET,
            &own,
            &[
                ("Origin", "https://evil.example"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            None,
        )
        .await;
    assert_eq!(read.header("access-control-allow-origin"), None);
    let preflight = browser
        .send(
            Method::OPTIONS,
            &own,
            &[
                ("Origin", "https://evil.example"),
                ("Access-Control-Request-Method", "DELETE"),
            ],
            None,
        )
        .await;
    assert_eq!(preflight.header("access-control-allow-origin"), None);
}

/// Somebody else's sign-in form pushed onto a victim (login CSRF).
#[tokio::test]
async fn sign_in_by_another_site() {
    let world = World::new().await;
    let mut attacker = world.browser();
    let token = hidden_token(&attacker.get("/-/sign-in").await.text()).unwrap();
    let mut victim = world.browser();
    victim.get("/-/sign-in").await;
    let fields = [
        ("token", token.as_str()),
        ("name", "cleo"),
        ("password", PASSWORD),
    ];
    for headers in [
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "https://evil.example"),
        ][..],
        &[("Sec-Fetch-Site", "same-origin")],
    ] {
        let answer = victim.bare_form("/-/sign-in", &fields, headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(victim.cookie("stoa"), None);
    }
}

/// After the sign-in the browser stays here.
#[tokio::test]
async fn open_redirects() {
    let world = World::new().await;
    for target in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%2f/evil.example",
        "/%5cevil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/%0d%0aSet-Cookie:%20a=b",
        " //evil.example",
        "http:evil.example",
        "/.//evil.example",
    ] {
        let mut browser = world.browser();
        let page = format!("/-/sign-in?return={}", encoded(target));
        let form = browser.get(&page).await.text();
        let token = hidden_token(&form).unwrap();
        assert!(
            !form.contains("href=\"//") && !form.contains("href=\"javascript"),
            "{target}"
        );
        let fields = [
            ("token", token.as_str()),
            ("return", target),
            ("name", "cleo"),
            ("password", PASSWORD),
        ];
        let answer = browser
            .bare_form("/-/sign-in", &fields, &[("Sec-Fetch-Site", "same-origin")])
            .await;
        assert_eq!(answer.status, 303, "{target}: {}", answer.text());
        let location = answer.header("location").unwrap();
        assert_eq!(location, "/", "{target}");
    }
}

/// Cookies are out of reach of scripts, other sites and other hosts.
#[tokio::test]
async fn cookies_are_guarded() {
    let world = World::new().await;
    let mut browser = world.browser();
    let answer = browser.sign_in("/-/sign-in", "cleo", PASSWORD).await;
    let cookie = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .find(|value| value.starts_with("stoa="))
        .unwrap();
    for part in ["Path=/", "HttpOnly", "SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    // 256 bits.
    assert!(browser.cookie("stoa").unwrap().len() >= 43, "{cookie}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut bits = 0_u32;
        for position in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(position).copied().unwrap_or_default());
        }
        for position in 0..4 {
            if position <= chunk.len() {
                out.push(char::from(
                    DIGITS[(bits >> (18 - 6 * position) & 63) as usize],
                ));
            } else {
                out.push('=');
            }
        }
    }
    out
}
