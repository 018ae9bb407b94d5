//! What the authority is answered when it validates a host name (RFC 8555 section 8.3).

use std::collections::HashSet;

use http::{HeaderValue, Method, Request, Response, header};

use crate::Body;

/// Where the authority asks.
const PATH: &str = "/.well-known/acme-challenge/";
/// Most characters of a token. It is a random value of at least 128 bits (section 8.3).
const TOKEN: usize = 128;

/// Answers for host names, from the token in the request.
#[derive(Debug)]
pub struct Answers {
    thumbprint: String,
    hosts: HashSet<String>,
}

impl Answers {
    /// Of the account with this thumbprint, for these names in lower case.
    pub(super) fn new(thumbprint: &str, hosts: impl IntoIterator<Item = String>) -> Self {
        Self {
            thumbprint: thumbprint.to_owned(),
            hosts: hosts.into_iter().collect(),
        }
    }

    /// The answer to a request for `host`, without port; none if it is no question of the authority.
    pub fn answer<B>(&self, host: &str, request: &Request<B>) -> Option<Response<Body>> {
        let token = request.uri().path().strip_prefix(PATH)?;
        let is_asked = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_asked || !is_token(token) || !self.hosts.contains(&host.to_ascii_lowercase()) {
            return None;
        }
        // The key authorization (section 8.1). Everybody may have it: it tells that the account and this name belong
        // together, and only who has the key can make use of that.
        let body = format!("{token}.{}", self.thumbprint);
        tracing::debug!(host, token, "the authority is answered");
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        Some(response)
    }
}

/// In the alphabet of base64url, so that nothing else is ever sent back.
fn is_token(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=TOKEN).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn ask(method: Method, host: &str, path: &str) -> Option<String> {
        let answers = Answers::new("thumb", ["a.example".to_owned()]);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        let response = answers.answer(host, &request)?;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Some(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn tokens_are_answered_for_own_hosts() {
        let get = |host, path| ask(Method::GET, host, path);
        let path = "/.well-known/acme-challenge/LoqXcYV8_q5-ONbJQ";
        let expected = Some("LoqXcYV8_q5-ONbJQ.thumb");
        assert_eq!(get("a.example", path).await.as_deref(), expected);
        assert_eq!(get("A.Example", path).await.as_deref(), expected);
        assert_eq!(get("b.example", path).await, None);
        assert_eq!(ask(Method::POST, "a.example", path).await, None);
        let long = format!("/.well-known/acme-challenge/{}", "x".repeat(129));
        for other in [
            "/",
            "/.well-known/acme-challenge",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/a/b",
            "/.well-known/acme-challenge/%3Cb%3E",
            "/.well-known/acme-challenge/a.b",
            "/x/.well-known/acme-challenge/token",
            &long,
        ] {
            assert_eq!(get("a.example", other).await, None, "{other}");
        }
    }
}
