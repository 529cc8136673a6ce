//! What an operation carries: a function of seed and id, so that whoever knows both knows what must
//! have been stored.

use crate::advice::Advice;
use crate::draw::{Draw, digest};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Length of a token: no body is shorter.
const TOKEN: usize = 18;
/// Longest body that can be asked for.
const LONGEST: usize = 10_000_000;

/// Words that subjects and bodies are made of. A search for one finds many mails.
pub const WORDS: [&str; 64] = [
    "account", "agenda", "answer", "april", "archive", "autumn", "balance", "bridge", "budget",
    "calendar", "candle", "change", "coffee", "contract", "corner", "customer", "delivery",
    "detail", "dinner", "document", "draft", "estimate", "evening", "family", "figure", "forest",
    "garden", "holiday", "invoice", "journey", "kitchen", "launch", "letter", "library", "market",
    "meeting", "minutes", "morning", "notes", "number", "office", "order", "paper", "parcel",
    "picture", "planet", "project", "question", "reminder", "report", "review", "river",
    "schedule", "season", "station", "summary", "supper", "ticket", "travel", "update", "village",
    "visit", "weather", "winter",
];

/// The text of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Subject, one line; ends with the token.
    pub subject: String,
    /// Body, lines of at most 72 characters; contains the token. See [`Size`].
    pub body: String,
    /// A word that no other mail contains: a search for it finds this one. Lower-case letters only,
    /// so that every kind of text index takes it for one word.
    pub token: String,
}

/// The word that only the mail with this id contains.
pub fn token(seed: u64, id: &str) -> String {
    let mut draw = Draw::new(seed, digest(id) ^ 0x746f_6b65_6e00_0000);
    let mut left = (u128::from(draw.bits()) << 64) | u128::from(draw.bits());
    let mut token = String::from("zq");
    for _ in 0..16 {
        token.push(char::from(b'a' + (left % 26) as u8));
        left /= 26;
    }
    token
}

/// How many characters the body of a payload has. Sizes are drawn so that many are short and a few
/// long, as mail is: half of all are within the first eighth of the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    least: usize,
    most: usize,
}

impl Default for Size {
    fn default() -> Size {
        Size { least: 200, most: 2000 }
    }
}

impl FromStr for Size {
    type Err = Advice;

    /// Reads `100..2000`, or one number for bodies of one size.
    fn from_str(text: &str) -> Result<Size, Advice> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        match (least.parse(), most.parse()) {
            (Ok(least), Ok(most)) if TOKEN <= least && least <= most && most <= LONGEST => {
                Ok(Size { least, most })
            }
            _ => Err(Advice::new(
                format!("wanted a number of characters from {TOKEN} to {LONGEST}, or two of them"),
                "as in 100..2000",
            )),
        }
    }
}

/// What the operation with this id sends, in the sizes that mail has.
pub fn payload(seed: u64, id: &str) -> Payload {
    payload_of(seed, id, Size::default())
}

/// What the operation with this id sends. Its body is at most one word shorter than the size that
/// was drawn for it.
pub fn payload_of(seed: u64, id: &str, size: Size) -> Payload {
    let mut draw = Draw::new(seed, digest(id));
    let token = token(seed, id);
    let mut word = || WORDS[draw.below(WORDS.len())];
    let subject = format!("{} {} {token}", word(), word());
    let mut draw = Draw::new(seed, digest(id) ^ 0x626f_6479);
    let wanted = size.least + ((size.most - size.least) as f64 * draw.unit().powi(3)) as usize;
    let (mut body, mut line) = (String::with_capacity(wanted + 16), 0);
    // Among the first words, and so early that it has room.
    let at = draw.below(((wanted - TOKEN) / 9).clamp(1, 20));
    for n in 0.. {
        let word = if n == at { token.as_str() } else { WORDS[draw.below(WORDS.len())] };
        if n > at && body.len() + word.len() + 1 > wanted {
            break;
        }
        if line + word.len() + 1 > 72 {
            body.push('\n');
            line = 0;
        } else if line > 0 {
            body.push(' ');
            line += 1;
        }
        body.push_str(word);
        line += word.len();
    }
    Payload { subject, body, token }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn a_payload_follows_from_seed_and_id(seed: u64, id in "[0-9a-f]{32}") {
            prop_assert_eq!(payload(seed, &id), payload(seed, &id));
            prop_assert_ne!(payload(seed, &id).body, payload(seed ^ 1, &id).body);
        }

        #[test]
        fn a_body_has_the_size_that_was_asked_for(seed: u64, id in "[0-9a-f]{32}", least in TOKEN..3000, more in 0usize..3000) {
            let size = Size { least, most: least + more };
            let p = payload_of(seed, &id, size);
            prop_assert!((least - 9..=least + more).contains(&p.body.len()), "{size:?}: {}", p.body.len());
            prop_assert!(p.body.split_whitespace().any(|w| w == p.token));
            prop_assert_eq!(p, payload_of(seed, &id, size));
        }

        #[test]
        fn it_is_mail_that_can_be_found(seed: u64, id in "[0-9a-f]{32}") {
            let p = payload(seed, &id);
            let words: Vec<&str> = p.body.split_whitespace().collect();
            prop_assert_eq!(words.iter().filter(|w| **w == p.token).count(), 1);
            prop_assert!(p.subject.ends_with(&p.token) && !p.subject.contains('\n'));
            prop_assert!(p.token.bytes().all(|b| b.is_ascii_lowercase()) && !WORDS.contains(&p.token.as_str()));
            prop_assert!(p.body.lines().all(|l| l.len() <= 72 && !l.is_empty() && !l.starts_with('.')));
            prop_assert!((150..=2000).contains(&p.body.len()), "{} characters", p.body.len());
            prop_assert_eq!(&p.token, &token(seed, &id));
        }
    }

    #[test]
    fn sizes_are_read_or_refused() {
        assert_eq!("100..2000".parse(), Ok(Size { least: 100, most: 2000 }));
        assert_eq!("64".parse(), Ok(Size { least: 64, most: 64 }));
        for text in ["", "5", "200..100", "a..b", "100..", "20..100000000"] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn tokens_do_not_repeat() {
        let ids = crate::id::Ids::new(1, "background");
        let tokens: HashSet<String> = (0..50_000).map(|n| token(1, &ids.of(n, 0))).collect();
        assert_eq!(tokens.len(), 50_000);
    }
}
