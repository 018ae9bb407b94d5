//! `$user/…`: what rules want to know of whoever makes the request, found in the entity of users.

use super::super::Expression;
use super::super::error::{Error, ErrorKind, nearest};
use super::super::syntax::{Path, SegmentKind};
use super::path::{attribute, bare_name, navigation};
use super::{Binder, Operand, Reached};
use crate::model::{AttributeId, Entity, EntityId, NavigationId, UserValue};
use crate::value::ScalarType;

/// Most navigations of one path.
const MAXIMUM_STEPS: usize = 4;

/// A row: the user's own, or one that it refers to.
#[derive(Clone, Debug)]
pub(super) struct UserRow {
    /// The entity of users or a specialisation of it, the one that has the first step.
    from: EntityId,
    navigations: Vec<NavigationId>,
    /// What is reached.
    entity: EntityId,
    names: Vec<String>,
}

impl Binder<'_> {
    pub(super) fn user(&mut self, path: &Path, position: usize) -> Result<Operand, Error> {
        if self.user.is_none() {
            return Err(Error::syntax(
                position,
                "$user can only stand in access rules",
            ));
        }
        let users = self.model.user.entity;
        let mut row = UserRow {
            from: users,
            navigations: Vec::new(),
            entity: users,
            names: Vec::new(),
        };
        let mut segments = path.segments.iter();
        while let Some(segment) = segments.next() {
            let SegmentKind::Name {
                name,
                arguments: None,
            } = &segment.kind
            else {
                return Err(Error::syntax(
                    segment.position,
                    "only names can follow $user",
                ));
            };
            if row.navigations.is_empty() {
                if let Some(special) = self.user_type(&row, name) {
                    (row.from, row.entity) = (special, special);
                    continue;
                }
                let owner = self.owner(&row, name, segment.position)?;
                (row.from, row.entity) = (owner, owner);
            }
            let entity = &self.model[row.entity];
            row.names.push(name.clone());
            if let Some((id, _)) = attribute(entity, name) {
                if let Some(next) = segments.next() {
                    let message = format!("'{name}' is a single value: nothing can follow it");
                    return Err(Error::new(ErrorKind::UnknownName, next.position, message));
                }
                return self.user_value(row, id, segment.position);
            }
            let Some((id, navigation)) = navigation(entity, name) else {
                return Err(super::unknown_property(
                    self.model,
                    entity,
                    name,
                    segment.position,
                ));
            };
            if navigation.many {
                return Err(Error::new(
                    ErrorKind::Type,
                    segment.position,
                    format!("'{name}' leads to many rows: what is known of a user is one value"),
                )
                .expecting("a to-one association"));
            }
            if row.navigations.len() >= MAXIMUM_STEPS {
                let message = format!("the path has more than {MAXIMUM_STEPS} navigations");
                return Err(Error::new(ErrorKind::Limit, segment.position, message));
            }
            row.navigations.push(id);
            row.entity = navigation.target;
        }
        Ok(Operand::UserRow(row))
    }

    /// The specialisation of users that a name means.
    fn user_type(&self, row: &UserRow, name: &str) -> Option<EntityId> {
        let id = *self
            .model
            .entities_by_name
            .get(bare_name(self.model, name))?;
        let users = &self.model[row.entity];
        let is_user = id == users.id || users.specialisations.contains(&id);
        (is_user && !has(users, name)).then_some(id)
    }

    /// The entity of users that has a member: itself, or the one specialisation that declares it.
    fn owner(&self, row: &UserRow, name: &str, position: usize) -> Result<EntityId, Error> {
        let users = &self.model[row.entity];
        if has(users, name) {
            return Ok(users.id);
        }
        let mut owners: Vec<EntityId> = users
            .specialisations
            .iter()
            .map(|id| &self.model[*id])
            .filter_map(|entity| {
                let attribute = attribute(entity, name).map(|(_, attribute)| attribute.declared_by);
                attribute.or_else(|| {
                    navigation(entity, name).map(|(_, navigation)| navigation.declared_by)
                })
            })
            .collect();
        owners.sort();
        owners.dedup();
        match owners.as_slice() {
            [owner] => Ok(*owner),
            [] => {
                let entities = std::iter::once(users)
                    .chain(users.specialisations.iter().map(|id| &self.model[*id]));
                let mut names: Vec<&str> = entities.flat_map(property_names).collect();
                names.sort_unstable();
                Err(Error::new(
                    ErrorKind::UnknownName,
                    position,
                    format!("users have no property '{name}'"),
                )
                .expecting("an attribute of System.User, or of an entity that extends it")
                .suggesting(nearest(name, names)))
            }
            [first, second, ..] => {
                let (first, second) = (&self.model[*first].name, &self.model[*second].name);
                Err(Error::new(
                    ErrorKind::Type,
                    position,
                    format!("'{name}' is ambiguous: {first} and {second} have it"),
                )
                .suggesting(Some(format!("$user/{first}/{name}"))))
            }
        }
    }

    fn user_value(
        &mut self,
        row: UserRow,
        attribute: AttributeId,
        position: usize,
    ) -> Result<Operand, Error> {
        let scalar_type = self.model[row.entity][attribute].scalar_type;
        if matches!(scalar_type, ScalarType::File | ScalarType::Json) {
            let message = format!("{} cannot be compared", self.describe(scalar_type));
            return Err(Error::new(ErrorKind::Type, position, message));
        }
        let Some(values) = &mut self.user else {
            return Err(Error::syntax(
                position,
                "$user can only stand in access rules",
            ));
        };
        let is_same = |known: &UserValue| {
            known.from == row.from
                && known.navigations == row.navigations
                && known.attribute == attribute
        };
        let value = values.iter().position(is_same).unwrap_or_else(|| {
            values.push(UserValue {
                path: row.names.join("/"),
                from: row.from,
                navigations: row.navigations,
                entity: row.entity,
                attribute,
                scalar_type,
            });
            values.len() - 1
        });
        Ok(Operand::Scalar(
            Expression::User { value, scalar_type },
            scalar_type,
        ))
    }

    /// The key of a row of the user, where it is one attribute.
    pub(super) fn user_key(&mut self, mut row: UserRow, position: usize) -> Result<Operand, Error> {
        let entity = &self.model[row.entity];
        let [key] = entity.key.as_slice() else {
            return Err(Error::unsupported(
                position,
                format!(
                    "{} has a composite key: compare its attributes",
                    entity.name
                ),
            ));
        };
        row.names.push(entity[*key].name.clone());
        self.user_value(row, *key, position)
    }

    /// Something that may be a row of the user, as a value.
    pub(super) fn without_user_row(
        &mut self,
        operand: Operand,
        position: usize,
    ) -> Result<Operand, Error> {
        match operand {
            Operand::UserRow(row) => self.user_key(row, position),
            operand => Ok(operand),
        }
    }

    /// A row beside a row of the user: their keys.
    pub(super) fn row_beside_user(
        &mut self,
        (row, position): (Reached, usize),
        (user, user_position): (UserRow, usize),
    ) -> Result<(Expression, Expression), Error> {
        let (one, other) = (&self.model[row.cast], &self.model[user.entity]);
        if one.root != other.root {
            let message = format!(
                "a row of {} cannot be compared with a row of {}",
                one.name, other.name
            );
            return Err(Error::new(ErrorKind::Type, position, message));
        }
        match self.user_key(user, user_position)? {
            Operand::Scalar(user, _) => Ok((self.single_key(row, position)?, user)),
            _ => Err(Error::new(
                ErrorKind::Type,
                user_position,
                "this is no value",
            )),
        }
    }

    /// Whether `$user/…` is the key of such a row.
    pub(super) fn is_key_of(&self, user: &Expression, row: &Reached) -> bool {
        let Expression::User { value, .. } = user else {
            return false;
        };
        self.user
            .as_ref()
            .and_then(|values| values.get(*value))
            .is_some_and(|value| {
                let entity = &self.model[value.entity];
                entity.root == self.model[row.cast].root && entity.key == [value.attribute]
            })
    }
}

fn has(entity: &Entity, name: &str) -> bool {
    attribute(entity, name).is_some() || navigation(entity, name).is_some()
}

fn property_names(entity: &Entity) -> impl Iterator<Item = &str> {
    entity
        .attributes_by_name
        .keys()
        .chain(entity.navigations_by_name.keys())
        .map(String::as_str)
}
