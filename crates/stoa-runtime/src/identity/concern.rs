//! Which changes of the application's data are changes of somebody's rights.
//!
//! What is kept in memory of a caller is their name, whether they may sign in, and what access rules want to
//! know of them (`$user/Department/Region`). So a change concerns callers if it touches one of these
//! attributes, or a navigation on the way to one, or deletes a row that any of that hangs on.

use std::collections::HashSet;

use stoa_model::change::{Action, Applied, Change, Operation, Target};
use stoa_model::model::{
    AttributeId, EntityId, Model, Navigation, NavigationId, OnDelete, Storage,
};
use stoa_model::value::Value;

use super::Identity;
use super::error::IdentityError;
use super::name::{self, NameFault};
use super::record::{Select, change};

/// Key of the one row that has the revision.
const SECURITY: &str = "security";

/// An attribute, whatever entity it is named by.
type AttributeKey = (EntityId, AttributeId);
/// A navigation, whatever entity it is named by.
type NavigationKey = (EntityId, NavigationId);

/// What callers depend on.
#[derive(Debug, Default)]
pub(super) struct Concerns {
    attributes: HashSet<AttributeKey>,
    /// Both ends.
    navigations: HashSet<NavigationKey>,
    /// References of a new row that change what an old one leads to.
    inserted_navigations: HashSet<NavigationKey>,
    inserted_attributes: HashSet<AttributeKey>,
    /// Roots of the entities whose rows must not vanish unnoticed.
    deletes: HashSet<EntityId>,
}

impl Concerns {
    pub(super) fn new(model: &Model) -> Self {
        let mut concerns = Self::default();
        let user = &model[model.user.entity];
        concerns.deletes.insert(user.root);
        for name in ["Name", "Active"] {
            if let Some(id) = user.attributes_by_name.get(name) {
                concerns.attributes.insert((user[*id].declared_by, *id));
            }
        }
        for value in &model.user.values {
            let mut entity = value.from;
            for id in &value.navigations {
                concerns.add_step(model, entity, *id);
                entity = model[entity][*id].target;
                concerns.deletes.insert(model[entity].root);
            }
            let declared_by = model[value.entity][value.attribute].declared_by;
            concerns.attributes.insert((declared_by, value.attribute));
        }
        while concerns.add_deletes(model) {}
        concerns
    }

    /// A step of a path of `$user`.
    fn add_step(&mut self, model: &Model, entity: EntityId, id: NavigationId) {
        let navigation = &model[entity][id];
        let partner = &model[navigation.target][navigation.partner];
        self.navigations.insert((navigation.declared_by, id));
        self.navigations
            .insert((partner.declared_by, navigation.partner));
        match &navigation.storage {
            Storage::Own(columns) => {
                for attribute in columns.iter().filter_map(|column| column.attribute) {
                    self.attributes
                        .insert((model[entity][attribute].declared_by, attribute));
                }
            }
            Storage::Target(columns) => {
                // A new row at the other end changes where this step leads.
                self.inserted_navigations
                    .insert((partner.declared_by, navigation.partner));
                for attribute in columns.iter().filter_map(|column| column.attribute) {
                    let key = (model[navigation.target][attribute].declared_by, attribute);
                    self.attributes.insert(key);
                    self.inserted_attributes.insert(key);
                }
            }
            Storage::Join { .. } => {}
        }
    }

    /// Entities whose deletes take rows away that matter, or clear references that do.
    fn add_deletes(&mut self, model: &Model) -> bool {
        let mut more = Vec::new();
        for entity in &model.entities {
            if self.deletes.contains(&entity.root) {
                continue;
            }
            let matters = |navigation: &Navigation| {
                if !matches!(navigation.storage, Storage::Target(_)) {
                    return false;
                }
                let holder = &model[navigation.target];
                let reference = (holder[navigation.partner].declared_by, navigation.partner);
                let vanishes = navigation.contained || navigation.on_delete == OnDelete::Cascade;
                (vanishes && self.deletes.contains(&holder.root))
                    || (navigation.on_delete == OnDelete::Clear
                        && self.navigations.contains(&reference))
            };
            if entity.navigations.iter().any(matters) {
                more.push(entity.root);
            }
        }
        self.deletes.extend(&more);
        !more.is_empty()
    }

    fn is_touched(&self, model: &Model, action: &Action) -> bool {
        let attribute = |entity: EntityId, id: AttributeId| (model[entity][id].declared_by, id);
        let navigation = |entity: EntityId, id: NavigationId| (model[entity][id].declared_by, id);
        match action {
            Action::Insert {
                entity,
                values,
                references,
            } => {
                values
                    .iter()
                    .any(|(id, _)| self.inserted_attributes.contains(&attribute(*entity, *id)))
                    || references.iter().any(|reference| {
                        self.inserted_navigations
                            .contains(&navigation(*entity, reference.navigation))
                    })
            }
            Action::Update {
                entity,
                values,
                references,
                ..
            } => {
                values
                    .iter()
                    .any(|(id, _)| self.attributes.contains(&attribute(*entity, *id)))
                    || references.iter().any(|reference| {
                        self.navigations
                            .contains(&navigation(*entity, reference.navigation))
                    })
            }
            Action::Upsert {
                entity,
                insert,
                update,
                references,
                ..
            } => {
                insert
                    .iter()
                    .any(|(id, _)| self.inserted_attributes.contains(&attribute(*entity, *id)))
                    || update
                        .iter()
                        .any(|(id, _)| self.attributes.contains(&attribute(*entity, *id)))
                    || references.iter().any(|reference| {
                        self.navigations
                            .contains(&navigation(*entity, reference.navigation))
                    })
            }
            Action::Retain {
                entity,
                navigation: id,
                ..
            } => {
                let target = model[*entity][*id].target;
                self.deletes.contains(&model[target].root)
            }
            Action::Delete { entity, .. } => self.deletes.contains(&model[*entity].root),
            Action::Link {
                entity,
                navigation: id,
                ..
            }
            | Action::Unlink {
                entity,
                navigation: id,
                ..
            } => self.navigations.contains(&navigation(*entity, *id)),
        }
    }
}

impl Identity {
    /// Whether a change touches what is kept in memory of callers: users, or anything that `$user/…` of
    /// access rules depends on. Then [`Identity::bump_operation`] belongs in the change.
    #[must_use]
    pub fn concerns(&self, change: &Change) -> bool {
        change.operations.iter().any(|operation| {
            self.shared
                .concerns
                .is_touched(self.model(), &operation.action)
        })
    }

    /// The operation that moves the revision of rights: the last one of its change, so that its row is
    /// locked for as short as can be. After the change, [`Identity::published`].
    #[must_use]
    pub fn bump_operation(&self) -> Operation {
        let revision = &self.shared.system.revision;
        let key = Value::Text(SECURITY.to_owned());
        let mut bump = change(vec![Action::Upsert {
            entity: revision.entity,
            target: Target::Key(vec![key.clone()]),
            insert: vec![(revision.name, key)],
            update: Vec::new(),
            references: Vec::new(),
        }]);
        bump.operations.swap_remove(0)
    }

    /// Adds [`Identity::bump_operation`] to a change.
    pub fn bump(&self, change: &mut Change) {
        change.operations.push(self.bump_operation());
    }

    /// Waits until every living instance acts by what a change did that had [`Identity::bump_operation`] in
    /// it. Without one it returns at once.
    ///
    /// # Errors
    /// [`IdentityError::Unconfirmed`].
    pub async fn published(&self, applied: &[Applied]) -> Result<(), IdentityError> {
        let entity = self.shared.system.revision.entity;
        let revision = applied
            .iter()
            .rev()
            .find(|applied| applied.entity == entity)
            .and_then(|applied| applied.version);
        match revision {
            Some(revision) => self
                .shared
                .current
                .publish(revision)
                .await
                .map_err(IdentityError::Unconfirmed),
            None => Ok(()),
        }
    }

    /// As [`Identity::published`], for a change that was made before, maybe by an instance that lives no more.
    ///
    /// # Errors
    /// [`IdentityError::Unconfirmed`]; the database.
    pub async fn publish_again(&self) -> Result<(), IdentityError> {
        let revision = self.shared.system.revision.entity;
        let key = vec![Value::Text(SECURITY.to_owned())];
        let query = Select::new(revision, &[]).key(self.model(), key);
        let Some(version) = self.read_one(query).await?.and_then(|row| row.version) else {
            return Ok(());
        };
        self.shared
            .current
            .publish(version)
            .await
            .map_err(IdentityError::Unconfirmed)
    }

    /// Brings names of users in a change of the application into the form in which they are kept, so that
    /// whoever is added through the data service can sign in.
    ///
    /// # Errors
    /// Position of the operation, and what is wrong with the name.
    pub fn normalise_names(&self, change: &mut Change) -> Result<(), (usize, NameFault)> {
        let model = self.model();
        let user = &self.shared.system.user;
        let root = model[user.entity].root;
        let normalise = |position, values: &mut Vec<(AttributeId, Value)>| {
            for (id, value) in values {
                if *id == user.name
                    && let Value::Text(name) = value
                {
                    *name = name::normalise(name).map_err(|fault| (position, fault))?;
                }
            }
            Ok(())
        };
        for (position, operation) in change.operations.iter_mut().enumerate() {
            match &mut operation.action {
                Action::Insert { entity, values, .. } | Action::Update { entity, values, .. }
                    if model[*entity].root == root =>
                {
                    normalise(position, values)?;
                }
                Action::Upsert {
                    entity,
                    insert,
                    update,
                    ..
                } if model[*entity].root == root => {
                    normalise(position, insert)?;
                    normalise(position, update)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"
[entity.Region.attributes]
Name = "String"
[entity.Department.attributes]
Name = "String"
Budget = "Integer"
[entity.Department.associations]
Region = { to = "Region", on_delete = "clear" }
[entity.Desk.attributes]
Floor = "Integer"
[entity.Desk.associations]
Owner = { to = "Employee", unique = true, inverse = "Desk", on_delete = "clear" }
[entity.Company.associations]
Departments = { to = "Department", many = true, contained = true }
[entity.Order.associations]
Owner = { to = "System.User" }
[entity.Employee]
extends = "System.User"
[entity.Employee.attributes]
Badge = "String"
Level = "Integer"
[entity.Employee.associations]
Department = { to = "Department", on_delete = "prevent" }
[role.Sales]
[[entity.Order.access]]
role = "Sales"
read = "*"
where = "$user/Level gt 1 and $user/Department/Region/Name eq 'N' and $user/Desk/Floor eq 1"
"#;

    struct Case<'a> {
        model: &'a Model,
        entity: EntityId,
    }

    impl Case<'_> {
        fn attribute(&self, name: &str) -> (AttributeId, Value) {
            (
                self.model[self.entity].attributes_by_name[name],
                Value::Null,
            )
        }

        fn reference(&self, name: &str) -> stoa_model::change::Reference {
            stoa_model::change::Reference {
                navigation: self.model[self.entity].navigations_by_name[name],
                to: None,
            }
        }
    }

    #[test]
    fn a_change_concerns_callers_if_their_rules_depend_on_it() {
        let model = Model::from_text("shop", MODEL).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(model.user.values.len(), 3);
        let concerns = Concerns::new(&model);
        let case = |entity: &str| Case {
            model: &model,
            entity: model.entities_by_name[entity],
        };
        let key = || Target::Key(vec![Value::Null]);
        let update = |entity: &str, attribute: &str| {
            let case = case(entity);
            Action::Update {
                entity: case.entity,
                target: key(),
                expected: stoa_model::change::Expected::Any,
                values: vec![case.attribute(attribute)],
                references: Vec::new(),
            }
        };
        let refer = |entity: &str, navigation: &str| {
            let case = case(entity);
            Action::Update {
                entity: case.entity,
                target: key(),
                expected: stoa_model::change::Expected::Any,
                values: Vec::new(),
                references: vec![case.reference(navigation)],
            }
        };
        let insert = |entity: &str, navigation: Option<&str>| {
            let case = case(entity);
            Action::Insert {
                entity: case.entity,
                values: Vec::new(),
                references: navigation
                    .map(|name| case.reference(name))
                    .into_iter()
                    .collect(),
            }
        };
        let delete = |entity: &str| Action::Delete {
            entity: case(entity).entity,
            target: key(),
            expected: stoa_model::change::Expected::Any,
        };
        for (what, action, concerned) in [
            ("attribute of rules", update("Employee", "Level"), true),
            ("other attribute", update("Employee", "Badge"), false),
            ("name", update("Employee", "Name"), true),
            (
                "active, through the base",
                update("SystemUser", "Active"),
                true,
            ),
            ("full name", update("SystemUser", "FullName"), false),
            ("step", refer("Employee", "Department"), true),
            ("second step", refer("Department", "Region"), true),
            ("end of the path", update("Region", "Name"), true),
            ("on the way", update("Department", "Budget"), false),
            ("step kept at its end", refer("Desk", "Owner"), true),
            (
                "new row with such a step",
                insert("Desk", Some("Owner")),
                true,
            ),
            ("new row without", insert("Desk", None), false),
            ("new user", insert("Employee", Some("Department")), false),
            ("user gone", delete("SystemUser"), true),
            ("reference cleared by it", delete("Region"), true),
            ("gone with its container", delete("Company"), true),
            ("other row gone", delete("Order"), false),
        ] {
            assert_eq!(concerns.is_touched(&model, &action), concerned, "{what}");
        }
    }
}
