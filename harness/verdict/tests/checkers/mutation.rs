//! Changed rules: what the machine must reproduce first, and what becomes of mutants on the golden
//! run.
//!
//! `MailerDown` holds from 63 s to 82 s there, with a `for` of 4 s; its drill injects at 60.5 s,
//! heals at 80 s, and allows 9 s until it fires and 8 s until it resolves.

use super::golden::{Run, expectations, golden, map};
use proptest::prelude::*;
use verdict::history::fault::FaultEvent;
use verdict::history::run::RunEvent;
use verdict::mutation::hold::{Shown, runs, shown, spread};
use verdict::mutation::reproduce::{left_out, reproduce};
use verdict::mutation::{Mutation, Outcome, judge};
use verdict::observation::metrics::Series;
use verdict::observation::replay::{Grid, Held, Mutant, Operator, Replay, Run as Span, Variant};
use verdict::{EventKind, Fact, History, Status};

/// Second of the first evaluation.
const FIRST: u32 = 15;

fn variant(for_ms: i64) -> Variant {
    Variant { expr: "probe_success == 0".into(), for_ms, keep_firing_ms: 0 }
}

/// Runs of evaluations, given in seconds of the run.
fn span(seconds: &[(u32, u32)]) -> Vec<Span> {
    seconds.iter().map(|(from, to)| (from - FIRST, to - FIRST)).collect()
}

fn held(all: &[(u32, u32)], without_latest: &[(u32, u32)]) -> Held {
    Held { labels: map(&[("instance", "a")]), all: span(all), without_latest: span(without_latest) }
}

fn alerts(grid: &Grid, line: &[Shown]) -> Vec<Series> {
    let of = |state: &str, wanted: Shown| {
        let at = (0..grid.count)
            .zip(line)
            .filter(|(_, s)| **s == wanted)
            .map(|(i, _)| (grid.at_ms(i) as f64 / 1000.0, Some(1.0)));
        let labels = [
            ("__name__", "ALERTS"),
            ("alertname", "MailerDown"),
            ("alertstate", state),
            ("instance", "a"),
            ("severity", "critical"),
        ];
        Series { labels: map(&labels), points: at.collect() }
    };
    vec![of("pending", Shown::Pending), of("firing", Shown::Firing)]
}

fn grid(run: &Run, count: u32) -> Grid {
    Grid {
        first_ms: (run.clock.wall(f64::from(FIRST)) * 1000.0).round() as i64,
        interval_ms: 1000,
        count,
        exact: true,
    }
}

/// The rule as it is, which the server led as the golden run tells.
fn replay(run: &Run) -> Replay {
    let (grid, held) = (grid(run, 171), held(&[(63, 82)], &[(63, 82)]));
    let line = shown(&grid, &spread(&held.all, grid.count), &[], &variant(4000));
    Replay {
        alert: "MailerDown".into(),
        group: "rules.yml;all".into(),
        sets: vec!["severity".into()],
        grid,
        hidden_ms: 20,
        rule: variant(4000),
        alerts: alerts(&grid, &line),
        held: vec![held],
        overridden: false,
        error: None,
        left_out: vec![],
        mutants: vec![],
    }
}

fn mutant(change: &str, for_ms: i64, all: Option<Held>) -> Mutant {
    let expr = if all.is_some() { format!("probe_success == {change}") } else { variant(0).expr };
    Mutant {
        operator: if all.is_some() { Operator::Threshold } else { Operator::Duration },
        change: change.into(),
        variant: Variant { expr, for_ms, keep_firing_ms: 0 },
        level: false,
        held: all.map(|h| vec![h]),
        refused: None,
        unanswered: None,
    }
}

fn judged(run: &Run, replay: Replay) -> Mutation {
    let mut run = run.clone();
    run.saw(189.0, "metrics", Fact::Replay(replay));
    judge(&run.history(), &expectations()).unwrap()
}

/// What becomes of one mutant.
#[track_caller]
fn becomes(one: Mutant, outcome: Outcome, by: &[&str], says: &str) {
    let run = golden();
    let m = judged(&run, Replay { mutants: vec![one], ..replay(&run) });
    let row = &m.rules[0].mutants[0];
    assert_eq!(
        (row.outcome, row.killed_by.iter().map(String::as_str).collect::<Vec<_>>()),
        (outcome, by.to_vec()),
        "{m:#?}"
    );
    assert!(row.reason.contains(says), "{says:?} is not in {:?}", row.reason);
}

#[test]
fn the_rule_as_it_is_is_reproduced() {
    let run = golden();
    let m = judged(&run, replay(&run));
    assert_eq!((m.status, m.evaluations, m.active, m.undecidable), (Status::Pass, 171, 20, 0));
    assert_eq!(
        m.rules[0].judged_by,
        ["alert.MailerDown.quiet", "alert.MailerDown.fires", "alert.MailerDown.resolves"]
    );
}

#[test]
fn a_rule_that_never_fires_is_noticed() {
    becomes(
        mutant("1", 4000, Some(held(&[], &[]))),
        Outcome::Killed,
        &["alert.MailerDown.fires"],
        "",
    );
}

#[test]
fn a_rule_that_always_fires_is_noticed() {
    becomes(
        mutant("2", 4000, Some(held(&[(15, 185)], &[(15, 185)]))),
        Outcome::Killed,
        &["alert.MailerDown.quiet"],
        "before drill",
    );
}

#[test]
fn a_rule_that_fires_in_another_drill_is_noticed() {
    let both = [(63, 82), (103, 122)];
    becomes(
        mutant("2", 4000, Some(held(&both, &both))),
        Outcome::Killed,
        &["alert.MailerDown.quiet"],
        "store_slow",
    );
}

#[test]
fn a_rule_that_fires_late_or_for_too_long_is_noticed() {
    becomes(
        mutant("for: 4s → 8s", 8000, None),
        Outcome::Killed,
        &["alert.MailerDown.fires"],
        "10.5 s after the injection",
    );
    becomes(
        mutant("2", 4000, Some(held(&[(63, 91)], &[(63, 91)]))),
        Outcome::Killed,
        &["alert.MailerDown.resolves"],
        "8.0 s allowed",
    );
}

#[test]
fn one_that_the_run_can_not_tell_from_the_rule_survives_and_says_why() {
    becomes(
        mutant("for: 4s → 6s", 6000, None),
        Outcome::Survived,
        &[],
        "fires 8.5 s after the injection, the rule after 6.5 s: both within the 9.0 s",
    );
    let same = [(63, 82)];
    becomes(
        mutant("2", 4000, Some(held(&same, &same))),
        Outcome::Survived,
        &[],
        "no sample of this run lies between the two",
    );
}

#[test]
fn what_depends_on_a_sample_that_was_being_scraped_is_undecidable() {
    becomes(
        mutant("2", 4000, Some(held(&[(63, 82)], &[]))),
        Outcome::Undecidable,
        &[],
        "while a sample was being scraped",
    );
    let unanswered = Mutant {
        unanswered: Some("no answer within 5 s".into()),
        held: None,
        ..mutant("2", 4000, Some(held(&[], &[])))
    };
    becomes(unanswered, Outcome::Undecidable, &[], "no answer");
}

/// The golden drill waits for longer than it allows; this one is healed as soon as the alert was
/// told, as drills are.
fn healed_early(one: Mutant) -> (Outcome, String) {
    let mut run = golden();
    for (t, kind) in &mut run.events {
        if matches!(kind, EventKind::Fault(FaultEvent::Healed { drill, .. } | FaultEvent::Left { drill, .. }) if drill == "mailer_stopped")
        {
            *t -= 12.0;
        }
        if matches!(kind, EventKind::Run(RunEvent::DrillEnded { drill }) if drill == "mailer_stopped")
        {
            *t -= 12.0;
        }
    }
    let as_it_is = Replay { held: vec![held(&[(63, 68)], &[(63, 68)])], ..replay(&run) };
    let line = shown(&as_it_is.grid, &spread(&span(&[(63, 68)]), 171), &[], &variant(4000));
    let m = judged(
        &run,
        Replay { alerts: alerts(&as_it_is.grid, &line), mutants: vec![one], ..as_it_is },
    );
    assert_eq!(m.rules[0].judged_by.len(), 3, "{m:#?}");
    (m.rules[0].mutants[0].outcome, m.rules[0].mutants[0].reason.clone())
}

#[test]
fn a_drill_that_was_healed_early_decides_what_it_can() {
    let never = mutant("1", 4000, Some(held(&[], &[])));
    let (outcome, why) = healed_early(never.clone());
    assert_eq!(outcome, Outcome::Killed);
    assert!(
        why.contains("never held") && why.contains("the rule fired 6.5 s after the injection"),
        "{why}"
    );
    // It may have come to hold: a level that was still rising, a window that was still filling.
    let (outcome, why) = healed_early(Mutant { level: true, ..never });
    assert!(
        outcome == Outcome::Undecidable
            && why.contains("healed 7.5 s after the injection, of 9.0 s"),
        "{why}"
    );
    let (outcome, why) = healed_early(mutant("for: 4s → 6s", 6000, None));
    assert!(
        outcome == Outcome::Undecidable
            && why.contains("would have fired 8.5 s after the injection"),
        "{why}"
    );
    let (outcome, why) = healed_early(mutant("for: 4s → 9s", 9000, None));
    assert!(outcome == Outcome::Killed && why.contains("11.5 s after the injection"), "{why}");
}

#[test]
fn what_the_server_refuses_is_counted_apart() {
    let refused = Mutant {
        refused: Some("many-to-many matching".into()),
        held: None,
        ..mutant("2", 4000, Some(held(&[], &[])))
    };
    becomes(refused, Outcome::Refused, &[], "many-to-many");
}

#[test]
fn a_survivor_is_shown_as_a_diff_of_the_rule() {
    let run = golden();
    let m =
        judged(&run, Replay { mutants: vec![mutant("for: 4s → 6s", 6000, None)], ..replay(&run) });
    assert_eq!(m.rules[0].mutants[0].diff, ["- for: 4s", "+ for: 6s"]);
    assert_eq!((m.counts.mutants, m.counts.survived, m.operators.len()), (1, 1, 1));
}

#[test]
fn a_record_that_deviates_judges_nothing_and_shows_where() {
    let run = golden();
    // The server wrote the first firing sample an evaluation late.
    let grid = grid(&run, 171);
    let late = shown(&grid, &spread(&span(&[(63, 82)]), 171), &[], &variant(5000));
    let mutants = vec![mutant("1", 4000, Some(held(&[], &[])))];
    let m = judged(&run, Replay { alerts: alerts(&grid, &late), mutants, ..replay(&run) });
    assert_eq!((m.status, m.counts.not_judged, m.counts.killed), (Status::Unknown, 1, 0));
    for part in [
        "evaluation 53 of 171, 52.0 s after the first",
        "wrote pending",
        "computed from the recorded samples: firing",
    ] {
        assert!(m.reason.contains(part), "{part:?} is not in {:?}", m.reason);
    }
}

#[test]
fn mutants_of_a_rule_of_which_nothing_holds_are_not_judged() {
    let run = golden();
    let replay = Replay {
        alert: "Undeclared".into(),
        alerts: vec![],
        held: vec![],
        mutants: vec![mutant("1", 0, Some(held(&[], &[])))],
        ..replay(&run)
    };
    let m = judged(&run, replay);
    assert_eq!((m.status, m.rules[0].mutants[0].outcome), (Status::Pass, Outcome::NotJudged));
}

#[test]
fn a_rule_that_was_changed_for_a_drill_is_left_out_and_deviates_from_nothing() {
    let run = golden();
    let mutants = vec![mutant("1", 4000, Some(held(&[], &[])))];
    let m = judged(&run, Replay { overridden: true, held: vec![], mutants, ..replay(&run) });
    assert_eq!((m.rules[0].status, m.counts.not_judged), (Status::Skipped, 1));
    assert_eq!((m.status, m.evaluations), (Status::Unknown, 0), "nothing was reproduced");
}

#[test]
fn two_rules_of_one_name_are_not_judged() {
    let mut run = golden();
    let one = Replay { mutants: vec![mutant("1", 4000, Some(held(&[], &[])))], ..replay(&run) };
    run.saw(189.0, "metrics", Fact::Replay(one.clone()));
    let m = judged(&run, one);
    assert_eq!((m.status, m.counts.not_judged), (Status::Unknown, 2));
}

#[test]
fn an_evaluation_that_the_server_left_out_is_seen_as_such() {
    let run = golden();
    let mut replay = replay(&run);
    let gone = run.clock.wall(70.0);
    replay.alerts.iter_mut().for_each(|s| s.points.retain(|(t, _)| (t - gone).abs() > 0.5));
    assert!(reproduce(&replay).is_err());
    replay.left_out = left_out(&replay.grid, &replay.alerts);
    assert_eq!(replay.left_out, [70 - FIRST]);
    assert_eq!(reproduce(&replay).unwrap().evaluations, 170);
    // An alert that came back pending had gone in between.
    let grid = grid(&run, 171);
    let twice = shown(&grid, &spread(&span(&[(63, 69), (71, 82)]), 171), &[], &variant(4000));
    assert_eq!(left_out(&grid, &alerts(&grid, &twice)), Vec::<u32>::new());
}

#[test]
fn where_the_samples_leave_it_open_the_servers_word_counts() {
    let run = golden();
    // The sample that decides was being scraped at 62 s.
    let mut replay = Replay { held: vec![held(&[(62, 82)], &[(63, 82)])], ..replay(&run) };
    assert_eq!(reproduce(&replay).unwrap().undecidable, 1);
    let grid = replay.grid;
    replay.alerts =
        alerts(&grid, &shown(&grid, &spread(&span(&[(62, 82)]), 171), &[], &variant(4000)));
    assert_eq!(reproduce(&replay).unwrap().undecidable, 1);
    // But only for that evaluation: it can't have begun at 61 s.
    replay.alerts =
        alerts(&grid, &shown(&grid, &spread(&span(&[(61, 82)]), 171), &[], &variant(4000)));
    assert!(reproduce(&replay).is_err());
}

#[test]
fn a_truncated_record_neither_kills_nor_lets_survive() {
    let mut run = golden();
    let mutants = vec![mutant("1", 4000, Some(held(&[], &[]))), mutant("for: 4s → 6s", 6000, None)];
    let of = Replay { mutants, ..replay(&run) };
    run.saw(189.0, "metrics", Fact::Replay(of));
    let events = run.history().events;
    for kept in (0..events.len()).step_by(29).chain([events.len() - 1]) {
        let Some(m) = judge(&History::new(events[..kept].to_vec()), &expectations()) else {
            continue;
        };
        assert_eq!(
            (m.status, m.counts.killed, m.counts.survived),
            (Status::Unknown, 0, 0),
            "the first {kept} events"
        );
    }
}

#[test]
fn without_a_replay_there_is_nothing_to_tell() {
    assert!(judge(&golden().history(), &expectations()).is_none());
}

fn pattern(count: usize) -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec((any::<bool>(), 1usize..12), 1..20).prop_map(move |parts| {
        parts
            .into_iter()
            .flat_map(|(held, times)| std::iter::repeat_n(held, times))
            .take(count)
            .collect()
    })
}

fn of_pattern(run: &Run, held: &[bool], for_ms: i64, keep_firing_ms: i64) -> Replay {
    let grid = grid(run, held.len() as u32);
    let rule = Variant { keep_firing_ms, ..variant(for_ms) };
    let all = runs((0..grid.count).filter(|i| held[*i as usize]));
    let alerts = alerts(&grid, &shown(&grid, held, &[], &rule));
    Replay {
        grid,
        rule,
        alerts,
        held: vec![Held { labels: map(&[("instance", "a")]), without_latest: all.clone(), all }],
        ..replay(run)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_the_machine_makes_is_reproduced_and_any_change_is_a_deviation(held in pattern(80), hold in 0i64..8000, keep in 0i64..4000, at in 0usize..80) {
        let run = golden();
        let replay = of_pattern(&run, &held, hold, keep);
        prop_assert!(reproduce(&replay).is_ok());
        let mut changed = replay;
        let at = (at % held.len()) as u32;
        let stamp = changed.grid.at_ms(at) as f64 / 1000.0;
        let was = changed.alerts.iter().any(|s| s.points.iter().any(|(t, _)| (t - stamp).abs() < 0.001));
        changed.alerts.iter_mut().for_each(|s| s.points.retain(|(t, _)| (t - stamp).abs() > 0.001));
        if !was {
            changed.alerts[1].points.push((stamp, Some(1.0)));
        }
        // The very first evaluations may continue what was before the record began.
        let settled = (hold / 1000 + keep / 1000 + 2) as u32;
        prop_assume!(at > settled);
        prop_assert!(reproduce(&changed).is_err());
    }

    #[test]
    fn a_mutant_equal_in_meaning_survives(held in pattern(120), hold in 0i64..6000) {
        let run = golden();
        let mut replay = of_pattern(&run, &held, hold, 0);
        let same = Mutant { held: Some(replay.held.clone()), ..mutant("2", hold, Some(Held { labels: map(&[]), all: vec![], without_latest: vec![] })) };
        replay.mutants = vec![same];
        let m = judged(&run, replay);
        prop_assert!(matches!(m.rules[0].mutants[0].outcome, Outcome::Survived | Outcome::NotJudged), "{m:#?}");
    }
}
