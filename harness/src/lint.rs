//! Rules as tests without containers: what is wrong with a monitoring configuration as it is
//! written.
//!
//! Each check looks at the parsed configuration and reports findings with file and line. What the
//! files can't tell is left to the checks of a stack that runs ([`live`]). Expectations are the
//! servers' own rules and the configuration's inner agreement; names mean nothing here. A stack is
//! known by its declaration; what has none is known by what [`discover`] makes of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::declaration::Declaration;
use crate::plan::subject::source::Source;
use crate::stack::Stack;
use config::monitoring::version::Version;
use config::monitoring::{
    FileText, MonitoringConfig, PrometheusServer, Server, ServerKind, strict,
};
use config::yaml::{ConfigError, Place};

mod alert;
mod bounds;
mod buckets;
mod collector;
mod declared;
mod delivery;
mod discover;
mod documents;
mod expressions;
#[cfg(test)]
mod foreign;
mod format;
mod intervals;
mod labels;
pub mod live;
mod matching;
mod relabelling;
mod routes;
mod rules;
mod shipper;
mod targets;
mod templates;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does not do what it is there for.
    Error,
    /// It is likely not what was meant.
    Warning,
    /// Worth knowing; it does not make the lint fail.
    Note,
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the check that found it: lower-case words with dashes.
    pub check: &'static str,
    pub file: PathBuf,
    /// Line, counted from 1; 0 if it is about the file as a whole.
    pub line: u64,
    /// Column, counted from 1; 0 if unknown.
    pub column: u64,
    /// What was seen.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// What a lint found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Linted {
    /// Name of the stack, or the paths that were asked for.
    pub stack: String,
    /// Number of rules that were looked at.
    pub rules: usize,
    /// Number of configuration files that were looked at.
    pub files: usize,
    /// Files that were seen and not looked at, each with what it is.
    pub unread: Vec<String>,
    /// Whether no declaration told which file is what.
    #[serde(skip)]
    pub without_declaration: bool,
    /// Run that was asked as well, if the stack was up.
    pub run: Option<String>,
    /// Findings, by file and line.
    pub findings: Vec<Finding>,
}

impl Linted {
    /// Whether anything but notes was found.
    pub fn fails(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity != Severity::Note)
    }

    /// Whether nothing was there to look at, which proves nothing.
    pub fn is_empty(&self) -> bool {
        self.files == 0 && !self.fails()
    }

    /// As SARIF 2.1.0.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn sarif(&self) -> Result<String, serde_json::Error> {
        format::sarif(self)
    }

    /// As commands of a GitHub workflow, a line each.
    pub fn github(&self) -> String {
        format::github(self)
    }

    /// Sorts by file and line, and drops what is there twice.
    pub fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            (&a.file, a.line, a.column, a.severity, a.check, &a.what)
                .cmp(&(&b.file, b.line, b.column, b.severity, b.check, &b.what))
        });
        self.findings.dedup();
    }

    /// Findings for people, one after the other, and a last line that counts them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let mut place = Place::new(&finding.file, finding.line, "").to_string();
            if self.without_declaration && finding.column > 0 {
                place.push_str(&format!(":{}", finding.column));
            }
            text.push_str(&format!(
                "{place}: {}: {}: {}\n",
                finding.severity.name(),
                finding.check,
                finding.what
            ));
            if !finding.hint.is_empty() {
                text.push_str(&format!("  hint: {}\n", finding.hint));
            }
        }
        let count = |severity: Severity| {
            self.findings.iter().filter(|finding| finding.severity == severity).count()
        };
        if self.is_empty() {
            text.push_str(&format!("unknown: nothing was looked at in {}\n", self.stack));
            for seen in &self.unread {
                text.push_str(&format!("  seen and not looked at: {seen}\n"));
            }
            text.push_str(
                "  hint: looked for configuration of Prometheus, Alertmanager, the OpenTelemetry Collector and Filebeat, and for rule files; name the files, or the folder that holds them\n",
            );
            return text;
        }
        let live = match &self.run {
            _ if self.without_declaration => format!("{} files", self.files),
            None => "files only: the stack is not up".to_owned(),
            Some(run) => format!("files, and the servers of run {run}"),
        };
        text.push_str(&format!(
            "{}: {} rules of {}: {} errors, {} warnings, {} notes ({live})\n",
            if self.fails() { "fail" } else { "pass" },
            self.rules,
            self.stack,
            count(Severity::Error),
            count(Severity::Warning),
            count(Severity::Note),
        ));
        if self.without_declaration {
            for seen in &self.unread {
                text.push_str(&format!("  seen and not looked at: {seen}\n"));
            }
        }
        text
    }
}

/// What the checks look at.
pub(crate) struct LintContext<'a> {
    pub(crate) config: &'a MonitoringConfig,
    /// Its alerts.
    pub(crate) alerts: &'a alert::Alerts<'a>,
    pub(crate) declaration: &'a Declaration,
    /// Services of the stack, by all the names that others call them by: name, then service.
    pub(crate) hosts: BTreeMap<String, String>,
    /// The same of services that no profile turns on.
    pub(crate) absent: BTreeMap<String, String>,
    /// Versions of the servers' images, by service; none where nothing tells.
    pub(crate) versions: BTreeMap<String, Version>,
    /// What is special about networks.
    pub(crate) networks: Networks,
    /// Whether all files could be read.
    pub(crate) whole: bool,
}

/// What is special about a stack's networks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Networks {
    /// Services in the network of the host or of another service: `localhost` is not theirs alone.
    pub(crate) sharing: BTreeSet<String>,
    /// Whether services of other Compose files are in them too.
    pub(crate) open: bool,
}

impl LintContext<'_> {
    /// Whether it is known which services there are.
    pub(crate) fn knows_services(&self) -> bool {
        !self.hosts.is_empty()
    }
}

/// Collects findings.
#[derive(Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        severity: Severity,
        check: &'static str,
        place: &Place,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let (file, line, column) = (place.file.clone(), place.line, place.column);
        let (what, hint) = (what.into(), hint.into());
        self.0.push(Finding { severity, check, file, line, column, what, hint });
    }

    fn error(
        &mut self,
        check: &'static str,
        place: &Place,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, check, place, what, hint);
    }

    fn warning(
        &mut self,
        check: &'static str,
        place: &Place,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, check, place, what, hint);
    }

    fn note(
        &mut self,
        check: &'static str,
        place: &Place,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Note, check, place, what, hint);
    }

    fn unreadable(&mut self, error: &ConfigError) {
        let (severity, check) = match error.beyond_us {
            true => (Severity::Note, "beyond-us"),
            false => (Severity::Error, "parse"),
        };
        self.add(severity, check, &error.place, error.problem.clone(), error.hint.clone());
    }

    /// What a server refuses, with what can't be read where nothing says so already.
    fn refused(&mut self, refusals: &[ConfigError], unreadable: &[ConfigError]) {
        let mut told: BTreeSet<(&Path, u64)> = BTreeSet::new();
        for error in refusals {
            told.insert((error.place.file.as_path(), error.place.line));
            if error.beyond_us {
                self.unreadable(error);
                continue;
            }
            let key = error.problem.contains("is no key that");
            let check = if key { "unknown-key" } else { "refused" };
            self.error(check, &error.place, error.problem.clone(), error.hint.clone());
        }
        for error in unreadable {
            if !told.contains(&(error.place.file.as_path(), error.place.line)) {
                self.unreadable(error);
            }
        }
    }
}

/// Checks the files of a stack. What can't be read is a finding, and the rest is looked at all the
/// same.
///
/// # Errors
/// The declaration does not say where the configuration is.
pub fn files(stack: &Stack) -> Result<(Linted, MonitoringConfig), crate::plan::subject::Error> {
    let mut sources = crate::plan::subject::sources(stack)?;
    // Servers that the declaration does not name are looked at as well.
    let found = discover::services(&stack.topology.file, &BTreeSet::new());
    let unread = found.told_unread();
    for source in found.sources {
        let known = sources.iter().any(|known| {
            known.service == source.service
                || (known.config.is_some() && known.config == source.config)
        });
        if !known && stack.topology.services.contains_key(&source.service) {
            sources.push(source);
        }
    }
    let (mut hosts, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for (name, service) in &stack.topology.services {
        hosts.extend(service.names.iter().map(|host| (host.clone(), name.clone())));
        let version = service.image.as_deref().and_then(Version::of_image);
        versions.extend(version.map(|version| (name.clone(), version)));
    }
    let absent = stack.topology.left_out.iter();
    let absent = absent
        .flat_map(|(name, left)| left.names.iter().map(|host| (host.clone(), name.clone())))
        .filter(|(host, _)| !hosts.contains_key(host))
        .collect();
    let servers: Vec<Server> = sources.iter().map(Source::server).collect();
    let mut findings = Findings::default();
    let declaration = &stack.declaration;
    let networks = Networks::default();
    let looked = Looked { declaration, hosts, absent, versions, networks };
    let (mut linted, config) = look(&servers, looked, &mut findings);
    declared::check(stack, &config, &mut findings);
    linted.stack = stack.name().to_owned();
    linted.unread = unread;
    linted.findings = findings.0;
    linted.sort();
    Ok((linted, config))
}

/// Checks what is found under paths, without a declaration.
///
/// # Errors
/// A defect of ours.
pub fn paths(paths: &[PathBuf], profiles: &BTreeSet<String>) -> Result<Linted, ConfigError> {
    let found = discover::under(paths, profiles);
    let unread = found.told_unread();
    let mut findings = Findings::default();
    for error in &found.errors {
        findings.unreadable(error);
    }
    for note in &found.notes {
        findings.note("compose", &note.place, note.problem.clone(), note.hint.clone());
    }
    let mut servers: Vec<Server> = found.sources.iter().map(Source::server).collect();
    // One whose files lie where nothing here tells may name them all the same.
    let without_compose = found.hosts.is_empty();
    let mut named = servers.iter().filter(|server| server.kind == ServerKind::Prometheus);
    let all_known = named.clone().all(|server| names_known_files(server, without_compose));
    if named.next().is_some() && all_known {
        for file in &found.loose {
            findings.warning(
                "rules-not-loaded",
                &Place::of(file),
                "no Prometheus configuration here names this rule file: its rules are never evaluated",
                "name it under `rule_files`, or remove it",
            );
        }
    }
    servers.extend(loose(&found.loose, &mut findings));
    let declaration: Declaration =
        crate::yaml::parse(Path::new("firedrill.yaml"), "schema: 1\nstack: files\nroles: {}\n")?;
    let looked = Looked {
        declaration: &declaration,
        hosts: found.hosts,
        absent: found.absent,
        versions: found.versions,
        networks: found.networks,
    };
    let (mut linted, _) = look(&servers, looked, &mut findings);
    let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    linted.stack = shown.join(" ");
    linted.without_declaration = true;
    linted.unread = unread;
    linted.findings = findings.0;
    linted.sort();
    Ok(linted)
}

/// Whether a Prometheus' configuration can be read, and all that it names lies where it can be found;
/// without a Compose file, only what is named relatively does.
fn names_known_files(server: &Server, without_compose: bool) -> bool {
    let Some(Ok(doc)) = server.files.get(&server.inside).map(|text| text.and_then(FileText::parse))
    else {
        return false;
    };
    let lies_elsewhere = |pattern: &str| {
        pattern.starts_with('/') && server.files.matching(server.folder(), pattern).next().is_none()
    };
    !without_compose || !doc.texts("rule_files").any(lies_elsewhere)
}

/// Rule files that no configuration names, as those of a server of their own.
fn loose(files: &[PathBuf], findings: &mut Findings) -> Option<Server> {
    let text = "rule_files: [/loose/*.yml]\n";
    let mut server = Server::of_file(ServerKind::Prometheus, discover::LOOSE, "", text);
    server.inside = "/loose.yml".into();
    server.files.insert("/loose.yml", FileText::on_disk("", text));
    for (at, file) in files.iter().enumerate() {
        match crate::yaml::text(file) {
            Ok(text) => {
                server.files.insert(format!("/loose/{at:06}.yml"), FileText::on_disk(file, &text));
            }
            Err(error) => findings.unreadable(&error),
        }
    }
    (!files.is_empty()).then_some(server)
}

/// What is known beside the configuration.
struct Looked<'a> {
    declaration: &'a Declaration,
    hosts: BTreeMap<String, String>,
    absent: BTreeMap<String, String>,
    versions: BTreeMap<String, Version>,
    networks: Networks,
}

/// Looks at servers' files.
fn look(
    servers: &[Server],
    looked: Looked<'_>,
    findings: &mut Findings,
) -> (Linted, MonitoringConfig) {
    let Looked { declaration, hosts, absent, versions, networks } = looked;
    let (config, unreadable) = MonitoringConfig::load_what_reads(servers);
    let refusals: Vec<ConfigError> = servers
        .iter()
        .flat_map(|server| strict::refusals(server, versions.get(&server.service).copied()))
        .collect();
    findings.refused(&refusals, &unreadable);
    documents::check(&config, findings);
    let whole = unreadable.is_empty();
    let alerts = alert::Alerts::of(&config);
    let subject = LintContext {
        config: &config,
        alerts: &alerts,
        declaration,
        hosts,
        absent,
        versions,
        networks,
        whole,
    };
    rules::check(&subject, findings);
    expressions::check(&subject, findings);
    matching::check(&subject, findings);
    intervals::check(&subject, findings);
    relabelling::check(&subject, findings);
    targets::check(&subject, findings);
    templates::check(&subject, findings);
    collector::check(&subject, findings);
    shipper::check(&subject, findings);
    delivery::check(&subject, findings);
    // Routes that seem dead may lead to alerts of a file that could not be read.
    let all_beyond_us = |errors: &[ConfigError]| errors.iter().all(|error| error.beyond_us);
    if all_beyond_us(&unreadable) && all_beyond_us(&refusals) {
        rules::time_scale(&subject, findings);
        routes::check(&subject, findings);
    }
    let linted = Linted {
        rules: config.rules().count(),
        files: number_of_files(&config),
        ..Linted::default()
    };
    (linted, config)
}

/// Number of the files that a configuration was read from.
fn number_of_files(config: &MonitoringConfig) -> usize {
    let own = |server: &PrometheusServer| usize::from(!discover::is_loose(server));
    let prometheus = config.prometheus.iter().map(|server| own(server) + server.rules.len());
    let shippers = config.shippers.iter().map(|server| server.files.len());
    prometheus.chain(shippers).sum::<usize>() + config.alertmanagers.len() + config.collectors.len()
}
