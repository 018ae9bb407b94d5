//! Requests that a page of another site makes a browser send.
//!
//! A browser adds cookies to whatever request a page makes it send, so a cookie alone does not prove that
//! the user wanted a change. Two things do: what the browser itself says about the page that sent the
//! request (Fetch Metadata, `Origin`), and a token that only pages of this server can read.
//!
//! A token is a keyed hash whose key is the secret of the session's own cookie. So every instance can make
//! and judge tokens, they survive a restart, end with their session, and nothing is stored.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use stoa_odata::error::{Code, Error};

use crate::environment::Origin;
use crate::failure::Failure;
use crate::identity::cookies::Kind;
use crate::identity::{Caller, Cookies};

/// Header with a token, or with `Fetch`, or in an answer with a token or `Required`.
pub const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// Where a browser's request comes from (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What the hash is for, so that no other use of the same secret gives a token.
const PURPOSE: &[u8] = b"stoa csrf 1";
const SALT_BYTES: usize = 16;
/// Longest text that is looked at as a token.
const TOKEN_BYTES: usize = 128;

/// The request may come from a page of another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a page of another site may not change data here")]
pub struct Refused;

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::from(Error::new(Code::CrossSite, refused.to_string()))
            .with_header(TOKEN, HeaderValue::from_static("Required"))
    }
}

/// What a browser says of the page that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A page of this server, or the user.
    Own,
    /// A page of somebody else.
    Foreign,
    /// Nothing: no browser, or a very old one.
    Unknown,
}

/// Where a request comes from, as far as its browser tells.
#[must_use]
pub fn sender(parts: &Parts) -> Sender {
    // A header that is there and unreadable is no reason to trust.
    let text = |name: HeaderName| {
        let value = parts.headers.get(name);
        value.map(|value| value.to_str().unwrap_or_default())
    };
    match (text(SEC_FETCH_SITE), text(ORIGIN)) {
        (Some("same-origin" | "none"), _) => Sender::Own,
        (Some(_), _) => Sender::Foreign,
        (None, Some(origin)) => {
            let is_own = match parts.extensions.get::<Origin>() {
                Some(Origin(own)) => own == origin,
                None => origin.split_once("://").is_some_and(|(_, authority)| {
                    let own = [
                        text(FORWARDED_HOST),
                        text(HOST),
                        parts.uri.authority().map(http::uri::Authority::as_str),
                    ];
                    own.contains(&Some(authority))
                }),
            };
            if is_own { Sender::Own } else { Sender::Foreign }
        }
        (None, None) => Sender::Unknown,
    }
}

/// Judges a request to the data service. `session` is the secret in the cookie that says who the user is;
/// none for requests that carry no cookie of a session.
///
/// # Errors
/// The request changes something, and may come from a page of another site.
pub fn check(parts: &Parts, session: Option<&str>) -> Result<(), Refused> {
    if parts.method.is_safe() {
        return Ok(());
    }
    // Whoever knows the token has read it from an answer of this server.
    if let (Some(session), Some(given)) = (session, parts.headers.get(TOKEN))
        && given.to_str().is_ok_and(|given| is_token(session, given))
    {
        return Ok(());
    }
    match sender(parts) {
        Sender::Own => Ok(()),
        Sender::Foreign => Err(Refused),
        // No browser adds an Authorization header to a request of a foreign page without saying where the
        // request comes from, and without a cookie there is nothing to abuse.
        Sender::Unknown if session.is_none() || parts.headers.contains_key(AUTHORIZATION) => Ok(()),
        Sender::Unknown => Err(Refused),
    }
}

/// The secret of the session that a caller is known by, if it is one.
#[must_use]
pub fn session_secret<'a>(headers: &'a HeaderMap, caller: &Caller) -> Option<&'a str> {
    caller.session()?;
    Cookies::of(headers).get(headers, Kind::User)
}

/// Answers `X-CSRF-Token: Fetch` of a browser with a session with a token. (Whether the session is alive does
/// not matter: the token is worth what the session is.)
pub fn answer_fetch(request: &HeaderMap, answer: &mut HeaderMap) {
    let asks = request
        .get(TOKEN)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"fetch"));
    if asks
        && let Some(session) = Cookies::of(request).get(request, Kind::User)
        && let Ok(value) = HeaderValue::try_from(token(session))
    {
        answer.insert(TOKEN, value);
    }
}

/// A new token for whoever holds the secret of a session.
#[must_use]
pub fn token(secret: &str) -> String {
    let salt: [u8; SALT_BYTES] = rand::random();
    let mut bytes = salt.to_vec();
    if let Some(hash) = hash(secret, &salt) {
        bytes.extend_from_slice(&hash.finalize().into_bytes());
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether a text is a token of that secret.
#[must_use]
pub fn is_token(secret: &str, given: &str) -> bool {
    if given.len() > TOKEN_BYTES {
        return false;
    }
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(given) else {
        return false;
    };
    let Some((salt, given)) = bytes.split_at_checked(SALT_BYTES) else {
        return false;
    };
    // The comparison takes the same time wherever the difference is.
    hash(secret, salt).is_some_and(|hash| hash.verify_slice(given).is_ok())
}

fn hash(secret: &str, salt: &[u8]) -> Option<Hmac<Sha256>> {
    // A key of any length is legal; an empty one is nobody's secret.
    let mut hash = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .ok()
        .filter(|_| !secret.is_empty())?;
    hash.update(PURPOSE);
    hash.update(salt);
    Some(hash)
}

/// Names under which a server is to be asked. A page of another site can make its own host name lead to a
/// private address (DNS rebinding); its requests then look like those of a page of this server, but for
/// the name.
#[derive(Clone, Debug)]
pub struct HostNames(Option<HashSet<String>>);

impl HostNames {
    /// Any name: for servers whose data is guarded by something else than their address.
    #[must_use]
    pub const fn any() -> Self {
        Self(None)
    }

    /// The names of the machine itself, and others.
    #[must_use]
    pub fn loopback<'a>(others: impl IntoIterator<Item = &'a str>) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"];
        Self::only(own.into_iter().chain(others))
    }

    /// These names only, without ports.
    #[must_use]
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Some(names.into_iter().map(normal).collect()))
    }

    /// Whether a request names one of them. HTTP/1.1 names the host in `Host`, HTTP/2 in the URL.
    #[must_use]
    pub fn accept(&self, parts: &Parts) -> bool {
        let Some(names) = &self.0 else {
            return true;
        };
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let header = parts
            .headers
            .get(HOST)
            .map(|host| host.to_str().unwrap_or_default());
        let mut given = authority.into_iter().chain(header).peekable();
        given.peek().is_some() && given.all(|given| names.contains(&normal(host(given))))
    }
}

/// An authority without its port.
fn host(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;

    const SECRET: &str = "c2VjcmV0IG9mIGEgc2Vzc2lvbg";

    fn parts(method: &Method, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/odata/Orders");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_change_by_cookie_needs_a_sign_of_its_sender() {
        let host = ("host", "shop.example:8080");
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[host], false),
            (&[host, ("origin", "http://shop.example:8080")], true),
            (&[host, ("origin", "http://evil.example")], false),
            (&[host, ("origin", "http://shop.example")], false),
            (&[host, ("origin", "null")], false),
            (&[host, ("sec-fetch-site", "same-origin")], true),
            (&[host, ("sec-fetch-site", "none")], true),
            (&[host, ("sec-fetch-site", "same-site")], false),
            (&[host, ("sec-fetch-site", "cross-site")], false),
            // What the browser says of the site outweighs the origin.
            (
                &[
                    host,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://shop.example:8080"),
                ],
                false,
            ),
            (&[host, ("x-csrf-token", "Required")], false),
            (&[host, ("x-csrf-token", "")], false),
            (&[host, ("authorization", "Bearer x")], true),
            (
                &[
                    host,
                    ("authorization", "Basic x"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ];
        for (headers, allowed) in cases {
            for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
                let result = check(&parts(&method, headers), Some(SECRET));
                assert_eq!(result.is_ok(), *allowed, "{method} {headers:?}");
            }
            assert_eq!(check(&parts(&Method::GET, headers), Some(SECRET)), Ok(()));
        }
    }

    #[test]
    fn a_token_of_the_session_is_enough() {
        let given = token(SECRET);
        let headers = [
            ("sec-fetch-site", "cross-site"),
            ("x-csrf-token", given.as_str()),
        ];
        let request = parts(&Method::POST, &headers);
        assert_eq!(check(&request, Some(SECRET)), Ok(()));
        assert_eq!(check(&request, Some("another session")), Err(Refused));
        assert_eq!(check(&request, None), Err(Refused));
    }

    #[test]
    fn without_a_session_only_pages_of_others_are_refused() {
        assert_eq!(check(&parts(&Method::POST, &[]), None), Ok(()));
        let foreign = parts(&Method::POST, &[("origin", "https://evil.example")]);
        assert_eq!(check(&foreign, None), Err(Refused));
    }

    #[test]
    fn the_configured_origin_counts() {
        let mut request = parts(
            &Method::POST,
            &[("host", "inside"), ("origin", "https://shop.example")],
        );
        assert_eq!(sender(&request), Sender::Foreign);
        request
            .extensions
            .insert(Origin("https://shop.example".to_owned()));
        assert_eq!(sender(&request), Sender::Own);
        request
            .extensions
            .insert(Origin("http://shop.example".to_owned()));
        assert_eq!(sender(&request), Sender::Foreign);
    }

    #[test]
    fn tokens_differ_and_cannot_be_bent() {
        let (first, second) = (token(SECRET), token(SECRET));
        assert_ne!(first, second);
        assert!(is_token(SECRET, &first) && is_token(SECRET, &second));
        for position in 0..first.len() {
            let mut bent = first.clone().into_bytes();
            bent[position] = if bent[position] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            assert!(bent == first || !is_token(SECRET, &bent), "{position}");
        }
        for wrong in ["", "AAAA", "Fetch", &"A".repeat(200), &first[..22]] {
            assert!(!is_token(SECRET, wrong), "{wrong}");
        }
        assert!(!is_token("", &token("")));
    }

    #[test]
    fn a_token_is_fetched_for_a_session_only() {
        let fetch = |pairs: &[(&str, &str)]| {
            let mut answer = HeaderMap::new();
            answer_fetch(&parts(&Method::GET, pairs).headers, &mut answer);
            answer.remove(TOKEN)
        };
        let cookie = format!("a=b; __Host-stoa={SECRET}");
        let cookie = ("cookie", cookie.as_str());
        assert_eq!(fetch(&[("x-csrf-token", "Fetch")]), None);
        assert_eq!(fetch(&[cookie]), None);
        assert_eq!(fetch(&[cookie, ("x-csrf-token", "x")]), None);
        let token = fetch(&[cookie, ("x-csrf-token", "fetch")]).unwrap();
        assert!(is_token(SECRET, token.to_str().unwrap()));
    }

    #[test]
    fn a_server_on_loopback_has_the_names_of_the_machine() {
        let names = HostNames::loopback(["Shop.Example"]);
        let accepts = |host: &str| names.accept(&parts(&Method::GET, &[("host", host)]));
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "shop.example:443",
        ] {
            assert!(accepts(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "::1",
        ] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(!names.accept(&parts(&Method::GET, &[])));
        assert!(HostNames::any().accept(&parts(&Method::GET, &[])));
        // Both names of a request count.
        let mut both = parts(&Method::GET, &[("host", "localhost")]);
        both.uri = "http://evil.example/".parse().unwrap();
        assert!(!names.accept(&both));
    }
}
