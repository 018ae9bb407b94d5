//! Static content of an environment, answered here from a copy of what the instances have.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use stoa_link::accept::Instance;
use tokio_util::sync::CancellationToken;

use super::target::Targets;
use super::{Config, Environment};
use crate::SecurityHeaders;
use crate::access_log::Served;
use crate::body::Body;
use crate::forwarded::Client;
use crate::replica::{self, Replica};
use crate::security_headers::Answer;
use crate::static_content::StaticContent;

/// The copies of an environment's static content.
#[derive(Default)]
pub(super) struct Contents {
    current: ArcSwapOption<Current>,
    /// Digest of what is being fetched, or could not be and is tried again.
    fetching: Mutex<Option<String>>,
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
    /// Content that is here already, and stays.
    pub(super) fn of(content: StaticContent) -> Self {
        Self {
            current: ArcSwapOption::from_pointee(Current {
                replica: Replica {
                    digest: String::new(),
                    content,
                },
                security: SecurityHeaders::default(),
                policy: None,
            }),
            fetching: Mutex::default(),
        }
    }

    fn fetching(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
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
            fetching: self.fetching().clone(),
        }
    }
}

/// Answers a request if it is for static content that is here.
pub(super) async fn answer<L>(
    environment: &Environment<L>,
    targets: &Targets<L>,
    request: &Request<Incoming>,
) -> Option<Response<Body>> {
    let current = environment.contents.current.load();
    let current = current.as_ref()?;
    let path = request.uri().path();
    if targets.paths.is_empty() {
        // The application answers what is no file.
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read || !current.replica.content.has(path) {
            return None;
        }
    } else if targets.paths.iter().any(|root| is_below(path, root)) {
        return None;
    }
    let current = Arc::clone(current);
    let content = &current.replica.content;
    let mut response = content
        .respond(request.method(), request.uri(), request.headers())
        .await;
    let client = request.extensions().get::<Client>();
    current.security.apply(
        response.headers_mut(),
        Answer::Content,
        client.is_some_and(Client::is_secure),
    );
    let served = Served {
        route: Some("static"),
        ..Served::default()
    };
    response.extensions_mut().insert(served);
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
    if targets.has_local() {
        return;
    }
    let Some(offer) = wanted(environment, targets) else {
        return;
    };
    let Offer {
        instance,
        digest,
        policy,
        ..
    } = offer;
    let contents = &environment.contents;
    if contents
        .current
        .load()
        .as_ref()
        .is_some_and(|current| current.replica.digest == digest && current.policy == policy)
    {
        return;
    }
    let mut fetching = contents.fetching();
    if fetching.is_some() {
        return;
    }
    *fetching = Some(digest.clone());
    drop(fetching);
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
                environment.contents.current.store(Some(Arc::new(Current {
                    replica,
                    security,
                    policy,
                })));
                tokio::task::spawn_blocking(move || snapshot.compress());
                replica::tidy(&folder, &environment.name, &digest).await;
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                environment = &*environment.name,
                content.digest = digest,
                "static content cannot be fetched; trying again"
            ),
        }
        *environment.contents.fetching() = None;
    });
}

/// Content that instances have.
struct Offer {
    instance: Arc<Instance<Body>>,
    digest: String,
    policy: Option<String>,
    /// How many have it.
    votes: usize,
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
            Some(offer) => offer.votes += 1,
            None => offers.push(Offer {
                instance: Arc::clone(instance),
                digest: digest.clone(),
                policy: served.content_security_policy.clone(),
                votes: 1,
            }),
        }
    }
    let here = environment.contents.status().digest;
    offers
        .into_iter()
        .max_by_key(|offer| (offer.votes, here.as_ref() == Some(&offer.digest)))
}
