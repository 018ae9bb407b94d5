//! When a certificate is ordered: in time, not all at once, and seldom where it fails.

use std::time::{Duration, SystemTime};

use super::failure::Kind;
use crate::tls::Certificate;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

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

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Of the last one.
    kind: Option<Kind>,
    /// How many of this kind.
    of_kind: usize,
    /// All of them, but for those that are nobody's fault.
    pub(super) all: u32,
}

impl Failures {
    /// Counts another one.
    pub(super) fn add(&mut self, kind: Kind) {
        if self.kind != Some(kind) {
            self.of_kind = 0;
        }
        self.kind = Some(kind);
        self.of_kind += 1;
        if kind != Kind::Busy {
            self.all += 1;
        }
    }

    /// Time until the next try, longer each time that the same happens. `spread`, from 0 to 1, changes it by up to a
    /// fifth. `left` is the time for which there is a valid certificate, zero if there is none.
    pub(super) fn pause(&self, spread: f64, left: Duration) -> Duration {
        let Some(kind) = self.kind else {
            return Duration::ZERO;
        };
        let pauses: &[Duration] = match kind {
            Kind::Busy => &[Duration::from_secs(10)],
            Kind::Unreachable => &[
                Duration::from_secs(10),
                Duration::from_secs(40),
                Duration::from_secs(160),
                Duration::from_secs(600),
            ],
            Kind::Disk => &[
                MINUTE,
                Duration::from_secs(300),
                Duration::from_secs(900),
                HOUR,
            ],
            // The first may be over soon: another web server was just starting. Let's Encrypt allows five failed
            // validations of a name in an hour, to all web servers together.
            Kind::Refused => &[
                MINUTE,
                Duration::from_secs(1800),
                Duration::from_secs(2 * 3600),
                Duration::from_secs(6 * 3600),
                Duration::from_secs(12 * 3600),
            ],
            Kind::RateLimited => &[
                HOUR,
                Duration::from_secs(3 * 3600),
                Duration::from_secs(12 * 3600),
            ],
            // It allows five certificates for the same names in a week.
            Kind::Spent => &[
                Duration::from_secs(2 * 3600),
                Duration::from_secs(12 * 3600),
                Duration::from_secs(36 * 3600),
            ],
        };
        let index = self.of_kind.saturating_sub(1).min(pauses.len() - 1);
        let pause = pauses.get(index).copied().unwrap_or(HOUR);
        // Certificates for a day must not run out while nobody tries.
        let longest = if left.is_zero() {
            Duration::MAX
        } else {
            (left / 4).max(10 * MINUTE)
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
        assert_eq!(tries(Kind::Busy, 3), [10, 20, 30]);
        // Two web servers with one account stay below five failed validations: each time an allowance of one comes
        // back after twelve minutes.
        let mut allowed = 5.0;
        let mut before = 0;
        for time in [0].into_iter().chain(tries(Kind::Refused, 8)) {
            allowed = f64::min(allowed + (time - before) as f64 / 720.0, 5.0) - 2.0;
            assert!(allowed >= 0.0, "{time}");
            before = time;
        }
        // Five certificates in a week: one comes back after 34 hours.
        let (mut allowed, mut before) = (5.0, 0);
        for time in [0].into_iter().chain(tries(Kind::Spent, 20)) {
            allowed = f64::min(allowed + (time - before) as f64 / 122_400.0, 5.0) - 1.0;
            assert!(allowed >= 0.0, "{time}");
            before = time;
        }
    }

    #[test]
    fn another_kind_begins_anew() {
        let mut failures = Failures::default();
        for _ in 0..6 {
            failures.add(Kind::Unreachable);
        }
        failures.add(Kind::Refused);
        assert_eq!(failures.pause(0.5, Duration::ZERO), MINUTE);
        failures.add(Kind::Busy);
        assert_eq!(failures.all, 7);
    }

    #[test]
    fn the_end_of_a_certificate_is_not_slept_through() {
        let left = Duration::from_secs(8 * 3600);
        let mut failures = Failures::default();
        for _ in 0..9 {
            failures.add(Kind::Refused);
        }
        assert_eq!(failures.pause(0.5, left), left / 4);
        let little = failures.pause(0.5, Duration::from_secs(1));
        assert_eq!(little, 10 * MINUTE);
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
