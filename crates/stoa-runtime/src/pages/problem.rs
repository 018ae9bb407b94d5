//! What keeps a page from being made, and the page that says so.

use std::time::Duration;

use http::StatusCode;

use crate::identity::{IdentityError, Refusal, SignInError};

/// After how long somebody may try again when the database is away.
const RETRY: Duration = Duration::from_secs(5);

/// Why a request gets no page of its own.
#[derive(Debug)]
pub(super) enum Problem {
    /// No such page.
    NotFound,
    /// The page is not for this method; those it is for.
    NotAllowed(&'static str),
    /// The form is too large.
    TooLarge,
    /// The body is no form.
    NotAForm,
    /// The form comes from elsewhere, or is too old.
    Foreign,
    /// A link that is not valid.
    Link,
    /// Nobody is signed in: they may do so and come back.
    SignInFirst,
    /// The password must be changed first.
    PasswordFirst,
    /// Everything is saved, and will hold everywhere soon.
    Unconfirmed,
    /// A provider did not do its part.
    Provider {
        /// What to say.
        title: &'static str,
        text: &'static str,
        status: StatusCode,
    },
    /// Something that is needed is away.
    Unavailable(Duration),
    /// A defect, already logged.
    Internal,
}

impl Problem {
    /// A defect: its cause goes to the log.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a page could not be made");
        Self::Internal
    }

    /// Others may take this instance for dead.
    pub(super) fn lease_over() -> Self {
        Self::Unavailable(RETRY)
    }

    /// Keys of title and text, and the status.
    pub(super) fn say(&self) -> (&'static str, Option<&'static str>, StatusCode) {
        match self {
            Self::NotFound => ("not_found", Some("not_found_text"), StatusCode::NOT_FOUND),
            Self::NotAllowed(_) => ("not_allowed", None, StatusCode::METHOD_NOT_ALLOWED),
            Self::TooLarge => ("too_large", None, StatusCode::PAYLOAD_TOO_LARGE),
            Self::NotAForm => ("not_allowed", None, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::Foreign | Self::SignInFirst | Self::PasswordFirst => {
                ("foreign", Some("foreign_text"), StatusCode::FORBIDDEN)
            }
            Self::Link => (
                "link_invalid",
                Some("link_invalid_text"),
                StatusCode::NOT_FOUND,
            ),
            Self::Unconfirmed => ("unconfirmed", None, StatusCode::ACCEPTED),
            Self::Provider {
                title,
                text,
                status,
            } => (title, Some(text), *status),
            Self::Unavailable(_) => (
                "unavailable",
                Some("unavailable_text"),
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Internal => (
                "internal",
                Some("internal_text"),
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Unconfirmed(cause) => {
                tracing::warn!(%cause, "a change of rights is not confirmed by every instance");
                Self::Unconfirmed
            }
            IdentityError::Busy => Self::Unavailable(RETRY),
            error if error.is_retriable() => {
                tracing::warn!(cause = %error, "a page could not be made");
                Self::Unavailable(RETRY)
            }
            IdentityError::UnknownUser(_) | IdentityError::UnknownAdministrator(_) => {
                Self::NotFound
            }
            error => Self::internal(error),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Failed => Self::Link,
            SignInError::Throttled { retry_after } => Self::Unavailable(retry_after),
            SignInError::Other(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable { retry_after } => Self::Unavailable(retry_after),
            Refusal::Internal => Self::Internal,
            Refusal::MustChangePassword => Self::PasswordFirst,
            Refusal::NotSignedIn | Refusal::InvalidToken | Refusal::Malformed => Self::SignInFirst,
        }
    }
}
