//! What can be wrong with an expression.

use std::fmt;

/// A fault in an expression: what is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Kind of fault.
    pub kind: ErrorKind,
    /// Byte position in the text that was parsed.
    pub position: usize,
    /// What is wrong, for people, without position and suggestion.
    pub message: String,
    /// What could stand there instead.
    pub expected: Option<&'static str>,
    /// The nearest legal name.
    pub suggestion: Option<String>,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Not of the language.
    Syntax,
    /// Larger or deeper than the limits allow.
    Limit,
    /// A name that the model does not have.
    UnknownName,
    /// Operands that do not go together.
    Type,
    /// A literal that its type cannot hold.
    Range,
    /// Well-formed, and not supported.
    Unsupported,
}

impl ErrorKind {
    /// Whether the expression is well-formed but not supported (HTTP 501, all else is 400).
    #[must_use]
    pub fn is_unsupported(self) -> bool {
        matches!(self, Self::Unsupported)
    }

    /// Stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "MalformedExpression",
            Self::Limit => "ExpressionTooComplex",
            Self::UnknownName => "UnknownProperty",
            Self::Type => "TypeMismatch",
            Self::Range => "LiteralOutOfRange",
            Self::Unsupported => "NotSupported",
        }
    }
}

impl Error {
    /// A fault without expectation or suggestion.
    #[must_use]
    pub fn new(kind: ErrorKind, position: usize, message: impl Into<String>) -> Self {
        Self {
            kind,
            position,
            message: message.into(),
            expected: None,
            suggestion: None,
        }
    }

    /// The text is not of the language.
    #[must_use]
    pub fn syntax(position: usize, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Syntax, position, message)
    }

    /// Well-formed, not supported.
    #[must_use]
    pub fn unsupported(position: usize, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, position, message)
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
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at position {}", self.message, self.position)?;
        if let Some(expected) = self.expected {
            write!(formatter, "; expected {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, "; did you mean '{suggestion}'?")?;
        }
        Ok(())
    }
}

/// The name most like `name`, if one is alike enough to be meant.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.75)
        // The first of equals wins, so that the answer does not depend on chance.
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(kept) if kept.0 >= next.0 => Some(kept),
            _ => Some(next),
        })
        .map(|(_, candidate)| candidate)
}
