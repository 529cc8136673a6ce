//! Acknowledged operations have their line, in the right index, with the right fields and types.

use super::Checker;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Each acknowledged operation of the journeys has exactly one line of this source, in the index of its day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinesStored {
    /// Source, for the id and the sentence.
    pub source: String,
    /// Index prefix before the date, for example `logs-email-service-`; the date follows as `YYYY.MM.dd` (UTC, of the line's own timestamp).
    pub index_prefix: String,
    /// Field that holds the operation's id.
    pub id_field: String,
    /// Field and value that select the lines which answer for an operation (for example `event` = `request`).
    pub select: BTreeMap<String, String>,
    /// Steps of journeys (`journey/step`) that must lead to such a line.
    pub steps: Vec<String>,
    /// Fields that each such line must have.
    pub required_fields: Vec<String>,
    /// Least number of operations for a verdict.
    pub least: u64,
}

/// The indices map each declared field to its declared type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldsTyped {
    /// Index prefix.
    pub index_prefix: String,
    /// Source, for the id.
    pub source: String,
    /// Dotted field to type. A field that no document has yet may be missing from the mapping only if `optional` lists it.
    pub types: BTreeMap<String, String>,
    /// Fields that need not be there.
    pub optional: Vec<String>,
}

impl Checker for LinesStored {
    fn id(&self) -> String { String::from("LinesStored") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}

impl Checker for FieldsTyped {
    fn id(&self) -> String { String::from("FieldsTyped") }
    fn expected(&self) -> String { String::from("not written yet") }
    fn check(&self, _history: &History) -> Verdict { Verdict::unknown(self.id(), self.expected(), "not written yet") }
}
