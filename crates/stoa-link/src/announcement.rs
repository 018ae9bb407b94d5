//! What an instance and a web server tell each other of themselves.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an instance says of itself, whole, whenever something of it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The process; a restarted one is another.
    pub instance: Uuid,
    /// What a browser is given to come back to this instance; says nothing to anybody else.
    pub tag: String,
    /// Version of the program.
    pub version: String,
    /// What it does at present.
    pub state: State,
    /// Share of requests that it wants, relative to other instances.
    pub capacity: u32,
    /// Most requests at once.
    pub requests: u32,
    /// Idle connections that it keeps ready.
    pub spares: u32,
    /// What it serves.
    pub environments: Vec<Environment>,
}

/// The states of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not to be asked yet.
    Starting,
    /// To be asked.
    Ready,
    /// Finishes what it was asked; not to be asked anything new.
    Draining,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// All that it serves is loaded.
    Loaded,
    /// Somebody wants it to stop serving.
    Drain,
    /// Somebody wants it to serve again.
    Undrain,
}

impl State {
    /// The one place where an instance changes its state.
    #[must_use]
    pub fn transition(self, event: Event) -> Self {
        match (self, event) {
            (Self::Starting, Event::Loaded) | (Self::Draining, Event::Undrain) => Self::Ready,
            (Self::Ready | Self::Starting, Event::Drain) => Self::Draining,
            (state, _) => state,
        }
    }
}

/// An environment, as an instance serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name in the site.
    pub name: String,
    /// Whether it can be asked: its database is there, a foreign application is healthy.
    pub ready: bool,
    /// Paths that the application answers itself, with all that is below them; a web server answers the others
    /// from the static content. Empty: the application answers everything that is no static file.
    pub paths: Vec<String>,
    /// A request that is repeated with its identity takes effect once.
    pub repeatable: bool,
    /// Its static content: digest of the list of files. None: it has none.
    pub content: Option<String>,
    /// Content security policy of its static content, if it has its own.
    pub content_security_policy: Option<String>,
}

/// From an instance to a web server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromInstance {
    /// What it is now; numbered.
    Announce(u64, Box<Announcement>),
    /// It is alive.
    Beat(Beat),
}

/// A heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Requests at work, of all web servers.
    pub open: u32,
}

/// From a web server to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromWeb {
    /// The announcement with this number decides from now on: no request goes by an older one.
    Seen(u64),
    /// It is alive.
    Beat,
    /// The announcement is not taken; why, for people.
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_drains_does_not_become_ready_by_loading() {
        assert_eq!(State::Starting.transition(Event::Loaded), State::Ready);
        assert_eq!(State::Ready.transition(Event::Drain), State::Draining);
        assert_eq!(State::Draining.transition(Event::Loaded), State::Draining);
        assert_eq!(State::Draining.transition(Event::Undrain), State::Ready);
        assert_eq!(State::Starting.transition(Event::Undrain), State::Starting);
    }
}
