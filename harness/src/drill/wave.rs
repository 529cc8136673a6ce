//! One wave of drills, side by side: inject, see it bite, wait until people were told, heal, see it
//! leave, wait until the alerts are over. The news of that may come later, while the next wave
//! runs: an alert manager keeps it for up to a group's interval. What is seen here only decides how
//! long to wait; the verdicts come from the history alone.

use super::Session;
use super::traffic::Stream;
use crate::drill::Error;
use crate::fault::{self, Fault, FaultError, Scene};
use crate::journal::Undo;
use crate::plan::{Plan, PlannedDrill};
use crate::process::failure::UserError;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use verdict::history::fault::FaultEvent;
use verdict::history::run::RunEvent;
use verdict::{At, EventKind};

/// Bound on the time until a fault is seen to bite, and until it is seen to have left.
const EFFECT_BOUND: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How often rules are evaluated at least while a fault is there: that nothing else fires is told
/// of these evaluations.
const LEAST_EVALUATIONS: f64 = 4.0;

/// A drill whose fault was prepared and tried.
pub struct ActiveFault<'p> {
    drill: &'p PlannedDrill,
    fault: Box<dyn Fault>,
    open: Vec<u64>,
    extra: Option<Stream>,
    at: Instant,
    since: At,
    /// Whether it was seen to bite; an error is told once the fault is healed.
    bit: Result<bool, Error>,
}

impl ActiveFault<'_> {
    /// Alerts that it may raise.
    pub fn raises(&self) -> BTreeSet<&str> {
        self.drill.scenario.raises()
    }
}

/// That alerts are over, which their receivers are yet to be told.
pub struct PendingResolution {
    alerts: Vec<String>,
    /// When the fault was healed.
    since: Instant,
    /// How long it may take from then.
    bound: Duration,
}

impl PendingResolution {
    /// Nothing happened that could be over.
    fn none() -> PendingResolution {
        PendingResolution { alerts: Vec::new(), since: Instant::now(), bound: Duration::ZERO }
    }

    /// Whether these drills may raise one of the alerts again, or one that meets it at the alert
    /// manager: the news would not come then.
    fn masked_by(&self, plan: &Plan, drills: &[&PlannedDrill]) -> bool {
        drills.iter().any(|d| plan.meets(&self.alerts, &d.scenario.raises()))
    }

    /// Waits until every receiver was told, or the time for that is over.
    async fn wait(&self, session: &Session) {
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

/// Faults that are there before the first wave, by drill.
pub type Early<'p> = BTreeMap<String, ActiveFault<'p>>;

/// Injects the faults that are to be there early, before the first wave.
///
/// # Errors
/// The first error; all that were injected are healed then.
pub async fn begin_early<'p>(session: &Session, plan: &'p Plan) -> Result<Early<'p>, Error> {
    let mut early = Early::new();
    for drill in plan.drills.iter().filter(|d| d.scenario.is_early()) {
        match begin(session, drill).await {
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
    let open: Vec<u64> = early.into_values().flat_map(|active| active.open).collect();
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
    futures::future::join_all(drills).await.into_iter().collect()
}

async fn one<'p>(
    session: &Session,
    plan: &'p Plan,
    drill: &'p PlannedDrill,
    active: Option<ActiveFault<'p>>,
) -> Result<PendingResolution, Error> {
    let name = drill.scenario.name.clone();
    session.record(RunEvent::DrillBegan { drill: name.clone(), wave: drill.wave })?;
    let overridden = session.override_rules(&drill.scenario).await?;
    let result = match active {
        Some(active) => {
            session.progress.say(&format!(
                "drill {name}: its fault has been there for {:.0} s",
                active.at.elapsed().as_secs_f64()
            ));
            run_active(session, plan, active, true).await
        }
        // It could not be injected when it was to be, before the first wave.
        None if drill.scenario.is_early() => Ok(PendingResolution::none()),
        None => match begin(session, drill).await {
            Ok(Some(active)) => run_active(session, plan, active, false).await,
            Ok(None) => Ok(PendingResolution::none()),
            Err(error) => Err(error),
        },
    };
    if !overridden.is_empty() {
        // What the changed rule was made of can be asked for only while it is there.
        session.ask_inputs(drill).await?;
        session.heal(&overridden).await?;
    }
    let news = result?;
    session.record(RunEvent::DrillEnded { drill: name })?;
    Ok(news)
}

/// From a fault that is there to its end, and the end of the alerts that it led to.
async fn run_active(
    session: &Session,
    plan: &Plan,
    active: ActiveFault<'_>,
    early: bool,
) -> Result<PendingResolution, Error> {
    let ActiveFault { drill, fault, open, extra, at, since, bit } = active;
    let came = if early { Instant::now() } else { at };
    let name = drill.scenario.name.clone();
    let scene = session.scene();
    // One that was there early is looked for again when its wave comes.
    let bites = match bit {
        Ok(true) if early => session.look_for_bite(drill, fault.as_ref(), "").await,
        seen => seen,
    };
    let bit = matches!(bites, Ok(true));
    let told = match bites {
        Ok(true) => await_notified(session, plan, drill, fault.as_ref(), (at, came, since)).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    // Its arrivals end with the fault; what it waits for afterwards (mail on its way) must not keep
    // the fault from being healed.
    let ending = extra.map(|stream| tokio::spawn(stream.stop()));
    let healed = session.heal(&open).await;
    session.record_fault(FaultEvent::Healed { drill: name.clone() })?;
    let at = Instant::now();
    told?;
    healed?;
    let left = poll_until(session, || fault.left(&scene)).await?;
    session.record_fault(match left {
        Ok(evidence) => FaultEvent::Left { drill: name.clone(), evidence },
        Err(seen) => FaultEvent::DidNotLeave { drill: name.clone(), seen },
    })?;
    session.progress.say(&format!("drill {name}: healed"));
    let scenario = &drill.scenario;
    let bounds = scenario
        .alerts
        .iter()
        .filter_map(|a| Some(scenario.clears_s.of(a) + plan.budgets.get(a)?.resolve_s));
    let bound = Duration::from_secs_f64(bounds.fold(0.0, f64::max));
    // Of a fault that never bit no alert is to be over.
    let alerts = if bit { scenario.alerts.clone() } else { Vec::new() };
    let news = PendingResolution { alerts, since: at, bound };
    await_resolved(session, &news).await;
    if let Some(ending) = ending {
        // The load bounds that by itself.
        let _ = ending.await;
    }
    Ok(news)
}

/// Journals and injects a fault, and looks for its effect. One that can't be prepared is recorded
/// as such, and there is nothing to heal: its drill will prove nothing, the others may.
///
/// # Errors
/// Nothing was injected. What goes wrong from the injection on is told later, after the fault is
/// healed.
async fn begin<'p>(
    session: &Session,
    drill: &'p PlannedDrill,
) -> Result<Option<ActiveFault<'p>>, Error> {
    let scenario = &drill.scenario;
    let (name, spec) = (scenario.name.clone(), &scenario.fault);
    session.progress.say(&format!("drill {name}: {} on {}", spec.kind, spec.target));
    let mut fault = fault::aim(&spec.kind, &spec.target, &spec.settings)?;
    let scene = session.scene();
    let undo = match fault.prepare(&scene).await {
        Ok(undo) => undo,
        Err(why) => {
            session.not_injected(drill, &why)?;
            return Ok(None);
        }
    };
    let what = format!("fault {} on {} (drill {name})", spec.kind, spec.target);
    let open = session.journal_open(&what, undo)?;
    let extra = match &scenario.load {
        Some(load) => {
            match Stream::start(
                session,
                &name,
                load.rate,
                &[(load.journey.clone(), 1.0)],
                load.for_s.map(Duration::from_secs_f64),
            ) {
                Ok(stream) => Some(stream),
                Err(error) => {
                    session.heal(&open).await?;
                    return Err(error);
                }
            }
        }
        None => None,
    };
    let (at, since) = (Instant::now(), session.clock().now());
    let bit = inject_and_verify(session, drill, fault.as_mut(), &scene).await;
    Ok(Some(ActiveFault { drill, fault, open, extra, at, since, bit }))
}

/// Injects, and looks for the effect.
async fn inject_and_verify(
    session: &Session,
    drill: &PlannedDrill,
    fault: &mut dyn Fault,
    scene: &Scene<'_>,
) -> Result<bool, Error> {
    let mut blast_radius = drill.scenario.blast_radius();
    // What it learnt of its target while it was prepared counts.
    blast_radius.host = fault.blast_radius().host;
    session.record_fault(FaultEvent::Injected {
        drill: drill.scenario.name.clone(),
        kind: fault.kind().into(),
        target: fault.target().into(),
        instances: fault.instances().to_vec(),
        mechanism: fault.mechanism(),
        blast_radius,
    })?;
    if let Err(why) = fault.inject(scene).await {
        session.not_injected(drill, &why)?;
        return Ok(false);
    }
    session.look_for_bite(drill, fault, "").await
}

/// Stays until the alerts have reached everybody or their time is over; then the fault must still
/// be there: what was told of one that ended by itself was told of something else. `came` is when
/// its wave came, from when on nothing else may fire: one whose alerts have fired long before stays
/// for a few evaluations all the same.
async fn await_notified(
    session: &Session,
    plan: &Plan,
    drill: &PlannedDrill,
    fault: &dyn Fault,
    (began, came, since): (Instant, Instant, At),
) -> Result<(), Error> {
    let scenario = &drill.scenario;
    let bounds = scenario
        .alerts
        .iter()
        .filter_map(|a| Some(scenario.builds_up_s.of(a) + plan.budgets.get(a)?.notify_s));
    let least =
        Duration::from_secs_f64(scenario.hold_s.max(session.evaluation_s * LEAST_EVALUATIONS));
    let most = Duration::from_secs_f64(bounds.fold(scenario.hold_s, f64::max));
    loop {
        let told = drill.scenario.alerts.iter().all(|a| session.notified(a, false, since));
        if came.elapsed() >= least && (told || began.elapsed() >= most) {
            return session
                .look_for_bite(drill, fault, "it bit, and before it was healed it did no more: ")
                .await
                .map(drop);
        }
        session.interrupted()?;
        session.watch_alerts().await?;
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the alerts are active no more, or their time is over. Where that can't be asked,
/// their receivers must have been told.
async fn await_resolved(session: &Session, news: &PendingResolution) {
    while news.since.elapsed() < news.bound {
        let Some(active) = session.active_alerts().await else { return news.wait(session).await };
        if !news.alerts.iter().any(|a| active.contains(a))
            || session.interrupted().is_err()
            || session.watch_alerts().await.is_err()
        {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Looks until an effect is seen; the inner error says that it was not, within the bound.
async fn poll_until<'a>(
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
            Err(e) => last = e.advice().to_string(),
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(Err(format!("not seen within {} s; last error: {last}", EFFECT_BOUND.as_secs())))
}

impl Session {
    /// Looks for the effect of a fault, and records whether it was seen; `otherwise` begins what is
    /// said if it was not.
    async fn look_for_bite(
        &self,
        drill: &PlannedDrill,
        fault: &dyn Fault,
        otherwise: &str,
    ) -> Result<bool, Error> {
        let (scene, drill) = (self.scene(), drill.scenario.name.clone());
        let seen = poll_until(self, || fault.bites(&scene)).await?;
        let bit = seen.is_ok();
        self.record_fault(match seen {
            Ok(evidence) => FaultEvent::Bit { drill, evidence },
            Err(seen) => FaultEvent::DidNotBite { drill, seen: format!("{otherwise}{seen}") },
        })?;
        Ok(bit)
    }

    /// Records that a fault could not be injected.
    fn not_injected(&self, drill: &PlannedDrill, why: &FaultError) -> Result<(), Error> {
        let (drill, why) = (drill.scenario.name.clone(), why.advice().in_one_line());
        self.progress.say(&format!("drill {drill} proves nothing: {why}"));
        self.record_fault(FaultEvent::NotInjected { drill, why })
    }

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
    pub(super) fn journal_open(&self, what: &str, undo: Vec<Undo>) -> Result<Vec<u64>, Error> {
        undo.into_iter()
            .map(|undo| {
                Ok(self.journal.open(&self.running.run, &self.declaration.stack, what, undo)?)
            })
            .collect()
    }
}
