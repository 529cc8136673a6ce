//! The report as one HTML file, readable without network and by screen readers, and what all pages
//! share.

use super::{Report, compared, plots, timeline};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::secret;
use minijinja::Value;
use minijinja::value::Serde;
use std::path::Path;
use verdict::History;
use verdict::summary;

/// The pages, and the sections that they include, by name.
const TEMPLATES: [(&str, &str); 11] = [
    ("page.html", include_str!("page.html")),
    ("compare.html", include_str!("page/compare.html")),
    ("compared.html", include_str!("page/compared.html")),
    ("coverage.html", include_str!("page/coverage.html")),
    ("gate.html", include_str!("page/gate.html")),
    ("load.html", include_str!("page/load.html")),
    ("mutation.html", include_str!("page/mutation.html")),
    ("over_time.html", include_str!("page/over_time.html")),
    ("percentiles.html", include_str!("page/percentiles.html")),
    ("style.html", include_str!("page/style.html")),
    ("trend.html", include_str!("page/trend.html")),
];

/// A page of these templates.
///
/// # Errors
/// The template does not fit what it is given: a defect of ours.
pub(crate) fn page(name: &str, context: Value) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.add_filter("seconds", |s: Option<f64>| {
        s.map_or("–".to_owned(), |s| format!("{s:.1} s"))
    });
    environment.add_filter("ms", |ms: f64| format!("{ms:.1}"));
    environment
        .add_filter("number", |n: Option<f64>| n.map_or("–".to_owned(), super::chart::short));
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    environment.get_template(name)?.render(context)
}

/// The whole page of a run.
///
/// # Errors
/// As [`page`].
pub fn render(report: &Report, history: &History) -> Result<String, minijinja::Error> {
    let drilled =
        report.alerts.iter().filter(|a| !a.drills.is_empty()).map(|a| a.rule.clone()).collect();
    let outline = summary::outline(&report.verdicts);
    let shown = summary::timeline(history);
    let context = minijinja::context! {
        report => Value::from(Serde(report)),
        outline => Value::from(Serde(&outline)),
        measures => Value::from(Serde(&compared::words(&report.compared))),
        timeline => timeline::render(&shown, &drilled),
        over_time => plots::over_time_rows(&shown),
        percentiles => plots::curves("percentiles", &report.curves),
    };
    page("page.html", context)
}

/// Writes a page to the file that `--html` names.
///
/// # Errors
/// It could not be made, or can't be written.
pub fn write_page(file: &Path, page: Result<String, minijinja::Error>) -> Result<(), Failure> {
    let page =
        page.map_err(|e| Failure::new(Exit::Defect, format!("the page can't be made: {e:#}")))?;
    secret::write_file(file, &page).map_err(|e: std::io::Error| {
        Failure::usage(format!("the page can't be written to {}: {e}", file.display()))
            .hint("name another file with --html")
    })
}
