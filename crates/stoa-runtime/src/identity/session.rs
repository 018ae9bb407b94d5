//! Sessions: what a sign-in gives, and how it ends.

use stoa_model::access::{Actor, Permitted};
use stoa_model::change::Action;
use stoa_model::expression::{Comparison, Expression};
use stoa_model::value::Value;
use stoa_store::StoreError;
use uuid::Uuid;

use super::administrator::AdministratorId;
use super::audit::{About, kind};
use super::client::Client;
use super::device;
use super::error::{IdentityError, SignInError};
use super::known::find_by_hash;
use super::record::{
    End, Record, Select, all, attribute, change, compare, delete, descending, insert, text, update,
};
use super::secret::{Secret, presented};
use super::seed;
use super::sign_in::SignedIn;
use super::user::UserId;
use super::{Identity, Principal, micros, now, row_id};

row_id!(
    /// `id` of a session. Not its secret.
    SessionId
);

/// A session, for people to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionInfo {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub principal: Principal,
    /// Sign-in, microseconds since the Unix epoch.
    pub created_at: i64,
    /// Last use, at most some minutes old.
    pub last_used: i64,
    /// It ends then at the latest.
    pub expires_at: i64,
    /// Address of the sign-in.
    pub address: Option<String>,
    /// What the browser called itself.
    pub agent: Option<String>,
    /// Provider that knew the user; none: a password or a link.
    pub provider: Option<String>,
}

/// What is needed to sign out at the provider too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSession {
    /// Name of the provider.
    pub provider: String,
    /// The ID token of the sign-in (`id_token_hint`).
    pub id_token: Option<String>,
}

/// A session that is about to be inserted.
pub(super) struct NewSession {
    pub(super) id: SessionId,
    pub(super) token: Secret,
    pub(super) action: Action,
}

/// Provider of a session and its ID token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provided<'a> {
    pub(super) provider: &'a str,
    pub(super) id_token: Option<&'a str>,
}

/// Longest ID token that is kept, in characters (the column's length).
const ID_TOKEN: usize = 16_000;
/// Longest name of a provider, in characters.
const PROVIDER: usize = 120;

impl Identity {
    /// Number of living sessions, of everybody.
    ///
    /// # Errors
    /// The database.
    pub async fn count_sessions(&self) -> Result<u64, IdentityError> {
        let (model, session) = (self.model(), &self.shared.system.session);
        let query =
            Select::new(session.entity, &[]).filter(model, all(self.living()), Vec::new(), 1);
        let counted = self
            .store()
            .count(model, &Permitted::by_system(query))
            .await?;
        Ok(counted.rows)
    }

    /// What is true of sessions that live.
    fn living(&self) -> Vec<Expression> {
        let (model, session) = (self.model(), &self.shared.system.session);
        let idle = micros(self.settings().session_idle);
        let of = |id| attribute(model, session.entity, id);
        vec![
            compare(
                of(session.expires_at),
                Comparison::Greater,
                Value::DateTime(now()),
            ),
            compare(
                of(session.last_used),
                Comparison::GreaterOrEqual,
                Value::DateTime(now() - idle),
            ),
        ]
    }

    /// Living sessions, the last used first.
    ///
    /// # Errors
    /// The database.
    pub async fn sessions(&self, principal: Principal) -> Result<Vec<SessionInfo>, IdentityError> {
        let (model, session) = (self.model(), &self.shared.system.session);
        let of = |id| attribute(model, session.entity, id);
        let mut conditions = self.living();
        conditions.push(self.owner(principal).is(model, principal.id()));
        let living = all(conditions);
        let query = Select::new(
            session.entity,
            &[
                session.created_at,
                session.last_used,
                session.expires_at,
                session.address,
                session.agent,
                session.provider,
            ],
        )
        .filter(
            model,
            living,
            vec![descending(of(session.last_used))],
            SHOWN,
        );
        let rows = self.read(query).await?;
        Ok(rows
            .iter()
            .map(|row| SessionInfo {
                id: SessionId(row.id()),
                principal,
                created_at: row.instant(0).unwrap_or_default(),
                last_used: row.instant(1).unwrap_or_default(),
                expires_at: row.instant(2).unwrap_or_default(),
                address: row.owned(3),
                agent: row.owned(4),
                provider: row.owned(5),
            })
            .collect())
    }

    /// Ends a session of somebody. When it returns, the session works nowhere any more.
    ///
    /// # Errors
    /// [`IdentityError::UnknownSession`] if they have no such session; the database.
    pub async fn revoke_session(
        &self,
        principal: Principal,
        session: SessionId,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let row = self.session_row(session).await?;
        let is_theirs = row
            .as_ref()
            .and_then(owner_of)
            .is_some_and(|owner| owner == principal);
        if !is_theirs {
            return Err(IdentityError::UnknownSession);
        }
        let kind = match principal {
            Principal::User(_) => kind::SESSION_REVOKED,
            Principal::Administrator(_) => kind::ADMINISTRATOR_SESSION_REVOKED,
        };
        self.end_session(session, kind, principal, by).await
    }

    /// Ends all sessions of somebody, except one if given. When it returns, they work nowhere any more.
    ///
    /// # Errors
    /// The database.
    pub async fn revoke_sessions(
        &self,
        principal: Principal,
        keep: Option<SessionId>,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let keep: Vec<Uuid> = keep.iter().map(|session| session.0).collect();
        let kind = match principal {
            Principal::User(_) => kind::SESSION_REVOKED,
            Principal::Administrator(_) => kind::ADMINISTRATOR_SESSION_REVOKED,
        };
        let detail =
            serde_json::json!({ "sessions": if keep.is_empty() { "all" } else { "others" } });
        let actions = vec![
            self.owner(principal).delete_all(principal.id(), &keep),
            self.record(kind, by, Some(self.about(principal)), Some(detail)),
        ];
        self.write_and_publish(change(actions), Some(by)).await
    }

    /// Ends a session by the one who uses it (sign-out). A session that has ended already is no error. Gives
    /// what is needed to sign out at the provider, if one was involved.
    ///
    /// # Errors
    /// The database.
    pub async fn sign_out(
        &self,
        session: SessionId,
        by: &Actor,
    ) -> Result<Option<ProviderSession>, IdentityError> {
        let Some(row) = self.session_row(session).await? else {
            return Ok(None);
        };
        let provider = row.owned(0).map(|provider| ProviderSession {
            provider,
            id_token: row.owned(1),
        });
        let Some(principal) = owner_of(&row) else {
            return Ok(None);
        };
        let kind = match principal {
            Principal::User(_) => kind::SIGN_OUT,
            Principal::Administrator(_) => kind::ADMINISTRATOR_SIGN_OUT,
        };
        match self.end_session(session, kind, principal, by).await {
            Ok(()) | Err(IdentityError::UnknownSession) => Ok(provider),
            Err(error) => Err(error),
        }
    }

    /// A new token for a session whose rights have changed; the old one works nowhere any more.
    ///
    /// # Errors
    /// [`IdentityError::UnknownSession`]; the database.
    pub async fn renew_session(&self, session: SessionId) -> Result<Secret, IdentityError> {
        let token = Secret::random("");
        let actions = vec![self.retoken(session, &token)];
        match self.write_and_publish(change(actions), None).await {
            Err(IdentityError::Store(StoreError::NotFound { .. })) => {
                Err(IdentityError::UnknownSession)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(token),
        }
    }

    async fn end_session(
        &self,
        session: SessionId,
        kind: &str,
        principal: Principal,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let detail = serde_json::json!({ "session": session.to_string() });
        let actions = vec![
            delete(self.shared.system.session.entity, session.0),
            self.record(kind, by, Some(self.about(principal)), Some(detail)),
        ];
        match self.write_and_publish(change(actions), Some(by)).await {
            Err(IdentityError::Store(StoreError::NotFound { .. })) => {
                Err(IdentityError::UnknownSession)
            }
            ended => ended,
        }
    }

    /// A session with provider and ID token, and its owner.
    async fn session_row(&self, session: SessionId) -> Result<Option<Record>, StoreError> {
        let system = &self.shared.system;
        let table = &system.session;
        let query = Select::new(table.entity, &[table.provider, table.id_token])
            .expand(table.user.navigation, Select::new(system.user.entity, &[]))
            .expand(
                table.administrator.navigation,
                Select::new(system.administrator.entity, &[]),
            )
            .key(self.model(), vec![Value::Uuid(session.0)]);
        self.read_one(query).await
    }

    /// The operation that gives a session another token.
    pub(super) fn retoken(&self, session: SessionId, token: &Secret) -> Action {
        let table = &self.shared.system.session;
        let hash = Value::Binary(token.hash().to_vec());
        update(
            table.entity,
            session.0,
            None,
            vec![(table.token_hash, hash)],
        )
    }

    /// A new session of somebody.
    pub(super) fn new_session(
        &self,
        principal: Principal,
        client: &Client,
        provided: Option<Provided<'_>>,
    ) -> NewSession {
        let table = &self.shared.system.session;
        let id = Uuid::now_v7();
        let token = seed::secret(client.seed.as_ref(), SESSION, "");
        let now = now();
        let lifetime = micros(self.settings().session_lifetime);
        let address = client.address.map(|address| address.to_string());
        let cut = |text: &str, most| Value::Text(text.chars().take(most).collect());
        let id_token = provided
            .and_then(|provided| provided.id_token)
            .filter(|token| token.len() <= ID_TOKEN);
        let action = insert(
            self.model(),
            table.entity,
            id,
            &[
                (table.token_hash, Value::Binary(token.hash().to_vec())),
                (table.last_used, Value::DateTime(now)),
                (table.expires_at, Value::DateTime(now + lifetime)),
                (table.address, text(address.as_deref())),
                (table.agent, text(client.agent.as_deref())),
                (
                    table.provider,
                    provided.map_or(Value::Null, |provided| cut(provided.provider, PROVIDER)),
                ),
                (table.id_token, text(id_token)),
            ],
            vec![self.owner(principal).to(principal.id())],
        );
        NewSession {
            id: SessionId(id),
            token,
            action,
        }
    }

    /// What a sign-in, or a change of the password, has given when the same request came before: none if it did
    /// not. With `remembers` the device is remembered once more.
    ///
    /// # Errors
    /// The database.
    pub async fn signed_in_before(
        &self,
        client: &Client,
        remembers: bool,
    ) -> Result<Option<SignedIn>, IdentityError> {
        let Some(seed) = &client.seed else {
            return Ok(None);
        };
        let system = &self.shared.system;
        let table = &system.session;
        let token = seed.secret(SESSION, "");
        let select = Select::new(table.entity, &[])
            .expand(table.user.navigation, Select::new(system.user.entity, &[]))
            .expand(
                table.administrator.navigation,
                Select::new(system.administrator.entity, &[]),
            );
        let query = find_by_hash(
            self.model(),
            select,
            table.entity,
            table.token_hash,
            token.hash(),
        );
        let Some(row) = self.read_one(query).await? else {
            return Ok(None);
        };
        let Some(principal) = owner_of(&row) else {
            return Ok(None);
        };
        let account = self.account(principal).await?;
        Ok(account
            .filter(|account| account.active)
            .map(|account| SignedIn {
                principal,
                device: account
                    .hash
                    .as_deref()
                    .filter(|_| remembers)
                    .and_then(|hash| {
                        device::remember(client.device.as_deref(), principal.id(), hash)
                    }),
                name: account.name,
                session: SessionId(row.id()),
                token,
                must_change_password: account.must_change,
            }))
    }

    /// An outcome, or what the same request has given before.
    pub(super) async fn or_before(
        &self,
        outcome: Result<SignedIn, SignInError>,
        client: &Client,
        remembers: bool,
    ) -> Result<SignedIn, SignInError> {
        match outcome {
            Err(SignInError::Throttled { retry_after }) => {
                Err(SignInError::Throttled { retry_after })
            }
            Err(error) => match self.signed_in_before(client, remembers).await? {
                Some(signed_in) => Ok(signed_in),
                None => Err(error),
            },
            done => done,
        }
    }

    /// The session whose cookie a client has already, if it is one of such a principal.
    pub(super) async fn presented_session(
        &self,
        principal: Principal,
        client: &Client,
    ) -> Result<Option<Uuid>, StoreError> {
        let cookie = match principal {
            Principal::User(_) => &client.user_session,
            Principal::Administrator(_) => &client.administrator_session,
        };
        let Some(hash) = cookie.as_deref().and_then(|token| presented("", token)) else {
            return Ok(None);
        };
        let table = &self.shared.system.session;
        let query = find_by_hash(
            self.model(),
            Select::new(table.entity, &[]),
            table.entity,
            table.token_hash,
            hash,
        );
        Ok(self.read_one(query).await?.map(|row| row.id()))
    }

    /// The reference from a session to somebody.
    pub(super) fn owner(&self, principal: Principal) -> End {
        let table = &self.shared.system.session;
        match principal {
            Principal::User(_) => table.user,
            Principal::Administrator(_) => table.administrator,
        }
    }

    /// Somebody, as the audit trail names rows.
    pub(super) fn about(&self, principal: Principal) -> About {
        let system = &self.shared.system;
        let entity = match principal {
            Principal::User(_) => system.user.entity,
            Principal::Administrator(_) => system.administrator.entity,
        };
        About::new(entity, principal.id())
    }
}

/// What the token of a session is made for.
pub(super) const SESSION: &str = "session";
/// Most sessions of one principal that are shown.
const SHOWN: u64 = 1000;

fn owner_of(row: &Record) -> Option<Principal> {
    row.one(0)
        .map(|user| Principal::User(UserId(user.id())))
        .or_else(|| {
            row.one(1)
                .map(|administrator| Principal::Administrator(AdministratorId(administrator.id())))
        })
}
