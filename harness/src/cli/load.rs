//! `firedrill load`: only the traffic, of one URL or of a stack's workload.

use super::{Common, Failure, Format, Terminal};
use crate::ops::load::{self, load};
use crate::process::exit::Exit;
use crate::secret;
use std::io::Write;

pub use crate::ops::load::Arguments;

/// Drives the load and prints what it measured; what was judged goes to the error stream, since the
/// other one may be JSON.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let outcome = load(arguments, common, &Terminal).await?;
    match common.format {
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(&outcome.summary).unwrap_or_default())
        }
        _ => print!("{}", load::text(&outcome.summary)),
    }
    for (word, text) in &outcome.verdicts {
        let _ = writeln!(secret::stderr(), "{word}: {text}");
    }
    let exit = outcome.exit;
    outcome.write_page().map(|()| exit)
}
