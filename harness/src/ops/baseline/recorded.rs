//! Recorded runs of a healthy stack, kept beside the baseline and reviewed like code.

use super::BaselineSpec;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::process::host::Host;
use crate::yaml;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use verdict::baseline::{Gate, Source};
use verdict::summary::Measured;

/// Version of the format. Version 1 did not say how programs were built.
const SCHEMA: u32 = 2;
/// Services of ours are built as this program is; optimised ones answer in half the time here and
/// take a quarter of the processor.
const OPTIMISED: bool = !cfg!(debug_assertions);

/// A file of recorded runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Version of this format; 2.
    pub schema: u32,
    pub stack: String,
    /// Program that recorded it.
    pub firedrill: String,
    /// Whether that program, and services that were built with it, are optimised.
    #[serde(default)]
    pub optimised: bool,
    pub day: String,
    pub host: Host,
    /// Time scale that the stack ran at.
    pub time_scale: f64,
    /// Seconds of warm-up, and of the window.
    pub window_s: (f64, f64),
    /// Where each measure's values came from: a measure that is taken otherwise now can't be
    /// compared.
    pub sources: BTreeMap<String, Source>,
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub id: String,
    pub seed: u64,
    /// Values by measure.
    pub values: BTreeMap<String, Measured>,
}

impl Recorded {
    /// Runs made on this machine today.
    pub fn new(subject: &BaselineSpec, runs: Vec<Run>) -> Recorded {
        let gate = &subject.gate;
        Recorded {
            schema: SCHEMA,
            stack: subject.declaration.stack.clone(),
            firedrill: env!("CARGO_PKG_VERSION").into(),
            optimised: OPTIMISED,
            day: jiff::Zoned::now().date().to_string(),
            host: Host::here(),
            time_scale: subject.time_scale,
            window_s: (gate.warm_up_s, gate.window_s),
            sources: gate.measures.iter().map(|(n, m)| (n.clone(), m.source.clone())).collect(),
            runs,
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed =
            |e: std::io::Error| Failure::new(Exit::Unfit, format!("{}: {e}", path.display()));
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        serde_json::to_writer_pretty(&mut file, self).map_err(|e| failed(e.into()))?;
        file.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It does not exist, or is no file of recorded runs of this format.
    pub fn read(path: &Path) -> Result<Recorded, Failure> {
        if !path.is_file() {
            return Err(Failure::usage(format!(
                "{} does not exist: no baseline was recorded",
                path.display()
            ))
            .hint("firedrill baseline record makes one; have it reviewed and commit it"));
        }
        let recorded: Recorded = yaml::read(path)?;
        if recorded.schema != SCHEMA {
            let what = format!("schema: seen {}, wanted {SCHEMA}", recorded.schema);
            return Err(yaml::error_at(
                path,
                &["schema"],
                what,
                "record the baseline again with this program",
            )
            .into());
        }
        Ok(recorded)
    }

    /// Whether runs made now can be compared with these.
    ///
    /// # Errors
    /// Another stack's, another machine's, another time scale's, or measures that were taken
    /// otherwise.
    pub fn fits(&self, subject: &BaselineSpec) -> Result<(), Failure> {
        let wrong = |keys: &[&str], what: String, hint: &str| {
            Err(yaml::error_at(&subject.recorded, keys, what, hint).into())
        };
        let stack = &subject.declaration.stack;
        if self.stack != *stack {
            let what = format!("stack: this was recorded of {}, wanted {stack}", self.stack);
            return wrong(
                &["stack"],
                what,
                "record a baseline of this stack; another's says nothing about it",
            );
        }
        if self.optimised != OPTIMISED {
            let built = |optimised| if optimised { "optimised" } else { "not optimised" };
            let what = format!(
                "optimised: recorded with programs that are {}, these are {}",
                built(self.optimised),
                built(OPTIMISED)
            );
            let hint = "record and check with programs of the same build: cargo run --release -- baseline ...";
            return wrong(&["optimised"], what, hint);
        }
        if let Some(how) = self.host.differs(&Host::here()) {
            let hint = "latencies of unlike machines can't be compared: record a baseline on this one, or compare two versions with --versus";
            return wrong(
                &["host"],
                format!("host: recorded on another kind of machine: {how}"),
                hint,
            );
        }
        if (self.time_scale - subject.time_scale).abs() > 1e-9 {
            let what = format!(
                "time_scale: recorded at {}, asked for {}",
                self.time_scale, subject.time_scale
            );
            return wrong(&["time_scale"], what, "give --time-scale as recorded, or record again");
        }
        if self.window_s != (subject.gate.warm_up_s, subject.gate.window_s) {
            let what = format!(
                "window_s: recorded with {:?} s, the baseline now states {:?}",
                self.window_s,
                (subject.gate.warm_up_s, subject.gate.window_s)
            );
            return wrong(&["window_s"], what, "record again");
        }
        let changed =
            subject.gate.measures.iter().find(|(n, m)| self.sources.get(*n) != Some(&m.source));
        if let Some((name, _)) = changed {
            let hint =
                "record again: what was recorded under this name is something else, or nothing";
            return wrong(
                &["sources"],
                format!("sources: {name} was not recorded in the way in which it is measured now"),
                hint,
            );
        }
        Ok(())
    }

    /// For people: each measure's values over the runs, with their spread.
    pub fn table(&self, gate: &Gate) -> String {
        let mut lines = vec![format!(
            "{} runs of {} at time scale {}",
            self.runs.len(),
            self.stack,
            self.time_scale
        )];
        for (name, measure) in &gate.measures {
            let values: Vec<f64> =
                self.runs.iter().filter_map(|r| r.values.get(name)?.value).collect();
            let (low, high) = values
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
            lines.push(format!(
                "  {name:<28} {mean:>12.4} {:<10} from {low:.4} to {high:.4}",
                measure.unit
            ));
        }
        lines.join("\n")
    }
}
