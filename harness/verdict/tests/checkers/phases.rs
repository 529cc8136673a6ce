//! Drills of several faults and phases: which of them an alert's times count from, and what one
//! fault that did not bite makes of all that rests on the drill.

use super::golden::{Run, golden, map, series};
use verdict::check::alerts::{
    AlertFires, AlertReaches, AlertResolves, AlertStages, NothingElseFires, NotifiedOnce,
    NotifiedUntilOver, StageBudget,
};
use verdict::check::causes::Causes;
use verdict::check::drill::FaultBitAndLeft;
use verdict::history::fault::{BlastRadius, FaultEvent, ONLY_FAULT};
use verdict::{Cause, EventKind, Expectation, Fact, Status, Verdict};

const DRILL: &str = "mailer_stopped";

fn ids(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn causes(injected: &[&str], healed: &[&str]) -> Causes {
    Causes { injected: ids(injected), healed: ids(healed) }
}

/// The golden run whose first drill (injected at 60.5, fires at 67, healed at 80) has another fault,
/// `gossip`, injected and healed at these seconds.
pub fn with_gossip(injected: f64, healed: f64) -> Run {
    let mut run = golden();
    for (_, kind) in &mut run.events {
        if let EventKind::Fault(event) = kind
            && event.drill() == DRILL
        {
            *event = renamed(event, "mailer");
        }
    }
    let (drill, fault) = (|| DRILL.to_owned(), || "gossip".to_owned());
    run.fault(
        injected,
        FaultEvent::Injected {
            drill: drill(),
            fault: fault(),
            kind: "cut".into(),
            target: "manager-a, manager-b".into(),
            instances: ids(&["manager-a", "manager-b"]),
            mechanism: "packet filter".into(),
            blast_radius: BlastRadius { alerts: ids(&["PeersDisagree"]), ..BlastRadius::default() },
        },
    );
    let evidence = || "seen".to_owned();
    run.fault(
        injected + 0.3,
        FaultEvent::Bit { drill: drill(), fault: fault(), evidence: evidence() },
    );
    run.fault(healed, FaultEvent::Healed { drill: drill(), fault: fault() });
    run.fault(
        healed + 0.2,
        FaultEvent::Left { drill: drill(), fault: fault(), evidence: evidence() },
    );
    run
}

/// The same event of a fault of another name.
fn renamed(event: &FaultEvent, fault: &str) -> FaultEvent {
    let mut value = serde_json::to_value(event).unwrap();
    let step = value.as_object_mut().unwrap().values_mut().next().unwrap();
    step["fault"] = fault.into();
    serde_json::from_value(value).unwrap()
}

/// What one fault of the drill is not seen to do.
fn lacks(run: Run, fault: &str, unwanted: fn(&FaultEvent) -> bool) -> Run {
    run.without(
        |_, k| matches!(k, EventKind::Fault(f) if f.drill() == DRILL && f.fault() == fault && unwanted(f)),
    )
}

fn fires(causes: Causes, within_s: f64) -> Expectation {
    AlertFires {
        alert: "MailerDown".into(),
        drill: DRILL.into(),
        causes,
        within_s,
        fault: "faults".into(),
    }
    .into()
}

fn reaches(causes: Causes, within_s: f64) -> Expectation {
    AlertReaches {
        alert: "MailerDown".into(),
        drill: DRILL.into(),
        causes,
        receivers: ids(&["hook", "chat"]),
        labels: map(&[]),
        within_s,
    }
    .into()
}

fn resolves(causes: Causes, within_s: f64) -> Expectation {
    AlertResolves {
        alert: "MailerDown".into(),
        drill: DRILL.into(),
        causes,
        receivers: ids(&["hook", "chat"]),
        within_s,
    }
    .into()
}

fn bit_and_left(faults: &[&str]) -> Expectation {
    FaultBitAndLeft { drill: DRILL.into(), faults: ids(faults) }.into()
}

#[track_caller]
fn says(run: &Run, expectation: &Expectation, status: Status, said: &str) -> Verdict {
    let v = expectation.judge(&run.history());
    assert_eq!(v.status, status, "{v:#?}");
    assert!(v.reason.contains(said), "{said:?} is not in {:?}", v.reason);
    v
}

#[test]
fn a_clock_starts_at_the_last_injection_of_its_phase() {
    let run = with_gossip(64.0, 80.0);
    // From the first fault it is 6.5 s until it fires at 67, from the second 3.
    for both in [causes(&["mailer", "gossip"], &[]), Causes::default()] {
        says(&run, &fires(both.clone(), 3.5), Status::Pass, "firing 3.0 s after the injection");
        let v = says(&run, &fires(both.clone(), 1.5), Status::Fail, "firing 3.0 s after");
        assert_eq!(v.cause, Some(Cause::TooLate));
        says(&run, &reaches(both.clone(), 4.5), Status::Pass, "arrived after hook 4.0 s");
        says(&run, &reaches(both, 3.5), Status::Fail, "arrived after hook 4.0 s");
    }
    // A fault of another phase is not waited for, and saves nobody.
    let first = causes(&["mailer"], &[]);
    says(&run, &fires(first.clone(), 7.0), Status::Pass, "firing 6.5 s after the injection");
    says(&run, &fires(first.clone(), 4.5), Status::Fail, "firing 6.5 s after the injection");
    says(&run, &reaches(first, 6.5), Status::Fail, "arrived after hook 7.5 s");
}

#[test]
fn between_the_first_and_the_last_injection_it_fires_after_no_time() {
    let run = with_gossip(69.0, 80.0);
    let both = causes(&["mailer", "gossip"], &[]);
    says(&run, &fires(both.clone(), 0.0), Status::Pass, "firing 0.0 s after the injection");
    says(&run, &reaches(both, 0.0), Status::Pass, "arrived after hook 0.0 s, chat 0.0 s");
    // Before the first one of its phase it fires for another reason.
    let second = causes(&["gossip"], &[]);
    let said = "already firing when the fault was injected, since 2.0 s before";
    says(&run, &fires(second.clone(), 9.0), Status::Unknown, said);
    says(&run, &reaches(second, 9.0), Status::Unknown, "already firing 2.0 s before");
}

#[test]
fn an_alert_has_its_time_only_while_all_faults_of_its_phase_are_there() {
    let never = |healed| with_gossip(64.0, healed).never("MailerDown", "firing");
    let both = causes(&["mailer", "gossip"], &[]);
    let said = "gave it only 4.0 s of the 9.0 s";
    says(&never(68.0), &fires(both.clone(), 9.0), Status::Unknown, said);
    assert_eq!(fires(both, 9.0).judge(&never(80.0).history()).status, Status::Fail);
}

#[test]
fn the_clock_of_its_end_starts_when_the_last_fault_is_healed_that_ends_it() {
    // Last seen firing at 82 or so, resolved at its receivers at 84.
    let run = with_gossip(64.0, 83.0);
    says(&run, &resolves(causes(&[], &["mailer"]), 4.5), Status::Pass, "hook 4.0 s");
    says(&run, &resolves(causes(&[], &["mailer"]), 3.5), Status::Fail, "4.0 s after healing");
    says(&run, &resolves(causes(&[], &["mailer", "gossip"]), 1.5), Status::Pass, "hook 1.0 s");
    says(&run, &resolves(Causes::default(), 1.5), Status::Pass, "hook 1.0 s");
    says(&run, &resolves(Causes::default(), 0.5), Status::Fail, "1.0 s after healing");
    let unhealed = lacks(run, "gossip", |f| matches!(f, FaultEvent::Healed { .. }));
    says(&unhealed, &resolves(Causes::default(), 9.0), Status::Unknown, "was never healed");
    let stays = |mut run: Run| {
        run.fault(
            83.1,
            FaultEvent::DidNotLeave {
                drill: DRILL.into(),
                fault: "gossip".into(),
                seen: "still cut".into(),
            },
        );
        run
    };
    // What is still there may be what keeps it firing.
    let said = "fault gossip of drill mailer_stopped was still there after healing: still cut";
    let run = stays(with_gossip(64.0, 83.0));
    says(&run, &resolves(causes(&[], &["mailer"]), 9.0), Status::Unknown, said);
}

#[test]
fn one_fault_that_did_not_bite_makes_the_whole_drill_unknown() {
    let none = Causes::default;
    let about: Vec<Expectation> = vec![
        fires(causes(&["mailer"], &[]), 9.0),
        reaches(causes(&["mailer"], &[]), 12.0),
        resolves(causes(&["mailer"], &["mailer"]), 8.0),
        NothingElseFires { drill: DRILL.into(), allowed: ids(&["MailerDown"]) }.into(),
        NotifiedOnce {
            alert: "MailerDown".into(),
            drill: DRILL.into(),
            causes: none(),
            receivers: ids(&["hook"]),
        }
        .into(),
        NotifiedUntilOver {
            alert: "MailerDown".into(),
            drill: DRILL.into(),
            causes: none(),
            receivers: ids(&["hook"]),
        }
        .into(),
        bit_and_left(&["mailer", "gossip"]),
    ];
    let all = |run: &Run, status: Status, said: &str| {
        for expectation in &about {
            let v = expectation.judge(&run.history());
            assert_eq!(v.status, status, "{v:#?}");
            assert!(v.reason.contains(said), "{said:?} is not in {v:#?}");
        }
    };
    let whole = || with_gossip(64.0, 80.0);
    all(&whole(), Status::Pass, "");
    let mut cut = whole();
    let (drill, fault) = (|| DRILL.to_owned(), || "gossip".to_owned());
    let seen = "UDP still passes".into();
    cut.fault(64.5, FaultEvent::DidNotBite { drill: drill(), fault: fault(), seen });
    all(&cut, Status::Unknown, "did not bite: UDP still passes");
    let unseen = lacks(whole(), "gossip", |f| matches!(f, FaultEvent::Bit { .. }));
    all(&unseen, Status::Unknown, "was never seen to bite");
    // Another one that bites does not stand in for it.
    let unseen = lacks(whole(), "mailer", |f| matches!(f, FaultEvent::Bit { .. }));
    all(&unseen, Status::Unknown, "fault mailer");
    let mut not_had = lacks(whole(), "gossip", |_| true);
    let why = "no address".into();
    not_had.fault(64.0, FaultEvent::NotInjected { drill: drill(), fault: fault(), why });
    all(&not_had, Status::Unknown, "could not be injected: no address");
}

#[test]
fn each_fault_that_is_expected_must_be_there() {
    let run = with_gossip(64.0, 83.0);
    let said = "mailer: bit 0.5 s after the injection, healed after 19.5 s, gone 0.5 s later; gossip: bit 0.3 s after the injection, healed after 19.0 s, gone 0.2 s later";
    let v = says(&run, &bit_and_left(&["mailer", "gossip"]), Status::Pass, said);
    assert_eq!(v.evidence.iter().map(|e| e.count).sum::<u64>(), 4);
    says(&run, &bit_and_left(&[]), Status::Pass, said);
    says(
        &run,
        &bit_and_left(&["mailer", "gossip", "exporter"]),
        Status::Unknown,
        "fault exporter was never injected",
    );
    let left = lacks(run, "gossip", |f| matches!(f, FaultEvent::Left { .. }));
    let said = "fault gossip was never seen to have left";
    says(&left, &bit_and_left(&["mailer"]), Status::Unknown, said);
    // An alert whose cause never came proves nothing.
    let said = "was never injected";
    says(&golden(), &fires(causes(&["gossip"], &[]), 9.0), Status::Unknown, said);
}

#[test]
fn stages_count_from_the_last_injection() {
    let stages = |condition_s: f64| AlertStages {
        alert: "MailerDown".into(),
        drill: DRILL.into(),
        causes: causes(&["mailer", "gossip"], &[]),
        receivers: ids(&["hook", "chat"]),
        labels: map(&[]),
        allowed: StageBudget {
            condition_s,
            evaluation_s: 0.0,
            hold_s: 9.0,
            notify_s: 9.0,
            noise_s: 0.0,
        },
    };
    let first = |injected: f64| {
        let rows = stages(9.0).rows(&with_gossip(injected, 80.0).history());
        rows.first().map(|row| row.measured_s).unwrap()
    };
    let sooner = first(60.6) - first(61.6);
    assert!((sooner - 1.0).abs() < 1e-6, "{sooner}");
    assert_eq!(first(66.9), 0.0);
}

#[test]
fn a_drill_may_disturb_what_any_of_its_faults_may() {
    let elsewhere =
        Expectation::from(NothingElseFires { drill: DRILL.into(), allowed: ids(&["MailerDown"]) });
    let firing = |run: Run, alert: &'static str| {
        let clock = run.clock;
        run.facts(move |_, _, f| {
            if let Fact::Samples(s) = f
                && s.name == "alerts"
                && (s.start_s..s.end_s).contains(&clock.wall(72.0))
            {
                s.series.push(series(clock, alert, "firing", 70, 75));
            }
        })
    };
    let run = || with_gossip(64.0, 80.0);
    says(&firing(run(), "PeersDisagree"), &elsewhere, Status::Pass, "nothing else fired");
    let said = "Idle fired 9.5 s after the injection";
    says(&firing(run(), "Idle"), &elsewhere, Status::Fail, said);
}

#[test]
fn an_older_history_has_one_fault_a_drill_and_no_name_for_it() {
    let told = serde_json::json!({"healed": {"drill": "d"}});
    let event: FaultEvent = serde_json::from_value(told.clone()).unwrap();
    assert_eq!((event.drill(), event.fault()), ("d", ONLY_FAULT));
    assert_eq!(serde_json::to_value(&event).unwrap(), told);
    let told = serde_json::json!({"check": "fault_bit_and_left", "drill": DRILL});
    let expectation: Expectation = serde_json::from_value(told.clone()).unwrap();
    says(&golden(), &expectation, Status::Pass, "bit 0.5 s after the injection, healed");
    assert_eq!(serde_json::to_value(&expectation).unwrap(), told);
}
