//! What the integration tests of all packages share. It runs the built program and does not link
//! the crate `firedrill`, so that tests which only run the program are not linked anew with it.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

pub mod broken;
pub mod clock;
pub mod images;
pub mod lab;
pub mod module;
pub mod oracle;

use std::path::{Path, PathBuf};

/// Whether a variable asks for something.
pub fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).expect("the workspace")
}

/// The built program. Cargo states it to tests of its own package only, and puts it beside the
/// folder of all test programs.
///
/// # Errors
/// It is not built.
pub fn program() -> Result<PathBuf, String> {
    let found = built()?.join("firedrill");
    if found.is_file() {
        return Ok(found);
    }
    // One line: it becomes part of the names of tests that are ignored for it.
    let how = "cargo build -p firedrill --bin firedrill builds it, as cargo test --workspace does";
    Err(format!("{} is not there: {how}", found.display()))
}

/// The folder for what tests write and keep, as `CARGO_TARGET_TMPDIR` names it.
pub(crate) fn kept() -> Result<PathBuf, String> {
    let built = built()?;
    Ok(built.parent().unwrap_or(&built).join("tmp"))
}

/// The folder of what cargo has built; test programs are in `deps` below it.
fn built() -> Result<PathBuf, String> {
    let test = std::env::current_exe()
        .map_err(|error| format!("where this test is can't be told: {error}"))?;
    let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    folder.map(Path::to_path_buf).ok_or_else(|| format!("{} is in no folder", test.display()))
}
