//! Reads on PostgreSQL: one statement for each level, then everything is written in document order.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join, try_join_all};
use futures_util::{StreamExt, TryFutureExt};
use rust_decimal::Decimal;
use stoa_model::query::RowWriter;
use stoa_model::value::ValueRef;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Row, RowStream};
use uuid::Uuid;

use super::emit::{Cells, Collection, check_size, number, write_row};
use super::parameter::{
    Arguments, EPOCH_DAYS, EPOCH_MICROSECONDS, Parameter, RawArray, ordinal, read_numeric,
};
use super::{CountResult, ReadResult};
use crate::error::StoreError;
use crate::postgres::{Postgres, PostgresConnection};
use crate::sql::plan::{Column, Many, Plan, Rows, Statement};
use crate::sql::{Binding, Encoding};
use crate::statistics::{Statistics, count as add};

/// From this limit on an expand's targets are read for all parents together, in the hope that none has
/// more; below, each parent gets its own scan and sort.
const TOGETHER: u64 = 100;
/// How often a shape runs before it is worth preparing.
const USES_BEFORE_PREPARING: u64 = 1;
/// Time beyond a statement's for an answer that does not come at all.
const GRACE: Duration = Duration::from_secs(5);

/// What a read fetched.
struct Fetched {
    rows: Vec<Row>,
    many: Vec<Targets>,
}

/// Targets of an expand, by what their parents find them by.
struct Targets {
    of: HashMap<Vec<u8>, Vec<usize>>,
    fetched: Fetched,
}

/// Rows and what else was asked about them.
pub(crate) struct Found {
    fetched: Option<Fetched>,
    count: Option<u64>,
    source_found: bool,
}

/// Reads rows.
pub(super) async fn read<W: RowWriter>(
    postgres: &Postgres,
    plan: &Arc<Plan>,
    arguments: &Arguments,
    limit: usize,
    timeout: Duration,
    writer: W,
) -> Result<ReadResult<W>, StoreError> {
    let found = find(postgres, plan, arguments, limit, timeout).await?;
    write_found(&found, plan, arguments, limit, writer)
}

/// Reads rows on a connection that is in a transaction.
pub(crate) async fn read_in<W: RowWriter>(
    postgres: &Postgres,
    connection: &PostgresConnection,
    plan: &Arc<Plan>,
    arguments: &Arguments,
    limit: usize,
    writer: W,
) -> Result<ReadResult<W>, StoreError> {
    let found = find_in(postgres, connection, plan, arguments, limit).await?;
    write_found(&found, plan, arguments, limit, writer)
}

/// Finds rows on a connection that is in a transaction; [`write_found`] writes them.
pub(crate) async fn find_in(
    postgres: &Postgres,
    connection: &PostgresConnection,
    plan: &Plan,
    arguments: &Arguments,
    limit: usize,
) -> Result<Found, StoreError> {
    let read = Read {
        connection,
        statistics: postgres.statistics(),
        plan,
        arguments,
        limit,
        bytes: AtomicUsize::new(0),
    };
    read.find().await
}

/// Writes the row that an insert returned, as a plan that says so reads it.
pub(crate) fn write_returned<W: RowWriter>(
    rows: Vec<Row>,
    plan: &Plan,
    arguments: &Arguments,
    limit: usize,
    writer: W,
) -> Result<ReadResult<W>, StoreError> {
    let mut rows = rows;
    if let Some(returning) = &plan.returning
        && returning.found.is_some()
    {
        let found = Column {
            index: returning.width,
            encoding: Encoding::Boolean,
        };
        let mut kept = Vec::with_capacity(rows.len());
        for row in rows {
            if row.value(found)? == ValueRef::Boolean(true) {
                kept.push(row);
            }
        }
        rows = kept;
    }
    let found = Found {
        fetched: Some(Fetched {
            rows,
            many: Vec::new(),
        }),
        count: None,
        source_found: true,
    };
    write_found(&found, plan, arguments, limit, writer)
}

/// Writes what was found.
pub(crate) fn write_found<W: RowWriter>(
    found: &Found,
    plan: &Plan,
    arguments: &Arguments,
    limit: usize,
    mut writer: W,
) -> Result<ReadResult<W>, StoreError> {
    let (Some(fetched), Some(rows)) = (&found.fetched, &plan.rows) else {
        return Err(StoreError::internal("a plan without rows"));
    };
    let output = Output { arguments, limit };
    let given = if plan.single {
        match fetched.rows.first() {
            Some(row) => {
                output.row(rows, fetched, row, &mut writer)?;
                1
            }
            None => 0,
        }
    } else {
        let limit = arguments.number(plan.limit)?;
        let mut collection = Collection::begin(0, limit, plan.paged, found.count, &mut writer);
        for row in &fetched.rows {
            if !collection.takes() {
                break;
            }
            output.row(rows, fetched, row, &mut writer)?;
            collection.wrote(row, &rows.next)?;
        }
        collection.end(&mut writer)
    };
    Ok(ReadResult {
        writer,
        rows: given,
        source_found: found.source_found,
    })
}

/// Counts rows.
pub(super) async fn count(
    postgres: &Postgres,
    plan: &Arc<Plan>,
    arguments: &Arguments,
    timeout: Duration,
) -> Result<CountResult, StoreError> {
    let found = find(postgres, plan, arguments, usize::MAX, timeout).await?;
    Ok(CountResult {
        rows: found.count.unwrap_or_default(),
        source_found: found.source_found,
    })
}

/// Runs a plan's statements; once more on another connection if the first one turns out to be dead:
/// a read does no harm twice.
async fn find(
    postgres: &Postgres,
    plan: &Plan,
    arguments: &Arguments,
    limit: usize,
    timeout: Duration,
) -> Result<Found, StoreError> {
    let _place = postgres.reading().await?;
    let mut again = true;
    loop {
        let connection = postgres.connection().await?;
        let read = Read {
            connection: &connection,
            statistics: postgres.statistics(),
            plan,
            arguments,
            limit,
            bytes: AtomicUsize::new(0),
        };
        // Dropped without release, the connection has its query cancelled.
        let Ok(outcome) = tokio::time::timeout(timeout + GRACE, read.find()).await else {
            return Err(StoreError::Timeout);
        };
        match outcome {
            // Not released: whatever state it is in, nobody else gets it.
            Err(StoreError::Unavailable { .. }) if again => drop(connection),
            Err(StoreError::Unavailable { reason, source }) => {
                return Err(StoreError::Unavailable { reason, source });
            }
            Err(StoreError::Internal(cause)) if again && is_stale(&cause) => {
                connection.forget_statements();
                connection.release();
            }
            outcome => {
                connection.release();
                return outcome;
            }
        }
        again = false;
    }
}

/// Whether a prepared statement no longer fits the database's structure.
fn is_stale(cause: &crate::error::Cause) -> bool {
    let code = cause
        .downcast_ref::<tokio_postgres::Error>()
        .and_then(tokio_postgres::Error::code);
    code == Some(&SqlState::FEATURE_NOT_SUPPORTED)
        || code == Some(&SqlState::INVALID_SQL_STATEMENT_NAME)
}

struct Read<'a> {
    connection: &'a PostgresConnection,
    statistics: &'a Statistics,
    plan: &'a Plan,
    arguments: &'a Arguments,
    limit: usize,
    bytes: AtomicUsize,
}

impl<'a> Read<'a> {
    async fn find(&self) -> Result<Found, StoreError> {
        let rows = async {
            match &self.plan.rows {
                Some(rows) => self.fetch(rows, &rows.statement, &[]).await.map(Some),
                None => Ok(None),
            }
        };
        let count = async {
            match &self.plan.count {
                Some(statement) => self.number(statement).await.map(Some),
                None => Ok(None),
            }
        };
        // Sent one after the other without waiting for the first answer.
        let (fetched, count) = try_join(rows, count).await?;
        let found_some = fetched
            .as_ref()
            .map_or(count.unwrap_or_default() > 0, |fetched| {
                !fetched.rows.is_empty()
            });
        let source_found = match &self.plan.source_row {
            Some(statement) if !found_some => !self.run(statement, &[]).await?.is_empty(),
            _ => true,
        };
        Ok(Found {
            fetched,
            count,
            source_found,
        })
    }

    async fn number(&self, statement: &Statement) -> Result<u64, StoreError> {
        let rows = self.run(statement, &[]).await?;
        let row = rows
            .first()
            .ok_or_else(|| StoreError::internal("a count without a row"))?;
        number(
            row,
            Column {
                index: 0,
                encoding: Encoding::Integer,
            },
        )
    }

    /// Fetches rows and, level by level, what belongs to them.
    fn fetch<'s>(
        &'s self,
        rows: &'s Rows,
        statement: &'s Statement,
        parents: &'s [RawArray],
    ) -> BoxFuture<'s, Result<Fetched, StoreError>> {
        Box::pin(async move {
            let found = self.run(statement, parents).await?;
            self.with_targets(rows, found).await
        })
    }

    async fn with_targets(&self, rows: &Rows, found: Vec<Row>) -> Result<Fetched, StoreError> {
        let many = if rows.many.is_empty() {
            Vec::new()
        } else {
            try_join_all(rows.many.iter().map(|many| self.targets(many, &found))).await?
        };
        Ok(Fetched { rows: found, many })
    }

    fn targets<'s>(
        &'s self,
        many: &'s Many,
        parents: &'s [Row],
    ) -> BoxFuture<'s, Result<Targets, StoreError>> {
        Box::pin(async move {
            let keys = distinct_keys(many, parents)?;
            let none = keys.first().is_none_or(|part| part.count == 0);
            let found = if none {
                Vec::new()
            } else {
                self.attached(many, &keys).await?
            };
            let mut of: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
            for (position, row) in found.iter().enumerate() {
                if let Some(key) = raw_key(row, &many.child)? {
                    of.entry(key).or_default().push(position);
                }
            }
            let fetched = self.with_targets(&many.rows, found).await?;
            Ok(Targets { of, fetched })
        })
    }

    async fn attached(&self, many: &Many, keys: &[RawArray]) -> Result<Vec<Row>, StoreError> {
        let limit = self.arguments.number(many.limit)?;
        if let Some(statement) = &many.together
            && !many.skips
            && limit >= TOGETHER
        {
            let rows = self.run(statement, keys).await?;
            if rows.len() as u64 <= limit {
                return Ok(rows);
            }
        }
        self.run(&many.rows.statement, keys).await
    }

    async fn run(
        &self,
        statement: &Statement,
        parents: &[RawArray],
    ) -> Result<Vec<Row>, StoreError> {
        let parameters = self.parameters(statement, parents)?;
        add(&self.statistics.statements);
        let stream = self
            .start(statement, parameters)
            .map_err(StoreError::from)
            .await?;
        let mut stream = std::pin::pin!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await {
            let row = row?;
            let bytes = self
                .bytes
                .fetch_add(row.raw_size_bytes(), Ordering::Relaxed);
            // Text is never shorter than the binary form by much; the writer's own limit is exact.
            if bytes / 2 > self.limit {
                return Err(StoreError::ResponseTooLarge { limit: self.limit });
            }
            rows.push(row);
        }
        Ok(rows)
    }

    async fn start(
        &self,
        statement: &Statement,
        parameters: Vec<Parameter<'_>>,
    ) -> Result<RowStream, tokio_postgres::Error> {
        let text = &statement.text;
        if let Some(prepared) = self.connection.prepared(text) {
            return self.connection.query_raw(&prepared, parameters).await;
        }
        if statement.uses.fetch_add(1, Ordering::Relaxed) < USES_BEFORE_PREPARING {
            let typed = parameters.into_iter().zip(text.types.iter().cloned());
            return self.connection.query_typed_raw(&text.sql, typed).await;
        }
        let prepared = self.connection.prepare_cached(text).await?;
        self.connection.query_raw(&prepared, parameters).await
    }

    fn parameters<'p>(
        &'p self,
        statement: &Statement,
        parents: &'p [RawArray],
    ) -> Result<Vec<Parameter<'p>>, StoreError> {
        statement
            .bindings
            .iter()
            .map(|binding| {
                Ok(match *binding {
                    Binding::Value(position, Encoding::Ordinal(enumeration)) => {
                        Parameter::Integer(ordinal(
                            &self.plan.model,
                            enumeration,
                            self.arguments.value(position)?,
                        ))
                    }
                    Binding::Value(position, encoding) => {
                        Parameter::Value(self.arguments.value(position)?, encoding)
                    }
                    Binding::List(position, encoding) => {
                        Parameter::List(self.arguments.list(position)?, encoding)
                    }
                    Binding::Number(position, more) => {
                        Parameter::Integer(Some(self.arguments.rows(position, more)?))
                    }
                    Binding::Parents(part, _) => Parameter::Array(
                        parents
                            .get(part)
                            .ok_or_else(|| StoreError::internal("an expand without its parents"))?,
                    ),
                    Binding::Now => Parameter::DateTime(self.arguments.now),
                    Binding::Item(..) | Binding::Parent(_) => {
                        return Err(StoreError::internal("PostgreSQL binds lists as arrays"));
                    }
                })
            })
            .collect()
    }
}

/// The parents' keys, each once, as one array for each part.
fn distinct_keys(many: &Many, parents: &[Row]) -> Result<Vec<RawArray>, StoreError> {
    let mut arrays: Vec<RawArray> = many.parent.iter().map(|_| RawArray::default()).collect();
    let mut seen = std::collections::HashSet::with_capacity(parents.len());
    for row in parents {
        let Some(key) = raw_key(row, &many.parent)? else {
            continue;
        };
        if !seen.insert(key) {
            continue;
        }
        for (array, column) in arrays.iter_mut().zip(&many.parent) {
            array.count += 1;
            push_raw(
                &mut array.elements,
                raw(row, *column)?.unwrap_or_default(),
                column.encoding,
            );
        }
    }
    Ok(arrays)
}

/// What a row is found by; none if a part is null. Integers of different widths compare equal.
fn raw_key(row: &Row, columns: &[Column]) -> Result<Option<Vec<u8>>, StoreError> {
    let mut key = Vec::with_capacity(columns.len() * 20);
    for column in columns {
        let Some(bytes) = raw(row, *column)? else {
            return Ok(None);
        };
        push_raw(&mut key, bytes, column.encoding);
    }
    Ok(Some(key))
}

/// Appends a value with its length in front; integers in 64 bits, as their placeholders are typed.
fn push_raw(out: &mut Vec<u8>, bytes: &[u8], encoding: Encoding) {
    if encoding == Encoding::Integer
        && let Some(number) = integer(bytes)
    {
        out.extend_from_slice(&8_i32.to_be_bytes());
        out.extend_from_slice(&number.to_be_bytes());
        return;
    }
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Writes what was fetched.
struct Output<'a> {
    arguments: &'a Arguments,
    limit: usize,
}

impl Output<'_> {
    fn row<W: RowWriter>(
        &self,
        rows: &Rows,
        fetched: &Fetched,
        row: &Row,
        writer: &mut W,
    ) -> Result<(), StoreError> {
        write_row(
            &rows.layout,
            row,
            writer,
            &mut |position, row: &Row, writer: &mut W| {
                let (Some(many), Some(targets)) =
                    (rows.many.get(position), fetched.many.get(position))
                else {
                    return Err(StoreError::internal("an expand without a statement"));
                };
                self.many(many, targets, row, writer)
            },
        )?;
        check_size(writer, self.limit)
    }

    fn many<W: RowWriter>(
        &self,
        many: &Many,
        targets: &Targets,
        parent: &Row,
        writer: &mut W,
    ) -> Result<(), StoreError> {
        let positions = match raw_key(parent, &many.parent)? {
            Some(key) => targets.of.get(&key).map_or(&[][..], Vec::as_slice),
            None => &[],
        };
        let rows = positions
            .iter()
            .filter_map(|&position| targets.fetched.rows.get(position));
        let count = many
            .count
            .map(|column| number(parent, column))
            .transpose()?;
        let limit = self.arguments.number(many.limit)?;
        let mut collection = Collection::begin(many.node, limit, many.paged, count, writer);
        for row in rows {
            if !collection.takes() {
                break;
            }
            self.row(&many.rows, &targets.fetched, row, writer)?;
            collection.wrote(row, &many.rows.next)?;
        }
        collection.end(writer);
        Ok(())
    }
}

/// A column's bytes, whatever its type.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn raw(row: &Row, column: Column) -> Result<Option<&[u8]>, StoreError> {
    Ok(row.try_get::<_, Raw<'_>>(column.index)?.0)
}

fn integer(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        2 => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
        4 => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

/// A floating point number by its shortest decimal text.
fn float(bytes: &[u8]) -> Option<Decimal> {
    let text = match bytes.len() {
        4 => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        _ => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
    };
    text.parse().ok()
}

impl Cells for Row {
    fn value(&self, column: Column) -> Result<ValueRef<'_>, StoreError> {
        let Some(bytes) = raw(self, column)? else {
            return Ok(ValueRef::Null);
        };
        decode(bytes, column.encoding).ok_or_else(|| {
            StoreError::internal("a column holds something other than the model says")
        })
    }
}

fn decode(bytes: &[u8], encoding: Encoding) -> Option<ValueRef<'_>> {
    Some(match encoding {
        Encoding::Boolean => ValueRef::Boolean(*bytes.first()? != 0),
        Encoding::Integer | Encoding::Ordinal(_) => ValueRef::Integer(integer(bytes)?),
        Encoding::Decimal(_) => ValueRef::Decimal(read_numeric(bytes)?),
        Encoding::Float(_) => ValueRef::Decimal(float(bytes)?),
        Encoding::Text => ValueRef::Text(std::str::from_utf8(bytes).ok()?),
        Encoding::Json => ValueRef::Json(std::str::from_utf8(bytes).ok()?),
        Encoding::DateTime => ValueRef::DateTime(integer(bytes)?.checked_add(EPOCH_MICROSECONDS)?),
        Encoding::Date => {
            ValueRef::Date(i32::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH_DAYS)?)
        }
        Encoding::Time => ValueRef::Time(integer(bytes)?),
        Encoding::Duration => ValueRef::Duration(integer(bytes)?),
        Encoding::Uuid => ValueRef::Uuid(Uuid::from_slice(bytes).ok()?),
        Encoding::Binary => ValueRef::Binary(bytes),
    })
}
