//! A process among those that serve one database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Timing;
use super::lease::{Leadership, LeaseState};
use super::standing::Standing;
use super::statements::Statements;
use crate::error::StoreError;
use crate::store::Backend;

/// What a member's task works with.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) standing: Arc<Standing>,
    pub(super) statements: Arc<Statements>,
    pub(super) timing: Timing,
    pub(super) name: String,
    /// What the database sessions of this process are called after.
    pub(super) process: Uuid,
    /// Connections of all processes together, if there is a limit.
    pub(super) budget: Option<usize>,
}

impl Member {
    /// What the lease is worth, and in how long that changes.
    fn lease(&self) -> (LeaseState, Option<Duration>) {
        self.standing.lease(self.timing.grace)
    }

    /// Tells whoever watches what the lease is worth.
    async fn observe(self, watched: watch::Sender<LeaseState>) {
        while !self.standing.has_ended() {
            let (state, left) = self.lease();
            watched.send_if_modified(|known| std::mem::replace(known, state) != state);
            let change = async {
                match left {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = change => {}
                () = self.standing.recovered() => {}
            }
        }
        watched.send_replace(LeaseState::Over);
    }
}

/// That this process is one of those that serve the database. Clones are the same; when the last one is
/// dropped the process is a member no more, and its row is left to time.
#[derive(Clone)]
pub struct Membership {
    standing: Arc<Standing>,
    keeper: Arc<Keeper>,
}

/// What keeps a membership alive.
pub(super) struct Keeper {
    pub(super) member: Member,
    /// PostgreSQL: the task. SQLite: the task that wakes the thread; that one ends by itself.
    pub(super) task: Mutex<Option<JoinHandle<()>>>,
    pub(super) database: Backend,
    watched: watch::Receiver<LeaseState>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.member.standing.end();
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Membership {
    pub(super) fn new(member: Member, database: Backend, task: JoinHandle<()>) -> Self {
        let (sender, watched) = watch::channel(member.lease().0);
        tokio::spawn(member.clone().observe(sender));
        Self {
            standing: Arc::clone(&member.standing),
            keeper: Arc::new(Keeper {
                member,
                task: Mutex::new(Some(task)),
                database,
                watched,
            }),
        }
    }

    /// Its id in the table of instances.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.standing.id()
    }

    /// Whether this process may go by what it knows. False when it could not look at the database for some
    /// seconds, whatever the reason: nothing kept in memory may be used then.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.standing.is_current()
    }

    /// What the lease is worth now.
    #[must_use]
    pub fn lease(&self) -> LeaseState {
        self.keeper.member.lease().0
    }

    /// Tells when what the lease is worth changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LeaseState> {
        self.keeper.watched.clone()
    }

    /// Whether this member does what only one should do.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        Leadership {
            standing: Arc::clone(&self.standing),
        }
    }

    /// Gives the leadership up, if this member has it: another one takes it within a few seconds. (SQLite: nothing
    /// happens, each process leads.)
    ///
    /// # Errors
    /// The database.
    pub async fn resign(&self) -> Result<(), StoreError> {
        match &self.keeper.database {
            Backend::Postgres(postgres) => {
                super::postgres::resign(postgres, &self.keeper.member).await
            }
            Backend::Sqlite(_) => Ok(()),
        }
    }

    /// The newest revision seen. Meaningful only if [`Membership::is_current`] said so *before*; that is what
    /// [`Membership::current`] does.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.standing.revision()
    }

    /// The revision to go by; none if nothing kept in memory may be used. What was read from the database
    /// after this gave `Some(r)` is valid as long as it gives `Some(r)` again. Two looks at clocks and three
    /// at atomics.
    #[must_use]
    pub fn current(&self) -> Option<i64> {
        // In this order: a lease renewed between two looks would make an old revision look current.
        self.standing.is_current().then(|| self.standing.revision())
    }

    /// Ends the membership: not current from now on, and nobody waits for it any more. Best effort: if the
    /// database cannot be reached, or the store is closed already, the row is left to time.
    pub async fn leave(self) {
        let Keeper {
            member,
            task,
            database,
            ..
        } = &*self.keeper;
        member.standing.end();
        let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        match database {
            Backend::Postgres(postgres) => super::postgres::leave(postgres, member, task).await,
            Backend::Sqlite(sqlite) => {
                if let Some(task) = task {
                    task.abort();
                }
                super::sqlite::leave(sqlite, member).await;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }
}
