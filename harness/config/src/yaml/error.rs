//! What is said when a file can't be used: file, line, what was seen, and what to do.

use super::tree::Mark;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a configuration file: what a reader needs to find it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as it was given to the loader.
    pub file: PathBuf,
    /// Line, counted from 1; 0 when the value is not written in the file (a default, or added by
    /// scaling).
    pub line: u64,
    /// Column, counted from 1; 0 if unknown.
    #[serde(skip)]
    pub column: u64,
    /// Path of keys, as `groups[0].rules[3].expr`.
    pub key: String,
}

impl Place {
    /// A line of a file, its column unknown.
    pub fn new(file: &Path, line: u64, key: impl Into<String>) -> Place {
        Place { file: file.to_owned(), line, column: 0, key: key.into() }
    }

    /// A file as a whole.
    pub fn of(file: &Path) -> Place {
        Place::new(file, 0, "")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if self.key.is_empty() { Ok(()) } else { write!(out, ": {}", self.key) }
    }
}

/// A configuration that can't be used.
///
/// The text is a lowercase fragment that starts with file, line and key, says what was seen and
/// wanted, and ends with a `hint:` line where there is something to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}{}", hint_line(.hint))]
pub struct ConfigError {
    /// The place that it is about.
    pub place: Place,
    /// What was seen and what was wanted.
    pub problem: String,
    /// What to try; empty if nothing is known.
    pub hint: String,
    /// Whether its server may well take it: it is only more than this program understands.
    pub beyond_us: bool,
}

fn hint_line(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") }
}

impl ConfigError {
    /// An error at `place`.
    pub fn new(place: Place, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        let (problem, hint) = (problem.into(), hint.into());
        ConfigError { place, problem, hint, beyond_us: false }
    }

    /// An error at a mark.
    pub fn at(mark: &Mark, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        ConfigError::new(Place::new(&mark.file, mark.line, ""), problem, hint)
    }

    /// An error about a file as a whole.
    pub fn of(file: &Path, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        ConfigError::new(Place::of(file), problem, hint)
    }
}
