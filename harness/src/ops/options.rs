//! What a run is asked for, and what follows from that before anything starts: the stack as it is on
//! disk, its plan, what will differ from what is written.

use crate::ops::gate::child;
use crate::ops::settings::Common;
use crate::plan::features::{self, Selection};
use crate::plan::subject::{self, Asked, LoadedStack};
use crate::plan::{Plan, PlanContext};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::process::home::Home;
use crate::stack::Stack;
use crate::yaml::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
        subject::read_asked(&self.stack, &self.home, &self.asked()).map_err(Failure::from)
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
            Failure::usage(format!("reports can't be written to {}: {e}", folder.display()))
                .hint("name another folder with --report")
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
        let mut plan = features::plan(&read.features, &subject, &selection)?;
        let declared = &subject.declaration;
        if !declared.waivers.is_empty() || declared.optional.iter().any(|o| !o.verdicts.is_empty())
        {
            asked_for(&read.stack, &subject, features::verdicts(&read.features, &subject)?)?;
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
        asked.extend(scenario.alerts().flat_map(of_alert));
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

/// Id of a run that begins now.
pub(crate) fn run_id(seed: u64) -> String {
    // Time first, so that runs sort by it; the seed's end tells two of one second apart, the
    // process two of one seed.
    let now = jiff::Zoned::now().strftime("%m%d-%H%M%S").to_string();
    format!(
        "{now}-{:04x}",
        (seed ^ u64::from(std::process::id()) ^ u64::from(rand::random::<u16>())) & 0xffff
    )
}
