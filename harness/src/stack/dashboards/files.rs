//! Dashboards and data sources from the files that provision them, without Grafana.

mod boards;
mod sources;

pub use boards::Board;
pub use sources::Provisioned;

use crate::stack::compose::{Project, Service, VolumeSource};
use crate::yaml;
use config::yaml::{ConfigError, Mark, Node, Value as Yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the files are, and what their words mean inside of the dashboards' own container.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Folder with `dashboards/` and `datasources/`.
    pub provisioning: PathBuf,
    /// Where `firedrill.yaml` names it.
    pub named: Mark,
    /// Paths inside of the container, and what is mounted there.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// Its environment, which provisioning files may refer to.
    pub environment: BTreeMap<String, String>,
}

/// What the files hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Files {
    pub sources: Vec<Provisioned>,
    pub boards: Vec<Board>,
}

/// Names in a stack's network, with the services that they lead to.
pub type Hosts = BTreeMap<String, String>;

/// The names of a project's services, those that are left out included. A service's own name counts
/// before another's alias, and what runs before what does not.
pub fn hosts(project: &Project) -> Hosts {
    let running = || project.services.values();
    let names = |service: &Service| {
        service.names().map(|n| (n.to_ascii_lowercase(), service.name.clone())).collect::<Vec<_>>()
    };
    let left_out = project.left_out.values().flat_map(|left| names(&left.service));
    left_out
        .chain(running().flat_map(names))
        .chain(running().map(|s| (s.name.to_ascii_lowercase(), s.name.clone())))
        .collect()
}

impl Place {
    /// The place of files that a service would read, if it ran: what is mounted into it, and its
    /// environment. `paths` are mounts that no service has, relative to the stack's folder.
    pub fn new(
        folder: &Path,
        provisioning: &str,
        named: Mark,
        service: Option<&Service>,
        paths: &BTreeMap<String, String>,
    ) -> Place {
        let bound = service.into_iter().flat_map(|s| &s.volumes).filter_map(|volume| match &volume
            .source
        {
            VolumeSource::Bind { path, .. } => Some((PathBuf::from(&volume.target), path.clone())),
            _ => None,
        });
        let stated =
            paths.iter().map(|(inside, relative)| (PathBuf::from(inside), folder.join(relative)));
        let mut mounts: Vec<(PathBuf, PathBuf)> = stated.chain(bound).collect();
        // The innermost mount of a path is the one that counts.
        mounts.sort_by_key(|(inside, _)| std::cmp::Reverse(inside.components().count()));
        let environment =
            service.map(|s| s.environment.clone().into_iter().collect()).unwrap_or_default();
        Place { provisioning: folder.join(provisioning), named, mounts, environment }
    }

    /// The same in a copy of the stack's folder.
    pub fn translated(&self, translate: impl Fn(&Path) -> PathBuf) -> Place {
        let mounts =
            self.mounts.iter().map(|(inside, path)| (inside.clone(), translate(path))).collect();
        Place { provisioning: translate(&self.provisioning), mounts, ..self.clone() }
    }

    /// Reads all files.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and what to do.
    pub fn read(&self) -> Result<Files, ConfigError> {
        if !self.provisioning.is_dir() {
            return Err(ConfigError::at(
                &self.named,
                format!("provisioning: there is no folder {}", self.provisioning.display()),
                "name the folder that holds `dashboards` and `datasources`, relative to this file",
            ));
        }
        let mut sources = Vec::new();
        for file in self.yaml("datasources")? {
            sources::read(&file, self, &mut sources)?;
        }
        let mut boards = Vec::new();
        for file in self.yaml("dashboards")? {
            boards::read(&file, self, &mut boards)?;
        }
        Ok(Files { sources, boards })
    }

    /// The YAML files of a folder of the provisioning, sorted, parsed.
    fn yaml(&self, kind: &str) -> Result<Vec<Node>, ConfigError> {
        let folder = self.provisioning.join(kind);
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path());
        let mut files: Vec<PathBuf> = entries
            .filter(|p| p.is_file() && p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(ConfigError::at(
                &self.named,
                format!("provisioning: there is no YAML file in {}", folder.display()),
                format!(
                    "put the {} of the stack there, or name another folder",
                    if kind == "dashboards" { "providers" } else { "data sources" }
                ),
            ));
        }
        files.iter().map(|file| yaml::tree(file, &text_of(file)?)).collect()
    }

    /// Where a path of the container is on this machine.
    fn outside(&self, path: &Path) -> Option<PathBuf> {
        self.mounts.iter().find_map(|(inside, outside)| {
            let below = path.strip_prefix(inside).ok()?;
            Some(if below.as_os_str().is_empty() { outside.clone() } else { outside.join(below) })
        })
    }

    /// A text with `$NAME`, `${NAME}` and `$__env{NAME}` filled in from the container's
    /// environment; `$$` is a dollar sign.
    fn filled(&self, node: &Node) -> Result<String, ConfigError> {
        let text = node.text_of_value().unwrap_or_default();
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            if rest.starts_with("__file{") {
                let hint = "write the value, or a variable of the service's environment";
                return Err(ConfigError::at(&node.mark, "$__file{…} is not read", hint));
            }
            let inner = rest.strip_prefix("__env{").or_else(|| rest.strip_prefix('{'));
            let (name, after) = match inner.and_then(|i| i.split_once('}')) {
                Some((name, after)) => (name, after),
                None => rest.split_at(
                    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                        .unwrap_or(rest.len()),
                ),
            };
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(self.environment.get(name).map_or("", String::as_str));
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn text_of(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|e| {
        ConfigError::of(
            file,
            format!("can't be read: {e}"),
            "check its permissions; it must be text in UTF-8",
        )
    })
}

/// The entries of a list under a key of a file's top; none if the key is not there.
fn listed<'a>(top: &'a Node, key: &str) -> Result<&'a [Node], ConfigError> {
    match top.get(key).filter(|node| !node.is_null()) {
        None => Ok(&[]),
        Some(Node { value: Yaml::List(items), .. }) => Ok(items),
        Some(other) => Err(ConfigError::at(
            &other.mark,
            format!("{key}: seen {}, wanted a list", other.kind()),
            "begin each entry with `- `",
        )),
    }
}

impl Files {
    /// Ports inside the stack's network that the data sources' addresses name, with their services.
    pub fn ports(&self, hosts: &Hosts) -> BTreeSet<(String, u16)> {
        self.sources
            .iter()
            .filter_map(|s| s.address.as_ref())
            .filter_map(|a| Some((hosts.get(&a.host)?.clone(), a.port)))
            .collect()
    }

    /// Whether dashboards that are declared can be judged: each is in a file, and its variables are
    /// defined; and no data source's address leads out of the stack.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and what to do.
    pub fn check(
        &self,
        declared: &[(String, Mark)],
        sources: &[(String, Mark)],
        hosts: &Hosts,
    ) -> Result<(), ConfigError> {
        for source in &self.sources {
            let Some(address) = source.address.as_ref().filter(|a| !hosts.contains_key(&a.host))
            else {
                continue;
            };
            let inside =
                matches!(address.host.as_str(), "localhost" | "127.0.0.1" | "::1" | "[::1]");
            let why = if inside { "to the dashboards' own container" } else { "out of the stack" };
            return Err(ConfigError::at(
                &source.mark,
                format!(
                    "data source {} leads {why}: {}:{}",
                    source.source.name, address.host, address.port
                ),
                "name a service of the stack; nothing was started",
            ));
        }
        for (name, mark) in sources {
            let Some(found) = self.sources.iter().find(|s| s.source.name == *name) else {
                continue;
            };
            let (why, hint) = match &found.address {
                Some(address) if address.tls => (
                    "is reached by https, and only Grafana knows whom it trusts",
                    "let it answer http inside of the stack",
                ),
                Some(_) => continue,
                None => ("has no url", "add `url:` to it"),
            };
            return Err(ConfigError::at(
                mark,
                format!("datasources: {name} {why}"),
                format!("{hint}, or leave it out here"),
            ));
        }
        for (uid, mark) in declared {
            let Some(board) = self.boards.iter().find(|b| b.uid == *uid) else {
                let known: Vec<&str> =
                    self.boards.iter().map(|b| b.uid.as_str()).filter(|u| !u.is_empty()).collect();
                let what =
                    format!("dashboards: {uid} is in no file of the dashboards' provisioning");
                return Err(ConfigError::at(
                    mark,
                    what,
                    crate::yaml::suggest(uid, known, "dashboards"),
                ));
            };
            board.check(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
