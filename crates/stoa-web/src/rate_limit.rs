//! How often one address may ask.
//!
//! A table of fixed size, without a lock: each address has a place by its hash, and a place holds the time at which
//! its allowance is whole again. Two addresses that share a place share its allowance; with many more places than
//! clients at a time that is rare, and the memory is bounded whatever addresses come.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Places; eight bytes each.
const PLACES: usize = 1 << 17;
/// Bits of an IPv6 address that belong to one client: providers give each at least that much.
const PREFIX: u128 = !0 << 64;

/// How often one address may ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Requests each second, on average.
    pub requests_per_second: f64,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// Counts requests of each address.
pub struct RateLimit {
    /// Nanoseconds that one request costs.
    cost: u64,
    /// Nanoseconds that may be owed.
    allowance: u64,
    started: Instant,
    /// Nobody outside can know which addresses share a place.
    hasher: RandomState,
    places: Box<[AtomicU64]>,
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RateLimit")
            .field("cost", &self.cost)
            .field("allowance", &self.allowance)
            .finish_non_exhaustive()
    }
}

impl RateLimit {
    /// With all allowances whole.
    #[must_use]
    pub fn new(config: Config) -> Self {
        // Out of range is clamped: a cost of at least a nanosecond and at most an hour.
        let cost = (1e9 / config.requests_per_second).clamp(1.0, 3600e9) as u64;
        Self {
            cost,
            allowance: cost.saturating_mul(u64::from(config.burst.max(1))),
            started: Instant::now(),
            hasher: RandomState::new(),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Takes one request from the allowance of this address.
    ///
    /// # Errors
    /// It is used up for so long.
    pub fn take(&self, address: IpAddr) -> Result<(), Duration> {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.take_at(address, now)
    }

    fn take_at(&self, address: IpAddr, now: u64) -> Result<(), Duration> {
        let key = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) & PREFIX,
        };
        let place = usize::try_from(self.hasher.hash_one(key) % PLACES as u64).unwrap_or(0);
        let Some(place) = self.places.get(place) else {
            return Ok(());
        };
        let mut whole_again = place.load(Ordering::Relaxed);
        loop {
            let next = whole_again.max(now).saturating_add(self.cost);
            let owed = next - now;
            if owed > self.allowance {
                return Err(Duration::from_nanos(owed - self.allowance));
            }
            match place.compare_exchange_weak(
                whole_again,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(current) => whole_again = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limit() -> RateLimit {
        RateLimit::new(Config {
            requests_per_second: 10.0,
            burst: 5,
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_and_then_the_average() {
        let limit = limit();
        let client = address("192.0.2.1");
        let taken = |now| {
            (0..100)
                .filter(|_| limit.take_at(client, now).is_ok())
                .count()
        };
        assert_eq!(taken(SECOND), 5);
        assert_eq!(
            limit.take_at(client, SECOND),
            Err(Duration::from_millis(100))
        );
        assert_eq!(taken(SECOND + SECOND / 10), 1);
        assert_eq!(taken(SECOND + SECOND / 2), 4);
        // Pauses do not add up beyond the burst.
        assert_eq!(taken(100 * SECOND), 5);
    }

    #[test]
    fn each_has_its_own_but_a_network_of_ipv6_is_one() {
        let limit = limit();
        let used_up = |text| (0..6).any(|_| limit.take_at(address(text), 0).is_err());
        assert!(used_up("192.0.2.1"));
        assert!(limit.take_at(address("::ffff:192.0.2.1"), 0).is_err());
        assert!(limit.take_at(address("192.0.2.2"), 0).is_ok());
        assert!(used_up("2001:db8::1"));
        assert!(limit.take_at(address("2001:db8::ffff:1"), 0).is_err());
        assert!(limit.take_at(address("2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        for requests_per_second in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let limit = RateLimit::new(Config {
                requests_per_second,
                burst: 0,
            });
            assert!(limit.take_at(address("192.0.2.1"), 0).is_ok());
        }
    }
}
