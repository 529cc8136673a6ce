//! A gate: commands of firedrill one after the other, as a file states them, with one exit code and
//! one report. What a release must pass is such a file, and what runs at night.
//!
//! Each command is a process of its own. Whatever it needs is gone when it ends, so a gate that
//! lasts for hours needs no more memory than its longest command; and one that ends badly takes
//! nobody with it.

pub mod child;
#[cfg(test)]
mod foreign;
pub mod outcome;
pub mod report;
mod steps;

pub use steps::{Asked, Ended, Ready};

use crate::process::failure::Advice;
use crate::yaml;
use config::yaml::ConfigError;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the format.
const SCHEMA: u32 = 1;

/// A gate as its file states it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Version of this format; 1.
    pub schema: u32,
    /// What it is for, one sentence.
    pub about: String,
    /// Stack that `{stack}` stands for.
    #[serde(default = "email")]
    pub stack: String,
    /// Hours that steps with a `share` divide among them.
    pub hours: Option<f64>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
}

fn email() -> String {
    "email".into()
}

/// A step.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub name: String,
    /// A command line of firedrill without `firedrill`. `{stack}` stands for the stack, `{share}`
    /// for the step's part of the hours as a duration, `{drill}` for one drill of the stack after
    /// the other, drawn by seed.
    pub run: String,
    /// Part of the gate's hours, 0 to 1. Unless the line says `{share}`, it is run again and again
    /// until its time is over.
    pub share: Option<f64>,
    /// Ends besides a pass that keep nobody from releasing.
    #[serde(default)]
    pub allow: Vec<Allowed>,
    /// Why they are allowed.
    pub because: Option<String>,
    /// What follows if it does not pass.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// How long one run of it may take, with its unit; then it is interrupted, and unknown.
    pub within: Option<String>,
}

/// An end that can be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// Something does not hold.
    Fail,
    /// Something could not be judged.
    Unknown,
    /// The machine can't do it.
    Unfit,
}

/// What follows a step that does not pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// The next step.
    #[default]
    Continue,
    Stop,
}

/// Tells what is wrong with the words of a command line of firedrill in a gate: the command line's
/// own parser knows.
pub type CheckLine = fn(&[String]) -> Result<(), Advice>;

/// What the placeholders of a step stand for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled<'a> {
    pub stack: &'a str,
    /// The step's part of the hours.
    pub share: Option<Duration>,
    pub drill: Option<&'a str>,
}

impl Gate {
    /// The file of a gate: a path, or a name in the folder of scenarios.
    ///
    /// # Errors
    /// There is none.
    pub fn find(named: &str, scenarios: &Path) -> Result<PathBuf, ConfigError> {
        let file = scenarios.join(format!("{named}.yaml"));
        if [Path::new(named), &file].iter().all(|p| !p.is_file()) {
            let known: Vec<String> = yaml::files(scenarios)?
                .iter()
                .filter_map(|p| p.file_stem()?.to_str().map(str::to_owned))
                .collect();
            let hint = crate::yaml::suggest(named, known.iter().map(String::as_str), "gates");
            return Err(ConfigError::of(
                Path::new(named),
                "there is no such gate",
                format!("name one, or a file of yours; {hint}"),
            ));
        }
        Ok(if Path::new(named).is_file() { named.into() } else { file })
    }

    /// Reads and checks a gate: every line of it is a command line that would be accepted.
    ///
    /// # Errors
    /// The file is wrong; the error names file and line.
    pub fn read(path: &Path, check_line: CheckLine) -> Result<Gate, ConfigError> {
        let gate: Gate = yaml::read(path)?;
        let wrong =
            |keys: &[&str], what: String, hint: &str| Err(yaml::error_at(path, keys, what, hint));
        if gate.schema != SCHEMA {
            return wrong(
                &["schema"],
                format!("schema: seen {}, wanted {SCHEMA}", gate.schema),
                "write it for this program",
            );
        }
        if gate.steps.is_empty() {
            return wrong(
                &["steps"],
                "steps: there are none, so nothing would be shown".into(),
                "add a step with `name` and `run`",
            );
        }
        if gate.hours.is_some_and(|h| !usable(h)) {
            return wrong(
                &["hours"],
                format!("hours: seen {:?}, wanted above 0 and at most 1000", gate.hours),
                "as in hours: 8",
            );
        }
        for (at, step) in gate.steps.iter().enumerate() {
            let told = |key: &str, what: String, hint: String| {
                yaml::error_at(
                    path,
                    &["steps", &at.to_string(), key],
                    format!("step {}: {what}", step.name),
                    hint,
                )
            };
            step.check(&gate, check_line).map_err(|(key, what, hint)| told(key, what, hint))?;
            if gate.steps[..at].iter().any(|s| s.name == step.name) {
                return Err(told(
                    "name",
                    "the name is there twice".into(),
                    "each step has a name of its own".into(),
                ));
            }
        }
        let shares: f64 = gate.steps.iter().filter_map(|s| s.share).sum();
        if shares > 1.0 + 1e-9 {
            return wrong(
                &["steps"],
                format!("the shares come to {shares:.2}, wanted at most 1"),
                "they are parts of the hours",
            );
        }
        Ok(gate)
    }
}

/// Whether so many hours can be run.
pub fn usable(hours: f64) -> bool {
    hours.is_finite() && hours > 0.0 && hours <= 1000.0
}

impl Step {
    /// What is wrong with it: the key, what, and what to do.
    fn check(
        &self,
        gate: &Gate,
        check_line: CheckLine,
    ) -> Result<(), (&'static str, String, String)> {
        let wrong = |key, what: String, hint: &str| Err((key, what, hint.to_owned()));
        if self.name.is_empty()
            || self.name.contains(|c: char| !(c.is_ascii_alphanumeric() || "-_ ".contains(c)))
        {
            return wrong(
                "name",
                format!("{:?} can't name a folder", self.name),
                "letters, digits, spaces, - and _",
            );
        }
        if self.share.is_some_and(|s| !(s > 0.0 && s <= 1.0)) {
            return wrong(
                "share",
                format!("share: seen {:?}, wanted above 0 and at most 1", self.share),
                "it is a part of the hours",
            );
        }
        if self.share.is_some() && gate.hours.is_none() {
            return wrong(
                "share",
                "share: the gate has no `hours` to take a part of".into(),
                "state `hours` above the steps",
            );
        }
        if self.share.is_none() && self.run.contains("{share}") {
            return wrong("run", "{share} stands for nothing".into(), "state the step's `share`");
        }
        if self.allow.is_empty() == self.because.as_ref().is_some_and(|b| !b.trim().is_empty()) {
            let key = if self.allow.is_empty() { "because" } else { "allow" };
            return wrong(
                key,
                "`allow` and `because` come together".into(),
                "say why that end is allowed; a pass always is",
            );
        }
        if let Some(within) = &self.within
            && !loadgen::arrival::duration(within).is_ok_and(|d| !d.is_zero())
        {
            return wrong(
                "within",
                format!("within: {within:?} is no duration"),
                "with its unit, as in 90m",
            );
        }
        let dummy = Filled {
            stack: &gate.stack,
            share: Some(Duration::from_secs(60)),
            drill: Some("drill"),
        };
        check_line(&self.words(dummy)).map_err(|Advice { what, hints }| {
            let help = || "firedrill COMMAND --help tells what it takes".to_owned();
            ("run", what, hints.into_iter().next().unwrap_or_else(help))
        })
    }

    /// The words of its command line.
    pub fn words(&self, with: Filled<'_>) -> Vec<String> {
        let share = format!("{}s", with.share.map_or(0, |s| s.as_secs().max(1)));
        let filled = |word: &str| {
            word.replace("{stack}", with.stack)
                .replace("{share}", &share)
                .replace("{drill}", with.drill.unwrap_or("{drill}"))
        };
        self.run.split_whitespace().map(filled).collect()
    }

    /// Whether it goes from drill to drill.
    pub fn draws_drills(&self) -> bool {
        self.run.contains("{drill}")
    }

    /// Whether it is run again until its share is over.
    pub fn repeats(&self) -> bool {
        self.share.is_some() && !self.run.contains("{share}")
    }

    /// How long one run of it may take.
    pub fn bound(&self) -> Option<Duration> {
        self.within.as_deref().and_then(|w| loadgen::arrival::duration(w).ok())
    }
}
