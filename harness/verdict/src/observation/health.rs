//! Health endpoints.

use serde::{Deserialize, Serialize};

/// What a health endpoint answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// Name of the service that the endpoint belongs to.
    pub service: String,
    /// Name of the endpoint, `http://service:port/path` or `tcp://service:port`, as declared.
    pub endpoint: String,
    /// Whether the answer is the declared one.
    pub ok: bool,
    /// What was seen: status and the start of the body, the banner, or the error.
    pub seen: String,
}
