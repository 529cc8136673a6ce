//! What became of changed rules, on a terminal: the figures, then a few survivors as a diff of the
//! rule.

use crate::report::Report;
use std::fmt::Write as _;
use verdict::Status;
use verdict::mutation::{Counts, Mutation, Outcome};

/// Most survivors that are shown, one of each rule; the page has all.
const SURVIVORS: usize = 5;
/// Longest line of a diff, characters.
const WIDTH: usize = 160;

/// The section.
pub(super) fn render(report: &Report, out: &mut String) {
    let Some(m) = &report.mutation else { return };
    let c = m.counts;
    let _ = writeln!(
        out,
        "\nWould it be noticed if a rule were a little wrong? {} changed rules, judged by what this run expects",
        c.mutants
    );
    let validated = if m.status == Status::Pass { "validated" } else { "unknown" };
    let _ = writeln!(out, "  {validated}: {}{}", m.reason, left_open(m));
    let _ = writeln!(
        out,
        "  noticed {} of {} that could be judged{}; {} undecidable, {} refused by the server, {} not judged",
        c.killed,
        c.killed + c.survived,
        per_cent(&c),
        c.undecidable,
        c.refused,
        c.not_judged
    );
    let by: Vec<String> = m
        .operators
        .iter()
        .map(|o| {
            format!(
                "{} {} of {}",
                o.operator.name(),
                o.counts.killed,
                o.counts.killed + o.counts.survived
            )
        })
        .collect();
    let _ = writeln!(out, "  by kind of change: {}", by.join(", "));
    survivors(m, out);
}

fn survivors(m: &Mutation, out: &mut String) {
    let drilled =
        |rule: &&verdict::mutation::OfRule| rule.judged_by.iter().any(|id| id.ends_with(".fires"));
    let first = m
        .rules
        .iter()
        .filter(drilled)
        .filter_map(|r| Some((r, r.mutants.iter().find(|x| x.outcome == Outcome::Survived)?)));
    let shown: Vec<_> = first.take(SURVIVORS).collect();
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "  not noticed, though a drill makes the rule fire ({} of {} shown, all in report.html):",
        shown.len(),
        m.counts.survived
    );
    for (rule, mutant) in shown {
        let _ = writeln!(out, "    {}, {}", rule.rule, mutant.change);
        for line in &mutant.diff {
            let _ = writeln!(out, "      {}", line.chars().take(WIDTH).collect::<String>());
        }
        let _ = writeln!(out, "      {}", mutant.reason);
    }
}

fn left_open(m: &Mutation) -> String {
    let mut all = format!(
        "; {} of {} ran while a sample that decides was being scraped",
        m.undecidable, m.evaluations
    );
    if m.left_out > 0 {
        let _ = write!(all, ", {} were left out by the server", m.left_out);
    }
    all
}

fn per_cent(c: &Counts) -> String {
    let judged = c.killed + c.survived;
    if judged == 0 {
        String::new()
    } else {
        format!(" ({:.0} %)", c.killed as f64 * 100.0 / judged as f64)
    }
}
