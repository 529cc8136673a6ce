//! Events about faults. A fault proves that it bit and that it left; one that did not makes its
//! drill Unknown.

use serde::{Deserialize, Serialize};

/// What a fault may disturb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BlastRadius {
    /// Services that it may disturb.
    pub services: Vec<String>,
    /// Alerts, besides those that the drill is about, that it must be expected to raise.
    pub alerts: Vec<String>,
    /// Whether the application's own answers suffer (error rate, latency).
    pub journeys: bool,
    /// Whether the whole host is loaded, so that host alerts say nothing.
    pub host: bool,
}

/// A fault's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultEvent {
    /// It was injected.
    Injected {
        /// Drill that it belongs to.
        drill: String,
        /// Kind, for example `stop`, `packet_delay`.
        kind: String,
        /// Service that it is aimed at.
        target: String,
        /// Instances of it that the fault is aimed at; empty in histories of versions that knew one
        /// instance of each service.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        instances: Vec<String>,
        /// Mechanism that was used, for example `engine`, `nfqueue in the target's network
        /// namespace`.
        mechanism: String,
        /// What it may disturb.
        blast_radius: BlastRadius,
    },
    /// It could not be injected, or not even prepared, so that its drill proves nothing.
    NotInjected {
        /// Drill.
        drill: String,
        /// What went wrong.
        why: String,
    },
    /// Its effect was observed: first after its injection, and once more before it is healed.
    Bit {
        /// Drill.
        drill: String,
        /// What was observed.
        evidence: String,
    },
    /// Its effect was not observed within the bound, or no more before it is healed.
    DidNotBite {
        /// Drill.
        drill: String,
        /// What was seen instead.
        seen: String,
    },
    /// It was healed.
    Healed {
        /// Drill.
        drill: String,
    },
    /// Its absence was observed after healing.
    Left {
        /// Drill.
        drill: String,
        /// What was observed.
        evidence: String,
    },
    /// It was still there after healing.
    DidNotLeave {
        /// Drill.
        drill: String,
        /// What was seen.
        seen: String,
    },
}

impl FaultEvent {
    /// The drill that the event belongs to.
    pub fn drill(&self) -> &str {
        match self {
            FaultEvent::Injected { drill, .. }
            | FaultEvent::NotInjected { drill, .. }
            | FaultEvent::Bit { drill, .. }
            | FaultEvent::DidNotBite { drill, .. }
            | FaultEvent::Healed { drill }
            | FaultEvent::Left { drill, .. }
            | FaultEvent::DidNotLeave { drill, .. } => drill,
        }
    }
}
