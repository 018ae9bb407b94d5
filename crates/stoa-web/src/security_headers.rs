//! Headers that tell browsers what a page of this server may not do, and what others may not do with it.
//!
//! Every header is added unless whoever made the answer has set it: pages of the product are stricter about
//! themselves than a default can be. Static content has its headers prepared when it is loaded, and lacks only what
//! depends on the application and on the connection.

use http::header::{
    CONTENT_SECURITY_POLICY, InvalidHeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Static content: what comes from the server itself, nothing inline, no frames around it.
pub const CONTENT_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Data, and files that users have put there: a browser that shows one runs nothing in it.
const DATA_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; img-src 'self'; media-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

const TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Headers that are added here and by the server after, at most: the map grows once, not with each few of them.
const ADDED_AT_MOST: usize = 12;

/// What an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Static content and pages.
    Content,
    /// Data and files of users.
    Data,
}

/// The headers of an environment, made once.
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    content_policy: HeaderValue,
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self {
            content_policy: HeaderValue::from_static(CONTENT_POLICY),
        }
    }
}

impl SecurityHeaders {
    /// With the application's own content security policy, if it has one.
    ///
    /// # Errors
    /// The policy cannot stand in a header.
    pub fn new(content_security_policy: Option<&str>) -> Result<Self, InvalidHeaderValue> {
        match content_security_policy {
            Some(policy) => Ok(Self {
                content_policy: HeaderValue::from_str(policy)?,
            }),
            None => Ok(Self::default()),
        }
    }

    /// Completes an answer of [`StaticContent`](crate::StaticContent), which has all other headers of these already.
    /// `is_secure`: the client's request came by TLS.
    pub fn complete(&self, headers: &mut HeaderMap, is_secure: bool) {
        headers.insert(CONTENT_SECURITY_POLICY, self.content_policy.clone());
        if is_secure {
            headers.insert(STRICT_TRANSPORT_SECURITY, TRANSPORT);
        }
    }

    /// Adds what is missing. `is_secure`: the client's request came by TLS.
    pub fn apply(&self, headers: &mut HeaderMap, answer: Answer, is_secure: bool) {
        let policy = match answer {
            Answer::Content => &self.content_policy,
            Answer::Data => &DATA_POLICY,
        };
        headers.reserve(ADDED_AT_MOST);
        headers
            .entry(CONTENT_SECURITY_POLICY)
            .or_insert_with(|| policy.clone());
        add_fixed(headers);
        if is_secure {
            headers
                .entry(STRICT_TRANSPORT_SECURITY)
                .or_insert(TRANSPORT);
        }
    }
}

/// Adds what is missing of the headers that every answer has, whoever serves it.
pub(crate) fn add_fixed(headers: &mut HeaderMap) {
    let mut add = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    add(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    add(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    add(
        CROSS_ORIGIN_OPENER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    add(
        CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    add(
        PERMISSIONS_POLICY,
        HeaderValue::from_static(
            "camera=(), display-capture=(), geolocation=(self), microphone=(), payment=(), usb=()",
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(security: &SecurityHeaders, answer: Answer, is_secure: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        security.apply(&mut headers, answer, is_secure);
        headers
    }

    #[test]
    fn nothing_inline_and_no_frames() {
        let headers = headers(&SecurityHeaders::default(), Answer::Content, false);
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(!policy.contains("unsafe"), "{policy}");
        for part in [
            "default-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{part}");
        }
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn transport_security_is_for_tls() {
        let headers = headers(&SecurityHeaders::default(), Answer::Data, true);
        assert_eq!(
            headers[STRICT_TRANSPORT_SECURITY],
            "max-age=31536000; includeSubDomains"
        );
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("script-src"));
    }

    #[test]
    fn what_is_set_stays() {
        let own = SecurityHeaders::new(Some("default-src 'self' https://maps.example")).unwrap();
        let mut answer = HeaderMap::new();
        answer.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        own.apply(&mut answer, Answer::Content, false);
        assert_eq!(answer[REFERRER_POLICY], "no-referrer");
        assert_eq!(
            answer[CONTENT_SECURITY_POLICY],
            "default-src 'self' https://maps.example"
        );
        assert!(SecurityHeaders::new(Some("a\r\nb: c")).is_err());
    }
}
