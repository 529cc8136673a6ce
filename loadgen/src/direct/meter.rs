//! What the generator's own thread needs: processor time, and time that it was ready and had to
//! wait for a processor.

use crate::recorder::Recorder;
use nix::time::{ClockId, clock_gettime};
use verdict::history::load::{Generator, LoadSummary, Pacing};

/// Share of an interval from which on a thread may itself be what was slow.
const SATURATED: f64 = 0.95;
/// Share of saturated intervals beyond which a load can't be relied on.
const SATURATED_SHARE: f64 = 0.05;

/// Nanoseconds on the monotonic clock.
pub(crate) fn now() -> u64 {
    clock(ClockId::CLOCK_MONOTONIC)
}

fn clock(id: ClockId) -> u64 {
    // Both clocks that are asked exist on every Linux.
    clock_gettime(id).map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

/// What a thread has had so far, ns.
#[derive(Debug, Clone, Copy)]
struct Had {
    at: u64,
    ran: u64,
    /// It was ready and did not run.
    stood: u64,
}

impl Had {
    fn now(at: u64) -> Had {
        let stood = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        let stood = stood.and_then(|s| s.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0);
        Had { at, ran: clock(ClockId::CLOCK_THREAD_CPUTIME_ID), stood }
    }

    fn busy_since(&self, before: &Had) -> f64 {
        let needed = self.ran.saturating_sub(before.ran) + self.stood.saturating_sub(before.stood);
        (needed as f64 / self.at.saturating_sub(before.at).max(1) as f64).min(1.0)
    }
}

/// Measures the thread that it is begun on.
#[derive(Debug)]
pub(crate) struct Meter {
    first: Had,
    last: Had,
    schedule: Option<Had>,
    intervals: u64,
    saturated: u64,
}

impl Meter {
    pub fn begin(at: u64) -> Meter {
        let first = Had::now(at);
        Meter { first, last: first, schedule: None, intervals: 0, saturated: 0 }
    }

    /// An interval ended. Those after the end of the schedule, and short ones, don't count.
    pub fn interval(&mut self, at: u64) {
        let had = Had::now(at);
        if self.schedule.is_none() && at - self.last.at >= 500_000_000 {
            self.intervals += 1;
            self.saturated += u64::from(had.busy_since(&self.last) > SATURATED);
        }
        self.last = had;
    }

    pub fn schedule_ended(&mut self, at: u64) {
        if at - self.last.at >= 500_000_000 || self.intervals == 0 {
            self.intervals += 1;
            self.saturated += u64::from(Had::now(at).busy_since(&self.last) > SATURATED);
        }
        self.schedule = Some(Had::now(at));
    }

    /// States in a load's summary what the generator needed, and that the load can't be relied on
    /// if it was the bottleneck.
    pub fn state(&self, summary: &mut LoadSummary, recorder: &Recorder, open_loop: bool) {
        summary.pacing = if open_loop { Pacing::Open } else { Pacing::Closed };
        let generator = self.generator(open_loop, summary.operations);
        summary.generator = Some(Generator {
            slip_p50_ms: recorder.slip_ms(0.5),
            slip_max_ms: recorder.slip_ms(1.0),
            ..generator
        });
        if let Some(reason) = self.saturated().filter(|_| open_loop) {
            let reasons: Vec<String> = summary.invalid.take().into_iter().chain([reason]).collect();
            summary.invalid = Some(reasons.join("; "));
        }
    }

    /// Why the load can't be relied on, if the thread was the bottleneck.
    fn saturated(&self) -> Option<String> {
        (self.saturated as f64 > self.intervals as f64 * SATURATED_SHARE).then(|| {
            format!(
                "the generator itself was the bottleneck: its thread was busy for more than {:.0} % of {} of {} intervals\nhint: lower the rate, or leave it a processor of its own",
                SATURATED * 100.0,
                self.saturated,
                self.intervals
            )
        })
    }

    fn generator(&self, open_loop: bool, operations: u64) -> Generator {
        let ran = self.last.ran.saturating_sub(self.first.ran);
        Generator {
            open_loop,
            cpu_us_per_operation: if operations == 0 {
                0.0
            } else {
                ran as f64 / 1e3 / operations as f64
            },
            busy: self.schedule.as_ref().unwrap_or(&self.last).busy_since(&self.first),
            saturated_s: self.saturated,
            ..Generator::default()
        }
    }
}
