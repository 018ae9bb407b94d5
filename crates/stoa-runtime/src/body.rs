//! The body of an answer: bytes at hand, or a file read as it is sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;

/// Body of an answer of the runtime.
#[derive(Debug)]
pub enum Body {
    /// Complete in memory; none once it has been sent.
    Buffer(Option<Bytes>),
    /// Read while it is sent.
    File {
        /// Where from.
        file: File,
        /// Bytes still to send.
        remaining: u64,
    },
}

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Buffer(None)
    }

    /// The first `length` bytes of a file, from its current position.
    #[must_use]
    pub const fn file(file: File, length: u64) -> Self {
        Self::File {
            file,
            remaining: length,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Buffer((!bytes.is_empty()).then_some(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Self::Buffer(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::File { remaining: 0, .. } => Poll::Ready(None),
            Self::File { file, remaining } => {
                let wanted = usize::try_from(*remaining).map_or(CHUNK, |left| left.min(CHUNK));
                let mut chunk = BytesMut::zeroed(wanted);
                let mut buffer = ReadBuf::new(&mut chunk);
                if let Err(error) = ready!(Pin::new(file).poll_read(context, &mut buffer)) {
                    return Poll::Ready(Some(Err(error)));
                }
                let read = buffer.filled().len();
                if read == 0 {
                    let error = io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file is shorter than its record says",
                    );
                    return Poll::Ready(Some(Err(error)));
                }
                *remaining -= read as u64;
                chunk.truncate(read);
                Poll::Ready(Some(Ok(Frame::data(chunk.freeze()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Buffer(None) | Self::File { remaining: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Buffer(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::File { remaining, .. } => SizeHint::with_exact(*remaining),
        }
    }
}
