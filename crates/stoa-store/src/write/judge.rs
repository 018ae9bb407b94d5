//! What a user may do, judged in the transaction that does it.
//!
//! Before an operation its row is locked, then judged by a statement that begins after the lock was taken:
//! it sees what others have committed up to then. The judgement and the write travel together; the
//! judgement's answer is looked at first. What must be true afterwards is judged when all is done.

use std::sync::Arc;

use stoa_model::access::{Demand, Denial, Either, Judgement, RowJudgement};
use stoa_model::expression::Expression;
use stoa_model::model::{Entity, EntityId, NavigationId, Storage};
use stoa_model::value::Value;

use super::engine::Engine;
use super::postgres::SENT_AT_ONCE;
use super::source::{equal_columns, key_columns, key_forms, of_type};
use super::statement::{Connection, Failure, Form, Parameter, Row, Statement, Writer, parameters};
use crate::error::StoreError;
use crate::read::parameter::Arguments;
use crate::sql::demand::{Judge, Judged, Standing, concerns_itself_only};
use crate::sql::shape::{Positions, Shape};
use crate::store::Dialect;

/// Rows that a statement is about.
#[derive(Clone, Copy)]
pub(super) enum Which<'v> {
    /// The row with this key.
    Key(&'v [Value]),
    /// Targets of a navigation of the row with this key, except those with the keys to keep.
    Targets {
        entity: EntityId,
        navigation: NavigationId,
        key: &'v [Value],
        keep: &'v [Vec<Value>],
    },
}

/// How a row is locked while it is judged.
#[derive(Clone, Copy)]
pub(super) enum Lock {
    /// It stays as it is.
    Keep,
    /// It will be changed.
    Change,
    /// It will be gone.
    Delete,
}

/// What became of a statement that needs leave.
pub(super) enum Guarded {
    /// There is no such row.
    Absent,
    /// The user does not see it.
    Invisible,
    /// It ran.
    Done(Vec<Row>),
}

/// Demands on a row for when all operations are done.
pub(super) struct Pending<'a> {
    operation: usize,
    entity: EntityId,
    key: Vec<Value>,
    demands: &'a [Demand],
}

/// The same on two rows of which one must comply.
pub(super) struct PendingEither<'a> {
    operation: usize,
    from: (EntityId, Vec<Value>, Option<&'a Expression>),
    to: (EntityId, Vec<Value>, Option<&'a Expression>),
    denial: &'a Denial,
}

/// A row as it was judged.
struct Verdict<'a> {
    key: Vec<Value>,
    visible: bool,
    denial: Option<&'a Denial>,
    /// The condition beside the row's own ones.
    also: bool,
}

impl Verdict<'_> {
    fn check(&self, operation: usize) -> Result<(), Failure> {
        if !self.visible {
            return Err(StoreError::NotFound { operation }.into());
        }
        match self.denial {
            Some(denial) => Err(denied(operation, denial)),
            None => Ok(()),
        }
    }
}

pub(super) fn denied(operation: usize, denial: &Denial) -> Failure {
    Failure::Error(StoreError::Denied {
        operation,
        denial: denial.clone(),
    })
}

fn is_true(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Boolean(true)))
}

/// Whether anything must be known of the row before the operation.
pub(super) fn looks_before(row: &RowJudgement) -> bool {
    row.visible.is_some() || !row.before.is_empty()
}

impl<'a, C: Connection> Engine<'a, C> {
    /// What must be judged of an operation.
    pub(super) fn judgement(&self, operation: usize) -> Option<&'a Judgement> {
        self.judgements.get(operation)
    }

    /// Remembers what must be true of a row when all is done.
    pub(super) fn judge_later(
        &mut self,
        operation: usize,
        entity: EntityId,
        key: &[Value],
        demands: &'a [Demand],
    ) {
        if !demands.is_empty() {
            self.pending.push(Pending {
                operation,
                entity,
                key: key.to_vec(),
                demands,
            });
        }
    }

    /// The same for two rows that were connected or disconnected; `counts` says whose condition does.
    pub(super) fn judge_either_later(
        &mut self,
        operation: usize,
        from: (EntityId, &[Value]),
        to: (EntityId, &[Value]),
        either: Option<&'a Either>,
        counts: [bool; 2],
    ) {
        if let Some(either) = either {
            let [first, second] = counts;
            self.pending_either.push(PendingEither {
                operation,
                from: (
                    from.0,
                    from.1.to_vec(),
                    either.from.as_ref().filter(|_| first),
                ),
                to: (to.0, to.1.to_vec(), either.to.as_ref().filter(|_| second)),
                denial: &either.denial,
            });
        }
    }

    /// Conditions on rows of `entity`, their values among the writer's parameters.
    fn conditions(
        &self,
        writer: &mut Writer,
        standing: Standing,
        entity: EntityId,
        conditions: &[&Expression],
    ) -> Result<Arc<Judged>, StoreError> {
        let shape = Shape::of_conditions(self.connection.dialect(), conditions);
        let arguments = Arguments::new(&shape.arguments)?;
        let make = || {
            let positions = Positions::of(&shape.arguments);
            let judge = self.judge_of(&positions, writer);
            match standing {
                Standing::Rows => judge.rows(entity, conditions),
                Standing::Inside => judge.inside(entity, conditions),
            }
        };
        let judged = match self.texts {
            Some((texts, model)) => {
                let place = (standing, entity, writer.count());
                texts.judged(model, shape.key.clone(), place, make)?
            }
            None => Arc::new(make()?),
        };
        writer.add(parameters(
            self.model,
            &judged.bindings,
            &arguments,
            self.now,
        )?);
        Ok(judged)
    }

    fn judge_of<'p>(&'p self, positions: &'p Positions, writer: &Writer) -> Judge<'p> {
        Judge {
            model: self.model,
            dialect: self.connection.dialect(),
            positions,
            offset: writer.count(),
        }
    }

    /// Writes the condition that rows are those meant.
    fn which(&self, writer: &mut Writer, prefix: &str, entity: &Entity, which: Which<'_>) {
        match which {
            Which::Key(key) => {
                equal_columns(writer, prefix, key_columns(entity), key_forms(entity), key)
            }
            Which::Targets {
                entity: holder,
                navigation,
                key,
                keep,
            } => {
                let holder = &self.model[holder];
                match &holder[navigation].storage {
                    Storage::Target(columns) => {
                        let columns = columns.iter().map(|column| column.column.as_str());
                        equal_columns(writer, prefix, columns, key_forms(holder), key);
                    }
                    Storage::Join { table, own, target } => {
                        writer.text("(");
                        for (position, column) in key_columns(entity).enumerate() {
                            writer
                                .text(if position > 0 { ", " } else { "" })
                                .text(prefix)
                                .name(column);
                        }
                        writer
                            .text(") IN (SELECT ")
                            .names(target.iter().map(String::as_str))
                            .text(" FROM ")
                            .name(table)
                            .text(" WHERE ");
                        let own = own.iter().map(String::as_str);
                        equal_columns(writer, "", own, key_forms(holder), key);
                        writer.text(")");
                    }
                    // A reference in the row itself has no targets to disconnect.
                    Storage::Own(_) => {
                        writer.text("FALSE");
                    }
                }
                for kept in keep {
                    writer.text(" AND NOT (");
                    equal_columns(writer, prefix, key_columns(entity), key_forms(entity), kept);
                    writer.text(")");
                }
            }
        }
        of_type(writer, self.model, prefix, entity);
    }

    /// Locks rows, in the order of their keys; SQLite has one writer only.
    pub(super) fn lock(&self, entity: &Entity, which: Which<'_>, lock: Lock) -> Option<Statement> {
        if self.connection.dialect() == Dialect::Sqlite {
            return None;
        }
        let mut writer = Writer::new(Dialect::Postgres);
        writer
            .text("SELECT 1 FROM ")
            .name(&entity.table.name)
            .text(" WHERE ");
        self.which(&mut writer, "", entity, which);
        if let Which::Targets { .. } = which {
            writer.text(" ORDER BY ").names(key_columns(entity));
        }
        writer.text(match lock {
            Lock::Keep => " FOR SHARE",
            Lock::Change => " FOR NO KEY UPDATE",
            Lock::Delete => " FOR UPDATE",
        });
        Some(writer.finish(Vec::new()))
    }

    /// Keys of rows.
    pub(super) async fn keys_which(
        &mut self,
        entity: EntityId,
        which: Which<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let entity = &self.model[entity];
        let mut writer = Writer::new(self.connection.dialect());
        writer
            .text("SELECT ")
            .names(key_columns(entity))
            .text(" FROM ")
            .name(&entity.table.name)
            .text(" WHERE ");
        self.which(&mut writer, "", entity, which);
        self.connection
            .query(writer.finish(key_forms(entity).collect()))
            .await
    }

    /// Asks what the rules say of rows: key, then each condition of the row, then the one beside them.
    fn verdicts(
        &self,
        entity: &Entity,
        which: Which<'_>,
        row: &RowJudgement,
        also: Option<&Expression>,
    ) -> Result<Statement, StoreError> {
        let conditions: Vec<&Expression> = row
            .visible
            .iter()
            .chain(row.before.iter().map(|demand| &demand.condition))
            .chain(also)
            .collect();
        let mut writer = Writer::new(self.connection.dialect());
        let judged = self.conditions(&mut writer, Standing::Rows, entity.id, &conditions)?;
        writer.text("SELECT ");
        for (position, column) in key_columns(entity).enumerate() {
            writer
                .text(if position > 0 { ", t0." } else { "t0." })
                .name(column);
        }
        for column in &judged.columns {
            writer.text(", ").text(column);
        }
        writer.text(" FROM ").text(&judged.from).text(" WHERE ");
        self.which(&mut writer, "t0.", entity, which);
        let returns = key_forms(entity)
            .chain(judged.columns.iter().map(|_| Form::Boolean))
            .collect();
        Ok(writer.finish(returns))
    }

    fn verdict(entity: &Entity, row: &'a RowJudgement, mut values: Row) -> Verdict<'a> {
        let answers = values.split_off(entity.key.len().min(values.len()));
        let mut answers = answers.iter();
        Verdict {
            key: values,
            visible: row.visible.is_none() || is_true(answers.next()),
            // All of them are taken from the answers, the first that fails counts.
            denial: row
                .before
                .iter()
                .filter_map(|demand| (!is_true(answers.next())).then_some(&demand.denial))
                .collect::<Vec<_>>()
                .first()
                .copied(),
            also: is_true(answers.next()),
        }
    }

    /// Judges a row before an operation on it; gives what is true of it beside.
    pub(super) async fn judge(
        &mut self,
        operation: usize,
        entity: EntityId,
        key: &[Value],
        row: &'a RowJudgement,
        lock: Lock,
        also: Option<&Expression>,
    ) -> Result<bool, Failure> {
        if !looks_before(row) && also.is_none() {
            return Ok(false);
        }
        let entity = &self.model[entity];
        let mut statements: Vec<Statement> = self
            .lock(entity, Which::Key(key), lock)
            .into_iter()
            .collect();
        statements.push(self.verdicts(entity, Which::Key(key), row, also)?);
        let mut rows = Vec::new();
        for outcome in self.connection.several(statements).await? {
            rows = outcome?;
        }
        let Some(values) = rows.pop() else {
            return Err(StoreError::NotFound { operation }.into());
        };
        let verdict = Self::verdict(entity, row, values);
        verdict.check(operation)?;
        Ok(verdict.also)
    }

    /// Judges the targets of a navigation; gives those that are visible, and what is true of them beside.
    pub(super) async fn judge_targets(
        &mut self,
        operation: usize,
        target: EntityId,
        which: Which<'_>,
        row: &'a RowJudgement,
        lock: Lock,
        also: Option<&Expression>,
    ) -> Result<Vec<(Vec<Value>, bool)>, Failure> {
        let target = &self.model[target];
        let mut statements: Vec<Statement> = self.lock(target, which, lock).into_iter().collect();
        statements.push(self.verdicts(target, which, row, also)?);
        let mut rows = Vec::new();
        for outcome in self.connection.several(statements).await? {
            rows = outcome?;
        }
        let mut judged = Vec::with_capacity(rows.len());
        for values in rows {
            let verdict = Self::verdict(target, row, values);
            if verdict.visible {
                verdict.check(operation)?;
                judged.push((verdict.key, verdict.also));
            }
        }
        Ok(judged)
    }

    /// Runs a statement that changes a row, if that may be. It is sent along with the judgement: what it
    /// did is undone with the transaction if it may not be.
    pub(super) async fn guarded(
        &mut self,
        operation: usize,
        entity: &'a Entity,
        key: &[Value],
        row: Option<&'a RowJudgement>,
        statement: Statement,
    ) -> Result<Guarded, Failure> {
        let Some(row) = row.filter(|row| looks_before(row)) else {
            return Ok(Guarded::Done(self.connection.query(statement).await?));
        };
        let mut statements: Vec<Statement> = self
            .lock(entity, Which::Key(key), Lock::Change)
            .into_iter()
            .collect();
        statements.push(self.verdicts(entity, Which::Key(key), row, None)?);
        statements.push(statement);
        let locks = statements.len() > 2;
        let mut outcomes = self.connection.several(statements).await?.into_iter();
        let lost = || Failure::Error(StoreError::internal("a statement has no outcome"));
        if locks {
            outcomes.next().ok_or_else(lost)??;
        }
        let mut judged = outcomes.next().ok_or_else(lost)??;
        let changed = outcomes.next().ok_or_else(lost)?;
        match judged.pop() {
            Some(values) => {
                let verdict = Self::verdict(entity, row, values);
                if !verdict.visible {
                    return Ok(Guarded::Invisible);
                }
                verdict.check(operation)?;
                Ok(Guarded::Done(changed?))
            }
            // It came to be after it was looked for.
            None if changed.is_ok_and(|rows| !rows.is_empty()) => {
                Err(StoreError::Busy { source: None }.into())
            }
            None => Ok(Guarded::Absent),
        }
    }

    /// Judges what must be true when all operations are done.
    pub(super) async fn judge_after(&mut self) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        let mut statements = Vec::new();
        let mut groups = Vec::new();
        for group in self.groups(&pending) {
            statements.push(self.failing(group)?);
            groups.push(group);
        }
        let mut worst: Option<(usize, &Denial)> = None;
        if !statements.is_empty() {
            let outcomes = self.connection.several(statements).await?;
            for (outcome, group) in outcomes.into_iter().zip(groups) {
                for row in outcome? {
                    if let Some(found) = refused(self.model, group, &row)
                        && worst.is_none_or(|known| found.0 < known.0)
                    {
                        worst = Some(found);
                    }
                }
            }
        }
        if let Some((operation, denial)) = worst {
            return Err(denied(operation, denial));
        }
        for PendingEither {
            operation,
            from,
            to,
            denial,
        } in std::mem::take(&mut self.pending_either)
        {
            let first = self.holds(from.0, &from.1, from.2).await?;
            let second = self.holds(to.0, &to.1, to.2).await?;
            // A row that is gone has no say, and takes the connection with it.
            if let (Some(false), Some(false)) = (first, second) {
                return Err(denied(operation, denial));
            }
        }
        Ok(())
    }

    /// Whether a condition is true of a row; none if the row is gone.
    pub(super) async fn holds(
        &mut self,
        entity: EntityId,
        key: &[Value],
        condition: Option<&Expression>,
    ) -> Result<Option<bool>, Failure> {
        let entity = &self.model[entity];
        let row = RowJudgement::default();
        let statement = self.verdicts(entity, Which::Key(key), &row, condition)?;
        let rows = self.connection.query(statement).await?;
        Ok(rows
            .first()
            .map(|values| condition.is_some() && is_true(values.last())))
    }

    /// Rows that are judged by one statement: of one entity, by the same demands.
    fn groups<'p>(&self, pending: &'p [Pending<'a>]) -> impl Iterator<Item = &'p [Pending<'a>]> {
        let arrays = self.connection.dialect() == Dialect::Postgres;
        let model = self.model;
        pending.chunk_by(move |left, right| {
            arrays
                && left.entity == right.entity
                && model[left.entity].key.len() == 1
                && left.demands == right.demands
        })
    }

    /// Finds the rows of a group that do not comply: key, then each demand.
    fn failing(&self, group: &[Pending<'a>]) -> Result<Statement, StoreError> {
        let (mut writer, judged, entity) = self.demanded(group)?;
        writer.text("SELECT ");
        for (position, column) in key_columns(entity).enumerate() {
            writer
                .text(if position > 0 { ", t0." } else { "t0." })
                .name(column);
        }
        for column in &judged.columns {
            writer.text(", ").text(column);
        }
        self.not_complying(&mut writer, &judged, entity, group);
        let returns = key_forms(entity)
            .chain(judged.columns.iter().map(|_| Form::Boolean))
            .collect();
        Ok(writer.finish(returns))
    }

    /// Fails if a row of a group does not comply: what is sent after it fails too, a commit as well.
    fn stopping(&self, group: &[Pending<'a>]) -> Result<Statement, StoreError> {
        let (mut writer, judged, entity) = self.demanded(group)?;
        writer.text("SELECT 1 / (CASE WHEN EXISTS (SELECT 1");
        self.not_complying(&mut writer, &judged, entity, group);
        writer.text(") THEN 0 ELSE 1 END)");
        Ok(writer.finish(Vec::new()))
    }

    fn demanded(
        &self,
        group: &[Pending<'a>],
    ) -> Result<(Writer, Arc<Judged>, &'a Entity), StoreError> {
        let first = group
            .first()
            .ok_or_else(|| StoreError::internal("nobody to judge"))?;
        let conditions: Vec<&Expression> = first
            .demands
            .iter()
            .map(|demand| &demand.condition)
            .collect();
        let mut writer = Writer::new(self.connection.dialect());
        let judged = self.conditions(&mut writer, Standing::Rows, first.entity, &conditions)?;
        Ok((writer, judged, &self.model[first.entity]))
    }

    fn not_complying(
        &self,
        writer: &mut Writer,
        judged: &Judged,
        entity: &Entity,
        group: &[Pending<'a>],
    ) {
        writer.text(" FROM ").text(&judged.from).text(" WHERE ");
        match group {
            [one] => self.which(writer, "t0.", entity, Which::Key(&one.key)),
            several => {
                let column = key_columns(entity).next().unwrap_or_default();
                let array = key_forms(entity).next().map_or("", Form::array_type);
                let keys = several
                    .iter()
                    .filter_map(|pending| pending.key.first().cloned())
                    .collect();
                writer.text("t0.").name(column).text(" = ANY(");
                writer.parameter(Parameter::Many(keys));
                writer.text("::").text(array).text(")");
                of_type(writer, self.model, "t0.", entity);
            }
        }
        writer
            .text(" AND NOT (")
            .text(&judged.columns.join(" AND "))
            .text(")");
    }

    /// Statements that make everything sent after them fail, unless all that must be true is (PostgreSQL).
    pub(super) fn stops(&mut self) -> Result<Vec<Statement>, StoreError> {
        let pending = std::mem::take(&mut self.pending);
        self.groups(&pending)
            .map(|group| self.stopping(group))
            .collect()
    }

    /// [`Self::stops`], if they say all that is to be judged and can be sent in one go.
    pub(super) fn stops_if_few(&mut self) -> Result<Option<Vec<Statement>>, StoreError> {
        let is_all = self.pending_either.is_empty();
        if is_all && self.groups(&self.pending).count() <= SENT_AT_ONCE {
            self.stops().map(Some)
        } else {
            Ok(None)
        }
    }

    /// A column that makes an insert of one row fail unless all that must be true of the row is; none if
    /// that cannot be said while it is inserted. An empty text: nothing must be (PostgreSQL).
    pub(super) fn stop_inside(
        &mut self,
        writer: &mut Writer,
    ) -> Result<Option<String>, StoreError> {
        let [pending] = self.pending.as_slice() else {
            return Ok(self.pending.is_empty().then(String::new));
        };
        let demands: &'a [Demand] = pending.demands;
        let conditions: Vec<&Expression> = demands.iter().map(|demand| &demand.condition).collect();
        let entity = pending.entity;
        let model = self.model;
        let alone = conditions
            .iter()
            .all(|condition| concerns_itself_only(model, entity, condition));
        if !alone {
            return Ok(None);
        }
        let judged = self.conditions(writer, Standing::Inside, entity, &conditions)?;
        self.pending.clear();
        Ok(Some(format!(
            "1 / (CASE WHEN {} THEN 1 ELSE 0 END)",
            judged.columns.join(" AND ")
        )))
    }
}

/// Which demand a row that does not comply fails, and of which operation.
fn refused<'a>(
    model: &stoa_model::model::Model,
    group: &[Pending<'a>],
    row: &Row,
) -> Option<(usize, &'a Denial)> {
    let first = group.first()?;
    let parts = model[first.entity].key.len();
    let pending = group
        .iter()
        .find(|pending| row.get(..parts) == Some(pending.key.as_slice()))
        .unwrap_or(first);
    pending
        .demands
        .iter()
        .zip(row.iter().skip(parts))
        .find(|(_, answer)| !is_true(Some(answer)))
        .map(|(demand, _)| (pending.operation, &demand.denial))
}

#[cfg(test)]
mod tests;
