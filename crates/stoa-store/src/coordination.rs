//! What the processes that serve one database know of each other: who lives, and which revision of users,
//! roles and sessions each of them goes by.
//!
//! A process *joins* and from then on keeps in memory what it has read of users and sessions, as long as the
//! revision under which it was read is the current one. Who changes users or sessions bumps the revision in
//! the same transaction and then *publishes* it: that waits until nobody goes by an older one any more.
//!
//! Safety rests on one rule. **A member is current only for [`Timing::held`] after it has sent the last
//! request that read the revision**, by its own monotonic clock. So whatever happens to it (a cut cable, a
//! stopped process, a lost database), [`Timing::lease`] after a commit no member goes by an older revision:
//! it has either read the new one, or is not current and looks at the database for every request. A publisher
//! never waits longer than that, and needs no clock but its own. Leases and confirmations only make it wait
//! less:
//!
//! - A member confirms: it stores the revision where every request looks, then writes it into its row.
//! - PostgreSQL: the row has a lease by the database's clock, renewed every [`Timing::renewal`]. A member
//!   whose lease is over is not waited for: a killed process delays others for the rest of its lease once.
//!   The difference between `lease` and `held` is what the database's clock may jump.
//!   Whoever leads, or has waited for it in vain, ends its database sessions (`fence`); before that it has
//!   stopped serving by its own clock ([`LeaseState::Over`]).
//! - SQLite: all members are on one machine and look at the file every [`Timing::poll`]; the row has no end,
//!   so an idle server writes nothing. A publisher drops the rows that stayed silent; a member that finds
//!   its row missing writes it anew.

mod fence;
mod lease;
mod member;
mod postgres;
mod shares;
mod sqlite;
mod standing;
mod statements;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use stoa_model::model::Model;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::{Backend, Store};
use standing::Standing;
use statements::Statements;

pub use lease::{Leadership, LeaseState};
pub use member::Membership;

/// Key of the row of `SystemRevision` whose version is the revision.
pub const SECURITY_REVISION: &str = "security";

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Longest time that a member can go by an older revision, seen from outside.
    pub(crate) lease: Duration,
    /// Longest time that a member takes itself for current. Shorter than the lease, for clocks that run
    /// apart and, on PostgreSQL, a database clock that jumps.
    pub(crate) held: Duration,
    /// PostgreSQL: how long after that a member goes on serving, from the database only. Shorter than what is left of
    /// the lease: whoever is shut out then has stopped by itself before. SQLite: for ever, nobody is shut out.
    pub(crate) grace: Option<Duration>,
    /// PostgreSQL: time between two renewals. Several fit into `held`, so that one lost packet or a
    /// new connection costs nothing.
    pub(crate) renewal: Duration,
    /// PostgreSQL: longest time of one attempt to renew.
    pub(crate) attempt: Duration,
    /// SQLite: time between two looks at the file.
    pub(crate) poll: Duration,
}

impl Timing {
    /// A server may be gone without a word (power, network), so its lease must end by itself; ten seconds
    /// are the longest that a revocation can take, and a database may restart within eight without anybody
    /// noticing.
    const POSTGRES: Self = Self {
        lease: Duration::from_secs(10),
        held: Duration::from_secs(8),
        grace: Some(Duration::from_secs(1)),
        renewal: Duration::from_secs(2),
        attempt: Duration::from_secs(3),
        poll: Duration::ZERO,
    };

    /// On one machine only a stopped or killed process is silent. Twenty looks a second cost a
    /// thousandth of a core and make a change by another process take effect at once for people.
    const SQLITE: Self = Self {
        lease: Duration::from_secs(3),
        held: Duration::from_secs(2),
        grace: None,
        renewal: Duration::ZERO,
        attempt: Duration::ZERO,
        poll: Duration::from_millis(50),
    };
}

/// Longest time of shutting out whoever is silent.
const FENCING: Duration = Duration::from_secs(5);
/// First pause of a publisher between two looks at who has not confirmed yet.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Members of this process, by the store that they belong to.
#[derive(Default)]
pub(crate) struct Members(Mutex<Vec<(Weak<Standing>, Option<Duration>)>>);

impl Members {
    fn add(&self, standing: &Arc<Standing>, grace: Option<Duration>) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|(member, _)| member.strong_count() > 0);
        members.push((Arc::downgrade(standing), grace));
    }

    /// Whether this process may write: it is no member, or a lease holds as far as it knows.
    pub(crate) fn may_write(&self) -> bool {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends = members
            .iter()
            .filter_map(|(member, grace)| Some((member.upgrade()?, grace)))
            .filter(|(standing, _)| standing.has_begun() && !standing.has_ended())
            .map(|(standing, grace)| standing.lease(*grace).0)
            .peekable();
        ends.peek().is_none() || ends.any(|lease| lease != LeaseState::Over)
    }

    /// Makes them all go by a revision at once; gives their ids.
    fn advance(&self, revision: i64) -> Vec<Uuid> {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        members
            .iter()
            .filter_map(|(member, _)| member.upgrade())
            .map(|standing| {
                standing.advance(revision);
                standing.wake();
                standing.id()
            })
            .collect()
    }
}

/// The processes that serve one database. Clones are the same.
#[derive(Clone)]
pub struct Coordination {
    store: Store,
    statements: Option<Arc<Statements>>,
    timing: Timing,
}

impl Store {
    /// The processes that serve this database. `model` names the tables: those of `SystemInstance` and
    /// `SystemRevision`.
    #[must_use]
    pub fn coordination(&self, model: &Arc<Model>) -> Coordination {
        Coordination {
            store: self.clone(),
            statements: Statements::of(model, self.dialect()).map(Arc::new),
            timing: match self.backend() {
                Backend::Postgres(_) => Timing::POSTGRES,
                Backend::Sqlite(_) => Timing::SQLITE,
            },
        }
    }
}

impl Coordination {
    fn statements(&self) -> Result<&Arc<Statements>, StoreError> {
        self.statements.as_ref().ok_or_else(|| {
            StoreError::internal("the model has no entities SystemInstance and SystemRevision")
        })
    }

    /// Registers this process under a name for people, and keeps it registered in the background until the
    /// membership is left or dropped. Current when this returns.
    ///
    /// # Errors
    /// As a write of the store.
    pub async fn join(&self, name: &str) -> Result<Membership, StoreError> {
        let statements = Arc::clone(self.statements()?);
        let standing = Arc::new(Standing::new(Uuid::new_v4()));
        // Known before it is current: a publisher in this process advances it from its first moment.
        self.store.members().add(&standing, self.timing.grace);
        let member = member::Member {
            standing,
            statements,
            timing: self.timing,
            name: cut(name),
            process: self.store.process(),
            budget: self.store.config().budget,
        };
        match self.store.backend() {
            Backend::Postgres(postgres) => postgres::join(postgres, member).await,
            Backend::Sqlite(sqlite) => sqlite::join(sqlite, member).await,
        }
    }

    /// Makes a revision known after the change that bumped it is committed. When this returns, no process
    /// goes by an older one. Takes a few milliseconds while all of them answer, and never longer than a
    /// lease: a process that is silent that long does not trust what it knows.
    ///
    /// # Errors
    /// The model has no tables for it. Faults of the database are waited out.
    pub async fn publish(&self, revision: i64) -> Result<(), StoreError> {
        let statements = self.statements()?;
        let begun = Instant::now();
        let own = self.store.members().advance(revision);
        let mut told = false;
        let mut pause = FIRST_PAUSE;
        let mut silent = Vec::new();
        loop {
            let left = self.timing.lease.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            let look = async {
                match self.store.backend() {
                    Backend::Postgres(postgres) => {
                        if !told {
                            postgres::tell(postgres, revision).await?;
                            told = true;
                        }
                        postgres::unconfirmed(postgres, statements, revision, &own).await
                    }
                    Backend::Sqlite(sqlite) => {
                        sqlite::unconfirmed(sqlite, statements, revision, &own).await
                    }
                }
            };
            match tokio::time::timeout(left, look).await {
                Ok(Ok(instances)) if instances.is_empty() => return Ok(()),
                Ok(Ok(instances)) => silent = instances,
                Ok(Err(error)) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot see who has confirmed a revision; trying on"
                ),
                Err(_) => break,
            }
            tokio::time::sleep(pause.min(self.timing.lease.saturating_sub(begun.elapsed()))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.forget(statements, revision, silent).await;
        Ok(())
    }

    /// Shuts those out who stayed silent for a whole lease: nobody waits for them again, and what they had begun
    /// under an older revision is not committed.
    async fn forget(&self, statements: &Arc<Statements>, revision: i64, silent: Vec<Uuid>) {
        tracing::warn!(
            revision,
            instances = silent.len(),
            "not every instance has confirmed a change of users or sessions; their leases are over"
        );
        if silent.is_empty() {
            return;
        }
        let removed = match self.store.backend() {
            Backend::Postgres(postgres) => tokio::time::timeout(
                FENCING,
                fence::fence(postgres, statements, self.store.process()),
            )
            .await
            .map(|fenced| fenced.map(drop)),
            Backend::Sqlite(sqlite) => {
                Ok(sqlite::forget(sqlite, statements, revision, silent).await)
            }
        };
        if let Ok(Err(error)) = removed {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "silent instances cannot be removed"
            );
        }
    }
}

/// As long as the column takes.
fn cut(name: &str) -> String {
    name.chars()
        .filter(|character| *character != '\0')
        .take(200)
        .collect()
}
