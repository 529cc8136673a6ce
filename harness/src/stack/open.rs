//! Finding and reading a stack.

use super::StackError;
use crate::compose::tree::{Mark, Node, parse};
use crate::compose::{ConfigError, Project, Source, load, nearest};
use crate::declaration::Declaration;
use crate::home::Home;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A stack as its owner wrote it.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// What its owner states about it.
    pub declaration: Declaration,
    /// File of that.
    pub declaration_file: PathBuf,
    /// Its Compose project, read with the profiles that were asked for.
    pub project: Project,
    /// Where that was read from.
    pub source: Source,
    marks: Node,
}

/// File that makes a folder a stack.
const DECLARATION: &str = "firedrill.yaml";

impl Stack {
    /// Opens a stack: a folder, or a name under `compose/stacks` of this or an outer folder, or of our own home.
    ///
    /// # Errors
    /// [`StackError::NotFound`] when there is none, [`StackError::Config`] for what is wrong in its files.
    pub fn open(folder_or_name: &str) -> Result<Stack, StackError> {
        Stack::open_with(folder_or_name, &BTreeSet::new())
    }

    /// Opens a stack with Compose profiles turned on.
    ///
    /// # Errors
    /// As [`Stack::open`].
    pub fn open_with(folder_or_name: &str, profiles: &BTreeSet<String>) -> Result<Stack, StackError> {
        let folder = find(folder_or_name)?;
        let file = folder.join(DECLARATION);
        let text = std::fs::read_to_string(&file).map_err(|error| {
            ConfigError::of(&file, format!("can't be read: {error}"), "`firedrill init COMPOSE_FILE` writes one for an existing stack")
        })?;
        let declaration = read_declaration(&file, &text)?;
        let marks = parse(&file, &text)?;
        let compose = folder.join(&declaration.compose);
        if !compose.is_file() {
            let mark = marks.get("compose").map_or_else(|| marks.mark.clone(), |node| node.mark.clone());
            return Err(ConfigError::at(
                &mark,
                format!("compose: there is no file {}", compose.display()),
                "name the Compose file, relative to this file",
            )
            .into());
        }
        let source = Source { profiles: profiles.clone(), ..Source::new(compose) };
        let project = load(&source)?;
        let stack = Stack { folder, declaration, declaration_file: file, project, source, marks };
        stack.check()?;
        Ok(stack)
    }

    /// Name of the stack.
    pub fn name(&self) -> &str {
        &self.declaration.stack
    }

    /// Where something of the declaration stands: keys and list indices from the top.
    pub fn mark(&self, path: &[&str]) -> Mark {
        let mut node = &self.marks;
        for step in path {
            let below = match (&node.value, step.parse::<usize>()) {
                (crate::compose::tree::Value::List(items), Ok(at)) => items.get(at),
                _ => node.get(step),
            };
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        node.mark.clone()
    }

    /// Services and ports inside the network that the declaration speaks of: the harness has to reach them.
    pub fn declared_ports(&self) -> BTreeSet<(String, u16)> {
        let declared = &self.declaration;
        let roles = &declared.roles;
        let roles = [&roles.metrics, &roles.alerting, &roles.dashboards, &roles.logs, &roles.shipper, &roles.traces, &roles.collector];
        let mut ports: BTreeSet<(String, u16)> = roles.into_iter().flatten().map(|role| (role.service.clone(), role.port)).collect();
        ports.extend(declared.health.iter().map(|health| (health.service.clone(), health.port)));
        if let Some(workload) = &declared.workload {
            let addresses = [Some(&workload.http), workload.imap.as_ref()];
            ports.extend(addresses.into_iter().flatten().filter_map(|address| {
                let (service, port) = address.rsplit_once(':')?;
                Some((service.to_owned(), port.parse().ok()?))
            }));
        }
        ports
    }

    /// Whether what the declaration speaks of is there.
    fn check(&self) -> Result<(), StackError> {
        let declared = &self.declaration;
        let fail = |path: &[&str], what: String, hint: String| -> Result<(), StackError> {
            Err(ConfigError::at(&self.mark(path), what, hint).into())
        };
        if declared.schema != 1 {
            return fail(&["schema"], format!("schema: seen {}, wanted 1", declared.schema), "this program reads version 1".into());
        }
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if declared.stack.is_empty() || declared.stack.len() > 30 || !declared.stack.chars().all(named) {
            return fail(
                &["stack"],
                format!("stack: seen `{}`", declared.stack),
                "at most 30 lower-case letters, digits and dashes".into(),
            );
        }
        let known = || self.project.services.keys().chain(self.project.left_out.keys());
        let service = |path: &[&str], name: &str| -> Result<(), StackError> {
            if known().any(|known| known == name) {
                return Ok(());
            }
            let hint = nearest(name, known().map(String::as_str))
                .map_or_else(|| "name a service of the Compose file".to_owned(), |near| format!("did you mean {near}?"));
            fail(path, format!("{}: there is no service {name} in {}", path.join("."), self.project.file.display()), hint)
        };
        let roles = &declared.roles;
        for (name, role) in [
            ("metrics", &roles.metrics),
            ("alerting", &roles.alerting),
            ("dashboards", &roles.dashboards),
            ("logs", &roles.logs),
            ("shipper", &roles.shipper),
            ("traces", &roles.traces),
            ("collector", &roles.collector),
        ] {
            if let Some(role) = role {
                service(&["roles", name, "service"], &role.service)?;
            }
        }
        for (at, health) in declared.health.iter().enumerate() {
            service(&["health", &at.to_string(), "service"], &health.service)?;
        }
        for (at, optional) in declared.optional.iter().enumerate() {
            service(&["optional", &at.to_string(), "service"], &optional.service)?;
        }
        for (at, without) in declared.without_metrics.iter().enumerate() {
            service(&["without_metrics", &at.to_string(), "service"], &without.service)?;
        }
        for (at, target) in declared.targets.iter().enumerate() {
            service(&["targets", &at.to_string(), "service"], &target.service)?;
        }
        if let Some(workload) = &declared.workload {
            for (key, address) in [("http", Some(&workload.http)), ("imap", workload.imap.as_ref())] {
                let Some(address) = address else { continue };
                match address.rsplit_once(':').map(|(name, port)| (name, port.parse::<u16>())) {
                    Some((name, Ok(_))) => service(&["workload", key], name)?,
                    _ => return fail(&["workload", key], format!("workload.{key}: seen `{address}`"), "write service:port".into()),
                }
            }
        }
        Ok(())
    }
}

fn read_declaration(file: &Path, text: &str) -> Result<Declaration, ConfigError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line());
        let seen = error.without_snippet().to_string();
        // "unknown field `x`, expected one of `a`, `b`" names all that would do.
        let words: Vec<&str> = seen.split('`').collect();
        let hint = match (seen.contains("unknown field"), words.get(1)) {
            (true, Some(word)) => nearest(word, words.iter().skip(3).step_by(2).copied())
                .map_or_else(|| "see the schema of firedrill.yaml in the README".to_owned(), |near| format!("did you mean `{near}`?")),
            _ => "see the schema of firedrill.yaml in the README".to_owned(),
        };
        ConfigError { file: file.to_path_buf(), line, what: seen, hint }
    })
}

fn find(folder_or_name: &str) -> Result<PathBuf, StackError> {
    let here = std::env::current_dir().unwrap_or_default();
    let as_folder = here.join(folder_or_name);
    let absolute = |path: PathBuf| path.canonicalize().unwrap_or(path);
    if as_folder.join(DECLARATION).is_file() {
        return Ok(absolute(as_folder));
    }
    let is_name = !folder_or_name.contains('/');
    let mut known = Vec::new();
    if is_name {
        for root in here.ancestors().map(Path::to_path_buf).chain([Home::find().root().to_path_buf()]) {
            let stacks = root.join("compose/stacks");
            if stacks.join(folder_or_name).join(DECLARATION).is_file() {
                return Ok(absolute(stacks.join(folder_or_name)));
            }
            let entries = std::fs::read_dir(&stacks).into_iter().flatten().flatten();
            known.extend(
                entries.filter(|entry| entry.path().join(DECLARATION).is_file()).filter_map(|entry| entry.file_name().into_string().ok()),
            );
        }
    }
    if as_folder.is_dir() {
        return Err(StackError::NotFound {
            what: format!("{} has no {DECLARATION}", as_folder.display()),
            hint: "`firedrill init COMPOSE_FILE` writes one for an existing stack".into(),
        });
    }
    known.sort();
    known.dedup();
    let hint = match nearest(folder_or_name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "give the path of a folder with a firedrill.yaml".into(),
        None => format!("give a folder with a firedrill.yaml, or one of {}", known.join(", ")),
    };
    Err(StackError::NotFound { what: format!("there is no stack {folder_or_name}"), hint })
}
