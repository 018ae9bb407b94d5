//! Secrets and keys that a repeated request makes again.
//!
//! An answer that hands out a secret can be kept nowhere, since secrets are kept as hashes only. So where a
//! request has an identity, the secrets of its answer are made of the request itself: its identity, its form and
//! its cookies, which no database has. Sent again, it makes the same secret, and the row with its hash says that
//! the request has taken effect.

use hmac::{Hmac, Mac as _};
use http::header::COOKIE;
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::secret::{Hash, Secret};
use crate::repeat;

/// What the secrets of a request's answer are made of. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(Hash);

impl Seed {
    /// Of a request with this form; none if it has no identity, or no cookie: then nothing in it need be secret.
    #[must_use]
    pub fn of(parts: &Parts, form: &[u8]) -> Option<Self> {
        let id = repeat::request_id(&parts.headers).ok().flatten()?;
        let mut digest = Sha256::new_with_prefix(b"stoa seed 1");
        let mut has_cookie = false;
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        add(id.as_bytes());
        add(parts.method.as_str().as_bytes());
        add(parts.uri.path().as_bytes());
        add(form);
        for cookie in parts.headers.get_all(COOKIE) {
            add(cookie.as_bytes());
            has_cookie = true;
        }
        has_cookie.then(|| Self(digest.finalize().into()))
    }

    fn derive(&self, purpose: &str) -> [u8; 32] {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return rand::random();
        };
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A secret of the answer.
    pub(super) fn secret(&self, purpose: &str, prefix: &str) -> Secret {
        Secret::of(prefix, self.derive(purpose))
    }

    /// The key of a row.
    #[must_use]
    pub fn id(&self, purpose: &str) -> Uuid {
        let derived = self.derive(purpose);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&derived[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seed(…)")
    }
}

/// A secret: of the request if it may be repeated, else a random one.
pub(super) fn secret(seed: Option<&Seed>, purpose: &str, prefix: &str) -> Secret {
    seed.map_or_else(
        || Secret::random(prefix),
        |seed| seed.secret(purpose, prefix),
    )
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn seed(id: &str, path: &str, cookie: &str, form: &str) -> Option<Seed> {
        let mut request = Request::builder().method("POST").uri(path);
        if !id.is_empty() {
            request = request.header(repeat::REQUEST_ID, id);
        }
        if !cookie.is_empty() {
            request = request.header(COOKIE, cookie);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Seed::of(&parts, form.as_bytes())
    }

    #[test]
    fn each_request_has_its_own_secrets_and_makes_them_again() {
        let first = seed("1", "/-/a", "c=1", "x=1").unwrap();
        assert_eq!(seed("1", "/-/a", "c=1", "x=1"), Some(first));
        for other in [
            seed("2", "/-/a", "c=1", "x=1"),
            seed("1", "/-/b", "c=1", "x=1"),
            seed("1", "/-/a", "c=2", "x=1"),
            seed("1", "/-/a", "c=1", "x=2"),
        ] {
            let other = other.unwrap();
            assert_ne!(first.secret("session", ""), other.secret("session", ""));
            assert_ne!(first.id("user"), other.id("user"));
        }
        assert_ne!(first.secret("session", ""), first.secret("link", ""));
        assert_eq!(format!("{first:?}"), "Seed(…)");
    }

    #[test]
    fn without_an_identity_or_a_secret_of_the_browser_there_is_none() {
        assert_eq!(seed("", "/-/a", "c=1", "x=1"), None);
        assert_eq!(seed("1", "/-/a", "", "x=1"), None);
        assert_ne!(secret(None, "session", ""), secret(None, "session", ""));
    }
}
