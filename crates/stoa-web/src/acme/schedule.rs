//! When a certificate is ordered: in time, not all at once, and seldom where it fails.

use std::time::{Duration, SystemTime};

use super::order::Failure;
use crate::tls::Certificate;

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

/// Time until the next try, after so many failures in a row: from the first to the longest, four times as long each
/// time. `spread`, from 0 to 1, changes it by up to a fifth.
pub(super) fn pause(failure: &Failure, failures: u32, spread: f64) -> Duration {
    const MINUTE: Duration = Duration::from_secs(60);
    let (first, longest) = match failure {
        Failure::Unreachable(_) => (Duration::from_secs(10), 10 * MINUTE),
        Failure::Disk(_) => (MINUTE, 60 * MINUTE),
        // The first may be over soon: another web server was just starting. Then seldom, since authorities allow a
        // handful of failures an hour, and of certificates for a name a week.
        Failure::Refused(_)
        | Failure::NoHttp
        | Failure::Key(_)
        | Failure::Lost(_)
        | Failure::Unusable(_)
        | Failure::Useless => (MINUTE, 12 * 60 * MINUTE),
        Failure::RateLimited(_) => (60 * MINUTE, 12 * 60 * MINUTE),
    };
    let grown = first.saturating_mul(4_u32.saturating_pow(failures.saturating_sub(1)));
    grown.min(longest).mul_f64(0.8 + 0.4 * spread)
}

#[cfg(test)]
mod tests {
    use std::io;
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

    #[test]
    fn failures_are_repeated_ever_less() {
        let pauses = |failure: Failure| {
            let pauses = (1..=12).map(|failures| pause(&failure, failures, 0.5).as_secs());
            pauses.collect::<Vec<_>>()
        };
        let refused = pauses(Failure::Refused("no".to_owned()));
        assert_eq!(refused[..4], [60, 240, 960, 3840]);
        assert_eq!(refused[11], 12 * 3600);
        // Let's Encrypt allows five failed validations of a name in an hour.
        let tries = refused.iter().scan(0, |time, pause| {
            *time += pause;
            Some(*time)
        });
        assert!(1 + tries.filter(|time| *time < 3600).count() < 5);
        let unreachable = pauses(Failure::Unreachable(instant_acme::Error::Str("x")));
        assert_eq!(unreachable[..3], [10, 40, 160]);
        assert_eq!(unreachable[11], 600);
        let disk = pauses(Failure::Disk(io::Error::other("full")));
        assert_eq!((disk[0], disk[11]), (60, 3600));
        let limited = pauses(Failure::RateLimited("too many".to_owned()));
        assert_eq!((limited[0], limited[11]), (3600, 12 * 3600));
    }

    proptest! {
        #[test]
        fn between_two_thirds_and_the_end(begins in 0..u64::from(u32::MAX), lifetime in 30..u64::from(u32::MAX), spread in 0.0..=1.0) {
            let due = due(&certificate(begins, begins + lifetime), spread);
            prop_assert!(due >= at(begins + lifetime * 2 / 3));
            prop_assert!(due < at(begins + lifetime));
        }

        #[test]
        fn never_at_once_and_never_given_up(failures: u32, spread in 0.0..=1.0) {
            let pause = pause(&Failure::NoHttp, failures, spread);
            prop_assert!(pause >= Duration::from_secs(48));
            prop_assert!(pause <= Duration::from_secs(15 * 3600));
        }
    }
}
