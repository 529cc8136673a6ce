//! How far the stores of logs and traces are behind: asked while a gate's run goes on, since
//! nothing tells it afterwards.

use super::Session;
use crate::probe::{Probe, Question};
use std::collections::BTreeSet;
use std::time::Duration;
use verdict::baseline::{Gate, Source};
use verdict::observation::{Fact, Freshness};

/// Between two looks: a window of a minute has sixty, and the least that a percentile rests on is
/// twenty.
const EVERY: Duration = Duration::from_secs(1);

/// Looks for the newest of each signal whose lag the gate measures, until cancelled. One that the
/// stack does not have is not looked for: its measure says so.
pub(super) async fn watch(session: &Session, gate: Option<&Gate>) {
    let lags =
        gate.into_iter().flat_map(|gate| gate.measures.values()).filter_map(
            |measure| match &measure.source {
                Source::Lag { signal } => Some(signal.as_str()),
                _ => None,
            },
        );
    let signals: BTreeSet<&str> = lags.collect();
    futures::future::join_all(signals.into_iter().map(|signal| follow(session, signal))).await;
}

async fn follow(session: &Session, signal: &str) {
    let mut since_s = session.traffic_since.wall_s();
    while let Some((store, question)) = question(session, signal, since_s) {
        let answers = store.ask(&question).await;
        for answer in &answers {
            if let Fact::Freshness(Freshness { at_s: Some(at_s), .. }) = answer.fact {
                since_s = since_s.max(at_s);
            }
        }
        if session.observe(answers).is_err() {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn question<'a>(
    session: &'a Session,
    signal: &str,
    since_s: f64,
) -> Option<(&'a dyn Probe, Question)> {
    let (declaration, signal_name) = (&session.declaration, signal.to_owned());
    if let Some(name) = signal.strip_prefix("log:") {
        let logs = declaration.logs.as_ref()?;
        let source = logs.sources.iter().find(|source| source.source == name)?;
        let (pattern, id_field) = (format!("{}*", source.index_prefix), logs.id_field.clone());
        return Some((
            session.probes.logs.as_deref()?,
            Question::NewestLines { signal: signal_name, pattern, id_field },
        ));
    }
    let traces = declaration.traces.as_ref().filter(|_| signal == "trace")?;
    // A trace is found by any of its services; its root's is the first to be there.
    let services: BTreeSet<String> =
        traces.steps.iter().filter_map(|step| Some(step.spans.first()?.service.clone())).collect();
    let (services, id_attribute) = (services.into_iter().collect(), traces.id_attribute.clone());
    Some((
        session.probes.traces.as_deref()?,
        Question::NewestTraces { signal: signal_name, services, id_attribute, since_s },
    ))
}
