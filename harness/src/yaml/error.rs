//! What is wrong with a file of the user's: file, line, what, and what to do.

use super::tree::Mark;
use crate::process::exit::Exit;
use crate::process::failure::UserError;
use std::path::{Path, PathBuf};
use strsim::levenshtein;

/// What is wrong with a file of the user's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", place(file, *line))]
pub struct ConfigError {
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
    pub fn at(mark: &Mark, what: impl Into<String>, hint: impl Into<String>) -> Self {
        ConfigError {
            file: mark.file.to_path_buf(),
            line: mark.line,
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// An error about a whole file.
    pub fn of(file: &Path, what: impl Into<String>, hint: impl Into<String>) -> Self {
        ConfigError { file: file.to_path_buf(), line: 0, what: what.into(), hint: hint.into() }
    }
}

impl UserError for ConfigError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        if self.hint.is_empty() { Vec::new() } else { vec![self.hint.clone()] }
    }
}

fn place(file: &Path, line: u64) -> String {
    if line == 0 { format!("{}: ", file.display()) } else { format!("{}:{line}: ", file.display()) }
}

/// The entry of `known` that is most like `word`, if any is like it: for "did you mean".
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean", or all that there is.
pub fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("the {what} are {}", known.join(", ")),
    }
}
