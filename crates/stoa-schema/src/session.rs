//! A connection of its own for the change of a structure: statements without parameters, values as text.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::types::ValueRef;
use stoa_model::physical::LEDGER_TABLE;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use crate::Dialect;
use crate::error::SchemaError;
use crate::kind::{hexadecimal, quote_text};

/// Rows with values as the database shows them; bytes in hexadecimal.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// Longest wait for another process that changes the same database's structure.
const OTHER_PROCESS: Duration = Duration::from_secs(60);

/// First half of the advisory lock's name; the other is the schema.
const LOCK: i32 = 0x5374_6f61;

/// A connection.
pub(crate) enum Session {
    Postgres(tokio_postgres::Client),
    /// Never held over an await: statements run on the calling thread.
    Sqlite(Mutex<rusqlite::Connection>),
}

impl Session {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Opens a file; `create` makes it if there is none, otherwise a database in memory stands for it.
    pub(crate) fn open_sqlite(path: &Path, create: bool) -> Result<Self, SchemaError> {
        let opened = if create {
            rusqlite::Connection::open(path)
        } else if path.exists() {
            rusqlite::Connection::open_with_flags(
                path,
                rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE
                    | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
        } else {
            rusqlite::Connection::open_in_memory()
        };
        let unreachable = |error: rusqlite::Error| SchemaError::Unreachable {
            address: path.display().to_string(),
            reason: error.to_string(),
        };
        let connection = opened.map_err(unreachable)?;
        connection
            .busy_timeout(OTHER_PROCESS)
            .map_err(unreachable)?;
        connection
            .pragma_update(None, "foreign_keys", false)
            .map_err(unreachable)?;
        Ok(Self::Sqlite(Mutex::new(connection)))
    }

    /// Rows of a query.
    pub(crate) async fn rows(&self, sql: &str, action: &str) -> Result<Rows, SchemaError> {
        match self {
            Self::Postgres(client) => {
                let messages = client
                    .simple_query(sql)
                    .await
                    .map_err(|error| postgres_error(&error, action))?;
                Ok(messages
                    .iter()
                    .filter_map(|message| match message {
                        SimpleQueryMessage::Row(row) => Some(
                            (0..row.len())
                                .map(|column| row.get(column).map(str::to_owned))
                                .collect(),
                        ),
                        _ => None,
                    })
                    .collect())
            }
            Self::Sqlite(connection) => {
                let connection = connection
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                sqlite_rows(&connection, sql).map_err(|error| sqlite_error(&error, action))
            }
        }
    }

    /// Runs a statement.
    pub(crate) async fn execute(&self, sql: &str, action: &str) -> Result<(), SchemaError> {
        match self {
            Self::Postgres(client) => client
                .batch_execute(sql)
                .await
                .map_err(|error| postgres_error(&error, action)),
            Self::Sqlite(connection) => {
                let connection = connection
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                connection
                    .execute_batch(sql)
                    .map_err(|error| sqlite_error(&error, action))
            }
        }
    }

    /// The number that a query gives.
    pub(crate) async fn number(&self, sql: &str, action: &str) -> Result<u64, SchemaError> {
        let rows = self.rows(sql, action).await?;
        rows.first()
            .and_then(|row| row.first()?.as_deref()?.parse().ok())
            .ok_or_else(|| SchemaError::Statement {
                action: action.to_owned(),
                reason: "a number was expected".to_owned(),
            })
    }

    /// Whether Stoa has been here.
    pub(crate) async fn has_ledger(&self) -> Result<bool, SchemaError> {
        let query = match self {
            Self::Postgres(_) => format!(
                "SELECT 1 FROM pg_class WHERE relname = '{LEDGER_TABLE}' AND relnamespace = current_schema()::regnamespace"
            ),
            Self::Sqlite(_) => format!("SELECT 1 FROM sqlite_schema WHERE name = '{LEDGER_TABLE}'"),
        };
        Ok(!self
            .rows(&query, "looking for the ledger")
            .await?
            .is_empty())
    }

    /// Names of all tables, views and the like.
    pub(crate) async fn relations(&self) -> Result<Vec<String>, SchemaError> {
        let query = match self {
            Self::Postgres(_) => {
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace = current_schema()::regnamespace"
            }
            Self::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')",
        };
        let rows = self.rows(query, "listing tables").await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect())
    }

    /// Name and type of a table's columns.
    pub(crate) async fn columns(&self, table: &str) -> Result<Vec<(String, String)>, SchemaError> {
        let name = quote_text(table);
        let query = match self {
            Self::Postgres(_) => format!(
                "SELECT attname, atttypid::regtype::text FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid WHERE relname = {name} AND relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            ),
            Self::Sqlite(_) => {
                format!("SELECT name, type FROM pragma_table_info({name}) ORDER BY cid")
            }
        };
        let rows = self.rows(&query, "listing columns").await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let mut values = row.into_iter().flatten();
                Some((values.next()?, values.next()?))
            })
            .collect())
    }

    /// Starts a transaction that only looks.
    pub(crate) async fn begin_reading(&self) -> Result<(), SchemaError> {
        let sql = match self {
            Self::Postgres(_) => {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL TimeZone = 'UTC'"
            }
            Self::Sqlite(_) => "BEGIN",
        };
        self.execute(sql, "starting to read").await
    }

    /// Starts a transaction that changes the structure, after every other process that does.
    pub(crate) async fn begin_changing(&self, lock_timeout: Duration) -> Result<(), SchemaError> {
        const ACTION: &str = "waiting for another process that changes the database";
        match self {
            Self::Postgres(_) => {
                let sql = format!(
                    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({LOCK}, hashtext(current_schema()::text)); SET LOCAL lock_timeout = {}",
                    OTHER_PROCESS.as_millis(),
                    lock_timeout.as_millis().max(1),
                );
                self.execute(&sql, ACTION).await
            }
            Self::Sqlite(_) => self.execute("BEGIN IMMEDIATE", ACTION).await,
        }
    }

    pub(crate) async fn commit(&self) -> Result<(), SchemaError> {
        self.execute("COMMIT", "committing the change").await
    }

    /// Best effort: a lost connection has rolled back by itself.
    pub(crate) async fn roll_back(&self) {
        if let Err(error) = self.execute("ROLLBACK", "rolling back").await {
            tracing::debug!(%error, "the transaction was gone already");
        }
    }
}

fn sqlite_rows(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare(sql)?;
    let width = statement.column_count();
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(width);
        for column in 0..width {
            values.push(match row.get_ref(column)? {
                ValueRef::Null => None,
                ValueRef::Integer(value) => Some(value.to_string()),
                ValueRef::Real(value) => Some(value.to_string()),
                ValueRef::Text(value) => Some(String::from_utf8_lossy(value).into_owned()),
                ValueRef::Blob(value) => Some(hexadecimal(value)),
            });
        }
        all.push(values);
    }
    Ok(all)
}

pub(crate) fn postgres_error(error: &tokio_postgres::Error, action: &str) -> SchemaError {
    let action = action.to_owned();
    let Some(database) = error.as_db_error() else {
        return SchemaError::Unreachable {
            address: "PostgreSQL".to_owned(),
            reason: std::error::Error::source(error)
                .map_or_else(|| error.to_string(), ToString::to_string),
        };
    };
    let mut reason = database.message().to_owned();
    if let Some(detail) = database.detail() {
        reason = format!("{reason} ({detail})");
    }
    match *database.code() {
        SqlState::INSUFFICIENT_PRIVILEGE => SchemaError::PermissionDenied { action, reason },
        SqlState::LOCK_NOT_AVAILABLE => SchemaError::Locked { action },
        SqlState::DISK_FULL => SchemaError::DiskFull { action },
        _ => SchemaError::Statement { action, reason },
    }
}

fn sqlite_error(error: &rusqlite::Error, action: &str) -> SchemaError {
    use rusqlite::ErrorCode;
    let action = action.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SchemaError::Locked { action },
        Some(ErrorCode::DiskFull) => SchemaError::DiskFull { action },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => SchemaError::PermissionDenied {
            action,
            reason: error.to_string(),
        },
        Some(ErrorCode::NotADatabase | ErrorCode::CannotOpen) => SchemaError::Unreachable {
            address: "SQLite".to_owned(),
            reason: error.to_string(),
        },
        _ => SchemaError::Statement {
            action,
            reason: error.to_string(),
        },
    }
}
