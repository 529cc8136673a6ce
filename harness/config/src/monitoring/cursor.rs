//! Reading typed values out of a tree, with errors that name file, line and key.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duration;
use crate::yaml::{ConfigError, Document, Node, Place, Value};

/// A node together with the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    doc: &'a Document,
    /// The node.
    pub(crate) node: &'a Node,
    key: String,
    line: u64,
    column: u64,
}

impl<'a> Cursor<'a> {
    /// The root of a document.
    pub(crate) fn root(doc: &'a Document) -> Self {
        let root = &doc.root;
        let (line, column) = (root.line_where_used, root.column_where_used);
        Cursor { doc, node: root, key: String::new(), line, column }
    }

    /// Where this is.
    pub(crate) fn place(&self) -> Place {
        Place {
            file: self.doc.file.clone(),
            line: self.line,
            column: self.column,
            key: self.key.clone(),
        }
    }

    /// An error about this node.
    pub(crate) fn error(&self, problem: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        ConfigError::new(self.place(), problem, hint)
    }

    /// That this is not what is wanted here.
    pub(crate) fn wrong(&self, wanted: &str) -> ConfigError {
        let seen = match &self.node.value {
            Value::Scalar(scalar) => {
                format!("`{}`", crate::secret::shown(&self.key, scalar.text()))
            }
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        };
        self.error(
            format!("seen {seen}, wanted {wanted}"),
            "check the value, and the indentation above and below it",
        )
    }

    fn child(&self, key: &str, node: &'a Node) -> Cursor<'a> {
        let (line, column) = if node.line_where_used > 0 {
            (node.line_where_used, node.column_where_used)
        } else {
            (self.line, self.column)
        };
        let key = match (self.key.is_empty(), key.starts_with('[')) {
            (true, _) => key.to_owned(),
            (false, true) => format!("{}{key}", self.key),
            (false, false) => format!("{}.{key}", self.key),
        };
        Cursor { doc: self.doc, node, key, line, column }
    }

    /// The value of a key, if it is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<Cursor<'a>> {
        self.node.get_non_null(key).map(|node| self.child(key, node))
    }

    /// Refuses anything but a map.
    pub(crate) fn expect_map(&self) -> Result<(), ConfigError> {
        match &self.node.value {
            Value::Map(_) => Ok(()),
            _ => Err(self.wrong("a map")),
        }
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Result<Vec<(String, Cursor<'a>)>, ConfigError> {
        self.expect_map()?;
        Ok(self
            .node
            .entries()
            .iter()
            .map(|(key, node)| (key.name.clone(), self.child(&key.name, node)))
            .collect())
    }

    /// The entries of the map under a key; none if the key is missing.
    pub(crate) fn entries_of(&self, key: &str) -> Result<Vec<(String, Cursor<'a>)>, ConfigError> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |at| at.entries())
    }

    /// The items of the list under a key; none if the key is missing.
    pub(crate) fn items(&self, key: &str) -> Result<Vec<Cursor<'a>>, ConfigError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(at) => at.list(),
        }
    }

    /// The items of this list.
    pub(crate) fn list(&self) -> Result<Vec<Cursor<'a>>, ConfigError> {
        match &self.node.value {
            Value::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(at, node)| self.child(&format!("[{at}]"), node))
                .collect()),
            _ => Err(self.wrong("a list")),
        }
    }

    /// This scalar's text.
    pub(crate) fn text(&self) -> Result<String, ConfigError> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.is_null() => Ok(String::new()),
            Value::Scalar(scalar) => Ok(scalar.text().to_owned()),
            _ => Err(self.wrong("a text")),
        }
    }

    /// The text under a key; none if it is missing or empty, as the servers read it.
    pub(crate) fn text_of(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(self.get(key).map(|at| at.text()).transpose()?.filter(|text| !text.is_empty()))
    }

    /// The texts of the list under a key.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        self.items(key)?.iter().map(Cursor::text).collect()
    }

    /// The text that must stand under a key.
    pub(crate) fn required_text(&self, key: &str) -> Result<String, ConfigError> {
        self.text_of(key)?
            .ok_or_else(|| self.error(format!("`{key}` is missing"), format!("add `{key}`")))
    }

    /// The truth value under a key. Both of YAML's generations are understood, as the servers do.
    pub(crate) fn truth(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        let Some(at) = self.get(key) else { return Ok(default) };
        match at.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(true),
            "false" | "no" | "off" | "n" => Ok(false),
            _ => Err(at.wrong("true or false")),
        }
    }

    /// The duration under a key, as Prometheus and Alertmanager write it.
    pub(crate) fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        let Some(at) = self.get(key) else { return Ok(None) };
        let text = at.text()?;
        duration::parse(&text)
            .map(Some)
            .map_err(|problem| at.error(problem, "Prometheus and Alertmanager take whole numbers only: write 1s500ms instead of 1.5s"))
    }

    /// The map of texts under a key: labels, annotations.
    pub(crate) fn text_map(&self, key: &str) -> Result<BTreeMap<String, String>, ConfigError> {
        self.entries_of(key)?.into_iter().map(|(name, at)| Ok((name, at.text()?))).collect()
    }
}
