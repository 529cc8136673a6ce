//! As much of a Compose file as tells which server reads which file. What this does not know it
//! passes over: a lint fails over no key of Compose.

use super::Found;
use super::filled::fill;
use crate::plan::subject::source::{Mount, Text};
use config::monitoring::ServerKind;
use config::yaml::{ConfigError, Node, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A Compose file with all that belongs to it.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) services: BTreeMap<String, Service>,
    /// Whether services of other projects are in its networks.
    pub(super) open: bool,
}

/// A service, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) image: Option<String>,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) mounts: Vec<Mount>,
    pub(super) texts: Vec<Text>,
    /// Whether no profile turns it on.
    pub(super) off: bool,
    /// Whether it is in the network of the host or of another service.
    pub(super) shares: bool,
    /// Names that it alone knows, with the service.
    pub(super) known: Vec<(String, String)>,
    others: Vec<String>,
}

/// What a service is.
pub(super) enum Kind {
    /// A server whose configuration is looked at.
    Server(ServerKind),
    /// One whose files are known and not looked at.
    Other(&'static str),
}

impl Service {
    /// Names by which others reach it.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        std::iter::once(name.to_owned()).chain(self.others.iter().cloned()).collect()
    }

    /// What it is: by its image, else by what is mounted where.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        let image = self.image.as_deref().unwrap_or(name);
        let last = image.split('@').next().unwrap_or(image).rsplit('/').next().unwrap_or(image);
        let last = last.split(':').next().unwrap_or(last).to_lowercase();
        let by_name = match last.as_str() {
            "prometheus" => Some(Kind::Server(ServerKind::Prometheus)),
            "alertmanager" => Some(Kind::Server(ServerKind::Alertmanager)),
            "filebeat" | "filebeat-oss" | "filebeat-wolfi" => {
                Some(Kind::Server(ServerKind::Shipper))
            }
            "grafana" | "grafana-oss" | "grafana-enterprise" => {
                Some(Kind::Other("read by Grafana"))
            }
            "loki" => Some(Kind::Other("read by Loki")),
            "vmalert" => Some(Kind::Other("read by vmalert")),
            "mimir" => Some(Kind::Other("read by Mimir")),
            "promtail" => Some(Kind::Other("read by Promtail")),
            "tempo" => Some(Kind::Other("read by Tempo")),
            _ if last.contains("opentelemetry-collector")
                || last.contains("otelcol")
                || last.contains("otel-collector") =>
            {
                Some(Kind::Server(ServerKind::Collector))
            }
            _ => None,
        };
        by_name.or_else(|| {
            let reads = |kind: ServerKind| {
                let usual = Path::new(kind.usual_path());
                self.mounts.iter().any(|mount| mount.inside == usual)
            };
            [
                ServerKind::Prometheus,
                ServerKind::Alertmanager,
                ServerKind::Collector,
                ServerKind::Shipper,
            ]
            .into_iter()
            .find(|kind| reads(*kind))
            .map(Kind::Server)
        })
    }
}

/// Reads a Compose file and what is laid over it.
pub(super) fn read(file: &Path, profiles: &BTreeSet<String>, found: &mut Found) -> Project {
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut reading =
        Reading { variables: variables(&folder), open: Vec::new(), shared: false, found };
    let mut services = Tree::new();
    let mut contents = Tree::new();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = vec![file.to_owned()];
    let listed = reading.variables.get("COMPOSE_FILE").cloned().unwrap_or_default();
    if listed.is_empty() {
        for end in ["yml", "yaml"] {
            let over = folder.join(format!("{stem}.override.{end}"));
            files.extend(over.is_file().then_some(over));
        }
    } else {
        let more: Vec<_> =
            listed.split(':').map(|name| folder.join(name)).filter(|f| f.is_file()).collect();
        files = if more.is_empty() { files } else { more };
    }
    for file in files {
        reading.file(&file, &mut services, &mut contents);
    }
    let asked = reading.variables.get("COMPOSE_PROFILES").cloned().unwrap_or_default();
    let on = |profile: &str| {
        profiles.contains(profile)
            || profiles.contains("*")
            || asked.split(',').any(|one| one == profile)
    };
    let mut project = Project { open: reading.shared, ..Project::default() };
    for (name, (node, base, _)) in &services {
        let mut service = reading.service(node, base, &contents);
        let own: Vec<String> = texts(node.get_non_null("profiles"));
        service.off = !own.is_empty() && !own.iter().any(|profile| on(profile));
        project.services.insert(name.clone(), service);
    }
    project
}

/// Entries by name, each with the folder that its paths start in, and its file.
type Tree = BTreeMap<String, (Node, PathBuf, PathBuf)>;

/// Variables of `.env`, and over them those of the process.
fn variables(folder: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder.join(".env")).unwrap_or_default();
    let line = |line: &str| {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    let mut all: BTreeMap<String, String> = text.lines().filter_map(line).collect();
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.extend(own);
    all
}

struct Reading<'a> {
    variables: BTreeMap<String, String>,
    open: Vec<PathBuf>,
    /// Whether a network comes from elsewhere.
    shared: bool,
    found: &'a mut Found,
}

impl Reading<'_> {
    fn file(&mut self, file: &Path, services: &mut Tree, contents: &mut Tree) {
        let real = super::real(file);
        if !file.is_file() {
            self.found.notes.push(ConfigError::of(
                file,
                "a Compose file includes this one, which is not there",
                "what it holds is not looked at",
            ));
            return;
        }
        if self.open.contains(&real) {
            self.found.notes.push(ConfigError::of(
                file,
                "this Compose file includes itself",
                "break the circle of `include`",
            ));
            return;
        }
        let Some(text) = super::text_of(file, true, self.found) else { return };
        let tree = match crate::yaml::tree(file, &text) {
            Ok(tree) => tree,
            Err(error) => {
                self.found.notes.push(error);
                return;
            }
        };
        self.open.push(real);
        let base = file.parent().unwrap_or(Path::new("")).to_owned();
        for item in
            tree.get_non_null("include").map(|node| node.items().to_vec()).unwrap_or_default()
        {
            let paths = match &item.value {
                Value::Map(_) => texts(item.get_non_null("path")),
                _ => texts(Some(&item)),
            };
            for path in paths {
                let path = self.path(&path, &base);
                self.file(&path, services, contents);
            }
        }
        let networks = tree.get_non_null("networks").map(Node::entries).unwrap_or_default();
        self.shared |= networks.iter().any(|(_, network)| {
            let external = network.get_non_null("external");
            external.is_some_and(|external| external.text() != Some("false"))
        });
        for (key, node) in tree.get_non_null("services").map(Node::entries).unwrap_or_default() {
            let node = self.extended(node, file, &base, &tree, 0);
            match services.get_mut(&key.name) {
                Some((known, _, _)) => overlay(known, &node),
                None => {
                    drop(services.insert(key.name.clone(), (node, base.clone(), file.to_owned())))
                }
            }
        }
        for group in ["configs", "secrets"] {
            for (key, node) in tree.get_non_null(group).map(Node::entries).unwrap_or_default() {
                let name = format!("{group}.{}", key.name);
                contents.insert(name, (node.clone(), base.clone(), file.to_owned()));
            }
        }
        self.open.pop();
    }

    /// A service with what it extends.
    fn extended(
        &mut self,
        node: &Node,
        file: &Path,
        base: &Path,
        tree: &Node,
        depth: usize,
    ) -> Node {
        let Some(extends) = node.get_non_null("extends").filter(|_| depth < 10) else {
            return node.clone();
        };
        let text = |key: &str| extends.get_non_null(key).and_then(Node::text).map(str::to_owned);
        let name =
            text("service").or_else(|| extends.text().map(str::to_owned)).unwrap_or_default();
        let other = match text("file") {
            Some(other) => {
                let path = self.path(&other, base);
                let read = super::text_of(&path, true, self.found);
                read.and_then(|text| crate::yaml::tree(&path, &text).ok()).map(|tree| (tree, path))
            }
            None => Some((tree.clone(), file.to_owned())),
        };
        let Some((other, path)) = other else { return node.clone() };
        let Some(found) = other.get_non_null("services").and_then(|all| all.get_non_null(&name))
        else {
            return node.clone();
        };
        let mut whole = self.extended(found, &path, base, &other, depth + 1);
        overlay(&mut whole, node);
        whole
    }

    fn service(&mut self, node: &Node, base: &Path, contents: &Tree) -> Service {
        let filled = |text: &str| fill(text, &self.variables, 0);
        let text = |key: &str| node.get_non_null(key).and_then(Node::text).map(filled);
        let mut service = Service { image: text("image"), ..Service::default() };
        service.command =
            words(node.get_non_null("command")).iter().map(|word| filled(word)).collect();
        // A shell's line, or an entry point, may hold the flags as well.
        service
            .command
            .extend(words(node.get_non_null("entrypoint")).iter().map(|word| filled(word)));
        service.others.extend(text("container_name"));
        service.others.extend(text("hostname"));
        service.shares =
            text("network_mode").is_some_and(|mode| mode != "bridge" && mode != "none");
        service.known = known_names(node);
        for (_, network) in node.get_non_null("networks").map(Node::entries).unwrap_or_default() {
            service
                .others
                .extend(texts(network.get_non_null("aliases")).iter().map(|name| filled(name)));
        }
        if let Some(all) = node.get_non_null("environment") {
            let pairs = all.items().iter().filter_map(|item| item.text()?.split_once('='));
            service.environment.extend(pairs.map(|(name, value)| (name.to_owned(), filled(value))));
            let named = all.entries().iter();
            service.environment.extend(named.map(|(key, value)| {
                (key.name.clone(), filled(&value.text_of_value().unwrap_or_default()))
            }));
        }
        for item in node.get_non_null("volumes").map(Node::items).unwrap_or_default() {
            service.mounts.extend(self.mount(item, base));
        }
        for (group, folder) in [("configs", "/"), ("secrets", "/run/secrets/")] {
            for item in node.get_non_null(group).map(Node::items).unwrap_or_default() {
                let name =
                    item.text().or_else(|| item.get_non_null("source")?.text()).unwrap_or_default();
                let target = item.get_non_null("target").and_then(Node::text).unwrap_or(name);
                let inside = Path::new(folder).join(target);
                let whole = format!("{group}.{name}");
                let Some((content, base, file)) = contents.get(&whole) else { continue };
                if let Some(path) = content.get_non_null("file").and_then(Node::text) {
                    let host = self.path(path, base);
                    service.mounts.push(Mount { inside, host });
                } else if let Some(node) = content.get_non_null("content") {
                    let text = fill(node.text().unwrap_or_default(), &self.variables, 0);
                    let follows = text.contains('\n');
                    let before = node.mark.line.saturating_sub(1);
                    let (file, spread) = (file.clone(), follows);
                    service.texts.push(Text { inside, name: whole, text, file, before, spread });
                }
            }
        }
        if service.image.is_none() || node.get_non_null("build").is_some() {
            self.built(node, base, &mut service);
        }
        service
    }

    fn mount(&self, item: &Node, base: &Path) -> Option<Mount> {
        let filled = |text: &str| fill(text, &self.variables, 0);
        let (from, to) = match item.text() {
            Some(text) => {
                let text = filled(text);
                let mut parts = text.split(':');
                (parts.next()?.to_owned(), parts.next()?.to_owned())
            }
            None => {
                let part = |key: &str| item.get_non_null(key).and_then(Node::text).map(filled);
                (part("source")?, part("target")?)
            }
        };
        let is_path = from.starts_with(['.', '/', '~']) || from.contains('/');
        is_path.then(|| Mount { inside: PathBuf::from(to), host: self.path(&from, base) })
    }

    /// What a Dockerfile says of the image and of the files in it.
    fn built(&self, node: &Node, base: &Path, service: &mut Service) {
        let Some(build) = node.get_non_null("build") else { return };
        let text = |key: &str| build.get_non_null(key).and_then(Node::text);
        let context = build.text().or_else(|| text("context")).unwrap_or(".");
        let context = self.path(context, base);
        let recipe = context.join(text("dockerfile").unwrap_or("Dockerfile"));
        for line in std::fs::read_to_string(&recipe).unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [from, image, ..] if from.eq_ignore_ascii_case("from") => {
                    service.image = Some((*image).to_owned());
                }
                [copy, rest @ ..]
                    if copy.eq_ignore_ascii_case("copy") || copy.eq_ignore_ascii_case("add") =>
                {
                    let plain: Vec<&&str> =
                        rest.iter().filter(|word| !word.starts_with("--")).collect();
                    let Some((to, from)) = plain.split_last() else { continue };
                    for from in from {
                        let host = self.path(from, &context);
                        let inside = match (to.ends_with('/') && host.is_file(), host.file_name()) {
                            (true, Some(name)) => Path::new(to).join(name),
                            _ => PathBuf::from(to.trim_end_matches('/')),
                        };
                        service.mounts.push(Mount { inside, host });
                    }
                }
                _ => {}
            }
        }
    }

    fn path(&self, text: &str, base: &Path) -> PathBuf {
        let text = fill(text, &self.variables, 0);
        let text = match text.strip_prefix("~/") {
            Some(rest) => {
                format!("{}/{rest}", self.variables.get("HOME").map_or("", String::as_str))
            }
            None => text,
        };
        let path = base.join(text.trim_start_matches("./"));
        config::monitoring::files::normal(&path)
    }
}

/// Names that one service alone knows: links with an alias, and hosts that are written out.
fn known_names(node: &Node) -> Vec<(String, String)> {
    let pair = |text: &String| {
        let (name, to) = text.split_once([':', '='])?;
        Some((name.trim().to_owned(), to.trim().to_owned()))
    };
    let links = texts(node.get_non_null("links"));
    let outer = texts(node.get_non_null("external_links"));
    let mut found: Vec<(String, String)> = links
        .iter()
        .chain(&outer)
        .filter_map(pair)
        .map(|(service, alias)| (alias, service))
        .collect();
    let hosts = node.get_non_null("extra_hosts");
    let listed = texts(hosts);
    let mapped =
        hosts.map(Node::entries).unwrap_or_default().iter().map(|(key, _)| key.name.clone());
    let written = listed.iter().filter_map(pair).map(|(host, _)| host).chain(mapped);
    found.extend(written.map(|host| (host.clone(), host)));
    found
}

/// Lays one service over another: maps key by key, lists behind each other.
fn overlay(under: &mut Node, over: &Node) {
    for (key, node) in over.entries() {
        let known = under.get(&key.name).cloned();
        let whole = match (known.map(|known| known.value), &node.value) {
            (Some(Value::List(mut items)), Value::List(more)) if key.name != "command" => {
                items.extend(more.iter().cloned());
                Node { value: Value::List(items), ..node.clone() }
            }
            (Some(Value::Map(entries)), Value::Map(_)) => {
                let mut inner = Node { value: Value::Map(entries), ..node.clone() };
                overlay(&mut inner, node);
                inner
            }
            _ => node.clone(),
        };
        under.set(&key.name, whole);
    }
}

fn texts(node: Option<&Node>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match node.text() {
        Some(text) => vec![text.to_owned()],
        None => node.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
    }
}

/// A command: a list, or a line that is split at white space outside of quotes.
fn words(node: Option<&Node>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    let Some(line) = node.text() else { return texts(Some(node)) };
    let (mut words, mut word, mut open) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match open {
            Some(quote) if letter == quote => open = None,
            None if letter == '"' || letter == '\'' => open = Some(letter),
            None if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(letter),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
