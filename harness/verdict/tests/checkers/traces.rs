//! Complete traces and the sampling rate.

use super::golden::{OPERATIONS, Run, golden, is_kept, spans};
use verdict::history::load::client_span;
use verdict::observation::traces::Span;
use verdict::{Cause, EventKind, Fact};

const COMPLETE: &str = "traces.complete";
const RATE: &str = "traces.rate";

fn stored(change: impl Fn(&mut Vec<Span>)) -> Run {
    golden().facts(|_, _, f| {
        if let Fact::Spans { spans, .. } = f {
            change(spans);
        }
    })
}

#[test]
fn complete_traces_pass_and_disturbed_operations_are_exempted() {
    let v = golden().passes(COMPLETE, "exempted, disturbed by store_slow");
    assert!(v.evidence[0].count > 200, "{v:#?}");
    // What happens to traces in the drill that disturbs the journeys is not held against them.
    let torn_in_drill = stored(|s| {
        s.retain(|s| {
            s.name != "publish"
                || !(400..440).contains(&usize::from_str_radix(&s.trace_id, 16).unwrap())
        })
    });
    torn_in_drill.passes(COMPLETE, "exempted");
}

#[test]
fn a_missing_span_is_named() {
    let run = stored(|s| s.retain(|s| s.name != "deliver" || s.trace_id != format!("{:032x}", 40)));
    let v = run.fails(COMPLETE, Cause::SpanMissing, "op-40: worker: deliver is missing");
    let history = run.history();
    assert_eq!(
        v.witnesses.first().copied(),
        history.operations().find(|(_, o)| o.id == "op-40").map(|(e, _)| e.seq)
    );
}

#[test]
fn a_span_whose_parent_is_missing_is_torn_off() {
    stored(|s| s.retain(|s| s.name != "publish" || s.trace_id != format!("{:032x}", 40))).fails(
        COMPLETE,
        Cause::SpanWithoutParent,
        "the parent of worker: deliver is not in its trace",
    );
}

/// Where the load names itself in `traceparent`, each root has its span as the parent.
#[test]
fn what_the_client_asked_for_is_a_root_and_what_another_did_is_torn_off() {
    let asked_by = |parent: fn(&str) -> String| {
        stored(move |s| {
            for s in s.iter_mut().filter(|s| s.parent_id.is_none()) {
                s.parent_id = Some(parent(&s.trace_id));
            }
        })
    };
    let client = asked_by(client_span);
    client.passes(COMPLETE, "complete traces");
    client.passes(RATE, "50 % stated");
    asked_by(|trace| client_span(&format!("{trace}-of-another"))).fails(
        COMPLETE,
        Cause::SpanWithoutParent,
        "is not in its trace",
    );
}

/// The worker begins a trace of its own, of which the sampler keeps every second.
fn torn() -> Run {
    golden().facts(|_, _, f| {
        if let Fact::Spans { spans, .. } = f {
            spans.retain(|s| s.service != "worker");
            for i in (0..OPERATIONS).step_by(2).filter(|i| (i / 4) % 2 == 0) {
                let clock = super::golden::Clock::default();
                spans.extend(
                    super::golden::spans(clock, i)
                        .into_iter()
                        .filter(|s| s.service == "worker")
                        .map(|s| Span { trace_id: format!("f{i:031x}"), parent_id: None, ..s }),
                );
            }
        }
    })
}

#[test]
fn a_context_lost_between_queue_and_worker_is_called_that_and_not_a_wrong_rate() {
    torn().fails(COMPLETE, Cause::SpanWithoutParent, "traces");
    torn().unknown(RATE, "in more than one trace");
}

#[test]
fn a_wrong_parent_is_named() {
    let run = stored(|s| {
        for s in s.iter_mut().filter(|s| s.name == "deliver") {
            s.parent_id =
                Some(format!("{:016x}", usize::from_str_radix(&s.trace_id, 16).unwrap() * 10 + 1));
        }
    });
    run.fails(
        COMPLETE,
        Cause::SpanWithoutParent,
        "worker: deliver has parent api: POST /mail, wanted api: publish",
    );
}

#[test]
fn no_trace_at_all_is_a_failure_of_its_own() {
    let run = stored(|s| s.clear());
    run.fails(COMPLETE, Cause::NoTraces, "none of");
    run.fails(RATE, Cause::NoTraces, "none of");
}

#[test]
fn half_the_stated_rate_is_convicted() {
    let kept: Vec<usize> = (0..OPERATIONS).filter(|i| is_kept(*i)).collect();
    let v = golden().passes(RATE, "50 % stated");
    assert!(v.evidence[0].count > 400);
    let half = stored(|s| {
        s.retain(|s| kept.iter().position(|i| s.trace_id == format!("{i:032x}")).unwrap() % 2 == 0)
    });
    half.fails(RATE, Cause::SamplingRateOff, "50 % stated");
    half.passes(COMPLETE, "complete traces");
    let all = golden().facts(|_, _, f| {
        if let Fact::Spans { spans: s, .. } = f {
            *s = (0..OPERATIONS).flat_map(|i| spans(super::golden::Clock::default(), i)).collect();
        }
    });
    all.fails(RATE, Cause::SamplingRateOff, "100 %");
}

#[test]
fn too_few_operations_tell_nothing() {
    let few = golden().without(|t, k| {
        t > 30.0 && matches!(k, EventKind::Load(verdict::history::load::LoadEvent::Operation(_)))
    });
    few.unknown(RATE, "too few to tell the rate from its half");
    let fewer = golden().without(|t, k| {
        t > 20.0 && matches!(k, EventKind::Load(verdict::history::load::LoadEvent::Operation(_)))
    });
    fewer.unknown(COMPLETE, "20 wanted for a verdict");
}

#[test]
fn absence_in_a_cut_off_answer_proves_nothing() {
    let cut = golden().facts(|_, _, f| {
        if let Fact::Spans { spans, truncated } = f {
            spans.retain(|s| s.name != "SELECT");
            *truncated = true;
        }
    });
    cut.unknown(COMPLETE, "absence proves nothing");
    cut.unknown(RATE, "absence proves nothing");
    let unread = golden().without(
        |_, k| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Spans { .. })),
    );
    unread.unknown(COMPLETE, "never read");
    unread.unknown(RATE, "never read");
}
