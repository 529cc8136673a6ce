//! Recorded runs over time: verdicts, durations, latency and detection times, apart for whatever
//! can't be compared.

mod page;

pub use page::page;

use crate::ops::baseline::recorded::Recorded;
use crate::process::home::Home;
use crate::process::host::Host;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use verdict::Status;
use verdict::gate::least_median_most;
use verdict::history::load::Percentiles;
use verdict::summary::{Curves, Summary};

/// How deep below the named folder runs are looked for: those of a gate lie two folders down.
const DEPTH: usize = 3;

/// Recorded runs over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trend {
    /// Runs that can be compared, from the oldest to the newest.
    pub groups: Vec<Group>,
    pub baselines: Vec<Baseline>,
    /// Files that could not be read, each with the reason.
    pub left_out: Vec<(PathBuf, String)>,
}

/// Runs of one stack by one command at one time scale on one kind of machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub stack: String,
    /// Command, without what differs from run to run.
    pub command: String,
    pub time_scale: f64,
    /// Machine, in words.
    pub machine: String,
    pub runs: Vec<Run>,
}

/// What is shown of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    pub id: String,
    /// Its folder, relative to the one that was named.
    pub folder: PathBuf,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, seconds since the epoch.
    pub at_s: f64,
    /// What it came to.
    pub outcome: Status,
    /// How many verdicts are what.
    pub summary: Summary,
    /// How long it took, seconds.
    pub duration_s: f64,
    /// Median latency while no fault was there (of old runs: of the whole background load), ms.
    pub p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub p99_ms: Option<f64>,
    /// Share of operations that ended otherwise than wanted.
    pub error_rate: Option<f64>,
    /// Seconds from fault to firing, by alert.
    pub detect_s: BTreeMap<String, f64>,
}

/// A recorded baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    pub stack: String,
    pub day: String,
    /// Machine, in words.
    pub machine: String,
    /// Number of runs.
    pub runs: usize,
    /// Of each measure: the least value, the median, the most.
    pub measures: BTreeMap<String, (f64, f64, f64)>,
}

/// What is read of a report.json: little enough that old ones can be read too.
#[derive(Debug, Deserialize)]
struct Brief {
    run: BriefRun,
    glance: BriefGlance,
    summary: Summary,
    alerts: Vec<BriefAlert>,
    load: Option<BriefLoad>,
    #[serde(default)]
    curves: Curves,
}

#[derive(Debug, Deserialize)]
struct BriefRun {
    id: String,
    time_scale: f64,
    stack: String,
    started: String,
    duration_s: f64,
    #[serde(default)]
    replay: String,
    host: Option<Host>,
}

#[derive(Debug, Deserialize)]
struct BriefGlance {
    outcome: Status,
}

#[derive(Debug, Deserialize)]
struct BriefAlert {
    rule: String,
    detect_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct BriefLoad {
    latency_ms: Percentiles,
    #[serde(default)]
    error_rate: f64,
}

/// Reads all reports below a folder, and recorded baselines in files.
///
/// # Errors
/// The folder can't be listed.
pub fn read(folder: &Path, recorded: &[PathBuf]) -> std::io::Result<Trend> {
    let mut files = Vec::new();
    find(folder, DEPTH, &mut files)?;
    files.sort();
    let (mut groups, mut left_out) =
        (BTreeMap::<(String, String, String, String), Group>::new(), Vec::new());
    for file in files {
        match run(&file, folder) {
            Ok((key, group)) => match groups.get_mut(&key) {
                Some(known) => known.runs.extend(group.runs),
                None => drop(groups.insert(key, group)),
            },
            Err(why) => left_out.push((file, why)),
        }
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        group.runs.sort_by(|a, b| a.at_s.total_cmp(&b.at_s).then_with(|| a.id.cmp(&b.id)));
    }
    let mut baselines = Vec::new();
    for file in recorded {
        match Recorded::read(file) {
            Ok(r) => baselines.push(baseline(&r)),
            Err(e) => left_out.push((file.clone(), e.to_string())),
        }
    }
    Ok(Trend { groups, baselines, left_out })
}

fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() && depth > 0 {
            // A folder that only others may read holds nothing of ours.
            let _ = find(&path, depth - 1, files);
        } else if entry.file_name() == "report.json" {
            files.push(path);
        }
    }
    Ok(())
}

type Key = (String, String, String, String);

fn run(file: &Path, below: &Path) -> Result<(Key, Group), String> {
    let bytes = std::fs::read(file).map_err(|e| e.to_string())?;
    let brief: Brief =
        serde_json::from_slice(&bytes).map_err(|e| format!("no report of this format: {e}"))?;
    let started: jiff::Timestamp = brief
        .run
        .started
        .parse()
        .map_err(|e| format!("run.started: {:?} is no time: {e}", brief.run.started))?;
    let point = |p: f64| {
        brief.curves.healthy.points.iter().find(|x| x.percentile == p).map(|x| x.latency_ms)
    };
    let load = brief.load.as_ref();
    let folder = file.parent().unwrap_or(below);
    let run = Run {
        id: brief.run.id,
        folder: folder.strip_prefix(below).unwrap_or(folder).to_path_buf(),
        started: brief.run.started.clone(),
        // Runs on one stack began together, with it.
        at_s: started.as_microsecond() as f64 / 1e6 + brief.run.duration_s,
        outcome: brief.glance.outcome,
        summary: brief.summary,
        duration_s: brief.run.duration_s,
        p50_ms: point(50.0).or(load.map(|l| l.latency_ms.p50)),
        p99_ms: point(99.0).or(load.map(|l| l.latency_ms.p99)),
        error_rate: load.map(|l| l.error_rate),
        detect_s: brief.alerts.into_iter().filter_map(|a| Some((a.rule, a.detect_s?))).collect(),
    };
    let machine = brief.run.host.as_ref().map_or("a machine that is not known".to_owned(), machine);
    let (stack, command, time_scale) =
        (brief.run.stack, command(&brief.run.replay), brief.run.time_scale);
    let key = (stack.clone(), command.clone(), time_scale.to_string(), machine.clone());
    Ok((key, Group { stack, command, time_scale, machine, runs: vec![run] }))
}

/// A machine in words: what its speed depends on. A newer kernel alone is no other machine.
fn machine(host: &Host) -> String {
    format!(
        "{} × {}, {} GiB",
        host.processors,
        if host.model.is_empty() { "processor" } else { &host.model },
        host.memory_gib
    )
}

/// A replay command without what differs from run to run, or does not change what is measured.
fn command(replay: &str) -> String {
    let mut words = replay.split_whitespace().skip_while(|w| *w == "firedrill");
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or(word);
        match name {
            "--seed" | "--report" | "--format" | "--images" | "--html" => {
                if !word.contains('=') {
                    words.next();
                }
            }
            "--quiet" | "-q" | "--provision" | "--keep" => {}
            _ => kept.push(word),
        }
    }
    if kept.is_empty() { "verify".into() } else { kept.join(" ") }
}

fn baseline(recorded: &Recorded) -> Baseline {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in recorded.runs.iter().flat_map(|r| &r.values) {
        values.entry(name).or_default().extend(value.value);
    }
    Baseline {
        stack: recorded.stack.clone(),
        day: recorded.day.clone(),
        machine: machine(&recorded.host),
        runs: recorded.runs.len(),
        measures: values
            .into_iter()
            .filter_map(|(name, all)| Some((name.to_owned(), least_median_most(all)?)))
            .collect(),
    }
}

impl Group {
    /// In words.
    pub fn title(&self) -> String {
        let scale = if self.time_scale == 1.0 {
            "true durations".to_owned()
        } else {
            format!("durations divided by {}", self.time_scale)
        };
        format!("{}: {}, {scale}, on {}", self.stack, self.command, self.machine)
    }

    /// Detection times of each alert, from the oldest run to the newest; none where it was not
    /// drilled.
    pub fn detections(&self) -> BTreeMap<&str, Vec<Option<f64>>> {
        let names = self.runs.iter().flat_map(|r| r.detect_s.keys());
        names
            .map(|n| (n.as_str(), self.runs.iter().map(|r| r.detect_s.get(n).copied()).collect()))
            .collect()
    }
}

/// A number of a table, or that there is none.
fn number(n: Option<f64>) -> String {
    n.map_or("–".to_owned(), crate::report::chart::short)
}

impl Group {
    /// Its last runs, a line each.
    fn runs(&self, out: &mut String, last: usize) {
        let _ = writeln!(
            out,
            "  {:<20} {:<18} {:<8} {:>6} {:>6} {:>7} {:>8} {:>8} {:>8} {:>9}",
            "began",
            "run",
            "",
            "passed",
            "failed",
            "unknown",
            "took, s",
            "P50, ms",
            "P99, ms",
            "errors, %"
        );
        let shown = self.runs.len().saturating_sub(last);
        if shown > 0 {
            let _ = writeln!(out, "  … {shown} earlier ones");
        }
        for r in &self.runs[shown..] {
            let _ = writeln!(
                out,
                "  {:<20} {:<18} {:<8} {:>6} {:>6} {:>7} {:>8.0} {:>8} {:>8} {:>9}",
                r.started.get(..19).unwrap_or(&r.started),
                r.id,
                crate::ops::compare::status(Some(r.outcome)),
                r.summary.passed,
                r.summary.failed,
                r.summary.unknown,
                r.duration_s,
                number(r.p50_ms),
                number(r.p99_ms),
                number(r.error_rate.map(|e| e * 100.0))
            );
        }
    }

    /// After how long each alert fired, over all runs.
    fn alerts(&self, out: &mut String) {
        let detections = self.detections();
        if !detections.is_empty() {
            let _ = writeln!(
                out,
                "  {:<34} {:>5} {:>8} {:>8} {:>8} {:>8}",
                "fired after, s", "runs", "least", "median", "most", "newest"
            );
        }
        for (alert, values) in detections {
            let Some((least, median, most)) = least_median_most(values.iter().flatten().copied())
            else {
                continue;
            };
            let newest = values.iter().flatten().next_back().copied();
            let [least, median, most, newest] =
                [Some(least), Some(median), Some(most), newest].map(number);
            let runs = values.iter().flatten().count();
            let _ = writeln!(
                out,
                "  {alert:<34} {runs:>5} {least:>8} {median:>8} {most:>8} {newest:>8}"
            );
        }
    }
}

impl Baseline {
    fn text(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "baseline of {}, recorded {} in {} runs on {}",
            self.stack, self.day, self.runs, self.machine
        );
        let _ =
            writeln!(out, "  {:<34} {:>10} {:>10} {:>10}", "measure", "least", "median", "most");
        for (name, (least, median, most)) in &self.measures {
            let [least, median, most] = [*least, *median, *most].map(crate::report::chart::short);
            let _ = writeln!(out, "  {name:<34} {least:>10} {median:>10} {most:>10}");
        }
        out.push('\n');
    }
}

impl Trend {
    /// For a terminal: of each group the last runs, then the alerts.
    pub fn text(&self, last: usize) -> String {
        let mut out = String::new();
        for group in &self.groups {
            let _ = writeln!(out, "{}: {} runs", group.title(), group.runs.len());
            group.runs(&mut out, last);
            group.alerts(&mut out);
            out.push('\n');
        }
        for baseline in &self.baselines {
            baseline.text(&mut out);
        }
        for (path, why) in &self.left_out {
            let _ = writeln!(out, "left out: {}: {why}", path.display());
        }
        let runs: usize = self.groups.iter().map(|g| g.runs.len()).sum();
        let _ = writeln!(
            out,
            "{runs} runs in {} groups, {} files left out",
            self.groups.len(),
            self.left_out.len()
        );
        out
    }
}

/// Recorded baselines of our own stacks.
pub fn recorded() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Home::find().scenarios().join("baselines/recorded"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    /// A report of a run that began so many days after the first, as little as is read of one.
    fn report(id: &str, day: u32, stack: &str, processors: u32) -> serde_json::Value {
        json!({
            "run": {"id": id, "time_scale": 20.0, "stack": stack, "started": format!("2026-11-{:02}T03:00:00Z", day + 1), "duration_s": 250.0 + f64::from(day),
                "replay": format!("firedrill verify {stack} --seed {day} --report r"),
                "host": {"processors": processors, "model": "m", "memory_gib": 24, "kernel": "6.1"}},
            "glance": {"outcome": "pass"},
            "summary": {"passed": 90, "failed": 0, "unknown": 0, "skipped": 2, "waived": 0},
            "alerts": [{"rule": "Down", "detect_s": 3.0 + f64::from(day)}, {"rule": "Quiet", "detect_s": null}],
            "load": {"latency_ms": {"p50": 4.0, "p90": 5.0, "p95": 6.0, "p99": 20.0, "max": 30.0}},
        })
    }

    fn write(folder: &Path, place: &str, text: &str) {
        std::fs::create_dir_all(folder.join(place)).unwrap();
        std::fs::write(folder.join(place).join("report.json"), text).unwrap();
    }

    #[test]
    fn like_runs_are_together_by_date_and_broken_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "b", &report("b", 1, "mail", 2).to_string());
        write(folder.path(), "a", &report("a", 2, "mail", 2).to_string());
        write(folder.path(), "gate/02-verify/c", &report("c", 0, "mail", 2).to_string());
        write(folder.path(), "elsewhere", &report("d", 0, "mail", 64).to_string());
        write(folder.path(), "other", &report("e", 0, "shop", 2).to_string());
        write(folder.path(), "broken", "{\"run\": 1}");
        write(folder.path(), "cut", "{\"run\": {\"id\": \"x\"");
        let trend = read(folder.path(), &[folder.path().join("none.json")]).unwrap();
        let ids = |g: &Group| g.runs.iter().map(|r| r.id.clone()).collect::<Vec<_>>().join(" ");
        assert_eq!(trend.groups.iter().map(ids).collect::<Vec<_>>(), ["c b a", "d", "e"]);
        let together = trend.groups.iter().find(|g| g.runs.len() == 3).unwrap();
        assert_eq!(together.command, "verify mail");
        assert_eq!(together.runs[0].folder, Path::new("gate/02-verify/c"));
        assert_eq!(together.detections()["Down"], [Some(3.0), Some(4.0), Some(5.0)]);
        assert!(!together.detections().contains_key("Quiet"));
        assert_eq!((together.runs[0].p50_ms, together.runs[0].p99_ms), (Some(4.0), Some(20.0)));
        let left_out: Vec<String> =
            trend.left_out.iter().map(|(p, _)| p.display().to_string()).collect();
        assert_eq!(left_out.len(), 3, "{left_out:?}");
        let text = trend.text(2);
        for words in [
            "mail: verify mail, durations divided by 20",
            "… 1 earlier ones",
            "broken/report.json",
            "5 runs in 3 groups, 3 files left out",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_command_is_told_without_what_differs_from_run_to_run() {
        assert_eq!(command("firedrill --seed 20"), "verify");
        assert_eq!(
            command("firedrill run redis_slow --seed=7 --time-scale 5 -q --report x"),
            "run redis_slow --time-scale 5"
        );
    }
}
