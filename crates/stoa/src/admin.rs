//! The listener for those who run the server: metrics and health, on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use stoa_runtime::csrf::HostNames;
use stoa_web::Body;
use stoa_web::server::{self, Asked, Config, Handler, Traffic, Unobserved};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Metrics};
use crate::route::Route;
use crate::site::Site;

/// What is served to those who run the server.
pub(crate) struct Page {
    metrics: Arc<Metrics>,
    /// The application whose health is told; none: the process is alive, and that is all.
    site: Option<Arc<Site>>,
}

impl Page {
    /// Metrics, and how an application is.
    pub(crate) fn of_site(metrics: Arc<Metrics>, site: Arc<Site>) -> Self {
        Self {
            metrics,
            site: Some(site),
        }
    }

    /// Metrics.
    pub(crate) fn of_metrics(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            site: None,
        }
    }
}

impl Handler for Page {
    async fn handle(&self, request: Request<Incoming>, _: &mut Asked) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let path = parts.uri.path();
        if Route::of(&parts.method, path) == Route::Health {
            return match &self.site {
                Some(site) => site.tell_health(&parts.method, path).await,
                None => text(StatusCode::OK, "live\n"),
            };
        }
        if !HostNames::loopback([]).accept(&parts) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "Ask for this machine by a name of its own, such as localhost.\n",
            );
        }
        match (&parts.method, path) {
            (&Method::GET | &Method::HEAD, "/metrics") => match metrics::render(&self.metrics) {
                Ok(page) => answer(StatusCode::OK, metrics::CONTENT_TYPE, page.into()),
                Err(error) => {
                    tracing::error!(%error, "cannot write the metrics");
                    text(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "The metrics cannot be written.\n",
                    )
                }
            },
            _ => text(
                StatusCode::NOT_FOUND,
                "There are /metrics, /health/live and /health/ready.\n",
            ),
        }
    }
}

/// Binds the address. If it is taken the server goes on without: several servers of one machine share the default.
pub(crate) fn bind(address: SocketAddr) -> Option<TcpListener> {
    server::bind(address)
        .inspect_err(|error| {
            tracing::warn!(
                %address, %error,
                "no metrics: the admin address cannot be used; choose another with --admin, or --admin off"
            );
        })
        .ok()
}

/// Serves until `shutdown`.
pub(crate) fn start(
    listener: TcpListener,
    page: Page,
    shutdown: CancellationToken,
) -> JoinHandle<server::Drained> {
    let config = Config {
        connections: 64,
        drain_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    tokio::spawn(server::serve(
        listener,
        config,
        Arc::new(page),
        Arc::new(Unobserved),
        Arc::new(Traffic::default()),
        shutdown,
    ))
}

fn text(status: StatusCode, message: &'static str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", message.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
