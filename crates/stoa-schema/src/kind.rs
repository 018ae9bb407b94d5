//! What columns hold, as types and literals of each database, and how one kind becomes another.

use serde::{Deserialize, Serialize};

use crate::Dialect;

/// Largest length of `varchar` in PostgreSQL; longer texts are `text` there.
const LONGEST_VARCHAR: u32 = 10_485_760;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // as in `stoa_model::value::ScalarType`
pub enum Kind {
    Text { length: Option<u32> },
    Integer,
    Long,
    AutoNumber,
    Decimal { precision: u8, scale: u8 },
    Boolean,
    DateTime,
    Date,
    Time,
    Duration,
    Uuid,
    Binary { length: Option<u32> },
    File,
    Json,
    Enumeration { name: String },
    SmallInteger,
    Real,
    Double,
}

/// How the values of a column become those of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Every value fits as it stands, nothing is rewritten.
    Same,
    /// Every value fits.
    Widen,
    /// Values must be checked first.
    Narrow,
    /// No meaning survives: a new column takes the place.
    Replace,
}

impl Kind {
    /// The kind of a column that refers to this one.
    #[must_use]
    pub fn as_reference(self) -> Self {
        match self {
            Self::AutoNumber => Self::Long,
            other => other,
        }
    }

    /// Type in DDL.
    #[must_use]
    pub fn sql(&self, dialect: Dialect) -> String {
        let postgres = matches!(dialect, Dialect::Postgres);
        match self {
            Self::Text { length } if postgres => match length {
                Some(length) if *length <= LONGEST_VARCHAR => {
                    format!("varchar({length}) COLLATE \"C\"")
                }
                _ => "text COLLATE \"C\"".to_owned(),
            },
            Self::File | Self::Enumeration { .. } if postgres => "text COLLATE \"C\"".to_owned(),
            Self::Decimal { precision, scale } if postgres => {
                format!("numeric({precision},{scale})")
            }
            other => other.plain(postgres).to_owned(),
        }
    }

    fn plain(&self, postgres: bool) -> &'static str {
        if postgres {
            match self {
                Self::SmallInteger => "smallint",
                Self::Integer => "integer",
                Self::Long | Self::AutoNumber | Self::Duration => "bigint",
                Self::Real => "real",
                Self::Double => "double precision",
                Self::Decimal { .. } => "numeric",
                Self::Boolean => "boolean",
                Self::DateTime => "timestamptz",
                Self::Date => "date",
                Self::Time => "time",
                Self::Uuid => "uuid",
                Self::Binary { .. } => "bytea",
                Self::Json => "json",
                Self::Text { .. } | Self::File | Self::Enumeration { .. } => "text",
            }
        } else {
            match self {
                Self::Text { .. } | Self::File | Self::Json | Self::Enumeration { .. } => "TEXT",
                Self::Uuid | Self::Binary { .. } => "BLOB",
                Self::Real | Self::Double => "REAL",
                _ => "INTEGER",
            }
        }
    }

    /// A value given as [`crate::structure::value_text`], as a literal.
    #[must_use]
    pub fn literal(&self, dialect: Dialect, text: &str) -> String {
        match (self, dialect) {
            (Self::Text { .. } | Self::File | Self::Enumeration { .. }, _) => quote_text(text),
            (Self::Json, Dialect::Sqlite) => quote_text(text),
            (Self::Json, Dialect::Postgres) => format!("{}::json", quote_text(text)),
            (Self::Boolean, Dialect::Postgres) => text.to_owned(),
            (Self::Boolean, Dialect::Sqlite) => if text == "true" { "1" } else { "0" }.to_owned(),
            (Self::Decimal { scale, .. }, Dialect::Sqlite) => scaled(text, *scale),
            (Self::DateTime, Dialect::Postgres) => {
                format!("(timestamptz 'epoch' + interval '1 microsecond' * {text})")
            }
            (Self::Date, Dialect::Postgres) => format!("(date '1970-01-01' + {text})"),
            (Self::Time, Dialect::Postgres) => {
                format!("(time '00:00' + interval '1 microsecond' * {text})")
            }
            (Self::Uuid, Dialect::Postgres) => format!("{}::uuid", quote_text(text)),
            (Self::Uuid, Dialect::Sqlite) => format!("X'{}'", text.replace('-', "")),
            (Self::Binary { .. }, Dialect::Postgres) => format!("'\\x{text}'::bytea"),
            (Self::Binary { .. }, Dialect::Sqlite) => format!("X'{text}'"),
            _ => text.to_owned(),
        }
    }

    /// The instant of the change, for a column of this kind.
    #[must_use]
    pub fn now(&self, dialect: Dialect) -> String {
        // Julian days have too few digits for microseconds: seconds and their fraction apart.
        const MICROSECONDS: &str = "(CAST(strftime('%s','now') AS INTEGER) * 1000000 + CAST(substr(strftime('%f','now'), 4) AS INTEGER) * 1000)";
        match (self, dialect) {
            (Self::Date, Dialect::Postgres) => "(now() AT TIME ZONE 'UTC')::date".to_owned(),
            (Self::Time, Dialect::Postgres) => "(now() AT TIME ZONE 'UTC')::time".to_owned(),
            (_, Dialect::Postgres) => "now()".to_owned(),
            (Self::Date, Dialect::Sqlite) => format!("({MICROSECONDS} / 86400000000)"),
            (Self::Time, Dialect::Sqlite) => format!("({MICROSECONDS} % 86400000000)"),
            (_, Dialect::Sqlite) => MICROSECONDS.to_owned(),
        }
    }

    /// How values of this kind become values of `to`.
    #[must_use]
    pub fn conversion(&self, to: &Self) -> Conversion {
        use Conversion::{Narrow, Replace, Same, Widen};
        match (self, to) {
            (from, to) if from == to => Same,
            (Self::Text { length: from }, Self::Text { length: to })
            | (Self::Binary { length: from }, Self::Binary { length: to }) => match (from, to) {
                (_, None) => Same,
                (Some(from), Some(to)) if from <= to => Same,
                _ => Narrow,
            },
            (Self::Enumeration { .. } | Self::File, Self::Text { length: None }) => Same,
            (Self::Enumeration { .. }, Self::Text { .. } | Self::Enumeration { .. })
            | (Self::Text { .. }, Self::Enumeration { .. }) => Narrow,
            (Self::AutoNumber, Self::Long) | (Self::Long, Self::AutoNumber) => Same,
            (Self::Integer, Self::Long | Self::AutoNumber) => Widen,
            (Self::Long | Self::AutoNumber, Self::Integer) => Narrow,
            (Self::Integer, Self::Decimal { precision, scale }) if precision - scale >= 10 => Widen,
            (
                Self::Decimal {
                    precision: from,
                    scale: from_scale,
                },
                Self::Decimal { precision, scale },
            ) => {
                if scale == from_scale && precision >= from {
                    Same
                } else if scale >= from_scale && precision - scale >= from - from_scale {
                    Widen
                } else {
                    Narrow
                }
            }
            (Self::Integer | Self::Long | Self::AutoNumber, Self::Decimal { .. })
            | (Self::Decimal { .. }, Self::Integer | Self::Long) => Narrow,
            (Self::Date, Self::DateTime) => Widen,
            (Self::Integer | Self::Long | Self::AutoNumber, Self::Text { length }) => {
                match length {
                    None => Widen,
                    Some(_) => Narrow,
                }
            }
            _ => Replace,
        }
    }

    /// SQL for a value of kind `to`, made of `column` (quoted), which holds this kind.
    #[must_use]
    pub fn converted(&self, to: &Self, column: &str, dialect: Dialect) -> String {
        match dialect {
            Dialect::Postgres => match (self, to) {
                (Self::Date, Self::DateTime) => format!("({column}::timestamp AT TIME ZONE 'UTC')"),
                _ => {
                    let target = to.sql(dialect);
                    let target = target.split(" COLLATE").next().unwrap_or_default();
                    format!("{column}::{target}")
                }
            },
            Dialect::Sqlite => match (self, to) {
                (Self::Date, Self::DateTime) => format!("{column} * 86400000000"),
                (Self::Integer | Self::Long | Self::AutoNumber, Self::Decimal { scale, .. })
                    if *scale > 0 =>
                {
                    format!("{column} * {}", power(*scale))
                }
                (Self::Decimal { scale, .. }, Self::Integer | Self::Long) if *scale > 0 => {
                    format!("{column} / {}", power(*scale))
                }
                (Self::Decimal { scale: from, .. }, Self::Decimal { scale, .. })
                    if scale > from =>
                {
                    format!("{column} * {}", power(scale - from))
                }
                (Self::Decimal { scale: from, .. }, Self::Decimal { scale, .. })
                    if scale < from =>
                {
                    format!("{column} / {}", power(from - scale))
                }
                (Self::Integer | Self::Long | Self::AutoNumber, Self::Text { .. }) => {
                    format!("CAST({column} AS TEXT)")
                }
                _ => column.to_owned(),
            },
        }
    }

    /// Condition under which a value does not fit `to`. `members` are the names that an enumeration `to`
    /// can take, as they are stored now.
    #[must_use]
    pub fn misfit(
        &self,
        to: &Self,
        column: &str,
        members: &[&str],
        dialect: Dialect,
    ) -> Option<String> {
        let postgres = dialect == Dialect::Postgres;
        match (self, to) {
            (
                Self::Binary { .. },
                Self::Binary {
                    length: Some(length),
                },
            ) => Some(if postgres {
                format!("octet_length({column}) > {length}")
            } else {
                format!("length({column}) > {length}")
            }),
            (
                Self::Integer | Self::Long | Self::AutoNumber,
                Self::Text {
                    length: Some(length),
                },
            ) => Some(format!(
                "length(CAST({column} AS {})) > {length}",
                if postgres { "text" } else { "TEXT" }
            )),
            (
                _,
                Self::Text {
                    length: Some(length),
                },
            ) => Some(format!("length({column}) > {length}")),
            (_, Self::Enumeration { .. }) => {
                let list: Vec<String> = members.iter().map(|member| quote_text(member)).collect();
                Some(if list.is_empty() {
                    format!("{column} IS NOT NULL")
                } else {
                    format!("{column} NOT IN ({})", list.join(", "))
                })
            }
            (Self::Long | Self::AutoNumber, Self::Integer) => {
                Some(format!("{column} NOT BETWEEN -2147483648 AND 2147483647"))
            }
            (Self::Decimal { scale, .. }, Self::Integer | Self::Long) => {
                let integer = matches!(to, Self::Integer);
                let (whole, value) = if postgres {
                    (format!("{column} = trunc({column})"), column.to_owned())
                } else {
                    let power = power(*scale);
                    (
                        format!("{column} % {power} = 0"),
                        format!("{column} / {power}"),
                    )
                };
                Some(if integer {
                    format!("NOT ({whole}) OR {value} NOT BETWEEN -2147483648 AND 2147483647")
                } else {
                    format!("NOT ({whole})")
                })
            }
            (Self::Integer | Self::Long | Self::AutoNumber, Self::Decimal { precision, scale }) => {
                Some(format!("abs({column}) >= {}", power(precision - scale)))
            }
            (Self::Decimal { scale: from, .. }, Self::Decimal { precision, scale }) => {
                let whole = precision - scale;
                Some(if postgres {
                    format!(
                        "{column} <> round({column}, {scale}) OR abs({column}) >= {}",
                        power(whole)
                    )
                } else {
                    let limit = format!("abs({column}) / {} >= {}", power(*from), power(whole));
                    if scale < from {
                        format!("{column} % {} <> 0 OR {limit}", power(from - scale))
                    } else {
                        limit
                    }
                })
            }
            _ => None,
        }
    }

    /// A stored value for people. `text` is what the database gave: SQLite's own forms, or PostgreSQL's text.
    #[must_use]
    pub fn shown(&self, text: &str, dialect: Dialect) -> String {
        if dialect == Dialect::Postgres {
            return text.to_owned();
        }
        let number = text.parse::<i64>().ok();
        match (self, number) {
            (Self::Decimal { scale, .. }, Some(number)) => {
                rust_decimal::Decimal::new(number, u32::from(*scale)).to_string()
            }
            (Self::Boolean, Some(number)) => (number != 0).to_string(),
            (Self::Date, Some(days)) => i32::try_from(days).map_or_else(
                |_| text.to_owned(),
                |days| written(|out| stoa_model::value::text::write_date(out, days)),
            ),
            (Self::DateTime, Some(value)) => {
                written(|out| stoa_model::value::text::write_date_time(out, value))
            }
            (Self::Time, Some(value)) => {
                written(|out| stoa_model::value::text::write_time(out, value))
            }
            (Self::Duration, Some(value)) => {
                written(|out| stoa_model::value::text::write_duration(out, value))
            }
            (Self::Uuid, _) if text.len() == 32 => uuid::Uuid::parse_str(text)
                .map_or_else(|_| text.to_owned(), |value| value.hyphenated().to_string()),
            _ => text.to_owned(),
        }
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn power(exponent: u8) -> i128 {
    10_i128.pow(u32::from(exponent))
}

/// A decimal as SQLite keeps it: the value times 10^scale.
fn scaled(text: &str, scale: u8) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = whole.to_owned();
    let scale = usize::from(scale);
    all.push_str(&fraction[..fraction.len().min(scale)]);
    for _ in fraction.len()..scale {
        all.push('0');
    }
    let trimmed = all.trim_start_matches('0');
    if trimmed.is_empty() {
        "0".to_owned()
    } else {
        format!("{sign}{trimmed}")
    }
}

/// Quotes an identifier.
#[must_use]
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text literal (standard strings: only the quote is special).
#[must_use]
pub(crate) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_scaled_exactly() {
        for (text, scale, expected) in [
            ("0", 2, "0"),
            ("1.5", 2, "150"),
            ("-0.05", 2, "-5"),
            ("12", 0, "12"),
            ("-0", 3, "0"),
            ("123456789012345.678", 3, "123456789012345678"),
        ] {
            assert_eq!(scaled(text, scale), expected, "{text}");
        }
    }
}
