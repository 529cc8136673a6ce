//! What takes servers of the e-mail stack, one or a few, or at night all of it: `cargo test --test
//! email probes::` runs one module.

mod causes;
mod probes;
mod receivers;
mod regressions;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::module::run(support::modules![probes, causes, receivers, regressions])
}
