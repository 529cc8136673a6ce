//! The phases of a drill, one after the other: heal, inject, see it bite, wait until people were
//! told; at last heal what is there, see it leave, wait until the alerts are over.

use super::traffic::Stream;
use super::wave::PendingResolution;
use super::{Error, Session};
use crate::fault::{Fault, FaultError, Scene};
use crate::journal::Undo;
use crate::plan::scenario::{FaultSpec, Phase, Scenario, Target, Which};
use crate::plan::{Plan, PlannedDrill};
use crate::probe::Question;
use crate::process::failure::UserError;
use futures::future::{join_all, try_join_all};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use verdict::history::fault::FaultEvent;
use verdict::observation::Fact;
use verdict::{At, EventKind};

/// Bound on the time until a fault is seen to bite, and until it is seen to have left.
const EFFECT_BOUND: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
pub(super) const POLL: Duration = Duration::from_millis(200);
/// How often rules are evaluated at least while a fault is there: that nothing else fires is told
/// of these evaluations.
const LEAST_EVALUATIONS: f64 = 4.0;

/// A fault that was prepared and is not healed.
struct OpenFault {
    id: String,
    /// The same fault on each instance that it is aimed at.
    parts: Vec<Box<dyn Fault>>,
    /// What undoes them, in the journal.
    entries: Vec<u64>,
    /// Whether it was injected, or that was tried.
    injected: bool,
}

/// A drill that is under way.
pub struct ActiveDrill<'p> {
    drill: &'p PlannedDrill,
    open: Vec<OpenFault>,
    /// The load of its phase.
    extra: Option<Stream>,
    /// Loads of earlier phases that end.
    ending: Vec<JoinHandle<()>>,
    /// When the last fault was injected.
    at: Instant,
    /// When the first fault of the phase was injected.
    since: At,
    /// Whether all its faults were seen to bite.
    bit: bool,
}

/// Goes through the phases of a drill, from the first one or from one whose faults are there
/// already, and returns what receivers are yet to be told. Every fault is healed at the end.
///
/// # Errors
/// The first error, after all is healed.
pub async fn run(
    session: &Session,
    plan: &Plan,
    drill: &PlannedDrill,
    active: Option<ActiveDrill<'_>>,
) -> Result<Vec<PendingResolution>, Error> {
    let early = active.is_some();
    let mut active = active.unwrap_or_else(|| ActiveDrill::new(session, drill));
    match active.phases(session, plan, early).await {
        Ok(pending) => Ok(pending),
        Err(error) => {
            active.abandon(session).await?;
            Err(error)
        }
    }
}

impl<'p> ActiveDrill<'p> {
    fn new(session: &Session, drill: &'p PlannedDrill) -> ActiveDrill<'p> {
        let (at, since) = (Instant::now(), session.clock().now());
        let (open, ending) = (Vec::new(), Vec::new());
        ActiveDrill { drill, open, extra: None, ending, at, since, bit: true }
    }

    /// Injects the faults of the first phase; none is there if that could not be done.
    ///
    /// # Errors
    /// What went wrong; all is healed then.
    pub async fn begin(
        session: &Session,
        drill: &'p PlannedDrill,
    ) -> Result<Option<ActiveDrill<'p>>, Error> {
        let mut active = ActiveDrill::new(session, drill);
        let Some((first, later)) = drill.scenario.phases.split_first() else { return Ok(None) };
        let begun = match active.inject(session, first).await {
            Ok(()) if active.open.is_empty() => active.leave_out(session, later),
            begun => begun,
        };
        match begun {
            Ok(()) => Ok((!active.open.is_empty()).then_some(active)),
            Err(error) => {
                active.abandon(session).await?;
                Err(error)
            }
        }
    }

    /// Alerts that it may raise.
    pub fn raises(&self) -> BTreeSet<&str> {
        self.drill.scenario.raises()
    }

    /// Entries of the journal that undo what is there.
    pub fn entries(&self) -> impl Iterator<Item = u64> {
        self.open.iter().flat_map(|fault| fault.entries.iter().copied())
    }

    fn name(&self) -> String {
        self.drill.scenario.name.clone()
    }

    async fn phases(
        &mut self,
        session: &Session,
        plan: &Plan,
        early: bool,
    ) -> Result<Vec<PendingResolution>, Error> {
        let drill = self.drill;
        let scenario = &drill.scenario;
        let mut pending = Vec::new();
        let mut raised: Vec<String> = Vec::new();
        for (at, phase) in scenario.phases.iter().enumerate() {
            let mut came = Instant::now();
            if early && at == 0 {
                let (name, there) = (&scenario.name, self.at.elapsed().as_secs_f64());
                let said = format!("drill {name}: its fault has been there for {there:.0} s");
                session.progress.say(&said);
                // It is looked for again when its wave comes.
                self.bit = self.bit && self.bites(session, &ids(&phase.inject), "").await?;
            } else {
                if phase.heal.is_empty() {
                    self.end_load();
                } else {
                    let over = self.heal(session, plan, &phase.heal, &phase.resolves).await?;
                    raised.retain(|alert| !phase.resolves.contains(alert));
                    let later = scenario.phases[at..].iter().flat_map(|p| &p.alerts);
                    if plan.meets(later, &over.alerts.iter().map(String::as_str).collect()) {
                        over.wait(session).await;
                    }
                    pending.push(over);
                }
                self.inject(session, phase).await?;
                if !phase.inject.is_empty() {
                    came = self.at;
                }
            }
            // What comes after a fault that did not bite would prove nothing.
            if !self.bit {
                self.leave_out(session, &scenario.phases[at + 1..])?;
                break;
            }
            raised.extend(phase.alerts.iter().cloned());
            self.stay(session, plan, phase, came).await?;
        }
        let open: Vec<String> = self.open.iter().map(|fault| fault.id.clone()).collect();
        if !open.is_empty() {
            pending.push(self.heal(session, plan, &open, &raised).await?);
        }
        for ending in self.ending.drain(..) {
            // The load bounds that by itself.
            let _ = ending.await;
        }
        Ok(pending)
    }

    /// The load's arrivals end with its phase; what it waits for afterwards (mail on its way) must
    /// not keep faults from being healed.
    fn end_load(&mut self) {
        self.ending.extend(self.extra.take().map(|stream| tokio::spawn(stream.stop())));
    }

    /// Faults of phases that don't come any more prove nothing either.
    fn leave_out(&self, session: &Session, phases: &[Phase]) -> Result<(), Error> {
        for fault in phases.iter().flat_map(|phase| &phase.inject) {
            let why = "another fault of its drill did not bite before";
            session.not_injected(&self.name(), &fault.id, why)?;
        }
        Ok(())
    }

    /// Journals and injects the faults of a phase, and looks for their effects. One that can't be
    /// prepared is recorded as such: its drill will prove nothing, others may.
    async fn inject(&mut self, session: &Session, phase: &Phase) -> Result<(), Error> {
        let drill = self.drill;
        let first = self.open.len();
        for spec in &phase.inject {
            if !self.prepare(session, spec).await? {
                // Nothing of this phase is injected.
                let entries: Vec<u64> =
                    self.open[first..].iter().flat_map(|f| f.entries.iter().copied()).collect();
                session.heal(&entries).await?;
                self.open.truncate(first);
                let others = phase.inject.iter().filter(|other| other.id != spec.id);
                let why = "another fault of its phase could not be injected";
                for other in others {
                    session.not_injected(&self.name(), &other.id, why)?;
                }
                self.bit = false;
                return Ok(());
            }
        }
        if let Some(load) = &phase.load {
            let length = load.for_s.map(Duration::from_secs_f64);
            let journeys = [(load.journey.clone(), 1.0)];
            let name = self.name();
            self.extra = Some(Stream::start(session, &name, load.rate, &journeys, length)?);
        }
        (self.at, self.since) = (Instant::now(), session.clock().now());
        let scene = session.scene();
        for (n, spec) in phase.inject.iter().enumerate() {
            self.at = Instant::now();
            let fault = &mut self.open[first + n];
            fault.injected = true;
            session.record_fault(injected(&drill.scenario, spec, fault))?;
            for part in &mut fault.parts {
                if let Err(why) = part.inject(&scene).await {
                    session.failed(&drill.scenario.name, &spec.id, &why)?;
                    self.bit = false;
                    break;
                }
            }
            if !self.bit {
                // Those that were prepared are healed with the rest.
                for left in &phase.inject[n + 1..] {
                    let why = "another fault of its phase could not be injected";
                    session.not_injected(&drill.scenario.name, &left.id, why)?;
                }
                return Ok(());
            }
        }
        if !phase.inject.is_empty() {
            self.bit = self.bites(session, &ids(&phase.inject), "").await?;
        }
        Ok(())
    }

    /// Works out which instances a fault is aimed at, and journals how it is undone; whether that
    /// could be done. What could not is recorded.
    async fn prepare(&mut self, session: &Session, spec: &FaultSpec) -> Result<bool, Error> {
        let name = self.name();
        session.progress.say(&format!("drill {name}: {spec}"));
        let mut members: Vec<(&Target, Vec<String>)> = Vec::new();
        for target in spec.targets() {
            match session.members(target).await {
                Ok(found) => members.push((target, found)),
                Err(why) => {
                    session.not_injected(&name, &spec.id, &why)?;
                    return Ok(false);
                }
            }
        }
        let of = |target: &Target| {
            let found = members.iter().find(|(known, _)| *known == target);
            found.map(|(_, members)| members.clone()).unwrap_or_default()
        };
        let parts = match spec.aim(of) {
            Ok(parts) => parts,
            Err(why) => {
                session.failed(&name, &spec.id, &why)?;
                return Ok(false);
            }
        };
        let what = format!("fault {spec} (drill {name})");
        let scene = session.scene();
        self.open.push(OpenFault {
            id: spec.id.clone(),
            parts,
            entries: Vec::new(),
            injected: false,
        });
        let Some(fault) = self.open.last_mut() else { return Ok(false) };
        for part in &mut fault.parts {
            match part.prepare(&scene).await {
                // What undoes it is written down before the next is touched.
                Ok(undo) => fault.entries.extend(session.journal_open(&what, undo)?),
                Err(why) => {
                    session.failed(&name, &spec.id, &why)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Looks for the effects of faults of these ids, and records whether they were seen; `otherwise`
    /// begins what is said of one that was not.
    async fn bites(
        &self,
        session: &Session,
        ids: &[String],
        otherwise: &str,
    ) -> Result<bool, Error> {
        let faults = self.open.iter().filter(|fault| ids.contains(&fault.id));
        let looks = faults.map(|fault| async move {
            let scene = session.scene();
            let seen = poll_until(session, &fault.parts, |part| part.bites(&scene)).await?;
            let bit = seen.is_ok();
            let (drill, fault) = (self.name(), fault.id.clone());
            session.record_fault(match seen {
                Ok(evidence) => FaultEvent::Bit { drill, fault, evidence },
                Err(seen) => {
                    FaultEvent::DidNotBite { drill, fault, seen: format!("{otherwise}{seen}") }
                }
            })?;
            Ok::<bool, Error>(bit)
        });
        Ok(try_join_all(looks).await?.into_iter().all(|bit| bit))
    }

    /// Stays until the alerts of a phase have reached everybody or their time is over. `came` is
    /// since when nothing else may fire: where its alerts have fired long before, a drill stays for
    /// a few evaluations all the same.
    async fn stay(
        &self,
        session: &Session,
        plan: &Plan,
        phase: &Phase,
        came: Instant,
    ) -> Result<(), Error> {
        let scenario = &self.drill.scenario;
        let bounds = phase
            .alerts
            .iter()
            .filter_map(|a| Some(scenario.builds_up_s.of(a) + plan.budgets.get(a)?.notify_s));
        let evaluations =
            if phase.inject.is_empty() { 0.0 } else { session.evaluation_s * LEAST_EVALUATIONS };
        let least = Duration::from_secs_f64(phase.hold_s.max(evaluations));
        let most = Duration::from_secs_f64(bounds.fold(phase.hold_s, f64::max));
        let began = if phase.inject.is_empty() { came } else { self.at };
        loop {
            let told = || phase.alerts.iter().all(|a| session.notified(a, false, self.since));
            if came.elapsed() >= least
                && (began.elapsed() >= most
                    || told() && session.fire_at_each_server(&phase.alerts).await)
            {
                return Ok(());
            }
            session.interrupted()?;
            session.watch_alerts().await?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Heals faults of these ids, sees them leave, and waits until alerts that this ends are active
    /// no more. What was told of a fault that ended by itself was told of something else, so each
    /// must be there until then.
    async fn heal(
        &mut self,
        session: &Session,
        plan: &Plan,
        ids: &[String],
        resolves: &[String],
    ) -> Result<PendingResolution, Error> {
        if self.bit {
            let otherwise = "it bit, and before it was healed it did no more: ";
            self.bites(session, ids, otherwise).await?;
        }
        self.end_load();
        let (healed, open): (Vec<OpenFault>, Vec<OpenFault>) =
            self.open.drain(..).partition(|fault| ids.contains(&fault.id));
        self.open = open;
        let entries: Vec<u64> = healed.iter().flat_map(|f| f.entries.iter().copied()).collect();
        let undone = session.heal(&entries).await;
        let healed: Vec<OpenFault> = healed.into_iter().filter(|fault| fault.injected).collect();
        let drill = &self.drill.scenario.name;
        for fault in &healed {
            let (drill, fault) = (drill.clone(), fault.id.clone());
            session.record_fault(FaultEvent::Healed { drill, fault })?;
        }
        let since = Instant::now();
        undone?;
        let leaves = healed.iter().map(|fault| async move {
            let scene = session.scene();
            let left = poll_until(session, &fault.parts, |part| part.left(&scene)).await?;
            let (drill, fault) = (drill.clone(), fault.id.clone());
            session.record_fault(match left {
                Ok(evidence) => FaultEvent::Left { drill, fault, evidence },
                Err(seen) => FaultEvent::DidNotLeave { drill, fault, seen },
            })
        });
        try_join_all(leaves).await?;
        let what =
            if self.open.is_empty() { String::new() } else { format!(" {}", ids.join(", ")) };
        session.progress.say(&format!("drill {drill}: healed{what}"));
        let scenario = &self.drill.scenario;
        let bounds = resolves
            .iter()
            .filter_map(|a| Some(scenario.clears_s.of(a) + plan.budgets.get(a)?.resolve_s));
        let bound = Duration::from_secs_f64(bounds.fold(0.0, f64::max));
        // Of a fault that never bit no alert is to be over.
        let alerts = if self.bit { resolves.to_vec() } else { Vec::new() };
        let news = PendingResolution { alerts, since, bound };
        await_resolved(session, &news).await;
        Ok(news)
    }

    /// Heals all that is there, after something went wrong.
    async fn abandon(&mut self, session: &Session) -> Result<(), Error> {
        self.end_load();
        let entries: Vec<u64> = self.entries().collect();
        // What can't be undone stays in the journal; what went wrong before is told.
        let _ = session.heal(&entries).await;
        for fault in self.open.drain(..).filter(|fault| fault.injected) {
            let drill = self.drill.scenario.name.clone();
            session.record_fault(FaultEvent::Healed { drill, fault: fault.id })?;
        }
        Ok(())
    }
}

fn ids(faults: &[FaultSpec]) -> Vec<String> {
    faults.iter().map(|fault| fault.id.clone()).collect()
}

/// That a fault is injected, with the instances that it is aimed at.
fn injected(scenario: &Scenario, spec: &FaultSpec, fault: &OpenFault) -> FaultEvent {
    let mut blast_radius = scenario.widened(spec.blast_radius());
    // What it learnt of its target while it was prepared counts.
    blast_radius.host = fault.parts.iter().any(|part| part.blast_radius().host);
    let parts = fault.parts.iter();
    let instances: Vec<String> = if spec.is_between() {
        parts.flat_map(|part| part.blast_radius().services).collect()
    } else {
        parts.map(|part| part.target().to_owned()).collect()
    };
    let target = spec.service().map_or_else(|| instances.join(", "), str::to_owned);
    FaultEvent::Injected {
        drill: scenario.name.clone(),
        fault: spec.id.clone(),
        kind: spec.kind.clone(),
        target,
        instances,
        mechanism: fault.parts.first().map(|part| part.mechanism()).unwrap_or_default(),
        blast_radius,
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

/// Looks until an effect is seen in each part of a fault; the inner error says that it was not,
/// within the bound.
async fn poll_until<'a>(
    session: &Session,
    parts: &'a [Box<dyn Fault>],
    look: impl Fn(&'a dyn Fault) -> futures::future::BoxFuture<'a, Result<Option<String>, FaultError>>,
) -> Result<Result<String, String>, Error> {
    let began = Instant::now();
    let mut last = "nothing".to_owned();
    while began.elapsed() < EFFECT_BOUND {
        session.interrupted()?;
        let seen = join_all(parts.iter().map(|part| look(part.as_ref()))).await;
        match seen.into_iter().collect::<Result<Option<Vec<String>>, FaultError>>() {
            Ok(Some(evidence)) => return Ok(Ok(evidence.join("; "))),
            Ok(None) => {}
            Err(e) => last = e.advice().to_string(),
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(Err(format!("not seen within {} s; last error: {last}", EFFECT_BOUND.as_secs())))
}

impl Session {
    /// The instances that a target stands for now.
    async fn members(&self, target: &Target) -> Result<Vec<String>, String> {
        let leader = match target {
            Target::Role { which: Which::Leader, .. } => self.leader().await,
            _ => None,
        };
        // One that is left out, of several in a role or a zone, is not there to be disturbed.
        let several = matches!(target, Target::Role { .. } | Target::Zone { .. });
        let here = |service: &str| {
            let gone = several && !self.runs(service);
            if gone { Vec::new() } else { self.running.members_of(service) }
        };
        target.members(here, leader.as_deref())
    }

    /// The alert manager that notifies first: members take turns in the order of their names.
    async fn leader(&self) -> Option<String> {
        let mut named = Vec::new();
        for manager in &self.probes.alerting {
            for observation in manager.ask(&Question::ClusterMember).await {
                if let Fact::ClusterMember(member) = observation.fact
                    && let Some(name) = member.name
                {
                    named.push((name, observation.source));
                }
            }
        }
        named.into_iter().min().map(|(_, source)| source)
    }

    /// Records that a fault could not be injected.
    fn failed(&self, drill: &str, fault: &str, why: &FaultError) -> Result<(), Error> {
        self.not_injected(drill, fault, &why.advice().in_one_line())
    }

    fn not_injected(&self, drill: &str, fault: &str, why: &str) -> Result<(), Error> {
        self.progress.say(&format!("drill {drill} proves nothing: {why}"));
        self.record_fault(FaultEvent::NotInjected {
            drill: drill.to_owned(),
            fault: fault.to_owned(),
            why: why.to_owned(),
        })
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
