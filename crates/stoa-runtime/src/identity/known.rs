//! What is known of a credential: read from the database once, then kept as long as nothing has changed.
//!
//! Entries are kept under the revision that was current before they were read. When the revision moves, no
//! old entry is found any more, without anybody going through them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use stoa_model::expression::Expression;
use stoa_model::model::{EntityId, Model, RoleId};
use stoa_model::query::Query;
use stoa_model::value::Value;
use stoa_store::StoreError;
use uuid::Uuid;

use super::administrator::AdministratorId;
use super::caller::{Caller, Means};
use super::record::{Record, Select, attribute, equal};
use super::secret::Hash;
use super::session::SessionId;
use super::settings::Settings;
use super::token::TokenId;
use super::user::UserId;
use super::{Identity, Instant, now};

/// Most uses that wait to be written down; beyond it the oldest news are given up, and written the next time.
const UNWRITTEN: usize = 100_000;
/// Entries that nobody uses leave the memory after this long.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// What kind of secret was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    Session,
    Token,
}

/// What a secret stands for.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) who: Who,
    credential: Credential,
    /// `id` of the session or token.
    id: Uuid,
    pub(super) expires_at: Instant,
    last_used: AtomicI64,
    /// What the database has for `last_used`, or will have soon.
    written: AtomicI64,
}

/// Who it stands for.
#[derive(Debug)]
pub(super) enum Who {
    User {
        caller: Caller,
        must_change_password: bool,
    },
    Administrator {
        id: AdministratorId,
        name: Arc<str>,
    },
}

/// Entries in memory, and uses to be written down.
pub(super) struct Memory {
    entries: Cache<(Credential, Hash, i64), Arc<Known>>,
    used: Mutex<HashMap<(Credential, Uuid), Instant>>,
    write_behind: i64,
    idle: i64,
}

/// Why an entry was not made.
enum NotKnown {
    NoSuch,
    Failed(StoreError),
}

impl Memory {
    pub(super) fn new(settings: &Settings) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self {
            entries: Cache::builder()
                .max_capacity(settings.cached)
                .time_to_idle(FORGOTTEN)
                .build(),
            used: Mutex::default(),
            write_behind: micros(settings.write_behind()),
            idle: micros(settings.session_idle),
        }
    }

    /// Notes that a credential was used.
    fn touch(&self, known: &Known, now: Instant) {
        known.last_used.fetch_max(now, Ordering::Relaxed);
        let written = known.written.load(Ordering::Relaxed);
        if now - written < self.write_behind {
            return;
        }
        let first = known
            .written
            .compare_exchange(written, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if first {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.len() < UNWRITTEN {
                used.insert((known.credential, known.id), now);
            }
        }
    }

    /// Uses that are to be written down.
    pub(super) fn take_used(&self) -> Vec<(Credential, Uuid, Instant)> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.drain()
            .map(|((credential, id), at)| (credential, id, at))
            .collect()
    }

    fn is_living(&self, known: &Known, now: Instant) -> bool {
        let is_idle = known.credential == Credential::Session
            && now - known.last_used.load(Ordering::Relaxed) > self.idle;
        now < known.expires_at && !is_idle
    }
}

impl Known {
    pub(super) fn id(&self) -> Uuid {
        self.id
    }
}

impl Identity {
    /// What a secret stands for; none if nothing, or no longer. Of many who ask at once for one that is not
    /// in memory, one asks the database.
    pub(super) async fn known(
        &self,
        credential: Credential,
        hash: Hash,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        let memory = &self.shared.memory;
        let now = now();
        let Some(revision) = self.shared.current.revision() else {
            let known = Box::pin(self.load(credential, hash)).await?;
            return Ok(known
                .filter(|known| memory.is_living(known, now))
                .inspect(|known| memory.touch(known, now)));
        };
        let key = (credential, hash, revision);
        let mut known = match memory.entries.get(&key).await {
            Some(known) => Some(known),
            // On the heap: what is known passes by, and its future stays small.
            None => Box::pin(self.remember(key)).await?,
        };
        if let Some(found) = &known
            && now < found.expires_at
            && !memory.is_living(found, now)
        {
            // Idle here: perhaps it was used elsewhere.
            memory.entries.invalidate(&key).await;
            known = Box::pin(self.remember(key)).await?;
        }
        Ok(known
            .filter(|known| memory.is_living(known, now))
            .inspect(|known| memory.touch(known, now)))
    }

    async fn remember(
        &self,
        key: (Credential, Hash, i64),
    ) -> Result<Option<Arc<Known>>, StoreError> {
        let (credential, hash, _) = key;
        let load = async {
            match Box::pin(self.load(credential, hash)).await {
                Ok(Some(known)) => Ok(known),
                Ok(None) => Err(NotKnown::NoSuch),
                Err(error) => Err(NotKnown::Failed(error)),
            }
        };
        match self.shared.memory.entries.try_get_with(key, load).await {
            Ok(known) => Ok(Some(known)),
            Err(error) => match Arc::try_unwrap(error) {
                Ok(NotKnown::NoSuch) => Ok(None),
                Ok(NotKnown::Failed(error)) => Err(error),
                Err(shared) => match &*shared {
                    NotKnown::NoSuch => Ok(None),
                    // Somebody else has the error itself.
                    NotKnown::Failed(error) => Err(StoreError::Unavailable {
                        reason: error.to_string(),
                        source: None,
                    }),
                },
            },
        }
    }

    /// Asks the database what a secret stands for.
    async fn load(
        &self,
        credential: Credential,
        hash: Hash,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        match credential {
            Credential::Session => self.load_session(hash).await,
            Credential::Token => self.load_token(hash).await,
        }
    }

    async fn load_session(&self, hash: Hash) -> Result<Option<Arc<Known>>, StoreError> {
        let (model, system) = (self.model(), &self.shared.system);
        let session = &system.session;
        let administrator = &system.administrator;
        let query = Select::new(
            session.entity,
            &[session.last_used, session.expires_at, session.address],
        )
        .expand(session.user.navigation, self.select_rights())
        .expand(
            session.administrator.navigation,
            Select::new(
                administrator.entity,
                &[administrator.name, administrator.active],
            ),
        )
        .filter(
            model,
            Some(by_hash(model, session.entity, session.token_hash, hash)),
            Vec::new(),
            1,
        );
        let Some(row) = self.read_one(query).await? else {
            return Ok(None);
        };
        let id = row.id();
        let address = row.text(2).and_then(|address| address.parse().ok());
        let who = if let Some(user) = row.one(0).filter(|user| may_sign_in(user)) {
            let (caller, must_change_password) = self.caller_from(user).await?;
            self.shared
                .throttle
                .remember((super::sign_in::USER, &caller.name), address);
            Who::User {
                caller: Caller {
                    means: Means::Session(SessionId(id)),
                    ..caller
                },
                must_change_password,
            }
        } else if let Some(administrator) = row.one(1).filter(|row| row.truth(1)) {
            let name: Arc<str> = administrator.text(0).unwrap_or_default().into();
            self.shared
                .throttle
                .remember((super::sign_in::ADMINISTRATOR, &name), address);
            Who::Administrator {
                id: AdministratorId(administrator.id()),
                name,
            }
        } else {
            return Ok(None);
        };
        let last_used = row.instant(0).unwrap_or_default();
        Ok(Some(Arc::new(Known {
            who,
            credential: Credential::Session,
            id,
            expires_at: row.instant(1).unwrap_or_default(),
            last_used: AtomicI64::new(last_used),
            written: AtomicI64::new(last_used),
        })))
    }

    async fn load_token(&self, hash: Hash) -> Result<Option<Arc<Known>>, StoreError> {
        let (model, system) = (self.model(), &self.shared.system);
        let token = &system.token;
        let query = Select::new(
            token.entity,
            &[
                token.roles,
                token.read_only,
                token.expires_at,
                token.last_used,
            ],
        )
        .expand(token.user.navigation, self.select_rights())
        .filter(
            model,
            Some(by_hash(model, token.entity, token.token_hash, hash)),
            Vec::new(),
            1,
        );
        let Some(row) = self.read_one(query).await? else {
            return Ok(None);
        };
        let Some(user) = row.one(0).filter(|user| may_sign_in(user)) else {
            return Ok(None);
        };
        let (caller, _) = self.caller_from(user).await?;
        let roles = match row.text(0) {
            None => caller.roles,
            Some(json) => {
                // What cannot be read limits to nothing.
                let names: Vec<String> = serde_json::from_str(json).unwrap_or_default();
                caller
                    .roles
                    .iter()
                    .copied()
                    .filter(|role| names.contains(&model.roles[role.index()].name))
                    .collect()
            }
        };
        let id = row.id();
        let last_used = row.instant(3).unwrap_or_default();
        Ok(Some(Arc::new(Known {
            who: Who::User {
                caller: Caller {
                    roles,
                    means: Means::Token {
                        id: TokenId(id),
                        read_only: row.truth(1),
                    },
                    ..caller
                },
                must_change_password: false,
            },
            credential: Credential::Token,
            id,
            expires_at: row.instant(2).unwrap_or_default(),
            last_used: AtomicI64::new(last_used),
            written: AtomicI64::new(last_used),
        })))
    }

    /// What is read of a user to make a caller.
    pub(super) fn select_rights(&self) -> Select {
        let system = &self.shared.system;
        Select::new(system.user.entity, &[system.user.name, system.user.active])
            .expand(
                system.grant.user.back,
                Select::new(system.grant.entity, &[system.grant.role]),
            )
            .expand(
                system.credential.user.back,
                Select::new(system.credential.entity, &[system.credential.must_change]),
            )
    }

    /// A caller from what [`Identity::select_rights`] has read, and whether the password must be changed.
    /// Whether the user may sign in is up to the one who asks.
    pub(super) async fn caller_from(&self, user: &Record) -> Result<(Caller, bool), StoreError> {
        let granted = user.many(0).iter().filter_map(|grant| grant.text(0));
        let kind = user.entity.unwrap_or(self.shared.system.user.entity);
        let values = self.values_of(kind, user.id()).await?;
        let must_change_password = user.one(1).is_some_and(|credential| credential.truth(0));
        let caller = Caller {
            user: Some(UserId(user.id())),
            name: user.text(0).unwrap_or_default().into(),
            roles: self.roles_named(granted),
            values,
            means: Means::Anonymous,
            address: None,
        };
        Ok((caller, must_change_password))
    }

    /// Roles with these names, sorted, each once. Names that the model does not have, and the role of those
    /// who are not signed in, are left out.
    pub(super) fn roles_named<'n>(&self, names: impl Iterator<Item = &'n str>) -> Arc<[RoleId]> {
        let model = self.model();
        let mut roles: Vec<RoleId> = names
            .filter_map(|name| model.roles.iter().position(|role| role.name == name))
            .map(|position| RoleId(position as u32))
            .filter(|role| model.anonymous != Some(*role))
            .collect();
        roles.sort_unstable();
        roles.dedup();
        roles.into()
    }

    /// Values of [`stoa_model::model::UserModel::values`] for a user of this kind.
    async fn values_of(&self, kind: EntityId, id: Uuid) -> Result<Arc<[Value]>, StoreError> {
        let Some(plan) = self.shared.values.get(&kind) else {
            return Ok(Arc::clone(&self.shared.no_values));
        };
        let mut values = self.shared.no_values.to_vec();
        let query = plan.select.clone().key(self.model(), vec![Value::Uuid(id)]);
        if let Some(row) = self.read_one(query).await? {
            for (position, place) in &plan.places {
                let mut record = Some(&row);
                for expand in &place.expands {
                    record = record.and_then(|record| record.one(*expand));
                }
                if let Some(record) = record {
                    values[*position] = record.value(place.attribute).clone();
                }
            }
        }
        Ok(values.into())
    }
}

/// Of what [`Identity::select_rights`] has read.
pub(super) fn may_sign_in(user: &Record) -> bool {
    user.truth(1)
}

/// How the values that rules want to know are read for users of one kind.
pub(super) struct ValuesPlan {
    select: Select,
    /// Position in the values, and where it is in the row.
    places: Vec<(usize, Place)>,
}

struct Place {
    expands: Vec<usize>,
    attribute: usize,
}

/// Plans for every kind of user that has any such value.
pub(super) fn plans(model: &Model) -> HashMap<EntityId, ValuesPlan> {
    let user = &model[model.user.entity];
    std::iter::once(user.id)
        .chain(user.specialisations.iter().copied())
        .filter_map(|kind| Some((kind, ValuesPlan::new(model, kind)?)))
        .collect()
}

impl ValuesPlan {
    fn new(model: &Model, kind: EntityId) -> Option<Self> {
        let mut select = Select::new(kind, &[]);
        let mut places = Vec::new();
        for (position, value) in model.user.values.iter().enumerate() {
            let has = value.from == kind || model[value.from].specialisations.contains(&kind);
            if has {
                let (expands, attribute) = select.add(model, &value.navigations, value.attribute);
                places.push((position, Place { expands, attribute }));
            }
        }
        (!places.is_empty()).then_some(Self { select, places })
    }
}

/// The row whose hash is this one.
pub(super) fn by_hash(
    model: &Model,
    entity: EntityId,
    token_hash: stoa_model::model::AttributeId,
    hash: Hash,
) -> Expression {
    equal(
        attribute(model, entity, token_hash),
        Value::Binary(hash.to_vec()),
    )
}

/// A query for the row that has this hash.
pub(super) fn find_by_hash(
    model: &Model,
    select: Select,
    entity: EntityId,
    token_hash: stoa_model::model::AttributeId,
    hash: Hash,
) -> Query {
    let condition = by_hash(model, entity, token_hash, hash);
    select.filter(model, Some(condition), Vec::new(), 1)
}
