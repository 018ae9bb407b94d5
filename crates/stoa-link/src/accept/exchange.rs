//! One request to an instance, and its answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::instance::Presence;
use super::pool::Taken;
use crate::BodyError;

/// Why there is no answer, and with it whether the request may have been worked on.
#[derive(Debug)]
pub enum Fault {
    /// Nothing of it was sent.
    NotSent,
    /// The connection broke. The instance may have done what it was asked.
    Broken(hyper::Error),
    /// The instance is silent and the caller does not wait. It may still do what it was asked.
    Silent,
}

/// A request without an answer.
#[derive(Debug)]
pub struct Failure<B> {
    /// What happened.
    pub fault: Fault,
    /// The request, if nothing of it was sent.
    pub request: Option<Box<Request<B>>>,
}

impl<B> Taken<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Sends a request and waits for the head of its answer. While the instance is silent, `leave` is asked whether
    /// to wait on. Dropping the future closes the connection, so that the instance sees that nobody waits.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        mut self,
        request: Request<B>,
        leave: impl Fn() -> bool,
    ) -> Result<Response<AnswerBody<B>>, Failure<B>> {
        let Some(line) = &mut self.line else {
            return Err(Failure {
                fault: Fault::NotSent,
                request: Some(Box::new(request)),
            });
        };
        let mut answer = pin!(line.connection.send(request));
        let instance = &self.instance;
        let outcome = poll_fn(|context| {
            line.signal.register(context);
            // An error of the connection is told by the answer, with the request if it was not sent.
            let driven = line.connection.drive(context);
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer));
            }
            if let Err(error) = driven {
                return Poll::Ready(Err(Fault::Broken(error)));
            }
            match instance.presence() {
                Presence::Gone => Poll::Ready(Err(Fault::Silent)),
                Presence::Silent if leave() => Poll::Ready(Err(Fault::Silent)),
                _ => Poll::Pending,
            }
        })
        .await;
        match outcome {
            Ok(Ok(response)) => Ok(response.map(|incoming| AnswerBody::new(incoming, self))),
            Ok(Err(mut error)) => {
                let request = error.take_message();
                Err(Failure {
                    fault: if request.is_some() {
                        Fault::NotSent
                    } else {
                        Fault::Broken(error.into_error())
                    },
                    request: request.map(Box::new),
                })
            }
            Err(fault) => Err(Failure {
                fault,
                request: None,
            }),
        }
    }
}

/// The body of an answer; gives the connection back when it was read to its end.
pub struct AnswerBody<B: Body + 'static> {
    incoming: Incoming,
    taken: Option<Taken<B>>,
}

impl<B> AnswerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    fn new(incoming: Incoming, taken: Taken<B>) -> Self {
        let mut body = Self {
            incoming,
            taken: Some(taken),
        };
        body.settle();
        body
    }

    /// After the end the connection is for others.
    fn settle(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(mut taken) = self.taken.take()
        {
            taken.give_back();
        }
    }
}

impl<B> Body for AnswerBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut error = None;
        let mut is_gone = false;
        if let Some(taken) = &mut this.taken
            && let Some(line) = &mut taken.line
        {
            line.signal.register(context);
            error = line.connection.drive(context).err();
            is_gone = taken.instance.presence() == Presence::Gone;
        }
        match Pin::new(&mut this.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.settle();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                if let Some(mut taken) = this.taken.take() {
                    taken.give_back();
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.taken = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Pending => match error {
                Some(error) => {
                    this.taken = None;
                    Poll::Ready(Some(Err(error.into())))
                }
                None if is_gone => {
                    this.taken = None;
                    let message = "the instance is gone in the middle of its answer";
                    Poll::Ready(Some(Err(message.into())))
                }
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
