//! Conditions on the one row that all wanted rows refer to.
//!
//! `Customer/id eq X and Customer/Region/Code eq 'N'` is about orders of one customer: whether that customer
//! is in the region is found out once, not for each order. SQLite does not see that by itself.

use stoa_model::expression::{Comparison, Expression, Variable};
use stoa_model::model::{AttributeId, EntityId, NavigationId, Storage};
use stoa_model::query::ROW;
use stoa_model::value::Value;

use super::Encoding;
use super::builder::{Builder, column};
use crate::error::StoreError;

/// The target of a reference that is the same for all rows.
pub(super) struct KnownTarget<'q> {
    navigation: NavigationId,
    target: EntityId,
    key: AttributeId,
    value: &'q Value,
}

impl Builder<'_> {
    /// The target that a condition says all rows refer to.
    pub(super) fn known_target<'q>(&self, condition: &'q Expression) -> Option<KnownTarget<'q>> {
        let Expression::Compare {
            operator: Comparison::Equal,
            left,
            right,
        } = condition
        else {
            return None;
        };
        let (path, attribute, value) = match (&**left, &**right) {
            (
                Expression::Attribute {
                    from: ROW,
                    path,
                    attribute,
                    ..
                },
                value,
            )
            | (
                value,
                Expression::Attribute {
                    from: ROW,
                    path,
                    attribute,
                    ..
                },
            ) => (path, *attribute, value),
            _ => return None,
        };
        let [navigation] = path.as_slice() else {
            return None;
        };
        let Expression::Literal {
            value: key,
            scalar_type,
        } = value
        else {
            return None;
        };
        let holder = self.innermost()?;
        let found = &self.model[holder][*navigation];
        let target = &self.model[found.target];
        // What is not ours may refer to rows that are not there.
        let is_sound = matches!(found.storage, Storage::Own(_))
            && target.key.as_slice() == [attribute]
            && !self.model[holder].table.external
            && Encoding::of(*scalar_type) == Encoding::of(target[attribute].scalar_type)
            && !key.is_null();
        is_sound.then_some(KnownTarget {
            navigation: *navigation,
            target: found.target,
            key: attribute,
            value: key,
        })
    }

    /// A condition on the known target: true if it is true of the rows that refer to it.
    pub(super) fn of_target(
        &mut self,
        known: &KnownTarget<'_>,
        condition: &Expression,
    ) -> Result<String, StoreError> {
        let alias = self.open_target(ROW, known.navigation, known.target);
        let model = self.model;
        let key = &model[known.target][known.key];
        let value = self.bind_value(known.value, Encoding::of(key.scalar_type))?;
        let text = self.condition(condition, false)?;
        let from = self.close()?;
        let name = column(&alias, &key.column);
        Ok(format!(
            "EXISTS (SELECT 1 FROM {from} WHERE {name} = {value} AND {text})"
        ))
    }
}

impl KnownTarget<'_> {
    /// Whether a condition is about the target alone, and can be looked at for itself.
    pub(super) fn decides(&self, condition: &Expression) -> bool {
        let mut reaches = false;
        !condition.may_fail() && self.is_about(condition, &mut reaches) && reaches
    }

    fn is_about(&self, condition: &Expression, reaches: &mut bool) -> bool {
        let mut begins = |from: Variable, path: &[NavigationId], least: usize| {
            *reaches = true;
            from == ROW && path.len() > least && path.first() == Some(&self.navigation)
        };
        match condition {
            Expression::Literal { .. } => true,
            Expression::Attribute {
                from,
                path,
                attribute,
                ..
            } => begins(*from, path, usize::from(*attribute == self.key)),
            Expression::HasTarget { from, path, .. } => begins(*from, path, 1),
            Expression::Compare { left, right, .. }
            | Expression::Arithmetic { left, right, .. } => {
                self.is_about(left, reaches) && self.is_about(right, reaches)
            }
            Expression::And(conditions)
            | Expression::Or(conditions)
            | Expression::Call {
                arguments: conditions,
                ..
            } => conditions
                .iter()
                .all(|condition| self.is_about(condition, reaches)),
            Expression::Not(inner) | Expression::Negate(inner) | Expression::Holds(inner) => {
                self.is_about(inner, reaches)
            }
            Expression::In { left, list } => {
                self.is_about(left, reaches) && list.iter().all(|item| self.is_about(item, reaches))
            }
            Expression::If { .. }
            | Expression::User { .. }
            | Expression::IsOf { .. }
            | Expression::AsType { .. }
            | Expression::Lambda { .. }
            | Expression::Count { .. } => false,
        }
    }
}
