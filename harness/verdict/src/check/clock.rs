//! Whether the host's wall clock went on evenly while a run was recorded. Servers stamp what they
//! store with that clock; our own times are monotonic. If it steps, what servers told can't be put
//! in order with what was done to them.

use crate::history::{At, History};
use crate::verdict::{Status, Verdict};

/// A jump that is larger is a step, seconds: the smallest scaled time-out is above it.
const STEP_S: f64 = 0.25;
/// Clocks that are put right are slewed by at most this share (adjtime(3): 500 parts in a million).
const SLEWED: f64 = 500e-6;
/// Events that are looked at together. The two clocks are not read at one instant, so that a thread
/// that was kept from running between them sees the wall clock too late; of so many events one at
/// least is as it should be.
const TOGETHER: usize = 16;

/// A step of the wall clock against the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Seconds by which the wall clock moved against the monotonic one; negative if it was set
    /// back.
    pub by_s: f64,
    /// `seq` of an event before the step.
    pub before: u64,
    /// `seq` of an event after the step.
    pub after: u64,
}

/// The largest step of the wall clock.
pub fn step(history: &History) -> Option<Step> {
    let ahead = |at: At| (at.wall_us - at.mono_us) as f64 / 1e6;
    // The event of each group that saw the wall clock least late.
    let groups: Vec<(f64, f64, u64)> = history
        .events
        .chunks(TOGETHER)
        .filter(|group| group.len() == TOGETHER)
        .filter_map(|group| {
            group
                .iter()
                .map(|e| (ahead(e.at), e.at.mono_us as f64 / 1e6, e.seq))
                .min_by(|a, b| a.0.total_cmp(&b.0))
        })
        .collect();
    let steps = groups.windows(2).map(|pair| {
        let ((ahead, at, before), (then_ahead, then, after)) = (pair[0], pair[1]);
        (Step { by_s: then_ahead - ahead, before, after }, STEP_S + SLEWED * (then - at).abs())
    });
    steps
        .filter(|(step, allowed)| step.by_s.abs() > *allowed)
        .map(|(step, _)| step)
        .max_by(|a, b| a.by_s.abs().total_cmp(&b.by_s.abs()))
}

/// What is left of a verdict that compares times, if the clock was stepped: neither its pass nor
/// its failure can be relied on, and what it could not tell, the step may have hidden.
pub(super) fn doubted(verdict: Verdict, history: &History) -> Verdict {
    if matches!(verdict.status, Status::Skipped | Status::Waived) {
        return verdict;
    }
    let Some(step) = step(history) else { return verdict };
    let reason = format!(
        "the host's clock was stepped by {:+.1} s between events {} and {}, so that times told by servers can't be compared; without that: {} ({})",
        step.by_s,
        step.before,
        step.after,
        verdict.status.word(),
        verdict.reason
    );
    Verdict {
        status: Status::Unknown,
        cause: None,
        stopped_at: None,
        hint: Some("run it again while nothing sets the clock".into()),
        reason,
        ..verdict
    }
}
