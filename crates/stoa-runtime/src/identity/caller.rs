//! Who makes a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use stoa_model::access::Actor;
use stoa_model::model::RoleId;
use stoa_model::value::Value;

use super::Identity;
use super::administrator::AdministratorId;
use super::error::IdentityError;
use super::session::SessionId;
use super::token::TokenId;
use super::user::UserId;

/// Who makes a request of the application.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The user; none: nobody is signed in, and the application lets such people in.
    pub user: Option<UserId>,
    /// Name of the user; `anonymous`.
    pub name: Arc<str>,
    /// Roles, sorted, each once. Of a token: those that both it and its user have.
    pub roles: Arc<[RoleId]>,
    /// Values of [`stoa_model::model::UserModel::values`], null where the user has none.
    pub values: Arc<[Value]>,
    /// How they are known.
    pub means: Means,
    /// Address of the client.
    pub address: Option<IpAddr>,
}

/// How a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Not at all.
    Anonymous,
    /// By the cookie of a session.
    Session(SessionId),
    /// By a token of ours.
    Token {
        /// Which.
        id: TokenId,
        /// It may not change anything.
        read_only: bool,
    },
    /// By an access token of an OpenID provider.
    AccessToken,
}

impl Caller {
    /// For the audit trail.
    #[must_use]
    pub fn actor(&self, request: Option<&str>) -> Actor {
        Actor {
            name: self.name.as_ref().to_owned(),
            id: self.user.map(|user| user.0),
            address: self.address.map(|address| address.to_string()),
            request: request.map(str::to_owned),
        }
    }

    /// The session, if there is one.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        match self.means {
            Means::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Whether it may only read, whatever its roles allow.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(
            self.means,
            Means::Token {
                read_only: true,
                ..
            }
        )
    }
}

/// An administrator of the site who makes a request.
#[derive(Clone, Debug, PartialEq)]
pub struct AdministratorCaller {
    /// Who.
    pub id: AdministratorId,
    /// Name.
    pub name: Arc<str>,
    /// The session.
    pub session: SessionId,
    /// Address of the client.
    pub address: Option<IpAddr>,
}

impl AdministratorCaller {
    /// For the audit trail. Administrators are no users: their `id` is not a user's.
    #[must_use]
    pub fn actor(&self, request: Option<&str>) -> Actor {
        Actor {
            name: self.name.as_ref().to_owned(),
            id: Some(self.id.0),
            address: self.address.map(|address| address.to_string()),
            request: request.map(str::to_owned),
        }
    }
}

/// Why nobody is known to make a request.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or a session that has ended: 401.
    #[error("sign in first")]
    NotSignedIn,
    /// Credentials in `Authorization` that are not right, or no longer: 401. Never says why.
    #[error("the token is not valid")]
    InvalidToken,
    /// `Authorization` that cannot be understood: 401.
    #[error(
        "the header Authorization is neither “Bearer TOKEN” nor “Basic” with a token as the password"
    )]
    Malformed,
    /// Signed in, but the password must be changed first (only that page is open): 403.
    #[error("change your password first")]
    MustChangePassword,
    /// The database cannot be asked: 503.
    #[error("it cannot be said who you are at the moment")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect, already logged: 500.
    #[error("internal error")]
    Internal,
}

impl Identity {
    /// Who makes a request: by `Authorization` (Bearer, or Basic with a user's name and a token), else by
    /// the session's cookie, else nobody, if the application lets such people in. What is known and current
    /// costs no question to the database.
    ///
    /// A wrong `Authorization` is refused even where nobody needs to be signed in; a cookie of a session
    /// that has ended counts as none.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn caller(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Caller, Refusal> {
        let _ = (headers, peer);
        Err(Refusal::Internal)
    }

    /// The user whose session cookie comes with a request, even if the password must be changed first: for
    /// the account's pages. Never anonymous, never a token.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn signed_in(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<SignedInUser, Refusal> {
        let _ = (headers, peer);
        Err(Refusal::Internal)
    }

    /// The administrator whose session cookie comes with a request.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn administrator(
        &self,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<AdministratorCaller, Refusal> {
        let _ = (headers, peer);
        Err(Refusal::Internal)
    }

    /// Somebody as if they made a request now: for `stoa access explain`.
    ///
    /// # Errors
    /// There is no such user; the database.
    pub async fn caller_of(&self, user: UserId) -> Result<Caller, IdentityError> {
        let _ = user;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}

/// A user with a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedInUser {
    /// As in [`Identity::caller`]. Its means are a session.
    pub caller: Caller,
    /// The session.
    pub session: SessionId,
    /// Who.
    pub user: UserId,
    /// The password must be changed before anything else.
    pub must_change_password: bool,
}
