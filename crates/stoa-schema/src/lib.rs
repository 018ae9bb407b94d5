//! From a model to a database structure: all DDL of Stoa.
//!
//! Owns: what structure a model needs ([`structure`]), what differs between two structures and the SQL that
//! leads from one to the other, the checks of existing rows before it, and the ledger that says which
//! structure a database has.
//!
//! Does not own: how rows are read and written (the store), what a model means (the model).
//!
//! Invariants: a change happens as a whole or not at all; nothing is changed before existing rows were
//! checked; data is lost only by consent ([`Options::allow_data_loss`]); of several processes that start at
//! once on one database, one does the work; where nothing is to do, one row is read and nothing else.
//! Tables that Stoa did not make are never changed. Roles and rights are looked at before they are changed.
//!
//! Start reading at [`apply`](fn@apply), then [`structure::Structure::of`].

mod apply;
mod check;
mod difference;
mod error;
mod external;
mod from_model;
mod initialise;
mod kind;
mod ledger;
mod plan;
mod postgres;
mod privileges;
mod session;
mod sqlite;
mod steps;
pub mod structure;
#[cfg(test)]
mod tests;

pub use apply::{Applied, Options, Progress, ProgressCallback, apply, plan, repair_privileges};
pub use check::{REPORTED_ROWS, Report};
pub use error::SchemaError;
pub use initialise::{Initialised, WantedPassword, WantedRole, initialise};
pub use kind::Kind;
pub use plan::{Class, Plan, Step};
pub use privileges::excess;
pub use stoa_store::Dialect;
