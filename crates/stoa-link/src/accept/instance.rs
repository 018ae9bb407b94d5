//! One instance, as a web server sees it.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body::Body;
use uuid::Uuid;

use super::line::{Line, Signal};
use super::pool::Pool;
use super::{Refusal, Stream};
use crate::BodyError;
use crate::announcement::{Announcement, Beat, State};
use crate::connection::Connection;

/// Whether an instance can be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Presence {
    /// It has not finished its first announcement.
    New,
    /// It is heard.
    Attached,
    /// It was not heard for a while, or has lost its connection: others are asked.
    Silent,
    /// It has left, or was silent for too long. It does not come back; a new one may.
    Gone,
}

impl Presence {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::New,
            1 => Self::Attached,
            2 => Self::Silent,
            _ => Self::Gone,
        }
    }
}

/// One instance: what it has announced, and the connections to it. `B` is the body of requests.
pub struct Instance<B: Body + 'static> {
    /// The process.
    pub id: Uuid,
    /// The server that its certificate names.
    pub server: String,
    /// When it attached first.
    pub since: Instant,
    presence: AtomicU8,
    announcement: ArcSwap<Announcement>,
    /// Counts its connections for announcements.
    attachments: AtomicU64,
    open: AtomicU32,
    pub(super) in_flight: AtomicUsize,
    pub(super) requests: Pool<B>,
    pub(super) upgrades: Pool<B>,
    signals: Mutex<Vec<Weak<Signal>>>,
}

impl<B: Body> std::fmt::Debug for Instance<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Instance")
            .field("id", &self.id)
            .field("server", &self.server)
            .field("presence", &self.presence())
            .finish_non_exhaustive()
    }
}

impl<B: Body> Instance<B> {
    pub(super) fn new(id: Uuid, server: String, workers: usize) -> Self {
        Self {
            id,
            server,
            since: Instant::now(),
            presence: AtomicU8::new(Presence::New as u8),
            announcement: ArcSwap::from_pointee(Announcement {
                instance: id,
                tag: String::new(),
                version: String::new(),
                state: State::Starting,
                capacity: 0,
                requests: 0,
                spares: 0,
                environments: Vec::new(),
            }),
            attachments: AtomicU64::new(0),
            open: AtomicU32::new(0),
            in_flight: AtomicUsize::new(0),
            requests: Pool::new(workers),
            upgrades: Pool::new(workers),
            signals: Mutex::default(),
        }
    }

    /// What it has announced last.
    #[must_use]
    pub fn announcement(&self) -> Arc<Announcement> {
        self.announcement.load_full()
    }

    /// Whether it can be relied upon.
    #[must_use]
    pub fn presence(&self) -> Presence {
        Presence::from_number(self.presence.load(Ordering::Acquire))
    }

    /// Requests of this web server that it works on, and connections that became something else.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests of all web servers that it works on, as of its last heartbeat.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that wait for a request.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn check_owner(&self, server: &str) -> Result<(), Refusal> {
        if self.server == server {
            return Ok(());
        }
        Err(Refusal::NotItsOwn {
            instance: self.id,
            owner: self.server.clone(),
            server: server.to_owned(),
        })
    }

    /// A new connection for announcements replaces the one before; gives its number.
    pub(super) fn attach(&self) -> u64 {
        self.attachments.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub(super) fn attachment(&self) -> u64 {
        self.attachments.load(Ordering::Acquire)
    }

    pub(super) fn announce(&self, announcement: Announcement) {
        self.announcement.store(Arc::new(announcement));
    }

    pub(super) fn set_load(&self, beat: Beat) {
        self.open.store(beat.open, Ordering::Relaxed);
    }

    /// The one place where its presence changes. Returns whether it did. What is gone stays gone.
    pub(super) fn become_present(&self, presence: Presence) -> bool {
        let changed = self
            .presence
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| {
                let before = Presence::from_number(before);
                (before != presence && before != Presence::Gone).then_some(presence as u8)
            })
            .is_ok();
        if changed && presence != Presence::Attached {
            if presence == Presence::Gone {
                self.requests.close();
                self.upgrades.close();
            }
            self.wake();
        }
        changed
    }

    /// Lets whoever waits for an answer look again whether to wait on.
    pub fn wake(&self) {
        let signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        for signal in signals.iter().filter_map(Weak::upgrade) {
            signal.wake();
        }
    }

    /// Closes connections that nobody has needed for a while.
    pub(super) fn close_idle(&self, after: Duration) {
        let spares = self.announcement.load().spares as usize;
        self.requests.close_idle(spares, after);
        self.upgrades.close_idle(1, after);
    }
}

impl<B> Instance<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    /// Takes in a connection that can carry requests.
    pub(super) async fn add_line(
        &self,
        stream: Stream,
        upgrades: bool,
        most: usize,
    ) -> Result<(), Refusal> {
        let signal = Arc::new(Signal::default());
        {
            let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
            signals.retain(|signal| signal.strong_count() > 0);
            if signals.len() >= most {
                return Err(Refusal::TooMany);
            }
            signals.push(Arc::downgrade(&signal));
        }
        let pool = if upgrades {
            &self.upgrades
        } else {
            &self.requests
        };
        let connection = Connection::open(stream, upgrades)
            .await
            .map_err(|error| Refusal::Handshake(std::io::Error::other(error)))?;
        pool.put(Line { connection, signal });
        Ok(())
    }
}
