//! What only the running stack can tell: which series and labels there are, what the server has
//! loaded, what it scrapes.

use crate::process::failure::Advice;
use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{Expr, LabelModifier, VectorSelector};
use verdict::observation::Fact;
use verdict::observation::metrics::{RuleGroup, Series, Target};

use super::buckets::{self, Bucket};
use super::{Findings, Linted, labels, templates};
use crate::declaration::Role;
use crate::probe::{self, Probe, Question};
use crate::process::clock::RunClock;
use crate::stack::{Running, Stack};
use crate::yaml::nearest;
use config::monitoring::comparison::comparisons;
use config::monitoring::{MonitoringConfig, PrometheusServer, Rule, RuleKind, promql};
use config::yaml::Place;

/// Names of series that are asked for at once.
const AT_ONCE: usize = 60;

/// Adds what the servers of a stack that is up show.
///
/// # Errors
/// The metrics server does not answer.
pub async fn add(
    linted: &mut Linted,
    stack: &Stack,
    config: &MonitoringConfig,
    running: &Running,
) -> Result<(), Advice> {
    let mut findings = Findings::default();
    for role in stack.declaration.roles.metrics.iter() {
        one(role, config, running, &mut findings).await?;
    }
    if stack.declaration.roles.metrics.is_empty() {
        return Ok(());
    }
    linted.findings.append(&mut findings.0);
    linted.run = Some(running.run.clone());
    linted.sort();
    Ok(())
}

/// What one metrics server shows.
async fn one(
    role: &Role,
    config: &MonitoringConfig,
    running: &Running,
    findings: &mut Findings,
) -> Result<(), Advice> {
    let Some(server) = config.prometheus.iter().find(|server| server.service == role.service)
    else {
        return Ok(());
    };
    let access = running
        .access(role)
        .ok_or_else(|| format!("port {} of {} is not published", role.port, role.service))?;
    let probe = probe::connect(role, &access, RunClock::begin()).map_err(Advice::from)?;
    let mut seen = Seen::ask(probe.as_ref(), server).await?;
    // That a service does not answer that the run leaves out is as it should be.
    seen.absent = running.left_out.keys().cloned().collect();
    seen.check(server, findings);
    Ok(())
}

async fn ask(probe: &dyn Probe, question: Question) -> Result<Vec<Fact>, String> {
    let facts: Vec<Fact> =
        probe.ask(&question).await.into_iter().map(|observation| observation.fact).collect();
    match facts.iter().find_map(|fact| {
        if let Fact::Unreachable { error, .. } = fact { Some(error) } else { None }
    }) {
        Some(error) => {
            Err(format!("{} does not answer ({}): {error}", probe.source(), question.asked()))
        }
        None => Ok(facts),
    }
}

/// What the metrics server shows.
#[derive(Default)]
struct Seen {
    /// Names of all series.
    names: BTreeSet<String>,
    /// Labels of the series that rules read, by name.
    series: BTreeMap<String, Vec<BTreeMap<String, String>>>,
    /// Those of them that are buckets of histograms, by name.
    buckets: BTreeMap<String, Vec<Bucket>>,
    groups: Vec<RuleGroup>,
    targets: Vec<Target>,
    /// What is wrong with the last reload.
    reload: Option<String>,
    /// Services that the run leaves out.
    absent: BTreeSet<String>,
}

impl Seen {
    async fn ask(probe: &dyn Probe, server: &PrometheusServer) -> Result<Seen, String> {
        let mut seen = Seen::default();
        for question in [Question::Rules, Question::Targets, Question::Reload] {
            for fact in ask(probe, question).await? {
                match fact {
                    Fact::Rules { groups } => seen.groups.extend(groups),
                    Fact::Targets { targets } => seen.targets.extend(targets),
                    Fact::Reload(reload) if !reload.successful => seen.reload = Some(reload.seen),
                    _ => {}
                }
            }
        }
        let all = series(probe, "count by (__name__) ({__name__!=\"\"})").await?;
        seen.names = all.into_iter().filter_map(|mut one| one.labels.remove("__name__")).collect();
        let read: BTreeSet<&str> = rules(server)
            .flat_map(|rule| promql::selectors(&rule.expr))
            .filter_map(promql::metric_name)
            .collect();
        let there: Vec<&str> = read.into_iter().filter(|name| seen.names.contains(*name)).collect();
        for names in there.chunks(AT_ONCE) {
            for mut one in series(probe, &format!("{{__name__=~\"{}\"}}", names.join("|"))).await? {
                if let Some(name) = one.labels.remove("__name__") {
                    let count = one.points.last().and_then(|(_, value)| *value);
                    if let Some(bucket) = Bucket::of(&one.labels, count) {
                        seen.buckets.entry(name.clone()).or_default().push(bucket);
                    }
                    seen.series.entry(name).or_default().push(one.labels);
                }
            }
        }
        Ok(seen)
    }

    fn check(&self, server: &PrometheusServer, findings: &mut Findings) {
        let own = Place::of(&server.config.doc.file);
        if let Some(why) = &self.reload {
            findings.error(
                "reload-failed",
                &own,
                format!("{} does not run with this configuration: {why}", server.service),
                "see its log",
            );
        }
        self.jobs(server, findings);
        let recorded = labels::recorded(rules(server));
        let loaded: BTreeMap<(&str, bool), _> = self
            .groups
            .iter()
            .flat_map(|group| &group.rules)
            .map(|rule| ((rule.name.as_str(), rule.alerting), rule))
            .collect();
        for rule in rules(server) {
            match loaded.get(&(rule.name.as_str(), rule.is_alert())) {
                None => findings.error(
                    "rule-not-loaded",
                    &rule.place,
                    format!("{} has not loaded `{}`", server.service, rule.name),
                    "was the file changed after the start, or is the old one still mounted? reload, or start the stack again",
                ),
                Some(seen) if seen.health == "err" => {
                    findings.error("rule-fails", &rule.expr_place, format!("`{}` can't be evaluated: {}", rule.name, seen.last_error), "");
                }
                _ => {}
            }
            self.selectors(rule, &rule.expr, false, findings);
            self.groupings(rule, &rule.expr, findings);
            self.buckets(server, rule, findings);
            self.templates(rule, &labels::of(&rule.expr, &recorded), findings);
        }
    }

    fn jobs(&self, server: &PrometheusServer, findings: &mut Findings) {
        for job in &server.config.view.jobs {
            let targets: Vec<_> =
                self.targets.iter().filter(|target| target.job == job.name).collect();
            if targets.is_empty() {
                findings.error(
                    "job-without-target",
                    &job.place,
                    format!("job `{}` has no target: its `up` is absent, not 0, and nothing that reads it fires", job.name),
                    "see its discovery and relabelling",
                );
            }
            let left_out =
                |target: &Target| self.absent.iter().any(|service| target.is_at(service));
            for target in targets.into_iter().filter(|target| !target.up && !left_out(target)) {
                let what = format!(
                    "target {} of job `{}` can't be scraped: {}",
                    target.instance, job.name, target.last_error
                );
                findings.warning(
                    "target-down",
                    &job.place,
                    what,
                    "is its service up, and are port and path right?",
                );
            }
        }
    }

    fn of(&self, selector: &VectorSelector) -> &[BTreeMap<String, String>] {
        promql::metric_name(selector)
            .and_then(|name| self.series.get(name))
            .map_or(&[], Vec::as_slice)
    }

    fn selectors(&self, rule: &Rule, expr: &Expr, absent: bool, findings: &mut Findings) {
        let absent =
            absent || matches!(expr, Expr::Call(call) if call.func.name.starts_with("absent"));
        let selector = match expr {
            Expr::VectorSelector(selector) => Some(selector),
            Expr::MatrixSelector(matrix) => Some(&matrix.vs),
            _ => None,
        };
        if let Some((selector, name)) = selector.filter(|_| !absent).and_then(|selector| Some((selector, promql::metric_name(selector)?)))
            // Alerts as series are there when some alert is.
            && !name.starts_with("ALERTS")
        {
            self.selector(rule, selector, name, findings);
        }
        for child in promql::children(expr) {
            self.selectors(rule, child, absent, findings);
        }
    }

    fn selector(
        &self,
        rule: &Rule,
        selector: &VectorSelector,
        name: &str,
        findings: &mut Findings,
    ) {
        let series = self.of(selector);
        if series.is_empty() {
            let hint = nearest(name, self.names.iter().map(String::as_str)).map_or_else(
                || "is its exporter scraped, and was the metric renamed or dropped?".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let what = format!("`{}` reads `{name}`, of which there is no series", rule.name);
            findings.error("series-missing", &rule.expr_place, what, hint);
            return;
        }
        let matchers: Vec<_> = selector
            .matchers
            .matchers
            .iter()
            .filter(|matcher| matcher.name != "__name__")
            .collect();
        let value = |labels: &BTreeMap<String, String>, name: &str| {
            labels.get(name).cloned().unwrap_or_default()
        };
        if series.iter().any(|labels| {
            matchers.iter().all(|matcher| matcher.is_match(&value(labels, &matcher.name)))
        }) {
            return;
        }
        let shown = promql::print(&Expr::VectorSelector(VectorSelector {
            offset: None,
            at: None,
            ..selector.clone()
        }));
        let lacking = matchers.iter().find(|matcher| {
            !matcher.is_match("") && !series.iter().any(|labels| labels.contains_key(&matcher.name))
        });
        match lacking {
            Some(matcher) => findings.error(
                "series-missing",
                &rule.expr_place,
                format!("`{}` reads {shown}, and no series of `{name}` has a label `{}`", rule.name, matcher.name),
                format!("its labels are {}", names_of(series).into_iter().collect::<Vec<_>>().join(", ")),
            ),
            None => findings.add(
                super::Severity::Note,
                "selector-matches-nothing",
                &rule.expr_place,
                format!("`{}` reads {shown}, which matches none of the {} series of `{name}` at this time", rule.name, series.len()),
                "a counter should be there at 0 before it first counts, or its first increase is not seen",
            ),
        }
    }

    /// Labels that are grouped by and that no series has.
    fn groupings(&self, rule: &Rule, expr: &Expr, findings: &mut Findings) {
        if let Expr::Aggregate(aggregate) = expr
            && let Some(LabelModifier::Include(names)) = &aggregate.modifier
            && !makes_labels(&aggregate.expr)
        {
            let selectors = promql::selectors(&aggregate.expr);
            let series: Vec<_> = selectors.iter().flat_map(|selector| self.of(selector)).collect();
            let missing = names.labels.iter().find(|name| {
                !series.is_empty() && !series.iter().any(|labels| labels.contains_key(*name))
            });
            if let Some(name) = missing {
                findings.warning(
                    "grouped-by-nothing",
                    &rule.expr_place,
                    format!("`{}` groups by `{name}`, which no series below has", rule.name),
                    "group by a label that is there: all series fall into one group",
                );
            }
        }
        for child in promql::children(expr) {
            self.groupings(rule, child, findings);
        }
    }

    /// Quantiles that are compared with what lies beyond the last bucket, where it is sure which is
    /// the last.
    fn buckets(&self, server: &PrometheusServer, rule: &Rule, findings: &mut Findings) {
        for comparison in comparisons(&rule.expr) {
            let Some(quantile) = quantile_below(server, comparison.left, 0) else { continue };
            let buckets: Vec<Bucket> = scraped(server, quantile, 0)
                .iter()
                .filter_map(|name| self.buckets.get(name))
                .flatten()
                .cloned()
                .collect();
            if let Some(last) = buckets::end(&buckets)
                && matches!(comparison.op_text(), ">" | ">=")
                && comparison.limit >= last
            {
                findings.error(
                    "beyond-last-bucket",
                    &rule.expr_place,
                    format!(
                        "`{}` waits for a quantile {} {}, and the last bucket ends at {last}: no quantile is ever above it",
                        rule.name,
                        comparison.op_text(),
                        promql::number_text(comparison.limit)
                    ),
                    "give the histogram a bucket above the threshold",
                );
            }
        }
    }

    fn templates(&self, rule: &Rule, of_result: &labels::Labels, findings: &mut Findings) {
        let RuleKind::Alert { annotations, .. } = &rule.kind else { return };
        let series: Vec<_> = promql::selectors(&rule.expr)
            .into_iter()
            .flat_map(|selector| self.of(selector))
            .collect();
        if series.is_empty() || !of_result.open {
            return;
        }
        for (name, text) in annotations {
            for label in templates::read(text).unwrap_or_default() {
                if !of_result.known.contains_key(&label)
                    && of_result.may_carry(&label)
                    && !series.iter().any(|labels| labels.contains_key(&label))
                {
                    findings.warning(
                        "template-label",
                        &rule.place,
                        templates::never_there(rule, "annotation", name, &label),
                        templates::hint(rule, &label, of_result),
                    );
                }
            }
        }
    }
}

fn rules(server: &PrometheusServer) -> impl Iterator<Item = &Rule> + Clone {
    server.rules.iter().flat_map(|file| &file.view).flat_map(|group| &group.rules)
}

async fn series(probe: &dyn Probe, expr: &str) -> Result<Vec<Series>, String> {
    let now = RunClock::begin().now().wall_s();
    let question = Question::Range {
        name: "lint".into(),
        expr: expr.into(),
        start_s: now,
        end_s: now,
        step_s: 1.0,
    };
    let mut found = Vec::new();
    for fact in ask(probe, question).await? {
        if let Fact::Samples(samples) = fact {
            found.extend(samples.series);
        }
    }
    Ok(found)
}

fn names_of(series: &[BTreeMap<String, String>]) -> BTreeSet<&str> {
    series.iter().flat_map(|labels| labels.keys().map(String::as_str)).collect()
}

fn makes_labels(expr: &Expr) -> bool {
    let makes = match expr {
        Expr::Call(call) => {
            ["label_replace", "label_join", "info"].contains(&call.func.name)
                || call.func.name.starts_with("absent")
        }
        Expr::Aggregate(aggregate) => aggregate.op.to_string() == "count_values",
        // Labels come from either side.
        Expr::Binary(binary) => !binary.op.is_comparison_operator(),
        _ => false,
    };
    makes || promql::children(expr).into_iter().any(makes_labels)
}

/// Names of the series that an expression reads in the end: of recorded ones, what they are
/// recorded from.
fn scraped(server: &PrometheusServer, expr: &Expr, depth: usize) -> BTreeSet<String> {
    let names = promql::selectors(expr).into_iter().filter_map(promql::metric_name);
    names
        .flat_map(|name| match rules(server).find(|rule| !rule.is_alert() && rule.name == name) {
            Some(recorded) if depth < 5 => scraped(server, &recorded.expr, depth + 1),
            Some(_) => BTreeSet::new(),
            None => BTreeSet::from([name.to_owned()]),
        })
        .collect()
}

/// The quantile that is compared: itself, in parentheses, or recorded.
fn quantile_below<'a>(
    server: &'a PrometheusServer,
    expr: &'a Expr,
    depth: usize,
) -> Option<&'a Expr> {
    match expr {
        Expr::Paren(paren) => quantile_below(server, &paren.expr, depth),
        Expr::Call(call) if call.func.name == "histogram_quantile" => {
            call.args.args.last().map(|arg| &**arg)
        }
        Expr::VectorSelector(selector) if depth < 5 => {
            let name = promql::metric_name(selector)?;
            let recorded = rules(server).find(|rule| !rule.is_alert() && rule.name == name)?;
            quantile_below(server, &recorded.expr, depth + 1)
        }
        _ => None,
    }
}
