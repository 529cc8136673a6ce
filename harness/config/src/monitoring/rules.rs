//! Rule files: groups of alerting and recording rules, with their expressions parsed.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::parser::Expr;

use super::cursor::Cursor;
use super::promql::grammar::Unexpected;
use super::promql::{self, Refused};
use crate::yaml::{ConfigError, Document, Place};

/// A group of rules, evaluated one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroup {
    /// Its name, unique in its file.
    pub name: String,
    /// Time between evaluations; none if the global one holds.
    pub interval: Option<Duration>,
    /// By how much evaluations look back; none if the global one holds.
    pub query_offset: Option<Duration>,
    /// How many alerts or series a rule may make; none without a limit.
    pub limit: Option<u64>,
    /// Rules in the order of their evaluation.
    pub rules: Vec<Rule>,
    /// Where it stands.
    pub place: Place,
}

/// An alerting or recording rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Whether it makes an alert or a series.
    pub kind: RuleKind,
    /// Name of the alert or of the recorded series.
    pub name: String,
    /// The expression as written.
    pub text: String,
    /// The expression, parsed.
    pub expr: Expr,
    /// Labels that the rule sets; an alert's are templates.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub place: Place,
    /// Where its expression stands.
    pub expr_place: Place,
}

/// What a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// An alert.
    Alert {
        /// How long the expression must hold.
        hold: Duration,
        /// How long the alert stays after it last held.
        keep_firing: Duration,
        /// Annotations: templates.
        annotations: BTreeMap<String, String>,
    },
    /// A recorded series.
    Record,
}

impl Rule {
    /// Whether it is an alert.
    pub fn is_alert(&self) -> bool {
        matches!(self.kind, RuleKind::Alert { .. })
    }

    /// How long the expression must hold; zero for recorded series.
    pub fn hold(&self) -> Duration {
        match &self.kind {
            RuleKind::Alert { hold, .. } => *hold,
            RuleKind::Record => Duration::ZERO,
        }
    }

    /// How long the alert stays after its expression last held; zero for recorded series.
    pub fn keep_firing(&self) -> Duration {
        match &self.kind {
            RuleKind::Alert { keep_firing, .. } => *keep_firing,
            RuleKind::Record => Duration::ZERO,
        }
    }
}

/// Reads the groups of a rule file.
///
/// # Errors
/// Names file, line and rule of what Prometheus would refuse, above all an expression that does not
/// parse.
pub fn read(doc: &Document) -> Result<Vec<RuleGroup>, ConfigError> {
    let (groups, errors) = read_what_reads(doc);
    errors.into_iter().next().map_or(Ok(groups), Err)
}

/// Reads the rules that can be read, and says what is wrong with each of the others, in the order
/// of the file.
pub fn read_what_reads(doc: &Document) -> (Vec<RuleGroup>, Vec<ConfigError>) {
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    match group_places(doc) {
        Ok(places) => {
            for at in places {
                if let Err(error) = read_group(&at, &mut groups, &mut errors) {
                    errors.push(error);
                }
            }
        }
        Err(error) => errors.push(error),
    }
    (groups, errors)
}

fn group_places(doc: &Document) -> Result<Vec<Cursor<'_>>, ConfigError> {
    let root = Cursor::root(doc);
    root.expect_map()?;
    if root.get("groups").is_none()
        && let Some((key, _)) = doc.root.entries().first()
    {
        return Err(root.error(
            format!("no `groups` but `{}`: this is no rule file", key.name),
            "a rule file has one key, `groups`; is the pattern under `rule_files` too wide?",
        ));
    }
    root.items("groups")
}

fn read_group(
    at: &Cursor<'_>,
    groups: &mut Vec<RuleGroup>,
    errors: &mut Vec<ConfigError>,
) -> Result<(), ConfigError> {
    at.expect_map()?;
    let name = at.required_text("name")?;
    if groups.iter().any(|group| group.name == name) {
        errors.push(at.error(
            format!("group `{name}` is there twice in this file"),
            "Prometheus refuses this: rename one",
        ));
    }
    let (interval, query_offset) = (
        at.duration("interval")?.filter(|interval| !interval.is_zero()),
        at.duration("query_offset")?,
    );
    let limit = at.text_of("limit")?.and_then(|text| text.parse().ok()).filter(|limit| *limit > 0);
    let labels = at.text_map("labels")?;
    let mut rules = Vec::new();
    for rule in at.items("rules")? {
        match read_rule(&rule) {
            Ok(mut rule) => {
                // A rule's own labels win over those of its group.
                for (name, value) in &labels {
                    rule.labels.entry(name.clone()).or_insert_with(|| value.clone());
                }
                rules.push(rule);
            }
            Err(error) => errors.push(error),
        }
    }
    groups.push(RuleGroup { name, interval, query_offset, limit, rules, place: at.place() });
    Ok(())
}

fn read_rule(at: &Cursor<'_>) -> Result<Rule, ConfigError> {
    at.expect_map()?;
    let (kind, name) = match (at.text_of("alert")?, at.text_of("record")?) {
        (Some(name), None) => {
            let kind = RuleKind::Alert {
                hold: at.duration("for")?.unwrap_or_default(),
                keep_firing: at.duration("keep_firing_for")?.unwrap_or_default(),
                annotations: at.text_map("annotations")?,
            };
            (kind, name)
        }
        (None, Some(name)) => {
            // Nothing at all under them is taken.
            let waits = |key: &str| -> Result<bool, ConfigError> {
                Ok(at.duration(key)?.is_some_and(|time| !time.is_zero()))
            };
            for (key, is_set) in [
                ("for", waits("for")?),
                ("keep_firing_for", waits("keep_firing_for")?),
                ("annotations", !at.text_map("annotations")?.is_empty()),
            ] {
                if is_set {
                    return Err(at.error(
                        format!("recording rule `{name}` has `{key}`"),
                        "only alerts have it: remove it",
                    ));
                }
            }
            (RuleKind::Record, name)
        }
        (Some(_), Some(_)) => {
            return Err(at.error("a rule has both `alert` and `record`", "make two rules of it"));
        }
        (None, None) => {
            return Err(at.error(
                "a rule has neither `alert` nor `record`",
                "name the alert or the recorded series",
            ));
        }
    };
    let subject = if matches!(kind, RuleKind::Record) { "recording rule" } else { "alert" };
    let Some(expr_at) = at.get("expr") else {
        return Err(at.error(format!("{subject} `{name}` has no `expr`"), "add the expression"));
    };
    let text = expr_at.text()?.trim().to_owned();
    let expr =
        promql::parse(&text).map_err(|told| unreadable(&expr_at, subject, &name, &text, &told))?;
    Ok(Rule {
        kind,
        name,
        text,
        expr,
        labels: at.text_map("labels")?,
        place: at.place(),
        expr_place: expr_at.place(),
    })
}

/// What is wrong with an expression, at its first wrong token.
fn unreadable(at: &Cursor<'_>, subject: &str, name: &str, text: &str, told: &str) -> ConfigError {
    let whole = format!("the expression of {subject} `{name}` does not parse");
    match promql::refused(text, told) {
        Refused::Unexpected(Unexpected { token, at: offset, wanted }) => {
            let before = &text[..offset.min(text.len())];
            let line = before.matches('\n').count();
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let seen = if token.is_empty() { "its end".to_owned() } else { format!("`{token}`") };
            let place = if line > 0 {
                format!("line {}, column {column}", line + 1)
            } else {
                format!("column {column}")
            };
            let mut error = at.error(
                format!("{whole}: {seen} at {place}, wanted {wanted}; seen `{text}`"),
                "correct the expression there",
            );
            // In a block, the text begins on the line after that of its key.
            let block =
                at.node.text().is_some_and(|text| text.contains('\n')) && !at.node.is_plain();
            if block && error.place.line > 0 {
                error.place.line += line as u64;
            }
            error
        }
        Refused::Meaning => {
            at.error(format!("{whole}: {told}; seen `{text}`"), "correct the expression")
        }
        Refused::BeyondUs => {
            let mut error = at.error(
                format!("the expression of {subject} `{name}` is more than this program's parser knows, so nothing is said of it; seen `{text}`"),
                "the newest Prometheus may well take it: promtool of its version tells",
            );
            error.beyond_us = true;
            error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn groups(text: &str) -> Result<Vec<RuleGroup>, ConfigError> {
        read(&Document::parse(Path::new("alerts.yml"), text)?)
    }

    #[test]
    fn reads_alerts_and_records() {
        let found = groups(
            "groups:\n- name: a\n  interval: 30s\n  rules:\n  - record: job:x:rate5m\n    expr: sum by (job) (rate(x[5m]))\n  - alert: Y\n    \
             expr: >-\n      job:x:rate5m\n      > 5\n    for: 2m\n    keep_firing_for: 1m\n    labels: {severity: critical}\n    annotations:\n      \
             summary: \"{{ $labels.job }}\"\n",
        )
        .unwrap();
        assert_eq!(found[0].interval, Some(Duration::from_secs(30)));
        assert!(!found[0].rules[0].is_alert());
        let alert = &found[0].rules[1];
        assert_eq!(alert.text, "job:x:rate5m > 5");
        assert_eq!(
            (alert.hold(), alert.keep_firing()),
            (Duration::from_secs(120), Duration::from_secs(60))
        );
        assert_eq!(alert.labels["severity"], "critical");
    }

    #[test]
    fn a_rule_that_does_not_parse_is_named() {
        let error =
            groups("groups:\n- name: a\n  rules:\n  - alert: Broken\n    expr: rate(x[5m) > 1\n")
                .unwrap_err()
                .to_string();
        for part in
            ["alerts.yml:5", "groups[0].rules[0].expr", "`Broken`", "rate(x[5m) > 1", "hint"]
        {
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for (text, part) in [
            ("groups:\n- rules: []\n", "`name` is missing"),
            ("groups:\n- {name: a}\n- {name: a}\n", "twice"),
            ("groups:\n- name: a\n  rules:\n  - expr: up\n", "neither"),
            ("groups:\n- name: a\n  rules:\n  - alert: X\n", "no `expr`"),
            ("groups:\n- name: a\n  rules:\n  - {record: x, expr: up, for: 1m}\n", "has `for`"),
            ("groups:\n- name: a\n  rules:\n  - {alert: x, expr: up, for: 1.5m}\n", "alerts.yml:4"),
            ("scrape_configs: []\n", "this is no rule file"),
            ("- a\n", "wanted a map"),
        ] {
            let error = groups(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error} lacks {part}");
        }
    }
}
