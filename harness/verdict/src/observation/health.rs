//! Health endpoints.

use serde::{Deserialize, Serialize};

/// What a health endpoint answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// Service that it belongs to.
    pub service: String,
    /// `http://…` or `tcp://…` as declared: service, port and path.
    pub endpoint: String,
    /// Whether the answer is the declared one.
    pub ok: bool,
    /// What was seen: status and the start of the body, banner, or error.
    pub seen: String,
}
