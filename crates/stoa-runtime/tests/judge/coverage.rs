//! What was tried and what came of it: a check that can fail, so that the generator does not wither.

use std::collections::BTreeMap;
use std::fmt;

use crate::court::Answer;

#[derive(Default)]
pub(crate) struct Coverage {
    kinds: BTreeMap<&'static str, BTreeMap<String, usize>>,
    outcomes: BTreeMap<String, usize>,
    set_up: usize,
    total: usize,
}

/// Kinds of requests that must occur, in thousandths of all.
const KINDS: [(&str, usize); 29] = [
    ("metadata", 4),
    ("nobody", 3),
    ("read collection", 10),
    ("read key", 10),
    ("read cast", 4),
    ("read navigation", 20),
    ("read expand", 20),
    ("read filter", 20),
    ("read order", 8),
    ("read select", 8),
    ("read pages", 10),
    ("read count", 10),
    ("read references", 10),
    ("read property", 4),
    ("read value", 4),
    ("post", 10),
    ("post bind", 10),
    ("post deep", 4),
    ("post navigation", 10),
    ("patch", 20),
    ("patch bind", 8),
    ("patch deep", 2),
    ("patch stale", 2),
    ("put", 8),
    ("upsert", 3),
    ("delete", 20),
    ("set reference", 10),
    ("remove reference", 5),
    ("put property", 5),
];

/// Outcomes that must occur, in thousandths of all.
const OUTCOMES: [(&str, usize); 9] = [
    ("200", 100),
    ("201", 10),
    ("204", 20),
    ("400 UnknownProperty", 5),
    ("400 ReferenceNotFound", 1),
    ("401 NotSignedIn", 1),
    ("403 Forbidden", 20),
    ("404 NotFound", 20),
    ("409", 2),
];

/// Fewer requests tell nothing about how often things occur.
const ENOUGH: usize = 2_000;

impl Coverage {
    pub(crate) fn count(&mut self, kind: &'static str, answer: &Answer) {
        self.total += 1;
        let outcome = if answer.status < 300 {
            answer.status.to_string()
        } else {
            format!("{} {}", answer.status, answer.code())
        };
        *self
            .kinds
            .entry(kind)
            .or_default()
            .entry(outcome.clone())
            .or_default() += 1;
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    pub(crate) fn set_up(&mut self) {
        self.set_up += 1;
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Panics where something occurs too seldom.
    pub(crate) fn check(&self) {
        if self.total < ENOUGH {
            return;
        }
        let mut missing = Vec::new();
        for (kind, least) in KINDS {
            let count: usize = self
                .kinds
                .get(kind)
                .map_or(0, |outcomes| outcomes.values().sum());
            if count * 1000 < least * self.total {
                missing.push(format!("{kind}: {count}"));
            }
        }
        for (outcome, least) in OUTCOMES {
            let count: usize = self
                .outcomes
                .iter()
                .filter(|(known, _)| known.starts_with(outcome))
                .map(|(_, count)| count)
                .sum();
            if count * 1000 < least * self.total {
                missing.push(format!("{outcome}: {count}"));
            }
        }
        assert!(missing.is_empty(), "too few of {missing:?}");
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, outcomes) in &self.kinds {
            let count: usize = outcomes.values().sum();
            let outcomes: Vec<String> = outcomes
                .iter()
                .map(|(outcome, count)| format!("{outcome}: {count}"))
                .collect();
            writeln!(formatter, "{kind:>18} {count:>6}  {}", outcomes.join(", "))?;
        }
        writeln!(formatter, "{:>18} {:>6}", "rows set up", self.set_up)
    }
}
