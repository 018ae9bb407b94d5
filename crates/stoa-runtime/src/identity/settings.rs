//! Settings, with their defaults and why they are so.

use std::time::Duration;

use super::password::Cost;
use super::throttle::Limits;

/// How people and programs are let in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this instance among those that serve the environment. None: it does not serve requests (a
    /// command), does not join the others, and keeps nothing in memory.
    pub instance: Option<String>,
    /// A session that nobody uses for this long ends. Default: that of `[sessions]` in `app.toml`, an hour.
    pub session_idle: Duration,
    /// A session ends this long after the sign-in, used or not. Default: that of `[sessions]`, 12 h: a
    /// working day with one sign-in.
    pub session_lifetime: Duration,
    /// Longest life of a token for programs. Default: 366 days.
    pub token_lifetime: Duration,
    /// Longest life of a one-time sign-in link. Default: 24 h.
    pub link_lifetime: Duration,
    /// What a password hash costs.
    pub password_cost: Cost,
    /// Password hashes computed at once: each needs memory and a core. Default: the number of cores.
    pub hashes_at_once: usize,
    /// Password hashes that may wait for their turn before more are refused. Default: 64.
    pub hashes_waiting: usize,
    /// Words that are no part of a good password here: names of the application and the company.
    pub weak_words: Vec<String>,
    /// How sign-ins that fail are slowed down.
    pub throttle: Limits,
    /// Sessions and tokens kept in memory. Default: 50,000 (some 30 MB).
    pub cached: u64,
    /// How often the last use of sessions is written down. Default: 1 min.
    pub write_behind: Duration,
    /// How long what came of a repeatable request is kept. Default: 24 h.
    pub outcomes_kept: Duration,
    /// How often what has expired is deleted. Default: 10 min.
    pub pruning: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let sessions = stoa_model::application::Sessions::default();
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            instance: None,
            session_idle: sessions.idle,
            session_lifetime: sessions.lifetime,
            token_lifetime: Duration::from_secs(366 * 24 * 60 * 60),
            link_lifetime: Duration::from_secs(24 * 60 * 60),
            password_cost: Cost::default(),
            hashes_at_once: cores,
            hashes_waiting: 64,
            weak_words: Vec::new(),
            throttle: Limits::default(),
            cached: 50_000,
            write_behind: Duration::from_secs(60),
            outcomes_kept: crate::repeat::KEPT,
            pruning: Duration::from_secs(10 * 60),
        }
    }
}

impl Settings {
    /// As often as the last use must be written down so that another instance does not take a session for
    /// idle that is in use.
    pub(super) fn write_behind(&self) -> Duration {
        self.write_behind.min(self.session_idle / 8)
    }
}
