//! What a load measured, as text.

use std::fmt::Write;
use verdict::history::load::{self, KneeStep, LoadSummary, Pacing, Percentiles, WorkerState};

/// One step of a search, in one line.
pub fn step(step: &KneeStep) -> String {
    let judged = match step.judged {
        load::Judged::Within => "within the objective",
        load::Judged::Beyond => "beyond it",
        load::Judged::Generator => "more than the generator can offer",
    };
    let why = step
        .why
        .as_ref()
        .map_or(String::new(), |w| format!(": {}", w.lines().next().unwrap_or_default()));
    let (p, errors) = (step.latency_ms, step.error_rate * 100.0);
    format!(
        "{:>10.1} {:>10.1} {:>10.3} {:>10.3} {errors:>7.2} %  {judged}{why}",
        step.rate, step.achieved_rate, p.p50, p.p99
    )
}

/// The whole of it.
pub fn text(s: &LoadSummary) -> String {
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
    times(&mut out, s);
    errors(&mut out, s);
    means(&mut out, s);
    if let Some(knee) = &s.knee {
        let _ = writeln!(
            out,
            "{:>10} {:>10} {:>10} {:>10} {:>9}",
            "rate", "achieved", "P50 ms", "P99 ms", "errors"
        );
        for measured in &knee.steps {
            let _ = writeln!(out, "{}", step(measured));
        }
    }
    workers(&mut out, s);
    if let Some(invalid) = &s.invalid {
        let _ = writeln!(out, "invalid, so nothing follows from it: {invalid}");
    }
    out
}

/// Latencies, of all operations and of each part.
fn times(out: &mut String, s: &LoadSummary) {
    let _ = writeln!(
        out,
        "{:<36} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "ms", "P50", "P90", "P95", "P99", "max"
    );
    let mut row = |name: &str, p: &Percentiles| {
        let _ = writeln!(
            out,
            "{name:<36} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
            p.p50, p.p90, p.p95, p.p99, p.max
        );
    };
    row("latency from the intended start", &s.latency_ms);
    row("service time", &s.service_ms);
    for (name, part) in &s.parts {
        row(&format!("{name} ({})", part.count), &part.latency_ms);
    }
}

fn errors(out: &mut String, s: &LoadSummary) {
    for (name, part) in &s.parts {
        for (kind, times) in &part.kinds {
            let _ = writeln!(out, "error in {name}: {kind}: {times} of {}", part.count);
        }
    }
    for (kind, times) in &s.errors {
        let _ = writeln!(out, "error: {kind}: {times}");
    }
}

/// What the load was driven with: connections, the generator, users.
fn means(out: &mut String, s: &LoadSummary) {
    if let Some(c) = &s.connections {
        let _ = write!(out, "connections: {} opened, reused {} times", c.opened, c.reused);
        if let (Some(most), Some(limit), Some(waited)) = (c.most, c.limit, c.waited) {
            let _ =
                write!(out, ", {most} at once (limit {limit}); {waited} operations waited for one");
        }
        out.push('\n');
    }
    if let Some(g) = &s.generator {
        let _ = writeln!(
            out,
            "generator: {:.1} µs of processor an operation, busy {:.0} %, slip P50 {:.3} P99 {:.3} max {:.3} ms",
            g.cpu_us_per_operation,
            g.busy * 100.0,
            g.slip_p50_ms,
            s.slip_p99_ms,
            g.slip_max_ms
        );
    }
    if s.pacing == Pacing::Closed {
        let users = s.users.map_or(String::new(), |u| format!(" of {} users", u.count));
        let _ = writeln!(
            out,
            "closed loop{users}: how much they get done. Who waits sends nothing meanwhile, so latency leaves out what others would have waited"
        );
    }
}

fn workers(out: &mut String, s: &LoadSummary) {
    for w in &s.workers {
        let state = match w.state {
            WorkerState::Ended => "ended".to_owned(),
            WorkerState::Lost => format!("lost after {:.1} s", w.lost_at_s.unwrap_or(0.0)),
        };
        let late = w
            .began_late_us
            .map_or(String::new(), |late| format!(", began {:.3} ms late", late / 1e3));
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
        let _ = writeln!(
            out,
            "workers began within {:.3} ± {:.3} ms",
            skew.us / 1e3,
            skew.uncertainty_us / 1e3
        );
    }
}
