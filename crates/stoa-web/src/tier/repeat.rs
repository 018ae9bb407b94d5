//! The identity of unsafe requests (OASIS Repeatable Requests 1.0): with it an instance does a thing once, however
//! often and wherever it is asked to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("repeatability-request-id");
const FIRST_SENT: HeaderName = HeaderName::from_static("repeatability-first-sent");
const RESULT: HeaderName = HeaderName::from_static("repeatability-result");

/// Gives requests an identity.
#[derive(Debug)]
pub(super) struct Identities {
    second: AtomicU64,
    /// The present second as a header has it.
    date: ArcSwap<HeaderValue>,
}

impl Identities {
    pub(super) fn new() -> Self {
        Self {
            second: AtomicU64::new(0),
            date: ArcSwap::from_pointee(HeaderValue::from_static("")),
        }
    }

    /// Gives an unsafe request an identity unless its client has given it one. Returns whether it did.
    pub(super) fn give(&self, method: &Method, headers: &mut HeaderMap) -> bool {
        if method.is_safe() || headers.contains_key(REQUEST_ID) {
            return false;
        }
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let id: &str = Uuid::new_v4().hyphenated().encode_lower(&mut text);
        let Ok(id) = HeaderValue::from_str(id) else {
            return false;
        };
        headers.insert(REQUEST_ID, id);
        headers.insert(FIRST_SENT, self.now());
        true
    }

    fn now(&self) -> HeaderValue {
        let now = SystemTime::now();
        let second = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.second.swap(second, Ordering::AcqRel) != second
            && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            self.date.store(std::sync::Arc::new(date));
        }
        HeaderValue::clone(&self.date.load())
    }
}

/// A client that did not give its request an identity does not expect to hear of it.
pub(super) fn hide(headers: &mut HeaderMap) {
    headers.remove(RESULT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_requests_get_an_identity_of_their_own() {
        let identities = Identities::new();
        let mut headers = HeaderMap::new();
        assert!(!identities.give(&Method::GET, &mut headers));
        assert!(headers.is_empty());
        assert!(identities.give(&Method::POST, &mut headers));
        let first = headers.remove(REQUEST_ID).unwrap();
        let date = headers[FIRST_SENT].to_str().unwrap();
        assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
        assert!(identities.give(&Method::DELETE, &mut headers));
        assert_ne!(headers[REQUEST_ID], first);
    }

    #[test]
    fn an_identity_of_the_client_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_static("mine"));
        assert!(!Identities::new().give(&Method::POST, &mut headers));
        assert_eq!(headers[REQUEST_ID], "mine");
        assert!(!headers.contains_key(FIRST_SENT));
    }
}
