//! Operations as statements, in order, in one transaction.

use std::time::{SystemTime, UNIX_EPOCH};

use stoa_model::access::{Actor, Denial, JudgedChange, Judgement, RowJudgement};
use stoa_model::change::{Action, Applied, Change, Expected, Operation, Reference, Target};
use stoa_model::model::{AttributeId, Entity, EntityId, Model, Purpose, Storage};
use stoa_model::physical::SEQUENCE_TABLE;
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::judge::{Guarded, Lock, Pending, PendingEither, denied};
use super::source::{equal_columns, key_columns, key_forms, of_type};
use super::statement::{
    Connection, Failure, Form, Parameter, Statement, Writer, integer, parameters, text,
};
use crate::error::StoreError;
use crate::read::parameter::Arguments;
use crate::sql::demand::Judge;
use crate::sql::plan::{ROOT_ALIAS, Returning};
use crate::sql::shape::{Positions, Shape};
use crate::store::Dialect;

/// Rows of one kind from which on PostgreSQL gets them as arrays.
const BATCH: usize = 2;

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
    fn key(&self) -> Option<Vec<Value>> {
        key_columns(self.entity)
            .map(|column| {
                self.cells
                    .iter()
                    .find(|cell| cell.column == column)
                    .map(|cell| cell.value.clone())
            })
            .collect()
    }

    fn put(&mut self, cell: Cell<'m>) {
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
        }
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

    /// The row to insert with what the store adds.
    pub(super) async fn new_row(
        &mut self,
        entity: EntityId,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> Result<NewRow<'a>, Failure> {
        let entity = &self.model[entity];
        let mut row = self.cells(entity, values, references).await?;
        if let (Some(column), Some(name)) =
            (&entity.table.discriminator_column, &entity.discriminator)
        {
            row.put(Cell {
                column,
                value: Value::Text(name.clone()),
                form: Form::Text,
            });
        }
        for attribute in &entity.attributes {
            let value = match attribute.purpose {
                Purpose::Version => Value::Integer(1),
                Purpose::CreatedAt | Purpose::ChangedAt => Value::DateTime(self.now),
                Purpose::AutoNumber if self.connection.dialect() == Dialect::Sqlite => {
                    if row.cells.iter().any(|cell| cell.column == attribute.column) {
                        continue;
                    }
                    self.next_number(&entity.table.name, &attribute.column)
                        .await?
                }
                Purpose::AutoNumber | Purpose::Data | Purpose::GeneratedKey => continue,
            };
            row.put(Cell {
                column: &attribute.column,
                value,
                form: Form::of(attribute),
            });
        }
        Ok(row)
    }

    async fn next_number(&mut self, table: &str, column: &str) -> Result<Value, Failure> {
        let mut writer = Writer::new(Dialect::Sqlite);
        writer
            .text("UPDATE ")
            .name(SEQUENCE_TABLE)
            .text(" SET value = value + 1 WHERE name = ")
            .bind(Value::Text(format!("{table}.{column}")), Form::Text)
            .text(" RETURNING value");
        let rows = self
            .connection
            .query(writer.finish(vec![Form::Long]))
            .await?;
        match rows.first().and_then(|row| row.first()) {
            Some(value @ Value::Integer(_)) => Ok(value.clone()),
            _ => Err(
                StoreError::internal(format!("there is no sequence for {table}.{column}")).into(),
            ),
        }
    }

    async fn insert(
        &mut self,
        entity: EntityId,
        values: &[(AttributeId, Value)],
        references: &[Reference],
    ) -> Result<Applied, Failure> {
        let row = self.new_row(entity, values, references).await?;
        let statement = insert_statement(self.connection.dialect(), &row);
        let mut rows = self.connection.query(statement).await?;
        let key = row
            .key()
            .or_else(|| rows.pop())
            .ok_or_else(|| Failure::Error(StoreError::internal("a new row has no key")))?;
        Ok(Applied {
            key,
            entity,
            version: row.entity.version.map(|_| 1),
        })
    }

    /// Inserts a run of operations whose keys are all known before, in as few round trips as possible.
    /// Gives their number; 0 if it is not worth it.
    async fn insert_batch(&mut self, change: &Change, start: usize) -> Result<usize, Failure> {
        if self.connection.dialect() == Dialect::Sqlite {
            return Ok(0);
        }
        let run = change.operations[start..]
            .iter()
            .take_while(|operation| is_plain_insert(self.model, operation))
            .count();
        if run < BATCH {
            return Ok(0);
        }
        let statements = self
            .insert_statements(&change.operations[start..start + run], start)
            .await?;
        self.connection.all(statements).await?;
        Ok(run)
    }

    /// The whole change as statements that can be sent at once, if it only inserts rows whose keys are
    /// known before (PostgreSQL).
    pub(super) async fn statements_at_once(
        &mut self,
        change: &Change,
    ) -> Result<Option<Vec<Statement>>, Failure> {
        let plain = change
            .operations
            .iter()
            .all(|operation| is_plain_insert(self.model, operation));
        if !plain || change.operations.is_empty() {
            return Ok(None);
        }
        let mut statements = self.insert_statements(&change.operations, 0).await?;
        statements.extend(self.stops()?);
        Ok(Some(statements))
    }

    /// A change that inserts one row, as one statement that returns columns of it, named as a query names
    /// them, and fails if the row is not what it must be (PostgreSQL).
    pub(super) async fn statement_returning(
        &mut self,
        change: &Change,
        reading: Option<(&Returning, &Arguments)>,
    ) -> Result<Option<Statement>, Failure> {
        let [operation] = change.operations.as_slice() else {
            return Ok(None);
        };
        let Action::Insert {
            entity,
            values,
            references,
        } = &operation.action
        else {
            return Ok(None);
        };
        let judged = self
            .judgement(0)
            .is_some_and(|judgement| !judgement.row.after.is_empty());
        if !is_plain_insert(self.model, operation) || (reading.is_none() && !judged) {
            return Ok(None);
        }
        let row = self.new_row(*entity, values, references).await?;
        self.plan_row(&row, *entity, 0)?;
        // The columns' placeholders come first, as their plan numbers them.
        let mut writer = Writer::new(Dialect::Postgres);
        let mut returned = Vec::new();
        if let Some((returning, arguments)) = reading {
            writer.add(parameters(
                self.model,
                &returning.bindings,
                arguments,
                self.now,
            )?);
            returned.push(returning.columns.clone());
            returned.extend(returning.found.clone());
        }
        match self.stop_inside(&mut writer)? {
            Some(stop) if stop.is_empty() => {}
            Some(stop) => returned.push(stop),
            None => {
                self.pending.clear();
                self.applied.clear();
                return Ok(None);
            }
        }
        write_insert(&mut writer, &row);
        writer.text(" RETURNING ").text(&returned.join(", "));
        Ok(Some(writer.finish(Vec::new())))
    }

    /// What inserting a row with a known key will have done.
    fn plan_row(
        &mut self,
        row: &NewRow<'a>,
        entity: EntityId,
        operation: usize,
    ) -> Result<(), StoreError> {
        let key = row
            .key()
            .ok_or_else(|| StoreError::internal("a new row has no key"))?;
        if let Some(judgement) = self.judgement(operation) {
            self.judge_later(operation, entity, &key, &judgement.row.after);
        }
        self.applied.push(Some(Applied {
            key,
            entity,
            version: row.entity.version.map(|_| 1),
        }));
        Ok(())
    }

    /// Statements that insert, rows with the same columns together; nothing is sent.
    async fn insert_statements(
        &mut self,
        operations: &[Operation],
        start: usize,
    ) -> Result<Vec<Statement>, Failure> {
        let mut statements: Vec<Statement> = Vec::new();
        let mut group: Vec<NewRow<'a>> = Vec::new();
        for (position, operation) in (start..).zip(operations) {
            let Action::Insert {
                entity,
                values,
                references,
            } = &operation.action
            else {
                continue;
            };
            let row = self.new_row(*entity, values, references).await?;
            self.plan_row(&row, *entity, position)?;
            if !group.last().is_some_and(|last| alike(last, &row)) {
                flush(&mut group, &mut statements);
            }
            group.push(row);
        }
        flush(&mut group, &mut statements);
        Ok(statements)
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

/// The database makes no part of the key.
fn has_known_key(entity: &Entity) -> bool {
    !entity
        .key
        .iter()
        .any(|id| entity[*id].purpose == Purpose::AutoNumber)
}

/// Finding the referred rows takes no query.
fn is_plain(model: &Model, entity: EntityId, references: &[Reference]) -> bool {
    references.iter().all(|reference| {
        model[model[entity][reference.navigation].target]
            .base
            .is_none()
            && !matches!(
                &reference.to,
                Some(Target::Source(
                    Source::All | Source::Related { .. } | Source::Where { .. }
                ))
            )
    })
}

/// An insert that takes one statement, known before anything is sent.
fn is_plain_insert(model: &Model, operation: &Operation) -> bool {
    matches!(&operation.action, Action::Insert { entity, references, .. }
        if has_known_key(&model[*entity])
            && !model[*entity].audited
            && is_plain(model, *entity, references))
}

fn alike(left: &NewRow<'_>, right: &NewRow<'_>) -> bool {
    std::ptr::eq(left.entity, right.entity)
        && left.cells.len() == right.cells.len()
        && left
            .cells
            .iter()
            .zip(&right.cells)
            .all(|(left, right)| left.column == right.column)
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

pub(super) fn insert_statement(dialect: Dialect, row: &NewRow<'_>) -> Statement {
    let mut writer = Writer::new(dialect);
    write_insert(&mut writer, row);
    if row.key().is_some() {
        return writer.finish(Vec::new());
    }
    writer.text(" RETURNING ").names(key_columns(row.entity));
    writer.finish(key_forms(row.entity).collect())
}

fn write_insert(writer: &mut Writer, row: &NewRow<'_>) {
    writer.text("INSERT INTO ").name(&row.entity.table.name);
    if writer.is_postgres() {
        // What the row returns is named as a query names it.
        writer.text(" AS ").text(ROOT_ALIAS);
    }
    writer
        .text(" (")
        .names(row.cells.iter().map(|cell| cell.column))
        .text(") VALUES (");
    for (position, cell) in row.cells.iter().enumerate() {
        writer.text(if position > 0 { ", " } else { "" });
        writer.bind(cell.value.clone(), cell.form);
    }
    writer.text(")");
}

/// Rows with the same columns as one statement.
fn flush(group: &mut Vec<NewRow<'_>>, statements: &mut Vec<Statement>) {
    let rows = std::mem::take(group);
    let [first, rest @ ..] = rows.as_slice() else {
        return;
    };
    if rest.is_empty() {
        statements.push(insert_statement(Dialect::Postgres, first));
        return;
    }
    let mut writer = Writer::new(Dialect::Postgres);
    writer
        .text("INSERT INTO ")
        .name(&first.entity.table.name)
        .text(" (");
    writer
        .names(first.cells.iter().map(|cell| cell.column))
        .text(") SELECT * FROM unnest(");
    for (position, cell) in first.cells.iter().enumerate() {
        let values = rows
            .iter()
            .filter_map(|row| row.cells.get(position))
            .map(|cell| cell.value.clone())
            .collect();
        writer.text(if position > 0 { ", " } else { "" });
        writer
            .parameter(Parameter::Many(values))
            .text("::")
            .text(cell.form.array_type());
    }
    writer.text(")");
    statements.push(writer.finish(Vec::new()));
}
