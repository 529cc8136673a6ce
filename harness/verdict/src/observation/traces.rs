//! The trace store.

use super::fields::Fields;
use serde::{Deserialize, Serialize};

/// A span as the trace store holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Id of its trace: 32 hexadecimal digits, as in W3C Trace Context.
    pub trace_id: String,
    /// Its own id: 16 hexadecimal digits, as in W3C Trace Context.
    pub span_id: String,
    /// Id of the parent span; `None` for a root.
    pub parent_id: Option<String>,
    /// Name of the service that made it (`service.name`).
    pub service: String,
    /// Name of the operation that it stands for.
    pub name: String,
    /// When it began, on its service's clock, in microseconds since the Unix epoch.
    pub start_us: i64,
    /// How long it took, in microseconds.
    pub duration_us: i64,
    /// Its attributes by name; values are text.
    pub attributes: Fields,
}
