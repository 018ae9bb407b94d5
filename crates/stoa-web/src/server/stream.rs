//! The socket of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::registry::{Command, Place, Status, Traffic, unless_told};

/// Bytes of a client that are thrown away after the last answer, before it is left alone.
const LEFTOVER: usize = 1 << 20;

/// A stream that counts its bytes and notes whether the client keeps up. It holds the connection's place in the
/// registry, wherever it goes: an upgraded one ends up with whoever serves it then.
#[derive(Debug)]
pub(super) struct Noted {
    stream: TcpStream,
    status: Arc<Status>,
    place: Place,
}

impl Noted {
    pub(super) fn new(stream: TcpStream, place: Place) -> Self {
        Self {
            stream,
            status: Arc::clone(&place.status),
            place,
        }
    }

    pub(super) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(self.place.traffic())
    }

    /// Closes in a way that lets the client read the last answer: what it still sends is read, for a while, because
    /// a system that closes with something unread takes back what the client has not yet read.
    pub(super) async fn close(mut self) {
        let status = Arc::clone(&self.status);
        status.closing();
        let closing = async {
            self.stream.shutdown().await?;
            let mut buffer = vec![0; 4096];
            let mut left = LEFTOVER;
            while left > 0 {
                match self.stream.read(&mut buffer).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok::<(), io::Error>(())
        };
        if let Some(Err(error)) = unless_told(&status, Command::Drain, closing).await {
            tracing::trace!(%error, "a client did not wait for the end");
        }
    }

    /// An upgraded connection has no task of the server that could be told to end it.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        if self.status.is_upgraded() && self.status.command(context) == Command::Cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn note(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Pending => self.status.stalled(),
            Poll::Ready(Ok(written)) => self.status.written(*written),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        if read > 0 {
            self.status.read(read);
        }
        result
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
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
