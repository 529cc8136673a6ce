//! `firedrill trend [DIR]`: recorded runs over time.

use super::{Common, Failure, Format};
use crate::ops::trend::{page, read, recorded};
use crate::process::exit::Exit;
use crate::report::html::write_page;
use std::path::PathBuf;

/// Arguments of `trend`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Folder with reports, also those of gates [default: the report folder].
    folder: Option<PathBuf>,
    /// Where the page goes [default: trend.html in that folder].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Most runs of a kind that the terminal shows.
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
}

/// Reads, writes the page, prints.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let folder = arguments.folder.as_ref().unwrap_or(&common.report);
    let usage = |what: String| Failure::new(Exit::Usage, what);
    let trend = read(folder, &recorded()).map_err(|e| {
        usage(format!("{}: {e}", folder.display()))
            .hint("name the folder in which reports are, as --report names it")
    })?;
    if trend.groups.is_empty() {
        let broken = trend
            .left_out
            .iter()
            .map(|(p, why)| format!("\n  {}: {why}", p.display()))
            .collect::<String>();
        return Err(usage(format!(
            "{} holds no report that can be read{broken}",
            folder.display()
        ))
        .hint("each run writes one there; firedrill judge RUN writes one anew"));
    }
    let file = arguments.html.clone().unwrap_or_else(|| folder.join("trend.html"));
    write_page(&file, page(&trend))?;
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&trend).unwrap_or_default()),
        _ => {
            print!("{}", trend.text(arguments.last));
            println!("report: {}", file.display());
        }
    }
    Ok(Exit::Pass)
}
