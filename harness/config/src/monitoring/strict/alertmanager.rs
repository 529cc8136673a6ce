//! Alertmanager's configuration.

use super::keys;
use super::schema::Schema;
use crate::monitoring::calendar;
use crate::monitoring::cursor::Cursor;
use crate::monitoring::version::Version;
use crate::yaml::{ConfigError, Document};
use std::collections::BTreeSet;
use std::sync::LazyLock;

static KEYS: LazyLock<Schema> = LazyLock::new(|| {
    Schema::read("Alertmanager", keys::LAST_ALERTMANAGER, &[keys::HTTP, keys::ALERTMANAGER])
});

pub(super) fn check(doc: &Document, version: Option<Version>, found: &mut Vec<ConfigError>) {
    let root = Cursor::root(doc);
    KEYS.check("file", &root, version, found);
    let mut names = BTreeSet::new();
    for at in ["mute_time_intervals", "time_intervals"]
        .iter()
        .flat_map(|key| root.items(key).unwrap_or_default())
    {
        let name = at.text_of("name").ok().flatten().unwrap_or_default();
        if name.is_empty() {
            found.push(at.error("`name` is missing", "add `name`"));
        } else if !names.insert(name.clone()) {
            found.push(at.error(
                format!("time interval `{name}` is there twice"),
                "Alertmanager refuses this: rename one",
            ));
        }
        for times in at.items("time_intervals").unwrap_or_default() {
            calendar::check(&times, found);
        }
    }
    if let Some(route) = root.get("route") {
        for key in ["mute_time_intervals", "active_time_intervals"] {
            if let Some(at) = route.get(key).filter(|at| !at.node.items().is_empty()) {
                found.push(at.error(
                    format!("the root route is never silent: Alertmanager takes no `{key}` there"),
                    "put it on a route below",
                ));
            }
        }
        grouped(&route, found);
    }
    let global = root.get("global");
    for receiver in root.items("receivers").unwrap_or_default() {
        for at in receiver.items("email_configs").unwrap_or_default() {
            let from = |at: &Cursor<'_>, key: &str| at.text_of(key).ok().flatten().is_some();
            if !from(&at, "from")
                && !global.as_ref().is_some_and(|global| from(global, "smtp_from"))
            {
                found.push(at.error(
                    "no `from` for e-mail",
                    "set `from` here or `smtp_from` under `global`",
                ));
            }
        }
        for at in receiver.items("telegram_configs").unwrap_or_default() {
            if let Some(mode) = at.get("parse_mode")
                && !["", "Markdown", "MarkdownV2", "HTML"]
                    .contains(&mode.text().unwrap_or_default().as_str())
            {
                found.push(mode.wrong("Markdown, MarkdownV2 or HTML"));
            }
        }
    }
}

fn grouped(route: &Cursor<'_>, found: &mut Vec<ConfigError>) {
    let mut labels = BTreeSet::new();
    for at in route.items("group_by").unwrap_or_default() {
        let label = at.text().unwrap_or_default();
        if !labels.insert(label.clone()) {
            found.push(at.error(
                format!("label `{label}` stands twice in group_by"),
                "Alertmanager refuses this: keep one",
            ));
        }
    }
    for child in route.items("routes").unwrap_or_default() {
        grouped(&child, found);
    }
}
