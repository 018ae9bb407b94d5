//! A bounded queue between tasks, which never wait, and threads, which do.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue.
pub(super) struct Queue<J> {
    state: Mutex<State<J>>,
    wake: Condvar,
    capacity: usize,
}

struct State<J> {
    jobs: VecDeque<J>,
    idle: usize,
    closed: bool,
}

/// The queue is full or closed.
#[derive(Debug)]
pub(super) struct Refused;

impl<J> Queue<J> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                idle: 0,
                closed: false,
            }),
            wake: Condvar::new(),
            capacity: capacity.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job.
    pub(super) fn push(&self, job: J) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed || state.jobs.len() >= self.capacity {
            return Err(Refused);
        }
        state.jobs.push_back(job);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for a job; none when the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// The next job if there is one and it fulfils `wanted`.
    pub(super) fn pop_if(&self, wanted: impl FnOnce(&J) -> bool) -> Option<J> {
        let mut state = self.lock();
        if wanted(state.jobs.front()?) {
            state.jobs.pop_front()
        } else {
            None
        }
    }

    /// Refuses new jobs; those in the queue are still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Threads that wait for a job.
    pub(super) fn idle(&self) -> usize {
        self.lock().idle
    }
}
