//! The store: one database, whatever kind it is.

use std::sync::Arc;

use uuid::Uuid;

use crate::config::Config;
use crate::coordination::Members;
use crate::database_url::DatabaseUrl;
use crate::error::StoreError;
use crate::postgres::Postgres;
use crate::read::Plans;
use crate::sql::demand::Texts;
use crate::sqlite::Sqlite;
use crate::statistics::{PoolState, Statistics};

/// A database. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Backend,
    plans: Plans,
    texts: Arc<Texts>,
    config: Config,
    statistics: Arc<Statistics>,
    members: Members,
    process: Uuid,
}

/// What kind of database it is.
#[derive(Clone)]
pub(crate) enum Backend {
    /// A server.
    Postgres(Postgres),
    /// A file.
    Sqlite(Sqlite),
}

/// Kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl Store {
    /// Opens a database and checks that it can be used.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] for what only the operator can put right,
    /// [`StoreError::Unavailable`] when the server cannot be reached.
    pub async fn open(url: &DatabaseUrl, config: Config) -> Result<Self, StoreError> {
        let statistics = Arc::new(Statistics::default());
        let process = Uuid::new_v4();
        let backend = match url {
            DatabaseUrl::Sqlite(file) => {
                Backend::Sqlite(Sqlite::open(file, &config, Arc::clone(&statistics)).await?)
            }
            DatabaseUrl::Postgres(url) => Backend::Postgres(
                Postgres::open(url, &config, process, Arc::clone(&statistics)).await?,
            ),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                backend,
                plans: Plans::new(config.plans),
                texts: Arc::new(Texts::new(config.plans)),
                config,
                statistics,
                members: Members::default(),
                process,
            }),
        })
    }

    /// Kind of the database.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self.shared.backend {
            Backend::Postgres(_) => Dialect::Postgres,
            Backend::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// The connections, if it is PostgreSQL.
    #[must_use]
    pub fn postgres(&self) -> Option<&Postgres> {
        match &self.shared.backend {
            Backend::Postgres(postgres) => Some(postgres),
            Backend::Sqlite(_) => None,
        }
    }

    /// The threads, if it is SQLite.
    #[must_use]
    pub fn sqlite(&self) -> Option<&Sqlite> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => Some(sqlite),
            Backend::Postgres(_) => None,
        }
    }

    /// Whether the database answers: for readiness checks.
    ///
    /// # Errors
    /// Says why not.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.shared.backend {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await?;
                connection.batch_execute("SELECT 1").await?;
                connection.release();
                Ok(())
            }
            Backend::Sqlite(sqlite) => {
                sqlite
                    .read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
                    .await
            }
        }
    }

    /// Counters since the start.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.shared.statistics
    }

    /// State of the connections or threads.
    #[must_use]
    pub fn pool_state(&self) -> PoolState {
        match &self.shared.backend {
            Backend::Postgres(postgres) => postgres.state(),
            Backend::Sqlite(sqlite) => sqlite.state(),
        }
    }

    /// Settings that the store was opened with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Refuses new work; what has begun is finished.
    pub fn close(&self) {
        match &self.shared.backend {
            Backend::Postgres(postgres) => postgres.close(),
            Backend::Sqlite(sqlite) => sqlite.close(),
        }
    }

    /// What tells the database sessions of this store from those of others.
    pub(crate) fn process(&self) -> Uuid {
        self.shared.process
    }

    pub(crate) fn members(&self) -> &Members {
        &self.shared.members
    }

    /// Texts of judgements.
    pub(crate) fn texts(&self) -> &Arc<Texts> {
        &self.shared.texts
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.shared.plans
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.shared.backend
    }
}
