//! People whom an OpenID provider knows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Identity;
use super::client::Client;
use super::error::{IdentityError, SignInError};
use super::sign_in::SignedIn;

/// Who somebody is, as a provider says. Its signature, audience, nonce and time have been judged.
#[derive(Clone, Debug, Default)]
pub struct ExternalIdentity {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// Name of the provider in the site's settings.
    pub provider: String,
    /// Name that a new user gets (`preferred_username`, or the e-mail address).
    pub name: Option<String>,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub email: Option<String>,
    /// Roles from claims: the user has exactly these afterwards. Names that the application does not have
    /// are left out. None: roles are managed here and stay as they are.
    pub roles: Option<Vec<String>>,
    /// The ID token, to sign out at the provider.
    pub id_token: Option<String>,
}

/// What to do with somebody whom the provider knows and we do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are not let in.
    Refuse,
    /// A user is made; if the name is taken, they are not let in.
    Create,
    /// A user with that name who is not linked to anybody at this provider is taken for the same person,
    /// else one is made. Only where the provider's names cannot be chosen by its users.
    MatchNameOrCreate,
    /// As before, but nobody is made.
    MatchName,
}

/// Judges access tokens of a provider (`Authorization: Bearer` with a JWT).
pub trait AccessTokens: Send + Sync {
    /// Who the token is for; none if it is not valid. Must cost little: it is asked at each request.
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Option<VerifiedToken>> + Send + 'a>>;
}

/// A valid access token.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Who, with roles if claims say so.
    pub identity: ExternalIdentity,
    /// The token may only be used to read.
    pub read_only: bool,
}

impl Identity {
    /// Signs a user in whom a provider knows: found by issuer and subject. Roles from claims are set in the
    /// same transaction.
    ///
    /// # Errors
    /// [`SignInError::Failed`] if nobody is found or made, or is disabled; see [`SignInError`].
    pub async fn sign_in_external(
        &self,
        identity: &ExternalIdentity,
        unknown: Unknown,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let _ = (identity, unknown, client);
        Err(IdentityError::Internal("unfinished".to_owned()).into())
    }

    /// Signs an administrator in whom a provider knows. Administrators are made here, never by a provider's
    /// word: [`Unknown::Create`] refuses, [`Unknown::MatchNameOrCreate`] matches only.
    ///
    /// # Errors
    /// As [`Identity::sign_in_external`].
    pub async fn administrator_sign_in_external(
        &self,
        identity: &ExternalIdentity,
        unknown: Unknown,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let _ = (identity, unknown, client);
        Err(IdentityError::Internal("unfinished".to_owned()).into())
    }

    /// Lets programs in with access tokens of a provider.
    pub fn accept_access_tokens(&self, verifier: Arc<dyn AccessTokens>) {
        let _ = verifier;
    }
}
