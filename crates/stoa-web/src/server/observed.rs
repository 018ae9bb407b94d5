//! Telling what became of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::Asked;
use super::registry::Status;
use super::streams::Guard;
use crate::body::{Body, BodyError};

/// Most bytes that a stream of HTTP/2 is given at a time.
const PIECE: usize = 64 * 1024;

/// Is told of each request: when it comes, when it is answered, and when that is sent.
pub trait Observer: Send + Sync + 'static {
    /// What it keeps about a request while it is worked on.
    type Exchange: Send + Unpin + 'static;

    /// A request has come.
    fn begin(&self, request: &Request<Incoming>) -> Self::Exchange;

    /// Its response was sent, or given up.
    fn finish(&self, exchange: Self::Exchange, asked: &Asked, finished: Finished);
}

/// Does not care.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    type Exchange = ();

    fn begin(&self, _request: &Request<Incoming>) {}

    fn finish(&self, (): (), _asked: &Asked, _finished: Finished) {}
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// None if the client went away before there was an answer.
    pub status: Option<StatusCode>,
    /// Bytes of the body that were sent.
    pub bytes: u64,
    /// The body was not sent to its end.
    pub aborted: bool,
    /// When.
    pub at: Instant,
    /// Since the request came.
    pub elapsed: Duration,
}

/// A request without a response as yet. Dropped, it tells that the client went away.
pub(super) struct Begun<O: Observer>(Box<State<O>>);

/// On the heap, since it is handed from one to the next until the response is sent.
struct State<O: Observer> {
    exchange: Option<O::Exchange>,
    asked: Asked,
    started: Instant,
    told: Arc<Told<O>>,
    /// Its place among the streams of HTTP/2.
    stream: Option<Guard>,
}

/// Who is told, in one allocation of the connection: what all connections share is not touched for each request.
pub(super) struct Told<O> {
    pub(super) observer: Arc<O>,
    pub(super) connection: Arc<Status>,
}

impl<O: Observer> Begun<O> {
    pub(super) fn new(
        request: &Request<Incoming>,
        asked: Asked,
        told: Arc<Told<O>>,
        stream: Option<Guard>,
    ) -> Self {
        Self(Box::new(State {
            exchange: Some(told.observer.begin(request)),
            asked,
            started: Instant::now(),
            told,
            stream,
        }))
    }

    pub(super) fn asked(&mut self) -> &mut Asked {
        &mut self.0.asked
    }

    pub(super) fn respond(self, response: Response<Body>) -> Response<Observed<O>> {
        let status = response.status();
        response.map(|body| Observed {
            body,
            rest: Bytes::new(),
            begun: self,
            status,
            bytes: 0,
        })
    }

    fn finish(&mut self, status: Option<StatusCode>, bytes: u64, aborted: bool) {
        let state = &mut *self.0;
        if let Some(exchange) = state.exchange.take() {
            let at = Instant::now();
            let finished = Finished {
                status,
                bytes,
                aborted,
                at,
                elapsed: at - state.started,
            };
            let told = &state.told;
            told.observer.finish(exchange, &state.asked, finished);
            told.connection.finish();
        }
    }
}

impl<O: Observer> Drop for Begun<O> {
    fn drop(&mut self) {
        self.finish(None, 0, true);
    }
}

/// A body whose end is told.
pub(super) struct Observed<O: Observer> {
    body: Body,
    /// Of HTTP/2: what does not go out in this piece.
    rest: Bytes,
    begun: Begun<O>,
    status: StatusCode,
    /// Those that were sent.
    bytes: u64,
}

impl<O: Observer> Drop for Observed<O> {
    fn drop(&mut self) {
        let aborted = !http_body::Body::is_end_stream(self);
        self.begun.finish(Some(self.status), self.bytes, aborted);
    }
}

impl<O: Observer> Observed<O> {
    /// The next frame. HTTP/2 takes over a frame as a whole, however little of it the client wants: it gets pieces,
    /// so that a client that takes nothing shows.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.rest.is_empty() {
            let mut next = http_body::Body::poll_frame(Pin::new(&mut self.body), context);
            if self.begun.0.stream.is_none() {
                return next;
            }
            match &mut next {
                Poll::Ready(Some(Ok(frame)))
                    if frame.data_ref().is_some_and(|data| data.len() > PIECE) =>
                {
                    if let Some(data) = frame.data_mut() {
                        self.rest = std::mem::take(data);
                    }
                }
                _ => return next,
            }
        }
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<O: Observer> http_body::Body for Observed<O> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let result = this.poll_next(context);
        if let Poll::Ready(Some(Ok(frame))) = &result
            && let Some(data) = frame.data_ref()
        {
            this.bytes += data.len() as u64;
        }
        if let Some(stream) = &this.begun.0.stream {
            match &result {
                Poll::Pending => stream.waits_for_server(),
                Poll::Ready(_) => stream.waits_for_client(),
            }
        }
        result
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if rest > 0 {
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(rest));
            }
            hint.set_lower(hint.lower().saturating_add(rest));
        }
        hint
    }
}
