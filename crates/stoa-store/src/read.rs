//! Reads: shape → plan → rows → writer.

mod emit;
pub(crate) mod parameter;
pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;
use stoa_model::access::Permitted;
use stoa_model::model::Model;
use stoa_model::query::{Query, RowWriter};

use crate::error::StoreError;
use crate::sql::plan::{Plan, Planner};
use crate::sql::shape::{Positions, Purpose, Shape};
use crate::statistics::{Statistics, count};
use crate::store::{Backend, Dialect, Store};
use parameter::Arguments;

/// What a read found.
#[derive(Debug)]
pub struct ReadResult<W> {
    /// The writer, with the rows in it.
    pub writer: W,
    /// Rows given, of the query itself (not of its expands). For a single row, 0 means that there is none.
    pub rows: u64,
    /// Whether the row exists at which the path's last navigation starts. False means "not found" whatever
    /// `rows` says; always true when the path has no navigation.
    pub source_found: bool,
}

/// How many rows a query has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountResult {
    /// Rows, before paging.
    pub rows: u64,
    /// As in [`ReadResult::source_found`].
    pub source_found: bool,
}

/// Plans by shape, with a bound.
pub(crate) struct Plans {
    plans: Mutex<LruCache<Box<[u8]>, Arc<Plan>>>,
}

impl Plans {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            plans: Mutex::new(LruCache::new(
                NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN),
            )),
        }
    }

    /// The plan of a query, made if it is the first of its shape, and the query's values.
    fn plan(
        &self,
        dialect: Dialect,
        model: &Arc<Model>,
        query: &Query,
        purpose: Purpose,
        statistics: &Statistics,
    ) -> Result<(Arc<Plan>, Arguments), StoreError> {
        let mut shape = Shape::of(dialect, purpose, query);
        // The plan holds the model, so its address belongs to no other while the plan is here.
        shape
            .key
            .extend_from_slice(&(Arc::as_ptr(model) as usize).to_le_bytes());
        let arguments = Arguments::new(&shape.arguments)?;
        let known = self
            .plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(shape.key.as_slice())
            .cloned();
        if let Some(plan) = known {
            count(&statistics.plan_hits);
            return Ok((plan, arguments));
        }
        count(&statistics.plan_misses);
        let positions = Positions::of(&shape.arguments);
        let planner = Planner {
            model,
            dialect,
            positions: &positions,
        };
        let plan = Arc::new(planner.plan(query, purpose)?);
        self.plans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(shape.key.into_boxed_slice(), Arc::clone(&plan));
        Ok((plan, arguments))
    }
}

impl Store {
    /// The plan and values of a query that is read as part of a write.
    pub(crate) fn plan_read(
        &self,
        model: &Arc<Model>,
        query: &Query,
    ) -> Result<(Arc<Plan>, Arguments), StoreError> {
        self.plans().plan(
            self.dialect(),
            model,
            query,
            Purpose::Rows,
            self.statistics(),
        )
    }

    /// Reads what a query asks for into a writer. Dropping the future cancels the database's work.
    ///
    /// The rows, their number and each level of to-many expands are statements of their own; on
    /// PostgreSQL each sees what was committed when it began, on SQLite all see the same state.
    ///
    /// # Errors
    /// See [`StoreError`]; the writer is lost then.
    pub async fn read<W>(
        &self,
        model: &Arc<Model>,
        query: &Permitted<Query>,
        writer: W,
    ) -> Result<ReadResult<W>, StoreError>
    where
        W: RowWriter + Send + 'static,
    {
        let start = Instant::now();
        let outcome = self.read_rows(model, query, writer).await;
        self.statistics().reads.finished(start, &outcome);
        outcome
    }

    async fn read_rows<W>(
        &self,
        model: &Arc<Model>,
        query: &Query,
        writer: W,
    ) -> Result<ReadResult<W>, StoreError>
    where
        W: RowWriter + Send + 'static,
    {
        let (plan, arguments) = self.plans().plan(
            self.dialect(),
            model,
            query,
            Purpose::Rows,
            self.statistics(),
        )?;
        let limit = self.config().response_bytes;
        match self.backend() {
            Backend::Postgres(postgres) => {
                let timeout = self.config().statement_timeout;
                postgres::read(postgres, &plan, &arguments, limit, timeout, writer).await
            }
            Backend::Sqlite(database) => {
                database
                    .read(move |connection| {
                        sqlite::read(connection, &plan, &arguments, limit, writer)
                    })
                    .await
            }
        }
    }

    /// Counts the rows of a query: its source and filter matter, order and paging do not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn count(
        &self,
        model: &Arc<Model>,
        query: &Permitted<Query>,
    ) -> Result<CountResult, StoreError> {
        let start = Instant::now();
        let outcome = self.count_rows(model, query).await;
        self.statistics().reads.finished(start, &outcome);
        outcome
    }

    async fn count_rows(
        &self,
        model: &Arc<Model>,
        query: &Query,
    ) -> Result<CountResult, StoreError> {
        let (plan, arguments) = self.plans().plan(
            self.dialect(),
            model,
            query,
            Purpose::Count,
            self.statistics(),
        )?;
        match self.backend() {
            Backend::Postgres(postgres) => {
                postgres::count(postgres, &plan, &arguments, self.config().statement_timeout).await
            }
            Backend::Sqlite(database) => {
                database
                    .read(move |connection| sqlite::count(connection, &plan, &arguments))
                    .await
            }
        }
    }
}
