//! SQL functions that SQLite lacks or has differently from PostgreSQL. Null in, null out.

use std::error::Error;

use regex::Regex;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rust_decimal::Decimal;

use crate::error::{SQLITE_DIVISION_BY_ZERO, SQLITE_INVALID_PATTERN, SQLITE_OVERFLOW, StoreError};

/// A scaled decimal is below this: 18 digits.
const DECIMAL_LIMIT: i128 = 1_000_000_000_000_000_000;
const DAY: i64 = 86_400_000_000;
/// Bytes of a compiled regular expression.
const PATTERN_BYTES: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(&'static str);

fn refusal(text: &'static str) -> rusqlite::Error {
    let cause: Box<dyn Error + Send + Sync> = Box::new(Refusal(text));
    rusqlite::Error::UserFunctionError(cause)
}

fn overflow() -> rusqlite::Error {
    refusal(SQLITE_OVERFLOW)
}

fn by_zero() -> rusqlite::Error {
    refusal(SQLITE_DIVISION_BY_ZERO)
}

type Number = Result<i64, rusqlite::Error>;

/// Registers all of them on a connection.
pub(crate) fn register(connection: &Connection) -> Result<(), StoreError> {
    let one = |name: &str, function: fn(i64) -> Number| {
        integers(connection, name, 1, move |n| function(n[0]))
    };
    let two = |name: &str, function: fn(i64, i64) -> Number| {
        integers(connection, name, 2, move |n| function(n[0], n[1]))
    };
    two("stoa_integer_add", |a, b| {
        a.checked_add(b).ok_or_else(overflow)
    })?;
    two("stoa_integer_subtract", |a, b| {
        a.checked_sub(b).ok_or_else(overflow)
    })?;
    two("stoa_integer_multiply", |a, b| {
        a.checked_mul(b).ok_or_else(overflow)
    })?;
    two("stoa_integer_divide", |a, b| {
        if b == 0 {
            Err(by_zero())
        } else {
            a.checked_div(b).ok_or_else(overflow)
        }
    })?;
    two("stoa_integer_modulo", |a, b| {
        if b == 0 {
            Err(by_zero())
        } else {
            Ok(a.wrapping_rem(b))
        }
    })?;
    two("stoa_floor_divide", |a, b| {
        if b == 0 {
            Err(by_zero())
        } else {
            Ok(a.div_euclid(b))
        }
    })?;
    two("stoa_widen", |a, digits| {
        let factor = power(digits)?;
        let limit = if a < 0 { i64::MIN } else { i64::MAX };
        Ok(i64::try_from(i128::from(a) * factor).unwrap_or(limit))
    })?;
    decimals(connection)?;
    two("stoa_round", |a, scale| {
        Ok(narrow(round(i128::from(a), power(scale)?)))
    })?;
    two("stoa_floor", |a, scale| {
        Ok(narrow(i128::from(a).div_euclid(power(scale)?)))
    })?;
    two("stoa_ceiling", |a, scale| {
        Ok(narrow(-(-i128::from(a)).div_euclid(power(scale)?)))
    })?;
    one("stoa_year", |moment| Ok(civil(moment.div_euclid(DAY)).0))?;
    one("stoa_month", |moment| Ok(civil(moment.div_euclid(DAY)).1))?;
    one("stoa_day", |moment| Ok(civil(moment.div_euclid(DAY)).2))?;
    one("stoa_hour", |moment| {
        Ok(moment.rem_euclid(DAY) / 3_600_000_000)
    })?;
    one("stoa_minute", |moment| {
        Ok(moment.rem_euclid(3_600_000_000) / 60_000_000)
    })?;
    one("stoa_second", |moment| {
        Ok(moment.rem_euclid(60_000_000) / 1_000_000)
    })?;
    one("stoa_fraction", |moment| Ok(moment.rem_euclid(1_000_000)))?;
    one("stoa_date", |moment| Ok(moment.div_euclid(DAY)))?;
    one("stoa_time", |moment| Ok(moment.rem_euclid(DAY)))?;
    texts(connection)
}

fn flags() -> FunctionFlags {
    FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS
}

/// A function of integers.
fn integers<F>(
    connection: &Connection,
    name: &str,
    arguments: usize,
    function: F,
) -> Result<(), StoreError>
where
    F: Fn(&[i64; 5]) -> Number + Send + 'static,
{
    let count = i32::try_from(arguments).unwrap_or(-1);
    connection.create_scalar_function(name, count, flags(), move |context: &Context<'_>| {
        let mut numbers = [0_i64; 5];
        for (position, place) in numbers.iter_mut().take(arguments).enumerate() {
            match context.get_raw(position) {
                ValueRef::Null => return Ok(None),
                ValueRef::Integer(number) => *place = number,
                other => {
                    return Err(rusqlite::Error::InvalidFunctionParameterType(
                        position,
                        other.data_type(),
                    ));
                }
            }
        }
        function(&numbers).map(Some)
    })?;
    Ok(())
}

/// Arithmetic on scaled integers: both values with their scales, and the scale of the result.
fn decimals(connection: &Connection) -> Result<(), StoreError> {
    let aligned = |n: &[i64; 5]| -> Result<(i128, i128, i64), rusqlite::Error> {
        let common = n[1].max(n[3]);
        Ok((
            i128::from(n[0]) * power(common - n[1])?,
            i128::from(n[2]) * power(common - n[3])?,
            common,
        ))
    };
    integers(connection, "stoa_decimal_add", 5, move |n| {
        let (a, b, common) = aligned(n)?;
        fitted(a + b, common, n[4])
    })?;
    integers(connection, "stoa_decimal_subtract", 5, move |n| {
        let (a, b, common) = aligned(n)?;
        fitted(a - b, common, n[4])
    })?;
    integers(connection, "stoa_decimal_modulo", 5, move |n| {
        let (a, b, common) = aligned(n)?;
        if b == 0 {
            return Err(by_zero());
        }
        fitted(a % b, common, n[4])
    })?;
    integers(connection, "stoa_decimal_multiply", 5, |n| {
        fitted(i128::from(n[0]) * i128::from(n[2]), n[1] + n[3], n[4])
    })?;
    integers(connection, "stoa_decimal_divide", 5, |n| {
        if n[2] == 0 {
            return Err(by_zero());
        }
        // a / 10^s1 ÷ b / 10^s2, at scale s: a × 10^(s + s2 − s1) ÷ b.
        let shift = n[4] + n[3] - n[1];
        let (mut a, mut b) = (i128::from(n[0]), i128::from(n[2]));
        if shift >= 0 {
            a = a.checked_mul(power(shift)?).ok_or_else(overflow)?;
        } else {
            b = b.checked_mul(power(-shift)?).ok_or_else(overflow)?;
        }
        limited(round(a, b))
    })?;
    integers(connection, "stoa_duration_multiply", 3, |n| {
        let product = i128::from(n[0]) * i128::from(n[1]);
        i64::try_from(round(product, power(n[2])?)).map_err(|_| overflow())
    })?;
    integers(connection, "stoa_duration_divide", 3, |n| {
        if n[1] == 0 {
            return Err(by_zero());
        }
        let dividend = i128::from(n[0])
            .checked_mul(power(n[2])?)
            .ok_or_else(overflow)?;
        i64::try_from(round(dividend, i128::from(n[1]))).map_err(|_| overflow())
    })
}

fn power(digits: i64) -> Result<i128, rusqlite::Error> {
    u32::try_from(digits)
        .ok()
        .and_then(|digits| 10_i128.checked_pow(digits))
        .ok_or_else(overflow)
}

/// Quotient, rounded half away from zero. `b` is not zero.
fn round(a: i128, b: i128) -> i128 {
    let (quotient, rest) = (a / b, a % b);
    if rest.unsigned_abs() * 2 >= b.unsigned_abs() && rest != 0 {
        quotient + if (a < 0) == (b < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

/// A number at another scale, with at most 18 digits.
fn fitted(number: i128, from: i64, to: i64) -> Number {
    limited(if to >= from {
        number.checked_mul(power(to - from)?).ok_or_else(overflow)?
    } else {
        round(number, power(from - to)?)
    })
}

fn limited(number: i128) -> Number {
    if number.abs() >= DECIMAL_LIMIT {
        return Err(overflow());
    }
    i64::try_from(number).map_err(|_| overflow())
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the leap day is the last one; an era is 400 years.
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn texts(connection: &Connection) -> Result<(), StoreError> {
    connection.create_scalar_function("stoa_lower", 1, flags(), |context| {
        Ok(text(context, 0)?.map(str::to_lowercase))
    })?;
    connection.create_scalar_function("stoa_upper", 1, flags(), |context| {
        Ok(text(context, 0)?.map(str::to_uppercase))
    })?;
    connection.create_scalar_function("stoa_ends_with", 2, flags(), |context| {
        Ok(match (text(context, 0)?, text(context, 1)?) {
            (Some(text), Some(end)) => Some(text.ends_with(end)),
            _ => None,
        })
    })?;
    connection.create_scalar_function("stoa_matches", 2, flags(), |context| {
        let Some(text) = text(context, 0)? else {
            return Ok(None);
        };
        if matches!(context.get_raw(1), ValueRef::Null) {
            return Ok(None);
        }
        let pattern = context.get_or_create_aux(1, |value: ValueRef<'_>| {
            let pattern = value
                .as_str()
                .map_err(|_| Refusal(SQLITE_INVALID_PATTERN))?;
            regex::RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES)
                .build()
                .map_err(|_| Refusal(SQLITE_INVALID_PATTERN))
        })?;
        let pattern: &Regex = &pattern;
        Ok(Some(pattern.is_match(text)))
    })?;
    connection.create_scalar_function("stoa_decimal", 2, flags(), |context| {
        let scale = u8::try_from(context.get::<i64>(1)?).unwrap_or_default();
        let number = match context.get_raw(0) {
            ValueRef::Real(number) => shortest(number),
            ValueRef::Integer(number) => Some(Decimal::from(number)),
            _ => None,
        };
        Ok(match number {
            Some(number) => ToSqlOutput::Owned(Value::Integer(crate::read::parameter::scaled(
                &number, scale,
            ))),
            None => ToSqlOutput::Owned(Value::Null),
        })
    })?;
    Ok(())
}

fn text<'a>(context: &'a Context<'_>, position: usize) -> Result<Option<&'a str>, rusqlite::Error> {
    Ok(context.get_raw(position).as_str_or_null()?)
}

/// A floating point number by its shortest decimal text.
pub(crate) fn shortest(number: f64) -> Option<Decimal> {
    number.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(-719_162), (1, 1, 1));
        assert_eq!(civil(2_932_896), (9999, 12, 31));
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        assert_eq!(
            [
                round(5, 2),
                round(-5, 2),
                round(5, -2),
                round(4, 3),
                round(0, 3)
            ],
            [3, -3, -3, 1, 0]
        );
    }
}
