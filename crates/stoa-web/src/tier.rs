//! The front of a site: a request's host names the environment, and an instance of that answers.
//!
//! [`Tier`] routes; `target` chooses among the instances, `forward` asks one of them and another one if it must;
//! `content` answers static content here. An environment may be served in this very process, by `L`: then the
//! request is handed over in memory.

mod bodies;
mod content;
mod forward;
pub(crate) mod head;
mod in_memory;
mod repeat;
mod routes;
mod sticky;
mod target;
mod upgrade;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use stoa_link::accept::Instances;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::error_pages::ErrorPages;
use crate::replica::Replica;
use crate::server::{Asked, Handler};
use crate::upstream::Upstream;

pub use content::ContentStatus;
use content::Contents;
pub use routes::RouteError;
use routes::Routes;
pub use sticky::Sticky;
pub use target::{Standing, TargetStatus};
use target::{Target, Targets};

/// Paths that belong to links: nobody outside may ask for them.
pub const LINK_PATHS: &str = "/.stoa/";

/// Limits of the tier.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of the largest body that is kept so that a request can be sent to another instance.
    pub replay_bytes: usize,
    /// Bytes of all such bodies together.
    pub replay_bytes_in_all: usize,
    /// Bytes of the largest answer that is taken from the instance whole before any of it is sent on.
    pub answer_bytes: u64,
    /// Longest wait for a connection when every instance is busy.
    pub queue: Duration,
    /// Longest time that a request is tried again for while nobody can answer it: a database restarts, the only
    /// instance is replaced.
    pub patience: Duration,
    /// Most requests that wait.
    pub queued: usize,
    /// How many instances may fail with one request before it is taken to be the cause: it must not take all of them
    /// down.
    pub deaths: usize,
    /// How often one request is sent at most.
    pub attempts: usize,
    /// Faults in a row after which an instance is not asked for a while.
    pub faults: u32,
    /// How long: doubles each time, up to a minute.
    pub ejection: Duration,
    /// Time in which a new instance comes to its full share.
    pub slow_start: Duration,
    /// Folder for copies of static content.
    pub replicas: PathBuf,
    /// Static content that is held in memory, for each environment.
    pub content: crate::static_content::Config,
}

impl Config {
    /// The defaults, with copies of static content in a folder.
    #[must_use]
    pub fn new(replicas: PathBuf) -> Self {
        Self {
            replay_bytes: 1 << 20,
            replay_bytes_in_all: 256 << 20,
            answer_bytes: 64 << 10,
            queue: Duration::from_secs(1),
            patience: Duration::from_secs(15),
            queued: 2048,
            deaths: 3,
            attempts: 64,
            faults: 5,
            ejection: Duration::from_secs(1),
            slow_start: Duration::from_secs(10),
            replicas,
            content: crate::static_content::Config::default(),
        }
    }
}

/// An environment, as this server is told of it.
#[derive(Debug)]
pub struct EnvironmentConfig {
    /// Its name in the site.
    pub name: String,
    /// Host names: `shop.example.com`, or `*.example.com` for one label.
    pub hosts: Vec<String>,
    /// How clients come back to the same instance.
    pub sticky: Sticky,
    /// What is shown when there is no answer.
    pub error_pages: ErrorPages,
    /// Static content of a foreign application that is served in this process.
    pub content: Option<Replica>,
}

/// One environment and those who serve it.
struct Environment<L> {
    name: Arc<str>,
    name_value: HeaderValue,
    hosts: Vec<String>,
    sticky: Sticky,
    error_pages: ErrorPages,
    targets: ArcSwap<Targets<L>>,
    contents: Contents,
    is_in_maintenance: AtomicBool,
    counts: Counts,
}

/// What became of requests of an environment, since the start.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    repeated: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

/// An environment as it is at a moment.
#[derive(Clone, Debug)]
pub struct EnvironmentStatus {
    /// Its name.
    pub name: String,
    /// Its host names.
    pub hosts: Vec<String>,
    /// Those who serve it.
    pub targets: Vec<TargetStatus>,
    /// Its static content here.
    pub content: ContentStatus,
    /// Somebody has put it out of service.
    pub is_in_maintenance: bool,
    /// Requests since the start.
    pub requests: u64,
    /// Requests that were sent to another instance because one failed.
    pub repeated: u64,
    /// Requests that no instance answered: 502.
    pub failed: u64,
    /// Requests that no instance had room for: 503.
    pub refused: u64,
}

/// Routes requests to environments. `L` answers for environments that are served in this process.
pub struct Tier<L> {
    config: Config,
    routes: Routes,
    environments: Vec<Arc<Environment<L>>>,
    instances: Arc<Instances<Body>>,
    forwarding: forward::Forwarding,
    error_pages: ErrorPages,
}

/// Somebody who serves an environment in this process.
pub struct Local<L> {
    /// Name of the environment.
    pub environment: String,
    /// What browsers are given to come back to it.
    pub tag: String,
    /// Its share of requests, relative to instances elsewhere.
    pub capacity: u32,
    /// Who answers.
    pub answerer: Answerer<L>,
}

/// Who answers for an environment in this process.
pub enum Answerer<L> {
    /// An application of ours, which has its static content itself.
    Own(Arc<L>),
    /// A foreign application, which is looked at from elsewhere.
    Foreign(Arc<Upstream>),
}

impl<L: Handler> Tier<L> {
    /// A tier with these environments. `locals`: who serves some of them here.
    ///
    /// # Errors
    /// A host name is none, or belongs to two environments.
    pub fn new(
        config: Config,
        environments: Vec<EnvironmentConfig>,
        locals: Vec<Local<L>>,
        instances: Arc<Instances<Body>>,
        error_pages: ErrorPages,
    ) -> Result<Self, RouteError> {
        let routes = Routes::new(
            environments
                .iter()
                .map(|environment| environment.hosts.as_slice()),
        )?;
        let mut locals: Vec<_> = locals;
        let environments = environments
            .into_iter()
            .map(|environment| {
                let here = locals.extract_if(.., |local| local.environment == environment.name);
                let here = here.map(|local| Arc::new(Target::local(local))).collect();
                Arc::new(Environment {
                    name_value: HeaderValue::try_from(environment.name.as_str())
                        .unwrap_or(HeaderValue::from_static("")),
                    targets: ArcSwap::from_pointee(Targets::new(here, &environment.name)),
                    name: environment.name.into(),
                    hosts: environment.hosts,
                    sticky: environment.sticky,
                    error_pages: environment.error_pages,
                    contents: Contents::new(environment.content),
                    is_in_maintenance: AtomicBool::new(false),
                    counts: Counts::default(),
                })
            })
            .collect();
        Ok(Self {
            forwarding: forward::Forwarding::new(&config),
            config,
            routes,
            environments,
            instances,
            error_pages,
        })
    }

    /// Follows the instances until `shutdown`: who may be asked, and which static content is fetched.
    pub async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let mut changed = self.instances.watch();
        let mut retry = tokio::time::interval(Duration::from_millis(500));
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let present = self.instances.present();
            for environment in &self.environments {
                let targets = environment.targets.load();
                let next = targets.next(&environment.name, &present);
                environment.targets.store(Arc::new(next));
                let targets = environment.targets.load_full();
                targets.wake_silent();
                content::follow(environment, &targets, &self.config, &shutdown);
                for target in targets.to_probe() {
                    let name = environment.name_value.clone();
                    tokio::spawn(async move { target.probe(name).await });
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                told = changed.changed() => if told.is_err() { return },
                // Probes, ended ejections, content that could not be fetched.
                _ = retry.tick() => {}
            }
        }
    }

    /// Puts an environment out of service, or back into it. Returns whether there is such an environment.
    pub fn set_maintenance(&self, environment: &str, is_in_maintenance: bool) -> bool {
        let found = self
            .environments
            .iter()
            .find(|known| *known.name == *environment);
        if let Some(environment) = found {
            environment
                .is_in_maintenance
                .store(is_in_maintenance, Ordering::Relaxed);
        }
        found.is_some()
    }

    /// All environments as they are now.
    #[must_use]
    pub fn status(&self) -> Vec<EnvironmentStatus> {
        self.environments
            .iter()
            .map(|environment| EnvironmentStatus {
                name: environment.name.to_string(),
                hosts: environment.hosts.clone(),
                targets: environment.targets.load().status(),
                content: environment.contents.status(),
                is_in_maintenance: environment.is_in_maintenance.load(Ordering::Relaxed),
                requests: environment.counts.requests.load(Ordering::Relaxed),
                repeated: environment.counts.repeated.load(Ordering::Relaxed),
                failed: environment.counts.failed.load(Ordering::Relaxed),
                refused: environment.counts.refused.load(Ordering::Relaxed),
            })
            .collect()
    }

    async fn answer(
        &self,
        environment: &Environment<L>,
        request: Request<Incoming>,
        asked: &mut Asked,
    ) -> Response<Body> {
        environment.counts.requests.fetch_add(1, Ordering::Relaxed);
        if environment.is_in_maintenance.load(Ordering::Relaxed) {
            return environment
                .error_pages
                .respond_maintenance(request.headers());
        }
        let targets = environment.targets.load_full();
        if let Some(response) = content::answer(environment, &targets, &request, asked).await {
            return response;
        }
        self.forwarding
            .answer(environment, targets, request, asked)
            .await
    }
}

impl<L: Handler> Handler for Tier<L> {
    async fn handle(&self, request: Request<Incoming>, asked: &mut Asked) -> Response<Body> {
        let host = request
            .headers()
            .get(http::header::HOST)
            .map_or(&b""[..], HeaderValue::as_bytes);
        let Some(environment) = self
            .routes
            .find(host)
            .map(|place| &self.environments[place])
        else {
            return self
                .error_pages
                .respond(StatusCode::MISDIRECTED_REQUEST, request.headers());
        };
        if request.uri().path().starts_with(LINK_PATHS) {
            return environment
                .error_pages
                .respond(StatusCode::NOT_FOUND, request.headers());
        }
        asked.served.environment = Some(Arc::clone(&environment.name));
        self.answer(environment, request, asked).await
    }
}
