//! Settings of a store, with their defaults.

use std::time::Duration;

/// How a store uses its database.
#[derive(Clone, Debug)]
pub struct Config {
    /// PostgreSQL: most connections. Default: eight for each core, since a commit waits for the disk.
    pub connections: usize,
    /// PostgreSQL: most connections of all instances together, instead of `connections`. They are divided among
    /// the instances that live; each has at least three. Default: none.
    pub budget: Option<usize>,
    /// PostgreSQL: most connections that read at once; more would only make each other slower. Default:
    /// four for each core.
    pub reading_connections: usize,
    /// SQLite: threads that read. Default: one for each core.
    pub reader_threads: usize,
    /// Time to get a connection: waiting for a free one, and dialling. Default: 5 s.
    pub connect_timeout: Duration,
    /// Time of one read, and of one statement of a write. Default: 30 s.
    pub statement_timeout: Duration,
    /// Bytes of one answer; a read whose answer outgrows it is stopped. Default: 64 MiB.
    pub response_bytes: usize,
    /// Prepared statements kept for each connection. Default: 256.
    pub statements_per_connection: usize,
    /// Shapes of requests kept with their SQL. Default: 1024.
    pub plans: usize,
    /// Work that may wait for a thread of SQLite before more is refused. Default: 1024.
    pub queue: usize,
    /// SQLite: most writes that share one commit. Default: 128.
    pub group: usize,
    /// Name shown in PostgreSQL's `pg_stat_activity`, behind `stoa/` and the id of the process. Default: `stoa`.
    pub application_name: String,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            connections: cores * 8,
            budget: None,
            reading_connections: cores * 4,
            reader_threads: cores,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            response_bytes: 64 * 1024 * 1024,
            statements_per_connection: 256,
            plans: 1024,
            queue: 1024,
            group: 128,
            application_name: "stoa".to_owned(),
        }
    }
}
