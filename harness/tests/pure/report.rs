//! The report of a small golden run: its schema, its roll-call, its waivers, and what becomes of it
//! when the record is damaged.
//!
//! The golden run is made of a real one, and the schema of the type; both are renewed on demand:
//!
//!     UPDATE_SCHEMA=1 cargo test -p firedrill --test pure report::
//!     UPDATE_GOLDEN=<folder of a recorded run of the e-mail stack> cargo test -p firedrill --test pure report::

#![allow(clippy::unwrap_used)]

mod measures;
mod shrink;

use firedrill::declaration::Waiver;
use firedrill::plan::Planned;
use firedrill::process::exit::Exit;
use firedrill::record;
use firedrill::report::{self, Report, RunFile, html, junit, text};
use quick_junit::{NonSuccessKind, TestCaseStatus};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use verdict::check::alerts::StageBudget;
use verdict::history::run::RunEvent;
use verdict::{Event, EventKind, History, Status};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

static GOLDEN: LazyLock<(History, RunFile)> = LazyLock::new(|| {
    let folder = here("tests/pure/report/golden");
    if let Some(from) = std::env::var_os("UPDATE_GOLDEN") {
        shrink::shrink(Path::new(&from), &folder);
    }
    (record::read(&folder).unwrap(), record::read_json(&folder, "run.json").unwrap())
});

fn run_file() -> RunFile {
    serde_json::from_value(serde_json::to_value(&GOLDEN.1).unwrap()).unwrap()
}

fn judged(change: impl FnOnce(&mut RunFile)) -> Report {
    let mut file = run_file();
    change(&mut file);
    report::judge(&GOLDEN.0, &file)
}

fn told<'a>(report: &'a Report, id: &str) -> &'a report::ReportedVerdict {
    report.verdicts.iter().find(|t| t.id == id).unwrap_or_else(|| panic!("no verdict {id}"))
}

/// A copy of the golden run in a folder of its own.
fn copy() -> tempfile::TempDir {
    let _ = &*GOLDEN;
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(here("tests/pure/report/golden")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

#[test]
fn the_committed_schema_is_the_one_of_the_type() {
    let path = here("report.schema.json");
    let generated = serde_json::to_string_pretty(&Report::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == generated,
        "harness/report.schema.json is out of date: run `UPDATE_SCHEMA=1 cargo test -p firedrill --test pure report::` and commit it"
    );
}

#[test]
fn a_report_fits_the_schema_and_a_report_that_lacks_something_does_not() {
    let schema =
        serde_json::from_str(&std::fs::read_to_string(here("report.schema.json")).unwrap())
            .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = serde_json::to_value(judged(|_| ())).unwrap();
    let wrong: Vec<String> =
        validator.iter_errors(&report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new());
    for part in ["run", "glance", "summary", "verdicts", "alerts", "ledger", "faults", "timings"] {
        let mut lacking = report.clone();
        lacking.as_object_mut().unwrap().remove(part).unwrap();
        assert!(!validator.is_valid(&lacking), "without {part}");
    }
}

#[test]
fn the_golden_run_is_small_passes_and_fills_every_part() {
    let size: u64 = std::fs::read_dir(copy().path())
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size < 200_000, "{size} bytes");
    let report = judged(|_| ());
    assert_eq!(report.exit(), Exit::Pass, "{}", text::render(&report));
    assert_eq!(
        (report.glance.drilled, report.glance.proved, report.glance.quiet, report.glance.lost),
        (2, 2, 2, 0)
    );
    assert_eq!(
        report
            .faults
            .iter()
            .filter(|f| f.bit_at.is_some() && f.healed_at.is_some() && !f.mechanism.is_empty())
            .count(),
        2
    );
    assert_eq!(
        report.ledger.iter().map(|l| l.signal.as_str()).collect::<Vec<_>>(),
        ["log:email-service", "log:celery-worker", "trace", "mail"]
    );
    assert!(
        report.ledger.iter().all(|l| l.sent > 0 && l.stored > 0 && l.late_p99_s.is_some()),
        "{:?}",
        report.ledger
    );
    assert!(
        report
            .alerts
            .iter()
            .all(|a| a.detect_s < a.notify_s && a.notify_s < a.budget_s && a.resolved),
        "{:?}",
        report.alerts
    );
    assert!(
        report.timings.up_s.is_some()
            && report.timings.drive_s.is_some()
            && report.load.is_some()
            && !report.run.deviations.is_empty()
    );
}

#[test]
fn a_verdict_removed_from_the_run_makes_it_unknown() {
    for required in &run_file().plan.required {
        let report =
            judged(|f| f.plan.expectations.retain(|p| p.expectation.checker().id() != required.id));
        assert_eq!(report.exit(), Exit::Unknown, "without {}", required.id);
        assert_eq!(told(&report, &format!("roll_call.{}", required.id)).status, Status::Unknown);
    }
}

#[test]
fn too_little_evidence_makes_it_unknown() {
    let report = judged(|f| {
        f.plan
            .required
            .iter_mut()
            .for_each(|r| r.least_evidence = if r.id == "health.services" { 1_000_000 } else { 1 })
    });
    assert_eq!((report.exit(), report.summary.unknown), (Exit::Unknown, 1));
}

#[test]
fn no_verdicts_at_all_is_unknown() {
    let report = judged(|f| {
        f.plan.expectations.clear();
        f.plan.required.clear();
    });
    assert_eq!(report.exit(), Exit::Unknown);
    assert_eq!(told(&report, "roll_call.verdicts").status, Status::Unknown);
}

/// The golden run with an expectation that its record does not meet.
fn failing(file: &mut RunFile) {
    let planned = file
        .plan
        .expectations
        .iter_mut()
        .find(|p| p.expectation.checker().id() == "alert.EmailServiceDown.fires")
        .unwrap();
    let verdict::Expectation::AlertFires(check) = &mut planned.expectation else {
        panic!("another check")
    };
    check.within_s = 0.5;
}

fn waiver(expires: &str) -> Waiver {
    Waiver {
        verdict: "alert.EmailServiceDown.fires".into(),
        owner: "the mail team".into(),
        reason: "a slower rule is on its way".into(),
        expires: expires.into(),
    }
}

#[test]
fn a_waiver_in_force_is_shown_and_an_expired_one_is_void() {
    let report = judged(failing);
    assert_eq!((report.exit(), report.summary.failed), (Exit::Fail, 1));
    let report = judged(|f| {
        failing(f);
        f.declaration.waivers = vec![waiver("9999-12-31")];
    });
    assert_eq!((report.exit(), report.summary.waived, report.summary.failed), (Exit::Pass, 1, 0));
    let page = html::render(&report, &GOLDEN.0).unwrap();
    for shown in [text::render(&report), page] {
        assert!(
            shown.contains("waived by the mail team until 9999-12-31: a slower rule is on its way"),
            "{shown}"
        );
    }
    let report = judged(|f| {
        failing(f);
        f.declaration.waivers = vec![waiver(&f.day.clone())];
    });
    assert_eq!(report.exit(), Exit::Fail);
    assert!(
        told(&report, "alert.EmailServiceDown.fires").reason.contains("expired on"),
        "{}",
        text::render(&report)
    );
}

#[test]
fn a_failure_reads_as_documented() {
    let report = judged(failing);
    let shown = text::verdict(told(&report, "alert.EmailServiceDown.fires"), &report);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[0],
        "fail: alert EmailServiceDown fires within 0.5 s of stop on email-service (email, time scale 20)"
    );
    assert!(lines[1].starts_with("  seen: ") && lines[2].contains("witnesses: events "), "{shown}");
    let whole = text::render(&report);
    assert!(
        whole.trim_start().starts_with("fail: alert EmailServiceDown"),
        "what failed comes first:\n{whole}"
    );
    assert!(
        whole.trim_end().ends_with(&format!("again with: {}", report.run.replay)),
        "the result comes last:\n{whole}"
    );
}

#[test]
fn like_passes_are_one_line() {
    let report = judged(|_| ());
    let shown = text::render(&report);
    assert!(shown.contains("pass: 2 alerts are quiet while nothing is wrong ("), "{shown}");
    assert_eq!(shown.matches("is quiet while").count(), 0, "{shown}");
    assert!(
        shown.contains("Deviations from the described system: ")
            && report.run.deviations.iter().all(|d| !shown.contains(&d.what)),
        "{shown}"
    );
}

/// The golden run, asked about the stages of an alert, with this much allowed for what else runs on
/// the host.
fn staged(file: &mut RunFile, noise_s: f64) {
    let reaches = file
        .plan
        .expectations
        .iter()
        .find(|p| p.expectation.checker().id() == "alert.EmailServiceDown.reaches")
        .unwrap();
    let verdict::Expectation::AlertReaches(told) = reaches.expectation.clone() else {
        panic!("another check")
    };
    let expectation = verdict::check::alerts::AlertStages {
        alert: told.alert,
        drill: told.drill,
        causes: told.causes,
        receivers: told.receivers,
        labels: told.labels,
        allowed: StageBudget {
            condition_s: 1.25,
            evaluation_s: 0.75,
            hold_s: 0.5,
            notify_s: 16.0,
            noise_s,
        },
    };
    let planned = Planned { expectation: expectation.into(), ..reaches.clone() };
    file.plan.expectations.push(planned);
}

#[test]
fn each_stage_is_reported_measured_against_allowed() {
    let report = judged(|f| staged(f, 60.0));
    let alert = report.alerts.iter().find(|a| a.rule == "EmailServiceDown").unwrap();
    let names: Vec<&str> = alert.stages.iter().map(|s| s.stage.as_str()).collect();
    assert_eq!(
        (names.last().copied(), alert.stages_noise_s),
        (Some("notify"), Some(60.0)),
        "{alert:?}"
    );
    let hold = alert.stages.iter().find(|s| s.stage == "hold").unwrap();
    assert!(
        hold.allowed_s == 0.5 && hold.over_s == hold.measured_s - 0.5 && hold.over_s > 0.0,
        "{hold:?}"
    );
    // The stages lie between the injection and the last receiver, one after the other.
    let in_all: f64 = alert.stages.iter().map(|s| s.measured_s).sum();
    assert!((in_all - alert.notify_s.unwrap()).abs() < 1.0, "{alert:?}");
    let (shown, page) = (text::render(&report), html::render(&report, &GOLDEN.0).unwrap());
    let took = format!("hold took {:.1} s of 0.5 s", hold.measured_s);
    assert!(
        shown.contains(&took)
            && shown.contains(&format!(
                "the slowest stage for its time is of EmailServiceDown: {took}"
            )),
        "{shown}"
    );
    assert!(
        page.contains(&format!("hold {:.1} s of 0.5 s", hold.measured_s))
            && page.contains("60.0 s"),
        "{page}"
    );
    let schema =
        serde_json::from_str(&std::fs::read_to_string(here("report.schema.json")).unwrap())
            .unwrap();
    assert!(
        jsonschema::validator_for(&schema)
            .unwrap()
            .is_valid(&serde_json::to_value(&report).unwrap())
    );
    // Nothing was measured of what nobody asked about.
    assert!(report.alerts.iter().all(
        |a| a.rule == "EmailServiceDown" || (a.stages.is_empty() && a.stages_noise_s.is_none())
    ));
    assert_eq!(judged(|f| staged(f, 0.0)).exit(), Exit::Fail);
}

#[test]
fn junit_is_well_formed_and_unknown_is_an_error_there() {
    let report = judged(|f| {
        failing(f);
        f.plan.expectations.retain(|p| p.expectation.checker().id() != "health.services");
    });
    let parsed = quick_junit::Report::deserialize_from_str(&junit::render(&report)).unwrap();
    let cases = || parsed.test_suites.iter().flat_map(|s| &s.test_cases);
    let of_kind = |wanted: NonSuccessKind| {
        cases()
            .filter(
                |c| matches!(c.status, TestCaseStatus::NonSuccess { kind, .. } if kind == wanted),
            )
            .map(|c| c.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(cases().count(), report.verdicts.len());
    assert!(
        matches!(of_kind(NonSuccessKind::Failure).as_slice(), [one] if one.contains("alert.EmailServiceDown.fires"))
    );
    assert!(
        matches!(of_kind(NonSuccessKind::Error).as_slice(), [one] if one.contains("roll_call.health.services"))
    );
}

#[test]
fn judging_twice_gives_the_same_bytes() {
    let folder = copy();
    let files = ["report.json", "junit.xml", "report.html"];
    let written = || {
        report::write_all(folder.path()).unwrap();
        files.map(|f| std::fs::read(folder.path().join(f)).unwrap())
    };
    assert!(written() == written());
}

#[test]
fn a_truncated_record_never_passes() {
    let events = &GOLDEN.0.events;
    for kept in (0..events.len()).step_by(events.len() / 40 + 1).chain([events.len() - 1]) {
        let report = report::judge(&History::new(events[..kept].to_vec()), &run_file());
        assert_ne!(report.exit(), Exit::Pass, "the first {kept} of {} events", events.len());
    }
}

#[test]
fn a_run_that_was_interrupted_says_so() {
    let mut events: Vec<Event> = GOLDEN.0.events.clone();
    let Some(EventKind::Run(RunEvent::Ended { complete, reason })) =
        events.last_mut().map(|e| &mut e.kind)
    else {
        panic!("the golden run has no end")
    };
    (*complete, *reason) = (false, Some("interrupted by a signal".into()));
    let history = History::new(events);
    let report = report::judge(&history, &run_file());
    assert_eq!(report.exit(), Exit::Unknown);
    assert!(told(&report, "run.complete").reason.contains("interrupted by a signal"));
    assert!(text::render(&report).contains("cut short"));
    assert!(html::render(&report, &history).unwrap().contains("The run was cut short"));
}

#[test]
fn the_page_needs_no_network_and_names_what_it_shows() {
    let report = judged(failing);
    let page = html::render(&report, &GOLDEN.0).unwrap();
    for foreign in ["src=", "<link", "@import", "url(", "<script"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for shown in [
        "<html lang=\"en\">",
        "The stack did not notice everything",
        "<svg",
        "EmailServiceDown",
        "redis_evicts",
        "slack-critical",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
}
