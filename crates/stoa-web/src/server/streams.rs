//! The streams of a connection of HTTP/2: each is given up by itself when its client takes nothing of it.
//!
//! A client can leave the window of one stream shut for ever while others flow. No write to the socket blocks
//! then, so it shows only in a body that is not asked for more. Each stream notes since when that is so, and the
//! sweep of the server ends those that last too long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::AbortHandle;

use super::registry::Clock;

/// The server has given nothing that the client could take.
const NOT_WAITING: u64 = u64::MAX;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    number: u64,
    /// When it was last given something for the client to take.
    waiting_since: AtomicU64,
    task: OnceLock<AbortHandle>,
    streams: Arc<Streams>,
}

impl Stream {
    /// The client has something to take.
    pub(super) fn waits_for_client(&self) {
        let now = self.streams.clock.now();
        self.waiting_since.store(now, Ordering::Relaxed);
    }

    /// The client has taken everything, and the server has nothing more yet.
    pub(super) fn waits_for_server(&self) {
        self.waiting_since.store(NOT_WAITING, Ordering::Relaxed);
    }
}

/// All streams of a connection.
#[derive(Debug)]
pub(super) struct Streams {
    clock: Arc<Clock>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, Arc<Stream>>,
    /// Begun, but its task not yet spawned: that follows at once, in the same call.
    latest: Option<Arc<Stream>>,
}

impl Streams {
    pub(super) fn new(clock: Arc<Clock>) -> Self {
        Self {
            clock,
            open: Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come. Its place is kept until the guard goes.
    pub(super) fn begin(self: &Arc<Self>) -> Guard {
        let mut open = self.lock();
        open.next += 1;
        let stream = Arc::new(Stream {
            number: open.next,
            waiting_since: AtomicU64::new(NOT_WAITING),
            task: OnceLock::new(),
            streams: Arc::clone(self),
        });
        open.streams.insert(stream.number, Arc::clone(&stream));
        open.latest = Some(Arc::clone(&stream));
        Guard(stream)
    }

    /// Ends each stream whose client took nothing for `limit`; returns how many.
    pub(super) fn end_stalled(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(NOT_WAITING);
        let mut ended = 0;
        for stream in self.lock().streams.values() {
            let since = stream.waiting_since.load(Ordering::Relaxed);
            if since != NOT_WAITING
                && self.clock.now().saturating_sub(since) > limit
                && let Some(task) = stream.task.get()
            {
                // Counted once, though the task may take a while to go.
                stream.waits_for_server();
                task.abort();
                ended += 1;
            }
        }
        ended
    }

    /// Ends all.
    pub(super) fn end(&self) {
        for stream in self.lock().streams.values() {
            if let Some(task) = stream.task.get() {
                task.abort();
            }
        }
    }
}

/// Keeps a stream known while its request is served.
#[derive(Debug)]
pub(super) struct Guard(Arc<Stream>);

impl std::ops::Deref for Guard {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.0
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ended = self.0.streams.lock().streams.remove(&self.0.number);
    }
}

/// Spawns the task of each stream and notes it.
#[derive(Clone, Debug)]
pub(super) struct Spawner(pub(super) Arc<Streams>);

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let latest = self.0.lock().latest.take();
        let task = tokio::spawn(future).abort_handle();
        if let Some(stream) = latest {
            // It is the first and only task of this stream.
            let _ = stream.task.set(task);
        }
    }
}
