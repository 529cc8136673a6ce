//! The report as one HTML file, readable without network and by screen readers.

use super::{Report, timeline};
use verdict::History;

const PAGE: &str = include_str!("page.html");

/// The whole page.
///
/// # Errors
/// The template does not fit the report: a defect of ours.
pub fn render(report: &Report, history: &History) -> Result<String, minijinja::Error> {
    let mut environment = minijinja::Environment::new();
    environment.add_filter("seconds", |s: Option<f64>| s.map_or("–".to_owned(), |s| format!("{s:.1} s")));
    environment.add_filter("ms", |ms: f64| format!("{ms:.1}"));
    environment.add_template("page.html", PAGE)?;
    let value = minijinja::Value::from(minijinja::value::Serde(report));
    environment.get_template("page.html")?.render(minijinja::context! { report => value, timeline => timeline::render(history) })
}
