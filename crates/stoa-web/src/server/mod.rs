//! Connections: accept, limit, time out, drain.
//!
//! One task for each connection. Deadlines cost a request no timer: a connection notes what it is doing since
//! when, and one sweep a second ends those that take too long.

mod connection;
mod observed;
mod registry;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use observed::{Finished, Observer, Unobserved};
pub use registry::Traffic;

use crate::body::Body;
use registry::Registry;

/// Limits on connections.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most connections at once. At the limit the one that is idle longest makes room; with none idle, new ones wait.
    pub connections: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Time from the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// Time that a connection may wait for its next (or first) request.
    pub idle_timeout: Duration,
    /// Time that a client may take nothing of a response that is ready, or send nothing of a body that is
    /// awaited.
    pub stall_timeout: Duration,
    /// Time that requests in flight get to finish once the server drains.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 64 * 1024,
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because they did not finish in time.
    pub cut: usize,
}

/// Where a connection comes from: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request, whose id is `id`. A panic becomes a 500 and spares the connection.
    fn handle(
        &self,
        request: Request<Incoming>,
        id: &HeaderValue,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves connections of `listener` until `shutdown` is cancelled, then lets requests in flight finish.
///
/// Every response gets `X-Request-Id` and `X-Content-Type-Options: nosniff`.
pub async fn serve<H: Handler, O: Observer>(
    listener: TcpListener,
    config: Config,
    handler: Arc<H>,
    observer: Arc<O>,
    traffic: Arc<Traffic>,
    shutdown: CancellationToken,
) -> Drained {
    let registry = Arc::new(Registry::new(config.clone(), traffic));
    let sweep = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.sweep().await }
    });
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
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
                    () = shutdown.cancelled() => break,
                    () = registry.room() => {}
                }
                let place = registry.enter();
                tokio::spawn(connection::serve(
                    stream,
                    PeerAddress(peer),
                    place,
                    config.header_bytes,
                    Arc::clone(&handler),
                    Arc::clone(&observer),
                ));
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                // Out of file descriptors or memory: what is served now frees some.
                tracing::error!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // Nobody may be greeted any more: the address is free for a successor.
    drop(listener);
    registry.drain();
    if tokio::time::timeout(config.drain_timeout, registry.empty())
        .await
        .is_ok()
    {
        sweep.abort();
        return Drained { cut: 0 };
    }
    let cut = registry.cut();
    registry.empty().await;
    sweep.abort();
    Drained { cut }
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
    F: Fn(Request<Incoming>, HeaderValue) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send,
{
    fn handle(
        &self,
        request: Request<Incoming>,
        id: &HeaderValue,
    ) -> impl Future<Output = Response<Body>> + Send {
        self(request, id.clone())
    }
}

/// Binds an address.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    // A restart need not wait for the connections of its predecessor to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}
