//! How far a run is, on a terminal and nowhere else.
//!
//! It writes to standard error, so that a table or JSON on standard output stays clean.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is moved: what an eye follows.
const EVERY: Duration = Duration::from_millis(100);

/// A bar on standard error; none where that is a file or a pipe.
pub(super) struct Progress {
    bar: ProgressBar,
    next: Instant,
}

impl Progress {
    /// A bar for something that takes so many steps of any kind.
    pub(super) fn new(what: &str, steps: u64) -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix:24} [{bar:30}] {percent:>3}%  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        Self { bar, next: Instant::now() }
    }

    /// Whether it is time to say more; at most ten times a second.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next;
        if is_due {
            self.next = now + EVERY;
        }
        is_due
    }

    /// So far it has come.
    pub(super) fn set(&self, step: u64, message: String) {
        self.bar.set_position(step);
        self.bar.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
