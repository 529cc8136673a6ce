//! Reading our own YAML files: typed, strict, with errors that name file, line and what to do.

use crate::compose::{nearest, tree};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

pub use crate::compose::ConfigError as Error;

/// An error about a place in a file: keys and list indices from the top, for example `["fault", "kind"]`. It stands at the
/// deepest of them that is there.
pub fn error_at(path: &Path, keys: &[&str], what: impl Into<String>, hint: impl Into<String>) -> Error {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = tree::parse(path, &text).map_or(0, |root| root.at(keys).mark.line);
    Error { file: path.into(), line, what: what.into(), hint: hint.into() }
}

/// Reads and parses one file.
///
/// # Errors
/// The file can't be read, is no YAML, or holds something else than is wanted; nothing unknown is ignored.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::of(path, format!("can't be read: {e}"), "check the path and its permissions"))?;
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
        let seen = error.without_snippet().to_string();
        let written = usize::try_from(line).ok().and_then(|l| text.lines().nth(l.checked_sub(1)?)).unwrap_or_default();
        let (what, hint) = explain(&seen, written);
        Error { file: path.into(), line, what, hint }
    })
}

/// What the parser saw, in the user's words, and what to do. `written` is the line that it stopped at.
fn explain(seen: &str, written: &str) -> (String, String) {
    // "line 3, column 5: unknown field ..." : the line is named already.
    let seen = seen.strip_prefix("error: ").unwrap_or(seen);
    let seen = match seen.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") || place.starts_with("error at line ") => rest,
        _ => seen,
    };
    let seen = seen.split(" at line ").next().unwrap_or(seen).lines().next().unwrap_or_default().trim();
    // "unknown field `x`, expected one of `a`, `b`" names all that would do.
    let words: Vec<&str> = seen.split('`').skip(1).step_by(2).collect();
    let (word, known) = words.split_first().map_or(("", &[][..]), |(w, k)| (*w, k));
    let near = nearest(word, known.iter().copied());
    let flow = written.contains('{') || written.contains('[');
    let quotes = "inside {…} and […], text with a comma, colon, bracket, # or quote must be in quotes";
    if seen.contains("unknown field") {
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if flow && word.contains(|c: char| !c.is_ascii_lowercase() && c != '_') => quotes.into(),
            None => format!("the keys here are {}; nothing unknown is ignored", known.join(", ")),
        };
        (format!("unknown key `{word}`"), hint)
    } else if seen.contains("unknown variant") {
        let hint = near.map_or_else(|| format!("write one of {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        (format!("unknown value `{word}`, wanted one of {}", known.join(", ")), hint)
    } else if seen.contains("missing field") {
        (format!("the key `{word}` is missing"), format!("add `{word}:` here"))
    } else if flow {
        (seen.to_owned(), quotes.into())
    } else {
        (seen.to_owned(), "check the indentation, the quotes, and keys written twice".into())
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
    let unreadable = |e: std::io::Error| Error::of(folder, format!("can't be listed: {e}"), "it must be a folder that this user may read");
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
