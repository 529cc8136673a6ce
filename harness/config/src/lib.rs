//! The monitoring configuration of a stack, as text and as what it means: parsed, scaled, budgeted,
//! changed.
//!
//! Pure: no clock, no files, no network. Texts come in ([`monitoring::FileSet`]) and go out
//! ([`monitoring::MonitoringConfig::render`]).

#![warn(missing_docs)]

pub mod budget;
#[cfg(test)]
mod foreign;
pub mod monitoring;
pub mod mutation;
pub mod nearest;
pub mod overriding;
pub mod secret;
pub mod timescale;
pub mod yaml;
