//! One run on a stack that is up: carried out, recorded, judged.

use super::{LiveStack, STAND_INS};
use crate::declaration::{Declaration, OneOrList, Role, SteadyState};
use crate::drill::annotation::Annotations;
use crate::drill::senders::Senders;
use crate::drill::{Inbox, Probes, Session, follow, steady};
use crate::ops::options::run_id;
use crate::plan::Plan;
use crate::probe::{self, Entrances, Probe, Unasked};
use crate::process::clock::RunClock;
use crate::process::exit::Exit;
use crate::process::failure::{Failure, UserError};
use crate::receiver;
use crate::record::{self, Recorder};
use crate::report::{self, Report, RunFile};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use verdict::history::run::{Deviation, DeviationKind, Phase, RunEvent};
use verdict::{EventKind, history};

/// How the first run on a stack ended.
pub(super) enum Ran {
    /// It was carried out.
    Done(Box<Outcome>),
    /// The time scale leaves scrapes too little time, by how long they take.
    ScaleTooHigh(BTreeMap<String, Duration>),
}

/// What a run ended with.
#[derive(Debug)]
pub struct Outcome {
    /// Folder of its record.
    pub folder: PathBuf,
    pub report: Report,
}

impl LiveStack {
    /// Carries out a plan and judges it. The stack stays up.
    ///
    /// # Errors
    /// The run could not be carried out; what was recorded until then stays on disk.
    pub async fn run(&self, plan: &Plan) -> Result<Outcome, Failure> {
        self.run_with(plan, self.read.subject.declaration.steady_state.clone()).await
    }

    /// The same with another steady state: a stack that was broken on purpose need not reach the
    /// usual one.
    ///
    /// # Errors
    /// As [`LiveStack::run`].
    pub async fn run_with(
        &self,
        plan: &Plan,
        steady_state: SteadyState,
    ) -> Result<Outcome, Failure> {
        match self.carry_out(plan, steady_state, false).await? {
            Ran::Done(outcome) => Ok(*outcome),
            Ran::ScaleTooHigh(_) => {
                Err(Failure::new(Exit::Defect, "scrapes were judged although nobody asked"))
            }
        }
    }

    /// Carries out a plan; `judge_scrapes` ends it before the first drill if the time scale leaves
    /// them too little time.
    pub(super) async fn carry_out(
        &self,
        plan: &Plan,
        steady_state: SteadyState,
        judge_scrapes: bool,
    ) -> Result<Ran, Failure> {
        let id = run_id(self.options.seed);
        let folder = self.options.common.report.join(&id);
        std::fs::create_dir_all(&folder).map_err(|e| {
            Failure::usage(format!("{}: {e}", folder.display()))
                .hint("name another folder with --report")
        })?;
        let recorder = Recorder::begin(&folder, self.times.clock)?;
        self.prologue(&recorder, &id)?;
        let mut declaration = self.read.subject.observed();
        declaration.steady_state = steady_state;
        let file = RunFile {
            versions: self.versions(),
            replay: self.replay(),
            declaration: declaration.clone(),
            plan: plan.clone(),
            routing: crate::plan::coverage::routing(&self.read.scaled.config, &declaration),
            day: jiff::Zoned::now().date().to_string(),
            host: Some(crate::process::host::Host::here()),
        };
        record::write_json(&folder, "run.json", &file)?;
        let inbox = Inbox::default();
        let follower = self.follow(&recorder, &inbox);
        let annotations = Annotations::begin(&declaration, &self.running, &id, self.times.clock);
        recorder.tap(annotations.as_ref().map(Annotations::sender));
        let mut session = self.session(&id, recorder.clone(), inbox, declaration, judge_scrapes);
        let driven = match steady::watched(&session, self.times.up.1).await {
            Ok(()) => session.drive(plan).await,
            Err(interrupted) => Err(interrupted),
        };
        if let Some(follower) = follower {
            follower.abort();
        }
        recorder.tap(None);
        if let Some(annotations) = annotations {
            annotated(&recorder, self.interrupt.unless(annotations.end()).await)?;
        }
        recorder.end(driven.is_ok(), driven.as_ref().err().map(|e| e.advice().to_string()))?;
        // A run that was cut short is reported as such, whatever else is said about it.
        let report = report::write_all(&folder);
        let driven = match driven {
            Err(crate::drill::Error::ScaleTooHigh(p99)) => return Ok(Ran::ScaleTooHigh(p99)),
            driven => driven,
        };
        if let Err(
            e @ (crate::drill::Error::Interrupted
            | crate::drill::Error::Configuration(_)
            | crate::drill::Error::Record(_)),
        ) = driven
        {
            return Err(e.into());
        }
        Ok(Ran::Done(Box::new(Outcome { folder, report: report? })))
    }

    fn prologue(&self, recorder: &Recorder, id: &str) -> Result<(), Failure> {
        let run = |event| recorder.write(EventKind::Run(event)).map(drop);
        run(RunEvent::Started {
            format: history::FORMAT,
            id: id.into(),
            seed: self.options.seed,
            stack: self.running.stack.clone(),
            time_scale: self.read.scaled.scale,
        })?;
        for (phase, (from, to)) in [(Phase::Images, self.times.images), (Phase::Up, self.times.up)]
        {
            recorder.write_at(EventKind::Run(RunEvent::PhaseBegan { phase }), from)?;
            recorder.write_at(EventKind::Run(RunEvent::PhaseEnded { phase }), to)?;
        }
        for deviation in &self.deviations {
            run(RunEvent::Deviation(deviation.clone()))?;
        }
        let subject = &self.read.subject;
        for optional in &subject.declaration.optional {
            if let Some(reason) = subject.left_out.get(&optional.service) {
                run(RunEvent::Skipped {
                    verdict: format!("optional.{}", optional.service),
                    reason: reason.clone(),
                })?;
            }
        }
        for receiver in &self.read.subject.declaration.receivers {
            recorder.write(EventKind::Alert(receiver.declared()))?;
        }
        for event in self.prologue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter()
        {
            recorder.write(event.clone())?;
        }
        Ok(())
    }

    fn follow(&self, recorder: &Recorder, inbox: &Inbox) -> Option<tokio::task::JoinHandle<()>> {
        let port = self.running.address(STAND_INS, receiver::CONTROL_PORT)?.port();
        let (recorder, inbox) = (recorder.clone(), inbox.clone());
        let roles = &self.read.subject.declaration.roles;
        let senders = Senders {
            engine: self.engine.clone(),
            project: self.running.project.clone(),
            managers: roles.alerting.iter().map(|role| role.service.clone()).collect(),
        };
        Some(tokio::spawn(async move {
            // A run on a stack that others ran on before must not see what was for them.
            let client = receiver::Client::new(port);
            let latest = client.latest().await.unwrap_or(0);
            let named = client.follow_from(latest).then(|recorded| {
                let senders = senders.clone();
                async move { senders.named(recorded.notification).await }
            });
            follow(recorder, inbox, Box::pin(named)).await;
        }))
    }

    fn session(
        &self,
        run: &str,
        recorder: Recorder,
        inbox: Inbox,
        declaration: Declaration,
        judge_scrapes: bool,
    ) -> Session {
        let clock = *recorder.clock();
        let roles = &declaration.roles;
        let each = |of: &OneOrList<Role>| of.iter().map(|r| self.connect(r, clock)).collect();
        let store = |of: &OneOrList<Role>| Entrances::to(of, |r| self.connect(r, clock));
        let probes = Probes {
            metrics: each(&roles.metrics),
            alerting: each(&roles.alerting),
            dashboards: self.dashboards(clock, &declaration),
            logs: store(&roles.logs),
            traces: store(&roles.traces),
        };
        let evaluation = self
            .read
            .scaled
            .config
            .prometheus
            .first()
            .map_or(1.0, |p| p.config.view.global.evaluation_interval.as_secs_f64());
        Session::new(crate::drill::Parts {
            engine: self.engine.clone(),
            running: self.running.clone(),
            run: run.to_owned(),
            seed: self.options.seed,
            declaration,
            absent: self.read.subject.absent.clone(),
            evaluation_s: evaluation,
            config: Arc::new(self.read.scaled.config.clone()),
            scrape_check: (judge_scrapes && self.read.scaled.scale > 1.0)
                .then(|| (Arc::new(self.read.written.clone()), self.read.scaled.scale)),
            recorder,
            journal: self.journal.clone(),
            probes,
            inbox,
            interrupt: self.interrupt.clone(),
            progress: self.progress.clone(),
        })
    }

    /// The probe of a declared server. One that can't be asked is asked all the same, and each
    /// question is recorded as unanswered with the reason: it must not be missing in silence.
    pub(super) fn connect(&self, role: &Role, clock: RunClock) -> Box<dyn Probe> {
        let connected = match self.running.access(role) {
            Some(access) => {
                probe::connect(role, &access, clock).map_err(|e| e.advice().in_one_line())
            }
            None => Err(format!("port {} of {} is not published", role.port, role.service)),
        };
        connected.unwrap_or_else(|why| Box::new(Unasked::new(&role.service, why, clock)))
    }

    fn versions(&self) -> BTreeMap<String, String> {
        let own = [("firedrill".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
        own.into_iter()
            .chain(
                self.images
                    .iter()
                    .map(|(service, image)| (format!("image of {service}"), image.clone())),
            )
            .collect()
    }

    fn replay(&self) -> String {
        let command = &self.options.command;
        let seed = if command.contains("--seed") {
            String::new()
        } else {
            format!(" --seed {}", self.options.seed)
        };
        format!("firedrill {command}{seed}").replace("  ", " ")
    }
}

/// Records what is noted on the dashboards, or that it is not; nobody waits for that who wants to
/// leave.
fn annotated(
    recorder: &Recorder,
    ended: Option<Result<verdict::Observation, String>>,
) -> Result<(), record::Error> {
    match ended {
        Some(Ok(observation)) => recorder.write(EventKind::Observation(observation)).map(drop),
        Some(Err(why)) => {
            let what = "load and faults are not all noted on the dashboards";
            recorder
                .write(EventKind::Run(RunEvent::Deviation(Deviation::new(
                    DeviationKind::System,
                    what,
                    why,
                ))))
                .map(drop)
        }
        None => Ok(()),
    }
}
