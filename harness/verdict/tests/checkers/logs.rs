//! Lines and types.

use super::golden::{Clock, OPERATIONS, Run, document, golden, golden_at};
use verdict::history::load::Outcome;
use verdict::observation::asked::Asked;
use verdict::observation::logs::{Document, FieldTypes};
use verdict::{Cause, EventKind, Fact};

const LINES: &str = "logs.api.lines";
const TYPES: &str = "logs.api.types";

fn documents(change: impl Fn(&mut Vec<Document>)) -> Run {
    golden().facts(|_, _, f| {
        if let Fact::Documents { documents, .. } = f {
            change(documents);
        }
    })
}

fn of(documents: &mut [Document], i: usize) -> Option<&mut Document> {
    documents.iter_mut().find(|d| d.id == format!("doc-{i}"))
}

fn change(
    document: &mut Document,
    how: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) {
    let mut fields = document.fields.parsed();
    how(&mut fields);
    document.fields = fields.into();
}

#[test]
fn each_operation_has_its_line() {
    // A run across midnight writes two indices.
    let late = golden_at(Clock { wall_s: Clock::default().wall_s + 12 * 3600 - 60, mono_s: 0 });
    late.passes(LINES, &format!("{OPERATIONS} of {OPERATIONS}"));
}

#[test]
fn a_document_that_was_read_twice_is_no_duplicate_and_one_stored_twice_is() {
    let twice = |id: &'static str, t: f64| {
        let mut run = golden();
        let mut copy = document(run.clock, 40);
        copy.id = id.into();
        run.saw(t, "logs", Fact::Documents { documents: vec![copy], truncated: false });
        run
    };
    twice("doc-40", 189.0).passes(LINES, "operations found");
    let v = twice("another", 189.0).fails(LINES, Cause::LogLineDuplicated, "op-40 (2 lines");
    assert_eq!(v.witnesses.len(), 1);
}

#[test]
fn a_service_that_logs_again_during_a_drill_is_no_duplicate_but_a_line_stored_twice_is() {
    // Operation 180 is due at 63 s, in the drill that stops the mailer.
    let mut run = golden();
    let mut again = document(run.clock, 180);
    again.id = "again".into();
    change(&mut again, |fields| fields["@timestamp"] = run.clock.stamp(64.5).0.into());
    run.saw(189.0, "logs", Fact::Documents { documents: vec![again.clone()], truncated: false });
    run.passes(LINES, "1 logged again by the service during drills");
    again.id = "third".into();
    run.saw(189.0, "logs", Fact::Documents { documents: vec![again], truncated: false });
    run.fails(LINES, Cause::LogLineDuplicated, "op-180 (3 lines");
}

#[test]
fn a_line_in_the_index_of_another_day_or_source_is_named() {
    let moved = documents(|d| {
        if let Some(d) = of(d, 7) {
            d.index = "logs-api-2026.02.03".into();
        }
    });
    moved.fails(
        LINES,
        Cause::WrongIndex,
        "op-7 is in logs-api-2026.02.03, logs-api-2026.02.02 wanted",
    );
    let elsewhere = documents(|d| {
        if let Some(d) = of(d, 7) {
            d.index = "logs-other-2026.02.02".into();
        }
    });
    elsewhere.fails(LINES, Cause::WrongIndex, "logs-other-2026.02.02");
}

#[test]
fn a_missing_field_is_named() {
    for name in ["status", "@timestamp"] {
        let run = documents(|d| {
            if let Some(d) = of(d, 9) {
                change(d, |fields| drop(fields.shift_remove(name)));
            }
        });
        run.fails(LINES, Cause::FieldMissing, &format!("lack a field: {name} (op-9)"));
    }
}

#[test]
fn lines_of_another_kind_do_not_answer_for_an_operation() {
    let run = documents(|d| {
        if let Some(d) = of(d, 3) {
            change(d, |fields| fields["event"] = "startup".into());
        }
    });
    run.fails(LINES, Cause::LogLineMissing, "(op-3)");
}

#[test]
fn only_acknowledged_operations_must_have_a_line() {
    let lost = || {
        documents(|d| d.retain(|d| d.id != "doc-5")).operations(|_, o| {
            if o.id == "op-5" {
                o.outcome = Outcome::Unknown;
            }
        })
    };
    lost().passes(LINES, &format!("{0} of {0}", OPERATIONS - 1));
    golden()
        .operations(|_, o| o.outcome = Outcome::Failed)
        .unknown(LINES, "0 operations were acknowledged, 20 wanted");
}

#[test]
fn absence_in_an_answer_with_holes_proves_nothing() {
    let cut = golden().facts(|_, _, f| {
        if let Fact::Documents { documents, truncated } = f {
            documents.retain(|d| d.id != "doc-5");
            *truncated = true;
        }
    });
    cut.unknown(LINES, "cut off by a limit, so that absence proves nothing: 1 of");
    let mut silent = documents(|d| d.retain(|d| d.id != "doc-5"));
    silent.fails(LINES, Cause::LogLineMissing, "(op-5)");
    silent.saw(
        189.0,
        "logs",
        Fact::Unreachable {
            question: Asked::Documents { pattern: "logs-api-*".into() },
            error: "timed out".into(),
        },
    );
    silent.unknown(LINES, "timed out, so that absence proves nothing");
}

#[test]
fn a_store_that_was_not_read_after_the_load_is_unknown() {
    let mut run = golden().without(
        |_, k| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::Documents { .. })),
    );
    run.saw(
        187.0,
        "logs",
        Fact::Unreachable {
            question: Asked::Documents { pattern: "logs-*".into() },
            error: "refused".into(),
        },
    );
    run.unknown(
        LINES,
        "never read after the load; not answering then: logs (documents of logs-*): refused",
    );
    // What was read while the load ran is no capture.
    let clock = run.clock;
    run.saw(
        150.0,
        "logs",
        Fact::Documents {
            documents: (0..OPERATIONS).map(|i| document(clock, i)).collect(),
            truncated: false,
        },
    );
    run.unknown(LINES, "never read after the load");
}

#[test]
fn types_are_compared_in_every_index() {
    let typed = |types: &[(&str, &str)]| FieldTypes {
        index: "logs-api-2026.02.03".into(),
        types: super::golden::map(types),
    };
    let mut run = golden();
    run.saw(187.1, "logs", Fact::FieldTypes(typed(&[("@timestamp", "date"), ("status", "text")])));
    run.fails(
        TYPES,
        Cause::FieldTypeMismatch,
        "status is text in logs-api-2026.02.03, long wanted",
    );
    let mut run = golden();
    run.saw(187.1, "logs", Fact::FieldTypes(typed(&[("status", "long")])));
    run.fails(TYPES, Cause::FieldMissing, "@timestamp is not mapped in logs-api-2026.02.03");
    golden()
        .without(
            |_, k| matches!(k, EventKind::Observation(o) if matches!(o.fact, Fact::FieldTypes(_))),
        )
        .unknown(TYPES, "no mapping of an index logs-api-*");
}
