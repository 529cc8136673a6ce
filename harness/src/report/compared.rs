//! A candidate's runs beside a baseline's: what the terminal and the page say of each measure, and
//! its runs as dots.

use super::chart::{escaped, short};
use serde::Serialize;
use std::fmt::Write as _;
use verdict::Status;
use verdict::gate::{Compared, least_median_most};
use verdict::summary::ComparedRow;

/// Size of the picture of a measure's runs, and the margin within, so that a dot at its edge is
/// whole.
const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 30.0;
const MARGIN: f64 = 6.0;

/// A row in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Words {
    pub measure: String,
    /// Unit of both sides.
    pub unit: String,
    /// Median, smallest and largest value of the baseline's runs.
    pub before: String,
    /// The same of the candidate's.
    pub now: String,
    /// The change, with its interval.
    pub change: String,
    /// The smallest change that matters.
    pub matters: String,
    /// What each run must keep.
    pub limit: Option<String>,
    /// What the check came to.
    pub status: Status,
    /// The runs as dots.
    pub runs: String,
}

/// Each row in words.
pub fn words(rows: &[ComparedRow]) -> Vec<Words> {
    rows.iter().map(row).collect()
}

fn row(row: &ComparedRow) -> Words {
    let side = |values: &[f64]| match least_median_most(values.iter().copied()) {
        None => "not measured".to_owned(),
        Some((_, median, _)) if values.len() == 1 => short(median),
        Some((least, median, most)) => {
            format!("{} ({} to {})", short(median), short(least), short(most))
        }
    };
    Words {
        measure: row.measure.clone(),
        unit: row.unit.clone(),
        before: side(&row.baseline),
        now: side(&row.candidate),
        change: row.change.map_or("too few runs".to_owned(), |change| {
            format!(
                "{} ({} to {})",
                signed(row, change.seen),
                signed(row, change.at_least),
                signed(row, change.at_most)
            )
        }),
        matters: signed(row, row.practical),
        limit: row.limit.map(short),
        status: row.status,
        runs: dots(row),
    }
}

/// A change for the worse with its sign.
fn signed(row: &ComparedRow, change: f64) -> String {
    let (value, unit) = match row.compared {
        Compared::Ratio => (change * 100.0, " %"),
        Compared::Difference => (change, ""),
    };
    format!("{}{}{unit}", if value > 0.0 { "+" } else { "" }, short(value))
}

/// The baseline's runs above, the candidate's below, from the smallest value of all to the largest.
fn dots(row: &ComparedRow) -> String {
    let all = || row.baseline.iter().chain(&row.candidate);
    let (least, most) = all()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| (least.min(*v), most.max(*v)));
    let across = |value: f64| match most - least {
        0.0 => WIDTH / 2.0,
        range => MARGIN + (value - least) / range * (WIDTH - 2.0 * MARGIN),
    };
    let id = format!("runs-{}", escaped(&row.measure));
    let listed = |values: &[f64]| values.iter().map(|v| short(*v)).collect::<Vec<_>>().join(", ");
    let title =
        format!("before: {}; now: {}; {}", listed(&row.baseline), listed(&row.candidate), row.unit);
    let mut svg = format!(
        r#"<svg class="dots" role="img" aria-labelledby="{id}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"><title id="{id}">{}</title>"#,
        escaped(&title)
    );
    for (values, class, y) in
        [(&row.baseline, "before", HEIGHT * 0.3), (&row.candidate, "now", HEIGHT * 0.75)]
    {
        for value in values {
            let _ = write!(
                svg,
                r#"<circle class="{class}" cx="{:.1}" cy="{y}" r="4"/>"#,
                across(*value)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::gate::Change;

    fn compared(baseline: &[f64], candidate: &[f64], change: Option<Change>) -> Words {
        row(&ComparedRow {
            measure: "send<median>".into(),
            unit: "ms".into(),
            baseline: baseline.to_vec(),
            candidate: candidate.to_vec(),
            change,
            compared: Compared::Ratio,
            practical: 0.5,
            limit: Some(250.0),
            status: Status::Pass,
        })
    }

    #[test]
    fn a_row_says_medians_range_change_and_what_matters() {
        let change = Change { seen: 0.1239, at_least: -0.0091, at_most: 0.2949 };
        let words = compared(&[2.804, 2.929, 3.165], &[3.2, 3.4], Some(change));
        assert_eq!(
            (words.before.as_str(), words.now.as_str()),
            ("2.93 (2.8 to 3.17)", "3.4 (3.2 to 3.4)")
        );
        assert_eq!(
            (words.change.as_str(), words.matters.as_str()),
            ("+12.4 % (-0.91 % to +29.5 %)", "+50 %")
        );
        assert_eq!(words.runs.matches("<circle").count(), 5);
        assert!(
            words.runs.contains("send&lt;median&gt;") && words.runs.contains("now: 3.2, 3.4; ms"),
            "{}",
            words.runs
        );
    }

    #[test]
    fn without_runs_or_differences_it_is_told_too() {
        let words = compared(&[], &[1.0], None);
        assert_eq!(
            (words.before.as_str(), words.now.as_str(), words.change.as_str()),
            ("not measured", "1", "too few runs")
        );
        assert!(!words.runs.contains("NaN"), "{}", words.runs);
    }
}
