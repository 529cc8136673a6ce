//! One wave of drills, side by side: inject, see it bite, wait until people were told, heal, see it leave, wait until they
//! were told that it is over. What is seen here only decides how long to wait; the verdicts come from the history alone.

use super::Session;
use super::traffic::Stream;
use crate::drill::Error;
use crate::fault::{self, Scene};
use crate::journal::Undo;
use crate::plan::{Plan, PlannedDrill};
use std::time::{Duration, Instant};
use verdict::EventKind;
use verdict::history::fault::{BlastRadius, FaultEvent};
use verdict::history::run::RunEvent;

/// Bound on the time until a fault is seen to bite, and until it is seen to have left.
const EFFECT_BOUND: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Runs one wave to its end. Every fault is healed, also when another drill of the wave fails.
///
/// # Errors
/// The first error of a drill, after all have ended.
pub async fn run(session: &Session, plan: &Plan, wave: &[&PlannedDrill]) -> Result<(), Error> {
    let drills = wave.iter().map(|d| one(session, plan, d));
    futures::future::join_all(drills).await.into_iter().collect()
}

async fn one(session: &Session, plan: &Plan, drill: &PlannedDrill) -> Result<(), Error> {
    let scenario = &drill.scenario;
    let name = scenario.name.clone();
    let spec = &scenario.fault;
    session.record(RunEvent::DrillBegan { drill: name.clone(), wave: drill.wave })?;
    session.progress.say(&format!("drill {name}: {} on {}", spec.kind, spec.target));
    let mut fault = fault::aim(&spec.kind, &spec.target, &spec.settings)?;
    let scene = session.scene();
    let extra = match &scenario.load {
        Some(load) => Some(Stream::start(session, &name, load.rate, &[(load.journey.clone(), 1.0)])?),
        None => None,
    };
    let what = format!("fault {} on {} (drill {name})", spec.kind, spec.target);
    let undo = fault.prepare(&scene).await?;
    let open = session.journal_open(&what, undo)?;
    let mut blast = fault.blast_radius();
    blast.services.extend(scenario.disturbs.iter().cloned());
    blast.alerts.extend(scenario.raises().into_iter().map(str::to_owned));
    blast.journeys |= scenario.journeys_disturbed;
    let outcome = strike(session, plan, drill, fault.as_mut(), &scene, blast).await;
    // Its arrivals end with the fault; what it waits for afterwards (mail on its way) must not keep the fault from being healed.
    let ending = extra.map(|stream| tokio::spawn(stream.stop()));
    let healed = session.heal(&open).await;
    session.record_fault(FaultEvent::Healed { drill: name.clone() })?;
    let at = Instant::now();
    outcome?;
    healed?;
    let left = effect(session, || fault.left(&scene)).await?;
    session.record_fault(match left {
        Ok(evidence) => FaultEvent::Left { drill: name.clone(), evidence },
        Err(seen) => FaultEvent::DidNotLeave { drill: name.clone(), seen },
    })?;
    session.progress.say(&format!("drill {name}: healed"));
    resolved(session, plan, drill, at).await;
    if let Some(ending) = ending {
        // The load bounds that by itself.
        let _ = ending.await;
    }
    session.record(RunEvent::DrillEnded { drill: name })
}

/// Injects, and stays until the alerts have reached everybody or their time is over.
async fn strike(
    session: &Session,
    plan: &Plan,
    drill: &PlannedDrill,
    fault: &mut dyn fault::Fault,
    scene: &Scene<'_>,
    blast_radius: BlastRadius,
) -> Result<(), Error> {
    let name = drill.scenario.name.clone();
    session.record_fault(FaultEvent::Injected {
        drill: name.clone(),
        kind: fault.kind().into(),
        target: fault.target().into(),
        mechanism: fault.mechanism(),
        blast_radius,
    })?;
    let began = Instant::now();
    let since = session.clock().now();
    fault.inject(scene).await?;
    session.record_fault(match effect(session, || fault.bites(scene)).await? {
        Ok(evidence) => FaultEvent::Bit { drill: name.clone(), evidence },
        Err(seen) => FaultEvent::DidNotBite { drill: name.clone(), seen },
    })?;
    let budgets = drill.scenario.alerts.iter().filter_map(|a| plan.budgets.get(a));
    let bound = drill.scenario.builds_up_s + budgets.map(|b| b.notify_s).fold(0.0, f64::max);
    let least = Duration::from_secs_f64(drill.scenario.hold_s);
    let most = Duration::from_secs_f64(bound.max(drill.scenario.hold_s));
    loop {
        let told = drill.scenario.alerts.iter().all(|a| session.notified(a, false, since));
        let elapsed = began.elapsed();
        if elapsed >= most || (told && elapsed >= least) {
            return Ok(());
        }
        session.interrupted()?;
        session.watch_alerts().await?;
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until every receiver was told that the alerts are over, or their time is over.
async fn resolved(session: &Session, plan: &Plan, drill: &PlannedDrill, healed: Instant) {
    let since = session.clock().at(healed);
    let budgets = drill.scenario.alerts.iter().filter_map(|a| plan.budgets.get(a));
    let bound = drill.scenario.clears_s + budgets.map(|b| b.resolve_s).fold(0.0, f64::max);
    while healed.elapsed().as_secs_f64() < bound && !drill.scenario.alerts.iter().all(|a| session.notified(a, true, since)) {
        if session.interrupted().is_err() || session.watch_alerts().await.is_err() {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Looks until an effect is seen; the inner error says that it was not, within the bound.
async fn effect<'a>(
    session: &Session,
    look: impl Fn() -> futures::future::BoxFuture<'a, Result<Option<String>, fault::FaultError>>,
) -> Result<Result<String, String>, Error> {
    let began = Instant::now();
    let mut last = "nothing".to_owned();
    while began.elapsed() < EFFECT_BOUND {
        session.interrupted()?;
        match look().await {
            Ok(Some(evidence)) => return Ok(Ok(evidence)),
            Ok(None) => {}
            Err(e) => last = e.to_string(),
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(Err(format!("not seen within {} s; last error: {last}", EFFECT_BOUND.as_secs())))
}

impl Session {
    fn scene(&self) -> Scene<'_> {
        Scene { engine: &self.engine, project: &self.running.project, run: &self.run }
    }

    fn record_fault(&self, event: FaultEvent) -> Result<(), Error> {
        let kind = EventKind::Fault(event);
        self.mark(&kind, self.clock().now());
        self.recorder.write(kind)?;
        Ok(())
    }

    /// Journals what undoes a fault, before it is injected.
    fn journal_open(&self, what: &str, undo: Vec<Undo>) -> Result<Vec<u64>, Error> {
        undo.into_iter().map(|undo| Ok(self.journal.open(&self.running.run, &self.declaration.stack, what, undo)?)).collect()
    }
}
