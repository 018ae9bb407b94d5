//! What can go wrong with people and their credentials.

use std::time::Duration;

use stoa_store::StoreError;

use super::name::NameFault;
use super::password::PasswordFault;

/// An error of users, roles, sessions, tokens, links, administrators.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change is in the database, but it is not known whether every instance acts by it yet. It is the
    /// case at the latest when their leases have run out, within seconds.
    #[error("it is saved, but other servers may not act by it for some seconds more")]
    Unconfirmed(#[source] StoreError),
    /// The model has no system entities.
    #[error("the model has no entity {0} with what it must have")]
    Model(&'static str),
    /// A name that nobody can have.
    #[error("{0}")]
    Name(#[from] NameFault),
    /// Somebody else has that name.
    #[error("the name “{0}” is taken")]
    NameTaken(String),
    /// A password that is not good enough.
    #[error("{0}")]
    Password(#[from] PasswordFault),
    /// The old password given is wrong.
    #[error("the current password is not right")]
    WrongPassword,
    /// There is no such user.
    #[error("there is no user “{0}”")]
    UnknownUser(String),
    /// There is no such administrator.
    #[error("there is no administrator “{0}”")]
    UnknownAdministrator(String),
    /// At least one administrator must be able to sign in.
    #[error("this is the last administrator who can sign in; add another one first")]
    LastAdministrator,
    /// The model has no such role.
    #[error("the application has no role “{name}”; it has: {}", .roles.join(", "))]
    UnknownRole {
        /// What was asked for.
        name: String,
        /// What there is.
        roles: Vec<String>,
    },
    /// Not an entity of users.
    #[error("“{name}” is no kind of user; there is: {}", .kinds.join(", "))]
    UnknownKind {
        /// What was asked for.
        name: String,
        /// What there is.
        kinds: Vec<String>,
    },
    /// Attributes of a user that do not fit the model.
    #[error("{0}")]
    Attributes(Box<stoa_odata::error::Error>),
    /// There is no such session.
    #[error("there is no such session")]
    UnknownSession,
    /// There is no such token.
    #[error("there is no such token")]
    UnknownToken,
    /// A life that is longer than the settings allow, or none.
    #[error("the lifetime must be between one minute and {} days", .maximum.as_secs() / 86_400)]
    Lifetime {
        /// Longest.
        maximum: Duration,
    },
    /// A text that is longer than it may be.
    #[error("{what} may have at most {maximum} characters")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Characters.
        maximum: usize,
    },
    /// Too many passwords wait to be checked.
    #[error("too many sign-ins at once; try again in some seconds")]
    Busy,
    /// A defect.
    #[error("internal error: {0}")]
    Internal(String),
}

impl IdentityError {
    /// Stable name for clients and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Unconfirmed(_) => "Unconfirmed",
            Self::Model(_) | Self::Internal(_) => "InternalError",
            Self::Name(_) => "InvalidName",
            Self::NameTaken(_) => "NameTaken",
            Self::Password(_) => "WeakPassword",
            Self::WrongPassword => "WrongPassword",
            Self::UnknownUser(_) => "UnknownUser",
            Self::UnknownAdministrator(_) => "UnknownAdministrator",
            Self::LastAdministrator => "LastAdministrator",
            Self::UnknownRole { .. } => "UnknownRole",
            Self::UnknownKind { .. } => "UnknownEntity",
            Self::Attributes(_) => "InvalidAttributes",
            Self::UnknownSession => "UnknownSession",
            Self::UnknownToken => "UnknownToken",
            Self::Lifetime { .. } => "InvalidLifetime",
            Self::TooLong { .. } => "TooLong",
            Self::Busy => "Busy",
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retriable(),
            Self::Busy => true,
            _ => false,
        }
    }
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown name, wrong password, disabled, no password at all: the same to whoever asks. Of a link:
    /// used, expired, or never made.
    #[error("the name or the password is not right")]
    Failed,
    /// Too many failures from there: nothing was looked at.
    #[error("too many attempts have failed; try again in {} s", .retry_after.as_secs())]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// Anything else.
    #[error(transparent)]
    Other(#[from] IdentityError),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}
