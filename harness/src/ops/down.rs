//! A stack that is up removed, or everything of ours.

use crate::engine::Engine;
use crate::journal::Journal;
use crate::ops::options::Options;
use crate::ops::up::running;
use crate::process::failure::Failure;
use crate::stack;
use crate::stack::down::Removed;

/// What is removed.
#[derive(Debug)]
pub enum Which {
    /// The stack of these options, if it stays up.
    Stack(Box<Options>),
    /// Everything of ours, whatever run it belongs to.
    All,
}

/// Removes it.
///
/// # Errors
/// The stack is not up, or something could not be removed.
pub async fn down(which: &Which) -> Result<Removed, Failure> {
    let engine = Engine::connect().await?;
    let journal = Journal::of_user();
    Ok(match which {
        Which::All => stack::down::down_all(&engine, &journal).await?,
        Which::Stack(options) => {
            let running = running(&journal, &options.name_or_word())?;
            stack::down(&engine, &journal, &running).await?
        }
    })
}
