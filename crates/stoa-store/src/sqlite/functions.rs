//! SQL functions that SQLite lacks or has differently from PostgreSQL.

use rusqlite::Connection;

use crate::error::StoreError;

/// Registers all of them on a connection.
#[expect(clippy::unnecessary_wraps, reason = "filled in with the expressions")]
pub(crate) fn register(_connection: &Connection) -> Result<(), StoreError> {
    Ok(())
}
