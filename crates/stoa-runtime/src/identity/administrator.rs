//! Administrators of the site. They are no users of the application and have no access to its data.

use stoa_model::access::Actor;

use super::error::IdentityError;
use super::{Identity, row_id};

row_id!(
    /// `id` of an administrator.
    AdministratorId
);

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// Which.
    pub id: AdministratorId,
    /// Name to sign in with, normalised.
    pub name: String,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// May sign in.
    pub active: bool,
    /// Has a password (else: links or single sign-on).
    pub has_password: bool,
}

impl Identity {
    /// All administrators, by name.
    ///
    /// # Errors
    /// The database.
    pub async fn administrators(&self) -> Result<Vec<Administrator>, IdentityError> {
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// The administrator with this name.
    ///
    /// # Errors
    /// [`IdentityError::UnknownAdministrator`]; the database.
    pub async fn administrator_by_name(&self, name: &str) -> Result<Administrator, IdentityError> {
        let _ = name;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Adds an administrator, without a password.
    ///
    /// # Errors
    /// [`IdentityError::Name`], [`IdentityError::NameTaken`]; the database.
    pub async fn add_administrator(
        &self,
        name: &str,
        full_name: Option<&str>,
        email: Option<&str>,
        by: &Actor,
    ) -> Result<Administrator, IdentityError> {
        let _ = (name, full_name, email, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// The first administrator, made if there is none at all (first start). Of two instances that start at
    /// once one makes it; the other gets none.
    ///
    /// # Errors
    /// The database.
    pub async fn first_administrator(
        &self,
        name: &str,
        by: &Actor,
    ) -> Result<Option<Administrator>, IdentityError> {
        let _ = (name, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Lets an administrator sign in, or no longer; in the latter case all sessions end.
    ///
    /// # Errors
    /// [`IdentityError::LastAdministrator`], [`IdentityError::UnknownAdministrator`]; the database.
    pub async fn set_administrator_active(
        &self,
        id: AdministratorId,
        active: bool,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (id, active, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Deletes an administrator with everything of theirs.
    ///
    /// # Errors
    /// [`IdentityError::LastAdministrator`], [`IdentityError::UnknownAdministrator`]; the database.
    pub async fn delete_administrator(
        &self,
        id: AdministratorId,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (id, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}
