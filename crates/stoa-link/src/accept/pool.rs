//! The idle connections to an instance.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use tokio::sync::Notify;
use tokio::time::{Instant as TokioInstant, timeout_at};

use super::instance::Instance;
use super::line::Line;
use crate::BodyError;
use crate::workers::Workers;

/// Idle connections, the last used on top: the others may grow old and be closed.
pub(super) struct Pool<B: Body + 'static> {
    lines: Mutex<Lines<B>>,
    came: Notify,
}

struct Lines<B: Body + 'static> {
    /// Of each worker.
    idle: Vec<Vec<Line<B>>>,
    closed: bool,
}

impl<B: Body + 'static> Lines<B> {
    fn count(&self) -> usize {
        self.idle.iter().map(Vec::len).sum()
    }
}

impl<B: Body + 'static> Pool<B> {
    /// Of connections that are with so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            lines: Mutex::new(Lines {
                idle: std::iter::repeat_with(Vec::new).take(workers).collect(),
                closed: false,
            }),
            came: Notify::new(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines<B>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().count()
    }

    pub(super) fn put(&self, mut line: Line<B>) {
        let mut lines = self.lock();
        if lines.closed {
            return;
        }
        line.connection.rest();
        if let Some(idle) = lines.idle.get_mut(line.connection.worker()) {
            idle.push(line);
        }
        drop(lines);
        self.came.notify_one();
    }

    /// One of this worker, or else of the one that has most.
    fn pop(&self) -> Option<Line<B>> {
        let mut lines = self.lock();
        if let Some(line) = lines.idle.get_mut(Workers::here()).and_then(Vec::pop) {
            return Some(line);
        }
        lines.idle.iter_mut().max_by_key(|idle| idle.len())?.pop()
    }

    /// Closes all, also those that come back later.
    pub(super) fn close(&self) {
        let mut lines = self.lock();
        lines.closed = true;
        let idle: Vec<_> = lines.idle.iter_mut().flat_map(std::mem::take).collect();
        drop(lines);
        drop(idle);
        self.came.notify_waiters();
    }

    /// Closes those at the bottom that were idle for so long, but leaves the spares.
    pub(super) fn close_idle(&self, spares: usize, after: Duration) {
        let mut lines = self.lock();
        let mut most = lines.count().saturating_sub(spares);
        let mut closed = Vec::new();
        for idle in &mut lines.idle {
            let old = idle
                .iter()
                .take(most)
                .take_while(|line| line.connection.idle_since().elapsed() >= after)
                .count();
            most -= old;
            closed.extend(idle.drain(..old));
        }
        drop(lines);
        drop(closed);
    }
}

/// A connection that is about to carry a request. Dropped, it is closed.
pub struct Taken<B: Body + 'static> {
    pub(super) line: Option<Line<B>>,
    pub(super) instance: Arc<Instance<B>>,
    is_upgrade: bool,
}

impl<B: Body + 'static> Taken<B> {
    /// The instance asked.
    #[must_use]
    pub fn instance(&self) -> &Arc<Instance<B>> {
        &self.instance
    }

    /// Gives the connection back: the answer was read to its end.
    pub(super) fn give_back(&mut self) {
        if let Some(line) = self.line.take()
            && !line.connection.is_closed()
            && !self.is_upgrade
        {
            self.instance.requests.put(line);
        }
    }
}

impl<B: Body + 'static> Drop for Taken<B> {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B> Instance<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// A connection that is free now, if there is one.
    pub async fn take(self: &Arc<Self>) -> Option<Taken<B>> {
        self.take_from(false).await
    }

    /// The same, for a request that becomes something else.
    pub async fn take_for_upgrade(self: &Arc<Self>) -> Option<Taken<B>> {
        self.take_from(true).await
    }

    /// Waits for a connection to become free, or to be dialled, until a moment.
    pub async fn wait(self: &Arc<Self>, for_upgrade: bool, until: Instant) -> Option<Taken<B>> {
        let pool = self.pool(for_upgrade);
        loop {
            let came = pool.came.notified();
            if let Some(taken) = self.take_from(for_upgrade).await {
                return Some(taken);
            }
            timeout_at(TokioInstant::from_std(until), came).await.ok()?;
        }
    }

    /// Waits until a connection becomes idle, or until a moment. Another request may take it first.
    pub async fn wait_for_more(&self, until: Instant) {
        let came = self.requests.came.notified();
        if self.requests.len() == 0 {
            let until = TokioInstant::from_std(until);
            // Whether it came or not, the caller looks.
            let _ = timeout_at(until, came).await;
        } else {
            tokio::time::sleep_until(TokioInstant::from_std(until)).await;
        }
    }

    fn pool(&self, for_upgrade: bool) -> &Pool<B> {
        if for_upgrade {
            &self.upgrades
        } else {
            &self.requests
        }
    }

    async fn take_from(self: &Arc<Self>, for_upgrade: bool) -> Option<Taken<B>> {
        let pool = self.pool(for_upgrade);
        loop {
            let mut line = pool.pop()?;
            // Closed by the other side while it was idle: the next one.
            if poll_fn(|context| line.connection.poll_ready(context))
                .await
                .is_ok()
            {
                self.in_flight.fetch_add(1, Ordering::Relaxed);
                return Some(Taken {
                    line: Some(line),
                    instance: Arc::clone(self),
                    is_upgrade: for_upgrade,
                });
            }
        }
    }
}
