//! Connections to a foreign application, and answers that come on them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use stoa_link::connection::Connection;
use stoa_link::workers::Workers;
use tokio::net::TcpStream;

use crate::body::{Body, BodyError};

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(3);
/// Idle connections are left alone sooner than servers use to close them.
const IDLE: Duration = Duration::from_secs(4);

type Line = Connection<TcpStream, Body>;

/// No answer of a foreign application.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It cannot be reached: it has not begun.
    #[error("it cannot be reached")]
    Connect(#[source] std::io::Error),
    /// Nothing of the request was sent.
    #[error("it closed the connection before it was asked")]
    NotSent,
    /// It may have done what it was asked.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

impl AskError {
    /// Whether it may have begun with the request.
    pub(crate) fn may_have_begun(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

/// The idle connections to one address: of each worker, the last used on top.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Vec<Line>>>);

impl Idle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes those that were idle for too long.
    pub(super) fn close_old(&self) {
        let mut lines = self.lock();
        let mut closed = Vec::new();
        for idle in lines.iter_mut() {
            let old = idle.partition_point(|line| line.idle_since().elapsed() >= IDLE);
            closed.extend(idle.drain(..old));
        }
        drop(lines);
        drop(closed);
    }

    /// One of this worker that can carry a request at once, and was not idle for `oldest` or longer.
    async fn take(&self, oldest: Duration) -> Option<Line> {
        loop {
            let mut line = self.lock().get_mut(Workers::here())?.pop()?;
            if line.idle_since().elapsed() >= oldest {
                continue;
            }
            let ready = poll_fn(|context| Poll::Ready(line.poll_ready(context))).await;
            if matches!(ready, Poll::Ready(Ok(()))) {
                return Some(line);
            }
        }
    }

    fn put(&self, mut line: Line) {
        if line.is_closed() {
            return;
        }
        line.rest();
        let mut lines = self.lock();
        if lines.len() <= line.worker() {
            lines.resize_with(line.worker() + 1, Vec::new);
        }
        if let Some(idle) = lines.get_mut(line.worker()) {
            idle.push(line);
        }
    }
}

async fn connect(address: &str, upgrades: bool) -> Result<Line, AskError> {
    let connecting = TcpStream::connect(address);
    let stream = tokio::time::timeout(CONNECT, connecting)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(AskError::Connect)?;
    stream.set_nodelay(true).map_err(AskError::Connect)?;
    Line::open(stream, upgrades)
        .await
        .map_err(|error| AskError::Connect(std::io::Error::other(error)))
}

/// Asks whoever listens at `address`, on an idle connection if there is one. One that was closed meanwhile is no
/// failure: the next one is taken.
pub(super) async fn ask(
    idle: &Arc<Idle>,
    address: &str,
    mut request: Request<Body>,
) -> Result<Response<Answer>, AskError> {
    loop {
        let idle_one = idle.take(IDLE).await;
        let is_new = idle_one.is_none();
        let line = match idle_one {
            Some(line) => line,
            // Boxed: it is rare, and larger than all the rest.
            None => Box::pin(connect(address, false)).await?,
        };
        match send(idle, line, request).await {
            Ok(response) => return Ok(response),
            Err((error, None)) => return Err(AskError::Broken(error)),
            Err((_, Some(_))) if is_new => return Err(AskError::NotSent),
            Err((_, Some(unsent))) => request = *unsent,
        }
    }
}

type Unsent = Option<Box<Request<Body>>>;

async fn send(
    idle: &Arc<Idle>,
    mut line: Line,
    request: Request<Body>,
) -> Result<Response<Answer>, (hyper::Error, Unsent)> {
    let mut answer = pin!(line.send(request));
    let outcome = poll_fn(|context| {
        // An error of the connection is told by the answer, with the request if it was not sent.
        let driven = line.drive(context);
        match (answer.as_mut().poll(context), driven) {
            (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(|mut error| {
                let unsent = error.take_message().map(Box::new);
                (error.into_error(), unsent)
            })),
            (Poll::Pending, Err(error)) => Poll::Ready(Err((error, None))),
            (Poll::Pending, Ok(())) => Poll::Pending,
        }
    })
    .await;
    Ok(outcome?.map(|incoming| {
        let mut answer = Answer {
            incoming,
            line: Some((line, Arc::clone(idle))),
        };
        answer.settle();
        answer
    }))
}

/// Asks for something else than an answer, such as a WebSocket, on a connection of its own.
pub(super) async fn ask_to_become(
    address: &str,
    request: Request<Body>,
) -> Result<Response<Answer>, AskError> {
    let mut line = connect(address, true).await?;
    let answered = line.send(request).await;
    let response = answered.map_err(|mut error| match error.take_message() {
        Some(_) => AskError::NotSent,
        None => AskError::Broken(error.into_error()),
    })?;
    Ok(response.map(|incoming| Answer {
        incoming,
        line: None,
    }))
}

/// The body of an answer; its connection is for others when it was read to its end, and closed if it was not.
pub(crate) struct Answer {
    incoming: Incoming,
    line: Option<(Line, Arc<Idle>)>,
}

impl Answer {
    fn settle(&mut self) {
        if http_body::Body::is_end_stream(&self.incoming)
            && let Some((line, idle)) = self.line.take()
        {
            idle.put(line);
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let driven = match &mut this.line {
            Some((line, _)) => line.drive(context),
            None => Ok(()),
        };
        match (Pin::new(&mut this.incoming).poll_frame(context), driven) {
            (Poll::Ready(Some(Ok(frame))), _) => {
                this.settle();
                Poll::Ready(Some(Ok(frame)))
            }
            (Poll::Ready(None), _) => {
                if let Some((line, idle)) = this.line.take() {
                    idle.put(line);
                }
                Poll::Ready(None)
            }
            (Poll::Ready(Some(Err(error))), _) | (Poll::Pending, Err(error)) => {
                this.line = None;
                Poll::Ready(Some(Err(error.into())))
            }
            (Poll::Pending, Ok(())) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::*;

    /// A server that counts its connections, and closes all when told.
    async fn serve() -> (String, Arc<AtomicUsize>, watch::Sender<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (close, closed) = watch::channel(0);
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let mut closed = closed.clone();
                closed.mark_unchanged();
                tokio::spawn(async move {
                    let service = service_fn(|_| async {
                        Ok::<_, std::convert::Infallible>(Response::new(Body::from("well")))
                    });
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = tokio::select! {
                        served = builder.serve_connection(TokioIo::new(stream), service) => served,
                        _ = closed.changed() => Ok(()),
                    };
                });
            }
        });
        (address, accepted, close)
    }

    async fn answer(idle: &Arc<Idle>, address: &str) -> Bytes {
        let request = Request::get("/").header("host", address);
        let request = request.body(Body::Empty).unwrap();
        let response = ask(idle, address, request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_is_closed_or_old() {
        let (address, accepted, close) = serve().await;
        let idle = Arc::new(Idle::default());
        for _ in 0..3 {
            assert_eq!(answer(&idle, &address).await, "well");
        }
        assert_eq!(accepted.load(Ordering::Relaxed), 1);
        close.send(1).unwrap();
        // A connection that is closed while a request is sent may have carried it: that is another case.
        while let Some(line) = idle.take(IDLE).await {
            idle.put(line);
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            assert_eq!(answer(&idle, &address).await, "well");
        }
        assert_eq!(accepted.load(Ordering::Relaxed), 2);
        assert!(idle.take(Duration::ZERO).await.is_none());
        assert_eq!(answer(&idle, &address).await, "well");
        assert_eq!(accepted.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_ends_its_connection() {
        let (address, accepted, _close) = serve().await;
        let idle = Arc::new(Idle::default());
        let request = Request::get("/").header("host", &address);
        let request = request.body(Body::Empty).unwrap();
        drop(ask(&idle, &address, request).await.unwrap());
        assert_eq!(answer(&idle, &address).await, "well");
        assert_eq!(accepted.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn nobody_there_has_not_begun() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let request = Request::get("/").body(Body::Empty).unwrap();
        let error = ask(&Arc::default(), &address, request).await.err().unwrap();
        assert!(!error.may_have_begun(), "{error}");
    }
}
