//! What a request must be before anybody else sees it.
//!
//! hyper refuses most of what is not HTTP. This refuses what is, but could be read in two ways by two servers, and
//! gives every request one form: the host in `Host`, the path alone as its target.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use crate::host_name;

/// Why a request is refused. The connection is closed: where the next request begins is not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
}

const fn refuse(status: StatusCode, reason: &'static str) -> Refusal {
    Refusal { status, reason }
}

/// Brings a request into its one form.
pub(super) fn check<B>(request: &mut Request<B>, most_headers: usize) -> Result<(), Refusal> {
    if request.headers().len() > most_headers {
        return Err(refuse(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The request has too many headers.",
        ));
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(refuse(
            StatusCode::NOT_IMPLEMENTED,
            "This server is no proxy, and does not echo requests.",
        ));
    }
    let is_binary = request.version() == Version::HTTP_2;
    let counts = Counts::of(request.headers())?;
    host(request, counts.hosts, is_binary)?;
    if request.uri().path() == "*" && request.method() != Method::OPTIONS {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "Only OPTIONS may ask for the server as a whole.",
        ));
    }
    if is_binary && counts.cookies > 1 {
        join_cookies(request.headers_mut());
    }
    Ok(())
}

/// Found in one walk over the headers.
#[derive(Debug, Default)]
struct Counts {
    hosts: usize,
    cookies: usize,
}

impl Counts {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut counts = Self::default();
        let mut encodings = 0;
        for (name, value) in headers {
            if name == header::HOST {
                counts.hosts += 1;
            } else if name == header::COOKIE {
                counts.cookies += 1;
            } else if name == header::TRANSFER_ENCODING {
                encodings += 1;
                if !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(refuse(
                        StatusCode::NOT_IMPLEMENTED,
                        "The only transfer coding that is understood is chunked.",
                    ));
                }
            } else if name == header::EXPECT
                && !value.as_bytes().eq_ignore_ascii_case(b"100-continue")
            {
                return Err(refuse(
                    StatusCode::EXPECTATION_FAILED,
                    "The only expectation that is met is 100-continue.",
                ));
            }
        }
        // A length beside it is gone already: hyper drops it and closes the connection (RFC 9112 §6.1).
        if encodings > 1 {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "The request has two transfer codings.",
            ));
        }
        Ok(counts)
    }
}

const BAD_HOST: Refusal = refuse(
    StatusCode::BAD_REQUEST,
    "The request does not name one host.",
);

fn host<B>(request: &mut Request<B>, hosts: usize, is_binary: bool) -> Result<(), Refusal> {
    if hosts > 1 {
        return Err(BAD_HOST);
    }
    let given = request.headers().get(header::HOST);
    if given.is_some_and(|given| !host_name::is_valid(given.as_bytes())) {
        return Err(BAD_HOST);
    }
    let Some(authority) = request.uri().authority() else {
        return match given {
            None if request.version() != Version::HTTP_10 => Err(BAD_HOST),
            _ => Ok(()),
        };
    };
    let authority = authority.as_str();
    // Without a scheme it is the target of a tunnel.
    if request.uri().scheme().is_none() || !host_name::is_valid(authority.as_bytes()) {
        return Err(BAD_HOST);
    }
    match given {
        Some(given) if given.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {}
        // RFC 9113 §8.3.1. For HTTP/1.1 the target counts, whatever the header says (RFC 9112 §3.2.2).
        Some(_) if is_binary => return Err(BAD_HOST),
        _ => {
            let host = HeaderValue::from_str(authority).map_err(|_| BAD_HOST)?;
            request.headers_mut().insert(header::HOST, host);
        }
    }
    let target = request
        .uri()
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

/// HTTP/2 may send each cookie by itself; everything behind wants them in one line (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut all = Vec::new();
    for cookies in headers.get_all(header::COOKIE) {
        if !all.is_empty() {
            all.extend_from_slice(b"; ");
        }
        all.extend_from_slice(cookies.as_bytes());
    }
    // Legal values stay legal when joined.
    if let Ok(joined) = HeaderValue::from_bytes(&all) {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, target: &str, lines: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    /// `target host` or the status.
    fn outcome(version: Version, target: &str, lines: &[(&'static str, &str)]) -> String {
        let mut request = request(version, target, lines);
        match check(&mut request, 10) {
            Ok(()) => {
                let host = request.headers().get(header::HOST);
                let host = host.map_or("", |host| host.to_str().unwrap());
                format!("{} {host}", request.uri())
            }
            Err(refusal) => refusal.status.as_u16().to_string(),
        }
    }

    #[test]
    fn hosts() {
        let one = |target, host| outcome(Version::HTTP_11, target, &[("host", host)]);
        assert_eq!(one("/a?b", "a.example"), "/a?b a.example");
        assert_eq!(one("/", "a b"), "400");
        assert_eq!(one("/", ""), "400");
        assert_eq!(one("http://b.example/a?b", "a.example"), "/a?b b.example");
        assert_eq!(one("http://b.example", "a.example"), "/ b.example");
        assert_eq!(one("http://user@b.example/", "a.example"), "400");
        assert_eq!(one("b.example", "a.example"), "400");
        assert_eq!(outcome(Version::HTTP_11, "/", &[]), "400");
        assert_eq!(outcome(Version::HTTP_10, "/", &[]), "/ ");
        let twice = [("host", "a.example"), ("host", "a.example")];
        assert_eq!(outcome(Version::HTTP_11, "/", &twice), "400");
    }

    #[test]
    fn hosts_of_http_2() {
        let two =
            |lines: &[(&'static str, &str)]| outcome(Version::HTTP_2, "https://a.example/x", lines);
        assert_eq!(two(&[]), "/x a.example");
        assert_eq!(two(&[("host", "A.example")]), "/x A.example");
        assert_eq!(two(&[("host", "b.example")]), "400");
        let cookies = [("cookie", "a=1"), ("cookie", "b=2")];
        let mut request = request(Version::HTTP_2, "https://a.example/x", &cookies);
        check(&mut request, 10).unwrap();
        let all = request.headers().get_all(header::COOKIE);
        assert_eq!(all.iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn lengths_and_expectations() {
        let check = |lines: &[(&'static str, &str)], expected: &str| {
            let mut all = vec![("host", "a")];
            all.extend(lines);
            assert_eq!(outcome(Version::HTTP_11, "/", &all), expected, "{lines:?}");
        };
        check(&[("transfer-encoding", "Chunked")], "/ a");
        check(&[("transfer-encoding", "gzip, chunked")], "501");
        check(&[("transfer-encoding", "\tchunked")], "501");
        let twice = [("transfer-encoding", "chunked"); 2];
        check(&twice, "400");
        check(&[("expect", "100-Continue")], "/ a");
        check(&[("expect", "miracles")], "417");
        check(&[("a", "b"); 9], "/ a");
        check(&[("a", "b"); 10], "431");
    }
}
