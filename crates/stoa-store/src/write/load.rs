//! Many rows at once: sample data and benchmarks.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use futures_util::SinkExt;
use postgres_types::{IsNull, Type};
use rusqlite::{Transaction, TransactionBehavior};
use stoa_model::model::{AttributeId, Entity, EntityId, Model, NavigationId, Purpose, Storage};
use stoa_model::physical::{DATA_LOADED_COLUMN, LEDGER_TABLE, SEQUENCE_TABLE};
use stoa_model::value::Value;

use super::engine::now;
use super::source::key_forms;
use super::sqlite::bound;
use super::statement::{Form, Writer};
use crate::error::StoreError;
use crate::postgres::PostgresConnection;
use crate::store::{Backend, Dialect, Store};

/// Starts a transaction that may take as long as it needs.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = 0";
/// Rows in one message to PostgreSQL, bytes.
const CHUNK: usize = 128 * 1024;

/// A column of rows to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// An attribute, generated ones included.
    Attribute(AttributeId),
    /// A part of the key that a to-one navigation refers to, by its position.
    Reference(NavigationId, usize),
}

/// Rows for one table.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where they go.
    pub target: LoadTarget,
    /// One vector for each row, as long as the target has columns.
    pub rows: Vec<Vec<Value>>,
}

/// Where rows to load go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadTarget {
    /// Rows of an entity, as [`Store::load`] takes them.
    Rows {
        /// Their type.
        entity: EntityId,
        /// What their values are.
        columns: Vec<Column>,
    },
    /// Pairs of keys, as [`Store::load_links`] takes them.
    Links {
        /// Entity that has the navigation.
        entity: EntityId,
        /// A many-to-many navigation.
        navigation: NavigationId,
    },
}

/// Told the number of rows written so far, from whatever thread writes them.
pub type LoadProgress = Arc<dyn Fn(u64) + Send + Sync>;

/// What a value is for.
struct Place {
    column: String,
    form: Form,
}

struct Layout {
    table: String,
    places: Vec<Place>,
    /// The same value in every row, after the given ones.
    constants: Vec<Value>,
    /// Columns with numbers of their own: position among the places and name.
    numbers: Vec<(usize, String)>,
}

impl Store {
    /// Inserts many rows of one entity in one transaction; gives their number. Version and instants are added
    /// unless they are among the columns; numbers given explicitly move the numbering on. Values are not
    /// validated beyond what the database does.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was written then.
    pub async fn load<I>(
        &self,
        model: &Arc<Model>,
        entity: EntityId,
        columns: &[Column],
        rows: I,
    ) -> Result<u64, StoreError>
    where
        I: IntoIterator<Item = Vec<Value>> + Send + 'static,
        I::IntoIter: Send,
    {
        let layout = Layout::of(model, &model[entity], columns, self.dialect())?;
        self.load_rows(layout, rows).await
    }

    /// Connects many rows by a many-to-many navigation; each item is the key of a row of `entity` followed by
    /// the key of the target. Gives their number.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was written then.
    pub async fn load_links<I>(
        &self,
        model: &Arc<Model>,
        entity: EntityId,
        navigation: NavigationId,
        rows: I,
    ) -> Result<u64, StoreError>
    where
        I: IntoIterator<Item = Vec<Value>> + Send + 'static,
        I::IntoIter: Send,
    {
        let layout = Layout::of_links(model, entity, navigation)?;
        self.load_rows(layout, rows).await
    }

    async fn load_rows<I>(&self, layout: Layout, rows: I) -> Result<u64, StoreError>
    where
        I: IntoIterator<Item = Vec<Value>> + Send + 'static,
        I::IntoIter: Send,
    {
        match self.backend() {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await?;
                // Dropped without release, the connection is rolled back.
                connection.batch_execute(BEGIN).await?;
                let count = load_postgres(&connection, &layout, rows.into_iter()).await?;
                connection.batch_execute("COMMIT").await?;
                connection.release();
                Ok(count)
            }
            Backend::Sqlite(sqlite) => {
                sqlite
                    .exclusive(move |connection| {
                        let transaction =
                            connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                        let count = load_sqlite(&transaction, &layout, rows.into_iter())?;
                        transaction.commit()?;
                        Ok(count)
                    })
                    .await
            }
        }
    }

    /// Whether this database has never had its chance to get sample data: [`Store::load_once`] has not run.
    /// A database without a ledger belongs to somebody else and never has. Nor has a user who may not note that
    /// it happened: the owner of the structure loads the data then.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn awaits_data(&self) -> Result<bool, StoreError> {
        let pending = pending();
        match self.backend() {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await?;
                let found = connection
                    .query_one("SELECT to_regclass($1) IS NOT NULL", &[&LEDGER_TABLE])
                    .await?;
                let may = "SELECT has_table_privilege($1, 'UPDATE')";
                let awaits = found.get(0)
                    && connection.query_one(may, &[&LEDGER_TABLE]).await?.get(0)
                    && connection.query_one(&pending, &[]).await?.get(0);
                connection.release();
                Ok(awaits)
            }
            Backend::Sqlite(sqlite) => {
                sqlite
                    .read(move |connection| {
                        let known = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)";
                        let found: bool =
                            connection.query_row(known, [LEDGER_TABLE], |row| row.get(0))?;
                        Ok(found && connection.query_row(&pending, [], |row| row.get(0))?)
                    })
                    .await
            }
        }
    }

    /// Loads rows of several tables in one transaction, once in the life of a database, and notes that it
    /// happened; gives the number of rows, none if it has happened before. With no rows it only takes the
    /// chance away.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was written and nothing noted then.
    pub async fn load_once(
        &self,
        model: &Arc<Model>,
        loads: Vec<Load>,
        progress: Option<LoadProgress>,
    ) -> Result<Option<u64>, StoreError> {
        let loads = loads
            .into_iter()
            .map(|load| {
                let layout = match load.target {
                    LoadTarget::Rows { entity, columns } => {
                        Layout::of(model, &model[entity], &columns, self.dialect())?
                    }
                    LoadTarget::Links { entity, navigation } => {
                        Layout::of_links(model, entity, navigation)?
                    }
                };
                Ok((layout, load.rows))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let pending = pending();
        let note = format!("UPDATE \"{LEDGER_TABLE}\" SET {DATA_LOADED_COLUMN} = 1");
        let report = move |written| {
            if let Some(progress) = &progress {
                progress(written);
            }
        };
        match self.backend() {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await?;
                connection.batch_execute(BEGIN).await?;
                // Of several processes that start at once, one goes on and the others find it done.
                connection
                    .batch_execute(&format!(
                        "LOCK TABLE \"{LEDGER_TABLE}\" IN SHARE ROW EXCLUSIVE MODE"
                    ))
                    .await?;
                let awaits: bool = connection.query_one(&pending, &[]).await?.get(0);
                let mut written = 0;
                if awaits {
                    for (layout, rows) in loads {
                        written += load_postgres(&connection, &layout, rows.into_iter()).await?;
                        report(written);
                    }
                    connection.batch_execute(&note).await?;
                }
                connection.batch_execute("COMMIT").await?;
                connection.release();
                Ok(awaits.then_some(written))
            }
            Backend::Sqlite(sqlite) => {
                sqlite
                    .exclusive(move |connection| {
                        let transaction =
                            connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                        let awaits: bool = transaction.query_row(&pending, [], |row| row.get(0))?;
                        let mut written = 0;
                        if awaits {
                            for (layout, rows) in loads {
                                written += load_sqlite(&transaction, &layout, rows.into_iter())?;
                                report(written);
                            }
                            transaction.execute_batch(&note)?;
                        }
                        transaction.commit()?;
                        Ok(awaits.then_some(written))
                    })
                    .await
            }
        }
    }
}

/// Asks whether sample data may still be loaded.
fn pending() -> String {
    format!("SELECT NOT EXISTS (SELECT 1 FROM \"{LEDGER_TABLE}\" WHERE {DATA_LOADED_COLUMN} = 1)")
}

impl Layout {
    fn of_links(
        model: &Model,
        entity: EntityId,
        navigation: NavigationId,
    ) -> Result<Self, StoreError> {
        let described = &model[entity];
        let end = &described[navigation];
        let Storage::Join { table, own, target } = &end.storage else {
            return Err(StoreError::internal(
                "only many-to-many navigations have a table of their own",
            ));
        };
        let columns = own.iter().chain(target);
        let forms = key_forms(described).chain(key_forms(&model[end.target]));
        Ok(Self {
            table: table.clone(),
            places: columns
                .zip(forms)
                .map(|(column, form)| Place {
                    column: column.clone(),
                    form,
                })
                .collect(),
            constants: Vec::new(),
            numbers: Vec::new(),
        })
    }

    fn of(
        model: &Model,
        entity: &Entity,
        columns: &[Column],
        dialect: Dialect,
    ) -> Result<Self, StoreError> {
        let mut layout = Self {
            table: entity.table.name.clone(),
            places: Vec::with_capacity(columns.len() + 4),
            constants: Vec::new(),
            numbers: Vec::new(),
        };
        for column in columns {
            let place = match column {
                Column::Attribute(id) => {
                    let attribute = &entity[*id];
                    if attribute.purpose == Purpose::AutoNumber {
                        layout
                            .numbers
                            .push((layout.places.len(), attribute.column.clone()));
                    }
                    Place {
                        column: attribute.column.clone(),
                        form: Form::of(attribute),
                    }
                }
                Column::Reference(id, position) => {
                    let navigation = &entity[*id];
                    let form = key_forms(&model[navigation.target]).nth(*position);
                    match (&navigation.storage, form) {
                        (Storage::Own(own), Some(form)) if *position < own.len() => Place {
                            column: own[*position].column.clone(),
                            form,
                        },
                        _ => {
                            return Err(StoreError::internal(
                                "a reference that is not kept in the row",
                            ));
                        }
                    }
                }
            };
            layout.places.push(place);
        }
        if let (Some(column), Some(name)) =
            (&entity.table.discriminator_column, &entity.discriminator)
        {
            layout.add(column, Form::Text, Value::Text(name.clone()));
        }
        let now = now();
        for attribute in &entity.attributes {
            let value = match attribute.purpose {
                Purpose::Version => Value::Integer(1),
                Purpose::CreatedAt | Purpose::ChangedAt => Value::DateTime(now),
                Purpose::AutoNumber
                    if dialect == Dialect::Sqlite && !layout.has(&attribute.column) =>
                {
                    return Err(StoreError::internal(format!(
                        "{} must be given when rows are loaded",
                        attribute.name
                    )));
                }
                _ => continue,
            };
            if !layout.has(&attribute.column) {
                layout.add(&attribute.column, Form::of(attribute), value);
            }
        }
        Ok(layout)
    }

    fn has(&self, column: &str) -> bool {
        self.places.iter().any(|place| place.column == column)
    }

    fn add(&mut self, column: &str, form: Form, value: Value) {
        self.places.push(Place {
            column: column.to_owned(),
            form,
        });
        self.constants.push(value);
    }

    fn width(&self) -> usize {
        self.places.len() - self.constants.len()
    }

    fn check(&self, row: &[Value]) -> Result<(), StoreError> {
        if row.len() == self.width() {
            Ok(())
        } else {
            Err(StoreError::internal(format!(
                "a row for {} has {} values instead of {}",
                self.table,
                row.len(),
                self.width()
            )))
        }
    }
}

/// Highest number given in each numbered column.
#[derive(Default)]
struct Highest(HashMap<usize, i64>);

impl Highest {
    fn see(&mut self, layout: &Layout, row: &[Value]) {
        for (position, _) in &layout.numbers {
            if let Some(Value::Integer(value)) = row.get(*position) {
                let highest = self.0.entry(*position).or_insert(*value);
                *highest = (*highest).max(*value);
            }
        }
    }
}

async fn load_postgres(
    connection: &PostgresConnection,
    layout: &Layout,
    rows: impl Iterator<Item = Vec<Value>> + Send,
) -> Result<u64, StoreError> {
    let mut names = Writer::new(Dialect::Postgres);
    names.names(layout.places.iter().map(|place| place.column.as_str()));
    let mut table = Writer::new(Dialect::Postgres);
    table.name(&layout.table);
    let described = connection
        .prepare(&format!("SELECT {} FROM {}", names.sql, table.sql))
        .await?;
    let types: Vec<Type> = described
        .columns()
        .iter()
        .map(|column| column.type_().clone())
        .collect();
    let sink = connection
        .copy_in(&format!(
            "COPY {} ({}) FROM STDIN (FORMAT binary)",
            table.sql, names.sql
        ))
        .await?;
    let mut sink = std::pin::pin!(sink);
    let mut out = BytesMut::with_capacity(CHUNK * 2);
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_i32(0);
    out.put_i32(0);
    let width =
        i16::try_from(layout.places.len()).map_err(|_| StoreError::internal("too many columns"))?;
    let mut highest = Highest::default();
    for row in rows {
        layout.check(&row)?;
        highest.see(layout, &row);
        out.put_i16(width);
        for (value, kind) in row.iter().chain(&layout.constants).zip(&types) {
            let length_at = out.len();
            out.put_i32(-1);
            if let IsNull::No =
                super::postgres::write_value(value, kind, &mut out).map_err(StoreError::Internal)?
            {
                let length = i32::try_from(out.len() - length_at - 4)
                    .map_err(|_| StoreError::InvalidText)?;
                out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
        if out.len() >= CHUNK {
            sink.send(out.split().freeze()).await?;
        }
    }
    out.put_i16(-1);
    sink.send(out.split().freeze()).await?;
    let count = sink.finish().await?;
    for (position, column) in &layout.numbers {
        let Some(value) = highest.0.get(position) else {
            continue;
        };
        connection
            .execute(
                "SELECT setval(sequence, greatest($3, nextval(sequence))) FROM (SELECT pg_get_serial_sequence(quote_ident($1), $2)::regclass AS sequence) AS found WHERE sequence IS NOT NULL",
                &[&layout.table, column, value],
            )
            .await?;
    }
    // Plans made before the server looks at the new rows by itself would be for an empty table.
    connection
        .batch_execute(&format!("ANALYZE {}", table.sql))
        .await?;
    Ok(count)
}

fn load_sqlite(
    transaction: &Transaction<'_>,
    layout: &Layout,
    rows: impl Iterator<Item = Vec<Value>>,
) -> Result<u64, StoreError> {
    let mut writer = Writer::new(Dialect::Sqlite);
    writer.text("INSERT INTO ").name(&layout.table).text(" (");
    writer
        .names(layout.places.iter().map(|place| place.column.as_str()))
        .text(") VALUES (");
    for (position, place) in layout.places.iter().enumerate() {
        writer.text(if position > 0 { ", " } else { "" });
        writer.bind(Value::Null, place.form);
    }
    writer.text(")");
    let mut count = 0;
    let mut highest = Highest::default();
    {
        let mut statement = transaction.prepare(&writer.sql)?;
        for (place, (position, value)) in layout.places[layout.width()..]
            .iter()
            .zip((layout.width() + 1..).zip(&layout.constants))
        {
            statement.raw_bind_parameter(position, bound(value, place.form)?)?;
        }
        for row in rows {
            layout.check(&row)?;
            highest.see(layout, &row);
            for (position, (value, place)) in row.iter().zip(&layout.places).enumerate() {
                statement.raw_bind_parameter(position + 1, bound(value, place.form)?)?;
            }
            statement.raw_execute()?;
            count += 1;
        }
        let mut number = transaction.prepare(&format!(
            "UPDATE \"{SEQUENCE_TABLE}\" SET value = max(value, ?2) WHERE name = ?1"
        ))?;
        for (position, column) in &layout.numbers {
            if let Some(value) = highest.0.get(position) {
                number.execute(rusqlite::params![
                    format!("{}.{column}", layout.table),
                    value
                ])?;
            }
        }
    }
    Ok(count)
}
