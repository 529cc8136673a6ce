//! Reading a mapping field by field: what nobody took is refused at the end.

use super::{ConfigError, nearest, quantity};
use config::yaml::{Key, Mark, Node, Typed};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A mapping being read.
pub(super) struct Fields<'a> {
    entries: &'a [(Key, Node)],
    taken: BTreeSet<&'static str>,
    path: String,
}

impl<'a> Fields<'a> {
    /// Begins to read a mapping; nothing counts as an empty one. `path` names it in messages:
    /// `services.redis`.
    pub fn new(node: &'a Node, path: impl Into<String>) -> Result<Self, ConfigError> {
        let path = path.into();
        let entries: &[(Key, Node)] = match node.typed() {
            Typed::Map(entries) => entries,
            Typed::Null => &[],
            _ => return Err(wanted(node, &path, "a mapping")),
        };
        Ok(Fields { entries, taken: BTreeSet::new(), path })
    }

    /// Name of a field in messages.
    pub fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Takes a field; one that is empty counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.taken.insert(key);
        self.entries
            .iter()
            .find(|(name, _)| name.name == key)
            .map(|(_, node)| node)
            .filter(|node| !node.is_null())
    }

    /// Takes a scalar as text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let path = self.path(key);
        self.take(key).map(|node| text(node, &path)).transpose()
    }

    /// Takes a boolean.
    pub fn flag(&mut self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        let path = self.path(key);
        self.take(key).map(|node| flag(node, &path)).transpose()
    }

    /// Takes a whole number.
    pub fn whole(&mut self, key: &'static str) -> Result<Option<i64>, ConfigError> {
        let path = self.path(key);
        self.take(key).map(|node| whole(node, &path)).transpose()
    }

    /// Takes a number.
    pub fn number(&mut self, key: &'static str) -> Result<Option<f64>, ConfigError> {
        let path = self.path(key);
        let Some(node) = self.take(key) else { return Ok(None) };
        let seen = text(node, &path)?;
        seen.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| wanted(node, &path, "a number"))
    }

    /// Takes a duration.
    pub fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        let path = self.path(key);
        let Some(node) = self.take(key) else { return Ok(None) };
        quantity::duration(&text(node, &path)?).map(Some).map_err(|what| {
            ConfigError::at(
                &node.mark,
                format!("{path}: {what}"),
                "write it as Compose does: `30s`, `512m`, `[\"sh\", \"-c\", \"…\"]`",
            )
        })
    }

    /// Takes a size in bytes.
    pub fn bytes(&mut self, key: &'static str) -> Result<Option<i64>, ConfigError> {
        let path = self.path(key);
        let Some(node) = self.take(key) else { return Ok(None) };
        quantity::bytes(&text(node, &path)?).map(Some).map_err(|what| {
            ConfigError::at(
                &node.mark,
                format!("{path}: {what}"),
                "write it as Compose does: `30s`, `512m`, `[\"sh\", \"-c\", \"…\"]`",
            )
        })
    }

    /// Takes a list of texts; a single text is a list of one.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let path = self.path(key);
        self.take(key).map(|node| texts(node, &path)).transpose().map(Option::unwrap_or_default)
    }

    /// Takes a mapping of texts, or a list of `name=value`. A name without a value maps to `None`.
    pub fn pairs(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<String, Option<String>>, ConfigError> {
        let path = self.path(key);
        self.take(key)
            .map(|node| pairs(node, &path, '='))
            .transpose()
            .map(Option::unwrap_or_default)
    }

    /// Takes a command: a list of arguments, or one line that is split as a shell does.
    pub fn command(&mut self, key: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        let path = self.path(key);
        let Some(node) = self.take(key) else { return Ok(None) };
        match node.typed() {
            Typed::List(_) => texts(node, &path).map(Some),
            _ => quantity::words(&text(node, &path)?).map(Some).map_err(|what| {
                ConfigError::at(
                    &node.mark,
                    format!("{path}: {what}"),
                    "write it as Compose does: `30s`, `512m`, `[\"sh\", \"-c\", \"…\"]`",
                )
            }),
        }
    }

    /// Ends reading: a field that nobody took is refused. `elsewhere` says of known but unsupported
    /// ones what to do.
    pub fn finish(self, elsewhere: &[(&str, &str)]) -> Result<(), ConfigError> {
        for (key, _) in self.entries {
            let name = key.name.as_str();
            if name.starts_with("x-") || self.taken.contains(name) {
                continue;
            }
            let what = format!("{}: unsupported key `{name}`", self.path);
            let hint = match elsewhere.iter().find(|(known, _)| *known == name) {
                Some((_, hint)) => (*hint).to_owned(),
                None => match nearest(name, self.taken.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "firedrill knows {} here; keys of your own begin with x-",
                        list(&self.taken)
                    ),
                },
            };
            return Err(ConfigError::at(&key.mark, what, hint));
        }
        Ok(())
    }
}

fn list(known: &BTreeSet<&'static str>) -> String {
    known.iter().copied().collect::<Vec<_>>().join(", ")
}

/// An error about a node of the wrong kind.
pub(super) fn wanted(node: &Node, path: &str, wanted: &str) -> ConfigError {
    let seen = node.text_of_value().map_or_else(
        || node.kind().to_owned(),
        |text| format!("`{}`", crate::secret::shown(path, &text)),
    );
    ConfigError::at(
        &node.mark,
        format!("{path}: seen {seen}, wanted {wanted}"),
        "check the value, and the indentation above and below it",
    )
}

pub(super) fn text(node: &Node, path: &str) -> Result<String, ConfigError> {
    node.text_of_value().ok_or_else(|| wanted(node, path, "text"))
}

pub(super) fn flag(node: &Node, path: &str) -> Result<bool, ConfigError> {
    match node.typed() {
        Typed::Bool(value) => Ok(value),
        Typed::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "0" => Ok(false),
            _ => Err(wanted(node, path, "true or false")),
        },
        _ => Err(wanted(node, path, "true or false")),
    }
}

pub(super) fn whole(node: &Node, path: &str) -> Result<i64, ConfigError> {
    match node.typed() {
        Typed::Int(value) => Ok(value),
        Typed::Text(text) => text.trim().parse().map_err(|_| wanted(node, path, "a whole number")),
        _ => Err(wanted(node, path, "a whole number")),
    }
}

pub(super) fn texts(node: &Node, path: &str) -> Result<Vec<String>, ConfigError> {
    match node.typed() {
        Typed::List(items) => items.iter().map(|item| text(item, path)).collect(),
        _ => Ok(vec![text(node, path)?]),
    }
}

pub(super) fn items<'a>(node: &'a Node, path: &str) -> Result<&'a [Node], ConfigError> {
    match node.typed() {
        Typed::List(items) => Ok(items),
        _ => Err(wanted(node, path, "a list")),
    }
}

pub(super) fn entries<'a>(node: &'a Node, path: &str) -> Result<&'a [(Key, Node)], ConfigError> {
    match node.typed() {
        Typed::Map(entries) => Ok(entries),
        Typed::Null => Ok(&[]),
        _ => Err(wanted(node, path, "a mapping")),
    }
}

pub(super) fn pairs(
    node: &Node,
    path: &str,
    separator: char,
) -> Result<BTreeMap<String, Option<String>>, ConfigError> {
    match node.typed() {
        Typed::List(items) => items
            .iter()
            .map(|item| {
                let text = text(item, path)?;
                Ok(match text.split_once(separator) {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                })
            })
            .collect(),
        Typed::Map(entries) => entries
            .iter()
            .map(|(key, node)| match node.typed() {
                Typed::Null => Ok((key.name.clone(), None)),
                _ => Ok((key.name.clone(), Some(text(node, &format!("{path}.{}", key.name))?))),
            })
            .collect(),
        _ => Err(wanted(node, path, "a mapping or a list")),
    }
}

/// A port number.
pub(super) fn port(text: &str, mark: &Mark, path: &str) -> Result<u16, ConfigError> {
    text.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| {
        ConfigError::at(
            mark,
            format!("{path}: `{text}` is no port, wanted 1 to 65535"),
            "write ports as \"127.0.0.1:8080:80\"",
        )
    })
}
