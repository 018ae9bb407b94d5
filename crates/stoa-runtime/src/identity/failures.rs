//! Failed sign-ins in the audit trail, in numbers that do not fill the disk.
//!
//! The first failure at an account from an address is written at once, further ones within a minute as one
//! entry with their number. However many accounts and addresses an attacker has, no more entries are
//! written than a bucket allows (some ten a minute in the long run, a few MB a day); what goes beyond is one
//! entry a minute that says how many there were.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stoa_model::access::Actor;
use stoa_model::change::Action;

use super::Identity;
use super::record::change;

/// Entries at once.
const BURST: u64 = 600;
/// Entries each minute in the long run.
const EACH_MINUTE: u64 = 10;
/// Accounts and addresses counted apart within a minute.
const COUNTED: usize = 1000;
/// Characters of a name that are kept.
const NAME: usize = 120;
/// How often numbers are written.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// What failed where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Failed {
    kind: &'static str,
    name: String,
    address: Option<IpAddr>,
}

/// Counters of the current minute.
pub(super) struct Failures {
    state: Mutex<State>,
}

/// What is to be written at the end of a minute.
struct Minute {
    /// Who failed how often.
    counted: Vec<(Failed, u64)>,
    /// How often others did, by kind.
    beyond: Vec<(&'static str, u64)>,
}

struct State {
    /// Failures since the last entry.
    counted: HashMap<Failed, u64>,
    /// Failures that were not counted apart, by kind.
    beyond: HashMap<&'static str, u64>,
    /// Entries that may be written now.
    allowed: u64,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                counted: HashMap::new(),
                beyond: HashMap::new(),
                allowed: BURST,
            }),
        }
    }
}

impl Failures {
    /// Counts a failure; true if it is to be written at once.
    fn count(&self, failed: Failed) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = state.counted.get_mut(&failed) {
            *number += 1;
            return false;
        }
        if state.counted.len() >= COUNTED {
            *state.beyond.entry(failed.kind).or_default() += 1;
            return false;
        }
        let at_once = state.allowed > 0;
        if at_once {
            state.allowed -= 1;
        }
        state.counted.insert(failed, u64::from(!at_once));
        at_once
    }

    /// Ends the minute.
    fn take(&self) -> Minute {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.allowed = (state.allowed + EACH_MINUTE).min(BURST);
        let mut counted: Vec<(Failed, u64)> = state
            .counted
            .drain()
            .filter(|(_, number)| *number > 0)
            .collect();
        counted.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
        let written = counted.len().min(state.allowed as usize);
        state.allowed -= written as u64;
        for (failed, number) in counted.drain(written..) {
            *state.beyond.entry(failed.kind).or_default() += number;
        }
        Minute {
            counted,
            beyond: state.beyond.drain().collect(),
        }
    }
}

impl Identity {
    /// Records that a sign-in has failed.
    pub(super) async fn record_failure(
        &self,
        kind: &'static str,
        name: &str,
        address: Option<IpAddr>,
        request: Option<&str>,
    ) {
        let name: String = name.chars().take(NAME).collect();
        let failed = Failed {
            kind,
            name,
            address,
        };
        if !self.shared.failures.count(failed.clone()) {
            return;
        }
        let action = self.failure(&failed, 1, request);
        if let Err(error) = self.write(change(vec![action]), None).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a failed sign-in cannot be recorded"
            );
        }
    }

    /// Writes the numbers of the last minute.
    pub(super) async fn write_failures(&self) {
        let Minute { counted, beyond } = self.shared.failures.take();
        let mut actions: Vec<Action> = counted
            .iter()
            .map(|(failed, number)| self.failure(failed, *number, None))
            .collect();
        for (kind, number) in beyond {
            let detail = serde_json::json!({ "count": number, "accounts": "several" });
            actions.push(self.record(kind, &Actor::default(), None, Some(detail)));
        }
        if actions.is_empty() {
            return;
        }
        if let Err(error) = self.write(change(actions), None).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed sign-ins cannot be recorded"
            );
        }
    }

    fn failure(&self, failed: &Failed, number: u64, request: Option<&str>) -> Action {
        let by = Actor {
            name: failed.name.clone(),
            id: None,
            address: failed.address.map(|address| address.to_string()),
            request: request.map(str::to_owned),
        };
        let detail = (number > 1).then(|| serde_json::json!({ "count": number }));
        self.record(failed.kind, &by, None, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(name: usize) -> Failed {
        Failed {
            kind: "sign-in-failure",
            name: name.to_string(),
            address: None,
        }
    }

    #[test]
    fn failures_at_one_account_are_one_entry_and_then_their_number() {
        let failures = Failures::default();
        assert!(failures.count(failed(1)));
        assert!(!failures.count(failed(1)));
        assert!(!failures.count(failed(1)));
        assert!(failures.count(failed(2)));
        let Minute { counted, beyond } = failures.take();
        assert_eq!(counted, [(failed(1), 2)]);
        assert!(beyond.is_empty());
        assert!(failures.count(failed(1)), "a new minute");
    }

    #[test]
    fn nobody_fills_the_disk() {
        let failures = Failures::default();
        let (mut entries, mut total) = (0_u64, 0_u64);
        for minute in 0..60 {
            for name in 0..5_000 {
                total += 1;
                if failures.count(failed(minute * 5_000 + name)) {
                    entries += 1;
                    total -= 1;
                }
            }
            let Minute { counted, beyond } = failures.take();
            entries += counted.len() as u64 + beyond.len() as u64;
            let numbers = counted.iter().map(|(_, number)| number).sum::<u64>()
                + beyond.iter().map(|(_, number)| number).sum::<u64>();
            total -= numbers;
        }
        assert_eq!(total, 0, "every failure is in a number");
        assert!(entries <= BURST + 60 * (EACH_MINUTE + 1), "{entries}");
    }
}
