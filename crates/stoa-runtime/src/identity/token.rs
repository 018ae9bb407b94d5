//! Tokens for programs: `stoa_…`, in `Authorization: Bearer`, or in Basic as the password of their user.

use std::time::Duration;

use stoa_model::access::Actor;

use super::error::IdentityError;
use super::secret::Secret;
use super::user::UserId;
use super::{Identity, row_id};

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
        let _ = (token, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Tokens, of one user or of all, by user and name; those that have expired lately too.
    ///
    /// # Errors
    /// The database.
    pub async fn tokens(&self, user: Option<UserId>) -> Result<Vec<TokenInfo>, IdentityError> {
        let _ = user;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Ends a token. When it returns, the token works nowhere any more.
    ///
    /// # Errors
    /// [`IdentityError::UnknownToken`]; the database.
    pub async fn revoke_token(&self, token: TokenId, by: &Actor) -> Result<(), IdentityError> {
        let _ = (token, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}
