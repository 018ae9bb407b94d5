//! `stoa serve`: one server of a site, in its roles.
//!
//! As with `stoa run`, what can be judged without touching anything but the server's own folder comes first, then
//! addresses are bound, then databases opened. An app server serves each environment over links of its own, so that
//! one that stalls takes nothing away from the others.
//!
//! Start reading at [`run`]; [`app`] is an app server, [`web`] a web server, [`control`] what the operator asks of
//! either.

mod app;
mod application;
mod certificates;
pub(crate) mod control;
mod measured;
mod over_link;
mod pace;
mod report;
mod web;

pub(crate) use measured::Measured;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stoa_link::trust::{Files, Trust};
use stoa_link::workers::Workers;
use tokio_util::sync::CancellationToken;

use crate::command_line::sites::Serve;
use crate::commands::show;
use crate::failure::{Exit, Failure, chain};
use crate::site_file::{self, DatabaseSource, Environment, LookAt, Server, Serves, SiteFile};
use crate::{Result, logging, private_files, shutdown};

/// Time between two looks at certificates.
const CERTIFICATES: Duration = Duration::from_secs(5);

/// What is served, and as which server.
pub(crate) struct Role<'a> {
    site: &'a SiteFile,
    server: &'a Server,
    arguments: &'a Serve,
    workers: Workers,
}

/// Whether an environment's application has a database that is not a file.
fn asks_postgres(environment: &Environment) -> bool {
    match &environment.serves {
        Serves::Application(application) => {
            !matches!(application.database, DatabaseSource::Embedded)
        }
        Serves::Upstream(_) | Serves::Elsewhere => false,
    }
}

pub(crate) fn run(arguments: &Serve, started: Instant) -> Result<()> {
    arguments.serving.check()?;
    let json = logging::is_json(arguments.serving.log_format);
    logging::start(&arguments.serving.log, json)
        .map_err(|error| Failure::new(Exit::Configuration, format!("cannot log: {error}")))?;
    let loaded =
        site_file::load(&arguments.site, LookAt::Server(&arguments.server)).map_err(|faults| {
            show(&faults);
            Failure::reported(Exit::Configuration)
        })?;
    show(&loaded.warnings);
    let site = loaded.site;
    let server = site.server(&arguments.server)?;
    site.refuse_databases(server)?;
    let role = Role {
        site: &site,
        server,
        arguments,
        workers: crate::threads::workers(site.environments_of(server).any(asks_postgres))?,
    };
    let planned = role.plan_environments()?;
    let trust = role.open_trust()?;
    make_folder(&server.data)?;
    let edge = role.plan_edge()?;
    let runtime = crate::threads::runtime()?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        shutdown::watch(shutdown.clone()).map_err(|error| {
            Failure::new(Exit::Failure, format!("cannot listen to signals: {error}"))
        })?;
        let watched = trust
            .clone()
            .map(|trust| tokio::spawn(trust.watch(CERTIFICATES)));
        let served = role
            .serve(planned, trust, edge, json, started, shutdown)
            .await;
        if let Some(watched) = watched {
            watched.abort();
        }
        served
    });
    // Work that nobody waits for, such as compressing, does not delay the end.
    runtime.shutdown_background();
    result
}

fn make_folder(folder: &Path) -> Result<()> {
    private_files::make_folder(folder).map_err(|error| {
        let message = format!("cannot make the folder {}: {error}", folder.display());
        Failure::new(Exit::CannotCreate, message)
    })
}

impl Role<'_> {
    /// The certificates of links, if this server has any.
    fn open_trust(&self) -> Result<Option<Arc<Trust>>> {
        let accepts = self
            .server
            .web
            .as_ref()
            .is_some_and(|web| web.link.is_some());
        let dials = self.server.app.is_some() && self.site.links_of(self.server).next().is_some();
        if !accepts && !dials {
            return Ok(None);
        }
        let files = Files::of(&self.site.trust, &self.server.name);
        Trust::open(files).map(Arc::new).map(Some).map_err(|error| {
            Failure::new(Exit::Configuration, chain(&error)).hint(format!(
                "make it with: stoa trust issue {} {}",
                self.site.path.display(),
                self.server.name
            ))
        })
    }

    async fn serve(
        &self,
        planned: Vec<app::Planned>,
        trust: Option<Arc<Trust>>,
        edge: Option<web::Edge>,
        json: bool,
        started: Instant,
        shutdown: CancellationToken,
    ) -> Result<()> {
        // Addresses first: somebody else's is found taken before a database is touched.
        let bound = edge.map(web::Edge::bind).transpose()?;
        let control = control::Socket::bind(&self.server.data)?;
        let mut app = app::App::open(self, planned, trust.as_ref(), &shutdown).await?;
        if shutdown.is_cancelled() {
            app.close(Duration::ZERO).await;
            return Ok(());
        }
        let web = match bound {
            Some(bound) => Some(web::Web::start(self, bound, &mut app, trust, json)?),
            None => None,
        };
        let report = Arc::new(report::Report::new(self, &app, web.as_ref(), started));
        let control = control.serve(Arc::clone(&report));
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            server = self.server.name,
            site = self.site.name,
            roles.web = self.server.web.is_some(),
            roles.app = self.server.app.is_some(),
            ready.milliseconds = milliseconds,
            "ready"
        );
        shutdown.cancelled().await;
        let drain = Duration::from_secs(self.arguments.serving.drain_seconds);
        // Web servers stop asking; then what they asked is finished.
        let finished = app.drain(drain).await;
        let cut = match web {
            Some(web) => web.stop().await,
            None => 0,
        };
        app.close(drain).await;
        control.abort();
        if cut > 0 || !finished {
            tracing::warn!(
                connections.cut = cut,
                "stopped; some requests did not finish in {} s and were cut",
                drain.as_secs()
            );
        } else {
            tracing::info!("stopped; every request was answered");
        }
        Ok(())
    }
}
