//! What was exercised, on a terminal: the figures, and by name what was not.

use crate::report::Report;
use std::fmt::Write as _;
use verdict::summary::coverage::{Exercised, OfRule, Share};

/// Longest list of names.
const NAMES: usize = 8;

/// The figures, and what was left out.
pub(super) fn render(report: &Report, out: &mut String) {
    let coverage = &report.coverage;
    if coverage.rules.is_empty() {
        return;
    }
    let c = &coverage.counts;
    let share = |s: Share| format!("{} of {}", s.seen, s.of);
    let _ = writeln!(out, "\nExercised in this run");
    let _ = writeln!(
        out,
        "  rules: quiet while nothing was wrong {}, fired {}, receivers notified {}, resolved {}",
        share(c.quiet),
        share(c.fired),
        share(c.told),
        share(c.resolved)
    );
    let ways = [("routes", c.routes), ("receivers", c.receivers), ("inhibitions", c.inhibitions)];
    let ways: Vec<String> = ways
        .iter()
        .filter(|(_, s)| s.of > 0)
        .map(|(what, s)| format!("{what} {}", share(*s)))
        .collect();
    if !ways.is_empty() {
        let _ = writeln!(out, "  {}", ways.join(", "));
    }
    let names = |of: &dyn Fn(&&OfRule) -> bool| {
        coverage.rules.iter().filter(of).map(|r| r.rule.clone()).collect::<Vec<_>>()
    };
    let not = |all: &[Exercised]| {
        all.iter().filter(|e| e.by.is_empty()).map(|e| e.name.clone()).collect::<Vec<_>>()
    };
    for (what, missing) in [
        ("never fired", names(&|r| !r.fired)),
        ("fired and not seen to resolve", names(&|r| r.fired && !r.resolved && !r.switch)),
        ("not declared, so nothing is expected of them", names(&|r| !r.declared)),
        ("routes not taken", not(&coverage.routes)),
        ("receivers not notified", not(&coverage.receivers)),
        ("inhibitions not seen", not(&coverage.inhibitions)),
    ] {
        if !missing.is_empty() {
            let _ = writeln!(out, "  {what}: {}", super::some(missing.into_iter(), NAMES));
        }
    }
}

/// Rules by quiet, fired, each receiver and resolved: one line a rule.
pub(super) fn table(report: &Report) -> String {
    let rules = &report.coverage.rules;
    let width = rules.iter().map(|r| r.rule.chars().count()).max().unwrap_or(0).max(4);
    let mut out = format!(
        "{:<width$}  quiet    fired  resolved  receivers notified (in brackets: not notified)\n",
        "rule"
    );
    for r in rules {
        let quiet = r.quiet.map_or("-", |q| if q { "yes" } else { "NO" });
        let yes = |b: bool| if b { "yes" } else { "-" };
        let receivers: Vec<String> = r
            .receivers
            .iter()
            .map(|x| if x.told { x.name.clone() } else { format!("[{}]", x.name) })
            .collect();
        let switch = if r.switch { ", a dead man's switch" } else { "" };
        let declared = if r.declared {
            format!("{}{switch}", receivers.join(" "))
        } else {
            "not declared".to_owned()
        };
        let _ = writeln!(
            out,
            "{:<width$}  {quiet:<7}  {:<5}  {:<8}  {declared}",
            r.rule,
            yes(r.fired),
            yes(r.resolved)
        );
    }
    out
}
