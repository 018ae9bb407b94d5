//! Cookies: their names, attributes, and how one is found in a request.
//!
//! `__Host-` cookies are Secure, for this host only and for every path: no other host of the domain can set
//! or overwrite them, so nobody can push a session of their own onto somebody else. On plain HTTP that works
//! on loopback only, and there the names have no prefix, since browsers demand TLS for it.

use std::time::Duration;

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue};

use super::secret::Secret;

/// Whom or what a cookie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Session of a user: `__Host-stoa`.
    User,
    /// Session of an administrator: `__Host-stoa-admin`.
    Administrator,
    /// Somebody has signed in from this device before: `__Host-stoa-device`.
    Device,
}

/// How long a device is remembered.
const DEVICE: Duration = Duration::from_secs(180 * 24 * 60 * 60);

/// The cookies of a request's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookies {
    secure: bool,
}

impl Cookies {
    /// For a request with these headers: plain names only where the browser itself speaks to loopback
    /// without TLS.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let behind_tls = headers
            .get("x-forwarded-proto")
            .is_some_and(|scheme| scheme.as_bytes().starts_with(b"https"));
        let forwarded = headers.get("x-forwarded-host").is_some();
        let loopback = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(is_loopback);
        Self {
            secure: behind_tls || forwarded || !loopback,
        }
    }

    /// Whether the cookies are for TLS.
    #[must_use]
    pub fn are_secure(self) -> bool {
        self.secure
    }

    /// Name of a cookie.
    #[must_use]
    pub fn name(self, kind: Kind) -> &'static str {
        match (kind, self.secure) {
            (Kind::User, true) => "__Host-stoa",
            (Kind::User, false) => "stoa",
            (Kind::Administrator, true) => "__Host-stoa-admin",
            (Kind::Administrator, false) => "stoa-admin",
            (Kind::Device, true) => "__Host-stoa-device",
            (Kind::Device, false) => "stoa-device",
        }
    }

    /// Value of a cookie in the request.
    #[must_use]
    pub fn get(self, headers: &HeaderMap, kind: Kind) -> Option<&str> {
        let name = self.name(kind);
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .find(|(given, _)| given.trim() == name)
            .map(|(_, value)| value.trim())
    }

    /// `Set-Cookie` that hands out a session. The cookie ends with the browser; the session by itself.
    #[must_use]
    pub fn session(self, kind: Kind, token: &Secret) -> HeaderValue {
        self.set(kind, token.expose(), None)
    }

    /// `Set-Cookie` that remembers the device.
    #[must_use]
    pub fn device(self, value: &str) -> HeaderValue {
        self.set(Kind::Device, value, Some(DEVICE))
    }

    /// `Set-Cookie` that removes a cookie.
    #[must_use]
    pub fn remove(self, kind: Kind) -> HeaderValue {
        self.set(kind, "", Some(Duration::ZERO))
    }

    fn set(self, kind: Kind, value: &str, age: Option<Duration>) -> HeaderValue {
        let mut text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax",
            self.name(kind)
        );
        if self.secure {
            text.push_str("; Secure");
        }
        if let Some(age) = age {
            text.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        // Made of base64url, dots and our own words: always a legal header.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Whether the host that the browser speaks to is its own machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_loopback_without_tls_has_plain_names() {
        for (pairs, secure) in [
            (&[("host", "localhost:8080")][..], false),
            (&[("host", "shop.localhost:8080")], false),
            (&[("host", "127.0.0.1:1")], false),
            (&[("host", "[::1]:1")], false),
            (&[("host", "shop.example")], true),
            (&[("host", "localhost.evil.example")], true),
            (&[("host", "127.0.0.1.evil.example")], true),
            (
                &[("host", "localhost"), ("x-forwarded-proto", "https")],
                true,
            ),
            (
                &[("host", "127.0.0.1"), ("x-forwarded-host", "a.example")],
                true,
            ),
            (&[], true),
        ] {
            assert_eq!(
                Cookies::of(&headers(pairs)).are_secure(),
                secure,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_only() {
        let secure = Cookies { secure: true };
        let all = headers(&[(
            "cookie",
            "stoa=plain; __Host-stoa-admin=a; x__Host-stoa=no; __Host-stoa=right",
        )]);
        assert_eq!(secure.get(&all, Kind::User), Some("right"));
        assert_eq!(secure.get(&all, Kind::Administrator), Some("a"));
        assert_eq!(secure.get(&all, Kind::Device), None);
        let none = headers(&[("cookie", "stoa=tossed")]);
        assert_eq!(secure.get(&none, Kind::User), None);
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
        let secret = Secret::random("");
        let set = Cookies { secure: true }.session(Kind::User, &secret);
        assert_eq!(
            set.to_str().unwrap(),
            format!(
                "__Host-stoa={}; Path=/; HttpOnly; SameSite=Lax; Secure",
                secret.expose()
            )
        );
        let removed = Cookies { secure: false }.remove(Kind::Administrator);
        assert_eq!(
            removed.to_str().unwrap(),
            "stoa-admin=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }
}
