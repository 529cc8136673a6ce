//! From the files of a stack to its monitoring configuration: which file is whose, and how paths
//! inside a container lie outside of it.

use config::monitoring::files::{fits, flags, matches, normal};
use config::monitoring::{
    FileSet, FileText, MonitoringConfig, Origin, Server, ServerKind, named_files,
};
use config::yaml::ConfigError;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A server and its configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Service of the Compose file.
    pub service: String,
    /// What kind of server it is.
    pub kind: ServerKind,
    /// Its configuration file on this machine. For Elasticsearch, whose settings come from the
    /// environment, and a prober, none.
    pub config: Option<PathBuf>,
    /// The same file's path inside the container; patterns of rule files are relative to its
    /// folder.
    pub inside: PathBuf,
    /// Files and folders that the container sees.
    pub mounts: Vec<Mount>,
    /// Texts that the container sees as files.
    pub texts: Vec<Text>,
    /// The container's command, flags included.
    pub command: Vec<String>,
    /// The container's environment.
    pub environment: BTreeMap<String, String>,
}

/// A file or folder of this machine that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Path inside the container.
    pub inside: PathBuf,
    /// Path on this machine.
    pub host: PathBuf,
}

/// A text of the Compose file that a container sees as a file (`configs`, `secrets`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Path inside the container.
    pub inside: PathBuf,
    /// Its name, as `configs.rules`.
    pub name: String,
    pub text: String,
    /// The Compose file.
    pub file: PathBuf,
    /// Number of that file's lines before the first of the text.
    pub before: u64,
    /// Whether its lines are lines of the file.
    pub spread: bool,
}

/// A file that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found<'a> {
    /// A file of this machine.
    File(PathBuf),
    /// A text of the Compose file.
    Text(&'a Text),
}

impl Found<'_> {
    /// Reads it.
    fn read(&self) -> Result<FileText, ConfigError> {
        match self {
            Found::File(file) => Ok(FileText::on_disk(file, &read(file)?)),
            Found::Text(Text { text, file, name, before, spread, .. }) => {
                let origin = Origin::Within {
                    path: file.clone(),
                    key: name.clone(),
                    before: *before,
                    spread: *spread,
                };
                Ok(FileText { text: text.as_str().into(), origin })
            }
        }
    }
}

const MB: u64 = 1_000_000;
/// Size from which on a file is no configuration, in bytes.
const LARGEST: u64 = 10 * MB;

/// Why a file is too large to be a configuration; none if it is not.
pub fn too_large(file: &Path) -> Option<String> {
    let size = std::fs::metadata(file).map_or(0, |about| about.len());
    (size > LARGEST)
        .then(|| format!("{} MB large, at most {} MB are read", size / MB, LARGEST / MB))
}

/// Reads a file of a stack's, and learns what in it must not be shown.
fn read(file: &Path) -> Result<String, ConfigError> {
    if let Some(what) = too_large(file) {
        return Err(ConfigError::of(file, what, "is this a configuration file?"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "does the path lie beside the Compose file, and is the file mounted from there?"
            }
            _ => "",
        };
        ConfigError::of(file, format!("can't be read: {error}"), hint)
    })?;
    crate::secret::learn_text(file, &text);
    Ok(text)
}

/// Reads the configuration of these servers: what can be read, and of all else what is wrong with
/// it, in order.
pub fn load(sources: &[Source]) -> (MonitoringConfig, Vec<ConfigError>) {
    MonitoringConfig::load_what_reads(&sources.iter().map(Source::server).collect::<Vec<_>>())
}

impl Source {
    /// A server whose configuration stands where the upstream image expects it, without flags.
    pub fn new(kind: ServerKind, service: impl Into<String>, config: impl Into<PathBuf>) -> Self {
        Source {
            service: service.into(),
            kind,
            config: Some(config.into()),
            inside: kind.usual_path().into(),
            mounts: Vec::new(),
            texts: Vec::new(),
            command: Vec::new(),
            environment: BTreeMap::new(),
        }
    }

    /// The files of this machine that its configuration consists of.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.config.clone().into_iter().collect();
        let Some(Ok(text)) = self.configuration().map(|found| found.read()) else { return files };
        for pattern in named_files(self.kind, &text) {
            let found = self.resolve(&pattern).unwrap_or_default();
            files.extend(found.into_values().filter_map(|found| match found {
                Found::File(file) => Some(file),
                Found::Text(_) => None,
            }));
        }
        files
    }

    /// The server, with all texts that its configuration consists of, as far as they can be read.
    pub fn server(&self) -> Server {
        let mut files = FileSet::default();
        if let Some(found) = self.configuration() {
            let configuration = found.read();
            let named = configuration.iter().flat_map(|text| named_files(self.kind, text));
            for pattern in named {
                match self.resolve(&pattern) {
                    Ok(found) => {
                        found.iter().for_each(|(inside, file)| files.add(inside, file.read()));
                    }
                    // As if the folder held one file, which can't be read.
                    Err(error) => files.add(normal(&self.folder().join(&pattern)), Err(error)),
                }
            }
            files.add(&self.inside, configuration);
        }
        let (service, inside) = (self.service.clone(), self.inside.clone());
        let (command, environment) = (self.command.clone(), self.environment.clone());
        Server { service, kind: self.kind, inside, files, command, environment }
    }

    /// The folder in which what its configuration names relatively starts.
    fn folder(&self) -> &Path {
        self.inside.parent().unwrap_or(Path::new("/"))
    }

    /// The server's configuration; none if none is known.
    fn configuration(&self) -> Option<Found<'_>> {
        let text = || self.texts.iter().find(|text| text.inside == self.inside).map(Found::Text);
        self.config.clone().map(Found::File).or_else(text)
    }

    /// Whether its configuration is known.
    pub fn has_configuration(&self) -> bool {
        self.configuration().is_some()
    }

    /// Path inside at which the server looks for its configuration: as its command says, or as its
    /// image has it.
    pub fn expected(&self) -> PathBuf {
        let flags = flags(&self.command);
        let name = if self.kind == ServerKind::Collector { "config" } else { "config.file" };
        let told =
            flags.get(name).or_else(|| flags.get("c").filter(|_| self.kind == ServerKind::Shipper));
        told.filter(|path| path.starts_with('/'))
            .map_or_else(|| self.kind.usual_path().into(), PathBuf::from)
    }

    /// The file of this machine that the container sees at a path, as far as mounts tell.
    pub fn at(&self, inside: &Path) -> Option<PathBuf> {
        let below = self
            .mounts
            .iter()
            .filter_map(|mount| Some((mount, inside.strip_prefix(&mount.inside).ok()?)));
        let (mount, rest) = below.max_by_key(|(mount, _)| mount.inside.components().count())?;
        Some(if rest.as_os_str().is_empty() { mount.host.clone() } else { mount.host.join(rest) })
            .filter(|path| path.is_file())
    }

    /// The files that a pattern inside the container stands for; sorted by their paths inside,
    /// empty if there is none.
    ///
    /// # Errors
    /// Says why a folder that is there can't be read.
    fn resolve(&self, pattern: &str) -> Result<BTreeMap<PathBuf, Found<'_>>, ConfigError> {
        let folder = self.folder();
        let wanted = normal(&folder.join(pattern));
        let mut found: BTreeMap<PathBuf, Found<'_>> = BTreeMap::new();
        // The folder of the configuration counts as mounted, unless something more exact is.
        let own = self
            .config
            .as_ref()
            .and_then(|config| config.parent())
            .map(|host| Mount { inside: folder.to_owned(), host: host.to_owned() });
        let candidates = self.mounts.iter().chain(&own).filter_map(|mount| {
            wanted
                .strip_prefix(&mount.inside)
                .ok()
                .map(|rest| (mount.inside.components().count(), mount, rest))
        });
        // Among equally exact ones the written mount comes before the assumed one.
        let best = candidates.reduce(|best, other| if other.0 > best.0 { other } else { best });
        if let Some((_, mount, rest)) = best {
            let mut below = vec![(mount.inside.clone(), mount.host.clone())];
            for part in rest.components() {
                let part = part.as_os_str().to_string_lossy().into_owned();
                let mut next = Vec::new();
                for (inside, host) in below {
                    if part.contains(['*', '?', '[']) {
                        next.extend(
                            list(&host, &part)?
                                .into_iter()
                                .map(|name| (inside.join(&name), host.join(&name))),
                        );
                    } else {
                        next.push((inside.join(&part), host.join(&part)));
                    }
                }
                below = next;
            }
            found.extend(
                below
                    .into_iter()
                    .filter(|(_, host)| host.is_file())
                    .map(|(inside, host)| (inside, Found::File(host))),
            );
        }
        // What is mounted by itself hides what a folder has there.
        let files = self
            .mounts
            .iter()
            .filter(|mount| matches(&wanted, &mount.inside) && mount.host.is_file());
        found.extend(files.map(|mount| (mount.inside.clone(), Found::File(mount.host.clone()))));
        let texts = self.texts.iter().filter(|text| matches(&wanted, &text.inside));
        found.extend(texts.map(|text| (text.inside.clone(), Found::Text(text))));
        Ok(found)
    }
}

/// Names in a folder that fit a pattern.
fn list(folder: &Path, pattern: &str) -> Result<Vec<OsString>, ConfigError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(ConfigError::of(folder, format!("can't be listed: {error}"), ""));
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry
            .map_err(|error| ConfigError::of(folder, format!("can't be listed: {error}"), ""))?;
        if fits(pattern, &entry.file_name().to_string_lossy()) {
            found.push(entry.file_name());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_through_mounts() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "conf/prometheus.yml",
            "conf/rules/a.yml",
            "conf/rules/b.yaml",
            "conf/rules/c.yml",
            "other/d.yml",
        ] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut source = Source::new(
            ServerKind::Prometheus,
            "prometheus",
            folder.path().join("conf/prometheus.yml"),
        );
        let names = |source: &Source, pattern: &str| {
            let found = source.resolve(pattern).unwrap();
            let name = |found: &Found<'_>| match found {
                Found::File(path) => {
                    path.strip_prefix(folder.path()).unwrap().display().to_string()
                }
                Found::Text(text) => text.name.clone(),
            };
            found.values().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&source, "rules/*.yml"), ["conf/rules/a.yml", "conf/rules/c.yml"]);
        assert_eq!(
            names(&source, "/etc/prometheus/rules/[ab].y*ml"),
            ["conf/rules/a.yml", "conf/rules/b.yaml"]
        );
        assert_eq!(names(&source, "./rules/../rules/a.yml"), ["conf/rules/a.yml"]);
        assert!(names(&source, "/rules/*.yml").is_empty());
        source.mounts.push(Mount { inside: "/rules".into(), host: folder.path().join("other") });
        assert_eq!(names(&source, "/rules/*.yml"), ["other/d.yml"]);
        source.mounts.push(Mount {
            inside: "/etc/prometheus/one.yml".into(),
            host: folder.path().join("other/d.yml"),
        });
        assert_eq!(names(&source, "*.yml"), ["other/d.yml", "conf/prometheus.yml"]);
        assert_eq!(names(&source, "one.yml"), ["other/d.yml"]);
        let text = |inside: &str| Text {
            inside: inside.into(),
            name: "configs.rules".into(),
            text: "groups: []".into(),
            file: "docker-compose.yml".into(),
            before: 1,
            spread: true,
        };
        // One takes the place of a file in a mounted folder, one stands beside it.
        source.texts =
            vec![text("/etc/prometheus/rules/c.yml"), text("/etc/prometheus/rules/e.yml")];
        assert_eq!(
            names(&source, "rules/*.yml"),
            ["conf/rules/a.yml", "configs.rules", "configs.rules"]
        );
        assert_eq!(names(&source, "rules/e.yml"), ["configs.rules"]);
        assert!(names(&source, "rules/*/e.yml").is_empty());
    }
}
