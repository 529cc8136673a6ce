//! What an expression reads: how far it looks back, over which recorded series, and which scrape
//! brings its samples in.

use std::time::Duration;

use promql_parser::parser::{Expr, Offset};

use super::BudgetAssumptions;
use crate::monitoring::{PrometheusServer, Rule, RuleGroup, duration, promql};

/// A rule and where it is evaluated.
#[derive(Clone, Copy)]
pub(super) struct RulePlace<'a> {
    file: usize,
    pub(super) group: &'a RuleGroup,
    index: usize,
    pub(super) rule: &'a Rule,
}

pub(super) fn places(server: &PrometheusServer) -> impl Iterator<Item = RulePlace<'_>> {
    server.rules.iter().enumerate().flat_map(|(file, loaded)| {
        loaded.view.iter().flat_map(move |group| {
            group.rules.iter().enumerate().map(move |(index, rule)| RulePlace {
                file,
                group,
                index,
                rule,
            })
        })
    })
}

/// What an expression reads: the farthest look back, and the recorded series on the way.
#[derive(Clone, Default)]
pub(super) struct Reach<'a> {
    pub(super) window: Duration,
    pub(super) recordings: Vec<(&'a str, Duration)>,
    jobs: Vec<&'a str>,
    any_job: bool,
}

impl Reach<'_> {
    fn total(&self) -> Duration {
        self.window + self.recordings.iter().map(|(_, interval)| *interval).sum::<Duration>()
    }
}

/// Recorded series may be built on one another; deeper chains than this are not known to exist.
const DEPTH: usize = 20;

pub(super) fn reach<'a>(
    server: &'a PrometheusServer,
    reader: RulePlace<'a>,
    expr: &'a Expr,
    around: Duration,
    depth: usize,
) -> Reach<'a> {
    let back = |offset: &Option<Offset>| match offset {
        Some(Offset::Pos(back)) => *back,
        _ => Duration::ZERO,
    };
    let (selector, range) = match expr {
        Expr::VectorSelector(selector) => (selector, Duration::ZERO),
        Expr::MatrixSelector(matrix) => (&matrix.vs, matrix.range),
        Expr::Subquery(subquery) => {
            return reach(
                server,
                reader,
                &subquery.expr,
                around + subquery.range + back(&subquery.offset),
                depth,
            );
        }
        other => {
            let mut farthest = Reach::default();
            for child in promql::children(other) {
                let mut one = reach(server, reader, child, around, depth);
                one.jobs.extend(std::mem::take(&mut farthest.jobs));
                one.any_job |= farthest.any_job;
                if one.total() < farthest.total() {
                    farthest.jobs = one.jobs;
                    farthest.any_job = one.any_job;
                } else {
                    farthest = one;
                }
            }
            return farthest;
        }
    };
    let window = around + range + back(&selector.offset);
    let recorded = promql::metric_name(selector).and_then(|name| {
        places(server).find(|place| !place.rule.is_alert() && place.rule.name == name)
    });
    if let Some(place) = recorded
        && depth < DEPTH
    {
        let mut below = reach(server, place, &place.rule.expr, window, depth + 1);
        // A group evaluates its rules in order, so what stands before in the same group is fresh.
        let same_group = (place.file, &place.group.name) == (reader.file, &reader.group.name);
        if !(same_group && place.index < reader.index) {
            below.recordings.push((&place.rule.name, interval_of(server, place.group)));
        }
        return below;
    }
    let job = promql::equal_to(selector, "job");
    Reach {
        window,
        recordings: Vec::new(),
        jobs: job.into_iter().collect(),
        any_job: job.is_none(),
    }
}

pub(super) fn interval_of(server: &PrometheusServer, group: &RuleGroup) -> Duration {
    group.interval.unwrap_or(server.config.view.global.evaluation_interval)
}

/// The scrape that brings the condition in: of the jobs that the expression names, else of the
/// slowest.
pub(super) fn scrape(
    server: &PrometheusServer,
    reach: &Reach<'_>,
    assumptions: &BudgetAssumptions,
) -> (Duration, String) {
    let config = &server.config.view;
    let named: Vec<_> =
        config.jobs.iter().filter(|job| reach.jobs.contains(&job.name.as_str())).collect();
    let all = reach.any_job || named.is_empty();
    let candidates = if all { config.jobs.iter().collect() } else { named };
    let Some(job) = candidates.iter().max_by_key(|job| job.interval) else {
        return (config.global.scrape_interval, "no job is configured: the global interval".into());
    };
    let why = if all { ", the slowest of all, since the expression names none" } else { "" };
    let (takes, how) = if assumptions.target_hangs {
        (job.timeout, "its time-out, since the target hangs")
    } else {
        (assumptions.scrape_takes, "the 99th percentile of its duration")
    };
    let interval = duration::format(job.interval);
    (job.interval + takes, format!("job `{}` every {interval}{why}, and {how}", job.name))
}
