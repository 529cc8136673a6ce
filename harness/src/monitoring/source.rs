//! From the files of a stack to its monitoring configuration: which file is whose, and how paths inside a container lie
//! outside of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::error::ConfigError;
use super::tree::Document;

/// A server and its configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Service of the Compose file.
    pub service: String,
    /// What kind of server it is.
    pub kind: ServerKind,
    /// Its configuration file on this machine. For Elasticsearch, whose settings come from the environment, and a prober, none.
    pub config: Option<PathBuf>,
    /// The same file's path inside the container; patterns of rule files are relative to its folder.
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

/// Kind of a server that has a monitoring configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Prometheus.
    Prometheus,
    /// Alertmanager.
    Alertmanager,
    /// OpenTelemetry Collector.
    Collector,
    /// Elasticsearch.
    Elasticsearch,
    /// Blackbox exporter; only its command is looked at.
    Prober,
    /// Filebeat.
    Shipper,
}

impl ServerKind {
    /// Where the upstream image expects the configuration.
    fn usual_path(self) -> &'static str {
        match self {
            ServerKind::Prometheus => "/etc/prometheus/prometheus.yml",
            ServerKind::Alertmanager => "/etc/alertmanager/alertmanager.yml",
            ServerKind::Collector => "/etc/otelcol/config.yaml",
            ServerKind::Elasticsearch => "/usr/share/elasticsearch/config/elasticsearch.yml",
            ServerKind::Prober => "/etc/blackbox_exporter/config.yml",
            ServerKind::Shipper => "/usr/share/filebeat/filebeat.yml",
        }
    }
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
    /// The text.
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
pub(super) enum Found<'a> {
    /// A file of this machine.
    File(PathBuf),
    /// A text of the Compose file.
    Text(&'a Text),
}

impl Found<'_> {
    /// Reads and parses it.
    pub(super) fn read(&self) -> Result<Document, ConfigError> {
        match self {
            Found::File(file) => Document::read(file),
            Found::Text(text) => Document::parse_within(&text.file, &text.name, &text.text, text.before, text.spread),
        }
    }
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

    /// The server's configuration; none if none is known.
    pub(super) fn configuration(&self) -> Option<Found<'_>> {
        let text = || self.texts.iter().find(|text| text.inside == self.inside).map(Found::Text);
        self.config.clone().map(Found::File).or_else(text)
    }

    /// Path inside at which the server looks for its configuration: as its command says, or as its image has it.
    pub fn expected(&self) -> PathBuf {
        let flags = flags(&self.command);
        let name = if self.kind == ServerKind::Collector { "config" } else { "config.file" };
        let told = flags.get(name).or_else(|| flags.get("c").filter(|_| self.kind == ServerKind::Shipper));
        told.filter(|path| path.starts_with('/')).map_or_else(|| self.kind.usual_path().into(), PathBuf::from)
    }

    /// The file of this machine that the container sees at a path, as far as mounts tell.
    pub fn at(&self, inside: &Path) -> Option<PathBuf> {
        let below = self.mounts.iter().filter_map(|mount| Some((mount, inside.strip_prefix(&mount.inside).ok()?)));
        let (mount, rest) = below.max_by_key(|(mount, _)| mount.inside.components().count())?;
        Some(if rest.as_os_str().is_empty() { mount.host.clone() } else { mount.host.join(rest) }).filter(|path| path.is_file())
    }

    /// The files that a pattern inside the container stands for; sorted by their paths inside, empty if there is none.
    ///
    /// # Errors
    /// Says why a folder that is there can't be read.
    pub(super) fn resolve(&self, pattern: &str) -> Result<Vec<Found<'_>>, ConfigError> {
        let folder = self.inside.parent().unwrap_or(Path::new("/"));
        let wanted = normal(&folder.join(pattern));
        let mut found: BTreeMap<PathBuf, Found<'_>> = BTreeMap::new();
        // The folder of the configuration counts as mounted, unless something more exact is.
        let own =
            self.config.as_ref().and_then(|config| config.parent()).map(|host| Mount { inside: folder.to_owned(), host: host.to_owned() });
        let candidates = self
            .mounts
            .iter()
            .chain(&own)
            .filter_map(|mount| wanted.strip_prefix(&mount.inside).ok().map(|rest| (mount.inside.components().count(), mount, rest)));
        // Among equally exact ones the written mount comes before the assumed one.
        let best = candidates.reduce(|best, other| if other.0 > best.0 { other } else { best });
        if let Some((_, mount, rest)) = best {
            let mut below = vec![(mount.inside.clone(), mount.host.clone())];
            for part in rest.components() {
                let part = part.as_os_str().to_string_lossy().into_owned();
                let mut next = Vec::new();
                for (inside, host) in below {
                    if part.contains(['*', '?', '[']) {
                        next.extend(list(&host, &part)?.into_iter().map(|name| (inside.join(&name), host.join(&name))));
                    } else {
                        next.push((inside.join(&part), host.join(&part)));
                    }
                }
                below = next;
            }
            found.extend(below.into_iter().filter(|(_, host)| host.is_file()).map(|(inside, host)| (inside, Found::File(host))));
        }
        // What is mounted by itself hides what a folder has there.
        let files = self.mounts.iter().filter(|mount| matches(&wanted, &mount.inside) && mount.host.is_file());
        found.extend(files.map(|mount| (mount.inside.clone(), Found::File(mount.host.clone()))));
        let texts = self.texts.iter().filter(|text| matches(&wanted, &text.inside));
        found.extend(texts.map(|text| (text.inside.clone(), Found::Text(text))));
        Ok(found.into_values().collect())
    }
}

/// Whether a path fits a pattern, part by part.
fn matches(pattern: &Path, path: &Path) -> bool {
    pattern.components().count() == path.components().count()
        && pattern
            .components()
            .zip(path.components())
            .all(|(pattern, part)| pattern == part || fits(&pattern.as_os_str().to_string_lossy(), &part.as_os_str().to_string_lossy()))
}

/// Resolves `.` and `..` by the letter, as a path inside a container has to be.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Names in a folder that fit a pattern.
fn list(folder: &Path, pattern: &str) -> Result<Vec<OsString>, ConfigError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ConfigError::of_file(folder, format!("can't be listed: {error}"), "")),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| ConfigError::of_file(folder, format!("can't be listed: {error}"), ""))?;
        if fits(pattern, &entry.file_name().to_string_lossy()) {
            found.push(entry.file_name());
        }
    }
    Ok(found)
}

/// Whether a name fits a pattern of Go's `filepath.Match`: `*`, `?`, `[a-z]`, `[^a]`, `\*`.
fn fits(pattern: &str, name: &str) -> bool {
    let mut wanted = String::from("^(?s:");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' => wanted.push_str("[^/]*"),
            '?' => wanted.push_str("[^/]"),
            '[' => {
                wanted.push('[');
                for inside in letters.by_ref() {
                    match inside {
                        ']' => break,
                        '[' | '&' | '~' => wanted.push_str(&format!("\\{inside}")),
                        other => wanted.push(other),
                    }
                }
                wanted.push(']');
            }
            '\\' => wanted.push_str(&regex::escape(&letters.next().unwrap_or('\\').to_string())),
            other => wanted.push_str(&regex::escape(&other.to_string())),
        }
    }
    wanted.push_str(")$");
    regex::Regex::new(&wanted).is_ok_and(|wanted| wanted.is_match(name))
}

/// Reads flags of a command line as Prometheus and its kin do: `--name=value`, `--name value`, `--switch`.
pub fn flags(command: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut parts = command.iter().peekable();
    while let Some(part) = parts.next() {
        let Some(name) = part.strip_prefix("--").or_else(|| part.strip_prefix('-')).filter(|name| !name.is_empty()) else { continue };
        match name.split_once('=') {
            Some((name, value)) => found.insert(name.to_owned(), value.to_owned()),
            None => {
                let value = parts.next_if(|next| !next.starts_with('-')).cloned().unwrap_or_default();
                found.insert(name.to_owned(), value)
            }
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_through_mounts() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["conf/prometheus.yml", "conf/rules/a.yml", "conf/rules/b.yaml", "conf/rules/c.yml", "other/d.yml"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut source = Source::new(ServerKind::Prometheus, "prometheus", folder.path().join("conf/prometheus.yml"));
        let names = |source: &Source, pattern: &str| {
            let found = source.resolve(pattern).unwrap();
            let name = |found: &Found<'_>| match found {
                Found::File(path) => path.strip_prefix(folder.path()).unwrap().display().to_string(),
                Found::Text(text) => text.name.clone(),
            };
            found.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&source, "rules/*.yml"), ["conf/rules/a.yml", "conf/rules/c.yml"]);
        assert_eq!(names(&source, "/etc/prometheus/rules/[ab].y*ml"), ["conf/rules/a.yml", "conf/rules/b.yaml"]);
        assert_eq!(names(&source, "./rules/../rules/a.yml"), ["conf/rules/a.yml"]);
        assert!(names(&source, "/rules/*.yml").is_empty());
        source.mounts.push(Mount { inside: "/rules".into(), host: folder.path().join("other") });
        assert_eq!(names(&source, "/rules/*.yml"), ["other/d.yml"]);
        source.mounts.push(Mount { inside: "/etc/prometheus/one.yml".into(), host: folder.path().join("other/d.yml") });
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
        source.texts = vec![text("/etc/prometheus/rules/c.yml"), text("/etc/prometheus/rules/e.yml")];
        assert_eq!(names(&source, "rules/*.yml"), ["conf/rules/a.yml", "configs.rules", "configs.rules"]);
        assert_eq!(names(&source, "rules/e.yml"), ["configs.rules"]);
        assert!(names(&source, "rules/*/e.yml").is_empty());
    }

    #[test]
    fn flags_are_read() {
        let command: Vec<_> = ["prometheus", "--a.b=1m", "--c", "2", "--d", "--e=x=y", "-f=1"].map(str::to_owned).into();
        let found = flags(&command);
        assert_eq!(found["a.b"], "1m");
        assert_eq!(found["c"], "2");
        assert_eq!(found["d"], "");
        assert_eq!(found["e"], "x=y");
        assert_eq!(found["f"], "1");
    }
}
