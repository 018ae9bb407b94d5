//! Rows, as a plain map.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AssociationId, EntityId, Model, Navigation};
use crate::value::Scalar;

/// Identity of a row, for the life of a database.
pub(crate) type RowId = usize;

/// Stand for keys that the database makes; nothing else begins like that.
pub(crate) const UNKNOWN_KEYS: u128 = 0xffff_ffff_ffff_ffff << 64;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Database {
    pub(crate) rows: BTreeMap<RowId, Row>,
    /// Many-to-many: association, row of its holder, row of its target.
    pub(crate) links: BTreeSet<(AssociationId, RowId, RowId)>,
    next: RowId,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) entity: EntityId,
    pub(crate) key: Scalar,
    /// Attributes, without key and without those that show references; null ones may be missing.
    pub(crate) values: BTreeMap<String, Scalar>,
    pub(crate) references: BTreeMap<AssociationId, RowId>,
    /// The key was not given: it is what the database has made, which is not known yet.
    pub(crate) is_key_unknown: bool,
}

impl Database {
    pub(crate) fn insert(&mut self, mut row: Row) -> RowId {
        let id = self.next;
        self.next += 1;
        if row.is_key_unknown {
            row.key = Scalar::Uuid(uuid::Uuid::from_u128(UNKNOWN_KEYS | id as u128));
        }
        self.rows.insert(id, row);
        id
    }

    pub(crate) fn find(&self, model: &Model, entity: EntityId, key: &Scalar) -> Option<RowId> {
        let root = model.root(entity);
        self.rows
            .iter()
            .find(|(_, row)| {
                row.key == *key && !row.is_key_unknown && model.root(row.entity) == root
            })
            .map(|(id, _)| *id)
    }

    /// Rows of an entity and of what extends it.
    pub(crate) fn of(&self, model: &Model, entity: EntityId) -> Vec<RowId> {
        self.rows
            .iter()
            .filter(|(_, row)| model.is_a(row.entity, entity))
            .map(|(id, _)| *id)
            .collect()
    }

    /// An attribute's value; null if the row has no such attribute.
    pub(crate) fn value(&self, model: &Model, id: RowId, name: &str) -> Scalar {
        let row = &self.rows[&id];
        if name == model.key(row.entity).0 {
            return row.key.clone();
        }
        if let Some(association) = model.shown_by(row.entity, name) {
            return row
                .references
                .get(&association)
                .map_or(Scalar::Null, |target| self.rows[target].key.clone());
        }
        row.values.get(name).cloned().unwrap_or(Scalar::Null)
    }

    /// Rows at the other end.
    pub(crate) fn targets(&self, model: &Model, id: RowId, navigation: Navigation) -> Vec<RowId> {
        let association = navigation.association;
        if model.is_many_to_many(navigation) {
            let of = |(_, holder, target): &(AssociationId, RowId, RowId)| {
                if navigation.forward {
                    (*holder == id).then_some(*target)
                } else {
                    (*target == id).then_some(*holder)
                }
            };
            return self
                .links
                .iter()
                .filter(|link| link.0 == association)
                .filter_map(of)
                .collect();
        }
        if navigation.forward {
            return self.rows[&id]
                .references
                .get(&association)
                .copied()
                .into_iter()
                .collect();
        }
        self.rows
            .iter()
            .filter(|(_, row)| row.references.get(&association) == Some(&id))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn link(&mut self, navigation: Navigation, from: RowId, to: RowId) {
        self.links.insert(ends(navigation, from, to));
    }

    pub(crate) fn unlink(&mut self, navigation: Navigation, from: RowId, to: RowId) {
        self.links.remove(&ends(navigation, from, to));
    }

    pub(crate) fn remove(&mut self, id: RowId) {
        self.rows.remove(&id);
        self.links
            .retain(|(_, holder, target)| *holder != id && *target != id);
    }
}

fn ends(navigation: Navigation, from: RowId, to: RowId) -> (AssociationId, RowId, RowId) {
    if navigation.forward {
        (navigation.association, from, to)
    } else {
        (navigation.association, to, from)
    }
}
