//! An application's database as commands about people open it: beside a server that may run, without taking
//! the data folder's lock. What they change, the running instances have confirmed when a command returns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stoa_model::access::Actor;
use stoa_runtime::identity::{Identity, Principal, UserId};
use stoa_schema::Plan;
use stoa_store::DatabaseUrl;

use super::load;
use crate::command_line;
use crate::command_line::people::Address;
use crate::failure::{Exit, Failure};
pub(crate) use crate::first_start::failure;
use crate::first_start::settings;
use crate::settings::Place;
use crate::{Result, database};

/// Name under which those are known to commands who are not signed in.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// What a command works with.
pub(crate) struct Opened {
    pub(crate) identity: Identity,
    pub(crate) place: Place,
    /// For the audit trail: who runs the command.
    pub(crate) actor: Actor,
}

/// Runs a command on the opened database of its application.
pub(crate) fn with<T>(
    place: &command_line::Place,
    work: impl AsyncFnOnce(&Opened) -> Result<T>,
) -> Result<T> {
    let place = Place::resolve(place)?;
    let application = load(&place.application)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start: {error}")))?;
    runtime.block_on(async {
        is_ready(&place, &application.model).await?;
        let store = database::open(&place.database, &application, None).await?;
        let settings = settings(&application.manifest);
        let identity = Identity::open(Arc::new(application.model), store, settings)
            .await
            .map_err(failure)?;
        let opened = Opened {
            identity,
            place,
            actor: actor(),
        };
        let result = work(&opened).await;
        opened.identity.close().await;
        opened.identity.store().close();
        result
    })
}

/// A command changes no structure: it asks for it.
async fn is_ready(place: &Place, model: &stoa_model::model::Model) -> Result<()> {
    let absent = matches!(&place.database, DatabaseUrl::Sqlite(file) if !file.exists());
    let ready = !absent
        && stoa_schema::plan(&place.database, model)
            .await
            .map(|plan: Plan| plan.steps.is_empty())
            .map_err(|error| database::schema_failure(&error))?;
    if ready {
        return Ok(());
    }
    let message = if absent {
        format!("there is no database yet: {}", place.database)
    } else {
        format!(
            "the database {} is not as the model needs it",
            place.database
        )
    };
    Err(Failure::new(Exit::Configuration, message).hint(format!(
        "make it ready with `stoa db apply {}`, or start the server; give --data or --database if the server has it elsewhere",
        shown(&place.application)
    )))
}

fn shown(path: &Path) -> String {
    crate::settings::shown(path)
}

/// Whoever runs the command, as far as the environment tells.
pub(crate) fn actor() -> Actor {
    let name = ["SUDO_USER", "LOGNAME", "USER"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty() && name.len() <= 100 && !name.contains(char::is_control));
    Actor {
        name: match name {
            Some(name) => format!("command line ({name})"),
            None => "command line".to_owned(),
        },
        ..Actor::default()
    }
}

impl Opened {
    /// The user of this name.
    pub(crate) async fn user(&self, name: &str) -> Result<UserId> {
        let user = self.identity.user_by_name(name).await.map_err(failure)?;
        Ok(user.id)
    }

    /// A link that signs somebody in once.
    pub(crate) async fn link(
        &self,
        principal: Principal,
        valid: Duration,
        address: &Address,
    ) -> Result<String> {
        let secret = self
            .identity
            .create_link(principal, valid, &self.actor)
            .await
            .map_err(failure)?;
        Ok(link_address(&address.url, secret.expose()))
    }
}

/// Address of a one-time link.
pub(crate) fn link_address(server: &str, secret: &str) -> String {
    format!("{}/-/link/{secret}", server.trim_end_matches('/'))
}
