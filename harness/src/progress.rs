//! Progress for people, on the error stream: plain lines, each with the seconds since the run began.

use std::io::Write;
use std::time::Instant;

/// Where progress is told.
#[derive(Debug, Clone)]
pub struct Progress {
    began: Instant,
    quiet: bool,
}

impl Progress {
    /// Progress from now on; `quiet` tells nothing.
    pub fn new(quiet: bool) -> Progress {
        Progress { began: Instant::now(), quiet }
    }

    /// Tells one line.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            // A terminal that is gone is no reason to fail.
            let _ = writeln!(std::io::stderr(), "[{:6.1} s] {line}", self.began.elapsed().as_secs_f64());
        }
    }
}
