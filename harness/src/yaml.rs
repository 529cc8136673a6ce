//! YAML files as this process reads them: from disk, as types or as a tree, with errors that name
//! file, line and what to do and show none of the secrets that were learned. The tree is
//! [`config::yaml`].

pub use config::nearest::{nearest, suggest};

use crate::secret;
use config::yaml::{ConfigError, Mark, Node};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// An error about a place in a file: keys and list indices from the top, for example `["fault",
/// "kind"]`. It stands at the deepest of them that is there.
pub fn error_at(
    path: &Path,
    keys: &[&str],
    what: impl Into<String>,
    hint: impl Into<String>,
) -> ConfigError {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    error_in(path, &text, keys, what, hint)
}

/// The same, of a file whose text is at hand.
pub fn error_in(
    path: &Path,
    text: &str,
    keys: &[&str],
    what: impl Into<String>,
    hint: impl Into<String>,
) -> ConfigError {
    let node = tree(path, text).map_or(0, |root| root.deepest(keys).mark.line);
    // A file that holds what no tree can (`.nan`) is searched by its words.
    let by_words = || {
        text.lines()
            .position(|l| keys.last().is_some_and(|k| l.trim_start().starts_with(&format!("{k}:"))))
            .map_or(0, |at| at as u64 + 1)
    };
    let line = if node == 0 { by_words() } else { node };
    ConfigError::at(&Mark { file: path.into(), line }, what, hint)
}

/// Reads and parses one file.
///
/// # Errors
/// The file can't be read, is no YAML, or holds something else than is wanted; nothing unknown is
/// ignored.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    parse(path, &text(path)?)
}

/// Reads the text of one file, and learns the secrets in it.
///
/// # Errors
/// The file can't be read.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        ConfigError::of(path, format!("can't be read: {e}"), "check the path and its permissions")
    })?;
    secret::learn_text(path, &text);
    Ok(text)
}

/// Parses the text of a file.
///
/// # Errors
/// It is no YAML, or holds something else than is wanted.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(0, |l| l.line());
        let written = usize::try_from(line)
            .ok()
            .and_then(|l| text.lines().nth(l.checked_sub(1)?))
            .unwrap_or_default();
        let (what, hint) = explain(error.without_snippet(), written.trim());
        ConfigError::at(&Mark { file: path.into(), line }, what, hint)
    })
}

/// Reads the text of a file as a tree. An empty file is an empty mapping.
///
/// # Errors
/// [`ConfigError`] with the line when it is no YAML, names a key twice, or nests too deeply.
pub fn tree(file: &Path, text: &str) -> Result<Node, ConfigError> {
    let root = config::yaml::read(file, text).map_err(|unreadable| {
        // The place is told in front.
        let told = match unreadable.told.rfind(" at line ") {
            Some(at) => &unreadable.told[..at],
            None => &unreadable.told,
        };
        ConfigError::at(
            &Mark { file: file.into(), line: unreadable.line },
            format!("not readable as YAML: {}", secret::shown_problem(&unreadable.written, told)),
            "check indentation, quotes and keys written twice",
        )
    })?;
    Ok(root.unwrap_or_else(|| Node::map().standing_at(&Mark { file: file.into(), line: 1 })))
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
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |e: std::io::Error| {
        ConfigError::of(
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
