//! `firedrill heal`: undoes every fault that is open, after whatever crash.

use super::{Common, Failure};
use crate::ops::heal::heal;
use crate::process::exit::Exit;

/// Heals, prints.
pub async fn run(common: &Common) -> Result<Exit, Failure> {
    let healed = heal().await?;
    if !common.quiet {
        healed.undone.iter().for_each(|entry| println!("healed: {}", entry.what));
        println!("{} healed, {} could not be", healed.undone.len(), healed.failed.len());
    }
    match healed.failed.first() {
        None => Ok(Exit::Pass),
        Some((entry, why)) => Err(Failure::new(Exit::Unknown, format!("{}: {why}", entry.what))
            .hint("firedrill heal tries again; firedrill down --all removes everything")),
    }
}
