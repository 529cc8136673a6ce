//! firedrill proves that a monitoring stack notices.
//!
//! It starts the whole stack in containers, drives traffic through it, breaks things, records what was observed, and
//! judges that record: see `ARCHITECTURE.md` at the root of the repository for how the parts fit.

pub mod compose;
pub mod containment;
pub mod declaration;
pub mod engine;
pub mod exit;
pub mod fault;
pub mod journal;
pub mod preflight;
pub mod probe;
pub mod provision;
pub mod reaper;
pub mod stack;
