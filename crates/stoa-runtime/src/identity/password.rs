//! Passwords: how good they must be, and how they are kept.
//!
//! Argon2id with 19 MiB, two passes and one lane: what the OWASP Password Storage Cheat Sheet recommends
//! (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>, "minimum
//! configuration of 19 MiB of memory, an iteration count of 2, and 1 degree of parallelism"). Hashes are PHC
//! strings, so they carry the parameters they were made with; a sign-in replaces one that was made with
//! others.

use std::fmt;

/// Fewest characters (OWASP ASVS 5, 6.2.1).
pub const MINIMUM: usize = 8;
/// Most characters (ASVS 5, 6.2.9 asks for 64 at least).
pub const MAXIMUM: usize = 128;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            memory: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}

/// Why a password is not good enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordFault {
    /// Fewer characters than [`MINIMUM`].
    TooShort,
    /// More characters than [`MAXIMUM`].
    TooLong,
    /// It is found in few attempts.
    Guessable {
        /// Why, if that can be said.
        warning: Option<String>,
        /// What would make it better.
        suggestions: Vec<String>,
    },
    /// It is the one that is to be replaced.
    Unchanged,
}

impl std::error::Error for PasswordFault {}

impl fmt::Display for PasswordFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(formatter, "a password needs at least {MINIMUM} characters"),
            Self::TooLong => write!(
                formatter,
                "a password may have at most {MAXIMUM} characters"
            ),
            Self::Unchanged => formatter.write_str("the new password is the old one"),
            Self::Guessable {
                warning,
                suggestions,
            } => {
                formatter.write_str("this password is easy to guess")?;
                if let Some(warning) = warning {
                    write!(formatter, ": {warning}")?;
                }
                for suggestion in suggestions {
                    write!(formatter, " {suggestion}")?;
                }
                Ok(())
            }
        }
    }
}
