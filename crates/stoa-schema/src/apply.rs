//! Brings a database up to date, or says what that would take.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stoa_model::model::Model;
use stoa_store::DatabaseUrl;

use crate::check::Report;
use crate::difference::moves;
use crate::error::SchemaError;
use crate::kind::{quote, quote_text};
use crate::plan::{Class, Draft, Plan, Step};
use crate::session::Session;
use crate::structure::Structure;
use crate::{Dialect, external, ledger, postgres, privileges, sqlite};

/// Is told how far a change is.
pub type ProgressCallback = dyn Fn(Progress<'_>) + Send + Sync;

/// How a change is made.
#[derive(Clone)]
pub struct Options {
    /// Rows and values may be dropped that the model has no place for any more.
    pub allow_data_loss: bool,
    /// Longest wait for a lock on a table that others use (PostgreSQL).
    pub lock_timeout: Duration,
    /// Told before each step.
    pub progress: Option<Arc<ProgressCallback>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_data_loss: false,
            lock_timeout: Duration::from_secs(10),
            progress: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("allow_data_loss", &self.allow_data_loss)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}

/// How far a change is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The step that begins.
    pub step: &'a Step,
    /// Its position, from 0.
    pub position: usize,
    /// Number of all steps.
    pub total: usize,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Steps; none when nothing was to do.
    pub steps: Vec<Step>,
    /// The database had nothing of Stoa's before.
    pub created: bool,
}

/// What would have to be done to the database at `url` for `model`. Changes nothing.
///
/// # Errors
/// When the database cannot be reached or read, or what is there can never be brought up to date.
pub async fn plan(url: &DatabaseUrl, model: &Model) -> Result<Plan, SchemaError> {
    let structure = Structure::of(model);
    let application = model.name.clone();
    with_session(url, false, move |session| async move {
        session.begin_reading().await?;
        let plan = make_plan(&session, &application, &structure).await;
        session.roll_back().await;
        plan
    })
    .await
}

/// Brings the database at `url` up to date with `model`.
///
/// # Errors
/// See [`SchemaError`]; nothing was changed then.
pub async fn apply(
    url: &DatabaseUrl,
    model: &Model,
    options: Options,
) -> Result<Applied, SchemaError> {
    let structure = Structure::of(model);
    let application = model.name.clone();
    with_session(url, true, move |session| async move {
        apply_structure(&session, &application, &structure, &options).await
    })
    .await
}

/// Gives the roles that serve requests what they need on the tables that are there, and takes what is too much;
/// says what was done. Does nothing on a database that was never made with [`initialise`](fn@crate::initialise).
///
/// # Errors
/// See [`SchemaError`]; nothing was changed then.
pub async fn repair_privileges(url: &DatabaseUrl) -> Result<Vec<String>, SchemaError> {
    if matches!(url, DatabaseUrl::Sqlite(_)) {
        return Ok(Vec::new());
    }
    with_session(url, false, |session| async move {
        session
            .begin_changing(Options::default().lock_timeout)
            .await?;
        let repaired = async {
            privileges::become_owner(&session).await?;
            privileges::repair(&session).await
        }
        .await;
        match repaired {
            Ok(done) => {
                session.commit().await?;
                Ok(done)
            }
            Err(error) => {
                session.roll_back().await;
                Err(error)
            }
        }
    })
    .await
}

/// Gives `work` a connection; SQLite's statements run on a thread that may wait.
pub(crate) async fn with_session<T, F, W>(
    url: &DatabaseUrl,
    create: bool,
    work: W,
) -> Result<T, SchemaError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, SchemaError>>,
    W: FnOnce(Session) -> F + Send + 'static,
{
    match url {
        DatabaseUrl::Postgres(address) => {
            let client =
                stoa_store::connect(address)
                    .await
                    .map_err(|error| SchemaError::Unreachable {
                        address: url.to_string(),
                        reason: root_cause(&error),
                    })?;
            work(Session::Postgres(client)).await
        }
        DatabaseUrl::Sqlite(path) => {
            let path = path.clone();
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || {
                runtime.block_on(work(Session::open_sqlite(&path, create)?))
            })
            .await
            .map_err(|error| SchemaError::Address(error.to_string()))?
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

pub(crate) async fn apply_structure(
    session: &Session,
    application: &str,
    structure: &Structure,
    options: &Options,
) -> Result<Applied, SchemaError> {
    const NOTHING: Applied = Applied {
        steps: Vec::new(),
        created: false,
    };
    if is_current(session, application, structure).await? {
        return Ok(NOTHING);
    }
    if !structure.owns_tables() && !session.has_ledger().await? {
        // Nothing of ours is to be kept there: not even the ledger.
        external::verify(session, structure).await?;
        return Ok(NOTHING);
    }
    session.begin_changing(options.lock_timeout).await?;
    if let Err(error) = privileges::become_owner(session).await {
        session.roll_back().await;
        return Err(error);
    }
    let done = change(session, application, structure, options).await;
    match done {
        Ok(Some(applied)) => {
            session.commit().await?;
            Ok(applied)
        }
        Ok(None) => {
            session.roll_back().await;
            Ok(NOTHING)
        }
        Err(error) => {
            session.roll_back().await;
            Err(error)
        }
    }
}

async fn is_current(
    session: &Session,
    application: &str,
    structure: &Structure,
) -> Result<bool, SchemaError> {
    match ledger::head(session).await? {
        None => Ok(false),
        Some(head) if head.application != application => Err(SchemaError::OtherApplication {
            there: head.application,
            here: application.to_owned(),
        }),
        Some(head) => Ok(head.digest == structure.digest()),
    }
}

/// Inside the transaction: gives none if another process has done it meanwhile.
async fn change(
    session: &Session,
    application: &str,
    structure: &Structure,
    options: &Options,
) -> Result<Option<Applied>, SchemaError> {
    if is_current(session, application, structure).await? {
        return Ok(None);
    }
    let plan = make_plan(session, application, structure).await?;
    if !plan.obstacles.is_empty() {
        return Err(SchemaError::RowsBreakRules {
            reports: plan.obstacles,
        });
    }
    let losses = plan.losses();
    if !losses.is_empty() && !options.allow_data_loss {
        return Err(SchemaError::DataWouldBeLost { losses });
    }
    for statement in ledger::creation(session.dialect()) {
        session.execute(&statement, "making the ledger").await?;
    }
    let total = plan.steps.len();
    if plan.from.is_none() {
        // In a new database every table is new: one line says it.
        tracing::info!(schema.steps = total, "making the database structure");
    }
    for (position, step) in plan.steps.iter().enumerate() {
        if plan.from.is_some() {
            tracing::info!(schema.reason = %step.reason, schema.class = %step.class, "changing the database structure");
        }
        if let Some(progress) = &options.progress {
            progress(Progress {
                step,
                position,
                total,
            });
        }
        for statement in &step.statements {
            session.execute(statement, &step.reason).await?;
        }
    }
    if plan.from.is_some() && session.dialect() == Dialect::Sqlite {
        check_references(session).await?;
    }
    let entry = ledger::entry(session.dialect(), application, structure, &plan.steps)?;
    session
        .execute(&entry, "noting the change in the ledger")
        .await?;
    privileges::grant_to_runtimes(session, structure).await?;
    Ok(Some(Applied {
        created: plan.from.is_none(),
        steps: plan.steps,
    }))
}

/// SQLite does not look at references while tables are made anew.
async fn check_references(session: &Session) -> Result<(), SchemaError> {
    const ACTION: &str = "checking references after the change";
    let broken = session.rows("PRAGMA foreign_key_check", ACTION).await?;
    match broken.first() {
        None => Ok(()),
        Some(row) => {
            let name = |position: usize| row.get(position).cloned().flatten().unwrap_or_default();
            Err(SchemaError::Statement {
                action: ACTION.to_owned(),
                reason: format!(
                    "{} rows would refer to missing rows, the first of them in table {} to {}",
                    broken.len(),
                    name(0),
                    name(2)
                ),
            })
        }
    }
}

pub(crate) fn draft(dialect: Dialect, old: &Structure, new: &Structure) -> Draft {
    match dialect {
        Dialect::Postgres => postgres::draft(old, new),
        Dialect::Sqlite => sqlite::draft(old, new),
    }
}

pub(crate) async fn make_plan(
    session: &Session,
    application: &str,
    structure: &Structure,
) -> Result<Plan, SchemaError> {
    external::verify(session, structure).await?;
    let dialect = session.dialect();
    let (from, old) = match ledger::head(session).await? {
        None => (None, Structure::empty()),
        Some(head) if head.application != application => {
            return Err(SchemaError::OtherApplication {
                there: head.application,
                here: application.to_owned(),
            });
        }
        Some(head) => (Some(head.digest), ledger::structure(session).await?),
    };
    let to = structure.digest();
    if from.as_ref() == Some(&to) || (from.is_none() && !structure.owns_tables()) {
        return Ok(Plan {
            from,
            to,
            steps: Vec::new(),
            obstacles: Vec::new(),
        });
    }
    look_out_for_others(session, &old, structure).await?;
    refuse_moves(session, &old, structure).await?;
    let mut draft = draft(dialect, &old, structure);
    let obstacles = find_obstacles(session, &draft).await?;
    judge(session, &mut draft.steps).await?;
    Ok(Plan {
        from,
        to,
        steps: draft.steps,
        obstacles,
    })
}

/// Tables of others are left alone, also when their names are wanted.
async fn look_out_for_others(
    session: &Session,
    old: &Structure,
    new: &Structure,
) -> Result<(), SchemaError> {
    let ours = |name: &str| old.table(name).is_some_and(|table| !table.external);
    let relations = session.relations().await?;
    let tables: Vec<String> = new
        .tables
        .iter()
        .filter(|table| !table.external && !ours(&table.name) && relations.contains(&table.name))
        .map(|table| table.name.clone())
        .collect();
    if tables.is_empty() {
        Ok(())
    } else {
        Err(SchemaError::TableInTheWay { tables })
    }
}

/// An entity that gets a base, or loses it, has another table: its rows would be dropped with the old one.
async fn refuse_moves(
    session: &Session,
    old: &Structure,
    new: &Structure,
) -> Result<(), SchemaError> {
    for moved in moves(old, new) {
        let condition = moved
            .from
            .discriminator
            .as_ref()
            .map_or_else(String::new, |column| {
                format!(
                    " WHERE {} = {}",
                    quote(column),
                    quote_text(&moved.entity.name)
                )
            });
        let query = format!(
            "SELECT 1 FROM {}{condition} LIMIT 1",
            quote(&moved.from.name)
        );
        if !session
            .rows(&query, "looking at existing rows")
            .await?
            .is_empty()
        {
            return Err(SchemaError::EntityMoves {
                entity: moved.entity.name.clone(),
                from: moved.from.name.clone(),
                to: moved.to.name.clone(),
            });
        }
    }
    Ok(())
}

async fn find_obstacles(session: &Session, draft: &Draft) -> Result<Vec<Report>, SchemaError> {
    let dialect = session.dialect();
    let mut reports = Vec::new();
    for check in &draft.checks {
        let rows = session
            .rows(&check.query(dialect), "checking existing rows")
            .await?;
        reports.extend(check.report(dialect, rows));
    }
    Ok(reports)
}

/// Finds out what would be lost, and which tables are empty, so that nothing can happen to them.
async fn judge(session: &Session, steps: &mut [Step]) -> Result<(), SchemaError> {
    const ACTION: &str = "looking at existing rows";
    let mut is_empty: HashMap<String, bool> = HashMap::new();
    for step in steps {
        if let Some(loss) = &step.loss_query {
            let count = session.number(&loss.query, ACTION).await?;
            if count == 0 {
                step.class = loss.otherwise;
            } else {
                let unit = if count == 1 { loss.unit.0 } else { loss.unit.1 };
                step.loss = Some(format!("{count} {unit}"));
            }
        }
        let Some(table) = step.table.as_ref().filter(|_| step.class != Class::Safe) else {
            continue;
        };
        if !is_empty.contains_key(table) {
            let query = format!("SELECT 1 FROM {} LIMIT 1", quote(table));
            is_empty.insert(
                table.clone(),
                session.rows(&query, ACTION).await?.is_empty(),
            );
        }
        if is_empty.get(table) == Some(&true) && step.class != Class::LosesData {
            step.class = Class::Safe;
        }
    }
    Ok(())
}
