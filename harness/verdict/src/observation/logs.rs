//! The log store.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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

/// The fields of a log line, kept as the text of a JSON object: taken apart, a line of a shipper needs ten times as much memory
/// (7.7 kB for one of Filebeat's), and a run has thousands of them of which only a few fields are ever looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Fields(Box<str>);

impl Fields {
    /// Taken apart; do it once for each look at a line.
    pub fn parsed(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl Default for Fields {
    fn default() -> Fields {
        Map::new().into()
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Fields {
        Fields(Value::Object(fields).to_string().into())
    }
}

impl From<Fields> for Map<String, Value> {
    fn from(fields: Fields) -> Map<String, Value> {
        fields.parsed()
    }
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
