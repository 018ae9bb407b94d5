//! Sign-in with name and password, and change of the own password.

use super::client::Client;
use super::error::{IdentityError, SignInError};
use super::secret::Secret;
use super::session::SessionId;
use super::{Identity, Principal};
use stoa_model::access::Actor;

/// Somebody who has just signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub principal: Principal,
    /// Name.
    pub name: String,
    /// The new session.
    pub session: SessionId,
    /// Its secret: for [`super::Cookies::session`].
    pub token: Secret,
    /// New value of the device's cookie: for [`super::Cookies::device`]. None after a link or single
    /// sign-on.
    pub device: Option<String>,
    /// The password must be changed before anything else.
    pub must_change_password: bool,
}

impl Identity {
    /// Signs a user in. Sessions that the client has already end.
    ///
    /// An unknown name, a wrong password, a user who is disabled or has no password: the same work, the same
    /// answer.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let _ = (name, password, client);
        Err(IdentityError::Internal("unfinished".to_owned()).into())
    }

    /// Signs an administrator of the site in.
    ///
    /// # Errors
    /// As [`Identity::sign_in`].
    pub async fn administrator_sign_in(
        &self,
        name: &str,
        password: &str,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let _ = (name, password, client);
        Err(IdentityError::Internal("unfinished".to_owned()).into())
    }

    /// Changes the password of somebody who is signed in. All other sessions of theirs end, and this one
    /// gets a new token, which is given. Wrong current passwords are throttled like sign-ins.
    ///
    /// # Errors
    /// [`IdentityError::WrongPassword`], [`IdentityError::Password`]; see [`SignInError`].
    pub async fn change_password(
        &self,
        principal: Principal,
        session: SessionId,
        current: &str,
        new: &str,
        client: &Client,
    ) -> Result<Secret, SignInError> {
        let _ = (principal, session, current, new, client);
        Err(IdentityError::Internal("unfinished".to_owned()).into())
    }

    /// Sets somebody's password by an administrator or a command. All their sessions end.
    ///
    /// # Errors
    /// [`IdentityError::Password`]; there is no such user or administrator; the database.
    pub async fn set_password(
        &self,
        principal: Principal,
        password: &str,
        must_change: bool,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let _ = (principal, password, must_change, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }
}
