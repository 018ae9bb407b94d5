//! Asking an instance, and another one if there is no answer.
//!
//! What may be asked twice: a request of which nothing was sent; a safe one; one with an identity, whose body was
//! kept, of an environment that does such a request once. What is not one of these and may have been worked on gets
//! an honest 502.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use stoa_link::accept::Fault;
use stoa_link::dial::{REFUSED, UNAVAILABLE};
use tokio::sync::Semaphore;

use super::bodies::{Content, Held, Keeper};
use super::repeat::Identities;
use super::target::{ENVIRONMENT, InFlight, Target, Targets, Via};
use super::{Config, Environment, head, in_memory, repeat, upgrade};
use crate::body::{Body, BodyError};
use crate::compression::Compression;
use crate::server::{Asked, Handler};

/// First pause after all were asked in vain.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// What all forwarded requests share.
pub(super) struct Forwarding {
    config: Config,
    identities: Identities,
    keeper: Keeper,
    /// Places for requests that wait for a connection.
    queue: Arc<Semaphore>,
}

/// How an attempt ended that gave no answer to pass on.
enum Missed {
    /// There was no connection, or the instance has not begun with it.
    NotBegun,
    /// It may have begun.
    MayHaveBegun,
    /// It says that it cannot at present; this is its answer.
    Unavailable(Box<Response<Body>>),
}

/// One request, and all that is known of it.
struct Call<'a, L> {
    environment: &'a Environment<L>,
    tag: Option<&'a [u8]>,
    parts: &'a Parts,
    content: Content,
    /// It can be sent again although it may have been worked on.
    may_repeat: bool,
}

impl<L> Call<'_, L> {
    /// The body of the next attempt.
    fn begin(&mut self, is_again: bool) -> Result<Body, Missed> {
        let body = self.content.next().ok_or(Missed::MayHaveBegun)?;
        if is_again {
            let counts = &self.environment.counts;
            counts.repeated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(body)
    }
}

impl Forwarding {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            identities: Identities::new(),
            keeper: Keeper::new(config),
            queue: Arc::new(Semaphore::new(config.queued)),
            config: config.clone(),
        }
    }

    /// Answers a request that is not for static content.
    pub(super) async fn answer<L: Handler>(
        &self,
        environment: &Environment<L>,
        targets: Arc<Targets<L>>,
        mut request: Request<Incoming>,
        asked: &mut Asked,
    ) -> Response<Body> {
        let tag = environment.sticky.take(request.headers_mut());
        let tag = tag.as_deref();
        let slow_start = self.config.slow_start;
        let first = targets.choose(tag, &[], slow_start);
        let is_secure = asked.client.is_secure();
        if let Some(first) = &first
            && let Via::Local(handler) = &first.via
        {
            let _in_flight = InFlight::new(first);
            let mut response = handler.handle(request, asked).await;
            if targets.are_several() {
                environment
                    .sticky
                    .give(response.headers_mut(), tag, &first.tag, is_secure);
            }
            return response;
        }
        let compression = Compression::of(request.method(), request.headers());
        if upgrade::is_asked(&request) {
            let call = upgrade::Call {
                environment,
                config: &self.config,
                tag,
                is_secure,
            };
            // Boxed, as all that is larger than the usual: a connection keeps the room of the largest.
            return Box::pin(call.answer(request, asked)).await;
        }
        let (mut parts, body) = request.into_parts();
        head::hand_on(&mut parts, &environment.name_value, asked);
        let was_given =
            targets.is_repeatable && self.identities.give(&parts.method, &mut parts.headers);
        let content = match self.keeper.take(&parts, body).await {
            Ok(content) => content,
            Err(error) => {
                tracing::debug!(error, "the body of a request ended before its end");
                return environment
                    .error_pages
                    .respond(StatusCode::BAD_REQUEST, &parts.headers);
            }
        };
        let call = Call {
            environment,
            tag,
            parts: &parts,
            may_repeat: content.is_kept() && (parts.method.is_safe() || targets.is_repeatable),
            content,
        };
        let (target, mut response) = match self.ask(call, targets, first).await {
            Ok(answered) => answered,
            Err(response) => return response,
        };
        let headers = response.headers_mut();
        head::hand_back(headers);
        if was_given {
            repeat::hide(headers);
        }
        environment
            .sticky
            .give(headers, tag, &target.tag, is_secure);
        asked.served.instance = Some(Arc::clone(&target.tag));
        compression.apply(response)
    }

    /// Asks one after the other until there is an answer. When all were asked in vain it waits: for a connection a
    /// moment, for a database that restarts or an instance that comes back longer.
    async fn ask<L: Handler>(
        &self,
        mut call: Call<'_, L>,
        mut targets: Arc<Targets<L>>,
        first: Option<Arc<Target<L>>>,
    ) -> Result<(Arc<Target<L>>, Response<Body>), Response<Body>> {
        let start = Instant::now();
        let (environment, parts) = (call.environment, call.parts);
        let mut next = first;
        let mut asked = Vec::new();
        let mut sent = 0;
        let mut may_have_begun = false;
        let mut deaths = 0;
        let mut refusal = None;
        let mut limit = self.config.queue;
        let mut pause = FIRST_PAUSE;
        let mut place = None;
        loop {
            if let Some(target) = next.take() {
                match self.attempt(&mut call, &target, sent > 0).await {
                    Ok(response) => {
                        target.note_success();
                        return Ok((target, response));
                    }
                    Err(Missed::NotBegun) => {}
                    Err(Missed::MayHaveBegun) => {
                        target.note_fault(&self.config);
                        may_have_begun = true;
                        limit = self.config.patience;
                        sent += 1;
                        deaths += 1;
                    }
                    Err(Missed::Unavailable(response)) => {
                        refusal = Some(*response);
                        limit = self.config.patience;
                        sent += 1;
                    }
                }
                let is_spent = matches!(call.content, Content::Spent);
                let is_over = (may_have_begun || refusal.is_some()) && !call.may_repeat;
                if is_spent
                    || is_over
                    || deaths >= self.config.deaths
                    || sent >= self.config.attempts
                {
                    break;
                }
                asked.push(target);
            } else {
                if !targets.are_expected() || start.elapsed() >= limit {
                    break;
                }
                if targets.is_empty() {
                    limit = self.config.patience;
                }
                if place.is_none() {
                    match self.queue.try_acquire() {
                        Ok(permit) => place = Some(permit),
                        Err(_) => break,
                    }
                }
                wait_for_any(&asked, pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                asked.clear();
            }
            // Who is there may have changed by now.
            targets = environment.targets.load_full();
            next = targets.choose(call.tag, &asked, self.config.slow_start);
        }
        if let Some(mut refusal) = refusal {
            environment.counts.refused.fetch_add(1, Ordering::Relaxed);
            head::hand_back(refusal.headers_mut());
            return Err(refusal);
        }
        if may_have_begun {
            environment.counts.failed.fetch_add(1, Ordering::Relaxed);
            return Err(environment
                .error_pages
                .respond(StatusCode::BAD_GATEWAY, &parts.headers));
        }
        Err(refuse(environment, &parts.headers))
    }

    async fn attempt<L: Handler>(
        &self,
        call: &mut Call<'_, L>,
        target: &Arc<Target<L>>,
        is_again: bool,
    ) -> Result<Response<Body>, Missed> {
        match &target.via {
            Via::Link(instance) => {
                let taken = instance.take().await.ok_or(Missed::NotBegun)?;
                if target.is_leaving() {
                    return Err(Missed::NotBegun);
                }
                let body = call.begin(is_again)?;
                let may_repeat = call.may_repeat;
                let leave = || {
                    let targets = call.environment.targets.load();
                    may_repeat && targets.has_other_than(target)
                };
                match taken.send(request(call.parts, body), leave).await {
                    Ok(response) => self.receive(call, response).await,
                    Err(failure) => {
                        if let Some(request) = failure.request {
                            // Nothing of it was sent: a body that can be sent once can still be.
                            if !call.content.is_kept() {
                                call.content = Content::Once(request.into_body());
                            }
                            return Err(Missed::NotBegun);
                        }
                        if let Fault::Broken(error) = failure.fault {
                            tracing::debug!(%error, "an instance did not answer");
                        }
                        Err(Missed::MayHaveBegun)
                    }
                }
            }
            Via::Upstream(upstream) => {
                let in_flight = InFlight::new(target);
                let body = call.begin(is_again)?;
                let mut request = request(call.parts, body);
                request.headers_mut().remove(ENVIRONMENT);
                let response = upstream.ask(request).await.map_err(|error| {
                    if error.may_have_begun() {
                        Missed::MayHaveBegun
                    } else {
                        Missed::NotBegun
                    }
                })?;
                let response = response.map(|body| Held {
                    body,
                    _in_flight: in_flight,
                });
                self.receive(call, response).await
            }
            Via::Local(handler) => {
                let in_flight = InFlight::new(target);
                let body = call.begin(is_again)?;
                let asked = in_memory::ask(handler, request(call.parts, body));
                let response = Box::pin(asked).await.map_err(|error| {
                    tracing::debug!(%error, "no answer in memory");
                    Missed::MayHaveBegun
                })?;
                let response = response.map(|body| Held {
                    body,
                    _in_flight: in_flight,
                });
                self.receive(call, response).await
            }
        }
    }

    /// Takes in as much of an answer as must be known before any of it goes to the client.
    async fn receive<L, B>(
        &self,
        call: &mut Call<'_, L>,
        response: Response<B>,
    ) -> Result<Response<Body>, Missed>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError>,
    {
        let refused = response
            .headers()
            .get(REFUSED)
            .map(|kind| kind == UNAVAILABLE);
        let (head, body) = response.into_parts();
        let taken = self.take_small(body, call.may_repeat).await;
        let body = taken.map_err(|error| {
            tracing::debug!(error, "an answer ended before its end");
            Missed::MayHaveBegun
        })?;
        let response = Response::from_parts(head, body);
        match refused {
            Some(true) => Err(Missed::Unavailable(Box::new(response))),
            Some(false) if call.content.is_kept() => Err(Missed::NotBegun),
            _ => Ok(response),
        }
    }

    /// A small answer is taken whole before any of it goes to the client: if the instance dies in the middle of it,
    /// another one can still be asked, and a slow client keeps nobody busy.
    async fn take_small<B>(&self, mut body: B, may_repeat: bool) -> Result<Body, BodyError>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BodyError>,
    {
        if body.is_end_stream() {
            return Ok(Body::Empty);
        }
        let length = body.size_hint().exact();
        if !may_repeat || length.is_none_or(|length| length > self.config.answer_bytes) {
            return Ok(Body::stream(body));
        }
        let mut whole = Bytes::new();
        let mut more: Option<BytesMut> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(Into::into)?.into_data() else {
                continue;
            };
            match &mut more {
                Some(more) => more.extend_from_slice(&data),
                None if whole.is_empty() => whole = data,
                None => {
                    let mut both = BytesMut::with_capacity(
                        usize::try_from(length.unwrap_or_default()).unwrap_or_default(),
                    );
                    both.extend_from_slice(&whole);
                    both.extend_from_slice(&data);
                    more = Some(both);
                }
            }
        }
        Ok(more.map_or(whole, BytesMut::freeze).into())
    }
}

/// Waits for a connection to one of those who were asked to become idle, but not for long: others may come.
async fn wait_for_any<L>(asked: &[Arc<Target<L>>], pause: Duration) {
    let until = Instant::now() + pause;
    let waits: Vec<_> = asked
        .iter()
        .filter_map(|target| match &target.via {
            Via::Link(instance) => Some(Box::pin(instance.wait_for_more(until))),
            Via::Local(_) | Via::Upstream(_) => None,
        })
        .collect();
    if waits.is_empty() {
        tokio::time::sleep(pause).await;
    } else {
        futures_util::future::select_all(waits).await;
    }
}

pub(super) fn request(parts: &Parts, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    if matches!(request.body(), Body::Empty)
        && !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
    {
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(header::CONTENT_LENGTH, none);
    }
    request
}

/// Nobody can be asked, or has room.
pub(super) fn refuse<L>(environment: &Environment<L>, asked: &HeaderMap) -> Response<Body> {
    environment.counts.refused.fetch_add(1, Ordering::Relaxed);
    let mut response = environment
        .error_pages
        .respond(StatusCode::SERVICE_UNAVAILABLE, asked);
    response
        .headers_mut()
        .entry(header::RETRY_AFTER)
        .or_insert(HeaderValue::from_static("1"));
    response
}
