//! `stoa db`: what the model would change in the database, and the change itself.

use stoa_model::model::Model;
use stoa_schema::{Class, Plan, Step};
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
        Format::Text => print(&as_text(plan, &application.model)),
        Format::Json => print(&as_json(&plan)?),
    }
    Ok(())
}

/// The server's own tables are of little interest to people: they are summed up in a line.
fn as_text(mut plan: Plan, model: &Model) -> String {
    let all = plan.steps.len();
    plan.steps.retain(|step| !is_internal(step, model));
    let folded = all - plan.steps.len();
    if folded == 0 {
        return plan.to_string();
    }
    let mut text = String::new();
    if !plan.steps.is_empty() || !plan.obstacles.is_empty() {
        text = format!("{plan}\n");
    }
    text.push_str(&format!(
        "  +  {folded} tables of the server's own, for users, sessions and the audit trail [{}]; --format json shows them",
        Class::Safe
    ));
    text
}

/// A new table that the server keeps for itself.
fn is_internal(step: &Step, model: &Model) -> bool {
    step.class == Class::Safe
        && model
            .entities
            .iter()
            .filter(|entity| entity.internal)
            .any(|entity| step.reason == format!("{} is new in the model", entity.name))
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
    let (internal, own): (Vec<&Step>, Vec<&Step>) = applied
        .steps
        .iter()
        .partition(|step| is_internal(step, &application.model));
    for step in own {
        print(&format!("done: {} [{}]", step.reason, step.class));
    }
    if !internal.is_empty() {
        print(&format!(
            "done: {} tables of the server's own, for users, sessions and the audit trail [{}]",
            internal.len(),
            Class::Safe
        ));
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
