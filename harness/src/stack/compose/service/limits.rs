//! Limits, the number of instances, and what `deploy` says beside them.

use crate::stack::compose::fields::{Fields, entries, text, wanted, whole};
use config::yaml::{ConfigError, Node, Value};
use std::collections::BTreeMap;

/// Keys of `deploy` that mean something to a swarm only.
const SWARM: &[&str] =
    &["mode", "placement", "update_config", "rollback_config", "endpoint_mode", "labels"];

pub(super) fn ulimits(
    fields: &mut Fields,
    path: &str,
) -> Result<BTreeMap<String, (i64, i64)>, ConfigError> {
    let path = format!("{path}.ulimits");
    let Some(node) = fields.take("ulimits") else { return Ok(BTreeMap::new()) };
    entries(node, &path)?
        .iter()
        .map(|(key, node)| {
            let path = format!("{path}.{}", key.name);
            if let Value::Map(_) = node.value {
                let mut inner = Fields::new(node, path.clone())?;
                let (soft, hard) = (inner.whole("soft")?, inner.whole("hard")?);
                inner.finish(&[])?;
                match (soft.or(hard), hard.or(soft)) {
                    (Some(soft), Some(hard)) => Ok((key.name.clone(), (soft, hard))),
                    _ => Err(wanted(node, &path, "soft and hard")),
                }
            } else {
                let limit = whole(node, &path)?;
                Ok((key.name.clone(), (limit, limit)))
            }
        })
        .collect()
}

/// Most instances of one service: a stack runs on one machine.
const MOST_REPLICAS: i64 = 100;

/// Limits of a service, its restart policy, and how many instances of it run.
pub(super) struct Limits {
    pub cpus: f64,
    pub memory: i64,
    pub memory_reservation: i64,
    pub pids: i64,
    pub restart: String,
    pub replicas: usize,
}

pub(super) fn read(
    fields: &mut Fields,
    path: &str,
    warnings: &mut Vec<String>,
) -> Result<Limits, ConfigError> {
    let mut limits = Limits {
        cpus: fields.number("cpus")?.unwrap_or(0.0),
        memory: fields.bytes("mem_limit")?.unwrap_or(0),
        memory_reservation: fields.bytes("mem_reservation")?.unwrap_or(0),
        pids: fields.whole("pids_limit")?.unwrap_or(0),
        restart: "no".into(),
        replicas: 1,
    };
    // Swap only adds to what a limit allows, and a limit without it is the stricter one.
    for key in ["memswap_limit", "mem_swappiness"] {
        if fields.take(key).is_some() {
            warnings.push(format!("{path}.{key} has no effect"));
        }
    }
    if let Some(node) = fields.take("restart") {
        limits.restart = restart(node, path)?;
    }
    let scale = fields.take("scale");
    if let Some(scale) = scale {
        limits.replicas = replicas(scale, &format!("{path}.scale"))?;
    }
    if let Some(node) = fields.take("deploy") {
        limits.deploy(node, &format!("{path}.deploy"), scale.is_some(), warnings)?;
    }
    Ok(limits)
}

fn restart(node: &Node, path: &str) -> Result<String, ConfigError> {
    let restart = text(node, path)?;
    let known =
        matches!(restart.as_str(), "no" | "false" | "always" | "unless-stopped" | "on-failure")
            || restart
                .strip_prefix("on-failure:")
                .is_some_and(|times| times.parse::<u32>().is_ok());
    if !known {
        return Err(wanted(
            node,
            &format!("{path}.restart"),
            "no, always, unless-stopped or on-failure[:n]",
        ));
    }
    Ok(if restart == "false" { "no".into() } else { restart })
}

impl Limits {
    /// What `deploy` says of them; `scaled` tells whether `scale` states the instances too.
    fn deploy(
        &mut self,
        node: &Node,
        path: &str,
        scaled: bool,
        warnings: &mut Vec<String>,
    ) -> Result<(), ConfigError> {
        let mut deploy = Fields::new(node, path.to_owned())?;
        for key in SWARM {
            if deploy.take(key).is_some() {
                warnings.push(format!("{path}.{key} has no effect outside a swarm"));
            }
        }
        if let Some(node) = deploy.take("replicas") {
            let path = format!("{path}.replicas");
            let count = replicas(node, &path)?;
            if scaled && count != self.replicas {
                return Err(ConfigError::at(
                    &node.mark,
                    format!("{path}: seen {count}, and `scale` says {}", self.replicas),
                    "write one of the two",
                ));
            }
            self.replicas = count;
        }
        if let Some(policy) = deploy.take("restart_policy") {
            self.restart = restart_policy(policy, format!("{path}.restart_policy"))?;
        }
        if let Some(resources) = deploy.take("resources") {
            self.resources(resources, &format!("{path}.resources"))?;
        }
        deploy.finish(&[])
    }

    fn resources(&mut self, node: &Node, path: &str) -> Result<(), ConfigError> {
        let mut resources = Fields::new(node, path.to_owned())?;
        if let Some(inner) = resources.take("limits") {
            let mut inner = Fields::new(inner, format!("{path}.limits"))?;
            self.cpus = inner.number("cpus")?.unwrap_or(self.cpus);
            self.memory = inner.bytes("memory")?.unwrap_or(self.memory);
            self.pids = inner.whole("pids")?.unwrap_or(self.pids);
            inner.finish(&[])?;
        }
        if let Some(inner) = resources.take("reservations") {
            let mut inner = Fields::new(inner, format!("{path}.reservations"))?;
            self.memory_reservation = inner.bytes("memory")?.unwrap_or(self.memory_reservation);
            inner.take("cpus");
            inner.finish(&[("devices", "a stack runs without devices of that kind")])?;
        }
        resources.finish(&[])
    }
}

fn restart_policy(node: &Node, path: String) -> Result<String, ConfigError> {
    let mut policy = Fields::new(node, path)?;
    let condition = policy.text("condition")?.unwrap_or_else(|| "any".into());
    let attempts = policy.whole("max_attempts")?;
    policy.take("delay");
    policy.take("window");
    policy.finish(&[])?;
    Ok(match (condition.as_str(), attempts) {
        ("none", _) => "no".into(),
        ("on-failure", Some(attempts)) => format!("on-failure:{attempts}"),
        ("on-failure", None) => "on-failure".into(),
        _ => "always".into(),
    })
}

fn replicas(node: &Node, path: &str) -> Result<usize, ConfigError> {
    let seen = whole(node, path)?;
    match usize::try_from(seen) {
        Ok(count) if (1..=MOST_REPLICAS).contains(&seen) => Ok(count),
        _ => Err(ConfigError::at(
            &node.mark,
            format!("{path}: seen {seen}, wanted 1 to {MOST_REPLICAS}"),
            "a service that is not to run belongs to a profile that is not turned on",
        )),
    }
}
