//! `firedrill worker`: drives its part of a load for a coordinator (`firedrill load --workers`).

use super::{Common, Failure};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use loadgen::Network;
use loadgen::fleet::{Rules, Token, serve};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Port of a worker, unless it is told another.
pub const PORT: u16 = 7117;
/// Variable that holds the token where no file does.
const TOKEN_VARIABLE: &str = "FIREDRILL_WORKER_TOKEN";

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
    /// File with the secret that coordinators must know [default: the variable FIREDRILL_WORKER_TOKEN].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Network of private addresses that it may drive too, as 10.20.0.0/16; may be given several times. Without it only the loopback
    /// interface and networks of stacks of ours on this machine.
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<Network>,
}

/// Serves until a signal comes.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    if let Some(public) = arguments.allow.iter().find(|n| !n.is_private()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("--allow {public} holds addresses that are not private\nhint: name the network of what you started, as 10.20.0.0/16"),
        ));
    }
    let token = token(arguments.token_file.as_deref())?;
    let interrupt = Interrupt::listen().map_err(|e| Failure::new(Exit::Defect, format!("signals can't be listened to: {e}")))?;
    let unfit = |e: std::io::Error| {
        Failure::new(Exit::Unfit, format!("port {} can't be listened on: {e}\nhint: name another with --listen", arguments.listen))
    };
    let listener = TcpListener::bind(arguments.listen).await.map_err(unfit)?;
    let address = listener.local_addr().map_err(unfit)?;
    let (allowed, progress) = (arguments.allow.clone(), Progress::new(common.quiet));
    let rules = Rules {
        token,
        allowed: Arc::new(move || {
            let allowed = allowed.clone();
            Box::pin(async move { [allowed, super::load::ours().await].concat() })
        }),
        say: Arc::new(move |what| progress.say(what)),
    };
    let stop = CancellationToken::new();
    let serving = serve(listener, rules, stop.clone());
    println!("listening on {address}");
    let served = tokio::spawn(serving);
    interrupt.wait().await;
    stop.cancel();
    served.await.map_err(|e| Failure::new(Exit::Defect, format!("the worker ended early: {e}")))?;
    Ok(Exit::Interrupted)
}

/// The token, from a file or the environment.
pub(super) fn token(file: Option<&Path>) -> Result<Token, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let (from, text) = match file {
        Some(file) => {
            let from = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|e| usage(format!("{from}: {e}\nhint: name a file with the secret that coordinator and workers share")))?;
            (from, text)
        }
        None => {
            let text = std::env::var(TOKEN_VARIABLE).map_err(|_| {
                usage(format!(
                    "there is no token: wanted --token-file or {TOKEN_VARIABLE}\nhint: head -c 32 /dev/urandom | base64 > FILE, and give that file to the coordinator and to each worker"
                ))
            })?;
            (TOKEN_VARIABLE.to_owned(), text)
        }
    };
    crate::secret::learn("token", text.trim());
    Token::new(&text).map_err(|e| usage(format!("{from}: {e}")))
}
