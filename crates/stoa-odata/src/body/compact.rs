//! Values of Json attributes: the text as it is, without blanks, checked for what databases refuse.

/// Deepest nesting of a Json value.
const MAXIMUM_DEPTH: usize = 64;

/// The text without blanks between tokens. `json` is known to be JSON.
///
/// # Errors
/// Nested too deeply, or a string with U+0000 or half of a surrogate pair, which not every database keeps.
pub(super) fn compact(json: &str) -> Result<String, &'static str> {
    let bytes = json.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                position += 1;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAXIMUM_DEPTH {
                    return Err("is nested more deeply than 64 levels");
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = string_end(bytes, position)?;
                out.extend_from_slice(&bytes[position..end]);
                position = end;
                continue;
            }
            _ => {}
        }
        out.push(byte);
        position += 1;
    }
    String::from_utf8(out).map_err(|_| "is not Unicode")
}

/// Position behind the string that starts at `start`.
fn string_end(bytes: &[u8], start: usize) -> Result<usize, &'static str> {
    let mut position = start + 1;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'"' => return Ok(position + 1),
            b'\\' if bytes.get(position + 1) == Some(&b'u') => {
                let first = unit(bytes, position);
                position += 6;
                match first {
                    0 => return Err("has the character U+0000"),
                    0xD800..=0xDBFF => {
                        let second = unit(bytes, position);
                        if bytes.get(position..position + 2) != Some(b"\\u")
                            || !(0xDC00..=0xDFFF).contains(&second)
                        {
                            return Err("has half of a surrogate pair");
                        }
                        position += 6;
                    }
                    0xDC00..=0xDFFF => return Err("has half of a surrogate pair"),
                    _ => {}
                }
            }
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    Err("is not JSON")
}

/// The code unit of the escape at `position`.
fn unit(bytes: &[u8], position: usize) -> u32 {
    bytes
        .get(position + 2..position + 6)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn blanks_go_and_everything_else_stays() {
        assert_eq!(
            compact("{ \"a b\" : [ 1.50 ,\n \"\\\" \\u00e9\" , 1e400 ] }").unwrap(),
            "{\"a b\":[1.50,\"\\\" \\u00e9\",1e400]}"
        );
        assert_eq!(compact("\"\\ud83d\\ude00\"").unwrap(), "\"\\ud83d\\ude00\"");
        assert!(compact("\"\\ud83d\"").is_err());
        assert!(compact("\"\\ud83d\\u0041\"").is_err());
        assert!(compact("\"\\ude00\"").is_err());
        assert!(compact("[\"\\u0000\"]").is_err());
        assert!(compact(&format!("{}{}", "[".repeat(65), "]".repeat(65))).is_err());
        assert!(compact(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }
}
