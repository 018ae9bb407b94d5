//! Is the process alive, and can it serve?

use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};
use stoa_store::{LeaseState, Store};
use stoa_web::Body;
use tokio_util::sync::CancellationToken;

/// Time that the database has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What readiness depends on.
pub(crate) struct Health {
    pub(crate) store: Store,
    pub(crate) shutdown: CancellationToken,
}

impl Health {
    /// Answers a request below `/health`, for a server with such a lease among those that use the database.
    pub(crate) async fn respond(
        &self,
        method: &Method,
        path: &str,
        lease: Option<LeaseState>,
    ) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = answer(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({ "status": "method not allowed" }),
            );
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/health/live" => answer(StatusCode::OK, &json!({ "status": "live" })),
            "/health/ready" if lease == Some(LeaseState::Over) => unavailable(
                "unavailable",
                "database",
                "the database has not confirmed this server lately, and others may take its place",
            ),
            "/health/ready" => self.ready().await,
            _ => answer(
                StatusCode::NOT_FOUND,
                &json!({ "status": "unknown", "message": "there are /health/live and /health/ready" }),
            ),
        }
    }

    async fn ready(&self) -> Response<Body> {
        if self.shutdown.is_cancelled() {
            return unavailable(
                "draining",
                "server",
                "the server is stopping and takes no new connections",
            );
        }
        match tokio::time::timeout(PATIENCE, self.store.check()).await {
            Ok(Ok(())) => answer(
                StatusCode::OK,
                &json!({ "status": "ready", "version": env!("CARGO_PKG_VERSION") }),
            ),
            Ok(Err(error)) => unavailable("unavailable", "database", &error.to_string()),
            Err(_) => unavailable(
                "unavailable",
                "database",
                "the database does not answer in time",
            ),
        }
    }
}

fn unavailable(status: &str, component: &str, message: &str) -> Response<Body> {
    let problems = json!([{ "component": component, "message": message }]);
    let mut response = answer(
        StatusCode::SERVICE_UNAVAILABLE,
        &json!({ "status": status, "problems": problems }),
    );
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
