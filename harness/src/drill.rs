//! Carrying out a plan on a running stack, and recording what happens. Nothing is judged here.

mod again;
pub mod annotation;
pub mod capture;
mod lag;
pub mod mutants;
mod overrides;
mod phases;
pub mod senders;
pub mod steady;
pub mod traffic;
pub mod wave;

use crate::declaration::Declaration;
use crate::engine::Engine;
use crate::fault::FaultError;
use crate::fault::healing::undo;
use crate::journal::Journal;
use crate::plan::{Plan, PlannedDrill};
use crate::probe::{Probe, Question};
use crate::process::clock::RunClock;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, UserError};
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use crate::record::Recorder;
use crate::stack::Running;
use config::monitoring::MonitoringConfig;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use verdict::history::alert::{AlertEvent, Notification};
use verdict::history::run::{Phase, RunEvent};
use verdict::history::stack::StackEvent;
use verdict::left_out::{self, AbsentService};
use verdict::observation::Fact;
use verdict::{At, EventKind};

/// How often the load is told of where lines stay.
const SHOWN_EVERY: Duration = Duration::from_secs(30);

/// Why a run could not be carried out. What it found is in the verdicts, not here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user's files or flags.
    #[error("{}", .0.what)]
    Configuration(Advice),
    /// The machine, the engine, an image, a port.
    #[error("{}", .0.what)]
    Unfit(Advice),
    /// The stack did not come up: `up` says which service and what was seen last.
    #[error("{}", .0.what)]
    Stack(Advice),
    #[error(transparent)]
    Fault(#[from] FaultError),
    #[error(transparent)]
    Record(#[from] crate::record::Error),
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// The time scale leaves scrapes too little time: how long they take, 99th percentile by job.
    #[error(
        "scrapes take more than half of their scaled timeout; the run ends before its first drill"
    )]
    ScaleTooHigh(BTreeMap<String, Duration>),
    /// Something injected could not be undone.
    #[error("{0}")]
    Heal(String),
    #[error("interrupted; what was injected is healed")]
    Interrupted,
}

impl UserError for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Configuration(_) | Error::ScaleTooHigh(_) => Exit::Usage,
            Error::Unfit(_) => Exit::Unfit,
            Error::Stack(_) | Error::Heal(_) => Exit::Unknown,
            Error::Fault(e) => e.exit(),
            Error::Journal(e) => e.exit(),
            Error::Record(_) => Exit::Defect,
            Error::Interrupted => Exit::Interrupted,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Error::Configuration(e) | Error::Unfit(e) | Error::Stack(e) => e.hints.clone(),
            Error::Fault(e) => e.hints(),
            Error::Record(e) => e.hints(),
            Error::Journal(e) => e.hints(),
            Error::Heal(_) => vec!["firedrill heal tries again".into()],
            Error::ScaleTooHigh(_) | Error::Interrupted => Vec::new(),
        }
    }
}

/// Backends that can be asked.
#[derive(Default)]
pub struct Probes {
    /// The metrics servers, each declared one.
    pub metrics: Vec<Box<dyn Probe>>,
    /// The alert managers, each declared one.
    pub alerting: Vec<Box<dyn Probe>>,
    pub dashboards: Option<Box<dyn Probe>>,
    /// The log store.
    pub logs: Option<Box<dyn Probe>>,
    /// The trace store.
    pub traces: Option<Box<dyn Probe>>,
}

/// Notifications that have arrived, for deciding how long to wait.
pub type Inbox = Arc<Mutex<Vec<(At, Notification)>>>;

/// One run on a running stack.
pub struct Session {
    parts: Parts,
    /// When the traffic began; earlier data is not asked for.
    pub traffic_since: At,
    /// Drill, injection, end.
    marks: Mutex<Vec<(String, At, Option<At>)>>,
    /// When the alert manager was last asked.
    watched: Mutex<Option<Instant>>,
}

impl std::ops::Deref for Session {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// What a session is made of.
pub struct Parts {
    pub engine: Engine,
    /// What was started.
    pub running: Running,
    pub run: String,
    pub seed: u64,
    pub declaration: Declaration,
    /// How services that are left out would be seen.
    pub absent: Vec<AbsentService>,
    /// Evaluation interval of the rules as they run, seconds.
    pub evaluation_s: f64,
    /// The monitoring configuration as it runs.
    pub config: Arc<MonitoringConfig>,
    /// The configuration as written and the time scale, where it is to be seen before the first
    /// drill whether scrapes bear it.
    pub scrape_check: Option<(Arc<MonitoringConfig>, f64)>,
    /// Where events are written.
    pub recorder: Recorder,
    /// What must be undone.
    pub journal: Journal,
    pub probes: Probes,
    pub inbox: Inbox,
    /// Whether the user has asked to stop.
    pub interrupt: Interrupt,
    /// Where progress is told.
    pub progress: Progress,
}

impl Session {
    /// A session whose traffic has not begun.
    pub fn new(parts: Parts) -> Session {
        let traffic_since = parts.recorder.clock().now();
        Session { parts, traffic_since, marks: Mutex::default(), watched: Mutex::default() }
    }

    /// Goes through the plan: steady state, drills, drain, capture. The stack stays up.
    ///
    /// # Errors
    /// See [`Error`]. Whatever was injected is healed.
    pub async fn drive(&mut self, plan: &Plan) -> Result<(), Error> {
        self.phase(Phase::Steady, true)?;
        self.traffic_since = self.clock().now();
        let load = match &self.declaration.workload {
            Some(w) => {
                Some(traffic::Stream::start(self, "background", w.rate, &w.weights(), None)?)
            }
            None => None,
        };
        let live = load.as_ref().map(|load| load.live.clone());
        let driven = async {
            let result = self.drills(plan, load.as_ref()).await;
            if let Some(load) = load {
                // What is in flight is waited for, but not by somebody who wants to leave.
                tokio::select! {
                    () = load.stop() => {}
                    () = self.interrupt.wait() => {}
                }
            }
            result?;
            let until = self.clock().now();
            self.phase(Phase::Drive, false)?;
            self.phase(Phase::Drain, true)?;
            capture::drain(self).await?;
            self.phase(Phase::Drain, false)?;
            Ok::<At, Error>(until)
        };
        // Watching goes on until the drain is over: what is in flight may take as long as its
        // deadline, and silence is judged to the end.
        let driven_until = tokio::select! {
            until = driven => until,
            never = async { tokio::join!(capture::watch(self, plan), self.show(live)); std::future::pending::<Result<At, Error>>().await } => never,
        };
        self.progress.settle();
        let driven_until = driven_until?;
        self.phase(Phase::Capture, true)?;
        self.interrupt
            .unless(capture::end(self, plan, driven_until))
            .await
            .ok_or(Error::Interrupted)??;
        self.phase(Phase::Capture, false)
    }

    async fn drills(&self, plan: &Plan, load: Option<&traffic::Stream>) -> Result<(), Error> {
        let waves = plan.waves();
        let first = waves.first().and_then(|w| w.first()).map(|d| d.scenario.name.clone());
        steady::hold(self, load, first).await?;
        capture::healthy(self).await?;
        self.phase(Phase::Steady, false)?;
        self.phase(Phase::Drive, true)?;
        self.quiet(plan).await?;
        steady::check_scrape_headroom(self).await?;
        let mut early = wave::begin_early(self, plan).await?;
        let result = self.waves(plan, &waves, load, &mut early).await;
        wave::heal_early(self, early).await?;
        result?;
        if plan.gate.is_some() {
            return Ok(());
        }
        for drill in again::late(self, plan).await? {
            again::calm(self).await?;
            steady::hold(self, load, Some(drill.scenario.name.clone())).await?;
            let mut news = wave::run(self, plan, &[&drill], &mut wave::Early::new()).await?;
            wave::await_resolutions(self, plan, &mut news, None).await;
        }
        // After the last drill traffic goes on for a while: that is what recovery is judged by.
        steady::hold(self, load, None).await?;
        self.quiet(plan).await
    }

    async fn waves<'p>(
        &self,
        plan: &'p Plan,
        waves: &[Vec<&'p PlannedDrill>],
        load: Option<&traffic::Stream>,
        early: &mut wave::Early<'p>,
    ) -> Result<(), Error> {
        let mut pending = Vec::new();
        for (i, wave) in waves.iter().enumerate() {
            wave::await_resolutions(self, plan, &mut pending, Some(wave)).await;
            if i > 0 || !early.is_empty() {
                let raised = early.values().flat_map(phases::ActiveDrill::raises).collect();
                let about = wave
                    .iter()
                    .filter(|d| !d.scenario.is_early())
                    .flat_map(|d| d.scenario.alerts())
                    .map(String::as_str)
                    .collect();
                steady::hold_with(
                    self,
                    load,
                    wave.first().map(|d| d.scenario.name.clone()),
                    &raised,
                    &about,
                )
                .await?;
            }
            pending.extend(wave::run(self, plan, wave, early).await?);
        }
        // A gate asks how soon alerts fire, and does not wait minutes for their receivers to hear
        // that they are over.
        if plan.gate.is_none() {
            wave::await_resolutions(self, plan, &mut pending, None).await;
        }
        Ok(())
    }

    /// Lets the traffic run on its own, long enough that the windows before and after the drills
    /// hold something to judge. Without traffic it is the alerts' silence that needs time.
    async fn quiet(&self, plan: &Plan) -> Result<(), Error> {
        let seconds = match (&self.declaration.workload, &plan.gate) {
            (_, Some(gate)) => gate.warm_up_s + gate.window_s,
            (Some(workload), None) => {
                let operations = plan.expectations.iter().find_map(|p| match &p.expectation {
                    verdict::Expectation::Recovered(r) => Some(
                        (r.baseline.operations_min as f64 / workload.rate.max(0.001)) * 1.3
                            + r.settle_s,
                    ),
                    _ => None,
                });
                operations.unwrap_or(5.0).clamp(0.0, 120.0)
            }
            (None, None) => self.declaration.steady_state.hold_s,
        };
        let until = Instant::now() + Duration::from_secs_f64(seconds.max(0.0));
        while Instant::now() < until {
            self.interrupted()?;
            tokio::time::sleep(
                Duration::from_millis(200).min(until.saturating_duration_since(Instant::now())),
            )
            .await;
        }
        Ok(())
    }

    /// Tells what the load measures while it runs.
    async fn show(&self, live: Option<tokio::sync::watch::Receiver<loadgen::LiveStats>>) {
        let Some(mut live) = live else { return };
        while live.changed().await.is_ok() {
            let now = *live.borrow_and_update();
            if now.operations > 0 {
                self.progress.live(&format!("load {now}"), SHOWN_EVERY);
            }
        }
    }

    /// The run's clock.
    pub fn clock(&self) -> &RunClock {
        self.recorder.clock()
    }

    /// Records an event of the run.
    ///
    /// # Errors
    /// The record can't be written.
    pub fn record(&self, event: RunEvent) -> Result<(), Error> {
        let kind = EventKind::Run(event);
        self.mark(&kind, self.clock().now());
        self.recorder.write(kind)?;
        Ok(())
    }

    /// Carries out what undoes these journal entries, and closes those that were undone.
    ///
    /// # Errors
    /// One of them could not be undone; it stays open for `firedrill heal`.
    pub async fn heal(&self, entries: &[u64]) -> Result<(), Error> {
        let healed = undo(&self.journal, Some(&self.engine), entries).await?;
        let wrong: Vec<String> = healed
            .failed
            .iter()
            .map(|(e, seen)| format!("{} could not be undone: {seen}", e.what))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::Heal(wrong.join("; "))) }
    }

    /// An error once the user has asked to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn interrupted(&self) -> Result<(), Error> {
        if self.interrupt.asked() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Whether every receiver of an alert has been told since `since` that it fires (or is
    /// resolved).
    fn notified(&self, alert: &str, resolved: bool, since: At) -> bool {
        let Some(declared) = self.declaration.alerts.iter().find(|a| a.name == alert) else {
            return true;
        };
        let told = |name: &String| {
            self.declaration.receivers.iter().any(|r| r.name == *name && r.resolved)
        };
        let inbox = self.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let has = |receiver: &String| {
            inbox.iter().any(|(at, n)| {
                *at >= since
                    && n.answered < 300
                    && n.receiver.as_ref() == Some(receiver)
                    && n.alerts.iter().any(|a| {
                        a.resolved == resolved
                            && a.labels.get("alertname").is_some_and(|l| l == alert)
                    })
            })
        };
        declared.receivers.iter().filter(|r| !resolved || told(r)).all(has)
    }

    /// Alerts that some metrics server holds active now (pending ones too); `None` if none can be
    /// asked: one that a fault took says nothing.
    async fn active_alerts(&self) -> Option<BTreeSet<String>> {
        let by_server = self.alerts_by_server("ALERTS").await;
        by_server.into_iter().map(|(_, active)| active).reduce(|mut all, of_one| {
            all.extend(of_one);
            all
        })
    }

    /// Whether each metrics server of the main set that answers holds these alerts firing: one that
    /// is a second behind the other, by which people were notified, is given its time.
    async fn fire_at_each_server(&self, alerts: &[String]) -> bool {
        if self.probes.metrics.len() < 2 || alerts.is_empty() {
            return true;
        }
        let by_server = self.alerts_by_server("ALERTS{alertstate=\"firing\"}").await;
        let main = |server: &str| self.set_of(server) == crate::declaration::MAIN_SET;
        let mut of_main = by_server.iter().filter(|(server, _)| main(server));
        of_main.all(|(_, firing)| alerts.iter().all(|alert| firing.contains(alert)))
    }

    /// Names of the alerts that a selector of `ALERTS` finds now, of each metrics server that
    /// answers.
    async fn alerts_by_server(&self, selector: &str) -> Vec<(String, BTreeSet<String>)> {
        let now = self.clock().now().wall_s();
        let question = Question::Range {
            name: "active".into(),
            expr: selector.into(),
            start_s: now,
            end_s: now,
            step_s: 1.0,
        };
        let mut found = Vec::new();
        for metrics in &self.probes.metrics {
            for observation in metrics.ask(&question).await {
                let Fact::Samples(samples) = observation.fact else { continue };
                // What is active because of a service that is left out says nothing.
                let about = samples
                    .series
                    .into_iter()
                    .filter(|s| !left_out::named(&self.absent, &s.labels));
                let names = about.filter_map(|s| s.labels.get("alertname").cloned()).collect();
                found.push((observation.source, names));
            }
        }
        found
    }

    /// The set of a metrics server.
    fn set_of(&self, member: &str) -> String {
        let of = self.declaration.roles.metrics.iter().find(|role| role.service == member);
        of.map_or(crate::declaration::MAIN_SET, |role| role.set_name()).to_owned()
    }

    /// Records what the alert managers hold, at most once a second.
    async fn watch_alerts(&self) -> Result<(), Error> {
        {
            let mut last = self.watched.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if last.is_some_and(|l: Instant| l.elapsed() < Duration::from_secs(1)) {
                return Ok(());
            }
            *last = Some(Instant::now());
        }
        for alerting in &self.probes.alerting {
            self.observe(alerting.ask(&Question::ManagedAlerts).await)?;
        }
        Ok(())
    }

    /// `127.0.0.1:port` at which a `service:port` of the stack is published.
    fn published(&self, place: &str) -> Result<String, Error> {
        traffic::published(&self.running, place)
    }

    /// Whether a service is part of this run.
    fn runs(&self, service: &str) -> bool {
        self.running.services.contains_key(service)
    }

    /// Records the state of every container.
    async fn record_states(&self) -> Result<(), Error> {
        for (service, _) in self.running.instances() {
            let state = self.engine.container_of(&self.running.project, &service).await.ok();
            let (running, restarts, oom_killed) = state.map_or((false, 0, false), |s| {
                (s.running || s.exit_code == 0, s.restarts, s.oom_killed)
            });
            self.recorder.write(EventKind::Stack(StackEvent::State {
                service,
                running,
                restarts,
                oom_killed,
            }))?;
        }
        Ok(())
    }
}

/// Follows the stand-ins: each notification is recorded as it arrives.
pub async fn follow(
    recorder: Recorder,
    inbox: Inbox,
    mut arriving: impl futures::Stream<Item = Notification> + Unpin,
) {
    while let Some(notification) = arriving.next().await {
        let at = recorder.clock().now();
        if let Err(e) =
            recorder.write(EventKind::Alert(AlertEvent::Notification(notification.clone())))
        {
            tracing::error!("a notification can't be recorded: {e}");
            return;
        }
        inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, notification));
    }
}
