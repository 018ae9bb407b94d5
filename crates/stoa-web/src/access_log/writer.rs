//! The thread that writes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::line::Clock;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard output.
    Stdout,
    /// Where the server's own log goes.
    Stderr,
    /// A file, to which lines are appended.
    File(PathBuf),
}

impl Target {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Stdout => Path::new("/dev/stdout"),
            Self::Stderr => Path::new("/dev/stderr"),
            Self::File(path) => path,
        }
    }
}

/// Buffers: threads that make lines at once rarely meet at one.
const SHARDS: usize = 8;
/// Bytes in a buffer that make the writer come at once.
const PLENTY: usize = 64 * 1024;
/// Most bytes in a buffer.
const FULL: usize = 8 << 20;
/// The writer looks that often otherwise.
const INTERVAL: Duration = Duration::from_millis(200);

thread_local! {
    /// The buffer of this thread.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS
    };
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Buffer>);

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<u8>,
    clock: Clock,
}

impl Shard {
    fn lock(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Queue {
    shards: [Shard; SHARDS],
    dropped: AtomicU64,
    reopen: AtomicBool,
}

/// Takes lines, and writes them in a thread of its own.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    /// Gone when the thread is to end.
    calls: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(target: Target) -> io::Result<Self> {
        let mut output = Output::open(target)?;
        let queue = Arc::new(Queue::default());
        let (calls, called) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn({
                let queue = Arc::clone(&queue);
                move || queue.write(&mut output, &called)
            })?;
        Ok(Self {
            queue,
            calls: Some(calls),
            thread: Some(thread),
        })
    }

    /// Adds one line, or counts it as dropped.
    pub(super) fn add(&self, write: impl FnOnce(&mut Vec<u8>, &mut Clock)) {
        let Some(shard) = SHARD.with(|shard| self.queue.shards.get(*shard)) else {
            return;
        };
        let length = {
            let mut buffer = shard.lock();
            let Buffer { lines, clock } = &mut *buffer;
            if lines.len() >= FULL {
                self.queue.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            write(lines, clock);
            lines.len()
        };
        if length >= PLENTY {
            self.call();
        }
    }

    fn call(&self) {
        if let Some(calls) = &self.calls {
            // If it is full, the writer has been called already.
            let _ = calls.try_send(());
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn reopen(&self) {
        self.queue.reopen.store(true, Ordering::Relaxed);
        self.call();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the access log ended by a fault of its own");
        }
    }
}

impl Queue {
    fn write(&self, output: &mut Output, called: &Receiver<()>) {
        let mut spare = Vec::new();
        loop {
            let last = called.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Disconnected);
            if self.reopen.swap(false, Ordering::Relaxed) {
                output.reopen();
            }
            for shard in &self.shards {
                std::mem::swap(&mut shard.lock().lines, &mut spare);
                if spare.is_empty() {
                    continue;
                }
                if !output.write(&spare) {
                    let lines = spare.iter().filter(|byte| **byte == b'\n').count();
                    self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
                }
                spare.clear();
                spare.shrink_to(2 * PLENTY);
            }
            if last {
                return;
            }
        }
    }
}

/// What is written to. A failure is told once, until writing succeeds again.
struct Output {
    target: Target,
    file: Option<File>,
    has_failed: bool,
}

impl Output {
    fn open(target: Target) -> io::Result<Self> {
        let file = match &target {
            Target::File(path) => Some(open(path)?),
            Target::Stdout | Target::Stderr => None,
        };
        Ok(Self {
            target,
            file,
            has_failed: false,
        })
    }

    fn reopen(&mut self) {
        if let Target::File(path) = &self.target {
            match open(path) {
                Ok(file) => self.file = Some(file),
                Err(error) => self.fail(&error),
            }
        }
    }

    /// Whether the file has another name now, or none.
    fn is_moved(&self) -> bool {
        let (Target::File(path), Some(file)) = (&self.target, &self.file) else {
            return false;
        };
        match (std::fs::metadata(path), file.metadata()) {
            (Ok(there), Ok(here)) => (there.dev(), there.ino()) != (here.dev(), here.ino()),
            _ => true,
        }
    }

    fn write(&mut self, lines: &[u8]) -> bool {
        if self.is_moved() {
            self.reopen();
        }
        let result = match (&self.target, &mut self.file) {
            (Target::Stdout, _) => io::stdout().lock().write_all(lines),
            (Target::Stderr, _) => io::stderr().lock().write_all(lines),
            (Target::File(_), Some(file)) => file.write_all(lines),
            (Target::File(_), None) => Err(io::ErrorKind::NotFound.into()),
        };
        match result {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                self.fail(&error);
                return false;
            }
        }
        true
    }

    fn fail(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::error!(
                path = %self.target.path().display(),
                %error,
                "the access log cannot be written; lines are lost"
            );
        }
    }
}

/// Who visits a site is nobody's business but the operator's.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(writer: &Writer, line: &str) {
        writer.add(|buffer, _| buffer.extend_from_slice(line.as_bytes()));
    }

    /// Waits until a file holds what it should.
    fn until(path: &Path, expected: &str) {
        let mut found = String::new();
        for _ in 0..2000 {
            found = std::fs::read_to_string(path).unwrap_or_default();
            if found == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{found:?} is not {expected:?}");
    }

    #[test]
    fn a_moved_file_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("old"));
        let writer = Writer::start(Target::File(path.clone())).unwrap();
        add(&writer, "one\n");
        until(&path, "one\n");
        std::fs::rename(&path, &old).unwrap();
        add(&writer, "two\n");
        until(&path, "two\n");
        std::fs::rename(&path, folder.path().join("older")).unwrap();
        writer.reopen();
        until(&path, "");
        add(&writer, "three\n");
        drop(writer);
        until(&path, "three\n");
        until(&old, "one\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let writer = Writer::start(Target::File("/dev/full".into())).unwrap();
        add(&writer, "one\n");
        add(&writer, "two\n");
        while writer.dropped() < 2 {
            std::thread::yield_now();
        }
        assert!(Writer::start(Target::File("/nowhere/log".into())).is_err());
    }

    #[test]
    fn a_full_buffer_takes_no_more() {
        let queue = Arc::new(Queue::default());
        let writer = Writer {
            queue,
            calls: None,
            thread: None,
        };
        let line = "x".repeat(FULL / 4 - 1) + "\n";
        for _ in 0..6 {
            add(&writer, &line);
        }
        assert_eq!(writer.dropped(), 2);
    }
}
