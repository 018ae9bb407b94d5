//! A database brought up to date and opened; a new one gets the sample data, all of it or nothing, and the
//! site its first administrator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stoa_model::access::Actor;
use stoa_model::application::{Application, Manifest};
use stoa_model::model::Model;
use stoa_runtime::identity::{self, Identity, IdentityError, Principal, Secret};
use stoa_runtime::sample_data::{self, Rows, SampleDataError};
use stoa_store::{DatabaseUrl, Store};

use crate::failure::{Exit, Failure, chain};
use crate::progress::Progress;
use crate::settings::{Place, Settings};
use crate::{Result, database, demonstration, least_privilege};

/// Name of the first administrator.
pub(crate) const ADMINISTRATOR: &str = "admin";

/// How long the link of the first administrator works.
const LINK: Duration = Duration::from_secs(60 * 60);

/// What a server needs between a valid application and the first request.
pub(crate) struct Prepared {
    pub(crate) store: Store,
    pub(crate) identity: Identity,
    /// A link for the administrator who has just been made.
    pub(crate) first_link: Option<Secret>,
}

/// Everything between a valid application and the first request.
pub(crate) async fn prepare(settings: &Settings, application: &Application) -> Result<Prepared> {
    let place = &settings.place;
    let data = application.folder.join("data");
    if settings.demonstration {
        demonstration::check(&application.manifest, &application.model)?;
    }
    // Where the first start can be told beforehand, faults are found before anything is made.
    let mut rows = match &place.database {
        DatabaseUrl::Sqlite(file) if !file.exists() => Some(read(application)?),
        _ => None,
    };
    database::make_folder(&place.database)?;
    database::apply(&place.database, application, settings.allow_data_loss).await?;
    let store = database::open(&place.database, application, settings.connection_budget).await?;
    least_privilege::warn(&store).await;
    let failed = |error| database::store_failure(&place.database, &error);
    let awaits_data = store.awaits_data().await.map_err(failed)?;
    if awaits_data && rows.is_none() && data.is_dir() {
        rows = Some(read(application)?);
    }
    let model = Arc::new(application.model.clone());
    demonstration::admit(settings, &store, &model, awaits_data).await?;
    if awaits_data {
        load(place, &store, &model, rows.unwrap_or_default()).await?;
    }
    let identity = identity(&application.manifest, &model, &store).await?;
    if settings.demonstration {
        demonstration::make_users(&identity, &application.manifest).await?;
    }
    let first_link = first_administrator(&identity).await?;
    Ok(Prepared {
        store,
        identity,
        first_link,
    })
}

/// Gives a database that is up to date the sample data, if it is new; says how many rows.
pub(crate) async fn fill(place: &Place, application: &Application) -> Result<Option<u64>> {
    let store = database::open(&place.database, application, None).await?;
    let awaits_data = store
        .awaits_data()
        .await
        .map_err(|error| database::store_failure(&place.database, &error))?;
    let mut loaded = None;
    if awaits_data {
        let rows = if application.folder.join("data").is_dir() {
            read(application)?
        } else {
            Vec::new()
        };
        let model = Arc::new(application.model.clone());
        loaded = load(place, &store, &model, rows).await?;
    }
    store.close();
    Ok(loaded)
}

/// Opens the people and programs of an application for a server.
pub(crate) async fn identity(
    manifest: &Manifest,
    model: &Arc<Model>,
    store: &Store,
) -> Result<Identity> {
    let settings = identity::Settings {
        instance: Some(instance_name()),
        ..settings(manifest)
    };
    Identity::open(Arc::clone(model), store.clone(), settings)
        .await
        .map_err(failure)
}

/// How people are let in, as the application says.
pub(crate) fn settings(manifest: &Manifest) -> identity::Settings {
    identity::Settings {
        session_idle: manifest.sessions.idle,
        session_lifetime: manifest.sessions.lifetime,
        weak_words: vec![manifest.name.clone(), manifest.label.clone()],
        ..identity::Settings::default()
    }
}

/// For people who look into the table of instances.
fn instance_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "stoa" } else { host };
    format!("{host}, process {}", std::process::id())
}

async fn first_administrator(identity: &Identity) -> Result<Option<Secret>> {
    let by = Actor {
        name: "first start".to_owned(),
        ..Actor::default()
    };
    let Some(administrator) = identity
        .first_administrator(ADMINISTRATOR, &by)
        .await
        .map_err(failure)?
    else {
        return Ok(None);
    };
    let principal = Principal::Administrator(administrator.id);
    let link = identity.create_link(principal, LINK, &by).await;
    link.map(Some).map_err(failure)
}

/// The failure of a command.
pub(crate) fn failure(error: IdentityError) -> Failure {
    let exit = match &error {
        IdentityError::Store(cause) => match cause.fault() {
            stoa_store::Fault::Client => Exit::Data,
            _ if cause.is_retriable() => Exit::Unavailable,
            _ => Exit::Failure,
        },
        IdentityError::Unconfirmed(_) | IdentityError::Busy => Exit::Temporary,
        IdentityError::Model(_) | IdentityError::Internal(_) => Exit::Failure,
        IdentityError::Name(_)
        | IdentityError::UnknownRole { .. }
        | IdentityError::UnknownKind { .. }
        | IdentityError::Lifetime { .. }
        | IdentityError::TooLong { .. } => Exit::Configuration,
        _ => Exit::Data,
    };
    Failure::new(exit, chain(&error))
}

fn read(application: &Application) -> Result<Vec<Rows>> {
    sample_data::read(&application.model, &application.folder.join("data")).map_err(|error| {
        let message = match error {
            SampleDataError::Io { .. } => format!("sample data: {}", chain(&error)),
            SampleDataError::Faults(_) => error.to_string(),
        };
        Failure::new(Exit::Configuration, message)
    })
}

async fn load(
    place: &Place,
    store: &Store,
    model: &Arc<Model>,
    rows: Vec<Rows>,
) -> Result<Option<u64>> {
    let total = sample_data::count(&rows) as u64;
    let progress = Mutex::new(Progress::new("loading sample data"));
    let report = move |written| {
        progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at(written, total);
    };
    let loaded = sample_data::load(store, model, rows, Some(Arc::new(report)))
        .await
        .map_err(|error| database::store_failure(&place.database, &error))?
        .filter(|rows| *rows > 0);
    if let Some(rows) = loaded {
        tracing::info!(rows, "loaded the sample data");
    }
    Ok(loaded)
}
