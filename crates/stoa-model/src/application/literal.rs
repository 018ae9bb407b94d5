//! Values written in the model: defaults and bounds.

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::document::nearest;
use crate::model::Enumeration;
use crate::value::{ScalarType, Value, text};

/// Why a text is no value of a type: what is wrong, and what would be right.
pub(crate) struct LiteralFault {
    pub message: String,
    pub help: String,
}

fn fault<T>(text: &str, what: &str, help: impl Into<String>) -> Result<T, LiteralFault> {
    let shown: String = text.chars().take(60).collect();
    Err(LiteralFault {
        message: format!("`{shown}` is no {what}"),
        help: help.into(),
    })
}

/// Reads a value of a type.
pub(crate) fn parse(
    text: &str,
    scalar_type: ScalarType,
    enumerations: &[Enumeration],
) -> Result<Value, LiteralFault> {
    match scalar_type {
        ScalarType::String => Ok(Value::Text(text.to_owned())),
        ScalarType::Integer => match text.parse::<i32>() {
            Ok(number) => Ok(Value::Integer(number.into())),
            Err(_) => fault(
                text,
                "Integer",
                format!("legal: whole numbers from {} to {}", i32::MIN, i32::MAX),
            ),
        },
        ScalarType::Long => match text.parse() {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) => fault(
                text,
                "Long",
                format!("legal: whole numbers from {} to {}", i64::MIN, i64::MAX),
            ),
        },
        ScalarType::Decimal { precision, scale } => decimal(text, precision, scale),
        ScalarType::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => fault(text, "Boolean", "legal: true, false"),
        },
        ScalarType::DateTime => match text::parse_date_time(text) {
            Some(value) => Ok(Value::DateTime(value)),
            None => fault(text, "DateTime", "write it like `2026-01-31T12:00:00Z`"),
        },
        ScalarType::Date => match text::parse_date(text) {
            Some(value) => Ok(Value::Date(value)),
            None => fault(text, "Date", "write it like `2026-01-31`"),
        },
        ScalarType::Time => match text::parse_time(text) {
            Some(value) => Ok(Value::Time(value)),
            None => fault(text, "Time", "write it like `12:30:00`"),
        },
        ScalarType::Duration => match text::parse_duration(text) {
            Some(value) => Ok(Value::Duration(value)),
            None => fault(
                text,
                "Duration",
                "write it like `P1DT2H30M`; years and months have no fixed length",
            ),
        },
        ScalarType::Uuid => match Uuid::try_parse(text) {
            Ok(value) => Ok(Value::Uuid(value)),
            Err(_) => fault(
                text,
                "Uuid",
                "write it like `018f4f6e-1c8b-7cc0-8a11-6d1d3f0b2f10`",
            ),
        },
        ScalarType::Json => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => Ok(Value::Json(value.to_string())),
            Err(error) => fault(text, "JSON", error.to_string()),
        },
        ScalarType::Enumeration(id) => member(text, &enumerations[id.index()]),
        ScalarType::Binary | ScalarType::File => {
            fault(text, "value that can be written in a model", "leave it out")
        }
    }
}

fn member(text: &str, enumeration: &Enumeration) -> Result<Value, LiteralFault> {
    let names = || {
        enumeration
            .members
            .iter()
            .map(|member| member.name.as_str())
    };
    if names().any(|name| name == text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let help = match nearest(text, names().take(1000)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("legal: {}", names().take(20).collect::<Vec<_>>().join(", ")),
    };
    fault(
        text,
        &format!("member of the enumeration {}", enumeration.name),
        help,
    )
}

fn decimal(text: &str, precision: u8, scale: u8) -> Result<Value, LiteralFault> {
    let parsed = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    let Ok(number) = parsed else {
        return fault(text, "Decimal", "write it like `12.50`");
    };
    let normal = number.normalize();
    let whole_digits = normal
        .trunc()
        .abs()
        .mantissa()
        .checked_ilog10()
        .map_or(0, |digits| digits + 1);
    if normal.scale() > u32::from(scale) || whole_digits > u32::from(precision - scale) {
        return fault(
            text,
            &format!("Decimal of precision {precision} and scale {scale}"),
            format!(
                "at most {} digits before the point and {scale} after it",
                precision - scale
            ),
        );
    }
    Ok(Value::Decimal(number))
}
