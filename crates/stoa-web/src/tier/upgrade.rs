//! Requests that become something else, such as WebSockets: bytes pass both ways until one side ends.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use super::target::{InFlight, Targets, Via};
use super::{Config, Environment, forward, head};
use crate::body::Body;
use crate::server::Handler;

/// Whether a request wants to become something else.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    head::wanted_upgrade(request.headers()).is_some()
}

/// A request that wants to become something else.
pub(super) struct Call<'a, L> {
    pub(super) environment: &'a Environment<L>,
    pub(super) targets: &'a Arc<Targets<L>>,
    pub(super) config: &'a Config,
    pub(super) tag: Option<&'a [u8]>,
    pub(super) is_secure: bool,
}

impl<L: Handler> Call<'_, L> {
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        id: &HeaderValue,
    ) -> Response<Body> {
        let until = Instant::now() + self.config.queue;
        let mut asked = Vec::new();
        let (target, taken) = loop {
            let slow_start = self.config.slow_start;
            let Some(target) = self.targets.choose(self.tag, &asked, slow_start) else {
                return forward::refuse(self.environment, request.headers());
            };
            let taken = match &target.via {
                Via::Link(instance) => instance.wait(true, until).await,
                Via::Local { .. } => None,
            };
            match taken {
                Some(taken) => break (target, taken),
                None => asked.push(target),
            }
        };
        let client_side = hyper::upgrade::on(&mut request);
        let wanted = request.headers().get(header::UPGRADE).cloned();
        let (mut parts, body) = request.into_parts();
        head::hand_on(&mut parts, &self.environment.name_value, id);
        head::ask_to_become(&mut parts.headers, wanted.as_ref());
        let request = Request::from_parts(parts, Body::stream(body));
        let asked = request.headers().clone();
        let mut response = match taken.send(request, || false).await {
            Ok(response) => response,
            Err(_) => {
                return self
                    .environment
                    .error_pages
                    .respond(StatusCode::BAD_GATEWAY, &asked);
            }
        };
        let becomes = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let instance_side = becomes.then(|| hyper::upgrade::on(&mut response));
        let wanted = response.headers().get(header::UPGRADE).cloned();
        let mut response = response.map(Body::stream);
        let headers = response.headers_mut();
        head::hand_back(headers);
        self.environment
            .sticky
            .give(headers, self.tag, &target.tag, self.is_secure);
        let Some(instance_side) = instance_side else {
            return response;
        };
        head::ask_to_become(headers, wanted.as_ref());
        let in_flight = InFlight::new(&target);
        tokio::spawn(async move {
            let _in_flight = in_flight;
            let (client, instance) = match tokio::try_join!(client_side, instance_side) {
                Ok(sides) => sides,
                Err(error) => {
                    tracing::debug!(%error, "a request could not become something else");
                    return;
                }
            };
            let (mut client, mut instance) = (TokioIo::new(client), TokioIo::new(instance));
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut instance).await {
                tracing::debug!(%error, "a connection that became something else broke");
            }
        });
        response
    }
}
