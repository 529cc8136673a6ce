//! The trace store.

use super::fields::Fields;
use serde::{Deserialize, Serialize};

/// A stored span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Trace id, 32 hexadecimal digits.
    pub trace_id: String,
    /// Span id, 16 hexadecimal digits.
    pub span_id: String,
    /// Parent's span id; `None` for a root.
    pub parent_id: Option<String>,
    /// Service that made it.
    pub service: String,
    /// Name of the operation.
    pub name: String,
    /// Start, microseconds since the epoch.
    pub start_us: i64,
    /// Duration, microseconds.
    pub duration_us: i64,
    /// Attributes, values as text.
    pub attributes: Fields,
}
