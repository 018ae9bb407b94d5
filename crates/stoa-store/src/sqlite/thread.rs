//! Threads that read, and how a job is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::queue::Queue;
use crate::error::StoreError;
use crate::statistics::{Statistics, count};

/// Whether a job has to stop.
pub(super) struct JobState {
    deadline: Instant,
    abandoned: AtomicBool,
    late: AtomicBool,
}

impl JobState {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            abandoned: AtomicBool::new(false),
            late: AtomicBool::new(false),
        }
    }

    fn must_stop(&self) -> bool {
        if self.abandoned.load(Ordering::Relaxed) {
            return true;
        }
        let late = Instant::now() >= self.deadline;
        if late {
            self.late.store(true, Ordering::Relaxed);
        }
        late
    }

    /// Tells an interruption by the clock from one by the client.
    pub(super) fn explain(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Cancelled if self.late.load(Ordering::Relaxed) => StoreError::Timeout,
            error => error,
        }
    }
}

/// What a connection is working on; asked by SQLite every so often.
#[derive(Default)]
pub(super) struct Control {
    job: Mutex<Option<Arc<JobState>>>,
}

impl Control {
    pub(super) fn must_stop(&self) -> bool {
        let job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        job.as_ref().is_some_and(|job| job.must_stop())
    }

    pub(super) fn set(&self, job: Option<Arc<JobState>>) {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = job;
    }
}

/// Stops a job when the request's future is dropped.
pub(super) struct Abandonment<'a> {
    state: Option<Arc<JobState>>,
    statistics: &'a Statistics,
}

impl<'a> Abandonment<'a> {
    pub(super) fn new(state: Arc<JobState>, statistics: &'a Statistics) -> Self {
        Self {
            state: Some(state),
            statistics,
        }
    }

    pub(super) fn finished(mut self) {
        self.state = None;
    }
}

impl Drop for Abandonment<'_> {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            state.abandoned.store(true, Ordering::Relaxed);
            count(&self.statistics.cancelled);
        }
    }
}

/// Counts a job as long as it lives.
pub(super) struct Counted<'a>(&'a Statistics);

impl<'a> Counted<'a> {
    pub(super) fn new(statistics: &'a Statistics) -> Self {
        statistics.jobs.fetch_add(1, Ordering::Relaxed);
        Self(statistics)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.jobs.fetch_sub(1, Ordering::Relaxed);
    }
}

type ReadWork = Box<dyn FnOnce(&Connection, &Control) + Send>;

/// A job for a reader.
pub(super) struct ReadJob {
    work: ReadWork,
}

impl ReadJob {
    pub(super) fn new<T, F>(
        job: F,
        sender: oneshot::Sender<Result<T, StoreError>>,
        state: Arc<JobState>,
    ) -> Self
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Self {
            work: Box::new(move |connection, control| {
                if sender.is_closed() {
                    return;
                }
                if state.must_stop() {
                    let _ = sender.send(Err(state.explain(StoreError::Cancelled)));
                    return;
                }
                control.set(Some(Arc::clone(&state)));
                let outcome = job(connection).map_err(|error| state.explain(error));
                control.set(None);
                if !connection.is_autocommit()
                    && let Err(error) = connection.execute_batch("ROLLBACK")
                {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a read transaction cannot be ended"
                    );
                }
                // Nobody listens any more when the request was given up.
                let _ = sender.send(outcome);
            }),
        }
    }
}

/// Starts a thread that reads.
pub(super) fn start_reader(
    (connection, control): (Connection, Arc<Control>),
    queue: Arc<Queue<ReadJob>>,
) -> Result<(), StoreError> {
    std::thread::Builder::new()
        .name("sqlite-reader".to_owned())
        .spawn(move || {
            while let Some(job) = queue.pop() {
                let run = std::panic::AssertUnwindSafe(|| (job.work)(&connection, &control));
                if std::panic::catch_unwind(run).is_err() {
                    control.set(None);
                    let _ = connection.execute_batch("ROLLBACK");
                    tracing::error!("a read panicked");
                }
            }
        })
        .map_err(|error| StoreError::internal(error.to_string()))?;
    Ok(())
}
