//! A YAML document as a tree that keeps what a rewritten file must not lose.
//!
//! Unknown keys, their order, and for each scalar the very text that stood in the file and whether
//! it was quoted: a bare `yes`, `010` or `1.10` means something else to the server that reads it
//! than to us, so it is handed on as it stands. Comments, anchors and merge keys go: they are
//! resolved on reading.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::secret;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::error::{ConfigError, Place};

/// A parsed YAML file and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The file, as it was given.
    pub file: PathBuf,
    /// Its content. A file without content is an empty map.
    pub root: Node,
    /// For one that is no file of its own but a text in another: its name there, as
    /// `configs.rules`.
    pub within: Option<String>,
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it holds.
    pub value: Value,
    /// Line in the file, counted from 1; 0 if it was not read from a file.
    pub line: u64,
}

/// Two nodes are equal when they mean the same; lines don't count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null, a truth value, a number or a string.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order of the file. Keys are unique.
    Map(Vec<(Scalar, Node)>),
}

/// A scalar's text and whether it stood without quotes, in which case the reader decides about its
/// type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text: for quoted and block scalars their content.
    pub text: String,
    /// Whether it stood without quotes on one line.
    pub plain: bool,
}

impl Scalar {
    /// A scalar that needs no quotes: a number, a truth value, a duration.
    pub fn plain(text: impl Into<String>) -> Self {
        Scalar { text: text.into(), plain: true }
    }

    /// A string, whatever it looks like.
    pub fn string(text: impl Into<String>) -> Self {
        Scalar { text: text.into(), plain: false }
    }

    /// Whether it is YAML's null.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// A node that was not read from a file.
    pub fn new(value: Value) -> Self {
        Node { value, line: 0 }
    }

    /// An unquoted scalar that was not read from a file.
    pub fn plain(text: impl Into<String>) -> Self {
        Node::new(Value::Scalar(Scalar::plain(text)))
    }

    /// A string that was not read from a file.
    pub fn string(text: impl Into<String>) -> Self {
        Node::new(Value::Scalar(Scalar::string(text)))
    }

    /// An empty map.
    pub fn map() -> Self {
        Node::new(Value::Map(Vec::new()))
    }

    /// The scalar's text; none for lists, maps and null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// The value of a key; none if this is no map, the key is missing, or its value is null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(name, _)| name.text == key)
            .map(|(_, node)| node)
            .filter(|node| !node.is_null())
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|(name, _)| name.text == key)
                .map(|(_, node)| node)
                .filter(|node| !node.is_null()),
            _ => None,
        }
    }

    /// The entries of a map; empty for anything else.
    pub fn entries(&self) -> &[(Scalar, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entries of a map, to change their values; empty for anything else.
    pub fn entries_mut(&mut self) -> &mut [(Scalar, Node)] {
        match &mut self.value {
            Value::Map(entries) => entries,
            _ => &mut [],
        }
    }

    /// The items of a list; empty for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The items of a list, to change them; empty for anything else.
    pub fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.value {
            Value::Seq(items) => items,
            _ => &mut [],
        }
    }

    /// Goes through the node and all that are in it.
    fn each(&mut self, with: &mut impl FnMut(&mut Node)) {
        with(self);
        match &mut self.value {
            Value::Scalar(_) => {}
            Value::Seq(items) => items.iter_mut().for_each(|item| item.each(with)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| node.each(with)),
        }
    }

    /// Sets a key. Null turns into a map first; on a list or another scalar nothing happens.
    pub fn set(&mut self, key: &str, node: Node) {
        if self.is_null() {
            self.value = Value::Map(Vec::new());
        }
        if let Value::Map(entries) = &mut self.value {
            match entries.iter_mut().find(|(name, _)| name.text == key) {
                Some((_, old)) => *old = Node { line: old.line, ..node },
                None => entries.push((Scalar::plain(key), node)),
            }
        }
    }

    /// The map under a key, which is made if it is missing; none if something else is there.
    pub fn map_at(&mut self, key: &str) -> Option<&mut Node> {
        if self.get(key).is_none() {
            self.set(key, Node::map());
        }
        self.get_mut(key).filter(|node| matches!(node.value, Value::Map(_)))
    }
}

impl Document {
    /// Parses the text of `file`. `yes` and `no` stay text, merge keys are merged, a key given
    /// twice is an error.
    ///
    /// # Errors
    /// Names file and line of what is no YAML.
    pub fn parse(file: &Path, text: &str) -> Result<Document, ConfigError> {
        let blank = text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        if blank {
            return Ok(Document { file: file.to_owned(), root: Node::map(), within: None });
        }
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let raw: Spanned<Raw> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| {
                let line = error.location().map_or(0, |at| at.line());
                let seen = line
                    .checked_sub(1)
                    .and_then(|at| text.lines().nth(at as usize))
                    .unwrap_or_default()
                    .trim();
                let hint = if seen.is_empty() {
                    String::new()
                } else {
                    format!("the line reads `{}`", secret::shown_line(seen))
                };
                let place = Place { file: file.to_owned(), line, key: String::new() };
                let told = error.to_string();
                ConfigError::new(
                    place,
                    format!("not valid YAML: {}", secret::shown_problem(seen, first_line(&told))),
                    hint,
                )
            })?;
        let mut root = node(raw, text);
        if root.is_null() {
            root = Node::map();
        }
        Ok(Document { file: file.to_owned(), root, within: None })
    }

    /// Parses a text that stands in another file. Its lines are that file's after `before`; where
    /// they are no lines of it (`spread` is false), all are the one after it.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn parse_within(
        file: &Path,
        name: &str,
        text: &str,
        before: u64,
        spread: bool,
    ) -> Result<Document, ConfigError> {
        let line = |line: u64| if spread && line > 0 { before + line } else { before + 1 };
        let mut doc = Document::parse(file, text).map_err(|mut error| {
            error.place.line = line(error.place.line);
            error.problem = format!("{name}: {}", error.problem);
            error
        })?;
        doc.root.each(&mut |node| node.line = line(node.line));
        doc.within = Some(name.to_owned());
        Ok(doc)
    }

    /// Writes the document as YAML in block style.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        match &self.root.value {
            Value::Scalar(scalar) => {
                out.push_str(&scalar_text(scalar));
                out.push('\n');
            }
            _ if is_empty(&self.root) => {
                out.push_str(if matches!(self.root.value, Value::Seq(_)) { "[]\n" } else { "{}\n" })
            }
            _ => write_block(&self.root, 0, &mut out),
        }
        out
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

fn is_empty(node: &Node) -> bool {
    node.entries().is_empty() && node.items().is_empty()
}

fn write_block(node: &Node, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match &node.value {
        Value::Scalar(_) => {}
        Value::Seq(items) => {
            for item in items {
                out.push_str(&pad);
                out.push('-');
                if matches!(item.value, Value::Scalar(_)) || is_empty(item) {
                    write_inline(item, out);
                } else {
                    // The first entry stands on the dash's own line, the others below it.
                    let mut inner = String::new();
                    write_block(item, indent + 2, &mut inner);
                    out.push(' ');
                    out.push_str(&inner[indent + 2..]);
                }
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                out.push_str(&pad);
                out.push_str(&scalar_text(key));
                out.push(':');
                if matches!(value.value, Value::Scalar(_)) || is_empty(value) {
                    write_inline(value, out);
                } else {
                    out.push('\n');
                    write_block(value, indent + 2, out);
                }
            }
        }
    }
}

fn write_inline(node: &Node, out: &mut String) {
    out.push(' ');
    match &node.value {
        Value::Scalar(scalar) => out.push_str(&scalar_text(scalar)),
        Value::Seq(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
}

fn scalar_text(scalar: &Scalar) -> String {
    if scalar.is_null() {
        return "null".into();
    }
    if scalar.plain {
        return scalar.text.clone();
    }
    let mut text = String::with_capacity(scalar.text.len() + 2);
    text.push('"');
    for letter in scalar.text.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                text.push_str(&format!("\\u{:04x}", letter as u32))
            }
            letter if letter.is_control() => text.push_str(&format!("\\u{:04x}", letter as u32)),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// What serde hands over before the source text is looked at.
enum Raw {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Seq(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, source: &str) -> Node {
    let line = raw.referenced.line();
    let written = || slice(source, &raw.defined).trim().to_owned();
    let value = match raw.value {
        Raw::Null => Value::Scalar(Scalar::plain("null")),
        Raw::Bool(truth) => {
            let written = written();
            let known = matches!(written.to_ascii_lowercase().as_str(), "true" | "false");
            Value::Scalar(Scalar::plain(if known { written } else { truth.to_string() }))
        }
        Raw::Number(number) => {
            let written = written();
            let known = !written.is_empty()
                && written.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:".contains(c));
            Value::Scalar(Scalar::plain(if known { written } else { number }))
        }
        Raw::Text(text) => {
            let plain = !text.is_empty() && written() == text && !is_tagged(source, &raw.defined);
            Value::Scalar(Scalar { text, plain })
        }
        Raw::Seq(items) => Value::Seq(items.into_iter().map(|item| node(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let plain = slice(source, &key.defined).trim() == key.value;
                    (Scalar { text: key.value, plain }, node(value, source))
                })
                .collect(),
        ),
    };
    Node { value, line }
}

/// Whether an explicit tag stands before the scalar (`!!str 5`), which then is the string it was
/// declared to be.
fn is_tagged(source: &str, at: &Location) -> bool {
    let start = at.span().byte_offset().and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
    let before = source.get(..start).unwrap_or("").trim_end_matches(' ');
    before.rsplit(char::is_whitespace).next().is_some_and(|token| token.starts_with('!'))
}

fn slice<'a>(source: &'a str, at: &Location) -> &'a str {
    let span = at.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else { return "" };
    let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else {
        return "";
    };
    source.get(start..start.saturating_add(length)).unwrap_or("")
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("any YAML value")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
                Ok(Raw::Number(number.to_string()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
                Ok(Raw::Number(number.to_string()))
            }
            fn visit_i128<E>(self, number: i128) -> Result<Raw, E> {
                Ok(Raw::Number(number.to_string()))
            }
            fn visit_u128<E>(self, number: u128) -> Result<Raw, E> {
                Ok(Raw::Number(number.to_string()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
                Ok(Raw::Number(number.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Raw, E> {
                Ok(Raw::Text(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Raw::Seq(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Raw::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Document {
        Document::parse(Path::new("test.yml"), text).unwrap()
    }

    #[test]
    fn keeps_what_stood_there() {
        let text = "a: yes\nb: \"yes\"\nc: 010\nd: 1.10\ne: '010'\nf: ~\ng: |\n  one\n  two\nh: 0x1F\ni: [1, 'x', on]\nj: {}\nk: TRUE\n\
                    l: 12:30:45\nm: -1\nn: ''\no: [{p: 1, q: [2]}, []]\n\"r s\": >\n  folded\n  text\nt: !!str 5\n7: seven\n";
        let doc = parse(text);
        let plain = |key: &str| match &doc.root.get(key).unwrap().value {
            Value::Scalar(scalar) => (scalar.text.clone(), scalar.plain),
            other => panic!("{other:?}"),
        };
        assert_eq!(plain("a"), ("yes".into(), true));
        assert_eq!(plain("b"), ("yes".into(), false));
        assert_eq!(plain("c"), ("010".into(), true));
        assert_eq!(plain("d"), ("1.10".into(), true));
        assert_eq!(plain("e"), ("010".into(), false));
        assert_eq!(plain("g"), ("one\ntwo\n".into(), false));
        assert_eq!(plain("h"), ("0x1F".into(), true));
        assert_eq!(plain("k"), ("TRUE".into(), true));
        assert_eq!(plain("l"), ("12:30:45".into(), true));
        assert_eq!(plain("m"), ("-1".into(), true));
        assert_eq!(plain("n"), ("".into(), false));
        assert_eq!(plain("r s"), ("folded text\n".into(), false));
        assert_eq!(plain("t"), ("5".into(), false));
        assert_eq!(plain("7"), ("seven".into(), true));
        assert!(doc.root.entries().iter().any(|(key, node)| key.text == "f" && node.is_null()));
        assert_eq!(doc.root.get("d").unwrap().line, 4);
        let again = parse(&doc.to_yaml());
        assert_eq!(again, doc, "{}", doc.to_yaml());
    }

    #[test]
    fn resolves_anchors_and_merges() {
        let doc = parse("x: &base {p: 007, q: 2}\ny:\n  <<: *base\n  q: 3\nz: *base\n");
        assert_eq!(doc.root.get("y").unwrap().get("p").unwrap().text(), Some("007"));
        assert_eq!(doc.root.get("y").unwrap().get("q").unwrap().text(), Some("3"));
        assert_eq!(doc.root.get("z").unwrap().get("p").unwrap().text(), Some("007"));
    }

    #[test]
    fn empty_files_are_empty_maps() {
        for text in ["", "# nothing\n", "---\n", "~\n"] {
            assert_eq!(parse(text).root, Node::map(), "{text:?}");
        }
        assert_eq!(parse("").to_yaml(), "{}\n");
    }

    #[test]
    fn says_where_it_is_no_yaml() {
        let error = Document::parse(Path::new("rules.yml"), "groups:\n  - name: a\n   rules: [\n")
            .unwrap_err();
        assert_eq!(error.place.line, 3, "{error}");
        assert!(error.to_string().starts_with("rules.yml:3"), "{error}");
        let twice = Document::parse(Path::new("p.yml"), "a: 1\na: 2\n").unwrap_err();
        assert!(twice.to_string().contains("p.yml:2"), "{twice}");
    }
}
