//! Requests that two servers could read in two ways (RFC 9112 §11.2), and headers that claim things.

use std::sync::Arc;

use stoa_web::forwarded::{ForwardedBy, Trust};
use stoa_web::rate_limit::{self, RateLimit};
use stoa_web::server::Config;

use crate::world::{plain, serve};

/// What follows a request that is refused must not be read as a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n")
}

fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[tokio::test]
async fn what_has_two_readings_is_refused_and_ends_the_connection() {
    let world = plain(Config::default());
    for (what, request, status) in [
        (
            "two lengths",
            post("Content-Length: 3\r\nContent-Length: 4\r\n") + "abcd",
            400,
        ),
        (
            "a list of lengths",
            post("Content-Length: 3, 3\r\n") + "abc",
            400,
        ),
        (
            "a signed length",
            post("Content-Length: +3\r\n") + "abc",
            400,
        ),
        ("a negative length", post("Content-Length: -1\r\n"), 400),
        (
            "a hexadecimal length",
            post("Content-Length: 0x3\r\n") + "abc",
            400,
        ),
        (
            "a huge length",
            post("Content-Length: 99999999999999999999\r\n"),
            400,
        ),
        (
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
            400,
        ),
        (
            "chunked, chunked",
            post("Transfer-Encoding: chunked, chunked\r\n") + "0\r\n\r\n",
            501,
        ),
        (
            "another coding",
            post("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n",
            501,
        ),
        (
            "a word like chunked",
            post("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n",
            400,
        ),
        (
            "chunked not last",
            post("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n",
            400,
        ),
        (
            "chunked in quotes",
            post("Transfer-Encoding: \"chunked\"\r\n") + "0\r\n\r\n",
            400,
        ),
        (
            "a space before the colon",
            post("Content-Length : 3\r\n") + "abc",
            400,
        ),
        (
            "a space before the coding's colon",
            post("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n",
            400,
        ),
        ("a folded header", post("X: a\r\n b\r\n"), 400),
        (
            "a folded coding",
            post("Transfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n",
            400,
        ),
        ("a space at first", get(" Host: a\r\n"), 400),
        (
            "a bare CR in a header",
            get("Host: a\r\nX: a\rY: b\r\n"),
            400,
        ),
        ("a NUL in a header", get("Host: a\r\nX: a\0b\r\n"), 400),
        ("a NUL in a name", get("Host: a\r\nX\0: b\r\n"), 400),
        (
            "a control character in a header",
            get("Host: a\r\nX: \u{1}\r\n"),
            400,
        ),
        (
            "a line without a colon",
            get("Host: a\r\nnonsense\r\n"),
            400,
        ),
        ("an empty name", get("Host: a\r\n: b\r\n"), 400),
        ("no host", get("Accept: */*\r\n"), 400),
        ("an empty host", get("Host:\r\n"), 400),
        ("two hosts", get("Host: a\r\nHost: b\r\n"), 400),
        ("the same host twice", get("Host: a\r\nHost: a\r\n"), 400),
        ("a list of hosts", get("Host: a, b\r\n"), 400),
        ("a host with a path", get("Host: a/b\r\n"), 400),
        ("a host with a user", get("Host: user@a\r\n"), 400),
        (
            "a target with a user",
            "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "a tunnel",
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            501,
        ),
        ("an echo", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 501),
        ("a star", "GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (
            "a target without a slash",
            "GET x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "a space in the target",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "an unknown version",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        (
            "a version of tomorrow",
            "GET / HTTP/3.0\r\nHost: a\r\n\r\n".into(),
            400,
        ),
        ("the version of 1991", "GET /\r\n".into(), 400),
        (
            "chunked in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
            400,
        ),
        ("a miracle", get("Host: a\r\nExpect: miracles\r\n"), 417),
    ] {
        let answer = world.exchange(request + SMUGGLED).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{what}: {answer}"
        );
        assert!(!answer.contains("/smuggled"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
    }
    // HTTP/2 without TLS is not even answered.
    let preface = format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SMUGGLED}");
    assert_eq!(world.exchange(preface).await, "");
    world.is_well().await;
}

/// The body ends the connection: the answer of a handler that has read it in part may have begun.
#[tokio::test]
async fn chunks_that_are_none_end_the_connection() {
    let world = plain(Config::default());
    for (what, chunks) in [
        ("a size that is none", "x\r\nabc\r\n0\r\n\r\n"),
        ("a negative size", "-1\r\nabc\r\n0\r\n\r\n"),
        ("a prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
        (
            "a size without end",
            "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ),
        ("a bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("a bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
        ("a bare LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "3\r\nabcd\r\n0\r\n\r\n"),
        ("no size", "\r\nabc\r\n0\r\n\r\n"),
    ] {
        let request = post("Transfer-Encoding: chunked\r\n") + chunks + SMUGGLED;
        let answer = world.exchange(request).await;
        assert!(!answer.contains("/smuggled"), "{what}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{what}: {answer}");
    }
    let endless = post("Transfer-Encoding: chunked\r\n") + "3;" + &"a".repeat(1 << 20);
    let answer = world.exchange(endless).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    world.is_well().await;
}

#[tokio::test]
async fn what_has_one_reading_is_served() {
    let world = plain(Config::default());
    let chunked = "3;name=\"value\"\r\nabc\r\n0\r\nTrailer: x\r\n\r\n";
    let close = "Connection: close\r\n";
    for (what, request, expected) in [
        (
            "the same length twice",
            post(&format!(
                "{close}Content-Length: 3\r\nContent-Length: 3\r\n"
            )) + "abc",
            "|body abc.",
        ),
        (
            "extensions of chunks",
            post(&format!("{close}Transfer-Encoding: chunked\r\n")) + chunked,
            "|body abc.",
        ),
        // RFC 9112 §6.1: chunked counts, and the connection ends. The length is gone for whoever is behind.
        (
            "chunked after a length",
            post("Content-Length: 99\r\nTransfer-Encoding: chunked\r\n") + chunked + SMUGGLED,
            "POST /|host: a|transfer-encoding: chunked|client 127.0.0.1 http|body abc.",
        ),
        (
            "a length after chunked",
            post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + chunked + SMUGGLED,
            "POST /|host: a|transfer-encoding: chunked|client 127.0.0.1 http|body abc.",
        ),
        // RFC 9112 §3.2.2: the target counts.
        (
            "a target with another host",
            format!("GET http://b:81/x HTTP/1.1\r\nHost: a\r\n{close}\r\n"),
            "GET /x|host: b:81|",
        ),
        (
            "no host in HTTP/1.0",
            "GET /x HTTP/1.0\r\n\r\n".into(),
            "GET /x|client",
        ),
        // RFC 9112 §2.2 allows it, and nothing that follows takes it for anything else.
        (
            "bare LF",
            format!(
                "GET /x HTTP/1.1\nHost: a\n{}\n",
                close.trim_end_matches("\r\n").to_owned() + "\n"
            ),
            "GET /x|host: a|",
        ),
    ] {
        let answer = world.exchange(request).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(answer.contains(" 200 OK"), "{what}: {answer}");
        assert!(body.contains(expected), "{what}: {answer}");
        assert!(!answer.contains("/smuggled"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn oversized_everything() {
    let world = plain(Config {
        header_bytes: 16 * 1024,
        body_bytes: 1000,
        headers: 50,
        ..Config::default()
    });
    for (what, request, statuses) in [
        (
            "a long header",
            get(&format!("Host: a\r\nX: {}\r\n", "y".repeat(20_000))),
            &["431"][..],
        ),
        (
            "a long name",
            get(&format!("Host: a\r\n{}: y\r\n", "x".repeat(20_000))),
            &["431"],
        ),
        (
            "many headers",
            get(&format!("Host: a\r\n{}", "a: b\r\n".repeat(60))),
            &["431"],
        ),
        (
            "a great many headers",
            get(&format!("Host: a\r\n{}", "a: b\r\n".repeat(2000))),
            &["431"],
        ),
        (
            "a long target",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(20_000)),
            &["414", "431"],
        ),
        (
            "a target without end",
            format!("GET /{}", "y".repeat(1 << 20)),
            &["414", "431"],
        ),
        (
            "a method without end",
            "G".repeat(1 << 20),
            &["400", "414", "431"],
        ),
        (
            "a header without end",
            format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1 << 20)),
            &["431"],
        ),
        ("a long body", post("Content-Length: 1001\r\n"), &["413"]),
    ] {
        let answer = world.exchange(request).await;
        assert!(
            statuses
                .iter()
                .any(|status| answer.starts_with(&format!("HTTP/1.1 {status} "))),
            "{what}: {answer}"
        );
    }
    let allowed = post("Connection: close\r\nContent-Length: 1000\r\n") + &"x".repeat(1000);
    assert!(world.exchange(allowed).await.starts_with("HTTP/1.1 200"));
}

const CLAIMS: &str = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: b\r\nForwarded: for=192.0.2.2;proto=https;host=c\r\n";

#[tokio::test]
async fn claims_are_believed_of_proxies_only() {
    let ask = get(&format!("Host: a\r\nConnection: close\r\n{CLAIMS}"));
    let answer = plain(Config::default()).exchange(&ask).await;
    assert!(answer.contains("|host: a|"), "{answer}");
    assert!(answer.contains("|client 127.0.0.1 http|"), "{answer}");
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let trusting = Config {
        trust: Arc::new(Trust::networks(networks, ForwardedBy::XForwarded)),
        ..Config::default()
    };
    let answer = plain(trusting).exchange(&ask).await;
    assert!(answer.contains("|host: b|"), "{answer}");
    assert!(answer.contains("|client 192.0.2.1 https|"), "{answer}");
}

#[tokio::test]
async fn the_proxy_protocol_is_for_proxies_only() {
    let line = "PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n";
    let ask = get("Host: a\r\nConnection: close\r\n");
    let with = |network: &str| Config {
        trust: Arc::new(Trust::networks(
            vec![network.parse().unwrap()],
            ForwardedBy::XForwarded,
        )),
        ..Config::default()
    };
    let proxied = |network| {
        serve(
            stoa_web::server::Listener::with_proxy_protocol,
            with(network),
        )
    };
    let world = proxied("127.0.0.0/8");
    let answer = world.exchange(format!("{line}{ask}")).await;
    assert!(answer.contains("|client 192.0.2.1 http|"), "{answer}");
    // The client behind the proxy is not itself a proxy.
    let claims = get(&format!("Host: a\r\nConnection: close\r\n{CLAIMS}"));
    let answer = world.exchange(format!("{line}{claims}")).await;
    assert!(answer.contains("|client 192.0.2.1 http|"), "{answer}");
    // A proxy that says nothing cannot be served: the next one could say it for somebody else.
    assert_eq!(world.exchange(&ask).await, "");

    let world = proxied("10.0.0.0/8");
    let answer = world.exchange(format!("{line}{ask}")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer = world.exchange(&ask).await;
    assert!(answer.contains("|client 127.0.0.1 http|"), "{answer}");
}

#[tokio::test]
async fn too_many_requests() {
    let world = plain(Config {
        rate_limit: Some(Arc::new(RateLimit::new(rate_limit::Config {
            requests_per_second: 0.01,
            burst: 3,
        }))),
        ..Config::default()
    });
    let close = get("Host: a\r\nConnection: close\r\n");
    let answer = world.exchange(get("Host: a\r\n").repeat(4) + &close).await;
    assert_eq!(answer.matches(" 200 OK").count(), 3, "{answer}");
    assert_eq!(answer.matches(" 429 Too Many").count(), 2, "{answer}");
    assert!(answer.contains("\r\nretry-after: 1"), "{answer}");
}
