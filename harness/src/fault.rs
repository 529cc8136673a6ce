//! Faults: inject, prove that it bites, heal, prove that it left. One file below for each; a line here registers it.

use crate::journal::Undo;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use verdict::history::fault::BlastRadius;

/// What a fault needs from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ability {
    /// Enter a container's namespaces (root, or `CAP_SYS_ADMIN` with ptrace access).
    EnterNamespaces,
    /// `iptables` on the host.
    PacketFilter,
    /// The kernel's packet queue, `NFQUEUE`.
    PacketQueue,
}

/// Settings of a fault as a scenario writes them, text to text; each fault parses its own and refuses the rest.
pub type Settings = BTreeMap<String, String>;

/// Why a fault could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The scenario asks for something that does not exist. `hint` says what does.
    #[error("{what}\nhint: {hint}")]
    Settings {
        /// What is wrong, naming the setting, the value seen and the one wanted.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The host lacks an ability.
    #[error("fault {kind} needs {needs}\nhint: {hint}")]
    Unfit {
        /// Fault.
        kind: &'static str,
        /// What it needs.
        needs: String,
        /// What to do.
        hint: String,
    },
    /// It was tried and did not work.
    #[error("fault {kind} on {target}: {what}")]
    Failed {
        /// Fault.
        kind: &'static str,
        /// Service.
        target: String,
        /// What went wrong.
        what: String,
    },
}

/// A running container that a fault acts on, and what the fault may ask of the run.
pub struct Scene<'a> {
    /// The engine.
    pub engine: &'a crate::engine::Engine,
    /// Project that the stack's containers carry as label.
    pub project: &'a str,
    /// Run id.
    pub run: &'a str,
}

/// One fault, aimed at one service. `drill` journals `undo` before it calls `inject`; healing is carrying out `undo`, so
/// that a crash between the two is healed by the same code.
pub trait Fault: Send + Sync {
    /// Kind, as scenarios name it.
    fn kind(&self) -> &'static str;
    /// Service that it is aimed at.
    fn target(&self) -> &str;
    /// Mechanism, for the history.
    fn mechanism(&self) -> String;
    /// What the host must offer.
    fn needs(&self) -> Vec<Ability>;
    /// What it may disturb by itself, without what a scenario adds.
    fn blast_radius(&self) -> BlastRadius;
    /// What undoes it, worked out before it is injected. Faults with a helper process first start the helper in a state in
    /// which it does nothing yet, so that its process id is known.
    fn prepare<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>>;
    /// Injects it.
    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>>;
    /// Looks whether its effect is there now: `Ok(Some(evidence))` if so, `Ok(None)` if not (yet).
    fn bites<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>>;
    /// After healing, looks whether its effect is gone: `Ok(Some(evidence))` if so, `Ok(None)` if not (yet).
    fn left<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>>;
}
