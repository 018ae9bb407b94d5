//! The app server's side: dials web servers and serves what they ask.

mod answer;
mod attachment;
mod line;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::announcement::Announcement;
use crate::trust::Trust;
use crate::workers::Workers;
use crate::{BodyError, HEARTBEAT, SILENCE};

use answer::Work;
use attachment::Attachment;
pub use attachment::{Link, LinkState};

/// Says on an answer that the instance does not answer at present. Unless it is [`UNAVAILABLE`], nothing of the request
/// was begun.
pub const REFUSED: HeaderName = HeaderName::from_static("x-stoa-refused");
/// What the instance depends on is not there. The request may have been begun: it can be sent again with its identity.
pub const UNAVAILABLE: &str = "unavailable";

/// Time for requests to arrive that were sent just before an announcement was seen: they come on other connections.
const ON_THEIR_WAY: Duration = Duration::from_millis(200);

/// A web server to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebServer {
    /// Its name in the site, which its certificate must show.
    pub name: String,
    /// Where it listens for app servers: host and port.
    pub address: String,
}

/// Limits and times of the dialling side.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between two heartbeats.
    pub heartbeat: Duration,
    /// A web server not heard for so long is dialled anew.
    pub silence: Duration,
    /// Idle connections kept ready for each web server.
    pub spares: usize,
    /// Most connections to each web server.
    pub connections: usize,
    /// Idle connections kept ready for requests that become something else.
    pub upgrade_spares: usize,
    /// Most connections that became something else, to each web server.
    pub upgrades: usize,
    /// Most requests at once, of all web servers. Beyond it they are refused at once.
    pub requests: usize,
    /// Longest time to make a connection.
    pub dialling: Duration,
    /// First pause after a connection could not be made; it doubles up to the longest.
    pub first_pause: Duration,
    /// Longest such pause.
    pub longest_pause: Duration,
    /// Who moves the bytes of connections, and answers what comes on them.
    pub workers: Workers,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: HEARTBEAT,
            silence: 2 * SILENCE,
            spares: 8,
            connections: 512,
            upgrade_spares: 1,
            upgrades: 1024,
            requests: 512,
            dialling: Duration::from_secs(3),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(1),
            workers: Workers::default(),
        }
    }
}

/// Answers requests that come over links.
pub trait Handler: Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data = Bytes, Error: Into<BodyError>> + Send + Unpin + 'static;

    /// Answers one request.
    fn handle(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What all links of an instance share.
struct Shared<H> {
    config: Config,
    trust: Arc<Trust>,
    handler: Arc<H>,
    announcement: watch::Receiver<(u64, Announcement)>,
    work: Arc<Work>,
    /// Links finish and close.
    stop: CancellationToken,
    /// Links close, finished or not.
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// The links of one instance.
pub struct Dialer {
    announcement: watch::Sender<(u64, Announcement)>,
    attachments: Vec<Arc<Attachment>>,
    work: Arc<Work>,
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Dialer")
            .field("links", &self.links())
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Attaches to web servers, and again whenever a connection is lost, until it is closed.
    #[must_use]
    pub fn start<H: Handler>(
        config: Config,
        web_servers: Vec<WebServer>,
        trust: Arc<Trust>,
        announcement: Announcement,
        handler: Arc<H>,
    ) -> Self {
        let (sender, receiver) = watch::channel((1, announcement));
        let work = Arc::new(Work::new(config.requests));
        let stop = CancellationToken::new();
        let cut = CancellationToken::new();
        let tasks = TaskTracker::new();
        let attachments: Vec<_> = web_servers
            .into_iter()
            .map(|web_server| Arc::new(Attachment::new(web_server, &config)))
            .collect();
        let shared = Arc::new(Shared {
            config,
            trust,
            handler,
            announcement: receiver,
            work: Arc::clone(&work),
            stop: stop.clone(),
            cut: cut.clone(),
            tasks: tasks.clone(),
        });
        for attachment in &attachments {
            tasks.spawn(attachment::keep(
                Arc::clone(attachment),
                Arc::clone(&shared),
            ));
        }
        Self {
            announcement: sender,
            attachments,
            work,
            stop,
            cut,
            tasks,
        }
    }

    /// Announces a change, if there is one.
    pub fn announce(&self, change: impl FnOnce(&mut Announcement)) {
        self.announcement.send_if_modified(|(number, announced)| {
            let before = announced.clone();
            change(announced);
            let changed = *announced != before;
            if changed {
                *number += 1;
            }
            changed
        });
    }

    /// What is announced.
    #[must_use]
    pub fn announcement(&self) -> Announcement {
        self.announcement.borrow().1.clone()
    }

    /// The links and how they are.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.attachments
            .iter()
            .map(|attachment| attachment.link())
            .collect()
    }

    /// Requests at work.
    #[must_use]
    pub fn open(&self) -> usize {
        self.work.open()
    }

    /// Waits until every attached web server goes by what was announced last, and then until every request is
    /// answered. Returns whether both happened in time.
    pub async fn settle(&self, within: Duration) -> bool {
        let number = self.announcement.borrow().0;
        let settled = async {
            for attachment in &self.attachments {
                attachment.until_seen(number).await;
            }
            tokio::time::sleep(ON_THEIR_WAY).await;
            self.work.until_none().await;
        };
        timeout(within, settled).await.is_ok()
    }

    /// Closes all links, each when its request is answered, and then what requests have become, such as WebSockets.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.cut.cancel();
    }

    /// Cuts all links at once, whatever is at work.
    pub fn abort(&self) {
        self.cut.cancel();
        self.stop.cancel();
    }
}
