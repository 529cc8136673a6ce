//! Reading one service.

use super::fields::{Fields, entries, items, port, text, texts, wanted, whole};
use super::interpolate::Environment;
use super::load::{Source, plain};
use super::model::{
    Condition, ContentMount, Dependency, Healthcheck, Port, Project, Service, ServiceNetwork, ServiceVolume, VolumeSource,
};
use super::tree::{Key, Mark, Node, Value};
use super::{ConfigError, dotenv, nearest, paths, quantity};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Keys that Compose knows and we don't, with what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("links", "use depends_on and networks.<name>.aliases"),
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

/// Keys of `deploy` that mean something to a swarm only.
const SWARM: &[&str] = &["mode", "placement", "update_config", "rollback_config", "endpoint_mode", "labels"];

pub(super) fn read(
    key: &Key,
    node: &Node,
    env: &Environment,
    source: &Source,
    warnings: &mut Vec<String>,
) -> Result<Service, ConfigError> {
    let name = key.name.clone();
    let path = format!("services.{name}");
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(ConfigError::at(&key.mark, format!("{path}: no name of a service"), "letters, digits, dots, dashes, underscores"));
    }
    let mut fields = Fields::new(node, path.clone())?;
    for ignored in ["pull_policy", "annotations", "attach", "expose", "extends"] {
        fields.take(ignored);
    }
    if fields.take("develop").is_some() {
        warnings.push(format!("{path}.develop has no effect: it is about watching source files"));
    }
    let profiles = fields.texts("profiles")?;
    let limits = limits(&mut fields, &path, warnings)?;
    let dns = fields.texts("dns")?;
    let service = Service {
        name,
        mark: key.mark.clone(),
        image: fields.text("image")?,
        build: fields.take("build").map(|node| node.mark.clone()),
        command: fields.command("command")?,
        entrypoint: fields.command("entrypoint")?,
        environment: environment(&mut fields, &path, env, source)?,
        ports: ports(&mut fields, &path)?,
        volumes: volumes(&mut fields, &path)?,
        networks: networks(&mut fields, &path)?,
        network_mode: network_mode(&mut fields, &path)?,
        depends_on: depends_on(&mut fields, &path)?,
        healthcheck: healthcheck(&mut fields, &path)?,
        configs: content_mounts(&mut fields, &path, "configs")?,
        secrets: content_mounts(&mut fields, &path, "secrets")?,
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
        ulimits: ulimits(&mut fields, &path)?,
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
    for unused in ["dns_search", "dns_opt"] {
        if fields.take(unused).is_some() {
            warnings.push(format!("{path}.{unused} has no effect: a contained stack resolves its own names only"));
        }
    }
    fields.finish(ELSEWHERE)?;
    Ok(service)
}

/// What refers to another part of the file must find it.
pub(super) fn check_references(project: &Project) -> Result<(), ConfigError> {
    fn missing<'a>(
        mark: &Mark,
        path: String,
        name: &str,
        what: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> ConfigError {
        let hint = nearest(name, known.map(String::as_str))
            .map_or_else(|| format!("declare it under {what}s"), |near| format!("did you mean {near}?"));
        ConfigError::at(mark, format!("{path}: there is no {what} {name}"), hint)
    }
    for (name, service) in &project.services {
        let path = |key: &str| format!("services.{name}.{key}");
        for (on, dependency) in &service.depends_on {
            if let Some(profiles) = project.left_out.get(on).filter(|_| dependency.required) {
                let what = format!("{}: service {on} is left out by its profiles {}", path("depends_on"), profiles.join(", "));
                return Err(ConfigError::at(&service.mark, what, "turn the profile on, or write `required: false`"));
            }
            if dependency.required && !project.services.contains_key(on) {
                return Err(missing(&service.mark, path("depends_on"), on, "service", project.services.keys()));
            }
        }
        for network in service.networks.keys().filter(|network| *network != "default") {
            if !project.networks.contains_key(network) {
                return Err(missing(&service.mark, path("networks"), network, "network", project.networks.keys()));
            }
        }
        for volume in &service.volumes {
            if let VolumeSource::Named { name, .. } = &volume.source
                && !project.volumes.contains_key(name)
            {
                return Err(missing(&volume.mark, path("volumes"), name, "volume", project.volumes.keys()));
            }
        }
        for mount in &service.configs {
            if !project.configs.contains_key(&mount.source) {
                return Err(missing(&mount.mark, path("configs"), &mount.source, "config", project.configs.keys()));
            }
        }
        for mount in &service.secrets {
            if !project.secrets.contains_key(&mount.source) {
                return Err(missing(&mount.mark, path("secrets"), &mount.source, "secret", project.secrets.keys()));
            }
        }
        if let Some(other) = service.network_mode.as_deref().and_then(|mode| mode.strip_prefix("service:"))
            && !project.services.contains_key(other)
        {
            return Err(missing(&service.mark, path("network_mode"), other, "service", project.services.keys()));
        }
    }
    circle(project)
}

/// Refuses dependencies that go round in a circle.
fn circle(project: &Project) -> Result<(), ConfigError> {
    fn visit<'a>(project: &'a Project, name: &'a str, trail: &mut Vec<&'a str>, done: &mut Vec<&'a str>) -> Result<(), ConfigError> {
        if done.contains(&name) {
            return Ok(());
        }
        let Some(service) = project.services.get(name) else { return Ok(()) };
        if let Some(at) = trail.iter().position(|seen| *seen == name) {
            let mut round = trail[at..].to_vec();
            round.push(name);
            return Err(ConfigError::at(
                &service.mark,
                format!("services depend on each other in a circle: {}", round.join(" → ")),
                "take one depends_on out",
            ));
        }
        trail.push(name);
        let shared = service.network_mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
        for on in service.depends_on.keys().map(String::as_str).chain(shared) {
            visit(project, on, trail, done)?;
        }
        trail.pop();
        done.push(name);
        Ok(())
    }
    let mut done = Vec::new();
    for name in project.services.keys() {
        visit(project, name, &mut Vec::new(), &mut done)?;
    }
    Ok(())
}

fn environment(fields: &mut Fields, path: &str, env: &Environment, source: &Source) -> Result<Environment, ConfigError> {
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
                    (file.ok_or_else(|| wanted(item, &format!("{path}.env_file"), "a path"))?, required)
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

fn ports(fields: &mut Fields, path: &str) -> Result<Vec<Port>, ConfigError> {
    let path = format!("{path}.ports");
    let Some(node) = fields.take("ports") else { return Ok(Vec::new()) };
    let mut ports = Vec::new();
    for item in items(node, &path)? {
        if let Value::Map(_) = item.value {
            let mut inner = Fields::new(item, path.clone())?;
            for ignored in ["mode", "name", "app_protocol"] {
                inner.take(ignored);
            }
            let target = inner.text("target")?.ok_or_else(|| wanted(item, &path, "a target"))?;
            let published = inner.text("published")?;
            let host_ip = inner.text("host_ip")?;
            let protocol = inner.text("protocol")?.unwrap_or_else(|| "tcp".into());
            inner.finish(&[])?;
            let range = |text: &str| range(text, &item.mark, &path);
            push_ports(&mut ports, range(&target)?, published.as_deref().map(range).transpose()?, host_ip, &protocol, &item.mark, &path)?;
        } else {
            let all = text(item, &path)?;
            let (spec, protocol) = all.split_once('/').unwrap_or((&all, "tcp"));
            let mut parts: Vec<&str> = spec.rsplitn(3, ':').collect();
            parts.reverse();
            let (host_ip, host, container) = match parts.as_slice() {
                [container] => (None, None, *container),
                [host, container] => (None, Some(*host), *container),
                [ip, host, container] => (Some(*ip), Some(*host).filter(|host| !host.is_empty()), *container),
                _ => return Err(wanted(item, &path, "[address:][host port:]port")),
            };
            let range = |text: &str| range(text, &item.mark, &path);
            let host_ip = host_ip.map(|ip| ip.trim_matches(['[', ']']).to_owned());
            push_ports(&mut ports, range(container)?, host.map(range).transpose()?, host_ip, protocol, &item.mark, &path)?;
        }
    }
    Ok(ports)
}

fn range(text: &str, mark: &Mark, path: &str) -> Result<Vec<u16>, ConfigError> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (port(from, mark, path)?, port(to, mark, path)?);
    if from > to {
        return Err(ConfigError::at(mark, format!("{path}: `{text}` runs backwards"), "write the smaller port first"));
    }
    Ok((from..=to).collect())
}

fn push_ports(
    ports: &mut Vec<Port>,
    container: Vec<u16>,
    host: Option<Vec<u16>>,
    host_ip: Option<String>,
    protocol: &str,
    mark: &Mark,
    path: &str,
) -> Result<(), ConfigError> {
    let udp = match protocol {
        "tcp" => false,
        "udp" => true,
        other => return Err(ConfigError::at(mark, format!("{path}: seen protocol `{other}`, wanted tcp or udp"), "write \"8080:80/udp\", or leave it out for tcp")),
    };
    if let Some(host) = &host
        && host.len() != container.len()
    {
        return Err(ConfigError::at(mark, format!("{path}: the two ranges of ports differ in length"), "give both ranges the same number of ports"));
    }
    for (at, inside) in container.into_iter().enumerate() {
        let host = host.as_ref().and_then(|host| host.get(at).copied());
        ports.push(Port { container: inside, host, host_ip: host_ip.clone(), udp, mark: mark.clone() });
    }
    Ok(())
}

fn volumes(fields: &mut Fields, path: &str) -> Result<Vec<ServiceVolume>, ConfigError> {
    let mut volumes = Vec::new();
    let where_ = format!("{path}.volumes");
    if let Some(node) = fields.take("volumes") {
        for item in items(node, &where_)? {
            volumes.push(match &item.value {
                Value::Map(_) => long_volume(item, &where_)?,
                _ => short_volume(&text(item, &where_)?, &item.mark, &where_)?,
            });
        }
    }
    let where_ = format!("{path}.tmpfs");
    if let Some(node) = fields.take("tmpfs") {
        for line in texts(node, &where_)? {
            let (target, options) = line.split_once(':').unwrap_or((&line, ""));
            let (mut size, mut mode) = (None, None);
            for option in options.split(',').filter(|option| !option.is_empty()) {
                let wrong = |what: String| ConfigError::at(&node.mark, format!("{where_}: {what}"), "options are size= and mode=");
                match option.split_once('=') {
                    Some(("size", value)) => size = Some(quantity::bytes(value).map_err(wrong)?),
                    Some(("mode", value)) => {
                        let bits = u32::from_str_radix(value, 8);
                        mode = Some(bits.map_err(|_| wrong(format!("`{value}` are no permission bits")))?);
                    }
                    _ if ["rw", "noexec", "nosuid", "nodev", "exec"].contains(&option) => {}
                    _ => return Err(wrong(format!("unsupported option `{option}`"))),
                }
            }
            let source = VolumeSource::Tmpfs { size, mode };
            volumes.push(ServiceVolume { source, target: target.to_owned(), read_only: false, mark: node.mark.clone() });
        }
    }
    Ok(volumes)
}

fn short_volume(text: &str, mark: &Mark, path: &str) -> Result<ServiceVolume, ConfigError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(ConfigError::at(mark, format!("{path}: seen `{text}`, wanted source:target[:options]"), "for example ./config:/etc/app:ro")),
    };
    if !target.starts_with('/') {
        return Err(ConfigError::at(mark, format!("{path}: target `{target}` is no absolute path"), "begin it with /"));
    }
    let (mut read_only, mut no_copy, mut propagation) = (false, false, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            "nocopy" => no_copy = true,
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => propagation = Some(option.to_owned()),
            other => {
                return Err(ConfigError::at(mark, format!("{path}: unsupported option `{other}` of `{text}`"), "options are ro, rw, nocopy, and propagation such as rslave"));
            }
        }
    }
    let source = match source {
        None => VolumeSource::Anonymous,
        Some(path) if paths::is_path(path) => VolumeSource::Bind { path: PathBuf::from(path), create: true, propagation },
        Some(name) => VolumeSource::Named { name: name.to_owned(), no_copy },
    };
    Ok(ServiceVolume { source, target: target.to_owned(), read_only, mark: mark.clone() })
}

fn long_volume(node: &Node, path: &str) -> Result<ServiceVolume, ConfigError> {
    let mut fields = Fields::new(node, path)?;
    let kind = fields.text("type")?.unwrap_or_else(|| "volume".into());
    let source = fields.text("source")?;
    let target = fields.text("target")?.ok_or_else(|| wanted(node, path, "a target"))?;
    let read_only = fields.flag("read_only")?.unwrap_or(false);
    fields.take("consistency");
    let mut no_copy = false;
    let (mut create, mut propagation) = (false, None);
    let (mut size, mut mode) = (None, None);
    if let Some(inner) = fields.take("volume") {
        let mut inner = Fields::new(inner, format!("{path}.volume"))?;
        no_copy = inner.flag("nocopy")?.unwrap_or(false);
        inner.finish(&[])?;
    }
    if let Some(inner) = fields.take("bind") {
        let mut inner = Fields::new(inner, format!("{path}.bind"))?;
        create = inner.flag("create_host_path")?.unwrap_or(false);
        propagation = inner.text("propagation")?;
        inner.take("selinux");
        inner.finish(&[])?;
    }
    if let Some(inner) = fields.take("tmpfs") {
        let mut inner = Fields::new(inner, format!("{path}.tmpfs"))?;
        size = inner.bytes("size")?;
        mode = inner.whole("mode")?.and_then(|mode| u32::try_from(mode).ok());
        inner.finish(&[])?;
    }
    fields.finish(&[])?;
    let source = match (kind.as_str(), source) {
        ("bind", Some(source)) => VolumeSource::Bind { path: PathBuf::from(source), create, propagation },
        ("volume", Some(name)) => VolumeSource::Named { name, no_copy },
        ("volume", None) => VolumeSource::Anonymous,
        ("tmpfs", None) => VolumeSource::Tmpfs { size, mode },
        ("bind", None) => return Err(wanted(node, path, "a source for a bind mount")),
        (other, _) => {
            return Err(ConfigError::at(&node.mark, format!("{path}: unsupported type `{other}`"), "types are bind, volume, tmpfs"));
        }
    };
    Ok(ServiceVolume { source, target, read_only, mark: node.mark.clone() })
}

fn networks(fields: &mut Fields, path: &str) -> Result<BTreeMap<String, ServiceNetwork>, ConfigError> {
    let path = format!("{path}.networks");
    let Some(node) = fields.take("networks") else {
        return Ok(BTreeMap::from([("default".to_owned(), ServiceNetwork::default())]));
    };
    match &node.value {
        Value::List(_) => {
            Ok(texts(node, &path)?.into_iter().map(|name| (name, ServiceNetwork::default())).collect())
        }
        _ => entries(node, &path)?
            .iter()
            .map(|(key, node)| {
                let mut inner = Fields::new(node, format!("{path}.{}", key.name))?;
                let network = ServiceNetwork { aliases: inner.texts("aliases")?, ipv4: inner.text("ipv4_address")? };
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

fn depends_on(fields: &mut Fields, path: &str) -> Result<BTreeMap<String, Dependency>, ConfigError> {
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
                        return Err(ConfigError::at(&test.mark, format!("{path}.test: a list begins with CMD, CMD-SHELL or NONE"), ""));
                    }
                }
            }
            _ => vec!["CMD-SHELL".to_owned(), text(test, &path)?],
        },
    };
    let retries = inner
        .whole("retries")?
        .map(|retries| u32::try_from(retries).map_err(|_| wanted(node, &format!("{path}.retries"), "a number from 0")))
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

fn content_mounts(fields: &mut Fields, path: &str, group: &'static str) -> Result<Vec<ContentMount>, ConfigError> {
    let path = format!("{path}.{group}");
    let Some(node) = fields.take(group) else { return Ok(Vec::new()) };
    let default = |source: &str| if group == "configs" { format!("/{source}") } else { format!("/run/secrets/{source}") };
    items(node, &path)?
        .iter()
        .map(|item| {
            let Value::Map(_) = item.value else {
                let source = text(item, &path)?;
                let target = default(&source);
                return Ok(ContentMount { source, target, uid: 0, gid: 0, mode: 0o444, mark: item.mark.clone() });
            };
            let mut inner = Fields::new(item, path.clone())?;
            let source = inner.text("source")?.ok_or_else(|| wanted(item, &path, "a source"))?;
            let target = inner.text("target")?.unwrap_or_else(|| default(&source));
            let target = if target.starts_with('/') { target } else { default(&target) };
            let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
            let mount = ContentMount {
                source,
                target,
                uid: number(inner.whole("uid")?).unwrap_or(0),
                gid: number(inner.whole("gid")?).unwrap_or(0),
                mode: match inner.take("mode") {
                    None => 0o444,
                    Some(mode) => match &mode.value {
                        Value::Text(octal) => u32::from_str_radix(octal.trim_start_matches("0o"), 8)
                            .map_err(|_| wanted(mode, &path, "permission bits such as 0444"))?,
                        _ => u32::try_from(whole(mode, &path)?).map_err(|_| wanted(mode, &path, "permission bits"))?,
                    },
                },
                mark: item.mark.clone(),
            };
            inner.finish(&[])?;
            Ok(mount)
        })
        .collect()
}

fn ulimits(fields: &mut Fields, path: &str) -> Result<BTreeMap<String, (i64, i64)>, ConfigError> {
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
                return Err(ConfigError::at(&node.mark, format!("{path}: `{name}` has no address"), "write name:address"));
            }
            Ok(format!("{name}:{address}"))
        })
        .collect()
}

fn logging(fields: &mut Fields, path: &str) -> Result<Option<(String, BTreeMap<String, String>)>, ConfigError> {
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

struct LimitFields {
    cpus: f64,
    memory: i64,
    memory_reservation: i64,
    pids: i64,
    restart: String,
}

fn limits(fields: &mut Fields, path: &str, warnings: &mut Vec<String>) -> Result<LimitFields, ConfigError> {
    let mut limits = LimitFields {
        cpus: fields.number("cpus")?.unwrap_or(0.0),
        memory: fields.bytes("mem_limit")?.unwrap_or(0),
        memory_reservation: fields.bytes("mem_reservation")?.unwrap_or(0),
        pids: fields.whole("pids_limit")?.unwrap_or(0),
        restart: "no".into(),
    };
    // Swap only adds to what a limit allows, and a limit without it is the stricter one.
    for key in ["memswap_limit", "mem_swappiness"] {
        if fields.take(key).is_some() {
            warnings.push(format!("{path}.{key} has no effect"));
        }
    }
    if let Some(node) = fields.take("restart") {
        let restart = text(node, path)?;
        let known = matches!(restart.as_str(), "no" | "false" | "always" | "unless-stopped" | "on-failure")
            || restart.strip_prefix("on-failure:").is_some_and(|times| times.parse::<u32>().is_ok());
        if !known {
            return Err(wanted(node, &format!("{path}.restart"), "no, always, unless-stopped or on-failure[:n]"));
        }
        limits.restart = if restart == "false" { "no".into() } else { restart };
    }
    if let Some(scale) = fields.take("scale") {
        one(scale, &format!("{path}.scale"))?;
    }
    let Some(node) = fields.take("deploy") else { return Ok(limits) };
    let path = format!("{path}.deploy");
    let mut deploy = Fields::new(node, path.clone())?;
    for key in SWARM {
        if deploy.take(key).is_some() {
            warnings.push(format!("{path}.{key} has no effect outside a swarm"));
        }
    }
    if let Some(replicas) = deploy.take("replicas") {
        one(replicas, &format!("{path}.replicas"))?;
    }
    if let Some(policy) = deploy.take("restart_policy") {
        let mut policy = Fields::new(policy, format!("{path}.restart_policy"))?;
        let condition = policy.text("condition")?.unwrap_or_else(|| "any".into());
        let attempts = policy.whole("max_attempts")?;
        policy.take("delay");
        policy.take("window");
        policy.finish(&[])?;
        limits.restart = match (condition.as_str(), attempts) {
            ("none", _) => "no".into(),
            ("on-failure", Some(attempts)) => format!("on-failure:{attempts}"),
            ("on-failure", None) => "on-failure".into(),
            _ => "always".into(),
        };
    }
    if let Some(resources) = deploy.take("resources") {
        let mut resources = Fields::new(resources, format!("{path}.resources"))?;
        if let Some(inner) = resources.take("limits") {
            let mut inner = Fields::new(inner, format!("{path}.resources.limits"))?;
            limits.cpus = inner.number("cpus")?.unwrap_or(limits.cpus);
            limits.memory = inner.bytes("memory")?.unwrap_or(limits.memory);
            limits.pids = inner.whole("pids")?.unwrap_or(limits.pids);
            inner.finish(&[])?;
        }
        if let Some(inner) = resources.take("reservations") {
            let mut inner = Fields::new(inner, format!("{path}.resources.reservations"))?;
            limits.memory_reservation = inner.bytes("memory")?.unwrap_or(limits.memory_reservation);
            inner.take("cpus");
            inner.finish(&[("devices", "a stack runs without devices of that kind")])?;
        }
        resources.finish(&[])?;
    }
    deploy.finish(&[])?;
    Ok(limits)
}

fn one(node: &Node, path: &str) -> Result<(), ConfigError> {
    if whole(node, path)? == 1 {
        return Ok(());
    }
    Err(ConfigError::at(
        &node.mark,
        format!("{path}: seen {}, wanted 1", node.scalar().unwrap_or_default()),
        "write one service for each instance, so that each has a name of its own",
    ))
}
