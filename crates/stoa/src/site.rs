//! Who answers which path, and what every request is told and every answer carries.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use stoa_model::application::Application;
use stoa_runtime::csrf::HostNames;
use stoa_runtime::environment::{Environment, Peer};
use stoa_runtime::identity::Identity;
use stoa_runtime::pages::{self, Pages, Theme};
use stoa_runtime::single_sign_on::SingleSignOn;
use stoa_store::Store;
use stoa_web::body::TimedBody;
use stoa_web::forwarded::X_FORWARDED_HOST;
use stoa_web::security_headers::Answer;
use stoa_web::server::{Asked, Handler};
use stoa_web::{Body, SecurityHeaders, StaticContent};
use tracing::Instrument as _;

use crate::health::Health;
use crate::route::{DATA, Route};
use crate::settings::Settings;

/// Time that a client may send nothing of a body that is awaited.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long requests that began with an application that was replaced are waited for.
const FAREWELL: Duration = Duration::from_secs(60);

/// One application at one address.
pub(crate) struct Site {
    /// Swapped when the application changes; a request keeps the one that it began with.
    pub(crate) served: ArcSwap<Served>,
    pub(crate) content: StaticContent,
    pub(crate) health: Health,
    /// Providers to sign in with.
    pub(crate) single_sign_on: Option<Arc<SingleSignOn>>,
    /// Names under which it is to be asked.
    pub(crate) names: HostNames,
    /// The log of requests tells of each what kind it is.
    pub(crate) tells_route: bool,
}

/// An application in motion, and those who use it.
pub(crate) struct Served {
    pub(crate) environment: Environment,
    pub(crate) identity: Identity,
    pages: Pages,
    security: SecurityHeaders,
}

impl Served {
    /// An application whose database is up to date.
    pub(crate) fn new(
        application: Application,
        theme: Theme,
        store: Store,
        identity: Identity,
        single_sign_on: Option<&Arc<SingleSignOn>>,
        settings: &Settings,
    ) -> Self {
        let manifest = &application.manifest;
        let policy = manifest.web.content_security_policy.as_deref();
        // The manifest was read with the same judgement.
        let security = SecurityHeaders::new(policy).unwrap_or_default();
        let mut pages = Pages::new(&manifest.label, theme, identity.clone());
        if let Some(demonstration) = &manifest.demonstration
            && settings.demonstration
        {
            pages = pages.with_demonstration(demonstration);
        }
        if let Some(single_sign_on) = single_sign_on {
            if single_sign_on.accepts_access_tokens() {
                identity.accept_access_tokens(Arc::clone(single_sign_on) as Arc<_>);
            }
            pages = pages.with_single_sign_on(Arc::clone(single_sign_on));
        }
        let files = settings.place.files();
        Self {
            environment: Environment::new(application, store, files, Some(identity.clone())),
            identity,
            pages,
            security,
        }
    }
}

/// Names under which a server at this address is to be asked.
pub(crate) fn names(settings: &Settings) -> HostNames {
    let others = settings.hosts.iter().map(String::as_str);
    if settings.listen.ip().is_loopback() || !settings.hosts.is_empty() {
        HostNames::loopback(others)
    } else {
        HostNames::any()
    }
}

impl Handler for Site {
    async fn handle(&self, request: Request<Incoming>, asked: &mut Asked) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let route = Route::of(&parts.method, parts.uri.path());
        let is_secure = asked.client.is_secure();
        // Balancers ask for health by address.
        if route != Route::Health && !self.names.accept(&parts) {
            let mut response = misdirected();
            let security = SecurityHeaders::default();
            security.apply(response.headers_mut(), Answer::Data, is_secure);
            return response;
        }
        let id = asked.id.to_str().unwrap_or_default();
        // Nobody asks who it is that gets a file.
        if route != Route::Static {
            asked.client.apply(&mut parts.headers);
            // `Host` has the same, and here nobody needs to be told that there is a proxy.
            parts.headers.remove(X_FORWARDED_HOST);
            parts.extensions.insert(Peer {
                address: Some(asked.client.address),
                request: Some(id.to_owned()),
            });
        }
        let served = self.served.load_full();
        let request = Request::from_parts(parts, TimedBody::new(body, BODY_TIMEOUT));
        // A file leaves nothing to tell but its line in the access log.
        let span = if route == Route::Static {
            tracing::Span::none()
        } else {
            tracing::info_span!("request", id)
        };
        let mut response = self.answer(&served, route, request).instrument(span).await;
        let (security, headers) = (&served.security, response.headers_mut());
        match route {
            Route::Static => security.complete(headers, is_secure),
            Route::Pages => security.apply(headers, Answer::Content, is_secure),
            _ => security.apply(headers, Answer::Data, is_secure),
        }
        if self.tells_route {
            asked.served.route = Some(route.label());
        }
        response
    }
}

impl Site {
    async fn answer(
        &self,
        served: &Served,
        route: Route,
        request: Request<TimedBody<Incoming>>,
    ) -> Response<Body> {
        match route {
            Route::Static => {
                self.content
                    .respond(request.method(), request.uri(), request.headers())
                    .await
            }
            Route::Health => {
                self.tell_health(request.method(), request.uri().path())
                    .await
            }
            // Boxed: a connection keeps the room of its largest answer, and most have less to do.
            Route::Pages => Box::pin(pages::respond(&served.pages, request))
                .await
                .map(body),
            _ if request.uri().path() == DATA => to_service_root(),
            _ => Box::pin(served.environment.respond(request))
                .await
                .map(body),
        }
    }

    /// Answers a request below `/health`.
    pub(crate) async fn tell_health(&self, method: &Method, path: &str) -> Response<Body> {
        let lease = self.served.load().identity.lease();
        self.health.respond(method, path, lease).await
    }

    /// Serves another application from the next request on. The old one goes when its last request has.
    pub(crate) fn swap(&self, served: Served) {
        let old = self.served.swap(Arc::new(served));
        tokio::spawn(async move {
            let until = tokio::time::Instant::now() + FAREWELL;
            while Arc::strong_count(&old) > 1 && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            old.identity.close().await;
        });
    }
}

/// The request names a host that this server is not.
fn misdirected() -> Response<Body> {
    let mut response = Response::new(Body::from(
        "This server does not serve that host name. Whoever runs it can add it with --host NAME.\n",
    ));
    *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
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
