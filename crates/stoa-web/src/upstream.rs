//! A foreign HTTP application behind an app server.

mod exchange;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use stoa_link::dial::REFUSED;
use tokio::net::TcpStream;

use crate::body::Body;
use crate::error_pages::ErrorPages;
use crate::server::{Asked, Handler};
use crate::tier::head;
use crate::tunnel;

use exchange::Idle;
pub(crate) use exchange::{Answer, AskError};

/// Longest wait for an answer to the question whether it is well.
const LOOK: Duration = Duration::from_secs(2);

/// One address of a foreign application.
pub struct Upstream {
    authority: Authority,
    health: Option<String>,
    idle: Arc<Idle>,
    is_well: AtomicBool,
    pages: ErrorPages,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Upstream")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// An application at `address` (host and port). `health`: a path that answers 2xx or 3xx when it is well; none: it
    /// is well when it accepts connections.
    ///
    /// # Errors
    /// The address is none.
    pub fn new(address: &str, health: Option<&str>) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self {
            authority: address.parse()?,
            health: health.map(str::to_owned),
            idle: Arc::default(),
            is_well: AtomicBool::new(false),
            pages: ErrorPages::default(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        self.authority.as_str()
    }

    /// Whether it was well when it was looked at last.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    /// Looks whether it is well, and closes connections that nobody needs.
    pub async fn look(&self) -> bool {
        self.idle.close_old();
        let looked = async {
            match &self.health {
                None => TcpStream::connect(self.authority.as_str()).await.is_ok(),
                Some(path) => {
                    let request = Request::get(path.as_str())
                        .header(header::HOST, self.authority.as_str())
                        .body(Body::Empty);
                    let Ok(request) = request else {
                        return false;
                    };
                    let answered = exchange::ask(&self.idle, self.address(), request).await;
                    answered.is_ok_and(|response| {
                        response.status().is_success() || response.status().is_redirection()
                    })
                }
            }
        };
        let is_well = tokio::time::timeout(LOOK, looked).await.unwrap_or(false);
        self.is_well.store(is_well, Ordering::Relaxed);
        is_well
    }
}

impl Upstream {
    /// Asks it. The request is one that can be handed on.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Result<Response<Answer>, AskError> {
        let answered = exchange::ask(&self.idle, self.address(), request).await;
        answered.inspect_err(|error| self.warn(error))
    }

    /// Asks it to become something else on this connection.
    pub(crate) async fn ask_to_become(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Answer>, AskError> {
        let answered = exchange::ask_to_become(self.address(), request).await;
        answered.inspect_err(|error| self.warn(error))
    }

    fn warn(&self, error: &AskError) {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            upstream.address = self.authority.as_str(),
            "a foreign application does not answer"
        );
    }
}

impl Handler for Upstream {
    async fn handle(&self, mut request: Request<Incoming>, asked: &mut Asked) -> Response<Body> {
        let wanted = head::wanted_upgrade(request.headers());
        let client_side = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        head::remove_connection(&mut parts.headers);
        asked.client.apply(&mut parts.headers);
        parts
            .headers
            .insert(crate::request_id::X_REQUEST_ID, asked.id.clone());
        head::ask_to_become(&mut parts.headers, wanted.as_ref());
        parts.extensions.clear();
        parts.version = http::Version::HTTP_11;
        let sent = parts.headers.clone();
        let request = Request::from_parts(parts, Body::stream(body));
        let answered = if wanted.is_some() {
            Box::pin(self.ask_to_become(request)).await
        } else {
            self.ask(request).await
        };
        let mut response = match answered {
            Ok(response) => response,
            Err(error) => {
                let mut response = self.pages.respond(StatusCode::BAD_GATEWAY, &sent);
                if !error.may_have_begun() {
                    // It has not begun with it.
                    let refused = HeaderValue::from_static("unreachable");
                    response.headers_mut().insert(REFUSED, refused);
                }
                return response;
            }
        };
        let becomes = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let server_side = becomes.then(|| hyper::upgrade::on(&mut response));
        let wanted = response.headers().get(header::UPGRADE).cloned();
        let mut response = response.map(Body::stream);
        head::remove_connection(response.headers_mut());
        if let (Some(client_side), Some(server_side)) = (client_side, server_side) {
            head::ask_to_become(response.headers_mut(), wanted.as_ref());
            let over = std::future::pending();
            tokio::spawn(tunnel::join(client_side, server_side, over));
        }
        response
    }
}
