//! A draft gets what it leaves out: key, defaults, columns of references; what must be there is asked for.

use std::collections::HashSet;

use stoa_model::change::{Action, Reference, Target};
use stoa_model::model::{
    Attribute, AttributeId, Default, Entity, EntityId, NavigationId, Purpose, Storage,
};
use stoa_model::query::Source;
use stoa_model::value::{ScalarType, Value};

use super::{Builder, Draft, example, name_of};
use crate::error::Code;

impl<'a> Builder<'a> {
    /// Adds what the request's URL or the containing object gives.
    pub(in crate::body) fn give(
        &mut self,
        draft: &mut Draft<'a>,
        given: Vec<Reference>,
        key: Option<&[Value]>,
    ) {
        let model = self.model;
        let entity = &model[draft.entity];
        for reference in given {
            let id = reference.navigation;
            if draft.referred.insert(id) {
                draft.references.push(reference);
                continue;
            }
            if !draft.references.contains(&reference) {
                let name = name_of(&entity[id]);
                self.faults.add(
                    Code::InvalidReference,
                    &draft.location,
                    name,
                    format!("{name} is given by where the row is created: leave it out"),
                );
            }
        }
        for (position, id) in entity.key.iter().enumerate() {
            let Some(value) = key.and_then(|key| key.get(position)) else {
                continue;
            };
            draft.values.retain(|(own, _)| own != id);
            draft.named.insert(*id);
            draft.values.push((*id, value.clone()));
        }
    }

    /// Attributes that show the columns of references that the draft sets, with the values that are known.
    pub(in crate::body) fn columns_of_references(
        &self,
        draft: &Draft<'a>,
    ) -> Vec<(AttributeId, NavigationId, Option<Value>)> {
        let entity = &self.model[draft.entity];
        let mut shown = Vec::new();
        for reference in &draft.references {
            let navigation = &entity[reference.navigation];
            let Storage::Own(columns) = &navigation.storage else {
                continue;
            };
            let key = reference
                .to
                .as_ref()
                .and_then(|target| self.key_of(navigation.target, target));
            for (position, column) in columns.iter().enumerate() {
                if let Some(attribute) = column.attribute {
                    let value = match &reference.to {
                        None => Some(Value::Null),
                        Some(_) => key.as_ref().and_then(|key| key.get(position).cloned()),
                    };
                    shown.push((attribute, reference.navigation, value));
                }
            }
        }
        shown
    }

    /// A reference and properties that show its columns must not contradict each other, and no column
    /// is written twice: where all columns are properties with known values, these stay, else the
    /// reference does. It stays too where it is a path through other rows: that they are there and lead on is for
    /// the database to say.
    pub(in crate::body) fn drop_columns_of_references(&mut self, draft: &mut Draft<'a>) {
        let columns = self.columns_of_references(draft);
        for (id, navigation, value) in &columns {
            draft.named.insert(*id);
            let own = draft.values.iter().position(|(own, _)| own == id);
            let Some(own) = own else { continue };
            let (_, given) = draft.values.remove(own);
            if value.as_ref().is_some_and(|value| *value != given) {
                let entity = &self.model[draft.entity];
                let (name, other) = (&entity[*id].name, name_of(&entity[*navigation]));
                self.faults.add(
                    Code::InvalidReference,
                    &draft.location,
                    name,
                    format!("{name} and {other} refer to different rows: give one of them"),
                );
            }
        }
        let entity = &self.model[draft.entity];
        let mut values = Vec::new();
        draft.references.retain(|reference| {
            let Storage::Own(all) = &entity[reference.navigation].storage else {
                return true;
            };
            let known: Vec<_> = columns
                .iter()
                .filter(|(_, navigation, value)| {
                    *navigation == reference.navigation && value.is_some()
                })
                .collect();
            let is_path = matches!(
                &reference.to,
                Some(Target::Source(
                    Source::Related { .. } | Source::Where { .. }
                ))
            );
            if known.len() < all.len() || is_path {
                return true;
            }
            for (id, _, value) in known {
                if !values.iter().any(|(own, _)| own == id) {
                    values.push((*id, value.clone().unwrap_or(Value::Null)));
                }
            }
            false
        });
        draft.values.extend(values);
    }

    /// Key of a row, if it is known without reading.
    pub(in crate::body) fn key_of(&self, entity: EntityId, target: &Target) -> Option<Vec<Value>> {
        match target {
            Target::Key(key) => Some(key.clone()),
            Target::Source(Source::Key(key)) => Some(key.clone()),
            Target::Source(Source::Related { key, .. }) => key.clone(),
            Target::Source(Source::All | Source::Where { .. }) => None,
            Target::Inserted(position) => {
                let Action::Insert { values, .. } = &self.operations.get(*position)?.action else {
                    return None;
                };
                self.model[entity]
                    .key
                    .iter()
                    .map(|id| {
                        values
                            .iter()
                            .find(|(own, _)| own == id)
                            .map(|(_, value)| value.clone())
                    })
                    .collect()
            }
        }
    }

    /// Key, defaults, and what must be there.
    pub(in crate::body) fn complete_insert(&mut self, draft: &mut Draft<'a>) {
        self.drop_columns_of_references(draft);
        let model = self.model;
        let entity = &model[draft.entity];
        for (position, attribute) in entity.attributes.iter().enumerate() {
            let id = AttributeId(position as u32);
            if draft.named.contains(&id) || attribute.scalar_type == ScalarType::File {
                continue;
            }
            match attribute.purpose {
                Purpose::GeneratedKey => {
                    let key = uuid::Uuid::now_v7();
                    draft.values.push((id, Value::Uuid(key)));
                }
                Purpose::Data => self.default(draft, entity, id, attribute),
                Purpose::AutoNumber
                | Purpose::Version
                | Purpose::CreatedAt
                | Purpose::ChangedAt => {}
            }
        }
        for (position, navigation) in entity.navigations.iter().enumerate() {
            let id = NavigationId(position as u32);
            let Storage::Own(columns) = &navigation.storage else {
                continue;
            };
            // What the reader may not set is not asked for: whether such a row may be, others decide.
            let is_asked_for = navigation.required && navigation.reach.is_writable();
            if !is_asked_for || draft.referred.contains(&id) {
                continue;
            }
            let by_attributes = columns.iter().all(|column| {
                column.attribute.is_some_and(|id| {
                    // Its own fault is told already if the value is illegal or missing.
                    draft.named.contains(&id) || entity[id].required
                })
            });
            if !by_attributes {
                let name = name_of(navigation);
                self.faults.add(
                    Code::Required,
                    &draft.location,
                    name,
                    format!(
                        "{name} must lead to a row: \"{name}@odata.bind\": \"{}\"",
                        example(model, navigation.target)
                    ),
                );
            }
        }
    }

    /// The instant of the request, as the type keeps it.
    pub(in crate::body) fn now(&self, scalar_type: ScalarType) -> Value {
        Value::instant(scalar_type, self.options.now)
    }

    pub(in crate::body) fn default(
        &mut self,
        draft: &mut Draft<'a>,
        entity: &Entity,
        id: AttributeId,
        attribute: &Attribute,
    ) {
        let value = match &attribute.default {
            Some(Default::Value(value)) => value.clone(),
            Some(Default::Now) => self.now(attribute.scalar_type),
            None if attribute.required && attribute.reach.is_writable() => {
                let name = attribute.name.as_str();
                self.faults.add(
                    Code::Required,
                    &draft.location,
                    name,
                    format!("{name} of {} must have a value", entity.name),
                );
                return;
            }
            None => return,
        };
        draft.values.push((id, value));
    }

    /// The key of an existing row does not change.
    pub(in crate::body) fn drop_key(&mut self, draft: &mut Draft<'a>) {
        let key = &self.model[draft.entity].key;
        draft.values.retain(|(id, _)| !key.contains(id));
    }

    /// Nor does it by a reference whose columns are part of it.
    pub(in crate::body) fn drop_key_references(&mut self, draft: &mut Draft<'a>) {
        let entity = &self.model[draft.entity];
        draft.references.retain(|reference| {
            let Storage::Own(columns) = &entity[reference.navigation].storage else {
                return true;
            };
            !columns
                .iter()
                .any(|column| column.attribute.is_some_and(|id| entity.key.contains(&id)))
        });
    }

    /// PUT: what is not named gets its default or null, but for what the reader may not see or set: that
    /// stays.
    pub(in crate::body) fn complete_put(&mut self, draft: &mut Draft<'a>) {
        let shown: HashSet<AttributeId> = self
            .columns_of_references(draft)
            .into_iter()
            .map(|(id, ..)| id)
            .collect();
        let model = self.model;
        let entity = &model[draft.entity];
        for (position, attribute) in entity.attributes.iter().enumerate() {
            let id = AttributeId(position as u32);
            let skipped = attribute.purpose != Purpose::Data
                || !attribute.reach.is_readable()
                || !attribute.reach.is_writable()
                || attribute.scalar_type == ScalarType::File
                || entity.key.contains(&id)
                || draft.named.contains(&id)
                || shown.contains(&id);
            if skipped {
                continue;
            }
            let before = draft.values.len();
            self.default(draft, entity, id, attribute);
            if draft.values.len() == before && !attribute.required {
                draft.values.push((id, Value::Null));
            }
        }
    }
}
