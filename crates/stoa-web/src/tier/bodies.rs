//! Bodies on their way: of requests, kept so that they can be sent again, and of answers, counted.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use http::request::Parts;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Config;
use super::target::InFlight;
use crate::body::{Body, BodyError, TimedBody};

/// Time that a client may send nothing of a body that is awaited.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// The body of a request on its way.
pub(super) enum Content {
    Empty,
    /// It can be sent as often as it must.
    Kept(
        Bytes,
        #[expect(dead_code, reason = "it counts the bytes until they go")]
        Option<OwnedSemaphorePermit>,
    ),
    /// It can be sent once.
    Once(Body),
    /// It was sent, and was not kept.
    Spent,
}

impl Content {
    pub(super) fn next(&mut self) -> Option<Body> {
        match self {
            Self::Empty => Some(Body::Empty),
            Self::Kept(bytes, _) => Some(bytes.clone().into()),
            Self::Once(_) => match std::mem::replace(self, Self::Spent) {
                Self::Once(body) => Some(body),
                _ => None,
            },
            Self::Spent => None,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Empty | Self::Kept(..))
    }
}

/// Keeps bodies of requests, as far as there is memory for them.
pub(super) struct Keeper {
    /// Bytes that may still be kept, of all bodies.
    all: Arc<Semaphore>,
    /// Bytes of the largest.
    each: usize,
}

impl Keeper {
    pub(super) fn new(config: &Config) -> Self {
        let all = config.replay_bytes_in_all.min(Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(all)),
            each: config.replay_bytes,
        }
    }

    /// Takes in the body of a request as far as it can be kept.
    pub(super) async fn take(&self, parts: &Parts, body: Incoming) -> Result<Content, BodyError> {
        if body.is_end_stream() {
            return Ok(Content::Empty);
        }
        let limit = self.each as u64;
        let hint = body.size_hint();
        let is_chunked = hint.exact().is_none();
        let body = TimedBody::new(body, BODY_TIMEOUT);
        let wanted = hint.exact().unwrap_or(limit);
        if wanted > limit || parts.headers.contains_key(header::EXPECT) {
            return Ok(Content::Once(Body::stream(body)));
        }
        let permits = u32::try_from(wanted).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.all).try_acquire_many_owned(permits) else {
            return Ok(Content::Once(Body::stream(body)));
        };
        let mut body = Box::pin(body);
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            if !is_chunked && body.is_end_stream() && whole.is_empty() && first.is_empty() {
                return Ok(Content::Kept(data, Some(permit)));
            }
            if whole.is_empty() && first.is_empty() {
                first = data;
                continue;
            }
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&data);
            if whole.len() as u64 > limit {
                let begun = Body::Full(whole.freeze());
                return Ok(Content::Once(Body::stream(Begun {
                    begun: Some(begun),
                    rest: body,
                })));
            }
        }
        let bytes = if whole.is_empty() {
            first
        } else {
            whole.freeze()
        };
        Ok(Content::Kept(bytes, Some(permit)))
    }
}

/// A body whose beginning was taken in already.
struct Begun<B> {
    begun: Option<Body>,
    rest: Pin<Box<B>>,
}

impl<B> http_body::Body for Begun<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(mut begun) = this.begun.take() {
            return pin!(&mut begun).poll_frame(context);
        }
        this.rest.as_mut().poll_frame(context).map_err(Into::into)
    }
}

/// The body of an answer of somebody whose requests no link counts.
pub(super) struct Held<L, B> {
    pub(super) body: B,
    pub(super) _in_flight: InFlight<L>,
}

impl<L, B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Held<L, B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        pin!(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
