//! The laws that every checker obeys.

use super::golden::{Clock, OPERATIONS, Run, document, expectations, golden, golden_at};
use proptest::prelude::*;
use verdict::check::{Checker, Expectation};
use verdict::history::alert::AlertEvent;
use verdict::history::load::LoadEvent;
use verdict::history::run::RunEvent;
use verdict::{Cause, EventKind, Fact, History, Status, Verdict};

/// What must not change: everything but the numbers of the events.
fn gist(v: Verdict) -> Verdict {
    Verdict { witnesses: vec![], ..v }
}

fn gists(history: &History) -> Vec<Verdict> {
    expectations().iter().map(|e| gist(e.judge(history))).collect()
}

#[test]
fn the_golden_run_passes_on_evidence() {
    let history = golden().history();
    for e in expectations() {
        let v = e.judge(&history);
        assert_eq!(v.status, Status::Pass, "{v:#?}");
        assert!(v.evidence.iter().map(|e| e.count).sum::<u64>() > 0, "{v:#?}");
        assert!(!v.expected.ends_with('.') && !v.reason.is_empty(), "{v:#?}");
        assert_eq!(
            (v.id.as_str(), v.expected.as_str()),
            (e.checker().id().as_str(), e.checker().expected().as_str())
        );
    }
}

#[test]
fn every_checker_is_in_the_golden_run() {
    let kinds: std::collections::BTreeSet<String> = expectations()
        .iter()
        .map(|e| serde_json::to_value(e).unwrap()["check"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.len(), 34, "{kinds:?}");
}

#[test]
fn ids_are_unique_and_expectations_survive_being_written() {
    let all = expectations();
    let ids: std::collections::BTreeSet<String> = all.iter().map(|e| e.checker().id()).collect();
    assert_eq!(ids.len(), all.len());
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Expectation>>(&text).unwrap(), all);
}

#[test]
fn nothing_passes_on_an_empty_history() {
    for e in expectations() {
        assert_eq!(e.judge(&History::default()).status, Status::Unknown, "{}", e.checker().id());
        let bare: &dyn Checker = e.checker();
        assert_ne!(bare.check(&History::default()).status, Status::Pass);
    }
}

#[test]
fn what_rests_on_the_capture_does_not_pass_without_it() {
    let history = golden().without(|t, k| t >= 185.0 && !matches!(k, EventKind::Run(_))).history();
    for e in expectations() {
        let id = e.checker().id();
        if ["logs.", "traces.", "alert.", "health.services"].iter().any(|p| id.starts_with(p))
            || id.ends_with("quiet_elsewhere")
        {
            assert_eq!(e.judge(&history).status, Status::Unknown, "{id}");
        }
    }
}

#[test]
fn a_run_that_says_it_is_incomplete_passes_nothing_and_convicts_nothing_of_absence() {
    let mut run = golden().without(|_, k| {
        matches!(k, EventKind::Run(RunEvent::Ended { .. }))
            || matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Documents { .. }))
    });
    run.run(200.0, RunEvent::Ended { complete: false, reason: Some("interrupted".into()) });
    run.saw(
        187.5,
        "logs",
        Fact::Documents { documents: vec![document(run.clock, 0)], truncated: false },
    );
    let v = run.unknown("logs.api.lines", "interrupted");
    assert!(v.reason.contains("have no line"), "{v:#?}");
    assert!(
        gists(&run.history()).iter().all(|v| v.status == Status::Unknown),
        "{:#?}",
        gists(&run.history())
    );
}

/// A run by its name, which its snapshot has too.
type Named = (&'static str, fn() -> Run);

/// Runs in which something is wrong, so that the laws are asked of failures as well.
pub const RUNS: [Named; 7] = [
    ("healthy", golden),
    ("fires_late", || golden().alert_later("MailerDown", 5.0)),
    ("never_fires", || {
        golden()
            .never("SlowAnswers", "firing")
            .never("SlowAnswers", "pending")
            .untold("SlowAnswers")
    }),
    ("not_notified", || golden().untold("MailerDown")),
    ("silenced_as_recorded", super::events::silenced),
    ("operations_fail", || {
        golden().operations(|t, o| {
            if (140.0..150.0).contains(&t) {
                o.as_expected = false;
            }
        })
    }),
    ("lines_and_spans_lost", || {
        golden().facts(|_, _, f| {
            if let Fact::Documents { documents, .. } = f {
                documents.retain(|d| !d.id.ends_with('7'));
            }
            if let Fact::Spans { spans, .. } = f {
                spans.retain(|s| s.name != "publish");
            }
        })
    }),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_history_never_passes(keep in 0.0f64..1.0) {
        let mut history = golden().history();
        let n = ((history.events.len() - 1) as f64 * keep) as usize;
        history.events.truncate(n);
        for e in expectations() {
            let v = e.judge(&history);
            prop_assert_ne!(v.status, Status::Pass, "{:#?}", v);
        }
    }

    #[test]
    fn shifting_all_times_changes_nothing(days in -20_000i64..20_000, seconds in 0i64..86_400, mono_s in -1_000_000i64..1_000_000) {
        // The golden run's documents move with their calendar, so that any shift is a shift of the
        // whole run, across midnight too.
        let moved = Clock { wall_s: Clock::default().wall_s + days * 86_400 + seconds, mono_s };
        if moved.wall_s > 0 {
            prop_assert_eq!(gists(&golden().history()), gists(&golden_at(moved).history()));
        }
    }

    #[test]
    fn the_order_in_which_events_were_written_changes_nothing(which in 0..RUNS.len(), pairs in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..40)) {
        let run = RUNS[which].1();
        let before = gists(&run.history());
        let mut history = run.history();
        for (a, b) in pairs {
            let (a, b) = (a.index(history.events.len()), b.index(history.events.len()));
            history.events.swap(a, b);
        }
        for (i, e) in history.events.iter_mut().enumerate() {
            e.seq = i as u64;
        }
        prop_assert_eq!(before, gists(&History::new(history.events)));
    }

    #[test]
    fn losing_any_events_never_panics_and_losing_the_end_never_passes(which in 0..RUNS.len(), seed in any::<u64>(), share in 0.0f64..1.0) {
        let mut history = RUNS[which].1().history();
        let mut state = seed | 1;
        history.events.retain(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 > share
        });
        for e in expectations() {
            let v = e.judge(&history);
            prop_assert!(v.status != Status::Pass || history.is_complete(), "{:#?}", v);
        }
    }

    #[test]
    fn dropping_one_document_of_an_acknowledged_operation_fails_with_that_operation(i in 0..OPERATIONS) {
        let run = golden().facts(|_, _, f| {
            if let Fact::Documents { documents, .. } = f {
                documents.retain(|d| d.id != format!("doc-{i}"));
            }
        });
        let v = run.fails("logs.api.lines", Cause::LogLineMissing, &format!("1 of {OPERATIONS} operations have no line (op-{i})"));
        let history = run.history();
        let of_op = history.operations().find(|(_, o)| o.id == format!("op-{i}")).map(|(e, _)| e.seq);
        prop_assert_eq!(v.witnesses.first().copied(), of_op);
    }

    #[test]
    fn delaying_an_alert_past_its_bound_fails(by in 0.0f64..15.0) {
        // It fires 6.5 s after the injection, 9 s are allowed, and a sample may be a second late.
        let run = golden().alert_later("MailerDown", by);
        let v = run.verdict("alert.MailerDown.fires");
        let wanted = if 6.5 + by <= 9.0 + 1.0 { Status::Pass } else { Status::Fail };
        if (6.5 + by - 10.0).abs() > 1e-3 {
            prop_assert_eq!(v.status, wanted, "{:#?}", v);
        }
        if wanted == Status::Fail {
            prop_assert_eq!(v.cause, Some(Cause::TooLate));
        }
    }

    #[test]
    fn delaying_a_notification_past_its_bound_fails(by in 0.0f64..10.0, which in any::<bool>()) {
        let late = if which { "hook" } else { "chat" };
        let run = golden().notifications(|t, n| {
            if t == 68.0 && n.receiver.as_deref() == Some(late) {
                n.received_wall_us += (by * 1e6) as i64;
            }
        });
        // It arrives 7.5 s after the injection, and 12 s are allowed.
        let v = run.verdict("alert.MailerDown.reaches");
        if by < 4.499 {
            prop_assert_eq!(v.status, Status::Pass, "{:#?}", v);
        } else if by > 4.501 {
            prop_assert_eq!((v.status, v.cause), (Status::Fail, Some(Cause::TooLate)), "{:#?}", v);
        }
    }

    #[test]
    fn merging_statuses_is_associative_commutative_and_idempotent(a in status(), b in status(), c in status()) {
        prop_assert_eq!(a.merge(b), b.merge(a));
        prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
        prop_assert_eq!(a.merge(a), a);
        prop_assert_eq!(a.merge(Status::Skipped), a);
        prop_assert!(a == Status::Pass || a == Status::Skipped || a.merge(Status::Pass) != Status::Pass);
    }
}

fn status() -> impl Strategy<Value = Status> {
    prop::sample::select(vec![
        Status::Skipped,
        Status::Pass,
        Status::Waived,
        Status::Unknown,
        Status::Fail,
    ])
}

#[test]
fn the_golden_run_reads_its_domains() {
    // Guards the laws themselves: the golden run has events of every domain that a checker reads.
    let history = golden().history();
    let any = |f: fn(&EventKind) -> bool| history.events.iter().any(|e| f(&e.kind));
    assert!(any(|k| matches!(k, EventKind::Alert(AlertEvent::Notification(_)))));
    assert!(any(|k| matches!(k, EventKind::Load(LoadEvent::Operation(_)))));
    assert!(
        any(|k| matches!(k, EventKind::Fault(_)))
            && any(|k| matches!(k, EventKind::Stack(_)))
            && any(|k| matches!(k, EventKind::Observation(_)))
    );
}
