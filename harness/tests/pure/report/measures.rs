//! Runs of a gate: what one measured, and what several come to beside a baseline's.

use super::{GOLDEN, run_file, told};
use firedrill::plan::{Plan, Planned};
use firedrill::process::exit::Exit;
use firedrill::report::{self, Report, html, text};
use std::collections::BTreeMap;
use verdict::baseline::{Gate, Measure, Source};
use verdict::check::baseline::WithinBaseline;
use verdict::gate::{Better, Compared};
use verdict::history::measure::{MeasureEvent, Side};
use verdict::history::run::RunEvent;
use verdict::observation::{Fact, Observation};
use verdict::{At, Event, EventKind, History, Status};

fn gate(measures: &[(&str, Source)]) -> Gate {
    let measure = |source: &Source| Measure {
        source: source.clone(),
        unit: "ms".into(),
        better: Better::Lower,
        compared: Compared::Ratio,
        practical: 0.1,
        limit: None,
    };
    Gate {
        warm_up_s: 0.0,
        window_s: 60.0,
        drills: Vec::new(),
        alpha: 0.01,
        power: 0.9,
        measures: measures
            .iter()
            .map(|(name, source)| ((*name).to_owned(), measure(source)))
            .collect(),
    }
}

fn measured(history: &History, measures: &[(&str, Source)]) -> Report {
    let mut file = run_file();
    file.plan = Plan {
        gate: Some(gate(measures)),
        expectations: Vec::new(),
        required: Vec::new(),
        ..file.plan
    };
    report::judge(history, &file)
}

fn detection() -> (&'static str, Source) {
    ("detection", Source::Detection { alert: "EmailServiceDown".into() })
}

#[test]
fn a_run_that_measured_everything_passes_and_says_what() {
    let report = measured(&GOLDEN.0, &[detection()]);
    assert_eq!(report.exit(), Exit::Pass, "{}", text::render(&report));
    assert!(report.measured["detection"].value.unwrap() > 0.0);
    assert!(
        told(&report, "measured.detection").reason.contains("drill"),
        "{}",
        told(&report, "measured.detection").reason
    );
}

#[test]
fn a_run_without_one_of_its_measures_is_unknown() {
    let report = measured(
        &GOLDEN.0,
        &[detection(), ("lag", Source::Lag { signal: "log:email-service".into() })],
    );
    assert_eq!(report.exit(), Exit::Unknown);
    assert_eq!(told(&report, "measured.detection").status, Status::Pass);
    assert!(
        told(&report, "measured.lag").reason.starts_with("0 looks"),
        "{}",
        told(&report, "measured.lag").reason
    );
}

#[test]
fn a_clock_that_is_set_leaves_nothing_measured() {
    let mut stepped = GOLDEN.0.clone();
    let half = stepped.events.len() / 2;
    stepped.events[half..].iter_mut().for_each(|e| e.at.wall_us += 5_000_000);
    let report = measured(&stepped, &[detection()]);
    let told = told(&report, "measured.detection");
    assert_eq!(told.status, Status::Unknown);
    assert!(told.reason.contains("clock was stepped by +5.0 s"), "{}", told.reason);
    assert_eq!(report.measured["detection"].value, None);
}

#[test]
fn a_contended_host_leaves_nothing_measured() {
    let mut history = GOLDEN.0.clone();
    for event in &mut history.events {
        if let EventKind::Observation(Observation { fact: Fact::Pressure(p), .. }) = &mut event.kind
        {
            p.cpu_some_avg10 = 88.0;
        }
    }
    let report = measured(&history, &[detection()]);
    let verdict = told(&report, "measured.detection");
    assert_eq!((report.exit(), verdict.status), (Exit::Unknown, Status::Unknown));
    assert!(
        verdict
            .reason
            .starts_with("for 100 % of it tasks of the host waited for a processor more than 60 %"),
        "{}",
        verdict.reason
    );
    assert_eq!(report.measured["detection"].value, None);
}

/// Six runs of each side, the candidate's by so much slower.
fn compared(slower: f64) -> (History, Report) {
    let runs = [10.0, 10.4, 9.8, 10.1, 10.3, 9.9];
    let value = |side: Side, (n, value): (usize, f64)| {
        let (run, rests_on) = (format!("{side:?}-{n}"), "300 operations".to_owned());
        EventKind::Measure(MeasureEvent {
            side,
            run,
            measure: "list<median>".into(),
            value: Some(value),
            rests_on,
        })
    };
    let mut kinds: Vec<EventKind> =
        runs.into_iter().enumerate().map(|v| value(Side::Baseline, v)).collect();
    kinds.extend(
        runs.into_iter().rev().map(|v| v * slower).enumerate().map(|v| value(Side::Candidate, v)),
    );
    kinds.push(EventKind::Run(RunEvent::Ended { complete: true, reason: None }));
    let history = History::new(
        kinds
            .into_iter()
            .enumerate()
            .map(|(n, kind)| Event { seq: n as u64, at: At::default(), kind })
            .collect(),
    );
    let gate =
        gate(&[("list<median>", Source::Latency { step: "list/list".into(), percentile: 50.0 })]);
    let planned = |(name, measure): (&String, &Measure)| Planned {
        feature: "Baseline".into(),
        scenario: "A candidate is no worse".into(),
        step: String::new(),
        place: "baseline".into(),
        members: Vec::new(),
        expectation: WithinBaseline {
            name: name.clone(),
            measure: measure.clone(),
            question: gate.question(measure),
            seed: 3,
        }
        .into(),
    };
    let mut file = run_file();
    file.plan =
        Plan { expectations: gate.measures.iter().map(planned).collect(), ..Plan::default() };
    file.declaration = file.declaration.unobserved();
    file.routing = Default::default();
    let report = report::judge(&history, &file);
    (history, report)
}

#[test]
fn a_check_shows_both_sides_and_only_what_it_is_about() {
    let outcomes: BTreeMap<&str, (f64, Exit)> =
        [("pass", (1.01, Exit::Pass)), ("fail", (1.2, Exit::Fail))].into();
    for (word, (slower, exit)) in outcomes {
        let (history, report) = compared(slower);
        assert_eq!(report.exit(), exit, "{}", text::render(&report));
        let row = &report.compared[0];
        assert_eq!((row.baseline.len(), row.candidate.len()), (6, 6));
        assert!((row.change.unwrap().seen - (slower - 1.0)).abs() < 1e-9);
        let (shown, page) = (text::render(&report), html::render(&report, &history).unwrap());
        assert!(
            shown.contains(&format!("{word:<7} list<median>"))
                && shown.contains("10.1 (9.8 to 10.4)"),
            "{shown}"
        );
        assert!(
            page.contains("list&lt;median&gt;") && page.contains("10.1 (9.8 to 10.4)"),
            "{page}"
        );
        for foreign in ["Ledger", "Exercised", "Alerts", "What was exercised", "Quiet while"] {
            assert!(!shown.contains(foreign) && !page.contains(foreign), "{foreign}: {shown}");
        }
    }
}
