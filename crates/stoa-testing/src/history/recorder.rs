//! Takes down operations while they happen.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;

use super::{History, Kind, Mark, Operation};

/// A history in the making, shared by all who take part in it.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    history: Mutex<History>,
    counts: watch::Sender<Counts>,
}

/// What was done as it should.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    signed_in: usize,
    done: usize,
    acknowledged: usize,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            history: Mutex::default(),
            counts: watch::Sender::default(),
        }
    }
}

impl Recorder {
    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Adds an operation that has ended.
    pub fn add(&self, operation: Operation) {
        let is_done = operation.outcome.is_done();
        let is_write = operation.is_write();
        let is_sign_in = operation.kind == Kind::SignIn;
        self.history().operations.push(operation);
        if is_done {
            self.counts.send_modify(|counts| {
                counts.done += usize::from(!is_sign_in);
                counts.signed_in += usize::from(is_sign_in);
                counts.acknowledged += usize::from(is_write);
            });
        }
    }

    /// Notes that something is done to the site now.
    pub fn mark(&self, fault: &str) {
        let at = self.now();
        self.history().marks.push(Mark {
            fault: fault.to_owned(),
            at,
        });
    }

    /// Waits until so many users are signed in.
    ///
    /// # Errors
    /// They are not in time; the message has the failures.
    pub async fn until_signed_in(&self, users: usize, deadline: Duration) -> Result<()> {
        self.until("users signed in", users, deadline, |counts| {
            counts.signed_in
        })
        .await
    }

    /// Waits until so many more requests were answered as they should than are now.
    ///
    /// # Errors
    /// They are not in time; the message has the failures.
    pub async fn until_done(&self, more: usize, deadline: Duration) -> Result<()> {
        let count = self.counts.borrow().done + more;
        self.until("requests done", count, deadline, |counts| counts.done)
            .await
    }

    /// Waits until so many more writes were acknowledged than are now.
    ///
    /// # Errors
    /// They are not in time; the message has the failures.
    pub async fn until_acknowledged(&self, more: usize, deadline: Duration) -> Result<()> {
        let count = self.counts.borrow().acknowledged + more;
        self.until("writes acknowledged", count, deadline, |counts| {
            counts.acknowledged
        })
        .await
    }

    async fn until(
        &self,
        what: &str,
        wanted: usize,
        deadline: Duration,
        count: impl Fn(&Counts) -> usize,
    ) -> Result<()> {
        let mut counts = self.counts.subscribe();
        let reached =
            tokio::time::timeout(deadline, counts.wait_for(|counts| count(counts) >= wanted)).await;
        if reached.is_err() {
            let last: Vec<Operation> = self
                .history()
                .operations
                .iter()
                .rev()
                .filter(|operation| !operation.outcome.is_done())
                .take(3)
                .cloned()
                .collect();
            bail!(
                "waited {deadline:?} in vain for {wanted} {what}: it is {}; last failures: {last:#?}",
                count(&self.counts.borrow())
            );
        }
        Ok(())
    }

    /// All that was taken down so far.
    #[must_use]
    pub fn so_far(&self) -> History {
        self.history().clone()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// Writes a line of JSON for each mark and each operation.
    ///
    /// # Errors
    /// As the file system's.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut lines =
            BufWriter::new(File::create(file).with_context(|| file.display().to_string())?);
        for mark in &self.marks {
            serde_json::to_writer(&mut lines, mark)?;
            lines.write_all(b"\n")?;
        }
        for operation in &self.operations {
            serde_json::to_writer(&mut lines, operation)?;
            lines.write_all(b"\n")?;
        }
        Ok(lines.flush()?)
    }
}
