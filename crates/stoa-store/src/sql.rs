//! From a query to SQL: pure, knows the model and two dialects, does no I/O.
//!
//! [`shape`] finds what decides the text; [`plan`] makes statements and says how their rows are to be
//! read; `term` and its neighbours turn expressions into text.
//!
//! Numbers: integers compute in 64 bits. Decimals compute exactly and are then rounded, half away from
//! zero, to a scale that follows from the operands alone: the greater one for `add`, `sub`, `mod`; the sum
//! for `mul` while it is at most 6, else the greatest of both and 6; the greatest of both and 6 for
//! `div` and `divby`. A result of more than 18 digits is an overflow.

pub(crate) mod builder;
pub(crate) mod condition;
pub(crate) mod demand;
pub(crate) mod function;
pub(crate) mod known;
pub(crate) mod numeric;
pub(crate) mod order;
pub(crate) mod plan;
pub(crate) mod shape;
pub(crate) mod source;
pub(crate) mod term;
#[cfg(test)]
mod tests;

use stoa_model::value::ScalarType;

/// How a value is passed to the database, and read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    Boolean,
    Integer,
    /// Exact decimal; the scale is that of SQLite's integers.
    Decimal(u8),
    /// Floating point column behind a decimal: read by its shortest text.
    Float(u8),
    Text,
    DateTime,
    Date,
    Time,
    Duration,
    Uuid,
    Binary,
    Json,
    /// Place of an enumeration's member.
    Ordinal(stoa_model::model::EnumerationId),
}

impl Encoding {
    pub(crate) fn of(scalar_type: ScalarType) -> Self {
        match scalar_type {
            ScalarType::String | ScalarType::Enumeration(_) => Self::Text,
            ScalarType::Integer | ScalarType::Long => Self::Integer,
            ScalarType::Decimal { scale, .. } => Self::Decimal(scale),
            ScalarType::Boolean => Self::Boolean,
            ScalarType::DateTime => Self::DateTime,
            ScalarType::Date => Self::Date,
            ScalarType::Time => Self::Time,
            ScalarType::Duration => Self::Duration,
            ScalarType::Uuid => Self::Uuid,
            ScalarType::Binary => Self::Binary,
            ScalarType::File | ScalarType::Json => Self::Json,
        }
    }
}

/// What stands behind a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Binding {
    /// An argument.
    Value(usize, Encoding),
    /// A list as an array (PostgreSQL).
    List(usize, Encoding),
    /// One item of a list; the last one when there are fewer (SQLite).
    Item(usize, usize, Encoding),
    /// A number of rows, and how many more.
    Number(usize, u8),
    /// A part of the parent row's key (SQLite).
    Parent(usize),
    /// A part of the keys of all parent rows, as an array (PostgreSQL).
    Parents(usize, Encoding),
    /// The instant of the query.
    Now,
}

/// Quotes an identifier.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Quotes a constant of the model (never a value of a request).
pub(crate) fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
