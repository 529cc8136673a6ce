//! `firedrill doctor`: can this machine run it, and if not, what is missing?

use super::Failure;
use crate::ops::doctor::doctor;
use crate::process::exit::Exit;

/// Looks, and prints a line for each thing.
pub async fn run() -> Result<Exit, Failure> {
    let examined = doctor().await;
    for finding in &examined.findings {
        println!("{finding}");
    }
    Ok(examined.exit())
}
