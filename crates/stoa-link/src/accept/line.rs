//! One connection that carries requests to an instance.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::Stream;
use crate::BodyError;

/// Bytes of the longest head of an answer.
const HEAD_BYTES: usize = 128 * 1024;

/// Wakes whoever waits on a connection when its instance is no longer heard.
#[derive(Debug, Default)]
pub(super) struct Signal(AtomicWaker);

impl Signal {
    pub(super) fn wake(&self) {
        self.0.wake();
    }

    pub(super) fn register(&self, context: &Context<'_>) {
        self.0.register(context.waker());
    }
}

/// Moves the bytes of a connection.
enum Driver<B: Body + 'static> {
    /// By whoever waits for an answer on it: that spares a task, and two switches between tasks for each request.
    Own(Box<http1::Connection<TokioIo<Stream>, B>>),
    /// By a task: the connection may become something else, which outlives the request.
    Task,
    /// It has ended.
    Ended,
}

/// A connection and its two ends.
pub(super) struct Line<B: Body + 'static> {
    pub(super) sender: SendRequest<B>,
    driver: Driver<B>,
    pub(super) signal: Arc<Signal>,
    pub(super) idle_since: Instant,
}

impl<B> Line<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    pub(super) async fn open(
        stream: Stream,
        signal: Arc<Signal>,
        upgrades: bool,
    ) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(HEAD_BYTES)
            .max_buf_size(4 * HEAD_BYTES)
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
            signal,
            idle_since: Instant::now(),
        })
    }

    /// Moves bytes. Returns the error once if the connection breaks.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) -> hyper::Result<()> {
        if let Driver::Own(connection) = &mut self.driver
            && let Poll::Ready(result) = Pin::new(connection).poll(context)
        {
            self.driver = Driver::Ended;
            result?;
        }
        Ok(())
    }

    /// Ready when a request can be sent; an error when none ever can.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.drive(context)?;
        ready!(self.sender.poll_ready(context))?;
        Poll::Ready(Ok(()))
    }
}
