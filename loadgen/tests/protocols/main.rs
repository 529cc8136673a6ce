//! Protocols against servers that speak them: `cargo test -p loadgen --test protocols wide::` runs
//! one module.

#[path = "../traffic/email.rs"]
mod email;
mod mailbox;
mod wide;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::module::run(support::modules![wide, mailbox])
}
