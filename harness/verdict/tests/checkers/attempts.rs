//! A drill that was late while the host was contended is run once more; nothing else is.

use super::golden::{Run, drill, expectations, golden, series};
use verdict::check::attempts::again;
use verdict::history::run::RunEvent;
use verdict::observation::host::Pressure;
use verdict::{Cause, EventKind, Fact};

const DRILL: &str = "mailer_stopped";
const FIRES: &str = "alert.MailerDown.fires";
const REACHES: &str = "alert.MailerDown.reaches";
const RESOLVES: &str = "alert.MailerDown.resolves";
const QUIET: &str = "alert.MailerDown.quiet";

/// It fires 12.5 s after the injection, 9 s are allowed, and arrives after 13.5 s, 12 s are
/// allowed.
fn late() -> Run {
    golden().alert_later("MailerDown", 6.0).notifications(|t, n| {
        if t == 68.0 {
            n.received_wall_us += 6_000_000;
        }
    })
}

fn contended(mut run: Run) -> Run {
    run.saw(
        66.0,
        "host",
        Fact::Pressure(Pressure {
            cpu_some_avg10: 88.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 0.0,
            ..Pressure::default()
        }),
    );
    run
}

/// The drill was run again from 140 to 170, and `late_s` later than usual.
fn repeated(mut run: Run, late_s: i32) -> Run {
    run.run(139.0, RunEvent::DrillAgain { drill: DRILL.into(), why: "late".into() });
    drill(&mut run, 140.0, DRILL, 2, "MailerDown", &["mailer"], false);
    run.run(172.0, RunEvent::Steady { held: true, seen: "held for 1 s".into(), before: None });
    let clock = run.clock;
    run.facts(|_, _, f| {
        if let Fact::Samples(s) = f
            && s.end_s > clock.wall(150.0)
        {
            s.series.push(series(clock, "MailerDown", "pending", 143, 146 + late_s));
            s.series.push(series(clock, "MailerDown", "firing", 147 + late_s, 162));
        }
    })
}

fn asked_again(run: &Run) -> Option<String> {
    again(&run.history(), expectations().iter().map(|e| (e, &[][..])), DRILL)
}

#[test]
fn late_without_contention_fails_and_is_not_run_again() {
    late().fails(FIRES, Cause::TooLate, "firing 12.5 s");
    assert_eq!(asked_again(&late()), None);
    // Had it been run again all the same, nothing would be forgiven.
    repeated(late(), 0).fails(FIRES, Cause::TooLate, "firing 12.5 s");
}

#[test]
fn late_while_contended_is_run_again_once() {
    assert_eq!(asked_again(&golden()), None, "all is well");
    assert_eq!(asked_again(&contended(golden())), None, "contended and in time");
    let why = asked_again(&contended(late())).expect("late and contended");
    assert!(
        why.starts_with("alert.MailerDown.fires: late while the host was contended: firing 12.5 s"),
        "{why}"
    );
    assert_eq!(
        again(
            &contended(late()).history(),
            expectations().iter().map(|e| (e, &[][..])),
            "store_slow"
        ),
        None,
        "the other drill was in time"
    );
    assert_eq!(asked_again(&repeated(contended(late()), 0)), None, "once");
}

#[test]
fn whatever_else_is_wrong_with_it_a_repetition_would_hide() {
    let untold = contended(late()).untold("MailerDown");
    untold.unknown(FIRES, "late while the host was contended");
    assert_eq!(asked_again(&untold), None, "it fails as well");
    let not_left = contended(late()).without(|t, k| {
        t < 100.0 && matches!(k, EventKind::Fault(verdict::history::fault::FaultEvent::Left { .. }))
    });
    assert_eq!(asked_again(&not_left), None, "it can't be judged for another reason as well");
}

#[test]
fn the_repetition_answers_lateness() {
    let run = repeated(contended(late()), 0);
    let v = run.passes(FIRES, "firing 6.5 s after the injection, 9.0 s allowed");
    assert!(
        v.reason
            .contains("(run 2 times; attempt 1: late while the host was contended: firing 12.5 s"),
        "{}",
        v.reason
    );
    run.passes(REACHES, "arrived after hook 7.5 s");
    run.passes(RESOLVES, "notified after");
    run.passes(QUIET, "silent");
    run.passes("drill.mailer_stopped.fault", "bit");
    run.passes("drill.mailer_stopped.quiet_elsewhere", "nothing else fired");
}

#[test]
fn the_repetition_counts_when_it_is_bad() {
    repeated(contended(late()), 6).fails(FIRES, Cause::TooLate, "firing 12.5 s");
    let mut both = repeated(contended(late()), 6);
    both.saw(
        150.0,
        "host",
        Fact::Pressure(Pressure {
            cpu_some_avg10: 88.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 0.0,
            ..Pressure::default()
        }),
    );
    both.unknown(FIRES, "late while the host was contended");
    let not_bitten = repeated(contended(late()), 0).without(|t, k| {
        t > 140.0 && matches!(k, EventKind::Fault(verdict::history::fault::FaultEvent::Bit { .. }))
    });
    not_bitten.unknown(FIRES, "never seen to bite");
    // The first attempt passed what the second one fails, and the other way round: the worst
    // counts.
    not_bitten.unknown("drill.mailer_stopped.fault", "never seen to bite");
}

#[test]
fn both_attempts_are_told_as_a_deviation() {
    let told = verdict::summary::deviations(&repeated(contended(late()), 0).history());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].what, "drill mailer_stopped was run twice, 60 s and 140 s into the run");
    assert_eq!(told[0].why, "late");
    assert_eq!(told[0].kind, verdict::summary::DeviationKind::RunAgain);
    assert_eq!(verdict::summary::deviations(&golden().history()), vec![]);
}
