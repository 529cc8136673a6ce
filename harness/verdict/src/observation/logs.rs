//! The log store.

use super::fields::Fields;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A log line as the store holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Name of the index, or stream, that holds it.
    pub index: String,
    /// Id that is unique within the index.
    pub id: String,
    /// All fields of the line; nested ones are objects.
    pub fields: Fields,
}

/// Types of the fields of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldTypes {
    /// Name of the index.
    pub index: String,
    /// Dotted field name to type, for example `status` to `long`.
    pub types: BTreeMap<String, String>,
}

/// An index of the log store and its size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Name of the index.
    pub name: String,
    /// Number of documents that it holds.
    pub documents: u64,
}
