//! Expressions: what can't ever be true, what measures nothing, what falls silent when all is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::token::{
    T_COUNT, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LSS, T_LTE, T_LUNLESS, T_SUB,
};
use promql_parser::parser::{Expr, VectorSelector};

use super::bounds::bounds;
use super::discover::is_loose;
use super::{Findings, LintContext, Severity};
use crate::yaml::suggest;
use config::monitoring::comparison::{Comparison, comparisons, rate_below};
use config::monitoring::promql::{self, inner};
use config::monitoring::{PrometheusServer, Rule, ScrapeJob, duration};

/// Functions that need two samples within their window.
const TWO_SAMPLES: [&str; 9] = [
    "rate",
    "irate",
    "increase",
    "delta",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "predict_linear",
];

pub(super) fn check(subject: &LintContext<'_>, findings: &mut Findings) {
    for server in &subject.config.prometheus {
        let rules: Vec<&Rule> = server
            .rules
            .iter()
            .flat_map(|file| &file.view)
            .flat_map(|group| &group.rules)
            .collect();
        let known = Known::of(subject, server, &rules);
        for rule in rules {
            known.sources(rule, findings);
            // How often the series of loose rules come, nobody knows.
            if !is_loose(server) {
                known.windows(rule, &rule.expr, findings);
            }
            if rule.is_alert() {
                comparisons(&rule.expr)
                    .iter()
                    .for_each(|comparison| known.comparison(rule, comparison, findings));
            }
        }
    }
}

/// What expressions of a server can be checked against.
struct Known<'a> {
    subject: &'a LintContext<'a>,
    server: &'a PrometheusServer,
    jobs: BTreeSet<&'a str>,
    /// Whether series may come with a job that no scrape job is called.
    foreign_jobs: bool,
    /// Recorded series, with the time between their samples.
    recorded: BTreeMap<&'a str, Duration>,
    /// Jobs that some alert watches to be up, and whether one watches all.
    watched: BTreeSet<&'a str>,
    all_watched: bool,
    /// Metrics that some alert wants to be there.
    wanted: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(
        subject: &'a LintContext<'a>,
        server: &'a PrometheusServer,
        rules: &[&'a Rule],
    ) -> Known<'a> {
        let view = &server.config.view;
        let mut known = Known {
            subject,
            server,
            jobs: view.jobs.iter().flat_map(job_names).collect(),
            foreign_jobs: is_loose(server)
                || !view.remote_reads.is_empty()
                || takes_pushes(server)
                || view.jobs.is_empty()
                || server.lacks_jobs()
                || view.jobs.iter().any(|job| {
                    let relabels = || job.relabels.iter().chain(&job.metric_relabels);
                    let asked = job.discoveries.iter().any(|(kind, _)| kind == "http");
                    let unread = !job.target_files.is_empty() && job.discovered.is_empty();
                    job.honor_labels
                        || asked
                        || unread
                        || job.metrics_path.contains("federate")
                        || relabels().any(|relabel| {
                            relabel.target_label == "job" || relabel.action == "labelmap"
                        })
                }),
            recorded: server
                .rules
                .iter()
                .flat_map(|file| &file.view)
                .flat_map(|group| {
                    let interval = group.interval.unwrap_or(view.global.evaluation_interval);
                    group
                        .rules
                        .iter()
                        .filter(|rule| !rule.is_alert())
                        .map(move |rule| (rule.name.as_str(), interval))
                })
                .collect(),
            watched: BTreeSet::new(),
            all_watched: false,
            wanted: BTreeSet::new(),
        };
        for rule in rules.iter().filter(|rule| rule.is_alert()) {
            known.watches(&rule.expr, false);
        }
        known
    }

    /// Learns from an alert's expression what it watches to be there.
    fn watches(&mut self, expr: &'a Expr, absent: bool) {
        let absent =
            absent || matches!(expr, Expr::Call(call) if call.func.name.starts_with("absent"));
        if let Expr::VectorSelector(selector) = expr {
            self.wanted.extend(promql::metric_name(selector).filter(|_| absent));
            match (promql::metric_name(selector), promql::equal_to(selector, "job")) {
                (Some("up"), Some(job)) => {
                    self.watched.insert(job);
                }
                // `up == 0` of all jobs, or of those that a pattern names.
                (Some("up"), None) => {
                    let pattern =
                        selector.matchers.matchers.iter().find(|matcher| matcher.name == "job");
                    match pattern {
                        None => self.all_watched = true,
                        Some(pattern) => self
                            .watched
                            .extend(self.jobs.iter().filter(|job| pattern.is_match(job))),
                    }
                }
                _ => {}
            }
        }
        for child in promql::children(expr) {
            self.watches(child, absent);
        }
    }

    /// Jobs and recorded series that an expression asks for and that nothing makes.
    fn sources(&self, rule: &Rule, findings: &mut Findings) {
        for selector in promql::selectors(&rule.expr) {
            if let Some(name) = promql::metric_name(selector)
                && name.contains(':')
                && !self.recorded.contains_key(name)
                && !self.foreign_jobs
                && self.subject.whole
                && self.server.without_file.is_empty()
            {
                findings.error(
                    "unrecorded-series",
                    &rule.expr_place,
                    format!("`{}` reads `{name}`, which no rule records", rule.name),
                    suggest(name, self.recorded.keys().copied(), "recorded series"),
                );
            }
            if self.foreign_jobs {
                continue;
            }
            for matcher in selector
                .matchers
                .matchers
                .iter()
                .filter(|matcher| matcher.name == "job" && !matcher.value.is_empty())
            {
                let positive = matches!(matcher.op, MatchOp::Equal | MatchOp::Re(_));
                if positive && !self.jobs.iter().any(|job| matcher.is_match(job)) {
                    findings.error(
                        "unknown-job",
                        &rule.expr_place,
                        format!(
                            "`{}` asks for job `{}`, and no scrape job is called so",
                            rule.name, matcher.value
                        ),
                        suggest(&matcher.value, self.jobs.iter().copied(), "scrape jobs"),
                    );
                }
            }
        }
    }

    /// The time between samples of a series.
    fn interval(&self, selector: &VectorSelector) -> (Duration, String) {
        let view = &self.server.config.view;
        if let Some((name, interval)) =
            promql::metric_name(selector).and_then(|name| self.recorded.get_key_value(name))
        {
            return (
                *interval,
                format!("`{name}` is recorded every {}", duration::format(*interval)),
            );
        }
        match promql::equal_to(selector, "job").and_then(|job| view.job(job)) {
            Some(job) => (
                job.interval,
                format!("job `{}` is scraped every {}", job.name, duration::format(job.interval)),
            ),
            // Whichever job it comes from, it is scraped no more often than this.
            None => {
                let least = view
                    .jobs
                    .iter()
                    .map(|job| job.interval)
                    .min()
                    .unwrap_or(view.global.scrape_interval);
                (
                    least,
                    format!("nothing is scraped more often than every {}", duration::format(least)),
                )
            }
        }
    }

    /// Windows that hold less than two samples.
    fn windows(&self, rule: &Rule, expr: &Expr, findings: &mut Findings) {
        if let Expr::Call(call) = expr
            && TWO_SAMPLES.contains(&call.func.name)
            && let Some(Expr::MatrixSelector(matrix)) = call.args.args.first().map(|arg| &**arg)
        {
            let (interval, why) = self.interval(&matrix.vs);
            let severity =
                if matrix.range <= interval { Severity::Error } else { Severity::Warning };
            if matrix.range < interval * 2 {
                findings.add(
                    severity,
                    "range-too-short",
                    &rule.expr_place,
                    format!(
                        "`{}`: {}() over {} seldom or never sees two samples: {why}",
                        rule.name,
                        call.func.name,
                        duration::format(matrix.range)
                    ),
                    format!(
                        "look back over at least {}; four intervals bear a lost scrape",
                        duration::format(interval * 4)
                    ),
                );
            }
        }
        for child in promql::children(expr) {
            self.windows(rule, child, findings);
        }
    }

    fn comparison(&self, rule: &Rule, comparison: &Comparison<'_>, findings: &mut Findings) {
        let Comparison { left, op, limit, decides } = *comparison;
        let shown = || {
            format!(
                "`{} {} {}`",
                promql::print(left),
                comparison.op_text(),
                promql::number_text(limit)
            )
        };
        let (never, always) = match (op, bounds(left)) {
            (T_LSS, Some((least, most))) => (limit <= least, limit > most),
            (T_LTE, Some((least, most))) => (limit < least, limit >= most),
            (T_GTR, Some((least, most))) => (limit >= most, limit < least),
            (T_GTE, Some((least, most))) => (limit > most, limit <= least),
            (T_EQLC, Some((least, most))) => (limit < least || limit > most, false),
            _ => (false, false),
        };
        if never {
            let hint = match inner(left) {
                Expr::Aggregate(aggregate) if aggregate.op.id() == T_COUNT => {
                    "count() of nothing is nothing, not 0: ask with absent()"
                }
                Expr::Call(call) if call.func.name == "count_over_time" => {
                    "what is not there has no result, not 0: ask with absent_over_time()"
                }
                Expr::Binary(binary) if [T_SUB, T_DIV].contains(&binary.op.id()) => {
                    "a share is at most 1: write it as one, or multiply by 100"
                }
                _ => "turn the comparison round, or correct the threshold",
            };
            findings.error(
                "never-true",
                &rule.expr_place,
                format!("alert `{}`: {} is never true", rule.name, shown()),
                hint,
            );
        }
        // How many there are, and that nothing is there, is asked for by any comparison that holds.
        let presence = match inner(left) {
            Expr::Aggregate(aggregate) => aggregate.op.id() == T_COUNT,
            Expr::Call(call) => {
                call.func.name.starts_with("absent") || call.func.name.starts_with("present")
            }
            _ => false,
        };
        // Beside an `and` it asks whether the series is there.
        let guards = matches!(inner(&rule.expr), Expr::Binary(binary) if [T_LAND, T_LUNLESS].contains(&binary.op.id()));
        if always && decides && !presence && !guards {
            findings.error(
                "always-true",
                &rule.expr_place,
                format!("alert `{}`: {} is true whenever there is a series", rule.name, shown()),
                "turn the comparison round, or correct the threshold",
            );
        }
        if let Expr::VectorSelector(selector) = inner(left)
            && promql::metric_name(selector).is_some_and(|name| name.ends_with("_total"))
            && decides
            && limit != 0.0
            && op != T_EQLC
        {
            findings.warning(
                "raw-counter",
                &rule.expr_place,
                format!(
                    "alert `{}`: {} compares what was counted since the process started",
                    rule.name,
                    shown()
                ),
                "compare its rate() or increase()",
            );
        }
        if decides {
            self.ratio(rule, left, op, findings);
            self.falls_silent(rule, left, op, findings);
            self.vanishes(rule, left, op, findings);
            gauge(rule, left, findings);
        }
    }

    /// What is counted or averaged over time is nothing when all is gone.
    fn falls_silent(&self, rule: &Rule, left: &Expr, op: u16, findings: &mut Findings) {
        let Expr::Call(call) = inner(left) else { return };
        let low = [T_LSS, T_LTE, T_EQLC].contains(&op);
        if !low || !["avg_over_time", "max_over_time", "sum_over_time"].contains(&call.func.name) {
            return;
        }
        for selector in promql::selectors(left) {
            let Some(name) = promql::metric_name(selector).filter(|name| *name == "up") else {
                continue;
            };
            let job = promql::equal_to(selector, "job");
            if !self.wanted.contains(name) {
                findings.note(
                    "falls-silent",
                    &rule.expr_place,
                    format!(
                        "alert `{}`: when {} is no longer scraped there is no `up` and no result, and nothing alerts",
                        rule.name,
                        job.map_or_else(|| "a job".to_owned(), |job| format!("job `{job}`"))
                    ),
                    "add an alert on absent(up{job=\"…\"})",
                );
            }
        }
    }

    /// A target that is discovered is not down when it is gone: there is no `up` of it.
    fn vanishes(&self, rule: &Rule, left: &Expr, op: u16, findings: &mut Findings) {
        let Expr::VectorSelector(selector) = inner(left) else { return };
        let low = [T_LSS, T_LTE, T_EQLC].contains(&op);
        if !low || promql::metric_name(selector) != Some("up") || self.wanted.contains("up") {
            return;
        }
        let job =
            promql::equal_to(selector, "job").and_then(|job| self.server.config.view.job(job));
        let Some(job) = job.filter(|job| job.static_configs.is_empty()) else { return };
        // Files and static lists keep a target that does not answer.
        let Some((kind, _)) = job.discoveries.iter().find(|(kind, _)| kind != "file") else {
            return;
        };
        findings.note(
            "falls-silent",
            &rule.expr_place,
            format!(
                "alert `{}`: the targets of job `{}` are discovered ({kind}); one that vanishes there has no `up`, and nothing alerts",
                rule.name, job.name
            ),
            format!("add an alert on absent(up{{job=\"{}\"}}), or on their number", job.name),
        );
    }

    /// A ratio of rates is 0/0 when nothing comes in, and NaN is above nothing.
    fn ratio(&self, rule: &Rule, left: &Expr, op: u16, findings: &mut Findings) {
        let Some(denominator) = rate_below(left) else { return };
        if ![T_GTR, T_GTE].contains(&op) {
            return;
        }
        for selector in promql::selectors(denominator) {
            let Some(metric) = promql::metric_name(selector) else { continue };
            let jobs = self.jobs_of(selector, metric);
            let covered = self.all_watched
                || self.wanted.contains(metric)
                || jobs.iter().any(|job| self.watched.contains(job.as_str()))
                // A series whose job no file tells: any alert on a target may be the one.
                || (jobs.is_empty() && !self.watched.is_empty());
            if !covered {
                let job = jobs
                    .iter()
                    .next()
                    .map_or_else(|| metric.to_owned(), |job| format!("job `{job}`"));
                // Whoever loads such rules may load others that watch it.
                let severity = match is_loose(self.server) {
                    true => Severity::Note,
                    false => Severity::Warning,
                };
                findings.add(
                    severity,
                    "ratio-falls-silent",
                    &rule.expr_place,
                    format!("alert `{}` is a ratio of rates of `{metric}`: when that is gone it is 0/0, which is above nothing, and no alert watches {job}", rule.name),
                    format!("add an alert on up{{job=\"…\"}} == 0, or on absent({metric})"),
                );
                return;
            }
        }
    }

    /// Jobs that a selector names, or that the declared series of its metric name.
    fn jobs_of(&self, selector: &VectorSelector, metric: &str) -> BTreeSet<String> {
        if let Some(job) = promql::equal_to(selector, "job") {
            return [job.to_owned()].into();
        }
        let declared =
            self.subject.declaration.series.iter().filter_map(|text| promql::parse(text).ok());
        let mut jobs = BTreeSet::new();
        for expr in declared {
            for selector in promql::selectors(&expr)
                .into_iter()
                .filter(|selector| promql::metric_name(selector) == Some(metric))
            {
                jobs.extend(promql::equal_to(selector, "job").map(str::to_owned));
            }
        }
        jobs
    }
}

/// increase() of what is no counter by its name.
fn gauge(rule: &Rule, left: &Expr, findings: &mut Findings) {
    let Expr::Call(call) = inner(left) else { return };
    if !["rate", "irate", "increase"].contains(&call.func.name) {
        return;
    }
    let Some(Expr::MatrixSelector(matrix)) = call.args.args.first().map(|arg| &**arg) else {
        return;
    };
    let stamps = ["_time_seconds", "_timestamp", "_timestamp_seconds", "_created"];
    let sums = ["cpu_time_seconds", "running_time_seconds", "_total"];
    let Some(name) = promql::metric_name(&matrix.vs).filter(|name| {
        stamps.iter().any(|end| name.ends_with(end)) && !sums.iter().any(|end| name.contains(end))
    }) else {
        return;
    };
    findings.warning(
        "increase-of-gauge",
        &rule.expr_place,
        format!(
            "alert `{}`: {}() of `{name}`, which is a point in time and no counter",
            rule.name, call.func.name
        ),
        "count its changes: changes(…) > 0",
    );
}

/// What the label `job` of a job's series may be: its name, or what its targets set.
fn job_names(job: &ScrapeJob) -> impl Iterator<Item = &str> {
    let groups = job.static_configs.iter().chain(&job.discovered);
    let set = groups.filter_map(|group| group.labels.get("job").map(String::as_str));
    std::iter::once(job.name.as_str()).chain(set)
}

/// Whether a server takes series that it does not scrape.
fn takes_pushes(server: &PrometheusServer) -> bool {
    server.flags.iter().any(|(name, value)| {
        name.ends_with("-receiver") || (name == "enable-feature" && value.contains("-receiver"))
    }) || server.config.doc.root.get("otlp").is_some()
}
