//! How a client comes back to the instance that it was served by.
//!
//! It is an optimisation for warm caches, or what a foreign application needs that keeps sessions in memory. A tag
//! always yields to an instance that is not there.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Name of our own cookie.
const OWN: &str = "stoa-instance";
/// Stands between the tag and the value of an application's cookie.
const MARK: u8 = b'~';

/// How clients come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// By a cookie of ours.
    Own,
    /// By a cookie of the application, such as `JSESSIONID`: its value carries the tag on the way to the client, so
    /// clients without a session are not bound, and every web server knows the instance without having seen the
    /// client before.
    Existing(String),
}

impl Sticky {
    /// Takes the tag from a request. An application's cookie gets back the value that the application gave it.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Option<Vec<u8>> {
        match self {
            Self::Own => {
                let mut cookies = headers.get_all(COOKIE).iter();
                cookies.find_map(|value| {
                    let (start, end) = find(value.as_bytes(), OWN)?;
                    Some(value.as_bytes()[start..end].to_vec())
                })
            }
            Self::Existing(name) => {
                let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
                let mut tag = None;
                let mut changed = Vec::with_capacity(lines.len());
                for line in lines {
                    let bytes = line.as_bytes();
                    let marked = find(bytes, name).and_then(|(start, end)| {
                        let mark = bytes[start..end].iter().position(|byte| *byte == MARK)?;
                        Some((start, start + mark))
                    });
                    let Some((start, mark)) = marked else {
                        changed.push(line);
                        continue;
                    };
                    tag = tag.or_else(|| Some(bytes[start..mark].to_vec()));
                    let without = [&bytes[..start], &bytes[mark + 1..]].concat();
                    changed.extend(HeaderValue::from_bytes(&without));
                }
                if tag.is_some() {
                    headers.remove(COOKIE);
                    for line in changed {
                        headers.append(COOKIE, line);
                    }
                }
                tag
            }
        }
    }

    /// Puts the tag of the instance that has answered into the answer, if the client does not have it.
    pub(super) fn give(
        &self,
        headers: &mut HeaderMap,
        taken: Option<&[u8]>,
        tag: &str,
        is_secure: bool,
    ) {
        match self {
            Self::Own => {
                if taken == Some(tag.as_bytes()) {
                    return;
                }
                let secure = if is_secure { "; Secure" } else { "" };
                let cookie = format!("{OWN}={tag}; Path=/; HttpOnly; SameSite=Lax{secure}");
                if let Ok(cookie) = HeaderValue::try_from(cookie) {
                    headers.append(SET_COOKIE, cookie);
                }
            }
            Self::Existing(name) => {
                let is_set = |value: &HeaderValue| {
                    let rest = value.as_bytes().strip_prefix(name.as_bytes());
                    rest.is_some_and(|rest| rest.first() == Some(&b'='))
                };
                if !headers.get_all(SET_COOKIE).iter().any(is_set) {
                    return;
                }
                let lines: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
                headers.remove(SET_COOKIE);
                for line in lines {
                    let bytes = line.as_bytes();
                    let start = name.len() + 1;
                    let is_empty = bytes.get(start).is_none_or(|byte| *byte == b';');
                    if !is_set(&line) || is_empty {
                        headers.append(SET_COOKIE, line);
                        continue;
                    }
                    let marked =
                        [&bytes[..start], tag.as_bytes(), &[MARK], &bytes[start..]].concat();
                    if let Ok(marked) = HeaderValue::from_bytes(&marked) {
                        headers.append(SET_COOKIE, marked);
                    }
                }
            }
        }
    }
}

/// Where the value of a cookie stands in the value of `Cookie`.
fn find(cookies: &[u8], name: &str) -> Option<(usize, usize)> {
    let mut start = 0;
    for pair in cookies.split(|byte| *byte == b';') {
        let blanks = pair.iter().take_while(|byte| **byte == b' ').count();
        let value = pair[blanks..]
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="));
        if let Some(value) = value {
            let end = start + pair.len();
            return Some((end - value.len(), end));
        }
        start += pair.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    fn all(headers: &HeaderMap, name: http::HeaderName) -> Vec<&str> {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn our_own_cookie_is_found_among_others() {
        let check = |cookies: &[&'static str], tag: Option<&str>| {
            let taken = Sticky::Own.take(&mut headers(COOKIE, cookies));
            assert_eq!(taken.as_deref(), tag.map(str::as_bytes), "{cookies:?}");
        };
        check(&[], None);
        check(&["stoa-instance=abc"], Some("abc"));
        check(&["a=1; stoa-instance=abc; b=2"], Some("abc"));
        check(&["a=1", "b=2;stoa-instance=abc"], Some("abc"));
        check(&["xstoa-instance=abc; a=stoa-instance=abc"], None);
    }

    #[test]
    fn our_own_cookie_is_given_once() {
        let mut answer = HeaderMap::new();
        Sticky::Own.give(&mut answer, Some(b"abc"), "abc", true);
        assert!(answer.is_empty());
        Sticky::Own.give(&mut answer, Some(b"old"), "abc", true);
        assert_eq!(
            all(&answer, SET_COOKIE),
            ["stoa-instance=abc; Path=/; HttpOnly; SameSite=Lax; Secure"]
        );
    }

    #[test]
    fn a_cookie_of_the_application_carries_the_tag_out_and_not_in() {
        let sticky = Sticky::Existing("JSESSIONID".into());
        let mut answer = headers(
            SET_COOKIE,
            &["a=1", "JSESSIONID=42; Path=/", "JSESSIONID=; Max-Age=0"],
        );
        sticky.give(&mut answer, None, "abc", true);
        assert_eq!(
            all(&answer, SET_COOKIE),
            ["a=1", "JSESSIONID=abc~42; Path=/", "JSESSIONID=; Max-Age=0"]
        );
        let mut request = headers(COOKIE, &["b=2; JSESSIONID=abc~4~2; c=3"]);
        assert_eq!(sticky.take(&mut request).as_deref(), Some(&b"abc"[..]));
        assert_eq!(all(&request, COOKIE), ["b=2; JSESSIONID=4~2; c=3"]);
        let mut unmarked = headers(COOKIE, &["JSESSIONID=42"]);
        assert_eq!(sticky.take(&mut unmarked), None);
        assert_eq!(all(&unmarked, COOKIE), ["JSESSIONID=42"]);
    }
}
