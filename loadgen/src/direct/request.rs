//! What is sent: the same bytes each time, or a template whose holes are filled by seed, number and a feed of data.

use crate::draw::{Draw, digest};
use crate::id::Ids;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use thiserror::Error;

/// Rows of data for a template: the first line names the columns, each following one is a row; commas separate, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A request that can't be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A hole that nothing fills.
    #[error(
        "{{{0}}} is no placeholder\nhint: {{id}}, {{n}}, {{subject}}, {{token}}, or {{feed.COLUMN}} with --feed FILE; write {{{{ for a brace"
    )]
    Hole(String),
    /// A header that is not `Name: value`.
    #[error("header {0:?} is not written \"Name: value\", in one line\nhint: as in --header \"Accept: text/html\"")]
    Header(String),
    /// A row of a feed.
    #[error("line {line}: seen {seen} values, wanted {wanted}, one for each column of the first line")]
    Row {
        /// Line, from 1.
        line: usize,
        /// Values in it.
        seen: usize,
        /// Columns.
        wanted: usize,
    },
    /// A feed without rows.
    #[error("it has no row\nhint: the first line names the columns, each following line is a row, with commas between")]
    NoRows,
}

impl Feed {
    /// Reads a feed.
    ///
    /// # Errors
    /// It has no row, or one with more or less values than there are columns.
    pub fn read(text: &str) -> Result<Feed, RequestError> {
        let split = |line: &str| line.split(',').map(|v| v.trim().to_owned()).collect::<Vec<_>>();
        let mut lines = text.lines().enumerate().map(|(n, l)| (n + 1, l)).filter(|(_, l)| !l.trim().is_empty());
        let columns = lines.next().map(|(_, l)| split(l)).ok_or(RequestError::NoRows)?;
        let mut rows = Vec::new();
        for (line, text) in lines {
            let row = split(text);
            if row.len() != columns.len() {
                return Err(RequestError::Row { line, seen: row.len(), wanted: columns.len() });
            }
            rows.push(row);
        }
        if rows.is_empty() { Err(RequestError::NoRows) } else { Ok(Feed { columns, rows }) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Id,
    Number,
    Subject,
    Token,
    Column(usize),
}

/// A text with holes.
#[derive(Debug, Clone)]
struct Template(Vec<Piece>);

impl Template {
    fn parse(text: &str, feed: Option<&Feed>) -> Result<Template, RequestError> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('{') {
                plain.push('{');
                rest = after;
                continue;
            }
            // JSON has braces of its own: only a word is a placeholder.
            let Some(end) = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')) else {
                plain.push('{');
                continue;
            };
            if end == 0 || !rest[end..].starts_with('}') {
                plain.push('{');
                continue;
            }
            let word = &rest[..end];
            let hole = || RequestError::Hole(word.to_owned());
            let piece = match word {
                "id" => Piece::Id,
                "n" => Piece::Number,
                "subject" => Piece::Subject,
                "token" => Piece::Token,
                _ => {
                    let column = word.strip_prefix("feed.").ok_or_else(hole)?;
                    Piece::Column(feed.and_then(|f| f.columns.iter().position(|c| c == column)).ok_or_else(hole)?)
                }
            };
            pieces.extend([Piece::Text(std::mem::take(&mut plain)), piece]);
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Template(pieces.into_iter().filter(|p| *p != Piece::Text(String::new())).collect()))
    }

    fn fill(&self, request: &Request, number: u64, into: &mut String) {
        let id = || request.ids.of(number, 0);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => into.push_str(text),
                Piece::Id => into.push_str(&id()),
                Piece::Number => drop(write!(into, "{number}")),
                Piece::Subject => into.push_str(&crate::payload::payload(request.seed, &id()).subject),
                Piece::Token => into.push_str(&crate::payload::token(request.seed, &id())),
                Piece::Column(column) => {
                    if let Some(feed) = &request.feed {
                        // Drawn and not in turn, so that several loads with seeds of their own don't ask for the same.
                        let row = Draw::new(request.seed ^ digest("feed"), number).below(feed.rows.len());
                        into.push_str(&feed.rows[row][*column]);
                    }
                }
            }
        }
    }
}

/// What each arrival sends.
#[derive(Debug, Clone)]
pub struct Request {
    head: Template,
    body: Option<Template>,
    feed: Option<Feed>,
    ids: Ids,
    seed: u64,
    /// The bytes, if they are always the same.
    constant: Option<Vec<u8>>,
}

/// What a request consists of, as a user states it. Path, values of headers and body may hold placeholders: `{id}` is the
/// operation's id, `{n}` its number, `{subject}` and `{token}` words that follow from seed and id, `{feed.COLUMN}` a value of a
/// row drawn from the feed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// `GET`, `POST` …
    pub method: String,
    /// `host:port` for the header `Host`.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Further headers, each `Name: value`.
    pub headers: Vec<String>,
    /// Body.
    pub body: Option<String>,
    /// Data.
    pub feed: Option<Feed>,
    /// Seed of ids, words and rows.
    pub seed: u64,
}

impl Request {
    /// Makes requests of these parts.
    ///
    /// # Errors
    /// A placeholder that nothing fills, or a header that is none.
    pub fn new(parts: &Parts) -> Result<Request, RequestError> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", parts.method, parts.path, parts.host);
        for header in &parts.headers {
            let wrong = || RequestError::Header(header.clone());
            let (name, _) = header.split_once(": ").ok_or_else(wrong)?;
            if name.is_empty() || header.contains(['\r', '\n']) || name.contains(|c: char| !c.is_ascii_graphic()) {
                return Err(wrong());
            }
            head.push_str(header);
            head.push_str("\r\n");
        }
        let mut request = Request {
            head: Template::parse(&head, parts.feed.as_ref())?,
            body: parts.body.as_deref().map(|b| Template::parse(b, parts.feed.as_ref())).transpose()?,
            feed: parts.feed.clone(),
            ids: Ids::new(parts.seed, "url"),
            seed: parts.seed,
            constant: None,
        };
        let fixed = |t: &Template| t.0.iter().all(|p| matches!(p, Piece::Text(_)));
        if fixed(&request.head) && request.body.as_ref().is_none_or(fixed) {
            request.constant = Some(request.write(0));
        }
        Ok(request)
    }

    /// The bytes that every arrival sends, if they are the same.
    pub(super) fn constant(&self) -> Option<&[u8]> {
        self.constant.as_deref()
    }

    /// The bytes that an arrival (from 0) sends.
    pub fn write(&self, number: u64) -> Vec<u8> {
        let mut text = String::new();
        self.head.fill(self, number, &mut text);
        match &self.body {
            Some(template) => {
                let mut body = String::new();
                template.fill(self, number, &mut body);
                let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
            }
            None => text.push_str("\r\n"),
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        Parts { method: "GET".into(), host: "127.0.0.1:80".into(), path: "/a".into(), seed: 3, ..Parts::default() }
    }

    #[test]
    fn the_same_is_sent_unless_it_has_holes() {
        let request = Request::new(&Parts { headers: vec!["Accept: x/y".into()], ..parts() }).expect("request");
        assert_eq!(request.constant(), Some(&b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAccept: x/y\r\n\r\n"[..]));
        let json = Parts { method: "POST".into(), body: Some(r#"{"q":{"id":"{id}"},"n":{n}}"#.into()), ..parts() };
        let request = Request::new(&json).expect("request");
        assert!(request.constant().is_none());
        let text = |n| String::from_utf8(request.write(n)).expect("text");
        let body = text(7).split_once("\r\n\r\n").expect("body").1.to_owned();
        assert!(body.starts_with(r#"{"q":{"id":""#) && body.ends_with(r#""},"n":7}"#), "{body}");
        assert!(text(7).contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(text(7) == text(7) && text(7) != text(8));
    }

    #[test]
    fn rows_are_drawn_from_a_feed() {
        let feed = Feed::read("user, word\nalice, tea\nbob, milk\n").expect("feed");
        let request = Request::new(&Parts { path: "/{feed.user}?q={feed.word}".into(), feed: Some(feed), ..parts() }).expect("request");
        let line = |n| String::from_utf8(request.write(n)).expect("text").lines().next().expect("line").to_owned();
        let lines: std::collections::BTreeSet<String> = (0..100).map(line).collect();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), ["GET /alice?q=tea HTTP/1.1", "GET /bob?q=milk HTTP/1.1"]);
    }

    #[test]
    fn what_can_not_be_sent_is_said() {
        let hole = |path: &str| Request::new(&Parts { path: path.into(), ..parts() }).expect_err("refused");
        assert_eq!(hole("/{what}"), RequestError::Hole("what".into()));
        assert_eq!(hole("/{feed.user}"), RequestError::Hole("feed.user".into()));
        assert!(Request::new(&Parts { path: "/{{what}".into(), ..parts() }).is_ok());
        for header in ["Accept", "Acc ept: x", "A: b\r\nC: d", ": x"] {
            assert!(Request::new(&Parts { headers: vec![header.into()], ..parts() }).is_err(), "{header:?}");
        }
        assert_eq!(Feed::read("a,b\n1\n"), Err(RequestError::Row { line: 2, seen: 1, wanted: 2 }));
        assert_eq!(Feed::read("a,b\n"), Err(RequestError::NoRows));
    }
}
