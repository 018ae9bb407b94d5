//! Who makes a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use stoa_model::access::Actor;
use stoa_model::model::RoleId;
use stoa_model::value::Value;
use stoa_store::StoreError;

use super::Identity;
use super::administrator::AdministratorId;
use super::cookies::{Cookies, Kind};
use super::error::IdentityError;
use super::known::{Credential, Known, Who};
use super::name;
use super::secret::{TOKEN_PREFIX, presented};
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
        let address = peer.map(|peer| peer.to_canonical());
        if let Some(authorization) = headers.get(AUTHORIZATION) {
            let caller = Box::pin(self.authorized(authorization)).await?;
            return Ok(Caller { address, ..caller });
        }
        match self.user_of_cookie(headers).await? {
            Some((_, true)) => Err(Refusal::MustChangePassword),
            Some((caller, false)) => Ok(Caller { address, ..caller }),
            None => self.anonymous(address),
        }
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
        let (caller, must_change_password) = self
            .user_of_cookie(headers)
            .await?
            .ok_or(Refusal::NotSignedIn)?;
        let (Some(user), Some(session)) = (caller.user, caller.session()) else {
            return Err(Refusal::NotSignedIn);
        };
        Ok(SignedInUser {
            caller: Caller {
                address: peer.map(|peer| peer.to_canonical()),
                ..caller
            },
            session,
            user,
            must_change_password,
        })
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
        let hash = Cookies::of(headers)
            .get(headers, Kind::Administrator)
            .and_then(|token| presented("", token))
            .ok_or(Refusal::NotSignedIn)?;
        let known = self
            .known(Credential::Session, hash)
            .await
            .map_err(refuse)?;
        match known.as_deref() {
            Some(
                known @ Known {
                    who: Who::Administrator { id, name },
                    ..
                },
            ) => Ok(AdministratorCaller {
                id: *id,
                name: Arc::clone(name),
                session: SessionId(known.id()),
                address: peer.map(|peer| peer.to_canonical()),
            }),
            _ => Err(Refusal::NotSignedIn),
        }
    }

    /// Somebody as if they made a request now: for `stoa access explain`. Also of users who may not sign in
    /// at the moment.
    ///
    /// # Errors
    /// There is no such user; the database.
    pub async fn caller_of(&self, user: UserId) -> Result<Caller, IdentityError> {
        let query = self
            .select_rights()
            .key(self.model(), vec![Value::Uuid(user.0)]);
        let row = self
            .read_one(query)
            .await?
            .ok_or_else(|| IdentityError::UnknownUser(user.to_string()))?;
        let (caller, _) = self.caller_from(&row).await?;
        Ok(caller)
    }

    /// Nobody in particular, if the application lets such people in.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`].
    pub fn anonymous(&self, address: Option<IpAddr>) -> Result<Caller, Refusal> {
        let anonymous = self.shared.anonymous.as_ref().ok_or(Refusal::NotSignedIn)?;
        Ok(Caller {
            address,
            ..anonymous.clone()
        })
    }

    /// The user of the session's cookie, and whether the password must be changed.
    async fn user_of_cookie(&self, headers: &HeaderMap) -> Result<Option<(Caller, bool)>, Refusal> {
        let hash = Cookies::of(headers)
            .get(headers, Kind::User)
            .and_then(|token| presented("", token));
        let Some(hash) = hash else {
            return Ok(None);
        };
        let known = self
            .known(Credential::Session, hash)
            .await
            .map_err(refuse)?;
        Ok(match known.as_deref().map(|known| &known.who) {
            Some(Who::User {
                caller,
                must_change_password,
            }) => Some((caller.clone(), *must_change_password)),
            _ => None,
        })
    }

    /// The caller of an `Authorization` header.
    async fn authorized(&self, authorization: &HeaderValue) -> Result<Caller, Refusal> {
        let text = authorization.to_str().map_err(|_| Refusal::Malformed)?;
        let (scheme, credentials) = text.split_once(' ').ok_or(Refusal::Malformed)?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            if credentials.starts_with(TOKEN_PREFIX) {
                return self.token(credentials).await;
            }
            return Box::pin(self.access_token(credentials)).await;
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Refusal::Malformed);
        }
        if credentials.len() > BASIC {
            return Err(Refusal::Malformed);
        }
        let decoded = STANDARD
            .decode(credentials)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or(Refusal::Malformed)?;
        let (name, token) = decoded.split_once(':').ok_or(Refusal::Malformed)?;
        // A password is never looked at: programs keep what they are given in plain sight.
        let caller = self.token(token).await?;
        let is_its_user = name::normalise(name).is_ok_and(|name| *name == *caller.name);
        if is_its_user {
            Ok(caller)
        } else {
            Err(Refusal::InvalidToken)
        }
    }

    /// The caller of a token of ours.
    async fn token(&self, token: &str) -> Result<Caller, Refusal> {
        let hash = presented(TOKEN_PREFIX, token).ok_or(Refusal::InvalidToken)?;
        let known = self.known(Credential::Token, hash).await.map_err(refuse)?;
        match known.as_deref().map(|known| &known.who) {
            Some(Who::User { caller, .. }) => Ok(caller.clone()),
            _ => Err(Refusal::InvalidToken),
        }
    }
}

/// Longest Basic credentials, in bytes of base64.
const BASIC: usize = 4096;
/// After how long a client may try again when the database is away.
const RETRY: Duration = Duration::from_secs(2);

/// What it means to the client that the database cannot say who makes a request.
pub(super) fn refuse(error: StoreError) -> Refusal {
    match error {
        StoreError::Unavailable { .. }
        | StoreError::Busy { .. }
        | StoreError::Timeout
        | StoreError::Cancelled => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot find out who makes a request"
            );
            Refusal::Unavailable { retry_after: RETRY }
        }
        error => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot find out who makes a request"
            );
            Refusal::Internal
        }
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
