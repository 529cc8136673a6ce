//! The run's clock, as the harness hands it in.

use tokio::time::Instant;
use verdict::At;

/// When a run began, on both clocks; instants of operations are told on it.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    /// When the run began.
    pub start: std::time::Instant,
    /// The wall clock at that instant, microseconds since the Unix epoch.
    pub wall_at_start_us: i64,
}

impl RunClock {
    /// An instant of this process, on the run's clock.
    pub fn at(&self, instant: Instant) -> At {
        let instant = instant.into_std();
        let mono_us = match instant.checked_duration_since(self.start) {
            Some(d) => d.as_micros() as i64,
            None => -(self.start.duration_since(instant).as_micros() as i64),
        };
        At { mono_us, wall_us: self.wall_at_start_us + mono_us }
    }
}
