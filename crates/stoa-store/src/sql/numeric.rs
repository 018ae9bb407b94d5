//! Arithmetic: the same rounding and the same overflow on both databases.

use stoa_model::expression::{Arithmetic, Expression};

use super::Encoding;
use super::builder::Builder;
use super::term::Term;
use crate::error::StoreError;

/// Most digits after the point that a product keeps of itself.
const PRODUCT_SCALE: u8 = 6;
/// Digits after the point that a quotient has at least.
const QUOTIENT_SCALE: u8 = 6;
/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

impl Builder<'_> {
    pub(super) fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expression,
        right: &Expression,
    ) -> Result<Term, StoreError> {
        let left = self.term(left)?;
        let right = self.term(right)?;
        let nullable = left.nullable || right.nullable;
        if left.is_number() && right.is_number() {
            return Ok(
                if left.is_decimal() || right.is_decimal() || operator == Arithmetic::DivideBy {
                    self.decimal(operator, &left, &right, nullable)
                } else {
                    self.integer(operator, &left, &right, nullable)
                },
            );
        }
        self.temporal(operator, &left, &right, nullable)
    }

    fn integer(&self, operator: Arithmetic, left: &Term, right: &Term, nullable: bool) -> Term {
        let (left, right) = (&left.sql, &right.sql);
        let sql = if self.is_postgres() {
            let sign = match operator {
                Arithmetic::Add => "+",
                Arithmetic::Subtract => "-",
                Arithmetic::Multiply => "*",
                Arithmetic::Divide | Arithmetic::DivideBy => "/",
                Arithmetic::Modulo => "%",
            };
            format!("({left}::int8 {sign} {right}::int8)")
        } else {
            format!("stoa_integer_{}({left}, {right})", name(operator))
        };
        Term::new(sql, Encoding::Integer, nullable)
    }

    fn decimal(&self, operator: Arithmetic, left: &Term, right: &Term, nullable: bool) -> Term {
        let (first, second) = (left.scale(), right.scale());
        let greater = first.max(second);
        let scale = match operator {
            Arithmetic::Add | Arithmetic::Subtract | Arithmetic::Modulo => greater,
            Arithmetic::Multiply if first.saturating_add(second) <= PRODUCT_SCALE => first + second,
            Arithmetic::Multiply => greater.max(PRODUCT_SCALE),
            Arithmetic::Divide | Arithmetic::DivideBy => greater.max(QUOTIENT_SCALE),
        }
        .min(17);
        let (left, right) = (&left.sql, &right.sql);
        let sql = if self.is_postgres() {
            match operator {
                Arithmetic::Add => {
                    format!("({left}::numeric + {right}::numeric)::numeric(18,{scale})")
                }
                Arithmetic::Subtract => {
                    format!("({left}::numeric - {right}::numeric)::numeric(18,{scale})")
                }
                Arithmetic::Multiply => {
                    format!("({left}::numeric * {right}::numeric)::numeric(18,{scale})")
                }
                Arithmetic::Modulo => {
                    format!("({left}::numeric % {right}::numeric)::numeric(18,{scale})")
                }
                // Sixty digits, so that rounding them and then rounding to the scale is one rounding.
                Arithmetic::Divide | Arithmetic::DivideBy => {
                    format!("({left}::numeric(120,60) / {right}::numeric)::numeric(18,{scale})")
                }
            }
        } else {
            format!(
                "stoa_decimal_{}({left}, {first}, {right}, {second}, {scale})",
                name(operator)
            )
        };
        Term::new(format!("({sql})"), Encoding::Decimal(scale), nullable)
    }

    pub(super) fn negation(&mut self, operand: &Expression) -> Result<Term, StoreError> {
        let term = self.term(operand)?;
        let sql = match (self.is_postgres(), term.is_decimal()) {
            (true, true) => format!("(-({}))", term.sql),
            (true, false) => format!("(-({}::int8))", term.sql),
            (false, _) => format!("stoa_integer_subtract(0, {})", term.sql),
        };
        let encoding = match term.encoding {
            Encoding::Float(scale) => Encoding::Decimal(scale),
            encoding => encoding,
        };
        Ok(Term::new(sql, encoding, term.nullable))
    }

    /// Instants, days and durations.
    fn temporal(
        &self,
        operator: Arithmetic,
        left: &Term,
        right: &Term,
        nullable: bool,
    ) -> Result<Term, StoreError> {
        use Arithmetic::{Add, Divide, DivideBy, Multiply, Subtract};
        let sign = if operator == Subtract { "-" } else { "+" };
        let term = |sql: String, encoding| Ok(Term::new(sql, encoding, nullable));
        let (a, b) = (&left.sql, &right.sql);
        match (operator, left.encoding, right.encoding) {
            (Add | Subtract, Encoding::DateTime, Encoding::Duration) => term(
                if self.is_postgres() {
                    format!("({a} {sign} {})", interval(b))
                } else {
                    format!("stoa_integer_{}({a}, {b})", name(operator))
                },
                Encoding::DateTime,
            ),
            (Add, Encoding::Duration, Encoding::DateTime | Encoding::Date) => {
                self.temporal(operator, right, left, nullable)
            }
            (Subtract, Encoding::DateTime, Encoding::DateTime) => term(
                if self.is_postgres() {
                    format!("((extract(epoch from ({a} - {b})) * 1000000)::int8)")
                } else {
                    format!("stoa_integer_subtract({a}, {b})")
                },
                Encoding::Duration,
            ),
            (Add | Subtract, Encoding::Date, Encoding::Duration) => term(
                if self.is_postgres() {
                    format!("(({a}::timestamp {sign} {})::date)", interval(b))
                } else {
                    format!(
                        "stoa_floor_divide(stoa_integer_{}({a} * {DAY}, {b}), {DAY})",
                        name(operator)
                    )
                },
                Encoding::Date,
            ),
            (Subtract, Encoding::Date, Encoding::Date) => term(
                if self.is_postgres() {
                    format!("(({a} - {b})::int8 * {DAY})")
                } else {
                    format!("(({a} - {b}) * {DAY})")
                },
                Encoding::Duration,
            ),
            (Add | Subtract, Encoding::Duration, Encoding::Duration) => term(
                if self.is_postgres() {
                    format!("({a} {sign} {b})")
                } else {
                    format!("stoa_integer_{}({a}, {b})", name(operator))
                },
                Encoding::Duration,
            ),
            (
                Multiply,
                Encoding::Duration,
                Encoding::Integer | Encoding::Decimal(_) | Encoding::Float(_),
            ) => term(
                if self.is_postgres() {
                    format!("(round({a}::numeric * {b}::numeric)::int8)")
                } else {
                    format!("stoa_duration_multiply({a}, {b}, {})", right.scale())
                },
                Encoding::Duration,
            ),
            (
                Multiply,
                Encoding::Integer | Encoding::Decimal(_) | Encoding::Float(_),
                Encoding::Duration,
            ) => self.temporal(operator, right, left, nullable),
            (
                Divide | DivideBy,
                Encoding::Duration,
                Encoding::Integer | Encoding::Decimal(_) | Encoding::Float(_),
            ) => term(
                if self.is_postgres() {
                    format!("(round({a}::numeric(120,60) / {b}::numeric)::int8)")
                } else {
                    format!("stoa_duration_divide({a}, {b}, {})", right.scale())
                },
                Encoding::Duration,
            ),
            _ => Err(StoreError::internal("arithmetic on values that have none")),
        }
    }

    /// A number at a greater scale, for comparisons (SQLite). Saturates: such a number is beyond any
    /// that it is compared with.
    pub(crate) fn widened(&self, term: Term, scale: u8) -> Term {
        let more = scale.saturating_sub(term.scale());
        if self.is_postgres() || more == 0 {
            return term;
        }
        Term {
            sql: format!("stoa_widen({}, {more})", term.sql),
            encoding: Encoding::Decimal(scale),
            ..term
        }
    }
}

/// Microseconds as an interval; in days and a rest, because an interval is multiplied in floating point.
fn interval(microseconds: &str) -> String {
    format!(
        "(interval '1 day' * ({microseconds} / {DAY}) + interval '1 microsecond' * ({microseconds} % {DAY}))"
    )
}

fn name(operator: Arithmetic) -> &'static str {
    match operator {
        Arithmetic::Add => "add",
        Arithmetic::Subtract => "subtract",
        Arithmetic::Multiply => "multiply",
        Arithmetic::Divide | Arithmetic::DivideBy => "divide",
        Arithmetic::Modulo => "modulo",
    }
}
