//! Writes: a change takes effect as a whole or not at all.
//!
//! [`engine`] and [`links`] turn operations into statements; one of two connections runs them; if the database refuses,
//! [`diagnosis`] finds out everything that stands in the way.

mod diagnosis;
mod engine;
mod links;
mod load;
mod postgres;
mod source;
mod sqlite;
mod statement;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use stoa_model::access::{JudgedChange, Permitted};
use stoa_model::change::{Applied, Change};
use stoa_model::model::Model;
use stoa_model::query::{Query, RowWriter};

use crate::error::StoreError;
use crate::postgres::{Postgres, PostgresConnection};
use crate::read::parameter::Arguments;
use crate::sql::plan::Plan;
use crate::store::{Backend, Store};
use engine::Engine;
use statement::Failure;

pub use load::{Column, Load, LoadProgress, LoadTarget};

/// Time beyond that of statements for an answer that does not come at all.
const SILENCE: Duration = Duration::from_secs(5);

impl Store {
    /// Applies a change in one transaction, and reads a query in the same transaction before it ends.
    ///
    /// When it returns, what was written is on disk.
    ///
    /// # Errors
    /// [`StoreError::Violations`], [`StoreError::NotFound`], [`StoreError::VersionMismatch`],
    /// [`StoreError::Denied`]: nothing was written. [`StoreError::Unavailable`]: nothing was written, unless the connection was lost while
    /// the transaction was being committed, when nobody can know.
    pub async fn write<W>(
        &self,
        model: &Arc<Model>,
        change: Permitted<JudgedChange>,
        reread: Option<(Permitted<Query>, W)>,
    ) -> Result<(Vec<Applied>, Option<W>), StoreError>
    where
        W: RowWriter + Send + 'static,
    {
        let start = Instant::now();
        let change = change.into_inner().change;
        let outcome = match self.backend() {
            Backend::Postgres(postgres) => {
                // Each statement has its own limit; this one is for a server that is silent.
                let limit = self.config().statement_timeout * 2 + SILENCE;
                match tokio::time::timeout(
                    limit,
                    self.write_postgres(postgres, model, change, reread),
                )
                .await
                {
                    Ok(outcome) => outcome,
                    Err(_) => Err(StoreError::unavailable("the server does not answer")),
                }
            }
            Backend::Sqlite(sqlite) => {
                let reading = match reread {
                    None => None,
                    Some((query, writer)) => Some((self.plan_read(model, &query)?, writer)),
                };
                let model = Arc::clone(model);
                let limit = self.config().response_bytes;
                sqlite
                    .write(move |connection| {
                        let applied = write_sqlite(&model, connection, &change)?;
                        let writer = match reading {
                            None => None,
                            Some(((plan, arguments), writer)) => Some(
                                crate::read::sqlite::read(
                                    connection, &plan, &arguments, limit, writer,
                                )?
                                .writer,
                            ),
                        };
                        Ok((applied, writer))
                    })
                    .await
            }
        };
        self.statistics().writes.finished(start, &outcome);
        outcome
    }

    async fn write_postgres<W: RowWriter>(
        &self,
        postgres: &Postgres,
        model: &Arc<Model>,
        change: Change,
        reread: Option<(Permitted<Query>, W)>,
    ) -> Result<(Vec<Applied>, Option<W>), StoreError> {
        let reading = match reread {
            None => None,
            Some((query, writer)) => Some((self.plan_read(model, &query)?, writer)),
        };
        let mut connection = postgres.connection().await?;
        if connection.is_closed() {
            // Broken while it was idle; nothing has been sent.
            connection = postgres.connection().await?;
        }
        let mut session = postgres::Session::new(&connection);
        let mut engine = Engine::new(model, &mut session);
        let limit = self.config().response_bytes;
        // One new row that comes back as it is takes one statement, which is its own transaction.
        let single = match reading
            .as_ref()
            .and_then(|((plan, _), _)| plan.returning.as_ref())
            .filter(|returning| returning.bindings.is_empty() && returning.found.is_none())
            .map(|returning| returning.columns.as_str())
        {
            Some(columns) => engine.statement_returning(&change, columns).await,
            None => Ok(None),
        };
        let outcome = match single {
            Err(failure) => Err(failure),
            Ok(Some(statement)) => {
                let applied = engine.finish();
                match (session.alone(statement).await, reading) {
                    (Ok(rows), Some(((plan, arguments), writer))) => {
                        crate::read::postgres::write_returned(
                            rows, &plan, &arguments, limit, writer,
                        )
                        .map(|found| (applied, Some(found.writer)))
                        .map_err(Failure::Error)
                    }
                    (Ok(_), None) => Ok((applied, None)),
                    (Err(failure), _) => Err(failure),
                }
            }
            Ok(None) => {
                self.write_steps(model, postgres, &connection, &mut session, &change, reading)
                    .await
            }
        };
        match outcome {
            Ok(outcome) => {
                session.commit().await?;
                connection.release();
                Ok(outcome)
            }
            Err(Failure::Error(error)) => Err(give_back(connection, error).await),
            Err(Failure::Refused(_)) => {
                session.roll_back().await?;
                let error = match diagnosis::diagnose(model, &mut session, &change).await {
                    Ok(violations) => refusal(violations),
                    Err(error) => error,
                };
                Err(give_back(connection, error).await)
            }
        }
    }

    /// A change of any kind, in a transaction that may stay open.
    async fn write_steps<W: RowWriter>(
        &self,
        model: &Arc<Model>,
        postgres: &Postgres,
        connection: &PostgresConnection,
        session: &mut postgres::Session<'_>,
        change: &Change,
        reading: Option<((Arc<Plan>, Arguments), W)>,
    ) -> Result<(Vec<Applied>, Option<W>), Failure> {
        let limit = self.config().response_bytes;
        let mut engine = Engine::new(model, session);
        match engine.statements_at_once(change).await {
            Err(failure) => Err(failure),
            Ok(Some(statements)) => {
                let applied = engine.finish();
                let commit = reading
                    .as_ref()
                    .is_none_or(|((plan, _), _)| plan.is_one_statement());
                let read = reading.map(|((plan, arguments), writer)| async move {
                    crate::read::postgres::read_in(
                        postgres, connection, &plan, &arguments, limit, writer,
                    )
                    .await
                });
                let found = session.at_once(statements, read, commit).await;
                found.map(|found| (applied, found.map(|found| found.writer)))
            }
            Ok(None) => match engine.run(change).await {
                Err(failure) => Err(failure),
                Ok(()) => {
                    let applied = engine.finish();
                    let found = match reading {
                        None => Ok(None),
                        Some(((plan, arguments), writer)) => crate::read::postgres::read_in(
                            postgres, connection, &plan, &arguments, limit, writer,
                        )
                        .await
                        .map(Some),
                    };
                    found
                        .map(|found| (applied, found.map(|found| found.writer)))
                        .map_err(Failure::Error)
                }
            },
        }
    }
}

/// Ends the transaction and gives the connection back, if it is still good.
async fn give_back(connection: PostgresConnection, error: StoreError) -> StoreError {
    if connection.batch_execute("ROLLBACK").await.is_ok() {
        connection.release();
    }
    error
}

/// What stands in the way; if nothing does any more, somebody else was.
fn refusal(violations: Vec<stoa_model::change::Violation>) -> StoreError {
    if violations.is_empty() {
        StoreError::Busy { source: None }
    } else {
        StoreError::Violations(violations)
    }
}

/// On the writer's thread: futures over SQLite never wait.
fn write_sqlite(
    model: &Model,
    connection: &rusqlite::Connection,
    change: &Change,
) -> Result<Vec<Applied>, StoreError> {
    let mut session = sqlite::Session::new(connection);
    let work = async {
        // The diagnosis starts from where the change did.
        statement::Connection::mark(&mut session)
            .await
            .map_err(|failure| match failure {
                Failure::Error(error) => error,
                Failure::Refused(_) => StoreError::internal("a savepoint was refused"),
            })?;
        let mut engine = Engine::new(model, &mut session);
        match engine.run(change).await {
            Ok(()) => Ok(engine.finish()),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Refused(_)) => {
                statement::Connection::back(&mut session)
                    .await
                    .map_err(|_| StoreError::internal("a savepoint was lost"))?;
                Err(refusal(
                    diagnosis::diagnose(model, &mut session, change).await?,
                ))
            }
        }
    };
    work.now_or_never()
        .unwrap_or_else(|| Err(StoreError::internal("a write on SQLite waited")))
}
