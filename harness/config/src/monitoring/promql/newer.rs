//! What servers read and the parser does not: written so that it does, or told apart from what
//! nobody reads.

use super::super::duration;
use super::grammar;
use std::sync::LazyLock;
use std::time::Duration;

/// A text as the parser knows it: numbers without underscores, durations worked out.
pub(super) fn readable(text: &str) -> std::borrow::Cow<'_, str> {
    static UNDERSCORES: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|[A-Za-z_:][A-Za-z0-9_:]*|[0-9][0-9_]*_[0-9_]*"#)
            .unwrap_or_else(|_| unreachable!("the expression is fixed"))
    });
    static PRODUCTS: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\[\s*([0-9a-z]+)\s*([*+/-])\s*([0-9a-z]+)\s*([:\]])"#)
            .unwrap_or_else(|_| unreachable!("the expression is fixed"))
    });
    if !text.contains(['_', '[']) {
        return text.into();
    }
    let plain = UNDERSCORES.replace_all(text, |found: &regex::Captures<'_>| {
        let word = &found[0];
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            word.replace('_', "")
        } else {
            word.to_owned()
        }
    });
    let worked = PRODUCTS.replace_all(&plain, |found: &regex::Captures<'_>| {
        if !found[0].starts_with('[') {
            return found[0].to_owned();
        }
        let seconds = |text: &str| {
            text.parse::<f64>()
                .ok()
                .or_else(|| duration::parse(text).ok().map(|time| time.as_secs_f64()))
        };
        let (Some(left), Some(right)) = (seconds(&found[1]), seconds(&found[3])) else {
            return found[0].to_owned();
        };
        let value = match &found[2] {
            "*" => left * right,
            "+" => left + right,
            "-" => left - right,
            _ => left / right,
        };
        match Duration::try_from_secs_f64(value) {
            Ok(time) if !time.is_zero() => format!("[{}{}", duration::format(time), &found[4]),
            _ => found[0].to_owned(),
        }
    });
    worked.into_owned().into()
}

/// Why a text that [`parse`] refuses is refused by servers too, or that only this program does not
/// know it.
pub fn refused(text: &str, told: &str) -> Refused {
    match grammar::read(text) {
        Err(unexpected) => Refused::Unexpected(unexpected),
        // What the grammar takes and the parser does not even divide into words is newer than it.
        Ok(_)
            if told.contains("invalid promql query")
                || told.contains("unexpected character")
                || told.contains("bad number")
                || told.contains("unknown function")
                || is_of_go(told) =>
        {
            Refused::BeyondUs
        }
        Ok(_) => Refused::Meaning,
    }
}

/// Whether a regular expression is refused that the servers take.
fn is_of_go(told: &str) -> bool {
    told.split_once("illegal regex for ")
        .is_some_and(|(_, pattern)| crate::monitoring::regex::check(pattern).is_ok())
}

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A token that can't stand where it stands.
    Unexpected(grammar::Unexpected),
    /// Its words are in order, and don't fit together.
    Meaning,
    /// Nothing is wrong with it as far as this program knows.
    BeyondUs,
}
