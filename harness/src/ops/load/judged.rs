//! What a load came to, judged.

use crate::process::exit::Exit;
use loadgen::Limit;
use verdict::gate::{Answer, Compared};
use verdict::history::load::{Drift, Knee, LimitedBy, LoadSummary, PlanTold};

/// What a load came to.
pub struct Judged {
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
    Judged {
        exit,
        verdicts: verdicts.into_iter().map(|(verdict, text)| (word(verdict), text)).collect(),
    }
}

/// How an end is called.
pub fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Pass => "pass",
        Exit::Fail => "fail",
        _ => "unknown",
    }
}

fn passes(holds: bool) -> Exit {
    if holds { Exit::Pass } else { Exit::Fail }
}

fn of_load(
    summary: &LoadSummary,
    plan: Option<&PlanTold>,
    objectives: &[Limit],
) -> Vec<(Exit, String)> {
    let whole = || {
        objectives
            .iter()
            .map(|o| (o, o.seen(summary)))
            .map(|(o, (seen, holds))| (passes(holds), format!("{o} (seen {seen})")))
    };
    let stopped = summary
        .stopped_by
        .as_ref()
        .map(|s| format!("{}, at {} s (seen {})", s.condition, s.at_s, s.seen));
    let per_second =
        |rate: &Option<f64>| rate.map_or("no rate".to_owned(), |r| format!("{r:.1} a second"));
    let of_plan = match plan {
        // The objective is broken by design: when, is what was asked.
        Some(PlanTold::Breakpoint { held_rate, broke_rate, .. }) => {
            let found = stopped.map_or("nothing broke".to_owned(), |s| {
                format!("broke at {}: {s}", per_second(broke_rate))
            });
            return vec![(
                passes(held_rate.is_some()),
                format!("held at {}; {found}", per_second(held_rate)),
            )];
        }
        Some(PlanTold::Spike { until_s, held_before, back_after_s, .. }) => {
            let back = back_after_s.map_or("never".to_owned(), |s| format!("{s} s"));
            let (before, after) = (
                "the objective holds before the jump".to_owned(),
                format!("it holds again after it (seen {back} after {until_s} s)"),
            );
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
    of_plan
        .into_iter()
        .chain(stopped.map(|s| (Exit::Fail, format!("it is not stopped by {s}"))))
        .collect()
}

/// What a soak shows of a measure.
fn drifted(d: &Drift) -> String {
    let allowed = match d.question.compared {
        Compared::Ratio => format!("{} % more", d.question.practical * 100.0),
        Compared::Difference => format!("{} more", d.question.practical),
    };
    let untold = match d.answer {
        Answer::TooFewRuns { wanted: Some(windows), .. } => {
            format!(
                "; windows differ so much that {windows} of a quarter would tell: a longer soak, or longer windows (--window)"
            )
        }
        _ => String::new(),
    };
    format!(
        "the last quarter is not worse than the first by {allowed}: {} (mean {:.4}, then {:.4}{untold})",
        d.measure, d.first, d.last
    )
}

fn of_knee(knee: &Knee) -> (Exit, String) {
    let rate = |bound: &str| {
        knee.rate.map_or("no rate that was tried".to_owned(), |r| format!("{bound}{r} a second"))
    };
    let (verdict, found) = match knee.limited_by {
        LimitedBy::Target => {
            (passes(knee.rate.is_some()), format!("the highest rate is {}", rate("")))
        }
        _ => (Exit::Unknown, format!("the highest rate is {}, a lower bound", rate("at least "))),
    };
    (
        verdict,
        format!(
            "{}: {found} (within {} %): {}",
            knee.objective.join(", "),
            knee.precision * 100.0,
            knee.why
        ),
    )
}
