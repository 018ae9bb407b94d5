//! Members over PostgreSQL: a connection that listens, renews the lease, and is replaced when it breaks.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Row};
use uuid::Uuid;

use super::fence::fence;
use super::member::{Member, Membership};
use super::shares::{self, Process};
use super::standing::{Moment, Standing};
use super::statements::{CHANNEL, Statements};
use crate::error::StoreError;
use crate::postgres::Postgres;
use crate::store::Backend;

/// First pause after a connection could not be made.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Revisions confirmed in a row before the task looks up again.
const ROUNDS: usize = 4;

/// A connection of the member's own; the driver's task ends with it.
struct Line {
    client: Client,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    async fn open(postgres: &Postgres, member: &Member) -> Result<Self, StoreError> {
        let (config, connector) = postgres.driver();
        let (client, mut connection) = config.connect(connector).await?;
        let standing: Arc<Standing> = Arc::clone(&member.standing);
        let task = tokio::spawn(async move {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => standing.wake(),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "the connection to listen on broke"
                        );
                        break;
                    }
                    None => break,
                }
            }
            // Another one is wanted at once.
            standing.wake();
        });
        let line = Self { client, task };
        let milliseconds = member.timing.attempt.as_millis();
        line.client
            .batch_execute(&format!(
                "SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds}; LISTEN {CHANNEL}"
            ))
            .await?;
        Ok(line)
    }
}

pub(super) async fn join(postgres: &Postgres, member: Member) -> Result<Membership, StoreError> {
    let connection = postgres.connection().await?;
    connection.batch_execute(&member.statements.begin).await?;
    renew(postgres, &connection, &member).await?;
    connection.release();
    let task = tokio::spawn(keep(postgres.clone(), member.clone()));
    Ok(Membership::new(
        member,
        Backend::Postgres(postgres.clone()),
        task,
    ))
}

/// The member's task.
async fn keep(postgres: Postgres, member: Member) {
    let standing = &member.standing;
    let mut line: Option<Line> = None;
    let mut pause = FIRST_PAUSE;
    let mut connect_at = Instant::now();
    let mut renewal = Instant::now();
    let mut leading = Leading::new(&postgres, &member);
    let mut well = true;
    while !standing.has_ended() {
        if line.as_ref().is_some_and(|line| line.client.is_closed()) {
            line = None;
        }
        if line.is_none() && Instant::now() >= connect_at {
            match timeout(member.timing.attempt, Line::open(&postgres, &member)).await {
                Ok(Ok(opened)) => {
                    line = Some(opened);
                    pause = FIRST_PAUSE;
                    // What was told while nobody listened is looked up now.
                    renewal = Instant::now();
                }
                outcome => {
                    if let Ok(Err(error)) = outcome {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "cannot listen to the database; polling it"
                        );
                    }
                    connect_at = Instant::now() + pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        let due = Instant::now() >= renewal;
        let outcome = timeout(
            member.timing.attempt,
            look(&postgres, line.as_ref(), &member, due),
        )
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable("the server does not answer")));
        match outcome {
            Ok(()) => {
                if due {
                    renewal = Instant::now() + member.timing.renewal;
                    leading.go_on();
                }
                if !well {
                    well = true;
                    tracing::info!("the database confirms this instance again");
                }
            }
            Err(error) => {
                line = None;
                if well {
                    well = false;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database does not confirm this instance; until it does, users are looked up for every request"
                    );
                }
                // Soon again, but no storm.
                renewal = Instant::now() + FIRST_PAUSE;
            }
        }
        let next = if line.is_none() {
            renewal.min(connect_at.max(Instant::now() + Duration::from_millis(10)))
        } else {
            renewal
        };
        tokio::select! {
            () = standing.woken() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Looks for a new revision, and renews the lease if that is due or there is something to confirm.
async fn look(
    postgres: &Postgres,
    line: Option<&Line>,
    member: &Member,
    due: bool,
) -> Result<(), StoreError> {
    let work = async |client: &Client| {
        if !due {
            member
                .standing
                .advance(revision(client, &member.statements).await?);
        }
        if due || member.standing.is_unconfirmed() {
            renew(postgres, client, member).await?;
        }
        Ok(())
    };
    match line {
        Some(line) => work(&line.client).await,
        None => {
            let connection = postgres.connection().await?;
            work(&connection).await?;
            connection.release();
            Ok(())
        }
    }
}

async fn revision(client: &Client, statements: &Statements) -> Result<i64, StoreError> {
    match client.query_typed_opt(&statements.revision, &[]).await? {
        Some(row) => Ok(row.try_get(0)?),
        // Nothing was ever changed.
        None => Ok(0),
    }
}

/// Renews the lease with what is confirmed, then reads the revision, in this order: who looks for living
/// instances after the commit of a newer revision either sees this lease, or is before it, and then the
/// newer revision is read here.
async fn renew(postgres: &Postgres, client: &Client, member: &Member) -> Result<(), StoreError> {
    let standing = &member.standing;
    let id = standing.id();
    let lease = member.timing.lease.as_secs_f64();
    let used = i32::try_from(postgres.used()).unwrap_or(i32::MAX);
    for _ in 0..ROUNDS {
        let sent = Moment::now();
        let confirmed = standing.revision();
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 6] = [
            (&id, Type::UUID),
            (&member.name, Type::TEXT),
            (&confirmed, Type::INT8),
            (&lease, Type::FLOAT8),
            (&member.process, Type::UUID),
            (&used, Type::INT4),
        ];
        // Sent together and executed one after the other: one round trip.
        let (renewed, read, leader) = future::join3(
            client.query_typed(&member.statements.renew, &parameters),
            revision(client, &member.statements),
            client.query_typed_opt(&member.statements.leader, &[]),
        )
        .await;
        let renewed = renewed?;
        standing.advance(read?);
        standing.note_confirmed(confirmed);
        standing.extend(sent, member.timing.held);
        let share: Option<i32> = renewed.first().map_or(Ok(None), |row| row.try_get(0))?;
        if let (Some(_), Some(share)) = (member.budget, share) {
            postgres.set_share(usize::try_from(share).unwrap_or_default());
        }
        lead(client, member, leader?.as_ref()).await?;
        if !standing.is_unconfirmed() {
            return Ok(());
        }
    }
    // Revisions come faster than they can be confirmed one by one.
    standing.wake();
    Ok(())
}

/// Removes the row, after the task has ended that would write it anew.
pub(super) async fn leave(postgres: &Postgres, member: &Member, task: Option<JoinHandle<()>>) {
    if let Some(mut task) = task
        && timeout(member.timing.attempt, &mut task).await.is_err()
    {
        task.abort();
    }
    let work = async {
        let connection = postgres.connection().await?;
        connection
            .execute_typed(
                &member.statements.leave,
                &[(&member.standing.id(), Type::UUID)],
            )
            .await?;
        connection.release();
        Ok::<_, StoreError>(())
    };
    match timeout(member.timing.attempt, work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(
            error = &error as &dyn std::error::Error,
            "this instance's row is left to time"
        ),
        Err(_) => tracing::debug!("this instance's row is left to time"),
    }
}

/// Wakes whoever listens.
pub(super) async fn tell(postgres: &Postgres, revision: i64) -> Result<(), StoreError> {
    let connection = postgres.connection().await?;
    connection
        .query_typed(
            "SELECT pg_notify($1, $2)",
            &[(&CHANNEL, Type::TEXT), (&revision.to_string(), Type::TEXT)],
        )
        .await?;
    connection.release();
    Ok(())
}

/// Living instances that may go by an older revision, except some.
pub(super) async fn unconfirmed(
    postgres: &Postgres,
    statements: &Statements,
    revision: i64,
    except: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let connection = postgres.connection().await?;
    let rows = connection
        .query_typed(
            &statements.unconfirmed,
            &[(&revision, Type::INT8), (&except, Type::UUID_ARRAY)],
        )
        .await?;
    connection.release();
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Notes whether this member leads, and takes the lead if nobody who lives has it.
async fn lead(client: &Client, member: &Member, leader: Option<&Row>) -> Result<(), StoreError> {
    let standing = &member.standing;
    let (holder, term, lives): (Option<Uuid>, i64, bool) = match leader {
        Some(row) => (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?),
        None => (None, 0, false),
    };
    if holder == Some(standing.id()) {
        standing.set_term(if standing.abstains() { 0 } else { term });
        return Ok(());
    }
    standing.set_term(0);
    if lives || standing.has_ended() || standing.abstains() {
        return Ok(());
    }
    let begun = client
        .query_typed_opt(&member.statements.lead, &[(&standing.id(), Type::UUID)])
        .await?;
    if let Some(row) = begun {
        standing.set_term(row.try_get(0)?);
        tracing::info!("this instance leads now");
    }
    Ok(())
}

/// Gives the lead up, and does not take it for a while.
pub(super) async fn resign(postgres: &Postgres, member: &Member) -> Result<(), StoreError> {
    member.standing.abstain(member.timing.lease);
    let connection = postgres.connection().await?;
    connection
        .execute_typed(
            &member.statements.resign,
            &[(&member.standing.id(), Type::UUID)],
        )
        .await?;
    connection.release();
    Ok(())
}

/// What a leader does beside renewing its lease: it shuts out whoever is silent, and divides the connections.
struct Leading {
    postgres: Postgres,
    member: Member,
    task: Option<JoinHandle<()>>,
}

impl Leading {
    fn new(postgres: &Postgres, member: &Member) -> Self {
        Self {
            postgres: postgres.clone(),
            member: member.clone(),
            task: None,
        }
    }

    /// Does it, if this member leads and has done it with the last time.
    fn go_on(&mut self) {
        let term = self.member.standing.term();
        let busy = self.task.as_ref().is_some_and(|task| !task.is_finished());
        if term == 0 || busy {
            return;
        }
        let (postgres, member) = (self.postgres.clone(), self.member.clone());
        self.task = Some(tokio::spawn(async move {
            let work = async {
                fence(&postgres, &member.statements, member.process).await?;
                match member.budget {
                    Some(budget) => divide(&postgres, &member, budget, term).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = work.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot look after other instances; trying again"
                );
            }
        }));
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Divides the budget of connections among the processes.
async fn divide(
    postgres: &Postgres,
    member: &Member,
    budget: usize,
    term: i64,
) -> Result<(), StoreError> {
    let connection = postgres.connection().await?;
    let rows = connection
        .query_typed(&member.statements.processes, &[])
        .await?;
    let mut processes: Vec<Process> = Vec::with_capacity(rows.len());
    for row in &rows {
        let number = |position| -> Result<usize, StoreError> {
            let number: Option<i32> = row.try_get(position)?;
            Ok(number.map_or(0, |number| usize::try_from(number).unwrap_or_default()))
        };
        let process = Process {
            id: row.try_get(0)?,
            share: number(1)?,
            used: number(2)?,
            lives: row.try_get(3)?,
        };
        // One process may have several rows, while one of its memberships follows another.
        match processes.iter_mut().find(|known| known.id == process.id) {
            Some(known) => {
                known.share = known.share.max(process.share);
                known.used = known.used.max(process.used);
                known.lives |= process.lives;
            }
            None => processes.push(process),
        }
    }
    let (changed, shares): (Vec<Uuid>, Vec<i32>) = shares::divide(budget, &processes)
        .into_iter()
        .map(|(process, share)| (process, i32::try_from(share).unwrap_or(i32::MAX)))
        .unzip();
    if !changed.is_empty() {
        connection
            .execute_typed(
                &member.statements.grant,
                &[
                    (&changed, Type::UUID_ARRAY),
                    (&shares, Type::INT4_ARRAY),
                    (&member.standing.id(), Type::UUID),
                    (&term, Type::INT8),
                ],
            )
            .await?;
    }
    connection.release();
    Ok(())
}
