//! Where firedrill's own files are: stacks, images, features, scenarios.

use std::path::{Path, PathBuf};

/// The root of the repository.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// `FIREDRILL_HOME`, else the nearest folder above the working one that holds `compose/stacks`,
    /// else where this program was built from.
    pub fn find() -> Home {
        let is_home = |p: &Path| p.join("compose/stacks").is_dir();
        if let Some(home) =
            std::env::var_os("FIREDRILL_HOME").map(PathBuf::from).filter(|p| is_home(p))
        {
            return Home(home);
        }
        let working = std::env::current_dir().unwrap_or_default();
        let above = working.ancestors().find(|p| is_home(p)).map(Path::to_path_buf);
        let built = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        Home(above.unwrap_or(built))
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Stacks of ours.
    pub fn stacks(&self) -> PathBuf {
        self.0.join("compose/stacks")
    }

    /// Images of ours.
    pub fn images(&self) -> PathBuf {
        self.0.join("compose/images")
    }

    /// Features.
    pub fn features(&self) -> PathBuf {
        self.0.join("features")
    }

    /// Scenarios.
    pub fn scenarios(&self) -> PathBuf {
        self.0.join("scenarios")
    }
}
