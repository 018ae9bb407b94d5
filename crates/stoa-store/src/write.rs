//! Writes: a change takes effect as a whole or not at all.
//!
//! [`engine`] and [`links`] turn operations into statements; one of two connections runs them; if the database refuses,
//! [`diagnosis`] finds out everything that stands in the way. [`judge`] asks whether the user may, [`audit`]
//! records who did, with what [`consequence`] finds that a delete does beside.

mod audit;
mod consequence;
mod diagnosis;
mod engine;
mod insert;
mod judge;
mod links;
mod load;
mod once;
mod postgres;
mod source;
mod sqlite;
mod statement;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use stoa_model::access::{JudgedChange, Permitted};
use stoa_model::change::Applied;
use stoa_model::model::Model;
use stoa_model::query::{Query, RowWriter};

use crate::error::{ArithmeticFault, StoreError};
use crate::postgres::{Postgres, PostgresConnection};
use crate::read::parameter::Arguments;
use crate::sql::demand::Texts;
use crate::sql::plan::Plan;
use crate::store::{Backend, Dialect, Store};
use engine::Engine;
use statement::{Failure, Statement};

pub use load::{Column, Load, LoadProgress, LoadTarget};
pub use once::RequestIdentity;

use once::Once;

/// Time beyond that of statements for an answer that does not come at all.
const SILENCE: Duration = Duration::from_secs(5);

/// A change on its way into PostgreSQL.
#[derive(Clone, Copy)]
struct Work<'a> {
    model: &'a Arc<Model>,
    postgres: &'a Postgres,
    connection: &'a PostgresConnection,
    judged: &'a JudgedChange,
    once: Option<Once<'a>>,
}

/// What is read in a write.
type Reading = (Arc<Plan>, Arguments);
/// What was written, and what was read then.
type Written<W> = (Vec<Applied>, Option<W>);

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
        self.write_once(model, &Arc::new(change), reread, None)
            .await
    }

    /// As [`Store::write`], for a request with an identity: it takes effect once, however often and wherever it
    /// arrives, also at the same time.
    ///
    /// # Errors
    /// Those of [`Store::write`]; [`StoreError::Repeated`]: it has taken effect before, and this is what came of
    /// it; [`StoreError::IdentityReused`].
    pub async fn write_once<W>(
        &self,
        model: &Arc<Model>,
        change: &Arc<Permitted<JudgedChange>>,
        reread: Option<(Permitted<Query>, W)>,
        identity: Option<RequestIdentity>,
    ) -> Result<(Vec<Applied>, Option<W>), StoreError>
    where
        W: RowWriter + Send + 'static,
    {
        let start = Instant::now();
        let outcome = match self.backend() {
            Backend::Postgres(postgres) => {
                // Each statement has its own limit; this one is for a server that is silent.
                let limit = self.config().statement_timeout * 2 + SILENCE;
                // Boxed: requests that only read are spared the room.
                let writing = self.write_postgres(postgres, model, change, reread, identity);
                match tokio::time::timeout(limit, Box::pin(writing)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(StoreError::unavailable("the server does not answer")),
                }
            }
            Backend::Sqlite(sqlite) => {
                let reading = match reread {
                    None => None,
                    Some((query, writer)) => {
                        Some((self.plan_reread(model, change, &query)?, writer))
                    }
                };
                let change = Arc::clone(change);
                let model = Arc::clone(model);
                let texts = Arc::clone(self.texts());
                let limit = self.config().response_bytes;
                sqlite
                    .write(move |connection| {
                        let applied = write_sqlite(&model, &texts, connection, &change, identity)?;
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

    /// Forgets what came of requests before an instant (microseconds since the Unix epoch): at most so many.
    /// Gives their number.
    ///
    /// # Errors
    /// As a write.
    pub async fn forget_requests(
        &self,
        model: &Model,
        before: i64,
        most: u32,
    ) -> Result<u64, StoreError> {
        let statement = once::forget(model, self.dialect(), before, most)?;
        let deleted = match self.backend() {
            Backend::Postgres(postgres) => {
                let connection = postgres.connection().await?;
                let mut session = postgres::Session::new(&connection);
                let rows = statement::Connection::query(&mut session, statement)
                    .await
                    .map_err(unexpected)?;
                session.commit().await?;
                connection.release();
                rows.len()
            }
            Backend::Sqlite(sqlite) => {
                sqlite
                    .write(move |connection| {
                        let rows = sqlite::Session::new(connection).run(&statement);
                        Ok(rows.map_err(unexpected)?.len())
                    })
                    .await?
            }
        };
        Ok(deleted as u64)
    }

    /// The plan and values of a query that is read when a change has been judged, in its transaction.
    ///
    /// On PostgreSQL what the row refers to may be changed by others meanwhile; the row itself may not.
    fn plan_reread(
        &self,
        model: &Arc<Model>,
        change: &JudgedChange,
        query: &Query,
    ) -> Result<Reading, StoreError> {
        let is_same_state = self.dialect() == Dialect::Sqlite || query.selection.expands.is_empty();
        let unjudged = is_same_state
            .then(|| change.without_judged(model, query))
            .flatten();
        self.plan_read(model, unjudged.as_ref().unwrap_or(query))
    }

    async fn write_postgres<W: RowWriter>(
        &self,
        postgres: &Postgres,
        model: &Arc<Model>,
        judged: &JudgedChange,
        reread: Option<(Permitted<Query>, W)>,
        identity: Option<RequestIdentity>,
    ) -> Result<(Vec<Applied>, Option<W>), StoreError> {
        let once = once(model, Dialect::Postgres, identity)?;
        let mut reading = match reread {
            None => None,
            Some((query, writer)) => Some((self.plan_reread(model, judged, &query)?, writer)),
        };
        let mut connection = postgres.connection().await?;
        if connection.is_closed() {
            // Broken while it was idle; nothing has been sent.
            connection = postgres.connection().await?;
        }
        // With a session at hand: if the lease ends between here and the commit, the session ends with it.
        if !self.members().may_write() {
            return Err(StoreError::unavailable(
                "this instance could not renew its lease",
            ));
        }
        let mut session = postgres::Session::new(&connection);
        let work = Work {
            model,
            postgres,
            connection: &connection,
            judged,
            once,
        };
        let mut outcome = self.write_quickly(work, &mut session, &mut reading).await;
        if let Ok(None) = outcome {
            session.roll_back().await?;
            outcome = self
                .write_steps(work, &mut session, reading)
                .await
                .map(Some);
        }
        match outcome {
            Ok(Some(outcome)) => {
                session.commit().await?;
                connection.release();
                Ok(outcome)
            }
            Ok(None) => Err(StoreError::internal("nothing was written")),
            Err(Failure::Error(error)) => Err(give_back(connection, error).await),
            Err(failure @ Failure::Refused(_)) => {
                session.roll_back().await?;
                session.open_with(None);
                if let Some(once) = once
                    && once.is_there(&failure)
                {
                    let error = earlier(once, &mut session).await;
                    return Err(give_back(connection, error).await);
                }
                let error = match diagnosis::diagnose(model, &mut session, judged).await {
                    Ok(violations) => refusal(violations),
                    Err(error) => error,
                };
                Err(give_back(connection, error).await)
            }
        }
    }

    /// A change that only inserts rows whose keys are known, sent as a whole; none if it is another one, or
    /// may not be: then it is for [`Self::write_steps`] to say why not. The reading is taken when it is used.
    async fn write_quickly<W: RowWriter>(
        &self,
        work: Work<'_>,
        session: &mut postgres::Session<'_>,
        reading: &mut Option<(Reading, W)>,
    ) -> Result<Option<Written<W>>, Failure> {
        let Work {
            model,
            postgres,
            connection,
            judged,
            once,
        } = work;
        let limit = self.config().response_bytes;
        let mut engine = Engine::new(model, session, judged).with_texts(self.texts(), model);
        // One new row that comes back as it is takes one statement, which is its own transaction.
        let returning = reading
            .as_ref()
            .map(|((plan, arguments), _)| (plan.returning.as_ref(), arguments));
        let first = once
            .map(|once| once.row(once.expected(&judged.change).as_ref()))
            .transpose()?;
        let single = match returning {
            Some((None, _)) => None,
            Some((Some(returning), arguments)) => {
                let reading = Some((returning, arguments));
                engine
                    .statement_returning(&judged.change, reading, first.as_ref())
                    .await?
            }
            None => {
                engine
                    .statement_returning(&judged.change, None, first.as_ref())
                    .await?
            }
        };
        if let Some(statement) = single {
            let applied = engine.finish();
            let Some(rows) = unless_stopped(session.alone(statement).await)? else {
                return Ok(None);
            };
            let Some(((plan, arguments), writer)) = reading.take() else {
                return Ok(Some((applied, None)));
            };
            let found =
                crate::read::postgres::write_returned(rows, &plan, &arguments, limit, writer)?;
            return Ok(Some((applied, Some(found.writer))));
        }
        let Some(statements) = engine.statements_at_once(&judged.change).await? else {
            return Ok(None);
        };
        let applied = engine.finish();
        session.open_with(opening(once, once.and_then(|once| once.of(&applied)))?);
        // What may have to be stopped goes out in one piece.
        if !judged.judgements.is_empty() && statements.len() > postgres::SENT_AT_ONCE {
            return Ok(None);
        }
        let commit = reading
            .as_ref()
            .is_none_or(|((plan, _), _)| plan.is_one_statement());
        let find = reading.as_ref().map(|((plan, arguments), _)| {
            crate::read::postgres::find_in(postgres, connection, plan, arguments, limit)
        });
        let Some(found) = unless_stopped(session.at_once(statements, find, commit).await)? else {
            return Ok(None);
        };
        match (found, reading.take()) {
            (Some(found), Some(((plan, arguments), writer))) => {
                let read =
                    crate::read::postgres::write_found(&found, &plan, &arguments, limit, writer)?;
                Ok(Some((applied, Some(read.writer))))
            }
            _ => Ok(Some((applied, None))),
        }
    }

    /// A change of any kind, in a transaction that may stay open.
    async fn write_steps<W: RowWriter>(
        &self,
        work: Work<'_>,
        session: &mut postgres::Session<'_>,
        reading: Option<(Reading, W)>,
    ) -> Result<Written<W>, Failure> {
        let Work {
            model,
            postgres,
            connection,
            judged,
            once,
        } = work;
        let limit = self.config().response_bytes;
        let expected = once.and_then(|once| once.expected(&judged.change));
        session.open_with(opening(once, expected.as_ref())?);
        let mut engine = Engine::new(model, session, judged).with_texts(self.texts(), model);
        engine.apply(&judged.change).await?;
        if let Some(mut stops) = engine.stops_if_few()? {
            stops.extend(completion(once, expected.as_ref(), &engine.applied)?);
            // What must be true now is judged on the way to what comes next: it fails if it is not.
            let applied = engine.finish();
            let find = reading.as_ref().map(|((plan, arguments), _)| {
                crate::read::postgres::find_in(postgres, connection, plan, arguments, limit)
            });
            let outcome = session.at_once(stops, find, reading.is_none()).await;
            if let Some(found) = unless_stopped(outcome)? {
                return match (found, reading) {
                    (Some(found), Some(((plan, arguments), writer))) => {
                        let read = crate::read::postgres::write_found(
                            &found, &plan, &arguments, limit, writer,
                        )?;
                        Ok((applied, Some(read.writer)))
                    }
                    _ => Ok((applied, None)),
                };
            }
            // Once more, to say what is not allowed.
            session.roll_back().await?;
            engine = Engine::new(model, session, judged).with_texts(self.texts(), model);
            engine.apply(&judged.change).await?;
        }
        engine.judge_after().await?;
        if let Some(completion) = completion(once, expected.as_ref(), &engine.applied)? {
            statement::Connection::query(engine.connection, completion).await?;
        }
        let applied = engine.finish();
        let Some(((plan, arguments), writer)) = reading else {
            return Ok((applied, None));
        };
        let found =
            crate::read::postgres::read_in(postgres, connection, &plan, &arguments, limit, writer)
                .await?;
        Ok((applied, Some(found.writer)))
    }
}

fn once(
    model: &Model,
    dialect: Dialect,
    identity: Option<RequestIdentity>,
) -> Result<Option<Once<'_>>, StoreError> {
    identity
        .map(|identity| Once::new(model, dialect, identity))
        .transpose()
}

fn opening(
    once: Option<Once<'_>>,
    expected: Option<&Applied>,
) -> Result<Option<Statement>, StoreError> {
    once.map(|once| once.begin(expected)).transpose()
}

fn completion(
    once: Option<Once<'_>>,
    expected: Option<&Applied>,
    applied: &[Option<Applied>],
) -> Result<Option<Statement>, StoreError> {
    match once {
        Some(once) => once.complete(expected, applied),
        None => Ok(None),
    }
}

/// What came of a request that has been made before.
async fn earlier(once: Once<'_>, session: &mut impl statement::Connection) -> StoreError {
    let statement = match once.find() {
        Ok(statement) => statement,
        Err(error) => return error,
    };
    match session.query(statement).await {
        Ok(rows) => once.repeated(&rows),
        Err(Failure::Error(error)) => error,
        Err(Failure::Refused(_)) => StoreError::internal("a read was refused"),
    }
}

/// None if the statements stopped themselves, or computed what cannot be: both are found out step by step.
fn unless_stopped<T>(outcome: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(Failure::Error(StoreError::Arithmetic(ArithmeticFault::DivisionByZero))) => Ok(None),
        Err(failure) => Err(failure),
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

/// A rule of the data was broken where there is none.
fn unexpected(failure: Failure) -> StoreError {
    match failure {
        Failure::Error(error) => error,
        Failure::Refused(_) => StoreError::internal("a statement of our own was refused"),
    }
}

/// On the writer's thread: futures over SQLite never wait.
fn write_sqlite(
    model: &Arc<Model>,
    texts: &Texts,
    connection: &rusqlite::Connection,
    judged: &JudgedChange,
    identity: Option<RequestIdentity>,
) -> Result<Vec<Applied>, StoreError> {
    let mut session = sqlite::Session::new(connection);
    let once = once(model, Dialect::Sqlite, identity)?;
    let expected = once.and_then(|once| once.expected(&judged.change));
    let work = async {
        if let Some(opening) = opening(once, expected.as_ref())? {
            match (session.run(&opening), once) {
                (Ok(_), _) => {}
                (Err(failure), Some(once)) if once.is_there(&failure) => {
                    return Err(earlier(once, &mut session).await);
                }
                (Err(failure), _) => return Err(unexpected(failure)),
            }
        }
        // The diagnosis starts from where the change did.
        statement::Connection::mark(&mut session)
            .await
            .map_err(unexpected)?;
        let mut engine = Engine::new(model, &mut session, judged).with_texts(texts, model);
        match engine.run(&judged.change).await {
            Ok(()) => {
                if let Some(completion) = completion(once, expected.as_ref(), &engine.applied)? {
                    engine.connection.run(&completion).map_err(unexpected)?;
                }
                Ok(engine.finish())
            }
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Refused(_)) => {
                statement::Connection::back(&mut session)
                    .await
                    .map_err(|_| StoreError::internal("a savepoint was lost"))?;
                Err(refusal(
                    diagnosis::diagnose(model, &mut session, judged).await?,
                ))
            }
        }
    };
    work.now_or_never()
        .unwrap_or_else(|| Err(StoreError::internal("a write on SQLite waited")))
}
