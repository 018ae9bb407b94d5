//! A database brought up to date and opened; a new one gets the sample data, all of it or nothing.

use std::sync::{Arc, Mutex, PoisonError};

use stoa_model::application::Application;
use stoa_runtime::environment::Environment;
use stoa_runtime::sample_data::{self, Rows, SampleDataError};
use stoa_store::DatabaseUrl;

use crate::failure::{Exit, Failure, chain};
use crate::progress::Progress;
use crate::settings::Place;
use crate::{Result, database};

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
    let awaits_data = store
        .awaits_data()
        .await
        .map_err(|error| database::store_failure(&place.database, &error))?;
    if awaits_data && rows.is_none() && data.is_dir() {
        rows = Some(read(&application)?);
    }
    let environment = Environment::new(application, store, place.files(), None);
    if awaits_data {
        load(place, &environment, rows.unwrap_or_default()).await?;
    }
    Ok(environment)
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

async fn load(place: &Place, environment: &Environment, rows: Vec<Rows>) -> Result<()> {
    let total = sample_data::count(&rows) as u64;
    let progress = Mutex::new(Progress::new("loading sample data"));
    let report = move |written| {
        progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .at(written, total);
    };
    let loaded = sample_data::load(
        environment.store(),
        environment.model(),
        rows,
        Some(Arc::new(report)),
    )
    .await
    .map_err(|error| database::store_failure(&place.database, &error))?;
    if let Some(rows) = loaded.filter(|rows| *rows > 0) {
        tracing::info!(rows, "loaded the sample data");
    }
    Ok(())
}
