//! Statements of writes on SQLite, on the writer's thread.

use rusqlite::ffi;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use stoa_model::value::Value;

use super::statement::{
    Connection, Failure, Form, Parameter, Refusal, Row, Statement, scaled, uuid_of,
};
use crate::error::StoreError;
use crate::read::sqlite::encoded;
use crate::store::Dialect;

/// The writer's connection; the queue has opened the transaction.
pub(super) struct Session<'c> {
    connection: &'c rusqlite::Connection,
}

// The connection stays on its thread: futures over it never wait, and so never move.
impl<'c> Session<'c> {
    pub(super) fn new(connection: &'c rusqlite::Connection) -> Self {
        Self { connection }
    }

    pub(super) fn run(&self, statement: &Statement) -> Result<Vec<Row>, Failure> {
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        for (position, parameter) in statement.parameters.iter().enumerate() {
            let value = match parameter {
                Parameter::One(value, form) => bound(value, *form)?,
                Parameter::Compared(value, encoding) => encoded(value, *encoding),
                Parameter::Many(_) | Parameter::Among(..) => {
                    return Err(StoreError::internal("SQLite takes no arrays").into());
                }
            };
            prepared.raw_bind_parameter(position + 1, value)?;
        }
        let mut rows = prepared.raw_query();
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(failure)? {
            let mut values = Vec::with_capacity(statement.returns.len());
            for (position, form) in statement.returns.iter().enumerate() {
                values.push(read(row.get_ref(position)?, *form)?);
            }
            all.push(values);
        }
        Ok(all)
    }
}

impl Connection for Session<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn query(&mut self, statement: Statement) -> Result<Vec<Row>, Failure> {
        self.run(&statement)
    }

    async fn all(&mut self, statements: Vec<Statement>) -> Result<(), Failure> {
        for statement in statements {
            self.run(&statement)?;
        }
        Ok(())
    }

    async fn several(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Result<Vec<Row>, Failure>>, Failure> {
        let mut outcomes = Vec::with_capacity(statements.len());
        for statement in statements {
            let outcome = self.run(&statement);
            let failed = outcome.is_err();
            outcomes.push(outcome);
            if failed {
                // As on PostgreSQL: what follows a failure does nothing.
                break;
            }
        }
        Ok(outcomes)
    }

    async fn mark(&mut self) -> Result<(), Failure> {
        self.connection
            .prepare_cached("SAVEPOINT mark")?
            .execute([])?;
        Ok(())
    }

    async fn back(&mut self) -> Result<(), Failure> {
        self.connection
            .prepare_cached("ROLLBACK TO mark")?
            .execute([])?;
        self.connection
            .prepare_cached("RELEASE mark")?
            .execute([])?;
        Ok(())
    }
}

/// A value as SQLite keeps it.
pub(super) fn bound(value: &Value, form: Form) -> Result<ToSqlOutput<'_>, StoreError> {
    let integer = |value: i64| Ok(ToSqlOutput::Owned(SqlValue::Integer(value)));
    match value {
        Value::Null => Ok(ToSqlOutput::Owned(SqlValue::Null)),
        Value::Boolean(value) => integer(i64::from(*value)),
        Value::Integer(value) => match form {
            Form::Decimal(_) | Form::Real | Form::Double => decimal(Decimal::from(*value), form),
            _ => integer(*value),
        },
        Value::Decimal(value) => decimal(*value, form),
        Value::Text(value) | Value::Json(value) => {
            Ok(ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())))
        }
        Value::DateTime(value) | Value::Time(value) | Value::Duration(value) => integer(*value),
        Value::Date(value) => integer(i64::from(*value)),
        Value::Uuid(value) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(value.as_bytes()))),
        Value::Binary(value) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(value))),
    }
}

fn decimal(value: Decimal, form: Form) -> Result<ToSqlOutput<'static>, StoreError> {
    Ok(ToSqlOutput::Owned(match form {
        Form::Decimal(scale) => SqlValue::Integer(scaled(value, scale)?),
        Form::Real | Form::Double => SqlValue::Real(value.to_f64().unwrap_or(f64::NAN)),
        _ => SqlValue::Integer(scaled(value, 0)?),
    }))
}

fn read(raw: ValueRef<'_>, form: Form) -> Result<Value, StoreError> {
    let wrong = || StoreError::internal("a column is not what the model says");
    Ok(match (raw, form) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(value), Form::Boolean) => Value::Boolean(value != 0),
        (ValueRef::Integer(value), Form::Decimal(scale)) => {
            Value::Decimal(Decimal::new(value, u32::from(scale)))
        }
        (ValueRef::Integer(value), Form::DateTime) => Value::DateTime(value),
        (ValueRef::Integer(value), Form::Date) => {
            Value::Date(i32::try_from(value).map_err(|_| wrong())?)
        }
        (ValueRef::Integer(value), Form::Time) => Value::Time(value),
        (ValueRef::Integer(value), Form::Duration) => Value::Duration(value),
        (ValueRef::Integer(value), _) => Value::Integer(value),
        (ValueRef::Text(value), Form::Json) => {
            Value::Json(String::from_utf8_lossy(value).into_owned())
        }
        (ValueRef::Text(value), _) => Value::Text(String::from_utf8_lossy(value).into_owned()),
        (ValueRef::Blob(value), Form::Uuid) => uuid_of(value)?,
        (ValueRef::Blob(value), _) => Value::Binary(value.to_owned()),
        (ValueRef::Real(_), _) => return Err(wrong()),
    })
}

fn failure(error: rusqlite::Error) -> Failure {
    let rusqlite::Error::SqliteFailure(code, Some(message)) = &error else {
        return Failure::Error(error.into());
    };
    // "UNIQUE constraint failed: customer.email, customer.name"
    let after = |prefix: &str| message.strip_prefix(prefix).map(str::to_owned);
    let refusal = match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => after("UNIQUE constraint failed: ").map(|places| {
            let mut table = String::new();
            let columns = places
                .split(", ")
                .filter_map(|place| {
                    let (owner, column) = place.split_once('.')?;
                    owner.clone_into(&mut table);
                    Some(column.to_owned())
                })
                .collect();
            Refusal::Unique {
                table,
                columns,
                constraint: String::new(),
            }
        }),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Refusal::Reference {
            table: String::new(),
            constraint: String::new(),
        }),
        ffi::SQLITE_CONSTRAINT_NOTNULL => {
            after("NOT NULL constraint failed: ").map(|place| Refusal::NotNull {
                column: place
                    .split_once('.')
                    .map_or(place.clone(), |(_, column)| column.to_owned()),
            })
        }
        ffi::SQLITE_CONSTRAINT_CHECK => {
            after("CHECK constraint failed: ").map(|constraint| Refusal::Check { constraint })
        }
        _ => None,
    };
    match refusal {
        Some(refusal) => Failure::Refused(refusal),
        None => Failure::Error(error.into()),
    }
}
