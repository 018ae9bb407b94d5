//! Members over SQLite: a thread that looks at the file, and writes only when there is something to confirm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError, sync_channel};

use rusqlite::{Connection, OptionalExtension as _};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::member::{Member, Membership};
use super::standing::Moment;
use super::statements::Statements;
use crate::error::StoreError;
use crate::sqlite::Sqlite;
use crate::store::Backend;

/// Instances named in one statement that drops them.
const MOST_FORGOTTEN: usize = 1000;

pub(super) async fn join(sqlite: &Sqlite, member: Member) -> Result<Membership, StoreError> {
    // One process serves a file; another one beside it would do the same work again, and no harm.
    member.standing.set_term(1);
    confirm(sqlite.clone(), member.clone()).await?;
    let mut looking = Looking {
        sqlite: sqlite.clone(),
        member: member.clone(),
        runtime: Handle::current(),
        confirming: Arc::new(AtomicBool::new(false)),
        seen: None,
        has_row: false,
        well: true,
    };
    let (wake, woken) = sync_channel(1);
    let opening = sqlite.clone();
    tokio::task::spawn_blocking(move || {
        let connection = opening.watching()?;
        let sent = Moment::now();
        looking.look(&connection)?;
        looking
            .member
            .standing
            .extend(sent, looking.member.timing.held);
        std::thread::Builder::new()
            .name("sqlite-watch".to_owned())
            .spawn(move || looking.run(&connection, &woken))
            .map_err(|error| StoreError::internal(error.to_string()))
    })
    .await
    .map_err(|error| StoreError::internal(error.to_string()))??;
    let standing = Arc::clone(&member.standing);
    // Publishers in this process, and the end, wake the thread between two looks.
    let task = tokio::spawn(async move {
        loop {
            standing.woken().await;
            // Full: it is woken already.
            if let Err(TrySendError::Disconnected(())) = wake.try_send(()) {
                return;
            }
        }
    });
    Ok(Membership::new(
        member,
        Backend::Sqlite(sqlite.clone()),
        task,
    ))
}

/// The thread that looks at the file.
struct Looking {
    sqlite: Sqlite,
    member: Member,
    runtime: Handle,
    confirming: Arc<AtomicBool>,
    /// `data_version` at the last look that read everything.
    seen: Option<i64>,
    /// Publishers see this member.
    has_row: bool,
    well: bool,
}

impl Looking {
    /// Until the membership has ended: its task is gone then, and with it the channel's other end.
    fn run(mut self, connection: &Connection, woken: &Receiver<()>) {
        loop {
            match woken.recv_timeout(self.member.timing.poll) {
                Ok(()) => while woken.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.member.standing.has_ended() {
                return;
            }
            #[cfg(test)]
            if self.member.standing.frozen.load(Ordering::SeqCst) {
                continue;
            }
            let sent = Moment::now();
            match self.look(connection) {
                Ok(()) => {
                    // Without a row nobody would wait for this member: it must not be current then.
                    if self.has_row {
                        self.member.standing.extend(sent, self.member.timing.held);
                    }
                    if !self.well {
                        self.well = true;
                        tracing::info!("the database file can be read again");
                    }
                }
                Err(error) if self.well => {
                    self.well = false;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the database file cannot be looked at; until it can, users are looked up for every request"
                    );
                }
                Err(_) => {}
            }
            if self.member.standing.is_unconfirmed() {
                self.confirm();
            }
        }
    }

    /// Reads the own row, then the revision, if anything at all was written since the last look. In this
    /// order: who looks for rows after the commit of a newer revision either sees this row, or is before
    /// it, and then the newer revision is read here.
    fn look(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let version: i64 = connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        if self.seen == Some(version) {
            return Ok(());
        }
        let standing = &self.member.standing;
        let statements = &self.member.statements;
        let confirmed: Option<i64> = connection
            .prepare_cached(&statements.confirmed)?
            .query_row([standing.id().as_bytes()], |row| row.get(0))
            .optional()?;
        let revision = connection
            .prepare_cached(&statements.revision)?
            .query_row([], |row| row.get(0))
            .optional()?;
        // No row: nothing was ever changed.
        standing.advance(revision.unwrap_or(0));
        standing.note_confirmed(confirmed.unwrap_or(i64::MIN));
        self.has_row = confirmed.is_some();
        self.seen = Some(version);
        Ok(())
    }

    /// Writes the row, without waiting: the next looks must not wait for other writers.
    fn confirm(&self) {
        if self.confirming.swap(true, Ordering::SeqCst) {
            return;
        }
        let confirming = Arc::clone(&self.confirming);
        let confirmation = confirm(self.sqlite.clone(), self.member.clone());
        self.runtime.spawn(async move {
            if let Err(error) = confirmation.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a revision cannot be confirmed; trying on"
                );
            }
            confirming.store(false, Ordering::SeqCst);
        });
    }
}

/// Writes the member's row with the revision that it goes by.
async fn confirm(sqlite: Sqlite, member: Member) -> Result<(), StoreError> {
    let confirmed = member.standing.revision();
    sqlite
        .write(move |connection| {
            // A row that was removed at the end must not come back.
            if member.standing.has_ended() {
                return Ok(());
            }
            let now = jiff::Timestamp::now().as_microsecond();
            connection
                .prepare_cached(&member.statements.begin)?
                .execute([now])?;
            connection
                .prepare_cached(&member.statements.renew)?
                .execute(rusqlite::params![
                    member.standing.id().as_bytes(),
                    member.name,
                    confirmed,
                    now
                ])?;
            Ok(())
        })
        .await
}

/// Removes the row.
pub(super) async fn leave(sqlite: &Sqlite, member: &Member) {
    let (id, statements) = (member.standing.id(), Arc::clone(&member.statements));
    let removed = sqlite
        .write(move |connection| {
            connection
                .prepare_cached(&statements.leave)?
                .execute([id.as_bytes()])?;
            Ok(())
        })
        .await;
    if let Err(error) = removed {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "this instance's row is left to others"
        );
    }
}

/// Instances that have not confirmed, except some.
pub(super) async fn unconfirmed(
    sqlite: &Sqlite,
    statements: &Arc<Statements>,
    revision: i64,
    except: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    let statements = Arc::clone(statements);
    let mut instances = sqlite
        .read(move |connection| {
            let mut statement = connection.prepare_cached(&statements.unconfirmed)?;
            let ids = statement.query_map([revision], |row| row.get::<_, [u8; 16]>(0))?;
            ids.map(|id| Ok(Uuid::from_bytes(id?)))
                .take(MOST_FORGOTTEN)
                .collect::<Result<Vec<_>, StoreError>>()
        })
        .await?;
    instances.retain(|instance| !except.contains(instance));
    Ok(instances)
}

/// Drops the rows of those who stayed silent.
pub(super) async fn forget(
    sqlite: &Sqlite,
    statements: &Arc<Statements>,
    revision: i64,
    silent: Vec<Uuid>,
) -> Result<(), StoreError> {
    let statements = Arc::clone(statements);
    sqlite
        .write(move |connection| {
            let mut statement = connection.prepare_cached(&statements.tidy)?;
            for instance in silent {
                statement.execute(rusqlite::params![instance.as_bytes(), revision])?;
            }
            Ok(())
        })
        .await
}
