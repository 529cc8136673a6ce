//! What a load measured, as it is printed.

use crate::cli::Format;
use crate::exit::Exit;
use loadgen::Limit;
use std::fmt::Write;
use verdict::gate::{Answer, Compared};
use verdict::history::load::{self, Drift, Knee, KneeStep, LimitedBy, LoadSummary, Pacing, Percentiles, PlanTold, WorkerState};

/// Prints it: the `load` object of report.json, or the same for people.
pub fn print(summary: &LoadSummary, format: Format) {
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(summary).unwrap_or_default()),
        Format::Text => print!("{}", text(summary)),
    }
}

/// What a load came to.
pub struct Judged {
    /// Its end.
    pub exit: Exit,
    /// Each thing that was judged: `pass`, `fail` or `unknown`, and what it is.
    pub verdicts: Vec<(&'static str, String)>,
}

/// Judges a load.
pub fn judge(summary: &LoadSummary, objectives: &[Limit]) -> Judged {
    let verdicts = match (&summary.knee, &summary.plan) {
        (Some(knee), _) => vec![of_knee(knee)],
        (None, plan) => of_load(summary, plan.as_ref(), objectives),
    };
    let any = |wanted: Exit| verdicts.iter().any(|(v, _)| *v == wanted);
    let exit = match summary.invalid {
        Some(_) => Exit::Unknown,
        None if any(Exit::Fail) => Exit::Fail,
        None if any(Exit::Unknown) => Exit::Unknown,
        None => Exit::Pass,
    };
    let word = |verdict: Exit| if summary.invalid.is_some() { "unknown" } else { word(verdict) };
    Judged { exit, verdicts: verdicts.into_iter().map(|(verdict, text)| (word(verdict), text)).collect() }
}

/// How an end is called.
pub fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Pass => "pass",
        Exit::Fail => "fail",
        _ => "unknown",
    }
}

impl Judged {
    /// Tells each on the error stream: the other one may be JSON.
    pub fn tell(&self) {
        for (word, text) in &self.verdicts {
            let _ = std::io::Write::write_fmt(&mut crate::secret::stderr(), format_args!("{word}: {text}\n"));
        }
    }
}

fn passes(holds: bool) -> Exit {
    if holds { Exit::Pass } else { Exit::Fail }
}

fn of_load(summary: &LoadSummary, plan: Option<&PlanTold>, objectives: &[Limit]) -> Vec<(Exit, String)> {
    let whole = || objectives.iter().map(|o| (o, o.seen(summary))).map(|(o, (seen, holds))| (passes(holds), format!("{o} (seen {seen})")));
    let stopped = summary.stopped_by.as_ref().map(|s| format!("{}, at {} s (seen {})", s.condition, s.at_s, s.seen));
    let per_second = |rate: &Option<f64>| rate.map_or("no rate".to_owned(), |r| format!("{r:.1} a second"));
    let of_plan = match plan {
        // The objective is broken by design: when, is what was asked.
        Some(PlanTold::Breakpoint { held_rate, broke_rate, .. }) => {
            let found = stopped.map_or("nothing broke".to_owned(), |s| format!("broke at {}: {s}", per_second(broke_rate)));
            return vec![(passes(held_rate.is_some()), format!("held at {}; {found}", per_second(held_rate)))];
        }
        Some(PlanTold::Spike { until_s, held_before, back_after_s, .. }) => {
            let back = back_after_s.map_or("never".to_owned(), |s| format!("{s} s"));
            let (before, after) =
                ("the objective holds before the jump".to_owned(), format!("it holds again after it (seen {back} after {until_s} s)"));
            vec![(passes(*held_before), before), (passes(back_after_s.is_some()), after)]
        }
        Some(PlanTold::Soak { drift }) => {
            let judged = |answer: &Answer| match answer {
                Answer::Holds(_) => Exit::Pass,
                Answer::Worse(_) => Exit::Fail,
                Answer::TooFewRuns { .. } | Answer::NotComparable => Exit::Unknown,
            };
            whole().chain(drift.iter().map(|d| (judged(&d.answer), drifted(d)))).collect()
        }
        None => whole().collect(),
    };
    of_plan.into_iter().chain(stopped.map(|s| (Exit::Fail, format!("it is not stopped by {s}")))).collect()
}

/// What a soak shows of a measure.
fn drifted(d: &Drift) -> String {
    let allowed = match d.question.compared {
        Compared::Ratio => format!("{} % more", d.question.practical * 100.0),
        Compared::Difference => format!("{} more", d.question.practical),
    };
    let untold = match d.answer {
        Answer::TooFewRuns { wanted: Some(windows), .. } => {
            format!("; windows differ so much that {windows} of a quarter would tell: a longer soak, or longer windows (--window)")
        }
        _ => String::new(),
    };
    format!("the last quarter is not worse than the first by {allowed}: {} (mean {:.4}, then {:.4}{untold})", d.measure, d.first, d.last)
}

fn of_knee(knee: &Knee) -> (Exit, String) {
    let rate = |bound: &str| knee.rate.map_or("no rate that was tried".to_owned(), |r| format!("{bound}{r} a second"));
    let (verdict, found) = match knee.limited_by {
        LimitedBy::Target => (passes(knee.rate.is_some()), format!("the highest rate is {}", rate(""))),
        _ => (Exit::Unknown, format!("the highest rate is {}, a lower bound", rate("at least "))),
    };
    (verdict, format!("{}: {found} (within {} %): {}", knee.objective.join(", "), knee.precision * 100.0, knee.why))
}

/// One step of a search, in one line.
pub fn step(step: &KneeStep) -> String {
    let judged = match step.judged {
        load::Judged::Within => "within the objective",
        load::Judged::Beyond => "beyond it",
        load::Judged::Generator => "more than the generator can offer",
    };
    let why = step.why.as_ref().map_or(String::new(), |w| format!(": {}", w.lines().next().unwrap_or_default()));
    let (p, errors) = (step.latency_ms, step.error_rate * 100.0);
    format!("{:>10.1} {:>10.1} {:>10.3} {:>10.3} {errors:>7.2} %  {judged}{why}", step.rate, step.achieved_rate, p.p50, p.p99)
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
    if let Some(knee) = &s.knee {
        let _ = writeln!(out, "{:>10} {:>10} {:>10} {:>10} {:>9}", "rate", "achieved", "P50 ms", "P99 ms", "errors");
        for measured in &knee.steps {
            let _ = writeln!(out, "{}", step(measured));
        }
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
