//! From a stack's name to a stack that runs: read, scaled, contained, images made, containers up,
//! stand-ins followed, backends connected. Several runs may follow one another on it; each has a
//! record of its own.

mod containers;
mod dashboards;
mod ready;

use crate::declaration::{Declaration, Role, SteadyState};
use crate::drill::annotation::Annotations;
use crate::drill::{Inbox, Probes, Session, follow};
use crate::engine::Engine;
use crate::journal::Journal;
use crate::ops::console::Console;
use crate::ops::gate::child;
use crate::ops::settings::Common;
use crate::plan::features::{self, Selection};
use crate::plan::subject::{self, Asked, LoadedStack};
use crate::plan::{Plan, PlanContext};
use crate::probe;
use crate::process::clock::RunClock;
use crate::process::exit::{Exit, Failure};
use crate::process::home::Home;
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use crate::receiver;
use crate::record::{self, Recorder};
use crate::report::{self, Report, RunFile};
use crate::stack::reaper::Reaper;
use crate::stack::{self, Running, ServiceOverride, Stack};
use crate::yaml::suggest;
use config::monitoring::RenderedFile;
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use verdict::history::alert::AlertEvent;
use verdict::history::run::{Deviation, DeviationKind, Phase, RunEvent};
use verdict::{EventKind, history};

use ready::Ready;
pub use ready::up_planned;

/// Service name of the stand-ins' container.
const STAND_INS: &str = "firedrill-receivers";
/// Where the run's authority is put into containers that trust it.
const AUTHORITY_PATH: &str = "/etc/firedrill/ca.pem";

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Stack: folder or name.
    pub stack: String,
    /// What all commands share.
    pub common: Common,
    /// Seed from which all choices flow.
    pub seed: u64,
    /// Where our own files are.
    pub home: Home,
    /// The command that replays it, without program name and seed.
    pub command: String,
    /// How long scrapes were measured to take (99th percentile, by job), if they were.
    pub scrapes: BTreeMap<String, Duration>,
    /// Optional services whose image can't be had, with the reason: known once images were tried.
    pub unavailable: BTreeMap<String, String>,
}

/// How the first run on a stack ended.
enum Ran {
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
    /// The report.
    pub report: Report,
}

impl Options {
    /// Options of a command.
    pub fn new(stack: &str, common: &Common) -> Options {
        let seed = common.seed.unwrap_or_else(|| rand::random::<u32>().into());
        let mut words: Vec<String> =
            std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
        // Whoever runs a step of a gate again runs it by itself.
        if let Some(at) = words.iter().position(|w| w == child::OF_GATE) {
            words.drain(at..(at + 2).min(words.len()));
        }
        let command = words.join(" ");
        let (scrapes, unavailable) = (BTreeMap::new(), BTreeMap::new());
        Options {
            stack: stack.into(),
            common: common.clone(),
            seed,
            home: Home::find(),
            command,
            scrapes,
            unavailable,
        }
    }

    /// What a test runs: a fixed seed, unless the environment names one.
    pub fn for_tests(stack: &str, common: Common) -> Options {
        let seed = common.seed.unwrap_or(20);
        Options { seed, ..Options::new(stack, &common) }
    }

    /// The stack as it is now on disk.
    ///
    /// # Errors
    /// Its files are wrong.
    pub fn read(&self) -> Result<LoadedStack, Failure> {
        subject::read_asked(&self.stack, &self.home, &self.asked())
            .map_err(|e| Failure::new(e.exit(), e))
    }

    /// What the stack is read for.
    pub fn asked(&self) -> Asked {
        Asked {
            time_scale: self.common.time_scale,
            scrapes: self.scrapes.clone(),
            profiles: self.common.profiles.iter().cloned().collect(),
            unavailable: self.unavailable.clone(),
        }
    }

    /// Whether reports can be written where they are to go, so that this is known before a stack is
    /// up for nothing.
    ///
    /// # Errors
    /// They can't.
    pub fn check_report(&self) -> Result<(), Failure> {
        let folder = &self.common.report;
        let tried = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        tried.map(drop).map_err(|e| {
            Failure::new(
                Exit::Usage,
                format!(
                    "reports can't be written to {}: {e}\nhint: name another folder with --report",
                    folder.display()
                ),
            )
        })
    }

    /// Which services may be left out, and what a run will list as different about the system, as
    /// far as it can be told before anything starts.
    ///
    /// # Errors
    /// The stack's files are wrong.
    pub fn foreseen(&self) -> Result<String, Failure> {
        let read = self.read()?;
        let deviations: String =
            read.foreseen.iter().map(|d| format!("deviation  {}: {}\n", d.what, d.why)).collect();
        Ok(read.subject.told_optional() + &deviations)
    }

    /// Name of the stack, as its declaration states it.
    ///
    /// # Errors
    /// Its files are wrong.
    pub fn stack_name(&self) -> Result<String, Failure> {
        Ok(self.read()?.stack.name().to_owned())
    }

    /// Name of the stack, or the word that was given for it if its files can't be read any more:
    /// that must not keep what runs from being removed.
    pub fn name_or_word(&self) -> String {
        self.stack_name().unwrap_or_else(|_| self.stack.clone())
    }

    /// Folder of the stack's sabotages.
    ///
    /// # Errors
    /// There is no such stack.
    pub fn sabotage_folder(&self) -> Result<PathBuf, Failure> {
        Ok(self.read()?.stack.folder.join("sabotage"))
    }

    /// The plan that the features make of the stack.
    ///
    /// # Errors
    /// The stack's files or the features are wrong.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let read = self.read()?;
        let selection = Selection { tags: self.common.tags.clone() };
        let subject = Arc::new(read.subject);
        let usage = |e: features::Error| Failure::new(Exit::Usage, e);
        let mut plan = features::plan(&read.features, &subject, &selection).map_err(usage)?;
        let declared = &subject.declaration;
        if !declared.waivers.is_empty() || declared.optional.iter().any(|o| !o.verdicts.is_empty())
        {
            asked_for(
                &read.stack,
                &subject,
                features::verdicts(&read.features, &subject).map_err(usage)?,
            )?;
        }
        // The roll-call is about the whole: a selection by tags can't answer it.
        if self.common.tags.is_empty() {
            plan.call(read.required, &subject.unavailable);
        }
        Ok(plan)
    }
}

/// Whether each verdict that is waived, or skipped with an optional service, is one that somebody
/// asks for: a feature, or `firedrill alerts` of an alert or a drill.
fn asked_for(
    stack: &Stack,
    subject: &PlanContext,
    mut asked: BTreeSet<String>,
) -> Result<(), Failure> {
    asked.extend(subject.declaration.alerts.iter().map(|a| format!("alert.{}.quiet", a.name)));
    for scenario in subject.scenarios.values() {
        asked.extend(
            ["fault", "quiet_elsewhere"].map(|claim| format!("drill.{}.{claim}", scenario.name)),
        );
        let of_alert = |alert: &String| {
            ["fires", "reaches", "resolves"].map(|claim| format!("alert.{alert}.{claim}"))
        };
        asked.extend(scenario.alerts.iter().flat_map(of_alert));
    }
    let refuse = |keys: &[&str], verdict: &str, what: String| {
        let hint = match suggest(verdict, asked.iter().map(String::as_str), "verdicts") {
            near if near.starts_with("did you mean") => near,
            _ => "firedrill verify --dry-run lists the verdicts".to_owned(),
        };
        Err(Failure::new(Exit::Usage, stack.error(keys, what, hint)))
    };
    for (at, waiver) in subject.declaration.waivers.iter().enumerate() {
        if !asked.contains(&waiver.verdict) {
            let what =
                format!("the waiver of {} is for a verdict that nobody asks for", waiver.verdict);
            return refuse(&["waivers", &at.to_string(), "verdict"], &waiver.verdict, what);
        }
    }
    for (at, optional) in subject.declaration.optional.iter().enumerate() {
        if let Some((nth, unknown)) =
            optional.verdicts.iter().enumerate().find(|(_, id)| !asked.contains(*id))
        {
            let what = format!("optional: verdicts: nobody asks for the verdict {unknown}");
            return refuse(
                &["optional", &at.to_string(), "verdicts", &nth.to_string()],
                unknown,
                what,
            );
        }
    }
    Ok(())
}

/// A stack that runs.
pub struct LiveStack {
    /// What it was asked for.
    pub options: Options,
    /// The engine.
    pub engine: Engine,
    /// What runs.
    pub running: Running,
    /// What was added to services of the Compose file.
    pub(crate) additions: BTreeMap<String, ServiceOverride>,
    /// The stack as it was read.
    pub read: LoadedStack,
    journal: Journal,
    reaper: Option<Reaper>,
    progress: Progress,
    interrupt: Interrupt,
    images: BTreeMap<String, String>,
    deviations: Vec<Deviation>,
    /// What happened on the way up, told again at the beginning of each run's history.
    prologue: Mutex<Vec<EventKind>>,
    times: Times,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    clock: RunClock,
    images: (history::At, history::At),
    up: (history::At, history::At),
}

/// Brings a stack up and carries out its first run, in which it is seen whether scrapes bear the
/// time scale. Where they don't, a scale that was asked for is refused with the largest that works,
/// and the declared one is lowered: the stack is brought up anew, with the plan that `plan` makes
/// for it. The stack stays up, also if the run failed.
///
/// # Errors
/// The plan or the scale is wrong, or the stack does not come up; nothing is left then.
pub async fn up_and_run(
    options: &Options,
    plan: impl Fn(&Options) -> Result<Plan, Failure>,
) -> Result<(LiveStack, Result<Outcome, Failure>), Failure> {
    let mut options = options.clone();
    loop {
        let (live, planned) = up_planned(&options, &plan).await?;
        options.unavailable.clone_from(&live.options.unavailable);
        let steady_state = live.read.subject.declaration.steady_state.clone();
        let p99 = match live.carry_out(&planned, steady_state, true).await {
            Ok(Ran::Done(outcome)) => return Ok((live, Ok(*outcome))),
            Ok(Ran::ScaleTooHigh(p99)) => p99,
            Err(failure) => return Ok((live, Err(failure))),
        };
        options.scrapes.extend(p99);
        // Each time the scale is smaller, and at 1 nothing is asked.
        let lowered = options.read().map(|read| {
            live.progress.say(&format!(
                "scrapes take more than half of their timeout at time scale {}: once more at {}",
                live.read.scaled.scale, read.scaled.scale
            ));
        });
        live.down().await?;
        lowered?;
    }
}

impl LiveStack {
    /// Brings the stack up, without the optional services whose image can't be had.
    ///
    /// # Errors
    /// Its files are wrong, the machine is unfit, an image can't be had, a service does not become
    /// ready. Nothing is left then.
    pub async fn up(options: &Options) -> Result<LiveStack, Failure> {
        Ready::obtain(options, &Plan::default()).await?.up().await
    }

    /// The clock that its runs are recorded by.
    pub fn clock(&self) -> RunClock {
        self.times.clock
    }

    /// Leaves it running when this program ends.
    ///
    /// # Errors
    /// That can't be written down.
    pub async fn keep(mut self, console: &dyn Console) -> Result<(), Failure> {
        self.running.kept = true;
        self.running.save(&self.journal).map_err(|e| Failure::new(e.exit(), e))?;
        if let Some(reaper) = self.reaper.take() {
            self.interrupt.reaper_watches(false);
            reaper.dismiss();
        }
        let (run, stack) = (&self.running.run, &self.running.stack);
        console.line(&format!(
            "the stack stays up as run {run}\nhint: firedrill down {stack} removes it"
        ));
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// Something could not be removed.
    pub async fn down(mut self) -> Result<(), Failure> {
        stack::remove_run(Some(&self.engine), &self.journal, &self.running.run)
            .await
            .map_err(|e| Failure::new(e.exit(), e))?;
        if let Some(reaper) = self.reaper.take() {
            reaper.dismiss();
        }
        Ok(())
    }

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
    async fn carry_out(
        &self,
        plan: &Plan,
        steady_state: SteadyState,
        judge_scrapes: bool,
    ) -> Result<Ran, Failure> {
        let id = run_id(self.options.seed);
        let folder = self.options.common.report.join(&id);
        std::fs::create_dir_all(&folder).map_err(|e| {
            Failure::new(
                Exit::Usage,
                format!("{}: {e}\nhint: name another folder with --report", folder.display()),
            )
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
        let driven = session.drive(plan).await;
        if let Some(follower) = follower {
            follower.abort();
        }
        recorder.tap(None);
        if let Some(annotations) = annotations {
            annotated(&recorder, self.interrupt.unless(annotations.end()).await)?;
        }
        recorder.end(driven.is_ok(), driven.as_ref().err().map(ToString::to_string))?;
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
            let declared = AlertEvent::Declared {
                receiver: receiver.name.clone(),
                protocol: receiver.protocol,
                host: receiver.host.clone(),
                path: receiver.path.clone(),
            };
            recorder.write(EventKind::Alert(declared))?;
        }
        for event in self.prologue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter()
        {
            recorder.write(event.clone())?;
        }
        Ok(())
    }

    fn follow(&self, recorder: &Recorder, inbox: &Inbox) -> Option<tokio::task::JoinHandle<()>> {
        let port = *self.running.services.get(STAND_INS)?.ports.get(&receiver::CONTROL_PORT)?;
        let (recorder, inbox) = (recorder.clone(), inbox.clone());
        Some(tokio::spawn(async move {
            // A run on a stack that others ran on before must not see what was for them.
            let client = receiver::Client::new(port);
            let latest = client.latest().await.unwrap_or(0);
            follow(recorder, inbox, client.follow_from(latest).map(|r| r.notification)).await;
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
        let connect = |role: &Option<Role>| {
            let role = role.as_ref()?;
            let port = *self.running.services.get(&role.service)?.ports.get(&role.port)?;
            probe::connect(role, port, clock).ok()
        };
        let roles = &declaration.roles;
        let probes = Probes {
            metrics: connect(&roles.metrics),
            alerting: connect(&roles.alerting),
            dashboards: self.dashboards(clock, &declaration),
            logs: connect(&roles.logs),
            traces: connect(&roles.traces),
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

/// The monitoring files as the stack runs with them; none at time scale 1, which runs the
/// configuration untouched.
fn at_scale(read: &LoadedStack) -> Vec<RenderedFile> {
    if read.scaled.scale == 1.0 { Vec::new() } else { read.scaled.config.render() }
}

/// Those of them that are files in the stack's folder, by path relative to it.
pub(crate) fn rendered(read: &LoadedStack) -> BTreeMap<String, String> {
    let relative = |p: &Path| {
        p.strip_prefix(&read.stack.folder).ok().map(|p| p.to_string_lossy().into_owned())
    };
    at_scale(read)
        .into_iter()
        .filter(|f| f.within.is_none())
        .filter_map(|f| Some((relative(&f.original)?, f.text)))
        .collect()
}

pub(crate) fn run_id(seed: u64) -> String {
    // Time first, so that runs sort by it; the seed's end tells two of one second apart, the
    // process two of one seed.
    let now = jiff::Zoned::now().strftime("%m%d-%H%M%S").to_string();
    format!(
        "{now}-{:04x}",
        (seed ^ u64::from(std::process::id()) ^ u64::from(rand::random::<u16>())) & 0xffff
    )
}
