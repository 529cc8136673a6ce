//! Progress for people, on the error stream: plain lines, each with the seconds since the run
//! began. On a terminal, what changes all the time is one line that is written anew.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Removes the line that the cursor is in.
const CLEAR: &str = "\r\x1b[2K";

/// Where progress is told.
#[derive(Debug, Clone)]
pub struct Progress {
    began: Instant,
    quiet: bool,
    terminal: bool,
    shown: Arc<Mutex<Shown>>,
}

/// What stands there.
#[derive(Debug, Default)]
struct Shown {
    /// Whether the cursor is in a line that is written anew.
    live: bool,
    /// When a line of that kind was last written.
    last: Option<Instant>,
}

impl Progress {
    /// Progress from now on; `quiet` tells nothing.
    pub fn new(quiet: bool) -> Progress {
        Progress {
            began: Instant::now(),
            quiet,
            terminal: std::io::stderr().is_terminal(),
            shown: Arc::default(),
        }
    }

    /// Tells one line.
    pub fn say(&self, line: &str) {
        self.write(false, line);
    }

    /// Tells what is now and will be otherwise soon: on a terminal at once, elsewhere as a line,
    /// not more often than this.
    pub fn live(&self, line: &str, every: Duration) {
        let due = self.lock().last.is_none_or(|last| last.elapsed() >= every);
        if self.terminal || due {
            self.write(self.terminal, line);
            self.lock().last = Some(Instant::now());
        }
    }

    /// Removes the line that is written anew: what follows is told elsewhere.
    pub fn settle(&self) {
        if std::mem::take(&mut self.lock().live) {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }

    fn write(&self, live: bool, line: &str) {
        if self.quiet {
            return;
        }
        let mut shown = self.lock();
        let (clear, after) =
            (if shown.live { CLEAR } else { "" }, self.began.elapsed().as_secs_f64());
        // Without wrapping, a narrow terminal shows the beginning of the line and no more.
        let (before, end) = if live { ("\x1b[?7l", "\x1b[?7h") } else { ("", "\n") };
        // A terminal that is gone is no reason to fail.
        let line = crate::secret::scrub(line);
        let _ = write!(std::io::stderr(), "{clear}{before}[{after:6.1} s] {line}{end}");
        shown.live = live;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
