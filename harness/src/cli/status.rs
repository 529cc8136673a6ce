//! `firedrill status`: the stacks that are up, their services, and faults that are open.

use super::Failure;
use crate::ops::status::status;
use crate::process::exit::Exit;

/// Looks, prints.
pub async fn run() -> Result<Exit, Failure> {
    let seen = status().await?;
    for stack in &seen.stacks {
        let running = &stack.running;
        println!(
            "{} run {} since {}{}",
            running.stack,
            running.run,
            running.since,
            if running.kept { ", kept" } else { "" }
        );
        for (service, state) in &stack.services {
            println!("  {service:<24} {state}");
        }
        for (service, why) in &running.left_out {
            println!("  {service:<24} left out: {why}");
        }
    }
    for entry in &seen.open {
        println!("open: {} (firedrill heal undoes it)", entry.what);
    }
    Ok(Exit::Pass)
}
