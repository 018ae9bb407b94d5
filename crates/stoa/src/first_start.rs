//! The first start of an application on a database: structure and sample data, or nothing.
//!
//! Loading may be interrupted. A note in the data folder says that it has begun and not ended; the next start then
//! begins anew, on SQLite by itself, on a server only after somebody has emptied the database.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use stoa_model::application::Application;
use stoa_runtime::environment::Environment;
use stoa_runtime::sample_data::{self, Rows, SampleDataError};
use stoa_store::DatabaseUrl;

use crate::failure::{Exit, Failure, chain};
use crate::progress::Progress;
use crate::settings::Place;
use crate::{Result, database};

const NOTE: &str = "first-start";

/// Brings the database up to date and opens it; a new one gets the sample data.
pub(crate) async fn prepare(
    place: &Place,
    application: Application,
    allow_data_loss: bool,
) -> Result<Environment> {
    let note = place.data.join(NOTE);
    clean_up(&place.database, &note)?;
    // Judged before anything is touched.
    let rows = if is_new(place, &application).await? {
        read(&application)?
    } else {
        Vec::new()
    };
    if !rows.is_empty() {
        fs::write(&note, place.database.to_string()).map_err(|error| unwritable(&note, &error))?;
    }
    database::make_folder(&place.database)?;
    let applied = database::apply(&place.database, &application, allow_data_loss).await?;
    if !applied.created {
        database::report(&applied);
    }
    let store = database::open(&place.database, &application).await?;
    let environment = Environment::new(application, store, place.files());
    // Another process may have been first.
    if applied.created && !rows.is_empty() {
        load(&environment, rows).await?;
    }
    match fs::remove_file(&note) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(&note, &error)),
        _ => Ok(environment),
    }
}

/// Removes what a start that was interrupted has left.
fn clean_up(database: &DatabaseUrl, note: &Path) -> Result<()> {
    match fs::read_to_string(note) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unwritable(note, &error)),
        Ok(noted) if noted != database.to_string() => return Ok(()),
        Ok(_) => {}
    }
    let DatabaseUrl::Sqlite(file) = database else {
        return Err(Failure::new(
            Exit::Data,
            format!(
                "the first start on {database} was interrupted while it loaded the sample data"
            ),
        )
        .hint(format!(
            "empty the database, delete {}, and start again",
            note.display()
        )));
    };
    // The note is made only when there was no such file, and nothing was served since.
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        match fs::remove_file(PathBuf::from(&name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(unwritable(file, &error));
            }
            _ => {}
        }
    }
    tracing::info!("the first start was interrupted: begins anew");
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::CannotCreate,
        format!("cannot write {}: {error}", path.display()),
    )
}

/// Whether the database has nothing of Stoa's yet. Asked only if there is something to load.
async fn is_new(place: &Place, application: &Application) -> Result<bool> {
    match &place.database {
        DatabaseUrl::Sqlite(file) => Ok(!file.exists()),
        DatabaseUrl::Postgres(_) if application.folder.join("data").is_dir() => {
            let plan = stoa_schema::plan(&place.database, &application.model)
                .await
                .map_err(|error| database::schema_failure(&error))?;
            Ok(plan.from.is_none())
        }
        DatabaseUrl::Postgres(_) => Ok(false),
    }
}

fn read(application: &Application) -> Result<Vec<Rows>> {
    let mut rows = sample_data::read(&application.model, &application.folder.join("data"))
        .map_err(|error| match error {
            SampleDataError::Io { .. } => Failure::new(
                Exit::Configuration,
                format!("sample data: {}", chain(&error)),
            ),
            SampleDataError::Faults(_) => Failure::new(Exit::Configuration, error.to_string()),
        })?;
    rows.retain(|rows| !rows.rows.is_empty());
    Ok(rows)
}

async fn load(environment: &Environment, rows: Vec<Rows>) -> Result<()> {
    let total = sample_data::count(&rows);
    let mut progress = Progress::new("loading sample data");
    progress.at(0, total as u64);
    let loaded = sample_data::load(environment.store(), environment.model(), rows, |written| {
        progress.at(written as u64, total as u64);
    })
    .await
    .map_err(|error| Failure::new(Exit::Data, format!("sample data: {}", chain(&error))))?;
    tracing::info!(rows = loaded, "loaded the sample data");
    Ok(())
}
