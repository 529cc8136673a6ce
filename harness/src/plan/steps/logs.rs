//! Logs: lines and types.

use super::StepWorld;
use crate::declaration::Logs;
use crate::plan::PlanContext;
use cucumber::then;
use verdict::check::logs::{FieldsTyped, LinesStored};

/// What the declaration states about logs.
fn stated(t: &mut StepWorld) -> Option<Logs> {
    let declaration = t.declaration();
    if declaration.logs.is_none() {
        t.not_stated(
            "logs",
            !declaration.roles.logs.is_empty(),
            "what must be found in the log store",
        );
    }
    declaration.logs
}

/// Why no line is stored: the store or the shipper is left out.
fn stored_nowhere(subject: &PlanContext) -> Option<(&str, String)> {
    StepWorld::unanswered(
        subject,
        &[&subject.declaration.roles.logs, &subject.declaration.roles.shipper],
    )
}

#[then("each acknowledged operation has its line, in the index of its day, with its fields")]
fn lines_stored(t: &mut StepWorld) {
    let Some(logs) = stated(t) else { return };
    let subject = t.told();
    for source in logs.answering() {
        t.expect_unless(
            stored_nowhere(&subject),
            LinesStored {
                source: source.source.clone(),
                index_prefix: source.index_prefix.clone(),
                id_field: logs.id_field.clone(),
                select: source.select.clone(),
                steps: source.steps.clone(),
                required_fields: source.required_fields.clone(),
                least: 20,
            },
        );
    }
}

#[then("each field has its declared type")]
fn fields_typed(t: &mut StepWorld) {
    let Some(logs) = stated(t) else { return };
    let subject = t.told();
    for source in &logs.sources {
        let types = logs
            .types
            .iter()
            .filter(|(f, _)| !source.without_fields.contains(f))
            .map(|(f, k)| (f.clone(), k.clone()))
            .collect();
        let (name, index_prefix) = (source.source.clone(), source.index_prefix.clone());
        t.expect_unless(
            stored_nowhere(&subject),
            FieldsTyped { source: name, index_prefix, types, optional: Vec::new() },
        );
    }
}
