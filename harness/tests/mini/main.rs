//! What takes the mini stack, images of its servers, or the processors for itself, and minutes:
//! `cargo test --test mini lint::` runs one module.

mod bench;
mod crash;
mod engine;
mod faults;
mod fleet;
mod interrupt;
mod lifecycle;
mod lint;
mod load;
mod mutation;
mod oracle;
mod renamed;
mod scaled_files;
mod selftest_mini;
mod settled;
mod silence;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(ended) = crash::executed() {
        return ended;
    }
    support::module::run(support::modules![
        load,
        lint,
        oracle,
        scaled_files,
        engine,
        crash,
        interrupt,
        faults,
        fleet,
        silence,
        lifecycle,
        settled,
        mutation,
        renamed,
        selftest_mini,
    ])
}
