//! Each state of a group is notified once, from whichever alert manager.

use super::golden::{Run, golden, notification};
use verdict::check::alerts::StatesNotifiedOnce;
use verdict::history::alert::{AlertEvent, Notification};
use verdict::history::fault::FaultEvent;
use verdict::observation::host::Pressure;
use verdict::{Cause, EventKind, Expectation, Fact, Status, Verdict};

fn judged(run: &Run) -> Verdict {
    let expected = StatesNotifiedOnce {
        receivers: vec!["hook".into(), "chat".into()],
        managers: vec!["manager-a".into(), "manager-b".into()],
    };
    Expectation::from(expected).judge(&run.history())
}

fn from(manager: &str, n: Notification) -> Notification {
    Notification { from: Some(manager.to_owned()), ..n }
}

/// MailerDown fires at the hook at 68 s, and once more after these seconds, from the other peer.
fn again_after(seconds: f64) -> Run {
    let mut run = golden().notifications(|_, n| n.from = Some("manager-a".into()));
    run.notified(68.0 + seconds, from("manager-b", notification("hook", "MailerDown", false)));
    run
}

/// Pressure totals each second, of which this share is waiting.
fn stalled(run: Run, share: f64) -> Run {
    let pressure = |k: &EventKind| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Pressure(_)));
    let mut run = run.without(|_, k| pressure(k));
    for second in 0..200_u64 {
        let pressure = Pressure {
            cpu_some_us: 1 + (second as f64 * share * 1e6) as u64,
            ..Pressure::default()
        };
        run.saw(second as f64, "host", Fact::Pressure(pressure));
    }
    run
}

/// The drill `mailer_stopped` takes an alert manager.
fn lost(mut run: Run) -> Run {
    for (_, k) in &mut run.events {
        if let EventKind::Fault(FaultEvent::Injected { drill, instances, .. }) = k
            && drill == "mailer_stopped"
        {
            *instances = vec!["manager-a".to_owned()];
        }
    }
    run
}

#[test]
fn the_same_state_twice_is_convicted_with_who_sent_it() {
    assert_eq!(judged(&golden()).status, Status::Pass);
    let v = judged(&again_after(1.5));
    assert_eq!((v.status, v.cause), (Status::Fail, Some(Cause::NotifiedTwice)), "{v:#?}");
    let says = "hook was notified twice that MailerDown fires: 1.5 s apart, first from manager-a, then from manager-b";
    assert_eq!(v.reason, says);
    assert!(v.hint.is_some() && v.witnesses.len() == 2, "{v:#?}");
}

#[test]
fn a_state_that_was_another_in_between_or_is_repeated_in_time_is_new() {
    // The repeat interval is 8 s, and the group is over at 84 s.
    assert_eq!(judged(&again_after(8.0)).status, Status::Pass);
    let mut run = golden();
    run.notified(86.0, notification("hook", "MailerDown", false));
    assert_eq!(judged(&run).status, Status::Pass);
}

#[test]
fn a_notification_of_other_alerts_beside_it_is_a_new_state() {
    let mut run = golden();
    let mut both = notification("hook", "MailerDown", false);
    both.alerts.extend(notification("hook", "Another", false).alerts);
    run.notified(69.0, both);
    assert_eq!(judged(&run).status, Status::Pass);
}

#[test]
fn one_that_was_refused_may_come_again() {
    let mut run = golden().notifications(|t, n| {
        if t == 68.0 {
            n.answered = 500;
        }
    });
    run.notified(69.0, notification("hook", "MailerDown", false));
    assert_eq!(judged(&run).status, Status::Pass);
}

#[test]
fn while_an_alert_manager_is_lost_each_may_notify_once_and_none_twice() {
    assert_eq!(judged(&lost(again_after(1.5))).status, Status::Pass);
    let mut run = lost(again_after(1.5));
    run.notified(70.0, from("manager-b", notification("hook", "MailerDown", false)));
    let v = judged(&run);
    assert_eq!((v.status, v.cause), (Status::Fail, Some(Cause::NotifiedTwice)), "{v:#?}");
    // In no other drill's time.
    let mut run = lost(golden());
    run.notified(108.5, from("manager-b", notification("hook", "SlowAnswers", false)));
    assert_eq!(judged(&run).status, Status::Fail);
}

#[test]
fn on_a_host_that_waited_as_long_it_is_unknown() {
    let v = judged(&stalled(again_after(1.5), 1.0));
    assert_eq!(v.status, Status::Unknown, "{v:#?}");
    assert!(v.reason.contains("tasks waited for"), "{v:#?}");
    assert_eq!(judged(&stalled(again_after(1.5), 0.2)).status, Status::Fail);
}

#[test]
fn nothing_is_said_without_notifications_or_the_repeat_interval() {
    let none = |k: &EventKind| matches!(k, EventKind::Alert(AlertEvent::Notification(_)));
    assert_eq!(judged(&golden().without(|_, k| none(k))).status, Status::Unknown);
    let held = |k: &EventKind| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::ManagedAlerts { .. }));
    let v = judged(&golden().without(|_, k| held(k)));
    assert_eq!(v.status, Status::Unknown, "{v:#?}");
}
