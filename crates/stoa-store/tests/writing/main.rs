//! Writes on both databases: the same change has the same effect and the same faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod audited;
mod changes;
mod cost;
mod database;
mod external;
mod faults;
mod judged;
mod loading;
mod once;
