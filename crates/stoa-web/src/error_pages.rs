//! What a client sees when there is no answer: a page for people, an OData error for programs.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::body::Body;

/// Longest page that is loaded from a file.
const LONGEST: u64 = 1 << 20;
/// Statuses that may have a page of their own.
pub const STATUSES: [u16; 7] = [413, 421, 429, 500, 502, 503, 504];

/// A page cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ErrorPagesError {
    /// The file cannot be read.
    #[error("cannot read the page {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A page is held in memory.
    #[error("the page {} is larger than {} KiB", path.display(), LONGEST / 1024)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// The pages of an environment, loaded once.
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    pages: Arc<HashMap<u16, Bytes>>,
    maintenance: Option<Bytes>,
}

impl ErrorPages {
    /// `folder` holds pages named after the status, such as `502.html`; those that are not there are built in.
    /// `maintenance` is shown while the application is put out of service on purpose.
    ///
    /// # Errors
    /// A file that is there cannot be read, or is too large; the file named by `maintenance` must be there.
    pub fn load(
        folder: Option<&Path>,
        maintenance: Option<&Path>,
    ) -> Result<Self, ErrorPagesError> {
        let mut pages = HashMap::new();
        if let Some(folder) = folder {
            for status in STATUSES {
                match read(&folder.join(format!("{status}.html"))) {
                    Ok(page) => {
                        pages.insert(status, page);
                    }
                    Err(ErrorPagesError::Read { source, .. })
                        if source.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Self {
            pages: Arc::new(pages),
            maintenance: maintenance.map(read).transpose()?,
        })
    }

    /// The answer with this status. `asked`: the headers of the request.
    #[must_use]
    pub fn respond(&self, status: StatusCode, asked: &HeaderMap) -> Response<Body> {
        self.respond_with(status, asked, text(status).1)
    }

    /// The same with a text of its own, where no page of the environment's own replaces it.
    #[must_use]
    pub fn respond_with(
        &self,
        status: StatusCode,
        asked: &HeaderMap,
        message: &str,
    ) -> Response<Body> {
        let page = self.pages.get(&status.as_u16());
        answer(status, asked, page, message)
    }

    /// The answer while the application is out of service on purpose.
    #[must_use]
    pub fn respond_maintenance(&self, asked: &HeaderMap) -> Response<Body> {
        let page = self
            .maintenance
            .as_ref()
            .or_else(|| self.pages.get(&StatusCode::SERVICE_UNAVAILABLE.as_u16()));
        answer(
            StatusCode::SERVICE_UNAVAILABLE,
            asked,
            page,
            "The application is being worked on and will be back soon.",
        )
    }
}

fn read(path: &Path) -> Result<Bytes, ErrorPagesError> {
    let of_reading = |source| ErrorPagesError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(of_reading)?.len() > LONGEST {
        return Err(ErrorPagesError::TooLarge {
            path: path.to_owned(),
        });
    }
    std::fs::read(path).map(Bytes::from).map_err(of_reading)
}

/// Code of the error, and what it means.
fn text(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        413 => ("BodyTooLarge", "The body of the request is too large."),
        417 => ("ExpectationFailed", "The expectation cannot be met."),
        421 => ("Misdirected", "This server does not serve that host name."),
        429 => (
            "TooManyRequests",
            "Too many requests from this address: wait a little.",
        ),
        431 => (
            "HeadersTooLarge",
            "The headers of the request are too large.",
        ),
        500 => (
            "Internal",
            "The server failed. The log tells why, by the request's id.",
        ),
        501 => ("NotImplemented", "The server cannot do that."),
        502 => ("BadGateway", "The application broke off while it answered."),
        503 => (
            "Unavailable",
            "The application is not available at the moment: try again soon.",
        ),
        504 => ("GatewayTimeout", "The application took too long to answer."),
        _ => ("BadRequest", "The request cannot be understood."),
    }
}

fn answer(
    status: StatusCode,
    asked: &HeaderMap,
    page: Option<&Bytes>,
    message: &str,
) -> Response<Body> {
    let (body, kind) = match (wanted(asked), page) {
        (Form::Json, _) => {
            let error = serde_json::json!({
                "error": { "code": text(status).0, "message": message }
            });
            (Body::from(error.to_string()), "application/json")
        }
        (Form::Html, Some(page)) => (Body::from(page.clone()), "text/html; charset=utf-8"),
        (Form::Html, None) => (
            Body::from(built_in(status, message)),
            "text/html; charset=utf-8",
        ),
        (Form::Text, _) => (
            Body::from(format!("{message}\n")),
            "text/plain; charset=utf-8",
        ),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

enum Form {
    Json,
    Html,
    Text,
}

/// Browsers name HTML, programs JSON, and whoever takes anything reads a line of text best.
fn wanted(asked: &HeaderMap) -> Form {
    let mut form = Form::Text;
    for line in asked.get_all(header::ACCEPT) {
        for item in line.to_str().unwrap_or_default().split(',') {
            let kind = item.split(';').next().unwrap_or_default().trim();
            if kind.eq_ignore_ascii_case("text/html") {
                return Form::Html;
            }
            let is_json = kind.len() >= 4
                && kind
                    .get(kind.len() - 4..)
                    .is_some_and(|end| end.eq_ignore_ascii_case("json"));
            if is_json {
                form = Form::Json;
            }
        }
    }
    form
}

/// Nothing in it runs, and nothing is loaded: it is shown when nothing else works. `message` is the server's own.
fn built_in(status: StatusCode, message: &str) -> String {
    let title = status.canonical_reason().unwrap_or("Error");
    let message = message
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p>{message}</p>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn page(response: Response<Body>) -> String {
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
        let start = format!("{} {kind}\n", response.status().as_u16());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        start + std::str::from_utf8(&body).unwrap()
    }

    fn accept(kinds: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(kinds));
        headers
    }

    #[tokio::test]
    async fn each_gets_what_it_can_read() {
        let pages = ErrorPages::default();
        let status = StatusCode::SERVICE_UNAVAILABLE;
        insta::assert_snapshot!(
            page(pages.respond(status, &accept("application/json;q=0.9, */*"))).await,
            @r#"
        503 application/json
        {"error":{"code":"Unavailable","message":"The application is not available at the moment: try again soon."}}
        "#
        );
        let browser = accept("text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8");
        let html = page(pages.respond(status, &browser)).await;
        assert!(html.starts_with("503 text/html"), "{html}");
        assert!(html.contains("<h1>Service Unavailable</h1>"), "{html}");
        insta::assert_snapshot!(
            page(pages.respond_with(status, &HeaderMap::new(), "No <b>.")).await,
            @r"
        503 text/plain; charset=utf-8
        No <b>.
        "
        );
        let html = page(pages.respond_with(status, &browser, "No <b>.")).await;
        assert!(html.contains("No &lt;b&gt;."), "{html}");
    }

    #[tokio::test]
    async fn own_pages() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("503.html"), "<p>own").unwrap();
        let maintenance = folder.path().join("maintenance.html");
        let load = |maintenance| ErrorPages::load(Some(folder.path()), maintenance);
        assert!(load(Some(&maintenance)).is_err());
        let pages = load(None).unwrap();
        let browser = accept("text/html");
        let shown = page(pages.respond(StatusCode::SERVICE_UNAVAILABLE, &browser)).await;
        assert_eq!(shown, "503 text/html; charset=utf-8\n<p>own");
        let shown = page(pages.respond_maintenance(&browser)).await;
        assert!(shown.ends_with("<p>own"));
        let shown = page(pages.respond(StatusCode::BAD_GATEWAY, &browser)).await;
        assert!(shown.contains("<h1>Bad Gateway</h1>"));
        std::fs::write(&maintenance, "<p>soon").unwrap();
        let pages = load(Some(&maintenance)).unwrap();
        let shown = page(pages.respond_maintenance(&browser)).await;
        assert_eq!(shown, "503 text/html; charset=utf-8\n<p>soon");
        std::fs::write(&maintenance, vec![b'x'; 2 << 20]).unwrap();
        assert!(matches!(
            load(Some(&maintenance)),
            Err(ErrorPagesError::TooLarge { .. })
        ));
    }
}
