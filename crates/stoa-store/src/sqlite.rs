//! Connections to SQLite: one thread that writes, several that read.
//!
//! The writer takes what is queued, runs each job in a savepoint of one transaction, commits, and then
//! answers all of them: an acknowledged write is on disk. Readers have read-only connections of their
//! own; WAL lets them read while the writer writes.

pub(crate) mod functions;
mod queue;
mod thread;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::error::StoreError;
use crate::statistics::{PoolState, Statistics};
use queue::Queue;
use thread::{Abandonment, Control, JobState, ReadJob};
use writer::WriteJob;

/// One database file and the threads that use it.
#[derive(Clone)]
pub struct Sqlite {
    threads: Arc<Threads>,
    file: Arc<Path>,
    statement_timeout: Duration,
}

struct Threads {
    writes: Arc<Queue<WriteJob>>,
    reads: Arc<Queue<ReadJob>>,
    readers: usize,
    statistics: Arc<Statistics>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.writes.close();
        self.reads.close();
    }
}

impl Sqlite {
    /// Opens the file, making it if need be, and starts the threads.
    pub(crate) async fn open(
        file: &Path,
        config: &Config,
        statistics: Arc<Statistics>,
    ) -> Result<Self, StoreError> {
        let path = file.to_owned();
        let capacity = config.statements_per_connection;
        let readers = config.reader_threads.max(1);
        let (writer, connections) = tokio::task::spawn_blocking(move || {
            let writer = open_writer(&path, capacity)?;
            let connections = (0..readers)
                .map(|_| open_reader(&path, capacity))
                .collect::<Result<Vec<_>, _>>()?;
            Ok::<_, StoreError>((writer, connections))
        })
        .await
        .map_err(|error| StoreError::internal(error.to_string()))??;
        let writes = Arc::new(Queue::new(config.queue));
        let reads = Arc::new(Queue::new(config.queue));
        let threads = Arc::new(Threads {
            writes: Arc::clone(&writes),
            reads: Arc::clone(&reads),
            readers,
            statistics: Arc::clone(&statistics),
        });
        writer::start(writer, writes, config.group.max(1), statistics)?;
        for connection in connections {
            thread::start_reader(connection, Arc::clone(&reads))?;
        }
        Ok(Self {
            threads,
            file: file.into(),
            statement_timeout: config.statement_timeout,
        })
    }

    /// Runs a job on the writer, in a savepoint of a transaction that it may share with others. The
    /// answer comes after the commit. An error undoes what the job did.
    ///
    /// # Errors
    /// The job's, or those of the commit.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let _counted = thread::Counted::new(&self.threads.statistics);
        self.threads
            .writes
            .push(WriteJob::grouped(job, sender, self.statement_timeout))
            .map_err(|_| StoreError::unavailable("too many writes are waiting"))?;
        receiver
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the database is closed")))
    }

    /// Runs a job on the writer alone and outside any transaction: for changes of structure, which
    /// begin and commit themselves. No time limit.
    ///
    /// # Errors
    /// The job's.
    pub async fn exclusive<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let _counted = thread::Counted::new(&self.threads.statistics);
        self.threads
            .writes
            .push(WriteJob::exclusive(job, sender))
            .map_err(|_| StoreError::unavailable("too many writes are waiting"))?;
        receiver
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the database is closed")))
    }

    /// Runs a job on a reader. Dropping the future interrupts it.
    ///
    /// # Errors
    /// The job's; [`StoreError::Timeout`] when it takes longer than a statement may.
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let state = Arc::new(JobState::new(Instant::now() + self.statement_timeout));
        let _counted = thread::Counted::new(&self.threads.statistics);
        let abandonment = Abandonment::new(Arc::clone(&state), &self.threads.statistics);
        self.threads
            .reads
            .push(ReadJob::new(job, sender, state))
            .map_err(|_| StoreError::unavailable("too many reads are waiting"))?;
        let outcome = receiver
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("the database is closed")));
        abandonment.finished();
        outcome
    }

    /// A connection of its own that only looks; to be used on a thread that may wait.
    pub(crate) fn watching(&self) -> Result<Connection, StoreError> {
        open_reader(&self.file, 8).map(|(connection, _)| connection)
    }

    /// State of the threads.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let waiting = self.threads.reads.len() + self.threads.writes.len();
        PoolState {
            most: self.threads.readers,
            size: self.threads.readers,
            idle: self.threads.reads.idle(),
            waiting,
        }
    }

    pub(crate) fn close(&self) {
        self.threads.writes.close();
        self.threads.reads.close();
    }
}

/// How long a connection waits for another process's lock.
const BUSY_TIME: Duration = Duration::from_secs(5);
/// Virtual machine steps between two looks at the clock and at who gave up.
const STEPS_BETWEEN_CHECKS: i32 = 2000;

fn open_writer(file: &Path, capacity: usize) -> Result<(Connection, Arc<Control>), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(file, flags).map_err(|error| unusable(file, error))?;
    connection.busy_timeout(BUSY_TIME)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| unusable(file, error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(StoreError::Configuration {
            reason: format!(
                "{} is on a file system that cannot hold a database",
                file.display()
            ),
        });
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; \
         PRAGMA recursive_triggers = ON; PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864;",
    )?;
    prepare(connection, capacity)
}

fn open_reader(file: &Path, capacity: usize) -> Result<(Connection, Arc<Control>), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(file, flags).map_err(|error| unusable(file, error))?;
    connection.busy_timeout(BUSY_TIME)?;
    // The file is opened writable because a read-only connection may not make the WAL's index.
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -16000;",
    )?;
    prepare(connection, capacity)
}

fn prepare(
    mut connection: Connection,
    capacity: usize,
) -> Result<(Connection, Arc<Control>), StoreError> {
    connection.set_prepared_statement_cache_capacity(capacity);
    // A plan belongs to the shape of a request: it is not made anew for the values bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    functions::register(&connection)?;
    let control = Arc::new(Control::default());
    let watched = Arc::clone(&control);
    connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(move || watched.must_stop()))?;
    Ok((connection, control))
}

fn unusable(file: &Path, error: rusqlite::Error) -> StoreError {
    StoreError::Configuration {
        reason: format!(
            "the database file {} cannot be opened: {error}",
            file.display()
        ),
    }
}
