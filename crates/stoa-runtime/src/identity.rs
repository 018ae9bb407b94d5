//! Who makes a request: users, passwords, sessions, tokens, links, administrators, and the record of it.
//!
//! Owns: the system entities of the model (`SystemUser` and its kin) and what their rows mean.
//!
//! Does not own: what a caller may do (access rules), pages and cookies' paths through them, the dance with
//! an OpenID provider, who tells other instances of a change (coordination of the store).
//!
//! Invariants:
//! - Secrets are kept as hashes only: passwords as Argon2id, everything that is random as SHA-256. The
//!   secret itself exists in the answer that hands it out.
//! - Nothing kept in memory is used unless the instance knows that it is current (`Membership` of the store); else the
//!   database is asked. What takes rights away moves the revision in the same transaction, and returns when
//!   every living instance has seen it.
//! - Whether a name exists shows neither in an answer nor in its time.
//!
//! Start reading at [`Identity::caller`] (`caller`), then `sign_in`.

mod activation;
pub mod administrator;
pub mod audit;
pub mod caller;
pub mod client;
pub mod concern;
pub mod cookies;
mod current;
mod device;
mod error;
pub mod external;
mod failures;
mod known;
pub mod link;
pub mod name;
pub mod password;
mod record;
pub mod secret;
mod seed;
pub mod session;
mod settings;
pub mod sign_in;
pub mod throttle;
pub mod token;
mod upkeep;
pub mod user;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moka::future::Cache;
use stoa_model::model::{EntityId, Model};
use stoa_model::value::Value;
use stoa_store::{LeaseState, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use concern::Concerns;
use current::Current;
use external::AccessTokens;
use failures::Failures;
use known::{Memory, ValuesPlan};
use password::Passwords;
use record::System;
use secret::Hash;
use throttle::Throttle;

pub use administrator::{Administrator, AdministratorId};
pub use caller::{Caller, Means, Refusal};
pub use client::Client;
pub use cookies::Cookies;
pub use error::{IdentityError, SignInError};
pub use name::NameFault;
pub use password::PasswordFault;
pub use secret::Secret;
pub use seed::Seed;
pub use session::{SessionId, SessionInfo};
pub use settings::Settings;
pub use sign_in::SignedIn;
pub use token::TokenId;
pub use user::{NewUser, User, UserId};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub ::uuid::Uuid);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}
use row_id;

/// Everything about the people and programs that use an environment. Clones share it.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    model: Arc<Model>,
    store: Store,
    settings: Settings,
    system: System,
    concerns: Concerns,
    current: Current,
    memory: Memory,
    /// Callers with access tokens of a provider, by issuer and subject.
    external: Cache<(Hash, i64), Caller>,
    access_tokens: OnceLock<Arc<dyn AccessTokens>>,
    passwords: Passwords,
    throttle: Arc<Throttle>,
    failures: Failures,
    /// How the values that rules want to know are read, by kind of user.
    values: HashMap<EntityId, ValuesPlan>,
    /// As many nulls.
    no_values: Arc<[Value]>,
    /// Who is not signed in, if such people are let in.
    anonymous: Option<Caller>,
    upkeep: Mutex<Option<JoinHandle<()>>>,
}

/// Microseconds since the Unix epoch.
type Instant = i64;

fn now() -> Instant {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, micros)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// Somebody who can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A user of the application.
    User(UserId),
    /// An administrator of the site.
    Administrator(AdministratorId),
}

impl Principal {
    /// `id` of the row.
    #[must_use]
    pub fn id(self) -> Uuid {
        match self {
            Self::User(UserId(id)) | Self::Administrator(AdministratorId(id)) => id,
        }
    }
}

impl Identity {
    /// Makes ready for an application whose database has the structure of its model. With
    /// [`Settings::instance`] it joins the other instances and keeps sessions in memory; without (a command)
    /// each question goes to the database.
    ///
    /// # Errors
    /// The database is away, or the model lacks the system's entities.
    pub async fn open(
        model: Arc<Model>,
        store: Store,
        settings: Settings,
    ) -> Result<Self, IdentityError> {
        let system = System::bind(&model)?;
        let current = Current::open(&model, &store, settings.instance.as_deref()).await?;
        let no_values: Arc<[Value]> = vec![Value::Null; model.user.values.len()].into();
        let anonymous = model.anonymous.map(|role| Caller {
            user: None,
            name: "anonymous".into(),
            roles: Arc::from([role]),
            values: Arc::clone(&no_values),
            means: Means::Anonymous,
            address: None,
        });
        let shared = Arc::new(Shared {
            concerns: Concerns::new(&model),
            memory: Memory::new(&settings),
            external: Cache::builder().max_capacity(settings.cached).build(),
            access_tokens: OnceLock::new(),
            passwords: Passwords::new(&settings)?,
            throttle: Arc::new(Throttle::new(settings.throttle.clone())),
            failures: Failures::default(),
            values: known::plans(&model),
            upkeep: Mutex::new(None),
            model,
            store,
            settings,
            system,
            current,
            no_values,
            anonymous,
        });
        if shared.settings.instance.is_some() {
            let task = upkeep::start(&shared);
            *shared.upkeep.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
        Ok(Self { shared })
    }

    /// Writes what is still to be written (last use of sessions, numbers of failures) and leaves the other
    /// instances. Call it when no request is under way any more.
    pub async fn close(&self) {
        let task = self
            .shared
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.abort();
        }
        self.write_uses().await;
        self.write_failures().await;
        self.shared.current.leave().await;
    }

    /// The application's own model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.shared.model
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Settings it was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What the lease of this instance is worth; none: it is no instance. While it is [`LeaseState::Over`] nothing
    /// may be served.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseState> {
        self.shared.current.lease()
    }

    /// Tells when what the lease is worth changes.
    #[must_use]
    pub fn watch_lease(&self) -> Option<watch::Receiver<LeaseState>> {
        self.shared.current.watch()
    }

    /// Whether this instance does what only one of those that live should do: pruning, schedules.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.shared.current.leads()
    }

    /// Whether requests may be answered.
    pub(crate) fn may_serve(&self) -> bool {
        self.lease() != Some(LeaseState::Over)
    }

    /// Password hashes computed since the start: what sign-ins cost.
    #[must_use]
    pub fn password_hashes(&self) -> u64 {
        self.shared.passwords.computed()
    }

    /// Names of the roles that can be granted, in the model's order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let anonymous = self.shared.model.anonymous;
        self.shared
            .model
            .roles
            .iter()
            .enumerate()
            .filter(move |(position, _)| anonymous.is_none_or(|role| role.index() != *position))
            .map(|(_, role)| role.name.as_str())
    }
}
