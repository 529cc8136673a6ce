//! `firedrill worker`: drives its part of a load for a coordinator (`firedrill load --workers`).

use super::{Common, Failure, Terminal};
use crate::ops::workers::{PORT, serve};
use crate::process::exit::Exit;
use crate::process::failure::option;
use loadgen::Network;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `worker`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "It serves one coordinator at a time, and only one that proves to know the token; the token itself never travels, the \
rest does so in clear. It ends with a signal. A load whose coordinator is gone ends at once."
)]
pub struct Arguments {
    /// Where it listens; port 0 takes a free one. The address is printed.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from(([127, 0, 0, 1], PORT)))]
    listen: SocketAddr,
    /// File with the secret that coordinators must know [default: the variable
    /// FIREDRILL_WORKER_TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Network of private addresses that it may drive too, as 10.20.0.0/16; may be given several
    /// times. Without it only the loopback interface and networks of stacks of ours on this
    /// machine.
    #[arg(long, value_name = "NETWORK", value_parser = option(str::parse::<Network>))]
    allow: Vec<Network>,
}

/// Serves until a signal comes.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let token_file = arguments.token_file.as_deref();
    serve(arguments.listen, token_file, &arguments.allow, common.quiet, &Terminal)
        .await
        .map(|()| Exit::Interrupted)
}
