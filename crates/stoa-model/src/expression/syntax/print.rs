//! Trees as text: parsed again, the text gives the same tree.

use std::fmt::{self, Display, Formatter, Write};

use super::{Arguments, Kind, Literal, Node, Path, SegmentKind, Start};
use super::super::{Arithmetic, Comparison, Quantifier};
use super::Search;

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Literal(literal) => literal.fmt(f),
            Kind::Path(path) => path.fmt(f),
            Kind::Call { function, arguments } => {
                write!(f, "{}(", function.name())?;
                separated(f, ",", arguments)?;
                f.write_char(')')
            }
            Kind::IsOf { operand, type_name } => typed(f, "isof", operand.as_deref(), type_name),
            Kind::Cast { operand, type_name } => typed(f, "cast", operand.as_deref(), type_name),
            Kind::Case(branches) => {
                f.write_str("case(")?;
                for (at, (condition, value)) in branches.iter().enumerate() {
                    // Blanks around the colon keep `1:2` from being read as a time.
                    write!(f, "{}{condition} : {value}", if at == 0 { "" } else { "," })?;
                }
                f.write_char(')')
            }
            Kind::Not(operand) => write!(f, "(not ({operand}))"),
            Kind::Negate(operand) => write!(f, "(- ({operand}))"),
            Kind::And(operands) => grouped(f, " and ", operands),
            Kind::Or(operands) => grouped(f, " or ", operands),
            Kind::Compare(operator, left, right) => write!(f, "({left} {} {right})", operator.name()),
            Kind::Arithmetic(operator, left, right) => write!(f, "({left} {} {right})", operator.name()),
            Kind::Has(left, right) => write!(f, "({left} has {right})"),
            Kind::In(left, right) => write!(f, "({left} in {right})"),
            Kind::List(items) => grouped(f, ",", items),
            Kind::Array(items) => {
                f.write_char('[')?;
                separated(f, ",", items)?;
                f.write_char(']')
            }
            Kind::Object(members) => {
                f.write_char('{')?;
                for (at, (name, value)) in members.iter().enumerate() {
                    let name = serde_json::Value::from(name.as_str());
                    write!(f, "{}{name}: {value}", if at == 0 { "" } else { "," })?;
                }
                f.write_char('}')
            }
        }
    }
}

fn separated(f: &mut Formatter<'_>, separator: &str, nodes: &[Node]) -> fmt::Result {
    for (at, node) in nodes.iter().enumerate() {
        write!(f, "{}{node}", if at == 0 { "" } else { separator })?;
    }
    Ok(())
}

fn grouped(f: &mut Formatter<'_>, separator: &str, nodes: &[Node]) -> fmt::Result {
    f.write_char('(')?;
    separated(f, separator, nodes)?;
    f.write_char(')')
}

fn typed(f: &mut Formatter<'_>, function: &str, operand: Option<&Node>, type_name: &str) -> fmt::Result {
    match operand {
        Some(operand) => write!(f, "{function}({operand},{type_name})"),
        None => write!(f, "{function}({type_name})"),
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Decimal(value) if value.scale() == 0 => write!(f, "{value}.0"),
            Self::Decimal(value) => value.fmt(f),
            Self::Unrepresentable(text) | Self::Geo(text) => f.write_str(text),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Uuid(value) => value.fmt(f),
            Self::Date(days) => civil(f, *days),
            Self::DateTime(microseconds) => {
                civil(f, microseconds.div_euclid(super::super::literal::MICROSECONDS_PER_DAY))?;
                f.write_char('T')?;
                clock(f, microseconds.rem_euclid(super::super::literal::MICROSECONDS_PER_DAY))?;
                f.write_char('Z')
            }
            Self::Time(microseconds) => clock(f, *microseconds),
            Self::Duration(microseconds) => {
                let sign = if *microseconds < 0 { "-" } else { "" };
                let absolute = microseconds.unsigned_abs();
                write!(f, "duration'{sign}PT{}.{:06}S'", absolute / 1_000_000, absolute % 1_000_000)
            }
            Self::Binary(bytes) => {
                f.write_str("binary'")?;
                const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                for chunk in bytes.chunks(3) {
                    let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
                    for at in 0..=chunk.len() {
                        f.write_char(char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]))?;
                    }
                }
                f.write_char('\'')
            }
            Self::Enumeration { type_name, members } => write!(f, "{type_name}'{members}'"),
        }
    }
}

fn clock(f: &mut Formatter<'_>, microseconds: i64) -> fmt::Result {
    let seconds = microseconds / 1_000_000;
    // Only 23:59:60 reaches a whole day.
    let (hour, minute, second) = if seconds == 86_400 { (23, 59, 60) } else { (seconds / 3600, seconds / 60 % 60, seconds % 60) };
    write!(f, "{hour:02}:{minute:02}:{second:02}.{:06}", microseconds % 1_000_000)
}

/// Year, month and day of a number of days, the inverse of the parser's.
fn civil(f: &mut Formatter<'_>, days: i64) -> fmt::Result {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    write!(f, "{}{:04}-{month:02}-{day:02}", if year < 0 { "-" } else { "" }, year.abs())
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut slash = true;
        match &self.start {
            Start::Implicit => slash = false,
            Start::It => f.write_str("$it")?,
            Start::This => f.write_str("$this")?,
            Start::Root => f.write_str("$root")?,
            Start::User => f.write_str("$user")?,
            Start::Alias(name) => write!(f, "@{name}")?,
        }
        for segment in &self.segments {
            if slash {
                f.write_char('/')?;
            }
            slash = true;
            match &segment.kind {
                SegmentKind::Name { name, arguments } => {
                    f.write_str(name)?;
                    if let Some(arguments) = arguments {
                        arguments.fmt(f)?;
                    }
                }
                SegmentKind::Lambda { quantifier, body } => {
                    let name = if *quantifier == Quantifier::Any { "any" } else { "all" };
                    match body {
                        Some((variable, condition)) => write!(f, "{name}({variable}:{condition})")?,
                        None => write!(f, "{name}()")?,
                    }
                }
                SegmentKind::Count { filter, search } => match (filter, search) {
                    (None, None) => f.write_str("$count")?,
                    (Some(filter), None) => write!(f, "$count($filter={filter})")?,
                    (None, Some(search)) => write!(f, "$count($search={search})")?,
                    (Some(filter), Some(search)) => write!(f, "$count($filter={filter};$search={search})")?,
                },
                SegmentKind::Filter(condition) => write!(f, "$filter({condition})")?,
                SegmentKind::Annotation(term) => write!(f, "@{term}")?,
            }
        }
        Ok(())
    }
}

impl Display for Arguments {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("()"),
            Self::Positional(value) => write!(f, "({value})"),
            Self::Named(values) => {
                f.write_char('(')?;
                for (at, (name, value)) in values.iter().enumerate() {
                    write!(f, "{}{name}={value}", if at == 0 { "" } else { "," })?;
                }
                f.write_char(')')
            }
        }
    }
}

impl Display for Search {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let several = |f: &mut Formatter<'_>, separator: &str, operands: &[Self]| {
            f.write_char('(')?;
            for (at, operand) in operands.iter().enumerate() {
                write!(f, "{}{operand}", if at == 0 { "" } else { separator })?;
            }
            f.write_char(')')
        };
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Phrase(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::And(operands) => several(f, " AND ", operands),
            Self::Or(operands) => several(f, " OR ", operands),
            Self::Not(operand) => write!(f, "(NOT {operand})"),
        }
    }
}

impl Comparison {
    /// Keyword.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
        }
    }
}

impl Arithmetic {
    /// Keyword.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "sub",
            Self::Multiply => "mul",
            Self::Divide => "div",
            Self::DivideBy => "divby",
            Self::Modulo => "mod",
        }
    }
}
