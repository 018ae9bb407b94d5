//! Places in a TOML string as it is written.

/// The byte offset in a string as written (quotes included) of a byte offset in its value.
pub(crate) fn place(raw: &str, offset: usize) -> usize {
    let (delimiter, is_basic) = match raw.as_bytes() {
        [b'"', b'"', b'"', ..] if raw.len() >= 6 => (3, true),
        [b'\'', b'\'', b'\'', ..] if raw.len() >= 6 => (3, false),
        [b'\'', ..] => (1, false),
        _ => (1, true),
    };
    let mut at = delimiter.min(raw.len());
    if delimiter == 3 {
        // A line break right after the opening quotes is no part of the value.
        let rest = &raw[at..];
        at += if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with('\n'))
        };
    }
    if !is_basic {
        return (at + offset).min(raw.len());
    }
    let mut decoded = 0;
    while decoded < offset {
        let Some(character) = raw.get(at..).and_then(|rest| rest.chars().next()) else {
            break;
        };
        if character == '\\' {
            let (written, value) = escape(&raw[at..]);
            at += written;
            decoded += value;
        } else {
            at += character.len_utf8();
            decoded += character.len_utf8();
        }
    }
    at.min(raw.len())
}

/// Bytes of an escape as written, and of its value.
fn escape(rest: &str) -> (usize, usize) {
    let digits = match rest.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        Some(byte) if byte.is_ascii_whitespace() => {
            let blank = rest[1..]
                .find(|character: char| !character.is_whitespace())
                .unwrap_or(rest.len() - 1);
            return (1 + blank, 0);
        }
        Some(_) => return (2, 1),
        None => return (1, 0),
    };
    let value = rest
        .get(2..2 + digits)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .and_then(char::from_u32)
        .map_or(1, char::len_utf8);
    (2 + digits, value)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn offsets_in_values_are_found_in_the_text() {
        let check = |raw: &str, offset: usize, rest: &str| {
            assert_eq!(&raw[place(raw, offset)..], rest, "{raw}")
        };
        check("'abc'", 1, "bc'");
        check("\"abc\"", 1, "bc\"");
        check(r#""a\tbc""#, 2, r#"bc""#);
        check(r#""\u00e4bc""#, 2, r#"bc""#);
        check("\"\"\"\nabc\"\"\"", 1, "bc\"\"\"");
        check("\"\"\"a\\\n   bc\"\"\"", 1, "\\\n   bc\"\"\"");
        check("\"\"\"a\\\n   bc\"\"\"", 2, "c\"\"\"");
        check("''", 5, "");
        check("\"\\", 5, "");
    }
}
