//! Golden histories for every checker (passing, failing, vacuous), and the laws that all of them
//! obey.

#![allow(clippy::unwrap_used)]

mod alerts;
mod attempts;
mod baseline;
mod clock;
mod cluster;
mod events;
mod gap;
mod golden;
mod health;
mod laws;
mod left_out;
mod logs;
mod members;
mod mutation;
mod notified;
mod phases;
mod recovery;
mod scraping;
mod states;
mod texts;
mod traces;
mod under_load;
