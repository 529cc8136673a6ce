//! The report on a terminal: what failed first, in full; what passed in a line each.

use super::{Report, Told};
use std::fmt::Write as _;
use verdict::Status;

/// One verdict in full.
pub fn verdict(told: &Told, report: &Report) -> String {
    let mut out = String::new();
    let scale = if report.run.time_scale == 1.0 { String::new() } else { format!(", time scale {}", report.run.time_scale) };
    let _ = writeln!(out, "{}: {} ({}{scale})", word(told.status), told.expected, report.run.stack);
    let label = if told.status == Status::Fail { "seen" } else { "because" };
    let _ = writeln!(out, "  {label}: {}", told.reason);
    let cause = told.cause.map(|c| format!("cause: {}", c.name()));
    let stopped = told.stopped_at.as_ref().map(|s| format!("stopped at: {s}"));
    let witnesses = (!told.witnesses.is_empty()).then(|| {
        let list: Vec<String> = told.witnesses.iter().take(5).map(u64::to_string).collect();
        format!("witnesses: events {} of run {}", list.join(", "), report.run.id)
    });
    let line: Vec<String> = [cause, stopped, witnesses].into_iter().flatten().collect();
    if !line.is_empty() {
        let _ = writeln!(out, "  {}", line.join("; "));
    }
    if !told.place.is_empty() {
        let _ = writeln!(out, "  told in: {} {}", told.place, told.step);
    }
    if let Some(hint) = &told.hint {
        let _ = writeln!(out, "hint: {hint}");
    }
    out
}

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let mut feature = "";
    for told in report.verdicts.iter().filter(|t| t.status != Status::Skipped) {
        if told.feature != feature {
            feature = &told.feature;
            let _ = writeln!(out, "\n{feature}");
        }
        match told.status {
            Status::Pass => {
                let evidence: Vec<String> = told.evidence.iter().map(|e| format!("{} {}", e.count, e.what)).collect();
                let _ = writeln!(out, "  pass: {} ({})", told.expected, evidence.join(", "));
            }
            _ => {
                for line in verdict(told, report).lines() {
                    let _ = writeln!(out, "  {line}");
                }
            }
        }
    }
    lists(report, &mut out);
    let s = report.summary;
    let _ = writeln!(out, "\n{} passed, {} failed, {} unknown, {} skipped, {} waived; run {} of {} took {:.0} s (seed {})", s.passed, s.failed, s.unknown, s.skipped, s.waived, report.run.id, report.run.stack, report.run.duration_s, report.run.seed);
    if s.failed + s.unknown > 0 {
        let _ = writeln!(out, "again with: {}", report.run.replay);
    }
    out
}

fn lists(report: &Report, out: &mut String) {
    let proved: Vec<_> = report.alerts.iter().filter(|a| a.fired).collect();
    if !proved.is_empty() {
        let _ = writeln!(out, "\nAlerts");
        for a in proved {
            let seconds = |s: Option<f64>| s.map_or("-".to_owned(), |s| format!("{s:.1} s"));
            let _ = writeln!(out, "  {:<24} fired after {:>7}, notified after {:>7} of {:>7}, resolved: {}  {}", a.rule, seconds(a.detect_s), seconds(a.notify_s), seconds(a.budget_s), if a.resolved { "yes" } else { "no" }, a.receivers.join(" "));
        }
    }
    if !report.ledger.is_empty() {
        let _ = writeln!(out, "\nLedger");
        for l in &report.ledger {
            let lost = l.lost.map_or_else(|| format!("{:.1} % kept by the sampler", 100.0 * l.stored as f64 / (l.sent.max(1)) as f64), |n| format!("{n} lost"));
            let _ = writeln!(out, "  {:<24} {} acknowledged, {} stored, {lost}, {} duplicated", l.signal, l.sent, l.stored, l.duplicated);
        }
    }
    if let Some(load) = &report.load {
        let l = load.latency_ms;
        let _ = writeln!(out, "\nLoad\n  {:.1} of {:.1} operations a second, slip P99 {:.1} ms; latency P50 {:.1} P90 {:.1} P99 {:.1} max {:.0} ms", load.achieved_rate, load.offered_rate, load.slip_p99_ms, l.p50, l.p90, l.p99, l.max);
    }
    if !report.run.deviations.is_empty() {
        let _ = writeln!(out, "\nDeviations from the described system");
        for d in &report.run.deviations {
            let _ = writeln!(out, "  {}: {}", d.what, d.why);
        }
    }
    let skipped: Vec<_> = report.verdicts.iter().filter(|t| t.status == Status::Skipped).collect();
    if !skipped.is_empty() {
        let _ = writeln!(out, "\nSkipped");
        for told in skipped {
            let _ = writeln!(out, "  {}: {}", told.scenario, told.reason);
        }
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Skipped => "skipped",
        Status::Pass => "pass",
        Status::Waived => "waived",
        Status::Unknown => "unknown",
        Status::Fail => "fail",
    }
}
