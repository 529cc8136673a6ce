//! Sabotage: overlays that break a stack's monitoring silently. Each is applied to a running stack,
//! judged like any run, and taken back. This is how firedrill itself is tested: each must be
//! convicted with the right cause, the healthy stack acquitted. Breakages of files ([`broken`]) are
//! planned and brought up from the broken files instead, each alone.

pub mod broken;
mod overlay;

use crate::declaration::SteadyState;
use crate::ops::console::Console;
use crate::ops::live::{LiveStack, up_and_run};
use crate::ops::options::Options;
use crate::ops::verify::leave;
use crate::plan::Plan;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure};
use crate::report::{Report, text};
use crate::stack::work_copy;
use crate::yaml;
use crate::yaml::suggest;
use config::yaml::ConfigError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use verdict::{Cause, Status};

/// Which sabotages of a stack are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    All,
    Named(Vec<String>),
    /// So many, drawn by seed.
    Drawn(usize),
}

/// One overlay: `compose/stacks/<stack>/sabotage/<name>.yaml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sabotage {
    /// Version of this format; 1.
    pub schema: u32,
    /// Name, the file's own.
    pub name: String,
    /// What is broken, in one sentence.
    pub summary: String,
    /// What is changed.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// How the running stack takes it over, in order.
    pub apply: Vec<Apply>,
    /// What must be found.
    pub expect: Expect,
    /// Drills without which it can't show.
    #[serde(default)]
    pub drills: Vec<String>,
}

/// A change of one file of the stack, relative to its folder: `old` must be there exactly once.
/// `{{around_now}}` in `new` stands for the ranges of the time of day (UTC) from an hour ago to in
/// an hour, as time intervals of Alertmanager list them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub file: String,
    /// Text that is there.
    pub old: String,
    /// Text that takes its place.
    pub new: String,
}

/// How a running stack takes a change over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Apply {
    /// The server of this role is asked to reload; a refusal is what some sabotages are about, so
    /// it is no error.
    Reload(String),
    /// The service's container is made anew from the changed Compose file.
    Recreate(String),
    /// A request to a service: method, `service:port`, path, and a file of the stack as body.
    Request(Request),
    /// A file is changed as most editors do it: another takes its place, under its name. It is
    /// restored with all others, before anything is taken over.
    Replace(Change),
    /// A silence is left behind on the alert manager; it is expired when the sabotage is taken
    /// back.
    Silence(SilenceSpec),
}

/// A silence, for a day from now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceSpec {
    /// Matchers, as Alertmanager writes them: `alertname="X", severity=~"a|b"`.
    pub matchers: String,
    /// Who made it.
    pub created_by: String,
}

/// A request to a service of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `PUT`, `POST` or `DELETE`.
    pub method: String,
    pub to: String,
    pub path: String,
    /// File of the stack that is sent.
    pub body: Option<String>,
}

/// What must be found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Verdict that must fail.
    pub verdict: String,
    pub cause: Cause,
}

/// How a sabotage ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether the verdict failed with the cause expected.
    pub convicted: bool,
    /// The verdict in full.
    pub told: String,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Reads a catalogue, by name; a missing folder holds none.
///
/// # Errors
/// A file that can't be understood, or whose name is another.
pub fn read_all(folder: &Path) -> Result<BTreeMap<String, Sabotage>, ConfigError> {
    let mut found = BTreeMap::new();
    for path in yaml::files(folder)? {
        if broken::is_one(&path)? {
            continue;
        }
        let sabotage: Sabotage = yaml::read(&path)?;
        named_as_its_file(&path, "sabotage", &sabotage.name, sabotage.schema)?;
        found.insert(sabotage.name.clone(), sabotage);
    }
    Ok(found)
}

fn named_as_its_file(path: &Path, what: &str, name: &str, schema: u32) -> Result<(), ConfigError> {
    if path.file_stem().and_then(|s| s.to_str()) == Some(name) && schema == 1 {
        return Ok(());
    }
    let what = format!("{what} {name:?} of schema {schema}");
    Err(yaml::error_at(path, &["name"], what, "name it as its file, schema 1"))
}

/// Copies a stack's folder, and changes files of the copy; `of` begins what is said of a change that
/// does not fit.
fn broken_copy<'c>(
    stack: &Path,
    copy: &Path,
    of: &str,
    changes: impl IntoIterator<Item = &'c Change>,
) -> Result<(), Failure> {
    work_copy::copy(stack, copy)?;
    for change in changes {
        let path = copy.join(&change.file);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Failure::new(Exit::Usage, format!("{of}: {}: {e}", change.file)))?;
        let text = change.apply(&text).map_err(|e| Failure::usage(e.within(of.to_owned())))?;
        std::fs::write(&path, text).map_err(|e| Failure::foreign(Exit::Unfit, e))?;
    }
    Ok(())
}

/// Whether a verdict failed with this cause and names all of these words, and the verdict in full.
fn conviction(report: &Report, id: &str, cause: Cause, names: &[String]) -> (bool, String) {
    let Some(told) = report.verdicts.iter().find(|t| t.id == id) else {
        return (false, format!("no verdict {id} was returned"));
    };
    let words = text::verdict(told, report);
    if told.status != Status::Fail || told.cause != Some(cause) {
        return (false, format!("not convicted: wanted fail with cause {}\n{words}", cause.name()));
    }
    let unnamed: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !words.contains(name)).collect();
    if unnamed.is_empty() {
        return (true, words);
    }
    (false, format!("not convicted: the verdict does not name {}\n{words}", unnamed.join(", ")))
}

/// Names of at most `count` entries of a catalogue, drawn by seed.
pub fn subset<T>(catalogue: &BTreeMap<String, T>, seed: u64, count: usize) -> Vec<String> {
    drawn(catalogue.keys().collect(), seed, count)
}

fn drawn(names: Vec<&String>, seed: u64, count: usize) -> Vec<String> {
    use rand::seq::IndexedRandom;
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
    names.sample(&mut rng, count.min(names.len())).map(|n| (*n).clone()).collect()
}

impl Change {
    /// The file's text with the change.
    ///
    /// # Errors
    /// The old text is not there, or more than once: the overlay no longer fits the stack.
    pub fn apply(&self, text: &str) -> Result<String, Advice> {
        match text.matches(&self.old).count() {
            1 => Ok(text.replacen(
                &self.old,
                &self.new.replace("{{around_now}}", &around(jiff::Timestamp::now())),
                1,
            )),
            n => Err(Advice::from(format!(
                "{}: the text {:?} is there {n} times, wanted once",
                self.file, self.old
            ))
            .hint("adapt the sabotage to the stack")),
        }
    }
}

/// An hour to both sides of a time of day; a range can't reach over midnight.
fn around(now: jiff::Timestamp) -> String {
    let minute = now.as_second().rem_euclid(86_400) / 60;
    let (from, to) = (minute - 60, minute + 60);
    let ranges = [(from.max(0), to.min(1440)), (from + 1440, 1440), (0, to - 1440)];
    let written = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
    let range = |(from, to): &(i64, i64)| {
        format!("{{start_time: '{}', end_time: '{}'}}", written(*from), written(*to))
    };
    let sound = ranges.iter().filter(|(from, to)| (0..*to).contains(from));
    format!("[{}]", sound.map(range).collect::<Vec<_>>().join(", "))
}

impl Sabotage {
    /// All changes of files, those by replacement last.
    pub fn all_changes(&self) -> impl Iterator<Item = &Change> {
        let replaced = self
            .apply
            .iter()
            .filter_map(|a| if let Apply::Replace(change) = a { Some(change) } else { None });
        self.changes.iter().chain(replaced)
    }

    /// Whether it fits the stack and the plan; `catalogue` is the folder that it was read from, in
    /// the stack's own.
    ///
    /// # Errors
    /// A file or its old text is not there, or no feature asks for the verdict or the drills.
    pub fn check(&self, catalogue: &Path, plan: &Plan) -> Result<(), ConfigError> {
        let file = catalogue.join(format!("{}.yaml", self.name));
        let wrong =
            |keys: &[&str], what: String, hint: &str| Err(yaml::error_at(&file, keys, what, hint));
        let stack = catalogue.parent().unwrap_or(catalogue);
        for (at, change) in self.all_changes().enumerate() {
            let keys = ["changes", &at.to_string(), "file"];
            match std::fs::read_to_string(stack.join(&change.file)) {
                Err(e) => {
                    return wrong(
                        &keys,
                        format!("{} can't be read: {e}", change.file),
                        "name a file of the stack, relative to its folder",
                    );
                }
                Ok(text) => {
                    let times = text.matches(&change.old).count();
                    // A change may follow another in the same file, which makes room for it.
                    if times != 1
                        && self.all_changes().filter(|c| c.file == change.file).count() == 1
                    {
                        return wrong(
                            &keys,
                            format!(
                                "the text `{}` is {times} times in {}, wanted once",
                                change.old.trim(),
                                change.file
                            ),
                            "adapt the sabotage to the stack",
                        );
                    }
                }
            }
        }
        if self.left_out(plan).is_some() {
            return Ok(());
        }
        if let Some((at, unknown)) = self
            .drills
            .iter()
            .enumerate()
            .find(|(_, n)| !plan.drills.iter().any(|d| d.scenario.name == **n))
        {
            return wrong(
                &["drills", &at.to_string()],
                format!("there is no drill {unknown} in the plan"),
                "firedrill verify --dry-run lists the drills",
            );
        }
        if !plan.expectations.iter().any(|p| p.expectation.checker().id() == self.expect.verdict) {
            return wrong(
                &["expect", "verdict"],
                format!("no feature asks for the verdict {}", self.expect.verdict),
                "firedrill verify --dry-run lists the verdicts",
            );
        }
        Ok(())
    }
}

impl Sabotage {
    /// Why it can't be tried, if so: its verdict, or what a drill of it is judged by, is skipped
    /// with a service that is left out.
    pub fn left_out(&self, plan: &Plan) -> Option<String> {
        let drills: Vec<String> =
            self.drills.iter().map(|drill| format!("drill.{drill}.fault")).collect();
        let skipped = plan.left_out.iter().find(|l| {
            l.verdicts.iter().any(|id| *id == self.expect.verdict || drills.contains(id))
        })?;
        Some(format!("{} is not judged: {}", self.expect.verdict, skipped.reason))
    }
}

/// Applies a sabotage to a running stack, runs what is needed to see it, judges, and takes it back,
/// whatever happened.
///
/// # Errors
/// It can't be applied or taken back, or the run fails.
pub async fn try_on(live: &LiveStack, sabotage: &Sabotage) -> Result<Outcome, Failure> {
    let began = std::time::Instant::now();
    live.apply(sabotage).await?;
    let judged = judge(live, sabotage).await;
    live.restore(sabotage).await?;
    let (convicted, told) = judged?;
    Ok(Outcome { convicted, told, seconds: began.elapsed().as_secs_f64() })
}

async fn judge(live: &LiveStack, sabotage: &Sabotage) -> Result<(bool, String), Failure> {
    let mut plan = live.options.plan()?;
    plan.required.clear();
    plan.left_out.clear();
    plan.drills.retain(|d| sabotage.drills.contains(&d.scenario.name));
    plan.expectations.retain(|p| p.expectation.checker().id() == sabotage.expect.verdict);
    if plan.expectations.is_empty() {
        return Err(Failure::usage(format!(
            "sabotage {}: no feature asks for the verdict {}",
            sabotage.name, sabotage.expect.verdict
        ))
        .hint("the ids are shown by --dry-run"));
    }
    // A stack whose monitoring is broken may never be steady again; what it shows must do.
    let usual = live.read.subject.declaration.steady_state.clone();
    let within_s = usual.within_s.min(usual.hold_s * 2.0 + 6.0);
    let outcome = live.run_with(&plan, SteadyState { within_s, ..usual }).await?;
    let Expect { verdict, cause } = &sabotage.expect;
    Ok(conviction(&outcome.report, verdict, *cause, &[]))
}

/// Tries the catalogue on one running stack; the healthy stack must be acquitted first.
///
/// # Errors
/// There is no such sabotage, or a run could not be carried out.
pub async fn selftest(
    options: &Options,
    wanted: &Wanted,
    console: &dyn Console,
) -> Result<Exit, Failure> {
    let folder = options.sabotage_folder()?;
    let (catalogue, of_files) = (read_all(&folder)?, broken::read_all(&folder)?);
    let all: BTreeSet<&String> = catalogue.keys().chain(of_files.keys()).collect();
    let only: &[String] = if let Wanted::Named(names) = wanted { names } else { &[] };
    if let Some(unknown) = only.iter().find(|n| !all.contains(n)) {
        return Err(Failure::usage(format!("there is no sabotage {unknown}")).hint(suggest(
            unknown,
            all.iter().map(|name| name.as_str()),
            "sabotages",
        )));
    }
    let chosen: Vec<String> = match wanted {
        Wanted::Drawn(count) => drawn(all.into_iter().collect(), options.seed, *count),
        Wanted::Named(_) => all.into_iter().filter(|n| only.contains(n)).cloned().collect(),
        Wanted::All => all.into_iter().cloned().collect(),
    };
    if chosen.is_empty() {
        return Err(Failure::usage("no sabotage is selected")
            .hint("the catalogue is the folder `sabotage` of the stack"));
    }
    let (chosen, alone): (Vec<String>, Vec<String>) =
        chosen.into_iter().partition(|name| catalogue.contains_key(name));
    // What the files say wrongly is found before a stack is up for it.
    let plan = |options: &Options| {
        let mut plan = options.plan()?;
        for name in &chosen {
            catalogue[name].check(&folder, &plan)?;
        }
        // What is about a service that is left out is told with the others, and not tried.
        let gone = |name: &&String| catalogue[*name].left_out(&plan);
        if let Some(reason) = chosen
            .iter()
            .map(|name| gone(&name))
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().next())
        {
            return Err(Failure::new(Exit::Unfit, format!("no sabotage can be tried: {reason}"))
                .hint("firedrill images obtains images"));
        }
        let of_running = chosen
            .iter()
            .filter(|name| gone(name).is_none())
            .map(|n| catalogue[n].expect.verdict.clone());
        let of_alone = alone.iter().map(|n| of_files[n].expect.verdict.clone());
        // What shows in a drill may be seen in it only, whatever the verdict is about.
        let shown_in = alone.iter().flat_map(|n| of_files[n].drills().to_vec()).collect();
        plan.only_verdicts(&of_running.chain(of_alone).collect(), &shown_in);
        Ok(plan)
    };
    let (live, healthy) = up_and_run(options, plan).await?;
    let tried = match healthy {
        Ok(healthy) => try_all(&live, &chosen, &catalogue, &healthy.report, console).await,
        Err(failure) => Err(failure),
    };
    // A stack that is brought up anew has to wait until this one is gone.
    let keep = options.common.keep && alone.is_empty();
    let mut tally = leave(live, keep, tried, console).await?;
    for name in &alone {
        let breakage = &of_files[name];
        let outcome = breakage.try_alone(options, console).await?;
        tally.tell(name, &breakage.summary, &outcome, console);
    }
    let Tally { acquitted, tried, convicted } = tally;
    console.line(&format!(
        "{convicted} of {tried} convicted, healthy stack {}",
        if acquitted { "acquitted" } else { "not acquitted" }
    ));
    Ok(if acquitted && convicted == tried { Exit::Pass } else { Exit::Fail })
}

/// How a catalogue fared.
struct Tally {
    /// Whether the healthy stack was acquitted.
    acquitted: bool,
    tried: usize,
    convicted: usize,
}

impl Tally {
    fn tell(&mut self, name: &str, summary: &str, outcome: &Outcome, console: &dyn Console) {
        let word = if outcome.convicted { "convicted" } else { "NOT CONVICTED" };
        console.line(&format!("{word} {name}: {summary} ({:.0} s)", outcome.seconds));
        outcome.told.lines().for_each(|l| console.line(&format!("    {l}")));
        self.tried += 1;
        self.convicted += usize::from(outcome.convicted);
    }
}

async fn try_all(
    live: &LiveStack,
    chosen: &[String],
    catalogue: &BTreeMap<String, Sabotage>,
    healthy: &Report,
    console: &dyn Console,
) -> Result<Tally, Failure> {
    let plan = live.options.plan()?;
    let acquitted = healthy.exit() == Exit::Pass;
    console.line(&format!(
        "{} healthy stack: {} passed, {} failed, {} unknown",
        if acquitted { "acquitted" } else { "NOT ACQUITTED" },
        healthy.summary.passed,
        healthy.summary.failed,
        healthy.summary.unknown
    ));
    if !acquitted {
        console.line(text::render(healthy).trim_end());
    }
    let mut tally = Tally { acquitted, tried: 0, convicted: 0 };
    for name in chosen {
        let sabotage = &catalogue[name];
        if let Some(why) = sabotage.left_out(&plan) {
            console.line(&format!("left out {name}: {why}"));
            continue;
        }
        let outcome = try_on(live, sabotage).await?;
        tally.tell(name, &sabotage.summary, &outcome, console);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_hour_around_now_is_told_in_one_day() {
        let at = |text: &str| around(text.parse().unwrap());
        assert_eq!(at("2026-01-01T12:30:59Z"), "[{start_time: '11:30', end_time: '13:30'}]");
        assert_eq!(
            at("2026-01-01T00:10:00Z"),
            "[{start_time: '00:00', end_time: '01:10'}, {start_time: '23:10', end_time: '24:00'}]"
        );
        assert_eq!(at("2026-01-01T23:00:00Z"), "[{start_time: '22:00', end_time: '24:00'}]");
        assert_eq!(
            at("2026-01-01T23:59:00Z"),
            "[{start_time: '22:59', end_time: '24:00'}, {start_time: '00:00', end_time: '00:59'}]"
        );
    }

    #[test]
    fn a_change_must_fit_exactly_once() {
        let change = Change { file: "f".into(), old: "a: 1".into(), new: "a: 2".into() };
        assert_eq!(change.apply("x\na: 1\n").unwrap(), "x\na: 2\n");
        assert!(change.apply("x").is_err());
        assert!(change.apply("a: 1\na: 1").is_err());
    }
}
