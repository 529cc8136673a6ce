//! Finding and reading a stack.

use super::StackError;
use crate::compose::tree::{Mark, Node, parse, without_place};
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
        let seen = without_place(error.without_snippet().to_string());
        // "unknown field `x`, expected one of a, b" names all that would do.
        let field = seen.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
        let near = field
            .and_then(|(word, rest)| nearest(word, rest.trim_start_matches(", expected one of ").split(", ").map(|w| w.trim_matches('`'))));
        let hint =
            near.map_or_else(|| "see the schema of firedrill.yaml in the README".to_owned(), |near| format!("did you mean `{near}`?"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn open(declaration: &str) -> Result<Stack, StackError> {
        let home = tempfile::tempdir().expect("folder");
        std::fs::write(home.path().join("docker-compose.yml"), "services:\n  web: {image: w, ports: [80]}\n  store: {image: s}\n")
            .expect("file");
        std::fs::write(home.path().join(DECLARATION), declaration).expect("file");
        Stack::open(&home.path().to_string_lossy())
    }

    #[test]
    fn a_stack_is_opened_with_what_its_owner_speaks_of() {
        let stack = open(
            "schema: 1\nstack: a-1\nroles:\n  metrics: {kind: prometheus, service: store, port: 9090}\nhealth:\n  - {service: web, port: 80, path: /}\n",
        )
        .expect("opens");
        assert_eq!(stack.name(), "a-1");
        assert_eq!(stack.declared_ports(), [("store".to_owned(), 9090), ("web".to_owned(), 80)].into());
        assert_eq!(stack.mark(&["health", "0", "path"]).line, 6);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_hint() {
        let cases = [
            ("schema: 1\nstack: a\nroles: {}\nservces: []\n", 4, "unknown field", ""),
            ("schema: 1\nstack: a\nroles: {}\ntime_scal: 2\n", 4, "unknown field", "time_scale"),
            ("schema: 2\nstack: a\nroles: {}\n", 1, "wanted 1", "version"),
            ("schema: 1\nstack: A b\nroles: {}\n", 2, "A b", "lower-case"),
            ("schema: 1\nstack: a\nroles:\n  metrics: {kind: prometheus, service: stor, port: 1}\n", 4, "no service stor", "store"),
            ("schema: 1\nstack: a\nroles: {}\nhealth:\n  - {service: web, port: 80}\n  - {service: wep, port: 80}\n", 6, "wep", "web"),
            ("schema: 1\nstack: a\ncompose: other.yml\nroles: {}\n", 3, "other.yml", "Compose file"),
            (
                "schema: 1\nstack: a\nroles: {}\nworkload: {rate: 1, http: web, users: [], password: x, journeys: {}}\n",
                4,
                "`web`",
                "service:port",
            ),
        ];
        for (text, line, what, hint) in cases {
            let Err(StackError::Config(error)) = open(text) else { panic!("opened:\n{text}") };
            assert_eq!(error.line, line, "{error}");
            assert!(error.what.contains(what) && error.hint.contains(hint), "{error}");
            assert_eq!(error.exit() as u8, 64);
        }
    }

    #[test]
    fn a_stack_that_is_not_there_is_named() {
        let error = Stack::open("no-such-stack-at-all").expect_err("missing");
        assert!(matches!(error, StackError::NotFound { .. }) && error.to_string().contains("no-such-stack-at-all"), "{error}");
        let empty = tempfile::tempdir().expect("folder");
        let error = Stack::open(&empty.path().to_string_lossy()).expect_err("no declaration");
        assert!(error.to_string().contains(DECLARATION), "{error}");
    }
}
