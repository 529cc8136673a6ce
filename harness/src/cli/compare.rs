//! `firedrill compare RUN RUN`: two recorded runs side by side.

use super::{Common, Failure, Format};
use crate::ops::compare::{compare, page, read};
use crate::process::exit::Exit;
use crate::report::html::write_page;
use std::path::PathBuf;

/// Arguments of `compare`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The first run: its folder, or its id under the report folder.
    first: PathBuf,
    /// The second run.
    second: PathBuf,
    /// Where the page goes [default: compare-FIRST-SECOND.html in the report folder].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Compares, writes the page, prints. It judges nothing: what a difference means is for `baseline
/// check`.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let (first, second) =
        (read(&arguments.first, &common.report)?, read(&arguments.second, &common.report)?);
    let compared = compare(&first.report, &second.report);
    let file = arguments.html.clone().unwrap_or_else(|| {
        common.report.join(format!("compare-{}-{}.html", first.report.run.id, second.report.run.id))
    });
    write_page(&file, page(&first, &second, &compared))?;
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&compared).unwrap_or_default()),
        _ => {
            print!("{}", compared.text(&first.report, &second.report));
            println!("\nreport: {}", file.display());
        }
    }
    Ok(Exit::Pass)
}
