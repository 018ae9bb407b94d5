//! Percent-encoding.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::error::{Error, ErrorKind, Place};

/// What stays as it is in the value of a query option that Stoa writes.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@')
    .remove(b'*')
    .remove(b'\'');

/// Decodes a path segment.
///
/// # Errors
/// An incomplete escape, or bytes that are not UTF-8.
pub fn decode_segment(raw: &str) -> Result<Cow<'_, str>, Error> {
    decode(raw, Place::Path)
}

/// Encodes the value of a query option.
#[must_use]
pub fn encode_value(value: &str) -> String {
    utf8_percent_encode(value, VALUE).to_string()
}

/// Decodes a part of a query.
///
/// A `+` is a plus sign in OData. Libraries for HTML forms write blanks that way, though, and encode
/// everything else that is special: a value that has a `+`, no `%20` and only characters that such a library
/// leaves alone is taken to come from one.
pub(super) fn decode_query(raw: &str) -> Result<Cow<'_, str>, Error> {
    if is_form_encoded(raw) {
        let blanks = raw.replace('+', " ");
        return decode(&blanks, Place::Query).map(|text| Cow::Owned(text.into_owned()));
    }
    decode(raw, Place::Query)
}

fn is_form_encoded(raw: &str) -> bool {
    raw.contains('+')
        && !raw.starts_with('+')
        && !raw.contains("%20")
        && raw.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'*' | b'-' | b'.' | b'_' | b'~' | b'+' | b'%')
        })
}

fn decode(raw: &str, place: Place) -> Result<Cow<'_, str>, Error> {
    let bytes = raw.as_bytes();
    for at in memchr::memchr_iter(b'%', bytes) {
        let is_escape = bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if !is_escape {
            return Err(Error::new(
                ErrorKind::Malformed,
                place,
                Some(at),
                "'%' has to be followed by two hexadecimal digits",
            )
            .expecting("%25 for a percent sign"));
        }
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| {
        Error::new(
            ErrorKind::Malformed,
            place,
            None,
            "the percent-encoded bytes are not UTF-8",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_is_a_blank_only_in_form_encoded_values() {
        let decoded = |raw| {
            decode_query(raw)
                .map(Cow::into_owned)
                .unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(decoded("Name+eq+%27a%2Bb%27"), "Name eq 'a+b'");
        assert_eq!(decoded("Name%20eq%20'a+b'"), "Name eq 'a+b'");
        assert_eq!(decoded("contains(Name,'a+b')"), "contains(Name,'a+b')");
        assert_eq!(decoded("+42"), "+42");
        insta::assert_snapshot!(decoded("100%"), @"query: '%' has to be followed by two hexadecimal digits at position 3; expected %25 for a percent sign");
        insta::assert_snapshot!(decoded("%ff"), @"query: the percent-encoded bytes are not UTF-8");
    }
}
