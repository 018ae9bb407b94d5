//! What rules ask of the user becomes values.

use super::logic::{constant, disjunction, is_literal, is_null, is_value, joined};
use super::variables::each_child;
use crate::expression::{Comparison, Expression};
use crate::value::{ScalarType, Value};

/// Puts what is known of the user into a rule's expression. Tells whether the expression is null for want
/// of a value: then whatever is compared with it is null too, so that it matches nothing, not even negated.
pub(super) fn resolve_user(expression: &mut Expression, user: &[Value]) -> bool {
    let nothing = |scalar_type| Expression::Literal {
        value: Value::Null,
        scalar_type,
    };
    match expression {
        Expression::User { value, scalar_type } => {
            let value = user.get(*value).cloned().unwrap_or(Value::Null);
            let is_null = value.is_null();
            *expression = Expression::Literal {
                value,
                scalar_type: *scalar_type,
            };
            is_null
        }
        Expression::Compare {
            operator,
            left,
            right,
        } => {
            let is_asked = is_null(left) || is_null(right);
            let is_missing = (resolve_user(left, user), resolve_user(right, user));
            let is_there = is_asked && (is_value(left) || is_value(right));
            *expression = match (is_missing, is_asked) {
                ((false, false), _) if is_there => constant(*operator == Comparison::NotEqual),
                ((false, false), _) => return false,
                // `$user/x eq null` asks for just that.
                ((true, false) | (false, true), true) => constant(*operator == Comparison::Equal),
                _ => nothing(ScalarType::Boolean),
            };
            is_null(expression)
        }
        Expression::In { left, list } => {
            if resolve_user(left, user) {
                *expression = nothing(ScalarType::Boolean);
                return true;
            }
            let before = list.len();
            list.retain_mut(|item| !resolve_user(item, user));
            if list.len() < before {
                let rest = if list.is_empty() {
                    constant(false)
                } else {
                    std::mem::replace(expression, constant(false))
                };
                *expression = disjunction(vec![rest, nothing(ScalarType::Boolean)]);
            }
            is_null(expression)
        }
        Expression::Negate(inner) => {
            if !resolve_user(inner, user) {
                return false;
            }
            let scalar_type = expression.scalar_type().unwrap_or(ScalarType::Long);
            *expression = nothing(scalar_type);
            true
        }
        Expression::Arithmetic { scalar_type, .. } | Expression::Call { scalar_type, .. } => {
            let scalar_type = *scalar_type;
            let mut is_missing = false;
            each_child(expression, |child| is_missing |= resolve_user(child, user));
            if is_missing {
                *expression = nothing(scalar_type);
            }
            is_missing
        }
        Expression::Not(inner) => {
            let is_missing = resolve_user(inner, user);
            if is_null(inner) {
                *expression = nothing(ScalarType::Boolean);
            } else if is_literal(inner, true) || is_literal(inner, false) {
                *expression = constant(is_literal(inner, false));
            }
            is_missing
        }
        Expression::And(operands) | Expression::Or(operands) => {
            for operand in operands.iter_mut() {
                resolve_user(operand, user);
            }
            let operands = std::mem::take(operands);
            let is_and = matches!(expression, Expression::And(_));
            *expression = joined(operands, is_and);
            false
        }
        other => {
            each_child(other, |child| {
                resolve_user(child, user);
            });
            false
        }
    }
}
