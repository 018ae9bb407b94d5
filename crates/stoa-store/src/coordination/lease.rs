//! What a member's lease is worth, and what hangs on it: leadership.

use std::sync::Arc;

use super::standing::Standing;

/// What a member's lease is worth by its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It holds: what is kept in memory may be used.
    Held,
    /// Not renewed lately: it holds, and nothing kept in memory may be used.
    Doubtful,
    /// It may be over for others: nothing may be served, and writes are refused. (PostgreSQL only: nobody shuts out
    /// a process that shares a file.)
    Over,
}

/// Whether this member is the one that does what only one should do. Clones are the same.
#[derive(Clone)]
pub struct Leadership {
    pub(super) standing: Arc<Standing>,
}

impl Leadership {
    /// Whether it leads now. Others take over only when its lease is over by the database's clock, which is after
    /// this says no.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.term().is_some()
    }

    /// The number of its term, higher than that of anybody before; none if it does not lead.
    #[must_use]
    pub fn term(&self) -> Option<i64> {
        // The term first: one that ended with the lease is not that of the next.
        let term = self.standing.term();
        (term > 0 && self.standing.is_current()).then_some(term)
    }
}
