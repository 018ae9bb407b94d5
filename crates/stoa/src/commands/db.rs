//! `stoa db`: what the model would change in the database, and the change itself.

use stoa_schema::Plan;
use stoa_store::DatabaseUrl;

use super::{db_init, load, print};
use crate::Result;
use crate::command_line::{Db, DbApply, DbPlan, Format};
use crate::data_folder::DataFolder;
use crate::database;
use crate::failure::{Exit, Failure};
use crate::first_start;
use crate::settings::Place;

pub(crate) fn run(command: &Db) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start: {error}")))?;
    match command {
        Db::Plan(arguments) => runtime.block_on(plan(arguments)),
        Db::Apply(arguments) => runtime.block_on(apply(arguments)),
        Db::Init(arguments) => runtime.block_on(db_init::init(arguments)),
    }
}

async fn plan(arguments: &DbPlan) -> Result<()> {
    let place = Place::resolve(&arguments.place)?;
    let application = load(&place.application)?;
    let plan = stoa_schema::plan(&place.database, &application.model)
        .await
        .map_err(|error| database::schema_failure(&error))?;
    match arguments.format {
        Format::Text => print(&plan.to_string()),
        Format::Json => print(&as_json(&plan)?),
    }
    Ok(())
}

fn as_json(plan: &Plan) -> Result<String> {
    serde_json::to_string_pretty(plan)
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot write the plan: {error}")))
}

async fn apply(arguments: &DbApply) -> Result<()> {
    let place = Place::resolve(&arguments.place)?;
    let application = load(&place.application)?;
    // A server that runs would find its tables changed.
    let _held = match &place.database {
        DatabaseUrl::Sqlite(_) => Some(DataFolder::open(&place.data)?),
        DatabaseUrl::Postgres(_) => None,
    };
    database::make_folder(&place.database)?;
    let applied = database::apply(&place.database, &application, arguments.allow_data_loss).await?;
    if applied.steps.is_empty() {
        print("Nothing to do: the database is as the model needs it.");
    }
    for step in &applied.steps {
        print(&format!("done: {} [{}]", step.reason, step.class));
    }
    let repaired = stoa_schema::repair_privileges(&place.database)
        .await
        .map_err(|error| database::schema_failure(&error))?;
    for line in repaired {
        print(&format!("done: {line}"));
    }
    // Who serves requests with few rights cannot load it.
    if let Some(rows) = first_start::fill(&place, &application).await? {
        print(&format!("done: {rows} rows of sample data"));
    }
    Ok(())
}
