//! YAML as a tree whose every node and key remembers its line.

use super::ConfigError;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::path::Path;
use std::sync::Arc;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub file: Arc<Path>,
    /// Line, from 1; 0 if unknown.
    pub line: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    /// Where it stands.
    pub mark: Mark,
}

/// Content of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// A mapping, in the file's order.
    Map(Vec<(Key, Node)>),
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    /// Where it stands.
    pub mark: Mark,
}

impl Node {
    /// What kind of content it has, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Whether it is empty.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The child under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// What is under keys and list indices from here, for example `["alerts", "2", "receivers"]`;
    /// the deepest that is there.
    pub fn at(&self, keys: &[&str]) -> &Node {
        let mut node = self;
        for key in keys {
            let below = match (&node.value, key.parse::<usize>()) {
                (Value::List(items), Ok(at)) => items.get(at),
                _ => node.get(key),
            };
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        node
    }

    /// The child under a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|(name, _)| name.name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// A scalar as Compose writes it where text is wanted; `None` for lists, mappings and nothing.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(value.to_string()),
            Value::Text(value) => Some(value.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// Reads YAML. An empty file is an empty mapping.
///
/// # Errors
/// [`ConfigError`] with the line when it is no YAML, names a key twice, or nests too deeply.
pub fn parse(file: &Path, text: &str) -> Result<Node, ConfigError> {
    let file: Arc<Path> = Arc::from(file);
    let options = serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let raw: Option<Spanned<Raw>> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let line = error.location().map_or(0, |location| location.line());
            let written = text
                .lines()
                .nth(usize::try_from(line).unwrap_or(0).saturating_sub(1))
                .unwrap_or_default();
            let told = without_place(error.without_snippet().to_string());
            ConfigError {
                file: file.to_path_buf(),
                line,
                what: format!(
                    "not readable as YAML: {}",
                    crate::secret::shown_problem(written, &told)
                ),
                hint: "check indentation, quotes and keys written twice".into(),
            }
        })?;
    Ok(raw.map_or_else(
        || Node { value: Value::Map(Vec::new()), mark: Mark { file: file.clone(), line: 1 } },
        |raw| marked(raw, &file),
    ))
}

/// A message of the parser without the place at its end, which we show in front.
pub fn without_place(message: String) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message,
    }
}

fn marked(raw: Spanned<Raw>, file: &Arc<Path>) -> Node {
    let mark = |line: u64| Mark { file: file.clone(), line };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Int(value) => Value::Int(value),
        Raw::Float(value) => Value::Float(value),
        Raw::Text(value) => Value::Text(value),
        Raw::List(items) => Value::List(items.into_iter().map(|item| marked(item, file)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, node)| {
                    (Key { name: key.value, mark: mark(key.defined.line()) }, marked(node, file))
                })
                .collect(),
        ),
    };
    Node { value, mark: mark(raw.defined.line()) }
}

enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("YAML")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or_else(|_| Raw::Text(value.to_string()), Raw::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((key, entries.next_value()?));
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Node {
        parse(Path::new("a.yml"), text).expect("reads")
    }

    #[test]
    fn keys_and_values_remember_their_lines_through_merges() {
        let tree = read(
            "x-base: &base\n  restart: always\n  tty: true\nservices:\n  a:\n    <<: *base\n    image: one\n",
        );
        let service = tree.get("services").and_then(|services| services.get("a")).expect("service");
        assert_eq!(service.get("image").expect("image").mark.line, 7);
        let restart = service.get("restart").expect("merged");
        assert_eq!((restart.scalar().as_deref(), restart.mark.line), (Some("always"), 2));
        assert_eq!(service.get("tty").expect("merged").value, Value::Bool(true));
    }

    #[test]
    fn scalars_are_typed_as_compose_types_them() {
        let tree = read("a: no\nb: 0444\nc: 1.5\nd: '0444'\ne:\nf: 80:80\n");
        let get = |key: &str| tree.get(key).expect("key").value.clone();
        assert_eq!(get("a"), Value::Text("no".into()));
        assert_eq!(get("b"), Value::Int(0o444));
        assert_eq!(get("c"), Value::Float(1.5));
        assert_eq!(get("d"), Value::Text("0444".into()));
        assert_eq!(get("e"), Value::Null);
        assert_eq!(get("f"), Value::Text("80:80".into()));
    }

    #[test]
    fn what_is_no_yaml_names_its_line() {
        let error = parse(Path::new("a.yml"), "a: 1\nb: [1, 2\nc: 3\n").expect_err("broken");
        assert!(error.line >= 2, "{error}");
        let error = parse(Path::new("a.yml"), "a: 1\nb: 2\na: 3\n").expect_err("twice");
        assert_eq!(error.line, 3, "{error}");
        assert_eq!(read("").value, Value::Map(Vec::new()));
    }
}
