//! Types and values of attributes, the same on every database.
//!
//! A [`Value`] is owned (literals, bodies of requests); a [`ValueRef`] borrows from a database row
//! and goes straight into the response.

pub mod text;

use std::cmp::Ordering;

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::model::EnumerationId;

/// Highest total number of digits of a decimal, on both databases (SQLite keeps scaled 64-bit integers).
pub const MAXIMUM_PRECISION: u8 = 18;

/// What an attribute or an expression holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScalarType {
    /// Unicode text; compared and ordered by code point.
    String,
    /// 32-bit signed integer (`Edm.Int32`).
    Integer,
    /// 64-bit signed integer (`Edm.Int64`).
    Long,
    /// Exact decimal (`Edm.Decimal`).
    Decimal {
        /// Digits in all, 1 to [`MAXIMUM_PRECISION`].
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// `Edm.Boolean`.
    Boolean,
    /// Instant, microseconds since the Unix epoch, UTC (`Edm.DateTimeOffset`, Precision 6).
    DateTime,
    /// Days since 1970-01-01 (`Edm.Date`).
    Date,
    /// Microseconds since midnight (`Edm.TimeOfDay`, Precision 6).
    Time,
    /// Microseconds (`Edm.Duration`).
    Duration,
    /// `Edm.Guid`.
    Uuid,
    /// `Edm.Binary`.
    Binary,
    /// Content kept outside the row (`Edm.Stream`). The column holds the JSON description of the content.
    File,
    /// Any JSON (`Edm.Untyped`), kept as compact text.
    Json,
    /// Member of an enumeration, kept by name; ordered by declaration.
    Enumeration(EnumerationId),
}

impl ScalarType {
    /// Whether arithmetic is defined on it.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Long | Self::Decimal { .. })
    }
}

/// An owned value. Its variant fits the [`ScalarType`] of the attribute it is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// Boolean.
    Boolean(bool),
    /// Integer and Long.
    Integer(i64),
    /// Decimal, any scale; rounded never, refused when it does not fit.
    Decimal(Decimal),
    /// String, or the name of an enumeration member.
    Text(String),
    /// Microseconds since the Unix epoch.
    DateTime(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// Uuid.
    Uuid(Uuid),
    /// Bytes.
    Binary(Vec<u8>),
    /// Compact JSON text.
    Json(String),
}

impl Value {
    /// An instant (microseconds since the Unix epoch) as the type keeps it: its day, its time of day, or whole.
    #[must_use]
    pub fn instant(scalar_type: ScalarType, micros: i64) -> Self {
        match scalar_type {
            // In range: 64 bits of microseconds are fewer than 2^31 days.
            ScalarType::Date => Self::Date(micros.div_euclid(text::DAY) as i32),
            ScalarType::Time => Self::Time(micros.rem_euclid(text::DAY)),
            _ => Self::DateTime(micros),
        }
    }

    /// Order of two values of one type, integers and decimals together; none for values that have none.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Integer(left), Self::Integer(right))
            | (Self::DateTime(left), Self::DateTime(right))
            | (Self::Time(left), Self::Time(right))
            | (Self::Duration(left), Self::Duration(right)) => left.cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => left.cmp(right),
            (Self::Decimal(left), Self::Integer(right)) => left.cmp(&Decimal::from(*right)),
            (Self::Integer(left), Self::Decimal(right)) => Decimal::from(*left).cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            _ => return None,
        })
    }

    /// Whether this is [`Value::Null`].
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Borrows the value.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Boolean(value) => ValueRef::Boolean(*value),
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Decimal(value) => ValueRef::Decimal(*value),
            Self::Text(value) => ValueRef::Text(value),
            Self::DateTime(value) => ValueRef::DateTime(*value),
            Self::Date(value) => ValueRef::Date(*value),
            Self::Time(value) => ValueRef::Time(*value),
            Self::Duration(value) => ValueRef::Duration(*value),
            Self::Uuid(value) => ValueRef::Uuid(*value),
            Self::Binary(value) => ValueRef::Binary(value),
            Self::Json(value) => ValueRef::Json(value),
        }
    }
}

/// A value borrowed from a database row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// Boolean.
    Boolean(bool),
    /// Integer and Long.
    Integer(i64),
    /// Decimal.
    Decimal(Decimal),
    /// String or enumeration member.
    Text(&'a str),
    /// Microseconds since the Unix epoch.
    DateTime(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds.
    Duration(i64),
    /// Uuid.
    Uuid(Uuid),
    /// Bytes.
    Binary(&'a [u8]),
    /// Compact JSON text.
    Json(&'a str),
}

impl ValueRef<'_> {
    /// Copies the value out of the row.
    #[must_use]
    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Decimal(value) => Value::Decimal(value),
            Self::Text(value) => Value::Text(value.to_owned()),
            Self::DateTime(value) => Value::DateTime(value),
            Self::Date(value) => Value::Date(value),
            Self::Time(value) => Value::Time(value),
            Self::Duration(value) => Value::Duration(value),
            Self::Uuid(value) => Value::Uuid(value),
            Self::Binary(value) => Value::Binary(value.to_owned()),
            Self::Json(value) => Value::Json(value.to_owned()),
        }
    }
}
