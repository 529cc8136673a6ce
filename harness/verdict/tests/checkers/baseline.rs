//! The gate: pass, fail and what can't be told.

use verdict::baseline::{Measure, Source};
use verdict::check::baseline::WithinBaseline;
use verdict::gate::{Better, Compared, Question};
use verdict::history::measure::{MeasureEvent, Side};
use verdict::history::run::RunEvent;
use verdict::{At, Cause, Checker, Event, EventKind, History, Status, Verdict};

const RECORDED: [f64; 6] = [10.0, 10.4, 9.8, 10.1, 10.3, 9.9];

fn history(baseline: &[Option<f64>], candidate: &[Option<f64>], complete: bool) -> History {
    let measured = |side: Side, values: &[Option<f64>]| -> Vec<EventKind> {
        let event = |(n, value): (usize, &Option<f64>)| MeasureEvent {
            side,
            run: format!("{side:?}-{n}"),
            measure: "send_median".into(),
            value: *value,
            rests_on: "300 operations".into(),
        };
        values.iter().enumerate().map(|v| EventKind::Measure(event(v))).collect()
    };
    let mut kinds = measured(Side::Baseline, baseline);
    kinds.extend(measured(Side::Candidate, candidate));
    if complete {
        kinds.push(EventKind::Run(RunEvent::Ended { complete: true, reason: None }));
    }
    History::new(
        kinds
            .into_iter()
            .enumerate()
            .map(|(n, kind)| Event { seq: n as u64, at: At::default(), kind })
            .collect(),
    )
}

fn judged(
    measure: Measure,
    baseline: &[Option<f64>],
    candidate: &[Option<f64>],
    complete: bool,
) -> Verdict {
    let question = Question {
        compared: measure.compared,
        better: measure.better,
        practical: measure.practical,
        alpha: 0.01,
        power: 0.9,
    };
    WithinBaseline { name: "send_median".into(), measure, question, seed: 3 }
        .check(&history(baseline, candidate, complete))
}

fn measure() -> Measure {
    Measure {
        source: Source::Latency { step: "mail/send".into(), percentile: 50.0 },
        unit: "ms".into(),
        better: Better::Lower,
        compared: Compared::Ratio,
        practical: 0.1,
        limit: Some(50.0),
    }
}

fn times(by: f64) -> Vec<Option<f64>> {
    RECORDED.iter().rev().map(|v| Some(v * by)).collect()
}

#[test]
fn the_same_again_passes_and_says_what_it_rests_on() {
    let v = judged(measure(), &times(1.0), &times(1.01), true);
    assert_eq!(v.status, Status::Pass, "{}", v.reason);
    assert_eq!((v.evidence[0].count, v.witnesses.len()), (6, 6));
}

#[test]
fn a_slower_one_fails_and_names_both_medians() {
    let v = judged(measure(), &times(1.0), &times(1.15), true);
    assert_eq!((v.status, v.cause), (Status::Fail, Some(Cause::OutsideBaseline)));
    assert!(v.reason.starts_with("15 % worse (between 1"), "{}", v.reason);
    assert!(v.reason.contains("recorded 10.1 ms of 6"), "{}", v.reason);
}

#[test]
fn slower_by_less_than_matters_passes() {
    assert_eq!(judged(measure(), &times(1.0), &times(1.05), true).status, Status::Pass);
}

#[test]
fn one_run_beyond_the_limit_fails_whatever_was_recorded() {
    let mut values = times(1.0);
    values[2] = Some(51.0);
    let v = judged(measure(), &[], &values, true);
    assert_eq!(v.status, Status::Fail);
    assert_eq!(v.reason, "51 ms in one run, the limit is 50 ms");
    let rate = Measure {
        better: Better::Higher,
        limit: Some(0.5),
        compared: Compared::Difference,
        ..measure()
    };
    assert_eq!(judged(rate, &[], &[Some(0.4)], true).status, Status::Fail);
}

#[test]
fn too_little_is_unknown_and_says_what_would_do() {
    let unknown =
        |baseline: &[Option<f64>], candidate: &[Option<f64>], complete: bool, word: &str| {
            let v = judged(measure(), baseline, candidate, complete);
            assert_eq!(v.status, Status::Unknown, "{}", v.reason);
            assert!(v.reason.contains(word), "{word}: {}", v.reason);
        };
    unknown(&times(1.0), &times(1.0)[..2], true, "runs on each side would tell");
    unknown(&[], &[], true, "too few runs");
    unknown(&times(1.0), &times(1.0), false, "the record ends early");
    unknown(&times(1.0), &[Some(10.0), None, Some(10.0)], true, "did not measure it");
    unknown(&[Some(0.0); 5], &times(1.0), true, "can't be compared");
}
