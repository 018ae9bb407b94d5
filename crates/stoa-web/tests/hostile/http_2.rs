//! Abuse of HTTP/2, and requests that would be something else in HTTP/1.1.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use stoa_web::server::{Config, Drained};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{LARGE, PATIENCE, TlsStream, World, secure, send};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        bytes.push(u8::try_from(length).unwrap());
    } else {
        bytes.push(127);
        length -= 127;
        while length >= 128 {
            bytes.push(u8::try_from(length % 128).unwrap() | 128);
            length /= 128;
        }
        bytes.push(u8::try_from(length).unwrap());
    }
    bytes.extend(text);
}

/// Fields, each as it is.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name.as_bytes());
        text(&mut bytes, value.as_bytes());
    }
    bytes
}

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "a.example"),
    (":path", "/x"),
];

/// The preface, and settings.
async fn open(world: &World, settings: &[(u16, u32)]) -> TlsStream {
    let mut stream = world.connect_tls("h2").await;
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    let mut start = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    start.extend(frame(SETTINGS, 0, 0, &payload));
    send(&mut stream, start).await;
    stream
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn code(&self) -> u32 {
        let place = if self.kind == GO_AWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[place..place + 4].try_into().unwrap())
    }
}

/// The next frame; none at the end.
async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    let reading = async {
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("a frame in time")
}

/// Skips to the first frame that tells what became of a stream, or of the connection.
async fn outcome(stream: &mut TlsStream, number: u32) -> Option<Frame> {
    loop {
        let frame = next(stream).await?;
        if frame.kind == GO_AWAY
            || (frame.stream == number && matches!(frame.kind, HEADERS | RESET))
        {
            return Some(frame);
        }
    }
}

/// A well-behaved client.
async fn client(world: &World) -> h2::client::SendRequest<Bytes> {
    let stream = world.connect_tls("h2").await;
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask(client: &mut h2::client::SendRequest<Bytes>, path: &str) -> (StatusCode, Bytes) {
    let request = Request::get(format!("https://a.example{path}"))
        .body(())
        .unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let response: Response<h2::RecvStream> = response.await.unwrap();
    let status = response.status();
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all.extend(data);
    }
    (status, all.into())
}

async fn is_well(world: &World) {
    let (status, body) = ask(&mut client(world).await, "/well").await;
    assert_eq!(status, 200);
    assert!(body.starts_with(b"GET /well|host: a.example|client 127.0.0.1 https"));
}

#[tokio::test]
async fn one_form_for_both_versions() {
    let world = secure(Config::default());
    let mut client = client(&world).await;
    let (_, body) = ask(&mut client, "/x?y").await;
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(body.starts_with("GET /x?y|host: a.example|"), "{body}");
    let (status, body) = ask(&mut client, "/large").await;
    assert_eq!((status.as_u16(), body.len()), (200, LARGE));
}

#[tokio::test]
async fn what_would_be_another_request_in_http_1_is_refused() {
    let world = secure(Config::default());
    let with = |name, value| [&GET[..], &[(name, value)]].concat();
    let without = |name: &str| -> Vec<(&str, &str)> {
        GET.into_iter()
            .filter(|(field, _)| *field != name)
            .collect()
    };
    let changed = |name: &'static str, value: &'static str| -> Vec<(&str, &str)> {
        GET.into_iter()
            .map(|(field, was)| (field, if field == name { value } else { was }))
            .collect()
    };
    for (what, fields) in [
        ("CR LF in a value", with("x", "a\r\nhost: b")),
        ("LF in a value", with("x", "a\nb")),
        ("NUL in a value", with("x", "a\0b")),
        ("CR LF in a name", with("x\r\ny", "a")),
        ("a colon in a name", with("x:y", "a")),
        ("a space in a name", with("x y", "a")),
        ("an empty name", with("", "a")),
        ("upper case", with("X", "a")),
        ("connection", with("connection", "close")),
        ("keep-alive", with("keep-alive", "1")),
        ("proxy-connection", with("proxy-connection", "close")),
        ("transfer-encoding", with("transfer-encoding", "chunked")),
        ("upgrade", with("upgrade", "h2c")),
        ("te", with("te", "chunked")),
        (
            "CR LF in the path",
            changed(":path", "/x HTTP/1.1\r\nhost: b\r\n\r\n"),
        ),
        ("a space in the path", changed(":path", "/x y")),
        ("no slash in the path", changed(":path", "x")),
        ("an empty path", changed(":path", "")),
        (
            "a space in the method",
            changed(":method", "GET / HTTP/1.1\r\n"),
        ),
        ("a tunnel", changed(":method", "CONNECT")),
        ("an echo", changed(":method", "TRACE")),
        (
            "an authority with a user",
            changed(":authority", "user@a.example"),
        ),
        (
            "an authority that is none",
            changed(":authority", "a example"),
        ),
        ("another host", with("host", "b.example")),
        (
            "two hosts",
            [&GET[..], &[("host", "a.example"), ("host", "a.example")]].concat(),
        ),
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
        ("no host", without(":authority")),
        ("two paths", with(":path", "/y")),
        (
            "a pseudo field after others",
            [&[("x", "y")][..], &GET[..]].concat(),
        ),
        (
            "an unknown pseudo field",
            [&[(":x", "y")][..], &GET[..]].concat(),
        ),
        (
            "a pseudo field of answers",
            [&[(":status", "200")][..], &GET[..]].concat(),
        ),
        ("a length without a body", with("content-length", "5")),
    ] {
        let mut stream = open(&world, &[]).await;
        let headers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields));
        send(&mut stream, headers).await;
        match outcome(&mut stream, 1).await {
            // 200 is one byte.
            Some(answer) if answer.kind == HEADERS => {
                assert_ne!(answer.payload[0], 0x88, "{what}");
            }
            Some(refusal) => assert_eq!(refusal.code(), PROTOCOL_ERROR, "{what}"),
            None => panic!("{what}: closed without a word"),
        }
    }
    is_well(&world).await;
}

#[tokio::test]
async fn a_body_of_another_length_than_announced() {
    let world = secure(Config::default());
    for body in ["ab", "abcd"] {
        let mut stream = open(&world, &[]).await;
        let mut fields = GET.to_vec();
        fields[0].1 = "POST";
        fields.push(("content-length", "3"));
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        bytes.extend(frame(DATA, END_STREAM, 1, body.as_bytes()));
        send(&mut stream, bytes).await;
        let outcome = outcome(&mut stream, 1).await.unwrap();
        let is_refused = outcome.kind == RESET || outcome.payload[0] != 0x88;
        assert!(is_refused, "{body}: {outcome:?}");
    }
    is_well(&world).await;
}

/// Writes until the server has enough of it; returns the reason that it gives.
async fn until_ended(stream: TlsStream, chunk: Vec<u8>, most: usize) -> Option<u32> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = tokio::spawn(async move {
        for _ in 0..most {
            if writer.write_all(&chunk).await.is_err() {
                return true;
            }
        }
        let _ = writer.flush().await;
        false
    });
    let mut reason = None;
    while let Some(frame) = next(&mut reader).await {
        if frame.kind == GO_AWAY && frame.code() != 0 {
            reason = Some(frame.code());
            break;
        }
    }
    writing.abort();
    reason
}

#[tokio::test]
async fn rapid_reset() {
    let world = secure(Config::default());
    let mut stream = open(&world, &[]).await;
    let mut ended = None;
    let fields = block(&GET);
    // Each batch is one write, so that streams end before they are served.
    for batch in 0..200u32 {
        let mut bytes = Vec::new();
        for number in 0..100u32 {
            let number = 2 * (batch * 100 + number) + 1;
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, number, &fields));
            bytes.extend(frame(RESET, 0, number, &CANCEL.to_be_bytes()));
        }
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            break;
        }
    }
    while let Some(frame) = next(&mut stream).await {
        if frame.kind == GO_AWAY {
            ended = Some(frame.code());
            break;
        }
    }
    assert_eq!(ended, Some(ENHANCE_YOUR_CALM));
    is_well(&world).await;
}

#[tokio::test]
async fn a_flood_of_continuations() {
    let world = secure(Config::default());
    let mut stream = open(&world, &[]).await;
    send(&mut stream, frame(HEADERS, END_STREAM, 1, &block(&GET))).await;
    let more = frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(1000))]));
    let reason = until_ended(stream, more, 100_000).await;
    assert!(reason.is_some());
    // Empty ones cost nothing to send.
    let mut stream = open(&world, &[]).await;
    send(&mut stream, frame(HEADERS, END_STREAM, 1, &block(&GET))).await;
    let reason = until_ended(stream, frame(CONTINUATION, 0, 1, &[]), 1_000_000).await;
    assert!(reason.is_some());
    is_well(&world).await;
}

/// A field of 4 KB goes into the table once; each byte after that stands for all of it.
#[tokio::test]
async fn a_bomb_of_references() {
    let world = secure(Config::default());
    let mut stream = open(&world, &[]).await;
    let mut fields = block(&GET);
    fields.push(0x40);
    text(&mut fields, b"x");
    text(&mut fields, &[b'y'; 4000]);
    // The first of the dynamic table.
    fields.extend([0x80 | 62; 12_000]);
    assert!(fields.len() < 16_384 + 1000);
    let (first, rest) = fields.split_at(16_000);
    let mut bytes = frame(HEADERS, END_STREAM, 1, first);
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
    send(&mut stream, bytes).await;
    let outcome = outcome(&mut stream, 1).await.unwrap();
    let is_served = outcome.kind == HEADERS && outcome.payload[0] == 0x88;
    assert!(!is_served, "{outcome:?}");
    is_well(&world).await;
}

#[tokio::test]
async fn many_and_large_headers() {
    let world = secure(Config {
        headers: 50,
        header_bytes: 8 * 1024,
        ..Config::default()
    });
    let mut client = client(&world).await;
    for (count, length) in [(60, 1), (1, 10_000)] {
        let mut request = Request::get("https://a.example/");
        for number in 0..count {
            request = request.header(format!("x-{number}"), "y".repeat(length));
        }
        let (response, _) = client
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        assert_eq!(response.await.unwrap().status(), 431, "{count} {length}");
    }
    is_well(&world).await;
}

/// The window of one stream stays shut; the other streams of the connection go on.
#[tokio::test]
async fn a_stream_that_takes_nothing_is_ended_alone() {
    let world = secure(Config {
        stall_timeout: Duration::from_millis(200),
        ..Config::default()
    });
    for window in [0, 1, 1000] {
        let mut stream = open(&world, &[(4, window)]).await;
        let mut fields = GET.to_vec();
        fields[3].1 = "/large";
        send(
            &mut stream,
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)),
        )
        .await;
        let reset = loop {
            let frame = next(&mut stream).await.expect("the stream is reset");
            if frame.stream == 1 && frame.kind == RESET {
                break frame;
            }
        };
        assert_eq!(reset.code(), CANCEL, "{window}");
        // Room for one small answer.
        send(
            &mut stream,
            frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&GET)),
        )
        .await;
        send(
            &mut stream,
            frame(WINDOW_UPDATE, 0, 3, &1000u32.to_be_bytes()),
        )
        .await;
        let answer = outcome(&mut stream, 3).await.unwrap();
        assert_eq!(
            (answer.kind, answer.payload[0]),
            (HEADERS, 0x88),
            "{window}"
        );
    }
    assert!(world.traffic.streams_ended.load(Ordering::Relaxed) >= 2);
    is_well(&world).await;
}

/// Whoever asks for answers and does not read them is cut off, and costs no memory meanwhile.
#[tokio::test]
async fn floods_of_frames_that_want_an_answer() {
    let world = secure(Config {
        stall_timeout: Duration::from_millis(300),
        ..Config::default()
    });
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
    ] {
        let mut stream = open(&world, &[]).await;
        let many = flood.repeat(10_000);
        let ended = tokio::time::timeout(PATIENCE, async {
            while stream.write_all(&many).await.is_ok() {}
        });
        assert!(ended.await.is_ok());
    }
    world.until_open(0).await;
    is_well(&world).await;
}

#[tokio::test]
async fn frames_that_break_the_rules() {
    let world = secure(Config::default());
    for (what, bytes) in [
        (
            "a frame longer than allowed",
            frame(DATA, 0, 1, &[0; 20_000]),
        ),
        ("data of no stream", frame(DATA, 0, 0, b"x")),
        (
            "headers of a stream of the server",
            frame(HEADERS, END_HEADERS, 2, &block(&GET)),
        ),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[])),
        ("a short ping", frame(PING, 0, 0, &[0; 7])),
        (
            "a window of too much",
            frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes()),
        ),
        ("a window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        (
            "a continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
        ),
        (
            "fields that are none",
            frame(HEADERS, END_HEADERS, 1, &[0xff; 100]),
        ),
        ("a push", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
    ] {
        let mut stream = open(&world, &[]).await;
        send(&mut stream, bytes).await;
        let reason = loop {
            match next(&mut stream).await {
                Some(frame) if frame.kind == GO_AWAY => break Some(frame.code()),
                Some(_) => {}
                None => break None,
            }
        };
        assert!(reason.is_some_and(|code| code != 0), "{what}: {reason:?}");
    }
    is_well(&world).await;
}

#[tokio::test]
async fn idle_and_silent_connections_are_ended() {
    let world = secure(Config {
        idle_timeout: Duration::from_millis(300),
        ..Config::default()
    });
    // Pings are no requests.
    let mut stream = open(&world, &[]).await;
    let half = frame(HEADERS, 0, 1, &block(&GET));
    let mut silent = open(&world, &[]).await;
    send(&mut silent, half).await;
    let mut goodbye = false;
    let mut pings = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if stream.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_err()
            || stream.flush().await.is_err()
        {
            break;
        }
        pings += 1;
        match next(&mut stream).await {
            Some(frame) => goodbye |= frame.kind == GO_AWAY,
            None => break,
        }
        assert!(pings < 1000);
    }
    assert!(goodbye);
    drop(stream);
    while next(&mut silent).await.is_some() {}
    world.until_open(0).await;
}

#[tokio::test]
async fn drains() {
    let world = secure(Config::default());
    let mut client = client(&world).await;
    let request = Request::post("https://a.example/x").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    world
        .until("a request", |traffic| {
            traffic.connections_open.load(Ordering::Relaxed) == 1
        })
        .await;
    // The request must have arrived: another one, answered, proves it.
    ask(&mut client, "/y").await;
    world.shutdown.cancel();
    body.send_data(Bytes::from_static(b"late"), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let mut answer = response.into_body();
    let mut all = Vec::new();
    while let Some(data) = answer.data().await {
        all.extend(data.unwrap());
    }
    assert!(all.ends_with(b"|body late."));
    drop(answer);
    assert_eq!(world.server.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let world = secure(Config {
        drain_timeout: Duration::from_millis(100),
        ..Config::default()
    });
    let mut client = client(&world).await;
    let request = Request::get("https://a.example/never").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    ask(&mut client, "/y").await;
    world.shutdown.cancel();
    assert_eq!(world.server.await.unwrap(), Drained { cut: 1 });
    assert!(response.await.is_err());
}
