//! The trace store.

use super::fields::Fields;
use crate::history::load::client_span;
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

impl Span {
    /// Id of the parent span. A client that named itself as the parent is stored nowhere: what it
    /// asked for is a root.
    pub fn parent(&self) -> Option<&str> {
        self.parent_id.as_deref().filter(|parent| *parent != client_span(&self.trace_id))
    }

    /// Id of the operation that it belongs to: that of this attribute, or its trace's where the
    /// attribute has no name.
    pub fn operation(&self, attribute: &str) -> Option<String> {
        if attribute.is_empty() {
            Some(self.trace_id.clone())
        } else {
            self.attributes.text(attribute)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_the_client_itself_is_no_parent() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let span = |parent: Option<String>| Span {
            trace_id: trace.into(),
            span_id: "b7ad6b7169203331".into(),
            parent_id: parent,
            service: "web".into(),
            name: "GET /".into(),
            start_us: 0,
            duration_us: 1,
            attributes: [("operation.id", "o".into())].into_iter().collect(),
        };
        let other = client_span("ffffffffffffffffffffffffffffffff");
        assert_ne!(client_span(trace), other);
        assert_eq!(client_span(trace).len(), 16);
        assert_eq!(span(Some(client_span(trace))).parent(), None);
        assert_eq!(span(Some(other.clone())).parent(), Some(other.as_str()));
        assert_eq!(span(None).parent(), None);
        let by = |attribute: &str| span(None).operation(attribute);
        assert_eq!(by("operation.id").as_deref(), Some("o"));
        assert_eq!((by("").as_deref(), by("other")), (Some(trace), None));
    }
}
