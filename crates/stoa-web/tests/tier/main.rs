//! The tier with real listeners, links and instances, in one process on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod application;
mod client;
mod content;
mod faults;
mod here;
mod limits;
mod routing;
mod sticky;
mod streams;
mod upgrades;
mod world;
