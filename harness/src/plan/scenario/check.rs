//! Whether a scenario makes sense by itself, whatever the stack: each error names what stands where.

use super::{Aim, Scenario, Seconds};
use crate::fault::FaultError;
use crate::yaml;
use config::yaml::ConfigError;
use std::collections::BTreeMap;
use std::path::Path;

/// # Errors
/// The first thing that makes no sense.
pub(super) fn check(path: &Path, scenario: &Scenario) -> Result<(), ConfigError> {
    let check = Check { path, scenario };
    check.name()?;
    check.faults()?;
    check.phases()?;
    check.early()?;
    check.overrides()?;
    check.seconds()?;
    check.load()
}

struct Check<'a> {
    path: &'a Path,
    scenario: &'a Scenario,
}

impl Check<'_> {
    fn wrong(
        &self,
        keys: &[&str],
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<(), ConfigError> {
        Err(yaml::error_at(self.path, keys, what, hint))
    }

    /// The same about something of a phase.
    fn wrong_in(
        &self,
        phase: usize,
        below: &[&str],
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<(), ConfigError> {
        Err(self.scenario.error_in(self.path, phase, below, what, hint))
    }

    fn name(&self) -> Result<(), ConfigError> {
        let stem = self.path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if self.scenario.name == stem {
            return Ok(());
        }
        self.wrong(
            &["name"],
            format!("the scenario is called {}, its file {stem}", self.scenario.name),
            "give both the same name; features refer to it",
        )
    }

    /// Faults must be known, take their settings, and have an id of their own.
    fn faults(&self) -> Result<(), ConfigError> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (at, phase) in self.scenario.phases.iter().enumerate() {
            for (n, fault) in phase.inject.iter().enumerate() {
                let n = n.to_string();
                let id = fault.id.as_str();
                if id.is_empty() || id.contains(|c: char| c.is_whitespace() || c.is_control()) {
                    let what = format!("a fault's id is {id:?}");
                    let hint = "write a word; phases that heal it refer to it";
                    return self.wrong_in(at, &["inject", &n, "id"], what, hint);
                }
                if let Some(first) = seen.insert(id, &phase.name) {
                    let what = format!("there is a fault {id} in phase {first} already");
                    let hint = "give each fault of a drill an id of its own";
                    return self.wrong_in(at, &["inject", &n, "id"], what, hint);
                }
                if let Aim::Between { these, those, .. } = &fault.aim
                    && let Some(key) =
                        [("between", these), ("and", those)].iter().find(|(_, s)| s.is_empty())
                {
                    let what = format!("fault {id}: `{}` names nobody", key.0);
                    let hint = "name at least one service on each side";
                    return self.wrong_in(at, &["inject", &n, key.0], what, hint);
                }
                if let Some(what) = fault.cut_off_from_itself() {
                    let hint = "name it on one side only";
                    return self.wrong_in(at, &["inject", &n, "and"], what, hint);
                }
                if let Err(FaultError::Settings { what, hint }) = fault.foreseen() {
                    let known = crate::fault::kinds().contains(&fault.kind.as_str());
                    let about = match &fault.aim {
                        _ if !known => "kind",
                        Aim::Between { .. } if what.contains("`way`") => "way",
                        _ => "settings",
                    };
                    return self.wrong_in(at, &["inject", &n, about], what, hint);
                }
            }
        }
        Ok(())
    }

    /// What a phase heals must be there, and what it resolves must have been raised.
    fn phases(&self) -> Result<(), ConfigError> {
        let phases = &self.scenario.phases;
        if self.scenario.faults().next().is_none() {
            let hint = "a drill begins with a phase that injects: `inject: [{id, kind, on}]`";
            return self.wrong(&["phases"], "no phase injects a fault", hint);
        }
        let (mut open, mut raised): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for (at, phase) in phases.iter().enumerate() {
            let name = &phase.name;
            if phases[..at].iter().any(|earlier| earlier.name == *name) {
                let what = format!("there is a phase {name} already");
                return self.wrong_in(at, &["name"], what, "give each phase a name of its own");
            }
            for (n, id) in phase.heal.iter().enumerate() {
                let Some(there) = open.iter().position(|o| o == id) else {
                    let what = format!("phase {name} heals {id}, which is not there then");
                    let hint = match open.as_slice() {
                        [] => "no fault of an earlier phase is".to_owned(),
                        open => format!("of earlier phases there are {}", open.join(", ")),
                    };
                    return self.wrong_in(at, &["heal", &n.to_string()], what, hint);
                };
                open.remove(there);
            }
            for (n, alert) in phase.resolves.iter().enumerate() {
                let n = n.to_string();
                let keys = ["resolves", n.as_str()];
                let Some(there) = raised.iter().position(|r| r == alert) else {
                    let what =
                        format!("phase {name} resolves {alert}, which no phase before raises");
                    let hint = "state it under `alerts` of the phase whose faults raise it";
                    return self.wrong_in(at, &keys, what, hint);
                };
                if phase.heal.is_empty() {
                    let what = format!("phase {name} resolves {alert}, and heals nothing");
                    let hint = "state under `heal` the faults whose end it is";
                    return self.wrong_in(at, &keys, what, hint);
                }
                raised.remove(there);
            }
            open.extend(phase.inject.iter().map(|fault| fault.id.as_str()));
            for (n, alert) in phase.alerts.iter().enumerate() {
                let n = n.to_string();
                if phase.inject.is_empty() {
                    let what = format!("phase {name} is about {alert}, and injects nothing");
                    let hint = "state it in the phase whose faults raise it";
                    return self.wrong_in(at, &["alerts", &n], what, hint);
                }
                if phases[..at].iter().any(|earlier| earlier.alerts.contains(alert)) {
                    let what = format!("an earlier phase is about {alert} already");
                    let hint = "an alert is proved once in a drill; write another drill for it";
                    return self.wrong_in(at, &["alerts", &n], what, hint);
                }
                raised.push(alert);
            }
            if phase.inject.is_empty() && phase.heal.is_empty() && phase.load.is_none() {
                let what = format!("phase {name} does nothing");
                return self.wrong_in(at, &["name"], what, "let it inject or heal, or remove it");
            }
        }
        Ok(())
    }

    /// A fault that is there beside all other drills must not disturb them.
    fn early(&self) -> Result<(), ConfigError> {
        let own = self.scenario;
        if !own.is_early() {
            return Ok(());
        }
        let refuse = |keys: &[String], key: &str, why: &str| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let what = format!("begins: early does not go with {key}: {why}");
            self.wrong(&keys, what, "remove one of the two")
        };
        if let Some(at) = own.phases.iter().position(|phase| phase.load.is_some()) {
            let keys = own.keys(at, &["load"]);
            return refuse(&keys, "load", "it would run beside every other drill");
        }
        let top = |key: &str| [key.to_owned()];
        if !own.overrides.is_empty() {
            let why = "a rule is changed only while its drill's wave runs";
            return refuse(&top("overrides"), "overrides", why);
        }
        for (key, stated) in
            [("journeys_disturbed", own.journeys_disturbed), ("disturbs", !own.disturbs.is_empty())]
        {
            if stated {
                return refuse(&top(key), key, "it is there during every other drill");
            }
        }
        if own.phases.first().is_some_and(|phase| phase.inject.is_empty()) {
            let why = "it injects nothing that could be there early";
            return refuse(&own.keys(0, &["name"]), "its first phase", why);
        }
        Ok(())
    }

    fn overrides(&self) -> Result<(), ConfigError> {
        for (at, changed) in self.scenario.overrides.iter().enumerate() {
            if !self.scenario.is_about(&changed.alert) {
                return self.wrong(
                    &["overrides", &at.to_string(), "alert"],
                    format!("overrides: the drill is not about alert {}", changed.alert),
                    "only rules of the drill's own `alerts` can be changed for it",
                );
            }
        }
        Ok(())
    }

    /// Seconds must be a time, and about alerts of the drill.
    fn seconds(&self) -> Result<(), ConfigError> {
        let each = |seconds: &Seconds| match seconds {
            Seconds::All(seconds) => vec![(None, *seconds)],
            Seconds::By(alerts) => {
                alerts.iter().map(|(alert, seconds)| (Some(alert.clone()), *seconds)).collect()
            }
        };
        let time = |keys: &[&str], key: &str, seen: f64| {
            if (0.0..=86_400.0).contains(&seen) {
                return Ok(());
            }
            let what = format!("{key}: seen {seen}, wanted a number of seconds from 0 to 86400");
            self.wrong(keys, what, "correct the number")
        };
        for (at, phase) in self.scenario.phases.iter().enumerate() {
            if self.scenario.schema == 1 {
                time(&["hold_s"], "hold_s", phase.hold_s)?;
            } else {
                time(&["phases", &at.to_string(), "stays", "s"], "stays", phase.hold_s)?;
            }
        }
        let stated = [
            ("builds_up_s", each(&self.scenario.builds_up_s)),
            ("clears_s", each(&self.scenario.clears_s)),
        ];
        for (key, (alert, seen)) in
            stated.into_iter().flat_map(|(key, all)| all.into_iter().map(move |one| (key, one)))
        {
            let keys: Vec<&str> = [key].into_iter().chain(alert.as_deref()).collect();
            if let Some(alert) = alert.as_ref().filter(|a| !self.scenario.is_about(a)) {
                let own: Vec<&str> = self.scenario.alerts().map(String::as_str).collect();
                let hint = format!("its alerts are {}", own.join(", "));
                let what = format!("{key}: the drill is not about alert {alert}");
                return self.wrong(&keys, what, hint);
            }
            time(&keys, key, seen)?;
        }
        Ok(())
    }

    /// Added load must be load.
    fn load(&self) -> Result<(), ConfigError> {
        for (at, phase) in self.scenario.phases.iter().enumerate() {
            let Some(load) = &phase.load else { continue };
            if !(0.01..=100_000.0).contains(&load.rate) {
                let seen = load.rate;
                return self.wrong_in(
                    at,
                    &["load", "rate"],
                    format!("load.rate: seen {seen}, wanted arrivals a second from 0.01 to 100000"),
                    "correct the number",
                );
            }
            if let Some(seen) = load.for_s.filter(|s| !(0.1..=86_400.0).contains(s)) {
                return self.wrong_in(
                    at,
                    &["load", "for_s"],
                    format!(
                        "load.for_s: seen {seen}, wanted a number of seconds from 0.1 to 86400"
                    ),
                    "correct the number, or leave it out",
                );
            }
        }
        Ok(())
    }
}
