//! New rows: one by one, many in one statement, or as a whole transaction that is sent at once.

use stoa_model::change::{Action, Applied, Change, Operation, Reference, Target};
use stoa_model::model::{AttributeId, Entity, EntityId, Model, Purpose};
use stoa_model::physical::SEQUENCE_TABLE;
use stoa_model::query::Source;
use stoa_model::value::Value;

use super::engine::{Cell, Engine, NewRow};
use super::source::{key_columns, key_forms};
use super::statement::{Connection, Failure, Form, Parameter, Statement, Writer, parameters};
use crate::error::StoreError;
use crate::read::parameter::Arguments;
use crate::sql::plan::{ROOT_ALIAS, Returning};
use crate::store::Dialect;

/// Rows of one kind from which on PostgreSQL gets them as arrays.
const BATCH: usize = 2;

impl<'a, C: Connection> Engine<'a, C> {
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

    pub(super) async fn insert(
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
    pub(super) async fn insert_batch(
        &mut self,
        change: &Change,
        start: usize,
    ) -> Result<usize, Failure> {
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
    /// them, and fails if the row is not what it must be (PostgreSQL). `first` is inserted before.
    pub(super) async fn statement_returning(
        &mut self,
        change: &Change,
        reading: Option<(&Returning, &Arguments)>,
        first: Option<&NewRow<'_>>,
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
        let is_more = reading.is_some() || judged || first.is_some();
        if !is_plain_insert(self.model, operation) || !is_more {
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
        if returned.is_empty() {
            returned.push("1".to_owned());
        }
        match first {
            None => write_insert(&mut writer, &row),
            Some(first) => write_insert_after(&mut writer, &row, first),
        }
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

pub(super) fn insert_statement(dialect: Dialect, row: &NewRow<'_>) -> Statement {
    let mut writer = Writer::new(dialect);
    write_insert(&mut writer, row);
    if row.key().is_some() {
        return writer.finish(Vec::new());
    }
    writer.text(" RETURNING ").names(key_columns(row.entity));
    writer.finish(key_forms(row.entity).collect())
}

/// A row that is inserted after another one, in one statement: it is made from what that one gives.
fn write_insert_after(writer: &mut Writer, row: &NewRow<'_>, first: &NewRow<'_>) {
    writer.text("WITH _stoa_first AS (");
    write_insert(writer, first);
    writer.text(" RETURNING 1) ");
    write_place(writer, row);
    writer.text(" SELECT ");
    write_values(writer, row);
    writer.text(" FROM _stoa_first");
}

fn write_insert(writer: &mut Writer, row: &NewRow<'_>) {
    write_place(writer, row);
    writer.text(" VALUES (");
    write_values(writer, row);
    writer.text(")");
}

fn write_place(writer: &mut Writer, row: &NewRow<'_>) {
    writer.text("INSERT INTO ").name(&row.entity.table.name);
    if writer.is_postgres() {
        // What the row returns is named as a query names it.
        writer.text(" AS ").text(ROOT_ALIAS);
    }
    writer
        .text(" (")
        .names(row.cells.iter().map(|cell| cell.column))
        .text(")");
}

fn write_values(writer: &mut Writer, row: &NewRow<'_>) {
    for (position, cell) in row.cells.iter().enumerate() {
        writer.text(if position > 0 { ", " } else { "" });
        writer.bind(cell.value.clone(), cell.form);
    }
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
