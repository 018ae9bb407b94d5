//! How a command fails: one message, one exit code.

use std::fmt::Display;
use std::process::ExitCode;

pub(crate) use stoa_link::chain;

/// Exit codes, after sysexits.h where it has one. `docs/guide/operating.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success = 0,
    /// Anything not named below.
    Failure = 1,
    /// Wrong command line, setting or model.
    Configuration = 64,
    /// The data does not fit the model, or a change would lose data.
    Data = 65,
    /// The database cannot be reached, or the address is in use.
    Unavailable = 69,
    /// A file or folder cannot be written.
    CannotCreate = 73,
    /// Somebody else is at work; the same command can succeed later.
    Temporary = 75,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What is wrong, where.
    message: String,
    /// What to do.
    hint: Option<String>,
    /// The message was written already.
    reported: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            reported: false,
        }
    }

    /// A failure whose message the user has seen already.
    pub(crate) fn reported(exit: Exit) -> Self {
        Self {
            exit,
            message: String::new(),
            hint: None,
            reported: true,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn report(&self) {
        if self.reported {
            return;
        }
        eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
    }
}
