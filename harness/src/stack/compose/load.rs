//! Finding and reading all files of a project: variables, `include`, `extends`, then types.

use super::fields::{Fields, entries, items, text, texts, wanted};
use super::interpolate::{Environment, interpolate};
use super::model::{Absence, Content, LeftOut, Network, Project, Volume};
use super::{ConfigError, dotenv, merge, nearest, paths, references, service};
use crate::yaml;
use config::yaml::{Key, Mark, Node, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a project is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The Compose file.
    pub file: PathBuf,
    /// A folder and the copy of it that is read in its place; paths in the model and in messages
    /// keep naming the original.
    pub copy: Option<(PathBuf, PathBuf)>,
    /// Profiles that are turned on; `*` turns on all.
    pub profiles: BTreeSet<String>,
    /// Services that are left out though no profile says so, with the reason.
    pub without: BTreeMap<String, String>,
    /// Variables, over those of `.env`. Usually the process's own environment.
    pub env: Environment,
}

impl Source {
    /// The file with the process's own environment and no profile.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        // What is no text can't be meant in a Compose file.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Source {
            file: file.into(),
            copy: None,
            profiles: BTreeSet::new(),
            without: BTreeMap::new(),
            env,
        }
    }

    /// Where a path is really read.
    pub fn physical(&self, path: &Path) -> PathBuf {
        match &self.copy {
            Some((from, to)) => {
                path.strip_prefix(from).map_or_else(|_| path.to_path_buf(), |rest| to.join(rest))
            }
            None => path.to_path_buf(),
        }
    }

    pub(super) fn read(&self, path: &Path, why: &Mark) -> Result<String, ConfigError> {
        let text = std::fs::read_to_string(self.physical(path)).map_err(|error| {
            let hint = "check the path; it is relative to the file that names it";
            if why.line == 0 && &*why.file == path {
                ConfigError::of(path, format!("can't be read: {error}"), "check the path")
            } else {
                ConfigError::at(why, format!("{} can't be read: {error}", path.display()), hint)
            }
        })?;
        crate::secret::learn_text(path, &text);
        Ok(text)
    }
}

/// Reads a project.
///
/// # Errors
/// [`ConfigError`] for the first thing that is wrong or unsupported, with file and line.
pub fn load(source: &Source) -> Result<Project, ConfigError> {
    let file = paths::absolute(
        &source.file.to_string_lossy(),
        &std::env::current_dir().unwrap_or_default(),
    );
    let mut loader = Loader { source, unset: BTreeSet::new(), open: Vec::new() };
    let why = Mark { file: Arc::from(file.as_path()), line: 0 };
    let base = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let env = loader.environment(&base, None, &why)?;
    let tree = loader.file(&file, &base, &env, &why)?;
    let unset = std::mem::take(&mut loader.unset);
    let mut project = typed(&file, &tree, &env, source)?;
    project.warnings.extend(
        unset.into_iter().map(|name| format!("variable {name} is not set and counts as empty")),
    );
    Ok(project)
}

struct Loader<'a> {
    source: &'a Source,
    unset: BTreeSet<String>,
    open: Vec<PathBuf>,
}

/// Top-level groups whose entries `include` adds up.
const GROUPS: &[&str] = &["services", "networks", "volumes", "configs", "secrets"];

impl Loader<'_> {
    fn environment(
        &self,
        base: &Path,
        files: Option<Vec<PathBuf>>,
        why: &Mark,
    ) -> Result<Environment, ConfigError> {
        let default = base.join(".env");
        let files = match files {
            Some(files) => files,
            None if self.source.physical(&default).is_file() => vec![default],
            None => Vec::new(),
        };
        let mut env = Environment::new();
        for file in files {
            env.extend(dotenv::parse(&file, &self.source.read(&file, why)?, &self.source.env)?);
        }
        env.extend(self.source.env.clone());
        Ok(env)
    }

    /// Reads one file with all that it includes and extends.
    fn file(
        &mut self,
        file: &Path,
        base: &Path,
        env: &Environment,
        why: &Mark,
    ) -> Result<Node, ConfigError> {
        if self.open.iter().any(|open| open == file) {
            return Err(ConfigError::at(
                why,
                format!("{} includes itself", file.display()),
                "break the circle",
            ));
        }
        let mut tree = yaml::tree(file, &self.source.read(file, why)?)?;
        if !matches!(tree.value, Value::Map(_)) {
            return Err(wanted(&tree, "the file", "a mapping with services"));
        }
        interpolate(&mut tree, env, &mut self.unset)?;
        paths::absolutize(&mut tree, base);
        self.open.push(file.to_path_buf());
        self.include(&mut tree, base, env)?;
        self.extend_all(&mut tree, env)?;
        self.open.pop();
        Ok(tree)
    }

    fn include(
        &mut self,
        tree: &mut Node,
        base: &Path,
        env: &Environment,
    ) -> Result<(), ConfigError> {
        let Some(include) = tree.get("include").cloned().filter(|node| !node.is_null()) else {
            return Ok(());
        };
        for item in items(&include, "include")? {
            let (files, folder, env_files) = match &item.value {
                Value::Map(_) => {
                    let mut fields = Fields::new(item, "include")?;
                    let files = fields.texts("path")?;
                    let folder = fields.text("project_directory")?;
                    let env_files = fields
                        .take("env_file")
                        .map(|node| texts(node, "include.env_file"))
                        .transpose()?;
                    fields.finish(&[])?;
                    (files, folder, env_files)
                }
                _ => (vec![text(item, "include")?], None, None),
            };
            for path in files {
                let path = paths::absolute(&path, base);
                let folder = match &folder {
                    Some(folder) => paths::absolute(folder, base),
                    None => path.parent().unwrap_or(base).to_path_buf(),
                };
                let env_files = env_files
                    .as_ref()
                    .map(|files| files.iter().map(|file| paths::absolute(file, base)).collect());
                let mut inner = self.environment(&folder, env_files, &item.mark)?;
                inner.extend(env.clone());
                let included = self.file(&path, &folder, &inner, &item.mark)?;
                add_groups(tree, &included, &item.mark)?;
            }
        }
        Ok(())
    }

    fn extend_all(&mut self, tree: &mut Node, env: &Environment) -> Result<(), ConfigError> {
        let Some(services) = tree.get("services").cloned() else { return Ok(()) };
        let mut done = Vec::new();
        for (key, service) in entries(&services, "services")? {
            let extended = self.extended(&key.name, service, &services, env, &mut Vec::new())?;
            done.push((key.clone(), extended));
        }
        if let Some(node) = tree.get_mut("services") {
            node.value = Value::Map(done);
        }
        Ok(())
    }

    fn extended(
        &mut self,
        name: &str,
        service: &Node,
        siblings: &Node,
        env: &Environment,
        chain: &mut Vec<String>,
    ) -> Result<Node, ConfigError> {
        let Some(extends) = service.get("extends").filter(|node| !node.is_null()) else {
            return Ok(service.clone());
        };
        let path = format!("services.{name}.extends");
        let (base_name, file) = match &extends.value {
            Value::Map(_) => {
                let mut fields = Fields::new(extends, path.clone())?;
                let base = fields.text("service")?;
                let file = fields.text("file")?;
                fields.finish(&[])?;
                (
                    base.ok_or_else(|| {
                        ConfigError::at(
                            &extends.mark,
                            format!("{path}: no service named"),
                            "add `service:`",
                        )
                    })?,
                    file,
                )
            }
            _ => (text(extends, &path)?, None),
        };
        let step = format!("{}:{base_name}", file.as_deref().unwrap_or_default());
        if chain.contains(&step) || (file.is_none() && base_name == name) {
            return Err(ConfigError::at(
                &extends.mark,
                format!("{path}: service {base_name} extends itself"),
                "remove `extends`, or name another service",
            ));
        }
        chain.push(step);
        let base = match file {
            None => {
                let base = siblings
                    .get(&base_name)
                    .ok_or_else(|| no_service(&extends.mark, &path, &base_name, siblings))?;
                self.extended(&base_name, base, siblings, env, chain)?
            }
            Some(file) => {
                let file = PathBuf::from(file);
                let mut other = yaml::tree(&file, &self.source.read(&file, &extends.mark)?)?;
                interpolate(&mut other, env, &mut self.unset)?;
                paths::absolutize(&mut other, file.parent().unwrap_or(Path::new("/")));
                let empty = Node::map().standing_at(&other.mark);
                let services = other.get("services").unwrap_or(&empty).clone();
                let base = services
                    .get(&base_name)
                    .ok_or_else(|| no_service(&extends.mark, &path, &base_name, &services))?;
                self.extended(&base_name, base, &services, env, chain)?
            }
        };
        let mut merged = merge::service(&base, service);
        if let Value::Map(entries) = &mut merged.value {
            entries.retain(|(key, _)| key.name != "extends");
        }
        Ok(merged)
    }
}

fn no_service(mark: &Mark, path: &str, name: &str, services: &Node) -> ConfigError {
    let known: Vec<&str> = match &services.value {
        Value::Map(entries) => entries.iter().map(|(key, _)| key.name.as_str()).collect(),
        _ => Vec::new(),
    };
    let hint = nearest(name, known.iter().copied()).map_or_else(
        || format!("the services are {}", known.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    ConfigError::at(mark, format!("{path}: there is no service {name}"), hint)
}

fn add_groups(tree: &mut Node, included: &Node, mark: &Mark) -> Result<(), ConfigError> {
    let Value::Map(top) = &mut tree.value else { return Ok(()) };
    for group in GROUPS {
        let Some(more) = included.get(group).filter(|node| !node.is_null()) else { continue };
        let more = entries(more, group)?;
        let at = match top.iter().position(|(key, _)| key.name == *group) {
            Some(at) => at,
            None => {
                let key = Key::new(*group, mark.clone());
                top.push((key, Node::map().standing_at(mark)));
                top.len() - 1
            }
        };
        if top[at].1.is_null() {
            top[at].1.value = Value::Map(Vec::new());
        }
        let Value::Map(known) = &mut top[at].1.value else {
            return Err(wanted(&top[at].1, group, "a mapping"));
        };
        for (key, node) in more {
            match known.iter().find(|(seen, _)| seen.name == key.name) {
                Some((_, seen)) if merge::is_one(seen, node) => {}
                Some((seen, _)) => {
                    return Err(ConfigError::at(
                        mark,
                        format!(
                            "{group}.{} is included from {}:{} and stands at {}:{} too",
                            key.name,
                            key.mark.file.display(),
                            key.mark.line,
                            seen.mark.file.display(),
                            seen.mark.line
                        ),
                        "rename one of them",
                    ));
                }
                None => known.push((key.clone(), node.clone())),
            }
        }
    }
    Ok(())
}

fn typed(
    file: &Path,
    tree: &Node,
    env: &Environment,
    source: &Source,
) -> Result<Project, ConfigError> {
    let mut fields = Fields::new(tree, "the file")?;
    fields.take("version");
    fields.take("include");
    let mut project = Project {
        name: fields.text("name")?,
        file: file.to_path_buf(),
        services: BTreeMap::new(),
        left_out: BTreeMap::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        configs: BTreeMap::new(),
        secrets: BTreeMap::new(),
        warnings: Vec::new(),
    };
    if let Some(node) = fields.take("networks") {
        for (key, node) in entries(node, "networks")? {
            project.networks.insert(
                key.name.clone(),
                network(&key.name, &key.mark, node, &mut project.warnings)?,
            );
        }
    }
    if let Some(node) = fields.take("volumes") {
        for (key, node) in entries(node, "volumes")? {
            project.volumes.insert(key.name.clone(), volume(&key.name, &key.mark, node)?);
        }
    }
    for group in ["configs", "secrets"] {
        let Some(node) = fields.take(if group == "configs" { "configs" } else { "secrets" }) else {
            continue;
        };
        for (key, node) in entries(node, group)? {
            let content = content(group, &key.name, node, env, &mut project.warnings)?;
            if group == "configs" { &mut project.configs } else { &mut project.secrets }
                .insert(key.name.clone(), content);
        }
    }
    let services = fields.take("services").ok_or_else(|| {
        ConfigError::of(file, "no services", "a Compose file has a mapping `services`")
    })?;
    for (key, node) in entries(services, "services")? {
        let service = service::read(key, node, env, source, &mut project.warnings)?;
        let on = service.profiles.is_empty()
            || source.profiles.contains("*")
            || service.profiles.iter().any(|profile| source.profiles.contains(profile));
        let why = match source.without.get(&key.name) {
            Some(why) if on => Some(Absence::Told(why.clone())),
            _ if on => None,
            _ => Some(Absence::Profiles(service.profiles.clone())),
        };
        match why {
            None => drop(project.services.insert(key.name.clone(), service)),
            Some(why) => drop(project.left_out.insert(key.name.clone(), LeftOut { service, why })),
        }
    }
    fields.finish(&[("models", "remove it: firedrill runs containers only")])?;
    references::check(&project)?;
    Ok(project)
}

fn network(
    name: &str,
    mark: &Mark,
    node: &Node,
    warnings: &mut Vec<String>,
) -> Result<Network, ConfigError> {
    let path = format!("networks.{name}");
    let mut fields = Fields::new(node, path.clone())?;
    let (external, own_name) = external(&mut fields, name)?;
    if let Some(driver) = fields.take("driver")
        && !["bridge", "default"].contains(&text(driver, &path)?.as_str())
    {
        return Err(ConfigError::at(
            &driver.mark,
            format!("{path}.driver: seen `{}`, wanted bridge", text(driver, &path)?),
            "a stack is contained in bridge networks of its own",
        ));
    }
    for key in ["driver_opts", "internal", "attachable", "enable_ipv6", "enable_ipv4"] {
        if fields.take(key).is_some() {
            warnings.push(format!(
                "{path}.{key} has no effect: every network of a run is a contained IPv4 bridge"
            ));
        }
    }
    let mut subnets = Vec::new();
    if let Some(ipam) = fields.take("ipam") {
        let mut ipam = Fields::new(ipam, format!("{path}.ipam"))?;
        ipam.take("driver");
        if let Some(list) = ipam.take("config") {
            for item in items(list, "ipam.config")? {
                let mut config = Fields::new(item, format!("{path}.ipam.config"))?;
                let gateway = config.text("gateway")?;
                if let Some(subnet) = config.text("subnet")? {
                    subnets.push((subnet, gateway));
                }
                config.finish(&[])?;
            }
        }
        ipam.finish(&[])?;
    }
    let labels = plain(fields.pairs("labels")?);
    fields.finish(&[])?;
    Ok(Network { external: external.then_some(own_name), subnets, labels, mark: mark.clone() })
}

fn volume(name: &str, mark: &Mark, node: &Node) -> Result<Volume, ConfigError> {
    let mut fields = Fields::new(node, format!("volumes.{name}"))?;
    let (external, own_name) = external(&mut fields, name)?;
    let volume = Volume {
        external: external.then_some(own_name),
        driver: fields.text("driver")?,
        driver_opts: plain(fields.pairs("driver_opts")?),
        labels: plain(fields.pairs("labels")?),
        mark: mark.clone(),
    };
    fields.finish(&[])?;
    Ok(volume)
}

/// Whether it is external, and the name that it has then.
fn external(fields: &mut Fields, name: &str) -> Result<(bool, String), ConfigError> {
    let mut own = fields.text("name")?;
    let path = fields.path("external");
    let external = match fields.take("external") {
        None => false,
        Some(node) if matches!(node.value, Value::Map(_)) => {
            let mut inner = Fields::new(node, path)?;
            own = inner.text("name")?.or(own);
            inner.finish(&[])?;
            true
        }
        Some(node) => super::fields::flag(node, &path)?,
    };
    Ok((external, own.unwrap_or_else(|| name.to_owned())))
}

fn content(
    group: &str,
    name: &str,
    node: &Node,
    env: &Environment,
    warnings: &mut Vec<String>,
) -> Result<Content, ConfigError> {
    let path = &format!("{group}.{name}");
    let mut fields = Fields::new(node, path)?;
    let file = fields.text("file")?;
    let inline = fields.take("content");
    let variable = fields.text("environment")?;
    let (is_external, _) = external(&mut fields, name)?;
    fields.finish(&[])?;
    let mark = inline.unwrap_or(node).mark.clone();
    if is_external {
        // The engine has no store of its own for it; a secret must be something, and the same for
        // all who share it.
        let text = if group == "secrets" { "made-up-for-the-run" } else { "" };
        let instead = if group == "secrets" { "a made-up one" } else { "an empty file" };
        warnings.push(format!(
            "{path} is external, so what it holds is not known here: {instead} takes its place"
        ));
        return Ok(Content::Text { text: text.to_owned(), mark, follows: false });
    }
    match (file, inline, variable) {
        (Some(file), None, None) => Ok(Content::File(PathBuf::from(file))),
        (None, Some(inline), None) => {
            let text = text(inline, &format!("{path}.content"))?;
            Ok(Content::Text { follows: text.contains('\n'), text, mark })
        }
        (None, None, Some(variable)) => match env.get(&variable).cloned() {
            Some(text) => Ok(Content::Text { text, mark, follows: false }),
            None => Err(ConfigError::at(
                &node.mark,
                format!("{path}: variable {variable} is not set"),
                "set it in the environment or in .env",
            )),
        },
        _ => Err(ConfigError::at(
            &node.mark,
            format!("{path}: wanted exactly one of file, content and environment"),
            "keep one of the three",
        )),
    }
}

/// Pairs of which a name without a value is empty.
pub(super) fn plain(pairs: BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect()
}
