//! Who answers which path.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use stoa_runtime::environment::Environment;
use stoa_web::body::TimedBody;
use stoa_web::server::Handler;
use stoa_web::{Body, StaticContent};
use tracing::Instrument as _;

use crate::health::Health;
use crate::route::{DATA, Route};

/// Time that a client may send nothing of a body that is awaited.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// One application at one address.
pub(crate) struct Site {
    /// Swapped when the application changes; a request keeps the one that it began with.
    pub(crate) environment: ArcSwap<Environment>,
    pub(crate) content: StaticContent,
    pub(crate) health: Health,
}

impl Handler for Site {
    async fn handle(&self, request: Request<Incoming>, id: &HeaderValue) -> Response<Body> {
        match Route::of(request.method(), request.uri().path()) {
            Route::Static => {
                self.content
                    .respond(request.method(), request.uri(), request.headers())
                    .await
            }
            Route::Health => {
                self.health
                    .respond(request.method(), request.uri().path())
                    .await
            }
            _ if request.uri().path() == DATA => to_service_root(),
            _ => {
                let environment = self.environment.load_full();
                let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
                let request = request.map(|body| TimedBody::new(body, BODY_TIMEOUT));
                environment
                    .respond(request)
                    .instrument(span)
                    .await
                    .map(body)
            }
        }
    }
}

impl Site {
    pub(crate) fn swap(&self, environment: Environment) {
        self.environment.store(Arc::new(environment));
    }
}

fn body(body: stoa_runtime::body::Body) -> Body {
    match body {
        stoa_runtime::body::Body::Buffer(bytes) => bytes.unwrap_or_default().into(),
        file @ stoa_runtime::body::Body::File { .. } => Body::stream(file),
    }
}

fn to_service_root() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response
        .headers_mut()
        .insert(header::LOCATION, HeaderValue::from_static("/odata/"));
    response
}
