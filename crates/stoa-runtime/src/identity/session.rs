//! Sessions: what a sign-in gives, and how it ends.

use stoa_model::access::Actor;

use super::error::IdentityError;
use super::secret::Secret;
use super::{Identity, Principal, row_id};

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

impl Identity {
    /// Living sessions, the last used first.
    ///
    /// # Errors
    /// The database.
    pub async fn sessions(&self, principal: Principal) -> Result<Vec<SessionInfo>, IdentityError> {
        let _ = principal;
        Err(IdentityError::Internal("unfinished".to_owned()))
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
        let _ = (principal, session, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
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
        let _ = (principal, keep, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
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
        let _ = (session, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// A new token for a session whose rights have changed; the old one works nowhere any more.
    ///
    /// # Errors
    /// [`IdentityError::UnknownSession`]; the database.
    pub async fn renew_session(&self, session: SessionId) -> Result<Secret, IdentityError> {
        let _ = session;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}
