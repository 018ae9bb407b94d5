//! The thread that writes, and its commits in groups.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::queue::Queue;
use super::thread::{Control, JobState};
use crate::error::StoreError;
use crate::statistics::{Statistics, count};

/// A job for the writer.
pub(super) enum WriteJob {
    /// Shares a transaction.
    Grouped(Box<dyn Grouped + Send>),
    /// Runs alone.
    Exclusive(Box<dyn FnOnce(&mut Connection) + Send>),
}

/// A job in a group: it runs, then waits for the commit, then answers.
pub(super) trait Grouped {
    /// Whether anybody still waits for it.
    fn is_wanted(&self) -> bool;
    /// Runs it; true when it succeeded.
    fn run(&mut self, connection: &Connection, control: &Control) -> bool;
    /// What its failure means to the others when it took the whole transaction with it.
    fn consequence(&self) -> StoreError;
    /// Answers: with its own outcome, or with the group's failure if it had succeeded.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

struct Job<T, F> {
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    sender: oneshot::Sender<Result<T, StoreError>>,
    timeout: Duration,
}

impl<T, F> Grouped for Job<T, F>
where
    F: FnOnce(&Connection) -> Result<T, StoreError>,
{
    fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }

    fn run(&mut self, connection: &Connection, control: &Control) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let state = Arc::new(JobState::new(Instant::now() + self.timeout));
        control.set(Some(Arc::clone(&state)));
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|_| Err(StoreError::internal("a write panicked")))
            .map_err(|error| state.explain(error));
        control.set(None);
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);
        succeeded
    }

    fn consequence(&self) -> StoreError {
        match &self.outcome {
            Some(Err(error @ StoreError::StorageFull { .. })) => same_kind(error),
            _ => StoreError::unavailable("the transaction was rolled back by the database"),
        }
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let outcome = match (self.outcome, failure) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(failure)) => Err(failure),
            (Some(outcome), None) => outcome,
            (None, None) => return,
        };
        // Nobody listens any more when the request was given up.
        let _ = self.sender.send(outcome);
    }
}

impl WriteJob {
    pub(super) fn grouped<T, F>(
        work: F,
        sender: oneshot::Sender<Result<T, StoreError>>,
        timeout: Duration,
    ) -> Self
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Self::Grouped(Box::new(Job {
            work: Some(work),
            outcome: None,
            sender,
            timeout,
        }))
    }

    pub(super) fn exclusive<T, F>(work: F, sender: oneshot::Sender<Result<T, StoreError>>) -> Self
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Self::Exclusive(Box::new(move |connection| {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
                .unwrap_or_else(|_| Err(StoreError::internal("a change of structure panicked")));
            let _ = sender.send(outcome);
        }))
    }
}

/// Starts the thread.
pub(super) fn start(
    (mut connection, control): (Connection, Arc<Control>),
    queue: Arc<Queue<WriteJob>>,
    most: usize,
    statistics: Arc<Statistics>,
) -> Result<(), StoreError> {
    std::thread::Builder::new()
        .name("sqlite-writer".to_owned())
        .spawn(move || {
            while let Some(job) = queue.pop() {
                match job {
                    WriteJob::Exclusive(work) => {
                        work(&mut connection);
                        connection.flush_prepared_statement_cache();
                    }
                    WriteJob::Grouped(first) => {
                        group(&connection, &control, first, &queue, most, &statistics);
                    }
                }
                end_transaction(&connection);
            }
            // Lets the next start find everything in the main file.
            if let Err(error) =
                connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")
            {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the last checkpoint was not made"
                );
            }
        })
        .map_err(|error| StoreError::internal(error.to_string()))?;
    Ok(())
}

/// A transaction left open by a failed commit or a job that did not clean up.
fn end_transaction(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a write transaction cannot be ended"
        );
    }
}

/// Runs `first` and what else is queued in one transaction.
fn group(
    connection: &Connection,
    control: &Control,
    first: Box<dyn Grouped + Send>,
    queue: &Queue<WriteJob>,
    most: usize,
    statistics: &Statistics,
) {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        first.answer(Some(error));
        return;
    }
    let mut done: Vec<Box<dyn Grouped + Send>> = Vec::new();
    let mut next = Some(first);
    let mut failure = None;
    while let Some(mut job) = next {
        if job.is_wanted() {
            if let Err(error) = run_one(connection, control, job.as_mut()) {
                failure = Some(error);
            }
            done.push(job);
        }
        if failure.is_some() || done.len() >= most {
            break;
        }
        next = queue
            .pop_if(|job| matches!(job, WriteJob::Grouped(_)))
            .and_then(|job| match job {
                WriteJob::Grouped(job) => Some(job),
                WriteJob::Exclusive(_) => None,
            });
    }
    if failure.is_none() {
        match execute(connection, "COMMIT") {
            Ok(()) => count(&statistics.commits),
            Err(error) => failure = Some(error),
        }
    }
    if failure.is_some() {
        end_transaction(connection);
    }
    let mut failure = failure;
    for job in done {
        let reason = failure.take();
        if let Some(reason) = &reason {
            failure = Some(same_kind(reason));
        }
        job.answer(reason);
    }
}

/// Runs a job in a savepoint. An error means that the whole transaction is gone.
fn run_one(
    connection: &Connection,
    control: &Control,
    job: &mut (dyn Grouped + Send),
) -> Result<(), StoreError> {
    execute(connection, "SAVEPOINT job")?;
    if job.run(connection, control) {
        return execute(connection, "RELEASE job");
    }
    if connection.is_autocommit() {
        // A full disk or an interruption makes SQLite roll everything back.
        return Err(job.consequence());
    }
    execute(connection, "ROLLBACK TO job")?;
    execute(connection, "RELEASE job")
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// The group's failure, once more for another of its jobs.
fn same_kind(error: &StoreError) -> StoreError {
    match error {
        StoreError::StorageFull { .. } => StoreError::StorageFull { source: None },
        StoreError::Busy { .. } => StoreError::Busy { source: None },
        StoreError::Unavailable { reason, .. } => StoreError::unavailable(reason.clone()),
        other => StoreError::internal(other.to_string()),
    }
}
