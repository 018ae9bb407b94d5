//! Ends the database sessions of processes whose leases are over (PostgreSQL).
//!
//! A process that stands still may hold locks, and would commit what it had begun when it goes on. The row of its
//! lease is locked while its sessions are ended: it cannot renew the lease in between, and when it does so
//! afterwards it has none of its old sessions any more. Whoever ends them needs no right beyond that of the same
//! database user.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::statements::Statements;
use crate::error::StoreError;
use crate::postgres::Postgres;

/// Ends the sessions of all whose leases are over, and removes their rows. Gives the ids of those rows. What
/// cannot be ended within a second is left for the next time.
pub(super) async fn fence(
    postgres: &Postgres,
    statements: &Statements,
    own: Uuid,
) -> Result<Vec<Uuid>, StoreError> {
    let connection = postgres.connection().await?;
    let over: i64 = connection
        .query_typed(&statements.number_over, &[])
        .await?
        .first()
        .map_or(Ok(0), |row| row.try_get(0))?;
    if over == 0 {
        connection.release();
        return Ok(Vec::new());
    }
    // One that is dropped on the way is rolled back.
    connection.batch_execute("BEGIN").await?;
    let rows = connection.query_typed(&statements.lock_over, &[]).await?;
    let mut ids: Vec<Uuid> = Vec::with_capacity(rows.len());
    let mut processes: Vec<Uuid> = Vec::new();
    for row in &rows {
        ids.push(row.try_get(0)?);
        let process: Option<Uuid> = row.try_get(1)?;
        processes.extend(process.filter(|process| *process != own));
    }
    let ended: bool = connection
        .query_typed(&statements.end_sessions, &[(&processes, Type::UUID_ARRAY)])
        .await?
        .first()
        .map_or(Ok(true), |row| row.try_get(0))?;
    if !ended {
        connection.batch_execute("ROLLBACK").await?;
        connection.release();
        tracing::warn!("database sessions of a silent instance cannot be ended yet; trying again");
        return Ok(Vec::new());
    }
    connection
        .query_typed(&statements.remove, &[(&ids, Type::UUID_ARRAY)])
        .await?;
    connection.batch_execute("COMMIT").await?;
    connection.release();
    if !ids.is_empty() {
        tracing::warn!(
            instances = ids.len(),
            "instances whose leases are over have been shut out: their database sessions are ended"
        );
    }
    Ok(ids)
}
