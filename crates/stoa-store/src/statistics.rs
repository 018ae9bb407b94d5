//! Numbers about the store's work, for whoever exports them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Upper bounds of the latency classes, microseconds; a last class holds what is slower.
pub const LATENCY_BOUNDS: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000,
    10_000_000,
];

/// Counters since the start, and gauges. All loads are relaxed.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Reads.
    pub reads: Operation,
    /// Writes.
    pub writes: Operation,
    /// SQL statements sent, all levels and kinds of reads.
    pub statements: AtomicU64,
    /// Shapes whose SQL was found.
    pub plan_hits: AtomicU64,
    /// Shapes whose SQL had to be made.
    pub plan_misses: AtomicU64,
    /// Statements prepared.
    pub prepared: AtomicU64,
    /// Connections made.
    pub connections_made: AtomicU64,
    /// Queries cancelled because the request was given up or too slow.
    pub cancelled: AtomicU64,
    /// Commits of SQLite's writer; `writes.count / commits` is the group size.
    pub commits: AtomicU64,
    /// Jobs that wait for or run on SQLite's threads.
    pub jobs: AtomicI64,
}

/// A kind of operation.
#[derive(Debug, Default)]
pub struct Operation {
    /// Finished, whatever the outcome.
    pub count: AtomicU64,
    /// Failed by the fault of the database or of Stoa.
    pub failures: AtomicU64,
    /// Sum of times, microseconds.
    pub microseconds: AtomicU64,
    /// Finished operations by latency class ([`LATENCY_BOUNDS`]).
    pub latencies: [AtomicU64; LATENCY_BOUNDS.len() + 1],
}

impl Operation {
    /// Counts one that started at `start`.
    pub(crate) fn finished<T>(&self, start: Instant, outcome: &Result<T, StoreError>) {
        let time = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(time, Ordering::Relaxed);
        let class = LATENCY_BOUNDS.partition_point(|&bound| bound < time);
        if let Some(class) = self.latencies.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(error) = outcome
            && error.fault() != crate::error::Fault::Client
        {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Mean time of all operations so far.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let count = self.count.load(Ordering::Relaxed).max(1);
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed) / count)
    }
}

/// State of the connections (PostgreSQL) or threads (SQLite).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Most of them.
    pub most: usize,
    /// How many there are.
    pub size: usize,
    /// How many are idle.
    pub idle: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
