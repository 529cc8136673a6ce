//! What takes neither Docker nor images: `cargo test --test pure gate::` runs one module.

mod bad_input;
mod error_rate;
mod gate;
mod instances;
mod layers;
mod licences;
mod lint;
mod optional;
mod owner_data;
mod parts;
mod report;
mod secrets;
mod stacks;
