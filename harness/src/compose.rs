//! Compose files, read into a typed model. What is not supported is refused by file, line and key, never ignored.
//!
//! [`tree`] reads YAML and keeps line marks, [`interpolate`] fills in variables as Compose does, [`load`] follows
//! `include` and `extends`, [`service`] and [`model`] turn the tree into types, [`quantity`] reads durations, sizes and
//! command lines.

pub mod dotenv;
mod fields;
pub mod interpolate;
pub mod load;
mod merge;
pub mod model;
mod paths;
pub mod quantity;
mod references;
mod service;
#[cfg(test)]
mod tests;
pub mod tree;

pub use load::{Source, load};
pub use model::*;
pub use paths::absolute;

pub(crate) use paths::is_bind;

use crate::exit::Exit;
use std::path::{Path, PathBuf};

/// What is wrong with a file of the user's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}{}", place(file, *line), if hint.is_empty() { String::new() } else { format!("\nhint: {hint}") })]
pub struct ConfigError {
    /// File.
    pub file: PathBuf,
    /// Line, from 1; 0 if the whole file is meant.
    pub line: u64,
    /// What is wrong, naming the key, what was seen and what was wanted.
    pub what: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl ConfigError {
    /// An error at a mark.
    pub fn at(mark: &tree::Mark, what: impl Into<String>, hint: impl Into<String>) -> Self {
        ConfigError { file: mark.file.to_path_buf(), line: mark.line, what: what.into(), hint: hint.into() }
    }

    /// An error about a whole file.
    pub fn of(file: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        ConfigError { file: file.to_path_buf(), line: 0, what: what.into(), hint: hint.into() }
    }

    /// How the process ends if nobody handles it.
    pub fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn place(file: &Path, line: u64) -> String {
    if line == 0 { format!("{}: ", file.display()) } else { format!("{}:{line}: ", file.display()) }
}

/// The entry of `known` that is most like `word`, if any is like it: for "did you mean".
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Number of characters to insert, delete or replace to turn one word into the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
