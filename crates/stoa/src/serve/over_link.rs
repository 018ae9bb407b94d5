//! What a web server asks over a link: requests of clients, static content, whether all is well.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use stoa_link::dial::{self, REFUSED, UNAVAILABLE};
use stoa_web::Body;
use stoa_web::replica::{self, Source};
use stoa_web::server::{Asked, Finished, Handler as _, Observer as _};
use stoa_web::tier::LINK_PATHS;

use super::application::Application;
use crate::metrics::Metrics;

/// One environment, for web servers.
pub(crate) struct OverLink {
    pub(crate) application: Arc<Application>,
    pub(crate) content: Option<Arc<Source>>,
    pub(crate) metrics: Arc<Metrics>,
}

impl dial::Handler for OverLink {
    type Body = Body;

    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if let Some(wanted) = path.strip_prefix(LINK_PATHS) {
            return match &self.content {
                _ if wanted == "ready" => self.ready().await,
                Some(content) if path.starts_with(replica::PATHS) => content.respond(path).await,
                _ => status(StatusCode::NOT_FOUND),
            };
        }
        let started = Instant::now();
        let route = self.metrics.begin(&request);
        let mut asked = Asked::handed_on(request.headers());
        let mut response = self.application.handle(request, &mut asked).await;
        if matches!(&*self.application, Application::Own(_))
            && response.status() == StatusCode::SERVICE_UNAVAILABLE
        {
            // What it needs may be there again in a moment, or for another instance.
            let unavailable = HeaderValue::from_static(UNAVAILABLE);
            response.headers_mut().insert(REFUSED, unavailable);
        }
        let at = Instant::now();
        self.metrics.finish(
            route,
            &asked,
            Finished {
                status: Some(response.status()),
                bytes: response.body().size_hint().lower(),
                aborted: false,
                at,
                elapsed: at - started,
            },
        );
        response
    }
}

impl OverLink {
    async fn ready(&self) -> Response<Body> {
        match &*self.application {
            Application::Own(site) => site.tell_health(&Method::GET, "/health/ready").await,
            Application::Foreign(upstream) => status(if upstream.is_well() {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            }),
        }
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}
