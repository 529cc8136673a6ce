//! Texts with holes that are filled by seed, number of the arrival, and a feed of data.

use crate::advice::{Advice, Advised};
use crate::draw::{Draw, digest};
use crate::id::Ids;
use crate::payload::{Payload, Size, payload_of, token};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::str::FromStr;
use thiserror::Error;

/// Something that is to be sent and can't be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A hole that nothing fills.
    #[error("{{{0}}} is no placeholder")]
    Hole(String),
    /// A column that the feed does not have.
    #[error("line 1: there is no column {column:?}, only {columns}")]
    Column {
        /// The one that is wanted.
        column: String,
        /// Those that there are.
        columns: String,
    },
    /// A header that is not `Name: value`.
    #[error("header {0:?} is not written \"Name: value\", in one line")]
    Header(String),
    /// A row of a feed.
    #[error(
        "line {line}: seen {seen} values, wanted {wanted}, one for each column of the first line"
    )]
    Row {
        /// Line, from 1.
        line: usize,
        /// Values in it.
        seen: usize,
        wanted: usize,
    },
    /// A quoted value that does not end.
    #[error("line {0}: a value in double quotes does not end, or is followed by something else")]
    Quote(usize),
    /// A feed without rows.
    #[error("it has no row")]
    NoRows,
}

impl Advised for RequestError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            RequestError::Hole(_) => {
                "{id}, {n}, {subject}, {token}, {body}, or {feed.COLUMN} with --feed FILE; write {{ for a brace".into()
            }
            RequestError::Column { .. } => {
                "name one of them as {feed.COLUMN}, or add it to the file".into()
            }
            RequestError::Header(_) => "as in --header \"Accept: text/html\"".into(),
            RequestError::Row { .. } => "put a value that holds commas in double quotes".into(),
            RequestError::Quote(_) => "write \"\" for a quote within quotes".into(),
            RequestError::NoRows => {
                "the first line names the columns, each following line is a row, with commas between".into()
            }
        })
    }
}

/// In which order the rows of a feed are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Order {
    /// As they stand, over and over.
    Sequential,
    /// In one order that follows from the seed, over and over.
    Shuffled,
    /// Each drawn by seed and number, so that several loads with seeds of their own don't ask for
    /// the same.
    #[default]
    Random,
}

impl FromStr for Order {
    type Err = Advice;

    fn from_str(text: &str) -> Result<Order, Advice> {
        match text {
            "sequential" => Ok(Order::Sequential),
            "shuffled" => Ok(Order::Shuffled),
            "random" => Ok(Order::Random),
            _ => Err(Advice::new(
                "wanted sequential, shuffled or random",
                "as in --feed-order shuffled",
            )),
        }
    }
}

/// Rows of data for a template: the first line names the columns, each following one is a row.
/// Commas separate; a value in double quotes may hold commas, and quotes written twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    order: Order,
}

impl Feed {
    /// Reads a feed, whose rows are drawn at random.
    ///
    /// # Errors
    /// It has no row, or one with more or less values than there are columns.
    pub fn read(text: &str) -> Result<Feed, RequestError> {
        let mut lines =
            text.lines().enumerate().map(|(n, l)| (n + 1, l)).filter(|(_, l)| !l.trim().is_empty());
        let columns = lines.next().ok_or(RequestError::NoRows).and_then(|(n, l)| values(n, l))?;
        let mut rows = Vec::new();
        for (line, text) in lines {
            let row = values(line, text)?;
            if row.len() != columns.len() {
                return Err(RequestError::Row { line, seen: row.len(), wanted: columns.len() });
            }
            rows.push(row);
        }
        if rows.is_empty() {
            Err(RequestError::NoRows)
        } else {
            Ok(Feed { columns, rows, order: Order::default() })
        }
    }

    /// The same rows in another order.
    pub fn ordered(mut self, order: Order, seed: u64) -> Feed {
        if order == Order::Shuffled {
            let mut draw = Draw::new(seed, digest("shuffled"));
            for last in (1..self.rows.len()).rev() {
                self.rows.swap(last, draw.below(last + 1));
            }
        }
        Feed { order, ..self }
    }

    fn row(&self, seed: u64, number: u64) -> &[String] {
        let at = match self.order {
            Order::Sequential | Order::Shuffled => (number % self.rows.len() as u64) as usize,
            Order::Random => Draw::new(seed ^ digest("feed"), number).below(self.rows.len()),
        };
        &self.rows[at]
    }
}

/// The values of a line.
fn values(line: usize, text: &str) -> Result<Vec<String>, RequestError> {
    let (mut values, mut rest) = (Vec::new(), text.trim());
    loop {
        let Some(mut quoted) = rest.strip_prefix('"') else {
            let (value, after) = rest.split_once(',').map_or((rest, None), |(v, a)| (v, Some(a)));
            values.push(value.trim().to_owned());
            match after {
                Some(after) => rest = after.trim_start(),
                None => return Ok(values),
            }
            continue;
        };
        let mut value = String::new();
        loop {
            let (part, after) = quoted.split_once('"').ok_or(RequestError::Quote(line))?;
            value.push_str(part);
            match after.strip_prefix('"') {
                Some(after) => {
                    value.push('"');
                    quoted = after;
                }
                None => break rest = after.trim_start(),
            }
        }
        values.push(value);
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => return Ok(values),
            None => return Err(RequestError::Quote(line)),
        }
    }
}

/// What holes are filled with: all follows from the seed and the number of an arrival (from 0).
#[derive(Debug, Clone)]
pub struct Filling {
    seed: u64,
    ids: Ids,
    feed: Option<Feed>,
    size: Size,
}

impl Filling {
    /// The filling of a load with this seed. Bodies are of this size.
    pub fn new(seed: u64, feed: Option<Feed>, size: Size) -> Filling {
        Filling { seed, ids: Ids::new(seed, "url"), feed, size }
    }

    /// The id of an arrival's operation.
    pub fn id(&self, number: u64) -> String {
        self.ids.of(number, 0)
    }

    /// What it carries, unless the user states another body.
    pub fn payload(&self, number: u64) -> Payload {
        payload_of(self.seed, &self.id(number), self.size)
    }

    /// A generator for what else is drawn for an arrival; another purpose is another generator.
    pub(crate) fn draw(&self, purpose: &str, number: u64) -> Draw {
        Draw::new(self.seed ^ digest(purpose), number)
    }
}

/// A piece of a text with holes, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    /// Text, with `{{` read as a brace.
    Plain(String),
    /// The word in a hole.
    Word(&'t str),
    /// A brace that begins no hole.
    Brace,
}

/// Takes a text apart. Nothing of it is empty.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('{') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            plain.push('{');
            rest = after;
            continue;
        }
        // JSON has braces of its own: only a word is a placeholder.
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'));
        let end = end.filter(|end| *end > 0 && rest[*end..].starts_with('}'));
        if !plain.is_empty() {
            parts.push(Part::Plain(std::mem::take(&mut plain)));
        }
        let Some(end) = end else {
            parts.push(Part::Brace);
            continue;
        };
        parts.push(Part::Word(&rest[..end]));
        rest = &rest[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    parts
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Id,
    Number,
    Subject,
    Token,
    Body,
    Column(usize),
}

/// A text with holes: `{id}` is the operation's id, `{n}` its number, `{subject}`, `{token}` and
/// `{body}` (in one line) words that follow from seed and id, `{feed.COLUMN}` a value of the feed.
/// `{{` is a brace.
#[derive(Debug, Clone)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// It has a hole that nothing fills.
    pub fn parse(text: &str, filling: &Filling) -> Result<Template, RequestError> {
        let piece = |part| {
            Ok(match part {
                Part::Plain(text) => Piece::Text(text),
                Part::Brace => Piece::Text("{".to_owned()),
                Part::Word("id") => Piece::Id,
                Part::Word("n") => Piece::Number,
                Part::Word("subject") => Piece::Subject,
                Part::Word("token") => Piece::Token,
                Part::Word("body") => Piece::Body,
                Part::Word(word) => match (word.strip_prefix("feed."), &filling.feed) {
                    (Some(column), Some(feed)) => {
                        let at = feed.columns.iter().position(|c| c == column);
                        let absent = || RequestError::Column {
                            column: column.to_owned(),
                            columns: feed.columns.join(", "),
                        };
                        Piece::Column(at.ok_or_else(absent)?)
                    }
                    _ => return Err(RequestError::Hole(word.to_owned())),
                },
            })
        };
        parts(text).into_iter().map(piece).collect::<Result<_, _>>().map(Template)
    }

    /// Whether it has no holes.
    pub fn is_fixed(&self) -> bool {
        self.0.iter().all(|p| matches!(p, Piece::Text(_)))
    }

    /// Its text for an arrival, appended.
    pub fn fill(&self, filling: &Filling, number: u64, into: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => into.push_str(text),
                Piece::Id => into.push_str(&filling.id(number)),
                Piece::Number => drop(write!(into, "{number}")),
                Piece::Subject => into.push_str(&filling.payload(number).subject),
                Piece::Token => into.push_str(&token(filling.seed, &filling.id(number))),
                // Words without quotes or line ends, so that JSON can hold it.
                Piece::Body => into.push_str(&filling.payload(number).body.replace('\n', " ")),
                Piece::Column(column) => {
                    if let Some(feed) = &filling.feed {
                        into.push_str(&feed.row(filling.seed, number)[*column]);
                    }
                }
            }
        }
    }

    /// Its text for an arrival.
    pub fn text(&self, filling: &Filling, number: u64) -> String {
        let mut text = String::new();
        self.fill(filling, number, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn feed(rows: usize) -> Feed {
        let text: String = std::iter::once("row".to_owned())
            .chain((0..rows).map(|n| n.to_string()))
            .map(|l| l + "\n")
            .collect();
        Feed::read(&text).expect("feed")
    }

    fn drawn(feed: Feed, order: Order, seed: u64, numbers: std::ops::Range<u64>) -> Vec<usize> {
        let filling = Filling::new(seed, Some(feed.ordered(order, seed)), Size::default());
        let template = Template::parse("{feed.row}", &filling).expect("template");
        numbers.map(|n| template.text(&filling, n).parse().expect("number")).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_come_in_the_order_that_was_asked_for(seed: u64, rows in 1usize..40) {
            let (n, all) = (rows as u64, (0..rows).collect::<BTreeSet<_>>());
            let in_turn: Vec<usize> = (0..2 * rows).map(|i| i % rows).collect();
            prop_assert_eq!(drawn(feed(rows), Order::Sequential, seed, 0..2 * n), in_turn);
            let shuffled = drawn(feed(rows), Order::Shuffled, seed, 0..2 * n);
            prop_assert_eq!(shuffled[..rows].iter().copied().collect::<BTreeSet<_>>(), all);
            prop_assert_eq!(&shuffled[..rows], &shuffled[rows..]);
            for order in [Order::Shuffled, Order::Random] {
                prop_assert_eq!(drawn(feed(rows), order, seed, 0..n), drawn(feed(rows), order, seed, 0..n));
            }
        }

        #[test]
        fn what_is_filled_in_follows_from_seed_and_number(seed: u64, number in 0u64..1_000_000_000) {
            let (a, b) = (Filling::new(seed, None, Size::default()), Filling::new(seed, None, Size::default()));
            let template = Template::parse(r#"{"id":"{id}","n":{n},"text":"{body}"}"#, &a).expect("template");
            let text = template.text(&a, number);
            prop_assert_eq!(&text, &template.text(&b, number));
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(json["id"].as_str().expect("id"), a.id(number));
            prop_assert!(json["text"].as_str().expect("text").contains(&a.payload(number).token));
            prop_assert_ne!(template.text(&a, number + 1), text);
        }
    }

    #[test]
    fn shuffled_is_not_as_it_stands() {
        assert_ne!(drawn(feed(50), Order::Shuffled, 3, 0..50), (0..50).collect::<Vec<_>>());
        assert_ne!(
            drawn(feed(50), Order::Shuffled, 3, 0..50),
            drawn(feed(50), Order::Shuffled, 4, 0..50)
        );
    }

    #[test]
    fn values_may_be_quoted() {
        let row = |text: &str| values(7, text);
        assert_eq!(row(r#" a , "b, c" ,"say ""x""" "#).expect("row"), ["a", "b, c", "say \"x\""]);
        assert_eq!(row(r#""",b,"#).expect("row"), ["", "b", ""]);
        for wrong in [r#"a,"b"#, r#""a"b,c"#] {
            assert_eq!(row(wrong), Err(RequestError::Quote(7)), "{wrong}");
        }
    }

    #[test]
    fn what_can_not_be_filled_is_said() {
        let filling =
            Filling::new(1, Some(Feed::read("user,word\na,b\n").expect("feed")), Size::default());
        let refused =
            |text: &str| Template::parse(text, &filling).expect_err("refused").advice().text();
        assert!(
            refused("{feed.usr}").contains("line 1: there is no column \"usr\", only user, word")
        );
        assert!(refused("{what}").contains("{what} is no placeholder"));
        let without = Template::parse("{feed.user}", &Filling::new(1, None, Size::default()))
            .expect_err("refused")
            .advice()
            .text();
        assert!(without.contains("--feed"), "{without}");
        assert_eq!(Feed::read("a,b\n1\n"), Err(RequestError::Row { line: 2, seen: 1, wanted: 2 }));
        assert_eq!(Feed::read("a,b\n"), Err(RequestError::NoRows));
    }
}
