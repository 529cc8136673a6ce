//! A clock that is set while a run goes on.

use super::golden::{expectations, golden};
use verdict::check::clock::step;
use verdict::{Event, History, Status};

/// The golden run, of which each event saw the wall clock so many seconds ahead.
fn ahead(by_s: impl Fn(&Event) -> f64) -> History {
    let mut history = golden().history();
    for event in &mut history.events {
        event.at.wall_us += (by_s(event) * 1e6) as i64;
    }
    history
}

/// Seconds since the run began.
fn t(event: &Event) -> f64 {
    event.at.mono_us as f64 / 1e6
}

#[test]
fn a_clock_that_is_set_leaves_nothing_that_compares_times() {
    for by_s in [3.0, -3.0, 0.5] {
        let history = ahead(|e| if t(e) > 100.0 { by_s } else { 0.0 });
        let step = step(&history).unwrap();
        assert!((step.by_s - by_s).abs() < 1e-3 && step.before < step.after, "{step:?}");
        for expectation in expectations() {
            let verdict = expectation.judge(&history);
            let timeless = [
                "health.",
                "scraping.configuration",
                "scraping.retention",
                "scraping.replicas",
                "alerting.",
                "logs.api.types",
                "baseline.",
            ];
            if timeless.iter().any(|id| verdict.id.starts_with(id)) {
                assert_eq!(verdict.status, Status::Pass, "{verdict:#?}");
            } else {
                assert_eq!(
                    (verdict.status, verdict.cause),
                    (Status::Unknown, None),
                    "{verdict:#?}"
                );
                assert!(
                    verdict.reason.contains(&format!("stepped by {by_s:+.1} s")),
                    "{}",
                    verdict.reason
                );
            }
        }
    }
}

#[test]
fn a_clock_that_is_slewed_or_was_read_late_once_is_as_good() {
    assert_eq!(step(&ahead(|_| 0.0)), None);
    assert_eq!(step(&ahead(|e| t(e) * 400e-6)), None);
    assert_eq!(step(&ahead(|e| if e.seq % 5 == 0 { 2.0 } else { 0.0 })), None);
}
