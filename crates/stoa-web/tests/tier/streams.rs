//! Answers that take their time, and clients that do.

use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{begin, connect, request};
use crate::world::{HOST, Plan, World, eventually};
use http::Method;
use stoa_web::Body;

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    let working = || app.application.working.load(Ordering::SeqCst);
    let mut client = connect(world.address).await;
    let asked = tokio::spawn(async move {
        client
            .send_request(request(Method::GET, "/wait", &[], Body::Empty))
            .await
    });
    eventually("it works", async || working() == 1).await;
    asked.abort();
    eventually("it does not work for nobody", async || working() == 0).await;
    eventually("nothing is open", async || app.dialer.open() == 0).await;
    world.get("/who").await.ok();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_answer() {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    let answer = begin(
        world.address,
        request(Method::GET, "/events", &[], Body::Empty),
    )
    .await;
    assert_eq!(app.dialer.open(), 1);
    drop(answer);
    eventually("nothing is open", async || app.dialer.open() == 0).await;
}

/// Pieces of an answer pass one by one, with this encoding or none.
async fn check_pieces(path: &str, encoding: &str, plain: impl Fn(&[u8]) -> Vec<u8>) {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    let headers = [("accept-encoding", "gzip")];
    let answer = begin(
        world.address,
        request(Method::GET, path, &headers, Body::Empty),
    )
    .await;
    let used = answer.headers().get("content-encoding");
    assert_eq!(used.map_or("", |used| used.to_str().unwrap()), encoding);
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    let mut until = async |wanted: &str| {
        let read = async {
            while plain(&bytes) != wanted.as_bytes() {
                let frame = body.frame().await.unwrap().unwrap();
                bytes.extend_from_slice(frame.data_ref().unwrap());
            }
        };
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        assert!(read.is_ok(), "{path}: {wanted:?} does not come");
    };
    until("data: first\n\n").await;
    app.application.go.notify_one();
    until("data: first\n\ndata: second\n\n").await;
}

#[tokio::test]
async fn events_pass_at_once() {
    check_pieces("/events", "", <[u8]>::to_vec).await;
}

#[tokio::test]
async fn pieces_pass_at_once_through_compression() {
    check_pieces("/lines", "gzip", |bytes| {
        let mut plain = Vec::new();
        let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
        let mut buffer = [0; 256];
        // The end is not there yet.
        while let Ok(read @ 1..) = decoder.read(&mut buffer) {
            plain.extend_from_slice(&buffer[..read]);
        }
        plain
    })
    .await;
}

#[tokio::test]
async fn a_slow_client_holds_an_answer_up_and_not_the_memory() {
    let world = World::new(Plan::default()).await;
    let app = world.app("one").await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let ask = format!("GET /large HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    client.write_all(ask.as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    client.read_exact(&mut buffer).await.unwrap();
    let produced = || app.application.produced.load(Ordering::SeqCst);
    let mut before = 0;
    // Until the instance produces nothing more.
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if produced() == before {
            break;
        }
        before = produced();
    }
    // What is on its way is in buffers of sockets, of which each has some megabytes.
    assert!(before > 0 && before < 64 << 20, "{before} bytes");
    let mut read = buffer.len();
    let mut large = vec![0; 1 << 20];
    while read < 100 << 20 {
        read += client.read(&mut large).await.unwrap();
    }
    assert!(produced() > before);
}
