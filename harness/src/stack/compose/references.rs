//! What refers to another part of the file must find it.

use super::model::{Project, VolumeSource};
use super::{ConfigError, nearest};
use config::yaml::Mark;

/// Refuses names of services, networks, volumes, configs and secrets that are not there, and
/// circles.
pub(super) fn check(project: &Project) -> Result<(), ConfigError> {
    fn missing<'a>(
        mark: &Mark,
        path: String,
        name: &str,
        what: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> ConfigError {
        let hint = nearest(name, known.map(String::as_str)).map_or_else(
            || format!("declare it under {what}s"),
            |near| format!("did you mean {near}?"),
        );
        ConfigError::at(mark, format!("{path}: there is no {what} {name}"), hint)
    }
    for (name, service) in &project.services {
        let path = |key: &str| format!("services.{name}.{key}");
        told_apart(project, name)?;
        for link in &service.links {
            if !project.services.contains_key(&link.service)
                && !project.left_out.contains_key(&link.service)
            {
                return Err(missing(
                    &service.mark,
                    path("links"),
                    &link.service,
                    "service",
                    project.services.keys(),
                ));
            }
        }
        for (on, dependency) in &service.depends_on {
            if let Some(left) = project.left_out.get(on).filter(|_| dependency.required) {
                let what =
                    format!("{}: service {on} is left out: {}", path("depends_on"), left.why);
                return Err(ConfigError::at(
                    &service.mark,
                    what,
                    "turn its profile on (--profile), or write `required: false`",
                ));
            }
            if dependency.required && !project.services.contains_key(on) {
                return Err(missing(
                    &service.mark,
                    path("depends_on"),
                    on,
                    "service",
                    project.services.keys(),
                ));
            }
        }
        for network in service.networks.keys().filter(|network| *network != "default") {
            if !project.networks.contains_key(network) {
                return Err(missing(
                    &service.mark,
                    path("networks"),
                    network,
                    "network",
                    project.networks.keys(),
                ));
            }
        }
        for volume in &service.volumes {
            if let VolumeSource::Named { name, .. } = &volume.source
                && !project.volumes.contains_key(name)
            {
                return Err(missing(
                    &volume.mark,
                    path("volumes"),
                    name,
                    "volume",
                    project.volumes.keys(),
                ));
            }
        }
        for mount in &service.configs {
            if !project.configs.contains_key(&mount.source) {
                return Err(missing(
                    &mount.mark,
                    path("configs"),
                    &mount.source,
                    "config",
                    project.configs.keys(),
                ));
            }
        }
        for mount in &service.secrets {
            if !project.secrets.contains_key(&mount.source) {
                return Err(missing(
                    &mount.mark,
                    path("secrets"),
                    &mount.source,
                    "secret",
                    project.secrets.keys(),
                ));
            }
        }
        if let Some(other) =
            service.network_mode.as_deref().and_then(|mode| mode.strip_prefix("service:"))
            && !project.services.contains_key(other)
        {
            return Err(missing(
                &service.mark,
                path("network_mode"),
                other,
                "service",
                project.services.keys(),
            ));
        }
        let modes =
            [("network_mode", &service.network_mode), ("pid", &service.pid), ("ipc", &service.ipc)];
        for (key, mode) in modes {
            let other = mode.as_deref().and_then(|mode| mode.strip_prefix("service:"));
            let shared = other.and_then(|name| project.services.get(name));
            if let Some(shared) = shared.filter(|shared| shared.replicas > 1) {
                return Err(ConfigError::at(
                    &service.mark,
                    format!(
                        "{}: {} has {} instances, and each has namespaces of its own",
                        path(key),
                        shared.name,
                        shared.replicas
                    ),
                    "share those of a service that has one",
                ));
            }
        }
    }
    circle(project)
}

/// Refuses a service of several instances one of which would be called as another service.
fn told_apart(project: &Project, name: &str) -> Result<(), ConfigError> {
    let Some(service) = project.services.get(name).filter(|service| service.replicas > 1) else {
        return Ok(());
    };
    let known =
        |name: &String| project.services.contains_key(name) || project.left_out.contains_key(name);
    match service.instances().into_iter().find(known) {
        None => Ok(()),
        Some(taken) => Err(ConfigError::at(
            &service.mark,
            format!("services.{name}: an instance of it is called {taken}, as another service is"),
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
