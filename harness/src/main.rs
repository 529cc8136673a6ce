//! The command line of firedrill.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(firedrill::cli::main() as u8)
}
