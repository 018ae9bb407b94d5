//! One request and its response, whichever version of HTTP it came by.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;

use super::check;
use super::observed::{Begun, Observed, Observer, Told};
use super::registry::Status;
use super::streams::Guard;
use super::{Asked, Config, Handler};
use crate::body::Body;
use crate::forwarded::{Client, Scheme};
use crate::request_id::{self, X_REQUEST_ID};

/// What all connections of a server have in common.
pub(super) struct Shared<H, O> {
    pub(super) config: Config,
    pub(super) handler: Arc<H>,
    pub(super) observer: Arc<O>,
}

/// What all requests of a connection have in common.
pub(super) struct Connection<H, O> {
    shared: Arc<Shared<H, O>>,
    told: Arc<Told<O>>,
    /// Before it has asked for anything.
    client: Client,
    /// What the other end says of clients is believed.
    is_proxy: bool,
}

impl<H: Handler, O: Observer> Connection<H, O> {
    pub(super) fn new(
        shared: &Arc<Shared<H, O>>,
        status: &Arc<Status>,
        peer: std::net::SocketAddr,
        scheme: Scheme,
    ) -> Self {
        let client = Client::new(peer, scheme);
        Self {
            told: Arc::new(Told {
                observer: Arc::clone(&shared.observer),
                connection: Arc::clone(status),
            }),
            is_proxy: shared.config.trust.believes(client.address),
            client,
            shared: Arc::clone(shared),
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Answers a request. `stream` is its place among those of HTTP/2.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        stream: Option<Guard>,
    ) -> Result<Response<Observed<O>>, std::convert::Infallible> {
        self.told.connection.begin();
        let config = &self.shared.config;
        let id = request_id::accept_or_make(request.headers());
        let checked = check::check(&mut request, config.headers);
        let client = self.client_of(&mut request);
        let limited = match &config.rate_limit {
            Some(limit) => limit.take(client.address),
            None => Ok(()),
        };
        let asked = Asked::new(id.clone(), client);
        let mut begun = Begun::new(&request, asked, Arc::clone(&self.told), stream);
        let mut response = if let Err(refusal) = checked {
            let refused =
                config
                    .error_pages
                    .respond_with(refusal.status, request.headers(), refusal.reason);
            closing(refused, request.version())
        } else if let Err(wait) = limited {
            self.too_many(wait, request.headers())
        } else if request.body().size_hint().lower() > config.body_bytes {
            // What is left of the body is not waited for.
            let refused = config
                .error_pages
                .respond(StatusCode::PAYLOAD_TOO_LARGE, request.headers());
            closing(refused, request.version())
        } else {
            self.handle(request, begun.asked()).await
        };
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, id);
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        Ok(begun.respond(response))
    }

    fn client_of(&self, request: &mut Request<Incoming>) -> Client {
        let mut client = self.client.clone();
        if self.is_proxy {
            client.believe(&self.shared.config.trust, request.headers_mut());
        }
        if let Some(host) = request.headers().get(header::HOST) {
            client.host = host.clone();
        }
        client
    }

    async fn handle(&self, request: Request<Incoming>, asked: &mut Asked) -> Response<Body> {
        // The handler's own state is not touched after a panic: it is shared between requests anyway.
        let handled =
            AssertUnwindSafe(async { self.shared.handler.handle(request, &mut *asked).await })
                .catch_unwind()
                .await;
        handled.unwrap_or_else(|_| {
            tracing::error!(
                request.id = asked.id.to_str().unwrap_or_default(),
                "a request made the server panic"
            );
            self.shared
                .config
                .error_pages
                .respond(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new())
        })
    }

    fn too_many(&self, wait: Duration, asked: &HeaderMap) -> Response<Body> {
        let mut response = self
            .shared
            .config
            .error_pages
            .respond(StatusCode::TOO_MANY_REQUESTS, asked);
        let seconds = HeaderValue::from(wait.as_secs().saturating_add(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
        response
    }
}

/// With HTTP/1, the connection ends with this response.
fn closing(mut response: Response<Body>, version: Version) -> Response<Body> {
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
