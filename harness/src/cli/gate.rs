//! `firedrill gate [GATE]`: commands one after the other, with one exit code and one report.

use super::{Cli, Command, Common, Failure, Format};
use crate::baseline::host::Host;
use crate::drill::bring_up::{Options, run_id};
use crate::exit::Exit;
use crate::gate::outcome::{self, Outcome};
use crate::gate::report::{Made, Ran, Report, StepReport};
use crate::gate::{Filled, Gate, Otherwise, Step, child, usable};
use crate::home::Home;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use clap::Parser;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of `gate`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The exit code is the worst of the steps': 130 interrupted · 70 defect · 64 usage · 1 fail · 3 unfit · 2 unknown · 0 pass. \
A step that was not begun makes it unknown at best."
)]
pub struct Arguments {
    /// Name of a gate under scenarios (release, nightly), or a file.
    #[arg(default_value = "release")]
    gate: String,
    /// Stack, instead of the one that the file states: a name under compose/stacks, or a folder.
    #[arg(long, value_name = "STACK")]
    stack: Option<String>,
    /// Hours that the steps divide among them, instead of those that the file states; 0.1 tries it out.
    #[arg(long, value_name = "H")]
    hours: Option<f64>,
    /// Print the command lines and run nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What all steps share.
struct Running<'a> {
    gate: &'a Gate,
    name: String,
    stack: String,
    hours: Option<f64>,
    seed: u64,
    folder: PathBuf,
    common: &'a Common,
    interrupt: Interrupt,
    progress: Progress,
    /// Drills of the stack, drawn by seed; none unless a step asks for them.
    drills: Vec<String>,
}

/// Runs it.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    if common.keep {
        return Err(Failure::new(Exit::Usage, "--keep: a gate leaves nothing running\nhint: firedrill up keeps a stack"));
    }
    let path = Gate::find(&arguments.gate, &Home::find().scenarios())?;
    let gate = Gate::read(&path)?;
    if let Some(hours) = arguments.hours.filter(|h| !usable(*h) || gate.hours.is_none()) {
        let why = if gate.hours.is_none() { "its file states no `hours` to divide" } else { "wanted above 0 and at most 1000" };
        return Err(Failure::new(Exit::Usage, format!("--hours {hours}: {why}\nhint: as in --hours 0.1")));
    }
    let stack = arguments.stack.clone().unwrap_or_else(|| gate.stack.clone());
    let options = Options::new(&stack, common);
    if gate.steps.iter().any(|s| s.run.contains("{stack}")) {
        options.read()?;
    }
    let mut drills = Vec::new();
    if gate.steps.iter().any(Step::draws_drills) {
        drills = super::alerts::plan(&options)?.drills.into_iter().map(|d| d.scenario.name).collect();
        drills.sort();
        drills.shuffle(&mut rand::rngs::StdRng::seed_from_u64(options.seed));
        if drills.is_empty() {
            let hint = "hint: drills are the files of its folder `scenarios`";
            return Err(Failure::new(Exit::Usage, format!("stack {stack} has no drills for {{drill}} to stand for\n{hint}")));
        }
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut running = Running {
        gate: &gate,
        name,
        stack,
        hours: arguments.hours.or(gate.hours),
        seed: options.seed,
        folder: PathBuf::new(),
        common,
        interrupt: Interrupt::listen().map_err(|e| Failure::new(Exit::Defect, format!("signals can't be listened to: {e}")))?,
        progress: Progress::new(common.quiet),
        drills,
    };
    if arguments.dry_run {
        return running.print();
    }
    options.check_report()?;
    let id = run_id(options.seed);
    running.folder = common.report.join(&id);
    let report = running.steps(id).await?;
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default()),
        Format::Text => {
            print!("{}", report.text());
            println!("report: {}", running.folder.join("index.html").display());
        }
    }
    Ok(outcome::exit_of(Some(report.exit)))
}

/// Whether a gate may have this command line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_line(words: &[String]) -> Result<(), String> {
    let line = ["firedrill".to_owned()].into_iter().chain(words.iter().cloned());
    let cli = Cli::try_parse_from(line).map_err(|e| {
        let told = e.to_string();
        let told: Vec<&str> = told.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("Usage:")).collect();
        told.first().map_or("it can't be read", |l| l.trim_start_matches("error: ")).to_owned()
    })?;
    for option in ["--report", "--keep", "--quiet", "-q", "--format", "--provision", "--images"] {
        if words.iter().any(|w| w == option || w.starts_with(&format!("{option}="))) {
            return Err(format!("{option} is the gate's own\nhint: give it to firedrill gate"));
        }
    }
    let judges = "verify, alerts, run, load, selftest, baseline check, lint, judge and doctor do";
    match cli.command {
        Some(Command::Baseline(super::baseline::Command::Record { .. })) => Err(format!("baseline record judges nothing\nhint: {judges}")),
        Some(
            Command::Verify(_)
            | Command::Alerts(_)
            | Command::Run(_)
            | Command::Load(_)
            | Command::Selftest(_)
            | Command::Baseline(_)
            | Command::Lint(_)
            | Command::Judge(_)
            | Command::Doctor,
        ) => Ok(()),
        _ => Err(format!("{} judges nothing\nhint: {judges}", words.first().map_or("nothing", String::as_str))),
    }
}

impl Running<'_> {
    fn share(&self, step: &Step) -> Option<Duration> {
        Some(Duration::from_secs_f64(self.hours? * 3600.0 * step.share?))
    }

    /// The words of the n-th run of a step.
    fn words(&self, step: &Step, n: usize) -> Vec<String> {
        let drill = (!self.drills.is_empty()).then(|| self.drills[n % self.drills.len()].as_str());
        let mut words = step.words(Filled { stack: &self.stack, share: self.share(step), drill });
        // What was asked of the gate is asked of its steps.
        if let Some(scale) = self.common.time_scale {
            if let Some(at) = words.iter().position(|w| w == "--time-scale") {
                words.drain(at..(at + 2).min(words.len()));
            }
            words.extend(["--time-scale".into(), scale.to_string()]);
        }
        // A profile is one of the stack's.
        if words.contains(&self.stack) {
            words.extend(self.common.profiles.iter().flat_map(|p| ["--profile".to_owned(), p.clone()]));
        }
        if !words.iter().any(|w| w == "--seed" || w.starts_with("--seed=")) {
            words.extend(["--seed".into(), (self.seed + n as u64).to_string()]);
        }
        words
    }

    fn print(&self) -> Result<Exit, Failure> {
        println!("gate {} of {}: {}", self.name, self.stack, self.gate.about);
        for (n, step) in self.gate.steps.iter().enumerate() {
            let share = self.share(step).map(|s| format!(", for {:.0} s", s.as_secs_f64())).unwrap_or_default();
            let (again, then) = (
                if step.repeats() { " again and again" } else { "" },
                if step.otherwise == Otherwise::Stop { "; nothing follows if it does not pass" } else { "" },
            );
            println!("{:>2} {:<12} firedrill {}{again}{share}{then}", n + 1, step.name, self.words(step, 0).join(" "));
        }
        Ok(Exit::Pass)
    }

    async fn steps(&self, id: String) -> Result<Report, Failure> {
        let (began, steps) = (Instant::now(), &self.gate.steps);
        let row = |step: &Step| StepReport {
            name: step.name.clone(),
            run: step.run.clone(),
            outcome: Outcome::NotRun,
            because: None,
            ran: Vec::new(),
        };
        let mut report = Report {
            id,
            gate: self.name.clone(),
            about: self.gate.about.clone(),
            stack: self.stack.clone(),
            seed: self.seed,
            hours: self.hours,
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            duration_s: 0.0,
            firedrill: env!("CARGO_PKG_VERSION").into(),
            host: Host::here(),
            exit: Exit::Unknown as i32,
            steps: steps.iter().map(row).collect(),
        };
        self.progress.say(&format!(
            "gate {} of {}, {} steps, seed {}: {}",
            self.name,
            self.stack,
            steps.len(),
            self.seed,
            self.folder.display()
        ));
        let mut stopped: Option<String> = None;
        for (n, step) in steps.iter().enumerate() {
            if let Some(why) = &stopped {
                report.steps[n].because = Some(why.clone());
                continue;
            }
            let ran = self.step(n, step).await?;
            let exits: Vec<Exit> = ran.iter().map(|r| outcome::exit_of(Some(r.exit))).collect();
            let outcome = outcome::of_step(&exits, &step.allow);
            let because = step.because.clone().filter(|_| outcome == Outcome::Allowed);
            (report.steps[n].outcome, report.steps[n].because, report.steps[n].ran) = (outcome, because, ran);
            if self.interrupt.asked() {
                stopped = Some("interrupted before it".into());
            } else if step.otherwise == Otherwise::Stop && !matches!(outcome, Outcome::Pass | Outcome::Allowed) {
                stopped = Some(format!("{} did not pass", step.name));
            }
            // A gate that is killed leaves what it came to until then.
            report.duration_s = began.elapsed().as_secs_f64();
            self.write(&report)?;
        }
        report.duration_s = began.elapsed().as_secs_f64();
        let outcomes: Vec<Outcome> = report.steps.iter().map(|s| s.outcome).collect();
        let exit = outcome::of_gate(&outcomes);
        report.exit = if self.interrupt.asked() { Exit::Interrupted as i32 } else { exit as i32 };
        self.write(&report)?;
        Ok(report)
    }

    /// One step: its runs, one after the other.
    async fn step(&self, n: usize, step: &Step) -> Result<Vec<Ran>, Failure> {
        let (began, share) = (Instant::now(), self.share(step));
        let folder = format!("{:02}-{}", n + 1, step.name.replace(' ', "-"));
        std::fs::create_dir_all(self.folder.join(&folder)).map_err(|e| self.unwritable(&e))?;
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        loop {
            let ran = self.once(&folder, step, all.len(), &mut seen).await?;
            all.push(ran);
            let again = match share.filter(|_| step.repeats()) {
                Some(share) => began.elapsed() < share,
                None => step.draws_drills() && all.len() < self.drills.len(),
            };
            if !again || self.interrupt.asked() {
                return Ok(all);
            }
        }
    }

    async fn once(&self, folder: &str, step: &Step, n: usize, seen: &mut BTreeSet<String>) -> Result<Ran, Failure> {
        let words = self.words(step, n);
        let command = words.join(" ");
        let page =
            (words[0] == "load" && !words.iter().any(|w| w.starts_with("--html"))).then(|| format!("{folder}/load-{:03}.html", n + 1));
        let output = format!("{folder}/output-{:03}.txt", n + 1);
        let into = self.folder.join(folder).display().to_string();
        let mut line = words.clone();
        line.extend(["--report".into(), into]);
        line.extend(page.iter().flat_map(|p| ["--html".to_owned(), self.folder.join(p).display().to_string()]));
        if self.common.provision {
            line.push("--provision".into());
        }
        let images = clap::ValueEnum::to_possible_value(&self.common.images).map(|v| v.get_name().to_owned());
        line.extend(images.into_iter().flat_map(|i| ["--images".to_owned(), i]));
        self.progress.say(&format!("{}: firedrill {command}", step.name));
        let watched = (&self.interrupt, &self.progress);
        let ended =
            child::run(&line, &self.folder.join(&output), &step.name, step.bound(), watched).await.map_err(|e| self.unwritable(&e))?;
        self.progress.say(&format!(
            "{}: {} after {:.0} s",
            step.name,
            outcome::of_step(&[ended.exit], &step.allow).word(),
            ended.took.as_secs_f64()
        ));
        if ended.exit != Exit::Pass {
            ended.last.iter().for_each(|l| self.progress.say(&format!("    {l}")));
        }
        Ok(Ran {
            command,
            exit: ended.exit as i32,
            took_s: ended.took.as_secs_f64(),
            output,
            page: page.filter(|p| self.folder.join(p).is_file()),
            note: ended.note,
            judged: words[0] != "selftest",
            runs: self.made(folder, seen),
        })
    }

    /// The runs that were made since the last look.
    fn made(&self, folder: &str, seen: &mut BTreeSet<String>) -> Vec<Made> {
        let entries = std::fs::read_dir(self.folder.join(folder)).into_iter().flatten().flatten();
        let mut ids: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).filter(|id| !seen.contains(id)).collect();
        ids.sort();
        let made = ids.iter().filter_map(|id| made(&self.folder, &format!("{folder}/{id}"), id)).collect();
        seen.extend(ids);
        made
    }

    fn write(&self, report: &Report) -> Result<(), Failure> {
        crate::record::write_json(&self.folder, "gate.json", report)?;
        let page = report.page().map_err(|e| Failure::new(Exit::Defect, format!("the page can't be made: {e:#}")))?;
        for (name, text) in [("index.html", page), ("summary.txt", report.text()), ("junit.xml", report.junit(&self.folder))] {
            crate::secret::write_file(&self.folder.join(name), &text).map_err(|e| self.unwritable(&e))?;
        }
        Ok(())
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Unfit, format!("{}: {error}\nhint: is there room, and may this user write there?", self.folder.display()))
    }
}

/// What a run came to, if this is a run's folder.
fn made(gate: &Path, folder: &str, id: &str) -> Option<Made> {
    #[derive(serde::Deserialize)]
    struct Brief {
        glance: Glance,
        summary: verdict::summary::Summary,
    }
    #[derive(serde::Deserialize)]
    struct Glance {
        outcome: verdict::Status,
    }
    let brief: Brief = crate::record::read_json(&gate.join(folder), "report.json").ok()?;
    let s = brief.summary;
    Some(Made {
        id: id.to_owned(),
        folder: folder.to_owned(),
        outcome: format!("{:?}", brief.glance.outcome).to_lowercase(),
        verdicts: (s.passed, s.failed, s.unknown),
    })
}
