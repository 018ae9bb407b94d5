//! The server against clients that mean harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connections;
mod http_2;
mod smuggling;
mod transport;
mod world;
