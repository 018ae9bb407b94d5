//! All connections of a server, and what each is doing.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::Config;
use super::streams::Streams;

/// Bytes and connections of a server since its start.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes received, headers included; up to a second late, as are those sent.
    pub bytes_in: AtomicU64,
    /// Bytes sent, headers included.
    pub bytes_out: AtomicU64,
    /// Connections that were accepted.
    pub connections_accepted: AtomicU64,
    /// Connections at present.
    pub connections_open: AtomicU64,
    /// Connections ended by a time limit, or to make room.
    pub connections_ended: AtomicU64,
    /// Handshakes of TLS, or headers of the PROXY protocol, that came to nothing.
    pub handshakes_failed: AtomicU64,
    /// Responses of HTTP/2 that were given up because the client took nothing of them.
    pub streams_ended: AtomicU64,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Waiting for a request.
    Idle,
    /// Reading the headers of a request.
    Headers,
    /// Working on a request.
    Working,
    /// The client takes nothing of the response.
    Stalled,
    /// Agreeing on TLS, or reading the header of the PROXY protocol.
    Handshake,
    /// No longer HTTP: two programs talk through it.
    Upgraded,
    /// All is sent; the client may still be sending.
    Closing,
}

const PHASES: [Phase; 7] = [
    Phase::Idle,
    Phase::Headers,
    Phase::Working,
    Phase::Stalled,
    Phase::Handshake,
    Phase::Upgraded,
    Phase::Closing,
];

/// Time that an idle connection gets to close when it is told to.
const CLOSING: Duration = Duration::from_secs(5);
/// Time that a client gets to take the last answer and to stop sending.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time that connections get to go once they are cut.
const CUTTING: Duration = Duration::from_secs(5);

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub(super) enum Command {
    Continue,
    Drain,
    Cut,
}

/// What a connection and the registry tell each other.
#[derive(Debug)]
pub(super) struct Status {
    number: u64,
    clock: Arc<Clock>,
    /// Of all connections, at present.
    handshakes: Arc<AtomicUsize>,
    /// Phase in the low 8 bits, milliseconds since the registry's start above.
    phase: AtomicU64,
    /// Not yet counted in the traffic of all.
    bytes_in: AtomicU64,
    /// The same.
    bytes_out: AtomicU64,
    /// Responses that are not yet handed to the connection whole.
    requests: AtomicU32,
    is_upgraded: AtomicBool,
    /// HTTP/2 only.
    streams: OnceLock<Arc<Streams>>,
    command: AtomicU8,
    waker: AtomicWaker,
}

/// The time as of the last sweep: exact enough for limits of seconds, and nothing to ask the system for.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    milliseconds: AtomicU64,
}

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.milliseconds.load(Ordering::Relaxed)
    }

    fn tick(&self) -> u64 {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX >> 8);
        self.milliseconds.store(now, Ordering::Relaxed);
        now
    }
}

impl Status {
    fn enter(&self, phase: Phase) {
        let since = self.clock.now();
        self.phase
            .store((since << 8) | phase as u64, Ordering::Relaxed);
    }

    /// The connection speaks HTTP from now on.
    pub(super) fn greeted(&self) {
        self.end_handshake();
        self.enter(Phase::Idle);
    }

    fn end_handshake(&self) {
        if self.phase() == Phase::Handshake {
            self.handshakes.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The connection does not speak HTTP any more.
    pub(super) fn upgrade(&self) {
        self.is_upgraded.store(true, Ordering::Relaxed);
        self.enter(Phase::Upgraded);
    }

    pub(super) fn is_upgraded(&self) -> bool {
        self.is_upgraded.load(Ordering::Relaxed)
    }

    /// The server has nothing more to send.
    pub(super) fn closing(&self) {
        self.enter(Phase::Closing);
    }

    /// Each stream of the connection has its own limit of time.
    pub(super) fn has_streams(&self) -> &Arc<Streams> {
        self.streams
            .get_or_init(|| Arc::new(Streams::new(Arc::clone(&self.clock))))
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Asking for more does not excuse who takes nothing.
        if self.phase() != Phase::Stalled {
            self.enter(Phase::Working);
        }
    }

    /// All of its response is in the hands of the connection, which may still have to write it.
    pub(super) fn finish(&self) {
        let was_last = self.requests.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last && self.phase() == Phase::Working {
            self.enter(Phase::Idle);
        }
    }

    /// The client has sent something.
    pub(super) fn read(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        // What comes on an idle connection of HTTP/2 need not be a request.
        if self.phase() == Phase::Idle && self.streams.get().is_none() {
            self.enter(Phase::Headers);
        }
    }

    /// The client has taken something.
    pub(super) fn written(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.phase() == Phase::Stalled {
            self.enter(if self.is_upgraded() {
                Phase::Upgraded
            } else if self.requests.load(Ordering::Relaxed) > 0 {
                Phase::Working
            } else {
                Phase::Idle
            });
        }
    }

    /// The client takes nothing although there is something.
    pub(super) fn stalled(&self) {
        if matches!(self.phase(), Phase::Idle | Phase::Working | Phase::Upgraded) {
            self.enter(Phase::Stalled);
        }
    }

    /// Adds its bytes to those of all connections.
    fn settle(&self, traffic: &Traffic) {
        for (own, all) in [
            (&self.bytes_in, &traffic.bytes_in),
            (&self.bytes_out, &traffic.bytes_out),
        ] {
            all.fetch_add(own.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        PHASES[(self.phase.load(Ordering::Relaxed) & 0xff) as usize % PHASES.len()]
    }

    fn since(&self) -> u64 {
        self.phase.load(Ordering::Relaxed) >> 8
    }

    /// The present command; the task is woken when it changes.
    pub(super) fn command(&self, context: &std::task::Context<'_>) -> Command {
        self.waker.register(context.waker());
        match self.command.load(Ordering::Acquire) {
            0 => Command::Continue,
            1 => Command::Drain,
            _ => Command::Cut,
        }
    }

    /// Returns whether that is news.
    fn tell(&self, command: Command) -> bool {
        let before = self.command.fetch_max(command as u8, Ordering::Release);
        if before < command as u8 {
            self.waker.wake();
        }
        before == Command::Continue as u8
    }
}

/// Runs `future` unless the connection is told `command`, or something harsher, before it ends.
pub(super) async fn unless_told<F: Future>(
    status: &Status,
    command: Command,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if status.command(context) >= command {
            return Poll::Ready(None);
        }
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A connection's place in the registry; leaving it makes room.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) status: Arc<Status>,
    registry: Arc<Registry>,
}

impl Place {
    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.registry.traffic
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.status.end_handshake();
        self.registry.lock().remove(&self.status.number);
        self.status.settle(&self.registry.traffic);
        self.registry
            .traffic
            .connections_open
            .fetch_sub(1, Ordering::Relaxed);
        self.registry.left.notify_waiters();
    }
}

#[derive(Debug)]
pub(super) struct Registry {
    config: Config,
    clock: Arc<Clock>,
    handshakes: Arc<AtomicUsize>,
    next: AtomicU64,
    connections: Mutex<HashMap<u64, Arc<Status>>>,
    left: Notify,
    traffic: Arc<Traffic>,
}

impl Registry {
    pub(super) fn new(config: Config, traffic: Arc<Traffic>) -> Self {
        Self {
            config,
            clock: Arc::new(Clock {
                started: Instant::now(),
                milliseconds: AtomicU64::new(0),
            }),
            handshakes: Arc::default(),
            next: AtomicU64::new(0),
            connections: Mutex::new(HashMap::new()),
            left: Notify::new(),
            traffic,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Status>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection, which begins with a handshake or with a request.
    pub(super) fn enter(self: &Arc<Self>, begins_with: Phase) -> Place {
        let status = Arc::new(Status {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            clock: Arc::clone(&self.clock),
            handshakes: Arc::clone(&self.handshakes),
            phase: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            is_upgraded: AtomicBool::new(false),
            streams: OnceLock::new(),
            command: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        status.enter(begins_with);
        if begins_with == Phase::Handshake {
            self.handshakes.fetch_add(1, Ordering::Relaxed);
        }
        self.lock().insert(status.number, Arc::clone(&status));
        self.traffic
            .connections_accepted
            .fetch_add(1, Ordering::Relaxed);
        self.traffic
            .connections_open
            .fetch_add(1, Ordering::Relaxed);
        Place {
            status,
            registry: Arc::clone(self),
        }
    }

    /// Waits until there is room for one more connection, and makes some if an idle one can go.
    pub(super) async fn room(&self) {
        loop {
            let left = self.left.notified();
            {
                let connections = self.lock();
                if connections.len() < self.config.connections {
                    return;
                }
                let idle = connections
                    .values()
                    .filter(|status| status.phase() == Phase::Idle);
                if let Some(longest) = idle.min_by_key(|status| status.since())
                    && longest.tell(Command::Drain)
                {
                    self.traffic
                        .connections_ended
                        .fetch_add(1, Ordering::Relaxed);
                }
            }
            // An idle connection may appear without another leaving: look again.
            let _ = tokio::time::timeout(Duration::from_millis(200), left).await;
        }
    }

    /// Makes room for one more handshake: the one that lasts longest goes, for an honest one takes a few round
    /// trips only.
    pub(super) fn room_for_handshake(&self) {
        if self.handshakes.load(Ordering::Relaxed) < self.config.handshakes {
            return;
        }
        let connections = self.lock();
        // Numbers tell the order of arrival, more exactly than times.
        let longest = connections
            .values()
            .filter(|status| {
                status.phase() == Phase::Handshake && status.command.load(Ordering::Relaxed) == 0
            })
            .min_by_key(|status| status.number);
        if let Some(longest) = longest
            && longest.tell(Command::Cut)
        {
            self.traffic
                .connections_ended
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends what takes too long, for ever.
    pub(super) async fn sweep(&self) {
        let shortest = self
            .config
            .header_timeout
            .min(self.config.idle_timeout)
            .min(self.config.stall_timeout)
            .min(self.config.handshake_timeout);
        let mut interval = tokio::time::interval(
            (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1)),
        );
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = Duration::from_millis(self.clock.tick());
            for status in self.lock().values() {
                status.settle(&self.traffic);
                if let Some(streams) = status.streams.get() {
                    let ended = streams.end_stalled(self.config.stall_timeout);
                    self.traffic
                        .streams_ended
                        .fetch_add(ended, Ordering::Relaxed);
                }
                let limit = match status.phase() {
                    Phase::Idle => self.config.idle_timeout,
                    Phase::Headers => self.config.header_timeout,
                    Phase::Stalled => self.config.stall_timeout,
                    Phase::Handshake => self.config.handshake_timeout,
                    Phase::Closing => FAREWELL,
                    Phase::Working | Phase::Upgraded => continue,
                };
                let lasted = now.saturating_sub(Duration::from_millis(status.since()));
                if lasted > limit {
                    // A request may just be arriving on an idle connection: it is closed gently first.
                    let gently = status.phase() == Phase::Idle && lasted < limit + CLOSING;
                    let command = if gently { Command::Drain } else { Command::Cut };
                    if status.tell(command) {
                        tracing::debug!(connection.phase = ?status.phase(), "a connection took too long");
                        self.traffic
                            .connections_ended
                            .fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Lets each connection finish its request and close.
    pub(super) fn drain(&self) {
        for status in self.lock().values() {
            status.tell(Command::Drain);
        }
    }

    /// Cuts all connections; returns how many.
    pub(super) fn cut(&self) -> usize {
        let connections = self.lock();
        for status in connections.values() {
            status.tell(Command::Cut);
        }
        connections.len()
    }

    /// Waits until those that were cut are gone. What a handler does with an upgraded connection is beyond the
    /// server's reach: it is not waited for without end.
    pub(super) async fn gone(&self) {
        if tokio::time::timeout(CUTTING, self.empty()).await.is_err() {
            tracing::warn!("some upgraded connections are still held by those who serve them");
        }
    }

    /// Waits until no connection is left.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.lock().is_empty() {
                return;
            }
            left.await;
        }
    }
}
