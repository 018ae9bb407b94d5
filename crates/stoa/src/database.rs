//! Bringing a database up to date and opening it, with failures that say what to do.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use stoa_model::application::Application;
use stoa_schema::{Applied, Options, SchemaError};
use stoa_store::{Config, DatabaseUrl, Fault, Store, StoreError};

use crate::Result;
use crate::failure::{Exit, Failure, chain};
use crate::private_files;
use crate::progress::Progress;

/// Brings the structure up to date, and shows how far it is if it takes long.
pub(crate) async fn apply(
    database: &DatabaseUrl,
    application: &Application,
    allow_data_loss: bool,
) -> Result<Applied> {
    let progress = Mutex::new(Progress::new("changing the database structure"));
    let options = Options {
        allow_data_loss,
        progress: Some(Arc::new(move |step: stoa_schema::Progress<'_>| {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.at(step.position as u64, step.total as u64);
        })),
        ..Options::default()
    };
    stoa_schema::apply(database, &application.model, options)
        .await
        .map_err(|error| schema_failure(&error))
}

/// Opens the database for requests. `budget`: most connections of all instances together.
pub(crate) async fn open(
    database: &DatabaseUrl,
    application: &Application,
    budget: Option<usize>,
) -> Result<Store> {
    let limits = &application.manifest.limits;
    let config = Config {
        statement_timeout: limits.statement_timeout,
        response_bytes: limits.response_bytes,
        budget,
        application_name: format!("stoa {}", application.manifest.name),
        ..Config::default()
    };
    Store::open(database, config)
        .await
        .map_err(|error| store_failure(database, &error))
}

pub(crate) fn schema_failure(error: &SchemaError) -> Failure {
    let exit = match error {
        SchemaError::Unreachable { .. } => Exit::Unavailable,
        SchemaError::Address(_)
        | SchemaError::PermissionDenied { .. }
        | SchemaError::TableInTheWay { .. }
        | SchemaError::External { .. }
        | SchemaError::OtherApplication { .. } => Exit::Configuration,
        SchemaError::DataWouldBeLost { .. }
        | SchemaError::EntityMoves { .. }
        | SchemaError::RowsBreakRules { .. } => Exit::Data,
        SchemaError::Locked { .. } => Exit::Temporary,
        SchemaError::DiskFull { .. } => Exit::CannotCreate,
        SchemaError::Ledger { .. } | SchemaError::Statement { .. } => Exit::Failure,
    };
    let failure = Failure::new(exit, chain(error));
    match error {
        SchemaError::PermissionDenied { .. } => failure.hint(
            "the structure of the database is not what the application needs, and this user may not change it: run \
             `stoa db apply APP` with the address of the owner of its tables, then start again",
        ),
        _ => failure,
    }
}

pub(crate) fn store_failure(database: &DatabaseUrl, error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::Configuration { .. } => Exit::Configuration,
        StoreError::Unavailable { .. } | StoreError::Timeout => Exit::Unavailable,
        StoreError::StorageFull { .. } => Exit::CannotCreate,
        StoreError::Busy { .. } => Exit::Temporary,
        error if error.fault() == Fault::Client => Exit::Data,
        _ => Exit::Failure,
    };
    Failure::new(exit, format!("{database}: {}", chain(error)))
}

/// Makes the folder of an embedded database's file, and the file, for nobody else to read.
pub(crate) fn make_folder(database: &DatabaseUrl) -> Result<()> {
    let DatabaseUrl::Sqlite(file) = database else {
        return Ok(());
    };
    let failure = |what: &str, path: &Path, error: std::io::Error| {
        Failure::new(
            Exit::CannotCreate,
            format!(
                "cannot make the {what} {} for the database: {error}",
                path.display()
            ),
        )
    };
    if let Some(folder) = file.parent().filter(|folder| *folder != Path::new("")) {
        private_files::make_folder(folder).map_err(|error| failure("folder", folder, error))?;
    }
    // SQLite gives the files beside it the same permissions.
    private_files::make_file(file).map_err(|error| failure("file", file, error))
}
