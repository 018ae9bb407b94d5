//! The server over real connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use stoa_web::Body;
use stoa_web::server::{self, Asked, Config, Drained, Finished, Observer, Traffic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    added: Notify,
}

impl Log {
    async fn line(&self, wanted: &str) {
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let added = self.added.notified();
                if self.lines.lock().unwrap().iter().any(|line| line == wanted) {
                    return;
                }
                added.await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{wanted} is not in {:?}", self.lines.lock().unwrap()));
    }
}

impl Observer for Log {
    type Exchange = String;

    fn begin(&self, request: &Request<Incoming>) -> String {
        request.uri().to_string()
    }

    fn finish(&self, exchange: String, _asked: &Asked, finished: Finished) {
        let status = finished.status.map_or(0, |status| status.as_u16());
        let line = format!(
            "{exchange} {status} {} {}",
            finished.bytes, finished.aborted
        );
        self.lines.lock().unwrap().push(line);
        self.added.notify_waiters();
    }
}

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<Drained>,
    log: Arc<Log>,
    traffic: Arc<Traffic>,
    go: Arc<Notify>,
    working: Arc<AtomicUsize>,
}

fn start(config: Config) -> Server {
    let listener = server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let log = Arc::new(Log::default());
    let traffic = Arc::new(Traffic::default());
    let go = Arc::new(Notify::new());
    let working = Arc::new(AtomicUsize::new(0));
    let (go_on, count) = (Arc::clone(&go), Arc::clone(&working));
    let handler = move |request: Request<Incoming>, asked: Asked| {
        let (go, working) = (Arc::clone(&go_on), Arc::clone(&count));
        async move {
            match request.uri().path() {
                "/panic" => panic!("as asked"),
                "/wait" => {
                    working.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    Response::new(Body::from("waited"))
                }
                "/large" => Response::new(Body::from(Bytes::from(vec![b'x'; 64 << 20]))),
                "/id" => {
                    let id = asked.id.to_str().unwrap().to_owned();
                    Response::new(Body::from(id))
                }
                _ => Response::new(Body::from("hello")),
            }
        }
    };
    let task = tokio::spawn(server::serve(
        listener,
        config,
        Arc::new(handler),
        Arc::clone(&log),
        Arc::clone(&traffic),
        shutdown.clone(),
    ));
    Server {
        address,
        shutdown,
        task,
        log,
        traffic,
        go,
        working,
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn until_working(&self, count: usize) {
        while self.working.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads until the text ends in `end`.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !bytes.ends_with(end.as_bytes()) {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer))
            .await
            .expect("an answer in time")
            .unwrap();
        assert!(
            read > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(bytes).unwrap()
}

/// Reads what comes until the server closes, orderly or not.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn answers_and_keeps_alive() {
    let server = start(Config::default());
    let mut stream = server.connect().await;
    for _ in 0..3 {
        send(&mut stream, GET).await;
        let answer = read_to(&mut stream, "hello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.contains("x-content-type-options: nosniff\r\n"),
            "{answer}"
        );
        assert!(answer.contains("content-length: 5\r\n"), "{answer}");
        assert!(answer.contains("date: "), "{answer}");
    }
    assert_eq!(
        server.traffic.connections_accepted.load(Ordering::Relaxed),
        1
    );
    drop(stream);
    // The bytes of a connection are added to those of all at its end at the latest.
    while server.traffic.connections_open.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.traffic.bytes_in.load(Ordering::Relaxed),
        3 * GET.len() as u64
    );
    assert!(server.traffic.bytes_out.load(Ordering::Relaxed) > 3 * 100);
    server.log.line("/ 200 5 false").await;
}

#[tokio::test]
async fn request_ids() {
    let server = start(Config::default());
    let mut stream = server.connect().await;
    send(
        &mut stream,
        "GET /id HTTP/1.1\r\nHost: x\r\nX-Request-Id: my-id.1\r\n\r\n",
    )
    .await;
    let answer = read_to(&mut stream, "my-id.1").await;
    assert!(answer.contains("x-request-id: my-id.1\r\n"), "{answer}");
    // Any other is replaced, for the handler too.
    send(
        &mut stream,
        "GET /id HTTP/1.1\r\nHost: x\r\nX-Request-Id: a b\r\nConnection: close\r\n\r\n",
    )
    .await;
    let answer = read_all(&mut stream).await;
    let body = answer.rsplit("\r\n").next().unwrap();
    assert_eq!(body.len(), 16, "{answer}");
    assert!(
        answer.contains(&format!("x-request-id: {body}\r\n")),
        "{answer}"
    );
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_survives() {
    let server = start(Config::default());
    let mut stream = server.connect().await;
    send(&mut stream, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = read_to(&mut stream, "id.\n").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(!answer.contains("as asked"), "{answer}");
    send(&mut stream, GET).await;
    read_to(&mut stream, "hello").await;
}

#[tokio::test]
async fn header_limits() {
    let config = Config {
        header_bytes: 16 * 1024,
        ..Config::default()
    };
    let server = start(config);
    for (request, status) in [
        (
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
                "y".repeat(20_000)
            ),
            "431",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                "a: b\r\n".repeat(101)
            ),
            "431",
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(70_000)),
            "4",
        ),
        ("nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let mut stream = server.connect().await;
        // The server may close before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = read_all(&mut stream).await;
        assert!(
            answer.is_empty() && status == "4" || answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{status}: {answer}"
        );
    }
}

#[tokio::test]
async fn slow_headers_and_idle_connections_are_ended() {
    let server = start(Config {
        header_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(400),
        ..Config::default()
    });
    let mut silent = server.connect().await;
    let mut slow = server.connect().await;
    let mut idle = server.connect().await;
    send(&mut slow, "GET / HTTP/1.1\r\nHo").await;
    send(&mut idle, GET).await;
    read_to(&mut idle, "hello").await;
    assert_eq!(read_all(&mut slow).await, "");
    assert_eq!(read_all(&mut silent).await, "");
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(server.traffic.connections_ended.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let server = start(Config {
        header_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(50),
        stall_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    let mut stream = server.connect().await;
    send(&mut stream, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_working(1).await;
    // Meanwhile a silent connection runs into its limit.
    let mut silent = server.connect().await;
    read_all(&mut silent).await;
    server.go.notify_one();
    read_to(&mut stream, "waited").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let server = start(Config {
        stall_timeout: Duration::from_millis(200),
        ..Config::default()
    });
    let mut stream = server.connect().await;
    send(&mut stream, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let ended = || server.traffic.connections_ended.load(Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(10), async {
        while ended() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the connection is cut");
    assert!(read_all(&mut stream).await.len() < 64 << 20);
}

#[tokio::test]
async fn at_the_limit_an_idle_connection_makes_room() {
    let server = start(Config {
        connections: 2,
        ..Config::default()
    });
    let mut busy = server.connect().await;
    send(&mut busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_working(1).await;
    let mut idle = server.connect().await;
    send(&mut idle, GET).await;
    read_to(&mut idle, "hello").await;
    let mut third = server.connect().await;
    send(&mut third, GET).await;
    read_to(&mut third, "hello").await;
    assert_eq!(read_all(&mut idle).await, "");
    server.go.notify_one();
    read_to(&mut busy, "waited").await;
}

#[tokio::test]
async fn drains() {
    let server = start(Config::default());
    let mut idle = server.connect().await;
    send(&mut idle, GET).await;
    read_to(&mut idle, "hello").await;
    let mut fresh = server.connect().await;
    let mut busy = server.connect().await;
    send(&mut busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_working(1).await;
    server.shutdown.cancel();
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(read_all(&mut fresh).await, "");
    assert!(!server.task.is_finished());
    server.go.notify_one();
    let answer = read_all(&mut busy).await;
    assert!(
        answer.contains("connection: close\r\n") && answer.ends_with("waited"),
        "{answer}"
    );
    assert_eq!(server.task.await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn cuts_what_does_not_finish_in_time() {
    let server = start(Config {
        drain_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    let mut busy = server.connect().await;
    send(&mut busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_working(1).await;
    server.shutdown.cancel();
    assert_eq!(server.task.await.unwrap(), Drained { cut: 1 });
    assert_eq!(read_all(&mut busy).await, "");
    server.log.line("/wait 0 0 true").await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    let server = start(Config::default());
    let mut stream = server.connect().await;
    send(&mut stream, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.until_working(1).await;
    drop(stream);
    server.log.line("/wait 0 0 true").await;
    server.shutdown.cancel();
    assert_eq!(server.task.await.unwrap(), Drained { cut: 0 });
}
