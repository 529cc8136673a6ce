//! Whether something that a service needs is there, and one log line each time that changes.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::log::{Level, Line, Log};

/// A dependency that comes and goes faster than this is not reported each time.
const QUIET: Duration = Duration::from_secs(1);

/// One dependency, seen through the outcomes of what is asked of it.
#[derive(Debug)]
pub struct Dependency {
    name: &'static str,
    log: Log,
    told: Mutex<Option<(bool, Instant)>>,
}

impl Dependency {
    /// Nothing is known yet.
    pub fn new(name: &'static str, log: Log) -> Self {
        Self { name, log, told: Mutex::new(None) }
    }

    /// It answered.
    pub fn up(&self) {
        if self.turned(true) {
            self.log.write(Line::new("dependency", format!("{} reachable", self.name)));
        }
    }

    /// It did not.
    pub fn down(&self, error: &str) {
        if self.turned(false) {
            let line = Line::new("dependency", format!("{} unreachable", self.name));
            self.log.write(line.failed(Level::Warning, error));
        }
    }

    /// Whether this is news to be told.
    fn turned(&self, up: bool) -> bool {
        let mut last = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let news = last.is_none_or(|(told, at)| told != up && at.elapsed() >= QUIET);
        if news {
            *last = Some((up, Instant::now()));
        }
        news
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_news() {
        let dependency = Dependency::new("redis", Log::open("test", None).unwrap());
        assert!(dependency.turned(false));
        assert!(!dependency.turned(false));
        assert!(!dependency.turned(true), "within the quiet time");
        std::thread::sleep(QUIET);
        assert!(dependency.turned(true));
        assert!(!dependency.turned(true));
    }
}
