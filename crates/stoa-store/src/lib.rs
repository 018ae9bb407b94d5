//! Queries and changes as SQL, on PostgreSQL and SQLite with the same answers.
//!
//! Owns: connections ([`Store`], [`Postgres`], [`Sqlite`]), SQL that reads and writes rows, caches of
//! statements, what database errors mean ([`StoreError`]), and what the processes that share a database know of
//! each other ([`Coordination`]).
//!
//! Does not own: the structure of the database (DDL is the schema's), URLs, JSON, access rules (it judges by
//! conditions that are in queries and changes already).
//!
//! Invariants: values are always bound, identifiers always quoted; an acknowledged write is on disk; a
//! connection goes back to its pool clean or not at all; both databases give the same answers.
//!
//! Start reading at [`Store`], then `sql` for how a query becomes SQL.

mod config;
mod coordination;
mod database_url;
mod error;
mod postgres;
mod read;
mod sql;
mod sqlite;
mod statistics;
mod store;
mod write;

pub use config::Config;
pub use coordination::{Coordination, Leadership, LeaseState, Membership, SECURITY_REVISION};
pub use database_url::{DatabaseUrl, Encryption, PostgresUrl};
pub use error::{ArithmeticFault, Cause, Fault, StoreError};
pub use postgres::{Postgres, PostgresConnection, StatementText, connect};
pub use read::{CountResult, ReadResult};
pub use sqlite::Sqlite;
pub use statistics::{LATENCY_BOUNDS, Operation, PoolState, Statistics};
pub use store::{Dialect, Store};
pub use write::{Column, Load, LoadProgress, LoadTarget, RequestIdentity};

// The drivers, for the schema's own statements.
pub use rusqlite;
pub use tokio_postgres;
