//! Progress of work that may take longer than a second: a bar on a terminal, a line in the log otherwise.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between lines in a log.
const INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
    shown: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}")
        {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self {
            what,
            bar,
            terminal: stderr().is_terminal(),
            started: Instant::now(),
            shown: None,
        }
    }

    /// So much is done of so much.
    pub(crate) fn at(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.started.elapsed() < PATIENCE {
            return;
        }
        if self.terminal {
            if self.shown.is_none() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
                self.shown = Some(Instant::now());
            }
        } else if self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL) {
            self.shown = Some(Instant::now());
            tracing::info!(
                progress.done = done,
                progress.total = total,
                "{}",
                self.what
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
