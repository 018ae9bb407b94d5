//! Variables of expressions: where paths start, and what lambdas bind.

use super::logic::constant;
use crate::expression::{Expression, Variable};
use crate::model::NavigationId;
use crate::query::ROW;

/// Where a path of the expression itself starts, and its navigations.
pub(super) fn path_of(expression: &Expression) -> Option<(Variable, &[NavigationId])> {
    match expression {
        Expression::Attribute { from, path, .. }
        | Expression::HasTarget { from, path, .. }
        | Expression::IsOf { from, path, .. }
        | Expression::AsType { from, path, .. }
        | Expression::Lambda { from, path, .. }
        | Expression::Count { from, path, .. } => Some((*from, path)),
        _ => None,
    }
}

/// Calls `visit` with each expression right inside of this one.
pub(super) fn each_child(expression: &mut Expression, mut visit: impl FnMut(&mut Expression)) {
    match expression {
        Expression::Compare { left, right, .. } | Expression::Arithmetic { left, right, .. } => {
            visit(left);
            visit(right);
        }
        Expression::And(operands)
        | Expression::Or(operands)
        | Expression::Call {
            arguments: operands,
            ..
        } => operands.iter_mut().for_each(visit),
        Expression::Not(inner) | Expression::Negate(inner) | Expression::Holds(inner) => {
            visit(inner);
        }
        Expression::If { condition, then } => {
            visit(condition);
            visit(then);
        }
        Expression::In { left, list } => {
            visit(left);
            list.iter_mut().for_each(visit);
        }
        Expression::AsType { condition, .. } => visit(condition),
        Expression::Lambda {
            condition: inner, ..
        }
        | Expression::Count { filter: inner, .. } => {
            if let Some(inner) = inner {
                visit(inner);
            }
        }
        Expression::Literal { .. }
        | Expression::Attribute { .. }
        | Expression::HasTarget { .. }
        | Expression::IsOf { .. }
        | Expression::User { .. } => {}
    }
}

/// Lets paths that start at `old` start at `new` and go over `prefix` first.
pub(super) fn rebase(
    expression: &mut Expression,
    old: Variable,
    new: Variable,
    prefix: &[NavigationId],
) {
    match expression {
        Expression::Attribute { from, path, .. }
        | Expression::HasTarget { from, path, .. }
        | Expression::IsOf { from, path, .. }
        | Expression::AsType { from, path, .. }
        | Expression::Lambda { from, path, .. }
        | Expression::Count { from, path, .. }
            if *from == old =>
        {
            *from = new;
            if !prefix.is_empty() {
                path.splice(0..0, prefix.iter().copied());
            }
        }
        _ => {}
    }
    each_child(expression, |child| rebase(child, old, new, prefix));
}

/// Variables that nothing in an expression uses yet.
#[derive(Debug)]
pub(super) struct Fresh(u16);

impl Fresh {
    pub(super) fn new() -> Self {
        Self(ROW.0 + 1)
    }

    /// Beyond those of an expression.
    pub(super) fn beyond(expression: Option<&Expression>) -> Self {
        let mut fresh = Self::new();
        if let Some(expression) = expression {
            fresh.skip(expression);
        }
        fresh
    }

    /// None when there are no more: no database could run such an expression.
    pub(super) fn next(&mut self) -> Option<Variable> {
        let next = Variable(self.0);
        self.0 = self.0.checked_add(1)?;
        Some(next)
    }

    fn skip(&mut self, expression: &Expression) {
        each_bound(expression, |variable| {
            self.0 = self.0.max(variable.0.saturating_add(1));
        });
    }

    /// Gives the variables bound in an expression new numbers; whether there were enough.
    pub(super) fn renumber(&mut self, expression: &mut Expression) -> bool {
        // New numbers are none of the old ones, else they could be taken for each other half way.
        self.skip(expression);
        self.renumber_skipped(expression)
    }

    fn renumber_skipped(&mut self, expression: &mut Expression) -> bool {
        if let Expression::AsType {
            variable,
            condition,
            ..
        } = expression
        {
            let old = *variable;
            let Some(new) = self.next() else { return false };
            *variable = new;
            rebase(condition, old, new, &[]);
        }
        if let Expression::Lambda {
            variable,
            condition: inner,
            ..
        }
        | Expression::Count {
            variable,
            filter: inner,
            ..
        } = expression
        {
            let old = *variable;
            let Some(new) = self.next() else { return false };
            *variable = new;
            if let Some(inner) = inner {
                rebase(inner, old, new, &[]);
            }
        }
        let mut enough = true;
        each_child(expression, |child| {
            enough = enough && self.renumber_skipped(child)
        });
        enough
    }
}

/// Calls `visit` with each variable that is bound in an expression.
fn each_bound(expression: &Expression, mut visit: impl FnMut(Variable)) {
    expression.walk(|part| {
        if let Expression::AsType { variable, .. }
        | Expression::Lambda { variable, .. }
        | Expression::Count { variable, .. } = part
        {
            visit(*variable);
        }
    });
}

/// Whether variables are bound in an expression.
pub(super) fn binds(expression: &Expression) -> bool {
    let mut binds = false;
    each_bound(expression, |_| binds = true);
    binds
}

/// The expression with a variable of its own for each of its lambdas.
pub(super) fn separated(mut expression: Expression) -> Expression {
    let mut known = Vec::new();
    let mut is_repeated = false;
    each_bound(&expression, |variable| {
        is_repeated |= known.contains(&variable);
        known.push(variable);
    });
    if is_repeated && !Fresh::new().renumber(&mut expression) {
        return constant(false);
    }
    expression
}
