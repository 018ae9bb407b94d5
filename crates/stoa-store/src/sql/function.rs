//! Built-in functions. Text is counted in Unicode characters; instants are looked at in UTC.

use stoa_model::expression::{Expression, Function};

use super::builder::Builder;
use super::term::Term;
use super::{Binding, Encoding};
use crate::error::StoreError;

/// Unicode's white space, which `trim` takes off, the same on both databases.
const WHITE_SPACE: &str = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\
    \u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const LEAST_INSTANT: i64 = -62_135_596_800_000_000;
const GREATEST_INSTANT: i64 = 253_402_300_799_999_999;

impl Builder<'_> {
    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: &[Expression],
    ) -> Result<Term, StoreError> {
        let terms = arguments
            .iter()
            .map(|argument| self.term(argument))
            .collect::<Result<Vec<_>, _>>()?;
        let nullable = terms.iter().any(|term| term.nullable);
        let term = match terms.as_slice() {
            [] => self.constant_function(function),
            [only] => self.function_of_one(function, only),
            [first, second] => self.function_of_two(function, first, second),
            [text, start, length] if function == Function::Substring => Some((
                self.substring(&text.sql, &start.sql, Some(&length.sql)),
                Encoding::Text,
            )),
            _ => None,
        };
        let (sql, encoding) = term.ok_or_else(|| {
            StoreError::internal(format!("{function:?} does not take these arguments"))
        })?;
        Ok(Term::new(sql, encoding, nullable))
    }

    fn constant_function(&mut self, function: Function) -> Option<(String, Encoding)> {
        let sql = match function {
            Function::Now => self.bind(Binding::Now),
            Function::MinDateTime if self.is_postgres() => {
                "'0001-01-01T00:00:00Z'::timestamptz".to_owned()
            }
            Function::MaxDateTime if self.is_postgres() => {
                "'9999-12-31T23:59:59.999999Z'::timestamptz".to_owned()
            }
            Function::MinDateTime => format!("({LEAST_INSTANT})"),
            Function::MaxDateTime => format!("({GREATEST_INSTANT})"),
            _ => return None,
        };
        Some((sql, Encoding::DateTime))
    }

    fn function_of_one(&self, function: Function, argument: &Term) -> Option<(String, Encoding)> {
        let sql = argument.sql.as_str();
        let postgres = self.is_postgres();
        let text = match function {
            Function::Length if postgres => {
                return Some((format!("(char_length({sql})::int8)"), Encoding::Integer));
            }
            Function::Length => return Some((format!("length({sql})"), Encoding::Integer)),
            Function::ToLower if postgres => {
                format!("(lower({sql} COLLATE \"und-x-icu\") COLLATE \"C\")")
            }
            Function::ToUpper if postgres => {
                format!("(upper({sql} COLLATE \"und-x-icu\") COLLATE \"C\")")
            }
            Function::ToLower => format!("stoa_lower({sql})"),
            Function::ToUpper => format!("stoa_upper({sql})"),
            Function::Trim if postgres => format!("btrim({sql}, '{WHITE_SPACE}')"),
            Function::Trim => format!("trim({sql}, '{WHITE_SPACE}')"),
            Function::Round | Function::Floor | Function::Ceiling => {
                return Some(self.rounding(function, argument));
            }
            Function::TotalSeconds if postgres => {
                return Some((
                    format!("(({sql}::numeric / 1000000)::numeric(24,6))"),
                    Encoding::Decimal(6),
                ));
            }
            // Microseconds are seconds with six digits after the point.
            Function::TotalSeconds => return Some((sql.to_owned(), Encoding::Decimal(6))),
            Function::TotalOffsetMinutes => {
                return Some((
                    format!("(CASE WHEN {sql} IS NULL THEN NULL ELSE 0 END)"),
                    Encoding::Integer,
                ));
            }
            _ => return self.part_of_instant(function, argument),
        };
        Some((text, Encoding::Text))
    }

    fn rounding(&self, function: Function, argument: &Term) -> (String, Encoding) {
        if !argument.is_decimal() {
            return (argument.sql.clone(), argument.encoding);
        }
        let name = match function {
            Function::Floor => "floor",
            Function::Ceiling => "ceiling",
            _ => "round",
        };
        let sql = if self.is_postgres() {
            format!("{name}({})", argument.sql)
        } else {
            format!("stoa_{name}({}, {})", argument.sql, argument.scale())
        };
        (sql, Encoding::Decimal(0))
    }

    fn part_of_instant(&self, function: Function, argument: &Term) -> Option<(String, Encoding)> {
        let field = match function {
            Function::Year => "year",
            Function::Month => "month",
            Function::Day => "day",
            Function::Hour => "hour",
            Function::Minute => "minute",
            Function::Second | Function::FractionalSeconds => "second",
            Function::Date => "date",
            Function::Time => "time",
            _ => return None,
        };
        if self.is_postgres() {
            let moment = match argument.encoding {
                Encoding::DateTime => format!("({} AT TIME ZONE 'UTC')", argument.sql),
                Encoding::Date | Encoding::Time => argument.sql.clone(),
                _ => return None,
            };
            return Some(match function {
                Function::Date => (format!("({moment}::date)"), Encoding::Date),
                Function::Time => (format!("({moment}::time)"), Encoding::Time),
                Function::FractionalSeconds => (
                    format!("(extract(second from {moment}) % 1)"),
                    Encoding::Decimal(6),
                ),
                _ => (
                    format!("(trunc(extract({field} from {moment}))::int8)"),
                    Encoding::Integer,
                ),
            });
        }
        let moment = match argument.encoding {
            Encoding::DateTime | Encoding::Time => argument.sql.clone(),
            Encoding::Date => format!("({} * {})", argument.sql, super::numeric::DAY),
            _ => return None,
        };
        Some(match function {
            Function::FractionalSeconds => {
                (format!("stoa_fraction({moment})"), Encoding::Decimal(6))
            }
            Function::Date => (format!("stoa_date({moment})"), Encoding::Date),
            Function::Time => (format!("stoa_time({moment})"), Encoding::Time),
            _ => (format!("stoa_{field}({moment})"), Encoding::Integer),
        })
    }

    fn function_of_two(
        &self,
        function: Function,
        first: &Term,
        second: &Term,
    ) -> Option<(String, Encoding)> {
        let (a, b) = (first.sql.as_str(), second.sql.as_str());
        let postgres = self.is_postgres();
        let predicate = match function {
            Function::Concat => return Some((format!("({a} || {b})"), Encoding::Text)),
            Function::IndexOf if postgres => {
                return Some((format!("((strpos({a}, {b}) - 1)::int8)"), Encoding::Integer));
            }
            Function::IndexOf => {
                return Some((format!("(instr({a}, {b}) - 1)"), Encoding::Integer));
            }
            Function::Substring => return Some((self.substring(a, b, None), Encoding::Text)),
            Function::Contains if postgres => format!("(strpos({a}, {b}) > 0)"),
            Function::Contains => format!("(instr({a}, {b}) > 0)"),
            Function::StartsWith if postgres => format!("starts_with({a}, {b})"),
            // The first comparison lets an index find where to begin.
            Function::StartsWith => format!("({a} >= {b} AND substr({a}, 1, length({b})) = {b})"),
            Function::EndsWith if postgres => format!("(right({a}, char_length({b})) = {b})"),
            Function::EndsWith => format!("stoa_ends_with({a}, {b})"),
            Function::MatchesPattern if postgres => format!("({a} ~ {b})"),
            Function::MatchesPattern => format!("stoa_matches({a}, {b})"),
            _ => return None,
        };
        Some((predicate, Encoding::Boolean))
    }

    /// A start before the text is its start; a negative length is none.
    fn substring(&self, text: &str, start: &str, length: Option<&str>) -> String {
        if !self.is_postgres() {
            return match length {
                Some(length) => format!("substr({text}, max({start}, 0) + 1, max({length}, 0))"),
                None => format!("substr({text}, max({start}, 0) + 1)"),
            };
        }
        // Not greatest(), which ignores null.
        let clamped = |number: &str| {
            format!(
                "(CASE WHEN {number} < 0 THEN 0 WHEN {number} > 1000000000 THEN 1000000000 ELSE {number} END)::int4"
            )
        };
        match length {
            Some(length) => format!(
                "substr({text}, {} + 1, {})",
                clamped(start),
                clamped(length)
            ),
            None => format!("substr({text}, {} + 1)", clamped(start)),
        }
    }
}
