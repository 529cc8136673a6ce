//! Reading one service.

mod limits;
mod mounts;
mod ports;

use super::fields::{Fields, entries, text, texts, wanted};
use super::interpolate::Environment;
use super::load::{Source, plain};
use super::model::{Condition, Dependency, Healthcheck, Link, LogDriver, Service, ServiceNetwork};
use super::{ConfigError, dotenv};
use config::yaml::{Key, Node, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Keys that Compose knows and we don't, with what to do instead.
const UNSUPPORTED_KEYS: &[(&str, &str)] = &[
    ("external_links", "a stack reaches only its own services: add a stand-in"),
    ("volumes_from", "mount the same named volume in both services"),
    ("gpus", "a stack runs without devices of that kind"),
    ("runtime", "a stack runs with the engine's default runtime"),
    ("cgroup_parent", "limit the service with deploy.resources.limits"),
    ("userns_mode", "a stack runs in the engine's own user namespace"),
    ("mac_address", "let the engine choose it"),
    ("cpuset", "limit the service with cpus"),
    ("cpu_quota", "limit the service with cpus"),
    ("cpu_period", "limit the service with cpus"),
    ("credential_spec", "Windows containers are not supported"),
    ("isolation", "Windows containers are not supported"),
    ("provider", "give an image"),
];

pub(super) fn read(
    key: &Key,
    node: &Node,
    env: &Environment,
    source: &Source,
    warnings: &mut Vec<String>,
) -> Result<Service, ConfigError> {
    let path = format!("services.{}", key.name);
    let name = name(key, &path)?;
    let mut fields = Fields::new(node, path.clone())?;
    ignored(&mut fields, &path, warnings);
    let profiles = fields.texts("profiles")?;
    let limits = limits::read(&mut fields, &path, warnings)?;
    let dns = fields.texts("dns")?;
    let links = links(&mut fields, &path)?;
    let depends_on = dependencies(&mut fields, &path, &links)?;
    let service = Service {
        name,
        mark: key.mark.clone(),
        image: fields.text("image")?,
        build: fields.take("build").map(|node| node.mark.clone()),
        command: fields.command("command")?,
        entrypoint: fields.command("entrypoint")?,
        environment: environment(&mut fields, &path, env, source)?,
        ports: ports::read(&mut fields, &path)?,
        volumes: mounts::volumes(&mut fields, &path)?,
        networks: networks(&mut fields, &path)?,
        network_mode: network_mode(&mut fields, &path)?,
        depends_on,
        links,
        replicas: limits.replicas,
        healthcheck: healthcheck(&mut fields, &path)?,
        configs: mounts::contents(&mut fields, &path, "configs")?,
        secrets: mounts::contents(&mut fields, &path, "secrets")?,
        profiles,
        container_name: fields.text("container_name")?,
        hostname: fields.text("hostname")?,
        domainname: fields.text("domainname")?,
        user: fields.text("user")?,
        working_dir: fields.text("working_dir")?,
        labels: plain(fields.pairs("labels")?),
        cap_add: fields.texts("cap_add")?,
        cap_drop: fields.texts("cap_drop")?,
        privileged: fields.flag("privileged")?.unwrap_or(false),
        ulimits: limits::ulimits(&mut fields, &path)?,
        sysctls: plain(fields.pairs("sysctls")?),
        extra_hosts: extra_hosts(&mut fields, &path)?,
        dns,
        cpus: limits.cpus,
        cpu_shares: fields.whole("cpu_shares")?.unwrap_or(0),
        memory: limits.memory,
        memory_reservation: limits.memory_reservation,
        pids_limit: limits.pids,
        shm_size: fields.bytes("shm_size")?.unwrap_or(0),
        restart: limits.restart,
        stop_signal: fields.text("stop_signal")?,
        stop_grace_period: fields.duration("stop_grace_period")?,
        init: fields.flag("init")?,
        read_only: fields.flag("read_only")?.unwrap_or(false),
        tty: fields.flag("tty")?.unwrap_or(false),
        stdin_open: fields.flag("stdin_open")?.unwrap_or(false),
        pid: fields.text("pid")?,
        ipc: fields.text("ipc")?,
        devices: fields.texts("devices")?,
        security_opt: fields.texts("security_opt")?,
        group_add: fields.texts("group_add")?,
        oom_score_adj: fields.whole("oom_score_adj")?,
        logging: logging(&mut fields, &path)?,
        platform: fields.text("platform")?,
    };
    search_domains(&mut fields, &path, warnings);
    fields.finish(UNSUPPORTED_KEYS)?;
    if service.replicas > 1 {
        replicable(&service)?;
    }
    Ok(service)
}

fn name(key: &Key, path: &str) -> Result<String, ConfigError> {
    let name = &key.name;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(ConfigError::at(
            &key.mark,
            format!("{path}: no name of a service"),
            "letters, digits, dots, dashes, underscores",
        ));
    }
    Ok(name.clone())
}

fn ignored(fields: &mut Fields, path: &str, warnings: &mut Vec<String>) {
    for ignored in ["pull_policy", "annotations", "attach", "expose", "extends"] {
        fields.take(ignored);
    }
    if fields.take("develop").is_some() {
        warnings.push(format!("{path}.develop has no effect: it is about watching source files"));
    }
}

fn search_domains(fields: &mut Fields, path: &str, warnings: &mut Vec<String>) {
    for unused in ["dns_search", "dns_opt"] {
        if fields.take(unused).is_some() {
            warnings.push(format!(
                "{path}.{unused} has no effect: a contained stack resolves its own names only"
            ));
        }
    }
}

/// Refuses what only one container can have where a service has several.
fn replicable(service: &Service) -> Result<(), ConfigError> {
    let (name, count) = (&service.name, service.replicas);
    let fixed = service.ports.iter().find_map(|port| Some((port.host?, port)));
    if let Some((host, port)) = fixed {
        return Err(ConfigError::at(
            &port.mark,
            format!("services.{name}.ports: {count} instances can't share port {host} of the host"),
            format!(
                "write \"{}\" alone: each instance then gets a port of its own",
                port.container
            ),
        ));
    }
    if let Some(wanted) = &service.container_name {
        return Err(ConfigError::at(
            &service.mark,
            format!("services.{name}.container_name: {count} instances can't share `{wanted}`"),
            "leave container_name out",
        ));
    }
    if let Some(address) = service.networks.values().find_map(|network| network.ipv4.as_ref()) {
        return Err(ConfigError::at(
            &service.mark,
            format!("services.{name}.networks: {count} instances can't share address {address}"),
            "leave ipv4_address out",
        ));
    }
    Ok(())
}

/// Services under names of this one's own: `service`, or `service:alias`.
fn links(fields: &mut Fields, path: &str) -> Result<Vec<Link>, ConfigError> {
    let path = format!("{path}.links");
    let Some(node) = fields.take("links") else { return Ok(Vec::new()) };
    texts(node, &path)?
        .into_iter()
        .map(|link| {
            let (service, alias) = link.split_once(':').unwrap_or((&link, &link));
            if service.is_empty() || alias.is_empty() {
                return Err(ConfigError::at(
                    &node.mark,
                    format!("{path}: seen `{link}`, wanted the name of a service"),
                    "write service, or service:alias",
                ));
            }
            Ok(Link { service: service.to_owned(), alias: alias.to_owned() })
        })
        .collect()
}

fn environment(
    fields: &mut Fields,
    path: &str,
    env: &Environment,
    source: &Source,
) -> Result<Environment, ConfigError> {
    let mut all = Environment::new();
    if let Some(node) = fields.take("env_file") {
        let list = match &node.value {
            Value::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        for item in list {
            let (file, required) = match &item.value {
                Value::Map(_) => {
                    let mut inner = Fields::new(item, format!("{path}.env_file"))?;
                    let file = inner.text("path")?;
                    let required = inner.flag("required")?.unwrap_or(true);
                    inner.finish(&[("format", "leave it out: the usual format is read")])?;
                    (
                        file.ok_or_else(|| wanted(item, &format!("{path}.env_file"), "a path"))?,
                        required,
                    )
                }
                _ => (text(item, path)?, true),
            };
            let file = PathBuf::from(file);
            if required || source.physical(&file).is_file() {
                all.extend(dotenv::parse(&file, &source.read(&file, &item.mark)?, env)?);
            }
        }
    }
    for (name, value) in fields.pairs("environment")? {
        match value.or_else(|| env.get(&name).cloned()) {
            Some(value) => {
                all.insert(name, value);
            }
            None => {
                all.remove(&name);
            }
        }
    }
    Ok(all)
}

fn networks(
    fields: &mut Fields,
    path: &str,
) -> Result<BTreeMap<String, ServiceNetwork>, ConfigError> {
    let path = format!("{path}.networks");
    let Some(node) = fields.take("networks") else {
        return Ok(BTreeMap::from([("default".to_owned(), ServiceNetwork::default())]));
    };
    match &node.value {
        Value::List(_) => Ok(texts(node, &path)?
            .into_iter()
            .map(|name| (name, ServiceNetwork::default()))
            .collect()),
        _ => entries(node, &path)?
            .iter()
            .map(|(key, node)| {
                let mut inner = Fields::new(node, format!("{path}.{}", key.name))?;
                let network = ServiceNetwork {
                    aliases: inner.texts("aliases")?,
                    ipv4: inner.text("ipv4_address")?,
                };
                inner.take("priority");
                inner.finish(&[])?;
                Ok((key.name.clone(), network))
            })
            .collect(),
    }
}

fn network_mode(fields: &mut Fields, path: &str) -> Result<Option<String>, ConfigError> {
    let Some(node) = fields.take("network_mode") else { return Ok(None) };
    let mode = text(node, path)?;
    match mode.as_str() {
        "none" => Ok(Some(mode)),
        "bridge" | "default" => Ok(None),
        _ if mode.starts_with("service:") => Ok(Some(mode)),
        _ => Err(ConfigError::at(
            &node.mark,
            format!("{path}.network_mode: seen `{mode}`, wanted none or service:<name>"),
            "a drill must not reach the host's network: leave network_mode out, so that the service joins the stack's own",
        )),
    }
}

/// What must be there first: what it depends on, and what it is linked to.
fn dependencies(
    fields: &mut Fields,
    path: &str,
    links: &[Link],
) -> Result<BTreeMap<String, Dependency>, ConfigError> {
    let mut all = depends_on(fields, path)?;
    for link in links {
        let started = Dependency { condition: Condition::Started, required: true };
        all.entry(link.service.clone()).or_insert(started);
    }
    Ok(all)
}

fn depends_on(
    fields: &mut Fields,
    path: &str,
) -> Result<BTreeMap<String, Dependency>, ConfigError> {
    let path = format!("{path}.depends_on");
    let Some(node) = fields.take("depends_on") else { return Ok(BTreeMap::new()) };
    if let Value::List(_) = node.value {
        let started = Dependency { condition: Condition::Started, required: true };
        return Ok(texts(node, &path)?.into_iter().map(|name| (name, started)).collect());
    }
    entries(node, &path)?
        .iter()
        .map(|(key, node)| {
            let mut inner = Fields::new(node, format!("{path}.{}", key.name))?;
            inner.take("restart");
            let required = inner.flag("required")?.unwrap_or(true);
            let condition = match inner.text("condition")?.as_deref() {
                None | Some("service_started") => Condition::Started,
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::Completed,
                Some(other) => {
                    return Err(ConfigError::at(
                        &node.mark,
                        format!("{path}.{}: unknown condition `{other}`", key.name),
                        "conditions are service_started, service_healthy, service_completed_successfully",
                    ));
                }
            };
            inner.finish(&[])?;
            Ok((key.name.clone(), Dependency { condition, required }))
        })
        .collect()
}

fn healthcheck(fields: &mut Fields, path: &str) -> Result<Option<Healthcheck>, ConfigError> {
    let path = format!("{path}.healthcheck");
    let Some(node) = fields.take("healthcheck") else { return Ok(None) };
    let mut inner = Fields::new(node, path.clone())?;
    let test = match inner.take("test") {
        None => Vec::new(),
        Some(test) => match &test.value {
            Value::List(_) => {
                let words = texts(test, &path)?;
                match words.first().map(String::as_str) {
                    Some("NONE" | "CMD" | "CMD-SHELL") => words,
                    _ => {
                        return Err(ConfigError::at(
                            &test.mark,
                            format!("{path}.test: a list begins with CMD, CMD-SHELL or NONE"),
                            "",
                        ));
                    }
                }
            }
            _ => vec!["CMD-SHELL".to_owned(), text(test, &path)?],
        },
    };
    let retries = inner
        .whole("retries")?
        .map(|retries| {
            u32::try_from(retries)
                .map_err(|_| wanted(node, &format!("{path}.retries"), "a number from 0"))
        })
        .transpose()?;
    let check = Healthcheck {
        disable: inner.flag("disable")?.unwrap_or(false),
        test,
        interval: inner.duration("interval")?,
        timeout: inner.duration("timeout")?,
        retries,
        start_period: inner.duration("start_period")?,
        start_interval: inner.duration("start_interval")?,
    };
    inner.finish(&[])?;
    Ok(Some(check))
}

fn extra_hosts(fields: &mut Fields, path: &str) -> Result<Vec<String>, ConfigError> {
    let path = format!("{path}.extra_hosts");
    let Some(node) = fields.take("extra_hosts") else { return Ok(Vec::new()) };
    let lines: Vec<(String, String)> = match &node.value {
        Value::Map(_) => super::fields::pairs(node, &path, '=')?
            .into_iter()
            .map(|(name, address)| (name, address.unwrap_or_default()))
            .collect(),
        _ => texts(node, &path)?
            .into_iter()
            .map(|line| {
                let (name, address) = line.split_once(['=', ':']).unwrap_or((&line, ""));
                (name.to_owned(), address.to_owned())
            })
            .collect(),
    };
    lines
        .into_iter()
        .map(|(name, address)| {
            if address.is_empty() {
                return Err(ConfigError::at(
                    &node.mark,
                    format!("{path}: `{name}` has no address"),
                    "write name:address",
                ));
            }
            Ok(format!("{name}:{address}"))
        })
        .collect()
}

fn logging(fields: &mut Fields, path: &str) -> Result<Option<LogDriver>, ConfigError> {
    let path = format!("{path}.logging");
    let Some(node) = fields.take("logging") else { return Ok(None) };
    let mut inner = Fields::new(node, path.clone())?;
    let driver = inner.text("driver")?.unwrap_or_else(|| "json-file".into());
    let options = plain(inner.pairs("options")?);
    inner.finish(&[])?;
    if !["json-file", "local", "none"].contains(&driver.as_str()) {
        return Err(ConfigError::at(
            &node.mark,
            format!("{path}.driver: unsupported driver `{driver}`"),
            "drivers that stay on this machine are json-file, local and none: others would send logs out of the stack",
        ));
    }
    Ok(Some((driver, options)))
}
