//! From text to tree.

use super::tree::{Key, Kind, Mark, Node, Scalar, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Why a text is no YAML. Whoever shows it decides what of it may be shown: the line may hold a
/// secret, and the parser quotes from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Line, from 1; 0 if the parser names none.
    pub line: u64,
    /// Column, from 1; 0 if the parser names none.
    pub column: u64,
    /// That line as it stands.
    pub written: String,
    /// What the parser says.
    pub told: String,
}

/// Levels of nesting that are read. Each takes some 30 kB of the stack in a debug build, and threads
/// have 2 MiB.
const DEEPEST: usize = 40;

/// Reads the text of `file`; none if it holds nothing. `yes` and `no` are text, merge keys are
/// merged, a key given twice is an error.
///
/// # Errors
/// It is no YAML, or more than one document, or nested too deeply.
pub fn read(file: &Path, text: &str) -> Result<Option<Node>, Unreadable> {
    let first = match read_strictly(file, text) {
        Err(unreadable) if unreadable.told.contains(CONTINUED) => unreadable,
        done => return done,
    };
    // The servers' own parser takes text in quotes that goes on at its key's indentation. White
    // space before a line of it counts for nothing, so more of it changes nothing else.
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut at = first.line;
    for _ in 0..MOST_CONTINUED {
        let Some(line) = usize::try_from(at).ok().and_then(|at| lines.get_mut(at.checked_sub(1)?))
        else {
            break;
        };
        line.insert_str(0, &" ".repeat(DEEP_ENOUGH));
        match read_strictly(file, &lines.concat()) {
            Err(unreadable) if unreadable.told.contains(CONTINUED) && unreadable.line > at => {
                at = unreadable.line;
            }
            Ok(tree) => return Ok(tree),
            Err(_) => break,
        }
    }
    // Then the quote before the first such line is the one that is not closed where it should be.
    let line = first.line.saturating_sub(1).max(1);
    let written = line_of(text, line);
    Err(Unreadable { line, column: 0, written, told: UNCLOSED.to_owned() })
}

/// What the parser says of text in quotes that goes on too far to the left.
const CONTINUED: &str = "multiline quoted scalar";
/// What is said of a quote without an end.
pub(super) const UNCLOSED: &str = "text in quotes begins here and does not end";
/// Lines that may go on so in one file.
const MOST_CONTINUED: usize = 500;
/// More than any key is indented by.
const DEEP_ENOUGH: usize = 120;

fn line_of(text: &str, line: u64) -> String {
    let at = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
    at.and_then(|at| text.lines().nth(at)).unwrap_or_default().to_owned()
}

fn read_strictly(file: &Path, text: &str) -> Result<Option<Node>, Unreadable> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        legacy_octal_numbers: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
    };
    let raw: Option<Spanned<Raw>> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let (mut line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let told = error.without_snippet().to_string();
            // A tab is told a line too early where the line before ends a block.
            let tab = |line| {
                line_of(text, line).starts_with([' ', '\t']) && line_of(text, line).contains('\t')
            };
            if told.contains("tab cannot") && !tab(line) && tab(line + 1) {
                line += 1;
            }
            Unreadable { line, column, written: line_of(text, line), told }
        })?;
    let source = Source { text, file: Arc::from(file) };
    Ok(raw.map(|raw| source.node(raw)))
}

/// The text of a file's first document, and the line at which a second begins. The servers read
/// the first and say nothing of the others.
pub fn first_document(text: &str) -> (&str, Option<u64>) {
    let (mut at, mut content) = (0, false);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = |mark: &str| {
            line.strip_prefix(mark)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        };
        if content && (marker("---") || marker("...")) {
            let more = text[at + line.len()..].lines().any(|line| {
                !matches!(line.trim(), "" | "---" | "...") && !line.trim_start().starts_with('#')
            });
            return (&text[..at], more.then_some(index as u64 + 1));
        }
        let bare = line.trim();
        content |= if marker("---") {
            bare.len() > 3
        } else {
            !bare.is_empty() && !bare.starts_with('#') && !line.starts_with('%')
        };
        at += line.len();
    }
    (text, None)
}

/// What serde hands over before the source text is looked at.
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number that no reader counts with.
    Large(u64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

struct Source<'a> {
    text: &'a str,
    file: Arc<Path>,
}

/// Whether a text that stands without quotes between braces would be read as an item, a key or the
/// end of a document where it has a line to itself, which is how everything is written.
fn begins_a_node(text: &str) -> bool {
    let first = text.split_ascii_whitespace().next();
    matches!(first, Some("?" | "-" | ":" | "---" | "..."))
}

impl Source<'_> {
    fn mark(&self, at: &Location) -> Mark {
        Mark { file: self.file.clone(), line: at.line() }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let mark = self.mark(&raw.defined);
        let (line_where_used, column_where_used) = (raw.referenced.line(), raw.referenced.column());
        let scalar = |text, plain, kind| Value::Scalar(Scalar::new(text, plain, kind));
        let written = || self.slice(&raw.defined).trim().to_owned();
        let number = |number: String, kind| {
            let written = written();
            let known = !written.is_empty()
                && written.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:".contains(c));
            scalar(if known { written } else { number }, true, kind)
        };
        let value = match raw.value {
            Raw::Null => scalar("null".into(), true, Kind::Null),
            Raw::Bool(truth) => {
                let written = written();
                let known = matches!(written.to_ascii_lowercase().as_str(), "true" | "false");
                scalar(if known { written } else { truth.to_string() }, true, Kind::Bool(truth))
            }
            Raw::Int(whole) => number(whole.to_string(), Kind::Int(whole)),
            Raw::Large(whole) => number(whole.to_string(), Kind::Text),
            Raw::Float(float) => number(float.to_string(), Kind::Float(float)),
            Raw::Text(text) => {
                let plain = !text.is_empty()
                    && written() == text
                    && !begins_a_node(&text)
                    && !self.is_tagged(&raw.defined)
                    && !self.is_block(&raw.defined);
                scalar(text, plain, Kind::Text)
            }
            Raw::List(items) => {
                Value::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            Raw::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, node)| (self.key(key), self.node(node))).collect(),
            ),
        };
        Node { value, mark, line_where_used, column_where_used }
    }

    fn key(&self, key: Spanned<String>) -> Key {
        // A null in a key's place is read as text, and written as such.
        let plain = !Scalar::plain(key.value.as_str()).is_null()
            && !begins_a_node(&key.value)
            && self.slice(&key.defined).trim() == key.value
            && !self.is_tagged(&key.defined);
        let column = key.defined.column();
        Key { mark: self.mark(&key.defined), column, name: key.value, plain }
    }

    /// Whether an explicit tag stands before the scalar (`!!str 5`), which then is the string it
    /// was declared to be.
    fn is_tagged(&self, at: &Location) -> bool {
        let start = at.span().byte_offset().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        let before = self.text.get(..start).unwrap_or("").trim_end_matches(' ');
        before.rsplit(char::is_whitespace).next().is_some_and(|token| token.starts_with('!'))
    }

    /// Whether it is the content of a block scalar (`>-` or `|` on the line before): what would be an
    /// indicator elsewhere is text there.
    fn is_block(&self, at: &Location) -> bool {
        let start = at.span().byte_offset().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        let mut above = self.text.get(..start).unwrap_or("").lines().rev();
        let own = above.next().unwrap_or("");
        let header = if own.trim().is_empty() {
            above.find(|line| !line.trim().is_empty()).unwrap_or("")
        } else {
            own
        };
        let header = header.split(" #").next().unwrap_or("").trim_end();
        header.rsplit(char::is_whitespace).next().is_some_and(|token| {
            token.starts_with(['|', '>'])
                && token[1..].chars().all(|c| c.is_ascii_digit() || "+-".contains(c))
        })
    }

    fn slice(&self, at: &Location) -> &str {
        let span = at.span();
        let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else { return "" };
        let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(length)) else {
            return "";
        };
        self.text.get(start..start.saturating_add(length)).unwrap_or("")
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

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
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(truth))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Int(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
        Ok(i64::try_from(number).map_or(Raw::Large(number), Raw::Int))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Float(number))
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
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Typed;

    fn root(text: &str) -> Node {
        read(Path::new("a.yml"), text).unwrap().unwrap_or_else(Node::map)
    }

    #[test]
    fn keys_and_values_remember_their_lines_through_merges() {
        let tree = root(
            "x-base: &base\n  restart: always\n  tty: true\nservices:\n  a:\n    <<: *base\n    image: one\n  b: *base\n",
        );
        let service = tree.get("services").and_then(|services| services.get("a")).unwrap();
        assert_eq!(service.get("image").unwrap().mark.line, 7);
        let restart = service.get("restart").unwrap();
        assert_eq!(
            (restart.text_of_value().as_deref(), restart.mark.line, restart.line_where_used),
            (Some("always"), 2, 6)
        );
        assert_eq!(service.get("tty").unwrap().typed(), Typed::Bool(true));
        let alias = tree.get("services").and_then(|services| services.get("b")).unwrap();
        assert_eq!((alias.mark.line, alias.line_where_used), (2, 8));
    }

    #[test]
    fn scalars_are_typed_as_compose_types_them() {
        let tree = root(
            "a: no\nb: 0444\nc: 1.50\nd: '0444'\ne:\nf: 80:80\ng: 18446744073709551615\nh: True\ni: NULL\nj: Null\nk: ~\n",
        );
        let get = |key: &str| tree.get(key).unwrap();
        for (key, typed, text, value) in [
            ("a", Typed::Text("no"), Some("no"), Some("no")),
            ("b", Typed::Int(0o444), Some("0444"), Some("292")),
            ("c", Typed::Float(1.5), Some("1.50"), Some("1.5")),
            ("d", Typed::Text("0444"), Some("0444"), Some("0444")),
            ("e", Typed::Null, None, None),
            ("f", Typed::Text("80:80"), Some("80:80"), Some("80:80")),
            (
                "g",
                Typed::Text("18446744073709551615"),
                Some("18446744073709551615"),
                Some("18446744073709551615"),
            ),
            ("h", Typed::Bool(true), Some("True"), Some("true")),
            ("i", Typed::Null, None, None),
            ("j", Typed::Null, None, None),
            ("k", Typed::Null, None, None),
        ] {
            let node = get(key);
            assert_eq!(node.typed(), typed, "{key}");
            assert_eq!((node.text(), node.text_of_value().as_deref()), (text, value), "{key}");
        }
        assert!(tree.get("e").is_some() && tree.get_non_null("e").is_none());
    }

    #[test]
    fn text_in_quotes_may_go_on_at_its_keys_indentation() {
        let tree = root("a:\n  b: \"one\n  two\n  three\"\n  c: 'x\n  y'\nd: 1\n");
        let inner = tree.get("a").unwrap();
        assert_eq!(inner.get("b").and_then(Node::text), Some("one two three"));
        assert_eq!(inner.get("c").and_then(Node::text), Some("x y"));
        assert_eq!(tree.get("d").unwrap().line_where_used, 7);
        let unclosed = read(Path::new("a.yml"), "a:\n  b: \"one\n  c: two\nd: 1\n").unwrap_err();
        assert_eq!((unclosed.line, unclosed.told.as_str()), (2, UNCLOSED));
    }

    #[test]
    fn the_first_document_is_what_servers_read() {
        assert_eq!(first_document("a: 1\n---\nb: 2\n"), ("a: 1\n", Some(2)));
        assert_eq!(first_document("# x\n---\na: 1\n...\n"), ("# x\n---\na: 1\n", None));
        assert_eq!(first_document("---\na: |\n  ---\n"), ("---\na: |\n  ---\n", None));
        assert_eq!(first_document("a: 1\n---\n# end\n"), ("a: 1\n", None));
    }

    #[test]
    fn what_is_no_yaml_names_its_line() {
        let error = |text| read(Path::new("a.yml"), text).unwrap_err();
        assert!(error("a: 1\nb: [1, 2\nc: 3\n").line >= 2);
        let twice = error("a: 1\nb: 2\na: 3\n");
        assert_eq!((twice.line, twice.written.as_str()), (3, "a: 3"));
        for text in ["", "# nothing\n", "---\n", "~\n"] {
            assert_eq!(read(Path::new("a.yml"), text), Ok(None), "{text:?}");
        }
    }
}
