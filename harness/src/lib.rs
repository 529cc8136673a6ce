//! firedrill proves that a monitoring stack notices.
//!
//! It starts the whole stack in containers, drives traffic through it, breaks things, records what was observed, and
//! judges that record: see `ARCHITECTURE.md` at the root of the repository for how the parts fit.

pub mod cli;
pub mod authority;
pub mod clock;
pub mod compose;
pub mod declaration;
pub mod drill;
pub mod engine;
pub mod exit;
pub mod fault;
pub mod features;
pub mod journal;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod record;
pub mod report;
pub mod scenario;
pub mod steps;
pub mod yaml;
pub mod monitoring;
pub mod timescale;
pub mod budget;
pub mod receiver;
