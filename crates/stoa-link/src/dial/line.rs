//! One connection on which a web server asks.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::answer::answer;
use super::{Handler, Shared, WebServer};
use crate::FrameError;
use crate::frame::Frames;
use crate::hello::{Hello, Purpose};
use crate::trust::{self, TrustError};

/// Bytes of the longest head of a request.
const HEAD_BYTES: usize = 128 * 1024;

/// A connection that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("it cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("it does not answer in time")]
    TooSlow,
    #[error(transparent)]
    Name(TrustError),
    #[error("TLS: it is not trusted, or does not trust this server")]
    Tls(#[source] io::Error),
    #[error("it does not take a greeting")]
    Greeting(#[source] FrameError),
}

/// Dials a web server and says what for.
pub(super) async fn dial<H>(
    shared: &Shared<H>,
    web_server: &WebServer,
    purpose: Purpose,
) -> Result<Frames<TlsStream<TcpStream>>, DialError> {
    let instance = shared.announcement.borrow().1.instance;
    let dialled = async {
        let stream = TcpStream::connect(&web_server.address)
            .await
            .map_err(DialError::Unreachable)?;
        stream.set_nodelay(true).map_err(DialError::Unreachable)?;
        let name = trust::server_name(&web_server.name).map_err(DialError::Name)?;
        let stream = shared
            .trust
            .connector()
            .connect(name, stream)
            .await
            .map_err(DialError::Tls)?;
        let mut frames = Frames::new(stream);
        frames
            .write(&Hello { instance, purpose })
            .await
            .map_err(DialError::Greeting)?;
        Ok(frames)
    };
    timeout(shared.config.dialling, dialled)
        .await
        .unwrap_or(Err(DialError::TooSlow))
}

/// The connections of one kind to one web server.
#[derive(Debug)]
pub(super) struct Count {
    /// So many are to be idle.
    spares: usize,
    all: AtomicUsize,
    busy: AtomicUsize,
    /// Too few are idle.
    pub(super) few: Notify,
}

impl Count {
    pub(super) fn new(spares: usize) -> Self {
        Self {
            spares,
            all: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            few: Notify::new(),
        }
    }

    pub(super) fn has_few(&self) -> bool {
        self.idle() < self.spares
    }

    pub(super) fn all(&self) -> usize {
        self.all.load(Ordering::Acquire)
    }

    pub(super) fn idle(&self) -> usize {
        self.all().saturating_sub(self.busy.load(Ordering::Acquire))
    }

    pub(super) fn take(&self) {
        self.busy.fetch_add(1, Ordering::AcqRel);
        self.tell();
    }

    /// Wakes whoever dials more, but not for nothing: it is for each request.
    fn tell(&self) {
        if self.has_few() {
            self.few.notify_one();
        }
    }

    pub(super) fn give_back(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts a connection, from before it is dialled until it ends.
    pub(super) fn add(self: &Arc<Self>) -> Counted {
        self.all.fetch_add(1, Ordering::AcqRel);
        Counted(Arc::clone(self))
    }
}

/// One connection, counted.
pub(super) struct Counted(Arc<Count>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.all.fetch_sub(1, Ordering::AcqRel);
        self.0.tell();
    }
}

/// The stream of a connection. What a request becomes on it outlives the request: it counts until it ends, and is cut
/// with the links.
struct Line {
    stream: TlsStream<TcpStream>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// A request has come on it, and no other will.
    is_used: Arc<AtomicBool>,
    counted: Counted,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_used.load(Ordering::Acquire) {
            self.counted.0.give_back();
        }
    }
}

impl Line {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Serves a connection until the web server closes it, or the attachment is over and it is idle.
pub(super) async fn serve<H: Handler>(
    shared: &Shared<H>,
    stream: TlsStream<TcpStream>,
    counted: Counted,
    purpose: Purpose,
    over: CancellationToken,
) {
    let count = &Arc::clone(&counted.0);
    let is_upgrade = purpose == Purpose::Upgrade;
    let is_used = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request: Request<Incoming>| async {
        if is_upgrade && !is_used.swap(true, Ordering::AcqRel) {
            count.take();
        }
        let count = (!is_upgrade).then_some(count);
        Ok::<_, std::convert::Infallible>(
            answer(&*shared.handler, &shared.work, count, request).await,
        )
    });
    let mut builder = http1::Builder::new();
    // The web server has judged the request; an idle connection is one that is kept ready.
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(4 * HEAD_BYTES);
    // Both kinds of connection have the same methods, but no trait for them.
    macro_rules! until_over {
        ($connection:expr) => {{
            let mut connection = pin!($connection);
            let mut is_over = false;
            loop {
                tokio::select! {
                    result = connection.as_mut() => break result,
                    () = over.cancelled(), if !is_over => {
                        is_over = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    () = shared.cut.cancelled() => return,
                }
            }
        }};
    }
    let result = if is_upgrade {
        let line = Line {
            stream,
            cut: Box::pin(shared.cut.clone().cancelled_owned()),
            is_used: Arc::clone(&is_used),
            counted,
        };
        until_over!(
            builder
                .serve_connection(TokioIo::new(line), service)
                .with_upgrades()
        )
    } else {
        let result = until_over!(builder.serve_connection(TokioIo::new(stream), service));
        drop(counted);
        result
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection of a link ended with an error");
    }
}
