//! Requests that may arrive more than once: OASIS Repeatable Requests 1.0.
//!
//! A request that changes something and has a `Repeatability-Request-ID` takes effect once. Whoever repeats it
//! gets the answer that is made again from what came of it: the same path through `crate::write`, without the
//! change.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response};
use sha2::{Digest as _, Sha256};
use stoa_odata::error::{Code, Error};
use stoa_store::RequestIdentity;
use uuid::Uuid;

use crate::failure::Failure;
use crate::identity::Caller;

/// Names the request: the same for each copy of it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("repeatability-request-id");
/// When the first copy was sent.
pub const FIRST_SENT: HeaderName = HeaderName::from_static("repeatability-first-sent");
/// Tells programs of the same user apart.
pub const CLIENT_ID: HeaderName = HeaderName::from_static("repeatability-client-id");
/// Whether the request may be repeated.
pub const RESULT: HeaderName = HeaderName::from_static("repeatability-result");

/// How long what came of a request is kept, unless the settings say otherwise.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the clocks of clients may be ahead.
pub(crate) const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);
/// Most characters of a request's identity.
const LONGEST: usize = 200;

/// A request that takes effect once, as far as its headers say what it is.
#[derive(Clone)]
pub(crate) struct Repeat {
    id: Uuid,
    owner: Uuid,
    asked: Sha256,
}

impl Repeat {
    /// What the headers of a request say; none if it changes nothing or may be repeated at the sender's risk
    /// only.
    ///
    /// # Errors
    /// The headers are malformed, or nobody knows any more whether the request has been made.
    pub(crate) fn of(
        parts: &Parts,
        caller: &Caller,
        now: i64,
        kept: Duration,
    ) -> Result<Option<Self>, Failure> {
        if parts.method.is_safe() {
            return Ok(None);
        }
        let Some(id) = request_id(&parts.headers).map_err(rejected)? else {
            return Ok(None);
        };
        let client = single(&parts.headers, &CLIENT_ID)
            .and_then(|client| identifier(client, &CLIENT_ID))
            .map_err(rejected)?;
        check_first_sent(&parts.headers, now, kept).map_err(rejected)?;
        let mut owner = Sha256::new();
        match caller.user {
            Some(user) => owner.update(user.0.as_bytes()),
            None => owner.update(caller.name.as_bytes()),
        }
        if let Some(client) = client {
            owner.update([0]);
            owner.update(client);
        }
        let mut asked = Sha256::new();
        add(&mut asked, parts.method.as_str().as_bytes());
        add(&mut asked, parts.uri.path().as_bytes());
        add(&mut asked, parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Some(Self {
            id,
            owner: digest_id(owner),
            asked,
        }))
    }

    /// The identity of a request with this body.
    pub(crate) fn identity(&self, body: &[u8]) -> RequestIdentity {
        let mut asked = self.asked.clone();
        asked.update(body);
        RequestIdentity {
            id: self.id,
            owner: self.owner,
            fingerprint: asked.finalize().into(),
            root: 0,
        }
    }
}

/// The identity that a request's headers give it.
pub(crate) fn request_id(headers: &HeaderMap) -> Result<Option<Uuid>, Error> {
    let given = identifier(single(headers, &REQUEST_ID)?, &REQUEST_ID)?;
    Ok(given.map(|text| match Uuid::try_parse(text) {
        Ok(id) => id,
        Err(_) => digest_id(Sha256::new_with_prefix(text)),
    }))
}

/// Says that a request with these headers may be repeated, unless the answer says otherwise.
pub(crate) fn accept<B>(asked: &Parts, response: &mut Response<B>) {
    if !asked.method.is_safe() && asked.headers.contains_key(&REQUEST_ID) {
        let headers = response.headers_mut();
        headers
            .entry(RESULT)
            .or_insert(HeaderValue::from_static("accepted"));
    }
}

fn rejected(error: Error) -> Failure {
    Failure::from(error).with_header(RESULT, HeaderValue::from_static("rejected"))
}

/// Another request has the same identity.
pub(crate) fn reused() -> Failure {
    let message = "another request had this Repeatability-Request-ID: each request needs its own";
    rejected(Error::new(Code::RequestIdReused, message).at("Repeatability-Request-ID"))
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value.trim())),
        _ => Err(invalid(name, "is given twice or is no text")),
    }
}

fn identifier<'h>(given: Option<&'h str>, name: &HeaderName) -> Result<Option<&'h str>, Error> {
    match given {
        Some(text) if text.is_empty() || text.len() > LONGEST => Err(invalid(
            name,
            &format!("must have 1 to {LONGEST} characters; best is a random UUID"),
        )),
        given => Ok(given),
    }
}

fn invalid(name: &HeaderName, what: &str) -> Error {
    Error::new(Code::InvalidHeader, format!("the header {name} {what}")).at(name.as_str())
}

/// A request that was sent first so long ago that what came of it may be forgotten would take effect again.
fn check_first_sent(headers: &HeaderMap, now: i64, kept: Duration) -> Result<(), Error> {
    let Some(text) = single(headers, &FIRST_SENT)? else {
        return Ok(());
    };
    let Some(sent) = instant(text) else {
        return Err(invalid(
            &FIRST_SENT,
            "is no date such as `Sun, 06 Nov 1994 08:49:37 GMT`",
        ));
    };
    let message = if now - sent > micros(kept) {
        "the request was sent first so long ago that nobody knows whether it has taken effect"
    } else if sent - now > micros(CLOCKS_APART) {
        "the request was sent first in the future: the clock of whoever sent it is wrong"
    } else {
        return Ok(());
    };
    Err(Error::new(Code::RepeatTooLate, message).at(FIRST_SENT.as_str()))
}

/// Microseconds since the Unix epoch of a date as HTTP writes it.
fn instant(text: &str) -> Option<i64> {
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_microsecond())
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// With its length, so that no two sequences of texts give the same bytes.
fn add(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

/// A UUID of our own making (version 8) from a digest.
fn digest_id(digest: Sha256) -> Uuid {
    let digest: [u8; 32] = digest.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::identity::{Means, UserId};

    const NOW: i64 = 784_111_777_000_000;

    fn caller(user: Option<u128>, name: &str) -> Caller {
        Caller {
            user: user.map(|id| UserId(Uuid::from_u128(id))),
            name: name.into(),
            roles: [].into(),
            values: [].into(),
            means: Means::Anonymous,
            address: None,
        }
    }

    fn identity(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        caller: &Caller,
        body: &str,
    ) -> Result<Option<RequestIdentity>, String> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Repeat::of(&parts, caller, NOW, KEPT)
            .map(|repeat| repeat.map(|repeat| repeat.identity(body.as_bytes())))
            .map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn a_request_is_known_by_who_asks_for_what() {
        const ID: (&str, &str) = (
            "repeatability-request-id",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        );
        let (ann, ben) = (caller(Some(1), "ann"), caller(Some(2), "ben"));
        let of = |method, path, headers: &[_], caller: &_, body| {
            identity(method, path, headers, caller, body)
                .unwrap()
                .unwrap()
        };
        let first = of("POST", "/odata/A?x", &[ID], &ann, "{}");
        assert_eq!(first.id.to_string(), ID.1);
        assert_eq!(first, of("POST", "/odata/A?x", &[ID], &ann, "{}"));
        for other in [
            of("PUT", "/odata/A?x", &[ID], &ann, "{}"),
            of("POST", "/odata/B?x", &[ID], &ann, "{}"),
            of("POST", "/odata/A?y", &[ID], &ann, "{}"),
            of("POST", "/odata/A?x", &[ID], &ann, "{ }"),
        ] {
            assert_eq!((first.id, first.owner), (other.id, other.owner));
            assert_ne!(first.fingerprint, other.fingerprint);
        }
        let client = ("repeatability-client-id", "desk");
        for other in [
            of("POST", "/odata/A?x", &[ID], &ben, "{}"),
            of("POST", "/odata/A?x", &[ID], &caller(None, "ann"), "{}"),
            of("POST", "/odata/A?x", &[ID, client], &ann, "{}"),
        ] {
            assert_ne!(first.owner, other.owner);
        }
        // Any text will do.
        let text = ("repeatability-request-id", "order 66");
        let named = of("POST", "/odata/A", &[text], &ann, "");
        assert_eq!(named.id.get_version_num(), 8);
        for none in [("GET", &[ID][..]), ("POST", &[])] {
            assert_eq!(identity(none.0, "/odata/A", none.1, &ann, ""), Ok(None));
        }
    }

    #[test]
    fn what_cannot_be_kept_is_rejected() {
        let check = |headers: &[(&str, &str)]| {
            identity("POST", "/odata/A", headers, &caller(Some(1), "ann"), "").map(drop)
        };
        let id = ("repeatability-request-id", "x");
        let sent = |text| [id, ("repeatability-first-sent", text)];
        assert_eq!(check(&sent("Sun, 06 Nov 1994 08:49:37 GMT")), Ok(()));
        assert_eq!(check(&sent("Sat, 05 Nov 1994 08:49:38 GMT")), Ok(()));
        assert_eq!(check(&sent("Sun, 06 Nov 1994 08:54:30 GMT")), Ok(()));
        let long = "x".repeat(201);
        for (headers, code) in [
            (&sent("Sat, 05 Nov 1994 08:49:36 GMT")[..], "RepeatTooLate"),
            (&sent("Sun, 06 Nov 1994 08:54:38 GMT"), "RepeatTooLate"),
            (&sent("yesterday"), "InvalidHeader"),
            (&sent("1994-11-06T08:49:37Z"), "InvalidHeader"),
            (&[id, id], "InvalidHeader"),
            (&[("repeatability-request-id", "")], "InvalidHeader"),
            (&[("repeatability-request-id", &long)], "InvalidHeader"),
        ] {
            let failure = check(headers).unwrap_err();
            assert!(failure.contains(code), "{headers:?}: {failure}");
            assert!(failure.contains("rejected"), "{headers:?}: {failure}");
        }
    }
}
