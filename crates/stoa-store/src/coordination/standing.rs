//! What a member knows of itself: two numbers and a deadline that every request looks at.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use uuid::Uuid;

use super::lease::LeaseState;

/// A member's own state. Read by requests, written by the member's task.
#[derive(Debug)]
pub(super) struct Standing {
    id: Uuid,
    origin: Instant,
    revision: AtomicI64,
    /// What the member's row says; below any revision as long as there is none.
    confirmed: AtomicI64,
    /// Nanoseconds after `origin`; 0: not current.
    until: AtomicU64,
    /// The same end by the system's clock, in microseconds since 1970.
    until_by_calendar: AtomicU64,
    ended: AtomicBool,
    /// Number of the term in which it leads; 0: it does not.
    term: AtomicI64,
    /// Nanoseconds after `origin` until which it does not lead.
    abstains_until: AtomicU64,
    wake: Notify,
    /// A lease that was not held is again.
    recovered: Notify,
    #[cfg(test)]
    pub(super) frozen: AtomicBool,
}

/// An instant by both clocks.
///
/// The monotonic clock cannot be set, but stands still while the machine sleeps; the system's clock goes on
/// then, but may be set. A deadline counts as passed when either says so: at worst a member looks at the
/// database once more than it had to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    monotonic: Instant,
    calendar: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            calendar: SystemTime::now(),
        }
    }
}

fn microseconds(calendar: SystemTime) -> u64 {
    let since = calendar.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Standing {
    pub(super) fn new(id: Uuid) -> Self {
        Self {
            id,
            origin: Instant::now(),
            revision: AtomicI64::new(0),
            confirmed: AtomicI64::new(i64::MIN),
            until: AtomicU64::new(0),
            until_by_calendar: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            term: AtomicI64::new(0),
            abstains_until: AtomicU64::new(0),
            wake: Notify::new(),
            recovered: Notify::new(),
            #[cfg(test)]
            frozen: AtomicBool::new(false),
        }
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision.load(Ordering::SeqCst)
    }

    /// Nothing older counts from now on.
    pub(super) fn advance(&self, revision: i64) {
        self.revision.fetch_max(revision, Ordering::SeqCst);
    }

    /// The member's row says so.
    pub(super) fn note_confirmed(&self, revision: i64) {
        self.confirmed.store(revision, Ordering::SeqCst);
    }

    /// Whether the member's row lags behind.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.confirmed.load(Ordering::SeqCst) < self.revision()
    }

    /// The revision was read by a request that was sent then: current for so long.
    pub(super) fn extend(&self, sent: Moment, held: Duration) {
        let recovers = !self.is_current();
        let end = sent.monotonic.saturating_duration_since(self.origin) + held;
        self.until_by_calendar
            .store(microseconds(sent.calendar + held), Ordering::SeqCst);
        self.until.store(
            u64::try_from(end.as_nanos()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
        if self.has_ended() {
            self.until.store(0, Ordering::SeqCst);
        }
        if recovers {
            self.recovered.notify_one();
        }
    }

    pub(super) fn term(&self) -> i64 {
        self.term.load(Ordering::SeqCst)
    }

    /// Leads in this term; 0: does not lead.
    pub(super) fn set_term(&self, term: i64) {
        self.term.store(term, Ordering::SeqCst);
    }

    /// Does not lead for so long.
    pub(super) fn abstain(&self, time: Duration) {
        let until = self.origin.elapsed() + time;
        self.abstains_until.store(
            u64::try_from(until.as_nanos()).unwrap_or(u64::MAX),
            Ordering::SeqCst,
        );
        self.set_term(0);
    }

    pub(super) fn abstains(&self) -> bool {
        let until = self.abstains_until.load(Ordering::SeqCst);
        self.origin.elapsed().as_nanos() < u128::from(until)
    }

    /// What the lease is worth; `grace` is how long after it was held it is only doubtful, none: for ever. And in
    /// how long that changes if nothing else happens.
    pub(super) fn lease(&self, grace: Option<Duration>) -> (LeaseState, Option<Duration>) {
        let until = self.until.load(Ordering::SeqCst);
        if until == 0 {
            return (LeaseState::Over, None);
        }
        let now = Moment::now();
        let passed = now.monotonic.saturating_duration_since(self.origin);
        let monotonic = Duration::from_nanos(until);
        let calendar = Duration::from_micros(self.until_by_calendar.load(Ordering::SeqCst));
        let today = Duration::from_micros(microseconds(now.calendar));
        // Whichever clock says that it is over first.
        let left = |grace: Duration| {
            let by_monotonic = (monotonic + grace).saturating_sub(passed);
            by_monotonic.min((calendar + grace).saturating_sub(today))
        };
        let held = left(Duration::ZERO);
        if !held.is_zero() {
            return (LeaseState::Held, Some(held));
        }
        let Some(grace) = grace else {
            return (LeaseState::Doubtful, None);
        };
        match left(grace) {
            Duration::ZERO => (LeaseState::Over, None),
            left => (LeaseState::Doubtful, Some(left)),
        }
    }

    pub(super) async fn recovered(&self) {
        self.recovered.notified().await;
    }

    /// Never current again.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.until.store(0, Ordering::SeqCst);
        self.term.store(0, Ordering::SeqCst);
        self.wake();
        self.recovered.notify_one();
    }

    /// It has been confirmed at least once.
    pub(super) fn has_begun(&self) -> bool {
        self.confirmed.load(Ordering::SeqCst) != i64::MIN
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(super) fn is_current(&self) -> bool {
        self.is_current_at(Moment::now())
    }

    fn is_current_at(&self, now: Moment) -> bool {
        let passed = now.monotonic.saturating_duration_since(self.origin);
        passed.as_nanos() < u128::from(self.until.load(Ordering::SeqCst))
            && microseconds(now.calendar) < self.until_by_calendar.load(Ordering::SeqCst)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_clock_ends_it() {
        let standing = Standing::new(Uuid::nil());
        assert!(!standing.is_current());
        let begun = Moment::now();
        let held = Duration::from_secs(8);
        standing.extend(begun, held);
        let later = |monotonic, calendar| Moment {
            monotonic: begun.monotonic + Duration::from_secs(monotonic),
            calendar: begun.calendar + Duration::from_secs(calendar),
        };
        assert!(standing.is_current_at(later(7, 7)));
        assert!(!standing.is_current_at(later(8, 8)));
        // The machine slept, or the clock was set forward.
        assert!(!standing.is_current_at(later(1, 3600)));
        // The clock was set back: the other one goes on.
        let back = Moment {
            monotonic: begun.monotonic + Duration::from_secs(9),
            calendar: begun.calendar - Duration::from_secs(3600),
        };
        assert!(!standing.is_current_at(back));
        standing.end();
        assert!(!standing.is_current_at(later(1, 1)));
        standing.extend(begun, held);
        assert!(!standing.is_current_at(later(1, 1)));
    }

    #[test]
    fn revisions_never_go_back() {
        let standing = Standing::new(Uuid::nil());
        assert!(standing.is_unconfirmed());
        standing.advance(5);
        standing.advance(3);
        assert_eq!(standing.revision(), 5);
        standing.note_confirmed(4);
        assert!(standing.is_unconfirmed());
        standing.note_confirmed(5);
        assert!(!standing.is_unconfirmed());
    }
}
