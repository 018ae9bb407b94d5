//! Telling what became of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::registry::Status;
use crate::body::{Body, BodyError};

/// Is told of each request, twice.
pub trait Observer: Send + Sync + 'static {
    /// What it keeps about a request while it is worked on.
    type Exchange: Send + Unpin + 'static;

    /// A request has come.
    fn begin(&self, request: &Request<Incoming>, id: &HeaderValue) -> Self::Exchange;

    /// Its response was sent, or given up.
    fn finish(&self, exchange: Self::Exchange, finished: Finished);
}

/// Does not care.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    type Exchange = ();

    fn begin(&self, _request: &Request<Incoming>, _id: &HeaderValue) {}

    fn finish(&self, (): (), _finished: Finished) {}
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
}

/// A request without a response as yet. Dropped, it tells that the client went away.
pub(super) struct Begun<O: Observer> {
    exchange: Option<O::Exchange>,
    told: Arc<Told<O>>,
}

/// Who is told, in one allocation of the connection: what all connections share is not touched for each request.
pub(super) struct Told<O> {
    pub(super) observer: Arc<O>,
    pub(super) connection: Arc<Status>,
}

impl<O: Observer> Begun<O> {
    pub(super) fn new(request: &Request<Incoming>, id: &HeaderValue, told: Arc<Told<O>>) -> Self {
        Self {
            exchange: Some(told.observer.begin(request, id)),
            told,
        }
    }

    pub(super) fn respond(self, response: Response<Body>) -> Response<Observed<O>> {
        let finished = Finished {
            status: Some(response.status()),
            bytes: 0,
            aborted: false,
        };
        response.map(|body| Observed {
            body,
            begun: self,
            finished,
        })
    }

    fn finish(&mut self, finished: Finished) {
        if let Some(exchange) = self.exchange.take() {
            self.told.observer.finish(exchange, finished);
            self.told.connection.finish();
        }
    }
}

impl<O: Observer> Drop for Begun<O> {
    fn drop(&mut self) {
        self.finish(Finished {
            status: None,
            bytes: 0,
            aborted: true,
        });
    }
}

/// A body whose end is told.
pub(super) struct Observed<O: Observer> {
    body: Body,
    begun: Begun<O>,
    finished: Finished,
}

impl<O: Observer> Drop for Observed<O> {
    fn drop(&mut self) {
        self.finished.aborted = !http_body::Body::is_end_stream(&self.body);
        self.begun.finish(self.finished);
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
        let result = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &result
            && let Some(data) = frame.data_ref()
        {
            this.finished.bytes += data.len() as u64;
        }
        result
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
