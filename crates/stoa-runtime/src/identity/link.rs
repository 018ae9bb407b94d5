//! One-time sign-in links.

use std::time::Duration;

use stoa_model::access::Actor;

use super::client::Client;
use super::error::{IdentityError, SignInError};
use super::secret::Secret;
use super::sign_in::SignedIn;
use super::{Identity, Principal};

impl Identity {
    /// Makes a link that signs somebody in once: the secret is the last segment of `/-/link/…`.
    ///
    /// # Errors
    /// There is no such user or administrator; [`IdentityError::Lifetime`]; the database.
    pub async fn create_link(
        &self,
        principal: Principal,
        lifetime: Duration,
        by: &Actor,
    ) -> Result<Secret, IdentityError> {
        let _ = (principal, lifetime, by);
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Whom a link would sign in, without using it up: name and principal; none if it is not valid. (Mail
    /// programs look at links: the page asks for a click, and only that uses the link up.)
    ///
    /// # Errors
    /// The database.
    pub async fn link(&self, secret: &str) -> Result<Option<(Principal, String)>, IdentityError> {
        let _ = secret;
        Err(IdentityError::Internal("unfinished".to_owned()))
    }

    /// Uses a link up and signs in. Of two requests at once one wins.
    ///
    /// # Errors
    /// [`SignInError::Failed`] if it was used, has expired or never was; see [`SignInError`].
    pub async fn use_link(&self, secret: &str, client: &Client) -> Result<SignedIn, SignInError> {
        let _ = (secret, client);
        Err(IdentityError::Internal("unfinished".to_owned()).into())
    }
}
