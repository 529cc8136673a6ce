//! `firedrill up [STACK]`: starts a stack that stays between commands.

use super::{Common, Failure, Terminal};
use crate::ops::live::LiveStack;
use crate::ops::options::Options;
use crate::process::exit::Exit;

/// Arguments of `up`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email")]
    stack: String,
}

/// Starts a stack, prints where it is reached, and leaves it running.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    if !common.tags.is_empty() {
        return Err(Failure::usage("--tags selects scenarios, and `up` runs none")
            .hint("firedrill verify --tags"));
    }
    let live = LiveStack::up(&Options::new(&arguments.stack, common)).await?;
    for (service, instance) in live.running.instances().filter(|(_, i)| !i.ports.is_empty()) {
        let ports = instance.ports.iter();
        let ports: Vec<String> =
            ports.map(|(inside, host)| format!("{inside} at 127.0.0.1:{host}")).collect();
        println!("{service:<24} {}", ports.join(", "));
    }
    for (service, why) in &live.running.left_out {
        println!("{service:<24} left out: {why}");
    }
    live.keep(&Terminal).await?;
    Ok(Exit::Pass)
}
