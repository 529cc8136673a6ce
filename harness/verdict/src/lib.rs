//! What a run recorded and what it means: history, observations, causes, checkers and verdicts.
//!
//! This crate is pure. It has no clock, no files, no network and no randomness, so a recorded run
//! can be judged again anywhere, by newer checkers, with the same answer.

#![warn(missing_docs)]

pub mod baseline;
pub mod cause;
pub mod check;
pub mod gate;
pub mod history;
pub mod left_out;
pub mod mutation;
pub mod observation;
pub mod reconcile;
pub mod scrapes;
pub mod summary;
pub mod verdict;

pub use cause::Cause;
pub use check::{Checker, Expectation};
pub use history::{At, Event, EventKind, History};
pub use observation::{Fact, Observation};
pub use verdict::{Evidence, Status, Verdict};
