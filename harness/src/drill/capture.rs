//! Everything that judging needs is asked from the backends and recorded: once of the healthy stack
//! before the first drill, and once after the drain, before `down`.

use super::{Error, Session, lag, steady};
use crate::backend::Access;
use crate::plan::{Plan, PlannedDrill};
use crate::probe::{Probe, Question, events, health, host, mounts};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use verdict::baseline::Source;
use verdict::check::firing::ALERTS_SAMPLES;
use verdict::check::under_load::{TargetsStayScraped, duration_samples, up_samples};
use verdict::history::fault::FaultEvent;
use verdict::history::run::{Phase, RunEvent};
use verdict::observation::Fact;
use verdict::summary::samples_name;
use verdict::{At, EventKind, Expectation};

/// Most looks at targets and series of the healthy stack.
const LOOKS: u32 = 3;
/// Bound on the drain.
const DRAIN_BOUND: Duration = Duration::from_secs(45);
/// A backlog that has not moved for this long is taken for empty, or stuck: the checkers tell
/// which.
const DRAIN_STILL: Duration = Duration::from_secs(4);

/// How often it is asked how often rules were evaluated; seldom evaluations are asked for as
/// seldom.
const EVALUATIONS_EVERY: Duration = Duration::from_secs(2);

/// What is asked of the healthy stack.
///
/// # Errors
/// The record can't be written.
pub async fn healthy(session: &Session) -> Result<(), Error> {
    let declaration = &session.declaration;
    for endpoint in declaration.health.iter().filter(|h| session.runs(&h.service)) {
        let service = &endpoint.service;
        let instances = session.running.members_of(service);
        for endpoint in health::of_each(endpoint, instances) {
            let access = session
                .running
                .access_to(&declaration.roles, service, &endpoint.service, endpoint.port)
                .unwrap_or_else(|| Access::plain(0));
            session.observe([health::check(&endpoint, &access, *session.clock()).await])?;
        }
    }
    // How servers stand to each other matters where there are several.
    let (servers, managers) = (&session.probes.metrics, &session.probes.alerting);
    if servers.len() > 1 || managers.len() > 1 {
        for metrics in servers {
            ask(session, metrics.as_ref(), Question::Replica).await?;
        }
        for manager in managers {
            ask(session, manager.as_ref(), Question::ClusterMember).await?;
        }
    }
    for metrics in session.probes.metrics.iter().map(AsRef::as_ref) {
        scraped(session, metrics).await?;
        ask(session, metrics, Question::Rules).await?;
        ask(session, metrics, Question::Reload).await?;
        let role = declaration.roles.metrics.iter().find(|r| r.service == metrics.source());
        if role.is_some_and(|role| role.retention.is_some()) {
            ask(session, metrics, Question::Retention).await?;
        }
    }
    for alerting in session.probes.alerting.iter().map(AsRef::as_ref) {
        ask(session, alerting, Question::Reload).await?;
        ask(session, alerting, Question::Silences).await?;
        ask(session, alerting, Question::ManagerReceivers).await?;
    }
    let roles = &declaration.roles;
    for role in roles.metrics.iter().chain(roles.alerting.iter()) {
        for server in session.running.members_of(&role.service) {
            session.observe([mounts::mounted(
                &session.engine,
                &session.running.project,
                &server,
                *session.clock(),
            )
            .await])?;
        }
    }
    if let Some(dashboards) = session.probes.dashboards.as_deref() {
        let (start_s, end_s) = (session.traffic_since.wall_s(), session.clock().now().wall_s());
        ask(session, dashboards, Question::Dashboards).await?;
        ask(session, dashboards, Question::Datasources).await?;
        for dashboard in &declaration.dashboards {
            ask(
                session,
                dashboards,
                Question::Panels { dashboard: dashboard.uid.clone(), start_s, end_s },
            )
            .await?;
        }
    }
    Ok(())
}

/// Asks for the targets and the series. One scrape that a busy host made late says nothing about a
/// target, while one that is down is so each time: while something is missing it is asked again, an
/// interval later, and what is seen last counts.
async fn scraped(session: &Session, metrics: &dyn Probe) -> Result<(), Error> {
    for look in 1..=LOOKS {
        let mut seen = metrics.ask(&Question::Targets).await;
        seen.extend(
            metrics
                .ask(&Question::SeriesCount { selectors: session.declaration.series.clone() })
                .await,
        );
        let (mut missing, mut interval_s) = (false, 0.0);
        for observation in &seen {
            match &observation.fact {
                Fact::Targets { targets } => {
                    missing |= steady::down(targets, &session.absent, &session.declaration.targets)
                        .is_some();
                    interval_s = targets.iter().map(|t| t.interval_s).fold(interval_s, f64::max);
                }
                Fact::SeriesCount { counts } => missing |= counts.iter().any(|c| c.count == 0),
                _ => {}
            }
        }
        session.observe(seen)?;
        if !missing || look == LOOKS {
            break;
        }
        session.interrupted()?;
        tokio::time::sleep(Duration::from_secs_f64(interval_s.clamp(0.5, 5.0))).await;
    }
    Ok(())
}

/// Waits until nothing more arrives in the stores of logs and traces.
///
/// # Errors
/// The run was interrupted.
pub async fn drain(session: &Session) -> Result<(), Error> {
    if session.probes.logs.is_none() && session.probes.traces.is_none() {
        return Ok(());
    }
    let began = Instant::now();
    let (mut last, mut still) = (None, Instant::now());
    while began.elapsed() < DRAIN_BOUND && still.elapsed() < DRAIN_STILL {
        session.interrupted()?;
        let now = stored(session).await;
        if last != Some(now) {
            (last, still) = (Some(now), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// How much the stores hold now: documents that answer for operations, and mails seen.
async fn stored(session: &Session) -> u64 {
    let (Some(logs), Some(declared)) = (session.probes.logs.as_deref(), &session.declaration.logs)
    else {
        return 0;
    };
    let mut total = 0;
    for source in declared.answering() {
        for observation in
            logs.ask(&Question::Indices { pattern: format!("{}*", source.index_prefix) }).await
        {
            if let Fact::Indices { indices } = observation.fact {
                total += indices.iter().map(|i| i.documents).sum::<u64>();
            }
        }
    }
    total
}

/// Asks which alerts were pending or firing, seconds since 1970. A server answers at most 11,000
/// points a series, so what is long is asked in pieces.
pub(super) fn alerts(start_s: f64, end_s: f64, step_s: f64) -> impl Iterator<Item = Question> {
    let piece = step_s * 10_000.0;
    std::iter::successors(Some(start_s), move |from| Some(from + piece + step_s))
        .take_while(move |from| *from < end_s)
        .map(move |from| Question::Range {
            name: ALERTS_SAMPLES.into(),
            expr: "ALERTS".into(),
            start_s: from,
            end_s: (from + piece).min(end_s),
            step_s,
        })
}

/// What is asked at the end.
///
/// # Errors
/// The record can't be written.
pub async fn end(session: &Session, plan: &Plan, driven_until: At) -> Result<(), Error> {
    let (start_s, end_s) = (session.traffic_since.wall_s(), session.clock().now().wall_s());
    for metrics in session.probes.metrics.iter().map(AsRef::as_ref) {
        for question in alerts(start_s, end_s, session.evaluation_s) {
            ask(session, metrics, question).await?;
        }
        for drill in plan.drills.iter().filter(|d| d.scenario.overrides.is_empty()) {
            session.ask_inputs_of(metrics, drill).await?;
        }
        scrapes_under_load(session, plan, metrics).await?;
        measures(session, plan, metrics, driven_until).await?;
        ask(session, metrics, Question::Evaluations).await?;
        ask(session, metrics, Question::Rules).await?;
        ask(session, metrics, Question::Reload).await?;
        if plan.mutation {
            let overridden = plan
                .drills
                .iter()
                .flat_map(|d| &d.scenario.overrides)
                .map(|o| o.alert.as_str())
                .collect();
            session.observe(
                crate::drill::mutants::replays(metrics, start_s, end_s, &overridden).await,
            )?;
        }
        ask(session, metrics, Question::ProcessStarted).await?;
    }
    manager_events(session, start_s).await?;
    lines(session, start_s, end_s).await?;
    spans(session, start_s, end_s).await?;
    session.record_states().await
}

/// Asks how targets were scraped in the drills that only burden the stack.
async fn scrapes_under_load(
    session: &Session,
    plan: &Plan,
    metrics: &dyn Probe,
) -> Result<(), Error> {
    for planned in &plan.expectations {
        let Expectation::TargetsStayScraped(TargetsStayScraped { drill }) = &planned.expectation
        else {
            continue;
        };
        let Some((from, to)) = session.injected(drill) else { continue };
        for (name, expr) in
            [(up_samples(drill), "up"), (duration_samples(drill), "scrape_duration_seconds")]
        {
            let question = Question::Range {
                name,
                expr: expr.into(),
                start_s: from.wall_s(),
                end_s: to.wall_s(),
                step_s: session.evaluation_s,
            };
            ask(session, metrics, question).await?;
        }
    }
    Ok(())
}

/// Asks for what the gate compares with the baseline.
async fn measures(
    session: &Session,
    plan: &Plan,
    metrics: &dyn Probe,
    driven_until: At,
) -> Result<(), Error> {
    let Some(gate) = &plan.gate else { return Ok(()) };
    // The window ends where its drills begin.
    let end_s = session.first_injection().unwrap_or(driven_until).wall_s();
    for (name, measure) in &gate.measures {
        let Source::Query { expr, .. } = &measure.source else { continue };
        let (name, expr) = (samples_name(name), expr.clone());
        let question = Question::Range {
            name,
            expr,
            start_s: end_s - gate.window_s,
            end_s,
            step_s: gate.window_s / 20.0,
        };
        ask(session, metrics, question).await?;
    }
    Ok(())
}

/// Reads what alert managers wrote down of their alerts, where they do.
async fn manager_events(session: &Session, start_s: f64) -> Result<(), Error> {
    for role in session.declaration.roles.alerting.iter() {
        let Some(file) = &role.events else { continue };
        for server in session.running.members_of(&role.service) {
            let (engine, project) = (&session.engine, &session.running.project);
            let clock = *session.clock();
            session
                .observe(events::recorded(engine, project, &server, file, start_s, clock).await)?;
        }
    }
    Ok(())
}

async fn lines(session: &Session, start_s: f64, end_s: f64) -> Result<(), Error> {
    let (Some(logs), Some(declared)) = (session.probes.logs.as_deref(), &session.declaration.logs)
    else {
        return Ok(());
    };
    for source in &declared.sources {
        let pattern = format!("{}*", source.index_prefix);
        ask(session, logs, Question::FieldTypes { pattern: pattern.clone() }).await?;
        if !source.steps.is_empty() {
            ask(session, logs, Question::Documents { pattern, start_s, end_s }).await?;
        }
    }
    Ok(())
}

async fn spans(session: &Session, start_s: f64, end_s: f64) -> Result<(), Error> {
    let (Some(traces), Some(declared)) =
        (session.probes.traces.as_deref(), &session.declaration.traces)
    else {
        return Ok(());
    };
    let services: BTreeSet<String> =
        declared.steps.iter().flat_map(|s| s.spans.iter().map(|x| x.service.clone())).collect();
    let question = Question::Spans { services: services.into_iter().collect(), start_s, end_s };
    ask(session, traces, question).await
}

/// Watches what can't be asked afterwards, until cancelled: the host's pressure, how often rules
/// are evaluated, and, for a gate, how far stores are behind.
pub async fn watch(session: &Session, plan: &Plan) {
    tokio::join!(pressure(session), evaluations(session), lag::watch(session, plan.gate.as_ref()));
}

async fn pressure(session: &Session) {
    while session.observe([host::pressure(*session.clock())]).is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn evaluations(session: &Session) {
    let servers = session.probes.metrics.iter();
    futures::future::join_all(servers.map(|s| evaluations_of(session, s.as_ref()))).await;
}

async fn evaluations_of(session: &Session, metrics: &dyn Probe) {
    let period = EVALUATIONS_EVERY.max(Duration::from_secs_f64(session.evaluation_s));
    loop {
        // What is not answered shows as a gap between readings; whether the server answers is asked
        // elsewhere.
        let answers = metrics
            .ask(&Question::Evaluations)
            .await
            .into_iter()
            .filter(|o| matches!(o.fact, Fact::Evaluations { .. }));
        if session.observe(answers).is_err() {
            return;
        }
        tokio::time::sleep(period).await;
    }
}

async fn ask(session: &Session, probe: &dyn Probe, question: Question) -> Result<(), Error> {
    session.observe(probe.ask(&question).await)
}

impl Session {
    /// Records observations.
    pub(super) fn observe(
        &self,
        observations: impl IntoIterator<Item = verdict::Observation>,
    ) -> Result<(), Error> {
        for observation in observations {
            self.recorder.write(EventKind::Observation(observation))?;
        }
        Ok(())
    }

    /// Records what the rules of a drill's alerts were made of, from the injection to the drill's
    /// end, or until now.
    pub(super) async fn ask_inputs(&self, drill: &PlannedDrill) -> Result<(), Error> {
        for metrics in self.probes.metrics.iter().map(AsRef::as_ref) {
            self.ask_inputs_of(metrics, drill).await?;
        }
        Ok(())
    }

    async fn ask_inputs_of(&self, metrics: &dyn Probe, drill: &PlannedDrill) -> Result<(), Error> {
        let Some((from, to)) = self.injected(&drill.scenario.name) else { return Ok(()) };
        for alert in drill.scenario.alerts() {
            let question = Question::RuleInputs {
                alert: alert.clone(),
                drill: Some(drill.scenario.name.clone()),
                start_s: from.wall_s(),
                end_s: to.wall_s(),
            };
            ask(self, metrics, question).await?;
        }
        Ok(())
    }

    /// From the first injection of a drill to its end, as recorded so far; of its last attempt.
    fn injected(&self, drill: &str) -> Option<(At, At)> {
        let marks = self.marks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (_, begin, end) = marks.iter().rfind(|(d, _, _)| d == drill)?;
        Some((*begin, end.unwrap_or_else(|| self.clock().now())))
    }

    /// When the first fault was injected.
    fn first_injection(&self) -> Option<At> {
        self.marks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
            .map(|(_, begin, _)| *begin)
            .min()
    }

    /// Marks the begin or the end of a phase.
    pub(super) fn phase(&self, phase: Phase, begins: bool) -> Result<(), Error> {
        if begins {
            self.progress.say(&format!("{phase:?}").to_lowercase());
        }
        self.record(if begins {
            RunEvent::PhaseBegan { phase }
        } else {
            RunEvent::PhaseEnded { phase }
        })
    }

    /// Notes when a fault was injected and its drill ended, for the questions asked at the end.
    pub(super) fn mark(&self, event: &EventKind, at: At) {
        let mut marks = self.marks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            // Of several faults the first one counts; a drill that has ended is run again.
            EventKind::Fault(FaultEvent::Injected { drill, .. })
                if !marks.iter().any(|(d, _, end)| d == drill && end.is_none()) =>
            {
                marks.push((drill.clone(), at, None));
            }
            EventKind::Run(RunEvent::DrillEnded { drill }) => {
                if let Some(mark) = marks.iter_mut().rfind(|(d, _, _)| d == drill) {
                    mark.2 = Some(at);
                }
            }
            _ => {}
        }
    }
}
