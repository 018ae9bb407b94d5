//! How a server is, for its operator.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stoa_link::accept::{Instances, Presence};
use stoa_link::announcement::{Event, State};
use stoa_link::dial::{Dialer, LinkState};
use stoa_web::Body;
use stoa_web::server::Traffic;
use stoa_web::tier::{EnvironmentStatus, Standing, Tier};

use super::Role;
use super::app::{App, seconds_since};
use super::application::Application;
use super::certificates::Certificates;
use super::pace::Pace;
use super::web::Web;

/// Longest wait for a database that is asked for sessions.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server can tell of itself, and what it can be told to do.
pub(crate) struct Report {
    site: String,
    server: String,
    is_web: bool,
    is_app: bool,
    started: Instant,
    environments: Vec<(String, Vec<Arc<Dialer>>)>,
    /// Those of ours, by environment: they know of sessions.
    applications: Vec<(String, Arc<Application>)>,
    pace: Arc<Pace>,
    web: Option<Front>,
}

/// What a web server knows.
struct Front {
    tier: Arc<Tier<Application>>,
    instances: Arc<Instances<Body>>,
    traffic: Arc<Traffic>,
    certificates: Option<Arc<Certificates>>,
}

impl Report {
    pub(crate) fn new(role: &Role<'_>, app: &App, web: Option<&Web>, started: Instant) -> Self {
        Self {
            site: role.site.name.clone(),
            server: role.server.name.clone(),
            is_web: role.server.web.is_some(),
            is_app: role.server.app.is_some(),
            started,
            environments: app
                .environments
                .iter()
                .map(|environment| {
                    let answerers = environment.answerers.iter();
                    let dialers = answerers.filter_map(|answerer| answerer.dialer.clone());
                    (environment.name.clone(), dialers.collect())
                })
                .collect(),
            applications: app
                .environments
                .iter()
                .filter_map(|environment| {
                    Some((environment.name.clone(), environment.own.clone()?))
                })
                .collect(),
            pace: Pace::new(
                web.map_or_else(|| Arc::clone(&app.measured), |web| Arc::clone(&web.metrics)),
            ),
            web: web.map(|web| Front {
                tier: Arc::clone(&web.tier),
                instances: Arc::clone(&web.instances),
                traffic: Arc::clone(&web.traffic),
                certificates: web.certificates.clone(),
            }),
        }
    }

    /// Everything, as `stoa status --json` prints it.
    pub(crate) async fn status(&self) -> Value {
        let mut roles = Vec::new();
        if self.is_web {
            roles.push("web");
        }
        if self.is_app {
            roles.push("app");
        }
        let mut status = json!({
            "site": self.site,
            "servers": [{
                "name": self.server,
                "roles": roles,
                "version": env!("CARGO_PKG_VERSION"),
                "uptime_seconds": seconds_since(self.started),
                "pace": self.pace.tell(),
                "connections": self.web.as_ref().map(|front| front.traffic.connections_open.load(Ordering::Relaxed)),
            }],
            "instances": self.instances(),
            "environments": self.environments(),
            "certificates": self.certificates(),
            "links": self.links(),
            "sessions": self.sessions().await,
        });
        if !self.is_web
            && let Some(status) = status.as_object_mut()
        {
            status.remove("environments");
            status.remove("certificates");
        }
        status
    }

    fn instances(&self) -> Vec<Value> {
        let mut instances = Vec::new();
        if let Some(front) = &self.web {
            for instance in front.instances.present().iter() {
                let announcement = instance.announcement();
                let environments: Vec<&str> = announcement
                    .environments
                    .iter()
                    .map(|environment| environment.name.as_str())
                    .collect();
                instances.push(json!({
                    "id": instance.id,
                    "server": instance.server,
                    "state": match instance.presence() {
                        Presence::New => "starting",
                        Presence::Attached => state(announcement.state),
                        Presence::Silent => "silent",
                        Presence::Gone => "gone",
                    },
                    "version": announcement.version,
                    "environments": environments,
                    "capacity": announcement.capacity,
                    "requests": announcement.requests,
                    "in_flight": instance.in_flight(),
                    "open": instance.open(),
                    "idle_connections": instance.idle(),
                    "attached_seconds": seconds_since(instance.since),
                }));
            }
        }
        // Those of this process that no link is needed for, or that tell of themselves where no web server runs.
        for (name, dialers) in &self.environments {
            if dialers.is_empty() {
                instances.push(json!({
                    "id": Value::Null,
                    "server": self.server,
                    "state": "ready",
                    "version": env!("CARGO_PKG_VERSION"),
                    "environments": [name],
                }));
            }
            for dialer in dialers {
                let announcement = dialer.announcement();
                if self.web.is_none() {
                    instances.push(json!({
                        "id": announcement.instance,
                        "server": self.server,
                        "state": state(announcement.state),
                        "version": announcement.version,
                        "environments": [name],
                        "capacity": announcement.capacity,
                        "requests": announcement.requests,
                        "open": dialer.open(),
                    }));
                }
            }
        }
        instances
    }

    fn environments(&self) -> Vec<Value> {
        let Some(front) = &self.web else {
            return Vec::new();
        };
        front.tier.status().iter().map(environment).collect()
    }

    fn certificates(&self) -> Vec<Value> {
        let certificates = self
            .web
            .as_ref()
            .and_then(|front| front.certificates.as_ref());
        certificates.map_or(Vec::new(), |certificates| certificates.status())
    }

    /// Follows how fast this server answers, for ever.
    pub(crate) async fn follow(&self) {
        Arc::clone(&self.pace).follow().await;
    }

    /// Living sessions of each environment of ours; null where the database does not tell.
    async fn sessions(&self) -> Vec<Value> {
        let mut sessions = Vec::new();
        for (name, application) in &self.applications {
            let Application::Own(site) = &**application else {
                continue;
            };
            let identity = site.served.load().identity.clone();
            let counted = tokio::time::timeout(PATIENCE, identity.count_sessions()).await;
            let count = match counted {
                Ok(Ok(count)) => Some(count),
                Ok(Err(error)) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        environment = name,
                        "sessions cannot be counted"
                    );
                    None
                }
                Err(_) => None,
            };
            sessions.push(json!({ "environment": name, "living": count }));
        }
        sessions
    }

    fn links(&self) -> Vec<Value> {
        let mut links = Vec::new();
        for (name, dialers) in &self.environments {
            for link in dialers.iter().flat_map(|dialer| dialer.links()) {
                let (state, reason) = match link.state {
                    LinkState::Attached => ("attached", None),
                    LinkState::Detached(reason) => ("detached", Some(reason)),
                    LinkState::Refused(reason) => ("refused", Some(reason)),
                };
                links.push(json!({
                    "environment": name,
                    "web_server": link.server,
                    "address": link.address,
                    "state": state,
                    "reason": reason,
                    "seconds": seconds_since(link.since),
                    "connections": link.connections,
                    "idle_connections": link.idle,
                    "upgrades": link.upgrades,
                }));
            }
        }
        links
    }

    /// Lets the instances of this server finish and be asked nothing new, or be asked again. Returns how many.
    pub(crate) fn transition(&self, event: Event) -> usize {
        let dialers = self.environments.iter().flat_map(|(_, dialers)| dialers);
        dialers
            .map(|dialer| {
                dialer.announce(|announcement| {
                    announcement.state = announcement.state.transition(event);
                });
            })
            .count()
    }

    /// Puts an environment out of service at this web server, or back. Returns whether there is one of that name.
    pub(crate) fn maintain(&self, environment: &str, is_in_maintenance: bool) -> bool {
        self.web
            .as_ref()
            .is_some_and(|front| front.tier.set_maintenance(environment, is_in_maintenance))
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready => "ready",
        State::Draining => "draining",
    }
}

fn environment(status: &EnvironmentStatus) -> Value {
    let ready = status
        .targets
        .iter()
        .filter(|target| target.standing == Standing::Ready)
        .count();
    let targets: Vec<Value> = status
        .targets
        .iter()
        .map(|target| {
            json!({
                "instance": target.instance,
                "standing": match target.standing {
                    Standing::Ready => "ready",
                    Standing::Ejected => "ejected",
                    Standing::Silent => "silent",
                    Standing::Unready => "unready",
                    Standing::Draining => "draining",
                },
                "in_flight": target.in_flight,
            })
        })
        .collect();
    json!({
        "name": status.name,
        "hosts": status.hosts,
        "ready": ready,
        "maintenance": status.is_in_maintenance,
        "targets": targets,
        "content": {
            "digest": status.content.digest,
            "files": status.content.files,
            "fetching": status.content.fetching,
        },
        "requests": status.requests,
        "repeated": status.repeated,
        "failed": status.failed,
        "refused": status.refused,
    })
}
