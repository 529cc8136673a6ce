//! The log store.

use super::fields::Fields;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A stored log line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Index (or stream) that holds it.
    pub index: String,
    /// Id within the index.
    pub id: String,
    /// Its fields, nested ones as objects.
    pub fields: Fields,
}

/// Types of the fields of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldTypes {
    /// Index.
    pub index: String,
    /// Dotted field name to type, for example `status` to `long`.
    pub types: BTreeMap<String, String>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Name.
    pub name: String,
    /// Number of documents.
    pub documents: u64,
}
