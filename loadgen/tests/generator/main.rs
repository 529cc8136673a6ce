//! The load generator against servers of these tests: what it drives, and what it tells of them and
//! of itself. `cargo test --test generator wide::` runs one module.

mod closed;
mod email;
mod mailbox;
mod open_loop;
mod truth;
mod wide;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(ended) = truth::executed() {
        return ended;
    }
    support::module::run(support::modules![closed, open_loop, truth, wide, mailbox])
}
