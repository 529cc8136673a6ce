//! Drills that are run once more, because something of them was late while the host was contended.
//! What is seen here only decides about the repetition; what both attempts come to is judged from
//! the history alone.

use super::{Error, Session, capture};
use crate::plan::{Plan, PlannedDrill};
use crate::probe::host;
use std::time::{Duration, Instant};
use verdict::check::attempts;
use verdict::check::timeline::CONTENDED_CPU_SOME_AVG10;
use verdict::history::run::RunEvent;
use verdict::observation::Fact;
use verdict::{Event, EventKind, left_out};

/// Longest wait for a contended host to become calm before a repetition.
const CALM_WITHIN: Duration = Duration::from_secs(30);

/// The drills that are to be run once more, each in a wave of its own; that they are is recorded.
///
/// # Errors
/// The record can't be read or written.
pub async fn late(session: &Session, plan: &Plan) -> Result<Vec<PlannedDrill>, Error> {
    if session.probes.metrics.is_empty() {
        return Ok(Vec::new());
    }
    let now = session.clock().now();
    let mut history = session.recorder.so_far()?;
    // As if the run ended here.
    let mut seen = Vec::new();
    for question in
        capture::alerts(session.traffic_since.wall_s(), now.wall_s(), session.evaluation_s)
    {
        for metrics in &session.probes.metrics {
            seen.extend(metrics.ask(&question).await.into_iter().map(EventKind::Observation));
        }
    }
    let ended = EventKind::Run(RunEvent::Ended { complete: true, reason: None });
    for (seq, kind) in (history.events.len() as u64..).zip(seen.into_iter().chain([ended])) {
        history.events.push(Event { seq, at: now, kind });
    }
    let history = left_out::without(&history, &plan.absent);
    let mut wave = plan.waves().len() as u32;
    let mut late = Vec::new();
    // What takes long at its true size can't be had a second time.
    for drill in plan.drills.iter().filter(|d| !d.scenario.is_early()) {
        let name = &drill.scenario.name;
        let Some(why) = attempts::again(
            &history,
            plan.expectations.iter().map(|p| (&p.expectation, &p.members[..])),
            name,
        ) else {
            continue;
        };
        session.progress.say(&format!("drill {name} is run again: {why}"));
        session.record(RunEvent::DrillAgain { drill: name.clone(), why })?;
        late.push(PlannedDrill { wave, ..drill.clone() });
        wave += 1;
    }
    Ok(late)
}

/// Waits until the host is not contended, as long as that may take: a repetition under the same
/// load would say no more.
///
/// # Errors
/// The run was interrupted.
pub async fn calm(session: &Session) -> Result<(), Error> {
    let began = Instant::now();
    while began.elapsed() < CALM_WITHIN {
        session.interrupted()?;
        match host::pressure(*session.clock()).fact {
            Fact::Pressure(p) if p.cpu_some_avg10 > CONTENDED_CPU_SOME_AVG10 => {
                tokio::time::sleep(Duration::from_secs(1)).await
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}
