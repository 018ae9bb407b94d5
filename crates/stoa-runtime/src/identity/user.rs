//! Users and their roles.

use stoa_model::access::Actor;

use super::error::IdentityError;
use super::{Identity, row_id};

row_id!(
    /// `id` of a user.
    UserId
);

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Which.
    pub id: UserId,
    /// Name to sign in with, normalised.
    pub name: String,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// May sign in.
    pub active: bool,
    /// What kind of user: name of the entity (`SystemUser`, or `Employee`).
    pub kind: String,
    /// Roles, as granted, by name. Roles that the model no longer has are among them.
    pub roles: Vec<String>,
    /// Has a password (else: links, single sign-on, tokens).
    pub has_password: bool,
    /// Must change the password at the next sign-in.
    pub must_change_password: bool,
    /// When it was made, microseconds since the Unix epoch.
    pub created_at: i64,
}

/// A user to be added.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// Name to sign in with; it is normalised.
    pub name: String,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// What kind of user: name of an entity that extends the users'; none: a plain one.
    pub kind: Option<String>,
    /// Further attributes of that entity, as text: `Region` = `North`. A to-one association takes the key
    /// of its target as in a URL.
    pub attributes: Vec<(String, String)>,
    /// Roles.
    pub roles: Vec<String>,
    /// First password; none: none.
    pub password: Option<String>,
    /// The password must be changed at the first sign-in.
    pub must_change_password: bool,
}

/// Which users are wanted. All conditions given must hold.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Part of name, full name or e-mail address, any case.
    pub contains: Option<String>,
    /// Has this role.
    pub role: Option<String>,
    /// May sign in, or may not.
    pub active: Option<bool>,
}

impl Identity {
    /// Adds a user.
    ///
    /// # Errors
    /// [`IdentityError::Name`], [`IdentityError::NameTaken`], [`IdentityError::UnknownKind`],
    /// [`IdentityError::Attributes`], [`IdentityError::UnknownRole`], [`IdentityError::Password`]; the
    /// database. Nothing is done then.
    pub async fn add_user(&self, user: NewUser, by: &Actor) -> Result<User, IdentityError> {
        let _ = (user, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Users by name, after a name, at most `limit`.
    ///
    /// # Errors
    /// The database.
    pub async fn users(
        &self,
        filter: &UserFilter,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<User>, IdentityError> {
        let _ = (filter, after, limit);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// A user.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn user(&self, id: UserId) -> Result<User, IdentityError> {
        let _ = id;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// The user with this name, in any case.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn user_by_name(&self, name: &str) -> Result<User, IdentityError> {
        let _ = name;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Changes attributes of a user, given as text as in [`NewUser::attributes`]; `Name`, `FullName` and
    /// `Email` too. None clears one.
    ///
    /// # Errors
    /// As [`Identity::add_user`]; [`IdentityError::UnknownUser`].
    pub async fn change_user(
        &self,
        id: UserId,
        attributes: &[(String, Option<String>)],
        by: &Actor,
    ) -> Result<User, IdentityError> {
        let _ = (id, attributes, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Lets a user sign in, or no longer. In the latter case all their sessions end, and their tokens do
    /// not work until they are let in again. When it returns, that holds everywhere.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn set_active(
        &self,
        id: UserId,
        active: bool,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (id, active, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Gives a user roles. Those they have already are no error. When it returns, they hold everywhere.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`], [`IdentityError::UnknownRole`]; the database.
    pub async fn grant(
        &self,
        id: UserId,
        roles: &[String],
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (id, roles, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Takes roles from a user. Those they do not have are no error; nor are names that the model no longer
    /// has. When it returns, that holds everywhere.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; the database.
    pub async fn revoke(
        &self,
        id: UserId,
        roles: &[String],
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (id, roles, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Gives a user exactly these roles.
    ///
    /// # Errors
    /// As [`Identity::grant`].
    pub async fn set_roles(
        &self,
        id: UserId,
        roles: &[String],
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (id, roles, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Deletes a user with everything of theirs. Rows of the application that refer to the user may
    /// prevent it, as its model says.
    ///
    /// # Errors
    /// [`IdentityError::UnknownUser`]; [`IdentityError::Store`] with violations; the database.
    pub async fn delete_user(&self, id: UserId, by: &Actor) -> Result<(), IdentityError> {
        let _ = (id, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}
