//! Requests at work: counted, limited, and told to the connections that they came on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;

use super::line::Count;
use super::{Handler, REFUSED};
use crate::BodyError;

/// The requests at work, of all links.
#[derive(Debug)]
pub(super) struct Work {
    most: usize,
    open: AtomicUsize,
    finished: Notify,
}

impl Work {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            finished: Notify::new(),
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) async fn until_none(&self) {
        loop {
            let finished = self.finished.notified();
            if self.open() == 0 {
                return;
            }
            finished.await;
        }
    }
}

/// One request at work. Dropped when its answer was sent or given up.
pub(super) struct Piece {
    work: Arc<Work>,
    /// The connections of its link: while it is at work one of them is busy. None: that counts longer.
    count: Option<Arc<Count>>,
}

impl Piece {
    fn begin(work: &Arc<Work>, count: Option<&Arc<Count>>) -> (Self, bool) {
        let before = work.open.fetch_add(1, Ordering::AcqRel);
        if let Some(count) = count {
            count.take();
        }
        let piece = Self {
            work: Arc::clone(work),
            count: count.cloned(),
        };
        // What may become something else has a limit of its own.
        (piece, count.is_none() || before < work.most)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(count) = &self.count {
            count.give_back();
        }
        if self.work.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.work.finished.notify_waiters();
        }
    }
}

/// Answers a request, unless there are too many at work.
pub(super) async fn answer<H: Handler>(
    handler: &H,
    work: &Arc<Work>,
    count: Option<&Arc<Count>>,
    request: Request<Incoming>,
) -> Response<AnswerBody<H::Body>> {
    let (piece, has_room) = Piece::begin(work, count);
    if has_room {
        return handler.handle(request).await.map(|body| AnswerBody {
            body: Some(body),
            _piece: piece,
        });
    }
    let mut response = Response::new(AnswerBody {
        body: None,
        _piece: piece,
    });
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(REFUSED, HeaderValue::from_static("busy"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The body of an answer; the request is at work until it is dropped.
pub(super) struct AnswerBody<B> {
    body: Option<B>,
    _piece: Piece,
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().body {
            Some(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
