//! What every user of a load saw, and what may be demanded of it.
//!
//! Each user writes rows of their own, which carry a tag that nobody else gives, and counts up a value in
//! them. So at the end each row tells which of the writes took effect, and [`check()`] compares that with what
//! was acknowledged. [`Recovery`] tells what a fault cost.

mod check;
mod recorder;
mod recovery;

use std::time::Duration;

use serde::Serialize;

pub use check::{Fault, Report, Row, check};
pub use recorder::Recorder;
pub use recovery::Recovery;

/// A request and how it ended. Times are since the start of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who.
    pub user: u16,
    /// What.
    pub kind: Kind,
    /// Of the row that is written or read back.
    pub tag: Option<String>,
    /// Value written, or seen by a [`Kind::ReadBack`].
    pub value: Option<u64>,
    /// When it should have been sent: latencies count from here.
    #[serde(serialize_with = "microseconds")]
    pub due: Duration,
    /// When it was sent.
    #[serde(serialize_with = "microseconds")]
    pub start: Duration,
    /// When all of its answer was there, or the failure.
    #[serde(serialize_with = "microseconds")]
    pub end: Duration,
    /// Times it was sent.
    pub attempts: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Which instance answered, if answers tell.
    pub answered_by: Option<String>,
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Kind {
    /// Sign-in.
    SignIn,
    /// Some rows.
    Read,
    /// The user's own row.
    ReadBack,
    /// A new row, with value 0.
    Create,
    /// A higher value for the user's own row.
    Update,
    /// A file.
    Static,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// As it should.
    Done {
        /// Status.
        status: u16,
    },
    /// The server says that it did not do it.
    Refused {
        /// Status 4xx.
        status: u16,
        /// Start of the body.
        error: String,
    },
    /// The server says that something is wrong with it: whether it did it is not known.
    Failed {
        /// Status 5xx, or one that was not expected.
        status: u16,
        /// Start of the body.
        error: String,
    },
    /// The server asks a user who is signed in to sign in.
    SignedOut {
        /// Status.
        status: u16,
    },
    /// No connection could be made.
    NotSent {
        /// Why.
        error: String,
    },
    /// The connection broke, or nothing came in time: whether it was done is not known.
    NoAnswer {
        /// Why.
        error: String,
    },
    /// An answer of good status with wrong content.
    Wrong {
        /// What is wrong.
        error: String,
    },
}

/// Something that was done to the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// What.
    pub fault: String,
    /// When.
    #[serde(serialize_with = "microseconds")]
    pub at: Duration,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order in which they ended.
    pub operations: Vec<Operation>,
    /// In the order in which they were made.
    pub marks: Vec<Mark>,
}

/// Whether a write took effect, as far as its user can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Yes,
    No,
    Unknown,
}

impl Outcome {
    /// Whether it ended as it should.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

impl Operation {
    /// From when it should have been sent to its end.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.end.saturating_sub(self.due)
    }

    /// Whether it writes a row.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self.kind, Kind::Create | Kind::Update)
    }

    pub(crate) fn effect(&self) -> Effect {
        match self.outcome {
            Outcome::Done { .. } => Effect::Yes,
            // An earlier copy may have been done, and this one refused for it.
            _ if self.attempts > 1 => Effect::Unknown,
            Outcome::Refused { .. } | Outcome::SignedOut { .. } | Outcome::NotSent { .. } => {
                Effect::No
            }
            Outcome::Failed { .. } | Outcome::NoAnswer { .. } | Outcome::Wrong { .. } => {
                Effect::Unknown
            }
        }
    }
}

fn microseconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
