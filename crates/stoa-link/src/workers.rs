//! Threads that each move the bytes of their own connections.
//!
//! A connection stays with one thread, and what it asks of others goes over connections of the same thread where
//! there is one: nothing wakes another thread, and what the processor has of a connection stays in its cache.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Who serves connections: threads of their own, or whoever calls.
#[derive(Clone, Debug, Default)]
pub struct Workers(Arc<Threads>);

#[derive(Debug, Default)]
struct Threads {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Workers {
    /// Starts so many threads with stacks of so many bytes. The last clone to go ends them, and all that they do.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(count: usize, stack: usize) -> io::Result<Self> {
        let mut all = Threads::default();
        for number in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .thread_stack_size(stack)
                .build()?;
            all.handles.push(runtime.handle().clone());
            let stop = all.stop.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .stack_size(stack)
                .spawn(move || {
                    HERE.set(number);
                    runtime.block_on(stop.cancelled());
                    runtime.shutdown_background();
                })?;
            all.threads.push(thread);
        }
        Ok(Self(Arc::new(all)))
    }

    /// How many there are; whoever calls counts as one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.handles.len().max(1)
    }

    /// Number of the worker that this thread is. Threads that are none pass for the first one.
    #[must_use]
    pub fn here() -> usize {
        HERE.get()
    }

    /// Lets a worker do something. Sockets that it makes then are moved by that worker.
    pub fn spawn<F>(&self, number: usize, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self.0.handles.get(number) {
            Some(handle) => handle.spawn(work),
            None => tokio::spawn(work),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.cancel();
        let this = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last clone may go with the work of a worker, which cannot wait for itself.
            if thread.thread().id() != this && thread.join().is_err() {
                tracing::error!("a thread for connections ended by a fault of its own");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: usize = 1 << 20;

    #[tokio::test]
    async fn each_does_what_it_is_given() {
        let workers = Workers::start(3, STACK).unwrap();
        assert_eq!(workers.count(), 3);
        for number in 0..3 {
            let here = workers.spawn(number, async {
                tokio::task::yield_now().await;
                Workers::here()
            });
            assert_eq!(here.await.unwrap(), number);
        }
    }

    #[tokio::test]
    async fn without_threads_the_caller_does_it() {
        let workers = Workers::default();
        assert_eq!(workers.count(), 1);
        let thread = workers.spawn(0, async { std::thread::current().id() });
        assert_eq!(thread.await.unwrap(), std::thread::current().id());
    }

    #[tokio::test]
    async fn the_last_to_go_ends_what_they_do() {
        let workers = Workers::start(2, STACK).unwrap();
        let endless = workers.spawn(1, std::future::pending::<()>());
        let kept = workers.clone();
        // Also from one of them, which cannot wait for itself.
        let dropped = workers.spawn(0, async move { drop(kept) });
        dropped.await.unwrap();
        tokio::task::spawn_blocking(move || drop(workers))
            .await
            .unwrap();
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
