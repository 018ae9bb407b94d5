//! The role of an app server: environments, opened and served over links.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use stoa_link::announcement::{Announcement, Environment as Announced, Event, State};
use stoa_link::dial::{self, Dialer, WebServer};
use stoa_link::trust::Trust;
use stoa_link::workers::Workers;
use stoa_model::application::Application as Definition;
use stoa_runtime::csrf::HostNames;
use stoa_runtime::environment::OPEN_API_PATH;
use stoa_runtime::pages::Theme;
use stoa_runtime::single_sign_on::SingleSignOn;
use stoa_web::StaticContent;
use stoa_web::replica::{Replica, Source};
use stoa_web::server::Drained;
use stoa_web::static_content::Config;
use stoa_web::upstream::Upstream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Role;
use super::application::Application;
use super::over_link::OverLink;
use crate::commands::run::{load_content, load_single_sign_on};
use crate::commands::{load, load_theme};
use crate::failure::{Exit, Failure, chain};
use crate::first_start::{self, Prepared};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::route::{DATA, HEALTH, PAGES};
use crate::settings::{Place, Settings};
use crate::site::{Served, Site};
use crate::site_file::{Environment, Serves};
use crate::{Result, admin, private_files};

/// First pause after a database was not there; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Time between two looks at a foreign application.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// An environment whose files are judged, and nothing else is touched yet.
pub(crate) struct Planned {
    name: String,
    kind: Kind,
}

enum Kind {
    Own(Box<Own>),
    Foreign {
        upstreams: Vec<Upstream>,
        content: Option<StaticContent>,
        folder: Option<std::path::PathBuf>,
    },
}

struct Own {
    settings: Settings,
    definition: Definition,
    theme: Theme,
    single_sign_on: Option<Arc<SingleSignOn>>,
    content: StaticContent,
}

impl Role<'_> {
    /// Reads and judges what the environments of this server need.
    pub(crate) fn plan_environments(&self) -> Result<Vec<Planned>> {
        self.site
            .environments_of(self.server)
            .map(|environment| {
                let kind = match &environment.serves {
                    Serves::Application(_) => Kind::Own(Box::new(self.plan_own(environment)?)),
                    Serves::Upstream(upstream) => {
                        let upstreams = upstream.addresses.iter().map(|address| {
                            let address = address.to_string();
                            Upstream::new(&address, upstream.health.as_deref()).map_err(|error| {
                                let message = format!(
                                    "the upstream {address} of {}: {error}",
                                    environment.name
                                );
                                Failure::new(Exit::Configuration, message)
                            })
                        });
                        Kind::Foreign {
                            upstreams: upstreams.collect::<Result<_>>()?,
                            content: upstream
                                .static_content
                                .as_ref()
                                .map(|folder| self.load_folder(folder))
                                .transpose()?,
                            folder: upstream.static_content.clone(),
                        }
                    }
                    Serves::Elsewhere => {
                        let message = format!(
                            "the file does not say what the environment {} serves: it was made for another server",
                            environment.name
                        );
                        return Err(Failure::new(Exit::Configuration, message));
                    }
                };
                Ok(Planned {
                    name: environment.name.clone(),
                    kind,
                })
            })
            .collect()
    }

    fn load_folder(&self, folder: &std::path::Path) -> Result<StaticContent> {
        let config = Config {
            memory_bytes: self.arguments.serving.web_memory_bytes(),
            ..Config::default()
        };
        StaticContent::load(folder, config).map_err(|error| {
            let message = format!("static content: {}", chain(&error));
            Failure::new(Exit::Configuration, message)
        })
    }

    fn plan_own(&self, environment: &Environment) -> Result<Own> {
        let Serves::Application(application) = &environment.serves else {
            let message = format!("the environment {} has no application", environment.name);
            return Err(Failure::new(Exit::Configuration, message));
        };
        let settings = Settings {
            place: Place {
                application: application.folder.clone(),
                data: environment.data(self.server),
                database: self.site.database(environment, self.server)?,
            },
            // Nobody reaches it but by the web servers of the site.
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            behind_tls: true,
            hosts: environment.hosts.iter().map(ToString::to_string).collect(),
            sign_in: application.sign_in.clone(),
            demonstration: false,
            watch: false,
            allow_data_loss: self.arguments.allow_data_loss,
            log: self.arguments.serving.log.clone(),
            log_format: self.arguments.serving.log_format,
            access_log: self.arguments.serving.access_log,
            drain: Duration::from_secs(self.arguments.serving.drain_seconds),
            web_memory_bytes: self.arguments.serving.web_memory_bytes(),
            connections: self.arguments.serving.connections,
            connection_budget: usize::try_from(application.database_connections).ok(),
        };
        let definition = load(&settings.place.application)?;
        Ok(Own {
            theme: load_theme(&settings.place.application)?,
            single_sign_on: load_single_sign_on(&settings, &definition)?,
            content: load_content(&settings)?,
            definition,
            settings,
        })
    }
}

/// An environment in motion. One of ours has one answerer, a foreign one as many as it has addresses.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) answerers: Vec<Answerer>,
    pub(crate) own: Option<Arc<Application>>,
    /// Static content of a foreign application.
    pub(crate) content: Option<Replica>,
}

/// Somebody who answers for an environment.
pub(crate) struct Answerer {
    pub(crate) tag: String,
    pub(crate) application: Arc<Application>,
    /// Links to the web servers; none if the only one is this process.
    pub(crate) dialer: Option<Arc<Dialer>>,
}

/// The app server's role; without environments for a server that does not have it.
pub(crate) struct App {
    pub(crate) environments: Vec<Opened>,
    pub(crate) capacity: u32,
    /// What is counted of requests over links.
    pub(crate) measured: Arc<Metrics>,
    /// Serves metrics until the server stops.
    metrics: Option<JoinHandle<Drained>>,
    shutdown: CancellationToken,
}

impl App {
    /// Opens the environments and attaches to the web servers. A database that is not there is waited for.
    pub(crate) async fn open(
        role: &Role<'_>,
        planned: Vec<Planned>,
        trust: Option<&Arc<Trust>>,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        let capacity = role.server.app.as_ref().map_or(1, |app| app.capacity);
        let metrics = Arc::new(Metrics::new());
        let mut app = Self {
            environments: Vec::new(),
            measured: Arc::clone(&metrics),
            metrics: None,
            capacity,
            shutdown: shutdown.clone(),
        };
        let opening = planned
            .into_iter()
            .map(|planned| open(role, planned, trust, &metrics, shutdown));
        for opened in futures_util::future::join_all(opening).await {
            if let Some(opened) = opened? {
                app.environments.push(opened);
            }
        }
        let address = role.server.app.as_ref().and_then(|app| app.metrics);
        if let Some(listener) = address.and_then(admin::bind) {
            for environment in &app.environments {
                if let Some(Application::Own(site)) = environment.own.as_deref() {
                    metrics.watch(site.health.store.clone());
                }
            }
            let page = admin::Page::of_metrics(metrics);
            app.metrics = Some(admin::start(listener, page, shutdown.clone()));
        }
        Ok(app)
    }

    fn dialers(&self) -> impl Iterator<Item = &Arc<Dialer>> {
        self.environments
            .iter()
            .flat_map(|environment| &environment.answerers)
            .filter_map(|answerer| answerer.dialer.as_ref())
    }

    /// Finishes what was asked, and is asked nothing new. Returns whether all was finished in time.
    pub(crate) async fn drain(&self, within: Duration) -> bool {
        for dialer in self.dialers() {
            dialer.announce(|announcement| {
                announcement.state = announcement.state.transition(Event::Drain);
            });
        }
        let settled = self.dialers().map(|dialer| dialer.settle(within));
        futures_util::future::join_all(settled)
            .await
            .into_iter()
            .all(|settled| settled)
    }

    /// Leaves the web servers and the databases.
    pub(crate) async fn close(&self, within: Duration) {
        self.shutdown.cancel();
        if let Some(metrics) = &self.metrics {
            metrics.abort();
        }
        for dialer in self.dialers() {
            if tokio::time::timeout(within.min(Duration::from_secs(5)), dialer.close())
                .await
                .is_err()
            {
                dialer.abort();
            }
        }
        for environment in &self.environments {
            if let Some(application) = &environment.own
                && let Application::Own(site) = &**application
            {
                site.served.load().identity.close().await;
                site.health.store.close();
            }
        }
    }
}

async fn open(
    role: &Role<'_>,
    planned: Planned,
    trust: Option<&Arc<Trust>>,
    metrics: &Arc<Metrics>,
    shutdown: &CancellationToken,
) -> Result<Option<Opened>> {
    let Planned { name, kind } = planned;
    let links = Links::of(role, trust, metrics);
    match kind {
        Kind::Own(own) => {
            let policy = own.definition.manifest.web.content_security_policy.clone();
            let folder = own.settings.place.application.join("web");
            let Some(site) = open_own(&name, *own, shutdown).await? else {
                return Ok(None);
            };
            let content = source(&folder, &site.content)?.map(Arc::new);
            let application = Arc::new(Application::Own(Box::new(site)));
            let announced = Announced {
                name: name.clone(),
                ready: true,
                paths: [DATA, PAGES, HEALTH, OPEN_API_PATH]
                    .map(str::to_owned)
                    .into(),
                repeatable: true,
                content: content.as_ref().map(|content| content.digest().to_owned()),
                content_security_policy: policy,
            };
            let answerer = links.start(announced, Arc::clone(&application), content);
            Ok(Some(Opened {
                name,
                answerers: vec![answerer],
                own: Some(application),
                content: None,
            }))
        }
        Kind::Foreign {
            upstreams,
            content,
            folder,
        } => {
            let source = match (&content, &folder) {
                (Some(content), Some(folder)) => source(folder, content)?.map(Arc::new),
                _ => None,
            };
            let mut answerers = Vec::new();
            for upstream in upstreams {
                let announced = Announced {
                    name: name.clone(),
                    ready: upstream.look().await,
                    paths: Vec::new(),
                    repeatable: false,
                    content: source.as_ref().map(|source| source.digest().to_owned()),
                    content_security_policy: None,
                };
                let application = Arc::new(Application::Foreign(Arc::new(upstream)));
                let answerer = links.start(announced, application, source.clone());
                tokio::spawn(follow(
                    Arc::clone(&answerer.application),
                    answerer.dialer.clone(),
                    shutdown.clone(),
                ));
                answerers.push(answerer);
            }
            Ok(Some(Opened {
                name,
                answerers,
                own: None,
                content: content.zip(source).map(|(content, source)| {
                    let snapshot = content.snapshot();
                    tokio::task::spawn_blocking(move || snapshot.compress());
                    Replica {
                        digest: source.digest().to_owned(),
                        content,
                    }
                }),
            }))
        }
    }
}

/// Looks whether a foreign application is well, and tells the web servers.
async fn follow(
    application: Arc<Application>,
    dialer: Option<Arc<Dialer>>,
    shutdown: CancellationToken,
) {
    let Application::Foreign(upstream) = &*application else {
        return;
    };
    let mut was_well = upstream.is_well();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(HEALTH_INTERVAL) => {}
        }
        let is_well = upstream.look().await;
        if is_well != was_well {
            was_well = is_well;
            tracing::warn!(
                upstream.address = upstream.address(),
                is_well,
                "a foreign application is another than before"
            );
        }
        if let Some(dialer) = &dialer {
            dialer.announce(|announcement| {
                for environment in &mut announcement.environments {
                    environment.ready = is_well;
                }
            });
        }
    }
}

fn source(folder: &std::path::Path, content: &StaticContent) -> Result<Option<Source>> {
    let snapshot = content.snapshot();
    if snapshot.files() == 0 {
        return Ok(None);
    }
    Source::of(folder, &snapshot).map(Some).map_err(|error| {
        let message = format!("static content in {}: {error}", folder.display());
        Failure::new(Exit::Configuration, message)
    })
}

/// Opens an application of ours; none if the server is to stop before its database is there.
async fn open_own(name: &str, own: Own, shutdown: &CancellationToken) -> Result<Option<Site>> {
    let Own {
        settings,
        definition,
        theme,
        single_sign_on,
        content,
    } = own;
    private_files::make_folder(&settings.place.data)
        .and_then(|()| private_files::make_folder(&settings.place.files()))
        .map_err(|error| {
            let message = format!(
                "cannot make the folder {}: {error}",
                settings.place.data.display()
            );
            Failure::new(Exit::CannotCreate, message)
        })?;
    let mut pause = FIRST_PAUSE;
    let prepared = loop {
        let prepared = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(None),
            prepared = first_start::prepare(&settings, &definition) => prepared,
        };
        match prepared {
            Ok(prepared) => break prepared,
            Err(failure) if matches!(failure.exit, Exit::Unavailable | Exit::Temporary) => {
                tracing::warn!(
                    environment = name,
                    reason = failure.message(),
                    "cannot open the environment; trying again"
                );
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(None),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(failure) => return Err(failure),
        }
    };
    let Prepared {
        store,
        identity,
        first_link,
    } = prepared;
    if first_link.is_some() {
        tracing::info!(
            environment = name,
            "there is an administrator `{}` now: `stoa admin link` with this environment's application and database \
             prints a link that signs in once",
            first_start::ADMINISTRATOR
        );
    }
    let snapshot = content.snapshot();
    tokio::task::spawn_blocking(move || snapshot.compress());
    let served = Served::new(
        definition,
        theme,
        store.clone(),
        identity,
        single_sign_on.as_ref(),
        &settings,
    );
    Ok(Some(Site {
        served: ArcSwap::from_pointee(served),
        content,
        health: Health {
            store,
            shutdown: shutdown.clone(),
        },
        single_sign_on,
        // The web servers have routed by it.
        names: HostNames::any(),
        tells_route: settings.access_log,
    }))
}

/// Where an app server attaches.
struct Links {
    web_servers: Vec<WebServer>,
    trust: Option<Arc<Trust>>,
    capacity: u32,
    requests: u32,
    metrics: Arc<Metrics>,
    workers: Workers,
    /// Idle connections of each instance that are kept ready for each web server.
    spares: usize,
}

/// Idle connections that all instances of a server together keep ready for each web server, as far as each has
/// [`FEWEST_SPARES`].
const SPARES: usize = 512;
const FEWEST_SPARES: usize = 2;

impl Links {
    fn of(role: &Role<'_>, trust: Option<&Arc<Trust>>, metrics: &Arc<Metrics>) -> Self {
        let app = role.server.app.as_ref();
        Self {
            web_servers: role
                .site
                .links_of(role.server)
                .map(|(web, address)| WebServer {
                    name: web.name.clone(),
                    address: address.to_string(),
                })
                .collect(),
            trust: trust.cloned(),
            metrics: Arc::clone(metrics),
            workers: role.workers.clone(),
            spares: spares(role.site.environments_of(role.server).count()),
            capacity: app.map_or(1, |app| app.capacity),
            requests: app.map_or(512, |app| app.requests),
        }
    }

    fn start(
        &self,
        environment: Announced,
        application: Arc<Application>,
        content: Option<Arc<Source>>,
    ) -> Answerer {
        let instance = Uuid::new_v4();
        let tag = Uuid::new_v4().simple().to_string()[..16].to_owned();
        let requests = usize::try_from(self.requests).unwrap_or(usize::MAX);
        let config = dial::Config {
            requests,
            connections: requests,
            workers: self.workers.clone(),
            spares: self.spares,
            ..dial::Config::default()
        };
        let announcement = Announcement {
            instance,
            tag: tag.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: State::Starting.transition(Event::Loaded),
            capacity: self.capacity,
            requests: self.requests,
            spares: u32::try_from(config.spares).unwrap_or(u32::MAX),
            environments: vec![environment],
        };
        let dialer = self
            .trust
            .as_ref()
            .filter(|_| !self.web_servers.is_empty())
            .map(|trust| {
                Arc::new(Dialer::start(
                    config,
                    self.web_servers.clone(),
                    Arc::clone(trust),
                    announcement,
                    Arc::new(OverLink {
                        application: Arc::clone(&application),
                        content,
                        metrics: Arc::clone(&self.metrics),
                    }),
                ))
            });
        Answerer {
            tag,
            application,
            dialer,
        }
    }
}

/// Spares of each of so many instances: fewer where there are many, for they are seldom all asked at once.
fn spares(instances: usize) -> usize {
    let most = dial::Config::default().spares;
    (SPARES / instances.max(1)).clamp(FEWEST_SPARES, most)
}

/// Since when a moment lies in the past, in whole seconds.
pub(crate) fn seconds_since(since: Instant) -> u64 {
    since.elapsed().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_instances_have_fewer_spares() {
        assert_eq!([0, 1, 64, 100, 1000].map(spares), [8, 8, 8, 5, 2]);
    }
}
