//! Clients that keep what they have, and send and take as little as they can.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stoa_web::server::{Config, Drained};
use tokio::io::AsyncReadExt as _;

use crate::world::{World, plain, read_all, read_to, secure, send};

/// Short limits.
fn brief() -> Config {
    Config {
        handshake_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        stall_timeout: Duration::from_millis(200),
        ..Config::default()
    }
}

#[tokio::test]
async fn headers_that_trickle() {
    let world = plain(brief());
    let mut stream = world.connect().await;
    let mut sent = 0;
    send(&mut stream, "GET / HTTP/1.1\r\nHost: a\r\n").await;
    // A byte at a time does not make the limit begin anew.
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            use tokio::io::AsyncWriteExt as _;
            if stream.write_all(b"X").await.is_err() {
                break;
            }
            sent += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(ended.await.is_ok());
    assert!(sent > 2, "{sent}");
    world.until_open(0).await;
}

#[tokio::test]
async fn a_body_that_does_not_come() {
    let world = plain(brief());
    let answer = world
        .exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = world
        .exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_not_taken() {
    for protocol in ["http/1.1", "h2"] {
        let world = secure(brief());
        let mut stream = world.connect_tls(protocol).await;
        if protocol == "h2" {
            // A window for everything, but nobody who reads.
            let (mut client, connection) = h2::client::Builder::new()
                .initial_window_size(1 << 30)
                .initial_connection_window_size(1 << 30)
                .handshake::<_, bytes::Bytes>(stream)
                .await
                .unwrap();
            let request = http::Request::get("https://a.example/large")
                .body(())
                .unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            let mut connection = Box::pin(connection);
            tokio::select! {
                _ = &mut connection => {}
                response = response => { response.unwrap(); }
            }
            world.until_open(0).await;
            drop(connection);
        } else {
            send(&mut stream, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
            world.until_open(0).await;
        }
        let ended = world.traffic.connections_ended.load(Ordering::Relaxed);
        assert_eq!(ended, 1, "{protocol}");
    }
}

#[tokio::test]
async fn upgraded_connections_are_counted_and_cut() {
    let world = secure(Config {
        drain_timeout: Duration::from_millis(100),
        ..brief()
    });
    let mut stream = world.connect_tls("http/1.1").await;
    send(
        &mut stream,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    )
    .await;
    let answer = read_to(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    send(&mut stream, "hello").await;
    assert_eq!(read_to(&mut stream, "hello").await, "hello");
    // Silence is no reason to end it: longer than any limit.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    send(&mut stream, "again").await;
    assert_eq!(read_to(&mut stream, "again").await, "again");
    assert_eq!(world.traffic.connections_open.load(Ordering::Relaxed), 1);
    world.shutdown.cancel();
    assert_eq!(world.server.await.unwrap(), Drained { cut: 1 });
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(world.traffic.connections_open.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_upgraded_connection_whose_client_takes_nothing_is_cut() {
    let world = plain(brief());
    let mut stream = world.connect().await;
    send(
        &mut stream,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
    )
    .await;
    read_to(&mut stream, "\r\n\r\n").await;
    let (mut reader, mut writer) = stream.split();
    let flood = vec![b'x'; 1 << 20];
    loop {
        use tokio::io::AsyncWriteExt as _;
        if writer.write_all(&flood).await.is_err() {
            break;
        }
    }
    world.until_open(0).await;
    let mut taken = Vec::new();
    let _ = reader.read_to_end(&mut taken).await;
}

fn resident_kibibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Kibibytes of server and client together for each idle connection, each after a request.
async fn cost_of_idle(world: &World, count: usize, protocol: Option<&str>) -> f64 {
    let before = resident_kibibytes();
    let ask = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut plain = Vec::new();
    let mut secure = Vec::new();
    for _ in 0..count {
        match protocol {
            None => {
                let mut stream = world.connect().await;
                send(&mut stream, ask).await;
                read_to(&mut stream, "|body .").await;
                plain.push(stream);
            }
            Some(protocol) => {
                let mut stream = world.connect_tls(protocol).await;
                if protocol == "h2" {
                    // Only the server's side is of interest: the preface and empty settings will do.
                    send(
                        &mut stream,
                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
                    )
                    .await;
                    let mut start = [0; 9];
                    stream.read_exact(&mut start).await.unwrap();
                } else {
                    send(&mut stream, ask).await;
                    read_to(&mut stream, "|body .").await;
                }
                secure.push(stream);
            }
        }
    }
    world.until_open(count as u64).await;
    let after = resident_kibibytes();
    after.saturating_sub(before) as f64 / count as f64
}

#[tokio::test]
async fn a_thousand_idle_connections() {
    let world = plain(Config::default());
    let cost = cost_of_idle(&world, 1000, None).await;
    assert!(cost < 40.0, "{cost} KiB each");
    world.is_well().await;
}

/// Prints the figure. Each kind in a process of its own: memory that another has given back would not count.
async fn ten_thousand(name: &str, world: World, protocol: Option<&str>) {
    let cost = cost_of_idle(&world, TEN_THOUSAND, protocol).await;
    println!("{name}: {cost:.1} KiB for each of {TEN_THOUSAND} idle connections, client included");
    assert!(cost < 100.0, "{cost} KiB");
}

/// Nearly: both ends of each need a file descriptor.
const TEN_THOUSAND: usize = 9_900;

fn roomy() -> Config {
    Config {
        connections: TEN_THOUSAND + 100,
        ..Config::default()
    }
}

#[tokio::test]
#[ignore = "takes 19,900 file descriptors"]
async fn ten_thousand_idle_plain() {
    ten_thousand("HTTP/1.1", plain(roomy()), None).await;
}

#[tokio::test]
#[ignore = "takes 19,900 file descriptors"]
async fn ten_thousand_idle_tls() {
    ten_thousand("HTTP/1.1 with TLS", secure(roomy()), Some("http/1.1")).await;
}

#[tokio::test]
#[ignore = "takes 19,900 file descriptors"]
async fn ten_thousand_idle_http_2() {
    ten_thousand("HTTP/2", secure(roomy()), Some("h2")).await;
}
