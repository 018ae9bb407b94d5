//! Expressions of a request as the reader sees the data.

use super::guard::{Guard, Place};
use super::logic::{conjunction, constant, is_value, only_where, positive};
use super::rules::Grant;
use super::variables::{Fresh, each_child};
use crate::expression::{Comparison, Expression, Quantifier, Variable};
use crate::model::{EntityId, NavigationId};
use crate::query::ROW;

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
                    let conditions = conjunction(conditions);
                    let all = match filter.take() {
                        None => conditions,
                        Some(mut inner) => {
                            only_where(&mut inner, conditions, true);
                            *inner
                        }
                    };
                    *filter = Some(Box::new(positive(all)));
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

/// A comparison of what may be hidden with a value is false where it is hidden: said so that an index can
/// serve the comparison.
fn hoist(expression: &mut Expression) {
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
