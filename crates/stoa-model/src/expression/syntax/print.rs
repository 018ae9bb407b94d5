//! Trees as text: parsed again, the text gives the same tree.

use std::fmt::{self, Display, Formatter, Write};

use super::super::{Arithmetic, Comparison, Quantifier};
use super::Search;
use super::{Arguments, Kind, Literal, Node, Path, SegmentKind, Start};
use crate::value::text;

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Literal(literal) => literal.fmt(f),
            Kind::Path(path) => path.fmt(f),
            Kind::Call {
                function,
                arguments,
            } => {
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
            Kind::Compare(operator, left, right) => {
                write!(f, "({left} {} {right})", operator.name())
            }
            Kind::Arithmetic(operator, left, right) => {
                write!(f, "({left} {} {right})", operator.name())
            }
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

fn typed(
    f: &mut Formatter<'_>,
    function: &str,
    operand: Option<&Node>,
    type_name: &str,
) -> fmt::Result {
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
            Self::Date(days) => written(f, |out| text::write_date(out, *days)),
            Self::DateTime(instant) => written(f, |out| text::write_date_time(out, *instant)),
            Self::Time(time) => written(f, |out| text::write_time(out, *time)),
            Self::Duration(duration) => {
                f.write_str("duration'")?;
                written(f, |out| text::write_duration(out, *duration))?;
                f.write_char('\'')
            }
            Self::Binary(bytes) => {
                f.write_str("binary'")?;
                const ALPHABET: &[u8; 64] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                for chunk in bytes.chunks(3) {
                    let bits = chunk
                        .iter()
                        .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte))
                        << (8 * (3 - chunk.len()));
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

fn written(f: &mut Formatter<'_>, write: impl FnOnce(&mut Vec<u8>)) -> fmt::Result {
    let mut out = Vec::new();
    write(&mut out);
    f.write_str(&String::from_utf8_lossy(&out))
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
                    let name = if *quantifier == Quantifier::Any {
                        "any"
                    } else {
                        "all"
                    };
                    match body {
                        Some((variable, condition)) => write!(f, "{name}({variable}:{condition})")?,
                        None => write!(f, "{name}()")?,
                    }
                }
                SegmentKind::Count { filter, search } => match (filter, search) {
                    (None, None) => f.write_str("$count")?,
                    (Some(filter), None) => write!(f, "$count($filter={filter})")?,
                    (None, Some(search)) => write!(f, "$count($search={search})")?,
                    (Some(filter), Some(search)) => {
                        write!(f, "$count($filter={filter};$search={search})")?
                    }
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
