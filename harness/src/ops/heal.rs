//! Every fault that is open undone, after whatever crash.

use crate::engine::Engine;
use crate::fault::healing::{self, Healed};
use crate::journal::Journal;
use crate::process::failure::Failure;

/// Heals what the journal holds open; what could not be undone is in the outcome.
///
/// # Errors
/// No engine answers, or the journal can't be read or written.
pub async fn heal() -> Result<Healed, Failure> {
    let engine = Engine::connect().await?;
    Ok(healing::heal(&Journal::of_user(), Some(&engine), None).await?)
}
