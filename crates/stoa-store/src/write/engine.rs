//! Operations as statements, in order, in one transaction.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use stoa_model::access::{Actor, Denial, JudgedChange, Judgement, RowJudgement};
use stoa_model::change::{Action, Applied, Change, Expected, Reference, Target};
use stoa_model::model::{AttributeId, Entity, EntityId, Model, Purpose, Storage};
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::judge::{Guarded, Lock, Pending, PendingEither, denied};
use super::source::{equal_columns, key_columns, key_forms, of_type};
use super::statement::{Connection, Failure, Form, Statement, Writer, integer, parameters, text};
use crate::error::StoreError;
use crate::read::parameter::Arguments;
use crate::sql::demand::{Judge, Texts};
use crate::sql::shape::{Positions, Shape};

/// A write in progress.
pub(super) struct Engine<'a, C> {
    pub(super) model: &'a Model,
    pub(super) connection: &'a mut C,
    /// Microseconds since the Unix epoch: the instant of every row that this change touches.
    pub(super) now: i64,
    pub(super) applied: Vec<Option<Applied>>,
    /// One for each operation, or none at all.
    pub(super) judgements: &'a [Judgement],
    /// What must be true when all operations are done.
    pub(super) pending: Vec<Pending<'a>>,
    pub(super) pending_either: Vec<PendingEither<'a>>,
    /// Who does it.
    pub(super) actor: Option<&'a Actor>,
    /// What judgements have been put into before, and the model as it is known there.
    pub(super) texts: Option<(&'a Texts, &'a Arc<Model>)>,
}

/// A column and its new value.
#[derive(Clone, Debug)]
pub(super) struct Cell<'m> {
    pub(super) column: &'m str,
    pub(super) value: Value,
    pub(super) form: Form,
}

/// What became of an update.
enum Updated {
    /// No row fits.
    Absent,
    /// The user does not see the row.
    Invisible,
    Done(Applied),
}

/// A row to insert.
pub(super) struct NewRow<'m> {
    pub(super) entity: &'m Entity,
    pub(super) cells: Vec<Cell<'m>>,
}

impl<'m> NewRow<'m> {
    /// The key, unless the database makes it.
    pub(super) fn key(&self) -> Option<Vec<Value>> {
        key_columns(self.entity)
            .map(|column| {
                self.cells
                    .iter()
                    .find(|cell| cell.column == column)
                    .map(|cell| cell.value.clone())
            })
            .collect()
    }

    pub(super) fn put(&mut self, cell: Cell<'m>) {
        match self
            .cells
            .iter_mut()
            .find(|other| other.column == cell.column)
        {
            Some(other) => *other = cell,
            None => self.cells.push(cell),
        }
    }
}

pub(super) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or_default()
}

impl<'a, C: Connection> Engine<'a, C> {
    pub(super) fn new(model: &'a Model, connection: &'a mut C, change: &'a JudgedChange) -> Self {
        Self {
            model,
            connection,
            now: now(),
            applied: Vec::new(),
            judgements: &change.judgements,
            pending: Vec::new(),
            pending_either: Vec::new(),
            actor: change.actor.as_ref(),
            texts: None,
        }
    }

    /// Makes use of texts that were made for earlier changes.
    pub(super) fn with_texts(mut self, texts: &'a Texts, model: &'a Arc<Model>) -> Self {
        self.texts = Some((texts, model));
        self
    }

    /// Applies all operations and judges what came of them; stops at the first that fails.
    pub(super) async fn run(&mut self, change: &Change) -> Result<(), Failure> {
        self.apply(change).await?;
        self.judge_after().await
    }

    /// Applies all operations; what must be true then is still to be judged.
    pub(super) async fn apply(&mut self, change: &Change) -> Result<(), Failure> {
        let mut position = 0;
        while position < change.operations.len() {
            let batch = self.insert_batch(change, position).await?;
            if batch > 0 {
                position += batch;
                continue;
            }
            let applied = self.one_recorded(change, position).await?;
            self.applied.push(Some(applied));
            position += 1;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Applied> {
        self.applied.into_iter().flatten().collect()
    }

    /// Applies one operation.
    pub(super) async fn one(
        &mut self,
        change: &Change,
        position: usize,
    ) -> Result<Applied, Failure> {
        let Some(operation) = change.operations.get(position) else {
            return Err(StoreError::internal("no such operation").into());
        };
        match &operation.action {
            Action::Insert {
                entity,
                values,
                references,
            } => {
                let applied = self.insert(*entity, values, references).await?;
                if let Some(judgement) = self.judgement(position) {
                    self.judge_later(position, *entity, &applied.key, &judgement.row.after);
                }
                Ok(applied)
            }
            Action::Update {
                entity,
                target,
                expected,
                values,
                references,
            } => {
                let key = self.key_of(position, *entity, target).await?;
                let updated = self
                    .update(position, *entity, &key, expected, values, references)
                    .await?;
                match updated {
                    Updated::Done(applied) => Ok(applied),
                    Updated::Invisible => Err(StoreError::NotFound {
                        operation: position,
                    }
                    .into()),
                    Updated::Absent => Err(self.why_not(position, *entity, &key).await?),
                }
            }
            Action::Delete {
                entity,
                target,
                expected,
            } => self.delete(position, *entity, target, expected).await,
            Action::Upsert {
                entity,
                target,
                insert,
                update,
                references,
            } => {
                if let Some(key) = self.find(*entity, target).await? {
                    let any = &Expected::Any;
                    match self
                        .update(position, *entity, &key, any, update, references)
                        .await?
                    {
                        Updated::Done(applied) => return Ok(applied),
                        Updated::Invisible => return Err(denied(position, &Denial::Update)),
                        Updated::Absent => {}
                    }
                }
                let applied = self.insert(*entity, insert, references).await?;
                if let Some(judgement) = self.judgement(position) {
                    self.judge_later(position, *entity, &applied.key, &judgement.inserted);
                }
                Ok(applied)
            }
            Action::Retain {
                entity,
                from,
                navigation,
                keep,
            } => {
                self.retain(position, *entity, from, *navigation, keep)
                    .await
            }
            Action::Link {
                entity,
                from,
                navigation,
                to,
            } => self.link(position, *entity, from, *navigation, to).await,
            Action::Unlink {
                entity,
                from,
                navigation,
                to,
            } => {
                self.unlink(position, *entity, from, *navigation, to.as_ref())
                    .await
            }
        }
    }

    /// Key of the row that a target names; none if a path leads nowhere. A row named by its key is not
    /// looked for.
    pub(super) async fn find(
        &mut self,
        entity: EntityId,
        target: &Target,
    ) -> Result<Option<Vec<Value>>, Failure> {
        match target {
            Target::Key(key) | Target::Source(Source::Key(key)) => Ok(Some(key.clone())),
            Target::Inserted(position) => Ok(self
                .applied
                .get(*position)
                .and_then(Option::as_ref)
                .map(|applied| applied.key.clone())),
            Target::Source(source) => {
                let statement = self.keys_of(entity, source)?;
                let mut rows = self.connection.query(statement).await?;
                if rows.len() > 1 {
                    return Err(StoreError::internal(
                        "a path that should lead to one row leads to several",
                    )
                    .into());
                }
                Ok(rows.pop())
            }
        }
    }

    fn keys_of(&self, entity: EntityId, source: &Source) -> Result<Statement, StoreError> {
        let dialect = self.connection.dialect();
        let shape = Shape::of_source(dialect, source);
        let arguments = Arguments::new(&shape.arguments)?;
        let positions = Positions::of(&shape.arguments);
        let judge = Judge {
            model: self.model,
            dialect,
            positions: &positions,
            offset: 0,
        };
        let (sql, bindings) = judge.keys(entity, source)?;
        let mut writer = Writer::new(dialect);
        writer
            .text(&sql)
            .add(parameters(self.model, &bindings, &arguments, self.now)?);
        Ok(writer.finish(key_forms(&self.model[entity]).collect()))
    }

    pub(super) async fn key_of(
        &mut self,
        operation: usize,
        entity: EntityId,
        target: &Target,
    ) -> Result<Vec<Value>, Failure> {
        self.find(entity, target)
            .await?
            .ok_or(Failure::Error(StoreError::NotFound { operation }))
    }

    /// Cells of attributes and references. A reference to nothing that can be found is null: the caller of
    /// [`super::diagnosis`] tells it apart.
    pub(super) async fn cells(
        &mut self,
        entity: &'a Entity,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> Result<NewRow<'a>, Failure> {
        let mut row = NewRow {
            entity,
            cells: Vec::with_capacity(values.len() + references.len() + 4),
        };
        for (id, value) in values {
            let attribute = &entity[*id];
            row.cells.push(Cell {
                column: &attribute.column,
                value: value.clone(),
                form: Form::of(attribute),
            });
        }
        for reference in references {
            let navigation = &entity[reference.navigation];
            let Storage::Own(columns) = &navigation.storage else {
                return Err(StoreError::internal("a reference that is kept elsewhere").into());
            };
            let target = &self.model[navigation.target];
            let key = match &reference.to {
                None => None,
                Some(to) => Some(self.find(navigation.target, to).await?.ok_or_else(|| {
                    Failure::Refused(super::statement::Refusal::Reference {
                        table: String::new(),
                        constraint: String::new(),
                    })
                })?),
            };
            for (position, (column, form)) in columns.iter().zip(key_forms(target)).enumerate() {
                let value = key
                    .as_ref()
                    .and_then(|key| key.get(position).cloned())
                    .unwrap_or(Value::Null);
                row.put(Cell {
                    column: &column.column,
                    value,
                    form,
                });
            }
            if let Some(key) = key
                && target.base.is_some()
            {
                self.check_type(target, &key).await?;
            }
        }
        Ok(row)
    }

    /// The foreign key only says that there is a row; this says that it is of the right entity.
    async fn check_type(&mut self, target: &Entity, key: &[Value]) -> Result<(), Failure> {
        if self.exists(target, key).await? {
            Ok(())
        } else {
            Err(Failure::Refused(super::statement::Refusal::Reference {
                table: String::new(),
                constraint: String::new(),
            }))
        }
    }

    /// Whether there is a row of this entity with this key.
    pub(super) async fn exists(&mut self, entity: &Entity, key: &[Value]) -> Result<bool, Failure> {
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("SELECT 1 FROM ")
            .name(&entity.table.name)
            .text(" WHERE ");
        equal_columns(&mut writer, "", key_columns(entity), key_forms(entity), key);
        of_type(&mut writer, self.model, "", entity);
        let rows = self.connection.query(writer.finish(Vec::new())).await?;
        Ok(!rows.is_empty())
    }

    /// Changes a row, if the user may.
    async fn update(
        &mut self,
        operation: usize,
        entity: EntityId,
        key: &[Value],
        expected: &Expected,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> Result<Updated, Failure> {
        let described = &self.model[entity];
        let judgement = self.judgement(operation).map(|judgement| &judgement.row);
        let row = match (self.cells(described, values, references).await, judgement) {
            (Ok(row), _) => row,
            // Whoever does not see the row hears nothing about its references.
            (Err(failure @ Failure::Refused(_)), Some(judgement)) => {
                self.judge(operation, entity, key, judgement, Lock::Keep, None)
                    .await?;
                return Err(failure);
            }
            (Err(failure), _) => return Err(failure),
        };
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("UPDATE ")
            .name(&described.table.name)
            .text(" SET ");
        let mut first = true;
        for cell in &row.cells {
            if !first {
                writer.text(", ");
            }
            first = false;
            writer
                .name(cell.column)
                .text(" = ")
                .bind(cell.value.clone(), cell.form);
        }
        touch(&mut writer, described, self.now, &mut first);
        if first {
            // Nothing to set: a table without version and no values. Its key stays as it is.
            let column = key_columns(described).next().unwrap_or_default();
            writer.name(column).text(" = ").name(column);
        }
        writer.text(" WHERE ");
        equal_columns(
            &mut writer,
            "",
            key_columns(described),
            key_forms(described),
            key,
        );
        of_type(&mut writer, self.model, "", described);
        expect(&mut writer, described, expected);
        let returns = returning(&mut writer, described);
        let statement = writer.finish(returns);
        let rows = match self
            .guarded(operation, described, key, judgement, statement)
            .await?
        {
            Guarded::Absent => return Ok(Updated::Absent),
            Guarded::Invisible => return Ok(Updated::Invisible),
            Guarded::Done(rows) => rows,
        };
        let Some(row) = rows.first() else {
            return Ok(Updated::Absent);
        };
        let applied = self.applied_row(described, key, row);
        if let Some(RowJudgement { after, .. }) = judgement {
            self.judge_later(operation, entity, key, after);
        }
        Ok(Updated::Done(applied))
    }

    fn applied_row(&self, entity: &Entity, key: &[Value], row: &[Value]) -> Applied {
        let name = text(row.first());
        let actual = std::iter::once(entity)
            .chain(entity.specialisations.iter().map(|id| &self.model[*id]))
            .find(|entity| entity.discriminator.as_deref() == name)
            .unwrap_or(entity);
        Applied {
            key: key.to_vec(),
            entity: actual.id,
            version: integer(row.get(1)),
        }
    }

    /// Why no row fitted.
    async fn why_not(
        &mut self,
        operation: usize,
        entity: EntityId,
        key: &[Value],
    ) -> Result<Failure, Failure> {
        let entity = &self.model[entity];
        let mut writer = Writer::new(self.connection.dialect());
        writer.text("SELECT ");
        match entity.version {
            Some(version) => writer.name(&entity[version].column),
            None => writer.text("NULL"),
        };
        writer
            .text(" FROM ")
            .name(&entity.table.name)
            .text(" WHERE ");
        equal_columns(&mut writer, "", key_columns(entity), key_forms(entity), key);
        of_type(&mut writer, self.model, "", entity);
        let returns = if entity.version.is_some() {
            vec![Form::Long]
        } else {
            Vec::new()
        };
        let rows = self.connection.query(writer.finish(returns)).await?;
        Ok(Failure::Error(match rows.first() {
            None => StoreError::NotFound { operation },
            Some(row) => StoreError::VersionMismatch {
                operation,
                current: integer(row.first()),
            },
        }))
    }

    async fn delete(
        &mut self,
        position: usize,
        entity: EntityId,
        target: &Target,
        expected: &Expected,
    ) -> Result<Applied, Failure> {
        let key = self.key_of(position, entity, target).await?;
        if let Some(judgement) = self.judgement(position) {
            self.judge(position, entity, &key, &judgement.row, Lock::Delete, None)
                .await?;
        }
        let described = &self.model[entity];
        self.release_external(described, &key).await?;
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("DELETE FROM ")
            .name(&described.table.name)
            .text(" WHERE ");
        equal_columns(
            &mut writer,
            "",
            key_columns(described),
            key_forms(described),
            &key,
        );
        of_type(&mut writer, self.model, "", described);
        expect(&mut writer, described, expected);
        let returns = returning(&mut writer, described);
        let rows = self.connection.query(writer.finish(returns)).await?;
        match rows.first() {
            Some(row) => Ok(Applied {
                version: None,
                ..self.applied_row(described, &key, row)
            }),
            None => Err(self.why_not(position, entity, &key).await?),
        }
    }
}

/// Version and instant of the change.
pub(super) fn touch(writer: &mut Writer, entity: &Entity, now: i64, first: &mut bool) {
    for attribute in &entity.attributes {
        match attribute.purpose {
            Purpose::Version => {
                writer.text(if *first { "" } else { ", " });
                writer
                    .name(&attribute.column)
                    .text(" = ")
                    .name(&attribute.column)
                    .text(" + 1");
            }
            Purpose::ChangedAt => {
                writer.text(if *first { "" } else { ", " });
                writer
                    .name(&attribute.column)
                    .text(" = ")
                    .bind(Value::DateTime(now), Form::DateTime);
            }
            _ => continue,
        }
        *first = false;
    }
}

fn expect(writer: &mut Writer, entity: &Entity, expected: &Expected) {
    let (Expected::OneOf(versions), Some(version)) = (expected, entity.version) else {
        return;
    };
    writer
        .text(" AND ")
        .name(&entity[version].column)
        .text(" IN (");
    for (position, version) in versions.iter().enumerate() {
        writer.text(if position > 0 { ", " } else { "" });
        writer.bind(Value::Integer(*version), Form::Long);
    }
    if versions.is_empty() {
        writer.text("NULL");
    }
    writer.text(")");
}

/// Type and version of the row come back.
fn returning(writer: &mut Writer, entity: &Entity) -> Vec<Form> {
    writer.text(" RETURNING ");
    match &entity.table.discriminator_column {
        Some(column) => writer.name(column),
        None => writer.text("NULL"),
    };
    writer.text(", ");
    match entity.version {
        Some(version) => writer.name(&entity[version].column),
        None => writer.text("NULL"),
    };
    vec![Form::Text, Form::Long]
}
