//! Sampled operations are one complete trace; the rate fits its interval.

use super::Checker;
use super::logs::{acknowledged, silent_sources};
use super::proportion;
use super::timeline::{Timeline, exempted};
use super::wording::{count, list, number, percent};
use crate::cause::Cause;
use crate::history::load::Operation;
use crate::observation::Fact;
use crate::observation::traces::Span;
use crate::{Event, History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Acknowledged operations from which on "no trace at all" is a failure: even at a rate of 40 %
/// chance leaves none of twenty once in 27,000 times.
const NONE_OF: u64 = 20;

/// Power that a sample must have to tell a rate from its half.
const POWER: f64 = 0.99;

/// A span that a complete trace has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedSpan {
    /// Name of the service that makes it, as the span states it.
    pub service: String,
    /// Name of the span.
    pub name: String,
    /// Service and name of its parent; `None` for the root.
    pub parent: Option<(String, String)>,
}

/// The trace that a step of a journey leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedTrace {
    /// Step of a journey, written `journey/step`.
    pub step: String,
    /// Spans that its trace must have; others may be there.
    pub spans: Vec<ExpectedSpan>,
}

/// Each operation of which a span was kept (found by the attribute that carries its id) is one
/// complete trace: one root, every declared span there with its parent, no span whose parent is
/// missing, and all spans that carry the id in one trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TracesComplete {
    /// Name of the span attribute that carries the operation's id; empty where it is the trace's.
    pub id_attribute: String,
    /// The trace that each step must lead to.
    pub traces: Vec<ExpectedTrace>,
    /// Least number of complete traces for a verdict other than unknown.
    pub least: u64,
}

/// The share of acknowledged operations whose trace was kept fits the stated rate: exact binomial
/// test at level `alpha`. Unknown if the sample is too small to tell the rate from its half with
/// power 0.99.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingRate {
    /// Name of the span attribute that carries the operation's id; empty where it is the trace's.
    pub id_attribute: String,
    /// Steps, written `journey/step`, whose operations are sampled.
    pub steps: Vec<String>,
    /// Stated share of traces that are kept, between 0 and 1.
    pub rate: f64,
    /// Chance, between 0 and 1, of a failure although the stated rate is the true one.
    pub alpha: f64,
}

/// What is wrong with the trace of an operation.
struct Fault<'h> {
    operation: &'h str,
    /// The operation's event.
    seq: u64,
    /// The events that hold its spans.
    spans: Vec<u64>,
    what: String,
}

/// All spans that were captured, each once.
struct Stored<'h> {
    traces: BTreeMap<&'h str, Trace<'h>>,
    /// Traces in which an operation's id was seen.
    by_operation: BTreeMap<String, BTreeSet<&'h str>>,
    /// The trace stores.
    sources: BTreeSet<&'h str>,
    /// Why a span may be stored although it was not read.
    doubt: Option<String>,
    spans: u64,
}

#[derive(Default)]
struct Trace<'h> {
    spans: BTreeMap<&'h str, &'h Span>,
    seqs: BTreeSet<u64>,
}

impl<'h> Stored<'h> {
    /// `None` if the trace store was never read at the capture.
    fn of(timeline: &Timeline<'h>, id_attribute: &str) -> Option<Stored<'h>> {
        let mut stored = Stored {
            traces: BTreeMap::new(),
            by_operation: BTreeMap::new(),
            sources: BTreeSet::new(),
            doubt: None,
            spans: 0,
        };
        let mut cut_off = false;
        for (e, o) in timeline.captured_facts() {
            let Fact::Spans { spans, truncated } = &o.fact else { continue };
            stored.sources.insert(&o.source);
            cut_off |= truncated;
            for s in spans {
                let trace = stored.traces.entry(&s.trace_id).or_default();
                trace.seqs.insert(e.seq);
                if trace.spans.insert(&s.span_id, s).is_none() {
                    stored.spans += 1;
                }
                if let Some(id) = s.operation(id_attribute) {
                    stored.by_operation.entry(id).or_default().insert(&s.trace_id);
                }
            }
        }
        stored.doubt = timeline.capture_gap(|f| matches!(f, Fact::Spans { .. }), cut_off);
        (!stored.sources.is_empty()).then_some(stored)
    }
}

impl Trace<'_> {
    fn is(s: &Span, service: &str, name: &str) -> bool {
        s.service == service && s.name == name
    }

    /// Everything that is wrong with one operation's trace.
    fn faults(&self, wanted: &ExpectedTrace) -> Vec<(Cause, String)> {
        let mut wrong = Vec::new();
        let roots: Vec<&&Span> = self.spans.values().filter(|s| s.parent().is_none()).collect();
        if roots.len() > 1 {
            wrong.push((
                Cause::SpanWithoutParent,
                format!(
                    "it has {} roots: {}",
                    roots.len(),
                    list(roots.iter().map(|s| named(s)), 4)
                ),
            ));
        }
        for s in self.spans.values() {
            if s.parent().is_some_and(|p| !self.spans.contains_key(p)) {
                wrong.push((
                    Cause::SpanWithoutParent,
                    format!("the parent of {} is not in its trace", named(s)),
                ));
            }
        }
        for w in &wanted.spans {
            let found: Vec<&&Span> =
                self.spans.values().filter(|s| Self::is(s, &w.service, &w.name)).collect();
            let Some(any) = found.first() else {
                wrong.push((Cause::SpanMissing, format!("{}: {} is missing", w.service, w.name)));
                continue;
            };
            let parent_of = |s: &Span| s.parent().and_then(|p| self.spans.get(p));
            let right = found.iter().any(|s| match (&w.parent, parent_of(s)) {
                (Some((service, name)), Some(p)) => Self::is(p, service, name),
                (None, None) => s.parent().is_none(),
                _ => false,
            });
            if right {
                continue;
            }
            let wanted =
                w.parent.as_ref().map_or("to be the root".to_owned(), |(s, n)| format!("{s}: {n}"));
            match (parent_of(any), any.parent()) {
                (Some(p), _) => wrong.push((
                    Cause::SpanWithoutParent,
                    format!("{} has parent {}, wanted {wanted}", named(any), named(p)),
                )),
                (None, None) => wrong.push((
                    Cause::SpanWithoutParent,
                    format!("{} has no parent, wanted {wanted}", named(any)),
                )),
                // Its parent is missing, which was said above.
                (None, Some(_)) => {}
            }
        }
        wrong
    }
}

fn named(s: &Span) -> String {
    format!("{}: {}", s.service, s.name)
}

/// The traces of all operations that no drill disturbed.
#[derive(Default)]
struct Survey<'h> {
    judged: u64,
    /// Operations of which a span was kept.
    kept: u64,
    complete: u64,
    /// Operations that a drill disturbed, by drill.
    exempt: BTreeMap<&'h str, u64>,
    wrong: BTreeMap<Cause, Vec<Fault<'h>>>,
}

impl<'h> Survey<'h> {
    fn operation(
        &mut self,
        (event, operation): (&'h Event, &'h Operation),
        traces: &[&Trace<'h>],
        wanted: &ExpectedTrace,
    ) {
        self.kept += 1;
        let mut faults: Vec<(Cause, String)> = scattered(traces).into_iter().collect();
        faults.extend(traces.iter().flat_map(|t| t.faults(wanted)));
        // What is torn off is missing as well: the tear is the cause.
        let worst = faults.into_iter().min_by_key(|(c, _)| *c != Cause::SpanWithoutParent);
        let Some((cause, what)) = worst else {
            self.complete += 1;
            return;
        };
        let spans = traces.iter().flat_map(|t| t.seqs.iter().copied()).collect();
        let fault = Fault { operation: &operation.id, seq: event.seq, spans, what };
        self.wrong.entry(cause).or_default().push(fault);
    }

    /// The cause that convicts, what was seen of all, and the events that show it.
    fn worst(&self) -> Option<(Cause, String, Vec<u64>)> {
        let worst = self
            .wrong
            .get_key_value(&Cause::SpanWithoutParent)
            .or_else(|| self.wrong.iter().next());
        let (cause, found) = worst?;
        let bad: usize = self.wrong.values().map(Vec::len).sum();
        let examples: Vec<String> =
            found.iter().map(|f| format!("{}: {}", f.operation, f.what)).collect();
        let seen = format!(
            "{bad} of {} are not whole; {}{}",
            count(self.kept, "kept trace", "kept traces"),
            list(examples, 2),
            exempted(&self.exempt)
        );
        let operations = found.iter().map(|f| f.seq).take(10);
        let spans = found.iter().flat_map(|f| f.spans.iter().copied()).take(1);
        Some((*cause, seen, operations.chain(spans).collect()))
    }
}

/// Spans of one operation in more than one trace.
fn scattered(traces: &[&Trace<'_>]) -> Option<(Cause, String)> {
    if traces.len() < 2 {
        return None;
    }
    let spans = traces.iter().flat_map(|t| t.spans.values());
    let roots: Vec<String> = spans.filter(|s| s.parent().is_none()).map(|s| named(s)).collect();
    let what =
        format!("its spans are in {} traces, which begin with {}", traces.len(), list(&roots, 4));
    Some((Cause::SpanWithoutParent, what))
}

fn never_read(id: String, expected: String, timeline: &Timeline<'_>) -> Verdict {
    let silent = silent_sources(timeline);
    let why = format!("the trace store was never read after the load{silent}");
    Verdict::unknown(id, expected, why)
}

impl TracesComplete {
    fn survey<'h>(
        &self,
        history: &'h History,
        timeline: &Timeline<'h>,
        stored: &Stored<'h>,
    ) -> Survey<'h> {
        let mut survey = Survey::default();
        for wanted in &self.traces {
            let services: BTreeSet<&str> = wanted
                .spans
                .iter()
                .map(|s| s.service.as_str())
                .chain(stored.sources.iter().copied())
                .collect();
            for (event, op) in acknowledged(history, |o| o.is_step(&wanted.step)) {
                if let Some(d) = timeline.disturbed(op, &services) {
                    *survey.exempt.entry(d.id).or_default() += 1;
                    continue;
                }
                survey.judged += 1;
                let Some(ids) = stored.by_operation.get(op.id.as_str()) else { continue };
                let traces: Vec<&Trace<'_>> =
                    ids.iter().filter_map(|t| stored.traces.get(t)).collect();
                survey.operation((event, op), &traces, wanted);
            }
        }
        survey
    }
}

impl Checker for TracesComplete {
    fn id(&self) -> String {
        "traces.complete".into()
    }

    fn expected(&self) -> String {
        let steps: Vec<&str> = self.traces.iter().map(|t| t.step.as_str()).collect();
        format!("each sampled operation of {} is one complete trace", list(&steps, 8))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let Some(stored) = Stored::of(&timeline, &self.id_attribute) else {
            return never_read(id, expected, &timeline);
        };
        let survey = self.survey(history, &timeline, &stored);
        let Survey { judged, kept, complete, .. } = survey;
        let without = exempted(&survey.exempt);
        if let Some((cause, seen, seqs)) = survey.worst() {
            if let Some(doubt) = &stored.doubt {
                let why = format!("{doubt}, so that absence proves nothing: {seen}");
                return Verdict::unknown(id, expected, why).witnesses(seqs);
            }
            let hint = match cause {
                Cause::SpanWithoutParent => {
                    "the context is lost where the trace is torn: is it injected into the message and extracted on the other side?"
                }
                _ => {
                    "is the service's exporter configured, and does the pipeline drop spans (queue full, memory limit, sampling by span instead of by trace)?"
                }
            };
            return timeline.unless_truncated(
                Verdict::fail(id, expected, cause, seen)
                    .witnesses(seqs)
                    .hint(hint)
                    .evidence("complete traces", complete),
            );
        }
        if kept == 0 && judged >= NONE_OF.max(self.least) && stored.doubt.is_none() {
            let verdict = no_traces(id, expected, judged, stored.spans, &without);
            return timeline.unless_truncated(verdict);
        }
        let least = self.least.max(1);
        if complete < least {
            let why = format!(
                "{} among {judged} operations, {least} wanted for a verdict{without}",
                count(complete, "complete trace", "complete traces")
            );
            return Verdict::unknown(id, expected, why);
        }
        let reason = format!("{complete} complete traces of {judged} operations{without}");
        timeline.require_complete(
            Verdict::pass(id, expected, reason).evidence("complete traces", complete),
        )
    }
}

fn no_traces(id: String, expected: String, operations: u64, spans: u64, without: &str) -> Verdict {
    let seen = format!(
        "none of {operations} acknowledged operations has a trace, among {spans} stored spans{without}"
    );
    Verdict::fail(id, expected, Cause::NoTraces, seen).hint("follow the pipeline: the services' exporter endpoint, the collector's receivers, its exporter's errors in its own metrics, the store")
}

/// How many operations were kept as traces.
#[derive(Default)]
struct Share<'h> {
    operations: u64,
    kept: u64,
    /// Operations of which spans are in more than one trace.
    torn: u64,
    /// Operations that a drill disturbed, by drill.
    exempt: BTreeMap<&'h str, u64>,
}

impl Share<'_> {
    /// Why it can't be held against a rate.
    fn untestable(&self, stored: &Stored<'_>, without: &str) -> Option<String> {
        if self.operations == 0 {
            return Some(format!("no operation was acknowledged outside of drills{without}"));
        }
        let doubt = stored.doubt.as_ref()?;
        Some(format!("{doubt}, so that absence proves nothing{without}"))
    }
}

impl SamplingRate {
    fn share<'h>(
        &self,
        history: &'h History,
        timeline: &Timeline<'h>,
        stored: &Stored<'h>,
    ) -> Share<'h> {
        let mut share = Share::default();
        // The services of a trace are not declared here: those of the traces that were kept are
        // what can be known.
        let services: BTreeSet<&str> =
            stored.sources.iter().copied().chain(stored.services()).collect();
        for (_, op) in acknowledged(history, |o| self.steps.iter().any(|s| o.is_step(s))) {
            let ids = stored.by_operation.get(op.id.as_str());
            if let Some(d) = timeline.disturbed(op, &services) {
                *share.exempt.entry(d.id).or_default() += 1;
                continue;
            }
            share.operations += 1;
            share.kept += u64::from(ids.is_some());
            share.torn += u64::from(ids.is_some_and(|i| i.len() > 1));
        }
        share
    }

    /// The verdict where rate or alpha is no chance.
    fn untestable(&self) -> Verdict {
        let why = format!(
            "rate {} and alpha {} can't be tested: both must be above 0, alpha below 1",
            number(self.rate),
            number(self.alpha)
        );
        Verdict::unknown(self.id(), self.expected(), why)
    }

    /// The verdict on a share that is not by chance.
    fn off(&self, share: &Share<'_>, seen: String, spans: u64, without: &str) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        if share.kept == 0 {
            return no_traces(id, expected, share.operations, spans, without);
        }
        let why = if (share.kept as f64 / share.operations as f64) < self.rate {
            "is another sampler in the way, or does the pipeline drop spans?"
        } else {
            "does a service or a policy keep traces that the sampler should drop?"
        };
        Verdict::fail(id, expected, Cause::SamplingRateOff, seen).hint(format!(
            "check the sampler's percentage, and that it decides once for a whole trace; {why}"
        ))
    }
}

impl Checker for SamplingRate {
    fn id(&self) -> String {
        "traces.rate".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} of the operations of {} are kept as traces (exact binomial test, alpha {})",
            percent(self.rate),
            list(&self.steps, 8),
            number(self.alpha)
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        if !(self.rate > 0.0 && self.rate <= 1.0 && self.alpha > 0.0 && self.alpha < 1.0) {
            return self.untestable();
        }
        let Some(stored) = Stored::of(&timeline, &self.id_attribute) else {
            return never_read(id, expected, &timeline);
        };
        let share = self.share(history, &timeline, &stored);
        let without = exempted(&share.exempt);
        if let Some(why) = share.untestable(&stored, &without) {
            return Verdict::unknown(id, expected, why);
        }
        if share.torn > 0 {
            let why = format!(
                "{} in more than one trace, each sampled by itself, so that the share of operations says nothing about the rate",
                count(share.torn, "operation is", "operations are")
            );
            return Verdict::unknown(id, expected, why).hint("see traces.complete");
        }
        let (n, kept) = (share.operations, share.kept);
        let Some(p) = proportion::two_sided(kept, n, self.rate) else { return self.untestable() };
        let seen = format!(
            "{kept} of {n} kept, {}, {} stated (chance of so extreme a share: {}){without}",
            percent(kept as f64 / n as f64),
            percent(self.rate),
            number(p)
        );
        if p < self.alpha {
            let verdict = self.off(&share, seen, stored.spans, &without);
            return timeline.unless_truncated(verdict.evidence("operations", n));
        }
        let power = proportion::power(n, self.rate, self.rate / 2.0, self.alpha);
        if power < POWER {
            let wanted = proportion::sample_for_half(self.rate, self.alpha, POWER)
                .map_or_else(|| "more than a million".to_owned(), |w| w.to_string());
            let why = format!("{seen}; too few to tell the rate from its half, {wanted} wanted");
            return Verdict::unknown(id, expected, why);
        }
        timeline.require_complete(
            Verdict::pass(id, expected, seen)
                .evidence("operations", n)
                .evidence("operations kept", kept),
        )
    }
}

impl<'h> Stored<'h> {
    /// Services that made spans which carry an operation's id, or share a trace with one.
    fn services(&self) -> BTreeSet<&'h str> {
        let ids = self.by_operation.values().flatten();
        ids.filter_map(|t| self.traces.get(t))
            .flat_map(|t| t.spans.values())
            .map(|s| s.service.as_str())
            .collect()
    }
}
