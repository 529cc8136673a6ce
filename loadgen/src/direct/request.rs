//! What is sent: the same bytes each time, or templates whose holes are filled by seed, number and
//! a feed of data.

use crate::payload::Size;
use crate::template::{Feed, Filling, RequestError, Template};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What each arrival sends.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    host: String,
    path: Template,
    headers: Vec<(String, Template)>,
    body: Option<Template>,
    filling: Filling,
    /// The bytes, if they are always the same.
    constant: Option<Vec<u8>>,
}

/// What a request consists of, as a user states it. Path, values of headers and body may hold
/// placeholders: see [`Template`].
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
    pub body: Option<String>,
    pub feed: Option<Feed>,
    /// Seed of ids, words and rows.
    pub seed: u64,
    /// Size of what `{body}` stands for.
    pub size: Size,
}

/// A header as a user states it, taken apart.
///
/// # Errors
/// It is not `Name: value`, or has a placeholder that nothing fills.
pub(crate) fn header(text: &str, filling: &Filling) -> Result<(String, Template), RequestError> {
    let wrong = || RequestError::Header(text.to_owned());
    let (name, value) = text.split_once(": ").ok_or_else(wrong)?;
    if name.is_empty()
        || text.contains(['\r', '\n'])
        || name.contains(|c: char| !c.is_ascii_graphic())
    {
        return Err(wrong());
    }
    Ok((name.to_owned(), Template::parse(value, filling)?))
}

impl Request {
    /// Makes requests of these parts.
    ///
    /// # Errors
    /// A placeholder that nothing fills, or a header that is none.
    pub fn new(parts: &Parts) -> Result<Request, RequestError> {
        let filling = Filling::new(parts.seed, parts.feed.clone(), parts.size);
        let mut request = Request {
            method: parts.method.clone(),
            host: parts.host.clone(),
            path: Template::parse(&parts.path, &filling)?,
            headers: parts
                .headers
                .iter()
                .map(|text| header(text, &filling))
                .collect::<Result<_, _>>()?,
            body: parts.body.as_deref().map(|b| Template::parse(b, &filling)).transpose()?,
            filling,
            constant: None,
        };
        let values = request.headers.iter().map(|(_, value)| value).chain(&request.body);
        if request.path.is_fixed() && values.into_iter().all(Template::is_fixed) {
            request.constant = Some(request.write(0));
        }
        Ok(request)
    }

    /// The bytes that every arrival sends, if they are the same.
    pub(super) fn constant(&self) -> Option<&[u8]> {
        self.constant.as_deref()
    }

    /// The method.
    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// `host:port`, as the user wrote it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The path that an arrival (from 0) asks for.
    pub(crate) fn path(&self, number: u64) -> String {
        self.path.text(&self.filling, number)
    }

    /// Its further headers.
    pub(crate) fn headers(&self, number: u64) -> impl Iterator<Item = (&str, String)> {
        self.headers
            .iter()
            .map(move |(name, value)| (name.as_str(), value.text(&self.filling, number)))
    }

    /// Its body.
    pub(crate) fn body(&self, number: u64) -> Option<String> {
        self.body.as_ref().map(|body| body.text(&self.filling, number))
    }

    /// The bytes that an arrival (from 0) sends over HTTP/1.1.
    pub fn write(&self, number: u64) -> Vec<u8> {
        let mut text = format!("{} ", self.method);
        self.path.fill(&self.filling, number, &mut text);
        let _ = write!(text, " HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in &self.headers {
            text.extend([name, ": "]);
            value.fill(&self.filling, number, &mut text);
            text.push_str("\r\n");
        }
        match self.body(number) {
            Some(body) => drop(write!(text, "Content-Length: {}\r\n\r\n{body}", body.len())),
            None => text.push_str("\r\n"),
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        Parts {
            method: "GET".into(),
            host: "127.0.0.1:80".into(),
            path: "/a".into(),
            seed: 3,
            ..Parts::default()
        }
    }

    #[test]
    fn the_same_is_sent_unless_it_has_holes() {
        let request = Request::new(&Parts { headers: vec!["Accept: x/y".into()], ..parts() })
            .expect("request");
        assert_eq!(
            request.constant(),
            Some(&b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAccept: x/y\r\n\r\n"[..])
        );
        let json = Parts {
            method: "POST".into(),
            body: Some(r#"{"q":{"id":"{id}"},"n":{n}}"#.into()),
            ..parts()
        };
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
        let request = Request::new(&Parts {
            path: "/{feed.user}?q={feed.word}".into(),
            feed: Some(feed),
            ..parts()
        })
        .expect("request");
        let line = |n| {
            String::from_utf8(request.write(n))
                .expect("text")
                .lines()
                .next()
                .expect("line")
                .to_owned()
        };
        let lines: std::collections::BTreeSet<String> = (0..100).map(line).collect();
        assert_eq!(
            lines.into_iter().collect::<Vec<_>>(),
            ["GET /alice?q=tea HTTP/1.1", "GET /bob?q=milk HTTP/1.1"]
        );
    }

    #[test]
    fn what_can_not_be_sent_is_said() {
        let hole = |path: &str| {
            Request::new(&Parts { path: path.into(), ..parts() }).expect_err("refused")
        };
        assert_eq!(hole("/{what}"), RequestError::Hole("what".into()));
        assert_eq!(hole("/{feed.user}"), RequestError::Hole("feed.user".into()));
        assert!(Request::new(&Parts { path: "/{{what}".into(), ..parts() }).is_ok());
        for header in ["Accept", "Acc ept: x", "A: b\r\nC: d", ": x"] {
            assert!(
                Request::new(&Parts { headers: vec![header.into()], ..parts() }).is_err(),
                "{header:?}"
            );
        }
    }
}
