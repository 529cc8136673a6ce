//! Named values of which few are ever looked at.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields of a log line or the attributes of a span, kept as the text of a JSON object: taken
/// apart, a line of a shipper needs ten times as much memory (7.7 kB for one of Filebeat's) and the
/// attributes of a span three times as much, and a run has thousands of both of which only a few
/// fields are ever looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Fields(Box<str>);

impl Fields {
    /// Taken apart; do it once for each look at all of them.
    pub fn parsed(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// One of them as text, by its whole name.
    pub fn text(&self, name: &str) -> Option<String> {
        self.parsed().get(name).map(text)
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

impl<N: Into<String>> FromIterator<(N, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Fields {
        fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map<_, _>>().into()
    }
}

impl From<Fields> for Map<String, Value> {
    fn from(fields: Fields) -> Map<String, Value> {
        fields.parsed()
    }
}

/// A value as text: a string is its own, anything else is written as JSON.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
