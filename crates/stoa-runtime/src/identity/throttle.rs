//! Slows down guessing of passwords, and locks nobody out.
//!
//! A lock on the account after some failures would hand everybody who knows a name the means to keep its
//! owner out. So what is limited is always *somebody's attempts at an account*, never the account:
//!
//! 1. Somebody known: the browser has the device's cookie of that account (given at a sign-in, signed with a
//!    key that ends with the password), or the account has signed in from that address before. Each such
//!    device and address has a bucket of attempts of its own. Nothing that others do matters to it.
//! 2. Everybody else has a bucket for each account and address: a few attempts, then one a minute.
//! 3. An address that fails at many accounts (one list of stolen passwords), and an account at which many
//!    addresses fail (a botnet), are *slowed*: each attempt waits some seconds before it is looked at. The
//!    owner who signs in from a new device in a new place in the middle of an attack waits too, and is let in.
//! 4. Only an address that goes on regardless is refused altogether, with a rate that no office behind
//!    one address reaches by mistyping; those known (1.) go on from there too.
//!
//! What this leaves: somebody who shares the owner's address can use up bucket 2 of that address; whoever
//! has signed in from there, or has the cookie, does not notice. An attacker with very many addresses gets a
//! few guesses with each; against passwords that take at least 10^8 guesses (`password`) that is nothing.
//!
//! Only failures count: an attempt takes from its buckets before the password is looked at, so that a
//! thousand attempts at once are no way around, and gives back if it was right. Buckets are of one instance
//! and gone with it, in memory of a fixed size: the least recently used ones are forgotten first. Of an IPv6
//! address the network counts, since a customer has a whole one.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A bucket: so many at once, then one each so often.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Attempts at once.
    pub burst: u32,
    /// Time in which one more comes.
    pub every: Duration,
}

/// How many sign-ins may fail.
#[derive(Clone, Debug)]
pub struct Limits {
    /// At one account from a device or address known to it. Default: 10, then one each 30 s.
    pub known: Rate,
    /// At one account from one address. Default: 5, then one a minute.
    pub pair: Rate,
    /// At one account from everywhere, before attempts are slowed. Default: 20, then one each 10 s.
    pub account: Rate,
    /// From one address at all accounts, before attempts are slowed. Default: 20, then one each 10 s.
    pub address: Rate,
    /// From one address at all accounts, before they are refused. Default: 100, then one each 5 s.
    pub flood: Rate,
    /// Longest wait of a slowed attempt. Default: 4 s.
    pub wait: Duration,
    /// Attempts that may wait at once before more are refused. Default: 256.
    pub waiting: usize,
    /// Buckets of each kind kept in memory. Default: 65,536.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |burst, seconds| Rate {
            burst,
            every: Duration::from_secs(seconds),
        };
        Self {
            known: rate(10, 30),
            pair: rate(5, 60),
            account: rate(20, 10),
            address: rate(20, 10),
            flood: rate(100, 5),
            wait: Duration::from_secs(4),
            waiting: 256,
            remembered: 65_536,
        }
    }
}

/// An attempt to sign in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    /// At what: kind and normalised name, whether it exists or not.
    pub(super) account: (&'static str, &'a str),
    /// From where.
    pub(super) address: Option<IpAddr>,
    /// The device, if its cookie is right for the account.
    pub(super) device: Option<[u8; 16]>,
}

/// Buckets: the instant up to which each is used up, in microseconds since the start.
struct Buckets {
    rate: Rate,
    used_until: LruCache<u64, u64>,
}

struct State {
    known: Buckets,
    pair: Buckets,
    account: Buckets,
    address: Buckets,
    flood: Buckets,
    /// Accounts and addresses from which they have signed in.
    familiar: LruCache<u64, ()>,
}

/// See the module.
pub(super) struct Throttle {
    limits: Limits,
    start: Instant,
    hasher: RandomState,
    state: Mutex<State>,
    waiting: Semaphore,
}

/// What an attempt took; given back by [`Admitted::succeeded`] and [`Admitted::forgotten`].
#[must_use]
pub(super) struct Admitted {
    throttle: Arc<Throttle>,
    taken: Vec<(Kind, u64)>,
    familiar: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Known,
    Pair,
    Account,
    Address,
    Flood,
}

impl Throttle {
    pub(super) fn new(limits: Limits) -> Self {
        let most = NonZeroUsize::new(limits.remembered).unwrap_or(NonZeroUsize::MIN);
        let buckets = |rate| Buckets {
            rate,
            used_until: LruCache::new(most),
        };
        Self {
            start: Instant::now(),
            hasher: RandomState::new(),
            state: Mutex::new(State {
                known: buckets(limits.known),
                pair: buckets(limits.pair),
                account: buckets(limits.account),
                address: buckets(limits.address),
                flood: buckets(limits.flood),
                familiar: LruCache::new(most),
            }),
            waiting: Semaphore::new(limits.waiting),
            limits,
        }
    }

    /// Whether an address may ask at all for an account that it is not known to: before anything is looked up
    /// for it. Takes nothing.
    pub(super) fn flooded(
        &self,
        account: (&'static str, &str),
        address: Option<IpAddr>,
    ) -> Option<Duration> {
        let place = self.key(Kind::Known, (account, network(address, 64)));
        let key = self.key(Kind::Flood, network(address, 56));
        let now = self.now();
        let mut state = self.lock();
        if state.familiar.contains(&place) {
            return None;
        }
        state.flood.excess(key, now)
    }

    /// Lets an attempt through, perhaps after a wait, or says when to come back.
    pub(super) async fn admit(
        self: &Arc<Self>,
        attempt: Attempt<'_>,
    ) -> Result<Admitted, Duration> {
        let place = self.key(Kind::Known, (attempt.account, network(attempt.address, 64)));
        let (admitted, wait) = self.take(attempt, place)?;
        if !wait.is_zero() {
            let Ok(_waiting) = self.waiting.try_acquire() else {
                admitted.forgotten();
                return Err(self.limits.wait);
            };
            tokio::time::sleep(wait).await;
        }
        Ok(admitted)
    }

    /// Remembers that an account has signed in from an address.
    pub(super) fn remember(&self, account: (&'static str, &str), address: Option<IpAddr>) {
        let key = self.key(Kind::Known, (account, network(address, 64)));
        self.lock().familiar.put(key, ());
    }

    fn take(
        self: &Arc<Self>,
        attempt: Attempt<'_>,
        place: u64,
    ) -> Result<(Admitted, Duration), Duration> {
        let device = attempt
            .device
            .map(|device| self.key(Kind::Known, (attempt.account, device)));
        let pair = self.key(Kind::Pair, (attempt.account, network(attempt.address, 64)));
        let account = self.key(Kind::Account, attempt.account);
        let address = self.key(Kind::Address, network(attempt.address, 56));
        let flood = self.key(Kind::Flood, network(attempt.address, 56));
        let now = self.now();
        let mut state = self.lock();
        let admitted = |taken| Admitted {
            throttle: Arc::clone(self),
            taken,
            familiar: Some(place),
        };
        let here = state.familiar.get(&place).is_some().then_some(place);
        for known in device.into_iter().chain(here) {
            if state.known.excess(known, now).is_none() {
                state.known.take(known, now);
                return Ok((admitted(vec![(Kind::Known, known)]), Duration::ZERO));
            }
        }
        if let Some(after) = state.flood.excess(flood, now) {
            return Err(after);
        }
        if let Some(after) = state.pair.excess(pair, now) {
            return Err(after);
        }
        let slowed = [
            state.account.excess(account, now),
            state.address.excess(address, now),
        ]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or_default();
        state.flood.take(flood, now);
        state.pair.take(pair, now);
        state.account.take(account, now);
        state.address.take(address, now);
        drop(state);
        Ok((
            admitted(vec![
                (Kind::Flood, flood),
                (Kind::Pair, pair),
                (Kind::Account, account),
                (Kind::Address, address),
            ]),
            slowed.min(self.limits.wait),
        ))
    }

    fn key(&self, kind: Kind, of: impl Hash) -> u64 {
        self.hasher.hash_one((kind, of))
    }

    fn now(&self) -> u64 {
        // 64 bits of microseconds are half a million years.
        self.start.elapsed().as_micros() as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// The attempt was right: it does not count, and its place is known from now on.
    pub(super) fn succeeded(mut self) {
        let familiar = self.familiar.take();
        self.give_back();
        if let Some(place) = familiar {
            self.throttle.lock().familiar.put(place, ());
        }
    }

    /// The attempt was not looked at: it does not count.
    pub(super) fn forgotten(mut self) {
        self.give_back();
    }

    fn give_back(&mut self) {
        let mut state = self.throttle.lock();
        for (kind, key) in self.taken.drain(..) {
            state.of(kind).give_back(key);
        }
    }
}

impl State {
    fn of(&mut self, kind: Kind) -> &mut Buckets {
        match kind {
            Kind::Known => &mut self.known,
            Kind::Pair => &mut self.pair,
            Kind::Account => &mut self.account,
            Kind::Address => &mut self.address,
            Kind::Flood => &mut self.flood,
        }
    }
}

impl Buckets {
    fn every(&self) -> u64 {
        (self.rate.every.as_micros() as u64).max(1)
    }

    /// Time until there is room for one more; none if there is now.
    fn excess(&mut self, key: u64, now: u64) -> Option<Duration> {
        let used_until = *self.used_until.get(&key)?;
        let room_from =
            used_until.saturating_sub(self.every() * u64::from(self.rate.burst.max(1) - 1));
        (room_from > now).then(|| Duration::from_micros(room_from - now))
    }

    /// Uses one up. A bucket that is overdrawn is never more than twice used up, so that it is not closed
    /// for long after an attack.
    fn take(&mut self, key: u64, now: u64) {
        let every = self.every();
        let most = now + every * u64::from(self.rate.burst.max(1)) * 2;
        let used_until = self.used_until.get(&key).copied().unwrap_or(now).max(now);
        self.used_until.put(key, (used_until + every).min(most));
    }

    fn give_back(&mut self, key: u64) {
        let every = self.every();
        if let Some(used_until) = self.used_until.get_mut(&key) {
            *used_until = used_until.saturating_sub(every);
        }
    }
}

/// The network of an address: whole for IPv4, so many bits of IPv6.
fn network(address: Option<IpAddr>, bits: u32) -> (u8, u128) {
    match address.map(|address| address.to_canonical()) {
        None => (0, 0),
        Some(IpAddr::V4(address)) => (4, u128::from(u32::from(address))),
        Some(IpAddr::V6(address)) => (6, u128::from(address) >> (128 - bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: [u8; 16] = [7; 16];

    fn throttle() -> Arc<Throttle> {
        Arc::new(Throttle::new(Limits::default()))
    }

    fn from(address: &str, device: Option<[u8; 16]>) -> Attempt<'static> {
        Attempt {
            account: ("user", "anna"),
            address: Some(address.parse().unwrap()),
            device,
        }
    }

    /// Fails, and gives how long it waited; or when to come back.
    async fn fail(throttle: &Arc<Throttle>, attempt: Attempt<'_>) -> Result<Duration, Duration> {
        let start = Instant::now();
        let admitted = throttle.admit(attempt).await?;
        drop(admitted);
        Ok(start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_few_attempts_at_an_account_then_one_a_minute() {
        let throttle = throttle();
        for _ in 0..5 {
            assert_eq!(
                fail(&throttle, from("192.0.2.1", None)).await,
                Ok(Duration::ZERO)
            );
        }
        let after = fail(&throttle, from("192.0.2.1", None)).await.unwrap_err();
        assert!(
            after > Duration::from_secs(50) && after <= Duration::from_secs(60),
            "{after:?}"
        );
        tokio::time::advance(after).await;
        assert!(fail(&throttle, from("192.0.2.1", None)).await.is_ok());
        assert!(fail(&throttle, from("192.0.2.1", None)).await.is_err());
        let other = Attempt {
            account: ("user", "berta"),
            ..from("192.0.2.1", None)
        };
        assert!(fail(&throttle, other).await.is_ok(), "another account");
    }

    #[tokio::test(start_paused = true)]
    async fn the_owner_is_let_in_whatever_others_do() {
        let throttle = throttle();
        throttle
            .admit(from("198.51.100.7", None))
            .await
            .unwrap()
            .succeeded();
        // A botnet, and somebody behind the owner's own address who has signed in nowhere.
        for number in 0..250 {
            let _ = fail(&throttle, from(&format!("192.0.2.{number}"), None)).await;
            let _ = fail(&throttle, from("203.0.113.9", None)).await;
        }
        assert!(fail(&throttle, from("203.0.113.9", None)).await.is_err());
        for (what, attempt) in [
            ("known address", from("198.51.100.7", None)),
            (
                "known device, new address",
                from("192.0.2.250", Some(OWNER)),
            ),
            (
                "known device, attacker's address",
                from("203.0.113.9", Some(OWNER)),
            ),
        ] {
            assert_eq!(fail(&throttle, attempt).await, Ok(Duration::ZERO), "{what}");
        }
        let waited = fail(&throttle, from("198.51.100.200", None)).await.unwrap();
        assert!(
            waited > Duration::ZERO && waited <= Limits::default().wait + Duration::from_millis(10),
            "a new device in a new place waits and is let in: {waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_tries_many_accounts_is_slowed_and_then_refused() {
        let throttle = throttle();
        let names: Vec<String> = (0..400).map(|number| format!("user{number}")).collect();
        let mut waits = Vec::new();
        let mut refused = 0;
        for name in &names {
            let attempt = Attempt {
                account: ("user", name),
                address: Some("2001:db8:1:100::1".parse().unwrap()),
                device: None,
            };
            // The next one does not wait for this one's answer.
            match throttle.take(attempt, 0) {
                Ok((admitted, wait)) => {
                    drop(admitted);
                    waits.push(wait);
                }
                Err(_) => refused += 1,
            }
        }
        assert!(waits[..20].iter().all(Duration::is_zero));
        assert!(waits[21..].iter().all(|wait| !wait.is_zero()));
        assert_eq!((waits.len(), refused), (100, 300));
        let neighbour = Some("2001:db8:1:1ff::2".parse().unwrap());
        let anna = ("user", "anna");
        assert!(
            throttle.flooded(anna, neighbour).is_some(),
            "the same network"
        );
        throttle.remember(anna, neighbour);
        assert!(throttle.flooded(anna, neighbour).is_none(), "known there");
        let other = Some("2001:db8:1:200::1".parse().unwrap());
        assert!(throttle.flooded(("user", "bob"), other).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_right_or_not_looked_at_does_not_count() {
        let throttle = throttle();
        for _ in 0..50 {
            throttle
                .admit(from("192.0.2.1", None))
                .await
                .unwrap()
                .forgotten();
        }
        for _ in 0..50 {
            throttle
                .admit(from("192.0.2.1", None))
                .await
                .unwrap()
                .succeeded();
        }
        assert_eq!(
            fail(&throttle, from("192.0.2.1", None)).await,
            Ok(Duration::ZERO)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_at_once_are_no_way_around() {
        let throttle = throttle();
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(throttle.admit(from("192.0.2.1", None)).await.unwrap());
        }
        assert!(throttle.admit(from("192.0.2.1", None)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let throttle = Arc::new(Throttle::new(Limits {
            remembered: 10,
            ..Limits::default()
        }));
        for number in 0..100 {
            let name = format!("user{number}");
            let attempt = Attempt {
                account: ("user", &name),
                address: Some(IpAddr::from([10, 0, 0, number])),
                device: None,
            };
            let _ = fail(&throttle, attempt).await;
        }
        assert_eq!(throttle.lock().pair.used_until.len(), 10);
    }
}
