//! Rule files.

use super::keys;
use super::schema::Schema;
use crate::monitoring::cursor::Cursor;
use crate::monitoring::promql::{self, grammar};
use crate::monitoring::version::Version;
use crate::yaml::{ConfigError, Document};
use promql_parser::label::MatchOp;
use std::sync::LazyLock;

static KEYS: LazyLock<Schema> =
    LazyLock::new(|| Schema::read("Prometheus", keys::LAST_PROMETHEUS, &[keys::RULES]));

/// The first version in which names may be any text.
pub(super) const ANY_NAME: Version = Version(3, 0);

/// Tells what is refused; `features` are those that the server is started with, where that is known.
pub(super) fn check(
    doc: &Document,
    version: Option<Version>,
    features: Option<&[String]>,
    found: &mut Vec<ConfigError>,
) {
    let root = Cursor::root(doc);
    // A file that is no rule file is told as one by whoever reads it.
    if root.get("groups").is_none() && !root.node.entries().is_empty() {
        return;
    }
    KEYS.check("file", &root, version, found);
    let Ok(groups) = root.items("groups") else { return };
    for group in groups {
        names(&group, "labels", "label", version, found);
        for rule in group.items("rules").unwrap_or_default() {
            names(&rule, "labels", "label", version, found);
            names(&rule, "annotations", "annotation", version, found);
            recorded(&rule, version, found);
            expression(&rule, version, features, found);
        }
    }
}

fn names(
    at: &Cursor<'_>,
    key: &str,
    what: &str,
    version: Option<Version>,
    found: &mut Vec<ConfigError>,
) {
    let Ok(entries) = at.entries_of(key) else { return };
    for (name, value) in entries {
        if what == "label" && name == "__name__" {
            found.push(
                value.error(
                    "a rule can't set the label `__name__`",
                    "name the series with `record`",
                ),
            );
        } else if name.is_empty() || (!classic(&name) && version.is_some_and(|v| v < ANY_NAME)) {
            found.push(value.error(
                format!("`{name}` can't be the name of {what}s before Prometheus {ANY_NAME}"),
                "letters, digits and `_` make a name, no digit first",
            ));
        }
    }
}

/// What the image's version does not know yet, or no more.
fn expression(
    at: &Cursor<'_>,
    version: Option<Version>,
    features: Option<&[String]>,
    found: &mut Vec<ConfigError>,
) {
    let (Some(expr), Some(version)) = (at.get("expr"), version) else { return };
    let Ok(newer) = grammar::read(&expr.text().unwrap_or_default()) else { return };
    for one in newer {
        let (what, since) = (&one.what, one.since);
        let stable = one.stable.is_some_and(|stable| version >= stable);
        if version < since {
            found.push(expr.error(
                format!("{what} came with Prometheus {since}, and the image is {}: it refuses the whole file", version.shown()),
                format!("write it otherwise, or use an image of {since} or later"),
            ));
        } else if let (Some(needed), Some(features)) = (one.feature, features)
            && !stable
            && !features.iter().any(|feature| feature == needed)
        {
            let mut error = expr.error(
                format!("{what} is an experiment of Prometheus and not turned on: it refuses the whole file"),
                format!("start it with --enable-feature={needed}, or write it otherwise"),
            );
            // What later versions take as it stands is worth a word, and no error.
            if let Some(stable) = one.stable {
                error = expr.error(
                    format!("{what} needs --enable-feature={needed} before Prometheus {stable}; the image is {}", version.shown()),
                    format!("start it with that flag, or use an image of {stable} or later"),
                );
                error.beyond_us = true;
            }
            found.push(error);
        } else if let Some(until) = one.until.filter(|until| version >= *until) {
            found.push(expr.error(
                format!("Prometheus knows {what} no more from {until} on"),
                "write double_exponential_smoothing",
            ));
        }
    }
    // A pattern that the parser takes and servers don't.
    let text = expr.text().unwrap_or_default();
    let Ok(tree) = promql::parse(&text) else { return };
    for matcher in promql::selectors(&tree).into_iter().flat_map(|one| &one.matchers.matchers) {
        if matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_))
            && let Err(problem) = crate::monitoring::regex::check(&matcher.value)
        {
            found.push(expr.error(problem, "write a regular expression of Go (RE2)"));
        }
    }
}

fn recorded(at: &Cursor<'_>, version: Option<Version>, found: &mut Vec<ConfigError>) {
    let Some(record) = at.get("record") else { return };
    let name = record.text().unwrap_or_default();
    let classic = classic(&name.replace(':', "_"));
    if name.contains(['{', '}']) || (!classic && version.is_some_and(|v| v < ANY_NAME)) {
        found.push(record.error(
            format!("`{name}` can't be the name of a recorded series"),
            "letters, digits, `_` and `:` make a name; labels stand under `labels`",
        ));
    }
}

/// Whether a name needs no quotes anywhere.
pub(super) fn classic(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
