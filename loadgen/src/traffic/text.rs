//! Texts of journeys, with holes that each walk fills anew.

use super::Mistake;
use crate::template::{Part, parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What may stand in a path and in a query's value as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The holes, for messages.
pub(super) const HOLES: &str = "{id}, {n}, {subject}, {token}, {body}, {word}, {hex8}, {hex16}, {user.KEY}, {other.KEY}, {kept.NAME}, {session.NAME}, {drawn.NAME} and {recent.JOURNEY.token}; write {{ for a brace";

/// What fills a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hole {
    /// The operation's id.
    Id,
    /// The arrival's number.
    Number,
    Subject,
    Token,
    Body,
    /// A word that many payloads contain; the first of them is drawn two times in five.
    Word,
    /// So many hexadecimal digits that nobody else draws.
    Hex(usize),
    /// What is stated of the user who walks.
    User(String),
    /// The same of another one.
    Other(String),
    /// What an earlier step kept.
    Kept(String),
    /// What a step of the session kept.
    Session(String),
    /// What was drawn for this walk.
    Drawn(String),
    /// What the first step of a recent walk of this journey carried.
    Recent(String, Carried),
}

/// A part of what an operation carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Id,
    Subject,
    Token,
}

impl Hole {
    fn read(word: &str) -> Option<Hole> {
        let fixed = match word {
            "id" => Hole::Id,
            "n" => Hole::Number,
            "subject" => Hole::Subject,
            "token" => Hole::Token,
            "body" => Hole::Body,
            "word" => Hole::Word,
            "hex8" => Hole::Hex(8),
            "hex16" => Hole::Hex(16),
            _ => {
                let (of, name) = word.split_once('.').filter(|(_, name)| !name.is_empty())?;
                let name = || name.to_owned();
                match of {
                    "user" => Hole::User(name()),
                    "other" => Hole::Other(name()),
                    "kept" => Hole::Kept(name()),
                    "session" => Hole::Session(name()),
                    "drawn" => Hole::Drawn(name()),
                    "recent" => {
                        let (journey, carried) = word["recent.".len()..].rsplit_once('.')?;
                        let carried = match carried {
                            "id" => Carried::Id,
                            "subject" => Carried::Subject,
                            "token" => Carried::Token,
                            _ => return None,
                        };
                        Hole::Recent(journey.to_owned(), carried)
                    }
                    _ => return None,
                }
            }
        };
        Some(fixed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Hole(Hole),
}

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(Vec<Piece>);

/// Whoever knows what fills a hole. `None` says that it can't be filled in this walk.
pub(crate) trait Fills {
    fn fill(&mut self, hole: &Hole) -> Option<Value>;
}

/// A text as a part of an address or a form.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A value as text.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Text {
    /// Reads a text.
    pub(crate) fn read(text: &str) -> Result<Text, Mistake> {
        let piece = |part| match part {
            Part::Plain(plain) => Ok(Piece::Plain(plain)),
            Part::Brace => Err(Mistake::new(
                format!("{text:?} has a brace that begins no hole"),
                format!("write {{{{ for a brace; the holes are {HOLES}"),
            )),
            Part::Word(word) => Hole::read(word).map(Piece::Hole).ok_or_else(|| {
                Mistake::new(
                    format!("{{{word}}} is nothing that a template can be filled with"),
                    format!("the holes are {HOLES}"),
                )
            }),
        };
        parts(text).into_iter().map(piece).collect::<Result<_, _>>().map(Text)
    }

    /// Its holes.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Plain(_) => None,
        })
    }

    /// Whether it speaks of what signing in kept.
    pub(super) fn is_of_session(&self) -> bool {
        self.holes().any(|hole| matches!(hole, Hole::Session(_)))
    }

    /// Its text with something harmless in each hole.
    pub(super) fn sample(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Plain(text) => text.clone(),
            Piece::Hole(_) => "x".to_owned(),
        };
        self.0.iter().map(piece).collect()
    }

    /// Its text for a walk; none if a hole can't be filled.
    pub(crate) fn fill(&self, with: &mut dyn Fills) -> Option<String> {
        self.each(with, |value| text_of(&value))
    }

    /// The same as a part of an address: what is filled in can't change what the address means.
    pub(crate) fn fill_address(&self, with: &mut dyn Fills) -> Option<String> {
        self.each(with, |value| encoded(&text_of(&value)))
    }

    fn each(&self, with: &mut dyn Fills, written: impl Fn(Value) -> String) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => filled.push_str(text),
                Piece::Hole(hole) => filled.push_str(&written(with.fill(hole)?)),
            }
        }
        Some(filled)
    }

    /// Its value: that of a text which is nothing but one hole is what fills it, be it a number.
    fn value(&self, with: &mut dyn Fills) -> Option<Value> {
        match self.0.as_slice() {
            [Piece::Hole(hole)] => with.fill(hole),
            _ => self.fill(with).map(Value::String),
        }
    }
}

/// JSON whose texts have holes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Text(Text),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
    Fixed(Value),
}

impl Json {
    /// Reads JSON; a mistake is told with the keys that lead to it.
    pub(crate) fn read(value: &Value) -> Result<Json, Mistake> {
        Ok(match value {
            Value::String(text) => Json::Text(Text::read(text)?),
            Value::Array(items) => Json::List(
                (items.iter().enumerate())
                    .map(|(at, item)| Json::read(item).map_err(|m| m.below(&at.to_string())))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => Json::Map(
                (fields.iter())
                    .map(|(key, item)| {
                        Ok((key.clone(), Json::read(item).map_err(|m| m.below(key))?))
                    })
                    .collect::<Result<_, Mistake>>()?,
            ),
            fixed => Json::Fixed(fixed.clone()),
        })
    }

    /// Hands on each of its texts, with the keys that lead there.
    pub(crate) fn texts<'t>(
        &'t self,
        keys: &mut Vec<String>,
        each: &mut dyn FnMut(&[String], &'t Text),
    ) {
        match self {
            Json::Text(text) => each(keys, text),
            Json::Fixed(_) => {}
            Json::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    keys.push(at.to_string());
                    item.texts(keys, each);
                    keys.pop();
                }
            }
            Json::Map(fields) => {
                for (key, item) in fields {
                    keys.push(key.clone());
                    item.texts(keys, each);
                    keys.pop();
                }
            }
        }
    }

    /// Whether it speaks of a recent walk.
    pub(crate) fn looks_back(&self) -> bool {
        let mut found = false;
        self.texts(&mut Vec::new(), &mut |_, text| {
            found |= text.holes().any(|hole| matches!(hole, Hole::Recent(..)));
        });
        found
    }

    /// Its value for a walk; none if a hole can't be filled.
    pub(crate) fn fill(&self, with: &mut dyn Fills) -> Option<Value> {
        Some(match self {
            Json::Text(text) => text.value(with)?,
            Json::Fixed(value) => value.clone(),
            Json::List(items) => {
                Value::Array(items.iter().map(|i| i.fill(with)).collect::<Option<_>>()?)
            }
            Json::Map(fields) => {
                let mut filled = serde_json::Map::with_capacity(fields.len());
                for (key, item) in fields {
                    filled.insert(key.clone(), item.fill(with)?);
                }
                Value::Object(filled)
            }
        })
    }
}
