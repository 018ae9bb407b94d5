//! Connections to PostgreSQL.
//!
//! A connection goes back to the pool clean or not at all: [`PostgresConnection::release`] says that
//! it is idle; one dropped without that has its query cancelled in the background, and is closed.

mod tls;

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, TimeoutType,
};
use lru::LruCache;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use crate::config::Config;
use crate::database_url::PostgresUrl;
use crate::error::StoreError;
use crate::statistics::{PoolState, Statistics, count};

/// A pool of connections to one database.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool<Sessions>,
    reading: Arc<Reading>,
    connect_timeout: Duration,
    statistics: Arc<Statistics>,
}

/// Makes connections.
struct Sessions {
    config: tokio_postgres::Config,
    connector: MakeRustlsConnect,
    setup: String,
    statements: NonZeroUsize,
    statistics: Arc<Statistics>,
}

/// One connection and what it has prepared.
struct Session {
    client: Client,
    task: JoinHandle<()>,
    statements: Mutex<LruCache<u64, Prepared>>,
    connector: MakeRustlsConnect,
    statistics: Arc<Statistics>,
}

struct Prepared {
    text: Arc<StatementText>,
    statement: Statement,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// SQL and the types of its parameters: what a prepared statement is known by.
#[derive(Debug, PartialEq, Eq)]
pub struct StatementText {
    /// SQL.
    pub sql: String,
    /// Types of `$1`, `$2`, ….
    pub types: Vec<Type>,
    hash: u64,
}

impl StatementText {
    /// Names a statement.
    #[must_use]
    pub fn new(sql: String, types: Vec<Type>) -> Arc<Self> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        sql.hash(&mut hasher);
        for kind in &types {
            kind.oid().hash(&mut hasher);
        }
        Arc::new(Self {
            sql,
            types,
            hash: hasher.finish(),
        })
    }
}

impl Manager for Sessions {
    type Type = Session;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Session, tokio_postgres::Error> {
        // Boxed: it is rare, and would make every future that asks the pool as large.
        let (client, connection) = Box::pin(self.config.connect(self.connector.clone())).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a database connection broke"
                );
            }
        });
        let session = Session {
            client,
            task,
            statements: Mutex::new(LruCache::new(self.statements)),
            connector: self.connector.clone(),
            statistics: Arc::clone(&self.statistics),
        };
        session.client.batch_execute(&self.setup).await?;
        count(&self.statistics.connections_made);
        Ok(session)
    }

    async fn recycle(
        &self,
        session: &mut Session,
        _: &Metrics,
    ) -> RecycleResult<tokio_postgres::Error> {
        if session.client.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        Ok(())
    }
}

impl Postgres {
    /// Opens a pool and its first connection.
    pub(crate) async fn open(
        url: &PostgresUrl,
        config: &Config,
        process: Uuid,
        statistics: Arc<Statistics>,
    ) -> Result<Self, StoreError> {
        let mut driver = url.config.clone();
        let given = driver.get_application_name();
        let name = session_name(process, given.unwrap_or(&config.application_name));
        driver.application_name(&name);
        notice_loss(&mut driver, config.connect_timeout);
        let sessions = Sessions {
            connector: tls::connector(url)?,
            setup: setup(config),
            config: driver,
            statements: NonZeroUsize::new(config.statements_per_connection)
                .unwrap_or(NonZeroUsize::MIN),
            statistics: Arc::clone(&statistics),
        };
        // Of a budget, an instance has the least until it is told its share.
        let limit = match config.budget {
            Some(_) => LEAST_SHARE - LISTENING,
            None => config.connections.max(1),
        };
        let reading = Reading::new(
            config.reading_connections.max(1),
            config.budget.map(|_| limit),
        );
        let pool = Pool::builder(sessions)
            .max_size(limit)
            .wait_timeout(Some(config.connect_timeout))
            .create_timeout(Some(config.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::internal(error.to_string()))?;
        let postgres = Self {
            pool,
            reading: Arc::new(reading),
            connect_timeout: config.connect_timeout,
            statistics,
        };
        let connection = postgres.connection().await?;
        if connection.prepared_versions_are_too_old().await? {
            return Err(StoreError::Configuration {
                reason: "PostgreSQL 14 or newer is needed".to_owned(),
            });
        }
        connection.release();
        Ok(postgres)
    }

    /// Takes one of the places for reading, to be held as long as a connection is used for it.
    pub(crate) async fn reading(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        // The semaphore is never closed: only time can run out.
        match tokio::time::timeout(self.connect_timeout, self.reading.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(StoreError::unavailable("all connections are in use")),
        }
    }

    /// Takes a connection from the pool.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the server cannot be reached or all connections stay in use.
    pub async fn connection(&self) -> Result<PostgresConnection, StoreError> {
        match self.pool.get().await {
            Ok(session) => Ok(PostgresConnection {
                session: Some(session),
            }),
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Err(StoreError::unavailable("all connections are in use"))
            }
            Err(PoolError::Timeout(_)) => {
                Err(StoreError::unavailable("the server does not answer"))
            }
            Err(PoolError::Backend(error)) => Err(match StoreError::from(error) {
                // Whatever kept us from connecting may pass: a wrong password can be put right, too.
                StoreError::Internal(cause) => StoreError::Unavailable {
                    reason: "the server cannot be reached".to_owned(),
                    source: Some(cause),
                },
                other => other,
            }),
            Err(error) => Err(StoreError::Internal(error.to_string().into())),
        }
    }

    /// Connections that this process has, or takes for itself, with the one that it listens on.
    pub(crate) fn used(&self) -> usize {
        let status = self.pool.status();
        status.size.max(status.max_size) + LISTENING
    }

    /// From now on this process has at most so many connections, with the one that it listens on. What is in use
    /// beyond that is closed when it is given back.
    pub(crate) fn set_share(&self, share: usize) {
        let limit = share.max(LEAST_SHARE) - LISTENING;
        if self.pool.status().max_size != limit {
            self.pool.resize(limit);
            self.reading.resize(limit);
        }
    }

    /// How connections are made: for one outside the pool.
    pub(crate) fn driver(&self) -> (&tokio_postgres::Config, MakeRustlsConnect) {
        let sessions = self.pool.manager();
        (&sessions.config, sessions.connector.clone())
    }

    /// State of the pool.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let status = self.pool.status();
        PoolState {
            most: status.max_size,
            size: status.size,
            idle: status.available,
            waiting: status.waiting,
        }
    }

    /// Closes the pool: nobody gets a connection any more, idle ones are closed.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}

/// Least connections that an instance needs: one to write, one to read, one to listen on.
pub(crate) const LEAST_SHARE: usize = 3;
/// Connections to listen on.
const LISTENING: usize = 1;
/// Longest name of a session, in bytes.
const SESSION_NAME: usize = 63;

/// What the sessions of a process are called.
fn session_name(process: Uuid, name: &str) -> String {
    let mut whole = format!("stoa/{process} {name}");
    let mut end = whole.len().min(SESSION_NAME);
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    whole.truncate(end);
    whole
}

/// Places for reading: fewer than there are connections, so that writes get some too.
struct Reading {
    most: usize,
    places: Arc<Semaphore>,
    now: Mutex<usize>,
}

impl Reading {
    fn new(most: usize, connections: Option<usize>) -> Self {
        let now = connections.map_or(most, |connections| Self::of(most, connections));
        Self {
            most,
            places: Arc::new(Semaphore::new(now)),
            now: Mutex::new(now),
        }
    }

    fn of(most: usize, connections: usize) -> usize {
        most.min(connections.div_ceil(2)).max(1)
    }

    fn resize(&self, connections: usize) {
        let wanted = Self::of(self.most, connections);
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted > *now {
            self.places.add_permits(wanted - *now);
        } else if let Ok(fewer @ 1..) = u32::try_from(*now - wanted) {
            let places = Arc::clone(&self.places);
            // Those in use go when they are given back.
            tokio::spawn(async move {
                if let Ok(taken) = places.acquire_many_owned(fewer).await {
                    taken.forget();
                }
            });
        }
        *now = wanted;
    }
}

fn setup(config: &Config) -> String {
    let timeout = config.statement_timeout.as_millis();
    format!(
        "SET timezone = 'UTC'; SET statement_timeout = {timeout}; SET lock_timeout = {timeout}; \
         SET idle_in_transaction_session_timeout = '60s'; SET extra_float_digits = 1; \
         SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; SET jit = off; \
         SET datestyle = 'ISO'; SET bytea_output = 'hex'"
    )
}

/// Silence after which a server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(2);
/// Between the questions that follow.
const AGAIN: Duration = Duration::from_secs(1);
/// Questions without an answer.
const QUESTIONS: u32 = 3;
/// Longest time that a server may leave unconfirmed what was sent.
const UNCONFIRMED: Duration = Duration::from_secs(4);

/// A server that loses its power or its network says nothing: its connections must end soon all the same, so that
/// those to its successor take their place. What the address says goes before. Of several servers the one that takes
/// writes is meant, and each may take only a part of the time.
fn notice_loss(driver: &mut tokio_postgres::Config, connect_timeout: Duration) {
    let servers = u32::try_from(driver.get_hosts().len()).unwrap_or(u32::MAX);
    if driver.get_connect_timeout().is_none() {
        driver.connect_timeout(connect_timeout / servers.max(1));
    }
    if servers > 1 && driver.get_target_session_attrs() == TargetSessionAttrs::Any {
        driver.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if driver.get_tcp_user_timeout().is_none() {
        driver.tcp_user_timeout(UNCONFIRMED);
    }
    if driver.get_keepalives_interval().is_none() && driver.get_keepalives_retries().is_none() {
        driver
            .keepalives_idle(SILENCE)
            .keepalives_interval(AGAIN)
            .keepalives_retries(QUESTIONS);
    }
}

/// A connection of its own, outside any pool: for changes of structure. It ends with the client.
///
/// # Errors
/// [`StoreError::Unavailable`] when the server cannot be reached or refuses.
pub async fn connect(url: &PostgresUrl) -> Result<Client, StoreError> {
    let mut driver = url.config.clone();
    let defaults = Config::default();
    if driver.get_application_name().is_none() {
        driver.application_name(&defaults.application_name);
    }
    notice_loss(&mut driver, defaults.connect_timeout);
    let (client, connection) = driver
        .connect(tls::connector(url)?)
        .await
        .map_err(|error| StoreError::Unavailable {
            reason: "the server cannot be reached".to_owned(),
            source: Some(error.into()),
        })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a database connection broke"
            );
        }
    });
    Ok(client)
}

/// A connection out of the pool. Dereferences to the driver's client.
pub struct PostgresConnection {
    session: Option<Object<Sessions>>,
}

impl PostgresConnection {
    #[expect(
        clippy::expect_used,
        reason = "the session is taken by release and drop only"
    )]
    fn session(&self) -> &Session {
        self.session.as_ref().expect("a session until dropped")
    }

    /// The prepared form of a statement, from this connection's cache if it is there.
    ///
    /// # Errors
    /// The driver's.
    pub async fn prepare_cached(
        &self,
        text: &Arc<StatementText>,
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.prepared(text) {
            return Ok(statement);
        }
        let session = self.session();
        let statement = session.client.prepare_typed(&text.sql, &text.types).await?;
        count(&session.statistics.prepared);
        let mut statements = session
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        statements.put(
            text.hash,
            Prepared {
                text: Arc::clone(text),
                statement: statement.clone(),
            },
        );
        Ok(statement)
    }

    /// The prepared form of a statement, if this connection has it.
    #[must_use]
    pub fn prepared(&self, text: &Arc<StatementText>) -> Option<Statement> {
        let mut statements = self
            .session()
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let prepared = statements.get(&text.hash)?;
        (Arc::ptr_eq(&prepared.text, text) || prepared.text == *text)
            .then(|| prepared.statement.clone())
    }

    /// Forgets all prepared statements: the structure of the database has changed.
    pub fn forget_statements(&self) {
        self.session()
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Gives the connection back. Only when no query runs and no transaction is open.
    pub fn release(mut self) {
        drop(self.session.take());
    }

    async fn prepared_versions_are_too_old(&self) -> Result<bool, StoreError> {
        let row = self
            .query_one("SELECT current_setting('server_version_num')::int4", &[])
            .await?;
        Ok(row.try_get::<_, i32>(0)? < 140_000)
    }
}

impl Deref for PostgresConnection {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.session().client
    }
}

impl DerefMut for PostgresConnection {
    #[expect(
        clippy::expect_used,
        reason = "the session is taken by release and drop only"
    )]
    fn deref_mut(&mut self) -> &mut Client {
        &mut self
            .session
            .as_mut()
            .expect("a session until dropped")
            .client
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !session.client.is_closed() => {
                count(&session.statistics.cancelled);
                runtime.spawn(end(session));
            }
            _ => drop(Object::take(session)),
        }
    }
}

/// Time that a cancellation gets.
const CANCELLING_TIME: Duration = Duration::from_secs(3);

/// Cancels what runs on a connection, and closes it. Nobody else may get it: a cancellation names the connection, not
/// the query, and one that reaches the server late would hit what is asked then.
async fn end(session: Object<Sessions>) {
    let cancelling = session.client.cancel_token();
    let cancelled = cancelling.cancel_query(session.connector.clone());
    match tokio::time::timeout(CANCELLING_TIME, cancelled).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "cannot cancel a query that was given up"),
        Err(_) => tracing::debug!("a query that was given up could not be cancelled in time"),
    }
    // It keeps its place in the pool until then: the server has no more connections than it should.
    drop(Object::take(session));
}
