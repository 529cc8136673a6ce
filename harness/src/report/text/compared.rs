//! A candidate's runs beside a baseline's, on a terminal: a line for each measure.

use crate::report::compared;
use std::fmt::Write as _;
use verdict::summary::ComparedRow;

/// The lines.
pub(super) fn render(rows: &[ComparedRow], out: &mut String) {
    let words = compared::words(rows);
    let width = |of: fn(&compared::Words) -> &str| {
        words.iter().map(|w| of(w).chars().count()).max().unwrap_or(0)
    };
    let (name, before, now) = (width(|w| &w.measure), width(|w| &w.before), width(|w| &w.now));
    let _ = writeln!(
        out,
        "\nMeasures: median of the baseline's runs (smallest to largest), of these, and the change for the worse"
    );
    for w in &words {
        let limit = w.limit.as_ref().map(|limit| format!(", limit {limit}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "  {:<7} {:<name$}  {:>before$}  {:>now$} {}; {}, matters from {}{limit}",
            w.status.word(),
            w.measure,
            w.before,
            w.now,
            w.unit,
            w.change,
            w.matters
        );
    }
}
