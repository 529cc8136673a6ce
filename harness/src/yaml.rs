//! Reading our own YAML files: typed, strict, with errors that name file, line and what to do.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A file of the user's that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read.
    #[error("{path}: {source}\nhint: {hint}")]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
        /// What to do.
        hint: String,
    },
    /// It is not what is wanted here.
    #[error("{path}:{line}: {what}\nhint: {hint}")]
    Content {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong: subject, seen, wanted.
        what: String,
        /// What to do.
        hint: String,
    },
}

impl Error {
    /// An error about the first line of `path` that holds `key:`.
    pub fn content(path: &Path, key: &str, what: impl Into<String>, hint: impl Into<String>) -> Error {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().position(|l| l.trim_start().trim_start_matches("- ").starts_with(&format!("{key}:"))).map_or(1, |i| i as u64 + 1);
        Error::Content { path: path.into(), line, what: what.into(), hint: hint.into() }
    }
}

/// Reads and parses one file.
///
/// # Errors
/// See [`Error`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable { path: path.into(), source, hint: "check the path and its permissions".into() })?;
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options).map_err(|e| {
        let line = e.location().map_or(1, |l| l.line() as u64);
        let full = e.to_string();
        let what = full.lines().map(|l| l.trim_start_matches("error: ")).find(|l| !l.trim().is_empty()).unwrap_or("not valid YAML").to_owned();
        let hint = if what.contains("unknown field") { "correct the key, or remove it: nothing unknown is ignored" } else { "see the example of this file in the README" };
        Error::Content { path: path.into(), line, what, hint: hint.into() }
    })
}

/// The `.yaml` files of a folder, sorted; none if the folder does not exist.
///
/// # Errors
/// A folder that can't be listed.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |source| Error::Unreadable { path: folder.into(), source, hint: "check the folder's permissions".into() };
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
