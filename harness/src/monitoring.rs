//! stub
mod cursor;
pub mod duration;
pub mod error;
pub mod prometheus;
pub mod promql;
pub mod rules;
pub mod tree;
