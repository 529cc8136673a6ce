//! What refers to another part of the file must find it.

use super::model::{Project, Service, VolumeSource};
use super::{ConfigError, nearest};
use config::yaml::Mark;
use std::collections::BTreeMap;

/// Refuses names of services, networks, volumes, configs and secrets that are not there, and
/// circles.
pub(super) fn check(project: &Project) -> Result<(), ConfigError> {
    for service in project.services.values() {
        told_apart(project, service)?;
        links(project, service)?;
        dependencies(project, service)?;
        for network in service.networks.keys().filter(|network| *network != "default") {
            let path = path(service, "networks");
            there(&service.mark, path, "network", network, &project.networks)?;
        }
        for volume in &service.volumes {
            if let VolumeSource::Named { name, .. } = &volume.source {
                there(&volume.mark, path(service, "volumes"), "volume", name, &project.volumes)?;
            }
        }
        for mount in &service.configs {
            let path = path(service, "configs");
            there(&mount.mark, path, "config", &mount.source, &project.configs)?;
        }
        for mount in &service.secrets {
            let path = path(service, "secrets");
            there(&mount.mark, path, "secret", &mount.source, &project.secrets)?;
        }
        namespaces(project, service)?;
    }
    circle(project)
}

fn path(service: &Service, key: &str) -> String {
    format!("services.{}.{key}", service.name)
}

/// Refuses a name that is not among those there are.
fn there<T>(
    mark: &Mark,
    path: String,
    what: &str,
    name: &str,
    all: &BTreeMap<String, T>,
) -> Result<(), ConfigError> {
    if all.contains_key(name) {
        return Ok(());
    }
    let hint = nearest(name, all.keys().map(String::as_str)).map_or_else(
        || format!("declare it under {what}s"),
        |near| format!("did you mean {near}?"),
    );
    Err(ConfigError::at(mark, format!("{path}: there is no {what} {name}"), hint))
}

fn links(project: &Project, service: &Service) -> Result<(), ConfigError> {
    for link in &service.links {
        if !project.left_out.contains_key(&link.service) {
            let path = path(service, "links");
            there(&service.mark, path, "service", &link.service, &project.services)?;
        }
    }
    Ok(())
}

fn dependencies(project: &Project, service: &Service) -> Result<(), ConfigError> {
    let required = service.depends_on.iter().filter(|(_, dependency)| dependency.required);
    for (on, _) in required {
        let path = path(service, "depends_on");
        if let Some(left) = project.left_out.get(on) {
            return Err(ConfigError::at(
                &service.mark,
                format!("{path}: service {on} is left out: {}", left.why),
                "turn its profile on (--profile), or write `required: false`",
            ));
        }
        there(&service.mark, path, "service", on, &project.services)?;
    }
    Ok(())
}

/// Refuses to share namespaces with a service that is not there, or has several instances.
fn namespaces(project: &Project, service: &Service) -> Result<(), ConfigError> {
    let modes =
        [("network_mode", &service.network_mode), ("pid", &service.pid), ("ipc", &service.ipc)];
    let shared = modes
        .map(|(key, mode)| (key, mode.as_deref().and_then(|mode| mode.strip_prefix("service:"))));
    if let (key, Some(other)) = shared[0] {
        there(&service.mark, path(service, key), "service", other, &project.services)?;
    }
    for (key, other) in shared {
        let shared = other.and_then(|name| project.services.get(name));
        if let Some(shared) = shared.filter(|shared| shared.replicas > 1) {
            return Err(ConfigError::at(
                &service.mark,
                format!(
                    "{}: {} has {} instances, and each has namespaces of its own",
                    path(service, key),
                    shared.name,
                    shared.replicas
                ),
                "share those of a service that has one",
            ));
        }
    }
    Ok(())
}

/// Refuses a service of several instances one of which would be called as another service.
fn told_apart(project: &Project, service: &Service) -> Result<(), ConfigError> {
    if service.replicas <= 1 {
        return Ok(());
    }
    let known =
        |name: &String| project.services.contains_key(name) || project.left_out.contains_key(name);
    match service.instances().into_iter().find(known) {
        None => Ok(()),
        Some(taken) => Err(ConfigError::at(
            &service.mark,
            format!(
                "services.{}: an instance of it is called {taken}, as another service is",
                service.name
            ),
            "rename one of the two",
        )),
    }
}

/// Refuses dependencies that go round in a circle.
fn circle(project: &Project) -> Result<(), ConfigError> {
    fn visit<'a>(
        project: &'a Project,
        name: &'a str,
        trail: &mut Vec<&'a str>,
        done: &mut Vec<&'a str>,
    ) -> Result<(), ConfigError> {
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
