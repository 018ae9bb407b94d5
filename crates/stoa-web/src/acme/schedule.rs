//! When a certificate is ordered: in time, not all at once, and seldom where it fails.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::failure::Kind;
use crate::tls::Certificate;

/// Seconds of an hour.
const HOUR: u64 = 3600;

/// When to renew: when two thirds of its time have passed, or up to a thirtieth later. `spread`, from 0 to 1, differs
/// between servers, so that they do not ask at once.
pub(super) fn due(certificate: &Certificate, spread: f64) -> SystemTime {
    let lifetime = lifetime(certificate);
    certificate.begins + lifetime * 2 / 3 + (lifetime / 30).mul_f64(spread)
}

/// Whether a new certificate is worth having: it is not to be renewed at once.
pub(super) fn is_fresh(certificate: &Certificate, now: SystemTime) -> bool {
    now < due(certificate, 0.0)
}

fn lifetime(certificate: &Certificate) -> Duration {
    let lifetime = certificate.expires.duration_since(certificate.begins);
    lifetime.unwrap_or_default()
}

/// Failures since it went well.
#[derive(Debug, Default)]
pub(super) struct Failures {
    counts: HashMap<Kind, u32>,
    last: Option<Kind>,
}

impl Failures {
    /// Counts another one.
    pub(super) fn add(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
        self.last = Some(kind);
    }

    /// All of them.
    pub(super) fn all(&self) -> u32 {
        self.counts.values().sum()
    }

    /// Whether the last one is worth telling. That another web server had the same order is not, unless it stays so.
    pub(super) fn is_trouble(&self) -> bool {
        self.last != Some(Kind::Busy) || self.counts.get(&Kind::Busy) > Some(&2)
    }

    /// Time until the next try, longer each time that the same happens. `spread`, from 0 to 1, changes it by up to a
    /// fifth. `left` is the time for which there is a valid certificate, zero if there is none.
    pub(super) fn pause(&self, spread: f64, left: Duration) -> Duration {
        let Some(kind) = self.last else {
            return Duration::ZERO;
        };
        let seconds: &[u64] = match kind {
            Kind::Busy => &[10, 10, 60, 600],
            Kind::Unreachable => &[10, 40, 160, 600],
            Kind::Disk => &[60, 300, 900, 3600],
            // The first may be over soon: another web server was just starting. Let's Encrypt allows five failed
            // validations of a name in an hour, to all web servers together.
            Kind::Refused => &[60, HOUR / 2, 2 * HOUR, 6 * HOUR, 12 * HOUR],
            Kind::RateLimited => &[HOUR, 3 * HOUR, 12 * HOUR],
            // It allows five certificates for the same names in a week.
            Kind::Spent => &[2 * HOUR, 12 * HOUR, 36 * HOUR],
        };
        let count = self.counts.get(&kind).copied().unwrap_or_default();
        let index = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = seconds.get(index).or(seconds.last());
        let pause = Duration::from_secs(pause.copied().unwrap_or(HOUR));
        // Certificates for a day must not run out while nobody tries; but not at the price of what is counted.
        let least = match kind {
            Kind::Spent => Duration::MAX,
            Kind::Refused => Duration::from_secs(HOUR / 2),
            Kind::Busy | Kind::Unreachable | Kind::Disk | Kind::RateLimited => {
                Duration::from_secs(600)
            }
        };
        let longest = if left.is_zero() {
            Duration::MAX
        } else {
            (left / 4).max(least)
        };
        pause.min(longest).mul_f64(0.8 + 0.4 * spread)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::tls::CertificateFiles;

    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn certificate(begins: u64, expires: u64) -> Certificate {
        Certificate {
            files: CertificateFiles::together(PathBuf::new()),
            names: Vec::new(),
            begins: at(begins),
            expires: at(expires),
        }
    }

    #[test]
    fn renewed_with_a_third_left() {
        let ninety = certificate(0, 90 * DAY);
        assert_eq!(due(&ninety, 0.0), at(60 * DAY));
        assert_eq!(due(&ninety, 1.0), at(63 * DAY));
        assert!(is_fresh(&ninety, at(DAY)));
        assert!(!is_fresh(&ninety, at(60 * DAY)));
        // Short-lived ones alike.
        assert_eq!(due(&certificate(0, 6 * DAY), 0.0), at(4 * DAY));
        // Nonsense from an authority is due, and not worth having.
        let backwards = certificate(10, 5);
        assert_eq!(due(&backwards, 1.0), at(10));
        assert!(!is_fresh(&backwards, at(10)));
    }

    /// When each of so many failures in a row is followed by a try, in seconds from the first one.
    fn tries(kind: Kind, count: usize, left: Duration) -> Vec<u64> {
        let mut failures = Failures::default();
        let mut time = 0;
        let next = |_| {
            failures.add(kind);
            time += failures.pause(0.5, left).as_secs();
            time
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn failures_are_repeated_ever_less() {
        let tries = |kind, count| tries(kind, count, Duration::ZERO);
        assert_eq!(tries(Kind::Unreachable, 5), [10, 50, 210, 810, 1410]);
        assert_eq!(tries(Kind::Refused, 3), [60, 1860, 9060]);
        assert_eq!(tries(Kind::RateLimited, 2), [3600, 4 * 3600]);
        assert_eq!(tries(Kind::Busy, 3), [10, 20, 80]);
    }

    /// What authorities count is never used up: so many come back in time, and each try takes some.
    fn check_allowance(kind: Kind, allowance: f64, comes_back: u64, takes: f64, left: Duration) {
        let (mut allowed, mut before) = (allowance, 0);
        for time in [0].into_iter().chain(tries(kind, 30, left)) {
            let since = (time - before) as f64 / comes_back as f64;
            allowed = f64::min(allowed + since, allowance) - takes;
            assert!(allowed >= 0.0, "{kind:?} at {time}, {left:?} left");
            before = time;
        }
    }

    #[test]
    fn limits_of_lets_encrypt_are_kept() {
        let days = |days| Duration::from_secs(days * DAY);
        for left in [Duration::ZERO, Duration::from_secs(1), days(1), days(30)] {
            // Two web servers, five failed validations an hour.
            check_allowance(Kind::Refused, 5.0, 720, 2.0, left);
            // Five certificates a week.
            check_allowance(Kind::Spent, 5.0, 7 * DAY / 5, 1.0, left);
        }
    }

    #[test]
    fn kinds_are_counted_apart() {
        let mut failures = Failures::default();
        for _ in 0..6 {
            failures.add(Kind::Unreachable);
        }
        failures.add(Kind::Refused);
        let pause = |failures: &Failures| failures.pause(0.5, Duration::ZERO).as_secs();
        assert_eq!(pause(&failures), 60);
        failures.add(Kind::RateLimited);
        failures.add(Kind::Refused);
        assert_eq!(pause(&failures), 1800);
        assert_eq!(failures.all(), 9);
        for is_trouble in [false, false, true] {
            failures.add(Kind::Busy);
            assert_eq!(failures.is_trouble(), is_trouble);
        }
    }

    #[test]
    fn the_end_of_a_certificate_is_not_slept_through() {
        let pause = |kind, left| {
            let mut failures = Failures::default();
            for _ in 0..9 {
                failures.add(kind);
            }
            failures.pause(0.5, Duration::from_secs(left)).as_secs()
        };
        assert_eq!(pause(Kind::Refused, 8 * HOUR), 2 * HOUR);
        assert_eq!(pause(Kind::Refused, 1), HOUR / 2);
        assert_eq!(pause(Kind::RateLimited, 1), 600);
        assert_eq!(pause(Kind::Spent, 1), 36 * HOUR);
    }

    proptest! {
        #[test]
        fn between_two_thirds_and_the_end(begins in 0..u64::from(u32::MAX), lifetime in 30..u64::from(u32::MAX), spread in 0.0..=1.0) {
            let due = due(&certificate(begins, begins + lifetime), spread);
            prop_assert!(due >= at(begins + lifetime * 2 / 3));
            prop_assert!(due < at(begins + lifetime));
        }
    }
}
