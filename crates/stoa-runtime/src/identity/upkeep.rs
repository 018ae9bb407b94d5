//! What is done beside requests: the last use of sessions and tokens, numbers of failures, and the end of
//! what has expired.

use std::sync::{Arc, Weak};
use std::time::Duration;

use stoa_model::change::Change;
use stoa_model::expression::{Comparison, Expression};
use stoa_model::model::{AttributeId, EntityId};
use stoa_model::value::Value;
use stoa_store::StoreError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use uuid::Uuid;

use super::failures::WINDOW;
use super::known::Credential;
use super::record::{Select, attribute, change, compare, delete, update};
use super::{Identity, Shared, micros, now};
use crate::repeat::CLOCKS_APART;

/// Rows changed or deleted in one transaction.
const BATCH: usize = 100;
/// Rows of one kind deleted in one round.
const ROUND: u64 = 1000;
/// Requests forgotten in one transaction, so that each is short.
const FORGOTTEN: u32 = 1000;
/// Such transactions in one round: more than a busy site needs for what it does between two.
const FORGETTING: usize = 1000;
/// Tokens stay in lists this long after their end.
const SHOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A session that is idle by what the database says may be in use by what an instance has not yet written.
const UNWRITTEN: Duration = Duration::from_secs(10 * 60);

/// Starts it; it ends with the last [`Identity`].
pub(super) fn start(shared: &Arc<Shared>) -> JoinHandle<()> {
    let settings = &shared.settings;
    let ticks = |every: Duration| {
        let every = every.max(Duration::from_millis(10));
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let mut uses = ticks(settings.write_behind());
    let mut failures = ticks(WINDOW);
    let mut pruning = ticks(settings.pruning);
    let shared: Weak<Shared> = Arc::downgrade(shared);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = uses.tick() => {
                    let Some(identity) = Identity::alive(&shared) else { return };
                    identity.write_uses().await;
                }
                _ = failures.tick() => {
                    let Some(identity) = Identity::alive(&shared) else { return };
                    identity.write_failures().await;
                }
                _ = pruning.tick() => {
                    let Some(identity) = Identity::alive(&shared) else { return };
                    if !identity.leads() {
                        continue;
                    }
                    if let Err(error) = identity.prune().await {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "what has expired cannot be deleted; trying again later"
                        );
                    }
                }
            }
        }
    })
}

impl Identity {
    fn alive(shared: &Weak<Shared>) -> Option<Self> {
        shared.upgrade().map(|shared| Self { shared })
    }

    /// Writes when sessions and tokens were last used.
    pub(super) async fn write_uses(&self) {
        let system = &self.shared.system;
        let actions: Vec<_> = self
            .shared
            .memory
            .take_used()
            .into_iter()
            .map(|(credential, id, at)| {
                let (entity, last_used) = match credential {
                    Credential::Session => (system.session.entity, system.session.last_used),
                    Credential::Token => (system.token.entity, system.token.last_used),
                };
                let values = vec![(last_used, Value::DateTime(at))];
                update(entity, id, None, values)
            })
            .collect();
        for batch in actions.chunks(BATCH) {
            if let Err(error) = self.write_what_is_there(change(batch.to_vec())).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the last use of sessions cannot be written"
                );
                return;
            }
        }
    }

    /// Deletes what has expired: at most so much of each kind, the rest the next time.
    ///
    /// # Errors
    /// The database.
    pub async fn prune(&self) -> Result<(), StoreError> {
        let system = &self.shared.system;
        let now = now();
        let idle = now - micros(self.settings().session_idle) - micros(UNWRITTEN);
        let (session, token, link) = (&system.session, &system.token, &system.link);
        for (entity, attribute, before) in [
            (session.entity, session.expires_at, now),
            (session.entity, session.last_used, idle),
            (token.entity, token.expires_at, now - micros(SHOWN)),
            (link.entity, link.expires_at, now),
        ] {
            self.delete_before(entity, attribute, before).await?;
        }
        self.forget_requests(now).await
    }

    /// Forgets what came of requests that nobody can repeat any more.
    async fn forget_requests(&self, now: i64) -> Result<(), StoreError> {
        let before = now - micros(self.settings().outcomes_kept) - micros(CLOCKS_APART * 2);
        for _ in 0..FORGETTING {
            let forgotten = self
                .store()
                .forget_requests(self.model(), before, FORGOTTEN)
                .await?;
            if forgotten < u64::from(FORGOTTEN) {
                break;
            }
        }
        Ok(())
    }

    async fn delete_before(
        &self,
        entity: EntityId,
        instant: AttributeId,
        before: i64,
    ) -> Result<(), StoreError> {
        let condition: Expression = compare(
            attribute(self.model(), entity, instant),
            Comparison::Less,
            Value::DateTime(before),
        );
        let query =
            Select::new(entity, &[]).filter(self.model(), Some(condition), Vec::new(), ROUND);
        let ids: Vec<Uuid> = self.read(query).await?.iter().map(|row| row.id()).collect();
        for batch in ids.chunks(BATCH) {
            let actions = batch.iter().map(|id| delete(entity, *id)).collect();
            self.write_what_is_there(change(actions)).await?;
        }
        Ok(())
    }

    /// Applies a change without the operations whose rows are gone.
    async fn write_what_is_there(&self, mut change: Change) -> Result<(), StoreError> {
        while !change.operations.is_empty() {
            match self.write(change.clone(), None).await {
                Err(StoreError::NotFound { operation }) if operation < change.operations.len() => {
                    change.operations.remove(operation);
                }
                written => return written.map(drop),
            }
        }
        Ok(())
    }
}
