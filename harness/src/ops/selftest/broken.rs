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
use std::path::{Path, PathBuf};
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
    /// Makes the broken copy of a stack's folder in an empty one, and tells where it is. What stands
    /// beside the stack stands beside the copy as well, unbroken: its Compose file may take services
    /// and files from there (`extends`).
    ///
    /// # Errors
    /// An edit does not fit the stack, or the copy can't be written.
    pub fn break_copy(&self, stack: &Path, within: &Path) -> Result<PathBuf, Failure> {
        let copy = within.join(stack.file_name().unwrap_or("stack".as_ref()));
        super::broken_copy(stack, &copy, &format!("breakage {}", self.name), &self.edits)?;
        let beside = stack.parent().and_then(|parent| std::fs::read_dir(parent).ok());
        for entry in beside.into_iter().flatten().flatten() {
            if entry.path() != stack {
                std::os::unix::fs::symlink(entry.path(), within.join(entry.file_name()))
                    .map_err(|e| Failure::foreign(Exit::Unfit, e))?;
            }
        }
        Ok(copy)
    }

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
        let within = tempfile::tempdir().map_err(|e| Failure::foreign(Exit::Unfit, e))?;
        let copy = self.break_copy(&options.read()?.stack.folder, within.path())?;
        let broken = Options { stack: copy.to_string_lossy().into_owned(), ..options.clone() };
        let (live, ran) = up_and_run(&broken, |options| self.plan(options)).await?;
        let outcome = leave(live, false, ran, console).await?;
        let Conviction { verdict, cause, names } = &self.expect;
        let (convicted, told) = super::conviction(&outcome.report, verdict, *cause, names);
        Ok(super::Outcome { convicted, told, seconds: began.elapsed().as_secs_f64() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_copy_finds_what_stands_beside_the_stack() {
        let home = tempfile::tempdir().expect("folder");
        let stacks = home.path().canonicalize().expect("real").join("stacks");
        for (file, text) in [("base/docker-compose.yml", "base"), ("next/flags", "keep: 30d")] {
            let path = stacks.join(file);
            std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            std::fs::write(path, text).expect("file");
        }
        let edit = |old: &str| Change { file: "flags".into(), old: old.into(), new: "30m".into() };
        let breakage = |old: &str| Breakage {
            schema: 1,
            name: "minutes".into(),
            stack: "next".into(),
            summary: "days were written as minutes".into(),
            edits: vec![edit(old)],
            shows: Shows::Steady,
            touches: vec!["*".into()],
            expect: Conviction {
                verdict: "scraping.retention".into(),
                cause: Cause::RetentionTooShort,
                names: vec!["30m".into()],
            },
        };
        let within = home.path().join("broken");
        std::fs::create_dir(&within).expect("folder");
        let copy = breakage("30d").break_copy(&stacks.join("next"), &within).expect("breaks");
        let read = |path: PathBuf| std::fs::read_to_string(path).expect("file");
        assert_eq!(read(copy.join("flags")), "keep: 30m");
        assert_eq!(read(copy.parent().expect("folder").join("base/docker-compose.yml")), "base");
        assert_eq!(read(stacks.join("next/flags")), "keep: 30d", "the owner's");
        let other = home.path().join("other");
        std::fs::create_dir(&other).expect("folder");
        let refused = breakage("90d").break_copy(&stacks.join("next"), &other).expect_err("no fit");
        assert!(refused.to_string().contains("is there 0 times"), "{refused}");
    }
}
