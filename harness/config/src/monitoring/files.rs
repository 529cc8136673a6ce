//! What a server sees of its configuration: texts by their paths inside its container. Reading them
//! is somebody else's work.

use crate::yaml::{ConfigError, Document};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

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
    pub fn usual_path(self) -> &'static str {
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

/// Where a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of its own.
    Disk {
        /// Its path, as errors name it.
        path: PathBuf,
    },
    /// A text in another file: `configs` of a Compose file, a block of a manifest.
    Within {
        /// That file.
        path: PathBuf,
        /// Its name there, as `configs.rules`.
        key: String,
        /// Number of that file's lines before the first of the text.
        before: u64,
        /// Whether its lines are lines of that file.
        spread: bool,
    },
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// The content, secrets and all.
    pub text: Arc<str>,
    /// The file that it is, or the place in another file.
    pub origin: Origin,
}

impl FileText {
    /// The text of a file of its own at this path.
    pub fn on_disk(path: impl Into<PathBuf>, text: &str) -> FileText {
        FileText { text: text.into(), origin: Origin::Disk { path: path.into() } }
    }

    /// Parses the text as YAML; what is wrong is named where the text stands.
    ///
    /// # Errors
    /// Names file and line of what is no YAML.
    pub fn parse(&self) -> Result<Document, ConfigError> {
        match &self.origin {
            Origin::Disk { path } => Document::parse(path, &self.text),
            Origin::Within { path, key, before, spread } => {
                Document::parse_within(path, key, &self.text, *before, *spread)
            }
        }
    }
}

/// Texts by their paths inside a container; for one that is there and can't be read, why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSet(BTreeMap<PathBuf, Result<FileText, ConfigError>>);

impl FileSet {
    /// Adds a text, in place of what was there.
    pub fn insert(&mut self, inside: impl Into<PathBuf>, text: FileText) {
        self.add(inside, Ok(text));
    }

    /// Adds a text, or why it can't be read.
    pub fn add(&mut self, inside: impl Into<PathBuf>, read: Result<FileText, ConfigError>) {
        self.0.insert(inside.into(), read);
    }

    /// The text at a path, or why it can't be read; none if nothing is there.
    pub fn get(&self, inside: &Path) -> Option<Result<&FileText, ConfigError>> {
        Some(self.0.get(inside)?.as_ref().map_err(Clone::clone))
    }

    /// The texts that a pattern stands for, in the order of their paths. A relative one starts at
    /// `folder`.
    pub fn matching(
        &self,
        folder: &Path,
        pattern: &str,
    ) -> impl Iterator<Item = Result<&FileText, ConfigError>> {
        let wanted = normal(&folder.join(pattern));
        let found = self.0.iter().filter(move |(path, _)| matches(&wanted, path));
        found.map(|(_, read)| read.as_ref().map_err(Clone::clone))
    }
}

/// A server with its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Name of its service.
    pub service: String,
    /// Which server it is.
    pub kind: ServerKind,
    /// Path inside at which its configuration is; what it names relatively starts at that folder.
    pub inside: PathBuf,
    /// The texts that the container sees, by their paths inside.
    pub files: FileSet,
    /// The container's command, flags included.
    pub command: Vec<String>,
    /// The container's environment.
    pub environment: BTreeMap<String, String>,
}

impl Server {
    /// A server whose configuration is one file where the upstream image expects it, without flags.
    pub fn of_file(
        kind: ServerKind,
        service: impl Into<String>,
        path: impl Into<PathBuf>,
        text: &str,
    ) -> Server {
        let mut files = FileSet::default();
        files.insert(kind.usual_path(), FileText::on_disk(path, text));
        let (command, environment) = (Vec::new(), BTreeMap::new());
        Server {
            service: service.into(),
            kind,
            inside: kind.usual_path().into(),
            files,
            command,
            environment,
        }
    }

    /// The folder in which what it names relatively starts.
    pub fn folder(&self) -> &Path {
        self.inside.parent().unwrap_or(Path::new("/"))
    }

    /// The texts that a pattern of its configuration stands for.
    pub(super) fn named(
        &self,
        pattern: &str,
    ) -> impl Iterator<Item = Result<&FileText, ConfigError>> {
        self.files.matching(self.folder(), pattern)
    }
}

/// Whether a path fits a pattern, part by part.
pub fn matches(pattern: &Path, path: &Path) -> bool {
    pattern.components().count() == path.components().count()
        && pattern.components().zip(path.components()).all(|(pattern, part)| {
            pattern == part
                || fits(&pattern.as_os_str().to_string_lossy(), &part.as_os_str().to_string_lossy())
        })
}

/// Resolves `.` and `..` by the letter, as a path inside a container has to be.
pub fn normal(path: &Path) -> PathBuf {
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

/// Whether a name fits a pattern with `*`, `?`, `[a-z]`, `[^a]` and `\*`, by the rules of
/// <https://pkg.go.dev/path/filepath#Match>. A pattern that can't be read fits nothing.
pub fn fits(pattern: &str, name: &str) -> bool {
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

/// Reads flags of a command line as Prometheus and its kin do: `--name=value`, `--name value`,
/// `--switch`.
pub fn flags(command: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut parts = command.iter().peekable();
    while let Some(part) = parts.next() {
        let Some(name) = part
            .strip_prefix("--")
            .or_else(|| part.strip_prefix('-'))
            .filter(|name| !name.is_empty())
        else {
            continue;
        };
        match name.split_once('=') {
            Some((name, value)) => found.insert(name.to_owned(), value.to_owned()),
            None => {
                let value =
                    parts.next_if(|next| !next.starts_with('-')).cloned().unwrap_or_default();
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
    fn a_pattern_stands_for_files_of_its_depth() {
        let mut files = FileSet::default();
        for path in [
            "/etc/p/p.yml",
            "/etc/p/rules/a.yml",
            "/etc/p/rules/b.yaml",
            "/etc/p/rules/deep/c.yml",
            "/rules/d.yml",
        ] {
            files.insert(path, FileText::on_disk(path, ""));
        }
        let names = |pattern: &str| {
            let path = |file: &FileText| {
                if let Origin::Disk { path } = &file.origin {
                    path.display().to_string()
                } else {
                    String::new()
                }
            };
            files
                .matching(Path::new("/etc/p"), pattern)
                .map(|read| path(read.unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(names("rules/*.yml"), ["/etc/p/rules/a.yml"]);
        assert_eq!(names("/etc/p/rules/[ab].y*ml"), ["/etc/p/rules/a.yml", "/etc/p/rules/b.yaml"]);
        assert_eq!(names("./rules/../p.yml"), ["/etc/p/p.yml"]);
        assert_eq!(names("/rules/*"), ["/rules/d.yml"]);
        assert!(names("*.yaml").is_empty());
    }

    #[test]
    fn flags_are_read() {
        let command: Vec<_> = ["prometheus", "--a.b=1m", "--c", "2", "--d", "--e=x=y", "-f=1"]
            .map(str::to_owned)
            .into();
        let found = flags(&command);
        assert_eq!(found["a.b"], "1m");
        assert_eq!(found["c"], "2");
        assert_eq!(found["d"], "");
        assert_eq!(found["e"], "x=y");
        assert_eq!(found["f"], "1");
    }
}
