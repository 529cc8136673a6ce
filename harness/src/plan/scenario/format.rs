//! The two formats of a scenario's file. The first knows one fault, which is injected and healed:
//! two phases.

use super::target::{Target, Which};
use super::{Aim, Begins, ExtraLoad, FaultSpec, Phase, Scenario, Seconds, check};
use crate::fault::Settings;
use crate::yaml;
use config::overriding::Override;
use config::yaml::ConfigError;
use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use verdict::history::fault::ONLY_FAULT;

/// Format 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    schema: u32,
    name: String,
    summary: String,
    fault: OneFault,
    #[serde(default)]
    load: Option<ExtraLoad>,
    #[serde(default)]
    alerts: Vec<String>,
    #[serde(default)]
    also_raises: Vec<String>,
    #[serde(default)]
    disturbs: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    needs_journeys: Vec<String>,
    #[serde(default)]
    journeys_disturbed: bool,
    #[serde(default)]
    leaves_journeys: Vec<String>,
    #[serde(default)]
    builds_up_s: Seconds,
    #[serde(default)]
    clears_s: Seconds,
    #[serde(default)]
    hold_s: f64,
    #[serde(default)]
    begins: Begins,
    #[serde(default)]
    overrides: Vec<Override>,
}

/// The fault of format 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OneFault {
    kind: String,
    target: String,
    #[serde(default)]
    settings: Settings,
}

/// Format 2.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Two {
    schema: u32,
    name: String,
    summary: String,
    phases: Vec<TwoPhase>,
    #[serde(default)]
    also_raises: Vec<String>,
    #[serde(default)]
    disturbs: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    needs_journeys: Vec<String>,
    #[serde(default)]
    journeys_disturbed: bool,
    #[serde(default)]
    leaves_journeys: Vec<String>,
    #[serde(default)]
    builds_up_s: Seconds,
    #[serde(default)]
    clears_s: Seconds,
    #[serde(default)]
    begins: Begins,
    #[serde(default)]
    overrides: Vec<Override>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TwoPhase {
    name: String,
    #[serde(default)]
    inject: Vec<TwoFault>,
    #[serde(default)]
    heal: Vec<String>,
    #[serde(default)]
    load: Option<ExtraLoad>,
    #[serde(default)]
    alerts: Vec<String>,
    #[serde(default)]
    resolves: Vec<String>,
    #[serde(default)]
    stays: Stays,
}

/// How long a phase lasts.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Stays {
    /// Until what it is about was seen, or its time is over.
    #[default]
    Notified,
    /// The same, and at least so many seconds.
    S(f64),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TwoFault {
    id: String,
    kind: String,
    on: Option<On>,
    between: Option<Vec<On>>,
    and: Option<Vec<On>>,
    way: Option<String>,
    #[serde(default)]
    settings: Settings,
}

/// What a fault is aimed at, as it is written: the name of a service, or what tells which instances.
#[derive(Debug)]
enum On {
    Service(String),
    Selected(Selected),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selected {
    service: Option<String>,
    instance: Option<usize>,
    share: Option<f64>,
    role: Option<String>,
    which: Option<String>,
    zone: Option<String>,
}

impl<'de> Deserialize<'de> for On {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<On, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = On;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a service, or {service: …}, {role: …} or {zone: …}")
            }

            fn visit_str<E: serde::de::Error>(self, service: &str) -> Result<On, E> {
                Ok(On::Service(service.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<On, A::Error> {
                Selected::deserialize(MapAccessDeserializer::new(map)).map(On::Selected)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// What can't be understood in a fault: the key, what was seen, what to do.
type Misfit = (&'static str, String, String);

impl On {
    fn target(self, key: &'static str) -> Result<Target, Misfit> {
        let selected = match self {
            On::Service(service) => return Ok(Target::Service(service)),
            On::Selected(selected) => selected,
        };
        let wrong = |what: &str, hint: &str| Err((key, format!("{key}: {what}"), hint.to_owned()));
        match selected {
            Selected {
                service: Some(service),
                instance,
                share,
                role: None,
                which: None,
                zone: None,
            } => match (instance, share) {
                (None, None) => Ok(Target::Service(service)),
                (Some(0), _) => wrong("there is no instance 0", "instances are numbered from 1"),
                (Some(instance), None) => Ok(Target::Instance { service, instance }),
                (None, Some(share)) if share > 0.0 && share < 1.0 => {
                    Ok(Target::Share { service, share })
                }
                (None, Some(share)) => wrong(
                    &format!("share is {share}, wanted more than 0 and less than 1"),
                    "a share is rounded down and at least one instance; all are `on: SERVICE`",
                ),
                (Some(_), Some(_)) => {
                    wrong("an instance and a share are two targets", "state one of them")
                }
            },
            Selected {
                role: Some(role),
                which,
                service: None,
                instance: None,
                share: None,
                zone: None,
            } => {
                let which = match which.as_deref() {
                    Some("leader") => Which::Leader,
                    Some("minority") => Which::Minority,
                    Some("all") | None => Which::All,
                    Some(other) => {
                        return wrong(
                            &format!("which is {other}"),
                            "write leader, minority or all",
                        );
                    }
                };
                Ok(Target::Role { role, which, of: Vec::new() })
            }
            Selected {
                zone: Some(zone),
                service: None,
                instance: None,
                share: None,
                role: None,
                which: None,
            } => Ok(Target::Zone { zone, of: Vec::new() }),
            _ => wrong(
                "it does not say which instances",
                "write the name of a service, {service, instance}, {service, share}, {role, which} or {zone}",
            ),
        }
    }
}

impl TwoFault {
    fn spec(self) -> Result<FaultSpec, Misfit> {
        let TwoFault { id, kind, on, between, and, way, settings } = self;
        let targets = |key: &'static str, all: Vec<On>| {
            all.into_iter().map(|on| on.target(key)).collect::<Result<Vec<_>, _>>()
        };
        let cut = crate::fault::is_between(&kind);
        let aim = match (on, between, and) {
            (Some(on), None, None) if !cut => Aim::On(on.target("on")?),
            (None, Some(these), Some(those)) if cut => Aim::Between {
                these: targets("between", these)?,
                those: targets("and", those)?,
                way: way.clone().unwrap_or_else(|| "both".into()),
            },
            _ => {
                let hint = if cut {
                    "write `between: [...]`, `and: [...]` and `way: both` or `way: there`"
                } else {
                    "write `on:` with the name of a service, {service, instance}, {service, share}, {role, which} or {zone}"
                };
                let what = format!("fault {id} ({kind}) does not say where it is");
                return Err(("kind", what, hint.into()));
            }
        };
        if !cut && way.is_some() {
            let what = format!("fault {id}: a fault {kind} has no `way`");
            return Err(("way", what, "remove it".into()));
        }
        Ok(FaultSpec { id, kind, aim, settings })
    }
}

impl From<One> for Scenario {
    fn from(one: One) -> Scenario {
        let fault = FaultSpec {
            id: ONLY_FAULT.into(),
            kind: one.fault.kind,
            aim: Aim::On(Target::Service(one.fault.target)),
            settings: one.fault.settings,
        };
        let injected = Phase {
            name: "injected".into(),
            inject: vec![fault],
            load: one.load,
            alerts: one.alerts.clone(),
            hold_s: one.hold_s,
            ..Phase::default()
        };
        let healed = Phase {
            name: "healed".into(),
            heal: vec![ONLY_FAULT.into()],
            resolves: one.alerts,
            ..Phase::default()
        };
        Scenario {
            schema: one.schema,
            name: one.name,
            summary: one.summary,
            phases: vec![injected, healed],
            also_raises: one.also_raises,
            disturbs: one.disturbs,
            needs: one.needs,
            needs_journeys: one.needs_journeys,
            journeys_disturbed: one.journeys_disturbed,
            leaves_journeys: one.leaves_journeys,
            builds_up_s: one.builds_up_s,
            clears_s: one.clears_s,
            begins: one.begins,
            overrides: one.overrides,
        }
    }
}

impl One {
    /// A drill of one fault, as older versions wrote it down; `None` of any other.
    fn of(scenario: &Scenario) -> Option<One> {
        let [injected, _] = scenario.phases.as_slice() else { return None };
        let [fault] = injected.inject.as_slice() else { return None };
        let Aim::On(Target::Service(target)) = &fault.aim else { return None };
        let scenario = scenario.clone();
        (scenario.schema == 1).then(|| One {
            schema: 1,
            name: scenario.name,
            summary: scenario.summary,
            fault: OneFault {
                kind: fault.kind.clone(),
                target: target.clone(),
                settings: fault.settings.clone(),
            },
            load: injected.load.clone(),
            alerts: injected.alerts.clone(),
            also_raises: scenario.also_raises,
            disturbs: scenario.disturbs,
            needs: scenario.needs,
            needs_journeys: scenario.needs_journeys,
            journeys_disturbed: scenario.journeys_disturbed,
            leaves_journeys: scenario.leaves_journeys,
            builds_up_s: scenario.builds_up_s,
            clears_s: scenario.clears_s,
            hold_s: injected.hold_s,
            begins: scenario.begins,
            overrides: scenario.overrides,
        })
    }
}

impl Two {
    /// The scenario, or the keys of what can't be understood, what was seen, and what to do.
    fn scenario(self) -> Result<Scenario, (Vec<String>, String, String)> {
        let mut phases = Vec::new();
        for (at, phase) in self.phases.into_iter().enumerate() {
            let mut inject = Vec::new();
            for (n, fault) in phase.inject.into_iter().enumerate() {
                let fault = fault.spec().map_err(|(key, what, hint)| {
                    let (at, n) = (at.to_string(), n.to_string());
                    let keys = ["phases", &at, "inject", &n, key].map(str::to_owned).to_vec();
                    (keys, what, hint)
                })?;
                inject.push(fault);
            }
            phases.push(Phase {
                name: phase.name,
                inject,
                heal: phase.heal,
                load: phase.load,
                alerts: phase.alerts,
                resolves: phase.resolves,
                hold_s: match phase.stays {
                    Stays::Notified => 0.0,
                    Stays::S(seconds) => seconds,
                },
            });
        }
        Ok(Scenario {
            schema: self.schema,
            name: self.name,
            summary: self.summary,
            phases,
            also_raises: self.also_raises,
            disturbs: self.disturbs,
            needs: self.needs,
            needs_journeys: self.needs_journeys,
            journeys_disturbed: self.journeys_disturbed,
            leaves_journeys: self.leaves_journeys,
            builds_up_s: self.builds_up_s,
            clears_s: self.clears_s,
            begins: self.begins,
            overrides: self.overrides,
        })
    }
}

/// Written down with a run's plan: a drill of format 1 as versions do that know no other.
impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match One::of(self) {
            Some(one) => one.serialize(serializer),
            None => Scenario::serialize(self, serializer),
        }
    }
}

/// Read from a run's plan.
impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scenario, D::Error> {
        let written = serde_json::Value::deserialize(deserializer)?;
        let read = match written.get("phases") {
            None => serde_json::from_value::<One>(written).map(Scenario::from),
            Some(_) => Scenario::deserialize(written),
        };
        read.map_err(D::Error::custom)
    }
}

/// The version that a file says it is of.
fn version(path: &Path, text: &str) -> Option<u64> {
    match yaml::tree(path, text) {
        Ok(root) => root.get("schema")?.text()?.parse().ok(),
        // Some of what no tree holds (`.nan`) is told of by its own place.
        Err(_) => text.lines().find_map(|line| line.strip_prefix("schema:"))?.trim().parse().ok(),
    }
}

/// Reads all scenarios of a folder, by name. A missing folder holds none.
///
/// # Errors
/// A file that can't be read or understood, or whose `name` is not its file's.
pub fn read_all(folder: &Path) -> Result<BTreeMap<String, Scenario>, ConfigError> {
    let mut found = BTreeMap::new();
    for path in yaml::files(folder)? {
        let scenario = read(&path)?;
        found.insert(scenario.name.clone(), scenario);
    }
    Ok(found)
}

/// Reads one scenario.
///
/// # Errors
/// A file that can't be read or understood, whose `name` is not its file's, or that asks for a
/// fault or setting that does not exist.
pub fn read(path: &Path) -> Result<Scenario, ConfigError> {
    let scenario = parse(path, &yaml::text(path)?)?;
    check::check(path, &scenario)?;
    Ok(scenario)
}

/// Parses the text of a scenario's file.
///
/// # Errors
/// It is no YAML, or holds something else than is wanted.
pub fn parse(path: &Path, text: &str) -> Result<Scenario, ConfigError> {
    match version(path, text) {
        // What can't even tell its version is told of as the first.
        Some(1) | None => yaml::parse::<One>(path, text).map(Scenario::from),
        Some(2) => yaml::parse::<Two>(path, text)?.scenario().map_err(|(keys, what, hint)| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            yaml::error_in(path, text, &keys, what, hint)
        }),
        Some(other) => Err(yaml::error_in(
            path,
            text,
            &["schema"],
            format!("schema: seen {other}, wanted 1 or 2"),
            "this program reads versions 1 and 2",
        )),
    }
}
