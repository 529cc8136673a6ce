//! The report as one HTML file, readable without network and by screen readers.

use super::{Report, timeline};
use minijinja::Value;
use minijinja::value::Serde;
use verdict::History;
use verdict::summary;

const PAGE: &str = include_str!("page.html");
/// Sections that the page includes, by name.
const SECTIONS: [(&str, &str); 2] =
    [("coverage.html", include_str!("page/coverage.html")), ("mutation.html", include_str!("page/mutation.html"))];

/// The whole page.
///
/// # Errors
/// The template does not fit the report: a defect of ours.
pub fn render(report: &Report, history: &History) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.add_filter("seconds", |s: Option<f64>| s.map_or("–".to_owned(), |s| format!("{s:.1} s")));
    environment.add_filter("ms", |ms: f64| format!("{ms:.1}"));
    for (name, text) in SECTIONS.into_iter().chain([("page.html", PAGE)]) {
        environment.add_template(name, text)?;
    }
    let drilled = report.alerts.iter().filter(|a| !a.drills.is_empty()).map(|a| a.rule.clone()).collect();
    let outline = summary::outline(&report.verdicts);
    let picture = timeline::render(&summary::timeline(history), &drilled);
    let context =
        minijinja::context! { report => Value::from(Serde(report)), outline => Value::from(Serde(&outline)), timeline => picture };
    environment.get_template("page.html")?.render(context)
}
