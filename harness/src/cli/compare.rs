//! `firedrill compare RUN RUN`: two recorded runs side by side.

use super::{Common, Failure, Format, judge};
use crate::comparison::{self, compare, status};
use crate::exit::Exit;
use crate::report::{self, Report, RunFile, html, plots};
use minijinja::Value;
use minijinja::value::Serde;
use std::path::{Path, PathBuf};
use verdict::summary::{self, Timeline};

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

/// Compares, writes the page, prints. It judges nothing: what a difference means is for `baseline check`.
pub fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let (first, second) = (read(&arguments.first, &common.report)?, read(&arguments.second, &common.report)?);
    let compared = compare(&first.report, &second.report);
    let file = arguments
        .html
        .clone()
        .unwrap_or_else(|| common.report.join(format!("compare-{}-{}.html", first.report.run.id, second.report.run.id)));
    super::write_page(&file, page(&first, &second, &compared))?;
    match common.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&compared).unwrap_or_default()),
        Format::Text => {
            print!("{}", compared.text(&first.report, &second.report));
            println!("\nreport: {}", file.display());
        }
    }
    Ok(Exit::Pass)
}

/// A run as it is compared.
struct Side {
    report: Report,
    timeline: Timeline,
}

fn read(asked: &Path, reports: &Path) -> Result<Side, Failure> {
    let folder = judge::find(asked, reports)?;
    let history = crate::record::read(&folder)?;
    // Judged as this program judges: a report of old lacks what is compared.
    let file: RunFile = crate::record::read_json(&folder, "run.json").map_err(|e| {
        Failure::new(Exit::Usage, format!("{e}\nhint: the record is not whole, or another version's; firedrill judge tells more"))
    })?;
    Ok(Side { report: report::judge(&history, &file), timeline: summary::timeline(&history) })
}

fn page(first: &Side, second: &Side, compared: &comparison::Comparison) -> Result<String, minijinja::Error> {
    let (b, a) = (&first.report.curves, &second.report.curves);
    // One scale for both, so that they can be compared.
    let last = |t: &Timeline| t.latency.last().map_or(0.0, |l| l.at_s) - t.latency.first().map_or(0.0, |f| f.at_s);
    let most = |t: &Timeline| t.latency.iter().map(|b| b.p99_ms).fold(0.0, f64::max);
    let (one, two) = (&first.timeline, &second.timeline);
    let fixed = Some((last(one).max(last(two)), most(one).max(most(two))));
    let changes: Vec<Value> = compared
        .verdicts
        .iter()
        .map(|c| minijinja::context! { change => Value::from(Serde(c)), before => status(c.before), after => status(c.after) })
        .collect();
    html::page(
        "compare.html",
        minijinja::context! {
            first => Value::from(Serde(&first.report)),
            second => Value::from(Serde(&second.report)),
            compared => Value::from(Serde(compared)),
            changes => changes,
            healthy => plots::two("healthy", "Latency by percentile while no fault was there", &b.healthy.points, &a.healthy.points),
            broken => plots::two("broken", "Latency by percentile while a fault was there", &b.broken.points, &a.broken.points),
            over_time => [
                plots::over_time("first-over-time", "Latency over time of the first run, faults shaded", one, fixed),
                plots::over_time("second-over-time", "Latency over time of the second run, faults shaded", two, fixed),
            ],
            bins => [plots::over_time_rows(one), plots::over_time_rows(two)],
        },
    )
}
