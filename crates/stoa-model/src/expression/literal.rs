//! Text forms of values (OData ABNF §7), read strictly and exactly.
//!
//! Each function takes the whole text and gives nothing when it is not of the form or not
//! representable. Shared by URLs, bodies and defaults in models.

use rust_decimal::Decimal;
use uuid::Uuid;

/// Microseconds of a day.
pub const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;
/// 0001-01-01, the least date that both databases and every client can hold, as days.
pub const FIRST_DATE: i32 = -719_162;
/// 9999-12-31 as days.
pub const LAST_DATE: i32 = 2_932_896;

/// Days since 1970-01-01 of `[-]YYYY-MM-DD`, in the proleptic Gregorian calendar, any year.
#[must_use]
pub fn date(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (year, rest) = rest.split_at_checked(rest.find('-')?)?;
    let bytes = rest.as_bytes();
    let well_formed = year.len() >= 4
        && year.len() <= 9
        && (year.len() == 4 || !year.starts_with('0'))
        && is_digits(year.as_bytes())
        && bytes.len() == 6
        && bytes[3] == b'-';
    if !well_formed {
        return None;
    }
    let year = year.parse::<i64>().ok()? * if negative { -1 } else { 1 };
    let (month, day) = (two_digits(&bytes[1..3])?, two_digits(&bytes[4..6])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// Microseconds since midnight of `HH:MM[:SS[.fraction]]`. Digits beyond the sixth are cut off; a leap
/// second counts as the first of the next minute.
#[must_use]
pub fn time_of_day(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 5 || bytes[2] != b':' {
        return None;
    }
    let (hour, minute) = (two_digits(&bytes[..2])?, two_digits(&bytes[3..5])?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let mut microseconds = (hour * 60 + minute) * 60_000_000;
    if bytes.len() > 5 {
        if bytes.len() < 8 || bytes[5] != b':' {
            return None;
        }
        let second = two_digits(&bytes[6..8])?;
        if second > 60 {
            return None;
        }
        microseconds += second * 1_000_000;
        if bytes.len() > 8 {
            let fraction = &bytes[9..];
            if bytes[8] != b'.' || fraction.is_empty() || fraction.len() > 12 {
                return None;
            }
            microseconds += fraction_microseconds(fraction)?;
        }
    }
    Some(microseconds)
}

/// Microseconds since the Unix epoch of `date T time (Z | ±HH:MM)`.
#[must_use]
pub fn date_time(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(text.find(['T', 't'])?)?;
    let rest = &rest[1..];
    let (time, offset_minutes) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => {
            let (time, offset) = rest.split_at_checked(rest.find(['+', '-'])?)?;
            let bytes = offset.as_bytes();
            if bytes.len() != 6 || bytes[3] != b':' {
                return None;
            }
            let (hour, minute) = (two_digits(&bytes[1..3])?, two_digits(&bytes[4..6])?);
            if hour > 23 || minute > 59 {
                return None;
            }
            let minutes = hour * 60 + minute;
            (time, if bytes[0] == b'-' { -minutes } else { minutes })
        }
    };
    date(day)?
        .checked_mul(MICROSECONDS_PER_DAY)?
        .checked_add(time_of_day(time)?)?
        .checked_sub(offset_minutes * 60_000_000)
}

/// Microseconds of `[-]P[nD][T[nH][nM][n[.n]S]]`. Digits beyond the sixth of a second are cut off.
#[must_use]
pub fn duration(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let mut rest = rest.strip_prefix('P')?;
    let mut total = 0_i64;
    let mut in_time = false;
    let mut given = 0;
    let mut last = 0;
    while !rest.is_empty() {
        if !in_time && let Some(time) = rest.strip_prefix('T') {
            in_time = true;
            rest = time;
            if rest.is_empty() {
                return None;
            }
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let whole = rest[..digits].parse::<i64>().ok()?;
        rest = &rest[digits..];
        let mut fraction = None;
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            fraction = Some(fraction_microseconds(&after.as_bytes()[..digits])?);
            rest = &after[digits..];
        }
        let (rank, microseconds) = match (rest.bytes().next()?, in_time) {
            (b'D', false) => (1, MICROSECONDS_PER_DAY),
            (b'H', true) => (2, 3_600_000_000),
            (b'M', true) => (3, 60_000_000),
            (b'S', true) => (4, 1_000_000),
            _ => return None,
        };
        if rank <= last || (fraction.is_some() && rank != 4) {
            return None;
        }
        last = rank;
        given += 1;
        rest = &rest[1..];
        total = total.checked_add(whole.checked_mul(microseconds)?)?.checked_add(fraction.unwrap_or(0))?;
    }
    if given == 0 {
        return None;
    }
    Some(if negative { -total } else { total })
}

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
            coefficient = coefficient.checked_mul(10_i128.checked_pow(u32::try_from(zeros).ok()?)?)?;
        }
        zeros = 0;
        coefficient = coefficient.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
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
    let signed = if text.starts_with('-') { -coefficient } else { coefficient };
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
    if unpadded.len() % 4 == 1 || (padding > 0 && (unpadded.len() + padding) % 4 != 0) || padding > 2 {
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

fn two_digits(bytes: &[u8]) -> Option<i64> {
    is_digits(bytes).then(|| i64::from(bytes[0] - b'0') * 10 + i64::from(bytes[1] - b'0'))
}

fn fraction_microseconds(digits: &[u8]) -> Option<i64> {
    if !is_digits(digits) {
        return None;
    }
    Some((0..6).fold(0, |sum, at| sum * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0'))))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01: years are counted from March, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("0001-01-01"), Some(i64::from(FIRST_DATE)));
        assert_eq!(date("9999-12-31"), Some(i64::from(LAST_DATE)));
        assert_eq!(date("2024-02-29"), Some(19_782));
        assert!(date("-10000-04-01").is_some());
        for wrong in ["2023-02-29", "2023-13-01", "2023-1-01", "01970-01-01", "INF", "-INF", "", "-", "2023-01-0é"] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time_of_day("11:22"), Some(40_920_000_000));
        assert_eq!(time_of_day("11:22:33.4444444"), Some(40_953_444_444));
        assert_eq!(date_time("1970-01-01T00:00Z"), Some(0));
        assert_eq!(date_time("1970-01-01T01:00:00.5+01:00"), Some(500_000));
        assert_eq!(date_time("1972-06-30T23:59:60Z"), date_time("1972-07-01T00:00:00Z"));
        for wrong in ["24:00:00", "11", "11:60", "11:22:61", "11:22:33.", "1é:22", "11:22:é"] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
        assert_eq!(date_time("2012-09-03T24:00-03:00"), None);
        assert_eq!(date_time("999999999-01-01T00:00Z"), None);
    }

    #[test]
    fn durations() {
        assert_eq!(duration("-P6DT23H59M59.9999S"), Some(-604_799_999_900));
        assert_eq!(duration("PT1S"), Some(1_000_000));
        for wrong in ["P", "PT", "P1Y", "P1M6D", "PT1M1H", "P1.5D", "1D", "PT.5S", "P9999999999999999999D"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn decimals() {
        for (text, expected) in [("3.14", "3.14"), ("-1.234567e3", "-1234.567"), ("+42", "42"), ("1.500", "1.5"), ("12e-1", "1.2"), ("0.000", "0"), ("100", "100"), ("1e2", "100")] {
            assert_eq!(decimal(text).map(|value| value.to_string()).as_deref(), Some(expected), "{text}");
        }
        for wrong in [".1", "1.", "1e-101", "", "-", "1e", "--1", "1e99999999", "99999999999999999999999999999999999999999"] {
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
