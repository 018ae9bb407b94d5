//! Requests that become something else, such as WebSockets: bytes pass both ways until one side ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Request, Response, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use stoa_link::accept::Fault;
use stoa_link::dial::REFUSED;

use super::target::{ENVIRONMENT, InFlight, Target, Via};
use super::{Config, Environment, forward, head};
use crate::body::Body;
use crate::server::{Asked, Handler};
use crate::tunnel;

/// Pause after all were asked in vain.
const PAUSE: Duration = Duration::from_millis(20);

/// Whether a request wants to become something else. With a body it may stay what it is (RFC 9110, 7.8).
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    head::wanted_upgrade(request.headers()).is_some() && request.body().is_end_stream()
}

/// A request that wants to become something else.
pub(super) struct Call<'a, L> {
    pub(super) environment: &'a Environment<L>,
    pub(super) config: &'a Config,
    pub(super) tag: Option<&'a [u8]>,
    pub(super) is_secure: bool,
}

/// An attempt without an answer.
enum Missed {
    /// It was not begun.
    NotBegun,
    /// It may have been begun.
    MayHaveBegun,
}

impl<L: Handler> Call<'_, L> {
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        asked: &Asked,
    ) -> Response<Body> {
        let client_side = hyper::upgrade::on(&mut request);
        let wanted = head::wanted_upgrade(request.headers());
        let (mut parts, _) = request.into_parts();
        head::hand_on(&mut parts, &self.environment.name_value, asked);
        head::ask_to_become(&mut parts.headers, wanted.as_ref());
        let until = Instant::now() + self.config.queue;
        let mut tried: Vec<Arc<Target<L>>> = Vec::new();
        loop {
            let targets = self.environment.targets.load_full();
            let Some(target) = targets.choose(self.tag, &tried, self.config.slow_start) else {
                if Instant::now() >= until {
                    return forward::refuse(self.environment, &parts.headers);
                }
                tokio::time::sleep(PAUSE).await;
                tried.clear();
                continue;
            };
            match self.attempt(&target, &parts).await {
                Ok((response, instance_side)) => {
                    return self.hand_back(response, &target, client_side, instance_side);
                }
                Err(Missed::NotBegun) => tried.push(target),
                Err(Missed::MayHaveBegun) => {
                    target.note_fault(self.config);
                    return self
                        .environment
                        .error_pages
                        .respond(StatusCode::BAD_GATEWAY, &parts.headers);
                }
            }
        }
    }

    async fn attempt(
        &self,
        target: &Arc<Target<L>>,
        parts: &Parts,
    ) -> Result<(Response<Body>, Option<OnUpgrade>), Missed> {
        let mut request = forward::request(parts, Body::Empty);
        match &target.via {
            Via::Link(instance) => {
                let taken = instance.take_for_upgrade().await.ok_or(Missed::NotBegun)?;
                if target.is_leaving() {
                    return Err(Missed::NotBegun);
                }
                let response = taken.send(request, || false).await.map_err(|failure| {
                    if matches!(failure.fault, Fault::NotSent) {
                        Missed::NotBegun
                    } else {
                        Missed::MayHaveBegun
                    }
                })?;
                if response.headers().contains_key(REFUSED) {
                    return Err(Missed::NotBegun);
                }
                Ok(split(response))
            }
            Via::Upstream(upstream) => {
                request.headers_mut().remove(ENVIRONMENT);
                let response = upstream.ask_to_become(request).await.map_err(|error| {
                    if error.may_have_begun() {
                        Missed::MayHaveBegun
                    } else {
                        Missed::NotBegun
                    }
                })?;
                Ok(split(response))
            }
            // It is handed over before it is taken apart, unless somebody else was chosen then.
            Via::Local(_) => Err(Missed::NotBegun),
        }
    }

    fn hand_back(
        &self,
        mut response: Response<Body>,
        target: &Arc<Target<L>>,
        client_side: OnUpgrade,
        instance_side: Option<OnUpgrade>,
    ) -> Response<Body> {
        let wanted = response.headers().get(header::UPGRADE).cloned();
        let headers = response.headers_mut();
        head::hand_back(headers);
        self.environment
            .sticky
            .give(headers, self.tag, &target.tag, self.is_secure);
        if let Some(instance_side) = instance_side {
            head::ask_to_become(headers, wanted.as_ref());
            let (in_flight, target) = (InFlight::new(target), Arc::clone(target));
            tokio::spawn(async move {
                let _in_flight = in_flight;
                tunnel::join(client_side, instance_side, target.is_gone()).await;
            });
        }
        response
    }
}

/// An answer, and what the connection has become if it agrees.
fn split<B>(mut response: Response<B>) -> (Response<Body>, Option<OnUpgrade>)
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<crate::body::BodyError>,
{
    let becomes = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let side = becomes.then(|| hyper::upgrade::on(&mut response));
    (response.map(Body::stream), side)
}
