//! Baselines before and after the drills.

use super::golden::{Run, golden};
use verdict::history::load::{LoadEvent, Outcome};
use verdict::observation::host::Pressure;
use verdict::{Cause, EventKind, Fact};

const ID: &str = "recovery.baseline";

fn slow(from: f64, to: f64, by: f64) -> Run {
    golden().operations(move |t, o| {
        if (from..to).contains(&t) {
            o.ended = o.ended.plus(by);
        }
    })
}

#[test]
fn inside_the_baseline() {
    let v = golden().passes(ID, "slowest: mail/list 50 ms, mail/send 50 ms");
    assert!(v.evidence[0].count > 300, "{v:#?}");
}

#[test]
fn what_is_slow_before_the_drills_is_outside_the_baseline_and_after_them_not_recovered() {
    slow(20.0, 60.0, 0.2).fails(
        ID,
        Cause::OutsideBaseline,
        "before the first drill: median of mail/list was 250 ms, at most 100 ms wanted",
    );
    let v = slow(140.0, 175.0, 0.2).fails(
        ID,
        Cause::NotRecovered,
        "after drill mailer_stopped, store_slow: median of mail/list was 250 ms",
    );
    assert!(!v.witnesses.is_empty());
    slow(100.0, 131.0, 3.0).passes(ID, "slowest");
}

#[test]
fn errors_after_healing_are_not_recovered() {
    let run = golden().operations(|t, o| {
        if (150.0..153.0).contains(&t) {
            (o.outcome, o.as_expected, o.error) = (Outcome::Failed, false, Some("503".into()));
        }
    });
    run.fails(
        ID,
        Cause::NotRecovered,
        "12 of 205 operations went wrong (5.85 %, at most 1 % wanted), first: 503",
    );
    let expected = golden().operations(|_, o| {
        if o.step == "list" {
            (o.outcome, o.refusal_expected) = (Outcome::Failed, true);
        }
    });
    expected.passes(ID, "operations in");
}

#[test]
fn one_hiccup_among_few_operations_is_no_percentile() {
    slow(150.0, 150.2, 3.0).passes(ID, "slowest: mail/");
}

#[test]
fn slow_while_the_host_is_contended_is_unknown_and_wrong_is_wrong() {
    let mut run = slow(140.0, 175.0, 0.2);
    run.saw(
        150.0,
        "host",
        Fact::Pressure(Pressure {
            cpu_some_avg10: 93.0,
            memory_some_avg10: 0.0,
            io_some_avg10: 0.0,
            ..Pressure::default()
        }),
    );
    run.unknown(ID, "slow while the host was contended");
    run.operations(|t, o| o.as_expected = !(150.0..153.0).contains(&t)).fails(
        ID,
        Cause::NotRecovered,
        "went wrong",
    );
}

#[test]
fn without_operations_after_the_last_drill_nothing_is_known() {
    let without = |from: f64| {
        golden()
            .without(move |t, k| t > from && matches!(k, EventKind::Load(LoadEvent::Operation(_))))
    };
    without(125.0).unknown(ID, "nothing was measured after drill store_slow");
    without(135.0).unknown(ID, "ran after drill store_slow, 40 wanted");
    without(0.0).unknown(ID, "no operation ran");
}

#[test]
fn a_step_that_never_ran_is_unknown() {
    golden()
        .without(|_, k| matches!(k, EventKind::Load(LoadEvent::Operation(o)) if o.step == "list"))
        .unknown(ID, "no operation of mail/list");
}
