//! Keys, tokens, passwords and webhook paths in configuration: where they stand, and what may be
//! shown instead. Nothing is remembered here; whoever reads files learns what they hold.

pub mod collect;
pub mod scrub;
pub mod words;

pub use collect::{holds_secret, shown_line, shown_problem};

use scrub::Scrubber;
use std::borrow::Cow;

/// What may be shown of a value whose field is known.
pub fn shown(field: &str, value: &str) -> String {
    if words::is_secret(field) { scrub::mask(field, value) } else { shown_line(value) }
}

/// A text without keys that are known by their form.
fn scrub(text: &str) -> Cow<'_, str> {
    match Scrubber::default().scrub(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(changed) => Cow::Owned(changed),
    }
}
