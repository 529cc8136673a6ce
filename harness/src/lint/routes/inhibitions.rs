//! Inhibitions: whether they ever act, and whom they silence.

use super::{is_critical, severity};
use crate::lint::Findings;
use crate::lint::alert::{Alert, Alerts, Known};
use config::monitoring::alertmanager::Inhibition;
use config::monitoring::matcher::LabelMatcher;
use std::collections::{BTreeMap, BTreeSet};

/// Pairs of alerts of which one may silence the other.
type Pairs<'p> = [(&'p Alert<'p>, &'p Alert<'p>)];

pub(super) fn check(alerts: &Alerts<'_>, rule: &Inhibition, findings: &mut Findings) {
    let (sources, targets) = (side(alerts, rule, &rule.source), side(alerts, rule, &rule.target));
    for (name, found, matchers) in
        [("source", &sources, &rule.source), ("target", &targets, &rule.target)]
    {
        if found.is_empty() {
            let shown: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            findings.warning(
                "dead-inhibition",
                &rule.place,
                format!(
                    "this inhibition never acts: no alert satisfies its {name} {{{}}}",
                    shown.join(", ")
                ),
                "correct the matchers, or remove the inhibition",
            );
            return;
        }
    }
    let pairs = pairs(alerts, rule, &sources, &targets);
    inhibits_always(rule, &sources, &pairs, findings);
    if pairs.is_empty() {
        let what = match rule.equal.is_empty() {
            true => "whatever satisfies one side satisfies the other too".to_owned(),
            false => format!("no source and target have the same {}", rule.equal.join(", ")),
        };
        findings.warning(
            "dead-inhibition",
            &rule.place,
            format!("this inhibition never acts: {what}"),
            "correct `equal` or the matchers",
        );
        return;
    }
    empty_equal(alerts, rule, &pairs, findings);
    inhibits_critical(rule, &pairs, findings);
}

/// The alerts on one side of an inhibition. Those that differ in nothing that it looks at are one.
fn side<'p>(
    alerts: &'p Alerts<'_>,
    rule: &Inhibition,
    matchers: &[LabelMatcher],
) -> Vec<&'p Alert<'p>> {
    let names: BTreeSet<&str> = rule
        .source
        .iter()
        .chain(&rule.target)
        .map(|matcher| matcher.name.as_str())
        .chain(rule.equal.iter().map(String::as_str))
        .chain(["severity"])
        .collect();
    let satisfying =
        alerts.all.iter().filter(|alert| alerts.satisfies_all(alert, matchers) != Some(false));
    let mut distinct: BTreeMap<Vec<Known>, &Alert<'_>> = BTreeMap::new();
    for alert in satisfying {
        let seen = names.iter().map(|name| alerts.label(alert, name)).collect();
        distinct.entry(seen).or_insert(alert);
    }
    distinct.into_values().collect()
}

/// The pairs that an inhibition may act on.
fn pairs<'p>(
    alerts: &Alerts<'_>,
    rule: &Inhibition,
    sources: &[&'p Alert<'p>],
    targets: &[&'p Alert<'p>],
) -> Vec<(&'p Alert<'p>, &'p Alert<'p>)> {
    let alike = |one: &Alert<'_>, two: &Alert<'_>, label: &str| match (
        alerts.label(one, label),
        alerts.label(two, label),
    ) {
        (Known::Value(a), Known::Value(b)) => a == b,
        _ => true,
    };
    let itself = |one: &Alert<'_>, two: &Alert<'_>| {
        alerts.satisfies_all(two, &rule.source) == Some(true)
            && alerts.satisfies_all(one, &rule.target) == Some(true)
    };
    sources
        .iter()
        .flat_map(|source| targets.iter().map(move |target| (*source, *target)))
        .filter(|(source, target)| {
            !itself(source, target) && rule.equal.iter().all(|label| alike(source, target, label))
        })
        .collect()
}

fn inhibits_always(
    rule: &Inhibition,
    sources: &[&Alert<'_>],
    pairs: &Pairs<'_>,
    findings: &mut Findings,
) {
    let Some(source) = sources.iter().find(|source| source.always_fires()) else { return };
    let Some((_, target)) = pairs.iter().find(|(of, _)| std::ptr::eq(*of, *source)) else {
        return;
    };
    findings.warning(
        "inhibits-always",
        &rule.place,
        format!(
            "`{}` fires at any time, and silences `{}` as long",
            source.rule.name, target.rule.name
        ),
        "let another alert be the source",
    );
}

/// A label that neither side has counts as equal, so that everything silences everything. Where the
/// source never has it, nothing that has it is silenced either.
fn empty_equal(alerts: &Alerts<'_>, rule: &Inhibition, pairs: &Pairs<'_>, findings: &mut Findings) {
    let nothing =
        |alert: &Alert<'_>, label: &str| alerts.label(alert, label) == Known::Value(String::new());
    // What no file speaks of may still be on the series of a target.
    let may_lack = |alert: &Alert<'_>, label: &str| match alerts.label(alert, label) {
        Known::Value(value) => value.is_empty(),
        Known::Open => !alerts.of_series.contains(label) && !alert.rule.labels.contains_key(label),
    };
    for label in &rule.equal {
        if pairs.iter().all(|(source, target)| nothing(source, label) && may_lack(target, label)) {
            findings.warning(
                "empty-equal",
                &rule.place,
                format!("`equal: [{label}]`: the source never has that label, and the target, as far as the files tell, neither: it counts as equal"),
                "compare a label that both have",
            );
        }
    }
}

fn inhibits_critical(rule: &Inhibition, pairs: &Pairs<'_>, findings: &mut Findings) {
    if let Some((source, target)) = pairs
        .iter()
        .find(|(source, target)| is_critical(target) && severity(source) < severity(target))
    {
        findings.warning(
            "inhibits-critical",
            &rule.place,
            format!("`{}` silences `{}`, which is more severe", source.rule.name, target.rule.name),
            "add a matcher on severity to `target_matchers`, or turn the inhibition round",
        );
    } else if let (true, Some((source, target))) =
        (rule.equal.is_empty(), pairs.iter().find(|(_, target)| is_critical(target)))
    {
        findings.warning(
            "inhibits-critical",
            &rule.place,
            format!(
                "`{}` silences critical `{}` wherever it is: `equal` is missing",
                source.rule.name, target.rule.name
            ),
            "name the labels by which they belong together under `equal`",
        );
    }
}
