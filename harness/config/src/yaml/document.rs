//! A file as it stands and is written back.

use super::error::{ConfigError, Place};
use super::read::{first_document, read};
use super::tree::Node;
use super::{words, write};
use std::path::{Path, PathBuf};

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
    /// Line at which a second document begins, which nobody reads.
    pub further: Option<u64>,
}

impl Document {
    /// Parses the first document of `file`'s text, as servers do, and as [`read`] does.
    ///
    /// # Errors
    /// Names file and line of what is no YAML.
    pub fn parse(file: &Path, text: &str) -> Result<Document, ConfigError> {
        let (text, further) = first_document(text);
        let root = read(file, text).map_err(|unreadable| {
            let (problem, hint) = words::plainly(&unreadable);
            let place = Place {
                column: unreadable.column,
                ..Place::new(file, unreadable.line, String::new())
            };
            ConfigError::new(place, problem, hint)
        })?;
        let root = root.unwrap_or_else(Node::map);
        Ok(Document { file: file.to_owned(), root, within: None, further })
    }

    /// Where a node of it is used, as the value of this key.
    pub fn place_of(&self, node: &Node, key: &str) -> Place {
        let place = Place::new(&self.file, node.line_where_used, key);
        Place { column: node.column_where_used, ..place }
    }

    /// The texts of a list at its top; what is none is left out.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        let list = self.root.get_non_null(key).map(Node::items).unwrap_or_default();
        list.iter().filter_map(Node::text)
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
            error.place.column = 0;
            error.problem = format!("{name}: {}", error.problem);
            error
        })?;
        doc.root.each_place(&mut |at| *at = line(*at));
        doc.further = doc.further.map(line);
        doc.within = Some(name.to_owned());
        Ok(doc)
    }

    /// Writes the document as YAML in block style.
    pub fn to_yaml(&self) -> String {
        write::to_yaml(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Value;

    fn parse(text: &str) -> Document {
        Document::parse(Path::new("test.yml"), text).unwrap()
    }

    #[test]
    fn keeps_what_stood_there() {
        let text = "a: yes\nb: \"yes\"\nc: 010\nd: 1.10\ne: '010'\nf: ~\ng: |\n  one\n  two\nh: 0x1F\ni: [1, 'x', on]\nj: {}\nk: TRUE\n\
                    l: 12:30:45\nm: -1\nn: ''\no: [{p: 1, q: [2]}, []]\n\"r s\": >\n  folded\n  text\nt: !!str 5\n7: seven\n";
        let doc = parse(text);
        let plain = |key: &str| match &doc.root.get(key).unwrap().value {
            Value::Scalar(scalar) => (scalar.text().to_owned(), scalar.is_plain()),
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
        assert!(doc.root.entries().iter().any(|(key, node)| key.name == "f" && node.is_null()));
        assert_eq!(doc.root.get("d").unwrap().line_where_used, 4);
        let again = parse(&doc.to_yaml());
        assert_eq!(again, doc, "{}", doc.to_yaml());
    }

    /// What begins a quoted text, a list or a comment elsewhere begins nothing in a block scalar.
    #[test]
    fn a_block_scalar_is_written_so_that_it_reads_again() {
        for content in ["' up > 2", "{a=\"b\"} > 1", "[5m]", "# none", "a: b", "5", "no", "up == 0"]
        {
            for header in [">-", "|-", "|", ">-  # why"] {
                let doc = parse(&format!("a:\n- b: {header}\n     {content}\n  c: 1\n"));
                let again = parse(&doc.to_yaml());
                assert_eq!(again, doc, "{header} {content:?} is written as\n{}", doc.to_yaml());
            }
        }
    }

    #[test]
    fn what_only_stands_between_braces_is_quoted_on_a_line_of_its_own() {
        for text in ["a: {b: ?, c: 1}\n", "a: [?, b]\n", "{?: 1}\n", "a: {...: 1}\n"] {
            let Ok(doc) = Document::parse(Path::new("test.yml"), text) else { continue };
            let again = parse(&doc.to_yaml());
            assert_eq!(again, doc, "{text:?} is written as\n{}", doc.to_yaml());
        }
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
