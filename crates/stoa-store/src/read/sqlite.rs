//! Reads on SQLite: rows go straight from the statement to the writer.

use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef as Raw};
use rusqlite::{CachedStatement, Connection, Row};
use rust_decimal::Decimal;
use stoa_model::model::Model;
use stoa_model::query::RowWriter;
use stoa_model::value::{Value, ValueRef};
use uuid::Uuid;

use super::emit::{Cells, Collection, check_size, number, write_row};
use super::parameter::{Arguments, ordinal, scaled};
use super::{CountResult, ReadResult};
use crate::error::StoreError;
use crate::sql::plan::{Column, Many, Plan, Rows, Statement};
use crate::sql::{Binding, Encoding};

/// What stays the same through a read.
struct Context<'a> {
    connection: &'a Connection,
    model: &'a Model,
    arguments: &'a Arguments,
    limit: usize,
}

/// Reads rows.
pub(crate) fn read<W: RowWriter>(
    connection: &Connection,
    plan: &Plan,
    arguments: &Arguments,
    limit: usize,
    mut writer: W,
) -> Result<ReadResult<W>, StoreError> {
    let rows = plan
        .rows
        .as_ref()
        .ok_or_else(|| StoreError::internal("a plan without rows"))?;
    let context = Context {
        connection,
        model: &plan.model,
        arguments,
        limit,
    };
    // A write that reads what it wrote has a transaction already.
    let several = connection.is_autocommit()
        && (plan.count.is_some() || plan.source_row.is_some() || !rows.many.is_empty());
    if several {
        // All statements see one state. Rolled back by the thread should one of them fail.
        connection.prepare_cached("BEGIN")?.execute([])?;
    }
    let count = plan
        .count
        .as_ref()
        .map(|count| context.number(count))
        .transpose()?;
    let given = context.write_root(plan, rows, count, &mut writer)?;
    let source_found = given > 0 || context.source_found(plan)?;
    if several {
        connection.prepare_cached("COMMIT")?.execute([])?;
    }
    Ok(ReadResult {
        writer,
        rows: given,
        source_found,
    })
}

/// Counts rows.
pub(super) fn count(
    connection: &Connection,
    plan: &Plan,
    arguments: &Arguments,
) -> Result<CountResult, StoreError> {
    let context = Context {
        connection,
        model: &plan.model,
        arguments,
        limit: 0,
    };
    let count = plan
        .count
        .as_ref()
        .ok_or_else(|| StoreError::internal("a plan without count"))?;
    let rows = context.number(count)?;
    Ok(CountResult {
        rows,
        source_found: rows > 0 || context.source_found(plan)?,
    })
}

impl<'a> Context<'a> {
    fn prepare(
        &self,
        statement: &Statement,
        parent: Option<(&Row<'_>, &[Column])>,
    ) -> Result<CachedStatement<'a>, StoreError> {
        let mut prepared = self.connection.prepare_cached(&statement.text.sql)?;
        for (position, binding) in statement.bindings.iter().enumerate() {
            let value = match *binding {
                Binding::Value(position, encoding) => {
                    self.encode(self.arguments.value(position)?, encoding)
                }
                Binding::Item(position, item, encoding) => {
                    let list = self.arguments.list(position)?;
                    match list.get(item).or_else(|| list.last()) {
                        Some(value) => self.encode(value, encoding),
                        None => ToSqlOutput::Owned(SqliteValue::Null),
                    }
                }
                Binding::Number(position, more) => {
                    ToSqlOutput::Owned(SqliteValue::Integer(self.arguments.rows(position, more)?))
                }
                Binding::Parent(part) => {
                    let (row, columns) = parent
                        .ok_or_else(|| StoreError::internal("an expand without its parent"))?;
                    let column = columns
                        .get(part)
                        .ok_or_else(|| StoreError::internal("a parent's key is too short"))?;
                    ToSqlOutput::Borrowed(row.get_ref(column.index)?)
                }
                Binding::Now => ToSqlOutput::Owned(SqliteValue::Integer(self.arguments.now)),
                Binding::List(..) | Binding::Parents(..) => {
                    return Err(StoreError::internal("SQLite has no arrays"));
                }
            };
            prepared.raw_bind_parameter(position + 1, value)?;
        }
        Ok(prepared)
    }

    fn encode<'v>(&self, value: &'v Value, encoding: Encoding) -> ToSqlOutput<'v> {
        match (value, encoding) {
            (Value::Text(_), Encoding::Ordinal(enumeration)) => {
                match ordinal(self.model, enumeration, value) {
                    Some(place) => ToSqlOutput::Owned(SqliteValue::Integer(place)),
                    None => ToSqlOutput::Owned(SqliteValue::Null),
                }
            }
            _ => encoded(value, encoding),
        }
    }

    fn number(&self, statement: &Statement) -> Result<u64, StoreError> {
        let mut prepared = self.prepare(statement, None)?;
        let mut rows = prepared.raw_query();
        let row = rows
            .next()?
            .ok_or_else(|| StoreError::internal("a count without a row"))?;
        number(
            row,
            Column {
                index: 0,
                encoding: Encoding::Integer,
            },
        )
    }

    fn source_found(&self, plan: &Plan) -> Result<bool, StoreError> {
        let Some(statement) = &plan.source_row else {
            return Ok(true);
        };
        let mut prepared = self.prepare(statement, None)?;
        let mut rows = prepared.raw_query();
        Ok(rows.next()?.is_some())
    }

    fn write_root<W: RowWriter>(
        &self,
        plan: &Plan,
        rows: &Rows,
        count: Option<u64>,
        writer: &mut W,
    ) -> Result<u64, StoreError> {
        let mut prepared = self.prepare(&rows.statement, None)?;
        let mut cursor = prepared.raw_query();
        if plan.single {
            let Some(row) = cursor.next()? else {
                return Ok(0);
            };
            self.write_row(rows, row, writer)?;
            check_size(writer, self.limit)?;
            return Ok(1);
        }
        let limit = self.arguments.number(plan.limit)?;
        let mut collection = Collection::begin(0, limit, plan.paged, count, writer);
        while let Some(row) = cursor.next()? {
            if !collection.takes() {
                break;
            }
            self.write_row(rows, row, writer)?;
            collection.wrote(row, &rows.next)?;
            check_size(writer, self.limit)?;
        }
        Ok(collection.end(writer))
    }

    fn write_row<W: RowWriter>(
        &self,
        rows: &Rows,
        row: &Row<'_>,
        writer: &mut W,
    ) -> Result<(), StoreError> {
        write_row(
            &rows.layout,
            row,
            writer,
            &mut |position, row: &Row<'_>, writer: &mut W| {
                let many = rows
                    .many
                    .get(position)
                    .ok_or_else(|| StoreError::internal("an expand without a statement"))?;
                self.write_many(many, row, writer)
            },
        )
    }

    fn write_many<W: RowWriter>(
        &self,
        many: &Many,
        parent: &Row<'_>,
        writer: &mut W,
    ) -> Result<(), StoreError> {
        let mut prepared = self.prepare(&many.rows.statement, Some((parent, &many.parent)))?;
        let mut cursor = prepared.raw_query();
        let count = many
            .count
            .map(|column| number(parent, column))
            .transpose()?;
        let limit = self.arguments.number(many.limit)?;
        let mut collection = Collection::begin(many.node, limit, many.paged, count, writer);
        while let Some(row) = cursor.next()? {
            if !collection.takes() {
                break;
            }
            self.write_row(&many.rows, row, writer)?;
            collection.wrote(row, &many.rows.next)?;
            check_size(writer, self.limit)?;
        }
        collection.end(writer);
        Ok(())
    }
}

/// A value as SQLite compares it.
pub(crate) fn encoded(value: &Value, encoding: Encoding) -> ToSqlOutput<'_> {
    let integer = |number| ToSqlOutput::Owned(SqliteValue::Integer(number));
    match (value, encoding) {
        (Value::Null, _) => ToSqlOutput::Owned(SqliteValue::Null),
        (Value::Boolean(value), _) => integer(i64::from(*value)),
        (Value::Integer(number), Encoding::Decimal(scale) | Encoding::Float(scale)) => {
            integer(scaled(&Decimal::from(*number), scale))
        }
        (Value::Decimal(number), Encoding::Decimal(scale) | Encoding::Float(scale)) => {
            integer(scaled(number, scale))
        }
        (Value::Decimal(number), _) => integer(scaled(number, 0)),
        (
            Value::Integer(number)
            | Value::DateTime(number)
            | Value::Time(number)
            | Value::Duration(number),
            _,
        ) => integer(*number),
        (Value::Date(day), _) => integer(i64::from(*day)),
        (Value::Text(text) | Value::Json(text), _) => {
            ToSqlOutput::Borrowed(Raw::Text(text.as_bytes()))
        }
        (Value::Uuid(uuid), _) => ToSqlOutput::Borrowed(Raw::Blob(uuid.as_bytes())),
        (Value::Binary(bytes), _) => ToSqlOutput::Borrowed(Raw::Blob(bytes)),
    }
}

impl Cells for Row<'_> {
    fn value(&self, column: Column) -> Result<ValueRef<'_>, StoreError> {
        let raw = self.get_ref(column.index)?;
        let value = match (raw, column.encoding) {
            (Raw::Null, _) => ValueRef::Null,
            (Raw::Integer(number), encoding) => match encoding {
                Encoding::Boolean => ValueRef::Boolean(number != 0),
                Encoding::Integer | Encoding::Ordinal(_) => ValueRef::Integer(number),
                Encoding::Decimal(scale) => {
                    ValueRef::Decimal(Decimal::new(number, u32::from(scale)))
                }
                Encoding::Float(_) => ValueRef::Decimal(Decimal::from(number)),
                Encoding::DateTime => ValueRef::DateTime(number),
                Encoding::Date => ValueRef::Date(i32::try_from(number).map_err(|_| unfit())?),
                Encoding::Time => ValueRef::Time(number),
                Encoding::Duration => ValueRef::Duration(number),
                Encoding::Text | Encoding::Json | Encoding::Uuid | Encoding::Binary => {
                    return Err(unfit());
                }
            },
            (Raw::Text(text), Encoding::Text) => {
                ValueRef::Text(std::str::from_utf8(text).map_err(|_| unfit())?)
            }
            (Raw::Text(text), Encoding::Json) => {
                ValueRef::Json(std::str::from_utf8(text).map_err(|_| unfit())?)
            }
            (Raw::Blob(bytes), Encoding::Uuid) => {
                ValueRef::Uuid(Uuid::from_slice(bytes).map_err(|_| unfit())?)
            }
            (Raw::Blob(bytes), Encoding::Binary) => ValueRef::Binary(bytes),
            (Raw::Real(number), Encoding::Float(_)) => ValueRef::Decimal(
                super::super::sqlite::functions::shortest(number).ok_or_else(unfit)?,
            ),
            _ => return Err(unfit()),
        };
        Ok(value)
    }
}

fn unfit() -> StoreError {
    StoreError::internal("a column holds something other than the model says")
}
