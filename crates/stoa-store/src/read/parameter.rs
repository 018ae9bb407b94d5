//! Values on their way into a statement.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use rust_decimal::Decimal;
use stoa_model::model::{EnumerationId, Model};
use stoa_model::value::Value;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::error::StoreError;
use crate::sql::Encoding;
use crate::sql::shape::{Argument, list_values};

/// The values of a query, in the order of its shape.
#[derive(Debug)]
pub(crate) struct Arguments {
    values: Vec<Owned>,
    /// The instant of the query, microseconds since the Unix epoch.
    pub(crate) now: i64,
}

/// A value of a query.
#[derive(Debug)]
pub(crate) enum Owned {
    Value(Value),
    List(Vec<Value>),
    Number(u64),
}

impl Arguments {
    pub(crate) fn new(arguments: &[Argument<'_>]) -> Result<Self, StoreError> {
        let values = arguments
            .iter()
            .map(|argument| {
                Ok(match argument {
                    Argument::Value(value) => Owned::Value(checked(value)?),
                    Argument::List(list) => Owned::List(
                        list_values(list)
                            .map(checked)
                            .collect::<Result<Vec<_>, _>>()?,
                    ),
                    Argument::Number(number) => Owned::Number(**number),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Self {
            values,
            now: jiff::Timestamp::now().as_microsecond(),
        })
    }

    pub(crate) fn value(&self, position: usize) -> Result<&Value, StoreError> {
        match self.values.get(position) {
            Some(Owned::Value(value)) => Ok(value),
            _ => Err(misplaced()),
        }
    }

    pub(crate) fn list(&self, position: usize) -> Result<&[Value], StoreError> {
        match self.values.get(position) {
            Some(Owned::List(values)) => Ok(values),
            _ => Err(misplaced()),
        }
    }

    pub(crate) fn number(&self, position: usize) -> Result<u64, StoreError> {
        match self.values.get(position) {
            Some(Owned::Number(number)) => Ok(*number),
            _ => Err(misplaced()),
        }
    }

    /// A number of rows as the databases take it.
    pub(crate) fn rows(&self, position: usize, more: u8) -> Result<i64, StoreError> {
        let rows = self.number(position)?.saturating_add(u64::from(more));
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }
}

fn misplaced() -> StoreError {
    StoreError::internal("a value of the query is not where its plan expects it")
}

/// PostgreSQL cannot hold U+0000; so nor may a request on SQLite.
fn checked(value: &Value) -> Result<Value, StoreError> {
    match value {
        Value::Text(text) | Value::Json(text) if text.contains('\0') => {
            Err(StoreError::InvalidText)
        }
        value => Ok(value.clone()),
    }
}

/// Place of a member in its enumeration; none for a name that it does not have.
pub(crate) fn ordinal(model: &Model, enumeration: EnumerationId, value: &Value) -> Option<i64> {
    let Value::Text(name) = value else {
        return None;
    };
    let place = model[enumeration]
        .members
        .iter()
        .position(|member| member.name == *name)?;
    i64::try_from(place).ok()
}

/// A number at a scale, as an integer. Rounded half away from zero and saturated, which matters to
/// comparisons only.
pub(crate) fn scaled(value: &Decimal, scale: u8) -> i64 {
    let (mantissa, own) = (value.mantissa(), value.scale());
    let wanted = u32::from(scale);
    let result = if own <= wanted {
        10_i128
            .checked_pow(wanted - own)
            .and_then(|factor| mantissa.checked_mul(factor))
    } else {
        10_i128.checked_pow(own - wanted).map(|divisor| {
            let (quotient, rest) = (mantissa / divisor, mantissa % divisor);
            if rest.abs() * 2 >= divisor {
                quotient + rest.signum()
            } else {
                quotient
            }
        })
    };
    let limit = if mantissa < 0 { i64::MIN } else { i64::MAX };
    result
        .and_then(|result| i64::try_from(result).ok())
        .unwrap_or(limit)
}

/// A value as PostgreSQL takes it, in its binary form.
#[derive(Debug)]
pub(crate) enum Parameter<'a> {
    Value(&'a Value, Encoding),
    List(&'a [Value], Encoding),
    Integer(Option<i64>),
    DateTime(i64),
    Array(&'a RawArray),
}

/// Raw values of one column of several rows.
#[derive(Debug, Default)]
pub(crate) struct RawArray {
    pub(crate) count: i32,
    /// Each with its length in front.
    pub(crate) elements: Vec<u8>,
}

/// Microseconds between 1970 and PostgreSQL's epoch, 2000.
pub(crate) const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;
/// Days between 1970 and PostgreSQL's epoch.
pub(crate) const EPOCH_DAYS: i32 = 10_957;

type Outcome = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Outcome {
        match self {
            Self::Value(value, encoding) => write_value(value, *encoding, out),
            Self::List(values, encoding) => {
                let element = element_oid(kind)?;
                let count = i32::try_from(values.len())?;
                array_header(count, element, out);
                for value in *values {
                    let start = out.len();
                    out.put_i32(-1);
                    if let IsNull::No = write_value(value, *encoding, out)? {
                        let length = i32::try_from(out.len() - start - 4)?;
                        if let Some(place) = out.get_mut(start..start + 4) {
                            place.copy_from_slice(&length.to_be_bytes());
                        }
                    }
                }
                Ok(IsNull::No)
            }
            Self::Integer(Some(number)) => {
                out.put_i64(*number);
                Ok(IsNull::No)
            }
            Self::Integer(None) => Ok(IsNull::Yes),
            Self::DateTime(microseconds) => {
                out.put_i64(microseconds.saturating_sub(EPOCH_MICROSECONDS));
                Ok(IsNull::No)
            }
            Self::Array(array) => {
                array_header(array.count, element_oid(kind)?, out);
                out.extend_from_slice(&array.elements);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

fn element_oid(kind: &Type) -> Result<u32, Box<dyn Error + Sync + Send>> {
    match kind.kind() {
        tokio_postgres::types::Kind::Array(element) => Ok(element.oid()),
        _ => Err("a list is bound to something that is no array".into()),
    }
}

fn array_header(count: i32, element: u32, out: &mut BytesMut) {
    out.put_i32(1);
    out.put_i32(0);
    out.put_u32(element);
    out.put_i32(count);
    out.put_i32(1);
}

fn write_value(value: &Value, encoding: Encoding, out: &mut BytesMut) -> Outcome {
    match (value, encoding) {
        (Value::Null, _) => return Ok(IsNull::Yes),
        (Value::Boolean(value), _) => out.put_u8(u8::from(*value)),
        (Value::Integer(number), Encoding::Decimal(_) | Encoding::Float(_)) => {
            write_numeric(&Decimal::from(*number), out);
        }
        (Value::Integer(number) | Value::Time(number) | Value::Duration(number), _) => {
            out.put_i64(*number)
        }
        (Value::Decimal(number), Encoding::Integer) => out.put_i64(scaled(number, 0)),
        (Value::Decimal(number), _) => write_numeric(number, out),
        (Value::Text(text) | Value::Json(text), _) => out.extend_from_slice(text.as_bytes()),
        (Value::DateTime(instant), _) => out.put_i64(instant.saturating_sub(EPOCH_MICROSECONDS)),
        (Value::Date(day), _) => out.put_i32(day.saturating_sub(EPOCH_DAYS)),
        (Value::Uuid(uuid), _) => out.extend_from_slice(uuid.as_bytes()),
        (Value::Binary(bytes), _) => out.extend_from_slice(bytes),
    }
    Ok(IsNull::No)
}

/// PostgreSQL's numeric: groups of four decimal digits.
pub(crate) fn write_numeric(number: &Decimal, out: &mut BytesMut) {
    let scale = number.scale();
    let padding = (4 - scale % 4) % 4;
    let mut rest = number.mantissa().unsigned_abs() * 10_u128.pow(padding);
    let after_point = i32::try_from((scale + padding) / 4).unwrap_or_default();
    let mut groups: Vec<i16> = Vec::with_capacity(10);
    while rest > 0 {
        groups.push(i16::try_from(rest % 10_000).unwrap_or_default());
        rest /= 10_000;
    }
    let weight = i32::try_from(groups.len()).unwrap_or_default() - after_point - 1;
    let trailing = groups.iter().take_while(|&&group| group == 0).count();
    let kept = groups.get(trailing..).unwrap_or_default();
    out.put_i16(i16::try_from(kept.len()).unwrap_or_default());
    out.put_i16(if kept.is_empty() {
        0
    } else {
        i16::try_from(weight).unwrap_or_default()
    });
    out.put_u16(if number.is_sign_negative() && !kept.is_empty() {
        0x4000
    } else {
        0
    });
    out.put_i16(i16::try_from(scale).unwrap_or_default());
    for group in kept.iter().rev() {
        out.put_i16(*group);
    }
}

/// Reads PostgreSQL's numeric.
pub(crate) fn read_numeric(raw: &[u8]) -> Option<Decimal> {
    let mut words = raw.chunks_exact(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    let count = i32::from(words.next()?);
    let weight = i32::from(words.next()?.cast_signed());
    let sign = words.next()?;
    let scale = u32::from(words.next()?);
    if sign != 0 && sign != 0x4000 {
        return None;
    }
    let mut mantissa: i128 = 0;
    for group in words.take(usize::try_from(count).ok()?) {
        mantissa = mantissa
            .checked_mul(10_000)?
            .checked_add(i128::from(group))?;
    }
    let digits_after = (count - 1 - weight) * 4;
    let shift = i32::try_from(scale).ok()? - digits_after;
    if count > 0 {
        let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
        mantissa = if shift >= 0 {
            mantissa.checked_mul(factor)?
        } else {
            mantissa / factor
        };
    }
    let mut number = match Decimal::try_from_i128_with_scale(mantissa, scale) {
        Ok(number) => number,
        // More digits after the point than a decimal holds: drop zeros at the end.
        Err(_) => shortened(mantissa, scale)?,
    };
    number.set_sign_negative(sign == 0x4000 && mantissa != 0);
    Some(number)
}

fn shortened(mut mantissa: i128, mut scale: u32) -> Option<Decimal> {
    while scale > 0
        && (scale > Decimal::MAX_SCALE
            || Decimal::try_from_i128_with_scale(mantissa, scale).is_err())
    {
        let rest = mantissa % 10;
        mantissa = mantissa / 10 + i128::from(rest >= 5);
        scale -= 1;
    }
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numeric_survives_the_way_out_and_in(mantissa in -999_999_999_999_999_999_i64..=999_999_999_999_999_999, scale in 0_u32..=18) {
            let number = Decimal::new(mantissa, scale);
            let mut out = BytesMut::new();
            write_numeric(&number, &mut out);
            let back = read_numeric(&out).unwrap();
            prop_assert_eq!(back, number);
            prop_assert_eq!(back.scale(), number.scale());
        }
    }

    #[test]
    fn scaling_rounds_half_away_from_zero_and_saturates() {
        assert_eq!(scaled(&Decimal::new(125, 2), 1), 13);
        assert_eq!(scaled(&Decimal::new(-125, 2), 1), -13);
        assert_eq!(scaled(&Decimal::new(124, 2), 1), 12);
        assert_eq!(scaled(&Decimal::new(5, 0), 3), 5000);
        assert_eq!(scaled(&Decimal::MAX, 6), i64::MAX);
        assert_eq!(scaled(&Decimal::MIN, 6), i64::MIN);
    }
}
