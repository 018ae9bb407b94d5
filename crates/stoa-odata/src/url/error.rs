//! What can be wrong with a URL.

use std::fmt;

use stoa_model::expression::error as expression;

use super::OptionName;
use crate::error::Code;

/// A fault in a URL: what, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Kind of fault.
    pub kind: ErrorKind,
    /// Part of the URL.
    pub place: Place,
    /// Byte position: in the raw path, or in the percent-decoded value of the option.
    pub position: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What could stand there.
    pub expected: Option<&'static str>,
    /// The nearest legal name.
    pub suggestion: Option<String>,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Not of the language of URLs.
    Malformed,
    /// Longer than allowed (HTTP 414).
    TooLong,
    /// More or deeper than the limits allow.
    Limit,
    /// A name that the model does not have, in a query option.
    UnknownName,
    /// Operands that do not go together.
    Type,
    /// A literal that its type cannot hold.
    Range,
    /// The path names nothing (HTTP 404).
    NotFound,
    /// Well-formed, not supported (HTTP 501).
    Unsupported,
    /// A `$skiptoken` of another request or another service.
    Token,
}

/// Part of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The path.
    Path,
    /// A system query option.
    Option(OptionName),
    /// A parameter alias, or an option without a name of its own.
    Query,
}

impl Error {
    /// A fault without expectation or suggestion.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        place: Place,
        position: Option<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            place,
            position,
            message: message.into(),
            expected: None,
            suggestion: None,
        }
    }

    /// Well-formed, not supported.
    #[must_use]
    pub fn unsupported(place: Place, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, place, None, message)
    }

    /// Says what could stand there.
    #[must_use]
    pub fn expecting(mut self, expected: &'static str) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Adds the nearest legal name.
    #[must_use]
    pub fn suggesting(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }

    /// A fault of an expression, which started `offset` bytes into the place.
    #[must_use]
    pub fn of_expression(error: expression::Error, place: Place, offset: usize) -> Self {
        let kind = match error.kind {
            expression::ErrorKind::Syntax => ErrorKind::Malformed,
            expression::ErrorKind::Limit => ErrorKind::Limit,
            expression::ErrorKind::UnknownName => ErrorKind::UnknownName,
            expression::ErrorKind::Type => ErrorKind::Type,
            expression::ErrorKind::Range => ErrorKind::Range,
            expression::ErrorKind::Unsupported => ErrorKind::Unsupported,
        };
        Self {
            kind,
            place,
            position: Some(error.position + offset),
            message: error.message,
            expected: error.expected,
            suggestion: error.suggestion,
        }
    }

    /// What the fault is about: the `target` of an error answer.
    #[must_use]
    pub fn target(&self) -> Option<String> {
        match self.place {
            Place::Option(name) => Some(format!("${}", name.as_str())),
            Place::Path | Place::Query => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Path => formatter.write_str("path: ")?,
            Place::Option(name) => write!(formatter, "${}: ", name.as_str())?,
            Place::Query => formatter.write_str("query: ")?,
        }
        formatter.write_str(&self.message)?;
        if let Some(position) = self.position {
            write!(formatter, " at position {position}")?;
        }
        if let Some(expected) = self.expected {
            write!(formatter, "; expected {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, "; did you mean '{suggestion}'?")?;
        }
        Ok(())
    }
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        let code = match (error.kind, error.place) {
            (ErrorKind::Malformed, Place::Path) => Code::InvalidUrl,
            (ErrorKind::Malformed | ErrorKind::Token, _) => Code::InvalidOption,
            (ErrorKind::TooLong, _) => Code::UrlTooLong,
            (ErrorKind::Limit, _) => Code::LimitExceeded,
            (ErrorKind::UnknownName, _) => Code::UnknownProperty,
            (ErrorKind::Type, _) => Code::TypeMismatch,
            (ErrorKind::Range, _) => Code::OutOfRange,
            (ErrorKind::NotFound, _) => Code::NotFound,
            (ErrorKind::Unsupported, _) => Code::NotImplemented,
        };
        let target = error.target();
        Self {
            target,
            ..Self::new(code, error.to_string())
        }
    }
}
