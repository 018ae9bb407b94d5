//! Statements of writes on PostgreSQL: values in binary form, errors as rules.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use futures_util::future::join_all;
use postgres_types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use stoa_model::value::Value;
use tokio_postgres::error::SqlState;

use super::statement::{Connection, Failure, Form, Parameter, Refusal, Row, Statement};
use crate::error::StoreError;
use crate::postgres::{PostgresConnection, StatementText};
use crate::read::parameter::{self, EPOCH_DAYS, EPOCH_MICROSECONDS, read_numeric, write_numeric};
use crate::sql::plan::{array, scalar};
use crate::store::Dialect;

/// Futures that are polled together in their order (`futures_util` takes another way beyond).
pub(super) const SENT_AT_ONCE: usize = 30;

/// A connection; the transaction begins with the first statement.
pub(super) struct Session<'c> {
    connection: &'c PostgresConnection,
    state: State,
    /// First statement of every transaction.
    opening: Option<Statement>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has been sent: the first statement brings BEGIN along.
    Idle,
    /// In a transaction.
    Open,
}

impl<'c> Session<'c> {
    pub(super) fn new(connection: &'c PostgresConnection) -> Self {
        Self {
            connection,
            state: State::Idle,
            opening: None,
        }
    }

    /// What every transaction begins with from now on.
    pub(super) fn open_with(&mut self, opening: Option<Statement>) {
        self.opening = opening;
    }

    async fn prepare_opening(&self) -> Result<Option<Prepared>, Failure> {
        match &self.opening {
            Some(opening) => Prepared::new(self.connection, opening.clone())
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Does work in the transaction, which begins on the way to it if it has not.
    async fn within<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        if self.state == State::Open {
            return Ok(work.await);
        }
        let opening = self.prepare_opening().await?;
        self.state = State::Open;
        // Polled in this order, so sent in this order.
        let (begun, opened, done) = tokio::join!(
            biased;
            self.connection.batch_execute("BEGIN"),
            run_opening(opening.as_ref(), self.connection),
            work,
        );
        begun?;
        opened?;
        Ok(done)
    }

    /// Sends a whole transaction, or the rest of one, at once, with a read at its end if that takes one
    /// statement; otherwise the transaction stays open after the read's first statement was sent.
    ///
    /// A statement that fails makes all that follow fail, the commit too.
    pub(super) async fn at_once<T>(
        &mut self,
        statements: Vec<Statement>,
        read: Option<impl Future<Output = Result<T, StoreError>>>,
        commit: bool,
    ) -> Result<Option<T>, Failure> {
        let connection = self.connection;
        let prepared = prepare_all(connection, statements).await?;
        // More futures than this are not polled in one go.
        let commit = commit && prepared.len() <= SENT_AT_ONCE;
        let begin = self.state == State::Idle;
        let opening = if begin {
            self.prepare_opening().await?
        } else {
            None
        };
        let alone = begin && prepared.len() == 1 && read.is_none() && commit && opening.is_none();
        self.state = if commit { State::Idle } else { State::Open };
        let control = async |sql: Option<&str>| match sql {
            Some(sql) => connection.batch_execute(sql).await,
            None => Ok(()),
        };
        let writes = run_all(&prepared, connection);
        let reading = async {
            match read {
                Some(read) => read.await.map(Some),
                None => Ok(None),
            }
        };
        // Polled in this order, so sent in this order.
        let (begun, opened, written, found, committed) = tokio::join!(
            biased;
            control((begin && !alone).then_some("BEGIN")),
            run_opening(opening.as_ref(), connection),
            writes,
            reading,
            control((commit && !alone).then_some("COMMIT")),
        );
        begun?;
        opened?;
        written?;
        let found = found?;
        committed?;
        Ok(found)
    }

    /// Runs one statement that is a transaction by itself, and gives its rows as they are.
    pub(super) async fn alone(
        &mut self,
        statement: Statement,
    ) -> Result<Vec<tokio_postgres::Row>, Failure> {
        Prepared::new(self.connection, statement)
            .await?
            .run_raw(self.connection)
            .await
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        if self.state == State::Open {
            self.connection.batch_execute("COMMIT").await?;
            self.state = State::Idle;
        }
        Ok(())
    }

    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        if self.state == State::Open {
            self.connection.batch_execute("ROLLBACK").await?;
            self.state = State::Idle;
        }
        Ok(())
    }
}

impl Connection for Session<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn query(&mut self, statement: Statement) -> Result<Vec<Row>, Failure> {
        let connection = self.connection;
        let prepared = Prepared::new(connection, statement).await?;
        self.within(prepared.run(connection)).await?
    }

    async fn all(&mut self, statements: Vec<Statement>) -> Result<(), Failure> {
        let connection = self.connection;
        let prepared = prepare_all(connection, statements).await?;
        self.within(run_all(&prepared, connection)).await??;
        Ok(())
    }

    async fn several(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Result<Vec<Row>, Failure>>, Failure> {
        let connection = self.connection;
        let prepared = prepare_all(connection, statements).await?;
        let all = join_all(prepared.iter().map(|prepared| prepared.run(connection)));
        self.within(all).await
    }

    async fn mark(&mut self) -> Result<(), Failure> {
        let connection = self.connection;
        Ok(self
            .within(connection.batch_execute("SAVEPOINT mark"))
            .await??)
    }

    async fn back(&mut self) -> Result<(), Failure> {
        Ok(self.connection.batch_execute("ROLLBACK TO mark").await?)
    }
}

/// A statement that takes one message to run.
struct Prepared {
    statement: Statement,
    prepared: tokio_postgres::Statement,
}

async fn run_opening(
    opening: Option<&Prepared>,
    connection: &PostgresConnection,
) -> Result<(), Failure> {
    match opening {
        Some(opening) => opening.run(connection).await.map(drop),
        None => Ok(()),
    }
}

/// Sends statements at once. Of several failures the first statement's is given: those that follow fail because it
/// did, and their answers may be seen before its.
async fn run_all(prepared: &[Prepared], connection: &PostgresConnection) -> Result<(), Failure> {
    let all = prepared.iter().map(|prepared| prepared.run(connection));
    join_all(all)
        .await
        .into_iter()
        .try_for_each(|done| done.map(drop))
}

async fn prepare_all(
    connection: &PostgresConnection,
    statements: Vec<Statement>,
) -> Result<Vec<Prepared>, Failure> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        prepared.push(Prepared::new(connection, statement).await?);
    }
    Ok(prepared)
}

impl Prepared {
    async fn new(
        connection: &PostgresConnection,
        mut statement: Statement,
    ) -> Result<Self, Failure> {
        // With the types in its name, a statement is prepared again when a column's type has changed.
        let types = statement.parameters.iter().map(type_of).collect();
        let text = StatementText::new(std::mem::take(&mut statement.sql), types);
        let prepared = connection.prepare_cached(&text).await?;
        Ok(Self {
            statement,
            prepared,
        })
    }

    async fn run(&self, connection: &PostgresConnection) -> Result<Vec<Row>, Failure> {
        let rows = self.run_raw(connection).await?;
        rows.iter().map(|row| self.row(row)).collect()
    }

    async fn run_raw(
        &self,
        connection: &PostgresConnection,
    ) -> Result<Vec<tokio_postgres::Row>, Failure> {
        let parameters: Vec<&(dyn ToSql + Sync)> = self
            .statement
            .parameters
            .iter()
            .map(|parameter| parameter as &(dyn ToSql + Sync))
            .collect();
        connection
            .query(&self.prepared, &parameters)
            .await
            .map_err(failure)
    }

    fn row(&self, row: &tokio_postgres::Row) -> Result<Row, Failure> {
        let mut values = Vec::with_capacity(self.statement.returns.len());
        for (position, form) in self.statement.returns.iter().enumerate() {
            let raw: Raw<'_> = row.try_get(position).map_err(StoreError::from)?;
            values.push(raw.value(*form)?);
        }
        Ok(values)
    }
}

/// Text and arrays take the type of where they stand: an index on another text type stays usable.
fn type_of(parameter: &Parameter) -> Type {
    let form = match parameter {
        Parameter::One(_, form) => form,
        Parameter::Many(_) => return Type::UNKNOWN,
        Parameter::Compared(_, encoding) => return scalar(*encoding),
        Parameter::Among(_, encoding) => return array(*encoding),
    };
    match form {
        Form::Boolean => Type::BOOL,
        Form::SmallInteger => Type::INT2,
        Form::Integer => Type::INT4,
        Form::Long | Form::Duration => Type::INT8,
        Form::Decimal(_) => Type::NUMERIC,
        Form::Real => Type::FLOAT4,
        Form::Double => Type::FLOAT8,
        Form::Text => Type::UNKNOWN,
        Form::DateTime => Type::TIMESTAMPTZ,
        Form::Date => Type::DATE,
        Form::Time => Type::TIME,
        Form::Uuid => Type::UUID,
        Form::Binary => Type::BYTEA,
        Form::Json => Type::JSON,
    }
}

fn failure(error: tokio_postgres::Error) -> Failure {
    let Some(database) = error.as_db_error() else {
        return Failure::Error(error.into());
    };
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (table, constraint) = (owned(database.table()), owned(database.constraint()));
    Failure::Refused(match *database.code() {
        SqlState::UNIQUE_VIOLATION => Refusal::Unique {
            table,
            columns: Vec::new(),
            constraint,
        },
        SqlState::FOREIGN_KEY_VIOLATION | SqlState::RESTRICT_VIOLATION => {
            Refusal::Reference { table, constraint }
        }
        SqlState::NOT_NULL_VIOLATION => Refusal::NotNull {
            column: owned(database.column()),
        },
        SqlState::CHECK_VIOLATION => Refusal::Check { constraint },
        SqlState::STRING_DATA_RIGHT_TRUNCATION => Refusal::TooLarge,
        _ => return Failure::Error(error.into()),
    })
}

impl ToSql for Parameter {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::One(value, _) => write_value(value, kind, out),
            Self::Compared(value, encoding) => {
                parameter::Parameter::Value(value, *encoding).to_sql(kind, out)
            }
            Self::Among(values, encoding) => {
                parameter::Parameter::List(values, *encoding).to_sql(kind, out)
            }
            Self::Many(values) => {
                let Kind::Array(element) = kind.kind() else {
                    return Err("an array was expected".into());
                };
                out.put_i32(1);
                out.put_i32(i32::from(values.iter().any(Value::is_null)));
                out.put_u32(element.oid());
                out.put_i32(i32::try_from(values.len())?);
                out.put_i32(1);
                for value in values {
                    let length_at = out.len();
                    out.put_i32(-1);
                    if let IsNull::No = write_value(value, element, out)? {
                        let length = i32::try_from(out.len() - length_at - 4)?;
                        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
                    }
                }
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Writes a value in the binary form of `kind`.
pub(super) fn write_value(
    value: &Value,
    kind: &Type,
    out: &mut BytesMut,
) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    match value {
        Value::Null => return Ok(IsNull::Yes),
        Value::Boolean(value) => out.put_u8(u8::from(*value)),
        Value::Integer(value) | Value::Duration(value) => match *kind {
            Type::INT2 => out.put_i16(i16::try_from(*value)?),
            Type::INT4 => out.put_i32(i32::try_from(*value)?),
            Type::INT8 => out.put_i64(*value),
            _ => write_decimal(Decimal::from(*value), kind, out)?,
        },
        Value::Decimal(value) => write_decimal(*value, kind, out)?,
        Value::Text(value) => out.put_slice(value.as_bytes()),
        Value::DateTime(value) => out.put_i64(value.saturating_sub(EPOCH_MICROSECONDS)),
        Value::Date(value) => out.put_i32(value.saturating_sub(EPOCH_DAYS)),
        Value::Time(value) => out.put_i64(*value),
        Value::Uuid(value) => out.put_slice(value.as_bytes()),
        Value::Binary(value) => out.put_slice(value),
        Value::Json(value) => {
            if *kind == Type::JSONB {
                out.put_u8(1);
            }
            out.put_slice(value.as_bytes());
        }
    }
    Ok(IsNull::No)
}

fn write_decimal(
    value: Decimal,
    kind: &Type,
    out: &mut BytesMut,
) -> Result<(), Box<dyn Error + Sync + Send>> {
    match *kind {
        Type::FLOAT4 => out.put_f32(value.to_f32().ok_or("out of range")?),
        Type::FLOAT8 => out.put_f64(value.to_f64().ok_or("out of range")?),
        Type::INT2 | Type::INT4 | Type::INT8 if !value.fract().is_zero() => {
            return Err("an integer has no digits after the point".into());
        }
        Type::INT2 => out.put_i16(value.to_i16().ok_or("out of range")?),
        Type::INT4 => out.put_i32(value.to_i32().ok_or("out of range")?),
        Type::INT8 => out.put_i64(value.to_i64().ok_or("out of range")?),
        Type::NUMERIC => write_numeric(&value, out),
        _ => return Err(format!("a number cannot be written as {kind}").into()),
    }
    Ok(())
}

/// The bytes of a column.
struct Raw<'a> {
    bytes: Option<&'a [u8]>,
    kind: Type,
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(kind: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            bytes: Some(bytes),
            kind: kind.clone(),
        })
    }

    fn from_sql_null(kind: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self {
            bytes: None,
            kind: kind.clone(),
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Raw<'_> {
    fn value(&self, form: Form) -> Result<Value, StoreError> {
        let Some(bytes) = self.bytes else {
            return Ok(Value::Null);
        };
        let wrong = |_| {
            StoreError::internal(format!(
                "a column of type {} is not what the model says",
                self.kind
            ))
        };
        let long = || -> Result<i64, StoreError> {
            Ok(match bytes.len() {
                2 => i64::from(i16::from_be_bytes(bytes.try_into().map_err(wrong)?)),
                4 => i64::from(i32::from_be_bytes(bytes.try_into().map_err(wrong)?)),
                _ => i64::from_be_bytes(bytes.try_into().map_err(wrong)?),
            })
        };
        Ok(match form {
            Form::Boolean => Value::Boolean(bytes == [1]),
            Form::SmallInteger | Form::Integer | Form::Long => Value::Integer(long()?),
            Form::Duration => Value::Duration(long()?),
            Form::Time => Value::Time(long()?),
            Form::DateTime => Value::DateTime(long()?.saturating_add(EPOCH_MICROSECONDS)),
            Form::Date => Value::Date(
                i32::from_be_bytes(bytes.try_into().map_err(wrong)?).saturating_add(EPOCH_DAYS),
            ),
            Form::Text => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            Form::Json => Value::Json(String::from_utf8_lossy(bytes).into_owned()),
            Form::Uuid => super::statement::uuid_of(bytes)?,
            Form::Binary => Value::Binary(bytes.to_owned()),
            Form::Decimal(_) => Value::Decimal(
                read_numeric(bytes)
                    .ok_or(())
                    .map_err(|()| StoreError::internal("a number cannot be read"))?,
            ),
            Form::Real | Form::Double => {
                return Err(StoreError::internal(
                    "a floating-point number is read as a decimal",
                ));
            }
        })
    }
}
