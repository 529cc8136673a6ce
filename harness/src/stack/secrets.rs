//! What a stack's services are given to keep: learned before anything about it can be said.

use crate::secret;
use crate::stack::compose::{Content, Project, VolumeSource};
use std::path::Path;

/// Learns what a stack's services are given: variables as they are filled in, secrets and
/// configurations, files that are mounted.
pub fn learn_project(project: &Project) {
    let names = project
        .services
        .keys()
        .chain(project.left_out.keys())
        .chain(project.networks.keys())
        .chain(project.volumes.keys());
    let names: Vec<String> = names
        .cloned()
        .chain(project.services.values().filter_map(|s| s.container_name.clone()))
        .collect();
    secret::learn_names(names.iter().map(String::as_str));
    for (name, content) in project.secrets.iter().chain(&project.configs) {
        let whole = project.secrets.contains_key(name);
        match content {
            Content::File(path) => {
                if let Some(text) = secret::text_of(path) {
                    if whole { secret::learn(name, &text) } else { secret::learn_text(path, &text) }
                }
            }
            Content::Text { text, .. } if whole => secret::learn(name, text),
            Content::Text { text, .. } => secret::learn_text(Path::new(name), text),
        }
    }
    for service in project.services.values() {
        let variables: String =
            service.environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        secret::learn_text(Path::new("environment"), &variables);
        // As a list, because an argument may hold blanks.
        for words in [&service.command, &service.entrypoint].into_iter().flatten() {
            secret::learn_text(
                Path::new("command.json"),
                &serde_json::json!({ "command": words }).to_string(),
            );
        }
        let labels: String =
            service.labels.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        secret::learn_text(Path::new("labels"), &labels);
    }
    let wanted = secret::files();
    let mounts = project.services.values().flat_map(|s| &s.volumes);
    for (volume, host) in mounts.filter_map(|v| {
        if let VolumeSource::Bind { path, .. } = &v.source { Some((v, path)) } else { None }
    }) {
        for (inside, field) in &wanted {
            let below = Path::new(inside).strip_prefix(&volume.target).ok();
            let file = below.map(|below| {
                if below.as_os_str().is_empty() { host.clone() } else { host.join(below) }
            });
            if let Some(text) = file.and_then(|file| secret::text_of(&file)) {
                secret::learn(field, &text);
            }
        }
        if let Some(text) = secret::text_of(host) {
            secret::learn_text(host, &text);
        }
    }
}
