//! The web server's side: accepts what instances dial, knows which of them live, and sends them requests.

mod announced;
mod exchange;
mod instance;
mod line;
mod pool;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::frame::Frames;
use crate::hello::{Hello, Purpose};
use crate::trust::{self, Names, Trust};
use crate::workers::Workers;
use crate::{BodyError, FrameError, SILENCE};

pub use exchange::{AnswerBody, Failure, Fault};
pub use instance::{Instance, Presence};
pub use pool::Taken;

/// A connection of an instance, after its handshake.
type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// Limits of the accepting side.
#[derive(Clone, Debug)]
pub struct Config {
    /// An instance not heard for so long is avoided.
    pub silence: Duration,
    /// An instance not heard for so long is forgotten.
    pub forget: Duration,
    /// Longest time from a new connection to its first message.
    pub greeting: Duration,
    /// Connections that are greeted at once.
    pub greetings: usize,
    /// Most connections of one instance.
    pub connections: usize,
    /// Most instances.
    pub instances: usize,
    /// An idle connection beyond the spares is closed after so long.
    pub idle: Duration,
    /// Who moves the bytes of connections.
    pub workers: Workers,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            silence: SILENCE,
            forget: Duration::from_secs(5),
            greeting: Duration::from_secs(5),
            greetings: 256,
            connections: 4096,
            instances: 1024,
            idle: Duration::from_secs(60),
            workers: Workers::default(),
        }
    }
}

/// A connection that is not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the TLS handshake failed")]
    Handshake(#[source] std::io::Error),
    #[error("it took too long")]
    TooSlow,
    #[error("its certificate cannot be read")]
    Certificate(#[source] trust::TrustError),
    #[error("its first message is no greeting")]
    Greeting(#[source] FrameError),
    #[error("instance {0} has not announced itself")]
    NotAnnounced(Uuid),
    #[error("instance {instance} belongs to server {owner}, not to {server}")]
    NotItsOwn {
        instance: Uuid,
        owner: String,
        server: String,
    },
    #[error("too many connections or instances")]
    TooMany,
    #[error("{0}")]
    Announcement(String),
}

/// The instances that have attached, and the listener for them. `B` is the body of requests.
pub struct Instances<B: Body + 'static> {
    config: Config,
    present: ArcSwap<Vec<Arc<Instance<B>>>>,
    /// Held while `present` is changed.
    change: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl<B> Instances<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// None as yet.
    #[must_use]
    pub fn new(config: Config) -> Arc<Self> {
        Arc::new(Self {
            config,
            present: ArcSwap::default(),
            change: Mutex::new(()),
            changed: watch::Sender::new(0),
        })
    }

    /// All that are known, those that are avoided included.
    #[must_use]
    pub fn present(&self) -> Arc<Vec<Arc<Instance<B>>>> {
        self.present.load_full()
    }

    /// Changes whenever an instance comes, goes, or is another than before.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Accepts connections of instances until `shutdown`, then closes all of them.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        trust: Arc<Trust>,
        shutdown: CancellationToken,
    ) {
        let greetings = Arc::new(Semaphore::new(self.config.greetings));
        let workers = self.config.workers.clone();
        let mut turns = (0..workers.count()).cycle();
        let mut sweep = tokio::time::interval(self.config.idle / 6);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = sweep.tick() => {
                    for instance in self.present.load().iter() {
                        instance.close_idle(self.config.idle);
                    }
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Ok(permit) = Arc::clone(&greetings).try_acquire_owned() else {
                        tracing::warn!(%address, "too many servers attach at once; a connection was closed");
                        continue;
                    };
                    let instances = Arc::clone(&self);
                    let tls = trust.acceptor();
                    let shutdown = shutdown.clone();
                    let stream = match stream.into_std() {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(%error, %address, "cannot prepare a connection to the link");
                            continue;
                        }
                    };
                    let worker = turns.next().unwrap_or_default();
                    workers.spawn(worker, async move {
                        let greeted = timeout(instances.config.greeting, greet(stream, tls))
                            .await
                            .unwrap_or(Err(Refusal::TooSlow));
                        drop(permit);
                        let result = match greeted {
                            Ok(greeted) => tokio::select! {
                                biased;
                                () = shutdown.cancelled() => Ok(()),
                                result = instances.take_in(greeted) => result,
                            },
                            Err(refusal) => Err(refusal),
                        };
                        if let Err(refusal) = result {
                            tracing::warn!(
                                error = &refusal as &dyn std::error::Error,
                                link.address = %address,
                                "a connection to the link was refused"
                            );
                        }
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections of app servers; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        for instance in self.present.load().iter() {
            self.remove(instance);
        }
    }

    async fn take_in(self: &Arc<Self>, greeted: Greeted) -> Result<(), Refusal> {
        let Greeted {
            frames,
            names,
            hello,
        } = greeted;
        if hello.purpose == Purpose::Announce {
            return announced::attend(self, frames, names, hello.instance).await;
        }
        let instance = self
            .find(hello.instance)
            .ok_or(Refusal::NotAnnounced(hello.instance))?;
        instance.check_owner(&names.server)?;
        let upgrades = hello.purpose == Purpose::Upgrade;
        instance
            .add_line(frames.into_inner(), upgrades, self.config.connections)
            .await
    }

    fn find(&self, id: Uuid) -> Option<Arc<Instance<B>>> {
        let present = self.present.load();
        present.iter().find(|instance| instance.id == id).cloned()
    }

    /// The instance with this id, which is made if there is none.
    fn find_or_add(&self, id: Uuid, server: &str) -> Result<Arc<Instance<B>>, Refusal> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = self.find(id) {
            instance.check_owner(server)?;
            return Ok(instance);
        }
        let mut present = Vec::clone(&self.present.load());
        if present.len() >= self.config.instances {
            return Err(Refusal::TooMany);
        }
        let instance = Arc::new(Instance::new(
            id,
            server.to_owned(),
            self.config.workers.count(),
        ));
        present.push(Arc::clone(&instance));
        self.present.store(Arc::new(present));
        Ok(instance)
    }

    fn remove(&self, instance: &Arc<Instance<B>>) {
        let change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = Vec::clone(&self.present.load());
        present.retain(|other| !Arc::ptr_eq(other, instance));
        self.present.store(Arc::new(present));
        drop(change);
        if instance.become_present(Presence::Gone) {
            tracing::info!(
                instance = %instance.id,
                server = instance.server,
                "an instance is gone"
            );
            self.tell();
        }
    }
}

struct Greeted {
    frames: Frames<Stream>,
    names: Names,
    hello: Hello,
}

async fn greet(stream: std::net::TcpStream, tls: TlsAcceptor) -> Result<Greeted, Refusal> {
    let stream = TcpStream::from_std(stream).map_err(Refusal::Handshake)?;
    stream.set_nodelay(true).map_err(Refusal::Handshake)?;
    let stream = tls.accept(stream).await.map_err(Refusal::Handshake)?;
    let names = trust::peer(stream.get_ref().1)
        .map_err(Refusal::Certificate)?
        .names;
    let mut frames = Frames::new(stream);
    let hello = frames.read().await.map_err(Refusal::Greeting)?;
    Ok(Greeted {
        frames,
        names,
        hello,
    })
}

/// Binds the address that app servers dial.
///
/// # Errors
/// It cannot be bound.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}
