//! Users to try an application out with, whose password everybody knows. They are possible only where all of
//! this holds: the application declares them, `--demo-users` asks for them, the server listens on loopback
//! (judged with the settings), and the database was made for it and says so. Such a database is never served
//! otherwise.

use std::sync::Arc;

use stoa_model::access::{Actor, JudgedChange, Permitted};
use stoa_model::application::{Demonstration, Manifest};
use stoa_model::change::{Action, Change, Operation};
use stoa_model::model::{EntityId, Model};
use stoa_model::query::{Query, Row, RowWriter, Source};
use stoa_model::value::{Value, ValueRef};
use stoa_runtime::identity::{Identity, IdentityError, NewUser, Principal};
use stoa_store::Store;

use crate::failure::{Exit, Failure};
use crate::first_start::failure;
use crate::settings::Settings;
use crate::{Result, database};

/// Name of the row that marks a database as made for demonstration.
const MARK: &str = "demonstration";

/// The application has such users, with roles of its model.
pub(crate) fn check(manifest: &Manifest, model: &Model) -> Result<()> {
    let Some(demonstration) = &manifest.demonstration else {
        return Err(Failure::new(
            Exit::Configuration,
            format!("--demo-users: {} has no users for demonstration", manifest.name),
        )
        .hint("only an application with a section [demonstration] in app.toml has them; use `stoa user add`"));
    };
    match fault(demonstration, model) {
        Some(fault) => Err(Failure::new(Exit::Configuration, fault)),
        None => Ok(()),
    }
}

/// What is wrong with the section, as far as the model tells.
pub(crate) fn fault(demonstration: &Demonstration, model: &Model) -> Option<String> {
    let unknown = demonstration
        .users
        .iter()
        .find(|user| !model.roles.iter().any(|role| role.name == user.role))?;
    Some(format!(
        "app.toml: [demonstration]: the model has no role `{}`, which `{}` is to have",
        unknown.role, unknown.name
    ))
}

/// Whether this database may be served with, or without, such users. A new one is marked.
pub(crate) async fn admit(
    settings: &Settings,
    store: &Store,
    model: &Arc<Model>,
    is_new: bool,
) -> Result<()> {
    let failed = |error| database::store_failure(&settings.place.database, &error);
    let is_marked = is_marked(store, model).await.map_err(failed)?;
    let database = &settings.place.database;
    match (settings.demonstration, is_marked) {
        (true, true) | (false, false) => Ok(()),
        (true, false) if is_new => mark(store, model).await.map_err(failed),
        (true, false) => Err(Failure::new(
            Exit::Configuration,
            format!("--demo-users: the database {database} was not made for demonstration"),
        )
        .hint("give a new one with --data or --database, or leave --demo-users out")),
        (false, true) => Err(Failure::new(
            Exit::Configuration,
            format!("the database {database} has users for demonstration, whose password everybody knows"),
        )
        .hint("add --demo-users, or give another one with --data or --database")),
    }
}

fn revisions(model: &Model) -> Option<EntityId> {
    model.entities_by_name.get("SystemRevision").copied()
}

async fn is_marked(
    store: &Store,
    model: &Arc<Model>,
) -> std::result::Result<bool, stoa_store::StoreError> {
    let Some(entity) = revisions(model) else {
        return Ok(false);
    };
    let key = vec![Value::Text(MARK.to_owned())];
    let query = Query::row(entity, Source::Key(key), Vec::new());
    Ok(store.count(model, &Permitted::by_system(query)).await?.rows > 0)
}

async fn mark(
    store: &Store,
    model: &Arc<Model>,
) -> std::result::Result<(), stoa_store::StoreError> {
    let Some(entity) = revisions(model) else {
        return Ok(());
    };
    let key = model[entity].key.first().copied();
    let operation = Operation {
        location: String::new(),
        action: Action::Insert {
            entity,
            values: key
                .map(|key| (key, Value::Text(MARK.to_owned())))
                .into_iter()
                .collect(),
            references: Vec::new(),
        },
    };
    let change = Change {
        operations: vec![operation],
    };
    store
        .write::<NoRows>(
            model,
            Permitted::by_system(JudgedChange::from(change)),
            None,
        )
        .await?;
    Ok(())
}

/// Nothing is read back.
enum NoRows {}

impl RowWriter for NoRows {
    fn begin_collection(&mut self, _: usize, _: Option<u64>) {
        match *self {}
    }
    fn end_collection(&mut self, _: usize, _: Option<&[Value]>) {
        match *self {}
    }
    fn begin_row(&mut self, _: usize, _: Row<'_>) {
        match *self {}
    }
    fn value(&mut self, _: usize, _: usize, _: ValueRef<'_>) {
        match *self {}
    }
    fn null_target(&mut self, _: usize) {
        match *self {}
    }
    fn count_only(&mut self, _: usize, _: u64) {
        match *self {}
    }
    fn end_row(&mut self, _: usize) {
        match *self {}
    }
    fn written(&self) -> usize {
        match *self {}
    }
}

/// Makes those who are not there yet; the sample data may have them. Who has a password keeps it.
pub(crate) async fn make_users(identity: &Identity, manifest: &Manifest) -> Result<()> {
    let Some(demonstration) = &manifest.demonstration else {
        return Ok(());
    };
    let by = Actor {
        name: "demonstration".to_owned(),
        ..Actor::default()
    };
    for user in &demonstration.users {
        let found = match identity.user_by_name(&user.name).await {
            Ok(found) => found,
            Err(IdentityError::UnknownUser(_)) => identity
                .add_user(
                    NewUser {
                        name: user.name.clone(),
                        ..NewUser::default()
                    },
                    &by,
                )
                .await
                .map_err(failure)?,
            Err(error) => return Err(failure(error)),
        };
        if !found.roles.contains(&user.role) {
            let roles = std::slice::from_ref(&user.role);
            identity
                .grant(found.id, roles, &by)
                .await
                .map_err(failure)?;
        }
        if !found.has_password {
            identity
                .set_password(
                    Principal::User(found.id),
                    &demonstration.password,
                    false,
                    &by,
                )
                .await
                .map_err(failure)?;
        }
    }
    Ok(())
}
