//! What people are told in the course of time.

use super::golden::{Run, golden, managed, notification};
use verdict::history::alert::AlertEvent;
use verdict::history::fault::FaultEvent;
use verdict::history::run::RunEvent;
use verdict::observation::asked::Asked;
use verdict::observation::host::Pressure;
use verdict::{Cause, EventKind, Fact};

const ONCE: &str = "notified.MailerDown.once";
const REPEATED: &str = "notified.Heartbeat.repeated";
const UNTIL_OVER: &str = "notified.MailerDown.until_over";

fn without_told(alert: &'static str, from: f64, to: f64) -> Run {
    golden().without(move |t, k| {
        let of_alert = |n: &verdict::history::alert::Notification| {
            n.alerts.iter().any(|a| a.labels["alertname"] == alert)
        };
        (from..to).contains(&t)
            && matches!(k, EventKind::Alert(AlertEvent::Notification(n)) if of_alert(n))
    })
}

#[test]
fn once_is_neither_twice_nor_never() {
    let mut twice = golden();
    twice.notified(72.0, notification("chat", "MailerDown", false));
    twice.fails(
        ONCE,
        Cause::NotifiedTwice,
        "chat was notified 2 times, 7.5 s, 11.5 s after the injection",
    );
    without_told("MailerDown", 60.0, 90.0).unknown(ONCE, "hook was never notified of it");
    // What comes after healing is another matter.
    let mut relapse = golden();
    relapse.notified(89.0, notification("chat", "MailerDown", false));
    relapse.passes(ONCE, "once each");
}

#[test]
fn a_switch_that_falls_silent_is_a_failure() {
    let silent = without_told("Heartbeat", 70.0, 100.0);
    let v = silent.fails(
        REPEATED,
        Cause::NotRepeated,
        "hook was sent nothing for 32.0 s, from 68.0 s into the run",
    );
    assert_eq!(v.stage(), Some("manager did not have it then"));
    without_told("Heartbeat", 0.0, 200.0).fails(
        REPEATED,
        Cause::NotRepeated,
        "sent nothing for 155.0 s",
    );
    // Its last word may be missing just as well.
    without_told("Heartbeat", 150.0, 200.0).fails(
        REPEATED,
        Cause::NotRepeated,
        "from 148.0 s into the run",
    );
    let mut held = silent.clone();
    let mut alert = managed("Heartbeat");
    alert.inhibited_by = vec!["HouseDown".into()];
    held.saw(99.0, "manager", Fact::ManagedAlerts { alerts: vec![alert] });
    let v = held.fails(REPEATED, Cause::NotRepeated, "sent nothing for 32.0 s");
    assert_eq!(v.stage(), Some("inhibited by HouseDown"));
    let mut contended = silent;
    contended.saw(
        80.0,
        "host",
        Fact::Pressure(Pressure {
            cpu_some_avg10: 88.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 0.0,
            ..Pressure::default()
        }),
    );
    contended.unknown(REPEATED, "late while the host was contended");
}

#[test]
fn a_switch_over_which_nothing_could_be_seen_is_unknown() {
    let never_steady =
        golden().without(|_, k| matches!(k, EventKind::Run(RunEvent::Steady { .. })));
    never_steady.unknown(REPEATED, "no steady state was seen to hold");
    let mut brief =
        golden().without(|t, k| t < 150.0 && matches!(k, EventKind::Run(RunEvent::Steady { .. })));
    brief.run(165.0, RunEvent::Steady { held: true, seen: "at last".into(), before: None });
    brief.unknown(REPEATED, "too short to see anything repeated");
}

#[test]
fn an_end_that_is_told_before_it_is_one_is_a_failure() {
    let mut early = golden();
    early.notified(75.0, notification("chat", "MailerDown", true));
    let v = early.fails(
        UNTIL_OVER,
        Cause::FalseAllClear,
        "chat was notified that it is over 14.5 s after the injection",
    );
    assert_eq!(v.stage(), Some("false all-clear"));
    early.saw(
        71.0,
        "metrics",
        Fact::Unreachable { question: Asked::Targets, error: "refused".into() },
    );
    let v = early.fails(
        UNTIL_OVER,
        Cause::FalseAllClear,
        "and the fault stayed until 19.5 s; metrics did not answer meanwhile",
    );
    assert_eq!(v.stage(), Some("metrics is silent"));
    without_told("MailerDown", 60.0, 80.0).unknown(UNTIL_OVER, "never notified that it fires");
    golden()
        .without(|_, k| matches!(k, EventKind::Fault(FaultEvent::Healed { .. })))
        .unknown(UNTIL_OVER, "never healed");
}
