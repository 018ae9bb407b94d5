//! People whom an OpenID provider knows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use stoa_model::access::Actor;
use stoa_model::change::Action;
use stoa_model::value::Value;
use stoa_store::StoreError;
use uuid::Uuid;

use super::administrator::AdministratorId;
use super::audit::kind;
use super::caller::{Caller, Means, Refusal, refuse};
use super::client::Client;
use super::error::{IdentityError, SignInError};
use super::known::may_sign_in;
use super::name;
use super::record::{Select, all, attribute, change, delete, equal, insert};
use super::secret::Hash;
use super::session::Provided;
use super::sign_in::{Population, SignedIn};
use super::user::UserId;
use super::{Identity, Principal};

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
    /// Who. With roles, the caller has exactly these; without, those that were granted here.
    pub identity: ExternalIdentity,
    /// What to do with somebody whom the provider knows and we do not.
    pub unknown: Unknown,
}

/// Longest texts, in characters (the columns' lengths).
const ISSUER: usize = 500;
const SUBJECT: usize = 300;
const FULL_NAME: usize = 200;
const EMAIL: usize = 320;
/// How often it is tried when another sign-in of the same person is in the way.
const ATTEMPTS: usize = 5;

/// Somebody found, or about to be made, and what must be written for it.
struct Found {
    principal: Principal,
    name: String,
    /// To be written with the session.
    actions: Vec<Action>,
    /// Rights of somebody who may be signed in already change.
    changes_rights: bool,
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
        self.begin_external(Population::Users, identity, unknown, client)
            .await
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
        let unknown = match unknown {
            Unknown::Refuse | Unknown::Create => Unknown::Refuse,
            Unknown::MatchName | Unknown::MatchNameOrCreate => Unknown::MatchName,
        };
        self.begin_external(Population::Administrators, identity, unknown, client)
            .await
    }

    /// Lets programs in with access tokens of a provider. Once; the second time is ignored.
    pub fn accept_access_tokens(&self, verifier: Arc<dyn AccessTokens>) {
        if self.shared.access_tokens.set(verifier).is_err() {
            tracing::warn!("access tokens are judged already");
        }
    }

    async fn begin_external(
        &self,
        population: Population,
        identity: &ExternalIdentity,
        unknown: Unknown,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let mut attempt = 1;
        loop {
            let by = Actor {
                name: identity.name.clone().unwrap_or_default(),
                id: None,
                address: client.address.map(|address| address.to_string()),
                request: client.request.clone(),
            };
            let Some(found) = self
                .find_external(population, identity, unknown, &by)
                .await?
            else {
                let shown = by.name.as_str();
                let request = client.request.as_deref();
                self.record_failure(population.failure(), shown, client.address, request)
                    .await;
                return Err(SignInError::Failed);
            };
            let principal = found.principal;
            let by = Actor {
                name: found.name.clone(),
                id: Some(principal.id()),
                ..by
            };
            let replaced = self.presented_session(principal, client).await?;
            let provided = Provided {
                provider: &identity.provider,
                id_token: identity.id_token.as_deref(),
            };
            let session = self.new_session(principal, client, Some(provided));
            let detail = serde_json::json!({
                "session": session.id.to_string(),
                "by": "provider",
                "provider": identity.provider,
            });
            let mut actions = found.actions;
            actions.push(session.action);
            actions.push(self.record(
                population.success(),
                &by,
                Some(self.about(principal)),
                Some(detail),
            ));
            let written = if found.changes_rights {
                if let Some(replaced) = replaced {
                    actions.push(delete(self.shared.system.session.entity, replaced));
                }
                self.write_and_publish(change(actions), Some(&by)).await
            } else {
                self.write_session(actions, replaced, &by).await
            };
            match written {
                Ok(()) => {
                    return Ok(SignedIn {
                        principal,
                        name: found.name,
                        session: session.id,
                        token: session.token,
                        device: None,
                        must_change_password: false,
                    });
                }
                // The same person signs in twice at once: the other one has made or changed the user.
                Err(IdentityError::Store(
                    StoreError::Violations(_) | StoreError::NotFound { .. },
                )) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Somebody whom a provider knows; none if they are not to be let in.
    async fn find_external(
        &self,
        population: Population,
        identity: &ExternalIdentity,
        unknown: Unknown,
        by: &Actor,
    ) -> Result<Option<Found>, IdentityError> {
        if identity.issuer.chars().count() > ISSUER || identity.subject.chars().count() > SUBJECT {
            tracing::warn!(issuer = %identity.issuer, "the provider's names are longer than can be kept");
            return Ok(None);
        }
        if let Some(principal) = self.linked(population, identity).await? {
            return self.found_linked(principal, identity, by).await;
        }
        let (may_match, may_create) = match unknown {
            Unknown::Refuse => return Ok(None),
            Unknown::Create => (false, true),
            Unknown::MatchNameOrCreate => (true, true),
            Unknown::MatchName => (true, false),
        };
        let given = identity.name.as_deref().unwrap_or_default();
        let name = match name::normalise(given) {
            Ok(name) => name,
            Err(fault) => {
                tracing::warn!(issuer = %identity.issuer, %fault, "the provider gives no name that can be used");
                return Ok(None);
            }
        };
        if let Some(account) = self.account_named(population, &name).await? {
            let principal = account.principal;
            let is_free =
                may_match && account.active && !self.is_linked(principal, &identity.issuer).await?;
            if !is_free {
                // Made a moment ago by another sign-in of the same person?
                if let Some(principal) = self.linked(population, identity).await? {
                    return self.found_linked(principal, identity, by).await;
                }
                tracing::warn!(issuer = %identity.issuer, user.name = %name, "somebody else has the name that the provider gives");
                return Ok(None);
            }
            let mut actions = vec![self.link_identity(principal, identity)];
            actions.push(self.record_link(principal, identity, by));
            let roles = self.role_changes(principal, identity, by).await?;
            let changes_rights = !roles.is_empty();
            actions.extend(roles);
            return Ok(Some(Found {
                principal,
                name,
                actions,
                changes_rights,
            }));
        }
        if !may_create || population == Population::Administrators {
            return Ok(None);
        }
        let table = &self.shared.system.user;
        let id = Uuid::now_v7();
        let principal = Principal::User(UserId(id));
        let cut = |given: &Option<String>, most: usize| match given {
            Some(text) => Value::Text(text.chars().filter(|c| *c != '\0').take(most).collect()),
            None => Value::Null,
        };
        let detail = serde_json::json!({ "name": name, "provider": identity.provider });
        let mut actions = vec![
            insert(
                self.model(),
                table.entity,
                id,
                &[
                    (table.name, Value::Text(name.clone())),
                    (table.full_name, cut(&identity.full_name, FULL_NAME)),
                    (table.email, cut(&identity.email, EMAIL)),
                    (table.active, Value::Boolean(true)),
                ],
                Vec::new(),
            ),
            self.link_identity(principal, identity),
            self.record(
                kind::USER_ADDED,
                by,
                Some(self.about(principal)),
                Some(detail),
            ),
        ];
        actions.extend(self.role_changes(principal, identity, by).await?);
        Ok(Some(Found {
            principal,
            name,
            actions,
            changes_rights: false,
        }))
    }

    /// Somebody who has this identity, if they may sign in.
    async fn found_linked(
        &self,
        principal: Principal,
        identity: &ExternalIdentity,
        by: &Actor,
    ) -> Result<Option<Found>, IdentityError> {
        let account = self.account(principal).await?;
        let Some(account) = account.filter(|account| account.active) else {
            return Ok(None);
        };
        let actions = self.role_changes(principal, identity, by).await?;
        Ok(Some(Found {
            principal,
            name: account.name,
            changes_rights: !actions.is_empty(),
            actions,
        }))
    }

    /// Who has this identity.
    async fn linked(
        &self,
        population: Population,
        identity: &ExternalIdentity,
    ) -> Result<Option<Principal>, StoreError> {
        let (model, system) = (self.model(), &self.shared.system);
        let table = &system.identity;
        let text = |id, value: &str| {
            equal(
                attribute(model, table.entity, id),
                Value::Text(value.to_owned()),
            )
        };
        let condition = all(vec![
            text(table.issuer, &identity.issuer),
            text(table.subject, &identity.subject),
        ]);
        let query = Select::new(table.entity, &[])
            .expand(table.user.navigation, Select::new(system.user.entity, &[]))
            .expand(
                table.administrator.navigation,
                Select::new(system.administrator.entity, &[]),
            )
            .filter(model, condition, Vec::new(), 1);
        let row = self.read_one(query).await?;
        Ok(row.and_then(|row| match population {
            Population::Users => row.one(0).map(|user| Principal::User(UserId(user.id()))),
            Population::Administrators => row
                .one(1)
                .map(|row| Principal::Administrator(AdministratorId(row.id()))),
        }))
    }

    /// Whether somebody has an identity of this issuer already.
    async fn is_linked(&self, principal: Principal, issuer: &str) -> Result<bool, StoreError> {
        let (model, table) = (self.model(), &self.shared.system.identity);
        let owner = match principal {
            Principal::User(_) => table.user,
            Principal::Administrator(_) => table.administrator,
        };
        let condition = all(vec![
            owner.is(model, principal.id()),
            equal(
                attribute(model, table.entity, table.issuer),
                Value::Text(issuer.to_owned()),
            ),
        ]);
        let query = Select::new(table.entity, &[]).filter(model, condition, Vec::new(), 1);
        Ok(self.read_one(query).await?.is_some())
    }

    fn link_identity(&self, principal: Principal, identity: &ExternalIdentity) -> Action {
        let table = &self.shared.system.identity;
        let owner = match principal {
            Principal::User(_) => table.user,
            Principal::Administrator(_) => table.administrator,
        };
        insert(
            self.model(),
            table.entity,
            Uuid::now_v7(),
            &[
                (table.issuer, Value::Text(identity.issuer.clone())),
                (table.subject, Value::Text(identity.subject.clone())),
            ],
            vec![owner.to(principal.id())],
        )
    }

    fn record_link(&self, principal: Principal, identity: &ExternalIdentity, by: &Actor) -> Action {
        let detail = serde_json::json!({
            "provider": identity.provider,
            "issuer": identity.issuer,
            "subject": identity.subject,
        });
        self.record(
            kind::IDENTITY_LINKED,
            by,
            Some(self.about(principal)),
            Some(detail),
        )
    }

    /// Operations that give a user the roles of the claims, those that the application has.
    async fn role_changes(
        &self,
        principal: Principal,
        identity: &ExternalIdentity,
        by: &Actor,
    ) -> Result<Vec<Action>, IdentityError> {
        let (Some(roles), Principal::User(user)) = (&identity.roles, principal) else {
            return Ok(Vec::new());
        };
        let wanted: Vec<String> = roles
            .iter()
            .filter(|role| self.roles().any(|known| known == role.as_str()))
            .cloned()
            .collect();
        self.grants_to(user, |_| wanted.clone(), by).await
    }

    /// The caller of an access token of a provider.
    pub(super) async fn access_token(&self, token: &str) -> Result<Caller, Refusal> {
        let verifier = self
            .shared
            .access_tokens
            .get()
            .ok_or(Refusal::InvalidToken)?;
        let VerifiedToken { identity, unknown } =
            verifier.verify(token).await.ok_or(Refusal::InvalidToken)?;
        let caller = self.external_caller(&identity, unknown).await?;
        let roles = match &identity.roles {
            Some(roles) => self.roles_named(roles.iter().map(String::as_str)),
            None => Arc::clone(&caller.roles),
        };
        Ok(Caller {
            roles,
            means: Means::AccessToken,
            ..caller
        })
    }

    async fn external_caller(
        &self,
        identity: &ExternalIdentity,
        unknown: Unknown,
    ) -> Result<Caller, Refusal> {
        let hash: Hash = Sha256::new()
            .chain_update((identity.issuer.len() as u64).to_le_bytes())
            .chain_update(identity.issuer.as_bytes())
            .chain_update(identity.subject.as_bytes())
            .finalize()
            .into();
        if let Some(caller) = self.known_external(hash, identity).await.map_err(refuse)? {
            return Ok(caller);
        }
        // Nobody has this identity: perhaps somebody gets it now.
        let by = Actor {
            name: identity.name.clone().unwrap_or_default(),
            ..Actor::default()
        };
        let unusable = |error: IdentityError| match error {
            IdentityError::Store(error) => refuse(error),
            error => {
                tracing::error!(%error, "the user of an access token cannot be made");
                Refusal::Internal
            }
        };
        let roles_stay = ExternalIdentity {
            roles: None,
            ..identity.clone()
        };
        let found = self
            .find_external(Population::Users, &roles_stay, unknown, &by)
            .await
            .map_err(unusable)?
            .ok_or(Refusal::InvalidToken)?;
        if !found.actions.is_empty() {
            match self.write(change(found.actions), Some(&by)).await {
                // Somebody else has made the same user.
                Ok(_) | Err(StoreError::Violations(_)) => {}
                Err(error) => return Err(refuse(error)),
            }
        }
        self.known_external(hash, identity)
            .await
            .map_err(refuse)?
            .ok_or(Refusal::InvalidToken)
    }

    /// A caller by issuer and subject, kept like sessions.
    async fn known_external(
        &self,
        hash: Hash,
        identity: &ExternalIdentity,
    ) -> Result<Option<Caller>, StoreError> {
        let revision = self.shared.current.revision();
        if let Some(revision) = revision
            && let Some(caller) = self.shared.external.get(&(hash, revision)).await
        {
            return Ok(Some(caller));
        }
        let Some(Principal::User(user)) = self.linked(Population::Users, identity).await? else {
            return Ok(None);
        };
        let query = self
            .select_rights()
            .key(self.model(), vec![Value::Uuid(user.0)]);
        let Some(row) = self.read_one(query).await?.filter(may_sign_in) else {
            return Ok(None);
        };
        let (caller, _) = self.caller_from(&row).await?;
        if let Some(revision) = revision {
            self.shared
                .external
                .insert((hash, revision), caller.clone())
                .await;
        }
        Ok(Some(caller))
    }
}
