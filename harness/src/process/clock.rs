//! The run's clock: the one place that reads the time for observations and events.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use verdict::history::At;

/// Counts from the instant at which a run began. Copies count from the same instant.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    start: Instant,
}

impl RunClock {
    /// A clock that starts now.
    pub fn begin() -> RunClock {
        RunClock { start: Instant::now() }
    }

    /// The instant from which it counts.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// A recent instant of this process, on both clocks.
    pub fn at(&self, instant: Instant) -> At {
        let (now, ago) = (self.now(), micros(instant.elapsed()));
        At { mono_us: now.mono_us - ago, wall_us: now.wall_us - ago }
    }

    /// Now, on the wall clock and on the run's monotonic clock.
    pub fn now(&self) -> At {
        At { mono_us: micros(self.start.elapsed()), wall_us: wall_us() }
    }
}

/// Microseconds since the Unix epoch, UTC; 0 if the clock stands before it.
pub fn wall_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(micros).unwrap_or(0)
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_together() {
        let clock = RunClock::begin();
        let a = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        let b = clock.now();
        assert!(b.since(a) >= 0.005, "{a:?} {b:?}");
        assert!(b.wall_us > a.wall_us);
        assert!(a.mono_us < 1_000_000);
    }
}
