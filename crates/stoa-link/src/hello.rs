//! The first message on every connection, from the side that dialled: whose it is and what for.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Whose connection this is, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The process that dialled.
    pub(crate) instance: Uuid,
    pub(crate) purpose: Purpose,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// Announcements and heartbeats; not HTTP.
    Announce,
    /// One request after the other.
    Request,
    /// One request that becomes something else, such as a WebSocket.
    Upgrade,
}
