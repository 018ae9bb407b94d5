//! The name of a request, in the log and in the response.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a client.
const LONGEST: usize = 64;

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Tells the ids of two processes apart.
static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The client's id if it is sane (1 to 64 of `[A-Za-z0-9._-]`, sent once), a new one otherwise.
#[must_use]
pub fn accept_or_make(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(&X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_sane(id.as_bytes()) => id.clone(),
        _ => make(),
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Eight characters of the process, a dash, and a counter: unique without a system call for each request.
fn make() -> HeaderValue {
    let mut text = [b'0'; 16];
    let mut process = *PROCESS;
    for place in &mut text[..8] {
        *place = DIGITS[(process & 31) as usize];
        process >>= 5;
    }
    text[8] = b'-';
    let mut number = NEXT.fetch_add(1, Ordering::Relaxed);
    for place in text[9..].iter_mut().rev() {
        *place = DIGITS[(number & 31) as usize];
        number >>= 5;
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(id: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_str(id).unwrap());
        accept_or_make(&headers) == id
    }

    #[test]
    fn takes_sane_ids_only() {
        assert!(accepted("a"));
        assert!(accepted("4bf92f35-77b3.4da6_A3"));
        assert!(accepted(&"x".repeat(64)));
        assert!(!accepted(&"x".repeat(65)));
        assert!(!accepted(""));
        assert!(!accepted("a b"));
        assert!(!accepted("a\"b"));
        let mut twice = HeaderMap::new();
        twice.append(X_REQUEST_ID, HeaderValue::from_static("a"));
        twice.append(X_REQUEST_ID, HeaderValue::from_static("b"));
        assert_eq!(accept_or_make(&twice).len(), 16);
    }

    #[test]
    fn makes_different_ids() {
        let (first, second) = (make(), make());
        assert_ne!(first, second);
        assert!(is_sane(first.as_bytes()), "{first:?}");
        assert_eq!(first.as_bytes()[..9], second.as_bytes()[..9]);
    }
}
