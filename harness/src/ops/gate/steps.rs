//! The steps of a gate, carried out one after the other.

use super::outcome::{self, Outcome};
use super::report::{Made, Ran, Report, StepReport};
use super::{CheckLine, Filled, Gate, Otherwise, Step, child, usable};
use crate::ops::alerts;
use crate::ops::options::{Options, run_id};
use crate::ops::settings::Common;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::process::home::Home;
use crate::process::host::Host;
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is asked of a gate.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name under scenarios, or its file.
    pub gate: String,
    /// Stack, instead of the one that the file states.
    pub stack: Option<String>,
    /// Hours that the steps divide among them, instead of those that the file states.
    pub hours: Option<f64>,
}

/// A gate that can be run.
pub struct Ready {
    gate: Gate,
    name: String,
    stack: String,
    hours: Option<f64>,
    options: Options,
    folder: PathBuf,
    interrupt: Interrupt,
    progress: Progress,
    /// Drills of the stack, drawn by seed; none unless a step asks for them.
    drills: Vec<String>,
}

/// What a gate came to.
pub struct Ended {
    /// Folder of its report.
    pub folder: PathBuf,
    pub report: Report,
}

impl Ready {
    /// Reads a gate and the stack that its steps name.
    ///
    /// # Errors
    /// The gate or the stack is wrong, or there are no drills for `{drill}` to stand for.
    pub fn read(asked: &Asked, common: &Common, check_line: CheckLine) -> Result<Ready, Failure> {
        if common.keep {
            return Err(Failure::usage("--keep: a gate leaves nothing running")
                .hint("firedrill up keeps a stack"));
        }
        let path = Gate::find(&asked.gate, &Home::find().scenarios())?;
        let gate = Gate::read(&path, check_line)?;
        if let Some(hours) = asked.hours.filter(|h| !usable(*h) || gate.hours.is_none()) {
            let why = if gate.hours.is_none() {
                "its file states no `hours` to divide"
            } else {
                "wanted above 0 and at most 1000"
            };
            return Err(Failure::usage(format!("--hours {hours}: {why}")).hint("as in --hours 0.1"));
        }
        let stack = asked.stack.clone().unwrap_or_else(|| gate.stack.clone());
        let options = Options::new(&stack, common);
        if gate.steps.iter().any(|s| s.run.contains("{stack}")) {
            options.read()?;
        }
        let mut drills = Vec::new();
        if gate.steps.iter().any(Step::draws_drills) {
            drills = alerts::plan(&options)?.drills.into_iter().map(|d| d.scenario.name).collect();
            drills.sort();
            drills.shuffle(&mut rand::rngs::StdRng::seed_from_u64(options.seed));
            if drills.is_empty() {
                return Err(Failure::usage(format!(
                    "stack {stack} has no drills for {{drill}} to stand for"
                ))
                .hint("drills are the files of its folder `scenarios`"));
            }
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let interrupt = Interrupt::listen().map_err(|e| {
            Failure::new(Exit::Defect, format!("signals can't be listened to: {e}"))
        })?;
        let hours = asked.hours.or(gate.hours);
        Ok(Ready {
            gate,
            name,
            stack,
            hours,
            options,
            folder: PathBuf::new(),
            interrupt,
            progress: Progress::new(common.quiet),
            drills,
        })
    }

    fn share(&self, step: &Step) -> Option<Duration> {
        Some(Duration::from_secs_f64(self.hours? * 3600.0 * step.share?))
    }

    /// The words of the n-th run of a step.
    fn words(&self, step: &Step, n: usize) -> Vec<String> {
        let drill = (!self.drills.is_empty()).then(|| self.drills[n % self.drills.len()].as_str());
        let mut words = step.words(Filled { stack: &self.stack, share: self.share(step), drill });
        // What was asked of the gate is asked of its steps.
        if let Some(scale) = self.options.common.time_scale {
            if let Some(at) = words.iter().position(|w| w == "--time-scale") {
                words.drain(at..(at + 2).min(words.len()));
            }
            words.extend(["--time-scale".into(), scale.to_string()]);
        }
        // A profile is one of the stack's.
        if words.contains(&self.stack) {
            words.extend(
                self.options
                    .common
                    .profiles
                    .iter()
                    .flat_map(|p| ["--profile".to_owned(), p.clone()]),
            );
        }
        if !words.iter().any(|w| w == "--seed" || w.starts_with("--seed=")) {
            words.extend(["--seed".into(), (self.options.seed + n as u64).to_string()]);
        }
        words
    }

    /// The steps, with their command lines, one a line.
    pub fn lines(&self) -> String {
        let mut out = format!("gate {} of {}: {}\n", self.name, self.stack, self.gate.about);
        for (n, step) in self.gate.steps.iter().enumerate() {
            let share = self
                .share(step)
                .map(|s| format!(", for {:.0} s", s.as_secs_f64()))
                .unwrap_or_default();
            let (again, then) = (
                if step.repeats() { " again and again" } else { "" },
                if step.otherwise == Otherwise::Stop {
                    "; nothing follows if it does not pass"
                } else {
                    ""
                },
            );
            let words = self.words(step, 0).join(" ");
            out +=
                &format!("{:>2} {:<12} firedrill {words}{again}{share}{then}\n", n + 1, step.name);
        }
        out
    }

    /// Carries the steps out.
    ///
    /// # Errors
    /// Reports can't be written, or a step can't be begun.
    pub async fn run(mut self) -> Result<Ended, Failure> {
        self.options.check_report()?;
        let id = run_id(self.options.seed);
        self.folder = self.options.common.report.join(&id);
        let report = self.steps(id).await?;
        Ok(Ended { folder: self.folder, report })
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
            seed: self.options.seed,
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
            self.options.seed,
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
            (report.steps[n].outcome, report.steps[n].because, report.steps[n].ran) =
                (outcome, because, ran);
            if self.interrupt.asked() {
                stopped = Some("interrupted before it".into());
            } else if step.otherwise == Otherwise::Stop
                && !matches!(outcome, Outcome::Pass | Outcome::Allowed)
            {
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

    async fn once(
        &self,
        folder: &str,
        step: &Step,
        n: usize,
        seen: &mut BTreeSet<String>,
    ) -> Result<Ran, Failure> {
        let words = self.words(step, n);
        let command = words.join(" ");
        let page = (words[0] == "load" && !words.iter().any(|w| w.starts_with("--html")))
            .then(|| format!("{folder}/load-{:03}.html", n + 1));
        let output = format!("{folder}/output-{:03}.txt", n + 1);
        let into = self.folder.join(folder).display().to_string();
        let mut line = words.clone();
        line.extend(["--report".into(), into]);
        line.extend(
            page.iter()
                .flat_map(|p| ["--html".to_owned(), self.folder.join(p).display().to_string()]),
        );
        if self.options.common.provision {
            line.push("--provision".into());
        }
        let images = clap::ValueEnum::to_possible_value(&self.options.common.images)
            .map(|v| v.get_name().to_owned());
        line.extend(images.into_iter().flat_map(|i| ["--images".to_owned(), i]));
        self.progress.say(&format!("{}: firedrill {command}", step.name));
        let watched = (&self.interrupt, &self.progress);
        let ended =
            child::run(&line, &self.folder.join(&output), &step.name, step.bound(), watched)
                .await
                .map_err(|e| self.unwritable(&e))?;
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
        let mut ids: Vec<String> = entries
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|id| !seen.contains(id))
            .collect();
        ids.sort();
        let made =
            ids.iter().filter_map(|id| made(&self.folder, &format!("{folder}/{id}"), id)).collect();
        seen.extend(ids);
        made
    }

    fn write(&self, report: &Report) -> Result<(), Failure> {
        crate::record::write_json(&self.folder, "gate.json", report)?;
        let page = report
            .page()
            .map_err(|e| Failure::new(Exit::Defect, format!("the page can't be made: {e:#}")))?;
        for (name, text) in [
            ("index.html", page),
            ("summary.txt", report.text()),
            ("junit.xml", report.junit(&self.folder)),
        ] {
            crate::secret::write_file(&self.folder.join(name), &text)
                .map_err(|e| self.unwritable(&e))?;
        }
        Ok(())
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        Failure::new(Exit::Unfit, format!("{}: {error}", self.folder.display()))
            .hint("is there room, and may this user write there?")
    }
}

/// What a run came to, if this is a run's folder.
fn made(gate: &Path, folder: &str, id: &str) -> Option<Made> {
    #[derive(serde::Deserialize)]
    struct Brief {
        glance: Headline,
        summary: verdict::summary::Summary,
    }
    #[derive(serde::Deserialize)]
    struct Headline {
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
