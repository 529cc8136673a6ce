//! Expressions whose sides never meet, divide themselves, or filter nothing.

use super::labels::{self, Labels, Recorded};
use super::{Findings, LintContext, Severity};
use config::monitoring::promql::{self, constant, inner};
use config::monitoring::{PrometheusServer, Rule};
use promql_parser::label::MatchOp;
use promql_parser::parser::token::{T_COUNT, T_DIV, T_GROUP, T_LAND, T_LUNLESS, T_QUANTILE, T_SUM};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};
use std::collections::BTreeSet;

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        let rules = server.rules.iter().flat_map(|file| &file.view).flat_map(|group| &group.rules);
        let recorded = labels::recorded(rules.clone());
        let known = Known { recorded, of_targets: targets_label(server) };
        for rule in rules {
            known.walk(rule, &rule.expr, findings);
            if rule.is_alert() {
                known.filters(rule, findings);
            }
        }
    }
}

/// Whether each series has the job and instance that the server gives it.
fn targets_label(server: &PrometheusServer) -> bool {
    server
        .config
        .view
        .jobs
        .iter()
        .all(|job| !job.honor_labels && !job.metrics_path.contains("federate"))
}

struct Known {
    recorded: Recorded,
    of_targets: bool,
}

impl Known {
    fn walk(&self, rule: &Rule, expr: &Expr, findings: &mut Findings) {
        match expr {
            Expr::Binary(binary) => {
                self.meets(rule, binary, findings);
                divides_itself(rule, binary, findings);
            }
            Expr::Call(call) => self.call(rule, call, findings),
            Expr::Aggregate(aggregate) if aggregate.op.id() == T_QUANTILE => {
                share(rule, "quantile", aggregate.param.as_deref(), findings);
            }
            Expr::VectorSelector(selector) => empty_alternative(rule, selector, findings),
            Expr::MatrixSelector(matrix) => empty_alternative(rule, &matrix.vs, findings),
            _ => {}
        }
        for child in promql::children(expr) {
            self.walk(rule, child, findings);
        }
    }

    /// Labels that the results of an expression have for sure.
    fn sure(&self, expr: &Expr) -> BTreeSet<String> {
        let selector = |selector: &VectorSelector| {
            let name = promql::metric_name(selector);
            let scraped = self.of_targets
                && name
                    .is_some_and(|name| !name.contains(':') && !self.recorded.contains_key(name));
            let targets =
                ["job", "instance"].into_iter().filter(|_| scraped && name != Some("ALERTS"));
            let wanted = selector.matchers.matchers.iter().filter(|matcher| {
                matcher.op == MatchOp::Equal
                    && !matcher.value.is_empty()
                    && matcher.name != "__name__"
            });
            wanted.map(|matcher| matcher.name.clone()).chain(targets.map(str::to_owned)).collect()
        };
        match expr {
            Expr::Paren(paren) => self.sure(&paren.expr),
            Expr::Unary(unary) => self.sure(&unary.expr),
            Expr::Subquery(subquery) => self.sure(&subquery.expr),
            Expr::VectorSelector(one) => selector(one),
            Expr::MatrixSelector(matrix) => selector(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                let mut inner = self.sure(&aggregate.expr);
                match &aggregate.modifier {
                    Some(LabelModifier::Include(names)) => {
                        inner.retain(|name| names.labels.contains(name))
                    }
                    Some(LabelModifier::Exclude(names)) => {
                        inner.retain(|name| !names.labels.contains(name))
                    }
                    None => inner.clear(),
                }
                inner
            }
            Expr::Call(call) if keeps_labels(call.func.name) => call
                .args
                .args
                .iter()
                .filter(|arg| is_vector(arg))
                .flat_map(|arg| self.sure(arg))
                .collect(),
            Expr::Binary(binary) => match (is_vector(&binary.lhs), is_vector(&binary.rhs)) {
                (true, false) => self.sure(&binary.lhs),
                (false, true) => self.sure(&binary.rhs),
                _ if matches!(binary.op.id(), T_LAND | T_LUNLESS) => self.sure(&binary.lhs),
                _ => BTreeSet::new(),
            },
            _ => BTreeSet::new(),
        }
    }

    /// Whether the sides of an operator can match at all.
    fn meets(&self, rule: &Rule, binary: &BinaryExpr, findings: &mut Findings) {
        let is_or = binary.op.is_set_operator() && !matches!(binary.op.id(), T_LAND | T_LUNLESS);
        if is_or || !is_vector(&binary.lhs) || !is_vector(&binary.rhs) {
            return;
        }
        let modifier = binary.modifier.as_ref();
        let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
        let counts = |name: &str| match matching {
            Some(LabelModifier::Include(names)) => names.labels.iter().any(|one| one == name),
            Some(LabelModifier::Exclude(names)) => !names.labels.iter().any(|one| one == name),
            None => true,
        };
        let one = |expr: &Expr| (labels::of(expr, &self.recorded), self.sure(expr));
        let (left, right) = (one(&binary.lhs), one(&binary.rhs));
        let differing = left.0.known.iter().find_map(|(name, value)| {
            let (value, other) = (value.as_ref()?, right.0.known.get(name)?.as_ref()?);
            (counts(name) && value != other)
                .then(|| format!("`{name}` is {value:?} on the left and {other:?} on the right"))
        });
        let lacking = |(_, sure): &(Labels, BTreeSet<String>), other: &Labels, sides: [&str; 2]| {
            let name = sure.iter().find(|name| counts(name) && !other.may_carry(name))?;
            Some(format!("the {} side has `{name}`, the {} side never does", sides[0], sides[1]))
        };
        let why = differing
            .or_else(|| lacking(&left, &right.0, ["left", "right"]))
            .or_else(|| lacking(&right, &left.0, ["right", "left"]));
        let grouped = modifier.is_some_and(|modifier| {
            !matches!(
                modifier.card,
                VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany
            )
        });
        let Some(why) = why.filter(|_| matching.is_some() || !grouped) else { return };
        let effect = if binary.op.id() == T_LUNLESS {
            "`unless` never leaves anything out"
        } else {
            "there is never a result"
        };
        findings.warning(
            "never-matches",
            &rule.expr_place,
            format!("`{}`: the sides of `{}` never match, and {effect}: {why}", rule.name, binary.op),
            "say with on (…) or ignoring (…) which labels must agree, with group_left where one side has several series, or sum both sides by the same labels",
        );
    }

    fn call(&self, rule: &Rule, call: &Call, findings: &mut Findings) {
        let args = &call.args.args;
        match call.func.name {
            "histogram_quantile" => {
                share(rule, call.func.name, args.first().map(|arg| &**arg), findings);
                let Some(of) = args.get(1) else { return };
                let buckets = promql::selectors(of).into_iter().any(|one| {
                    promql::metric_name(one).is_some_and(|name| name.ends_with("_bucket"))
                });
                if buckets && !labels::of(of, &self.recorded).may_carry("le") {
                    findings.error(
                        "quantile-without-le",
                        &rule.expr_place,
                        format!(
                            "`{}`: histogram_quantile() of series without `le` has no result",
                            rule.name
                        ),
                        "add `le` to the labels that are summed by",
                    );
                }
            }
            "quantile_over_time" => {
                share(rule, call.func.name, args.first().map(|arg| &**arg), findings)
            }
            "rate" | "irate" | "increase" | "resets" => {
                let below = args.first().and_then(|arg| match &**arg {
                    Expr::Subquery(subquery) => Some(&*subquery.expr),
                    _ => None,
                });
                if let Some(Expr::Aggregate(aggregate)) = below.map(inner)
                    && aggregate.op.id() == T_SUM
                {
                    findings.warning(
                        "rate-of-sum",
                        &rule.expr_place,
                        format!("`{}`: {}() of a sum takes each restart of one of its counters for a fall of the whole", rule.name, call.func.name),
                        format!("sum the rates: sum({}(…))", call.func.name),
                    );
                }
            }
            "absent" | "absent_over_time" => {
                let of = args.iter().flat_map(|arg| promql::selectors(arg));
                let several =
                    of.flat_map(|one| one.matchers.matchers.iter().map(move |m| (one, m)));
                let mut several = several.filter(|(_, matcher)| {
                    matches!(matcher.op, MatchOp::Re(_)) && matcher.value.contains('|')
                });
                if let Some((selector, matcher)) = several.next() {
                    // That none of several is there may well be what is asked.
                    let severity = match promql::metric_name(selector) == Some("up") {
                        true => Severity::Warning,
                        false => Severity::Note,
                    };
                    findings.add(
                        severity,
                        "absent-of-several",
                        &rule.expr_place,
                        format!(
                            "`{}`: {}() is there only when all of {}=~\"{}\" are gone",
                            rule.name, call.func.name, matcher.name, matcher.value
                        ),
                        "write one absent() for each, joined by `or`",
                    );
                }
            }
            _ => {}
        }
    }

    /// Whether an alert's expression filters anything.
    fn filters(&self, rule: &Rule, findings: &mut Findings) {
        if let Some(binary) = yields_always(&rule.expr) {
            findings.error(
                "always-true",
                &rule.expr_place,
                format!("alert `{}`: `{} bool` gives 0 or 1, and both are a result: it fires whenever there is a series", rule.name, binary.op),
                "leave `bool` out",
            );
        }
        if !filters(&rule.expr) && !promql::selectors(&rule.expr).is_empty() {
            let made = promql::selectors(&rule.expr).into_iter().all(|one| {
                promql::metric_name(one).is_none_or(|name| {
                    name.contains(':')
                        || name.starts_with("ALERTS")
                        || self.recorded.contains_key(name)
                })
            });
            if !made && yields_always(&rule.expr).is_none() {
                // Some exporters show a series only while something is wrong.
                let severity = match asks_for_presence(&rule.expr) {
                    true => Severity::Note,
                    false => Severity::Warning,
                };
                findings.add(
                    severity,
                    "no-comparison",
                    &rule.expr_place,
                    format!("alert `{}` compares nothing: it fires whenever there is a series, also with value 0", rule.name),
                    "compare with a threshold",
                );
            }
        }
    }
}

fn is_vector(expr: &Expr) -> bool {
    matches!(expr.value_type(), ValueType::Vector | ValueType::Matrix)
}

fn keeps_labels(function: &str) -> bool {
    ![
        "absent",
        "absent_over_time",
        "scalar",
        "vector",
        "time",
        "label_replace",
        "label_join",
        "histogram_quantile",
        "info",
    ]
    .contains(&function)
}

/// A comparison with `bool` that decides about an alert.
fn yields_always(expr: &Expr) -> Option<&BinaryExpr> {
    match inner(expr) {
        Expr::Binary(binary) if binary.op.is_comparison_operator() && binary.return_bool() => {
            Some(binary)
        }
        Expr::Binary(binary)
            if binary.op.is_set_operator() && !matches!(binary.op.id(), T_LAND | T_LUNLESS) =>
        {
            yields_always(&binary.lhs).or_else(|| yields_always(&binary.rhs))
        }
        _ => None,
    }
}

fn filters(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Binary(binary) => {
            (binary.op.is_comparison_operator() && !binary.return_bool())
                || matches!(binary.op.id(), T_LAND | T_LUNLESS)
        }
        Expr::Call(call) => call.func.name.starts_with("absent"),
        _ => false,
    };
    own || promql::children(expr).into_iter().any(filters)
}

/// Whether an expression without a comparison may well ask whether there is a series.
fn asks_for_presence(expr: &Expr) -> bool {
    match inner(expr) {
        Expr::VectorSelector(_) => true,
        Expr::Call(call) => call.func.name.starts_with("present"),
        Expr::Aggregate(aggregate) => {
            [T_COUNT, T_GROUP].contains(&aggregate.op.id()) || asks_for_presence(&aggregate.expr)
        }
        Expr::Binary(binary) if binary.op.is_set_operator() => {
            asks_for_presence(&binary.lhs) && asks_for_presence(&binary.rhs)
        }
        _ => false,
    }
}

/// The φ of a quantile.
fn share(rule: &Rule, function: &str, param: Option<&Expr>, findings: &mut Findings) {
    let Some(share) = param.and_then(constant).filter(|share| !(0.0..=1.0).contains(share)) else {
        return;
    };
    findings.error(
        "quantile-range",
        &rule.expr_place,
        format!(
            "`{}`: {function}() takes a share from 0 to 1, seen {}: the result is infinite",
            rule.name,
            promql::number_text(share)
        ),
        match share > 1.0 {
            true => format!("write {}", promql::number_text(share / 100.0)),
            false => "write 0.95 for 95 %".to_owned(),
        },
    );
}

/// The selector below functions of a window.
fn bare(expr: &Expr) -> Option<(&VectorSelector, String)> {
    match expr {
        Expr::Paren(paren) => bare(&paren.expr),
        Expr::VectorSelector(one) => Some((one, String::new())),
        Expr::MatrixSelector(matrix) => Some((&matrix.vs, format!("{:?}", matrix.range))),
        Expr::Call(call) if ["rate", "irate", "increase"].contains(&call.func.name) => {
            bare(call.args.args.first()?)
        }
        _ => None,
    }
}

/// A part of some series divided by all of them, series by series.
fn divides_itself(rule: &Rule, binary: &BinaryExpr, findings: &mut Findings) {
    let plain = binary.modifier.as_ref().is_none_or(|modifier| modifier.matching.is_none());
    if binary.op.id() != T_DIV || !plain {
        return;
    }
    let (Some((part, one)), Some((all, two))) = (bare(&binary.lhs), bare(&binary.rhs)) else {
        return;
    };
    if one != two
        || promql::metric_name(part) != promql::metric_name(all)
        || part.offset != all.offset
        || part.at != all.at
    {
        return;
    }
    let matchers = |selector: &VectorSelector| -> BTreeSet<String> {
        let of = selector.matchers.matchers.iter();
        of.filter(|one| one.name != "__name__")
            .map(|one| format!("{}{}{}", one.name, one.op, one.value))
            .collect()
    };
    let (part, all) = (matchers(part), matchers(all));
    if all.is_subset(&part) {
        findings.warning(
            "divides-itself",
            &rule.expr_place,
            format!("`{}`: each series is divided by itself, so the ratio is always 1", rule.name),
            "sum both sides first: sum(rate(…)) / sum(rate(…))",
        );
    }
}

/// An alternative that is nothing, which matches series without the label.
fn empty_alternative(rule: &Rule, selector: &VectorSelector, findings: &mut Findings) {
    for matcher in &selector.matchers.matchers {
        // One in front is meant, and one that is excluded too.
        let value = &matcher.value;
        let nothing = value.ends_with('|') || value.contains("||");
        if matches!(matcher.op, MatchOp::Re(_)) && nothing && !value.ends_with("\\|") {
            // Each series of a target has these.
            let severity = match ["job", "instance"].contains(&matcher.name.as_str()) {
                true => Severity::Warning,
                false => Severity::Note,
            };
            findings.add(
                severity,
                "matches-empty",
                &rule.expr_place,
                format!("`{}`: one alternative of {}{}\"{value}\" is empty, so it matches series without the label too", rule.name, matcher.name, matcher.op),
                "remove the stray `|`",
            );
        }
    }
}
