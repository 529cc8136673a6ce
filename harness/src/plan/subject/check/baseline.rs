//! Whether a baseline is this stack's, and what it states can be measured.

use super::super::Error;
use crate::declaration::{Declaration, Logs};
use crate::plan::scenario::Scenario;
use crate::yaml;
use crate::yaml::suggest;
use std::collections::BTreeMap;
use std::path::Path;
use verdict::baseline::{Baseline, Gate, Measure, SCHEMA, Source};
use verdict::gate::{Better, Compared};

/// Reads a baseline; it must be this stack's, and its limits must be limits.
pub(in crate::plan::subject) fn baseline(
    path: &Path,
    declaration: &Declaration,
    scenarios: &BTreeMap<String, Scenario>,
) -> Result<Baseline, Error> {
    let baseline: Baseline = yaml::read(path)?;
    let wrong = |keys: &[&str], what: String, hint: &str| {
        Err(yaml::error_at(path, keys, what, hint).into())
    };
    if baseline.schema != SCHEMA {
        let what = format!("schema: seen {}, wanted {SCHEMA}", baseline.schema);
        let hint = match baseline.schema {
            1 => {
                "version 2 adds `gate`, what `firedrill baseline` measures; all else stayed: write `schema: 2`"
            }
            _ => "this program reads version 2",
        };
        return wrong(&["schema"], what, hint);
    }
    if baseline.stack != declaration.stack {
        return wrong(
            &["stack"],
            format!(
                "this is the baseline of stack {}, wanted {}",
                baseline.stack, declaration.stack
            ),
            "measure a baseline of this stack; another's says nothing about it",
        );
    }
    if !(0.0..=1.0).contains(&baseline.error_rate_max) {
        return wrong(
            &["error_rate_max"],
            format!("error_rate_max: seen {}, wanted a share from 0 to 1", baseline.error_rate_max),
            "1 % is written 0.01",
        );
    }
    if let Some((step, limit)) = baseline
        .steps
        .iter()
        .find(|(_, l)| !positive(l.p50_ms) || !positive(l.p99_ms) || l.p50_ms > l.p99_ms)
    {
        return wrong(
            &["steps", step],
            format!("steps: {step}: seen p50 {} ms and p99 {} ms", limit.p50_ms, limit.p99_ms),
            "both are above 0, and the median is the smaller",
        );
    }
    if let Some(gate) = &baseline.gate {
        let check = GateCheck { path, gate, baseline: &baseline, declaration, scenarios };
        check.window()?;
        check.drills()?;
        gate.measures.iter().try_for_each(|(name, measure)| check.measure(name, measure))?;
    }
    Ok(baseline)
}

fn positive(n: f64) -> bool {
    n.is_finite() && n > 0.0
}

/// What `gate` of a baseline states, and what it is held against.
struct GateCheck<'a> {
    path: &'a Path,
    gate: &'a Gate,
    baseline: &'a Baseline,
    declaration: &'a Declaration,
    scenarios: &'a BTreeMap<String, Scenario>,
}

impl GateCheck<'_> {
    fn wrong(&self, keys: &[&str], what: String, hint: &str) -> Result<(), Error> {
        Err(yaml::error_at(self.path, keys, what, hint).into())
    }

    fn wrong_measure(&self, name: &str, key: &str, what: String, hint: &str) -> Result<(), Error> {
        self.wrong(&["gate", "measures", name, key], what, hint)
    }

    fn window(&self) -> Result<(), Error> {
        let gate = self.gate;
        if !(positive(gate.window_s) && gate.warm_up_s.is_finite() && gate.warm_up_s >= 0.0) {
            let what =
                format!("window_s: seen {} s after {} s of warm-up", gate.window_s, gate.warm_up_s);
            return self.wrong(
                &["gate", "window_s"],
                what,
                "a run's window is longer than 0 s, its warm-up 0 s or more",
            );
        }
        for (key, seen) in [("alpha", gate.alpha), ("power", gate.power)] {
            if !(seen > 0.0 && seen < 1.0) {
                return self.wrong(
                    &["gate", key],
                    format!("{key}: seen {seen}, wanted a chance between 0 and 1"),
                    "1 % is written 0.01",
                );
            }
        }
        Ok(())
    }

    fn drills(&self) -> Result<(), Error> {
        let (gate, scenarios) = (self.gate, self.scenarios);
        for (n, name) in gate.drills.iter().enumerate() {
            let Some(found) = scenarios.get(name) else {
                let hint = suggest(name, scenarios.keys().map(String::as_str), "drills");
                return self.wrong(
                    &["gate", "drills", &n.to_string()],
                    format!("drills: the stack has no drill {name}"),
                    &hint,
                );
            };
            if found.is_early() {
                let what = format!(
                    "drills: {name} begins early, so that it would be there while the window is measured"
                );
                return self.wrong(
                    &["gate", "drills", &n.to_string()],
                    what,
                    "name a drill whose fault is injected in its own wave",
                );
            }
        }
        Ok(())
    }

    fn measure(&self, name: &str, measure: &Measure) -> Result<(), Error> {
        let whole = measure.compared == Compared::Ratio && measure.better == Better::Higher;
        if !positive(measure.practical) || (whole && measure.practical >= 1.0) {
            let what = format!("practical: seen {} of {name}", measure.practical);
            return self.wrong_measure(
                name,
                "practical",
                what,
                "the smallest change that matters is above 0; as a share, 10 % is written 0.1",
            );
        }
        if let Source::Latency { percentile, .. } | Source::Span { percentile, .. } =
            &measure.source
            && !(*percentile > 0.0 && *percentile < 100.0)
        {
            return self.wrong_measure(
                name,
                "source",
                format!("percentile: seen {percentile} of {name}"),
                "between 0 and 100, for example 50 or 99",
            );
        }
        match &measure.source {
            Source::Detection { alert } => self.detection(name, alert),
            Source::Lag { signal } => {
                self.signal(name, signal, self.declaration.traces.as_ref().map(|_| "trace"))
            }
            Source::Lateness { signal } => self.signal(name, signal, ["trace", "mail"]),
            Source::Latency { step, .. } => self.step(name, step),
            _ => Ok(()),
        }
    }

    /// An alert's detection time is measured in drills that are about it.
    fn detection(&self, name: &str, alert: &str) -> Result<(), Error> {
        let (gate, scenarios) = (self.gate, self.scenarios);
        let mut drills = gate.drills.iter().filter_map(|name| scenarios.get(name));
        let is_about = |drill: &Scenario| drill.is_about(alert);
        if !drills.any(is_about) {
            let what = format!("alert: no drill under `drills` is about {alert}, of {name}");
            let about: Vec<&str> = scenarios
                .values()
                .filter(|drill| is_about(drill))
                .map(|s| s.name.as_str())
                .collect();
            let hint = if about.is_empty() {
                "no drill of the stack is".to_owned()
            } else {
                format!("these are: {}", about.join(", "))
            };
            return self.wrong_measure(name, "source", what, &hint);
        }
        Ok(())
    }

    /// What is late or behind must be a source of logs that answers for operations, or one of the
    /// other signals that can be.
    fn signal(
        &self,
        name: &str,
        signal: &str,
        others: impl IntoIterator<Item = &'static str>,
    ) -> Result<(), Error> {
        let logs = self.declaration.logs.iter().flat_map(Logs::answering);
        let known: Vec<String> = logs
            .map(|s| format!("log:{}", s.source))
            .chain(others.into_iter().map(str::to_owned))
            .collect();
        if !known.iter().any(|k| k == signal) {
            let hint = suggest(signal, known.iter().map(String::as_str), "signals");
            return self.wrong_measure(
                name,
                "source",
                format!("signal: nothing answers for {signal} of {name}"),
                &hint,
            );
        }
        Ok(())
    }

    fn step(&self, name: &str, step: &str) -> Result<(), Error> {
        let baseline = self.baseline;
        if !baseline.steps.contains_key(step) {
            let known: Vec<&str> = baseline.steps.keys().map(String::as_str).collect();
            let hint = suggest(step, known.iter().copied(), "steps");
            return self.wrong_measure(
                name,
                "source",
                format!("step: {step} of {name} has no limits under `steps`"),
                &hint,
            );
        }
        Ok(())
    }
}
