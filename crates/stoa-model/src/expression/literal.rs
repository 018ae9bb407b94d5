//! Text forms of decimals, Uuids and bytes (OData ABNF §7), read strictly and exactly; dates and times
//! are in [`crate::value::text`].
//!
//! Each function takes the whole text and gives nothing when it is not of the form or not
//! representable. Shared by URLs, bodies and defaults in models.

use rust_decimal::Decimal;
use uuid::Uuid;

/// A decimal of the form `[±]digits[.digits][e[±]digits]`, exactly; nothing if it has more than 28
/// significant digits or a scale above 28.
#[must_use]
pub fn decimal(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => {
            let exponent = &unsigned[at + 1..];
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if !is_digits(digits.as_bytes()) || digits.len() > 4 {
                return None;
            }
            (&unsigned[..at], exponent.parse::<i64>().ok()?)
        }
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if !is_digits(whole.as_bytes()) || !(fraction.is_empty() || is_digits(fraction.as_bytes())) {
        return None;
    }
    let mut coefficient = 0_i128;
    // Zeros at the end are put off: they count only if a digit follows.
    let mut zeros = 0_i64;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if digit == b'0' {
            zeros += 1;
            continue;
        }
        if coefficient != 0 {
            coefficient =
                coefficient.checked_mul(10_i128.checked_pow(u32::try_from(zeros).ok()?)?)?;
        }
        zeros = 0;
        coefficient = coefficient
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    if coefficient == 0 {
        return Some(Decimal::ZERO);
    }
    let scale = i64::try_from(fraction.len()).ok()? - zeros - exponent;
    let (coefficient, scale) = if scale < 0 {
        let power = 10_i128.checked_pow(u32::try_from(-scale).ok()?)?;
        (coefficient.checked_mul(power)?, 0)
    } else {
        (coefficient, u32::try_from(scale).ok()?)
    };
    let signed = if text.starts_with('-') {
        -coefficient
    } else {
        coefficient
    };
    Decimal::try_from_i128_with_scale(signed, scale).ok()
}

/// A Uuid in its hyphenated form, any case.
#[must_use]
pub fn uuid(text: &str) -> Option<Uuid> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// Bytes in base64url (or plain base64), padding optional.
#[must_use]
pub fn binary(text: &str) -> Option<Vec<u8>> {
    let unpadded = text.trim_end_matches('=');
    let padding = text.len() - unpadded.len();
    if unpadded.len() % 4 == 1 || (padding > 0 && !text.len().is_multiple_of(4)) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(unpadded.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for character in unpadded.bytes() {
        let six = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // Bits left over must be zero: otherwise two texts would mean the same bytes.
    (bits == 0).then_some(bytes)
}

/// Length of the Uuid at the start of `bytes`, if there is one.
pub(crate) fn uuid_length(bytes: &[u8]) -> Option<usize> {
    let candidate = bytes.get(..36)?;
    let fits = candidate.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(36)
}

fn is_digits(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (text, expected) in [
            ("3.14", "3.14"),
            ("-1.234567e3", "-1234.567"),
            ("+42", "42"),
            ("1.500", "1.5"),
            ("12e-1", "1.2"),
            ("0.000", "0"),
            ("100", "100"),
            ("1e2", "100"),
        ] {
            assert_eq!(
                decimal(text).map(|value| value.to_string()).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for wrong in [
            ".1",
            "1.",
            "1e-101",
            "",
            "-",
            "1e",
            "--1",
            "1e99999999",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes() {
        assert_eq!(binary("").as_deref(), Some(&b""[..]));
        assert_eq!(binary("Zg==").as_deref(), Some(&b"f"[..]));
        assert_eq!(binary("Zm8").as_deref(), Some(&b"fo"[..]));
        assert_eq!(binary("Zm9vYmFy").as_deref(), Some(&b"foobar"[..]));
        for wrong in ["Z", "Zh==", "Zm9v=", "Z*==", "===="] {
            assert_eq!(binary(wrong), None, "{wrong}");
        }
    }
}
