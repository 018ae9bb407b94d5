//! What answers behind a link, well or not.

use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use stoa_link::dial::{self, Dialer, REFUSED, UNAVAILABLE};
use stoa_web::Body;
use stoa_web::forwarded::Client;
use stoa_web::replica::{PATHS, Source};
use stoa_web::server::{Asked, Handler as _};
use stoa_web::static_content::{Config, StaticContent};
use stoa_web::upstream::Upstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

/// Burns once, in one of the instances.
#[derive(Default)]
pub(crate) struct Fuse(AtomicBool);

impl Fuse {
    /// The next that is asked for something dangerous dies of it.
    pub(crate) fn light(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn burns(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An application that does what a path says.
pub(crate) struct Application {
    name: String,
    fuse: Arc<Fuse>,
    dialer: OnceLock<Weak<Dialer>>,
    seen: Mutex<Vec<Seen>>,
    /// Requests that wait, of `/wait`; also one that was given up is none any more.
    pub(crate) working: AtomicUsize,
    pub(crate) go: Arc<Notify>,
    pub(crate) is_unavailable: AtomicBool,
    pub(crate) is_faulty: AtomicBool,
    /// Bytes of `/large` so far.
    pub(crate) produced: Arc<AtomicUsize>,
    /// Connections that have become something else.
    pub(crate) upgraded: Arc<AtomicUsize>,
    source: Option<Source>,
    pub(crate) is_lying: AtomicBool,
    /// How often it has lied.
    pub(crate) lies: AtomicUsize,
    upstream: Option<Upstream>,
}

/// Counts until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Application {
    pub(crate) fn new(name: &str, fuse: &Arc<Fuse>) -> Self {
        Self {
            name: name.into(),
            fuse: Arc::clone(fuse),
            dialer: OnceLock::new(),
            seen: Mutex::default(),
            working: AtomicUsize::new(0),
            go: Arc::default(),
            is_unavailable: AtomicBool::new(false),
            is_faulty: AtomicBool::new(false),
            produced: Arc::default(),
            upgraded: Arc::default(),
            source: None,
            is_lying: AtomicBool::new(false),
            lies: AtomicUsize::new(0),
            upstream: None,
        }
    }

    /// With the static content of a folder.
    pub(crate) fn with_content(mut self, folder: &Path) -> Self {
        let content = StaticContent::load(folder, Config::default()).unwrap();
        self.source = Some(Source::of(folder, &content.snapshot()).unwrap());
        self
    }

    /// Everything is for a foreign application.
    pub(crate) fn before(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    pub(crate) fn digest(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        Some(source.digest().to_owned())
    }

    pub(crate) fn can_die_by(&self, dialer: &Arc<Dialer>) {
        let _ = self.dialer.set(Arc::downgrade(dialer));
    }

    /// Requests for a path.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| seen.path == path)
            .cloned()
            .collect()
    }

    /// As a process that is killed: all its connections end.
    async fn die(&self) -> ! {
        let dialer = self.dialer.get().and_then(Weak::upgrade).unwrap();
        dialer.abort();
        pending().await
    }

    fn answer(&self) -> Response<Body> {
        Response::new(Body::from(self.name.clone()))
    }

    /// The beginning of an answer, and then an end of the connection.
    fn broken(&self) -> Response<Body> {
        let begun = stream::iter([Ok(Frame::data(Bytes::from(self.name.clone())))]);
        let end = stream::once(async { Err(io::Error::other("as asked")) });
        let mut response = Response::new(Body::stream(StreamBody::new(Box::pin(begun.chain(end)))));
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from_static("100"));
        response
    }

    fn large(&self) -> Response<Body> {
        let chunk = Bytes::from(vec![b'x'; 64 << 10]);
        let produced = Arc::clone(&self.produced);
        let chunks = stream::iter(0..4096).map(move |_| {
            produced.fetch_add(chunk.len(), Ordering::SeqCst);
            Ok::<_, io::Error>(Frame::data(chunk.clone()))
        });
        Response::new(Body::stream(StreamBody::new(chunks)))
    }

    fn events(&self, kind: &'static str) -> Response<Body> {
        let go = Arc::clone(&self.go);
        let events = stream::iter(["data: first\n\n", "data: second\n\n"])
            .enumerate()
            .then(move |(place, event)| {
                let go = Arc::clone(&go);
                async move {
                    if place > 0 {
                        go.notified().await;
                    }
                    Ok::<_, io::Error>(Frame::data(Bytes::from(event)))
                }
            });
        let mut response = Response::new(Body::stream(StreamBody::new(Box::pin(events))));
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    fn become_echo(&self, mut request: Request<Incoming>) -> Response<Body> {
        let upgraded = Arc::clone(&self.upgraded);
        let becomes = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(becomes.await.unwrap());
            upgraded.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                if &buffer[..read] == b"bye" || stream.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            upgraded.fetch_sub(1, Ordering::SeqCst);
        });
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response
    }

    async fn content(&self, path: &str) -> Response<Body> {
        let source = self.source.as_ref().unwrap();
        let is_list = path.strip_prefix(PATHS) == Some(source.digest());
        if self.is_lying.load(Ordering::SeqCst) && !is_list {
            self.lies.fetch_add(1, Ordering::SeqCst);
            return Response::new(Body::from("something else"));
        }
        source.respond(path).await
    }
}

impl dial::Handler for Application {
    type Body = Body;

    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path == "/.stoa/ready" {
            let mut response = self.answer();
            if self.is_faulty.load(Ordering::SeqCst) {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            return response;
        }
        if path.starts_with(PATHS) {
            return self.content(&path).await;
        }
        if let Some(upstream) = &self.upstream {
            let client = Client::handed_on(request.headers());
            let id = request.headers()["x-request-id"].clone();
            return upstream.handle(request, &mut Asked::new(id, client)).await;
        }
        if request.headers().get(header::UPGRADE).is_some() {
            return self.become_echo(request);
        }
        let (head, body) = request.into_parts();
        let _working = (path == "/wait").then(|| Counted::new(&self.working));
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let Ok(body) = body else {
            return self.answer();
        };
        self.seen.lock().unwrap().push(Seen {
            path: path.clone(),
            headers: head.headers.clone(),
            body: body.clone(),
        });
        if self.is_faulty.load(Ordering::SeqCst) {
            return self.broken();
        }
        match path.as_str() {
            "/poison" => self.die().await,
            "/die" if self.fuse.burns() => self.die().await,
            "/half" if self.fuse.burns() => {
                let response = self.broken();
                self.dialer.get().and_then(Weak::upgrade).unwrap().abort();
                response
            }
            "/wait" => {
                self.go.notified().await;
                self.answer()
            }
            "/unavailable" if self.is_unavailable.load(Ordering::SeqCst) => {
                let mut response = Response::new(Body::from("not at present"));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                let refused = HeaderValue::from_static(UNAVAILABLE);
                response.headers_mut().insert(REFUSED, refused);
                response
            }
            "/large" => self.large(),
            "/events" => self.events("text/event-stream"),
            "/lines" => self.events("text/plain"),
            "/session" => {
                let mut response = self.answer();
                let cookie = HeaderValue::from_static("JSESSIONID=42; Path=/; HttpOnly");
                response.headers_mut().append(header::SET_COOKIE, cookie);
                response
            }
            "/private" => {
                let mut response = self.answer();
                for (name, value) in [
                    ("x-stoa-anything", "1"),
                    ("keep-alive", "timeout=5"),
                    ("x-kept", "1"),
                ] {
                    let value = HeaderValue::from_static(value);
                    response.headers_mut().insert(name, value);
                }
                response
            }
            _ => self.answer(),
        }
    }
}
