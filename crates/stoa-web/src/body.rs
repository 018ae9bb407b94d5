//! The body of a response: bytes at hand, parts of files, or a stream.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// Any error of a body that is streamed.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes read from disk at a time.
const CHUNK: u64 = 128 * 1024;

/// The body of a response.
pub enum Body {
    /// No bytes.
    Empty,
    /// All bytes at hand.
    Full(Bytes),
    /// Pieces, some of them still on disk.
    Parts(Parts),
    /// Somebody else's body.
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl Body {
    /// Takes any other body.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Stream(Box::pin(body.map_err(Into::into)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Full(bytes) => write!(formatter, "Full({} bytes)", bytes.len()),
            Self::Parts(parts) => write!(formatter, "Parts({} bytes)", parts.remaining),
            Self::Stream(_) => formatter.write_str("Stream"),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Parts(parts) => parts.poll_bytes(context).map(|next| {
                next.map(|result| {
                    result
                        .map(Frame::data)
                        .map_err(|error| Box::new(error) as BodyError)
                })
            }),
            Self::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Parts(parts) => parts.remaining == 0,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Parts(parts) => SizeHint::with_exact(parts.remaining),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Part {
    /// In memory.
    Memory(Bytes),
    /// A section of an open file.
    Disk {
        /// The file.
        file: Arc<File>,
        /// Where the section starts, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { length, .. } => *length,
        }
    }
}

/// Pieces in order. What is on disk is read in chunks, off the threads that serve connections.
#[derive(Debug)]
pub struct Parts {
    parts: VecDeque<Part>,
    remaining: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Parts {
    /// These pieces.
    #[must_use]
    pub fn new(parts: VecDeque<Part>) -> Self {
        let remaining = parts.iter().map(Part::length).sum();
        Self {
            parts,
            remaining,
            reading: None,
        }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let result = ready!(Pin::new(reading).poll(context))
                    .unwrap_or_else(|error| Err(io::Error::other(error)));
                self.reading = None;
                if let Ok(bytes) = &result {
                    self.remaining -= bytes.len() as u64;
                }
                return Poll::Ready(Some(result));
            }
            match self.parts.front_mut() {
                None => return Poll::Ready(None),
                Some(Part::Memory(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.parts.pop_front();
                    if !bytes.is_empty() {
                        self.remaining -= bytes.len() as u64;
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Part::Disk { length: 0, .. }) => {
                    self.parts.pop_front();
                }
                Some(Part::Disk {
                    file,
                    offset,
                    length,
                }) => {
                    let (source, start, size) = (Arc::clone(file), *offset, (*length).min(CHUNK));
                    *offset += size;
                    *length -= size;
                    self.reading = Some(tokio::task::spawn_blocking(move || {
                        let mut buffer = vec![0; usize::try_from(size).map_err(io::Error::other)?];
                        source.read_exact_at(&mut buffer, start)?;
                        Ok(Bytes::from(buffer))
                    }));
                }
            }
        }
    }
}

/// A body of a request whose sender may not pause for too long.
#[derive(Debug)]
pub struct TimedBody<B> {
    body: B,
    limit: Duration,
    /// Runs while nothing comes.
    pause: Option<Pin<Box<Sleep>>>,
}

/// The sender of a body has paused for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing of the body came for {} seconds", limit.as_secs())]
pub struct BodyTimeout {
    limit: Duration,
}

impl<B> TimedBody<B> {
    /// Lets the sender of `body` pause for `limit` at a time.
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            pause: None,
        }
    }
}

impl<B> http_body::Body for TimedBody<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(context) {
            this.pause = None;
            return Poll::Ready(next.map(|result| result.map_err(Into::into)));
        }
        let limit = this.limit;
        let pause = this
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(pause.as_mut().poll(context));
        Poll::Ready(Some(Err(Box::new(BodyTimeout { limit }))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of a request that may not be longer than a limit.
#[derive(Debug)]
pub struct LimitedBody<B> {
    body: B,
    limit: u64,
    left: u64,
}

/// A body is longer than its limit.
#[derive(Debug, thiserror::Error)]
#[error("the body is longer than {limit} bytes")]
pub struct BodyTooLong {
    limit: u64,
}

impl<B> LimitedBody<B> {
    /// At most `limit` bytes of `body`.
    pub fn new(body: B, limit: u64) -> Self {
        Self {
            body,
            limit,
            left: limit,
        }
    }
}

impl<B> http_body::Body for LimitedBody<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.body).poll_frame(context));
        Poll::Ready(next.map(|result| {
            let frame = result.map_err(Into::into)?;
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            this.left = this
                .left
                .checked_sub(length)
                .ok_or(BodyTooLong { limit: this.limit })?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_may_be_as_long_as_its_limit() {
        let body = || LimitedBody::new(Body::from("12345"), 5);
        assert_eq!(body().collect().await.unwrap().to_bytes(), "12345");
        let error = LimitedBody::new(Body::from("12345"), 4)
            .collect()
            .await
            .unwrap_err();
        assert!(error.is::<BodyTooLong>(), "{error}");
    }

    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_is_given_up() {
        let body = TimedBody::new(Silent, Duration::from_secs(60));
        let error = body.collect().await.unwrap_err();
        assert_eq!(error.to_string(), "nothing of the body came for 60 seconds");
    }
}
