//! Connections: accept, limit, time out, drain.
//!
//! One task for each connection, and for each stream of HTTP/2. Deadlines cost a request no timer: a connection
//! notes what it is doing since when, and one sweep a second ends those that take too long.

mod asked;
mod check;
mod connection;
mod exchange;
mod listener;
mod observed;
mod registry;
mod stream;
mod streams;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use stoa_link::workers::Workers;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use asked::Asked;
pub use listener::{Listener, bind};
pub use observed::{Finished, Observer, Unobserved};
pub use registry::Traffic;

use crate::body::Body;
use crate::error_pages::ErrorPages;
use crate::forwarded::Trust;
use crate::rate_limit::RateLimit;
use exchange::Shared;
use listener::Transport;
use registry::{Phase, Registry};

/// Limits on connections and requests, and whom to believe.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most connections at once. At the limit the one that is idle longest makes room; with none idle, new ones wait.
    pub connections: usize,
    /// Most handshakes of TLS at once. At the limit the one that lasts longest makes room.
    pub handshakes: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Most bytes that a request may announce for its body. Whoever reads a body limits what is not announced, see
    /// [`LimitedBody`](crate::body::LimitedBody).
    pub body_bytes: u64,
    /// Time from the start of a connection to the end of its handshake.
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// Time that a connection may wait for its next (or first) request.
    pub idle_timeout: Duration,
    /// Time that a client may take nothing of a response that is ready, or send nothing of a body that is
    /// awaited.
    pub stall_timeout: Duration,
    /// Time that requests in flight get to finish once the server drains.
    pub drain_timeout: Duration,
    /// Limits of HTTP/2.
    pub http_2: Http2,
    /// Who may say for whom a request is made.
    pub trust: Arc<Trust>,
    /// How often one address may ask; none: as often as it likes.
    pub rate_limit: Option<Arc<RateLimit>>,
    /// Who moves the bytes of connections, and answers what comes on them.
    pub workers: Workers,
    /// What is shown where no environment has its own.
    pub error_pages: Arc<ErrorPages>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshakes: 1_000,
            header_bytes: 64 * 1024,
            headers: 100,
            body_bytes: u64::MAX,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            http_2: Http2::default(),
            trust: Arc::default(),
            rate_limit: None,
            workers: Workers::default(),
            error_pages: Arc::default(),
        }
    }
}

/// Limits of HTTP/2, for each connection.
#[derive(Clone, Debug)]
pub struct Http2 {
    /// Most streams at once.
    pub streams: u32,
    /// Most streams that a client has given up, or broken, while the server was not yet done with them; one more
    /// ends the connection.
    pub resets: usize,
    /// Bytes of a body that a client may send ahead of its being read.
    pub stream_window: u32,
    /// The same for all streams together.
    pub connection_window: u32,
    /// Bytes of a response that wait to be sent.
    pub send_buffer: usize,
    /// How often the client is asked whether it is still there.
    pub ping_interval: Duration,
    /// Time that it has to answer.
    pub ping_timeout: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            streams: 100,
            resets: 50,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            send_buffer: 256 * 1024,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not finish in time.
    pub cut: usize,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. A panic becomes a 500 and spares the connection.
    ///
    /// The request has one form, whichever version of HTTP it came by: the host in `Host`, the path as its target.
    /// With HTTP/1.1 the connection can be taken over with [`hyper::upgrade::on`].
    fn handle(
        &self,
        request: Request<Incoming>,
        asked: &mut Asked,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves connections of `listener` until `shutdown` is cancelled, then lets requests in flight finish.
///
/// Every response gets `X-Request-Id` and `X-Content-Type-Options: nosniff`.
pub async fn serve<H: Handler, O: Observer>(
    listener: impl Into<Listener>,
    config: Config,
    handler: Arc<H>,
    observer: Arc<O>,
    traffic: Arc<Traffic>,
    shutdown: CancellationToken,
) -> Drained {
    let registry = Arc::new(Registry::new(config.clone(), traffic));
    let drain_timeout = config.drain_timeout;
    let workers = config.workers.clone();
    let shared = Arc::new(Shared {
        config,
        handler,
        observer,
    });
    let sweep = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.sweep().await }
    });
    // On the first worker: connections that stay there wake nobody.
    let accepting = accept(listener.into(), Arc::clone(&registry), shared, shutdown);
    match AbortOnDropHandle::new(workers.spawn(0, accepting)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "cannot accept connections"),
        Err(error) => tracing::error!(%error, "accepting connections ended by a fault of its own"),
    }
    registry.drain();
    if tokio::time::timeout(drain_timeout, registry.empty())
        .await
        .is_ok()
    {
        sweep.abort();
        return Drained { cut: 0 };
    }
    let cut = registry.cut();
    registry.gone().await;
    sweep.abort();
    Drained { cut }
}

/// Accepts connections and gives each to a worker, until `shutdown` is cancelled. Then nobody is greeted any more, and
/// the address is free for a successor.
///
/// # Errors
/// The address cannot be watched for connections.
async fn accept<H: Handler, O: Observer>(
    listener: Listener,
    registry: Arc<Registry>,
    shared: Arc<Shared<H, O>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    // It is this thread that waits for it from now on.
    let socket = TcpListener::from_std(listener.socket.into_std()?)?;
    let transport = Arc::new(listener.transport);
    let workers = shared.config.workers.clone();
    let mut places = Places::new(workers.count());
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    // The client is gone already.
                    tracing::debug!(%error, "cannot prepare a connection");
                    continue;
                }
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return Ok(()),
                    () = registry.room() => {}
                }
                let begins_with = if transport.begins_with_handshake() {
                    registry.room_for_handshake();
                    Phase::Handshake
                } else {
                    Phase::Idle
                };
                let (worker, seat) = places.take();
                let place = registry.enter(begins_with);
                let serving = {
                    let (transport, shared) = (Arc::clone(&transport), Arc::clone(&shared));
                    move |stream| async move {
                        let _seat = seat;
                        connection::serve(stream, peer, place, transport, shared).await;
                    }
                };
                if worker == Workers::here() {
                    tokio::spawn(serving(stream));
                    continue;
                }
                // Its worker is the one to wait for it.
                match stream.into_std() {
                    Ok(stream) => {
                        workers.spawn(worker, async move {
                            match TcpStream::from_std(stream) {
                                Ok(stream) => serving(stream).await,
                                Err(error) => tracing::error!(%error, "cannot serve a connection"),
                            }
                        });
                    }
                    Err(error) => tracing::error!(%error, "cannot serve a connection"),
                }
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: what is served now frees some.
                tracing::error!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// How many connections each worker has: the next goes to the one with the fewest.
struct Places(Vec<Arc<()>>);

impl Places {
    fn new(workers: usize) -> Self {
        Self(std::iter::repeat_with(Arc::default).take(workers).collect())
    }

    /// A worker, and what counts the connection there until it is dropped.
    fn take(&mut self) -> (usize, Arc<()>) {
        let fewest = (0..self.0.len()).min_by_key(|worker| Arc::strong_count(&self.0[*worker]));
        let worker = fewest.unwrap_or_default();
        (worker, Arc::clone(&self.0[worker]))
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Answers with a function.
impl<F, R> Handler for F
where
    F: Fn(Request<Incoming>, Asked) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send,
{
    fn handle(
        &self,
        request: Request<Incoming>,
        asked: &mut Asked,
    ) -> impl Future<Output = Response<Body>> + Send {
        self(request, asked.clone())
    }
}
