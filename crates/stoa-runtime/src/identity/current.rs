//! Whether what is kept in memory still holds.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use stoa_model::model::Model;
use stoa_store::{Coordination, LeaseState, Membership, Store, StoreError};
use tokio::sync::watch;

/// The revision of rights, as far as this process knows it.
pub(super) struct Current {
    coordination: Coordination,
    /// None: nothing is kept in memory.
    membership: RwLock<Option<Membership>>,
}

impl Current {
    pub(super) async fn open(
        model: &Arc<Model>,
        store: &Store,
        instance: Option<&str>,
    ) -> Result<Self, StoreError> {
        let coordination = store.coordination(model);
        let membership = match instance {
            Some(name) => Some(coordination.join(name).await?),
            None => None,
        };
        Ok(Self {
            coordination,
            membership: RwLock::new(membership),
        })
    }

    /// The revision under which something may be kept in memory and used; none if nothing may.
    pub(super) fn revision(&self) -> Option<i64> {
        self.membership().as_ref()?.current()
    }

    /// What the lease of this instance is worth; none: it is no instance.
    pub(super) fn lease(&self) -> Option<LeaseState> {
        self.membership().as_ref().map(Membership::lease)
    }

    /// Tells when that changes.
    pub(super) fn watch(&self) -> Option<watch::Receiver<LeaseState>> {
        self.membership().as_ref().map(Membership::watch)
    }

    /// Whether this process does what only one should do. One that is no instance does what it is told.
    pub(super) fn leads(&self) -> bool {
        self.membership()
            .as_ref()
            .is_none_or(|membership| membership.leadership().is_held())
    }

    fn membership(&self) -> RwLockReadGuard<'_, Option<Membership>> {
        self.membership
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn publish(&self, revision: i64) -> Result<(), StoreError> {
        self.coordination.publish(revision).await
    }

    /// Leaves the other instances; nothing is kept in memory from now on.
    pub(super) async fn leave(&self) {
        let membership = self
            .membership
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(membership) = membership {
            membership.leave().await;
        }
    }
}
