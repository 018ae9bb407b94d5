//! The record of what happens to people and their rights (and, written by the store, to audited entities).

use std::borrow::Cow;

use uuid::Uuid;

use super::Identity;
use super::error::IdentityError;

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which; ascending with time.
    pub id: Uuid,
    /// When, microseconds since the Unix epoch.
    pub at: i64,
    /// What: [`kind`], or `insert`, `update`, `delete` of an audited entity.
    pub kind: String,
    /// Who.
    pub actor: Option<String>,
    /// `id` of who.
    pub actor_id: Option<Uuid>,
    /// Entity of the row that it is about.
    pub entity: Option<String>,
    /// Key of that row, as in a URL.
    pub key: Option<String>,
    /// More about it, JSON.
    pub detail: Option<String>,
    /// The row before, JSON.
    pub before: Option<String>,
    /// The row after, JSON.
    pub after: Option<String>,
    /// Address of the client.
    pub address: Option<String>,
    /// Identity of the request.
    pub request: Option<String>,
}

/// Kinds of entries that are written here.
#[allow(missing_docs)] // each is its text
pub mod kind {
    pub const SIGN_IN: &str = "sign-in";
    pub const SIGN_IN_FAILURE: &str = "sign-in-failure";
    pub const SIGN_OUT: &str = "sign-out";
    pub const PASSWORD_CHANGED: &str = "password-changed";
    pub const ROLE_GRANTED: &str = "role-granted";
    pub const ROLE_REVOKED: &str = "role-revoked";
    pub const TOKEN_CREATED: &str = "token-created";
    pub const TOKEN_REVOKED: &str = "token-revoked";
    pub const USER_ADDED: &str = "user-added";
    pub const USER_CHANGED: &str = "user-changed";
    pub const USER_DISABLED: &str = "user-disabled";
    pub const USER_ENABLED: &str = "user-enabled";
    pub const USER_DELETED: &str = "user-deleted";
    pub const SESSION_REVOKED: &str = "session-revoked";
    pub const LINK_CREATED: &str = "link-created";
    pub const LINK_USED: &str = "link-used";
    pub const IDENTITY_LINKED: &str = "identity-linked";
    pub const ADMINISTRATOR_ADDED: &str = "administrator-added";
    pub const ADMINISTRATOR_DISABLED: &str = "administrator-disabled";
    pub const ADMINISTRATOR_ENABLED: &str = "administrator-enabled";
    pub const ADMINISTRATOR_DELETED: &str = "administrator-deleted";
    pub const ADMINISTRATOR_SIGN_IN: &str = "administrator-sign-in";
    pub const ADMINISTRATOR_SIGN_IN_FAILURE: &str = "administrator-sign-in-failure";
    pub const ADMINISTRATOR_SIGN_OUT: &str = "administrator-sign-out";
    pub const ADMINISTRATOR_PASSWORD_CHANGED: &str = "administrator-password-changed";
    pub const ADMINISTRATOR_SESSION_REVOKED: &str = "administrator-session-revoked";
}

/// Which entries are wanted. All conditions given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// One of these kinds; empty: any.
    pub kinds: Vec<Cow<'a, str>>,
    /// By this name.
    pub actor: Option<Cow<'a, str>>,
    /// About rows of this entity.
    pub entity: Option<Cow<'a, str>>,
    /// About the row with this key.
    pub key: Option<Cow<'a, str>>,
    /// Not before this instant, microseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Before this instant.
    pub until: Option<i64>,
}

/// Place in the audit trail to read on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Instant of the entry.
    pub at: i64,
    /// Its `id`.
    pub id: Uuid,
}

/// Which end of the trail comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The newest first: pages.
    NewestFirst,
    /// The oldest first: following.
    OldestFirst,
}

impl Entry {
    /// To read on after this entry.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            at: self.at,
            id: self.id,
        }
    }
}

impl Identity {
    /// Reads the audit trail: at most `limit` entries after a position (in the direction of reading).
    ///
    /// To follow it, read [`Direction::OldestFirst`] after the position of the last entry seen, again and
    /// again. Entries of transactions that take long may come to be before that position: a follower reads
    /// some seconds back and leaves out what it has shown.
    ///
    /// # Errors
    /// The database.
    pub async fn audit(
        &self,
        filter: &Filter<'_>,
        direction: Direction,
        after: Option<Position>,
        limit: u64,
    ) -> Result<Vec<Entry>, IdentityError> {
        let _ = (filter, direction, after, limit);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}
