//! Tokens for programs: `stoa_…`, in `Authorization: Bearer`, or in Basic as the password of their user.

use std::time::Duration;

use stoa_model::access::Actor;
use stoa_model::value::Value;
use stoa_model::value::text::write_date_time;
use stoa_store::StoreError;
use uuid::Uuid;

use super::audit::kind;
use super::error::IdentityError;
use super::known::find_by_hash;
use super::record::{Record, Select, change, delete, insert};
use super::secret::{Secret, TOKEN_PREFIX};
use super::seed::{self, Seed};
use super::user::UserId;
use super::{Identity, Principal, micros, now, row_id};

row_id!(
    /// `id` of a token. Not its secret.
    TokenId
);

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for, for people.
    pub name: String,
    /// In whose name it acts.
    pub user: UserId,
    /// Roles it is limited to; none: all that its user has, now and later.
    pub roles: Option<Vec<String>>,
    /// It may only read. Default of every caller should be true.
    pub read_only: bool,
    /// How long it works.
    pub lifetime: Duration,
    /// What the secret is made of, if the request for it may be repeated.
    pub seed: Option<Seed>,
}

/// A token, for people to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenInfo {
    /// Which.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// In whose name it acts.
    pub user: UserId,
    /// Name of that user.
    pub user_name: String,
    /// Roles it is limited to.
    pub roles: Option<Vec<String>>,
    /// It may only read.
    pub read_only: bool,
    /// When it was made, microseconds since the Unix epoch.
    pub created_at: i64,
    /// It works until then.
    pub expires_at: i64,
    /// Last use, at most some minutes old.
    pub last_used: Option<i64>,
}

/// Longest name, in characters (the column's length).
const NAME: usize = 120;
/// Most tokens that are listed.
const LISTED: u64 = 10_000;
/// Shortest life of a token or link.
pub(super) const SHORTEST: Duration = Duration::from_secs(60);

impl Identity {
    /// Makes a token. The secret is given once, here.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`], [`IdentityError::UnknownRole`], [`IdentityError::Lifetime`],
    /// [`IdentityError::TooLong`]; the database.
    pub async fn create_token(
        &self,
        token: NewToken,
        by: &Actor,
    ) -> Result<(TokenInfo, Secret), IdentityError> {
        let table = &self.shared.system.token;
        let maximum = self.settings().token_lifetime;
        if token.lifetime < SHORTEST || token.lifetime > maximum {
            return Err(IdentityError::Lifetime { maximum });
        }
        let name = token.name.trim().to_owned();
        if name.chars().count() > NAME {
            return Err(IdentityError::TooLong {
                what: "the name of a token",
                maximum: NAME,
            });
        }
        for role in token.roles.iter().flatten() {
            self.check_role(role)?;
        }
        let user = self.user(token.user).await?;
        let (id, now) = (Uuid::now_v7(), now());
        let secret = seed::secret(token.seed.as_ref(), "token", TOKEN_PREFIX);
        let expires_at = now + micros(token.lifetime);
        let roles = token.roles.as_ref().map_or(Value::Null, |roles| {
            Value::Json(serde_json::json!(roles).to_string())
        });
        let detail = serde_json::json!({
            "token": id.to_string(),
            "name": name,
            "roles": token.roles,
            "read_only": token.read_only,
            "expires_at": instant_text(expires_at),
        });
        let actions = vec![
            insert(
                self.model(),
                table.entity,
                id,
                &[
                    (table.name, Value::Text(name.clone())),
                    (table.token_hash, Value::Binary(secret.hash().to_vec())),
                    (table.roles, roles),
                    (table.read_only, Value::Boolean(token.read_only)),
                    (table.expires_at, Value::DateTime(expires_at)),
                ],
                vec![table.user.to(user.id.0)],
            ),
            self.record(
                kind::TOKEN_CREATED,
                by,
                Some(self.about(Principal::User(user.id))),
                Some(detail),
            ),
        ];
        match self.write(change(actions), Some(by)).await {
            // The token that the request has made is there already.
            Err(StoreError::Violations(_)) if token.seed.is_some() => {
                let query = find_by_hash(
                    self.model(),
                    self.select_token(),
                    table.entity,
                    table.token_hash,
                    secret.hash(),
                );
                let row = self.read_one(query).await?;
                let made = row.as_ref().and_then(token_from);
                return made
                    .map(|info| (info, secret))
                    .ok_or(IdentityError::UnknownToken);
            }
            written => written?,
        };
        let info = TokenInfo {
            id: TokenId(id),
            name,
            user: user.id,
            user_name: user.name,
            roles: token.roles,
            read_only: token.read_only,
            created_at: now,
            expires_at,
            last_used: None,
        };
        Ok((info, secret))
    }

    /// Tokens, of one user or of all, by user and name; those that have expired lately too.
    ///
    /// # Errors
    /// The database.
    pub async fn tokens(&self, user: Option<UserId>) -> Result<Vec<TokenInfo>, IdentityError> {
        let table = &self.shared.system.token;
        let condition = user.map(|user| table.user.is(self.model(), user.0));
        let query = self
            .select_token()
            .filter(self.model(), condition, Vec::new(), LISTED);
        let rows = self.read(query).await?;
        let mut tokens: Vec<TokenInfo> = rows.iter().filter_map(token_from).collect();
        tokens.sort_by(|left, right| {
            (&left.user_name, &left.name, left.created_at).cmp(&(
                &right.user_name,
                &right.name,
                right.created_at,
            ))
        });
        Ok(tokens)
    }

    /// Ends a token. When it returns, the token works nowhere any more.
    ///
    /// # Errors
    /// [`IdentityError::UnknownToken`]; the database.
    pub async fn revoke_token(&self, token: TokenId, by: &Actor) -> Result<(), IdentityError> {
        let query = self
            .select_token()
            .key(self.model(), vec![Value::Uuid(token.0)]);
        let row = self.read_one(query).await?;
        let info = row
            .as_ref()
            .and_then(token_from)
            .ok_or(IdentityError::UnknownToken)?;
        let detail = serde_json::json!({ "token": token.to_string(), "name": info.name });
        let actions = vec![
            delete(self.shared.system.token.entity, token.0),
            self.record(
                kind::TOKEN_REVOKED,
                by,
                Some(self.about(Principal::User(info.user))),
                Some(detail),
            ),
        ];
        match self.write_and_publish(change(actions), Some(by)).await {
            Err(IdentityError::Store(StoreError::NotFound { .. })) => {
                Err(IdentityError::UnknownToken)
            }
            written => written,
        }
    }

    fn select_token(&self) -> Select {
        let system = &self.shared.system;
        let table = &system.token;
        Select::new(
            table.entity,
            &[
                table.name,
                table.roles,
                table.read_only,
                table.created_at,
                table.expires_at,
                table.last_used,
            ],
        )
        .expand(
            table.user.navigation,
            Select::new(system.user.entity, &[system.user.name]),
        )
    }
}

fn token_from(row: &Record) -> Option<TokenInfo> {
    let user = row.one(0)?;
    Some(TokenInfo {
        id: TokenId(row.id()),
        name: row.owned(0).unwrap_or_default(),
        user: UserId(user.id()),
        user_name: user.owned(0).unwrap_or_default(),
        roles: row
            .text(1)
            .map(|json| serde_json::from_str(json).unwrap_or_default()),
        read_only: row.truth(2),
        created_at: row.instant(3).unwrap_or_default(),
        expires_at: row.instant(4).unwrap_or_default(),
        last_used: row.instant(5),
    })
}

/// An instant for people and JSON.
pub(super) fn instant_text(micros: i64) -> String {
    let mut text = Vec::new();
    write_date_time(&mut text, micros);
    String::from_utf8(text).unwrap_or_default()
}
