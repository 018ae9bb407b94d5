//! The JSON and the plain text of values. Nothing here allocates but the output itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use rust_decimal::Decimal;
use stoa_model::value::ValueRef;
use stoa_model::value::text::{write_date, write_date_time, write_duration, write_time};
use uuid::Uuid;

/// What stands behind a backslash for bytes that JSON does not take as they are; 0 for all others.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[0x08] = b'b';
    table[b'\t' as usize] = b't';
    table[b'\n' as usize] = b'n';
    table[0x0c] = b'f';
    table[b'\r' as usize] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether one of eight bytes may need an escape. A borrow can make it say so once too often.
fn needs_escape(word: u64) -> bool {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    // A byte below n (n at most 128) borrows into its high bit; bytes with the high bit set are out.
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let quoted = quote.wrapping_sub(ONES) & !quote;
    let slashed = backslash.wrapping_sub(ONES) & !backslash;
    (below | quoted | slashed) & HIGH != 0
}

/// Appends a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
}

/// Appends what stands between the quotes of a JSON string.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut position = 0;
    loop {
        while let Some(chunk) = bytes[position..].first_chunk::<8>() {
            if needs_escape(u64::from_ne_bytes(*chunk)) {
                break;
            }
            position += 8;
        }
        let Some(found) = bytes[position..]
            .iter()
            .position(|byte| ESCAPES[usize::from(*byte)] != 0)
        else {
            break;
        };
        position += found;
        out.extend_from_slice(&bytes[done..position]);
        let byte = bytes[position];
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
        position += 1;
        done = position;
    }
    out.extend_from_slice(&bytes[done..]);
}

/// Appends a whole number.
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a count.
pub fn write_count(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a decimal in plain notation, with as many digits after the point as its scale says.
pub fn write_decimal(out: &mut Vec<u8>, value: Decimal) {
    let mantissa = value.mantissa();
    let scale = value.scale() as usize;
    if mantissa < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let magnitude = mantissa.unsigned_abs();
    let digits = match u64::try_from(magnitude) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(magnitude),
    }
    .as_bytes();
    match digits.len().checked_sub(scale) {
        _ if scale == 0 => out.extend_from_slice(digits),
        None | Some(0) => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
            out.extend_from_slice(digits);
        }
        Some(whole) => {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

/// Appends a uuid with hyphens, in small letters.
pub fn write_uuid(out: &mut Vec<u8>, value: Uuid) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(value.hyphenated().encode_lower(&mut buffer).as_bytes());
}

/// Appends base64url with padding.
pub fn write_binary(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    match URL_SAFE.encode_slice(value, &mut out[start..]) {
        Ok(length) => out.truncate(start + length),
        // The room is exactly what is needed; were it not, an empty value keeps the JSON whole.
        Err(_) => out.truncate(start),
    }
}

/// Appends a value as JSON. `quoted`: a number stands as a string (IEEE754Compatible).
pub fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>, quoted: bool) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Boolean(true) => out.extend_from_slice(b"true"),
        ValueRef::Boolean(false) => out.extend_from_slice(b"false"),
        ValueRef::Text(text) => write_string(out, text),
        ValueRef::Json("") => out.extend_from_slice(b"null"),
        ValueRef::Json(text) => out.extend_from_slice(text.as_bytes()),
        ValueRef::Integer(value) if !quoted => write_integer(out, value),
        ValueRef::Decimal(value) if !quoted => write_decimal(out, value),
        value => {
            out.push(b'"');
            write_plain(out, value);
            out.push(b'"');
        }
    }
}

/// Appends a value as plain text (`/$value`), without escapes; nothing for null.
pub fn write_plain(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Boolean(true) => out.extend_from_slice(b"true"),
        ValueRef::Boolean(false) => out.extend_from_slice(b"false"),
        ValueRef::Integer(value) => write_integer(out, value),
        ValueRef::Decimal(value) => write_decimal(out, value),
        ValueRef::Text(text) | ValueRef::Json(text) => out.extend_from_slice(text.as_bytes()),
        ValueRef::DateTime(micros) => write_date_time(out, micros),
        ValueRef::Date(days) => write_date(out, days),
        ValueRef::Time(micros) => write_time(out, micros),
        ValueRef::Duration(micros) => write_duration(out, micros),
        ValueRef::Uuid(value) => write_uuid(out, value),
        ValueRef::Binary(value) => write_binary(out, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(value: ValueRef<'_>, quoted: bool) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value, quoted);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_type_has_its_form() {
        let decimal = |text: &str| ValueRef::Decimal(text.parse().unwrap());
        assert_eq!(json(decimal("12.50"), false), "12.50");
        assert_eq!(json(decimal("-0.05"), false), "-0.05");
        assert_eq!(json(decimal("0.00"), false), "0.00");
        assert_eq!(json(decimal("12"), true), "\"12\"");
        assert_eq!(
            json(ValueRef::Integer(i64::MIN), false),
            "-9223372036854775808"
        );
        assert_eq!(json(ValueRef::Integer(5), true), "\"5\"");
        assert_eq!(
            json(ValueRef::DateTime(1_500_000), false),
            "\"1970-01-01T00:00:01.5Z\""
        );
        assert_eq!(json(ValueRef::Date(19_782), false), "\"2024-02-29\"");
        assert_eq!(json(ValueRef::Time(1), false), "\"00:00:00.000001\"");
        assert_eq!(json(ValueRef::Duration(-60_000_000), false), "\"-PT1M\"");
        assert_eq!(
            json(ValueRef::Uuid(Uuid::nil()), false),
            "\"00000000-0000-0000-0000-000000000000\""
        );
        assert_eq!(
            json(ValueRef::Binary(&[0xff, 0xfe, 0xfd, 0xfc]), false),
            "\"__79_A==\""
        );
        assert_eq!(json(ValueRef::Json("{\"a\":[1]}"), true), "{\"a\":[1]}");
        assert_eq!(
            json(ValueRef::Text("a\"\\\u{1}\n é\u{2028}"), false),
            "\"a\\\"\\\\\\u0001\\n é\u{2028}\""
        );
    }

    proptest! {
        #[test]
        fn strings_are_read_back(text in any::<String>(), padding in 0_usize..9) {
            let text = format!("{}{text}\u{7f}\u{1f}", "x".repeat(padding));
            let read: String = serde_json::from_str(&json(ValueRef::Text(&text), false)).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn decimals_are_written_as_the_library_writes_them(mantissa in any::<i64>(), scale in 0_u32..28) {
            let value = Decimal::new(mantissa, scale);
            prop_assert_eq!(json(ValueRef::Decimal(value), false), value.to_string());
        }

        #[test]
        fn binaries_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = json(ValueRef::Binary(&bytes), false);
            prop_assert_eq!(URL_SAFE.decode(text.trim_matches('"')).unwrap(), bytes);
        }
    }
}
