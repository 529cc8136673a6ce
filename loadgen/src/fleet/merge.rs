//! What several workers measured, laid together: exact sums of their histograms and counters. Pure.

use super::offset::Offset;
use crate::direct::Tally;
use crate::recorder::{Counts, LiveStats, Recorder, Times, slips};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use verdict::history::load::{
    Connections, Generator, LoadSummary, LoadWorker, Measured, WorkerState,
};

/// A load that is being driven together.
#[derive(Debug)]
pub(super) struct Merge {
    slip_limit: Duration,
    members: Vec<Member>,
    times: Times,
    slip: Histogram<u64>,
    /// Intervals that not all workers have told of, by the whole second that they begin in.
    open: BTreeMap<u64, Whole>,
    /// Operations and errors that were counted when an interval was closed last.
    shown: (u64, u64),
    /// What could not be laid together.
    misfit: Option<String>,
}

/// A worker.
#[derive(Debug)]
struct Member {
    name: String,
    offset: Offset,
    counts: Counts,
    connections: Connections,
    slip_p99_ms: f64,
    /// The first whole second of which it may still tell.
    next: u64,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Driving,
    Ended { summary: Box<LoadSummary>, late: Duration, drift: Option<Measured> },
    Lost { at: Duration, why: String },
}

/// An interval of all workers.
#[derive(Debug, Clone)]
pub(super) struct Whole {
    pub from: Duration,
    pub to: Duration,
    pub times: Times,
}

impl Merge {
    /// Of these workers, with their names and what their clocks show more than ours.
    pub fn of(workers: impl IntoIterator<Item = (String, Offset)>, slip_limit: Duration) -> Merge {
        let member = |(name, offset)| Member {
            name,
            offset,
            counts: Counts::default(),
            connections: Connections::default(),
            slip_p99_ms: 0.0,
            next: 0,
            fate: Fate::Driving,
        };
        Merge {
            slip_limit,
            members: workers.into_iter().map(member).collect(),
            times: Times::new(),
            slip: slips(),
            open: BTreeMap::new(),
            shown: (0, 0),
            misfit: None,
        }
    }

    /// A worker told of an interval.
    pub fn told(&mut self, worker: usize, tally: Tally) {
        let Tally { from, length, latency, service, slip, slip_p99_ms, counts, connections } =
            tally;
        let times = Times { latency, service };
        let second = from.as_secs();
        let whole = self.open.entry(second).or_insert_with(|| Whole {
            from,
            to: from,
            times: Times::new(),
        });
        (whole.from, whole.to) = (whole.from.min(from), whole.to.max(from + length));
        let laid = whole
            .times
            .add(&times)
            .and_then(|()| self.times.add(&times))
            .and_then(|()| self.slip.add(&slip));
        if let Err(e) = laid {
            self.misfit.get_or_insert_with(|| {
                format!(
                    "a histogram of worker {} does not fit the others: {e}",
                    self.members[worker].name
                )
            });
        }
        let member = &mut self.members[worker];
        (member.counts, member.connections, member.slip_p99_ms) =
            (counts, connections, slip_p99_ms);
        member.next = second + 1;
    }

    /// A worker drove its part to the end.
    pub fn ended(
        &mut self,
        worker: usize,
        summary: Box<LoadSummary>,
        late: Duration,
        drift: Option<Measured>,
    ) {
        self.members[worker].fate = Fate::Ended { summary, late, drift };
    }

    /// A worker is gone.
    pub fn lost(&mut self, worker: usize, at: Duration, why: String) {
        self.members[worker].fate = Fate::Lost { at, why };
    }

    /// Whether no worker drives any more.
    pub fn over(&self) -> bool {
        !self.members.iter().any(Member::drives)
    }

    /// Intervals of which no worker will tell any more, in order.
    pub fn closed(&mut self) -> Vec<Whole> {
        // A worker that stood still jumps over intervals; one that ended or is lost tells of none.
        let next =
            self.members.iter().filter(|m| m.drives()).map(|m| m.next).min().unwrap_or(u64::MAX);
        let later = self.open.split_off(&next);
        std::mem::replace(&mut self.open, later).into_values().collect()
    }

    /// What was measured in the interval that was closed last.
    pub fn live(&mut self, last: &Whole) -> LiveStats {
        let counts = self.counts();
        let ended = counts.ended - self.shown.0.min(counts.ended);
        let errors = counts.errors - self.shown.1.min(counts.errors);
        self.shown = (counts.ended, counts.errors);
        let operations = last.times.latency.len();
        let ms = |q| {
            if operations == 0 { 0.0 } else { last.times.latency.value_at_quantile(q) as f64 / 1e6 }
        };
        LiveStats {
            operations,
            rate: operations as f64
                / (last.to - last.from).max(Duration::from_millis(1)).as_secs_f64(),
            error_rate: if ended == 0 { 0.0 } else { errors as f64 / ended as f64 },
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            in_flight: counts.in_flight,
            total: counts.ended,
            missed_starts: counts.missed,
        }
    }

    fn counts(&self) -> Counts {
        self.members.iter().fold(Counts::default(), |mut sum, m| {
            sum.add(&m.counts);
            sum
        })
    }

    /// What all of them measured in a load whose schedule of so many arrivals, if that is known,
    /// ran for `driven`. A load that was `stopped` need not have begun all of them.
    pub fn summary(self, driven: Duration, scheduled: Option<u64>, stopped: bool) -> LoadSummary {
        let counts = self.counts();
        let mut reasons: Vec<String> = self.members.iter().filter_map(Member::doubt).collect();
        reasons.extend(self.misfit.clone());
        let lost = self.members.iter().any(|m| matches!(m.fate, Fate::Lost { .. }));
        if let Some(scheduled) = scheduled.filter(|s| *s != counts.arrivals && !stopped && !lost) {
            reasons.push(format!(
                "the workers came to {} of the {scheduled} arrivals of the schedule",
                counts.arrivals
            ));
        }
        if self.times.latency.len() != counts.ended {
            reasons.push(format!(
                "histograms hold {} operations, counters {}",
                self.times.latency.len(),
                counts.ended
            ));
        }
        let recorder =
            Recorder::of(self.slip_limit.as_secs_f64() * 1e3, self.times, self.slip, counts);
        let mut summary = recorder.summary(driven);
        // Whatever makes the whole doubtful makes a worker's part so, and is told there.
        if !reasons.is_empty() {
            summary.invalid = Some(reasons.join("; "));
        }
        if let Some(scheduled) = scheduled.filter(|_| lost && !stopped) {
            summary.offered_rate = scheduled as f64 / driven.as_secs_f64().max(1e-3);
        }
        // All were asked for the same; how the first that ended says that it went is how all did.
        let paced = self.members.iter().find_map(|m| match &m.fate {
            Fate::Ended { summary, .. } => Some(summary.pacing),
            _ => None,
        });
        summary.pacing = paced.unwrap_or_default();
        let ended: Vec<&Generator> = self.members.iter().filter_map(Member::generator).collect();
        summary.generator = (!ended.is_empty()).then(|| {
            let operations =
                |m: &Member| m.generator().map(|g| g.cpu_us_per_operation * m.counts.ended as f64);
            let of_ended: u64 = self
                .members
                .iter()
                .filter(|m| m.generator().is_some())
                .map(|m| m.counts.ended)
                .sum();
            Generator {
                open_loop: ended.iter().all(|g| g.open_loop),
                cpu_us_per_operation: self.members.iter().filter_map(operations).sum::<f64>()
                    / of_ended.max(1) as f64,
                busy: ended.iter().map(|g| g.busy).fold(0.0, f64::max),
                saturated_s: ended.iter().map(|g| g.saturated_s).max().unwrap_or(0),
                slip_p50_ms: recorder.slip_ms(0.5),
                slip_max_ms: recorder.slip_ms(1.0),
            }
        });
        summary.connections = self.members.iter().map(|m| m.connections).reduce(sum);
        summary.start_skew = skew(&self.members);
        summary.workers = self.members.into_iter().map(Member::told).collect();
        summary
    }
}

impl Member {
    fn drives(&self) -> bool {
        matches!(self.fate, Fate::Driving)
    }

    fn generator(&self) -> Option<&Generator> {
        match &self.fate {
            Fate::Ended { summary, .. } => summary.generator.as_ref(),
            _ => None,
        }
    }

    /// Why the load can't be relied on because of it, if so.
    fn doubt(&self) -> Option<String> {
        let name = &self.name;
        match &self.fate {
            Fate::Ended { summary, .. } => {
                summary.invalid.as_ref().map(|why| format!("worker {name}: {why}"))
            }
            Fate::Lost { at, why } => Some(format!(
                "worker {name} was lost after {:.1} s ({why}): of its arrivals only the first {} are known",
                at.as_secs_f64(),
                self.counts.arrivals
            )),
            Fate::Driving => Some(format!("worker {name} did not end")),
        }
    }

    fn told(self) -> LoadWorker {
        let mut told = LoadWorker {
            name: self.name,
            state: WorkerState::Lost,
            arrivals: self.counts.arrivals,
            operations: self.counts.ended,
            lost_at_s: None,
            invalid: None,
            slip_p99_ms: self.slip_p99_ms,
            began_late_us: None,
            clock_offset: self.offset.measured(),
            clock_drift: None,
            generator: None,
        };
        match self.fate {
            Fate::Ended { summary, late, drift } => {
                told.state = WorkerState::Ended;
                told.began_late_us = Some(late.as_secs_f64() * 1e6);
                (told.invalid, told.clock_drift, told.generator) =
                    (summary.invalid, drift, summary.generator);
            }
            Fate::Lost { at, why } => {
                (told.lost_at_s, told.invalid) = (Some(at.as_secs_f64()), Some(why))
            }
            Fate::Driving => told.invalid = Some("it did not end".into()),
        }
        told
    }
}

/// How all connections were used; the most that were open at once is at most the sum of what each
/// had.
fn sum(a: Connections, b: Connections) -> Connections {
    let both = |a: Option<u64>, b: Option<u64>| Some(a.unwrap_or(0) + b.unwrap_or(0));
    Connections {
        opened: a.opened + b.opened,
        reused: a.reused + b.reused,
        limit: both(a.limit, b.limit),
        most: both(a.most, b.most),
        waited: both(a.waited, b.waited),
    }
}

/// From the first worker's beginning to the last one's, on one clock: the instant was the same for
/// all of them up to what is not known of their clocks, and each was so late.
fn skew(members: &[Member]) -> Option<Measured> {
    let mut began: Vec<(f64, f64)> = Vec::new();
    for member in members {
        if let Fate::Ended { late, .. } = &member.fate {
            began.push((late.as_secs_f64() * 1e6, member.offset.measured().uncertainty_us));
        }
    }
    let (first, last) = (
        began.iter().map(|b| b.0).fold(f64::INFINITY, f64::min),
        began.iter().map(|b| b.0).fold(0.0, f64::max),
    );
    // The two that are known least may lie on either side.
    let mut unknown: Vec<f64> = began.iter().map(|b| b.1).collect();
    unknown.sort_unstable_by(|a, b| b.total_cmp(a));
    (!began.is_empty())
        .then(|| Measured { us: last - first, uncertainty_us: unknown.iter().take(2).sum() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Ended;
    use proptest::prelude::*;
    use verdict::history::load::Pacing;

    /// Length of an interval.
    const INTERVAL: Duration = Duration::from_secs(1);
    const LIMIT: Duration = Duration::from_millis(25);

    /// A worker as one that is driven: what it records, interval by interval.
    struct Driven {
        recorder: Recorder,
        times: Times,
        slip: Histogram<u64>,
    }

    impl Driven {
        fn new() -> Driven {
            Driven { recorder: Recorder::with_slip_limit(25.0), times: Times::new(), slip: slips() }
        }

        fn operate(&mut self, latency: Duration, as_expected: bool) {
            self.recorder.arrived();
            self.recorder.began(latency / 1000);
            self.slip.saturating_record((latency.as_nanos() as u64 / 1000).max(1));
            let ended = Ended { at: Duration::ZERO, latency, service: latency / 2, as_expected };
            self.recorder.ended(ended);
            self.times.record(&ended);
        }

        fn tally(&mut self, second: u64) -> Tally {
            let Times { latency, service } = std::mem::take(&mut self.times);
            Tally {
                from: INTERVAL * second as u32,
                length: INTERVAL,
                latency,
                service,
                slip: std::mem::replace(&mut self.slip, slips()),
                slip_p99_ms: self.recorder.slip_ms(0.99),
                counts: self.recorder.counts(),
                connections: Connections {
                    opened: 1,
                    limit: Some(2),
                    most: Some(1),
                    waited: Some(0),
                    ..Connections::default()
                },
            }
        }

        fn summary(&self) -> Box<LoadSummary> {
            let generator = Some(Generator { open_loop: true, busy: 0.5, ..Generator::default() });
            Box::new(LoadSummary { generator, ..self.recorder.summary(INTERVAL) })
        }
    }

    fn merge(workers: usize) -> Merge {
        Merge::of((0..workers).map(|n| (format!("w{n}"), Offset::of(0, 500, 20_000))), LIMIT)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn intervals_of_many_make_what_one_would_have_recorded(
            ended in prop::collection::vec((0usize..4, 0u64..4, 1u64..20_000_000, any::<bool>()), 1..200),
        ) {
            let (mut one, mut workers, mut merge) = (Driven::new(), (0..4).map(|_| Driven::new()).collect::<Vec<_>>(), merge(4));
            let (mut intervals, mut logged) = (Vec::new(), Times::new());
            for second in 0..4 {
                for (who, _, ns, good) in ended.iter().filter(|e| e.1 == second) {
                    one.operate(Duration::from_nanos(*ns), *good);
                    workers[*who].operate(Duration::from_nanos(*ns), *good);
                }
                for (who, worker) in workers.iter_mut().enumerate() {
                    prop_assert_eq!(merge.closed().len(), 0, "not before all have told");
                    merge.told(who, worker.tally(second));
                }
                intervals.extend(merge.closed());
            }
            intervals.iter().for_each(|i| logged.add(&i.times).expect("same bounds"));
            prop_assert!(intervals.len() == 4 && intervals.iter().zip(0..).all(|(i, n)| i.from == INTERVAL * n && i.to == INTERVAL * (n + 1)));
            for (who, worker) in workers.iter().enumerate() {
                merge.ended(who, worker.summary(), Duration::from_micros(10 * who as u64), None);
            }
            prop_assert!(merge.over());
            let whole = one.recorder.summary(INTERVAL * 4);
            prop_assert_eq!(logged.latency.len(), whole.operations);
            let told = merge.summary(INTERVAL * 4, Some(ended.len() as u64), false);
            let bare = LoadSummary { workers: Vec::new(), generator: None, connections: None, start_skew: None, invalid: None, ..told.clone() };
            prop_assert_eq!(bare, LoadSummary { invalid: None, ..whole });
            prop_assert_eq!(told.start_skew, Some(Measured { us: 30.0, uncertainty_us: 20.0 }));
            prop_assert_eq!(told.connections.map(|c| (c.opened, c.limit, c.most)), Some((4, Some(8), Some(4))));
            prop_assert_eq!(told.workers.iter().map(|w| w.operations).sum::<u64>(), told.operations);
        }
    }

    #[test]
    fn a_worker_that_is_lost_makes_the_whole_invalid_and_keeps_no_interval_open() {
        let (mut merge, mut workers) = (merge(2), [Driven::new(), Driven::new()]);
        for (who, worker) in workers.iter_mut().enumerate() {
            (0..10).for_each(|_| worker.operate(Duration::from_millis(3), true));
            merge.told(who, worker.tally(0));
        }
        assert_eq!(merge.closed().len(), 1);
        (0..10).for_each(|_| workers[0].operate(Duration::from_millis(3), true));
        merge.told(0, workers[0].tally(1));
        assert!(merge.closed().is_empty() && !merge.over());
        merge.lost(1, Duration::from_millis(1200), "the connection was closed".into());
        assert_eq!(merge.closed().len(), 1);
        merge.ended(0, workers[0].summary(), Duration::ZERO, None);
        let told = merge.summary(INTERVAL * 2, Some(40), false);
        let why = told.invalid.expect("invalid");
        assert!(
            why.contains("worker w1 was lost after 1.2 s")
                && why.contains("the connection was closed"),
            "{why}"
        );
        assert_eq!((told.operations, told.offered_rate, told.achieved_rate), (30, 20.0, 15.0));
        assert_eq!(
            (told.workers[1].state, told.workers[1].lost_at_s, told.workers[1].operations),
            (WorkerState::Lost, Some(1.2), 10)
        );
        assert_eq!((told.workers[0].state, told.workers[0].operations), (WorkerState::Ended, 20));
    }

    #[test]
    fn arrivals_that_nobody_came_to_are_noticed_unless_the_load_was_stopped() {
        let ended = |stopped| {
            let (mut merge, mut worker) = (merge(1), Driven::new());
            (0..9).for_each(|_| worker.operate(Duration::from_millis(3), true));
            merge.told(0, worker.tally(0));
            merge.ended(0, worker.summary(), Duration::ZERO, None);
            merge.summary(INTERVAL, Some(10), stopped).invalid
        };
        assert!(ended(false).is_some_and(|why| why.contains("9 of the 10 arrivals")));
        assert_eq!(ended(true), None);
    }

    #[test]
    fn what_makes_a_part_doubtful_makes_the_whole_so() {
        let (mut merge, mut worker) = (merge(1), Driven::new());
        worker.operate(Duration::from_millis(3), true);
        merge.told(0, worker.tally(0));
        let summary = LoadSummary {
            invalid: Some("fell behind".into()),
            pacing: Pacing::Closed,
            ..*worker.summary()
        };
        merge.ended(0, Box::new(summary), Duration::ZERO, None);
        let told = merge.summary(INTERVAL, Some(1), false);
        assert_eq!(
            (told.invalid.as_deref(), told.pacing),
            (Some("worker w0: fell behind"), Pacing::Closed)
        );
    }
}
