//! Which changes of the application's data are changes of somebody's rights.

use stoa_model::change::{Applied, Change, Operation};

use super::Identity;
use super::error::IdentityError;
use super::name::NameFault;

impl Identity {
    /// Whether a change touches what is kept in memory of callers: users, or anything that `$user/…` of
    /// access rules depends on. Then [`Identity::bump_operation`] belongs in the change.
    #[must_use]
    pub fn concerns(&self, change: &Change) -> bool {
        let _ = change;
        true
    }

    /// The operation that moves the revision of rights: the last one of its change. After the change,
    /// [`Identity::published`].
    #[must_use]
    pub fn bump_operation(&self) -> Operation {
        Operation {
            location: String::new(),
            action: stoa_model::change::Action::Unlink {
                entity: stoa_model::model::EntityId(0),
                from: stoa_model::change::Target::Inserted(0),
                navigation: stoa_model::model::NavigationId(0),
                to: None,
            },
        }
    }

    /// Adds [`Identity::bump_operation`] to a change.
    pub fn bump(&self, change: &mut Change) {
        change.operations.push(self.bump_operation());
    }

    /// Waits until every living instance acts by what a change did that had [`Identity::bump_operation`] in
    /// it. Without one it returns at once.
    ///
    /// # Errors
    /// [`IdentityError::Unconfirmed`].
    pub async fn published(&self, applied: &[Applied]) -> Result<(), IdentityError> {
        let _ = applied;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Brings names of users in a change of the application into the form in which they are kept, so that
    /// whoever is added through the data service can sign in.
    ///
    /// # Errors
    /// Position of the operation, and what is wrong with the name.
    pub fn normalise_names(&self, change: &mut Change) -> Result<(), (usize, NameFault)> {
        let _ = change;
        Ok(())
    }
}
