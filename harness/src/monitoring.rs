//! stub
mod cursor;
pub mod alertmanager;
pub mod duration;
pub mod error;
pub mod matcher;
pub mod prometheus;
pub mod promql;
pub mod receiver;
pub mod rules;
pub mod tree;
