//! `firedrill heal`: undoes every fault that is open, after whatever crash.

use super::{Common, Failure};
use crate::engine::Engine;
use crate::exit::Exit;
use crate::journal::Journal;

/// Heals what the journal holds open.
pub async fn run(common: &Common) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|e| Failure::new(e.exit(), e))?;
    let journal = Journal::open_default().map_err(|e| Failure::new(Exit::Defect, e))?;
    let healed = journal.heal_all(&engine).await.map_err(|e| Failure::new(Exit::Unknown, e))?;
    if !common.quiet {
        healed.iter().for_each(|what| println!("healed: {what}"));
        println!("{} open entries healed", healed.len());
    }
    Ok(Exit::Pass)
}
