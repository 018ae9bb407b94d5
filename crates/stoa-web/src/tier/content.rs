//! Static content of an environment, answered here from a copy of what the instances have.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use rand::seq::IndexedRandom as _;
use stoa_link::accept::Instance;
use tokio_util::sync::CancellationToken;

use super::target::Targets;
use super::{Config, Environment};
use crate::SecurityHeaders;
use crate::body::Body;
use crate::replica::{self, Replica};
use crate::server::Asked;

/// First pause after content could not be fetched; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The copies of an environment's static content.
#[derive(Default)]
pub(super) struct Contents {
    current: ArcSwapOption<Current>,
    /// The release before: pages of it that are open ask for files that only it has.
    before: ArcSwapOption<Current>,
    fetching: Mutex<Fetching>,
}

/// What is on its way here.
#[derive(Default)]
struct Fetching {
    /// Digest of what is being fetched.
    digest: Option<String>,
    /// Digest of what could not be fetched, and when it is tried again.
    failed: Option<(String, Instant)>,
    /// How often in a row.
    failures: u32,
}

struct Current {
    replica: Replica,
    security: SecurityHeaders,
    policy: Option<String>,
}

/// Static content of an environment, as it is at a moment.
#[derive(Clone, Debug, Default)]
pub struct ContentStatus {
    /// Digest of the list of files that is served.
    pub digest: Option<String>,
    /// Number of files.
    pub files: usize,
    /// Digest of what is being fetched.
    pub fetching: Option<String>,
}

impl Contents {
    /// With the content of an application in this process.
    pub(super) fn new(here: Option<Replica>) -> Self {
        let current = here.map(|replica| {
            Arc::new(Current {
                replica,
                security: SecurityHeaders::default(),
                policy: None,
            })
        });
        Self {
            current: ArcSwapOption::new(current),
            ..Self::default()
        }
    }

    fn fetching(&self) -> std::sync::MutexGuard<'_, Fetching> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, current: Current) {
        let before = self.current.swap(Some(Arc::new(current)));
        if before.is_some() {
            self.before.store(before);
        }
    }

    /// The release that answers for a path, and whether it has such a file: the current one, unless only the one
    /// before has it.
    fn of(&self, path: &str) -> Option<(Arc<Current>, bool)> {
        let current = self.current.load_full()?;
        if current.replica.content.has(path) {
            return Some((current, true));
        }
        if let Some(before) = self.before.load_full()
            && before.replica.content.has(path)
        {
            return Some((before, true));
        }
        Some((current, false))
    }

    pub(super) fn status(&self) -> ContentStatus {
        let current = self.current.load();
        ContentStatus {
            digest: current
                .as_ref()
                .map(|current| current.replica.digest.clone()),
            files: current
                .as_ref()
                .map_or(0, |current| current.replica.content.snapshot().files()),
            fetching: self.fetching().digest.clone(),
        }
    }
}

/// Answers a request if it is for static content that is here.
pub(super) async fn answer<L>(
    environment: &Environment<L>,
    targets: &Targets<L>,
    request: &Request<Incoming>,
    asked: &mut Asked,
) -> Option<Response<Body>> {
    let path = request.uri().path();
    let (current, is_there) = environment.contents.of(path)?;
    if targets.paths.is_empty() {
        // The application answers what is no file.
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read || !is_there {
            return None;
        }
    } else if targets.paths.iter().any(|root| is_below(path, root)) {
        return None;
    }
    let content = &current.replica.content;
    let mut response = content
        .respond(request.method(), request.uri(), request.headers())
        .await;
    let is_secure = asked.client.is_secure();
    current.security.complete(response.headers_mut(), is_secure);
    asked.served.route = Some("static");
    Some(response)
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Fetches the static content that most of the ready instances have, if it is not here.
pub(super) fn follow<L: Send + Sync + 'static>(
    environment: &Arc<Environment<L>>,
    targets: &Targets<L>,
    config: &Config,
    shutdown: &CancellationToken,
) {
    if targets.are_here() {
        return;
    }
    let Some(offer) = wanted(environment, targets) else {
        return;
    };
    let Offer {
        instances,
        digest,
        policy,
    } = offer;
    // If one of them cannot give it, another one is asked the next time.
    let Some(instance) = instances.choose(&mut rand::rng()).cloned() else {
        return;
    };
    let contents = &environment.contents;
    if contents
        .current
        .load()
        .as_ref()
        .is_some_and(|current| current.replica.digest == digest && current.policy == policy)
    {
        return;
    }
    {
        let mut fetching = contents.fetching();
        let is_too_soon = fetching
            .failed
            .as_ref()
            .is_some_and(|(failed, until)| *failed == digest && Instant::now() < *until);
        if fetching.digest.is_some() || is_too_soon {
            return;
        }
        fetching.digest = Some(digest.clone());
    }
    let environment = Arc::clone(environment);
    let (folder, content_config) = (config.replicas.clone(), config.content.clone());
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let fetch = replica::fetch(
            &instance,
            &environment.name,
            &digest,
            &folder,
            content_config,
        );
        let fetched = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            fetched = fetch => fetched,
        };
        let contents = &environment.contents;
        match fetched {
            Ok(replica) => {
                let snapshot = replica.content.snapshot();
                tracing::info!(
                    environment = &*environment.name,
                    content.digest = digest,
                    content.files = snapshot.files(),
                    "static content is served from here"
                );
                let security = SecurityHeaders::new(policy.as_deref()).unwrap_or_default();
                contents.replace(Current {
                    replica,
                    security,
                    policy,
                });
                tokio::task::spawn_blocking(move || snapshot.compress());
                replica::tidy(&folder, &environment.name, &digest).await;
                *contents.fetching() = Fetching::default();
            }
            Err(error) => {
                let mut fetching = contents.fetching();
                fetching.failures += 1;
                let pause = (PAUSE * 2_u32.pow(fetching.failures.min(16) - 1)).min(LONGEST_PAUSE);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    environment = &*environment.name,
                    content.digest = digest,
                    seconds = pause.as_secs_f32(),
                    "static content cannot be fetched; it is tried again"
                );
                fetching.failed = Some((digest, Instant::now() + pause));
                fetching.digest = None;
            }
        }
    });
}

/// Content that instances have.
struct Offer {
    instances: Vec<Arc<Instance<Body>>>,
    digest: String,
    policy: Option<String>,
}

/// What most of the ready instances have. Among equals: what is here already.
fn wanted<L>(environment: &Environment<L>, targets: &Targets<L>) -> Option<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    for instance in targets.instances() {
        let announcement = instance.announcement();
        let served = announcement
            .environments
            .iter()
            .find(|served| served.name == *environment.name);
        let Some(served) = served else { continue };
        let Some(digest) = &served.content else {
            continue;
        };
        match offers.iter_mut().find(|offer| offer.digest == *digest) {
            Some(offer) => offer.instances.push(Arc::clone(instance)),
            None => offers.push(Offer {
                instances: vec![Arc::clone(instance)],
                digest: digest.clone(),
                policy: served.content_security_policy.clone(),
            }),
        }
    }
    let here = environment.contents.status().digest;
    offers
        .into_iter()
        .max_by_key(|offer| (offer.instances.len(), here.as_ref() == Some(&offer.digest)))
}
