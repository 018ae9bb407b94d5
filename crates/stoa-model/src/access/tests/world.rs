//! A few rows in memory, and expressions about them: with the eyes of somebody with roles, or seeing all.

use std::collections::BTreeMap;

use crate::expression::{Comparison, Expression, Quantifier, Variable};
use crate::model::{AccessRule, EntityId, Member, MemberSet, Model, NavigationId, RoleId};
use crate::query::ROW;
use crate::value::Value;

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) entity: EntityId,
    pub(super) values: BTreeMap<String, Value>,
    /// To-one references by name.
    pub(super) to: BTreeMap<String, usize>,
}

#[derive(Clone, Debug)]
pub(super) struct World<'m> {
    pub(super) model: &'m Model,
    pub(super) rows: Vec<Row>,
    pub(super) roles: Vec<RoleId>,
}

/// Variables with the types that they have in the expression, and their rows.
type Scope = Vec<(Variable, EntityId, usize)>;

impl World<'_> {
    /// What an expression about a row is: as these roles see it, or as it is.
    pub(super) fn value(&self, row: usize, of: EntityId, seen: bool, about: &Expression) -> Value {
        self.evaluate(about, &vec![(ROW, of, row)], seen)
    }

    pub(super) fn holds(&self, row: usize, of: EntityId, seen: bool, about: &Expression) -> bool {
        self.value(row, of, seen, about) == Value::Boolean(true)
    }

    pub(super) fn is_a(&self, row: usize, entity: EntityId) -> bool {
        let actual = self.rows[row].entity;
        actual == entity || self.model[entity].specialisations.contains(&actual)
    }

    /// Rules that match a row, with who declares them.
    pub(super) fn matching(&self, row: usize) -> impl Iterator<Item = (EntityId, &AccessRule)> {
        let lines = self
            .model
            .entities
            .iter()
            .filter(move |entity| self.is_a(row, entity.id));
        lines
            .flat_map(|entity| entity.access.iter().map(|rule| (entity.id, rule)))
            .filter(|(_, rule)| self.roles.contains(&rule.role))
            .filter(move |(entity, rule)| {
                let condition = rule.condition.as_ref();
                condition.is_none_or(|condition| self.holds(row, *entity, false, condition))
            })
    }

    pub(super) fn is_visible(&self, row: usize) -> bool {
        self.matching(row)
            .any(|(_, rule)| rule.read != MemberSet::Only(Vec::new()))
    }

    pub(super) fn is_readable(&self, row: usize, name: &str) -> bool {
        self.matching(row)
            .any(|(entity, rule)| self.names(entity, &rule.read, name))
    }

    pub(super) fn is_writable(&self, row: usize, name: &str) -> bool {
        self.matching(row)
            .any(|(entity, rule)| self.names(entity, &rule.write, name))
    }

    /// Whether a rule's set has a member of that name.
    pub(super) fn names(&self, entity: EntityId, set: &MemberSet, name: &str) -> bool {
        let named = |entity: EntityId, member: &Member| match member {
            Member::Attribute(id) => self.model[entity][*id].name == name,
            Member::Navigation(id) => self.model[entity][*id].name.as_deref() == Some(name),
        };
        match set {
            MemberSet::All => true,
            MemberSet::Only(members) => members.iter().any(|member| named(entity, member)),
        }
    }

    fn targets(&self, row: usize, from: EntityId, id: NavigationId, seen: bool) -> Vec<usize> {
        let navigation = &self.model[from][id];
        let name = navigation.name.as_deref().unwrap();
        if seen && !self.is_readable(row, name) {
            return Vec::new();
        }
        let target = &self.model[navigation.target];
        let targets: Vec<usize> = if navigation.many {
            let back = target[navigation.partner].name.as_deref().unwrap();
            let refers = |other: &usize| self.rows[*other].to.get(back) == Some(&row);
            (0..self.rows.len()).filter(refers).collect()
        } else {
            self.rows[row].to.get(name).copied().into_iter().collect()
        };
        targets
            .into_iter()
            .filter(|target| !seen || self.is_visible(*target))
            .collect()
    }

    /// The row at the end of a path, with the type that it has there.
    fn follow(
        &self,
        scope: &Scope,
        from: Variable,
        path: &[NavigationId],
        seen: bool,
    ) -> Option<(EntityId, usize)> {
        let (_, entity, row) = scope.iter().find(|(known, ..)| *known == from).unwrap();
        let mut at = (*entity, *row);
        for id in path {
            let target = self.model[at.0][*id].target;
            at = (target, *self.targets(at.1, at.0, *id, seen).first()?);
        }
        Some(at)
    }

    fn rows(&self, scope: &Scope, from: Variable, path: &[NavigationId], seen: bool) -> Vec<usize> {
        let (last, before) = path.split_last().unwrap();
        let Some((entity, row)) = self.follow(scope, from, before, seen) else {
            return Vec::new();
        };
        self.targets(row, entity, *last, seen)
    }

    fn evaluate(&self, expression: &Expression, scope: &Scope, seen: bool) -> Value {
        let one = |inner: &Expression| self.evaluate(inner, scope, seen);
        let is_true = |inner: &Expression| one(inner) == Value::Boolean(true);
        let within = |variable: Variable, entity: EntityId, row: usize, inner: &Expression| {
            let mut scope = scope.clone();
            scope.push((variable, entity, row));
            self.evaluate(inner, &scope, seen) == Value::Boolean(true)
        };
        let truth = match expression {
            Expression::Literal { value, .. } => return value.clone(),
            Expression::Attribute {
                from,
                path,
                entity,
                attribute,
                ..
            } => {
                let name = &self.model[*entity][*attribute].name;
                return match self.follow(scope, *from, path, seen) {
                    Some((_, row)) if !seen || self.is_readable(row, name) => self.rows[row]
                        .values
                        .get(name)
                        .cloned()
                        .unwrap_or(Value::Null),
                    _ => Value::Null,
                };
            }
            Expression::If { condition, then } => {
                return if is_true(condition) {
                    one(then)
                } else {
                    Value::Null
                };
            }
            Expression::Count {
                from,
                path,
                entity,
                variable,
                filter,
            } => {
                let counted = |row: &usize| {
                    filter
                        .as_ref()
                        .is_none_or(|filter| within(*variable, *entity, *row, filter))
                };
                let rows = self.rows(scope, *from, path, seen);
                return Value::Integer(rows.iter().filter(|row| counted(row)).count() as i64);
            }
            Expression::HasTarget {
                from,
                path,
                negated,
            } => self.follow(scope, *from, path, seen).is_none() == *negated,
            Expression::IsOf { from, path, entity } => self
                .follow(scope, *from, path, seen)
                .is_some_and(|(_, row)| self.is_a(row, *entity)),
            Expression::AsType {
                from,
                path,
                entity,
                variable,
                condition,
            } => match self.follow(scope, *from, path, seen) {
                Some((_, row)) if self.is_a(row, *entity) => {
                    within(*variable, *entity, row, condition)
                }
                _ => false,
            },
            Expression::Compare {
                operator,
                left,
                right,
            } => compare(*operator, &one(left), &one(right)),
            Expression::In { left, list } => {
                let left = one(left);
                list.iter().any(|item| one(item) == left)
            }
            Expression::And(operands) | Expression::Or(operands) => {
                let decisive = Value::Boolean(matches!(expression, Expression::Or(_)));
                let values: Vec<_> = operands.iter().map(one).collect();
                if values.contains(&decisive) {
                    return decisive;
                }
                if values.contains(&Value::Null) {
                    return Value::Null;
                }
                return Value::Boolean(decisive == Value::Boolean(false));
            }
            Expression::Not(inner) => match one(inner) {
                Value::Boolean(value) => !value,
                _ => return Value::Null,
            },
            Expression::Holds(inner) => is_true(inner),
            Expression::Lambda {
                quantifier,
                from,
                path,
                entity,
                variable,
                condition,
            } => {
                let rows = self.rows(scope, *from, path, seen);
                let fulfils = |row: &usize| {
                    condition
                        .as_ref()
                        .is_none_or(|condition| within(*variable, *entity, *row, condition))
                };
                match quantifier {
                    Quantifier::Any => rows.iter().any(fulfils),
                    Quantifier::All => rows.iter().all(fulfils),
                }
            }
            other => panic!("not in this world: {other:?}"),
        };
        Value::Boolean(truth)
    }
}

fn compare(operator: Comparison, left: &Value, right: &Value) -> bool {
    let order = left.order(right);
    match operator {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => order.is_some_and(|order| order.is_lt()),
        Comparison::LessOrEqual => order.is_some_and(|order| order.is_le()),
        Comparison::Greater => order.is_some_and(|order| order.is_gt()),
        Comparison::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
    }
}
