//! What a stack is made of, whatever kind of file says so: what plans and checks know of it. It was
//! read before: nothing here looks at a file or asks an engine.

use super::Stack;
use super::compose::{self, Absence, Content, ContentMount, Project};
use super::dashboards::files::{Hosts, hosts};
use super::mounts::{self, shown};
use crate::engine::spec::FileSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A stack's services, and how they find each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// The file that says so, for messages.
    pub file: PathBuf,
    /// Services that take part.
    pub services: BTreeMap<String, Service>,
    /// Services that don't.
    pub left_out: BTreeMap<String, LeftOut>,
    /// Host names inside, with the services that they lead to, whether or not these take part.
    pub hosts: Hosts,
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub image: Option<String>,
    /// Command, in place of the image's.
    pub command: Option<Vec<String>>,
    /// Entry point, in place of the image's.
    pub entrypoint: Option<Vec<String>>,
    pub environment: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Names by which others reach it.
    pub names: BTreeSet<String>,
    /// What its instances are called.
    pub instances: Vec<String>,
    /// Profiles that turn it on.
    pub profiles: Vec<String>,
    /// What it is shown at which path inside.
    pub shown: Vec<(PathBuf, Shown)>,
}

/// A service that takes no part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub why: String,
    /// Whether it would take part, but was told not to: its image can't be had.
    pub unavailable: bool,
    /// Names by which others would reach it.
    pub names: BTreeSet<String>,
    /// What its instances would be called.
    pub instances: Vec<String>,
}

/// What a service is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A file or folder of this machine.
    Path(PathBuf),
    /// A text that stands in a file of the stack's.
    Text(Text),
}

/// A text that stands in a file of the stack's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its name there, as `configs.rules`.
    pub name: String,
    pub text: String,
    pub file: PathBuf,
    /// Line of the file at which it begins.
    pub line: u64,
    /// Whether its lines are those of the file that follow.
    pub follows: bool,
}

impl Topology {
    /// Of a Compose project.
    pub(super) fn of(project: &Project) -> Topology {
        let services = project.services.values();
        let left_out = project.left_out.iter();
        Topology {
            file: project.file.clone(),
            services: services.map(|s| (s.name.clone(), service(project, s))).collect(),
            left_out: left_out
                .map(|(name, left)| {
                    let left = LeftOut {
                        why: left.why.to_string(),
                        unavailable: matches!(left.why, Absence::Told(_)),
                        names: names(&left.service),
                        instances: left.service.instances(),
                    };
                    (name.clone(), left)
                })
                .collect(),
            hosts: hosts(project),
        }
    }

    /// Names of all services, whether or not they take part.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.services.keys().chain(self.left_out.keys())
    }
}

fn names(service: &compose::Service) -> BTreeSet<String> {
    service.names().map(str::to_owned).collect()
}

fn service(project: &Project, service: &compose::Service) -> Service {
    let shown = shown(project, service).filter_map(|(inside, shown)| {
        let shown = match shown {
            mounts::Shown::Path(path) => Shown::Path(path.to_owned()),
            mounts::Shown::Text(name, content) => Shown::Text(text(name, content)?),
        };
        Some((PathBuf::from(inside), shown))
    });
    Service {
        image: service.image.clone(),
        command: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        environment: service.environment.clone(),
        labels: service.labels.clone(),
        names: names(service),
        instances: service.instances(),
        profiles: service.profiles.clone(),
        shown: shown.collect(),
    }
}

fn text(name: String, content: &Content) -> Option<Text> {
    let Content::Text { text, mark, follows } = content else { return None };
    let file = mark.file.to_path_buf();
    Some(Text { name, text: text.clone(), file, line: mark.line, follows: *follows })
}

impl Stack {
    /// The files of a service in which it finds a text that takes the place of this one
    /// (`configs.rules`).
    pub fn files_of(&self, service: &str, name: &str, text: &str) -> Vec<FileSpec> {
        let Some(service) = self.project.services.get(service) else { return Vec::new() };
        let named = |group: &str, mounts: &[ContentMount]| -> Vec<FileSpec> {
            let same = mounts.iter().filter(|mount| format!("{group}.{}", mount.source) == name);
            same.map(|mount| FileSpec {
                path: mount.target.clone(),
                content: text.as_bytes().to_vec(),
                mode: mount.mode,
                uid: mount.uid,
                gid: mount.gid,
            })
            .collect()
        };
        [named("configs", &service.configs), named("secrets", &service.secrets)].concat()
    }
}
