//! Gives a syntax tree the names and types of a model: syntax tree → [`Expression`].
//!
//! ```ignore
//! let node = syntax::parse("Status eq 'Draft' and Lines/any(l:l/Quantity gt 5)", limits)?;
//! let condition = Binder::new(&model, order).boolean(&node)?;          // of a request
//! let rule = Binder::new(&model, order).with_user(&mut values).boolean(&node)?;   // of an access rule
//! ```
//!
//! Types of results: `add`, `sub`, `mul`, `div`, `mod` of whole numbers are Long (so that sums of 32-bit
//! values do not overflow); of decimals they are decimals with the greater scale, `mul` with the sum of
//! the scales up to six, `div` and `divby` with at least six. `$count` is Long. A literal takes
//! the type of what it is compared with, widened when it does not fit (Integer to Long, Integer to
//! Decimal), so that a comparison is exact. Dates compared with instants mean midnight UTC.

mod compare;
mod convert;
mod functions;
mod path;
mod pattern;
mod user;

use std::collections::VecDeque;

use super::error::{Error, ErrorKind};
use super::syntax::{BuiltIn, Kind, Literal, MAXIMUM_DEPTH, Node};
use super::{Arithmetic, Expression, Function, Variable};
use crate::model::{EntityId, Model, NavigationId, UserValue};
use crate::query::ROW;
use crate::value::{MAXIMUM_PRECISION, ScalarType, Value};

pub use convert::key_value;
pub use path::{resolve_type, unknown_property};
use user::UserRow;

/// Most nodes that are bound in one go unless told otherwise.
const DEFAULT_NODES: usize = 400;

/// Binds expressions about the rows of one entity.
#[derive(Debug)]
pub struct Binder<'a> {
    model: &'a Model,
    scope: Scope,
    lambdas: Vec<(String, Variable, EntityId)>,
    aliases: &'a [(String, Node)],
    /// What is asked of the user; none where there is no user.
    user: Option<&'a mut Vec<UserValue>>,
    nodes_left: usize,
    depth: u16,
    next_variable: u16,
}

/// What unprefixed names and `$it`, `$this` mean.
#[derive(Clone, Copy, Debug)]
struct Scope {
    implicit: (Variable, EntityId),
    this: (Variable, EntityId),
    /// None where `$it` is a row outside of the query's reach (in `$expand`).
    it: Option<(Variable, EntityId)>,
}

/// What a node turns out to be.
#[derive(Clone, Debug)]
enum Operand {
    /// A constant whose type is still open.
    Literal(Literal),
    /// Anything with a value.
    Scalar(Expression, ScalarType),
    /// `$user`, or a row that the user's refers to.
    UserRow(UserRow),
    /// A row, or none.
    Row(Reached),
    /// Constants in brackets or parentheses.
    List(Vec<(usize, Literal)>),
}

/// Where a path has got to.
#[derive(Clone, Debug)]
struct Reached {
    from: Variable,
    path: Vec<NavigationId>,
    /// Entity in which ids of the next step are resolved.
    entity: EntityId,
    /// Specialisation that the path has been cast to, or `entity`.
    cast: EntityId,
}

impl<'a> Binder<'a> {
    /// A binder for rows of `entity`, which are [`ROW`], `$it` and `$this`.
    #[must_use]
    pub fn new(model: &'a Model, entity: EntityId) -> Self {
        let row = (ROW, entity);
        Self {
            model,
            scope: Scope {
                implicit: row,
                this: row,
                it: Some(row),
            },
            lambdas: Vec::new(),
            aliases: &[],
            user: None,
            nodes_left: DEFAULT_NODES,
            depth: 0,
            next_variable: 1,
        }
    }

    /// Most nodes to bind; what an alias stands for counts each time it is used.
    #[must_use]
    pub fn with_limit(mut self, nodes: usize) -> Self {
        self.nodes_left = nodes;
        self
    }

    /// What `@name` stands for.
    #[must_use]
    pub fn with_aliases(mut self, aliases: &'a [(String, Node)]) -> Self {
        self.aliases = aliases;
        self
    }

    /// `$user/…` is allowed. What it refers to is added to `values` ([`crate::model::UserModel::values`]),
    /// unless it is there already.
    #[must_use]
    pub fn with_user(mut self, values: &'a mut Vec<UserValue>) -> Self {
        self.user = Some(values);
        self
    }

    /// The rows are targets of an expanded navigation: `$it` is out of reach, `$this` is the target.
    #[must_use]
    pub fn in_expand(mut self) -> Self {
        self.scope.it = None;
        self
    }

    /// Binds a condition.
    ///
    /// # Errors
    /// The first fault, with its position in the text of the node.
    pub fn boolean(&mut self, node: &Node) -> Result<Expression, Error> {
        let operand = self.operand(node)?;
        self.as_boolean(operand, node)
    }

    /// Binds anything that has a value, to order by it.
    ///
    /// # Errors
    /// The first fault, with its position in the text of the node.
    pub fn scalar(&mut self, node: &Node) -> Result<(Expression, ScalarType), Error> {
        match self.operand(node)? {
            Operand::Scalar(_, ScalarType::Json | ScalarType::File) => Err(Error::new(
                ErrorKind::Type,
                node.position,
                "this has no order",
            )),
            Operand::Scalar(expression, scalar_type) => Ok((expression, scalar_type)),
            Operand::Literal(literal) => self.natural(&literal, node.position),
            Operand::Row(_) => Err(Error::new(
                ErrorKind::Type,
                node.position,
                "a row has no order of its own",
            )
            .expecting("one of its properties")),
            Operand::UserRow(_) => Err(Error::new(
                ErrorKind::Type,
                node.position,
                "$user cannot be ordered by",
            )),
            Operand::List(_) => Err(Error::new(
                ErrorKind::Type,
                node.position,
                "a list has no order",
            )),
        }
    }

    fn as_boolean(&self, operand: Operand, node: &Node) -> Result<Expression, Error> {
        let found = match operand {
            Operand::Scalar(expression, ScalarType::Boolean) => return Ok(expression),
            Operand::Literal(Literal::Boolean(value)) => return Ok(constant(value)),
            Operand::Literal(Literal::Null) => {
                return Ok(Expression::Literal {
                    value: Value::Null,
                    scalar_type: ScalarType::Boolean,
                });
            }
            Operand::UserRow(_) => "a row of the user".to_owned(),
            Operand::Scalar(_, scalar_type) => self.describe(scalar_type),
            Operand::Literal(_) => "a literal".to_owned(),
            Operand::Row(reached) => format!("a row of {}", self.model[reached.cast].name),
            Operand::List(_) => "a list".to_owned(),
        };
        Err(Error::new(
            ErrorKind::Type,
            node.position,
            format!("a condition is needed here, this is {found}"),
        )
        .expecting("a comparison such as Name eq 'x'"))
    }

    fn operand(&mut self, node: &Node) -> Result<Operand, Error> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                node.position,
                "the expression has too many operands",
            )
        })?;
        if self.depth >= MAXIMUM_DEPTH {
            let message = format!("the expression is nested deeper than {MAXIMUM_DEPTH} levels");
            return Err(Error::new(ErrorKind::Limit, node.position, message));
        }
        self.depth += 1;
        let operand = self.kind(node);
        self.depth -= 1;
        operand
    }

    fn kind(&mut self, node: &Node) -> Result<Operand, Error> {
        let position = node.position;
        match &node.kind {
            Kind::Literal(Literal::Geo(_)) => Err(Error::unsupported(
                position,
                "geographic values are not supported",
            )),
            Kind::Literal(literal) => Ok(Operand::Literal(literal.clone())),
            Kind::Path(path) => self.path(path, position),
            Kind::Call {
                function: BuiltIn::Supported(function),
                arguments,
            } => self.call(*function, arguments),
            Kind::Call { function, .. } => Err(Error::unsupported(
                position,
                format!("the function '{}' is not supported", function.name()),
            )),
            Kind::IsOf { operand, type_name } => {
                self.is_of(operand.as_deref(), type_name, position)
            }
            Kind::Cast { .. } => Err(Error::unsupported(
                position,
                "the function 'cast' is not supported",
            )
            .expecting("a type as a step of a path, such as Namespace.Type/Property")),
            Kind::Case(_) => Err(Error::unsupported(
                position,
                "the function 'case' is not supported",
            )),
            Kind::Not(inner) => {
                let inner = self.boolean(inner)?;
                Ok(boolean(match inner {
                    Expression::Literal {
                        value: Value::Boolean(value),
                        ..
                    } => constant(!value),
                    inner => Expression::Not(Box::new(inner)),
                }))
            }
            Kind::Negate(inner) => self.negate(inner),
            Kind::And(operands) => self.conjunction(operands, true),
            Kind::Or(operands) => self.conjunction(operands, false),
            Kind::Compare(operator, left, right) => self.compare(*operator, left, right),
            Kind::Has(left, right) => self.has(left, right),
            Kind::In(left, right) => self.in_list(left, right),
            Kind::Arithmetic(operator, left, right) => {
                self.arithmetic(*operator, left, right, position)
            }
            Kind::List(items) | Kind::Array(items) => self.list(items),
            Kind::Object(_) => Err(Error::unsupported(
                position,
                "JSON objects in expressions are not supported",
            )),
        }
    }

    fn list(&mut self, items: &[Node]) -> Result<Operand, Error> {
        let mut literals = Vec::with_capacity(items.len());
        for item in items {
            match self.operand(item)? {
                Operand::Literal(literal) => literals.push((item.position, literal)),
                _ => {
                    return Err(Error::unsupported(
                        item.position,
                        "only literals are supported in a list",
                    ));
                }
            }
        }
        Ok(Operand::List(literals))
    }

    /// `and`, `or`; constants among the operands are worked out.
    fn conjunction(&mut self, nodes: &[Node], is_and: bool) -> Result<Operand, Error> {
        let mut operands = Vec::with_capacity(nodes.len());
        let mut decided = false;
        for node in nodes {
            match self.boolean(node)? {
                Expression::Literal {
                    value: Value::Boolean(value),
                    ..
                } => decided |= value != is_and,
                Expression::And(inner) if is_and => operands.extend(inner),
                Expression::Or(inner) if !is_and => operands.extend(inner),
                operand => operands.push(operand),
            }
        }
        Ok(boolean(if decided {
            constant(!is_and)
        } else if operands.is_empty() {
            constant(is_and)
        } else if operands.len() == 1 {
            operands.remove(0)
        } else if is_and {
            Expression::And(operands)
        } else {
            Expression::Or(operands)
        }))
    }

    fn negate(&mut self, inner: &Node) -> Result<Operand, Error> {
        match self.operand(inner)? {
            Operand::Literal(Literal::Integer(value)) => {
                Ok(Operand::Literal(value.checked_neg().map_or_else(
                    || Literal::Decimal(-rust_decimal::Decimal::from(value)),
                    Literal::Integer,
                )))
            }
            Operand::Literal(Literal::Decimal(value)) => {
                Ok(Operand::Literal(Literal::Decimal(-value)))
            }
            Operand::Literal(Literal::Duration(value)) => {
                Ok(Operand::Literal(Literal::Duration(value.saturating_neg())))
            }
            Operand::Literal(Literal::Null) => Ok(Operand::Literal(Literal::Null)),
            Operand::Scalar(expression, scalar_type)
                if scalar_type.is_numeric() || scalar_type == ScalarType::Duration =>
            {
                // The least 32-bit number has no negative of its own type.
                let scalar_type = if scalar_type == ScalarType::Integer {
                    ScalarType::Long
                } else {
                    scalar_type
                };
                Ok(Operand::Scalar(
                    Expression::Negate(Box::new(expression)),
                    scalar_type,
                ))
            }
            _ => Err(Error::new(
                ErrorKind::Type,
                inner.position,
                "only numbers and durations can be negated",
            )),
        }
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Node,
        right: &Node,
        position: usize,
    ) -> Result<Operand, Error> {
        let (left_expression, left_type) = self.number_or_time(left)?;
        let (right_expression, right_type) = self.number_or_time(right)?;
        let Some(scalar_type) = arithmetic_type(operator, left_type, right_type) else {
            let message = format!(
                "'{}' is not defined for {} and {}",
                operator.name(),
                self.describe(left_type),
                self.describe(right_type)
            );
            return Err(Error::new(ErrorKind::Type, position, message));
        };
        let expression = Expression::Arithmetic {
            operator,
            left: Box::new(left_expression),
            right: Box::new(right_expression),
            scalar_type,
        };
        Ok(Operand::Scalar(expression, scalar_type))
    }

    fn number_or_time(&mut self, node: &Node) -> Result<(Expression, ScalarType), Error> {
        let operand = self.operand(node)?;
        match self.without_user_row(operand, node.position)? {
            Operand::Scalar(expression, scalar_type) => Ok((expression, scalar_type)),
            // Text in quotes may be a duration, which has the same form without its prefix.
            Operand::Literal(Literal::Text(text)) => {
                let value = crate::value::text::parse_duration(&text).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Type,
                        node.position,
                        "arithmetic needs numbers, this is text",
                    )
                })?;
                Ok((
                    Expression::Literal {
                        value: Value::Duration(value),
                        scalar_type: ScalarType::Duration,
                    },
                    ScalarType::Duration,
                ))
            }
            Operand::Literal(Literal::Null) => Ok((
                Expression::Literal {
                    value: Value::Null,
                    scalar_type: ScalarType::Long,
                },
                ScalarType::Long,
            )),
            Operand::Literal(literal) => self.natural(&literal, node.position),
            _ => Err(Error::new(
                ErrorKind::Type,
                node.position,
                "arithmetic needs numbers",
            )),
        }
    }

    /// Name of a type for people.
    fn describe(&self, scalar_type: ScalarType) -> String {
        match scalar_type {
            ScalarType::Enumeration(id) => self.model[id].name.clone(),
            ScalarType::Decimal { .. } => "Decimal".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// A Boolean constant.
fn constant(value: bool) -> Expression {
    Expression::Literal {
        value: Value::Boolean(value),
        scalar_type: ScalarType::Boolean,
    }
}

fn boolean(expression: Expression) -> Operand {
    Operand::Scalar(expression, ScalarType::Boolean)
}

/// Type of the result, if the operation is defined.
fn arithmetic_type(
    operator: Arithmetic,
    left: ScalarType,
    right: ScalarType,
) -> Option<ScalarType> {
    use Arithmetic::{Add, Divide, DivideBy, Modulo, Multiply, Subtract};
    use ScalarType::{Date, DateTime, Decimal, Duration, Long};
    let scale_of = |scalar_type| match scalar_type {
        Decimal { scale, .. } => Some(scale),
        _ => None,
    };
    if left.is_numeric() && right.is_numeric() {
        let greater = scale_of(left)
            .unwrap_or(0)
            .max(scale_of(right).unwrap_or(0));
        let is_whole = scale_of(left).is_none() && scale_of(right).is_none();
        if is_whole && operator != DivideBy {
            return Some(Long);
        }
        let scale = match operator {
            Add | Subtract | Modulo => greater,
            // What a product has more than six places for, is rounded: else it would not fit 18 digits.
            Multiply => {
                let sum = scale_of(left).unwrap_or(0) + scale_of(right).unwrap_or(0);
                if sum <= 6 { sum } else { greater.max(6) }
            }
            Divide | DivideBy => greater.max(6),
        };
        return Some(Decimal {
            precision: MAXIMUM_PRECISION,
            scale: scale.min(MAXIMUM_PRECISION),
        });
    }
    match (operator, left, right) {
        (Add | Subtract, DateTime | Date | Duration, Duration) => Some(left),
        (Add, Duration, DateTime | Date) => Some(right),
        (Subtract, DateTime, DateTime) | (Subtract, Date, Date) => Some(Duration),
        (Multiply | Divide | DivideBy, Duration, right) if right.is_numeric() => Some(Duration),
        (Multiply, left, Duration) if left.is_numeric() => Some(Duration),
        _ => None,
    }
}

impl Expression {
    /// Type of the value.
    #[must_use]
    pub fn scalar_type(&self) -> Option<ScalarType> {
        match self {
            Self::Literal { scalar_type, .. }
            | Self::Attribute { scalar_type, .. }
            | Self::Arithmetic { scalar_type, .. }
            | Self::Call { scalar_type, .. } => Some(*scalar_type),
            Self::Negate(inner) => match inner.scalar_type() {
                Some(ScalarType::Integer) => Some(ScalarType::Long),
                other => other,
            },
            Self::Count { .. } => Some(ScalarType::Long),
            Self::User { scalar_type, .. } => Some(*scalar_type),
            Self::If { then, .. } => then.scalar_type(),
            Self::HasTarget { .. }
            | Self::IsOf { .. }
            | Self::AsType { .. }
            | Self::Compare { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::Holds(_)
            | Self::In { .. }
            | Self::Lambda { .. } => Some(ScalarType::Boolean),
        }
    }

    /// Whether its value may be none but an error: overflow, division by zero, text that is no pattern.
    ///
    /// Databases evaluate conditions in whatever order suits them. What may fail must not be evaluated for
    /// rows that the reader does not see: the error would tell of them.
    #[must_use]
    pub fn may_fail(&self) -> bool {
        let mut may_fail = false;
        self.walk(|part| {
            may_fail |= matches!(
                part,
                Self::Arithmetic { .. }
                    | Self::Negate(_)
                    | Self::Call {
                        function: Function::MatchesPattern,
                        ..
                    }
            );
        });
        may_fail
    }

    /// Calls `visit` with this expression and everything in it, outermost first, left to right.
    pub fn walk<'e>(&'e self, mut visit: impl FnMut(&'e Self)) {
        let mut waiting = VecDeque::from([self]);
        while let Some(next) = waiting.pop_front() {
            visit(next);
            let before = waiting.len();
            match next {
                Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                    waiting.extend([left.as_ref(), right.as_ref()]);
                }
                Self::And(operands)
                | Self::Or(operands)
                | Self::Call {
                    arguments: operands,
                    ..
                } => waiting.extend(operands),
                Self::Not(inner) | Self::Negate(inner) | Self::Holds(inner) => {
                    waiting.push_back(inner);
                }
                Self::AsType { condition, .. } => waiting.push_back(condition),
                Self::If { condition, then } => waiting.extend([condition.as_ref(), then.as_ref()]),
                Self::In { left, list } => {
                    waiting.push_back(left);
                    waiting.extend(list);
                }
                Self::Lambda {
                    condition: inner, ..
                }
                | Self::Count { filter: inner, .. } => waiting.extend(inner.as_deref()),
                Self::Literal { .. }
                | Self::Attribute { .. }
                | Self::HasTarget { .. }
                | Self::IsOf { .. }
                | Self::User { .. } => {}
            }
            // Children go before what waits already: depth first.
            waiting.rotate_left(before);
        }
    }
}

#[cfg(test)]
mod tests;
