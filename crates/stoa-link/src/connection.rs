//! One HTTP/1.1 connection on which requests are sent, moved by whoever waits for an answer on it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::BodyError;
use crate::workers::Workers;

/// Bytes of the longest head of an answer.
const HEAD_BYTES: usize = 128 * 1024;
/// Most bytes that are read at once.
const READ_BYTES: usize = 512 * 1024;

/// Moves the bytes of a connection.
enum Driver<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body + 'static,
{
    /// By whoever waits for an answer on it: that spares a task, and two switches between tasks for each request.
    Own(Box<http1::Connection<TokioIo<S>, B>>),
    /// By a task: the connection may become something else, which outlives the request.
    Task,
    /// It has ended.
    Ended,
}

/// A connection on stream `S` for requests with bodies `B`, one at a time.
pub struct Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body + 'static,
{
    sender: SendRequest<B>,
    driver: Driver<S, B>,
    worker: usize,
    idle_since: Instant,
}

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Begins to speak HTTP on a stream of this worker. `upgrades`: it may become something else.
    ///
    /// # Errors
    /// None as yet; HTTP/1.1 begins without an exchange.
    pub async fn open(stream: S, upgrades: bool) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(HEAD_BYTES)
            .max_buf_size(READ_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        let driver = if upgrades {
            tokio::spawn(async move {
                if let Err(error) = connection.with_upgrades().await {
                    tracing::debug!(%error, "a connection for upgrades ended with an error");
                }
            });
            Driver::Task
        } else {
            Driver::Own(Box::new(connection))
        };
        Ok(Self {
            sender,
            driver,
            worker: Workers::here(),
            idle_since: Instant::now(),
        })
    }

    /// Sends a request, once the connection is ready. The answer comes only while it is driven.
    pub fn send(
        &mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<B>>>> + use<S, B>
    {
        self.sender.try_send_request(request)
    }

    /// Moves bytes. Returns the error once if the connection breaks.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn drive(&mut self, context: &mut Context<'_>) -> hyper::Result<()> {
        if let Driver::Own(connection) = &mut self.driver
            && let Poll::Ready(result) = Pin::new(connection).poll(context)
        {
            self.driver = Driver::Ended;
            result?;
        }
        Ok(())
    }

    /// Ready when a request can be sent; an error when none ever can.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.drive(context)?;
        ready!(self.sender.poll_ready(context))?;
        Poll::Ready(Ok(()))
    }
}

impl<S, B> Connection<S, B>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body + 'static,
{
    /// Notes that nobody needs it from now on.
    pub fn rest(&mut self) {
        self.idle_since = Instant::now();
    }

    /// The worker that moves its bytes.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Since when nobody has needed it.
    #[must_use]
    pub fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Whether it can carry no request any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
