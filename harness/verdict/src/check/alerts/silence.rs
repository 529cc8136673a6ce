//! Why an alert did not fire: the first stage, from the configuration to `for`, that explains its
//! silence.

use super::Diagnosis;
use crate::cause::Cause;
use crate::check::firing::Firing;
use crate::check::timeline::{Drill, Interval, Timeline};
use crate::check::wording::{number, seconds};
use crate::observation::Fact;
use crate::observation::metrics::{Comparison, Rule, RuleInputs, Target};
use std::collections::BTreeSet;

/// The stage that stopped an alert which never fired in the window (wall-clock seconds, from the
/// injection on).
pub(super) fn diagnose(
    timeline: &Timeline<'_>,
    firing: &Firing,
    alert: &str,
    drill: &Drill<'_>,
    window: Interval,
) -> Diagnosis {
    let rule = rule(timeline, alert, window.to);
    let inputs = inputs(timeline, alert, drill.id);
    rejected_reload(timeline, window.to)
        .or_else(|| not_loaded(timeline, alert, window.to))
        .or_else(|| failing(rule.as_ref()))
        // It may have begun to fail only then, and was asked of the rules later.
        .or_else(|| failing(self::rule(timeline, alert, f64::INFINITY).as_ref()))
        .or_else(|| reset(timeline, firing, alert, rule.as_ref().map(|(_, r)| *r), window))
        .or_else(|| still_pending(firing, alert, rule.as_ref().map(|(_, r)| *r), window))
        .or_else(|| inputs.as_ref().and_then(|i| absent_series(timeline, i, window.from)))
        .or_else(|| inputs.as_ref().map(never_true))
        .unwrap_or_else(|| Diagnosis {
            cause: Cause::ExpressionFalse,
            stage: "expression false".into(),
            seen: "inactive throughout; what its expression is made of was not recorded".into(),
            hint: "query the left side of the rule's comparison over the drill's window".into(),
            witnesses: firing.seqs.clone(),
        })
}

/// Services that answer the questions that only a metrics server answers.
fn metrics_servers<'h>(timeline: &Timeline<'h>) -> BTreeSet<&'h str> {
    let answers = |f: &Fact| {
        matches!(
            f,
            Fact::Targets { .. }
                | Fact::SeriesCount { .. }
                | Fact::Samples(_)
                | Fact::RuleInputs(_)
                | Fact::Rules { .. }
        )
    };
    timeline
        .history
        .observations()
        .filter(|(_, o)| answers(&o.fact))
        .map(|(_, o)| o.source.as_str())
        .collect()
}

fn rejected_reload(timeline: &Timeline<'_>, until: f64) -> Option<Diagnosis> {
    let servers = metrics_servers(timeline);
    let reloads = timeline.nearest(until, |o| match &o.fact {
        Fact::Reload(r) if servers.contains(o.source.as_str()) => Some(r),
        _ => None,
    });
    let (seq, source, reload) = reloads.into_iter().find(|(_, _, r)| !r.successful)?;
    Some(Diagnosis {
        cause: Cause::ReloadRejected,
        stage: "reload rejected".into(),
        seen: format!(
            "{source} refused its last configuration and runs on an older one: {}",
            reload.seen
        ),
        hint: format!(
            "check the configuration and rule files of {source} with its own checking tool, then reload again"
        ),
        witnesses: vec![seq],
    })
}

fn rule<'h>(timeline: &Timeline<'h>, alert: &str, until: f64) -> Option<(u64, &'h Rule)> {
    let rules = timeline.nearest(until, |o| match &o.fact {
        Fact::Rules { groups } => {
            groups.iter().flat_map(|g| &g.rules).find(|r| r.alerting && r.name == alert)
        }
        _ => None,
    });
    rules.into_iter().next().map(|(seq, _, r)| (seq, r))
}

fn not_loaded(timeline: &Timeline<'_>, alert: &str, until: f64) -> Option<Diagnosis> {
    let loaded = timeline.nearest(until, |o| match &o.fact {
        Fact::Rules { groups } => Some(groups),
        _ => None,
    });
    if loaded.is_empty()
        || loaded.iter().any(|(_, _, groups)| {
            groups.iter().flat_map(|g| &g.rules).any(|r| r.alerting && r.name == alert)
        })
    {
        return None;
    }
    let (seq, source, groups) = loaded.first()?;
    let alerts = groups.iter().flat_map(|g| &g.rules).filter(|r| r.alerting).count();
    Some(Diagnosis {
        cause: Cause::RuleNotLoaded,
        stage: "rule not loaded".into(),
        seen: format!("{source} has {alerts} alerting rules in {} groups, and none is called {alert}", groups.len()),
        hint: "is the rule's file listed under the server's rule files, and was the server reloaded since?".into(),
        witnesses: vec![*seq],
    })
}

fn failing(rule: Option<&(u64, &Rule)>) -> Option<Diagnosis> {
    let (seq, rule) = rule?;
    (rule.health == "err" || !rule.last_error.is_empty()).then(|| Diagnosis {
        cause: Cause::RuleFailing,
        stage: "rule group failing".into(),
        seen: format!(
            "its last evaluation failed: {}",
            if rule.last_error.is_empty() { "no error given" } else { &rule.last_error }
        ),
        hint: format!("run the expression by hand: {}", rule.expr),
        witnesses: vec![*seq],
    })
}

/// What the rule's expression was made of: asked for this drill, else for the whole run.
fn inputs<'h>(timeline: &Timeline<'h>, alert: &str, drill: &str) -> Option<(u64, &'h RuleInputs)> {
    let asked = |wanted: Option<&str>| {
        let found = timeline.nearest(f64::INFINITY, |o| match &o.fact {
            Fact::RuleInputs(i) if i.alert == alert && i.drill.as_deref() == wanted => Some(i),
            _ => None,
        });
        found.into_iter().next().map(|(seq, _, i)| (seq, i))
    };
    asked(Some(drill)).or_else(|| asked(None))
}

fn absent_series(
    timeline: &Timeline<'_>,
    (seq, inputs): &(u64, &RuleInputs),
    before: f64,
) -> Option<Diagnosis> {
    let selector = inputs
        .selectors
        .iter()
        .find(|s| s.count == 0 && !meant_to_be_absent(&inputs.expr, &s.selector))
        .map(|s| s.selector.as_str())?;
    let missing = |cause: Cause, stage: &str, seen: String, hint: &str, witnesses: Vec<u64>| {
        Diagnosis { cause, stage: stage.into(), seen, hint: hint.into(), witnesses }
    };
    if let Some(job) = label_value(selector, "job") {
        let known: Vec<(u64, &str, &Vec<Target>)> = timeline.nearest(before, |o| match &o.fact {
            Fact::Targets { targets } => Some(targets),
            _ => None,
        });
        let of_job: Vec<(u64, &Target)> = known
            .iter()
            .flat_map(|(s, _, targets)| targets.iter().filter(|t| t.job == job).map(|t| (*s, t)))
            .collect();
        if of_job.is_empty() && !known.is_empty() {
            return Some(missing(
                Cause::TargetNotInDiscovery,
                "target not in discovery",
                format!(
                    "inactive throughout; `{selector}` matched no series, and no target of job {job} is known"
                ),
                "is the job in the scrape configuration, and does its discovery find the service?",
                vec![*seq, known[0].0],
            ));
        }
        if !of_job.is_empty() && of_job.iter().all(|(_, t)| !t.up) {
            let (at, target) = of_job[0];
            return Some(missing(
                Cause::TargetNotScraped,
                "not scraped",
                format!(
                    "inactive throughout; `{selector}` matched no series, and scrapes of {} already failed before the fault: {}",
                    target.scrape_url, target.last_error
                ),
                "check the port and path of the scrape configuration against what the service listens on",
                vec![*seq, at],
            ));
        }
    }
    Some(missing(
        Cause::SeriesAbsent,
        "series absent",
        format!("inactive throughout; `{selector}` matched no series in the whole window"),
        "compare the metric's name and labels in the rule with what the target exposes: one of them was renamed",
        vec![*seq],
    ))
}

/// Whether the rule asks for the selector's absence: then that it matches nothing is no defect.
fn meant_to_be_absent(expr: &str, selector: &str) -> bool {
    let squeeze =
        |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>().replace('\'', "\"");
    let (expr, selector) = (squeeze(expr), squeeze(selector));
    let name = selector.split(['{', '[']).next().unwrap_or_default();
    let wrapped = |what: &str| {
        !what.is_empty()
            && ["absent(", "absent_over_time("].iter().any(|f| expr.contains(&format!("{f}{what}")))
    };
    // The two may be printed by different programs (order of labels): if the selector is not found
    // as written, its name decides.
    if expr.contains(&selector) { wrapped(&selector) } else { wrapped(name) }
}

/// The value that a selector demands of a label by equality.
fn label_value<'s>(selector: &'s str, label: &str) -> Option<&'s str> {
    let inner = selector.split_once('{')?.1;
    let mut rest = inner;
    while let Some(at) = rest.find(label) {
        let before = rest[..at].chars().next_back();
        let after = rest[at + label.len()..].trim_start();
        if before.is_none_or(|c| c == ',' || c.is_whitespace())
            && let Some(value) = after.strip_prefix('=').map(str::trim_start)
            && let Some(quote @ ('"' | '\'')) = value.chars().next()
        {
            return value[1..].split(quote).next();
        }
        rest = &rest[at + label.len()..];
    }
    None
}

/// It would have fired within the window, had the metrics server not begun to count `for` anew when
/// it was restarted.
fn reset(
    timeline: &Timeline<'_>,
    firing: &Firing,
    alert: &str,
    rule: Option<&Rule>,
    window: Interval,
) -> Option<Diagnosis> {
    let for_s = rule?.for_s;
    let first =
        firing.pending(alert).into_iter().find(|s| s.to >= window.from && s.from <= window.to)?;
    let (seq, source, at) = timeline.history.observations().find_map(|(e, o)| match o.fact {
        Fact::ProcessStarted { at_s } if at_s > first.from && at_s <= window.to => {
            Some((e.seq, &o.source, at_s))
        }
        _ => None,
    })?;
    let resolution = firing.resolution(alert).unwrap_or(0.0);
    // Without the restart it would have been pending still.
    if !metrics_servers(timeline).contains(source.as_str())
        || window.to - first.from < for_s + resolution
    {
        return None;
    }
    Some(Diagnosis {
        cause: Cause::ResetByRestart,
        stage: "reset by a restart".into(),
        seen: format!(
            "pending for {} of the {} that `for` asks when {source} was restarted, {} after the injection; `for` then began anew",
            seconds(at - first.from),
            seconds(for_s),
            seconds(at - window.from)
        ),
        hint: "the server takes up `for` after a restart only where it is longer than its grace period: compare both, and look why it was restarted".into(),
        witnesses: vec![first.seq, seq],
    })
}

fn still_pending(
    firing: &Firing,
    alert: &str,
    rule: Option<&Rule>,
    window: Interval,
) -> Option<Diagnosis> {
    let pending: Vec<_> = firing
        .pending(alert)
        .into_iter()
        .filter(|s| s.to >= window.from && s.from <= window.to)
        .collect();
    let longest = pending.iter().max_by(|a, b| (a.to - a.from).total_cmp(&(b.to - b.from)))?;
    let for_s = rule.map_or(0.0, |r| r.for_s);
    let held = longest.to - longest.from;
    let since = longest.from - window.from;
    let resets = if pending.len() > 1 {
        format!(
            ", and it became pending {} times anew: the condition does not hold without a break",
            pending.len() - 1
        )
    } else {
        String::new()
    };
    let asked = if rule.is_some() {
        format!(" of the {} that `for` asks", seconds(for_s))
    } else {
        String::new()
    };
    Some(Diagnosis {
        cause: Cause::StillPending,
        stage: if rule.is_some() { format!("pending until {} after the injection", seconds(since + for_s)) } else { "pending".into() },
        seen: format!("pending from {} after the injection, for {}{asked}{resets}", seconds(since), seconds(held)),
        hint: "let the fault last longer than `for`, or look for gaps in the series that the rule reads".into(),
        witnesses: vec![longest.seq],
    })
}

/// Whether a comparison can have been true at some time; `None` if its left side never had a value.
fn was_true(c: &Comparison) -> Option<bool> {
    let (low, high) = (c.lowest?, c.highest?);
    Some(match c.op.as_str() {
        ">" => high > c.threshold,
        ">=" => high >= c.threshold,
        "<" => low < c.threshold,
        "<=" => low <= c.threshold,
        "==" => low <= c.threshold && c.threshold <= high,
        "!=" => low != c.threshold || high != c.threshold,
        _ => true,
    })
}

fn never_true((seq, inputs): &(u64, &RuleInputs)) -> Diagnosis {
    let stage = "expression false";
    let diagnosis = |cause: Cause, seen: String, hint: String| Diagnosis {
        cause,
        stage: stage.into(),
        seen,
        hint,
        witnesses: vec![*seq],
    };
    // 0/0 for most of the time says more than the values of the rest.
    if let Some(c) =
        inputs.comparisons.iter().find(|c| was_true(c) != Some(true) && c.not_numbers > c.samples)
    {
        let (left, of) = (&c.left, c.not_numbers + c.samples);
        return diagnosis(
            Cause::ExpressionFalse,
            format!(
                "inactive throughout; `{left}` was 0/0 in {} of {of} samples, which is neither above nor below {}",
                c.not_numbers,
                number(c.threshold)
            ),
            "where nothing happens at all, no share of it fails: add an alert on the absence of traffic, or `or` to this one".into(),
        );
    }
    if let Some(c) = inputs.comparisons.iter().find(|c| was_true(c) == Some(false)) {
        return buckets_too_low(inputs, c)
            .map(|(seen, hint)| diagnosis(Cause::BucketsBelowThreshold, seen, hint))
            .unwrap_or_else(|| {
                diagnosis(
                    Cause::ExpressionFalse,
                    format!("inactive throughout; {}", seen_against(c)),
                    hint_for(c),
                )
            });
    }
    if let Some(c) = inputs.comparisons.iter().find(|c| was_true(c).is_none()) {
        return diagnosis(
            Cause::ExpressionFalse,
            format!("inactive throughout; `{}` returned no value in the whole window, so that nothing was compared with {}", c.left, number(c.threshold)),
            "each selector matches series, but they don't join: compare the labels on both sides of the operator, and the range with the scrape interval".into(),
        );
    }
    if inputs.comparisons.is_empty() {
        return diagnosis(
            Cause::ExpressionFalse,
            "inactive throughout; its expression returned nothing".into(),
            format!("run the expression by hand: {}", inputs.expr),
        );
    }
    diagnosis(
        Cause::ExpressionFalse,
        "inactive throughout; each comparison was true at some time, but never all together for the same labels".into(),
        "compare the labels on both sides of `and`, and the times at which each side holds".into(),
    )
}

fn buckets_too_low(inputs: &RuleInputs, c: &Comparison) -> Option<(String, String)> {
    let top =
        inputs.bucket_bounds.iter().copied().filter(|b| b.is_finite()).max_by(f64::total_cmp)?;
    let unreachable = match c.op.as_str() {
        ">" => top <= c.threshold,
        ">=" => top < c.threshold,
        _ => false,
    };
    // A quantile never exceeds its highest finite bound; a higher value means that the left side is
    // no plain quantile in seconds.
    let plain = c.highest.is_none_or(|h| h <= top * (1.0 + 1e-9));
    (unreachable && plain && c.left.contains("histogram_quantile")).then(|| {
        (
            format!(
                "inactive throughout; {}, and the highest finite bucket ends at {}: the quantile can't exceed it",
                seen_against(c),
                number(top)
            ),
            format!("give the histogram buckets beyond {}, or lower the threshold", number(c.threshold)),
        )
    })
}

fn seen_against(c: &Comparison) -> String {
    let against = format!("against threshold {} {}", c.op, number(c.threshold));
    match (c.op.as_str(), c.lowest, c.highest) {
        (_, Some(low), Some(high)) if low == high => {
            format!("`{}` was {} throughout {against}", c.left, number(low))
        }
        ("<" | "<=", Some(low), _) => {
            format!("lowest value of `{}` was {} {against}", c.left, number(low))
        }
        ("==" | "!=", Some(low), Some(high)) => {
            format!("values of `{}` were {} to {} {against}", c.left, number(low), number(high))
        }
        (_, _, Some(high)) => {
            format!("highest value of `{}` was {} {against}", c.left, number(high))
        }
        _ => format!("`{}` had no value {against}", c.left),
    }
}

fn hint_for(c: &Comparison) -> String {
    if c.lowest == c.highest {
        format!(
            "the fault was seen to bite, and `{}` did not move: does the rule watch what was broken, or something beside it?",
            c.left
        )
    } else {
        "the fault was seen to bite, and the value moved without passing the threshold: check the threshold, its unit and the rule's labels"
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_label_is_found() {
        assert_eq!(label_value(r#"up{job="a b",instance=~"x"}"#, "job"), Some("a b"));
        assert_eq!(label_value("up{other_job='x', job = 'y'}", "job"), Some("y"));
        assert_eq!(label_value(r#"up{job=~"a|b"}"#, "job"), None);
        assert_eq!(label_value(r#"up{job!="a"}"#, "job"), None);
        assert_eq!(label_value("up", "job"), None);
        assert_eq!(label_value(r#"up{kind="job",job="z"}"#, "job"), Some("z"));
    }

    #[test]
    fn what_is_meant_to_be_absent_is_no_defect() {
        assert!(meant_to_be_absent(
            r#"up{job="x"} == 0 or absent( up{job="x"} )"#,
            r#"up{job="x"}"#
        ));
        assert!(meant_to_be_absent(r#"absent(up{a="1", b="2"})"#, r#"up{b="2",a="1"}"#));
        assert!(!meant_to_be_absent(r#"rate(x_total{a="1"}[5m]) > 0"#, r#"x_total{a="1"}"#));
    }
}
