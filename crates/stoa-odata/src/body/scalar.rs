//! A JSON value becomes the value of an attribute, or the fault that it is.

use std::cmp::Ordering;

use stoa_model::expression::error::nearest;
use stoa_model::expression::literal;
use stoa_model::model::{Attribute, Model};
use stoa_model::value::text::{
    parse_date, parse_date_time, parse_duration, parse_time, write_date, write_date_time,
    write_duration, write_time,
};
use stoa_model::value::{ScalarType, Value};

use super::Raw;
use super::compact::compact;
use super::document::{Shape, shape};
use super::faults::shown;
use crate::error::Code;
use crate::json::text::write_plain;

/// A fault: its code and what is wrong, without the property's name.
type Fault = (Code, String);

/// Reads a value that is not null. Checks type, length, range, digits, pattern, member.
pub(super) fn read(
    model: &Model,
    attribute: &Attribute,
    raw: Raw<'_>,
    ieee754_compatible: bool,
) -> Result<Value, Fault> {
    let value = convert(model, attribute, raw, ieee754_compatible)?;
    check_range(attribute, &value)?;
    Ok(value)
}

fn convert(
    model: &Model,
    attribute: &Attribute,
    raw: Raw<'_>,
    ieee754_compatible: bool,
) -> Result<Value, Fault> {
    let shape = shape(raw);
    let wrong_type = |wanted: &str| {
        (
            Code::WrongType,
            format!("must be {wanted}, not {}", shape.name()),
        )
    };
    let text = |wanted: &str| match &shape {
        Shape::Text(text) => Ok(text.as_ref()),
        Shape::Broken => Err((
            Code::InvalidFormat,
            "has half of a surrogate pair in it, which is no Unicode text".to_owned(),
        )),
        _ => Err(wrong_type(wanted)),
    };
    let format = |wanted: &str, text: &str| {
        (
            Code::InvalidFormat,
            format!("must be {wanted}, not '{}'", shown(text)),
        )
    };
    match attribute.scalar_type {
        ScalarType::String => {
            let text = text("a string")?;
            check_text(attribute, text)?;
            Ok(Value::Text(text.to_owned()))
        }
        ScalarType::Boolean => match shape {
            Shape::Truth(value) => Ok(Value::Boolean(value)),
            _ => Err(wrong_type("true or false")),
        },
        ScalarType::Integer => match shape {
            Shape::Number(number) => {
                whole(number, i64::from(i32::MIN), i64::from(i32::MAX)).map(Value::Integer)
            }
            _ => Err(wrong_type("a whole number")),
        },
        ScalarType::Long => match &shape {
            Shape::Number(number) => whole(number, i64::MIN, i64::MAX).map(Value::Integer),
            Shape::Text(number) if ieee754_compatible => {
                whole(number, i64::MIN, i64::MAX).map(Value::Integer)
            }
            Shape::Text(_) => Err(quoted_number(&shape)),
            _ => Err(wrong_type("a whole number")),
        },
        ScalarType::Decimal { precision, scale } => match &shape {
            Shape::Number(number) => decimal(number, precision, scale),
            Shape::Text(number) if ieee754_compatible => decimal(number, precision, scale),
            Shape::Text(_) => Err(quoted_number(&shape)),
            _ => Err(wrong_type("a number")),
        },
        ScalarType::DateTime => {
            const WANTED: &str = "an instant like 2026-02-28T13:45:00Z";
            let text = text(WANTED)?;
            parse_date_time(text)
                .map(Value::DateTime)
                .ok_or_else(|| format(WANTED, text))
        }
        ScalarType::Date => {
            const WANTED: &str = "a date like 2026-02-28";
            let text = text(WANTED)?;
            parse_date(text)
                .map(Value::Date)
                .ok_or_else(|| format(WANTED, text))
        }
        ScalarType::Time => {
            const WANTED: &str = "a time like 13:45:00";
            let text = text(WANTED)?;
            parse_time(text)
                .map(Value::Time)
                .ok_or_else(|| format(WANTED, text))
        }
        ScalarType::Duration => {
            const WANTED: &str = "a duration like P1DT2H30M";
            let text = text(WANTED)?;
            parse_duration(text)
                .map(Value::Duration)
                .ok_or_else(|| format(WANTED, text))
        }
        ScalarType::Uuid => {
            const WANTED: &str = "a uuid like 01890a5d-ac96-774b-bcce-b302099a8057";
            let text = text(WANTED)?;
            literal::uuid(text)
                .map(Value::Uuid)
                .ok_or_else(|| format(WANTED, text))
        }
        ScalarType::Binary => {
            const WANTED: &str = "base64";
            let text = text("a string of base64")?;
            let bytes = literal::binary(text).ok_or_else(|| format(WANTED, text))?;
            if let Some(length) = attribute.length
                && bytes.len() > length as usize
            {
                return Err((
                    Code::TooLong,
                    format!("has {} bytes; at most {length} are allowed", bytes.len()),
                ));
            }
            Ok(Value::Binary(bytes))
        }
        ScalarType::Json => compact(raw.get())
            .map(Value::Json)
            .map_err(|what| (Code::InvalidFormat, what.to_owned())),
        ScalarType::Enumeration(id) => {
            let text = text("the name of a member")?;
            let members = &model[id].members;
            if members.iter().any(|member| member.name == text) {
                return Ok(Value::Text(text.to_owned()));
            }
            let names = || members.iter().map(|member| member.name.as_str());
            let hint = match nearest(text, names()) {
                Some(name) => format!("did you mean '{name}'?"),
                None => format!("it has {}", names().take(12).collect::<Vec<_>>().join(", ")),
            };
            Err((
                Code::UnknownMember,
                format!(
                    "'{}' is not a member of {}; {hint}",
                    shown(text),
                    model[id].name
                ),
            ))
        }
        ScalarType::File => Err((
            Code::ReadOnly,
            "content of a file is not part of the payload".to_owned(),
        )),
    }
}

fn quoted_number(shape: &Shape<'_>) -> Fault {
    (
        Code::WrongType,
        format!(
            "must be a number, not {} (numbers may be strings with Content-Type: \
             application/json;IEEE754Compatible=true)",
            shape.name()
        ),
    )
}

/// A whole number; `3.0` and `1e3` are whole too.
fn whole(text: &str, least: i64, greatest: i64) -> Result<i64, Fault> {
    let range = || {
        (
            Code::OutOfRange,
            format!("must be from {least} to {greatest}, not {}", shown(text)),
        )
    };
    let value = match text.parse::<i64>() {
        Ok(value) if !text.starts_with('+') => value,
        _ => {
            let looks_whole = text
                .strip_prefix('-')
                .unwrap_or(text)
                .bytes()
                .all(|byte| byte.is_ascii_digit());
            let Some(number) = literal::decimal(text) else {
                return Err(if looks_whole && !text.is_empty() && text != "-" {
                    range()
                } else {
                    number_format("a whole number", text)
                });
            };
            if !number.is_integer() {
                return Err((
                    Code::WrongType,
                    format!("must be a whole number, not {}", shown(text)),
                ));
            }
            i64::try_from(number).map_err(|_| range())?
        }
    };
    if value < least || value > greatest {
        return Err(range());
    }
    Ok(value)
}

fn number_format(wanted: &str, text: &str) -> Fault {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    if is_number && text.bytes().any(|byte| byte.is_ascii_digit()) {
        (
            Code::OutOfRange,
            format!("{} has more digits than can be kept", shown(text)),
        )
    } else {
        (
            Code::InvalidFormat,
            format!("must be {wanted}, not '{}'", shown(text)),
        )
    }
}

fn decimal(text: &str, precision: u8, scale: u8) -> Result<Value, Fault> {
    let number = literal::decimal(text)
        .ok_or_else(|| number_format("a number", text))?
        .normalize();
    if number.scale() > u32::from(scale) {
        return Err((
            Code::TooPrecise,
            format!(
                "{} has {} digits after the point; {scale} are kept",
                shown(text),
                number.scale()
            ),
        ));
    }
    let limit = 10_i128.pow(u32::from(precision - scale.min(precision)));
    if number.trunc().mantissa().abs() >= limit {
        return Err((
            Code::OutOfRange,
            format!(
                "{} has more than {} digits before the point",
                shown(text),
                precision - scale.min(precision)
            ),
        ));
    }
    // Room for the zeros: at most 18 digits in all.
    let mut number = number;
    number.rescale(u32::from(scale));
    Ok(Value::Decimal(number))
}

fn check_text(attribute: &Attribute, text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        return Err((
            Code::InvalidFormat,
            "has the character U+0000, which is not text".to_owned(),
        ));
    }
    if let Some(length) = attribute.length
        && text.len() > length as usize
    {
        let characters = text.chars().count();
        if characters > length as usize {
            return Err((
                Code::TooLong,
                format!("has {characters} characters; at most {length} are allowed"),
            ));
        }
    }
    if let Some(pattern) = &attribute.pattern
        && !pattern.is_match(text)
    {
        return Err((
            Code::PatternMismatch,
            format!(
                "'{}' does not match the pattern {}",
                shown(text),
                pattern.as_str()
            ),
        ));
    }
    Ok(())
}

fn check_range(attribute: &Attribute, value: &Value) -> Result<(), Fault> {
    if let Some(minimum) = &attribute.minimum
        && value.order(minimum) == Some(Ordering::Less)
    {
        return Err((
            Code::OutOfRange,
            format!("must be at least {}, not {}", plain(minimum), plain(value)),
        ));
    }
    if let Some(maximum) = &attribute.maximum
        && value.order(maximum) == Some(Ordering::Greater)
    {
        return Err((
            Code::OutOfRange,
            format!("must be at most {}, not {}", plain(maximum), plain(value)),
        ));
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    let mut out = Vec::new();
    match value {
        Value::DateTime(micros) => write_date_time(&mut out, *micros),
        Value::Date(days) => write_date(&mut out, *days),
        Value::Time(micros) => write_time(&mut out, *micros),
        Value::Duration(micros) => write_duration(&mut out, *micros),
        Value::Decimal(number) => {
            write_plain(&mut out, Value::Decimal(number.normalize()).as_ref())
        }
        value => write_plain(&mut out, value.as_ref()),
    }
    shown(&String::from_utf8(out).unwrap_or_default())
}
