//! Operations on the ends of associations: links, contained rows, and what a delete does to external tables.

use std::collections::HashSet;

use stoa_model::access::Judgement;
use stoa_model::change::{Applied, Rule, Target, Violation};
use stoa_model::model::{Entity, EntityId, NavigationId, OnDelete, Storage};
use stoa_model::value::Value;

use super::audit::Tied;
use super::engine::{Engine, touch};
use super::judge::{Lock, Which, denied};
use super::source::{equal_columns, key_columns, key_forms};
use super::statement::{Connection, Failure, Form, Refusal, Statement, Writer};
use crate::error::StoreError;

impl<'a, C: Connection> Engine<'a, C> {
    /// Does for external tables what our own foreign keys do by themselves: contained and dependent rows go,
    /// references are cleared, joins end.
    pub(super) async fn release_external(
        &mut self,
        entity: &'a Entity,
        key: &[Value],
    ) -> Result<(), Failure> {
        let mut todo = vec![(entity, key.to_vec())];
        let mut deletes = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        while let Some((entity, key)) = todo.pop() {
            for navigation in &entity.navigations {
                let target = &self.model[navigation.target];
                match &navigation.storage {
                    Storage::Join { table, own, .. }
                        if entity.table.external && target.table.external =>
                    {
                        let mut writer = Writer::new(self.connection.dialect());
                        writer.text("DELETE FROM ").name(table).text(" WHERE ");
                        equal_columns(
                            &mut writer,
                            "",
                            own.iter().map(String::as_str),
                            key_forms(entity),
                            &key,
                        );
                        deletes.push(writer.finish(Vec::new()));
                    }
                    Storage::Target(columns) if target.table.external || entity.table.external => {
                        let columns = columns.iter().map(|column| column.column.as_str());
                        let clear = navigation.on_delete == OnDelete::Clear;
                        let cascade =
                            navigation.contained || navigation.on_delete == OnDelete::Cascade;
                        if !clear && !cascade {
                            continue;
                        }
                        let mut writer = Writer::new(self.connection.dialect());
                        if clear {
                            writer
                                .text("UPDATE ")
                                .name(&target.table.name)
                                .text(" SET ");
                            for (position, column) in columns.clone().enumerate() {
                                writer
                                    .text(if position > 0 { ", " } else { "" })
                                    .name(column)
                                    .text(" = NULL");
                            }
                        } else {
                            for child in self
                                .keys_where(target, columns.clone(), entity, &key)
                                .await?
                            {
                                // A row that refers to itself, or rows in a circle, are met once.
                                if seen.insert(format!("{}{child:?}", target.name)) {
                                    todo.push((target, child));
                                }
                            }
                            writer.text("DELETE FROM ").name(&target.table.name);
                        }
                        writer.text(" WHERE ");
                        equal_columns(&mut writer, "", columns, key_forms(entity), &key);
                        deletes.push(writer.finish(Vec::new()));
                    }
                    _ => {}
                }
            }
        }
        // The deepest first.
        for statement in deletes.into_iter().rev() {
            self.connection.query(statement).await?;
        }
        Ok(())
    }

    /// Keys of the rows of `target` whose `columns` hold the key of a row of `entity`.
    async fn keys_where<'c>(
        &mut self,
        target: &Entity,
        columns: impl Iterator<Item = &'c str>,
        entity: &Entity,
        key: &[Value],
    ) -> Result<Vec<Vec<Value>>, Failure> {
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("SELECT ")
            .names(key_columns(target))
            .text(" FROM ")
            .name(&target.table.name)
            .text(" WHERE ");
        equal_columns(&mut writer, "", columns, key_forms(entity), key);
        self.connection
            .query(writer.finish(key_forms(target).collect()))
            .await
    }

    pub(super) async fn retain(
        &mut self,
        position: usize,
        entity: EntityId,
        from: &Target,
        navigation: NavigationId,
        keep: &[Vec<Value>],
    ) -> Result<Applied, Failure> {
        let key = self.key_of(position, entity, from).await?;
        let described = &self.model[entity];
        let target = &self.model[described[navigation].target];
        let Storage::Target(columns) = &described[navigation].storage else {
            return Err(StoreError::internal("contained rows that are kept elsewhere").into());
        };
        let columns: Vec<&str> = columns
            .iter()
            .map(|column| column.column.as_str())
            .collect();
        if let Some(judgement) = self.judgement(position) {
            self.retain_judged(position, (entity, navigation), &key, keep, judgement)
                .await?;
            return Ok(Applied {
                key,
                entity,
                version: None,
            });
        }
        if target.table.external {
            for child in self
                .keys_where(target, columns.iter().copied(), described, &key)
                .await?
            {
                if !keep.contains(&child) {
                    self.release_external(target, &child).await?;
                }
            }
        }
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("DELETE FROM ")
            .name(&target.table.name)
            .text(" WHERE ");
        equal_columns(
            &mut writer,
            "",
            columns.iter().copied(),
            key_forms(described),
            &key,
        );
        for kept in keep {
            writer.text(" AND NOT (");
            equal_columns(
                &mut writer,
                "",
                key_columns(target),
                key_forms(target),
                kept,
            );
            writer.text(")");
        }
        self.connection.query(writer.finish(Vec::new())).await?;
        Ok(Applied {
            key,
            entity,
            version: None,
        })
    }

    /// Only rows that the user sees are deleted, each if the user may.
    async fn retain_judged(
        &mut self,
        position: usize,
        (entity, navigation): (EntityId, NavigationId),
        key: &[Value],
        keep: &[Vec<Value>],
        judgement: &'a Judgement,
    ) -> Result<(), Failure> {
        self.judge(position, entity, key, &judgement.row, Lock::Keep, None)
            .await?;
        let target = &self.model[self.model[entity][navigation].target];
        let which = Which::Targets {
            entity,
            navigation,
            key,
            keep,
        };
        let found = self
            .judge_targets(
                position,
                target.id,
                which,
                &judgement.other,
                Lock::Delete,
                None,
            )
            .await?;
        let mut deletes = Vec::with_capacity(found.len());
        for (child, _) in &found {
            self.release_external(target, child).await?;
            let mut writer = Writer::new(self.connection.dialect());
            writer
                .text("DELETE FROM ")
                .name(&target.table.name)
                .text(" WHERE ");
            equal_columns(
                &mut writer,
                "",
                key_columns(target),
                key_forms(target),
                child,
            );
            deletes.push(writer.finish(Vec::new()));
        }
        self.connection.all(deletes).await?;
        self.judge_later(position, entity, key, &judgement.row.after);
        Ok(())
    }

    /// Judges the two ends of a link; a row that the user does not see is not there. Of a row that is `new`
    /// with the same change there is nothing to judge before.
    async fn judge_ends(
        &mut self,
        position: usize,
        (entity, key): (EntityId, &[Value]),
        navigation: NavigationId,
        other: &[Value],
        new: [bool; 2],
        missing: impl FnOnce() -> Failure,
    ) -> Result<(), Failure> {
        let Some(judgement) = self.judgement(position) else {
            return Ok(());
        };
        let end = &self.model[entity][navigation];
        let lock = match end.storage {
            Storage::Target(_) => Lock::Change,
            Storage::Own(_) | Storage::Join { .. } => Lock::Keep,
        };
        let either = judgement.either.as_ref();
        let from = either.and_then(|either| either.from.as_ref());
        let to = either.and_then(|either| either.to.as_ref());
        let first = new[0]
            || self
                .judge(position, entity, key, &judgement.row, Lock::Keep, from)
                .await?;
        let second = new[1]
            || self
                .judge(position, end.target, other, &judgement.other, lock, to)
                .await
                .map_err(|failure| match failure {
                    Failure::Error(StoreError::NotFound { .. }) => missing(),
                    failure => failure,
                })?;
        if let Some(either) = either
            && !(first || second)
        {
            return Err(denied(position, &either.denial));
        }
        // Beside a new row, an end whose condition did not hold before has no say: else a connection could
        // allow itself.
        let counts = if new == [false; 2] {
            [true; 2]
        } else {
            [first, second]
        };
        let (from, to) = ((entity, key), (end.target, other));
        self.judge_ends_later(position, from, to, judgement, counts);
        Ok(())
    }

    fn judge_ends_later(
        &mut self,
        position: usize,
        from: (EntityId, &[Value]),
        to: (EntityId, &[Value]),
        judgement: &'a Judgement,
        counts: [bool; 2],
    ) {
        self.judge_later(position, from.0, from.1, &judgement.row.after);
        self.judge_later(position, to.0, to.1, &judgement.other.after);
        self.judge_either_later(position, from, to, judgement.either.as_ref(), counts);
    }

    /// Which rows are disconnected when all are: those that the user sees, each if the user may.
    async fn judge_all_ends(
        &mut self,
        position: usize,
        (entity, key): (EntityId, &[Value]),
        navigation: NavigationId,
        judgement: &'a Judgement,
    ) -> Result<Vec<Vec<Value>>, Failure> {
        let target = self.model[entity][navigation].target;
        let either = judgement.either.as_ref();
        let from = either.and_then(|either| either.from.as_ref());
        let to = either.and_then(|either| either.to.as_ref());
        let first = self
            .judge(position, entity, key, &judgement.row, Lock::Keep, from)
            .await?;
        let which = Which::Targets {
            entity,
            navigation,
            key,
            keep: &[],
        };
        let found = self
            .judge_targets(position, target, which, &judgement.other, Lock::Change, to)
            .await?;
        let mut others = Vec::with_capacity(found.len());
        for (other, second) in found {
            if let Some(either) = either
                && !(first || second)
            {
                return Err(denied(position, &either.denial));
            }
            let (from, to) = ((entity, key), (target, other.as_slice()));
            self.judge_ends_later(position, from, to, judgement, [true; 2]);
            others.push(other);
        }
        Ok(others)
    }

    pub(super) async fn link(
        &mut self,
        position: usize,
        entity: EntityId,
        from: &Target,
        navigation: NavigationId,
        to: &Target,
    ) -> Result<Applied, Failure> {
        let key = self.key_of(position, entity, from).await?;
        let described = &self.model[entity];
        if !self.exists(described, &key).await? {
            return Err(StoreError::NotFound {
                operation: position,
            }
            .into());
        }
        let end = &described[navigation];
        let target = &self.model[end.target];
        let missing = || {
            Failure::Refused(Refusal::Reference {
                table: String::new(),
                constraint: String::new(),
            })
        };
        let other = match self.find(end.target, to).await? {
            Some(other) if self.exists(target, &other).await? => other,
            _ => {
                // Whoever does not see the row hears nothing of the other one.
                if let Some(judgement) = self.judgement(position) {
                    self.judge(position, entity, &key, &judgement.row, Lock::Keep, None)
                        .await?;
                }
                return Err(missing());
            }
        };
        let new = [from, to].map(|end| matches!(end, Target::Inserted(_)));
        self.judge_ends(position, (entity, &key), navigation, &other, new, missing)
            .await?;
        let mut writer = Writer::new(self.connection.dialect());
        let mut returns = Vec::new();
        match &end.storage {
            Storage::Own(_) => {
                return Err(StoreError::internal("a link that is kept in the row itself").into());
            }
            Storage::Target(columns) => {
                writer
                    .text("UPDATE ")
                    .name(&target.table.name)
                    .text(" SET ");
                let mut first = true;
                for ((column, form), value) in columns.iter().zip(key_forms(described)).zip(&key) {
                    writer.text(if first { "" } else { ", " });
                    writer
                        .name(&column.column)
                        .text(" = ")
                        .bind(value.clone(), form);
                    first = false;
                }
                touch(&mut writer, target, self.now, &mut first);
                writer.text(" WHERE ");
                equal_columns(
                    &mut writer,
                    "",
                    key_columns(target),
                    key_forms(target),
                    &other,
                );
                writer.text(" AND NOT (");
                for (position, ((column, form), value)) in columns
                    .iter()
                    .zip(key_forms(described))
                    .zip(&key)
                    .enumerate()
                {
                    writer.text(if position > 0 { " AND " } else { "" });
                    let same = if writer.is_postgres() {
                        " IS NOT DISTINCT FROM "
                    } else {
                        " IS "
                    };
                    writer
                        .name(&column.column)
                        .text(same)
                        .bind(value.clone(), form);
                }
                writer.text(")");
            }
            Storage::Join {
                table,
                own,
                target: others,
            } => {
                let cells: Vec<(&str, Form, &Value)> = own
                    .iter()
                    .zip(key_forms(described))
                    .zip(&key)
                    .chain(others.iter().zip(key_forms(target)).zip(&other))
                    .map(|((column, form), value)| (column.as_str(), form, value))
                    .collect();
                writer.text("INSERT INTO ").name(table).text(" (");
                writer
                    .names(cells.iter().map(|(column, _, _)| *column))
                    .text(") VALUES (");
                for (position, (_, form, value)) in cells.iter().enumerate() {
                    writer.text(if position > 0 { ", " } else { "" });
                    writer.bind((*value).clone(), *form);
                }
                // Nothing comes back if they were connected already.
                writer
                    .text(") ON CONFLICT DO NOTHING RETURNING ")
                    .names(others.iter().map(String::as_str));
                returns.extend(key_forms(target));
            }
        }
        let pairs = self.connection.query(writer.finish(returns)).await?;
        self.record_pairs(Tied::Made, (entity, &key), navigation, pairs)
            .await?;
        Ok(Applied {
            key,
            entity,
            version: None,
        })
    }

    pub(super) async fn unlink(
        &mut self,
        position: usize,
        entity: EntityId,
        from: &Target,
        navigation: NavigationId,
        to: Option<&Target>,
    ) -> Result<Applied, Failure> {
        let key = self.key_of(position, entity, from).await?;
        let described = &self.model[entity];
        if !self.exists(described, &key).await? {
            return Err(StoreError::NotFound {
                operation: position,
            }
            .into());
        }
        let end = &described[navigation];
        let mut statements = Vec::new();
        match (to, self.judgement(position)) {
            (Some(to), _) => {
                let other = self.key_of(position, end.target, to).await?;
                let missing = || {
                    Failure::Error(StoreError::NotFound {
                        operation: position,
                    })
                };
                self.judge_ends(
                    position,
                    (entity, &key),
                    navigation,
                    &other,
                    [false; 2],
                    missing,
                )
                .await?;
                self.keep_required(position, entity, navigation, &key, Some(&other))
                    .await?;
                statements.push(self.disconnect(entity, navigation, &key, Some(&other))?);
            }
            (None, Some(judgement)) => {
                for other in self
                    .judge_all_ends(position, (entity, &key), navigation, judgement)
                    .await?
                {
                    self.keep_required(position, entity, navigation, &key, Some(&other))
                        .await?;
                    statements.push(self.disconnect(entity, navigation, &key, Some(&other))?);
                }
            }
            (None, None) => {
                self.keep_required(position, entity, navigation, &key, None)
                    .await?;
                statements.push(self.disconnect(entity, navigation, &key, None)?);
            }
        }
        if self.records_pairs(entity, navigation) {
            for statement in statements {
                let pairs = self.connection.query(statement).await?;
                self.record_pairs(Tied::Ended, (entity, &key), navigation, pairs)
                    .await?;
            }
        } else {
            self.connection.all(statements).await?;
        }
        Ok(Applied {
            key,
            entity,
            version: None,
        })
    }

    /// Whether pairs are recorded: changes of one of their ends are. A row that refers to another by itself
    /// is recorded as a row.
    fn records_pairs(&self, entity: EntityId, navigation: NavigationId) -> bool {
        let end = &self.model[entity][navigation];
        matches!(end.storage, Storage::Join { .. })
            && (self.is_recorded(entity) || self.is_recorded(end.target))
    }

    async fn record_pairs(
        &mut self,
        tied: Tied,
        (entity, key): (EntityId, &[Value]),
        navigation: NavigationId,
        others: Vec<Vec<Value>>,
    ) -> Result<(), Failure> {
        if !self.records_pairs(entity, navigation) {
            return Ok(());
        }
        for other in others {
            let tie = self.tie(entity, key, navigation, other).await?;
            self.record_tie(tied, &tie).await?;
        }
        Ok(())
    }

    /// Refuses to take away a reference that is required. The table alone would not: the columns of a
    /// specialisation are null in rows of others.
    async fn keep_required(
        &mut self,
        position: usize,
        entity: EntityId,
        navigation: NavigationId,
        key: &[Value],
        other: Option<&[Value]>,
    ) -> Result<(), Failure> {
        let described = &self.model[entity];
        let end = &described[navigation];
        let target = &self.model[end.target];
        let back = &target[end.partner];
        let Storage::Target(columns) = &end.storage else {
            return Ok(());
        };
        if !back.required {
            return Ok(());
        }
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("SELECT 1 FROM ")
            .name(&target.table.name)
            .text(" WHERE ");
        let names = columns.iter().map(|column| column.column.as_str());
        equal_columns(&mut writer, "", names, key_forms(described), key);
        if let Some(other) = other {
            writer.text(" AND ");
            let names = key_columns(target);
            equal_columns(&mut writer, "", names, key_forms(target), other);
        }
        writer.text(" LIMIT 1");
        let rows = self.connection.query(writer.finish(Vec::new())).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let member = back.name.clone().unwrap_or_default();
        Err(StoreError::Violations(vec![Violation {
            operation: position,
            rule: Rule::Required { member },
        }])
        .into())
    }

    /// Disconnects a row from another, or from all. Of a table of pairs the keys of the others come back.
    fn disconnect(
        &self,
        entity: EntityId,
        navigation: NavigationId,
        key: &[Value],
        other: Option<&[Value]>,
    ) -> Result<Statement, StoreError> {
        let described = &self.model[entity];
        let end = &described[navigation];
        let target = &self.model[end.target];
        let mut writer = Writer::new(self.connection.dialect());
        let mut returns = Vec::new();
        match &end.storage {
            Storage::Own(_) => {
                return Err(StoreError::internal(
                    "a link that is kept in the row itself",
                ));
            }
            Storage::Target(columns) => {
                writer
                    .text("UPDATE ")
                    .name(&target.table.name)
                    .text(" SET ");
                let mut first = true;
                for column in columns {
                    writer
                        .text(if first { "" } else { ", " })
                        .name(&column.column)
                        .text(" = NULL");
                    first = false;
                }
                touch(&mut writer, target, self.now, &mut first);
                writer.text(" WHERE ");
                let names = columns.iter().map(|column| column.column.as_str());
                equal_columns(&mut writer, "", names, key_forms(described), key);
                if let Some(other) = other {
                    writer.text(" AND ");
                    equal_columns(
                        &mut writer,
                        "",
                        key_columns(target),
                        key_forms(target),
                        other,
                    );
                }
            }
            Storage::Join {
                table,
                own,
                target: others,
            } => {
                writer.text("DELETE FROM ").name(table).text(" WHERE ");
                equal_columns(
                    &mut writer,
                    "",
                    own.iter().map(String::as_str),
                    key_forms(described),
                    key,
                );
                if let Some(other) = other {
                    writer.text(" AND ");
                    let names = others.iter().map(String::as_str);
                    equal_columns(&mut writer, "", names, key_forms(target), other);
                }
                writer
                    .text(" RETURNING ")
                    .names(others.iter().map(String::as_str));
                returns.extend(key_forms(target));
            }
        }
        Ok(writer.finish(returns))
    }
}
