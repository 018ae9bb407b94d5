//! Compares what was acknowledged with what is there.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};

use super::{Effect, History, Kind, Operation, Outcome};

/// Faults that a message lists.
const LISTED: usize = 20;

/// A row at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What its creator gave it.
    pub tag: String,
    /// Value at the end.
    pub value: u64,
    /// Writes that it has seen, its creation included, if the database counts them.
    pub writes: Option<u64>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A row was acknowledged, and is not there.
    RowLost {
        /// Its tag.
        tag: String,
    },
    /// A row is there more than once.
    RowTwice {
        /// Its tag.
        tag: String,
        /// How often.
        times: usize,
    },
    /// A row is there that was refused, or that nobody asked for.
    RowUnasked {
        /// Its tag.
        tag: String,
    },
    /// The row has an earlier value than the last that was acknowledged.
    UpdateLost {
        /// Its tag.
        tag: String,
        /// Value that was acknowledged last.
        acknowledged: u64,
        /// Value at the end.
        found: u64,
    },
    /// The row has a value that was refused, or that nobody asked for.
    UpdateUnasked {
        /// Its tag.
        tag: String,
        /// Value at the end.
        found: u64,
    },
    /// The row has seen more or fewer writes than there were.
    WritesMiscounted {
        /// Its tag.
        tag: String,
        /// Writes acknowledged.
        acknowledged: u64,
        /// Writes of which nobody knows.
        unknown: u64,
        /// Writes seen.
        found: u64,
    },
    /// A user read an earlier value than one that had been acknowledged, or read before.
    ReadBackwards {
        /// Tag of the row.
        tag: String,
        /// What the user knew already.
        known: u64,
        /// What the user saw.
        seen: Option<u64>,
    },
    /// Somebody was asked to sign in again.
    SignedOut {
        /// Who.
        user: u16,
        /// At what.
        kind: Kind,
        /// Status.
        status: u16,
    },
    /// An answer with wrong content.
    WrongAnswer {
        /// Who.
        user: u16,
        /// To what.
        kind: Kind,
        /// What is wrong.
        error: String,
    },
}

/// What [`check()`] found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What must not be.
    pub faults: Vec<Fault>,
    /// Requests that did not end as they should, by kind and reason.
    pub failed: BTreeMap<(Kind, String), usize>,
    /// Requests.
    pub requests: usize,
    /// Requests that were sent more than once.
    pub repeated: usize,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// Writes of which the user does not know whether they took effect.
    pub unknown: usize,
    /// Of these: creations that did.
    pub unknown_applied: usize,
}

/// Compares a history with the rows at the end: all rows whose tags are its users'.
#[must_use]
pub fn check(history: &History, rows: &[Row]) -> Report {
    let mut report = Report::default();
    let mut found: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        found.entry(&row.tag).or_default().push(row);
    }
    let mut by_tag: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &history.operations {
        report.count(operation);
        if let Some(tag) = &operation.tag {
            by_tag.entry(tag).or_default().push(operation);
        }
    }
    for (tag, rows) in &found {
        if rows.len() > 1 {
            report.faults.push(Fault::RowTwice {
                tag: (*tag).to_owned(),
                times: rows.len(),
            });
        }
        if !by_tag.contains_key(tag) {
            report.faults.push(Fault::RowUnasked {
                tag: (*tag).to_owned(),
            });
        }
    }
    for (tag, operations) in &mut by_tag {
        operations.sort_by_key(|operation| operation.start);
        let row = found.get(tag).and_then(|rows| rows.first()).copied();
        report.check_row(tag, operations, row);
        report.check_reads(tag, operations);
    }
    report
}

impl Report {
    fn count(&mut self, operation: &Operation) {
        self.requests += 1;
        self.repeated += usize::from(operation.attempts > 1);
        if operation.is_write() {
            match operation.effect() {
                Effect::Yes => self.acknowledged += 1,
                Effect::Unknown => self.unknown += 1,
                Effect::No => {}
            }
        }
        let reason = match &operation.outcome {
            Outcome::Done { .. } => return,
            Outcome::Refused { status, .. } | Outcome::Failed { status, .. } => {
                format!("status {status}")
            }
            Outcome::NotSent { error } => format!("not sent: {error}"),
            Outcome::NoAnswer { error } => format!("no answer: {error}"),
            Outcome::SignedOut { status } => {
                self.faults.push(Fault::SignedOut {
                    user: operation.user,
                    kind: operation.kind,
                    status: *status,
                });
                "signed out".to_owned()
            }
            Outcome::Wrong { error } => {
                self.faults.push(Fault::WrongAnswer {
                    user: operation.user,
                    kind: operation.kind,
                    error: error.clone(),
                });
                "wrong answer".to_owned()
            }
        };
        *self.failed.entry((operation.kind, reason)).or_default() += 1;
    }

    fn check_row(&mut self, tag: &str, operations: &[&Operation], row: Option<&Row>) {
        let tag = tag.to_owned();
        let created = operations
            .iter()
            .find(|operation| operation.kind == Kind::Create)
            .map(|operation| operation.effect());
        let Some(row) = row else {
            // An update proves that the row was there, whatever its creator was told.
            let was_there = operations
                .iter()
                .any(|operation| operation.is_write() && operation.effect() == Effect::Yes);
            if was_there {
                self.faults.push(Fault::RowLost { tag });
            }
            return;
        };
        match created {
            Some(Effect::Yes) => {}
            Some(Effect::Unknown) => self.unknown_applied += 1,
            Some(Effect::No) | None => {
                self.faults.push(Fault::RowUnasked { tag });
                return;
            }
        }
        let updates = |effect: Effect| {
            operations.iter().filter(move |operation| {
                operation.kind == Kind::Update && operation.effect() == effect
            })
        };
        let acknowledged = updates(Effect::Yes)
            .filter_map(|operation| operation.value)
            .max()
            .unwrap_or(0);
        if row.value < acknowledged {
            self.faults.push(Fault::UpdateLost {
                tag: tag.clone(),
                acknowledged,
                found: row.value,
            });
        } else if row.value > acknowledged
            && !updates(Effect::Unknown).any(|operation| operation.value == Some(row.value))
        {
            self.faults.push(Fault::UpdateUnasked {
                tag: tag.clone(),
                found: row.value,
            });
        }
        if let Some(found) = row.writes {
            let (acknowledged, unknown) = (
                1 + updates(Effect::Yes).count() as u64,
                updates(Effect::Unknown).count() as u64,
            );
            if found < acknowledged || found > acknowledged + unknown {
                self.faults.push(Fault::WritesMiscounted {
                    tag,
                    acknowledged,
                    unknown,
                    found,
                });
            }
        }
    }

    /// A user sends one request after the other, so what was known at the start of one is known.
    fn check_reads(&mut self, tag: &str, operations: &[&Operation]) {
        let mut known: Option<u64> = None;
        for operation in operations {
            if !operation.outcome.is_done() {
                continue;
            }
            if operation.kind == Kind::ReadBack
                && let Some(known) = known
                && operation.value.is_none_or(|seen| seen < known)
            {
                self.faults.push(Fault::ReadBackwards {
                    tag: tag.to_owned(),
                    known,
                    seen: operation.value,
                });
            }
            known = known.max(operation.value);
        }
    }

    /// Requests that did not end as they should.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// Whether nothing is that must not be. Requests may have failed.
    ///
    /// # Errors
    /// Something is: with what it is.
    pub fn require_no_fault(&self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let listed: Vec<String> = self
            .faults
            .iter()
            .take(LISTED)
            .map(|fault| format!("{fault:?}"))
            .collect();
        bail!(
            "{} faults in the history, such as:\n{}\n{self}",
            self.faults.len(),
            listed.join("\n")
        )
    }

    /// Whether, besides, every request ended as it should.
    ///
    /// # Errors
    /// One did not, or something is that must not be: with what it is.
    pub fn require_no_failure(&self) -> Result<()> {
        self.require_no_fault()?;
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("{} requests failed:\n{self}", self.failures())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} failed, {} repeated; writes: {} acknowledged, {} unknown ({} creations of them took \
             effect); {} faults",
            self.requests,
            self.failures(),
            self.repeated,
            self.acknowledged,
            self.unknown,
            self.unknown_applied,
            self.faults.len()
        )?;
        for ((kind, reason), count) in &self.failed {
            write!(f, "\n  {count} × {kind:?}: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
