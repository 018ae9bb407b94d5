//! Built-in functions: their arguments and results.

use super::super::error::{Error, ErrorKind};
use super::super::syntax::{Kind, Literal, Node};
use super::super::{Expression, Function};
use super::path::resolve_type;
use super::{Binder, Operand, Reached, boolean, constant};
use crate::value::{ScalarType, Value};

/// Longest pattern of `matchesPattern`, bytes.
const MAXIMUM_PATTERN: usize = 500;

impl Binder<'_> {
    pub(super) fn call(&mut self, function: Function, nodes: &[Node]) -> Result<Operand, Error> {
        use ScalarType as T;
        let mut arguments = Vec::with_capacity(nodes.len());
        let scalar_type = match function {
            Function::Concat => {
                self.texts(nodes, &mut arguments)?;
                T::String
            }
            Function::Contains | Function::EndsWith | Function::StartsWith => {
                self.texts(nodes, &mut arguments)?;
                T::Boolean
            }
            Function::MatchesPattern => {
                self.texts(nodes, &mut arguments)?;
                read_pattern(arguments.get_mut(1), nodes)?;
                T::Boolean
            }
            Function::IndexOf | Function::Length => {
                self.texts(nodes, &mut arguments)?;
                T::Integer
            }
            Function::Substring => {
                let (text, numbers) = nodes.split_at(1);
                self.texts(text, &mut arguments)?;
                for node in numbers {
                    self.argument(
                        node,
                        T::Integer,
                        "a whole number",
                        |found| matches!(found, T::Integer | T::Long),
                        &mut arguments,
                    )?;
                }
                T::String
            }
            Function::ToLower | Function::ToUpper | Function::Trim => {
                self.texts(nodes, &mut arguments)?;
                T::String
            }
            Function::Year | Function::Month | Function::Day => {
                self.one(
                    nodes,
                    T::DateTime,
                    "a Date or DateTime",
                    |found| matches!(found, T::Date | T::DateTime),
                    &mut arguments,
                )?;
                T::Integer
            }
            Function::Hour | Function::Minute | Function::Second => {
                self.one(
                    nodes,
                    T::DateTime,
                    "a DateTime or Time",
                    |found| matches!(found, T::Time | T::DateTime),
                    &mut arguments,
                )?;
                T::Integer
            }
            Function::FractionalSeconds => {
                self.one(
                    nodes,
                    T::DateTime,
                    "a DateTime or Time",
                    |found| matches!(found, T::Time | T::DateTime),
                    &mut arguments,
                )?;
                T::Decimal {
                    precision: 6,
                    scale: 6,
                }
            }
            Function::Date => {
                self.one(
                    nodes,
                    T::DateTime,
                    "a DateTime",
                    |found| matches!(found, T::Date | T::DateTime),
                    &mut arguments,
                )?;
                if let Some(same) = self.already(T::Date, &mut arguments) {
                    return Ok(same);
                }
                T::Date
            }
            Function::Time => {
                self.one(
                    nodes,
                    T::DateTime,
                    "a DateTime",
                    |found| matches!(found, T::Time | T::DateTime),
                    &mut arguments,
                )?;
                if let Some(same) = self.already(T::Time, &mut arguments) {
                    return Ok(same);
                }
                T::Time
            }
            Function::TotalSeconds => {
                self.one(
                    nodes,
                    T::Duration,
                    "a Duration",
                    |found| found == T::Duration,
                    &mut arguments,
                )?;
                T::Decimal {
                    precision: 18,
                    scale: 6,
                }
            }
            Function::TotalOffsetMinutes => {
                self.one(
                    nodes,
                    T::DateTime,
                    "a DateTime",
                    |found| found == T::DateTime,
                    &mut arguments,
                )?;
                T::Integer
            }
            Function::Now | Function::MinDateTime | Function::MaxDateTime => T::DateTime,
            Function::Round | Function::Floor | Function::Ceiling => {
                self.one(nodes, T::Long, "a number", T::is_numeric, &mut arguments)?;
                match arguments.first().and_then(Expression::scalar_type) {
                    Some(T::Decimal { precision, scale }) => {
                        // Rounding up may need one digit more.
                        T::Decimal {
                            precision: (precision - scale.min(precision) + 1).min(18),
                            scale: 0,
                        }
                    }
                    Some(whole) => match arguments.pop() {
                        Some(argument) => return Ok(Operand::Scalar(argument, whole)),
                        None => whole,
                    },
                    None => T::Long,
                }
            }
        };
        let expression = Expression::Call {
            function,
            arguments,
            scalar_type,
        };
        Ok(Operand::Scalar(expression, scalar_type))
    }

    /// The argument itself, if it is of the result's type before the function is applied.
    fn already(&self, scalar_type: ScalarType, arguments: &mut Vec<Expression>) -> Option<Operand> {
        let is_already = arguments.first().and_then(Expression::scalar_type) == Some(scalar_type);
        let argument = arguments.pop_if(|_| is_already)?;
        Some(Operand::Scalar(argument, scalar_type))
    }

    fn texts(&mut self, nodes: &[Node], arguments: &mut Vec<Expression>) -> Result<(), Error> {
        for node in nodes {
            self.argument(
                node,
                ScalarType::String,
                "text",
                |found| found == ScalarType::String,
                arguments,
            )?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        nodes: &[Node],
        null_type: ScalarType,
        wanted: &str,
        fits: impl Fn(ScalarType) -> bool,
        arguments: &mut Vec<Expression>,
    ) -> Result<(), Error> {
        for node in nodes {
            self.argument(node, null_type, wanted, &fits, arguments)?;
        }
        Ok(())
    }

    fn argument(
        &mut self,
        node: &Node,
        null_type: ScalarType,
        wanted: &str,
        fits: impl Fn(ScalarType) -> bool,
        arguments: &mut Vec<Expression>,
    ) -> Result<(), Error> {
        let operand = self.operand(node)?;
        let found = match self.without_user_row(operand, node.position)? {
            Operand::Literal(Literal::Null) => {
                arguments.push(Expression::Literal {
                    value: Value::Null,
                    scalar_type: null_type,
                });
                return Ok(());
            }
            Operand::List(_) => {
                return Err(Error::unsupported(
                    node.position,
                    "functions of collections are not supported",
                ));
            }
            Operand::Row(row) => format!("a row of {}", self.model[row.cast].name),
            Operand::Literal(Literal::Text(text)) if null_type == ScalarType::Duration => {
                let literal = Literal::Text(text);
                arguments.push(self.comparable(&literal, ScalarType::Duration, node.position)?);
                return Ok(());
            }
            operand => {
                let (expression, scalar_type) = match operand {
                    Operand::Scalar(expression, scalar_type) => (expression, scalar_type),
                    Operand::Literal(literal) => self.natural(&literal, node.position)?,
                    // Handled above.
                    Operand::UserRow(_) | Operand::List(_) | Operand::Row(_) => return Ok(()),
                };
                if fits(scalar_type) {
                    arguments.push(expression);
                    return Ok(());
                }
                self.describe(scalar_type)
            }
        };
        Err(Error::new(
            ErrorKind::Type,
            node.position,
            format!("the function needs {wanted} here, this is {found}"),
        ))
    }

    pub(super) fn is_of(
        &mut self,
        operand: Option<&Node>,
        type_name: &str,
        position: usize,
    ) -> Result<Operand, Error> {
        let row = match operand {
            None => {
                let (from, entity) = self.scope.implicit;
                Reached {
                    from,
                    path: Vec::new(),
                    entity,
                    cast: entity,
                }
            }
            Some(node) => match self.operand(node)? {
                Operand::Row(row) => row,
                _ if matches!(node.kind, Kind::Path(_)) => {
                    return Err(Error::unsupported(
                        node.position,
                        "'isof' is supported for rows only",
                    ));
                }
                _ => {
                    return Err(Error::new(
                        ErrorKind::Type,
                        node.position,
                        "'isof' needs a row",
                    ));
                }
            },
        };
        if type_name.starts_with("Edm.") {
            return Err(Error::unsupported(
                position,
                "'isof' is supported for entity types only",
            ));
        }
        let entity = resolve_type(self.model, type_name, position)?;
        let reached = &self.model[row.entity];
        if self.model[entity].root != reached.root {
            return Ok(boolean(constant(false)));
        }
        if row.path.is_empty()
            && (entity == row.entity || self.model[entity].specialisations.contains(&row.entity))
        {
            return Ok(boolean(constant(true)));
        }
        Ok(boolean(Expression::IsOf {
            from: row.from,
            path: row.path,
            entity,
        }))
    }
}

/// Patterns are constants, so that a bad one is found here and not in the middle of an answer. It is
/// written anew for all databases alike.
fn read_pattern(argument: Option<&mut Expression>, nodes: &[Node]) -> Result<(), Error> {
    let position = nodes.get(1).map_or(0, |node| node.position);
    let Some(Expression::Literal {
        value: Value::Text(pattern),
        ..
    }) = argument
    else {
        return Err(Error::unsupported(
            position,
            "the pattern of 'matchesPattern' has to be a literal",
        ));
    };
    if pattern.len() > MAXIMUM_PATTERN {
        let message = format!(
            "the pattern has {} bytes, {MAXIMUM_PATTERN} are allowed",
            pattern.len()
        );
        return Err(Error::new(ErrorKind::Limit, position, message));
    }
    let portable = super::pattern::portable(pattern)
        .map_err(|message| Error::new(ErrorKind::Range, position, message))?;
    if regex::RegexBuilder::new(&portable)
        .size_limit(1 << 20)
        .build()
        .is_err()
    {
        return Err(Error::new(
            ErrorKind::Range,
            position,
            "this regular expression is too large",
        ));
    }
    *pattern = portable;
    Ok(())
}
