//! One-time sign-in links.

use std::time::Duration;

use stoa_model::access::Actor;
use stoa_model::value::Value;
use stoa_store::StoreError;
use uuid::Uuid;

use super::administrator::AdministratorId;
use super::audit::kind;
use super::client::Client;
use super::device;
use super::error::{IdentityError, SignInError};
use super::known::find_by_hash;
use super::record::{Select, change, delete, insert};
use super::secret::{Secret, presented};
use super::seed::{self, Seed};
use super::sign_in::{ATTEMPTS, Account, Population, SignedIn, unknown};
use super::token::{SHORTEST, instant_text};
use super::user::UserId;
use super::{Identity, Principal, micros, now};

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
        self.create_link_once(principal, lifetime, by, None).await
    }

    /// As [`Identity::create_link`], by a request that may be repeated: it makes one link.
    ///
    /// # Errors
    /// As [`Identity::create_link`].
    pub async fn create_link_once(
        &self,
        principal: Principal,
        lifetime: Duration,
        by: &Actor,
        seed: Option<&Seed>,
    ) -> Result<Secret, IdentityError> {
        let table = &self.shared.system.link;
        let maximum = self.settings().link_lifetime;
        if lifetime < SHORTEST || lifetime > maximum {
            return Err(IdentityError::Lifetime { maximum });
        }
        if self.account(principal).await?.is_none() {
            return Err(unknown(principal));
        }
        let secret = seed::secret(seed, "link", "");
        let expires_at = now() + micros(lifetime);
        let owner = match principal {
            Principal::User(_) => table.user,
            Principal::Administrator(_) => table.administrator,
        };
        let detail = serde_json::json!({ "expires_at": instant_text(expires_at) });
        let actions = vec![
            insert(
                self.model(),
                table.entity,
                Uuid::now_v7(),
                &[
                    (table.token_hash, Value::Binary(secret.hash().to_vec())),
                    (table.expires_at, Value::DateTime(expires_at)),
                ],
                vec![owner.to(principal.id())],
            ),
            self.record(
                kind::LINK_CREATED,
                by,
                Some(self.about(principal)),
                Some(detail),
            ),
        ];
        match self.write(change(actions), Some(by)).await {
            // The link that the request has made is there already.
            Err(StoreError::Violations(_)) if seed.is_some() => Ok(secret),
            written => written.map(|_| secret).map_err(IdentityError::from),
        }
    }

    /// Whom a link would sign in, without using it up: principal and name; none if it is not valid. (Mail
    /// programs look at links: the page asks for a click, and only that uses the link up.)
    ///
    /// # Errors
    /// The database.
    pub async fn link(&self, secret: &str) -> Result<Option<(Principal, String)>, IdentityError> {
        Ok(self
            .living_link(secret)
            .await?
            .map(|(_, account)| (account.principal, account.name)))
    }

    /// Uses a link up and signs in. Of two requests at once one wins.
    ///
    /// # Errors
    /// [`SignInError::Failed`] if it was used, has expired or never was; see [`SignInError`].
    pub async fn use_link(&self, secret: &str, client: &Client) -> Result<SignedIn, SignInError> {
        let used = self.use_link_now(secret, client).await;
        self.or_before(used, client, false).await
    }

    async fn use_link_now(&self, secret: &str, client: &Client) -> Result<SignedIn, SignInError> {
        let Some((link, account)) = self.living_link(secret).await? else {
            return Err(SignInError::Failed);
        };
        let principal = account.principal;
        let replaced = self.presented_session(principal, client).await?;
        let session = self.new_session(principal, client, None);
        let by = Actor {
            name: account.name.clone(),
            id: Some(principal.id()),
            address: client.address.map(|address| address.to_string()),
            request: client.request.clone(),
        };
        let detail = serde_json::json!({ "session": session.id.to_string() });
        let actions = vec![
            delete(self.shared.system.link.entity, link),
            session.action,
            self.record(
                kind::LINK_USED,
                &by,
                Some(self.about(principal)),
                Some(detail),
            ),
        ];
        match self.write_session(actions, replaced, &by).await {
            Ok(()) => Ok(SignedIn {
                principal,
                name: account.name,
                session: session.id,
                token: session.token,
                device: None,
                must_change_password: false,
            }),
            // Somebody was quicker.
            Err(IdentityError::Store(StoreError::NotFound { operation: 0 })) => {
                Err(SignInError::Failed)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Uses a link up to set a password, and signs in: all of it or nothing, so that of two who have the link
    /// only one sets a password. Other sessions and links end. A password that is not good enough leaves the
    /// link as it is.
    ///
    /// # Errors
    /// As [`Identity::use_link`]; [`IdentityError::Password`].
    pub async fn use_link_for_password(
        &self,
        secret: &str,
        password: &str,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let used = self
            .use_link_for_password_now(secret, password, client)
            .await;
        self.or_before(used, client, true).await
    }

    async fn use_link_for_password_now(
        &self,
        secret: &str,
        password: &str,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let mut made = None;
        for _ in 0..ATTEMPTS {
            let Some((link, account)) = self.living_link(secret).await? else {
                return Err(SignInError::Failed);
            };
            let hash = match &made {
                Some(hash) => String::clone(hash),
                None => {
                    let names: Vec<&str> = account.names.iter().map(String::as_str).collect();
                    let passwords = &self.shared.passwords;
                    let hash = passwords.judge_and_hash(password, &names).await?;
                    made.insert(hash).clone()
                }
            };
            let principal = account.principal;
            let by = Actor {
                name: account.name.clone(),
                id: Some(principal.id()),
                address: client.address.map(|address| address.to_string()),
                request: client.request.clone(),
            };
            let replaced = self.presented_session(principal, client).await?;
            let session = self.new_session(principal, client, None);
            let detail = serde_json::json!({ "session": session.id.to_string() });
            let about = Some(self.about(principal));
            let mut actions = vec![delete(self.shared.system.link.entity, link)];
            actions.extend(replaced.map(|id| delete(self.shared.system.session.entity, id)));
            actions.extend(self.store_hash(&account, hash.clone(), false));
            actions.extend(self.end_others(principal, &[]));
            actions.push(session.action);
            let changed = Population::of(principal).changed();
            actions.push(self.record(changed, &by, about, None));
            actions.push(self.record(kind::LINK_USED, &by, about, Some(detail)));
            match self.write_and_publish(change(actions), Some(&by)).await {
                Ok(()) => {
                    return Ok(SignedIn {
                        principal,
                        name: account.name,
                        session: session.id,
                        token: session.token,
                        device: device::remember(client.device.as_deref(), principal.id(), &hash),
                        must_change_password: false,
                    });
                }
                // Somebody was quicker.
                Err(IdentityError::Store(StoreError::NotFound { operation: 0 })) => {
                    return Err(SignInError::Failed);
                }
                // A sign-in with the old password, or a sign-out, came between.
                Err(IdentityError::Store(
                    StoreError::VersionMismatch { .. }
                    | StoreError::NotFound { .. }
                    | StoreError::Violations(_),
                )) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(IdentityError::Store(StoreError::Busy { source: None }).into())
    }

    /// A link that can be used, and whose it is.
    async fn living_link(&self, secret: &str) -> Result<Option<(Uuid, Account)>, StoreError> {
        let Some(hash) = presented("", secret) else {
            return Ok(None);
        };
        let system = &self.shared.system;
        let table = &system.link;
        let select = Select::new(table.entity, &[table.expires_at])
            .expand(table.user.navigation, Select::new(system.user.entity, &[]))
            .expand(
                table.administrator.navigation,
                Select::new(system.administrator.entity, &[]),
            );
        let query = find_by_hash(self.model(), select, table.entity, table.token_hash, hash);
        let Some(row) = self.read_one(query).await? else {
            return Ok(None);
        };
        let principal = match (row.one(0), row.one(1)) {
            (Some(user), _) => Principal::User(UserId(user.id())),
            (None, Some(administrator)) => {
                Principal::Administrator(AdministratorId(administrator.id()))
            }
            (None, None) => return Ok(None),
        };
        if row.instant(0).is_none_or(|expires_at| expires_at <= now()) {
            return Ok(None);
        }
        let account = self.account(principal).await?;
        Ok(account
            .filter(|account| account.active)
            .map(|account| (row.id(), account)))
    }
}
