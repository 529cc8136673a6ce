//! The run's clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use verdict::At;

/// One clock for a whole run: monotonic since it began, and the wall clock beside it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When the run began.
    pub start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The present instant.
    pub fn now(&self) -> At {
        self.at(Instant::now())
    }

    /// Another instant of this process, in the recent past or future.
    pub fn at(&self, instant: Instant) -> At {
        let mono_us = match instant.checked_duration_since(self.start) {
            Some(d) => d.as_micros() as i64,
            None => -(self.start.duration_since(instant).as_micros() as i64),
        };
        let now = Instant::now();
        let wall_now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
        let offset = instant.checked_duration_since(now).map_or_else(|| -(now.duration_since(instant).as_micros() as i64), |d| d.as_micros() as i64);
        At { mono_us, wall_us: wall_now + offset }
    }
}
