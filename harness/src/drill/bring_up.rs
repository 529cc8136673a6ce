//! From a stack's name to a stack that runs: read, scaled, contained, images made, containers up, stand-ins followed, backends
//! connected. Several runs may follow one another on it; each has a record of its own.

use super::{Inbox, Probes, Session, follow};
use crate::authority::Authority;
use crate::binaries::Binaries;
use crate::cli::{Common, Failure};
use crate::clock::RunClock;
use crate::declaration::{Declaration, HostPorts, Role, SteadyState};
use crate::engine::Engine;
use crate::engine::spec::{Attachment, ContainerSpec, FileSpec, HealthcheckSpec, PortSpec};
use crate::exit::Exit;
use crate::features::{self, Selection};
use crate::home::Home;
use crate::image::{Catalogue, Images};
use crate::interrupt::Interrupt;
use crate::journal::Journal;
use crate::plan::Plan;
use crate::probe;
use crate::progress::Progress;
use crate::reaper::Reaper;
use crate::receiver;
use crate::record::{self, Recorder};
use crate::report::{self, Report, RunFile};
use crate::sabotage::{Apply, Sabotage};
use crate::stack::{self, Addition, Running, WorkCopy};
use crate::subject::{self, Read};
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use verdict::history::alert::AlertEvent;
use verdict::history::run::{Phase, RunEvent};
use verdict::history::stack::StackEvent;
use verdict::{EventKind, history};

/// Service name of the stand-ins' container.
const STAND_INS: &str = "firedrill-receivers";
/// Where the run's authority is put into containers that trust it.
const AUTHORITY_PATH: &str = "/etc/firedrill/ca.pem";
/// Longest time from a service's start until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(180);

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
        let command = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        Options { stack: stack.into(), common: common.clone(), seed, home: Home::find(), command }
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
    pub fn read(&self) -> Result<Read, Failure> {
        subject::read(&self.stack, &self.home, self.common.time_scale).map_err(|e| Failure::new(e.exit(), e))
    }

    /// Whether reports can be written where they are to go, so that this is known before a stack is up for nothing.
    ///
    /// # Errors
    /// They can't.
    pub fn check_report(&self) -> Result<(), Failure> {
        let folder = &self.common.report;
        let tried = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        tried.map(drop).map_err(|e| {
            Failure::new(
                Exit::Usage,
                format!("reports can't be written to {}: {e}\nhint: name another folder with --report", folder.display()),
            )
        })
    }

    /// Name of the stack, as its declaration states it.
    ///
    /// # Errors
    /// Its files are wrong.
    pub fn stack_name(&self) -> Result<String, Failure> {
        Ok(self.read()?.stack.name().to_owned())
    }

    /// Name of the stack, or the word that was given for it if its files can't be read any more: that must not keep what runs
    /// from being removed.
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
        let mut plan = features::plan(&read.features, &subject, &selection).map_err(|e| Failure::new(Exit::Usage, e))?;
        // The roll-call is about the whole: a selection by tags can't answer it.
        if self.common.tags.is_empty() {
            plan.required = read.required;
        }
        Ok(plan)
    }
}

/// A stack that runs.
pub struct Live {
    /// What it was asked for.
    pub options: Options,
    /// The engine.
    pub engine: Engine,
    /// What runs.
    pub running: Running,
    /// The stack as it was read.
    pub read: Read,
    journal: Journal,
    reaper: Option<Reaper>,
    progress: Progress,
    interrupt: Interrupt,
    images: BTreeMap<String, String>,
    deviations: Vec<(String, String)>,
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

impl Live {
    /// Brings the stack up.
    ///
    /// # Errors
    /// Its files are wrong, the machine is unfit, an image can't be had, a service does not become ready. Nothing is left then.
    pub async fn up(options: &Options) -> Result<Live, Failure> {
        let interrupt = Interrupt::listen().map_err(|e| Failure::new(Exit::Defect, format!("signals can't be listened to: {e}")))?;
        let clock = RunClock::begin();
        let progress = Progress::new(options.common.quiet);
        progress.say(&format!("seed {}", options.seed));
        let read = options.read()?;
        options.check_report()?;
        if read.subject.declaration.ports == HostPorts::AsWritten {
            stack::plan_ports(&read.stack, &read.stack.project, &[], "look").map_err(|e| Failure::new(e.exit(), e))?;
        }
        let stopped = || Failure::new(Exit::Interrupted, "interrupted; nothing was started");
        let engine = interrupt
            .unless(crate::provision::engine(options.common.provision, &|line: &str| progress.say(line)))
            .await
            .ok_or_else(stopped)?;
        let engine = engine.map_err(|e| Failure::new(e.exit(), e))?;
        let journal = Journal::of_user();
        let images_from = clock.now();
        let mut deviations = read.deviations.clone();
        let (images, own) = interrupt.unless(images(options, &engine, &read, &progress, &mut deviations)).await.ok_or_else(stopped)??;
        let images_to = clock.now();
        let run = run_id(options.seed);
        let reaper = if options.common.keep { None } else { Some(Reaper::spawn(&run).map_err(|e| Failure::new(Exit::Defect, e))?) };
        interrupt.reaper_watches(reaper.is_some());
        let up_from = clock.now();
        progress.say(&format!("run {run}: {} services", read.subject.services.len()));
        let brought = interrupt.unless(bring(&engine, &journal, &read, &run, &images, &own, options.common.keep, &progress)).await;
        let Some(brought) = brought else {
            stack::remove_run(Some(&engine), &journal, &run).await.map_err(|e| {
                Failure::new(
                    Exit::Interrupted,
                    format!("interrupted, and what was started could not be removed: {e}\nhint: firedrill down --all tries again"),
                )
            })?;
            if let Some(reaper) = reaper {
                reaper.dismiss();
            }
            return Err(Failure::new(Exit::Interrupted, "interrupted; what was started is removed"));
        };
        let (running, prologue) = brought?;
        deviations.extend(running.deviations.iter().map(|d| (d.what.clone(), d.why.clone())));
        let times = Times { clock, images: (images_from, images_to), up: (up_from, clock.now()) };
        progress.say(&format!("up after {:.1} s", running.up_s));
        Ok(Live {
            options: options.clone(),
            engine,
            running,
            read,
            journal,
            reaper,
            progress,
            interrupt,
            images,
            deviations,
            prologue: Mutex::new(prologue),
            times,
        })
    }

    /// The clock that its runs are recorded by.
    pub fn clock(&self) -> RunClock {
        self.times.clock
    }

    /// Leaves it running when this program ends.
    ///
    /// # Errors
    /// That can't be written down.
    pub async fn keep(mut self) -> Result<(), Failure> {
        self.running.kept = true;
        self.running.save(&self.journal).map_err(|e| Failure::new(e.exit(), e))?;
        if let Some(reaper) = self.reaper.take() {
            self.interrupt.reaper_watches(false);
            reaper.dismiss();
        }
        println!("the stack stays up as run {}\nhint: firedrill down {} removes it", self.running.run, self.running.stack);
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// Something could not be removed.
    pub async fn down(mut self) -> Result<(), Failure> {
        stack::remove_run(Some(&self.engine), &self.journal, &self.running.run).await.map_err(|e| Failure::new(e.exit(), e))?;
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

    /// The same with another steady state: a stack that was broken on purpose need not reach the usual one.
    ///
    /// # Errors
    /// As [`Live::run`].
    pub async fn run_with(&self, plan: &Plan, steady_state: SteadyState) -> Result<Outcome, Failure> {
        let id = run_id(self.options.seed);
        let folder = self.options.common.report.join(&id);
        std::fs::create_dir_all(&folder)
            .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}\nhint: name another folder with --report", folder.display())))?;
        let recorder = Recorder::begin(&folder, self.times.clock)?;
        self.prologue(&recorder, &id)?;
        let mut declaration = self.read.subject.declaration.clone();
        declaration.steady_state = steady_state;
        let file = RunFile {
            versions: self.versions(),
            replay: self.replay(),
            declaration: declaration.clone(),
            plan: plan.clone(),
            day: jiff::Zoned::now().date().to_string(),
        };
        record::write_json(&folder, "run.json", &file)?;
        let inbox = Inbox::default();
        let follower = self.follow(&recorder, &inbox);
        let mut session = self.session(&id, recorder.clone(), inbox, declaration);
        let driven = session.drive(plan).await;
        if let Some(follower) = follower {
            follower.abort();
        }
        recorder.end(driven.is_ok(), driven.as_ref().err().map(ToString::to_string))?;
        // A run that was cut short is reported as such, whatever else is said about it.
        let report = report::write_all(&folder);
        if let Err(e @ (super::Error::Interrupted | super::Error::Configuration(_) | super::Error::Record(_))) = driven {
            return Err(e.into());
        }
        Ok(Outcome { folder, report: report? })
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
        for (phase, (from, to)) in [(Phase::Images, self.times.images), (Phase::Up, self.times.up)] {
            recorder.write_at(EventKind::Run(RunEvent::PhaseBegan { phase }), from)?;
            recorder.write_at(EventKind::Run(RunEvent::PhaseEnded { phase }), to)?;
        }
        for (what, why) in &self.deviations {
            run(RunEvent::Deviation { what: what.clone(), why: why.clone() })?;
        }
        for optional in self.read.subject.declaration.optional.iter().filter(|o| self.read.subject.left_out.contains_key(&o.service)) {
            for verdict in optional.verdicts.iter().cloned().chain([format!("optional.{}", optional.service)]) {
                run(RunEvent::Skipped { verdict, reason: optional.why.clone() })?;
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
        for event in self.prologue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
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

    fn session(&self, run: &str, recorder: Recorder, inbox: Inbox, declaration: Declaration) -> Session {
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
            dashboards: connect(&roles.dashboards),
            logs: connect(&roles.logs),
            traces: connect(&roles.traces),
        };
        let evaluation = self.read.scaled.config.prometheus.first().map_or(1.0, |p| p.config.view.global.evaluation_interval.as_secs_f64());
        Session::new(super::Parts {
            engine: self.engine.clone(),
            running: self.running.clone(),
            run: run.to_owned(),
            seed: self.options.seed,
            declaration,
            evaluation_s: evaluation,
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
        own.into_iter().chain(self.images.iter().map(|(service, image)| (format!("image of {service}"), image.clone()))).collect()
    }

    fn replay(&self) -> String {
        let command = &self.options.command;
        let seed = if command.contains("--seed") { String::new() } else { format!(" --seed {}", self.options.seed) };
        format!("firedrill {command}{seed}").replace("  ", " ")
    }

    /// Breaks the running stack's monitoring.
    ///
    /// # Errors
    /// The overlay does not fit the stack, or the stack can't take it over.
    pub async fn apply(&self, sabotage: &Sabotage) -> Result<(), Failure> {
        let broken = tempfile::tempdir().map_err(|e| Failure::new(Exit::Unfit, e))?;
        copy_tree(&self.read.stack.folder, broken.path())?;
        for change in &sabotage.changes {
            let path = broken.path().join(&change.file);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| Failure::new(Exit::Usage, format!("sabotage {}: {}: {e}", sabotage.name, change.file)))?;
            let text = change.apply(&text).map_err(|e| Failure::new(Exit::Usage, format!("sabotage {}: {e}", sabotage.name)))?;
            std::fs::write(&path, text).map_err(|e| Failure::new(Exit::Unfit, e))?;
        }
        self.take_over(broken.path(), sabotage).await
    }

    /// Takes a sabotage back.
    ///
    /// # Errors
    /// The stack can't take it over.
    pub async fn restore(&self, sabotage: &Sabotage) -> Result<(), Failure> {
        self.take_over(&self.read.stack.folder, sabotage).await
    }

    /// Writes the changed files of a source folder into the work copy, at the time scale, and lets the stack take them over.
    async fn take_over(&self, source: &Path, sabotage: &Sabotage) -> Result<(), Failure> {
        let failed = |e: stack::StackError| Failure::new(e.exit(), e);
        let work = self.running.work_copy();
        let rendered = rendered(source, self);
        let files: BTreeSet<&str> = sabotage.changes.iter().map(|c| c.file.as_str()).collect();
        for file in files {
            let text = match rendered.get(file) {
                Some(text) => text.clone(),
                None => std::fs::read_to_string(source.join(file)).map_err(|e| Failure::new(Exit::Usage, format!("{file}: {e}")))?,
            };
            work.write(file, text).map_err(failed)?;
        }
        for apply in &sabotage.apply {
            match apply {
                Apply::Reload(service) => self.reload(service).await?,
                Apply::Recreate(service) => self.recreate(service).await?,
                Apply::Request(request) => self.request(request, &work).await?,
            }
        }
        Ok(())
    }

    /// Asks a server to reload, by HTTP. That it refuses is for the verdicts to find.
    async fn reload(&self, service: &str) -> Result<(), Failure> {
        let roles = &self.read.subject.declaration.roles;
        let all = [&roles.metrics, &roles.alerting, &roles.dashboards, &roles.collector];
        let role = all.into_iter().flatten().find(|r| r.service == service);
        let url = role.and_then(|r| self.running.url(service, r.port)).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{service} has no role with a published port, so it can't be asked to reload"))
        })?;
        let answered = reqwest::Client::new().post(format!("{url}/-/reload")).timeout(Duration::from_secs(10)).send().await;
        answered.map(drop).map_err(|e| Failure::new(Exit::Unknown, format!("{service} does not answer: {e}")))
    }

    async fn request(&self, request: &crate::sabotage::Request, work: &WorkCopy) -> Result<(), Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let parsed = request.to.rsplit_once(':').and_then(|(s, p)| self.running.url(s, p.parse().ok()?));
        let url = parsed.ok_or_else(|| usage(format!("{} has no published port", request.to)))?;
        let method = request.method.parse().map_err(|_| usage(format!("{} is no method", request.method)))?;
        let mut call = reqwest::Client::new()
            .request(method, format!("{url}{}", request.path))
            .timeout(Duration::from_secs(20))
            .header("content-type", "application/json");
        if let Some(body) = &request.body {
            call = call.body(work.read(body).map_err(|e| Failure::new(e.exit(), e))?);
        }
        let answer = call.send().await.map_err(|e| Failure::new(Exit::Unknown, e))?;
        let status = answer.status();
        // What a request removes may be gone already.
        if status.is_success() || (request.method == "DELETE" && status.as_u16() == 404) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Unknown,
            format!("{} {}{} was answered {status}: {}", request.method, request.to, request.path, answer.text().await.unwrap_or_default()),
        ))
    }

    /// Makes a service's container anew from the work copy's Compose file, at its old ports.
    async fn recreate(&self, service: &str) -> Result<(), Failure> {
        stack::recreate(&self.engine, &self.read.stack, &self.running, service, flags(&self.read).get(service))
            .await
            .map_err(|e| Failure::new(e.exit(), e))
    }
}

/// The monitoring files of a source folder at the stack's time scale, by path relative to it; nothing if they can't be parsed,
/// as a sabotage may want it.
fn rendered(source: &Path, live: &Live) -> BTreeMap<String, String> {
    let Ok(read) = subject::read(&source.to_string_lossy(), &live.options.home, Some(live.read.scaled.scale)) else {
        return BTreeMap::new();
    };
    by_path(&read)
}

fn by_path(read: &Read) -> BTreeMap<String, String> {
    let relative = |p: &Path| p.strip_prefix(&read.stack.folder).ok().map(|p| p.to_string_lossy().into_owned());
    read.scaled.config.render().into_iter().filter_map(|f| Some((relative(&f.original)?, f.text))).collect()
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::Unfit, e);
    std::fs::create_dir_all(to).map_err(failed)?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed)?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target).map_err(failed)?;
        }
    }
    Ok(())
}

fn run_id(seed: u64) -> String {
    // Time first, so that runs sort by it; the seed's end tells two of one second apart, the process two of one seed.
    let now = jiff::Zoned::now().strftime("%m%d-%H%M%S").to_string();
    format!("{now}-{:04x}", (seed ^ u64::from(std::process::id()) ^ u64::from(rand::random::<u16>())) & 0xffff)
}

/// Every image that the stack needs: service to reference, and the reference of our own binary's.
async fn images(
    options: &Options,
    engine: &Engine,
    read: &Read,
    progress: &Progress,
    deviations: &mut Vec<(String, String)>,
) -> Result<(BTreeMap<String, String>, String), Failure> {
    let unfit = |e: crate::image::Error| Failure::new(Exit::Unfit, e);
    let catalogue = Catalogue::load(&options.home.images()).map_err(unfit)?;
    let images = Images::new(&engine.docker, &catalogue, options.common.report.join("images"));
    let mapped = |image: &str| read.subject.declaration.images.get(image).cloned().unwrap_or_else(|| image.to_owned());
    let services: BTreeMap<&String, String> =
        read.stack.project.services.iter().filter_map(|(n, s)| Some((n, mapped(s.image.as_deref()?)))).collect();
    let is_apps = |image: &str| image == "firedrill/apps" || image.starts_with("firedrill/apps:");
    let wanted: BTreeSet<&str> = services.values().map(String::as_str).filter(|i| !is_apps(i)).collect();
    let wanted: Vec<&str> = wanted.into_iter().chain(["base-bookworm"]).collect();
    let ready = images.ensure(&wanted, options.common.images.into(), &|p| progress.say(&p.to_string())).await.map_err(unfit)?;
    let mut references: BTreeMap<&str, &str> = BTreeMap::new();
    for image in &ready {
        references.insert(&image.wanted, &image.reference);
        if let Some(deviation) = &image.deviation {
            deviations.push((deviation.clone(), format!("images come from {}", image.origin)));
        }
    }
    let binaries = Binaries::built(&options.home, progress).await.map_err(|e| Failure::new(Exit::Unfit, e))?;
    let own = images.ensure_own("firedrill", &binaries.firedrill, &[]).await.map_err(unfit)?.reference;
    let mut apps = String::new();
    if services.values().any(|i| is_apps(i)) {
        apps = images.ensure_own("apps", &binaries.apps, &[]).await.map_err(unfit)?.reference;
    }
    let of = |image: &String| {
        if is_apps(image) { apps.clone() } else { references.get(image.as_str()).map_or_else(|| image.clone(), |r| (*r).to_owned()) }
    };
    Ok((services.iter().map(|(name, image)| ((*name).clone(), of(image))).collect(), own))
}

/// Work copy, configuration at the time scale, stand-ins, containers.
async fn bring(
    engine: &Engine,
    journal: &Journal,
    read: &Read,
    run: &str,
    images: &BTreeMap<String, String>,
    own: &str,
    kept: bool,
    progress: &Progress,
) -> Result<(Running, Vec<EventKind>), Failure> {
    let failed = |e: stack::StackError| Failure::new(e.exit(), e);
    let work = WorkCopy::make(journal, &read.stack, run).map_err(failed)?;
    if read.scaled.scale != 1.0 {
        for (path, text) in by_path(read) {
            work.write(&path, text).map_err(failed)?;
        }
    }
    let mut additions = flags(read);
    let declaration = &read.subject.declaration;
    let mut extra_services = Vec::new();
    if !declaration.receivers.is_empty() {
        let authority = Authority::new().map_err(|e| Failure::new(Exit::Defect, e))?;
        let config = receiver::Config::new(declaration.receivers.clone(), &authority).map_err(|e| Failure::new(Exit::Defect, e))?;
        extra_services.push(stand_ins(own, &config)?);
        if let Some(alerting) = &declaration.roles.alerting {
            let addition = additions.entry(alerting.service.clone()).or_default();
            addition.files.push(FileSpec::readable(AUTHORITY_PATH, authority.ca_pem()));
            addition.env.insert("SSL_CERT_FILE".into(), AUTHORITY_PATH.into());
        }
    }
    let prologue = Mutex::new(Vec::new());
    let tell = |event: StackEvent| {
        if let StackEvent::Ready { service, after_s, .. } = &event {
            progress.say(&format!("ready: {service} ({after_s:.1} s)"));
        }
        prologue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(EventKind::Stack(event));
    };
    let request = stack::Up {
        engine,
        journal,
        stack: &read.stack,
        work: &work,
        images: images.clone(),
        extra_services,
        additions,
        ports: None,
        ready_within: READY_WITHIN,
        kept,
        on_event: &tell,
    };
    let running = stack::up(request).await.map_err(failed)?;
    let events = prologue.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok((running, events))
}

/// What the time scale adds to the commands and settings of servers.
fn flags(read: &Read) -> BTreeMap<String, Addition> {
    let mut additions: BTreeMap<String, Addition> = BTreeMap::new();
    for flag in &read.scaled.flags {
        let Some(service) = read.stack.project.services.get(&flag.service) else { continue };
        let addition = additions.entry(flag.service.clone()).or_default();
        if read.scaled.config.elasticsearch.iter().any(|e| e.service == flag.service) {
            addition.env.insert(flag.name.clone(), flag.value.clone());
            continue;
        }
        let command = addition.command.get_or_insert_with(|| service.command.clone().unwrap_or_default());
        let given = |c: &String| c.trim_start_matches('-').split('=').next() == Some(flag.name.as_str());
        command.retain(|c| !given(c));
        command.push(format!("--{}={}", flag.name, flag.value));
    }
    additions
}

/// The container of the stand-ins: our own binary, known by the hosts' names.
fn stand_ins(image: &str, config: &receiver::Config) -> Result<ContainerSpec, Failure> {
    let defect = |e: serde_json::Error| Failure::new(Exit::Defect, e);
    let health = format!("http://127.0.0.1:{}/health", receiver::CONTROL_PORT);
    Ok(ContainerSpec {
        service: STAND_INS.into(),
        image: image.into(),
        command: Some(vec!["receivers".into(), "--config".into(), receiver::CONFIG_PATH.into()]),
        networks: vec![Attachment { network: String::new(), aliases: receiver::hosts(&config.receivers), ipv4: None }],
        ports: vec![PortSpec { container: receiver::CONTROL_PORT, host: 0, udp: false }],
        files: vec![FileSpec::readable(receiver::CONFIG_PATH, serde_json::to_vec(config).map_err(defect)?)],
        healthcheck: Some(HealthcheckSpec {
            test: vec!["CMD".into(), "wget".into(), "-q".into(), "--spider".into(), health],
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            retries: 20,
            start_period: Duration::ZERO,
            start_interval: Duration::ZERO,
        }),
        ..ContainerSpec::default()
    })
}
