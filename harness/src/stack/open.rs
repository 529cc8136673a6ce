//! Finding and reading a stack.

use super::{StackError, Topology, secrets};
use crate::declaration::{self, DECLARATION, Declaration};
use crate::process::home::Home;
use crate::secret;
use crate::stack::compose::{Project, Source, load};
use crate::stack::dashboards::files::{Files, Place};
use crate::yaml::{self, nearest, suggest};
use config::yaml::{ConfigError, Mark, Node};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What it is made of, with the profiles that were asked for.
    pub topology: Topology,
    /// The Compose project that says so.
    pub(super) project: Project,
    /// Where that was read from.
    pub(super) source: Source,
    /// Where the files of its dashboards are, if they may have to be judged from these, and what
    /// they hold.
    pub dashboards: Option<(Place, Files)>,
    marks: Node,
    /// Files of the journeys that have one.
    pub(super) journeys: BTreeMap<String, PathBuf>,
}

impl Stack {
    /// Opens a stack: a folder, or a name under `compose/stacks` of this or an outer folder, or of
    /// our own home.
    ///
    /// # Errors
    /// [`StackError::NotFound`] when there is none, [`StackError::Config`] for what is wrong in its
    /// files.
    pub fn open(folder_or_name: &str) -> Result<Stack, StackError> {
        Stack::open_with(folder_or_name, &BTreeSet::new(), &BTreeMap::new())
    }

    /// Opens a stack with Compose profiles turned on, and without some services, each with the
    /// reason; what needs one of those is left out as well.
    ///
    /// # Errors
    /// As [`Stack::open`]; no service has one of the profiles.
    pub fn open_with(
        folder_or_name: &str,
        profiles: &BTreeSet<String>,
        without: &BTreeMap<String, String>,
    ) -> Result<Stack, StackError> {
        let folder = find(folder_or_name)?;
        // Before anything is said about one of these files.
        secret::learn_folder(&folder);
        let file = folder.join(DECLARATION);
        let text = std::fs::read_to_string(&file).map_err(|error| {
            ConfigError::of(
                &file,
                format!("can't be read: {error}"),
                "check its permissions; it must be text in UTF-8",
            )
        })?;
        let declaration: Declaration = yaml::parse(&file, &text)?;
        declaration::secrets::learn(&declaration);
        declaration::secrets::learn_kept(&declaration, &folder);
        let marks = yaml::tree(&file, &text)?;
        let compose = folder.join(&declaration.compose);
        if !compose.is_file() {
            let mark =
                marks.get("compose").map_or_else(|| marks.mark.clone(), |node| node.mark.clone());
            return Err(ConfigError::at(
                &mark,
                format!("compose: there is no file {}", compose.display()),
                "name the Compose file, relative to this file",
            )
            .into());
        }
        let source = Source { profiles: profiles.clone(), ..Source::new(compose) };
        let project = load(&source)?;
        secrets::learn_project(&project);
        let mut stack = Stack {
            folder,
            declaration,
            declaration_file: file,
            topology: Topology::of(&project),
            project,
            source,
            dashboards: None,
            marks,
            journeys: BTreeMap::new(),
        };
        stack.known(profiles)?;
        stack.read_journeys()?;
        stack.check()?;
        stack.dashboards = stack.dashboards_from_files()?;
        if !without.is_empty() {
            stack.source.without = with_dependants(&stack.project, without);
            stack.project = load(&stack.source)?;
            stack.topology = Topology::of(&stack.project);
        }
        Ok(stack)
    }

    /// Some service must have each of the profiles.
    fn known(&self, profiles: &BTreeSet<String>) -> Result<(), StackError> {
        let all = self
            .project
            .services
            .values()
            .chain(self.project.left_out.values().map(|left| &left.service));
        let known: BTreeSet<&str> =
            all.flat_map(|service| &service.profiles).map(String::as_str).collect();
        match profiles.iter().find(|p| *p != "*" && !known.contains(p.as_str())) {
            None => Ok(()),
            Some(unknown) => Err(StackError::NotFound {
                what: format!(
                    "no service of {} has the profile {unknown}",
                    self.project.file.display()
                ),
                hint: suggest(unknown, known, "profiles"),
            }),
        }
    }

    /// Name of the stack.
    pub fn name(&self) -> &str {
        &self.declaration.stack
    }

    /// Where something of the declaration stands: keys and list indices from the top.
    pub fn mark(&self, path: &[&str]) -> Mark {
        self.marks.deepest(path).mark.clone()
    }

    /// Services and ports inside the network that the declaration speaks of: the harness has to
    /// reach them.
    pub fn declared_ports(&self) -> BTreeSet<(String, u16)> {
        let declared = &self.declaration;
        let mut ports: BTreeSet<(String, u16)> =
            declared.roles.servers().map(|role| (role.service.clone(), role.port)).collect();
        if let Some((_, files)) = &self.dashboards {
            ports.extend(files.ports(&self.topology.hosts));
        }
        ports.extend(declared.health.iter().map(|health| (health.service.clone(), health.port)));
        if let Some(workload) = &declared.workload {
            ports.extend(workload.places().iter().filter_map(|(_, place)| {
                let (service, port) = place.rsplit_once(':')?;
                Some((service.to_owned(), port.parse().ok()?))
            }));
        }
        ports
    }
}

/// Services to be left out, with those that can't be started without one of them.
fn with_dependants(
    project: &Project,
    without: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut all = without.clone();
    loop {
        let next =
            project.services.values().filter(|service| !all.contains_key(&service.name)).find_map(
                |service| {
                    let lacks = service.needs().find(|name| all.contains_key(*name))?;
                    Some((
                        service.name.clone(),
                        format!("it needs {lacks}, which is left out: {}", all[lacks]),
                    ))
                },
            );
        match next {
            Some((name, why)) => drop(all.insert(name, why)),
            None => return all,
        }
    }
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
        for root in
            here.ancestors().map(Path::to_path_buf).chain([Home::find().root().to_path_buf()])
        {
            let stacks = root.join("compose/stacks");
            if stacks.join(folder_or_name).join(DECLARATION).is_file() {
                return Ok(absolute(stacks.join(folder_or_name)));
            }
            let entries = std::fs::read_dir(&stacks).into_iter().flatten().flatten();
            known.extend(
                entries
                    .filter(|entry| entry.path().join(DECLARATION).is_file())
                    .filter_map(|entry| entry.file_name().into_string().ok()),
            );
        }
    }
    if as_folder.is_dir() {
        return Err(StackError::NotFound {
            what: format!("{} has no {DECLARATION}", as_folder.display()),
            hint: "write one beside the Compose file; compose/stacks/mini/firedrill.yaml is a short example".into(),
        });
    }
    known.sort();
    known.dedup();
    if as_folder.is_file() {
        return Err(StackError::NotFound {
            what: format!("{} is a file, wanted the folder of a stack", as_folder.display()),
            hint: "name the folder that holds it".into(),
        });
    }
    let hint = match nearest(folder_or_name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "give the path of a folder with a firedrill.yaml".into(),
        None => format!("give a folder with a firedrill.yaml, or one of {}", known.join(", ")),
    };
    let what = if is_name {
        format!("there is no stack {folder_or_name}")
    } else {
        format!("there is no folder {}", as_folder.display())
    };
    Err(StackError::NotFound { what, hint })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::failure::UserError;

    fn open(declaration: &str) -> Result<Stack, StackError> {
        let home = tempfile::tempdir().expect("folder");
        std::fs::write(
            home.path().join("docker-compose.yml"),
            "services:\n  web: {image: w, ports: [80]}\n  store: {image: s}\n  twin: {image: t, scale: 2}\n",
        )
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
        assert_eq!(
            stack.declared_ports(),
            [("store".to_owned(), 9090), ("web".to_owned(), 80)].into()
        );
        assert_eq!(stack.mark(&["health", "0", "path"]).line, 6);
    }

    #[test]
    fn what_is_wrong_is_named_with_file_line_and_hint() {
        let cases = [
            ("schema: 1\nstack: a\nroles: {}\nservces: []\n", 4, "servces"),
            ("schema: 1\nstack: a\nroles: {}\ntime_scal: 2\n", 4, "time_scal"),
            ("schema: 2\nstack: a\nroles: {}\n", 1, "2"),
            ("schema: 1\nstack: A b\nroles: {}\n", 2, "A b"),
            (
                "schema: 1\nstack: a\nroles:\n  metrics: {kind: prometheus, service: stor, port: 1}\n",
                4,
                "stor",
            ),
            (
                "schema: 1\nstack: a\nroles: {}\nhealth:\n  - {service: web, port: 80, path: /}\n  - {service: wep, port: 80, path: /}\n",
                6,
                "wep",
            ),
            ("schema: 1\nstack: a\ncompose: other.yml\nroles: {}\n", 3, "other.yml"),
            (
                "schema: 1\nstack: a\nroles:\n  metrics: {kind: prometheus, service: twin, port: 1}\n",
                4,
                "twin has 2 instances",
            ),
        ];
        for (text, line, what) in cases {
            let Err(StackError::Config(error)) = open(text) else { panic!("opened:\n{text}") };
            assert_eq!(error.place.line, line, "{error}");
            assert!(error.problem.contains(what) && !error.hint.is_empty(), "{error}");
            assert_eq!(StackError::Config(error).exit() as u8, 64);
        }
    }

    const OPTIONAL: &str =
        "schema: 1\nstack: a\nroles: {}\noptional:\n  - {service: store, why: large}\n";

    fn open_with(
        compose: &str,
        declaration: &str,
        profiles: &[&str],
        without: &[(&str, &str)],
    ) -> Result<Stack, StackError> {
        let home = tempfile::tempdir().expect("folder");
        std::fs::write(home.path().join("docker-compose.yml"), compose).expect("file");
        std::fs::write(home.path().join(DECLARATION), declaration).expect("file");
        let profiles = profiles.iter().map(|p| (*p).to_owned()).collect();
        let without =
            without.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect();
        Stack::open_with(&home.path().to_string_lossy(), &profiles, &without)
    }

    #[test]
    fn a_service_is_left_out_with_the_reason_and_whatever_needs_it_too() {
        let compose = "services:\n  web: {image: w, depends_on: {store: {condition: service_started, required: false}}}\n  store: {image: s}\n  \
                       view: {image: v, depends_on: [store]}\n";
        let declared = format!("{OPTIONAL}  - {{service: view, why: shows the store}}\n");
        let whole = open_with(compose, &declared, &[], &[]).expect("opens");
        assert_eq!(whole.project.services.len(), 3);
        let home = tempfile::tempdir().expect("folder");
        std::fs::write(home.path().join("docker-compose.yml"), compose).expect("file");
        std::fs::write(home.path().join(DECLARATION), &declared).expect("file");
        let without = BTreeMap::from([("store".to_owned(), "no image".to_owned())]);
        let stack = Stack::open_with(&home.path().to_string_lossy(), &BTreeSet::new(), &without)
            .expect("opens");
        assert_eq!(stack.project.services.keys().collect::<Vec<_>>(), ["web"]);
        let why: Vec<String> =
            stack.project.left_out.values().map(|left| left.why.to_string()).collect();
        assert_eq!(why, ["no image", "it needs store, which is left out: no image"]);
        // Read again from the same source, as it is when its containers are made, it has the same
        // services.
        assert_eq!(
            load(&stack.source).expect("reads").services.keys().collect::<Vec<_>>(),
            ["web"]
        );
    }

    #[test]
    fn what_contradicts_that_a_service_is_optional_is_named_with_line_and_hint() {
        let plain = "services:\n  web: {image: w}\n  store: {image: s}\n  extra: {image: e, profiles: [more, all]}\n";
        let declared = |rest: &str| format!("schema: 1\nstack: a\nroles: {{}}\noptional:\n{rest}");
        let needs = "services:\n  web: {image: w, depends_on: [store]}\n  store: {image: s}\n";
        let shares =
            "services:\n  web: {image: w, network_mode: \"service:store\"}\n  store: {image: s}\n";
        let twice = "  - {service: store, why: x}\n  - {service: store, why: x}\n";
        let cases = [
            (plain, declared("  - {service: stor, why: x}\n"), 5, "stor", "did you mean store?"),
            (plain, declared("  - {service: extra, why: x}\n"), 5, "profiles more, all", "profile: more"),
            (plain, declared("  - {service: extra, profile: mor, why: x}\n"), 5, "`mor`", "did you mean more?"),
            (plain, declared("  - {service: store, profile: more, why: x}\n"), 5, "has no profile", "without `profile`"),
            (plain, declared(twice), 6, "twice", "once"),
            (needs, declared("  - {service: store, why: x}\n"), 5, "service web needs the optional service store", "required: false"),
            (shares, declared("  - {service: store, why: x}\n"), 5, "service web needs the optional service store", "`optional`"),
            (
                plain,
                "schema: 1\nstack: a\nroles:\n  metrics: {kind: prometheus, service: store, port: 1}\noptional: [{service: store, why: x}]\n"
                    .to_owned(),
                5,
                "roles.metrics",
                "without it nothing is judged",
            ),
        ];
        for (compose, declaration, line, what, hint) in cases {
            let Err(StackError::Config(error)) = open_with(compose, &declaration, &[], &[]) else {
                panic!("opened:\n{declaration}")
            };
            assert_eq!(error.place.line, line, "{error}");
            assert!(error.problem.contains(what) && error.hint.contains(hint), "{error}");
        }
        open_with(
            plain,
            &declared(
                "  - {service: extra, profile: more, why: x}\n  - {service: store, why: x}\n",
            ),
            &[],
            &[],
        )
        .expect("opens");
    }

    #[test]
    fn a_profile_is_turned_on_by_name_and_an_unknown_one_is_refused() {
        let compose = "services:\n  web: {image: w}\n  extra: {image: e, profiles: [more]}\n";
        let declared = "schema: 1\nstack: a\nroles: {}\n";
        let running = |profiles: &[&str]| {
            open_with(compose, declared, profiles, &[]).map(|s| s.project.services.len())
        };
        assert_eq!(running(&[]).expect("opens"), 1);
        assert_eq!(running(&["more"]).expect("opens"), 2);
        assert_eq!(running(&["*"]).expect("opens"), 2);
        let error = running(&["mor"]).expect_err("unknown");
        assert_eq!(error.exit() as u8, 64);
        let told = error.advice().to_string();
        assert!(told.contains("profile mor\nhint: did you mean more?"), "{told}");
    }

    #[test]
    fn a_stack_that_is_not_there_is_named() {
        let error = Stack::open("no-such-stack-at-all").expect_err("missing");
        assert!(
            matches!(error, StackError::NotFound { .. })
                && error.to_string().contains("no-such-stack-at-all"),
            "{error}"
        );
        let empty = tempfile::tempdir().expect("folder");
        let error = Stack::open(&empty.path().to_string_lossy()).expect_err("no declaration");
        assert!(error.advice().to_string().contains(DECLARATION), "{error}");
    }
}
