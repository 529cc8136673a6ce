//! A worker: drives its part of a load for a coordinator.

use crate::engine::{Engine, label};
use crate::ops::console::Console;
use crate::process::exit::Exit;
use crate::process::failure::{Advice, Failure};
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use loadgen::Network;
use loadgen::fleet::{self, Rules, Token};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Port of a worker, unless it is told another.
pub const PORT: u16 = 7117;
/// Variable that holds the token where no file does.
const TOKEN_VARIABLE: &str = "FIREDRILL_WORKER_TOKEN";

/// Serves until a signal comes.
///
/// # Errors
/// A network is not private, there is no token, or the port can't be had.
pub async fn serve(
    listen: SocketAddr,
    token_file: Option<&Path>,
    allow: &[Network],
    quiet: bool,
    console: &dyn Console,
) -> Result<(), Failure> {
    if let Some(public) = allow.iter().find(|n| !n.is_private()) {
        return Err(Failure::usage(format!(
            "--allow {public} holds addresses that are not private"
        ))
        .hint("name the network of what you started, as 10.20.0.0/16"));
    }
    let token = token(token_file)?;
    let interrupt = Interrupt::listen()
        .map_err(|e| Failure::new(Exit::Defect, format!("signals can't be listened to: {e}")))?;
    let unfit = |e: std::io::Error| {
        Failure::new(Exit::Unfit, format!("port {} can't be listened on: {e}", listen))
            .hint("name another with --listen")
    };
    let listener = TcpListener::bind(listen).await.map_err(unfit)?;
    let address = listener.local_addr().map_err(unfit)?;
    let (allowed, progress) = (allow.to_vec(), Progress::new(quiet));
    let rules = Rules {
        token,
        allowed: Arc::new(move || {
            let allowed = allowed.clone();
            Box::pin(async move { [allowed, ours().await].concat() })
        }),
        say: Arc::new(move |what| progress.say(what)),
    };
    let stop = CancellationToken::new();
    let serving = fleet::serve(listener, rules, stop.clone());
    console.line(&format!("listening on {address}"));
    let served = tokio::spawn(serving);
    interrupt.wait().await;
    stop.cancel();
    served.await.map_err(|e| Failure::new(Exit::Defect, format!("the worker ended early: {e}")))?;
    Ok(())
}

/// The token, from a file or the environment.
///
/// # Errors
/// There is none, or it is too short.
pub fn token(file: Option<&Path>) -> Result<Token, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let (from, text) = match file {
        Some(file) => {
            let from = file.display().to_string();
            let text = std::fs::read_to_string(file).map_err(|e| {
                usage(format!("{from}: {e}"))
                    .hint("name a file with the secret that coordinator and workers share")
            })?;
            (from, text)
        }
        None => {
            let text = std::env::var(TOKEN_VARIABLE).map_err(|_| {
                usage(format!("there is no token: wanted --token-file or {TOKEN_VARIABLE}")).hint("head -c 32 /dev/urandom | base64 > FILE, and give that file to the coordinator and to each worker")
            })?;
            (TOKEN_VARIABLE.to_owned(), text)
        }
    };
    crate::secret::learn("token", text.trim());
    Token::new(&text).map_err(|e| Failure::new(Exit::Usage, Advice::of_load(&e).within(from)))
}

/// Networks of stacks of ours that are up; none if no engine answers.
pub async fn ours() -> Vec<Network> {
    let Ok(engine) = Engine::connect().await else { return Vec::new() };
    let subnets = engine.subnets_with(label::RUN, None).await.unwrap_or_default();
    subnets.iter().filter_map(|s| s.parse().ok()).collect()
}
