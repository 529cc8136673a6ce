//! Rules as tests without containers: what is wrong with a stack's monitoring configuration as it
//! is written.
//!
//! Each check looks at the parsed configuration and reports findings with file and line. What the
//! files can't tell is left to the checks of a stack that runs ([`live`]). Expectations are the
//! servers' own rules and the configuration's inner agreement; names mean nothing here.

use std::path::PathBuf;

use serde::Serialize;

use crate::declaration::Declaration;
use crate::plan::subject::source;
use crate::stack::Stack;
use config::monitoring::MonitoringConfig;
use config::yaml::{ConfigError, Place};

mod alert;
mod buckets;
mod expressions;
mod labels;
pub mod live;
mod routes;
mod rules;
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
    /// What was seen.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// What a lint found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Linted {
    /// Name of the stack.
    pub stack: String,
    /// Number of rules that were looked at.
    pub rules: usize,
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

    /// Sorts by file and line, and drops what is there twice.
    pub fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            (&a.file, a.line, a.severity, a.check, &a.what)
                .cmp(&(&b.file, b.line, b.severity, b.check, &b.what))
        });
        self.findings.dedup();
    }

    /// Findings for people, one after the other, and a last line that counts them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let place =
                Place { file: finding.file.clone(), line: finding.line, key: String::new() };
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
        let live = self.run.as_ref().map_or_else(
            || "files only: the stack is not up".to_owned(),
            |run| format!("files, and the servers of run {run}"),
        );
        text.push_str(&format!(
            "{}: {} rules of {}: {} errors, {} warnings, {} notes ({live})\n",
            if self.fails() { "fail" } else { "pass" },
            self.rules,
            self.stack,
            count(Severity::Error),
            count(Severity::Warning),
            count(Severity::Note),
        ));
        text
    }
}

/// What the checks look at.
pub(crate) struct LintContext<'a> {
    pub(crate) config: &'a MonitoringConfig,
    pub(crate) declaration: &'a Declaration,
    /// Services of the stack, by all the names that others call them by: name, then service.
    pub(crate) hosts: std::collections::BTreeMap<String, String>,
}

impl<'a> LintContext<'a> {
    /// A stack with its configuration.
    pub(crate) fn new(stack: &'a Stack, config: &'a MonitoringConfig) -> LintContext<'a> {
        let mut hosts = std::collections::BTreeMap::new();
        for (name, service) in &stack.topology.services {
            hosts.extend(service.names.iter().map(|host| (host.clone(), name.clone())));
        }
        LintContext { config, declaration: &stack.declaration, hosts }
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
        let (file, line) = (place.file.clone(), place.line);
        self.0.push(Finding { severity, check, file, line, what: what.into(), hint: hint.into() });
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

    fn unreadable(&mut self, error: &ConfigError) {
        self.error("parse", &error.place, error.problem.clone(), error.hint.clone());
    }
}

/// Checks the files of a stack. What can't be read is a finding, and the rest is looked at all the
/// same.
///
/// # Errors
/// The declaration does not say where the configuration is.
pub fn files(stack: &Stack) -> Result<(Linted, MonitoringConfig), crate::plan::subject::Error> {
    let mut findings = Findings::default();
    let sources = crate::plan::subject::sources(stack)?;
    let (config, unreadable) = source::load(&sources);
    unreadable.iter().for_each(|error| findings.unreadable(error));
    let subject = LintContext::new(stack, &config);
    rules::check(&subject, &mut findings);
    expressions::check(&subject, &mut findings);
    templates::check(&subject, &mut findings);
    // Routes that seem dead may lead to alerts of a file that could not be read.
    if unreadable.is_empty() {
        rules::time_scale(&subject, &mut findings);
        routes::check(&subject, &mut findings);
    }
    let rules = config.rules().count();
    let mut linted =
        Linted { stack: stack.name().to_owned(), rules, run: None, findings: findings.0 };
    linted.sort();
    Ok((linted, config))
}
