//! A database brought up to date and opened; a new one gets the sample data, all of it or nothing.

use std::sync::{Arc, Mutex, PoisonError};

use stoa_model::application::Application;
use stoa_model::model::Model;
use stoa_runtime::environment::Environment;
use stoa_runtime::sample_data::{self, Rows, SampleDataError};
use stoa_store::{DatabaseUrl, Store};

use crate::failure::{Exit, Failure, chain};
use crate::progress::Progress;
use crate::settings::Place;
use crate::{Result, database, least_privilege};

/// Everything between a valid application and the first request.
pub(crate) async fn prepare(
    place: &Place,
    application: Application,
    allow_data_loss: bool,
) -> Result<Environment> {
    let data = application.folder.join("data");
    // Where the first start can be told beforehand, faults are found before anything is made.
    let mut rows = match &place.database {
        DatabaseUrl::Sqlite(file) if !file.exists() => Some(read(&application)?),
        _ => None,
    };
    database::make_folder(&place.database)?;
    database::apply(&place.database, &application, allow_data_loss).await?;
    let store = database::open(&place.database, &application).await?;
    least_privilege::warn(&store).await;
    let awaits_data = store
        .awaits_data()
        .await
        .map_err(|error| database::store_failure(&place.database, &error))?;
    if awaits_data && rows.is_none() && data.is_dir() {
        rows = Some(read(&application)?);
    }
    let environment = Environment::new(application, store, place.files(), None);
    if awaits_data {
        load(
            place,
            environment.store(),
            environment.model(),
            rows.unwrap_or_default(),
        )
        .await?;
    }
    Ok(environment)
}

/// Gives a database that is up to date the sample data, if it is new; says how many rows.
pub(crate) async fn fill(place: &Place, application: &Application) -> Result<Option<u64>> {
    let store = database::open(&place.database, application).await?;
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
