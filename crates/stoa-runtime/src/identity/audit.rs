//! The record of what happens to people and their rights (and, written by the store, to audited entities).

use std::borrow::Cow;

use stoa_model::access::Actor;
use stoa_model::change::Action;
use stoa_model::expression::{Comparison, Expression};
use stoa_model::model::EntityId;
use stoa_model::query::OrderTerm;
use stoa_model::value::Value;
use uuid::Uuid;

use super::error::IdentityError;
use super::record::{Select, all, ascending, attribute, compare, descending, equal, insert};
use super::{Identity, now};

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which; ascending with time.
    pub id: Uuid,
    /// When, microseconds since the Unix epoch.
    pub at: i64,
    /// What: [`kind`], or `create`, `update`, `delete`, `link`, `unlink` of an audited entity.
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

/// Longest texts, in characters (the columns' lengths).
const ACTOR: usize = 200;
const ADDRESS: usize = 64;
const REQUEST: usize = 200;
const KEY: usize = 1000;

/// What an entry is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// Entity of the row.
    pub(super) entity: EntityId,
    /// Its key.
    pub(super) id: Uuid,
}

impl About {
    pub(super) fn new(entity: EntityId, id: Uuid) -> Self {
        Self { entity, id }
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
        let (model, audit) = (self.model(), &self.shared.system.audit);
        let of = |id| attribute(model, audit.entity, id);
        let text = |value: &str| Value::Text(value.to_owned());
        let mut conditions = Vec::new();
        let kinds: Vec<Expression> = filter
            .kinds
            .iter()
            .map(|kind| equal(of(audit.kind), text(kind)))
            .collect();
        if !kinds.is_empty() {
            conditions.push(Expression::Or(kinds));
        }
        for (id, wanted) in [
            (audit.actor, &filter.actor),
            (audit.about, &filter.entity),
            (audit.key, &filter.key),
        ] {
            if let Some(wanted) = wanted {
                conditions.push(equal(of(id), text(wanted)));
            }
        }
        if let Some(since) = filter.since {
            let since = Value::DateTime(since);
            conditions.push(compare(of(audit.at), Comparison::GreaterOrEqual, since));
        }
        if let Some(until) = filter.until {
            let until = Value::DateTime(until);
            conditions.push(compare(of(audit.at), Comparison::Less, until));
        }
        let order: fn(Expression) -> OrderTerm = match direction {
            Direction::NewestFirst => descending,
            Direction::OldestFirst => ascending,
        };
        let mut query = Select::new(
            audit.entity,
            &[
                audit.at,
                audit.kind,
                audit.actor,
                audit.actor_id,
                audit.about,
                audit.key,
                audit.detail,
                audit.before,
                audit.after,
                audit.address,
                audit.request,
            ],
        )
        .filter(model, all(conditions), Vec::new(), limit);
        query.order = vec![order(of(audit.at)), order(of(audit.id))];
        query.after = after.map(|after| vec![Value::DateTime(after.at), Value::Uuid(after.id)]);
        let rows = self.read(query).await?;
        Ok(rows
            .iter()
            .map(|row| Entry {
                id: row.id(),
                at: row.instant(0).unwrap_or_default(),
                kind: row.owned(1).unwrap_or_default(),
                actor: row.owned(2),
                actor_id: match row.value(3) {
                    Value::Uuid(id) => Some(*id),
                    _ => None,
                },
                entity: row.owned(4),
                key: row.owned(5),
                detail: row.owned(6),
                before: row.owned(7),
                after: row.owned(8),
                address: row.owned(9),
                request: row.owned(10),
            })
            .collect())
    }

    /// The operation that records something, for the change that does it.
    pub(super) fn record(
        &self,
        kind: &str,
        by: &Actor,
        about: Option<About>,
        detail: Option<serde_json::Value>,
    ) -> Action {
        let (model, audit) = (self.model(), &self.shared.system.audit);
        let text = |text: Option<&str>, most: usize| match text {
            Some(text) => Value::Text(text.chars().filter(|c| *c != '\0').take(most).collect()),
            None => Value::Null,
        };
        let key = about.map(|about| about.id.to_string());
        insert(
            model,
            audit.entity,
            Uuid::now_v7(),
            &[
                (audit.at, Value::DateTime(now())),
                (audit.kind, Value::Text(kind.to_owned())),
                (
                    audit.actor,
                    text((!by.name.is_empty()).then_some(by.name.as_str()), ACTOR),
                ),
                (audit.actor_id, by.id.map_or(Value::Null, Value::Uuid)),
                (
                    audit.about,
                    text(about.map(|about| model[about.entity].name.as_str()), KEY),
                ),
                (audit.key, text(key.as_deref(), KEY)),
                (
                    audit.detail,
                    detail.map_or(Value::Null, |detail| Value::Json(detail.to_string())),
                ),
                (audit.address, text(by.address.as_deref(), ADDRESS)),
                (audit.request, text(by.request.as_deref(), REQUEST)),
            ],
            Vec::new(),
        )
    }
}
