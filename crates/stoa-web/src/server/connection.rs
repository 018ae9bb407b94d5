//! One connection: who it is of, TLS, and then HTTP/1.1 or HTTP/2.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::exchange::{Connection, Shared};
use super::observed::{Observed, Observer};
use super::registry::{Command, Place, Status, unless_told};
use super::stream::Noted;
use super::streams::{Spawner, Streams};
use super::{Handler, Transport};
use crate::forwarded::Scheme;
use crate::{proxy_protocol, tls};

/// Headers of HTTP/1 for which hyper needs no memory of its own.
const USUAL_HEADERS: usize = 100;

pub(super) async fn serve<H: Handler, O: Observer>(
    stream: TcpStream,
    mut peer: SocketAddr,
    place: Place,
    transport: Arc<Transport>,
    shared: Arc<Shared<H, O>>,
) {
    let status = Arc::clone(&place.status);
    let mut stream = Noted::new(stream, place);
    if transport.proxy_protocol && shared.config.trust.includes(peer.ip()) {
        let read = Box::pin(proxy_protocol::read(&mut stream));
        match unless_told(&status, Command::Drain, read).await {
            Some(Ok(source)) => peer = source.unwrap_or(peer),
            Some(Err(error)) => {
                tracing::warn!(proxy = %peer, %error, "a connection is refused");
                return failed(&stream);
            }
            None => return failed(&stream),
        }
    }
    let Some(tls) = &transport.tls else {
        status.greeted();
        let connection = Connection::new(&shared, &status, peer, Scheme::Http);
        if let Some(stream) = http_1(stream, &status, &connection).await {
            stream.close().await;
        }
        return;
    };
    // Boxed, so that connections without TLS do not take the room that one with TLS needs.
    Box::pin(async {
        let traffic = stream.traffic();
        let accepted = unless_told(&status, Command::Drain, tls.accept(stream)).await;
        let stream = match accepted {
            Some(Ok(stream)) => stream,
            other => {
                traffic.handshakes_failed.fetch_add(1, Ordering::Relaxed);
                if let Some(Err(error)) = other {
                    tracing::debug!(%error, "a handshake failed");
                }
                return;
            }
        };
        let connection = Connection::new(&shared, &status, peer, Scheme::Https);
        if tls::is_http_2(&stream) {
            let streams = Arc::clone(status.has_streams());
            status.greeted();
            Box::pin(http_2(stream, &status, streams, Arc::new(connection))).await;
        } else {
            status.greeted();
            if let Some(stream) = http_1(stream, &status, &connection).await {
                stream.into_inner().0.close().await;
            }
        }
    })
    .await;
}

fn failed(stream: &Noted) {
    let traffic = stream.traffic();
    traffic.handshakes_failed.fetch_add(1, Ordering::Relaxed);
}

/// Returns the stream if it is still open in this direction, and the client may have something to read.
async fn http_1<S, H, O>(
    stream: S,
    status: &Arc<Status>,
    connection: &Connection<H, O>,
) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
    O: Observer,
{
    let config = connection.config();
    let service = service_fn(|request: Request<Incoming>| connection.answer(request, None));
    let mut builder = http1::Builder::new();
    // The sweep times connections; hyper's own timer would be set anew for each request.
    builder
        .header_read_timeout(None)
        .max_header_size(config.header_bytes)
        .max_buf_size((2 * config.header_bytes).max(128 * 1024));
    if config.headers > USUAL_HEADERS {
        builder.max_headers(config.headers);
    }
    let mut serving = builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut draining = false;
    let result = poll_fn(|context| {
        match status.command(context) {
            Command::Continue => {}
            Command::Drain if draining => {}
            Command::Drain => {
                draining = true;
                Pin::new(&mut serving).graceful_shutdown();
            }
            Command::Cut => return Poll::Ready(None),
        }
        Pin::new(&mut serving).poll(context).map(Some)
    })
    .await?;
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
    match serving.into_parts() {
        Some(parts) => (!draining).then(|| parts.io.into_inner()),
        None => {
            status.upgrade();
            None
        }
    }
}

/// Answers the streams of a connection, each in a task of its own.
struct ByStream<H, O> {
    connection: Arc<Connection<H, O>>,
    streams: Arc<Streams>,
}

impl<H: Handler, O: Observer> Service<Request<Incoming>> for ByStream<H, O> {
    type Response = Response<Observed<O>>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let connection = Arc::clone(&self.connection);
        let stream = self.streams.begin();
        Box::pin(async move { connection.answer(request, Some(stream)).await })
    }
}

async fn http_2<S, H, O>(
    stream: S,
    status: &Arc<Status>,
    streams: Arc<Streams>,
    connection: Arc<Connection<H, O>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
    O: Observer,
{
    let config = connection.config();
    let mut builder = http2::Builder::new(Spawner(Arc::clone(&streams)));
    let limits = &config.http_2;
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(config.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.resets)
        .max_local_error_reset_streams(limits.resets)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_send_buf_size(limits.send_buffer)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    let service = ByStream {
        connection: Arc::clone(&connection),
        streams: Arc::clone(&streams),
    };
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut draining = false;
    let result = poll_fn(|context| {
        match status.command(context) {
            Command::Continue => {}
            Command::Drain if draining => {}
            Command::Drain => {
                draining = true;
                serving.as_mut().graceful_shutdown();
            }
            Command::Cut => return Poll::Ready(None),
        }
        serving.as_mut().poll(context).map(Some)
    })
    .await;
    if let Some(Err(error)) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
    // Whatever is still at work works for nobody.
    streams.end();
}
