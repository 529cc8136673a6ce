//! What a load measured, as it is printed.

use super::objective::Objective;
use crate::cli::Format;
use std::fmt::Write;
use verdict::history::load::{LoadSummary, Percentiles, WorkerState};

/// Prints it: the `load` object of report.json, or the same for people.
pub fn print(summary: &LoadSummary, format: Format) {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(summary).unwrap_or_default()),
        Format::Text => print!("{}", text(summary)),
    }
}

/// Tells whether an objective holds, on the error stream: the other one may be JSON.
pub fn objective(summary: &LoadSummary, objective: &Objective) -> bool {
    let (seen, holds) = objective.seen(summary);
    let verdict = match &summary.invalid {
        Some(_) => "unknown",
        None if holds => "pass",
        None => "fail",
    };
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{verdict}: {objective} (seen {seen})\n"));
    holds
}

fn text(s: &LoadSummary) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} operations, {:.1} of {:.1} a second, {:.2} % errors, {} starts missed",
        s.operations,
        s.achieved_rate,
        s.offered_rate,
        s.error_rate * 100.0,
        s.missed_starts
    );
    let _ = writeln!(out, "{:<36} {:>9} {:>9} {:>9} {:>9} {:>9}", "ms", "P50", "P90", "P95", "P99", "max");
    let mut row = |name: &str, p: &Percentiles| {
        let _ = writeln!(out, "{name:<36} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}", p.p50, p.p90, p.p95, p.p99, p.max);
    };
    row("latency from the intended start", &s.latency_ms);
    row("service time", &s.service_ms);
    for (name, part) in &s.parts {
        row(&format!("{name} ({})", part.count), &part.latency_ms);
    }
    for (name, part) in &s.parts {
        for (kind, times) in &part.kinds {
            let _ = writeln!(out, "error in {name}: {kind}: {times} of {}", part.count);
        }
    }
    for (kind, times) in &s.errors {
        let _ = writeln!(out, "error: {kind}: {times}");
    }
    if let Some(c) = &s.connections {
        let _ = write!(out, "connections: {} opened, reused {} times", c.opened, c.reused);
        if let (Some(most), Some(limit), Some(waited)) = (c.most, c.limit, c.waited) {
            let _ = write!(out, ", {most} at once (limit {limit}); {waited} operations waited for one");
        }
        out.push('\n');
    }
    if let Some(g) = &s.generator {
        let _ = writeln!(
            out,
            "generator: {:.1} µs of processor an operation, busy {:.0} %, slip P50 {:.3} P99 {:.3} max {:.3} ms{}",
            g.cpu_us_per_operation,
            g.busy * 100.0,
            g.slip_p50_ms,
            s.slip_p99_ms,
            g.slip_max_ms,
            if g.open_loop { "" } else { "; closed loop: capacity, not the latency that users see" }
        );
    }
    for w in &s.workers {
        let state = match w.state {
            WorkerState::Ended => "ended".to_owned(),
            WorkerState::Lost => format!("lost after {:.1} s", w.lost_at_s.unwrap_or(0.0)),
        };
        let late = w.began_late_us.map_or(String::new(), |late| format!(", began {:.3} ms late", late / 1e3));
        let _ = writeln!(
            out,
            "worker {}: {state}, {} operations, slip P99 {:.3} ms{late}, clock known to {:.3} ms",
            w.name,
            w.operations,
            w.slip_p99_ms,
            w.clock_offset.uncertainty_us / 1e3
        );
    }
    if let Some(skew) = &s.start_skew {
        let _ = writeln!(out, "workers began within {:.3} ± {:.3} ms", skew.us / 1e3, skew.uncertainty_us / 1e3);
    }
    if let Some(invalid) = &s.invalid {
        let _ = writeln!(out, "invalid, so nothing follows from it: {invalid}");
    }
    out
}
