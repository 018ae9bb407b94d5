//! The link: connections that an app server dials to web servers, and serves HTTP over.
//!
//! Owns: who may be what to whom ([`trust`]); what an instance tells of itself ([`announcement`]); the side that
//! dials and serves ([`dial`]); the side that accepts, knows the instances and sends them requests ([`accept`]); a
//! connection on which requests are sent ([`connection`]), the threads that connections stay with ([`workers`]), and
//! the [`cryptography`] of all connections.
//!
//! Does not own: applications, routing, balancing. It carries requests and says of a failed one whether it may be
//! sent again.
//!
//! How it works: every connection is dialled by the app server, with TLS 1.3 and certificates on both sides. It
//! begins with a greeting. One connection of an instance carries *announcements* and heartbeats; the others carry
//! HTTP/1.1 requests, one at a time, in the opposite direction to the dialling. The dialling side keeps a few idle
//! ones ready and dials more as they are taken.
//!
//! Invariants:
//! - No instance serves an environment that its certificate does not name.
//! - A connection with an answer that was not read to its end is never used again.
//! - Whoever is silent for three heartbeats is avoided, not trusted to be dead: what it was asked may still happen.
//!
//! Start reading at [`dial::Dialer`] and [`accept::Instances`].

pub mod accept;
pub mod announcement;
pub mod connection;
pub mod cryptography;
pub mod dial;
mod frame;
mod hello;
pub mod trust;
pub mod workers;

use std::time::Duration;

pub use frame::FrameError;

/// Time between two heartbeats.
pub const HEARTBEAT: Duration = Duration::from_millis(500);
/// An instance that is not heard for so long is avoided: three heartbeats.
pub const SILENCE: Duration = Duration::from_millis(1500);

/// Any error of a body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
