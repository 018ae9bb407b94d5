//! The service as a client sees it: the built binary, over HTTP, on SQLite and on PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod bad_input;
mod faults;
mod injection;
mod northwind;
mod oracle;
mod repeats;
mod scenarios;
mod services;
mod trial;
