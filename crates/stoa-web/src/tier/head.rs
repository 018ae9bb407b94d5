//! Heads of requests and answers as they pass: what concerns one connection only is taken out (RFC 9110, 7.6.1).

use http::header::{
    CONNECTION, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::target::ENVIRONMENT;
use crate::request_id::X_REQUEST_ID;
use crate::server::Asked;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that concern one connection only.
const OF_CONNECTION: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what concerns one connection only, and what `Connection` names besides.
pub(crate) fn remove_connection(headers: &mut HeaderMap) {
    // Looking at each that is there takes less than looking for each that may be.
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| OF_CONNECTION.contains(name))
        .cloned()
        .collect();
    for name in found {
        if name == CONNECTION {
            remove_named(headers);
        }
        headers.remove(name);
    }
}

/// Removes what `Connection` names.
fn remove_named(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // Those two are no headers, or known to be of the connection.
        .filter(|token| !matches!(*token, "close" | "keep-alive"))
        .filter_map(|token| token.parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Makes the head of a request one for an instance.
pub(super) fn hand_on(parts: &mut Parts, environment: &HeaderValue, asked: &Asked) {
    remove_connection(&mut parts.headers);
    asked.client.apply(&mut parts.headers);
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, asked.client.host.clone());
    }
    parts.headers.insert(ENVIRONMENT, environment.clone());
    parts.headers.insert(X_REQUEST_ID, asked.id.clone());
    parts.version = Version::HTTP_11;
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    parts.extensions.clear();
}

/// Makes the head of an answer one for a client.
pub(super) fn hand_back(headers: &mut HeaderMap) {
    remove_connection(headers);
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-stoa-"))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}

/// What a request wants to become, if it wants to become something else.
pub(crate) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        .then(|| wanted.clone())
}

/// Puts back what [`remove_connection`] has taken out of a head that asks for, or agrees to, becoming something else.
pub(crate) fn ask_to_become(headers: &mut HeaderMap, wanted: Option<&HeaderValue>) {
    if let Some(wanted) = wanted {
        headers.insert(UPGRADE, wanted.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_connection_does_not_pass() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Secret"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("accept", "text/html"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        remove_connection(&mut headers);
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["accept"]);
    }
}
