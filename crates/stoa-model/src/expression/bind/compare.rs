//! Comparisons, `has` and `in`.

use super::super::error::{Error, ErrorKind};
use super::super::syntax::{Literal, Node};
use super::super::{Comparison, Expression};
use super::{Binder, Operand, Reached, boolean, constant};
use crate::value::{ScalarType, Value};

impl Binder<'_> {
    pub(super) fn compare(
        &mut self,
        operator: Comparison,
        left: &Node,
        right: &Node,
    ) -> Result<Operand, Error> {
        let is_equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let (mut left_operand, mut right_operand) = (self.operand(left)?, self.operand(right)?);
        // Beside a value a row of the user is its key.
        if !matches!(right_operand, Operand::Row(_)) {
            left_operand = self.without_user_row(left_operand, left.position)?;
        }
        if !matches!(left_operand, Operand::Row(_)) {
            right_operand = self.without_user_row(right_operand, right.position)?;
        }
        let (left_expression, right_expression) = match (left_operand, right_operand) {
            (Operand::Row(row), Operand::Literal(Literal::Null))
            | (Operand::Literal(Literal::Null), Operand::Row(row))
                if is_equality =>
            {
                return Ok(boolean(
                    self.compare_row_with_null(row, operator == Comparison::Equal),
                ));
            }
            (Operand::Row(row), Operand::UserRow(user)) if is_equality => {
                self.row_beside_user((row, left.position), (user, right.position))?
            }
            (Operand::UserRow(user), Operand::Row(row)) if is_equality => {
                let (row, user) =
                    self.row_beside_user((row, right.position), (user, left.position))?;
                (user, row)
            }
            (Operand::Row(row), Operand::Scalar(user, _))
                if is_equality && self.is_key_of(&user, &row) =>
            {
                (self.single_key(row, left.position)?, user)
            }
            (Operand::Scalar(user, _), Operand::Row(row))
                if is_equality && self.is_key_of(&user, &row) =>
            {
                (user, self.single_key(row, right.position)?)
            }
            (Operand::Row(_), Operand::Row(_)) => {
                return Err(
                    Error::unsupported(left.position, "rows cannot be compared with rows")
                        .expecting("a comparison of their keys"),
                );
            }
            (Operand::Row(row), _) => return Err(self.row_with_value(&row, left.position)),
            (_, Operand::Row(row)) => return Err(self.row_with_value(&row, right.position)),
            (Operand::List(_), _) => return Err(list_compared(left.position)),
            (_, Operand::List(_)) => return Err(list_compared(right.position)),
            (Operand::UserRow(_), _) | (_, Operand::UserRow(_)) => {
                return Err(Error::new(
                    ErrorKind::Type,
                    left.position,
                    "rows have no order",
                ));
            }
            (Operand::Scalar(expression, scalar_type), Operand::Literal(literal)) => {
                self.check_order(operator, scalar_type, &literal, left.position)?;
                let other = self.comparable(&literal, scalar_type, right.position)?;
                (expression, other)
            }
            (Operand::Literal(literal), Operand::Scalar(expression, scalar_type)) => {
                self.check_order(operator, scalar_type, &literal, right.position)?;
                let other = self.comparable(&literal, scalar_type, left.position)?;
                (other, expression)
            }
            (Operand::Literal(one), Operand::Literal(other)) => {
                self.literals(operator, (&one, left.position), (&other, right.position))?
            }
            (Operand::Scalar(one, one_type), Operand::Scalar(other, other_type)) => {
                let fits =
                    one_type == other_type || (one_type.is_numeric() && other_type.is_numeric());
                if !fits {
                    let message = format!(
                        "{} and {} cannot be compared",
                        self.describe(one_type),
                        self.describe(other_type)
                    );
                    return Err(Error::new(ErrorKind::Type, left.position, message));
                }
                self.check_order(operator, one_type, &Literal::Boolean(true), left.position)?;
                (one, other)
            }
        };
        Ok(boolean(Expression::Compare {
            operator,
            left: Box::new(left_expression),
            right: Box::new(right_expression),
        }))
    }

    fn literals(
        &self,
        operator: Comparison,
        (one, one_position): (&Literal, usize),
        (other, other_position): (&Literal, usize),
    ) -> Result<(Expression, Expression), Error> {
        if *one == Literal::Null {
            let (right, scalar_type) = self.natural(other, other_position)?;
            return Ok((
                Expression::Literal {
                    value: Value::Null,
                    scalar_type,
                },
                right,
            ));
        }
        let (left, scalar_type) = self.natural(one, one_position)?;
        self.check_order(operator, scalar_type, other, one_position)?;
        // Whichever is narrower takes the type of the wider one.
        let right = match (one, other) {
            (Literal::Integer(_), Literal::Decimal(_)) => {
                let (right, scalar_type) = self.natural(other, other_position)?;
                return Ok((self.comparable(one, scalar_type, one_position)?, right));
            }
            _ => self.comparable(other, scalar_type, other_position)?,
        };
        Ok((left, right))
    }

    /// Refuses operators that a type does not have.
    fn check_order(
        &self,
        operator: Comparison,
        scalar_type: ScalarType,
        other: &Literal,
        position: usize,
    ) -> Result<(), Error> {
        let is_equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let fits = match scalar_type {
            ScalarType::File | ScalarType::Json => is_equality && *other == Literal::Null,
            ScalarType::Binary => is_equality,
            _ => true,
        };
        if fits {
            return Ok(());
        }
        let message = format!(
            "'{}' is not defined for {}",
            operator.name(),
            self.describe(scalar_type)
        );
        Err(
            Error::new(ErrorKind::Type, position, message).expecting(match scalar_type {
                ScalarType::Binary => "eq or ne",
                _ => "eq null or ne null",
            }),
        )
    }

    fn compare_row_with_null(&self, row: Reached, is_equal: bool) -> Expression {
        if row.path.is_empty() {
            // A variable always is a row.
            return constant(!is_equal);
        }
        Expression::HasTarget {
            from: row.from,
            path: row.path,
            negated: is_equal,
        }
    }

    fn row_with_value(&self, row: &Reached, position: usize) -> Error {
        let entity = &self.model[row.cast];
        let key = entity
            .key
            .first()
            .map_or("", |key| entity[*key].name.as_str());
        Error::new(
            ErrorKind::Type,
            position,
            format!("a row of {} cannot be compared with a value", entity.name),
        )
        .expecting("null, or a property of the row")
        .suggesting(Some(format!("…/{key}")))
    }

    /// The key of a row as a value, where it is one attribute.
    pub(super) fn single_key(&self, row: Reached, position: usize) -> Result<Expression, Error> {
        let entity = &self.model[row.cast];
        match entity.key.as_slice() {
            [key] => Ok(Expression::Attribute {
                from: row.from,
                path: row.path,
                entity: row.cast,
                attribute: *key,
                scalar_type: entity[*key].scalar_type,
            }),
            _ => Err(Error::unsupported(
                position,
                format!(
                    "{} has a composite key: compare its attributes",
                    entity.name
                ),
            )),
        }
    }

    /// `has`: enumerations have no flags, so that having a member is being it.
    pub(super) fn has(&mut self, left: &Node, right: &Node) -> Result<Operand, Error> {
        match self.operand(left)? {
            Operand::Scalar(_, ScalarType::Enumeration(_)) => {
                self.compare(Comparison::Equal, left, right)
            }
            _ => Err(Error::new(
                ErrorKind::Type,
                left.position,
                "'has' needs an enumeration to its left",
            )),
        }
    }

    pub(super) fn in_list(&mut self, left: &Node, right: &Node) -> Result<Operand, Error> {
        let operand = self.operand(left)?;
        let operand = self.without_user_row(operand, left.position)?;
        let Operand::List(items) = self.operand(right)? else {
            return Err(Error::unsupported(
                right.position,
                "'in' is supported with a list of literals only",
            )
            .expecting("literals in parentheses"));
        };
        let (expression, scalar_type) = match operand {
            Operand::Scalar(expression, scalar_type) => (expression, scalar_type),
            Operand::Literal(literal) => self.natural(&literal, left.position)?,
            _ => {
                return Err(Error::new(
                    ErrorKind::Type,
                    left.position,
                    "'in' needs a value to its left",
                ));
            }
        };
        let mut has_null = false;
        let mut list = Vec::with_capacity(items.len());
        for (position, literal) in items {
            self.check_order(Comparison::Equal, scalar_type, &literal, position)?;
            match self.comparable(&literal, scalar_type, position)? {
                Expression::Literal {
                    value: Value::Null, ..
                } => has_null = true,
                // A number that the type cannot hold equals none of its values.
                Expression::Literal {
                    scalar_type: wider, ..
                } if wider != scalar_type && !matches!(scalar_type, ScalarType::Decimal { .. }) => {
                }
                Expression::Literal { value, .. } => {
                    list.push(Expression::Literal { value, scalar_type })
                }
                other => list.push(other),
            }
        }
        let is_null = has_null.then(|| Expression::Compare {
            operator: Comparison::Equal,
            left: Box::new(expression.clone()),
            right: Box::new(Expression::Literal {
                value: Value::Null,
                scalar_type,
            }),
        });
        let is_in = (!list.is_empty()).then(|| Expression::In {
            left: Box::new(expression),
            list,
        });
        Ok(boolean(match (is_in, is_null) {
            (Some(is_in), Some(is_null)) => Expression::Or(vec![is_in, is_null]),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => constant(false),
        }))
    }
}

fn list_compared(position: usize) -> Error {
    Error::unsupported(position, "lists can only stand to the right of 'in'")
}
