//! Events about faults. A fault proves that it bit and that it left; one that did not makes its
//! drill Unknown, whatever becomes of the drill's other faults.

use serde::{Deserialize, Serialize};

/// Id of the fault of a drill that has one and does not name it.
pub const ONLY_FAULT: &str = "fault";

pub(crate) fn only_fault() -> String {
    ONLY_FAULT.to_owned()
}

pub(crate) fn is_only_fault(id: &str) -> bool {
    id == ONLY_FAULT
}

/// What a fault may disturb: its drill's window then proves nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BlastRadius {
    /// Names of the services that it may disturb, as the Compose file has them.
    pub services: Vec<String>,
    /// Names of alerts, besides those that the drill is about, that it must be expected to raise.
    pub alerts: Vec<String>,
    /// Whether the application's own answers suffer (error rate, latency).
    pub journeys: bool,
    /// Whether the whole host is loaded, so that host alerts say nothing.
    pub host: bool,
}

/// A step in a fault's life, from its injection until its absence was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultEvent {
    /// The fault was injected.
    Injected {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
        /// Kind of the fault, for example `stop` or `packet_delay`.
        kind: String,
        /// What it is aimed at, in words: the name of a service, or those of its instances.
        target: String,
        /// Instances of it that the fault is aimed at; empty in histories of versions that knew one
        /// instance of each service.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        instances: Vec<String>,
        /// Mechanism that was used, for example `engine`, `nfqueue in the target's network
        /// namespace`.
        mechanism: String,
        /// What it may disturb beside its target.
        blast_radius: BlastRadius,
    },
    /// It could not be injected, or not even prepared, so that its drill proves nothing.
    NotInjected {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
        /// What went wrong, as the error says.
        why: String,
    },
    /// Its effect was observed: once after its injection, and once more before it is healed.
    Bit {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
        /// What was observed that shows the effect.
        evidence: String,
    },
    /// Its effect was not observed within the bound, or no longer before it was healed.
    DidNotBite {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
        /// What was seen in place of the effect.
        seen: String,
    },
    /// The fault was healed: what it changed is undone.
    Healed {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
    },
    /// Its absence was observed after healing.
    Left {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
        /// What was observed that shows its absence.
        evidence: String,
    },
    /// Its effect was still there after healing.
    DidNotLeave {
        /// Id of the drill that the fault belongs to.
        drill: String,
        /// Id of the fault within its drill; [`ONLY_FAULT`] in histories of versions that knew one
        /// fault a drill.
        #[serde(default = "only_fault", skip_serializing_if = "is_only_fault")]
        fault: String,
        /// What was seen of the effect.
        seen: String,
    },
}

impl FaultEvent {
    /// The drill that the event belongs to.
    pub fn drill(&self) -> &str {
        self.parts().0
    }

    /// The id, within its drill, of the fault that the event is about.
    pub fn fault(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&String, &String) {
        match self {
            FaultEvent::Injected { drill, fault, .. }
            | FaultEvent::NotInjected { drill, fault, .. }
            | FaultEvent::Bit { drill, fault, .. }
            | FaultEvent::DidNotBite { drill, fault, .. }
            | FaultEvent::Healed { drill, fault }
            | FaultEvent::Left { drill, fault, .. }
            | FaultEvent::DidNotLeave { drill, fault, .. } => (drill, fault),
        }
    }

    /// The same, as an event of another drill.
    pub(crate) fn in_drill(mut self, other: String) -> FaultEvent {
        match &mut self {
            FaultEvent::Injected { drill, .. }
            | FaultEvent::NotInjected { drill, .. }
            | FaultEvent::Bit { drill, .. }
            | FaultEvent::DidNotBite { drill, .. }
            | FaultEvent::Healed { drill, .. }
            | FaultEvent::Left { drill, .. }
            | FaultEvent::DidNotLeave { drill, .. } => *drill = other,
        }
        self
    }
}
