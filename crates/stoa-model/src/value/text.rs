//! The text of dates, times and durations (OData ABNF §7, XML Schema Part 2): one reader and one writer
//! for URLs, bodies, models and sample data.
//!
//! Reading is strict about the form and gives microseconds or days; digits of a second beyond the sixth
//! are cut off, because clients send seven. Writing gives the shortest exact text.

use std::io::Write as _;

use jiff::civil;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_DAYS: i64 = 719_468;

/// Takes a prefix of fixed digits apart.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.rest = rest;
        Some(
            digits
                .iter()
                .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')),
        )
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let rest = self.rest.strip_prefix(&[byte])?;
        self.rest = rest;
        Some(())
    }

    /// `.` and digits, as microseconds; nothing there is zero.
    fn fraction(&mut self) -> Option<i64> {
        if self.take(b'.').is_none() {
            return Some(0);
        }
        let length = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length == 0 || length > 12 {
            return None;
        }
        let mut value = 0;
        for position in 0..6 {
            let digit = if position < length {
                self.rest[position] - b'0'
            } else {
                0
            };
            value = value * 10 + i64::from(digit);
        }
        self.rest = &self.rest[length..];
        Some(value)
    }

    fn date(&mut self) -> Option<i32> {
        let year = self.digits(4)?;
        self.take(b'-')?;
        let month = self.digits(2)?;
        self.take(b'-')?;
        let day = self.digits(2)?;
        let date = civil::Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        )
        .ok()?;
        Some(days_of(date))
    }

    /// `hh:mm`, `hh:mm:ss` or with a fraction, as microseconds; a leap second counts as the one before.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.take(b':')?;
        let minute = self.digits(2)?;
        let (mut second, mut fraction) = (0, 0);
        if self.take(b':').is_some() {
            second = self.digits(2)?;
            fraction = self.fraction()?;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(hour * HOUR + minute * MINUTE + second.min(59) * SECOND + fraction)
    }

    fn end<T>(&self, value: T) -> Option<T> {
        self.rest.is_empty().then_some(value)
    }
}

fn days_of(date: civil::Date) -> i32 {
    // Era arithmetic on a calendar whose year starts in March; jiff has validated the date.
    let shifted = i64::from(date.month()) <= 2;
    let year = i64::from(date.year()) - i64::from(shifted);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = (i64::from(date.month()) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day()) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // In range: years have four digits.
    (era * 146_097 + day_of_era - EPOCH_DAYS) as i32
}

/// Year, month and day of a day number.
#[must_use]
pub fn civil_of(days: i32) -> (i32, u8, u8) {
    let days = i64::from(days) + EPOCH_DAYS;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day as u8)
}

/// `2024-02-29` as days since 1970-01-01. Years 0000 to 9999.
#[must_use]
pub fn parse_date(text: &str) -> Option<i32> {
    let mut scanner = Scanner {
        rest: text.as_bytes(),
    };
    let date = scanner.date()?;
    scanner.end(date)
}

/// `12:30`, `12:30:59.5` as microseconds since midnight.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let mut scanner = Scanner {
        rest: text.as_bytes(),
    };
    let time = scanner.time()?;
    scanner.end(time)
}

/// `2024-02-29T12:30:59.5Z` or with an offset, as microseconds since the Unix epoch.
#[must_use]
pub fn parse_date_time(text: &str) -> Option<i64> {
    let mut scanner = Scanner {
        rest: text.as_bytes(),
    };
    let date = i64::from(scanner.date()?);
    scanner.take(b'T').or_else(|| scanner.take(b't'))?;
    let time = scanner.time()?;
    let offset = if scanner.take(b'Z').or_else(|| scanner.take(b'z')).is_some() {
        0
    } else {
        let sign = if scanner.take(b'+').is_some() {
            1
        } else {
            scanner.take(b'-').map(|()| -1)?
        };
        let hour = scanner.digits(2)?;
        scanner.take(b':')?;
        let minute = scanner.digits(2)?;
        if hour > 18 || minute > 59 {
            return None;
        }
        sign * (hour * HOUR + minute * MINUTE)
    };
    scanner.end(date * DAY + time - offset)
}

/// `P1DT2H3M4.5S`, also negative, as microseconds. Years and months have no fixed length and are refused.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let mut scanner = Scanner { rest };
    scanner.take(b'P')?;
    let mut total = 0_i64;
    let mut last = 0_u8;
    let mut in_time = false;
    while !scanner.rest.is_empty() {
        if !in_time && scanner.take(b'T').is_some() {
            in_time = true;
            if scanner.rest.is_empty() {
                return None;
            }
            continue;
        }
        let length = scanner
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length == 0 || length > 18 {
            return None;
        }
        let number = scanner.digits(length)?;
        let has_fraction = scanner.rest.first() == Some(&b'.');
        let fraction = scanner.fraction()?;
        let (&unit, rest) = scanner.rest.split_first()?;
        scanner.rest = rest;
        let (place, size) = match (unit, in_time) {
            (b'D', false) => (1, DAY),
            (b'H', true) => (2, HOUR),
            (b'M', true) => (3, MINUTE),
            (b'S', true) => (4, SECOND),
            _ => return None,
        };
        if place <= last || (has_fraction && place != 4) {
            return None;
        }
        last = place;
        total = total
            .checked_add(number.checked_mul(size)?)?
            .checked_add(fraction)?;
    }
    if last == 0 {
        return None;
    }
    Some(if negative { -total } else { total })
}

fn put(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = value;
    let mut position = digits.len();
    while rest > 0 {
        position -= 1;
        digits[position] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[position.min(digits.len() - width)..]);
}

fn put_fraction(out: &mut Vec<u8>, micros: i64) {
    if micros == 0 {
        return;
    }
    out.push(b'.');
    put(out, micros.unsigned_abs(), 6);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// Appends `2024-02-29`.
pub fn write_date(out: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil_of(days);
    if year < 0 {
        out.push(b'-');
    }
    put(out, u64::from(year.unsigned_abs()), 4);
    out.push(b'-');
    put(out, u64::from(month), 2);
    out.push(b'-');
    put(out, u64::from(day), 2);
}

/// Appends `12:30:59.5`.
pub fn write_time(out: &mut Vec<u8>, micros: i64) {
    put(out, (micros / HOUR).unsigned_abs(), 2);
    out.push(b':');
    put(out, (micros / MINUTE % 60).unsigned_abs(), 2);
    out.push(b':');
    put(out, (micros / SECOND % 60).unsigned_abs(), 2);
    put_fraction(out, micros % SECOND);
}

/// Appends `2024-02-29T12:30:59.5Z`.
pub fn write_date_time(out: &mut Vec<u8>, micros: i64) {
    // In range: 64 bits of microseconds are fewer than 2^31 days.
    write_date(out, micros.div_euclid(DAY) as i32);
    out.push(b'T');
    write_time(out, micros.rem_euclid(DAY));
    out.push(b'Z');
}

/// Appends `P1DT2H3M4.5S`; `PT0S` for zero.
pub fn write_duration(out: &mut Vec<u8>, micros: i64) {
    if micros < 0 {
        out.push(b'-');
    }
    out.push(b'P');
    let total = micros.unsigned_abs();
    let units = [
        (total / DAY as u64, b'D'),
        (total / HOUR as u64 % 24, b'H'),
        (total / MINUTE as u64 % 60, b'M'),
    ];
    let seconds = total / SECOND as u64 % 60;
    let fraction = (total % SECOND as u64) as i64;
    let mut in_time = false;
    for (value, unit) in units {
        if value == 0 {
            continue;
        }
        if unit != b'D' && !in_time {
            out.push(b'T');
            in_time = true;
        }
        // Writing into memory does not fail.
        let _ = write!(out, "{value}");
        out.push(unit);
    }
    if seconds != 0 || fraction != 0 || total == 0 {
        if !in_time {
            out.push(b'T');
        }
        let _ = write!(out, "{seconds}");
        put_fraction(out, fraction);
        out.push(b'S');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_and_times_are_read_strictly() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-03-01"), Some(11_017));
        assert_eq!(parse_date("2024-02-30"), None);
        assert_eq!(parse_date("2024-2-3"), None);
        assert_eq!(parse_time("24:00"), None);
        assert_eq!(parse_time("12:30"), Some(45_000 * SECOND));
        assert_eq!(parse_date_time("1970-01-01T00:00Z"), Some(0));
        assert_eq!(
            parse_date_time("1970-01-01T02:00:00.1234567+02:00"),
            Some(123_456)
        );
        assert_eq!(parse_date_time("1970-01-01 00:00Z"), None);
        assert_eq!(parse_date_time("1970-01-01T00:00"), None);
        assert_eq!(
            parse_duration("-P6DT23H59M59.9999S"),
            Some(-(7 * DAY - 100))
        );
        for wrong in ["P", "PT", "P1Y", "P1M", "PT1.5H", "PT1M1H", "1D", ""] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            days in -719_528_i32..2_932_896,
            time in 0..DAY,
            duration in -(i64::MAX / 2)..i64::MAX / 2,
        ) {
            prop_assert_eq!(parse_date(&text(|out| write_date(out, days))), Some(days));
            prop_assert_eq!(parse_time(&text(|out| write_time(out, time))), Some(time));
            let instant = i64::from(days) * DAY + time;
            prop_assert_eq!(parse_date_time(&text(|out| write_date_time(out, instant))), Some(instant));
            prop_assert_eq!(parse_duration(&text(|out| write_duration(out, duration))), Some(duration));
        }

        #[test]
        fn any_text_is_judged(text in ".{0,40}") {
            let _ = (parse_date(&text), parse_time(&text), parse_date_time(&text), parse_duration(&text));
        }

        #[test]
        fn days_agree_with_the_calendar(days in -700_000_i32..2_900_000) {
            let (year, month, day) = civil_of(days);
            let date = civil::Date::new(year as i16, month as i8, day as i8).unwrap();
            let epoch = civil::date(1970, 1, 1);
            prop_assert_eq!(epoch.until(date).unwrap().get_days(), days);
        }
    }
}
