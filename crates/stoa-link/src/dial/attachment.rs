//! The link to one web server: made, kept, made again.

use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::line::{self, Count, DialError};
use super::{Config, Handler, Shared, WebServer};
use crate::FrameError;
use crate::announcement::{Announcement, Beat, FromInstance, FromWeb};
use crate::hello::Purpose;

/// Connections that are dialled at once.
const AT_ONCE: usize = 16;
/// Pause after one of them could not be made.
const PAUSE: Duration = Duration::from_millis(200);

/// How a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Not yet attached, or no longer; why, for people.
    Detached(String),
    /// The web server knows this instance.
    Attached,
    /// The web server does not take this instance; why, for people.
    Refused(String),
}

/// A link as it is at a moment.
#[derive(Clone, Debug)]
pub struct Link {
    /// Name of the web server.
    pub server: String,
    /// Where it is dialled.
    pub address: String,
    /// How it is.
    pub state: LinkState,
    /// Since when.
    pub since: Instant,
    /// Connections, idle ones included.
    pub connections: usize,
    /// Connections that wait for a request.
    pub idle: usize,
    /// Connections that became something else, or are kept for that.
    pub upgrades: usize,
}

#[derive(Debug)]
pub(super) struct Attachment {
    web_server: WebServer,
    state: Mutex<(LinkState, Instant)>,
    /// Number of the announcement by which the web server goes; none while it is not attached.
    seen: watch::Sender<Option<u64>>,
    requests: Arc<Count>,
    upgrades: Arc<Count>,
}

/// Why an attachment is over.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("it is silent")]
    Silent,
    #[error("it refuses this instance: {0}")]
    Refused(String),
}

impl Attachment {
    pub(super) fn new(web_server: WebServer, config: &Config) -> Self {
        Self {
            web_server,
            state: Mutex::new((
                LinkState::Detached("not dialled yet".into()),
                Instant::now(),
            )),
            seen: watch::Sender::new(None),
            requests: Arc::new(Count::new(config.spares)),
            upgrades: Arc::new(Count::new(config.upgrade_spares)),
        }
    }

    pub(super) fn link(&self) -> Link {
        let (state, since) = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Link {
            server: self.web_server.name.clone(),
            address: self.web_server.address.clone(),
            state,
            since,
            connections: self.requests.all(),
            idle: self.requests.idle(),
            upgrades: self.upgrades.all(),
        }
    }

    /// Returns the state before, if it is another one.
    fn become_state(&self, state: LinkState) -> Option<LinkState> {
        let mut present = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if present.0 == state {
            return None;
        }
        let before = std::mem::replace(&mut *present, (state, Instant::now()));
        Some(before.0)
    }

    /// Waits until the web server goes by this announcement or a later one, or is not attached.
    pub(super) async fn until_seen(&self, number: u64) {
        let mut seen = self.seen.subscribe();
        let waited = seen.wait_for(|seen| seen.is_none_or(|seen| seen >= number));
        // The sender lives as long as `self`.
        let _ = waited.await;
    }
}

/// Attaches, and again when that is over, until the dialler stops.
pub(super) async fn keep<H: Handler>(attachment: Arc<Attachment>, shared: Arc<Shared<H>>) {
    let server = &attachment.web_server;
    let mut pause = shared.config.first_pause;
    loop {
        let over = shared.stop.child_token();
        let ended = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            ended = attach(&attachment, &shared, &over, &mut pause) => ended,
        };
        over.cancel();
        attachment.seen.send_replace(None);
        let reason = crate::chain(&ended);
        let state = match ended {
            Ended::Refused(reason) => LinkState::Refused(reason),
            _ => LinkState::Detached(reason.clone()),
        };
        match attachment.become_state(state) {
            Some(LinkState::Attached) => {
                tracing::warn!(
                    web.server = server.name,
                    web.address = server.address,
                    reason,
                    "the link to a web server is lost; dialling it again"
                );
            }
            Some(_) => {
                tracing::warn!(
                    web.server = server.name,
                    web.address = server.address,
                    reason,
                    "cannot attach to a web server; trying on"
                );
            }
            None => {}
        }
        // Not all instances at the same moment.
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = sleep(pause.mul_f64(jitter)) => {}
        }
        pause = (pause * 2).min(shared.config.longest_pause);
    }
}

async fn attach<H: Handler>(
    attachment: &Arc<Attachment>,
    shared: &Arc<Shared<H>>,
    over: &CancellationToken,
    pause: &mut Duration,
) -> Ended {
    match talk(attachment, shared, over, pause).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

/// Announces this instance and exchanges heartbeats until the connection is lost.
async fn talk<H: Handler>(
    attachment: &Arc<Attachment>,
    shared: &Arc<Shared<H>>,
    over: &CancellationToken,
    pause: &mut Duration,
) -> Result<std::convert::Infallible, Ended> {
    let mut announcements = shared.announcement.clone();
    let mut frames = line::dial(shared, &attachment.web_server, Purpose::Announce).await?;
    frames.write(&announce(&mut announcements)).await?;
    let mut heartbeat = interval(shared.config.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = tokio::time::Instant::now();
    let mut is_attached = false;
    loop {
        tokio::select! {
            message = frames.read() => {
                heard = tokio::time::Instant::now();
                match message? {
                    FromWeb::Beat => {}
                    FromWeb::Refused(reason) => return Err(Ended::Refused(reason)),
                    FromWeb::Seen(number) => {
                        attachment.seen.send_replace(Some(number));
                        if !is_attached {
                            is_attached = true;
                            *pause = shared.config.first_pause;
                            attachment.become_state(LinkState::Attached);
                            tracing::info!(
                                web.server = attachment.web_server.name,
                                web.address = attachment.web_server.address,
                                "attached to a web server"
                            );
                            for purpose in [Purpose::Request, Purpose::Upgrade] {
                                shared.tasks.spawn(supply(
                                    Arc::clone(attachment),
                                    Arc::clone(shared),
                                    purpose,
                                    over.clone(),
                                ));
                            }
                        }
                    }
                }
            }
            changed = announcements.changed() => {
                if changed.is_err() {
                    // The dialler is dropped without being closed: nothing will change any more.
                    pending::<()>().await;
                }
                frames.write(&announce(&mut announcements)).await?;
            }
            _ = heartbeat.tick() => {
                let open = u32::try_from(shared.work.open()).unwrap_or(u32::MAX);
                frames.write(&FromInstance::Beat(Beat { open })).await?;
            }
            () = sleep_until(heard + shared.config.silence) => return Err(Ended::Silent),
        }
    }
}

fn announce(announcements: &mut watch::Receiver<(u64, Announcement)>) -> FromInstance {
    let (number, announcement) = announcements.borrow_and_update().clone();
    FromInstance::Announce(number, Box::new(announcement))
}

/// Keeps idle connections of one kind ready, and dials more as they are taken.
async fn supply<H: Handler>(
    attachment: Arc<Attachment>,
    shared: Arc<Shared<H>>,
    purpose: Purpose,
    over: CancellationToken,
) {
    let config = &shared.config;
    let (count, most) = match purpose {
        Purpose::Upgrade => (&attachment.upgrades, config.upgrades),
        _ => (&attachment.requests, config.connections),
    };
    let dialling = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let mut turns = (0..config.workers.count()).cycle();
    loop {
        let few = count.few.notified();
        while count.has_few() && count.all() < most {
            let permit = tokio::select! {
                biased;
                () = over.cancelled() => return,
                permit = Arc::clone(&dialling).acquire_owned() => permit,
            };
            let Ok(permit) = permit else { return };
            let counted = count.add();
            let (attachment, shared) = (Arc::clone(&attachment), Arc::clone(&shared));
            let over = over.clone();
            let (tasks, workers) = (shared.tasks.clone(), config.workers.clone());
            let served = tasks.track_future(async move {
                let dialled = tokio::select! {
                    biased;
                    () = over.cancelled() => return,
                    dialled = line::dial(&shared, &attachment.web_server, purpose) => dialled,
                };
                match dialled {
                    Ok(frames) => {
                        drop(permit);
                        let count = match purpose {
                            Purpose::Upgrade => &attachment.upgrades,
                            _ => &attachment.requests,
                        };
                        let start = Instant::now();
                        let stream = frames.into_inner();
                        line::serve(&shared, stream, counted, purpose, over.clone()).await;
                        // A refusal of the certificate comes after the handshake: it must not make a storm. So one
                        // that ended at once keeps its place for a moment.
                        if let Some(rest) = PAUSE.checked_sub(start.elapsed()) {
                            let _place = count.add();
                            tokio::select! {
                                () = over.cancelled() => {}
                                () = sleep(rest) => {}
                            }
                        }
                    }
                    Err(error) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            web.server = attachment.web_server.name,
                            "cannot dial a web server"
                        );
                        tokio::select! {
                            () = over.cancelled() => {}
                            () = sleep(PAUSE) => {}
                        }
                        drop(permit);
                    }
                }
            });
            workers.spawn(turns.next().unwrap_or_default(), served);
        }
        tokio::select! {
            () = over.cancelled() => return,
            () = few => {}
        }
    }
}
