//! From the files of a stack to its monitoring configuration: which file is whose, and how paths inside a container lie
//! outside of it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::error::ConfigError;

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

impl Source {
    /// A server whose configuration stands where the upstream image expects it, without flags.
    pub fn new(kind: ServerKind, service: impl Into<String>, config: impl Into<PathBuf>) -> Self {
        Source {
            service: service.into(),
            kind,
            config: Some(config.into()),
            inside: kind.usual_path().into(),
            mounts: Vec::new(),
            command: Vec::new(),
            environment: BTreeMap::new(),
        }
    }

    /// The files on this machine that a pattern inside the container stands for; sorted, empty if there is none.
    ///
    /// # Errors
    /// Says why a folder that is there can't be read.
    pub(super) fn resolve(&self, pattern: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let folder = self.inside.parent().unwrap_or(Path::new("/"));
        let inside = normal(&folder.join(pattern));
        // The folder of the configuration counts as mounted, unless something more exact is.
        let own =
            self.config.as_ref().and_then(|config| config.parent()).map(|host| Mount { inside: folder.to_owned(), host: host.to_owned() });
        let candidates = self
            .mounts
            .iter()
            .chain(&own)
            .filter_map(|mount| inside.strip_prefix(&mount.inside).ok().map(|rest| (mount.inside.components().count(), mount, rest)));
        // Among equally exact ones the written mount comes before the assumed one.
        let best = candidates.reduce(|best, other| if other.0 > best.0 { other } else { best });
        let Some((_, mount, rest)) = best else { return Ok(Vec::new()) };
        let mut found = vec![mount.host.clone()];
        for part in rest.components() {
            let part = part.as_os_str().to_string_lossy().into_owned();
            let mut next = Vec::new();
            for folder in found {
                if part.contains(['*', '?', '[']) {
                    next.extend(list(&folder, &part)?);
                } else {
                    next.push(folder.join(&part));
                }
            }
            found = next;
        }
        found.retain(|path| path.is_file());
        found.sort();
        Ok(found)
    }
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

fn list(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ConfigError::of_file(folder, format!("can't be listed: {error}"), "")),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| ConfigError::of_file(folder, format!("can't be listed: {error}"), ""))?;
        if fits(pattern, &entry.file_name().to_string_lossy()) {
            found.push(entry.path());
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
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&source, "rules/*.yml"), ["conf/rules/a.yml", "conf/rules/c.yml"]);
        assert_eq!(names(&source, "/etc/prometheus/rules/[ab].y*ml"), ["conf/rules/a.yml", "conf/rules/b.yaml"]);
        assert_eq!(names(&source, "./rules/../rules/a.yml"), ["conf/rules/a.yml"]);
        assert!(names(&source, "/rules/*.yml").is_empty());
        source.mounts.push(Mount { inside: "/rules".into(), host: folder.path().join("other") });
        assert_eq!(names(&source, "/rules/*.yml"), ["other/d.yml"]);
        source.mounts.push(Mount { inside: "/etc/prometheus/one.yml".into(), host: folder.path().join("other/d.yml") });
        assert_eq!(names(&source, "*.yml"), ["conf/prometheus.yml"]);
        assert_eq!(names(&source, "one.yml"), ["other/d.yml"]);
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
