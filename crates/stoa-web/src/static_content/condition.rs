//! Conditional requests (RFC 9110 §13).

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Send it; `range` tells whether a range may be sent.
    Send { range: bool },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Judges the conditions in the order of RFC 9110 §13.2.2. `etag` is strong and quoted, `modified` is in
/// whole seconds and `last_modified` is its text.
pub(super) fn evaluate(
    headers: &HeaderMap,
    etag: &HeaderValue,
    modified: SystemTime,
    last_modified: &HeaderValue,
) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        if !any_matches(headers, header::IF_MATCH, etag, false) {
            return Outcome::Failed;
        }
    } else if let Some(limit) = date(headers, header::IF_UNMODIFIED_SINCE)
        && modified > limit
    {
        return Outcome::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if any_matches(headers, header::IF_NONE_MATCH, etag, true) {
            return Outcome::NotModified;
        }
    } else if headers
        .get(header::IF_MODIFIED_SINCE)
        .is_some_and(|since| since == last_modified)
        || date(headers, header::IF_MODIFIED_SINCE).is_some_and(|since| modified <= since)
    {
        return Outcome::NotModified;
    }
    let range = match headers.get(header::IF_RANGE) {
        None => true,
        // A date must be the very same, a weak tag never matches.
        Some(condition) => condition == etag || condition == last_modified,
    };
    Outcome::Send { range }
}

fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Whether a list of entity tags has the strong `etag` in it. `weakly`: a `W/` in the list is overlooked.
fn any_matches(
    headers: &HeaderMap,
    name: header::HeaderName,
    etag: &HeaderValue,
    weakly: bool,
) -> bool {
    headers
        .get_all(name)
        .iter()
        .any(|line| list_matches(line.as_bytes(), etag.as_bytes(), weakly))
}

fn list_matches(list: &[u8], etag: &[u8], weakly: bool) -> bool {
    if list == etag {
        return true;
    }
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (weak, tag) = match rest {
            [b'W', b'/', tag @ ..] => (true, tag),
            tag => (false, tag),
        };
        // What is no list of tags matches nothing.
        let [b'"', opaque @ ..] = tag else {
            return false;
        };
        let Some(end) = opaque.iter().position(|byte| *byte == b'"') else {
            return false;
        };
        if tag[..end + 2] == *etag && (weakly || !weak) {
            return true;
        }
        rest = &opaque[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Content with tag "a", last modified at second 1,000,000.
    fn check(headers: &[(header::HeaderName, &str)], expected: Outcome) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let last_modified = HeaderValue::from_str(&httpdate::fmt_http_date(modified)).unwrap();
        assert_eq!(last_modified, THEN);
        let outcome = evaluate(
            &map,
            &HeaderValue::from_static("\"a\""),
            modified,
            &last_modified,
        );
        assert_eq!(outcome, expected, "{headers:?}");
    }

    const BEFORE: &str = "Mon, 12 Jan 1970 13:46:39 GMT";
    const THEN: &str = "Mon, 12 Jan 1970 13:46:40 GMT";
    const AFTER: &str = "Mon, 12 Jan 1970 13:46:41 GMT";
    const SEND: Outcome = Outcome::Send { range: true };

    #[test]
    fn if_none_match() {
        use header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
        for list in [
            "\"a\"",
            "W/\"a\"",
            "*",
            "\"b\", \"a\"",
            "\"b,c\",W/\"a\"",
            " , \"a\" ",
        ] {
            check(&[(IF_NONE_MATCH, list)], Outcome::NotModified);
        }
        for list in ["\"b\"", "a", "\"a", "", "\"b\", *", "\"b\" x \"a\""] {
            check(&[(IF_NONE_MATCH, list)], SEND);
        }
        check(
            &[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")],
            Outcome::NotModified,
        );
        // The date counts only without a tag.
        check(
            &[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, AFTER)],
            SEND,
        );
    }

    #[test]
    fn if_match() {
        use header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
        check(&[(IF_MATCH, "\"a\"")], SEND);
        check(&[(IF_MATCH, "*")], SEND);
        check(&[(IF_MATCH, "W/\"a\"")], Outcome::Failed);
        check(&[(IF_MATCH, "\"b\"")], Outcome::Failed);
        check(&[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)], SEND);
        check(
            &[(IF_MATCH, "\"a\""), (IF_NONE_MATCH, "\"a\"")],
            Outcome::NotModified,
        );
    }

    #[test]
    fn dates() {
        use header::{IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE};
        check(&[(IF_MODIFIED_SINCE, BEFORE)], SEND);
        check(&[(IF_MODIFIED_SINCE, THEN)], Outcome::NotModified);
        check(&[(IF_MODIFIED_SINCE, AFTER)], Outcome::NotModified);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], SEND);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE)], Outcome::Failed);
        check(&[(IF_UNMODIFIED_SINCE, THEN)], SEND);
        check(&[(IF_UNMODIFIED_SINCE, "yesterday")], SEND);
    }

    #[test]
    fn if_range() {
        use header::IF_RANGE;
        check(&[(IF_RANGE, "\"a\"")], SEND);
        check(&[(IF_RANGE, THEN)], SEND);
        check(&[(IF_RANGE, "W/\"a\"")], Outcome::Send { range: false });
        check(&[(IF_RANGE, "\"b\"")], Outcome::Send { range: false });
        check(&[(IF_RANGE, AFTER)], Outcome::Send { range: false });
    }
}
