//! Whether what is kept in memory still holds.

use std::sync::Arc;

use stoa_model::model::Model;
use stoa_store::{Coordination, Membership, Store, StoreError};
use tokio::sync::OnceCell;

/// The revision of rights, as far as this process knows it.
pub(super) struct Current {
    coordination: Coordination,
    /// None: nothing is kept in memory.
    membership: Option<Arc<Membership>>,
}

impl Current {
    pub(super) async fn open(
        model: &Arc<Model>,
        store: &Store,
        instance: Option<&str>,
    ) -> Result<Self, StoreError> {
        let coordination = store.coordination(model);
        let membership = match instance {
            Some(name) => Some(Arc::new(coordination.join(name).await?)),
            None => None,
        };
        Ok(Self {
            coordination,
            membership,
        })
    }

    /// The revision under which something may be kept in memory and used; none if nothing may.
    pub(super) fn revision(&self) -> Option<i64> {
        let membership = self.membership.as_ref()?;
        membership.is_current().then(|| membership.revision())
    }

    pub(super) async fn publish(&self, revision: i64) -> Result<(), StoreError> {
        self.coordination.publish(revision).await
    }
}
