//! Compose files, read into a typed model. What is not supported is refused by file, line and key,
//! never ignored.
//!
//! [`interpolate`] fills in variables as Compose does, [`load`] follows `include` and `extends`,
//! [`service`] and [`model`] turn the tree into types, [`quantity`] reads durations, sizes and
//! command lines.

pub mod dotenv;
mod fields;
#[cfg(test)]
mod foreign;
pub mod interpolate;
pub mod load;
mod merge;
pub mod model;
mod paths;
pub mod quantity;
mod references;
mod service;
#[cfg(test)]
mod tests;

pub use load::{Source, load};
pub use model::*;
pub use paths::absolute;

use crate::yaml::nearest;
use config::yaml::ConfigError;
