//! `firedrill doctor`: can this machine run it, and if not, what is missing?

use super::{Common, Failure};
use crate::plan::preflight;
use crate::process::exit::Exit;

/// Looks, and prints a line for each thing.
pub async fn run(_common: &Common) -> Result<Exit, Failure> {
    let findings = preflight::examine().await;
    for finding in &findings {
        println!("{}", finding);
    }
    Ok(if findings.iter().all(preflight::Finding::bearable) { Exit::Pass } else { Exit::Unfit })
}
