//! Asks the metrics server, before it is removed, for all that judging mutants takes: what it wrote
//! of each alert, and at which of their group's own evaluations each rule and each mutant held.

use crate::probe::{Probe, Question};
use config::monitoring::promql;
use config::mutation::{Made, mutants};
use futures::stream::{self, StreamExt};
use promql_parser::parser::{Expr, VectorSelector};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use verdict::mutation::hold::runs;
use verdict::mutation::reproduce::{key, left_out};
use verdict::observation::metrics::{Rule, RuleGroup, Series};
use verdict::observation::replay::{Grid, Held, Mutant, Replay, Run, Variant};
use verdict::{Fact, Observation};

/// Queries that run at the same time.
const AT_ONCE: usize = 4;
/// Bound on all of it; what is not answered by then is counted as undecidable.
const BOUND: Duration = Duration::from_secs(120);

/// Observations of every alerting rule with its mutants, from one instant to another (seconds since
/// the epoch). What the server does not answer is part of them. The rules of `overridden` alerts
/// were changed meanwhile, so they are not asked about.
pub async fn replays(
    metrics: &dyn Probe,
    from_s: f64,
    to_s: f64,
    overridden: &BTreeSet<&str>,
) -> Vec<Observation> {
    let began = Instant::now();
    let asker = ApiClient { metrics, from_s, to_s, began };
    let asked = metrics.ask(&Question::Rules).await;
    let stored = asker.range("ALERTS", from_s - 1.0, to_s, 0.0).await;
    let mut found = Vec::new();
    for observation in asked {
        let Fact::Rules { groups } = &observation.fact else {
            found.push(observation);
            continue;
        };
        for group in groups {
            let alerts = stored.clone().map(|all| of_group(all, group));
            let grid = asker.grid(group, alerts.as_deref().unwrap_or_default()).await;
            for rule in group.rules.iter().filter(|r| r.alerting) {
                let replay = asker
                    .replay(group, rule, &alerts, &grid, overridden.contains(rule.name.as_str()))
                    .await;
                found.push(Observation { fact: Fact::Replay(replay), ..observation.clone() });
            }
        }
    }
    found
}

/// Series of `ALERTS` of a group's rules.
fn of_group(all: Vec<Series>, group: &RuleGroup) -> Vec<Series> {
    let names: BTreeSet<&str> =
        group.rules.iter().filter(|r| r.alerting).map(|r| r.name.as_str()).collect();
    all.into_iter()
        .filter(|s| s.labels.get("alertname").is_some_and(|n| names.contains(n.as_str())))
        .collect()
}

struct ApiClient<'a> {
    metrics: &'a dyn Probe,
    from_s: f64,
    to_s: f64,
    began: Instant,
}

impl ApiClient<'_> {
    async fn range(
        &self,
        expr: &str,
        start_s: f64,
        end_s: f64,
        step_s: f64,
    ) -> Result<Vec<Series>, String> {
        let left = BOUND.saturating_sub(self.began.elapsed());
        let question =
            Question::Range { name: "mutation".into(), expr: expr.into(), start_s, end_s, step_s };
        let late =
            || format!("not answered within the {} s that all mutants may take", BOUND.as_secs());
        let answer =
            tokio::time::timeout(left, self.metrics.ask(&question)).await.map_err(|_| late())?;
        match answer.into_iter().next().map(|o| o.fact) {
            Some(Fact::Samples(samples)) => Ok(samples.series),
            Some(Fact::Unreachable { error, .. }) => Err(error),
            other => Err(format!("an answer of another kind: {other:?}")),
        }
    }

    /// The instants of a group's evaluations. What the group writes carries them; a group that
    /// wrote nothing in the run is known by the server's clock alone.
    async fn grid(&self, group: &RuleGroup, alerts: &[Series]) -> Result<Grid, String> {
        let interval_ms = (group.interval_s * 1000.0).round() as i64;
        if interval_ms <= 0 {
            return Err(format!("group {} has no interval", group.name));
        }
        let mut stamps: BTreeSet<i64> = stamps(alerts);
        if stamps.is_empty()
            && let Some(record) = group.rules.iter().find(|r| !r.alerting)
        {
            let since = self.to_s - 3.0 * group.interval_s;
            stamps = self
                .range(&record.name, since, self.to_s, 0.0)
                .await
                .map(|series| self::stamps(&series))
                .unwrap_or_default();
            // Several groups may record one name; then it tells nothing.
            if stamps.iter().any(|s| (s - stamps.first().unwrap_or(s)) % interval_ms != 0) {
                stamps.clear();
            }
        }
        let clock = group.last_evaluation_s.map(|s| (s * 1000.0) as i64);
        let known = stamps
            .first()
            .copied()
            .or(clock)
            .ok_or_else(|| format!("group {} was never evaluated", group.name))?;
        Ok(grid((self.from_s, self.to_s), known, interval_ms, !stamps.is_empty()))
    }

    async fn replay(
        &self,
        group: &RuleGroup,
        rule: &Rule,
        alerts: &Result<Vec<Series>, String>,
        grid: &Result<Grid, String>,
        overridden: bool,
    ) -> Replay {
        let ms = |s: f64| (s * 1000.0).round() as i64;
        let variant = Variant {
            expr: rule.expr.clone(),
            for_ms: ms(rule.for_s),
            keep_firing_ms: ms(rule.keep_firing_s),
        };
        let mut replay = Replay {
            alert: rule.name.clone(),
            group: format!("{};{}", group.file, group.name),
            sets: rule.labels.keys().cloned().collect(),
            grid: Grid { first_ms: 0, interval_ms: 1, count: 0, exact: false },
            hidden_ms: 0,
            rule: variant,
            held: Vec::new(),
            overridden,
            error: None,
            alerts: Vec::new(),
            left_out: Vec::new(),
            mutants: Vec::new(),
        };
        replay.error = self.fill(&mut replay, alerts, grid).await.err();
        replay
    }

    async fn fill(
        &self,
        replay: &mut Replay,
        alerts: &Result<Vec<Series>, String>,
        grid: &Result<Grid, String>,
    ) -> Result<(), String> {
        let made = mutants(&replay.rule)?;
        let unasked = |m: Made| Mutant {
            operator: m.operator,
            change: m.change,
            variant: m.variant,
            level: m.level,
            held: None,
            refused: None,
            unanswered: None,
        };
        replay.mutants = made.into_iter().map(unasked).collect();
        if replay.overridden {
            return Ok(());
        }
        let (alerts, grid) =
            (alerts.as_ref().map_err(Clone::clone)?, grid.as_ref().map_err(Clone::clone)?);
        replay.grid = *grid;
        replay.left_out = left_out(grid, alerts);
        replay.alerts = alerts
            .iter()
            .filter(|s| s.labels.get("alertname") == Some(&replay.alert))
            .cloned()
            .collect();
        replay.hidden_ms = self.hidden_ms(&replay.rule.expr, grid).await;
        let (hidden, sets) = (replay.hidden_ms, replay.sets.clone());
        replay.held = self.held(&replay.rule.expr, grid, hidden, &sets).await?;
        let expressions: BTreeSet<String> = replay
            .mutants
            .iter()
            .map(|m| m.variant.expr.clone())
            .filter(|e| *e != replay.rule.expr)
            .collect();
        let sets = &sets;
        let answers = stream::iter(expressions).map(|expr| async move {
            let held = self.held(&expr, grid, hidden, sets).await;
            (expr, held)
        });
        let answers: BTreeMap<String, Result<Vec<Held>, String>> =
            answers.buffer_unordered(AT_ONCE).collect().await;
        for mutant in &mut replay.mutants {
            match answers.get(&mutant.variant.expr) {
                None => {}
                Some(Ok(held)) => mutant.held = Some(held.clone()),
                Some(Err(why)) if refuses(why) => mutant.refused = Some(said(why)),
                Some(Err(why)) => mutant.unanswered = Some(why.clone()),
            }
        }
        Ok(())
    }

    /// When an expression held, at each evaluation: with all samples stamped until then, and with
    /// the latest hidden.
    async fn held(
        &self,
        expr: &str,
        grid: &Grid,
        hidden_ms: i64,
        sets: &[String],
    ) -> Result<Vec<Held>, String> {
        let (first, step) = (grid.first_ms as f64 / 1000.0, grid.interval_ms as f64 / 1000.0);
        let last = grid.at_ms(grid.count.saturating_sub(1)) as f64 / 1000.0;
        let hidden = hidden_ms as f64 / 1000.0;
        let all = self.range(expr, first, last + step / 4.0, step).await?;
        let without_latest =
            self.range(expr, first - hidden, last - hidden + step / 4.0, step).await?;
        let mut held: BTreeMap<BTreeMap<String, String>, [BTreeSet<u32>; 2]> = BTreeMap::new();
        for (which, (series, back)) in
            [(all, 0.0), (without_latest, hidden)].into_iter().enumerate()
        {
            for one in series {
                let at = one.points.iter().filter_map(|(t, _)| grid.index(t + back));
                held.entry(key(&one.labels, sets)).or_default()[which].extend(at);
            }
        }
        let of = |some: BTreeSet<u32>| -> Vec<Run> { runs(some) };
        Ok(held
            .into_iter()
            .map(|(labels, [all, late])| Held { labels, all: of(all), without_latest: of(late) })
            .collect())
    }

    /// For how long a sample that an expression looks at may have been stamped before it was
    /// visible: the longest scrape of the targets that it selects, or of all where that can't be
    /// told.
    async fn hidden_ms(&self, expr: &str, grid: &Grid) -> i64 {
        let window = ((self.to_s - self.from_s) * 1000.0).ceil().max(1.0) as u64;
        let mut questions = Vec::new();
        if let Ok(parsed) = promql::parse(expr) {
            let bare = |s: &VectorSelector| {
                promql::print(&Expr::VectorSelector(VectorSelector {
                    offset: None,
                    at: None,
                    ..s.clone()
                }))
            };
            let of: Vec<String> = promql::selectors(&parsed)
                .into_iter()
                .map(|s| format!("last_over_time({}[{window}ms])", bare(s)))
                .collect();
            if !of.is_empty() {
                questions
                    .push(format!("max(max_over_time(scrape_duration_seconds[{window}ms]) and on (job, instance) ({}))", of.join(" or ")));
            }
        }
        questions.push(format!("max(max_over_time(scrape_duration_seconds[{window}ms]))"));
        for question in questions {
            let longest =
                self.range(&question, self.to_s, self.to_s, 1.0).await.unwrap_or_default();
            if let Some(seconds) = longest.iter().flat_map(|s| &s.points).find_map(|(_, v)| *v) {
                return ((seconds * 1000.0).ceil() as i64 + 1).max(1);
            }
        }
        // Not known: a whole interval, so that everything near a change is left open.
        grid.interval_ms
    }
}

/// Instants of samples, milliseconds since the epoch.
fn stamps(series: &[Series]) -> BTreeSet<i64> {
    series.iter().flat_map(|s| &s.points).map(|(t, _)| (t * 1000.0).round() as i64).collect()
}

/// The evaluations between two instants of a group for which one is known. The last interval is
/// left out: what an evaluation found may not have been written yet when it was asked for.
fn grid((from_s, to_s): (f64, f64), known_ms: i64, interval_ms: i64, exact: bool) -> Grid {
    let (from, to) =
        ((from_s * 1000.0).ceil() as i64, (to_s * 1000.0).floor() as i64 - interval_ms);
    let first_ms = from + (known_ms - from).rem_euclid(interval_ms);
    let count = if to < first_ms {
        0
    } else {
        u32::try_from((to - first_ms) / interval_ms + 1).unwrap_or(u32::MAX)
    };
    Grid { first_ms, interval_ms, count, exact }
}

/// Whether the server understood the question and says that it can't be evaluated.
fn refuses(error: &str) -> bool {
    error.contains("HTTP 400") || error.contains("HTTP 422")
}

/// The server's own words within an error.
fn said(error: &str) -> String {
    let own = error
        .split_once("\"error\":\"")
        .map_or(error, |(_, rest)| rest.split("\"}").next().unwrap_or(rest));
    own.replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_go_on_from_a_known_one_both_ways() {
        let g = grid((100.0, 103.0), 101_321, 750, true);
        assert_eq!((g.first_ms, g.count, g.at_ms(2)), (100_571, 3, 102_071));
        assert_eq!(grid((100.0, 103.0), 1_321 + 750 * 1000, 750, true).first_ms, 100_321);
        assert_eq!(grid((100.0, 100.1), 101_321, 750, true).count, 0);
        assert_eq!(
            (g.index(100.571), g.index(102.07), g.index(100.9), g.index(99.821)),
            (Some(0), Some(2), None, None)
        );
    }

    #[test]
    fn the_servers_own_words() {
        let error = r#"POST /api/v1/query_range: HTTP 422 Unprocessable Entity: {"status":"error","errorType":"execution","error":"many-to-many matching not allowed: \"x\""}"#;
        assert!(refuses(error) && said(error) == "many-to-many matching not allowed: \"x\"");
        assert!(!refuses("POST /api/v1/query_range: no answer within 5 s"));
    }
}
