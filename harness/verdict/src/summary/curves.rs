//! How long operations took, by percentile: apart for what was due while nothing was broken and
//! while something was.

use super::ledger::rank;
use crate::History;
use crate::history::load::{CURVE, CurvePoint, Operation, enough};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Percentiles of all operations of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Curves {
    /// Operations that were due while no fault was there.
    pub healthy: Curve,
    /// Operations that were due while a fault was there.
    pub broken: Curve,
}

/// Percentiles of a set of operations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Curve {
    /// Number of operations in the set.
    pub operations: u64,
    /// Its points, as far as so many operations can tell.
    pub points: Vec<CurvePoint>,
}

/// The curves of a run; a fault that was not seen to be healed lasts to its end.
pub fn curves(history: &History) -> Curves {
    let faults: Vec<(f64, f64)> = super::faults(history)
        .into_iter()
        .map(|f| (f.injected_at, f.healed_at.unwrap_or(f64::INFINITY)))
        .collect();
    let under = |o: &Operation| {
        let due = o.due.mono_us as f64 / 1e6;
        faults.iter().any(|(from, to)| (*from..=*to).contains(&due))
    };
    let (broken, healthy): (Vec<&Operation>, Vec<&Operation>) =
        history.operations().map(|(_, o)| o).partition(|o| under(o));
    Curves { healthy: curve(&healthy), broken: curve(&broken) }
}

fn curve(operations: &[&Operation]) -> Curve {
    let sorted = |of: fn(&Operation) -> f64| {
        let mut all: Vec<f64> = operations.iter().map(|o| of(o)).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (latency, service) =
        (sorted(Operation::latency_ms), sorted(|o| o.ended.since(o.started) * 1e3));
    let count = operations.len() as u64;
    let point = |percentile: f64| {
        let at = |all: &[f64]| rank(all, percentile / 100.0);
        Some(CurvePoint { percentile, latency_ms: at(&latency)?, service_ms: at(&service)? })
    };
    Curve {
        operations: count,
        points: CURVE.into_iter().filter(|p| enough(*p, count)).filter_map(point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{self, history};
    use super::*;
    use crate::history::fault::{FaultEvent, ONLY_FAULT};
    use crate::{At, EventKind};

    /// An operation due at a second that took so long; it was sent half of that later.
    fn operation(due_s: i64, ms: i64) -> EventKind {
        let at = |us: i64| At { mono_us: us, wall_us: us };
        let due = due_s * 1_000_000;
        tests::operation("", at(due), at(due + ms * 500), at(due + ms * 1000))
    }

    #[test]
    fn what_was_due_under_a_fault_is_told_apart() {
        let fault = |e| EventKind::Fault(e);
        // Events are a second apart: the fault lasts from 2 s to 3 s.
        let injected = FaultEvent::Injected {
            drill: "d".into(),
            fault: ONLY_FAULT.into(),
            kind: "stop".into(),
            target: "t".into(),
            instances: vec![],
            mechanism: "m".into(),
            blast_radius: Default::default(),
        };
        let seen = curves(&history([
            operation(0, 10),
            operation(1, 20),
            fault(injected),
            fault(FaultEvent::Healed { drill: "d".into(), fault: ONLY_FAULT.into() }),
            operation(2, 500),
            operation(9, 30),
        ]));
        assert_eq!((seen.healthy.operations, seen.broken.operations), (3, 1));
        let median = seen
            .healthy
            .points
            .iter()
            .find(|p| p.percentile == 50.0)
            .map(|p| (p.latency_ms, p.service_ms));
        assert_eq!(median, Some((20.0, 10.0)));
        assert!(
            seen.healthy.points.iter().all(|p| p.percentile <= 67.0 || p.percentile == 100.0),
            "{:?}",
            seen.healthy.points
        );
        assert!(seen.healthy.points.windows(2).all(|w| w[0].latency_ms <= w[1].latency_ms));
        assert_eq!(curves(&history([])), Curves::default());
    }
}
