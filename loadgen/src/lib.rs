//! Open-loop load: journeys at an arrival rate.
//!
//! A schedule of arrivals is drawn from a seed before anything is sent. Each arrival is begun at
//! its due instant, whether or not earlier ones were answered, and latency is counted from that
//! instant: a server that stops answering is charged with all who came meanwhile, not only with the
//! one that a closed loop would have had waiting.
//!
//! [`run`] drives one stream of a [`Workload`]; several may run side by side. Every operation
//! becomes a [`LoadEvent`](verdict::history::load::LoadEvent) the moment its outcome is known, so
//! nothing accumulates here. What is measured now can be watched as [`LiveStats`], and what the
//! generator says of itself at the end is a [`LoadSummary`](verdict::history::load::LoadSummary) —
//! also that it can't be relied on, if so.

#![forbid(unsafe_code)]

mod advice;
pub mod arrival;
pub mod client;
mod clock;
pub mod closed_loop;
pub mod direct;
pub mod draw;
pub mod fleet;
pub mod id;
mod journey;
pub mod knee;
pub mod limit;
mod open_loop;
mod own_thread;
pub mod payload;
pub mod plan;
pub mod recorder;
pub mod sink;
pub mod target;
pub mod template;
pub mod traffic;
pub mod wide;
pub mod windows;
mod workload;

pub use advice::{Advice, Advised};
pub use arrival::Arrival;
pub use clock::RunClock;
pub use closed_loop::{Think, Users};
pub use limit::Limit;
pub use open_loop::{Bounds, run, run_for, run_with};
pub use own_thread::on_own_thread;
pub use recorder::LiveStats;
pub use target::{Network, TargetError, check_target};
pub use traffic::Traffic;
pub use windows::Windows;
pub use workload::{Workload, WorkloadError};
