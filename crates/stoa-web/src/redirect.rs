//! From HTTP to HTTPS; and the one thing that an authority for certificates asks over HTTP.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::acme::Answers;
use crate::body::Body;
use crate::error_pages::ErrorPages;
use crate::host_name;
use crate::server::{Asked, Handler};

/// Whether a host name, without port, is the site's.
type Knows = dyn Fn(&str) -> bool + Send + Sync;

/// Sends every request to the same place with TLS, with its method and body (308).
pub struct ToHttps {
    /// In the new address; none for 443.
    port: Option<u16>,
    knows: Box<Knows>,
    pages: Arc<ErrorPages>,
    answers: Option<Answers>,
}

impl std::fmt::Debug for ToHttps {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ToHttps")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl ToHttps {
    /// To `port`, for hosts that `knows` says are the site's: nobody is sent to a host that a request made up.
    pub fn new(
        port: u16,
        knows: impl Fn(&str) -> bool + Send + Sync + 'static,
        pages: Arc<ErrorPages>,
    ) -> Self {
        Self {
            port: (port != 443).then_some(port),
            knows: Box::new(knows),
            pages,
            answers: None,
        }
    }

    /// Answers an authority that validates host names, too.
    #[must_use]
    pub fn with_answers(self, answers: Option<Answers>) -> Self {
        Self { answers, ..self }
    }

    /// The new address of a target (`/path?query`) of `host`, as a request names it.
    fn location(&self, host: &str, target: &str) -> Option<HeaderValue> {
        let name = host_name::without_port(host)?;
        if !(self.knows)(name) || !target.starts_with('/') {
            return None;
        }
        let location = match self.port {
            None => format!("https://{name}{target}"),
            Some(port) => format!("https://{name}:{port}{target}"),
        };
        HeaderValue::try_from(location).ok()
    }
}

impl Handler for ToHttps {
    async fn handle(&self, request: Request<Incoming>, _: &mut Asked) -> Response<Body> {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        if let Some(answers) = &self.answers
            && let Some(name) = host_name::without_port(host)
            && let Some(response) = answers.answer(name, &request)
        {
            return response;
        }
        let target = request.uri().path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let Some(location) = self.location(host, target) else {
            return self
                .pages
                .respond(StatusCode::MISDIRECTED_REQUEST, request.headers());
        };
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(header::LOCATION, location);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let redirect = |port| {
            ToHttps::new(
                port,
                |name| matches!(name, "a.example" | "[::1]"),
                Arc::default(),
            )
        };
        let check = |port, host, target, expected: Option<&str>| {
            let location = redirect(port).location(host, target);
            let location = location.as_ref().map(|location| location.to_str().unwrap());
            assert_eq!(location, expected, "{host} {target}");
        };
        check(443, "a.example", "/x?y=1", Some("https://a.example/x?y=1"));
        check(443, "a.example:80", "/", Some("https://a.example/"));
        check(8443, "a.example:8080", "/", Some("https://a.example:8443/"));
        check(
            443,
            "[::1]:80",
            "//b.example/",
            Some("https://[::1]//b.example/"),
        );
        check(443, "b.example", "/", None);
        check(443, "a.example@b.example", "/", None);
        check(443, "", "/", None);
        check(443, "a.example", "*", None);
    }
}
