//! Below HTTP: handshakes that are none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stoa_web::server::Config;

use crate::world::{World, read_all, read_to, secure, send};

async fn is_well(world: &World) {
    let mut stream = world.connect_tls("http/1.1").await;
    send(&mut stream, "GET /well HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = read_to(&mut stream, "|body .").await;
    assert!(answer.contains("|client 127.0.0.1 https|"), "{answer}");
}

/// A record of a handshake with a greeting in it. `version`: what the client knows at best.
fn hello(version: [u8; 2], name: &[u8]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    // No session, one suite that every old server knows, no compression.
    body.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut entry = vec![0];
    entry.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
    entry.extend(name);
    let mut extension = u16::try_from(entry.len()).unwrap().to_be_bytes().to_vec();
    extension.extend(entry);
    let mut extensions = vec![0, 0];
    extensions.extend(u16::try_from(extension.len()).unwrap().to_be_bytes());
    extensions.extend(extension);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

#[tokio::test]
async fn greetings_that_are_refused() {
    let world = secure(Config::default());
    let greetings = [
        ("garbage", vec![0xa5; 300]),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("SSL 2", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
        ("SSL 3", hello([3, 0], b"a.example")),
        ("TLS 1.0", hello([3, 1], b"a.example")),
        ("TLS 1.1", hello([3, 2], b"a.example")),
        ("an old suite only", hello([3, 3], b"a.example")),
        ("an endless name", hello([3, 3], &[b'a'; 15_000])),
        ("a name that is none", hello([3, 3], b"\0/../ \xff")),
        (
            "a record too long",
            [&[0x16, 3, 1, 0xff, 0xff][..], &[0; 70_000]].concat(),
        ),
        ("an alert", vec![0x15, 3, 3, 0, 2, 2, 40]),
        ("data before a greeting", vec![0x17, 3, 3, 0, 1, 0]),
    ];
    for (place, (what, bytes)) in greetings.into_iter().enumerate() {
        let answer = world.exchange(bytes).await;
        // An alert at most: nothing of a session.
        assert!(answer.len() <= 14, "{what}: {answer:?}");
        world
            .until(what, |traffic| {
                traffic.handshakes_failed.load(Ordering::Relaxed) == place as u64 + 1
            })
            .await;
    }
    is_well(&world).await;
}

#[tokio::test]
async fn half_a_handshake() {
    let world = secure(Config {
        handshake_timeout: Duration::from_millis(200),
        ..Config::default()
    });
    let mut silent = world.connect().await;
    let mut half = world.connect().await;
    let greeting = hello([3, 3], b"a.example");
    send(&mut half, &greeting[..greeting.len() / 2]).await;
    assert_eq!(read_all(&mut silent).await, "");
    assert_eq!(read_all(&mut half).await, "");
    world.until_open(0).await;
    assert_eq!(world.traffic.connections_ended.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn many_half_handshakes_leave_room_for_others() {
    let world = secure(Config {
        handshakes: 20,
        ..Config::default()
    });
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(world.connect().await);
    }
    is_well(&world).await;
    world
        .until("bounded", |traffic| {
            traffic.connections_open.load(Ordering::Relaxed) <= 21
        })
        .await;
}
