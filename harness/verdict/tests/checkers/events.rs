//! Why it did not page, by the event recorder of the alert managers: beside what else was seen, never
//! in place of it.

use super::golden::{Run, cluster_member, expectations, golden, map};
use verdict::history::alert::NotifiedAlert;
use verdict::left_out::{AbsentService, without};
use verdict::observation::alerts::{ManagerEvent, ManagerStep, Silence};
use verdict::observation::asked::Asked;
use verdict::{Cause, EventKind, Fact, Status, Verdict};

const REACHES: &str = "alert.MailerDown.reaches";
const NOTHING: &str = "neither silenced, inhibited nor notified";

fn silence() -> Silence {
    Silence {
        id: "s1".into(),
        matchers: vec!["alertname=\"MailerDown\"".into()],
        created_by: "maintenance".into(),
        state: "active".into(),
    }
}

fn by_silence() -> ManagerStep {
    ManagerStep::Silenced { silence: silence() }
}

fn by_inhibition() -> ManagerStep {
    ManagerStep::Inhibited {
        by: vec!["HouseDown".into()],
        rule: "rule {alertname=\"HouseDown\"} hides {severity=\"critical\"}".into(),
    }
}

fn grouped(receiver: &str) -> ManagerStep {
    ManagerStep::Grouped { receiver: receiver.into() }
}

fn notified(receiver: &str) -> ManagerStep {
    ManagerStep::Notified { receiver: receiver.into(), reason: "first notification".into() }
}

/// What a recorder wrote of MailerDown, which fires from 67 on.
fn events(run: &Run, steps: &[(f64, ManagerStep)]) -> Vec<ManagerEvent> {
    let labels = map(&[("alertname", "MailerDown"), ("severity", "critical")]);
    let event = |(t, step): &(f64, ManagerStep)| ManagerEvent {
        at_s: run.clock.wall(*t),
        alerts: vec![NotifiedAlert { resolved: false, labels: labels.clone() }],
        step: step.clone(),
    };
    steps.iter().map(event).collect()
}

/// The run, and what the recorder of an alert manager wrote.
fn recorded(mut run: Run, manager: &str, steps: &[(f64, ManagerStep)]) -> Run {
    let events = events(&run, steps);
    run.saw(187.0, manager, Fact::ManagerEvents { events, unread: 0 });
    run
}

fn untold() -> Run {
    golden().untold("MailerDown")
}

/// Nobody was notified, because of a silence that no answer of the alert manager showed.
pub fn silenced() -> Run {
    let steps = [(67.1, ManagerStep::Created), (67.1, grouped("ops")), (68.1, by_silence())];
    recorded(untold(), "manager", &steps)
}

/// What was seen, after the diagnosis, of each alert manager's record.
fn by_member(v: &Verdict) -> Vec<&str> {
    v.reason.split("; recorded by ").skip(1).collect()
}

#[test]
fn a_silence_that_no_answer_showed_is_found_in_the_record() {
    untold().fails(REACHES, Cause::NotNotified, "nothing was received, accepted or refused");
    let v = silenced().fails(
        REACHES,
        Cause::Silenced,
        "did not arrive at hook, chat: no answer of manager showed why, its events do; recorded by manager: silenced by",
    );
    assert_eq!(
        v.stage(),
        Some("silenced by silence {alertname=\"MailerDown\"} made by maintenance")
    );
    assert_eq!(
        by_member(&v),
        [
            "manager: silenced by silence {alertname=\"MailerDown\"} made by maintenance 1.1 s after it fired"
        ]
    );
}

#[test]
fn an_inhibition_that_no_answer_showed_is_found_in_the_record() {
    let run = recorded(untold(), "manager", &[(68.0, by_inhibition()), (73.0, by_inhibition())]);
    let v = run.fails(
        REACHES,
        Cause::Inhibited,
        "its events do; recorded by manager: inhibited by HouseDown",
    );
    assert_eq!(v.stage(), Some("inhibited by HouseDown"));
    // It is told once, with the rule to look for.
    assert_eq!(
        by_member(&v),
        [
            "manager: inhibited by HouseDown 1.0 s after it fired (rule {alertname=\"HouseDown\"} hides {severity=\"critical\"})"
        ]
    );
}

#[test]
fn what_answers_showed_keeps_its_cause_and_is_told_with_the_record() {
    let held = |by: &'static str| {
        untold().facts(move |_, _, f| {
            if let Fact::ManagedAlerts { alerts } = f {
                for a in alerts {
                    a.state = "suppressed".into();
                    match by {
                        "silence" => a.silenced_by = vec!["s1".into()],
                        "inhibition" => a.inhibited_by = vec!["HouseDown".into()],
                        _ => a.muted_by = vec!["nights".into()],
                    }
                }
            }
        })
    };
    for (by, cause, steps, says) in [
        ("silence", Cause::Silenced, vec![(68.0, by_silence())], "silenced by silence {"),
        ("inhibition", Cause::Inhibited, vec![(68.0, by_inhibition())], "inhibited by HouseDown 1"),
        // Nothing is recorded where a time interval mutes the route.
        ("time", Cause::Muted, vec![(67.1, grouped("ops"))], "grouped for ops, neither silenced"),
    ] {
        let alone = held(by).verdict(REACHES);
        let v = recorded(held(by), "manager", &steps).fails(REACHES, cause, &alone.reason);
        assert_eq!((v.stage(), &v.hint), (alone.stage(), &alone.hint));
        assert!(by_member(&v)[0].starts_with(&format!("manager: {says}")), "{v:#?}");
    }
}

#[test]
fn each_alert_manager_is_told_by_its_own_record() {
    let run = recorded(untold(), "manager-b", &[(67.1, grouped("hook")), (67.1, grouped("chat"))]);
    let run = recorded(run, "manager-c", &[]);
    let steps = [
        (67.1, grouped("hook")),
        (67.1, grouped("chat")),
        (68.2, notified("chat")),
        (76.2, notified("chat")),
    ];
    let v = recorded(run, "manager", &steps).fails(REACHES, Cause::NotNotified, "did not arrive");
    assert_eq!(
        by_member(&v),
        [
            format!(
                "manager: chat notified 1.2 s after it fired (first notification), grouped for hook, {NOTHING}"
            ),
            format!("manager-b: grouped for hook, chat, {NOTHING}"),
            format!("manager-c: no event, {NOTHING}"),
        ]
    );
}

#[test]
fn what_somebody_was_notified_of_was_not_muted() {
    for (silenced, told) in [(68.0, 73.0), (73.0, 68.0)] {
        let steps = [(silenced, by_silence()), (told, notified("chat"))];
        let run = recorded(untold(), "manager", &steps);
        run.fails(REACHES, Cause::NotNotified, "nothing was received");
    }
    let peer = recorded(untold(), "manager", &[(68.0, by_silence())]);
    recorded(peer, "manager-b", &[(73.0, notified("chat"))]).fails(
        REACHES,
        Cause::NotNotified,
        "nothing was received",
    );
}

#[test]
fn nothing_passes_because_it_is_recorded_and_nothing_fails_that_arrived() {
    let all = [(68.0, notified("hook")), (68.0, notified("chat"))];
    let v = recorded(untold(), "manager", &all).fails(
        REACHES,
        Cause::NotNotified,
        "manager says that hook accepted it, and the stand-in of hook received nothing",
    );
    assert!(v.hint.is_some_and(|h| h.contains("something else accepts what is meant for hook")));
    let healthy = golden();
    let muted = recorded(golden(), "manager", &[(68.0, by_silence())]);
    for e in expectations() {
        let (alone, beside) = (e.judge(&healthy.history()), e.judge(&muted.history()));
        assert_eq!((alone.status, alone.reason), (beside.status, beside.reason), "{}", alone.id);
    }
}

#[test]
fn only_events_of_this_alert_and_this_time_count() {
    let before = recorded(untold(), "manager", &[(40.0, by_silence()), (150.0, by_silence())]);
    let v = before.fails(REACHES, Cause::NotNotified, "nothing was received");
    assert_eq!(by_member(&v), [format!("manager: no event, {NOTHING}")]);
    let change = |change: fn(&mut NotifiedAlert)| {
        silenced().facts(move |_, _, f| {
            if let Fact::ManagerEvents { events, .. } = f {
                events.iter_mut().flat_map(|e| &mut e.alerts).for_each(change);
            }
        })
    };
    for run in [
        change(|a| drop(a.labels.insert("alertname".into(), "SlowAnswers".into()))),
        change(|a| a.resolved = true),
    ] {
        run.fails(REACHES, Cause::NotNotified, "recorded by manager: no event");
    }
}

#[test]
fn a_record_that_was_read_in_part_or_not_at_all_says_so() {
    let mut torn = untold();
    torn.saw(187.0, "manager", Fact::ManagerEvents { events: vec![], unread: 2 });
    torn.fails(
        REACHES,
        Cause::NotNotified,
        &format!(
            "recorded by manager: no event, {NOTHING}, 2 lines of its events could not be read"
        ),
    );
    let mut unread = untold();
    let error = "it has 70000000 bytes, and at most 67108864 are read".to_owned();
    unread.saw(187.0, "manager", Fact::Unreachable { question: Asked::ManagerEvents, error });
    unread.fails(
        REACHES,
        Cause::NotNotified,
        "recorded by manager: its events could not be read (it has 70000000 bytes",
    );
}

#[test]
fn an_alert_that_came_and_went_between_two_questions_was_sent() {
    let nowhere = || {
        untold().facts(|_, _, f| {
            if let Fact::ManagedAlerts { alerts } = f {
                alerts.clear();
            }
        })
    };
    recorded(nowhere(), "manager", &[]).fails(REACHES, Cause::NotSentToManager, "never had it");
    let steps = [(67.1, ManagerStep::Created)];
    let v = recorded(nowhere(), "manager", &steps).fails(
        REACHES,
        Cause::NotNotified,
        "no answer of the alert manager showed it",
    );
    assert_eq!(by_member(&v), [format!("manager: there 0.1 s after it fired, {NOTHING}")]);
    // A file that can't be read is no alert manager that does not answer.
    let mut gone = nowhere().without(|t, k| {
        t < 100.0 && matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::ManagedAlerts { .. }))
    });
    let fact = Fact::Unreachable { question: Asked::ManagerEvents, error: "no such file".into() };
    gone.saw(80.0, "manager", fact);
    gone.fails(REACHES, Cause::NotNotified, "its events could not be read (no such file)");
}

#[test]
fn a_file_that_was_read_is_no_answer_of_its_server() {
    let mut all = expectations().into_iter();
    let clustered = all.find(|e| e.checker().id() == "alerting.cluster").unwrap();
    let members = ["manager".to_owned(), "manager-b".to_owned()];
    let judged = |run: &Run| clustered.judge_members(&run.history(), &members);
    let dead = recorded(golden(), "manager-b", &[(68.0, notified("hook"))]);
    let v = judged(&dead);
    assert_eq!(v.status, Status::Unknown, "{v:#?}");
    let mut alive = dead;
    alive.saw(21.5, "manager-b", Fact::ClusterMember(cluster_member(&["manager"])));
    let v = judged(&alive);
    assert_eq!(v.status, Status::Pass, "{v:#?}");
}

#[test]
fn what_is_recorded_of_a_service_that_is_left_out_is_taken_out() {
    let left_out = [AbsentService {
        service: "boards".into(),
        jobs: vec!["boards".into()],
        hosts: vec!["boards".into()],
    }];
    let mut run = silenced();
    for (_, k) in &mut run.events {
        if let EventKind::Observation(o) = k
            && let Fact::ManagerEvents { events, .. } = &mut o.fact
        {
            events[0].alerts[0].labels.insert("job".into(), "boards".into());
        }
    }
    let history = run.history();
    let kept = without(&history, &left_out);
    let events: Vec<usize> = kept
        .observations()
        .filter_map(|(_, o)| match &o.fact {
            Fact::ManagerEvents { events, .. } => Some(events.len()),
            _ => None,
        })
        .collect();
    assert_eq!(events, [2]);
}
