//! What can go wrong, whose fault it is, and whether trying again may help.

use std::error::Error as StandardError;

use stoa_model::access::Denial;
use stoa_model::change::{Applied, Violation};
use tokio_postgres::error::SqlState;

/// A cause that is for the log only.
pub type Cause = Box<dyn StandardError + Send + Sync>;

/// Who can put an error right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender of the request.
    Client,
    /// Stoa, or the application's model.
    Application,
    /// The database server.
    Upstream,
    /// Whoever runs the server (disk, settings).
    Operator,
}

/// An error of the store. `Display` never holds SQL or values; the cause (for logs) may.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is restarting, or has no connection free. Nothing was done.
    #[error("the database is not available: {reason}")]
    Unavailable {
        /// Short, for people.
        reason: String,
        /// For logs.
        #[source]
        source: Option<Cause>,
    },
    /// Another transaction was in the way (deadlock, lock, serialization). Nothing was done.
    #[error("another change was in the way")]
    Busy {
        /// For logs.
        #[source]
        source: Option<Cause>,
    },
    /// The statement took longer than it may.
    #[error("the database statement took longer than it may")]
    Timeout,
    /// The request was given up.
    #[error("the request was given up")]
    Cancelled,
    /// No space is left for data.
    #[error("the database has no space left")]
    StorageFull {
        /// For logs.
        #[source]
        source: Option<Cause>,
    },
    /// The answer would be larger than allowed.
    #[error("the answer would be larger than {limit} bytes")]
    ResponseTooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// A computation of the request has no result.
    #[error("{0}")]
    Arithmetic(ArithmeticFault),
    /// The regular expression of the request is not valid.
    #[error("the regular expression is not valid")]
    InvalidPattern,
    /// Text that a database cannot hold.
    #[error("text may not contain the character U+0000")]
    InvalidText,
    /// Rules of the data would be broken.
    #[error("the change breaks {} of the data's rules", .0.len())]
    Violations(Vec<Violation>),
    /// The user may not do that to the row of an operation.
    #[error("operation {operation} is not allowed")]
    Denied {
        /// Position of the operation.
        operation: usize,
        /// What is not allowed.
        denial: Denial,
    },
    /// The row of an operation does not exist.
    #[error("the row of operation {operation} does not exist")]
    NotFound {
        /// Position of the operation.
        operation: usize,
    },
    /// The row of an operation has another version.
    #[error("the row of operation {operation} has changed meanwhile")]
    VersionMismatch {
        /// Position of the operation.
        operation: usize,
        /// Version that the row has.
        current: Option<i64>,
    },
    /// The same request has taken effect before, and nothing was done now.
    #[error("the request has taken effect before")]
    Repeated(Applied),
    /// Another request had the same identity before. Nothing was done.
    #[error("another request had the same identity")]
    IdentityReused,
    /// The settings of the store are wrong: found at the start.
    #[error("{reason}")]
    Configuration {
        /// What is wrong and what to do.
        reason: String,
    },
    /// Anything else: a defect, or a database whose structure is not what the model says.
    #[error("the database refused a statement")]
    Internal(#[source] Cause),
}

/// Why a computation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArithmeticFault {
    /// Division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// The result does not fit its type.
    #[error("the result of a computation is out of range")]
    Overflow,
}

impl StoreError {
    /// Stable name for clients and logs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "DatabaseUnavailable",
            Self::Busy { .. } => "Conflict",
            Self::Timeout => "StatementTimeout",
            Self::Cancelled => "Cancelled",
            Self::StorageFull { .. } => "StorageFull",
            Self::ResponseTooLarge { .. } => "ResponseTooLarge",
            Self::Arithmetic(ArithmeticFault::DivisionByZero) => "DivisionByZero",
            Self::Arithmetic(ArithmeticFault::Overflow) => "ArithmeticOverflow",
            Self::InvalidPattern => "InvalidPattern",
            Self::InvalidText => "InvalidText",
            Self::Violations(_) => "RuleViolated",
            Self::Denied { .. } => "Forbidden",
            Self::NotFound { .. } => "NotFound",
            Self::VersionMismatch { .. } => "VersionMismatch",
            Self::Repeated(_) => "Repeated",
            Self::IdentityReused => "IdentityReused",
            Self::Configuration { .. } => "Configuration",
            Self::Internal(_) => "InternalError",
        }
    }

    /// Who can put it right.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unavailable { .. } | Self::Busy { .. } | Self::Timeout => Fault::Upstream,
            Self::StorageFull { .. } | Self::Configuration { .. } => Fault::Operator,
            Self::Internal(_) => Fault::Application,
            Self::Cancelled
            | Self::ResponseTooLarge { .. }
            | Self::Arithmetic(_)
            | Self::InvalidPattern
            | Self::InvalidText
            | Self::Violations(_)
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::VersionMismatch { .. }
            | Self::Repeated(_)
            | Self::IdentityReused => Fault::Client,
        }
    }

    /// Whether the same request may succeed later. Nothing was done by the failed one.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Busy { .. } | Self::StorageFull { .. }
        )
    }

    /// An [`StoreError::Unavailable`] without a cause.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
            source: None,
        }
    }

    /// An [`StoreError::Internal`] that says what was wrong.
    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::Internal(reason.into().into())
    }
}

impl From<tokio_postgres::Error> for StoreError {
    /// Constraint violations become [`StoreError::Internal`]: who knows the model looks at them before.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let lost = error.is_closed()
                || error
                    .source()
                    .is_some_and(|source| source.is::<std::io::Error>());
            return if lost {
                Self::Unavailable {
                    reason: "the connection was lost".to_owned(),
                    source: Some(error.into()),
                }
            } else {
                Self::Internal(error.into())
            };
        };
        match *code {
            SqlState::QUERY_CANCELED => Self::Timeout,
            SqlState::DISK_FULL => Self::StorageFull {
                source: Some(error.into()),
            },
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::LOCK_NOT_AVAILABLE => Self::Busy {
                source: Some(error.into()),
            },
            SqlState::DIVISION_BY_ZERO => Self::Arithmetic(ArithmeticFault::DivisionByZero),
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE
            | SqlState::DATETIME_FIELD_OVERFLOW
            | SqlState::INTERVAL_FIELD_OVERFLOW => Self::Arithmetic(ArithmeticFault::Overflow),
            SqlState::INVALID_REGULAR_EXPRESSION => Self::InvalidPattern,
            SqlState::CHARACTER_NOT_IN_REPERTOIRE => Self::InvalidText,
            SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
                Self::Unavailable {
                    reason: "the server is starting or stopping".to_owned(),
                    source: Some(error.into()),
                }
            }
            SqlState::TOO_MANY_CONNECTIONS => Self::Unavailable {
                reason: "the server has no connection left".to_owned(),
                source: Some(error.into()),
            },
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::Unavailable {
                reason: "the server is read-only".to_owned(),
                source: Some(error.into()),
            },
            ref code if code.code().starts_with("08") || code.code().starts_with("28") => {
                Self::Unavailable {
                    reason: "the server refused the connection".to_owned(),
                    source: Some(error.into()),
                }
            }
            ref code if code.code().starts_with("53") => Self::Unavailable {
                reason: "the server is out of resources".to_owned(),
                source: Some(error.into()),
            },
            _ => Self::Internal(error.into()),
        }
    }
}

/// Marks an error that one of our SQL functions reports, so that it survives SQLite.
pub(crate) const SQLITE_DIVISION_BY_ZERO: &str = "stoa: division by zero";
/// See [`SQLITE_DIVISION_BY_ZERO`].
pub(crate) const SQLITE_OVERFLOW: &str = "stoa: overflow";
/// See [`SQLITE_DIVISION_BY_ZERO`].
pub(crate) const SQLITE_INVALID_PATTERN: &str = "stoa: invalid pattern";

impl From<rusqlite::Error> for StoreError {
    /// Constraint violations become [`StoreError::Internal`]: who knows the model looks at them before.
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        if let rusqlite::Error::SqliteFailure(_, Some(message)) = &error {
            match message.as_str() {
                SQLITE_DIVISION_BY_ZERO => {
                    return Self::Arithmetic(ArithmeticFault::DivisionByZero);
                }
                SQLITE_OVERFLOW => return Self::Arithmetic(ArithmeticFault::Overflow),
                SQLITE_INVALID_PATTERN => return Self::InvalidPattern,
                _ => {}
            }
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::StorageFull {
                source: Some(error.into()),
            },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy {
                source: Some(error.into()),
            },
            Some(ErrorCode::OperationInterrupted) => Self::Cancelled,
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Unavailable {
                reason: "the database file cannot be used".to_owned(),
                source: Some(error.into()),
            },
            _ => Self::Internal(error.into()),
        }
    }
}
