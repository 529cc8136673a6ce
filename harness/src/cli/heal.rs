//! `firedrill heal`: undoes every fault that is open, after whatever crash.

use super::{Common, Failure};
use crate::engine::Engine;
use crate::fault::healing;
use crate::journal::Journal;
use crate::process::exit::Exit;

/// Heals what the journal holds open.
pub async fn run(common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await?;
    let healed = healing::heal(&Journal::of_user(), Some(&engine), None).await?;
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
