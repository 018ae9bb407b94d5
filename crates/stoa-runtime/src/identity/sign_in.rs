//! Sign-in with name and password, and change of the own password.

use stoa_model::access::Actor;
use stoa_model::change::Action;
use stoa_model::value::Value;
use stoa_store::StoreError;
use uuid::Uuid;

use super::administrator::AdministratorId;
use super::audit::kind;
use super::client::Client;
use super::device;
use super::error::{IdentityError, SignInError};
use super::name;
use super::password::PasswordFault;
use super::record::{Record, Select, attribute, change, delete, equal, insert, update};
use super::secret::Secret;
use super::seed;
use super::session::{SESSION, SessionId};
use super::throttle::Attempt;
use super::user::UserId;
use super::{Identity, Principal, now};

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

/// What the throttle calls accounts of users.
pub(super) const USER: &str = "user";
/// What the throttle calls accounts of administrators.
pub(super) const ADMINISTRATOR: &str = "administrator";

/// Who is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Population {
    Users,
    Administrators,
}

impl Population {
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Users => USER,
            Self::Administrators => ADMINISTRATOR,
        }
    }

    pub(super) fn of(principal: Principal) -> Self {
        match principal {
            Principal::User(_) => Self::Users,
            Principal::Administrator(_) => Self::Administrators,
        }
    }

    pub(super) fn success(self) -> &'static str {
        match self {
            Self::Users => kind::SIGN_IN,
            Self::Administrators => kind::ADMINISTRATOR_SIGN_IN,
        }
    }

    pub(super) fn failure(self) -> &'static str {
        match self {
            Self::Users => kind::SIGN_IN_FAILURE,
            Self::Administrators => kind::ADMINISTRATOR_SIGN_IN_FAILURE,
        }
    }

    pub(super) fn changed(self) -> &'static str {
        match self {
            Self::Users => kind::PASSWORD_CHANGED,
            Self::Administrators => kind::ADMINISTRATOR_PASSWORD_CHANGED,
        }
    }
}

/// Somebody with a password, or without.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) principal: Principal,
    pub(super) name: String,
    pub(super) active: bool,
    /// Name, full name, e-mail address: no part of a good password.
    pub(super) names: Vec<String>,
    pub(super) hash: Option<String>,
    /// Row that has the hash, and its version.
    row: Option<(Uuid, Option<i64>)>,
    pub(super) must_change: bool,
}

/// Longest name that the audit trail and the throttle are told, in characters.
const SHOWN: usize = 120;
/// How often a sign-in is tried when others sign in to the same account.
pub(super) const ATTEMPTS: usize = 20;

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
        self.sign_in_to(Population::Users, name, password, client)
            .await
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
        self.sign_in_to(Population::Administrators, name, password, client)
            .await
    }

    async fn sign_in_to(
        &self,
        population: Population,
        name: &str,
        password: &str,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let known_form = name::normalise(name).ok();
        let shown: String = match &known_form {
            Some(name) => name.clone(),
            None => name.trim().chars().take(SHOWN).collect(),
        };
        let (throttle, request) = (&self.shared.throttle, client.request.as_deref());
        // Whoever may be known is told apart below. (A made-up cookie gains a look at the database, no more.)
        if client.device.is_none()
            && let Some(retry_after) = throttle.flooded((population.tag(), &shown), client.address)
        {
            self.record_failure(population.failure(), &shown, client.address, request)
                .await;
            return Err(SignInError::Throttled { retry_after });
        }
        let account = match &known_form {
            Some(name) => self.account_named(population, name).await?,
            None => None,
        };
        let hash = account.as_ref().and_then(|account| account.hash.clone());
        let device = account
            .as_ref()
            .zip(hash.as_deref())
            .and_then(|(account, hash)| {
                device::verify(client.device.as_deref(), account.principal.id(), hash)
            });
        let attempt = Attempt {
            account: (population.tag(), &shown),
            address: client.address,
            device,
        };
        let admitted = match throttle.admit(attempt).await {
            Ok(admitted) => admitted,
            Err(retry_after) => {
                self.record_failure(population.failure(), &shown, client.address, request)
                    .await;
                return Err(SignInError::Throttled { retry_after });
            }
        };
        let verified = match self.shared.passwords.verify(hash, password).await {
            Ok(verified) => verified,
            Err(error) => {
                admitted.forgotten();
                return Err(error.into());
            }
        };
        let account = match account {
            Some(account) if verified.right && account.active => account,
            _ => {
                drop(admitted);
                self.record_failure(population.failure(), &shown, client.address, request)
                    .await;
                return Err(SignInError::Failed);
            }
        };
        admitted.succeeded();
        let rehashed = if verified.outdated {
            Some(self.shared.passwords.hash(password).await?)
        } else {
            None
        };
        let begun = self
            .begin_session(population, account, rehashed, client)
            .await;
        // Of two copies of the request one has begun the session that both have the token of.
        self.or_before(begun, client, true).await
    }

    /// A session for somebody whose password was right. The row of the password has the version that was
    /// looked at, or nothing happens: a password that is changed meanwhile opens nothing any more.
    async fn begin_session(
        &self,
        population: Population,
        mut account: Account,
        rehashed: Option<String>,
        client: &Client,
    ) -> Result<SignedIn, SignInError> {
        let principal = account.principal;
        let looked_at = account.hash.clone();
        let replaced = self.presented_session(principal, client).await?;
        let by = Actor {
            name: account.name.clone(),
            id: Some(principal.id()),
            address: client.address.map(|address| address.to_string()),
            request: client.request.clone(),
        };
        let mut attempt = 1;
        loop {
            let session = self.new_session(principal, client, None);
            let detail = serde_json::json!({ "session": session.id.to_string(), "by": "password" });
            let guard = self.guard(population, &account, rehashed.clone());
            let actions = guard.into_iter().chain([
                session.action,
                self.record(
                    population.success(),
                    &by,
                    Some(self.about(principal)),
                    Some(detail),
                ),
            ]);
            match self.write_session(actions.collect(), replaced, &by).await {
                Ok(()) => {
                    let hash = rehashed.as_deref().or(looked_at.as_deref());
                    let device = hash.and_then(|hash| {
                        device::remember(client.device.as_deref(), principal.id(), hash)
                    });
                    return Ok(SignedIn {
                        principal,
                        name: account.name,
                        session: session.id,
                        token: session.token,
                        device,
                        must_change_password: account.must_change,
                    });
                }
                Err(IdentityError::Store(
                    StoreError::VersionMismatch { .. } | StoreError::NotFound { .. },
                )) if attempt < ATTEMPTS => {
                    // Somebody else has signed in there, or the password has changed.
                    attempt += 1;
                    account = match self.account(principal).await? {
                        Some(account) if account.active && account.hash == looked_at => account,
                        _ => return Err(SignInError::Failed),
                    };
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Inserts a session with what belongs to it; the one that the client had before ends.
    pub(super) async fn write_session(
        &self,
        mut actions: Vec<Action>,
        replaced: Option<Uuid>,
        by: &Actor,
    ) -> Result<(), IdentityError> {
        let Some(replaced) = replaced else {
            self.write(change(actions), Some(by)).await?;
            return Ok(());
        };
        let without = actions.clone();
        let position = actions.len();
        actions.push(delete(self.shared.system.session.entity, replaced));
        match self.write_and_publish(change(actions), Some(by)).await {
            // It has ended meanwhile.
            Err(IdentityError::Store(StoreError::NotFound { operation }))
                if operation == position =>
            {
                self.write(change(without), Some(by)).await?;
                Ok(())
            }
            written => written,
        }
    }

    /// The operation that fails if the password is no longer the one that was looked at.
    fn guard(
        &self,
        population: Population,
        account: &Account,
        rehashed: Option<String>,
    ) -> Option<Action> {
        let (id, version) = account.row?;
        let system = &self.shared.system;
        let (entity, hash) = match population {
            Population::Users => (system.credential.entity, system.credential.hash),
            Population::Administrators => (system.administrator.entity, system.administrator.hash),
        };
        let values = rehashed.map(|rehashed| (hash, Value::Text(rehashed)));
        Some(update(entity, id, version, values.into_iter().collect()))
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
        let population = Population::of(principal);
        let account = self
            .account(principal)
            .await?
            .ok_or(IdentityError::UnknownSession)?;
        // Whoever has a session is known here.
        let attempt = Attempt {
            account: (population.tag(), &account.name),
            address: client.address,
            device: Some(session.0.into_bytes()),
        };
        let admitted = self
            .shared
            .throttle
            .admit(attempt)
            .await
            .map_err(|retry_after| SignInError::Throttled { retry_after })?;
        let passwords = &self.shared.passwords;
        let verified = match passwords.verify(account.hash.clone(), current).await {
            Ok(verified) => verified,
            Err(error) => {
                admitted.forgotten();
                return Err(error.into());
            }
        };
        if !verified.right {
            drop(admitted);
            let request = client.request.as_deref();
            self.record_failure(population.failure(), &account.name, client.address, request)
                .await;
            return Err(IdentityError::WrongPassword.into());
        }
        admitted.succeeded();
        if new == current {
            return Err(IdentityError::from(PasswordFault::Unchanged).into());
        }
        let names: Vec<&str> = account.names.iter().map(String::as_str).collect();
        let hash = passwords.judge_and_hash(new, &names).await?;
        let by = Actor {
            name: account.name.clone(),
            id: Some(principal.id()),
            address: client.address.map(|address| address.to_string()),
            request: client.request.clone(),
        };
        let token = seed::secret(client.seed.as_ref(), SESSION, "");
        let mut actions = self.store_hash(&account, hash, false);
        let first = actions.len();
        actions.push(self.retoken(session, &token));
        actions.extend(self.end_others(principal, &[session.0]));
        actions.push(self.record(population.changed(), &by, Some(self.about(principal)), None));
        match self.write_and_publish(change(actions), Some(&by)).await {
            Ok(()) => Ok(token),
            Err(IdentityError::Store(StoreError::NotFound { operation })) if operation == first => {
                Err(IdentityError::UnknownSession.into())
            }
            // Somebody else has just changed it: what was given as the current one is so no longer.
            Err(IdentityError::Store(
                StoreError::VersionMismatch { .. } | StoreError::NotFound { .. },
            )) => {
                match self.account(principal).await? {
                    // Only a sign-in came between.
                    Some(again) if again.hash == account.hash => {
                        Err(IdentityError::Store(StoreError::Busy { source: None }).into())
                    }
                    _ => Err(IdentityError::WrongPassword.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sets somebody's password by an administrator or a command. All their sessions and links end.
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
        let population = Population::of(principal);
        let mut hash = None;
        let mut attempt = 1;
        loop {
            let account = self
                .account(principal)
                .await?
                .ok_or_else(|| unknown(principal))?;
            let hash = match &hash {
                Some(hash) => String::clone(hash),
                None => {
                    let names: Vec<&str> = account.names.iter().map(String::as_str).collect();
                    let made = self
                        .shared
                        .passwords
                        .judge_and_hash(password, &names)
                        .await?;
                    hash.insert(made).clone()
                }
            };
            let detail = serde_json::json!({ "must_change": must_change });
            let mut actions = self.store_hash(&account, hash, must_change);
            actions.extend(self.end_others(principal, &[]));
            actions.push(self.record(
                population.changed(),
                by,
                Some(self.about(principal)),
                Some(detail),
            ));
            match self.write_and_publish(change(actions), Some(by)).await {
                // A sign-in, or another first password, came between.
                Err(IdentityError::Store(
                    StoreError::VersionMismatch { .. }
                    | StoreError::NotFound { .. }
                    | StoreError::Violations(_),
                )) if attempt < ATTEMPTS => attempt += 1,
                written => return written,
            }
        }
    }

    /// The operation that keeps a hash.
    pub(super) fn store_hash(
        &self,
        account: &Account,
        hash: String,
        must_change: bool,
    ) -> Vec<Action> {
        let system = &self.shared.system;
        let credential = &system.credential;
        let hash = Value::Text(hash);
        match (account.principal, account.row) {
            (Principal::Administrator(_), Some((id, version))) => {
                let table = &system.administrator;
                vec![update(table.entity, id, version, vec![(table.hash, hash)])]
            }
            (Principal::Administrator(_), None) => Vec::new(),
            (Principal::User(user), row) => {
                let values = vec![
                    (credential.hash, hash),
                    (credential.set_at, Value::DateTime(now())),
                    (credential.must_change, Value::Boolean(must_change)),
                ];
                vec![match row {
                    Some((id, version)) => update(credential.entity, id, version, values),
                    None => insert(
                        self.model(),
                        credential.entity,
                        Uuid::now_v7(),
                        &values,
                        vec![credential.user.to(user.0)],
                    ),
                }]
            }
        }
    }

    /// Operations that end sessions and one-time links.
    pub(super) fn end_others(&self, principal: Principal, keep: &[Uuid]) -> [Action; 2] {
        let link = &self.shared.system.link;
        let links = match principal {
            Principal::User(_) => link.user,
            Principal::Administrator(_) => link.administrator,
        };
        [
            self.owner(principal).delete_all(principal.id(), keep),
            links.delete_all(principal.id(), &[]),
        ]
    }

    /// The account with a normalised name.
    pub(super) async fn account_named(
        &self,
        population: Population,
        name: &str,
    ) -> Result<Option<Account>, StoreError> {
        let (model, system) = (self.model(), &self.shared.system);
        let (entity, attribute_id) = match population {
            Population::Users => (system.user.entity, system.user.name),
            Population::Administrators => (system.administrator.entity, system.administrator.name),
        };
        let condition = equal(
            attribute(model, entity, attribute_id),
            Value::Text(name.to_owned()),
        );
        let query = self
            .select_account(population)
            .filter(model, Some(condition), Vec::new(), 1);
        let row = self.read_one(query).await?;
        Ok(row.map(|row| account_from(population, &row)))
    }

    /// The account of somebody.
    pub(super) async fn account(
        &self,
        principal: Principal,
    ) -> Result<Option<Account>, StoreError> {
        let population = Population::of(principal);
        let query = self
            .select_account(population)
            .key(self.model(), vec![Value::Uuid(principal.id())]);
        let row = self.read_one(query).await?;
        Ok(row.map(|row| account_from(population, &row)))
    }

    fn select_account(&self, population: Population) -> Select {
        let system = &self.shared.system;
        match population {
            Population::Users => {
                let user = &system.user;
                let credential = &system.credential;
                Select::new(
                    user.entity,
                    &[user.name, user.active, user.full_name, user.email],
                )
                .expand(
                    credential.user.back,
                    Select::new(
                        credential.entity,
                        &[credential.hash, credential.must_change],
                    ),
                )
            }
            Population::Administrators => {
                let table = &system.administrator;
                Select::new(
                    table.entity,
                    &[
                        table.name,
                        table.active,
                        table.full_name,
                        table.email,
                        table.hash,
                    ],
                )
            }
        }
    }
}

fn account_from(population: Population, row: &Record) -> Account {
    let names = [0, 2, 3].iter().filter_map(|at| row.owned(*at)).collect();
    let credential = row.one(0);
    let (principal, hash, place, must_change) = match population {
        Population::Users => (
            Principal::User(UserId(row.id())),
            credential.and_then(|credential| credential.owned(0)),
            credential.map(|credential| (credential.id(), credential.version)),
            credential.is_some_and(|credential| credential.truth(1)),
        ),
        Population::Administrators => (
            Principal::Administrator(AdministratorId(row.id())),
            row.owned(4),
            Some((row.id(), row.version)),
            false,
        ),
    };
    Account {
        principal,
        name: row.owned(0).unwrap_or_default(),
        active: row.truth(1),
        names,
        hash,
        row: place,
        must_change,
    }
}

/// There is no such principal.
pub(super) fn unknown(principal: Principal) -> IdentityError {
    match principal {
        Principal::User(id) => IdentityError::UnknownUser(id.to_string()),
        Principal::Administrator(id) => IdentityError::UnknownAdministrator(id.to_string()),
    }
}
