//! What the database does by itself when a row is deleted, as far as that is recorded: rows that go with it,
//! references to it that are cleared, pairs that end. It is found out before, while everything is there.

use std::collections::HashSet;

use stoa_model::model::{Entity, EntityId, Navigation, NavigationId, OnDelete, Storage};
use stoa_model::value::Value;

use super::audit::{Tie, Touched};
use super::engine::Engine;
use super::judge::{Lock, Which};
use super::source::{equal_columns, key_forms};
use super::statement::{Connection, Failure, Writer};

/// What becomes of a row that refers to one that is deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is deleted, too.
    Goes,
    /// Its reference is cleared.
    Loses,
    /// It stays as it is, or stands in the way.
    Stays,
}

impl Fate {
    fn of(navigation: &Navigation) -> Self {
        if navigation.contained || navigation.on_delete == OnDelete::Cascade {
            Self::Goes
        } else if navigation.on_delete == OnDelete::Clear {
            Self::Loses
        } else {
            Self::Stays
        }
    }
}

impl<'a, C: Connection> Engine<'a, C> {
    /// Whether deleting a row of the entity, or of a specialisation, may do something else that is recorded.
    pub(super) fn has_consequences(&self, entity: EntityId) -> bool {
        let model = self.model;
        let mut seen = HashSet::from([entity]);
        let mut todo = vec![entity];
        while let Some(entity) = todo.pop() {
            let entity = &model[entity];
            let all =
                std::iter::once(entity).chain(entity.specialisations.iter().map(|id| &model[*id]));
            for navigation in all.flat_map(|entity| &entity.navigations) {
                let target = navigation.target;
                let recorded = self.is_recorded(target);
                let matters = match (&navigation.storage, Fate::of(navigation)) {
                    (Storage::Join { .. }, _) => recorded || self.is_recorded(entity.id),
                    (Storage::Target(_), Fate::Loses) => recorded,
                    (Storage::Target(_), Fate::Goes) => {
                        if seen.insert(target) {
                            todo.push(target);
                        }
                        recorded
                    }
                    (Storage::Target(_), Fate::Stays) | (Storage::Own(_), _) => false,
                };
                if matters {
                    return true;
                }
            }
        }
        false
    }

    /// Gathers what is recorded when a row is deleted, except for the row itself. What is found is locked.
    pub(super) async fn consequences(
        &mut self,
        entity: &'a Entity,
        key: &[Value],
        touched: &mut Vec<Touched>,
        ended: &mut Vec<Tie>,
    ) -> Result<(), Failure> {
        if !self.has_consequences(entity.id) {
            return Ok(());
        }
        // Rows in a circle, and rows met on two ways, count once; both ends of a pair may go.
        let name = |entity: &Entity, key: &[Value]| format!("{:?}{key:?}", entity.root);
        let mut gone = HashSet::from([name(entity, key)]);
        let mut noted = gone.clone();
        let mut pairs = HashSet::new();
        let mut todo = vec![(entity, key.to_vec())];
        while let Some((entity, key)) = todo.pop() {
            let Some(entity) = self.actual(entity, &key).await? else {
                continue;
            };
            for (position, navigation) in (0_u32..).zip(&entity.navigations) {
                let id = NavigationId(position);
                let target = &self.model[navigation.target];
                let recorded = self.is_recorded(target.id);
                if let Storage::Join { .. } = navigation.storage {
                    if entity.audited || recorded {
                        for tie in self.ties(entity, id, &key).await? {
                            let mut ends = [
                                (name(entity, &tie.key), id),
                                (name(target, &tie.other_key), navigation.partner),
                            ];
                            ends.sort();
                            if pairs.insert(ends) {
                                ended.push(tie);
                            }
                        }
                    }
                    continue;
                }
                let fate = Fate::of(navigation);
                let matters = match fate {
                    Fate::Goes => recorded || self.has_consequences(target.id),
                    Fate::Loses => recorded,
                    Fate::Stays => false,
                };
                if !matters || !matches!(navigation.storage, Storage::Target(_)) {
                    continue;
                }
                let which = Which::Targets {
                    entity: entity.id,
                    navigation: id,
                    key: &key,
                    keep: &[],
                };
                let lock = match fate {
                    Fate::Goes => Lock::Delete,
                    Fate::Loses | Fate::Stays => Lock::Change,
                };
                if let Some(lock) = self.lock(target, which, lock) {
                    self.connection.query(lock).await?;
                }
                for child in self.keys_which(target.id, which).await? {
                    if recorded && noted.insert(name(target, &child)) {
                        touched.push(self.touched(target.id, child.clone()).await?);
                    }
                    if fate == Fate::Goes && gone.insert(name(target, &child)) {
                        todo.push((target, child));
                    }
                }
            }
        }
        Ok(())
    }

    /// The pairs that a row is in, locked.
    async fn ties(
        &mut self,
        entity: &'a Entity,
        navigation: NavigationId,
        key: &[Value],
    ) -> Result<Vec<Tie>, Failure> {
        let end = &entity[navigation];
        let Storage::Join { table, own, target } = &end.storage else {
            return Ok(Vec::new());
        };
        let other = &self.model[end.target];
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("SELECT ")
            .names(target.iter().map(String::as_str))
            .text(" FROM ")
            .name(table)
            .text(" WHERE ");
        let own = own.iter().map(String::as_str);
        equal_columns(&mut writer, "", own, key_forms(entity), key);
        writer
            .text(" ORDER BY ")
            .names(target.iter().map(String::as_str));
        if writer.is_postgres() {
            writer.text(" FOR UPDATE");
        }
        let keys = self
            .connection
            .query(writer.finish(key_forms(other).collect()))
            .await?;
        let mut ties = Vec::with_capacity(keys.len());
        for other_key in keys {
            ties.push(self.tie(entity.id, key, navigation, other_key).await?);
        }
        Ok(ties)
    }

    /// A pair with the types that its rows have.
    pub(super) async fn tie(
        &mut self,
        entity: EntityId,
        key: &[Value],
        navigation: NavigationId,
        other_key: Vec<Value>,
    ) -> Result<Tie, Failure> {
        let model = self.model;
        let other = &model[model[entity][navigation].target];
        // A specialisation has the navigations of its base in the same places.
        let actual = self.actual(&model[entity], key).await?;
        let other = self.actual(other, &other_key).await?.unwrap_or(other);
        Ok(Tie {
            entity: actual.map_or(entity, |entity| entity.id),
            key: key.to_vec(),
            navigation,
            other: other.id,
            other_key,
        })
    }

    /// Whether a pair is still there.
    pub(super) async fn is_tied(&mut self, tie: &Tie) -> Result<bool, Failure> {
        let entity = &self.model[tie.entity];
        let end = &entity[tie.navigation];
        let Storage::Join { table, own, target } = &end.storage else {
            return Ok(false);
        };
        let other = &self.model[end.target];
        let mut writer = Writer::new(self.connection.dialect());
        writer.text("SELECT 1 FROM ").name(table).text(" WHERE ");
        let own = own.iter().map(String::as_str);
        equal_columns(&mut writer, "", own, key_forms(entity), &tie.key);
        writer.text(" AND ");
        let target = target.iter().map(String::as_str);
        equal_columns(&mut writer, "", target, key_forms(other), &tie.other_key);
        let rows = self.connection.query(writer.finish(Vec::new())).await?;
        Ok(!rows.is_empty())
    }
}
