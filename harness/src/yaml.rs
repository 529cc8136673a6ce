//! Reading our own YAML files: typed, strict, with errors that name file, line and what to do.

mod error;
pub mod tree;

pub use error::{ConfigError, ConfigError as Error, nearest, suggest};

use crate::secret;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// An error about a place in a file: keys and list indices from the top, for example `["fault",
/// "kind"]`. It stands at the deepest of them that is there.
pub fn error_at(
    path: &Path,
    keys: &[&str],
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Error {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let node = tree::parse(path, &text).map_or(0, |root| root.at(keys).mark.line);
    // A file that holds what no tree can (`.nan`) is searched by its words.
    let by_words = || {
        text.lines()
            .position(|l| keys.last().is_some_and(|k| l.trim_start().starts_with(&format!("{k}:"))))
            .map_or(0, |at| at as u64 + 1)
    };
    let line = if node == 0 { by_words() } else { node };
    Error { file: path.into(), line, what: what.into(), hint: hint.into() }
}

/// Reads and parses one file.
///
/// # Errors
/// The file can't be read, is no YAML, or holds something else than is wanted; nothing unknown is
/// ignored.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::of(path, format!("can't be read: {e}"), "check the path and its permissions")
    })?;
    secret::learn_text(path, &text);
    parse(path, &text)
}

/// Parses the text of a file.
///
/// # Errors
/// It is no YAML, or holds something else than is wanted.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(0, |l| l.line());
        let written = usize::try_from(line)
            .ok()
            .and_then(|l| text.lines().nth(l.checked_sub(1)?))
            .unwrap_or_default();
        let (what, hint) = explain(error.without_snippet(), written.trim());
        Error { file: path.into(), line, what, hint }
    })
}

/// What the parser saw, in the user's words, and what to do. `written` is the line that it stopped
/// at.
fn explain(error: &serde_saphyr::Error, written: &str) -> (String, String) {
    use serde_saphyr::Error as Seen;
    let in_flow = written.contains('{') || written.contains('[');
    let quotes =
        "inside {…} and […], text with a comma, colon, bracket, # or quote must be in quotes";
    match error {
        Seen::SerdeUnknownField { field, expected, .. } => {
            let hint = match nearest(field, expected.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if in_flow
                    && field.contains(|c: char| !c.is_ascii_lowercase() && c != '_') =>
                {
                    quotes.into()
                }
                None => {
                    format!("the keys here are {}; nothing unknown is ignored", expected.join(", "))
                }
            };
            // Behind a comma within a value may stand the rest of a key.
            let rest =
                in_flow && !written.contains(&format!("{field}:")) && secret::holds_secret(written);
            (
                if rest {
                    "a part of a value is taken for a key".into()
                } else {
                    format!("unknown key `{field}`")
                },
                hint,
            )
        }
        Seen::SerdeUnknownVariant { variant, expected, .. } => {
            let known = expected.join(", ");
            let hint = nearest(variant, expected.iter().copied()).map_or_else(
                || format!("write one of {known}"),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("unknown value `{variant}`, wanted one of {known}"), hint)
        }
        Seen::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing"), format!("add `{field}:` here"))
        }
        other => {
            // The place is told by the line already; what was written there tells more than the
            // parser's words.
            let told = other.to_string();
            let told = told
                .split(" at line ")
                .next()
                .unwrap_or(&told)
                .lines()
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            let told = secret::shown_problem(written, &told);
            let shown: String = secret::shown_line(written).chars().take(100).collect();
            let hint = if in_flow {
                quotes
            } else {
                "check the value, the indentation, the quotes, and keys written twice"
            };
            (format!("{told}, seen `{shown}`"), hint.into())
        }
    }
}

/// The `.yaml` files of a folder, sorted; none if the folder does not exist.
///
/// # Errors
/// A folder that can't be listed.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |e: std::io::Error| {
        Error::of(
            folder,
            format!("can't be listed: {e}"),
            "it must be a folder that this user may read",
        )
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
