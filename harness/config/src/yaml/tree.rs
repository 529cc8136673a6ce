//! The tree itself.

use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The file; empty for what was not read from one.
    pub file: Arc<Path>,
    /// Line, from 1; 0 if unknown.
    pub line: u64,
}

static NOWHERE: LazyLock<Arc<Path>> = LazyLock::new(|| Arc::from(Path::new("")));

impl Mark {
    /// Of what was not read from a file.
    pub fn nowhere() -> Mark {
        Mark { file: NOWHERE.clone(), line: 0 }
    }
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its scalar, list or map.
    pub value: Value,
    /// Where that is written: behind an alias or a merge key, at the anchor.
    pub mark: Mark,
    /// Line at which the document has it: for an alias, that of the alias itself. 0 if it was not
    /// read from a file.
    pub line_where_used: u64,
    /// Column there, from 1; 0 if unknown.
    pub column_where_used: u64,
}

/// Two nodes are equal when they mean the same; places don't count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null, a truth value, a number or a text.
    Scalar(Scalar),
    /// Nodes in the order of the file.
    List(Vec<Node>),
    /// A map in the order of the file. Keys are unique.
    Map(Vec<(Key, Node)>),
}

/// What a node means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Typed<'a> {
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`; `yes` and `no` are text.
    Bool(bool),
    /// A whole number; `010` is 8.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// A list.
    List(&'a [Node]),
    /// A map.
    Map(&'a [(Key, Node)]),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it stands.
    pub mark: Mark,
    /// Column there, from 1; 0 if unknown.
    pub column: u64,
    /// Whether it stood without quotes.
    pub(super) plain: bool,
}

impl Key {
    /// A key that needs no quotes.
    pub fn new(name: impl Into<String>, mark: Mark) -> Key {
        Key { name: name.into(), mark, column: 0, plain: true }
    }
}

/// Two keys are equal when they are written alike, wherever.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.plain) == (&other.name, other.plain)
    }
}

/// A scalar's text, whether it stood without quotes, and what it means.
#[derive(Debug, Clone)]
pub struct Scalar {
    text: String,
    plain: bool,
    kind: Kind,
}

/// The type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

/// Two scalars are equal when they are written alike: whoever reads them decides about the type.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.plain) == (&other.text, other.plain)
    }
}

impl Scalar {
    pub(super) fn new(text: String, plain: bool, kind: Kind) -> Self {
        Scalar { text, plain, kind }
    }

    /// A scalar that needs no quotes: a number, a truth value, a duration.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
        let kind = match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
            "true" | "false" => Kind::Bool(text == "true"),
            _ => match (text.parse(), number()) {
                (Ok(whole), _) => Kind::Int(whole),
                (_, Some(number)) => Kind::Float(number),
                _ => Kind::Text,
            },
        };
        Scalar { text, plain: true, kind }
    }

    /// A string, whatever it looks like.
    pub fn string(text: impl Into<String>) -> Self {
        Scalar { text: text.into(), plain: false, kind: Kind::Text }
    }

    /// The text as it stands in the file; for quoted and block scalars their content.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it stood without quotes on one line.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether it is YAML's null.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }
}

/// Made, not read from a file.
impl Node {
    /// A node that was not read from a file.
    pub fn new(value: Value) -> Self {
        Node { value, mark: Mark::nowhere(), line_where_used: 0, column_where_used: 0 }
    }

    /// A scalar without quotes, read as YAML reads it: `5` is a number.
    pub fn plain(text: impl Into<String>) -> Self {
        Node::new(Value::Scalar(Scalar::plain(text)))
    }

    /// A string, whatever it looks like.
    pub fn string(text: impl Into<String>) -> Self {
        Node::new(Value::Scalar(Scalar::string(text)))
    }

    /// An empty map that was not read from a file.
    pub fn map() -> Self {
        Node::new(Value::Map(Vec::new()))
    }

    /// The node as if it stood there.
    pub fn standing_at(self, mark: &Mark) -> Self {
        Node { line_where_used: mark.line, mark: mark.clone(), ..self }
    }
}

/// What it holds.
impl Node {
    /// What it means, by the core schema of YAML 1.2: <https://yaml.org/spec/1.2.2/#103-core-schema>.
    pub fn typed(&self) -> Typed<'_> {
        match &self.value {
            Value::List(items) => Typed::List(items),
            Value::Map(entries) => Typed::Map(entries),
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => Typed::Null,
                Kind::Bool(truth) => Typed::Bool(truth),
                Kind::Int(number) => Typed::Int(number),
                Kind::Float(number) => Typed::Float(number),
                Kind::Text => Typed::Text(&scalar.text),
            },
        }
    }

    /// What kind of content it has, for messages.
    pub fn kind(&self) -> &'static str {
        match self.typed() {
            Typed::Null => "nothing",
            Typed::Bool(_) => "a boolean",
            Typed::Int(_) | Typed::Float(_) => "a number",
            Typed::Text(_) => "text",
            Typed::List(_) => "a list",
            Typed::Map(_) => "a mapping",
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.typed() == Typed::Null
    }

    /// Whether it is a scalar without quotes.
    pub fn is_plain(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_plain())
    }

    /// The scalar's text as it stands in the file; none for lists, maps and null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// The scalar's value as text, `010` as `8` and `1.10` as `1.1`; none for lists, maps and null.
    pub fn text_of_value(&self) -> Option<String> {
        match self.typed() {
            Typed::Bool(truth) => Some(truth.to_string()),
            Typed::Int(number) => Some(number.to_string()),
            Typed::Float(number) => Some(number.to_string()),
            Typed::Text(text) => Some(text.to_owned()),
            Typed::Null | Typed::List(_) | Typed::Map(_) => None,
        }
    }

    /// The entries of a map; empty for anything else.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The value of a key, null too; none if this is no map or the key is missing.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
    }

    /// The value of a key; none if this is no map, the key is missing, or its value is null.
    pub fn get_non_null(&self, key: &str) -> Option<&Node> {
        self.get(key).filter(|node| !node.is_null())
    }

    /// What is under keys and list indices from here, for example `["alerts", "2", "receivers"]`;
    /// the deepest that is there.
    pub fn deepest(&self, keys: &[&str]) -> &Node {
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
}

/// Changing it.
impl Node {
    /// The value of a key, null too, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|(name, _)| name.name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The value of a key that is not null, to change it.
    pub fn get_non_null_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.get_mut(key).filter(|node| !node.is_null())
    }

    /// The items of a list, to change them; empty for anything else.
    pub fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.value {
            Value::List(items) => items,
            _ => &mut [],
        }
    }

    /// Puts text in place of what it holds; where it stands stays.
    pub fn set_text(&mut self, text: impl Into<String>) {
        self.value = Value::Scalar(Scalar::string(text));
    }

    /// Sets a key. Null turns into a map first; on a list or another scalar nothing happens. What
    /// takes the place of something else stands where that stood.
    pub fn set(&mut self, key: &str, node: Node) {
        if self.is_null() {
            self.value = Value::Map(Vec::new());
        }
        if let Value::Map(entries) = &mut self.value {
            match entries.iter_mut().find(|(name, _)| name.name == key) {
                Some((_, old)) => old.value = node.value,
                None => entries.push((Key::new(key, Mark::nowhere()), node)),
            }
        }
    }

    /// The map under a key, which is made if it is missing; none if something else is there.
    pub fn map_at(&mut self, key: &str) -> Option<&mut Node> {
        if self.get_non_null(key).is_none() {
            self.set(key, Node::map());
        }
        self.get_mut(key).filter(|node| matches!(node.value, Value::Map(_)))
    }

    /// Changes the line of the node and of all that are in it. Their columns are those of another
    /// text then, and not known.
    pub(super) fn each_place(&mut self, with: &mut impl FnMut(&mut u64)) {
        with(&mut self.mark.line);
        with(&mut self.line_where_used);
        self.column_where_used = 0;
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.each_place(with)),
            Value::Map(entries) => {
                for (key, node) in entries {
                    with(&mut key.mark.line);
                    key.column = 0;
                    node.each_place(with);
                }
            }
        }
    }
}
