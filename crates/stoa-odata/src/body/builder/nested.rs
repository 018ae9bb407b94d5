//! What comes after a row: rows that belong to it, and links.

use stoa_model::change::{Action, Operation, Reference, Target};
use stoa_model::model::{
    AttributeId, Default, Entity, EntityId, Navigation, NavigationId, Purpose, Storage,
};
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::{Builder, Draft, Mode, name_of};
use crate::body::Raw;
use crate::error::{Code, join};

impl<'a> Builder<'a> {
    /// What comes after the row: nested rows and links.
    pub(in crate::body) fn follow(
        &mut self,
        draft: &Draft<'a>,
        row: Target,
        mode: Mode,
        depth: usize,
    ) {
        let model = self.model;
        let entity = &model[draft.entity];
        for id in &draft.replaced {
            self.push(
                &join(&draft.location, name_of(&entity[*id])),
                Action::Unlink {
                    entity: draft.entity,
                    from: row.clone(),
                    navigation: *id,
                    to: None,
                },
            );
        }
        for (id, to) in &draft.links {
            self.push(
                &join(&draft.location, name_of(&entity[*id])),
                Action::Link {
                    entity: draft.entity,
                    from: row.clone(),
                    navigation: *id,
                    to: to.clone(),
                },
            );
        }
        for (id, list) in &draft.after {
            let navigation = &entity[*id];
            if mode != Mode::Create && navigation.contained {
                self.replace_contained(draft, *id, list, &row, mode, depth);
                continue;
            }
            for (position, nested) in list.iter().enumerate() {
                if self.stopped() {
                    return;
                }
                let place = nested_place(draft, navigation, position);
                self.insert_below(draft.entity, *id, nested, &place, &row, depth);
            }
        }
    }

    /// A new row that belongs to, or is linked with, the row of `from`.
    pub(in crate::body) fn insert_below(
        &mut self,
        entity: EntityId,
        id: NavigationId,
        nested: Raw<'a>,
        place: &str,
        from: &Target,
        depth: usize,
    ) -> Option<usize> {
        let navigation = &self.model[entity][id];
        match &navigation.storage {
            Storage::Target(_) => {
                let reference = Reference {
                    navigation: navigation.partner,
                    to: Some(from.clone()),
                };
                self.insert_at(
                    navigation.target,
                    nested,
                    place,
                    vec![reference],
                    None,
                    depth + 1,
                )
            }
            Storage::Join { .. } | Storage::Own(_) => {
                let position = self.insert_at(
                    navigation.target,
                    nested,
                    place,
                    Vec::new(),
                    None,
                    depth + 1,
                )?;
                self.push(
                    place,
                    Action::Link {
                        entity,
                        from: from.clone(),
                        navigation: id,
                        to: Target::Inserted(position),
                    },
                );
                Some(position)
            }
        }
    }

    /// The array is all that the row shall contain: rows with a known key are changed or made, rows
    /// without one are made, all others go.
    pub(in crate::body) fn replace_contained(
        &mut self,
        draft: &Draft<'a>,
        id: NavigationId,
        list: &[Raw<'a>],
        row: &Target,
        mode: Mode,
        depth: usize,
    ) {
        let entity = draft.entity;
        let navigation = &self.model[entity][id];
        let name = name_of(navigation);
        let retain = self.push(
            &join(&draft.location, name),
            Action::Retain {
                entity,
                from: row.clone(),
                navigation: id,
                keep: Vec::new(),
            },
        );
        let mut keep: Vec<Vec<Value>> = Vec::new();
        for (position, nested) in list.iter().enumerate() {
            if self.stopped() {
                return;
            }
            let place = nested_place(draft, navigation, position);
            let (faults, objects) = (self.faults.len(), self.objects);
            let Some(mut existing) = self.read(navigation.target, nested, &place, mode, depth + 1)
            else {
                continue;
            };
            let reference = Reference {
                navigation: navigation.partner,
                to: Some(row.clone()),
            };
            let Some(key) = self.nested_key(&existing, &reference) else {
                // Without a key it is a new row: read it as such, and judge it once.
                self.faults.truncate(faults);
                self.objects = objects;
                self.insert_below(entity, id, nested, &place, row, depth);
                continue;
            };
            if keep.contains(&key) {
                self.faults.add(
                    Code::DuplicateProperty,
                    &place,
                    "",
                    "the same row stands in the array twice",
                );
                continue;
            }
            let target = Target::Source(Source::Related {
                entity,
                from: Box::new(source_of(row)),
                navigation: id,
                key: Some(key.clone()),
            });
            // What the row would be if it were new: faults of missing values count only then, and the
            // database finds them, because the wire does not know whether it is.
            let mut update = std::mem::take(&mut existing.values);
            let key_ids = &self.model[existing.entity].key;
            update.retain(|(id, _)| !key_ids.contains(id));
            let mut insert = self.values_of_new(&existing, &update, &key, &reference);
            existing.values = update;
            existing.references.push(reference);
            if mode == Mode::Put {
                self.complete_put(&mut existing);
            }
            self.drop_columns_of_references(&mut existing);
            for (id, ..) in self.columns_of_references(&existing) {
                insert.retain(|(own, _)| *own != id);
            }
            for (id, value) in &existing.values {
                if !insert.iter().any(|(own, _)| own == id) {
                    insert.push((*id, value.clone()));
                }
            }
            self.drop_key(&mut existing);
            self.push(
                &place,
                Action::Upsert {
                    entity: existing.entity,
                    target: target.clone(),
                    insert,
                    update: std::mem::take(&mut existing.values),
                    references: std::mem::take(&mut existing.references),
                },
            );
            keep.push(key);
            self.follow(&existing, target, mode, depth + 1);
        }
        if let Some(Operation {
            action: Action::Retain { keep: place, .. },
            ..
        }) = self.operations.get_mut(retain)
        {
            *place = keep;
        }
    }

    /// The key of a nested row, when the object and its container give all of it.
    pub(in crate::body) fn nested_key(
        &self,
        draft: &Draft<'a>,
        container: &Reference,
    ) -> Option<Vec<Value>> {
        let entity = &self.model[draft.entity];
        let given = self.columns_given_by(entity, container);
        entity
            .key
            .iter()
            .map(|id| {
                let own = draft.values.iter().find(|(own, _)| own == id);
                own.or_else(|| given.iter().find(|(own, _)| own == id))
                    .map(|(_, value)| value.clone())
            })
            .collect()
    }

    pub(in crate::body) fn columns_given_by(
        &self,
        entity: &Entity,
        container: &Reference,
    ) -> Vec<(AttributeId, Value)> {
        let navigation = &entity[container.navigation];
        let Storage::Own(columns) = &navigation.storage else {
            return Vec::new();
        };
        let key = container
            .to
            .as_ref()
            .and_then(|target| self.key_of(navigation.target, target))
            .unwrap_or_default();
        columns
            .iter()
            .zip(key)
            .filter_map(|(column, value)| Some((column.attribute?, value)))
            .collect()
    }

    /// Values of an upsert's row if it is new: given ones, key, defaults.
    pub(in crate::body) fn values_of_new(
        &self,
        draft: &Draft<'a>,
        given: &[(AttributeId, Value)],
        key: &[Value],
        container: &Reference,
    ) -> Vec<(AttributeId, Value)> {
        let entity = &self.model[draft.entity];
        let mut values: Vec<(AttributeId, Value)> = entity
            .key
            .iter()
            .copied()
            .zip(key.iter().cloned())
            .collect();
        values.extend(given.iter().cloned());
        let from_container = self.columns_given_by(entity, container);
        for (position, attribute) in entity.attributes.iter().enumerate() {
            let id = AttributeId(position as u32);
            let has = draft.named.contains(&id)
                || entity.key.contains(&id)
                || from_container.iter().any(|(own, _)| *own == id);
            if has || attribute.purpose != Purpose::Data {
                continue;
            }
            match &attribute.default {
                Some(Default::Value(value)) => values.push((id, value.clone())),
                Some(Default::Now) => values.push((id, self.now(attribute.scalar_type))),
                None => {}
            }
        }
        values
    }
}

fn source_of(target: &Target) -> Source {
    match target {
        Target::Key(key) => Source::Key(key.clone()),
        Target::Source(source) => source.clone(),
        // Replacements start at an existing row.
        Target::Inserted(_) => Source::All,
    }
}

fn nested_place(draft: &Draft<'_>, navigation: &Navigation, position: usize) -> String {
    let place = join(&draft.location, name_of(navigation));
    if navigation.many {
        format!("{place}/{position}")
    } else {
        place
    }
}
