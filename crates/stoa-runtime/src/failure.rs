//! Failures become answers: once, here.

use std::error::Error as _;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response};
use stoa_model::change::Change;
use stoa_odata::error::{Code, Error};
use stoa_odata::negotiate::{Format, Version};
use stoa_store::StoreError;

use crate::body::Body;
use crate::files::FileError;
use crate::identity::{IdentityError, Refusal};

/// After how long a client may try again when the database is away.
const RETRY: Duration = Duration::from_secs(2);

/// Browsers say with it that a page asks, or a person (W3C Fetch Metadata).
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// An error on its way to the client, with headers that belong to it.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Box<Error>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error: Box::new(error),
            header: None,
        }
    }
}

impl From<stoa_odata::url::Error> for Failure {
    fn from(error: stoa_odata::url::Error) -> Self {
        Error::from(error).into()
    }
}

impl Failure {
    /// Adds a header to the answer.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// A defect: its cause goes to the log, not to the client.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Error::internal().into()
    }

    /// Whether it is certain that nothing was done: the request itself is at fault.
    pub(crate) fn is_refusal(&self) -> bool {
        self.error.status().is_client_error()
    }

    /// Nobody is known to make the request. A browser that runs a page gets no dialog of its own for it.
    pub(crate) fn not_signed_in(headers: &HeaderMap, message: &str) -> Self {
        let challenge = if headers.contains_key(SEC_FETCH_MODE) {
            "Bearer"
        } else {
            "Basic realm=\"Stoa\", charset=\"UTF-8\", Bearer"
        };
        Self::from(Error::new(Code::NotSignedIn, message))
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// Why nobody is known to make the request.
    pub(crate) fn from_refusal(refusal: &Refusal, headers: &HeaderMap) -> Self {
        match refusal {
            Refusal::NotSignedIn | Refusal::InvalidToken | Refusal::Malformed => {
                Self::not_signed_in(headers, &refusal.to_string())
            }
            Refusal::MustChangePassword => Error::new(Code::Forbidden, refusal.to_string()).into(),
            Refusal::Unavailable { retry_after } => {
                Error::unavailable(refusal.to_string(), *retry_after).into()
            }
            Refusal::Internal => Error::internal().into(),
        }
    }

    /// A change of somebody's rights that did not go as it should.
    pub(crate) fn from_identity(error: IdentityError) -> Self {
        match error {
            IdentityError::Store(error) => error.into(),
            IdentityError::Unconfirmed(_) => {
                tracing::warn!(%error, cause = error.source().map(tracing::field::display), "a change of rights");
                Error::unavailable(error.to_string(), RETRY).into()
            }
            other => Self::internal(other),
        }
    }

    /// What a store error means to the client; `change` is the change that failed, if it was one.
    pub(crate) fn from_store(error: StoreError, change: Option<&Change>) -> Self {
        let message = error.to_string();
        let error = match error {
            StoreError::Violations(violations) => match change {
                Some(change) => Error::from_violations(&violations, change),
                None => return Self::internal("a read reports violations"),
            },
            StoreError::Denied { operation, denial } => match change {
                Some(change) => Error::from_denial(&denial, operation, change),
                None => return Self::internal("a read is denied"),
            },
            StoreError::NotFound { .. } => not_found(),
            StoreError::VersionMismatch { current, .. } => Error::new(
                Code::PreconditionFailed,
                match current {
                    Some(current) => format!(
                        "the row has changed meanwhile: its ETag is now {}",
                        stoa_odata::negotiate::etag(current)
                    ),
                    None => "the row is not in the state that the request expects".to_owned(),
                },
            ),
            StoreError::Unavailable { reason, source } => {
                // The cause may name hosts and users: it is for the log.
                tracing::warn!(%reason, cause = source.map(tracing::field::display), "the database is not available");
                Error::unavailable("the database is not available at the moment", RETRY)
            }
            StoreError::Busy { .. } => Error::unavailable(
                "another change was in the way; nothing was done",
                Duration::from_secs(1),
            ),
            StoreError::Timeout => Error::new(Code::StatementTimeout, message),
            StoreError::Cancelled => Error::unavailable(
                "the request was given up; nothing was done",
                Duration::from_secs(1),
            ),
            StoreError::StorageFull { source } => {
                tracing::error!(
                    cause = source.map(tracing::field::display),
                    "the database has no space left"
                );
                Error::new(Code::StorageFull, message)
            }
            StoreError::ResponseTooLarge { .. } => Error::new(Code::ResponseTooLarge, message),
            StoreError::Arithmetic(_) | StoreError::InvalidPattern => {
                Error::new(Code::OutOfRange, message)
            }
            StoreError::InvalidText => Error::new(Code::InvalidFormat, message),
            StoreError::IdentityReused => return crate::repeat::reused(),
            StoreError::Repeated(_) => return Self::internal("a repeated request is no error"),
            StoreError::Configuration { .. } => return Self::internal(message),
            StoreError::Internal(cause) => {
                let mut chain = cause.to_string();
                let mut next = cause.source();
                while let Some(source) = next {
                    chain.push_str(": ");
                    chain.push_str(&source.to_string());
                    next = source.source();
                }
                return Self::internal(chain);
            }
        };
        error.into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::from_store(error, None)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let code = match &error {
            FileError::TooLarge(_) => Code::BodyTooLarge,
            FileError::Body(_) => Code::InvalidBody,
            FileError::StorageFull => Code::StorageFull,
            FileError::Io(_) => return Self::internal(error),
        };
        Error::new(code, error.to_string()).into()
    }
}

/// Others may take this instance for dead: what it would say may be wrong.
pub(crate) fn lease_over() -> Failure {
    let message = "this server has lost touch with the database; another one may answer";
    Error::unavailable(message, RETRY).into()
}

/// The row asked for does not exist.
pub(crate) fn not_found() -> Error {
    Error::new(Code::NotFound, "there is no such row")
}

/// The answer that tells a client of a failure.
pub(crate) fn answer(failure: Failure, version: Version) -> Response<Body> {
    let format = Format {
        version,
        ..Format::default()
    };
    let mut response = Response::new(Body::from(failure.error.to_json()));
    *response.status_mut() = failure.error.status();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    if let Some(after) = failure.error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    if let Some((name, value)) = failure.header {
        headers.insert(name, value);
    }
    response
}
