//! Conditions of rules, put where they are asked for.

use super::logic::{constant, disjunction, is_literal, positive};
use super::rules::{EntityRules, Grant, fits};
use super::user::resolve_user;
use super::variables::{Fresh, rebase};
use crate::expression::{Expression, Variable};
use crate::model::{EntityId, Model, NavigationId};
use crate::query::ROW;
use crate::value::Value;

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
        for known in positions.iter().filter_map(|at| rules.condition(*at)) {
            let mut condition = known.expression.clone();
            if known.binds && !fresh.renumber(&mut condition) {
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
        match <[Expression; 1]>::try_from(conditions) {
            Ok([one]) => Some(one),
            Err(several) => Some(disjunction(several)),
        }
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
