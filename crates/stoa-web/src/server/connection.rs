//! One connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::observed::{Begun, Observed, Observer, Told};
use super::registry::{Command, Place, Status};
use super::{Handler, PeerAddress};
use crate::body::Body;
use crate::request_id::{self, X_REQUEST_ID};

pub(super) async fn serve<H: Handler, O: Observer>(
    stream: TcpStream,
    peer: PeerAddress,
    place: Place,
    header_bytes: usize,
    handler: Arc<H>,
    observer: Arc<O>,
) {
    let status = &place.status;
    let told = Arc::new(Told {
        observer,
        connection: Arc::clone(status),
    });
    let service = service_fn(|mut request: Request<Incoming>| {
        status.begin();
        request.extensions_mut().insert(peer);
        answer(request, &*handler, &told)
    });
    let mut builder = http1::Builder::new();
    // The sweep times connections; hyper's own timer would be set anew for each request.
    builder
        .header_read_timeout(None)
        .max_header_size(header_bytes)
        .max_buf_size((2 * header_bytes).max(128 * 1024));
    let stream = TokioIo::new(Noted {
        stream,
        status: Arc::clone(status),
    });
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut draining = false;
    let result = poll_fn(|context| {
        match status.command(context) {
            Command::Continue => {}
            Command::Drain if draining => {}
            Command::Drain => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Command::Cut => return Poll::Ready(Ok(())),
        }
        connection.as_mut().poll(context)
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

async fn answer<H: Handler, O: Observer>(
    request: Request<Incoming>,
    handler: &H,
    told: &Arc<Told<O>>,
) -> Result<Response<Observed<O>>, std::convert::Infallible> {
    let id = request_id::accept_or_make(request.headers());
    let begun = Begun::new(&request, &id, Arc::clone(told));
    // The handler's own state is not touched after a panic: it is shared between requests anyway.
    let handled = AssertUnwindSafe(async { handler.handle(request, &id).await })
        .catch_unwind()
        .await;
    let mut response = handled.unwrap_or_else(|_| {
        tracing::error!(
            request.id = id.to_str().unwrap_or_default(),
            "a request made the server panic"
        );
        internal_error()
    });
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(begun.respond(response))
}

fn internal_error() -> Response<Body> {
    let mut response = Response::new(Body::from(
        "The server failed. The log tells why, by the request's id.\n",
    ));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// A stream that counts its bytes and notes whether the client keeps up.
struct Noted {
    stream: TcpStream,
    status: Arc<Status>,
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.status.read(read);
        }
        result
    }
}

impl Noted {
    fn note(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.status.stalled(),
            Poll::Ready(Ok(written)) => self.status.written(*written),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
