//! Whether this machine can run firedrill, and what is missing if not.

use crate::plan::preflight::{self, Finding};
use crate::process::exit::Exit;

/// What was looked at.
#[derive(Debug)]
pub struct Examined {
    pub findings: Vec<Finding>,
}

impl Examined {
    /// Whether a stack can run here.
    pub fn exit(&self) -> Exit {
        if self.findings.iter().all(Finding::bearable) { Exit::Pass } else { Exit::Unfit }
    }
}

/// Looks at everything that a run needs.
pub async fn doctor() -> Examined {
    Examined { findings: preflight::examine().await }
}
