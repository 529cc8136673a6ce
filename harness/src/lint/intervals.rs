//! Intervals, limits and waits that can't do what they are there for.

use super::{Findings, LintContext};
use config::monitoring::comparison::comparisons;
use config::monitoring::promql::{self, inner};
use config::monitoring::{PrometheusServer, Rule, RuleGroup, RuleKind, duration};
use config::yaml::Place;
use promql_parser::parser::Expr;
use promql_parser::parser::token::{T_GTE, T_GTR, T_LSS, T_LTE, T_SUB};
use std::collections::BTreeSet;
use std::time::Duration;

/// How far back a server looks for the last sample of a series, unless a flag says otherwise.
const LOOKBACK: Duration = Duration::from_secs(300);
/// Less than a scrape over any network takes.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
/// Samples that the smallest exporter has.
const FEW: u64 = 10;
/// From which on an alert that stays is worth a note.
const LONG: Duration = Duration::from_secs(24 * 3600);

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        let flag =
            server.flags.get("query.lookback-delta").and_then(|text| duration::parse(text).ok());
        let lookback = flag.unwrap_or(LOOKBACK);
        jobs(server, lookback, findings);
        groups(server, lookback, findings);
        for group in server.rules.iter().flat_map(|file| &file.view) {
            for rule in &group.rules {
                holds(rule, findings);
                value_in_label(rule, findings);
            }
        }
    }
}

fn jobs(server: &PrometheusServer, lookback: Duration, findings: &mut Findings) {
    for job in &server.config.view.jobs {
        if job.interval >= lookback {
            findings.warning(
                "interval-over-lookback",
                &job.place,
                format!(
                    "job `{}` is scraped every {}, and the server forgets a sample after {}: its series come and go",
                    job.name,
                    duration::format(job.interval),
                    duration::format(lookback)
                ),
                "scrape at least every 2m, or raise --query.lookback-delta",
            );
        }
        if job.timeout < SHORTEST_TIMEOUT {
            findings.warning(
                "timeout-too-short",
                &job.place,
                format!(
                    "scrapes of job `{}` may take {}: hardly one is that fast",
                    job.name,
                    duration::format(job.timeout)
                ),
                "leave `scrape_timeout` out, or set some seconds",
            );
        }
    }
    let items = server.config.doc.root.get_non_null("scrape_configs").map(|node| node.items());
    for item in items.unwrap_or_default() {
        let Some(node) = item.get_non_null("sample_limit") else { continue };
        let limit = node.text().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if limit > 0 && limit < FEW {
            findings.warning(
                "limit-too-small",
                &server.config.doc.place_of(node, "sample_limit"),
                format!("a scrape with more than {limit} samples counts as failed, and every exporter has more"),
                "raise `sample_limit`, or leave it out",
            );
        }
    }
}

fn groups(server: &PrometheusServer, lookback: Duration, findings: &mut Findings) {
    let global = server.config.view.global.evaluation_interval;
    let all = || server.rules.iter().flat_map(|file| &file.view);
    if global >= lookback && all().any(|group| group.interval.is_none() && !group.rules.is_empty())
    {
        findings.warning(
            "interval-over-lookback",
            &Place::of(&server.config.doc.file),
            format!(
                "rules are evaluated every {} only (`evaluation_interval`), and what they record is forgotten after {}",
                duration::format(global),
                duration::format(lookback)
            ),
            "evaluate at least every minute",
        );
    }
    let read: BTreeSet<&str> = all()
        .flat_map(|group| &group.rules)
        .flat_map(|rule| promql::selectors(&rule.expr))
        .filter_map(promql::metric_name)
        .collect();
    for group in all() {
        let is_read = |rule: &&Rule| !rule.is_alert() && read.contains(rule.name.as_str());
        if let Some(interval) = group.interval.filter(|interval| *interval >= lookback)
            && let Some(rule) = group.rules.iter().find(is_read)
        {
            findings.warning(
                "interval-over-lookback",
                &group.place,
                format!(
                    "group `{}` records `{}` every {}, and the server forgets a sample after {}: whoever reads it sees gaps, and `for` starts anew",
                    group.name,
                    rule.name,
                    duration::format(interval),
                    duration::format(lookback)
                ),
                "give the group a shorter `interval`",
            );
        }
        limited(group, findings);
    }
}

fn limited(group: &RuleGroup, findings: &mut Findings) {
    let alert = group.rules.iter().find(|rule| rule.is_alert());
    if let (Some(limit), Some(alert)) = (group.limit.filter(|limit| *limit < FEW), alert) {
        findings.warning(
            "limit-too-small",
            &group.place,
            format!(
                "`limit: {limit}` of group `{}`: when more than {limit} series of `{}` are wrong at once, none of them alerts",
                group.name, alert.name
            ),
            "raise `limit`, or leave it out",
        );
    }
}

/// `for` against what an expression can hold for.
fn holds(rule: &Rule, findings: &mut Findings) {
    let RuleKind::Alert { hold, keep_firing, .. } = &rule.kind else { return };
    if *keep_firing >= LONG {
        findings.note(
            "keeps-firing",
            &rule.place,
            format!(
                "alert `{}` fires on for {} when all is well again",
                rule.name,
                duration::format(*keep_firing)
            ),
            "shorten `keep_firing_for`",
        );
    }
    if hold.is_zero() {
        return;
    }
    for comparison in comparisons(&rule.expr).into_iter().filter(|comparison| comparison.decides) {
        if let (T_LSS | T_LTE, Some(name)) = (comparison.op, age_of(comparison.left))
            && Duration::try_from_secs_f64(comparison.limit).is_ok_and(|limit| *hold >= limit)
        {
            findings.warning(
                "for-outlasts-window",
                &rule.expr_place,
                format!(
                    "alert `{}` never fires after a start: `{name}` is younger than {} s for that long only, and `for` asks for {}",
                    rule.name,
                    promql::number_text(comparison.limit),
                    duration::format(*hold)
                ),
                "leave `for` out, or raise the threshold above it; only starts that go on and on alert",
            );
        }
        let counts = match inner(comparison.left) {
            Expr::Call(call)
                if ["increase", "changes", "resets", "rate"].contains(&call.func.name) =>
            {
                match call.args.args.first().map(|arg| &**arg) {
                    Some(Expr::MatrixSelector(matrix)) => Some((call.func.name, matrix.range)),
                    _ => None,
                }
            }
            _ => None,
        };
        if let (T_GTR, 0.0, Some((function, window))) | (T_GTE, 1.0, Some((function, window))) =
            (comparison.op, comparison.limit, counts)
            && *hold >= window
        {
            let what = format!(
                "alert `{}`: one event is in {function}() over {} for that long only, and `for` asks for {}: only events that go on alert",
                rule.name,
                duration::format(window),
                duration::format(*hold)
            );
            let hint = "shorten `for` below the window if one event shall alert";
            if *hold >= window * 2 {
                findings.warning("for-outlasts-window", &rule.place, what, hint);
            } else {
                findings.note("for-outlasts-window", &rule.place, what, hint);
            }
        }
    }
}

/// The start whose age an expression is.
fn age_of(expr: &Expr) -> Option<&str> {
    let Expr::Binary(binary) = inner(expr) else { return None };
    let now = matches!(inner(&binary.lhs), Expr::Call(call) if call.func.name == "time");
    if binary.op.id() != T_SUB || !now {
        return None;
    }
    let Expr::VectorSelector(selector) = inner(&binary.rhs) else { return None };
    promql::metric_name(selector).filter(|name| {
        ["start_time", "boot_time", "started"].iter().any(|word| name.contains(word))
    })
}

/// A value in a label makes another alert of each value.
fn value_in_label(rule: &Rule, findings: &mut Findings) {
    if !rule.is_alert() {
        return;
    }
    let shows = |text: &str| {
        text.split("{{").skip(1).any(|action| {
            let action = action.split("}}").next().unwrap_or_default().trim_start_matches('-');
            // A condition shows nothing.
            let first = action.split_whitespace().next().unwrap_or_default();
            let asks = ["if", "else", "with"].contains(&first);
            !asks
                && (action.contains("$value")
                    || action.split_whitespace().any(|word| word == ".Value"))
        })
    };
    for (name, _) in rule.labels.iter().filter(|(_, text)| shows(text)) {
        let what = format!(
            "label `{name}` of alert `{}` holds its value: with each value it is another alert",
            rule.name
        );
        if rule.hold().is_zero() {
            findings.note("value-in-label", &rule.place, what, "put the value into an annotation");
        } else {
            findings.warning(
                "value-in-label",
                &rule.place,
                format!("{what}, and `for` starts anew"),
                "put the value into an annotation",
            );
        }
    }
}
