//! The secrets of a file that parses: what belongs together is known, and what stands in other
//! notations is read.

use super::{About, Piece, consider, consider_url, secret};
use crate::secret::words;
use serde_json::{Map, Value};

/// Kinds of receivers whose key is not in the path of their `url`.
const OTHER_KEY: &[&str] = &[
    "pagerduty",
    "opsgenie",
    "victorops",
    "telegram",
    "webex",
    "wechat",
    "sns",
    "jira",
    "pushover",
];

pub(super) fn of_tree(tree: &Value, about: About, found: &mut Vec<Piece>) {
    walk(tree, &Where { about, ..Where::default() }, found);
}

/// What stands above.
#[derive(Debug, Clone, Copy, Default)]
struct Where<'a> {
    about: About,
    /// The key.
    key: &'a str,
    /// All below is secret.
    vault: bool,
    /// Below are headers.
    headers: bool,
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn walk(node: &Value, at: &Where<'_>, found: &mut Vec<Piece>) {
    match node {
        Value::Object(entries) => object(entries, at, found),
        Value::Array(items) => list(items, at, found),
        _ => {}
    }
}

fn object(entries: &Map<String, Value>, at: &Where<'_>, found: &mut Vec<Piece>) {
    stand_in(entries, at, found);
    // `{name: API_TOKEN, value: …}`
    let text = |key: &str| entries.get(key).and_then(scalar);
    if let (Some(name), Some(value)) = (text("name"), text("value"))
        && (words::is_secret(&name) || (at.headers && !words::is_plain_header(&name)))
    {
        secret(&name, &value, found);
    }
    let kind = at.key.strip_suffix("_configs").unwrap_or_default();
    let about = About { receivers: at.about.receivers && !OTHER_KEY.contains(&kind), ..at.about };
    for (key, value) in entries {
        found.push(Piece::Ordinary(key.clone()));
        let vault = at.vault || words::is_vault(key);
        let headers = words::is_headers(key) || (at.headers && !matches!(key.as_str(), "files"));
        match scalar(value) {
            Some(value) if at.vault => {
                consider_url(key, &value, true, found);
                secret(key, &value, found);
            }
            Some(value) if at.headers && !words::is_plain_header(key) && !value.contains("{{") => {
                secret(key, &value, found)
            }
            // What was neither quoted nor given a name by its environment is told by the lines.
            Some(value) => {
                let api =
                    matches!(kind, "opsgenie" | "victorops" | "telegram" | "wechat" | "webex")
                        && key == "api_url";
                if !api {
                    consider(key, &value, about, found);
                }
            }
            None => walk(value, &Where { about: at.about, key, vault, headers }, found),
        }
    }
}

/// A stand-in of the declaration.
fn stand_in(entries: &Map<String, Value>, at: &Where<'_>, found: &mut Vec<Piece>) {
    let text = |key: &str| entries.get(key).and_then(scalar);
    let (true, Some(protocol)) = (at.about.declaration, text("protocol")) else { return };
    if let Some(key) = text("key") {
        secret("key", &key, found);
    }
    if let (Some(path), true) = (text("path"), matches!(protocol.as_str(), "slack" | "webhook")) {
        let authority = text("host").unwrap_or_default();
        found.push(Piece::Path { field: "path".into(), authority, path });
    }
}

fn list(items: &[Value], at: &Where<'_>, found: &mut Vec<Piece>) {
    let texts: Vec<Option<String>> = items.iter().map(scalar).collect();
    for (n, text) in texts.iter().enumerate() {
        let Some(text) = text else { continue };
        let of_header = at.headers && matches!(at.key, "secrets" | "values");
        if at.vault || of_header || (words::is_secret(at.key) && at.key != "secrets") {
            secret(at.key, text, found);
        }
        consider_url(at.key, text, false, found);
        if let Some((name, value)) =
            text.split_once('=').filter(|(name, _)| !name.contains(char::is_whitespace))
        {
            consider(name.trim_start_matches('-'), value, at.about, found);
        }
        let next = texts.get(n + 1).and_then(Option::as_ref).filter(|next| !next.starts_with('-'));
        if let Some(next) = next.filter(|_| text.starts_with('-') && words::is_secret(text)) {
            secret(text.trim_start_matches('-'), next, found);
        }
    }
    items.iter().for_each(|item| walk(item, at, found));
}
