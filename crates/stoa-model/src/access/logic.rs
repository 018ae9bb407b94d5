//! Conditions joined and made simpler.

use crate::expression::{Expression, Quantifier};
use crate::value::{ScalarType, Value};

/// A Boolean constant.
pub(super) fn constant(value: bool) -> Expression {
    Expression::Literal {
        value: Value::Boolean(value),
        scalar_type: ScalarType::Boolean,
    }
}

pub(super) fn is_literal(expression: &Expression, wanted: bool) -> bool {
    matches!(expression, Expression::Literal { value: Value::Boolean(value), .. } if *value == wanted)
}

pub(super) fn is_null(expression: &Expression) -> bool {
    matches!(
        expression,
        Expression::Literal {
            value: Value::Null,
            ..
        }
    )
}

/// A constant that is not null.
pub(super) fn is_value(expression: &Expression) -> bool {
    matches!(expression, Expression::Literal { .. }) && !is_null(expression)
}

/// All of them, without what says nothing.
pub(super) fn conjunction(operands: Vec<Expression>) -> Expression {
    joined(operands, true)
}

/// Any of them, without what says nothing.
pub(super) fn disjunction(operands: Vec<Expression>) -> Expression {
    joined(operands, false)
}

pub(super) fn joined(operands: Vec<Expression>, is_and: bool) -> Expression {
    let mut kept: Vec<Expression> = Vec::with_capacity(operands.len());
    for operand in operands {
        let inner = match operand {
            Expression::And(inner) if is_and => inner,
            Expression::Or(inner) if !is_and => inner,
            one => vec![one],
        };
        for operand in inner {
            if is_literal(&operand, !is_and) {
                return constant(!is_and);
            }
            if !is_literal(&operand, is_and) && !kept.contains(&operand) {
                kept.push(operand);
            }
        }
    }
    match kept.len() {
        0 => constant(is_and),
        1 => kept.remove(0),
        _ if is_and => Expression::And(kept),
        _ => Expression::Or(kept),
    }
}

/// True where the condition is, else false.
pub(super) fn holds(condition: Expression) -> Expression {
    match condition {
        Expression::Holds(_)
        | Expression::Compare { .. }
        | Expression::In { .. }
        | Expression::HasTarget { .. }
        | Expression::IsOf { .. }
        | Expression::AsType { .. }
        | Expression::Lambda { .. } => condition,
        constant if is_literal(&constant, true) || is_literal(&constant, false) => constant,
        condition => Expression::Holds(Box::new(condition)),
    }
}

pub(super) fn not(condition: Expression) -> Expression {
    if is_literal(&condition, true) || is_literal(&condition, false) {
        return constant(is_literal(&condition, false));
    }
    Expression::Not(Box::new(condition))
}

/// The same where null is as good as false: simpler, and plain enough for indexes.
pub(super) fn positive(expression: Expression) -> Expression {
    let may_fail = matches!(expression, Expression::If { .. } | Expression::Call { .. })
        && expression.may_fail();
    match expression {
        Expression::Holds(inner) => positive(*inner),
        Expression::And(operands) => conjunction(operands.into_iter().map(positive).collect()),
        Expression::Or(operands) => disjunction(operands.into_iter().map(positive).collect()),
        Expression::Literal {
            value: Value::Null, ..
        } => constant(false),
        // A function of what is hidden is null.
        Expression::Call {
            function,
            mut arguments,
            scalar_type: ScalarType::Boolean,
        } => match arguments.first_mut() {
            Some(first @ Expression::If { .. }) if !may_fail => {
                let taken = std::mem::replace(first, constant(false));
                let condition = match taken {
                    Expression::If { condition, then } => {
                        *first = *then;
                        positive(*condition)
                    }
                    other => {
                        *first = other;
                        constant(true)
                    }
                };
                conjunction(vec![
                    condition,
                    Expression::Call {
                        function,
                        arguments,
                        scalar_type: ScalarType::Boolean,
                    },
                ])
            }
            _ => Expression::Call {
                function,
                arguments,
                scalar_type: ScalarType::Boolean,
            },
        },
        // The order matters.
        Expression::If { condition, then } if may_fail => Expression::If {
            condition: Box::new(positive(*condition)),
            then: Box::new(positive(*then)),
        },
        Expression::If { condition, then } => {
            conjunction(vec![positive(*condition), positive(*then)])
        }
        Expression::Lambda {
            quantifier,
            from,
            path,
            entity,
            variable,
            condition,
        } => {
            let condition = condition.map(|condition| positive(*condition));
            let is_any = quantifier == Quantifier::Any;
            let says = |value| {
                condition
                    .as_ref()
                    .is_some_and(|inner| is_literal(inner, value))
            };
            // No row is what nothing is; every row is what everything is.
            if says(!is_any) {
                return constant(!is_any);
            }
            let is_bare = says(is_any) && is_any;
            let condition = condition.filter(|_| !is_bare).map(Box::new);
            Expression::Lambda {
                quantifier,
                from,
                path,
                entity,
                variable,
                condition,
            }
        }
        Expression::AsType {
            from,
            path,
            entity,
            variable,
            condition,
        } => Expression::AsType {
            from,
            path,
            entity,
            variable,
            condition: Box::new(positive(*condition)),
        },
        other => other,
    }
}

/// Makes an expression that is true or false say what it says where the condition holds; elsewhere it is
/// false, or, unless `is_any`, true.
pub(super) fn only_where(expression: &mut Expression, condition: Expression, is_any: bool) {
    let taken = std::mem::replace(expression, constant(false));
    if taken.may_fail() {
        // Elsewhere it is not even looked at.
        let then = if is_any { taken } else { not(holds(taken)) };
        let found = holds(Expression::If {
            condition: Box::new(condition),
            then: Box::new(then),
        });
        *expression = if is_any { found } else { not(found) };
        return;
    }
    let condition = holds(condition);
    *expression = if is_any {
        conjunction(vec![condition, taken])
    } else {
        disjunction(vec![not(condition), taken])
    };
}
