//! How many events a window holds once it is N times as short.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::parser::Expr;
use serde::Serialize;

use super::{Reason, Work, text_of};
use crate::monitoring::comparison::{comparisons, rate_below};
use crate::monitoring::{MonitoringConfig, Rule, promql};

/// A window that a rule looks back over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeUse {
    /// Name of the service of the Prometheus server.
    pub service: String,
    /// Name of the alert or the recorded series.
    pub rule: String,
    /// How far it looks back, offsets and surrounding subqueries added.
    pub window: Duration,
}

/// Expected number of events in a window, given their arrivals per second. Both must not be
/// negative.
pub fn events_in_window(arrivals_per_second: f64, window: Duration) -> f64 {
    arrivals_per_second.max(0.0) * window.as_secs_f64()
}

/// Every window of every rule, as the configuration has it: for a scaled one, the scaled windows.
pub fn ranges(config: &MonitoringConfig) -> Vec<RangeUse> {
    config
        .rules()
        .flat_map(|(server, _, rule)| {
            promql::windows(&rule.expr).into_iter().map(|window| RangeUse {
                service: server.service.clone(),
                rule: rule.name.clone(),
                window,
            })
        })
        .collect()
}

/// Share of the run's error rate that the test of a sampling rate may spend; windows have the rest.
pub const SAMPLING_SHARE: f64 = 0.9;

/// Length of a run for which chances are worked out, seconds.
const RUN_S: f64 = 900.0;

/// What is stated of the traffic that windows will hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Scrape jobs whose counters count it.
    pub jobs: BTreeSet<String>,
    /// Arrivals per second, at least 0.
    pub arrivals_per_s: f64,
    /// Largest share of them that fails while all is well, 0 to 1.
    pub error_rate: f64,
    /// Chance of a false conviction over the whole run, above 0 and below 1.
    pub alpha: f64,
}

/// What the window of a rule about the traffic holds, and how far chance is from making it cross
/// its threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowEvents {
    /// Name of the alert.
    pub rule: String,
    /// The window as scaled.
    pub window: Duration,
    /// Expected number of events in it, a real number.
    pub events: f64,
    /// Chance that in some window of a run a healthy stack crosses the threshold; for a quantile
    /// none is worked out.
    pub chance: Option<f64>,
    /// The share of the run's error rate that it may take.
    pub allowed: f64,
}

/// A comparison whose left side counts the traffic over a window.
struct Counted<'a> {
    rule: &'a Rule,
    window: Duration,
    threshold: f64,
    /// For a quantile: which.
    quantile: Option<f64>,
}

impl Work<'_> {
    /// What the windows of rules about the traffic hold at this scale; refuses what chance would
    /// decide.
    pub(super) fn events(&mut self, written: &MonitoringConfig) -> Vec<WindowEvents> {
        let Some(traffic) = self.scale.traffic.clone() else { return Vec::new() };
        let counted: Vec<_> = written
            .rules()
            .filter(|(_, _, rule)| rule.is_alert())
            .flat_map(|(_, _, rule)| counted(rule, &traffic.jobs))
            .collect();
        let allowed = traffic.alpha * (1.0 - SAMPLING_SHARE) / counted.len().max(1) as f64;
        let mut found = Vec::new();
        for one in &counted {
            let at = |n: f64| {
                let window = one.window.div_f64(n);
                let events = events_in_window(traffic.arrivals_per_s, window);
                let chance = match one.quantile {
                    Some(_) => None,
                    None => Some(
                        tail(events, traffic.error_rate, one.threshold)
                            * (RUN_S / window.as_secs_f64()).max(1.0),
                    ),
                };
                let works = match (one.quantile, chance) {
                    // The largest of fewer is no quantile.
                    (Some(quantile), _) => events * (1.0 - quantile) >= 1.0 - 1e-9,
                    (None, Some(chance)) => chance <= allowed,
                    (None, None) => true,
                };
                (
                    works,
                    WindowEvents { rule: one.rule.name.clone(), window, events, chance, allowed },
                )
            };
            let (works, seen) = at(self.scale.n);
            if !works {
                // Larger windows hold more, so the first that works from above is the largest.
                let largest = (1..self.scale.n.ceil() as u64)
                    .rev()
                    .map(|n| n as f64)
                    .find(|n| at(*n).0)
                    .unwrap_or(1.0);
                let why = match (one.quantile, seen.chance) {
                    (Some(quantile), _) => format!(
                        "a window of {} holds {:.0} events, too few for a quantile of {quantile}",
                        text_of(seen.window),
                        seen.events
                    ),
                    (None, chance) => format!(
                        "a window of {} holds {:.0} events, and with {} of them failing while all is well it crosses {} by chance in {:.1e} of runs, allowed are {allowed:.1e}",
                        text_of(seen.window),
                        seen.events,
                        traffic.error_rate,
                        one.threshold,
                        chance.unwrap_or(1.0).min(1.0)
                    ),
                };
                self.reasons.push(Reason {
                    subject: format!("alert `{}`", one.rule.name),
                    place: Some(one.rule.expr_place.clone()),
                    seen: one.rule.text.clone(),
                    why,
                    hint:
                        "use a smaller time scale, or more load (`workload.rate` in firedrill.yaml)"
                            .into(),
                    largest_n: largest,
                });
            }
            found.push(seen);
        }
        found
    }
}

/// Comparisons of a rule that count the traffic: shares of it that exceed a threshold, and
/// quantiles.
fn counted<'a>(rule: &'a Rule, jobs: &BTreeSet<String>) -> Vec<Counted<'a>> {
    let mut found = Vec::new();
    for comparison in comparisons(&rule.expr)
        .into_iter()
        .filter(|comparison| matches!(comparison.op_text(), ">" | ">="))
    {
        let quantile = quantile(comparison.left);
        let Some(counts) = quantile.map(|(_, below)| below).or_else(|| rate_below(comparison.left))
        else {
            continue;
        };
        let of_traffic = promql::selectors(counts).iter().all(|selector| {
            promql::equal_to(selector, "job").is_some_and(|job| jobs.contains(job))
        });
        if let (true, Some(window)) = (of_traffic, promql::windows(counts).into_iter().max()) {
            found.push(Counted {
                rule,
                window,
                threshold: comparison.limit,
                quantile: quantile.map(|(quantile, _)| quantile),
            });
        }
    }
    found
}

fn quantile(expr: &Expr) -> Option<(f64, &Expr)> {
    match expr {
        Expr::Paren(paren) => quantile(&paren.expr),
        Expr::Call(call) if call.func.name == "histogram_quantile" => {
            match call.args.args.as_slice() {
                [quantile, below] => Some((promql::constant(quantile)?, below)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Chance that more than `share` of `events` independent events happen, each with probability
/// `each`.
fn tail(events: f64, each: f64, share: f64) -> f64 {
    let number = events.round();
    if number < 1.0 || share >= 1.0 || each <= 0.0 {
        return 0.0;
    }
    if each >= 1.0 || share < 0.0 {
        return 1.0;
    }
    // Term by term: each follows from the one before, and the first from sums of logarithms.
    let first = (share * number + 1e-9).floor() + 1.0;
    let mut log = number * (1.0 - each).ln();
    let mut at = 0.0;
    while at < first {
        log += ((number - at) / (at + 1.0) * each / (1.0 - each)).ln();
        at += 1.0;
    }
    let (mut term, mut sum) = (log.exp(), 0.0);
    while at <= number && (term > sum * 1e-12 || sum == 0.0) {
        sum += term;
        term *= (number - at) / (at + 1.0) * each / (1.0 - each);
        at += 1.0;
        if term == 0.0 {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_binomial() {
        for (events, each, share, wanted) in [
            // Worked out with whole numbers.
            (10.0, 0.01, 0.05, 0.095_617_925),
            (10.0, 0.5, 0.5, 0.376_953_125),
            (300.0, 0.01, 0.05, 9.466_459_98e-8),
            (4.0, 0.1, 0.0, 0.3439),
            (100.0, 0.0, 0.05, 0.0),
        ] {
            let seen = tail(events, each, share);
            assert!(
                (seen - wanted).abs() <= 1e-7 * wanted,
                "{events} {each} {share}: {seen:e}, wanted {wanted:e}"
            );
        }
    }
}
