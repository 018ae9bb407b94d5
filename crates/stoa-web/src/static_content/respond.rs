//! From a request to an answer.

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;

use super::condition::{self, Outcome};
use super::encoding::{Accepted, Coding};
use super::file::{Content, OnDisk, Representation, StaticFile};
use super::range::{self, Ranges};
use super::{Entry, Snapshot, StaticContent};
use crate::body::{Body, Part, Parts};
use crate::security_headers::add_fixed;

const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

impl StaticContent {
    /// Answers a request, whose body is of no interest. The answer has the headers of security but for those of
    /// [`SecurityHeaders::complete`](crate::SecurityHeaders::complete).
    pub async fn respond(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response<Body> {
        let head = match *method {
            Method::GET => false,
            Method::HEAD => true,
            Method::OPTIONS => {
                return with_allow(plain(StatusCode::NO_CONTENT, Body::Empty));
            }
            _ => {
                let response = text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "Static content can be read only: use GET or HEAD.\n",
                    false,
                );
                return with_allow(response);
            }
        };
        let answer = {
            let snapshot = self.current.load();
            answer(&snapshot, head, uri, headers)
        };
        match answer {
            Answer::Ready(response) => response,
            Answer::Disk { file, disk, reply } => {
                let opened = tokio::task::spawn_blocking({
                    let disk = Arc::clone(&disk);
                    move || disk.open()
                })
                .await
                .unwrap_or_else(|error| Err(std::io::Error::other(error)));
                match opened {
                    Ok(open) => reply.response(&file.identity, Some(&open)),
                    Err(error) => {
                        tracing::error!(file.path = %disk.path.display(), %error,
                            "cannot serve a file of the static content; load the content again");
                        let mut response = text(
                            StatusCode::SERVICE_UNAVAILABLE,
                            "This file is being replaced. Try again in a moment.\n",
                            head,
                        );
                        response
                            .headers_mut()
                            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                        response
                    }
                }
            }
        }
    }
}

enum Answer {
    Ready(Response<Body>),
    /// The file has to be opened first.
    Disk {
        file: Arc<StaticFile>,
        disk: Arc<OnDisk>,
        reply: Reply,
    },
}

fn answer(snapshot: &Snapshot, head: bool, uri: &Uri, headers: &HeaderMap) -> Answer {
    let file = match find(snapshot, uri.path()) {
        Some(Entry::File(file)) => file,
        Some(Entry::Folder(location)) => return Answer::Ready(redirect(location, uri.query())),
        None => return not_found(snapshot, head, headers),
    };
    let Some(representation) = negotiate(file, headers) else {
        let mut response = text(
            StatusCode::NOT_ACCEPTABLE,
            "This file has no coding that Accept-Encoding allows.\n",
            head,
        );
        response
            .headers_mut()
            .insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        return Answer::Ready(response);
    };
    let outcome = condition::evaluate(
        headers,
        &representation.etag,
        file.modified,
        &file.last_modified,
    );
    let reply = match outcome {
        Outcome::NotModified => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = representation.not_modified.clone();
            return Answer::Ready(response);
        }
        Outcome::Failed => {
            return Answer::Ready(text(
                StatusCode::PRECONDITION_FAILED,
                "The file is not what If-Match or If-Unmodified-Since ask for.\n",
                head,
            ));
        }
        // Ranges are defined for GET only (RFC 9110 §14.2).
        Outcome::Send { range: true } if !head => match headers.get(header::RANGE) {
            None => Reply::Whole(StatusCode::OK),
            Some(ranges) => match range::parse(ranges.as_bytes(), representation.length) {
                Ranges::Ignored => Reply::Whole(StatusCode::OK),
                Ranges::Unsatisfiable => return Answer::Ready(unsatisfiable(representation)),
                Ranges::Some(ranges) => Reply::Sections(ranges),
            },
        },
        Outcome::Send { .. } if head => Reply::Head(StatusCode::OK),
        Outcome::Send { .. } => Reply::Whole(StatusCode::OK),
    };
    send(file, representation, reply)
}

fn send(file: &Arc<StaticFile>, representation: &Representation, reply: Reply) -> Answer {
    match &representation.content {
        Content::Disk(disk) if !matches!(reply, Reply::Head(_)) => Answer::Disk {
            file: Arc::clone(file),
            disk: Arc::clone(disk),
            reply,
        },
        _ => Answer::Ready(reply.response(representation, None)),
    }
}

/// What is at the path of a request. Nothing but a path that was there at load is ever found, so dot segments,
/// backslashes and encodings of encodings are simply unknown names.
pub(super) fn find<'a>(snapshot: &'a Snapshot, path: &str) -> Option<&'a Entry> {
    if !path.contains('%') {
        return snapshot.entries.get(path);
    }
    // A slash that is encoded separates nothing, and no name contains one.
    if path.contains("%2F") || path.contains("%2f") {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    snapshot.entries.get(decoded.as_ref())
}

fn negotiate<'a>(file: &'a StaticFile, headers: &HeaderMap) -> Option<&'a Representation> {
    let (gzip, brotli) = (file.variant(Coding::Gzip), file.variant(Coding::Brotli));
    match Accepted::of(headers).choose(gzip.is_some(), brotli.is_some())? {
        Coding::Identity => Some(&file.identity),
        Coding::Gzip => gzip,
        Coding::Brotli => brotli,
    }
}

fn not_found(snapshot: &Snapshot, head: bool, headers: &HeaderMap) -> Answer {
    let status = StatusCode::NOT_FOUND;
    match &snapshot.not_found {
        None => Answer::Ready(text(status, "There is nothing at this address.\n", head)),
        Some(file) => {
            let representation = negotiate(file, headers).unwrap_or(&file.identity);
            let reply = if head {
                Reply::Head(status)
            } else {
                Reply::Whole(status)
            };
            send(file, representation, reply)
        }
    }
}

/// What part of a representation is sent.
enum Reply {
    Head(StatusCode),
    Whole(StatusCode),
    Sections(Vec<Range<u64>>),
}

impl Reply {
    fn response(self, representation: &Representation, open: Option<&Arc<File>>) -> Response<Body> {
        let (status, headers, body) = match self {
            Self::Head(status) => (status, representation.headers.clone(), Body::Empty),
            Self::Whole(status) => (
                status,
                representation.headers.clone(),
                representation.whole(open),
            ),
            Self::Sections(ranges) => {
                let (headers, body) = match ranges.as_slice() {
                    [range] => one_section(representation, range, open),
                    ranges => sections(representation, ranges, open),
                };
                (StatusCode::PARTIAL_CONTENT, headers, body)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if status == StatusCode::NOT_FOUND {
            // The page stands for the error, not for the address: nothing to compare with or to resume.
            for name in [header::ETAG, header::LAST_MODIFIED, header::ACCEPT_RANGES] {
                response.headers_mut().remove(name);
            }
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        response
    }
}

fn one_section(
    representation: &Representation,
    range: &Range<u64>,
    open: Option<&Arc<File>>,
) -> (HeaderMap, Body) {
    let mut headers = representation.headers.clone();
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end - range.start),
    );
    if let Ok(value) = HeaderValue::try_from(content_range(range, representation.length)) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    let parts = VecDeque::from_iter(representation.part(range.clone(), open));
    (headers, Body::Parts(Parts::new(parts)))
}

fn sections(
    representation: &Representation,
    ranges: &[Range<u64>],
    open: Option<&Arc<File>>,
) -> (HeaderMap, Body) {
    let mut headers = representation.headers.clone();
    // The digest of the content cannot stand in the content.
    let tag = representation
        .etag
        .to_str()
        .unwrap_or_default()
        .trim_matches('"');
    let boundary = format!("stoa-{tag}");
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = VecDeque::with_capacity(ranges.len() * 2 + 1);
    let mut length = 0;
    for (place, range) in ranges.iter().enumerate() {
        let start = if place == 0 { "" } else { "\r\n" };
        let head = format!(
            "{start}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n",
            content_range(range, representation.length),
        );
        length += head.len() as u64 + range.end - range.start;
        parts.push_back(Part::Memory(Bytes::from(head)));
        parts.extend(representation.part(range.clone(), open));
    }
    let end = format!("\r\n--{boundary}--\r\n");
    length += end.len() as u64;
    parts.push_back(Part::Memory(Bytes::from(end)));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(value) = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}")) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    (headers, Body::Parts(Parts::new(parts)))
}

fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

fn unsatisfiable(representation: &Representation) -> Response<Body> {
    let mut response = text(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "The range lies outside the file.\n",
        false,
    );
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{}", representation.length)) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn redirect(location: &HeaderValue, query: Option<&str>) -> Response<Body> {
    let location = match query {
        None => location.clone(),
        Some(query) => {
            let path = location.to_str().unwrap_or("/");
            HeaderValue::try_from(format!("{path}?{query}")).unwrap_or_else(|_| location.clone())
        }
    };
    let mut response = plain(StatusCode::PERMANENT_REDIRECT, Body::Empty);
    response.headers_mut().insert(header::LOCATION, location);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn text(status: StatusCode, message: &'static str, head: bool) -> Response<Body> {
    let body = if head {
        Body::Empty
    } else {
        Body::from(message)
    };
    let mut response = plain(status, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(message.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An answer that is no file.
fn plain(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    add_fixed(response.headers_mut());
    response
}

fn with_allow(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::ALLOW, ALLOWED);
    response
}
