//! Traces: complete ones, and how many.

use super::StepWorld;
use crate::declaration::Traces;
use crate::plan::PlanContext;
use cucumber::then;
use verdict::check::traces::{ExpectedSpan, ExpectedTrace, SamplingRate, TracesComplete};

/// What the declaration states about traces.
fn stated(t: &mut StepWorld) -> Option<Traces> {
    let declaration = t.declaration();
    if declaration.traces.is_none() {
        t.not_stated(
            "traces",
            !declaration.roles.traces.is_empty(),
            "what must be found in the trace store",
        );
    }
    declaration.traces
}

/// Why no trace is kept: the store or the collector is left out.
fn kept_nowhere(subject: &PlanContext) -> Option<(&str, String)> {
    StepWorld::unanswered(
        subject,
        &[&subject.declaration.roles.traces, &subject.declaration.roles.collector],
    )
}

#[then("each sampled operation is one complete trace")]
fn traces_complete(t: &mut StepWorld) {
    let Some(traces) = stated(t) else { return };
    let span = |s: &crate::declaration::DeclaredSpan| ExpectedSpan {
        service: s.service.clone(),
        name: s.name.clone(),
        parent: s
            .parent
            .as_ref()
            .and_then(|p| p.split_once(": "))
            .map(|(service, name)| (service.to_owned(), name.to_owned())),
    };
    let steps = traces
        .steps
        .iter()
        .map(|d| ExpectedTrace { step: d.step.clone(), spans: d.spans.iter().map(span).collect() })
        .collect();
    let subject = t.told();
    t.expect_unless(
        kept_nowhere(&subject),
        TracesComplete { id_attribute: traces.id_attribute, traces: steps, least: 20 },
    );
}

#[then("the share of sampled operations fits the stated rate")]
fn sampling_rate(t: &mut StepWorld) {
    let Some(traces) = stated(t) else { return };
    let steps = traces.steps.iter().map(|d| d.step.clone()).collect();
    let subject = t.told();
    // The run makes one statistical test, so it may spend the whole of its error rate.
    let alpha = subject.declaration.alpha * config::timescale::SAMPLING_SHARE;
    let (id_attribute, rate) = (traces.id_attribute, traces.sampling.rate);
    t.expect_unless(kept_nowhere(&subject), SamplingRate { id_attribute, steps, rate, alpha });
}
