//! Our own programs, which enter images as they were built: `firedrill` (the stand-ins) and `apps`
//! (the synthetic services).

use crate::process::failure::Advice;
use crate::process::home::Home;
use crate::process::progress::Progress;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::process::Command;

/// Where they are.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub firedrill: PathBuf,
    pub apps: PathBuf,
}

impl Binaries {
    /// Finds them beside this program, and builds `apps` with the same profile if it is missing or
    /// older than its source.
    ///
    /// # Errors
    /// It can't be built: cargo is missing, or its own words.
    pub async fn built(home: &Home, progress: &Progress) -> Result<Binaries, Advice> {
        let firedrill = crate::process::program::program().map_err(|e| e.to_string())?;
        let folder = firedrill.parent().map(Path::to_path_buf).unwrap_or_default();
        let apps = folder.join("apps");
        let source = home.root().join("compose/apps");
        if source.is_dir() && modified(&apps) < newest(&source) {
            progress.say("building apps");
            let mut cargo =
                Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(home.root()).args([
                "build",
                "--quiet",
                "--package",
                "apps",
                "--bin",
                "apps",
            ]);
            if folder.file_name().is_some_and(|n| n == "release") {
                cargo.arg("--release");
            }
            if let Some(target) = folder.parent() {
                cargo.env("CARGO_TARGET_DIR", target);
            }
            // Somebody who stops the program does not want to wait for a compiler.
            let output = cargo.kill_on_drop(true).output().await.map_err(|e| {
                Advice::from(format!("apps can't be built: {e}")).hint("cargo must be on the PATH")
            })?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("apps can't be built: {}", said.trim()).into());
            }
        }
        if !apps.is_file() {
            let what = format!("{} is not there", apps.display());
            return Err(Advice::from(what).hint("cargo build -p apps"));
        }
        Ok(Binaries { firedrill, apps })
    }
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// When something in a folder was last changed.
fn newest(folder: &Path) -> SystemTime {
    let entries =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    entries
        .map(|p| if p.is_dir() { newest(&p) } else { modified(&p) })
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
