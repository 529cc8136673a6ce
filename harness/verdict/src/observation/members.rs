//! How servers of one role stand to each other.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What tells a metrics server from the others, and where it sends its alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// External labels of the configuration in force.
    pub external_labels: BTreeMap<String, String>,
    /// Alert managers that it has found and sends alerts to, each as `host:port`.
    pub managers: Vec<String>,
}

/// An alert manager's view of its cluster, and what it runs with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterMember {
    /// What it is called among the members, which notify in the order of these names; `None` where
    /// it has none, or was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `ready`, `settling` or `disabled`.
    pub status: String,
    /// Addresses of the members that it knows, itself included.
    pub peers: Vec<String>,
    /// Parts of the configuration in force that members must have alike (`route`, `inhibit_rules`,
    /// …), each as text without what is secret. A part that is not stated is empty.
    pub configuration: BTreeMap<String, String>,
}
