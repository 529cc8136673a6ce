//! Breakages of a stack's files. Each is planned from a copy of the stack whose files are broken,
//! brought up alone, and judged: what is wrong with the files must be told without knowing them.

use super::Change;
use crate::ops::console::Console;
use crate::ops::live::up_and_run;
use crate::ops::options::Options;
use crate::ops::verify::leave;
use crate::plan::Plan;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::yaml;
use config::yaml::ConfigError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use verdict::Cause;

/// One breakage: `compose/stacks/<stack>/sabotage/<name>.yaml` with `edits`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breakage {
    /// Version of this format; 1.
    pub schema: u32,
    /// Name, the file's own.
    pub name: String,
    /// Stack whose files it breaks.
    pub stack: String,
    /// What is broken, in one sentence.
    pub summary: String,
    /// What is changed, in order.
    pub edits: Vec<Change>,
    /// When it shows.
    pub shows: Shows,
    /// What it touches, as `alert/NAME`, `receiver/`, `route/`, `job/`, `source/`, `step/`; `*` for
    /// everything. Breakages that touch different things could share a run.
    pub touches: Vec<String>,
    /// What must be found.
    pub expect: Conviction,
}

/// When a breakage shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// Before anything is broken.
    Steady,
    /// In these drills.
    Drill(Vec<String>),
}

/// What must be found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conviction {
    /// Verdict that must fail.
    pub verdict: String,
    pub cause: Cause,
    /// Words that its text must hold.
    pub names: Vec<String>,
}

/// Whether a file of the catalogue is a breakage of files, not an overlay over a running stack.
///
/// # Errors
/// The file can't be read or is no YAML.
pub fn is_one(path: &Path) -> Result<bool, ConfigError> {
    Ok(yaml::tree(path, &yaml::text(path)?)?.get("edits").is_some())
}

/// Reads the breakages of files of a catalogue, by name; a missing folder holds none.
///
/// # Errors
/// A file that can't be understood, or whose name is another.
pub fn read_all(folder: &Path) -> Result<BTreeMap<String, Breakage>, ConfigError> {
    let mut found = BTreeMap::new();
    for path in yaml::files(folder)? {
        if !is_one(&path)? {
            continue;
        }
        let breakage: Breakage = yaml::read(&path)?;
        let wrong =
            |keys: &[&str], what: String, hint: &str| Err(yaml::error_at(&path, keys, what, hint));
        super::named_as_its_file(&path, "breakage", &breakage.name, breakage.schema)?;
        if breakage.edits.is_empty() {
            return wrong(&["edits"], "nothing is changed".into(), "state at least one edit");
        }
        if breakage.expect.names.is_empty() {
            let hint = "state words that the verdict must hold, such as the server's name";
            return wrong(&["expect", "names"], "the verdict may name anything".into(), hint);
        }
        found.insert(breakage.name.clone(), breakage);
    }
    Ok(found)
}

impl Breakage {
    /// Drills in which it shows.
    pub fn drills(&self) -> &[String] {
        match &self.shows {
            Shows::Steady => &[],
            Shows::Drill(drills) => drills,
        }
    }

    /// The plan of the broken stack that must convict it: one verdict, and the drills in which it
    /// shows.
    ///
    /// # Errors
    /// The broken files can't be planned, or nothing asks for the verdict or the drills.
    pub fn plan(&self, options: &Options) -> Result<Plan, Failure> {
        let mut plan = options.plan()?;
        let drills = self.drills();
        let missing = |what: String, lists: &str| {
            let hint = format!("firedrill verify --dry-run lists the {lists}");
            Err(Failure::usage(format!("breakage {}: {what}", self.name)).hint(hint))
        };
        if let Some(unknown) =
            drills.iter().find(|n| !plan.drills.iter().any(|d| d.scenario.name == **n))
        {
            return missing(format!("there is no drill {unknown} in the plan"), "drills");
        }
        plan.drills.retain(|d| drills.contains(&d.scenario.name));
        let here = |drill: Option<&str>| drill.is_none_or(|d| drills.iter().any(|n| n == d));
        plan.expectations.retain(|p| {
            p.expectation.checker().id() == self.expect.verdict && here(p.expectation.drill())
        });
        if plan.expectations.is_empty() {
            let what = format!("no feature asks for the verdict {}", self.expect.verdict);
            return missing(what, "verdicts");
        }
        plan.required.clear();
        plan.left_out.clear();
        Ok(plan)
    }

    /// Brings the broken stack up, runs what is needed to see it, judges, and removes it.
    ///
    /// # Errors
    /// It can't be planned or brought up, or the run fails.
    pub async fn try_alone(
        &self,
        options: &Options,
        console: &dyn Console,
    ) -> Result<super::Outcome, Failure> {
        let began = std::time::Instant::now();
        let copy = tempfile::tempdir().map_err(|e| Failure::foreign(Exit::Unfit, e))?;
        let stack = options.read()?.stack.folder;
        let of = format!("breakage {}", self.name);
        super::broken_copy(&stack, copy.path(), &of, &self.edits)?;
        let broken =
            Options { stack: copy.path().to_string_lossy().into_owned(), ..options.clone() };
        let (live, ran) = up_and_run(&broken, |options| self.plan(options)).await?;
        let outcome = leave(live, false, ran, console).await?;
        let Conviction { verdict, cause, names } = &self.expect;
        let (convicted, told) = super::conviction(&outcome.report, verdict, *cause, names);
        Ok(super::Outcome { convicted, told, seconds: began.elapsed().as_secs_f64() })
    }
}
