//! One wave of drills, side by side: each goes through its phases ([`super::phases`]), until its
//! faults have left and its alerts are over. The news of that may come later, while the next wave
//! runs: an alert manager keeps it for up to a group's interval. What is seen here only decides how
//! long to wait; the verdicts come from the history alone.

use super::Session;
use super::phases::{self, ActiveDrill, POLL};
use crate::drill::Error;
use crate::plan::{Plan, PlannedDrill};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use verdict::history::run::RunEvent;

/// That alerts are over, which their receivers are yet to be told.
pub struct PendingResolution {
    pub(super) alerts: Vec<String>,
    /// When the faults were healed.
    pub(super) since: Instant,
    /// How long it may take from then.
    pub(super) bound: Duration,
}

impl PendingResolution {
    /// Whether these drills may raise one of the alerts again, or one that meets it at the alert
    /// manager: the news would not come then.
    fn masked_by(&self, plan: &Plan, drills: &[&PlannedDrill]) -> bool {
        drills.iter().any(|d| plan.meets(&self.alerts, &d.scenario.raises()))
    }

    /// Waits until every receiver was told, or the time for that is over.
    pub(super) async fn wait(&self, session: &Session) {
        let since = session.clock().at(self.since);
        while self.since.elapsed() < self.bound
            && !self.alerts.iter().all(|a| session.notified(a, true, since))
        {
            if session.interrupted().is_err() || session.watch_alerts().await.is_err() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Waits for the news that would not come once these drills have active; without drills for all of
/// it.
pub async fn await_resolutions(
    session: &Session,
    plan: &Plan,
    pending: &mut Vec<PendingResolution>,
    before: Option<&[&PlannedDrill]>,
) {
    let (awaited, later) =
        pending.drain(..).partition(|n| before.is_none_or(|drills| n.masked_by(plan, drills)));
    *pending = later;
    let awaited: Vec<PendingResolution> = awaited;
    futures::future::join_all(awaited.iter().map(|n| n.wait(session))).await;
}

/// Drills whose faults are there before the first wave, by name.
pub type Early<'p> = BTreeMap<String, ActiveDrill<'p>>;

/// Injects the faults that are to be there early, before the first wave.
///
/// # Errors
/// The first error; all that were injected are healed then.
pub async fn begin_early<'p>(session: &Session, plan: &'p Plan) -> Result<Early<'p>, Error> {
    let mut early = Early::new();
    for drill in plan.drills.iter().filter(|d| d.scenario.is_early()) {
        match ActiveDrill::begin(session, drill).await {
            Ok(active) => early.extend(active.map(|active| (drill.scenario.name.clone(), active))),
            Err(error) => {
                heal_early(session, early).await?;
                return Err(error);
            }
        };
    }
    Ok(early)
}

/// Heals what was injected early and whose wave has not come.
///
/// # Errors
/// Something could not be undone.
pub async fn heal_early(session: &Session, early: Early<'_>) -> Result<(), Error> {
    let open: Vec<u64> = early.values().flat_map(ActiveDrill::entries).collect();
    session.heal(&open).await
}

/// Runs one wave to its end, and returns what receivers are yet to be told. Every fault is healed,
/// also when another drill of the wave fails.
///
/// # Errors
/// The first error of a drill, after all have ended.
pub async fn run<'p>(
    session: &Session,
    plan: &'p Plan,
    wave: &[&'p PlannedDrill],
    early: &mut Early<'p>,
) -> Result<Vec<PendingResolution>, Error> {
    let drills: Vec<_> =
        wave.iter().map(|drill| (*drill, early.remove(&drill.scenario.name))).collect();
    let drills = drills.into_iter().map(|(drill, active)| one(session, plan, drill, active));
    let pending: Result<Vec<Vec<PendingResolution>>, Error> =
        futures::future::join_all(drills).await.into_iter().collect();
    Ok(pending?.into_iter().flatten().collect())
}

async fn one<'p>(
    session: &Session,
    plan: &'p Plan,
    drill: &'p PlannedDrill,
    active: Option<ActiveDrill<'p>>,
) -> Result<Vec<PendingResolution>, Error> {
    let name = drill.scenario.name.clone();
    session.record(RunEvent::DrillBegan { drill: name.clone(), wave: drill.wave })?;
    let overridden = session.override_rules(&drill.scenario).await?;
    let result = match active {
        // It could not be injected when it was to be, before the first wave.
        None if drill.scenario.is_early() => Ok(Vec::new()),
        active => phases::run(session, plan, drill, active).await,
    };
    if !overridden.is_empty() {
        // What the changed rule was made of can be asked for only while it is there.
        session.ask_inputs(drill).await?;
        session.heal(&overridden).await?;
    }
    let pending = result?;
    session.record(RunEvent::DrillEnded { drill: name })?;
    Ok(pending)
}
