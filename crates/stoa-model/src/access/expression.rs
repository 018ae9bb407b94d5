//! Conditions put into place, and expressions of a request as the reader sees the data.

use super::rules::{EntityRules, Grant, fits};
use crate::expression::{Comparison, Expression, Quantifier, Variable};
use crate::model::{EntityId, Model, NavigationId};
use crate::query::ROW;
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

fn is_null(expression: &Expression) -> bool {
    matches!(
        expression,
        Expression::Literal {
            value: Value::Null,
            ..
        }
    )
}

/// All of them, without what says nothing.
pub(super) fn conjunction(operands: Vec<Expression>) -> Expression {
    joined(operands, true)
}

/// Any of them, without what says nothing.
pub(super) fn disjunction(operands: Vec<Expression>) -> Expression {
    joined(operands, false)
}

fn joined(operands: Vec<Expression>, is_and: bool) -> Expression {
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
fn holds(condition: Expression) -> Expression {
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

fn not(condition: Expression) -> Expression {
    if is_literal(&condition, true) || is_literal(&condition, false) {
        return constant(is_literal(&condition, false));
    }
    Expression::Not(Box::new(condition))
}

/// The same where null is as good as false: simpler, and plain enough for indexes.
pub(super) fn positive(expression: Expression) -> Expression {
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
            Some(first @ Expression::If { .. }) => {
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
            let condition = condition
                .map(|condition| positive(*condition))
                .filter(|condition| quantifier == Quantifier::All || !is_literal(condition, true))
                .map(Box::new);
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
        expression.walk(|part| {
            if let Expression::AsType { variable, .. }
            | Expression::Lambda { variable, .. }
            | Expression::Count { variable, .. } = part
            {
                self.0 = self.0.max(variable.0.saturating_add(1));
            }
        });
    }

    /// Gives the variables bound in an expression new numbers; whether there were enough.
    fn renumber(&mut self, expression: &mut Expression) -> bool {
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

/// The expression with a variable of its own for each of its lambdas.
pub(super) fn separated(mut expression: Expression) -> Expression {
    let mut known = Vec::new();
    let mut is_repeated = false;
    expression.walk(|part| {
        if let Expression::AsType { variable, .. }
        | Expression::Lambda { variable, .. }
        | Expression::Count { variable, .. } = part
        {
            is_repeated |= known.contains(variable);
            known.push(*variable);
        }
    });
    if is_repeated && !Fresh::new().renumber(&mut expression) {
        return constant(false);
    }
    expression
}

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
            *expression = match (is_missing, is_asked) {
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

/// The rules, and the user of a request.
#[derive(Clone, Copy)]
pub(super) struct Guard<'a> {
    pub(super) model: &'a Model,
    pub(super) rules: &'a [EntityRules],
    pub(super) user: &'a [Value],
}

/// A row: where a path leads to.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) from: Variable,
    pub(super) path: &'p [NavigationId],
    /// Entity in which the next step of the path is resolved.
    pub(super) entity: EntityId,
}

impl<'a> Guard<'a> {
    pub(super) fn of(&self, entity: EntityId) -> &'a EntityRules {
        &self.rules[entity.index()]
    }

    /// The condition that a grant for rows of `entity` means for the row at a place; none: it always holds.
    pub(super) fn condition(
        &self,
        entity: EntityId,
        grant: &Grant,
        place: Place<'_>,
        fresh: &mut Fresh,
    ) -> Option<Expression> {
        let Grant::Where(positions) = grant else {
            return None;
        };
        let rules = self.of(entity);
        let mut conditions = Vec::with_capacity(positions.len());
        for condition in positions.iter().filter_map(|at| rules.condition(*at)) {
            let mut condition = condition.expression.clone();
            if !fresh.renumber(&mut condition) {
                return Some(constant(false));
            }
            let is_typed = entity == place.entity
                || self.model[entity].specialisations.contains(&place.entity)
                || fits(self.model, &condition, entity, place.entity);
            if is_typed {
                if place.from != ROW || !place.path.is_empty() {
                    rebase(&mut condition, ROW, place.from, place.path);
                }
            } else {
                let Some(variable) = fresh.next() else {
                    return Some(constant(false));
                };
                rebase(&mut condition, ROW, variable, &[]);
                condition = Expression::AsType {
                    from: place.from,
                    path: place.path.to_vec(),
                    entity,
                    variable,
                    condition: Box::new(condition),
                };
            }
            resolve_user(&mut condition, self.user);
            let condition = positive(condition);
            if is_literal(&condition, true) {
                return None;
            }
            conditions.push(condition);
        }
        Some(disjunction(conditions))
    }

    /// Conditions under which a row that need not be visible shows a member, given what grants it.
    pub(super) fn shown(
        &self,
        entity: EntityId,
        member: &Grant,
        place: Place<'_>,
        fresh: &mut Fresh,
    ) -> Option<Expression> {
        // Whatever shows the member shows the row.
        let grant = match member {
            Grant::Always => &self.of(entity).visible,
            some => some,
        };
        self.condition(entity, grant, place, fresh)
    }
}

/// Rewrites an expression of a request, so that it is about what the reader sees.
pub(super) struct Reader<'a> {
    guard: Guard<'a>,
    pub(super) fresh: Fresh,
    scope: Vec<(Variable, EntityId)>,
    /// Whether anything was rewritten.
    pub(super) is_changed: bool,
}

impl<'a> Reader<'a> {
    /// For an expression about visible rows of `entity`.
    pub(super) fn new(guard: Guard<'a>, entity: EntityId, expression: Option<&Expression>) -> Self {
        Self {
            guard,
            fresh: Fresh::beyond(expression),
            scope: vec![(ROW, entity)],
            is_changed: false,
        }
    }

    pub(super) fn rewrite(&mut self, expression: &mut Expression) {
        match expression {
            Expression::Attribute {
                from,
                path,
                entity,
                attribute,
                ..
            } => {
                let grant = &self.guard.of(*entity).attribute(*attribute).read;
                let conditions = self.along(*from, path, Some((*entity, grant)));
                if let Some(condition) = conditions {
                    let then = Box::new(std::mem::replace(expression, constant(false)));
                    *expression = Expression::If {
                        condition: Box::new(condition),
                        then,
                    };
                }
            }
            Expression::HasTarget {
                from,
                path,
                negated,
            } => {
                let negated = *negated;
                if let Some(condition) = self.along(*from, path, None) {
                    only_where(expression, condition, !negated);
                }
            }
            Expression::IsOf { from, path, .. } => {
                if let Some(condition) = self.along(*from, path, None) {
                    only_where(expression, condition, true);
                }
            }
            Expression::Lambda {
                quantifier,
                from,
                path,
                entity,
                variable,
                condition,
            } => {
                let is_any = *quantifier == Quantifier::Any;
                let before = self.before_rows(*from, path);
                let row = Place {
                    from: *variable,
                    path: &[],
                    entity: *entity,
                };
                let grant = &self.guard.of(*entity).visible;
                let visible = self.guard.condition(*entity, grant, row, &mut self.fresh);
                if let Some(inner) = condition {
                    self.within(*variable, *entity, inner);
                }
                if let Some(visible) = visible {
                    self.is_changed = true;
                    *condition = match condition.take() {
                        Some(mut inner) => {
                            only_where(&mut inner, visible, is_any);
                            Some(inner)
                        }
                        None => Some(Box::new(visible)),
                    };
                }
                if let Some(before) = before {
                    only_where(expression, before, is_any);
                }
            }
            Expression::Count {
                from,
                path,
                entity,
                variable,
                filter,
            } => {
                let mut conditions: Vec<Expression> =
                    self.before_rows(*from, path).into_iter().collect();
                let row = Place {
                    from: *variable,
                    path: &[],
                    entity: *entity,
                };
                let grant = &self.guard.of(*entity).visible;
                conditions.extend(self.guard.condition(*entity, grant, row, &mut self.fresh));
                if let Some(inner) = filter {
                    self.within(*variable, *entity, inner);
                }
                if !conditions.is_empty() {
                    self.is_changed = true;
                    conditions.extend(filter.take().map(|inner| *inner));
                    *filter = Some(Box::new(positive(conjunction(conditions))));
                }
            }
            Expression::AsType {
                variable,
                entity,
                condition,
                ..
            } => self.within(*variable, *entity, condition),
            other => {
                each_child(other, |child| self.rewrite(child));
                hoist(other);
            }
        }
    }

    fn within(&mut self, variable: Variable, entity: EntityId, expression: &mut Expression) {
        self.scope.push((variable, entity));
        self.rewrite(expression);
        self.scope.pop();
    }

    /// Condition under which a path leads to rows: its last navigation is to-many.
    fn before_rows(&mut self, from: Variable, path: &[NavigationId]) -> Option<Expression> {
        let (last, before) = path.split_last()?;
        let entity = self.reached(from, before);
        let grant = &self.guard.of(entity).navigation(*last).read;
        self.along(from, before, Some((entity, grant)))
    }

    fn reached(&self, from: Variable, path: &[NavigationId]) -> EntityId {
        let start = self.scope.iter().rev().find(|(known, _)| *known == from);
        let start = start.map_or(self.scope[0].1, |(_, entity)| *entity);
        path.iter().fold(start, |entity, navigation| {
            self.guard.model[entity][*navigation].target
        })
    }

    /// Condition under which the reader gets along a path of to-one navigations, and at its end sees a
    /// member of the row if one is given. None: always.
    fn along(
        &mut self,
        from: Variable,
        path: &[NavigationId],
        member: Option<(EntityId, &Grant)>,
    ) -> Option<Expression> {
        let guard = self.guard;
        let mut conditions = Vec::new();
        for at in 0..=path.len() {
            let before = &path[..at];
            let place = Place {
                from,
                path: before,
                entity: self.reached(from, before),
            };
            let (entity, grant) = match (path.get(at), member) {
                (Some(next), _) => (place.entity, &guard.of(place.entity).navigation(*next).read),
                (None, Some(member)) => member,
                (None, None) => (place.entity, &Grant::Always),
            };
            // Rows of variables are visible already.
            conditions.extend(if at == 0 {
                guard.condition(entity, grant, place, &mut self.fresh)
            } else {
                guard.shown(entity, grant, place, &mut self.fresh)
            });
        }
        if conditions.is_empty() {
            return None;
        }
        self.is_changed = true;
        Some(conjunction(conditions))
    }
}

/// Makes an expression that is true or false say what it says where the condition holds; elsewhere it is
/// false, or, unless `is_any`, true.
fn only_where(expression: &mut Expression, condition: Expression, is_any: bool) {
    let taken = std::mem::replace(expression, constant(false));
    let condition = holds(condition);
    *expression = if is_any {
        conjunction(vec![condition, taken])
    } else {
        disjunction(vec![not(condition), taken])
    };
}

/// A comparison of what may be hidden with a value is false where it is hidden: said so that an index can
/// serve the comparison.
fn hoist(expression: &mut Expression) {
    let is_value = |side: &Expression| matches!(side, Expression::Literal { .. }) && !is_null(side);
    let side = match expression {
        Expression::Compare {
            operator,
            left,
            right,
        } if *operator != Comparison::NotEqual => {
            if is_value(right) {
                left
            } else if is_value(left) {
                right
            } else {
                return;
            }
        }
        Expression::In { left, list } if list.iter().all(is_value) => left,
        _ => return,
    };
    if !matches!(**side, Expression::If { .. }) {
        return;
    }
    if let Expression::If { condition, then } = std::mem::replace(side.as_mut(), constant(false)) {
        **side = *then;
        only_where(expression, *condition, true);
    }
}
