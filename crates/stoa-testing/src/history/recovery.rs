//! What a fault cost those who were at work.

use std::fmt;
use std::time::Duration;

use super::{History, Mark, Operation};

/// Requests around a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// What was done.
    pub fault: String,
    /// Requests that were under way when it happened, or due in the time after it.
    pub requests: usize,
    /// Of these: failed ones.
    pub failed: usize,
    /// From the fault to the end of the last request that failed; zero when none did.
    pub last_failure: Duration,
    /// Longest time in which no request of anybody succeeded.
    pub silence: Duration,
    /// Half of the requests took no longer, failed ones included.
    pub p50: Duration,
    /// 99 of 100.
    pub p99: Duration,
    /// 999 of 1000.
    pub p999: Duration,
    /// All.
    pub longest: Duration,
}

impl Recovery {
    /// Head of a table of these.
    pub const HEAD: &str = "fault                                    requests  failed  last failure   silence       p50       p99     p99.9   longest";
}

impl History {
    /// What each fault cost in the time after it; the time ends early at the next one.
    #[must_use]
    pub fn recoveries(&self, time: Duration) -> Vec<Recovery> {
        let ends = self
            .marks
            .iter()
            .skip(1)
            .map(|mark| mark.at)
            .chain([Duration::MAX]);
        self.marks
            .iter()
            .zip(ends)
            .map(|(mark, next)| self.recovery(mark, mark.at.saturating_add(time).min(next)))
            .collect()
    }

    /// The table of [`History::recoveries`], for people.
    #[must_use]
    pub fn recovery_table(&self, time: Duration) -> String {
        let lines = self.recoveries(time);
        std::iter::once(Recovery::HEAD.to_owned())
            .chain(lines.iter().map(Recovery::to_string))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn recovery(&self, mark: &Mark, end: Duration) -> Recovery {
        let affected: Vec<&Operation> = self
            .operations
            .iter()
            .filter(|operation| operation.end > mark.at && operation.due < end)
            .collect();
        let mut latencies: Vec<Duration> = affected
            .iter()
            .map(|operation| operation.latency())
            .collect();
        latencies.sort_unstable();
        let failed: Vec<&&Operation> = affected
            .iter()
            .filter(|operation| !operation.outcome.is_done())
            .collect();
        let mut successes: Vec<Duration> = affected
            .iter()
            .filter(|operation| operation.outcome.is_done())
            .map(|operation| operation.end)
            .collect();
        successes.sort_unstable();
        // Without any success it lasts to the end of what is looked at.
        let last = affected.iter().map(|operation| operation.end).max();
        let silence = std::iter::once(mark.at)
            .chain(successes.iter().copied())
            .zip(successes.iter().copied().chain(last))
            .map(|(one, next)| next.saturating_sub(one))
            .max();
        Recovery {
            fault: mark.fault.clone(),
            requests: affected.len(),
            failed: failed.len(),
            last_failure: failed
                .iter()
                .map(|operation| operation.end.saturating_sub(mark.at))
                .max()
                .unwrap_or_default(),
            silence: silence.unwrap_or_default(),
            p50: share(&latencies, 500),
            p99: share(&latencies, 990),
            p999: share(&latencies, 999),
            longest: latencies.last().copied().unwrap_or_default(),
        }
    }
}

/// The smallest that so many of a thousand do not exceed.
fn share(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1000);
    rank.checked_sub(1)
        .and_then(|index| sorted.get(index))
        .copied()
        .unwrap_or_default()
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
        write!(
            f,
            "{:<40} {:>8} {:>7} {:>13} {:>9} {:>9} {:>9} {:>9} {:>9}",
            self.fault,
            self.requests,
            self.failed,
            time(self.last_failure),
            time(self.silence),
            time(self.p50),
            time(self.p99),
            time(self.p999),
            time(self.longest)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Kind, Outcome};

    fn read(due: u64, end: u64, is_done: bool) -> Operation {
        Operation {
            user: 0,
            kind: Kind::Read,
            tag: None,
            value: None,
            due: Duration::from_millis(due),
            start: Duration::from_millis(due),
            end: Duration::from_millis(end),
            attempts: 1,
            outcome: if is_done {
                Outcome::Done { status: 200 }
            } else {
                Outcome::NoAnswer {
                    error: "reset".to_owned(),
                }
            },
            answered_by: None,
        }
    }

    fn mark(fault: &str, at: u64) -> Mark {
        Mark {
            fault: fault.to_owned(),
            at: Duration::from_millis(at),
        }
    }

    #[test]
    fn a_gap_is_measured_from_the_fault_to_the_next_success() {
        let mut operations: Vec<Operation> =
            (0..100).map(|n| read(n * 10, n * 10 + 2, true)).collect();
        // Under way at the fault, failed; then nothing until 1700; then all is well again.
        operations.push(read(995, 1400, false));
        operations.push(read(1005, 1700, true));
        operations.extend((170..300).map(|n| read(n * 10, n * 10 + 2, true)));
        let history = History {
            operations,
            marks: vec![mark("one", 1000), mark("two", 2500)],
        };
        let [one, two] = history
            .recoveries(Duration::from_secs(10))
            .try_into()
            .unwrap();
        assert_eq!((one.requests, one.failed), (82, 1));
        assert_eq!(one.last_failure, Duration::from_millis(400));
        assert_eq!(one.silence, Duration::from_millis(700));
        assert_eq!(one.p50, Duration::from_millis(2));
        assert_eq!(one.p99, Duration::from_millis(695));
        assert_eq!(one.longest, Duration::from_millis(695));
        assert_eq!((two.requests, two.failed), (50, 0));
        assert_eq!(two.last_failure, Duration::ZERO);
        assert_eq!(two.silence, Duration::from_millis(10));
        assert!(one.to_string().contains("700.0 ms"), "{one}");
    }

    #[test]
    fn without_any_success_the_silence_lasts_to_the_end() {
        let history = History {
            operations: vec![read(900, 902, true), read(1000, 4000, false)],
            marks: vec![mark("one", 1000)],
        };
        let [one] = history
            .recoveries(Duration::from_secs(10))
            .try_into()
            .unwrap();
        assert_eq!(one.silence, Duration::from_secs(3));
    }

    #[test]
    fn shares_are_of_all() {
        let of = |count: u64| (1..=count).map(Duration::from_secs).collect::<Vec<_>>();
        assert_eq!(share(&of(1000), 999), Duration::from_secs(999));
        assert_eq!(share(&of(10), 500), Duration::from_secs(5));
        assert_eq!(share(&of(1), 500), Duration::from_secs(1));
        assert_eq!(share(&[], 500), Duration::ZERO);
    }
}
