//! Which file is what, without a declaration: from Compose files, flags and mounts as far as these
//! tell, and from what files hold.

mod compose;
mod contents;
mod filled;
mod walk;

use super::Networks;
use crate::plan::subject::source::{Source, too_large};
use crate::yaml::{self, nearest};
use compose::{Project, Service};
use config::monitoring::version::Version;
use config::monitoring::{PrometheusServer, ServerKind};
use config::yaml::{ConfigError, Place};
use contents::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Service of rule files that no configuration at hand names.
pub(crate) const LOOSE: &str = "rule files";

/// Whether a server is none, but what loose rule files are looked at as.
pub(crate) fn is_loose(server: &PrometheusServer) -> bool {
    server.service == LOOSE
}

/// What was found under the paths that somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Servers whose configuration was found.
    pub(crate) sources: Vec<Source>,
    /// Versions of their images, by service; none where nothing tells.
    pub(crate) versions: BTreeMap<String, Version>,
    /// Names that reach a service, with the service; none without a Compose file.
    pub(crate) hosts: BTreeMap<String, String>,
    /// Names of services that no profile turns on.
    pub(crate) absent: BTreeMap<String, String>,
    /// What is special about networks.
    pub(crate) networks: Networks,
    /// Rule files that no configuration names.
    pub(crate) loose: Vec<PathBuf>,
    /// What was seen and not looked at, with what it is.
    pub(crate) unread: Vec<(PathBuf, String)>,
    /// What can't be read.
    pub(crate) errors: Vec<ConfigError>,
    /// What is odd and stops nobody.
    pub(crate) notes: Vec<ConfigError>,
}

/// Looks under these paths.
pub(crate) fn under(paths: &[PathBuf], profiles: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    let mut files = walk::Files::default();
    for path in paths {
        walk::collect(path, &mut files, &mut found);
    }
    let mut claimed = BTreeSet::new();
    for file in &files.compose {
        let project = compose::read(file, profiles, &mut found);
        found.project(&project, &mut claimed);
    }
    // What Compose files don't explain is known by what it holds.
    let mut seen = Vec::new();
    for (file, named) in &files.others {
        if claimed.contains(&real(file)) {
            continue;
        }
        match contents::of(file, *named, &mut found) {
            // One under a name of its own.
            Some(Content::Compose) => {
                let project = compose::read(file, profiles, &mut found);
                found.project(&project, &mut claimed);
            }
            Some(content) => seen.push((file.clone(), content)),
            None => {}
        }
    }
    seen.retain(|(file, _)| !claimed.contains(&real(file)));
    for (file, content) in &seen {
        let kind = match content {
            Content::Server(kind) => *kind,
            Content::Other(what) => {
                found.unread.push((file.clone(), (*what).to_owned()));
                continue;
            }
            Content::Rules | Content::Compose => continue,
        };
        let taken = found
            .sources
            .iter()
            .any(|source| source.config.as_ref().is_some_and(|config| real(config) == real(file)));
        if taken {
            continue;
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut source = Source::new(kind, name, file.clone());
        // A service whose configuration is in its image may be the one that this is for.
        if let Some(service) = found.without_config(kind) {
            source.service = service;
        }
        // A pattern that begins at the container's root can only be guessed at.
        source.inside = kind.usual_path().into();
        found.sources.push(source);
    }
    let others = |source: &Source| -> Vec<PathBuf> {
        source.files().into_iter().filter(|file| Some(file) != source.config.as_ref()).collect()
    };
    let named: BTreeSet<PathBuf> =
        found.sources.iter().flat_map(others).map(|file| real(&file)).collect();
    // A file with scrape jobs that a configuration names is none of its own.
    found.sources.retain(|source| {
        !source.config.as_ref().is_some_and(|config| named.contains(&real(config)))
    });
    for (file, content) in seen {
        if content == Content::Rules && !named.contains(&real(&file)) {
            found.loose.push(file);
        }
    }
    found.sources.retain(Source::has_configuration);
    found
}

/// Servers of a Compose file alone.
pub(crate) fn services(file: &Path, profiles: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    let project = compose::read(file, profiles, &mut found);
    found.project(&project, &mut BTreeSet::new());
    found.sources.retain(Source::has_configuration);
    found
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Found {
    /// What was seen and not looked at, for messages.
    pub(crate) fn told_unread(&self) -> Vec<String> {
        self.unread.iter().map(|(file, what)| format!("{} ({what})", file.display())).collect()
    }

    fn project(&mut self, project: &Project, claimed: &mut BTreeSet<PathBuf>) {
        self.networks.open |= project.open;
        for (name, service) in &project.services {
            let names = service.names(name);
            if service.off {
                self.absent.extend(names.into_iter().map(|host| (host, name.clone())));
                continue;
            }
            self.hosts.extend(names.into_iter().map(|host| (host, name.clone())));
            // Names that only this service knows are known all the same.
            let known = service.known.iter();
            self.hosts.extend(known.map(|(host, service)| (host.clone(), service.clone())));
            if service.shares {
                self.networks.sharing.insert(name.clone());
            }
            if let Some(version) = service.image.as_deref().and_then(Version::of_image) {
                self.versions.insert(name.clone(), version);
            }
            match service.kind(name) {
                Some(compose::Kind::Server(kind)) => self.server(name, kind, service, claimed),
                Some(compose::Kind::Other(what)) => self.other(service, what, claimed),
                None => {}
            }
        }
    }

    fn server(
        &mut self,
        name: &str,
        kind: ServerKind,
        service: &Service,
        claimed: &mut BTreeSet<PathBuf>,
    ) {
        let mut source = Source::new(kind, name, PathBuf::new());
        source.config = None;
        source.mounts.clone_from(&service.mounts);
        source.texts.clone_from(&service.texts);
        source.command.clone_from(&service.command);
        source.environment.clone_from(&service.environment);
        let usual = kind.usual_path();
        let others: &[&str] = match kind {
            ServerKind::Collector => &[
                "/etc/otelcol-contrib/config.yaml",
                "/etc/otel-collector-config.yaml",
                "/etc/otel/config.yaml",
            ],
            ServerKind::Prometheus => &["/opt/bitnami/prometheus/conf/prometheus.yml"],
            ServerKind::Alertmanager => {
                &["/etc/alertmanager/config.yml", "/opt/bitnami/alertmanager/conf/config.yml"]
            }
            _ => &[],
        };
        let mut places = vec![source.expected()];
        places.extend(std::iter::once(usual).chain(others.iter().copied()).map(PathBuf::from));
        for inside in places {
            let text = source.texts.iter().any(|text| text.inside == inside);
            source.config = source.at(&inside);
            if text || source.config.is_some() {
                source.inside = inside;
                break;
            }
        }
        if let Some(config) = &source.config {
            claimed.insert(real(config));
        } else if !source.has_configuration() {
            // Something is mounted where the configuration should be, and is not there.
            let expected = source.expected();
            let mount = source.mounts.iter().find(|mount| mount.inside == expected);
            if let Some(mount) = mount.filter(|mount| !mount.host.exists()) {
                self.errors.push(ConfigError::of(
                    &mount.host,
                    format!("{name} reads this file, and it is not there"),
                    "write the file, or correct the mount in the Compose file",
                ));
            }
        }
        self.sources.push(source);
    }

    /// A server whose files are told and not looked at.
    fn other(&mut self, service: &Service, what: &str, claimed: &mut BTreeSet<PathBuf>) {
        for mount in &service.mounts {
            let mut files = walk::Files::default();
            if mount.host.is_dir() {
                walk::yaml_below(&mount.host, &mut files);
            } else if mount.host.is_file() {
                files.others.push((mount.host.clone(), false));
            }
            for (file, _) in files.others {
                let yaml = file.extension().is_some_and(|end| end == "yml" || end == "yaml");
                if yaml && claimed.insert(real(&file)) {
                    self.unread.push((file, what.to_owned()));
                }
            }
        }
    }

    /// A service of that kind whose configuration is not known yet; it is none then any more.
    fn without_config(&mut self, kind: ServerKind) -> Option<String> {
        let at = self
            .sources
            .iter()
            .position(|source| source.kind == kind && !source.has_configuration())?;
        Some(self.sources.remove(at).service)
    }
}

/// What is wrong with a host that is none of the stack's.
pub(crate) fn unknown_host(host: &str, hosts: &BTreeMap<String, String>) -> String {
    nearest(host, hosts.keys().map(String::as_str))
        .map_or_else(String::new, |near| format!("did you mean {near}?"))
}

/// Reads a file of somebody's as text: none if it can't be one, which is told where it was named.
fn text_of(file: &Path, named: bool, found: &mut Found) -> Option<String> {
    if let Some(what) = too_large(file) {
        if named {
            let hint = "is this a configuration file?";
            found.errors.push(ConfigError::of(file, what, hint));
        } else {
            found.unread.push((file.to_owned(), what));
        }
        return None;
    }
    match yaml::text(file) {
        Ok(text) if !text.contains('\0') => Some(text),
        Ok(_) if !named => None,
        Ok(_) => {
            let place = Place::of(file);
            let what = "no text: it holds zero bytes";
            found.errors.push(ConfigError::new(place, what, "name configuration files"));
            None
        }
        Err(error) => {
            if named {
                found.errors.push(error);
            }
            None
        }
    }
}

/// Rule files below a folder.
pub(crate) fn rules_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut found) = (walk::Files::default(), Found::default());
    walk::yaml_below(folder, &mut files);
    let mut rules: Vec<PathBuf> = files.others.into_iter().map(|(file, _)| file).collect();
    rules.retain(|file| matches!(contents::of(file, false, &mut found), Some(Content::Rules)));
    rules
}
