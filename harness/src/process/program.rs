//! Which program is firedrill.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// States which program is firedrill: for tests, which have no subcommands themselves. The first
/// who states it is believed.
pub fn use_program(path: &str) {
    let _ = PROGRAM.set(path.into());
}

/// Program that helpers, the reaper and stand-ins run: this one, unless another was stated.
///
/// # Errors
/// This program's own path can't be told.
pub fn program() -> io::Result<PathBuf> {
    PROGRAM.get().map_or_else(std::env::current_exe, |path| Ok(path.clone()))
}
