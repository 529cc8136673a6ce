//! Metrics under load: a target whose metrics can't be had while it has work to do is blind when it
//! matters.

use super::Checker;
use super::timeline::{Interval, Timeline};
use super::wording::{list, seconds};
use crate::cause::Cause;
use crate::observation::Fact;
use crate::observation::metrics::{Samples, Series, Target};
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Name under which a drill's samples of `up` are recorded.
pub fn up_samples(drill: &str) -> String {
    format!("up in {drill}")
}

/// Name under which the durations of a drill's scrapes are recorded, seconds.
pub fn duration_samples(drill: &str) -> String {
    format!("scrape seconds in {drill}")
}

/// During a drill that only burdens the stack every target is scraped, each time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetsStayScraped {
    /// Id of the drill that burdens the stack.
    pub drill: String,
}

/// The series of a drill's samples, with the event.
fn samples<'h>(timeline: &Timeline<'h>, name: &str) -> Option<(u64, &'h Samples)> {
    let found = timeline.nearest(f64::INFINITY, |o| match &o.fact {
        Fact::Samples(s) if s.name == name => Some(s),
        _ => None,
    });
    found.into_iter().next().map(|(seq, _, s)| (seq, s))
}

fn same_target(a: &Series, b: &Series) -> bool {
    ["job", "instance"].into_iter().all(|label| a.labels.get(label) == b.labels.get(label))
}

/// Time-out of a target's scrapes, as the server told it last.
fn timeout(timeline: &Timeline<'_>, series: &Series) -> Option<f64> {
    let fits = |t: &&Target| {
        series.labels.get("job") == Some(&t.job)
            && series.labels.get("instance") == Some(&t.instance)
    };
    let targets = timeline.nearest(f64::INFINITY, |o| match &o.fact {
        Fact::Targets { targets } => targets.iter().find(fits).map(|t| t.timeout_s),
        _ => None,
    });
    targets.into_iter().map(|(_, _, t)| t).find(|t| *t > 0.0)
}

impl Checker for TargetsStayScraped {
    fn id(&self) -> String {
        format!("drill.{}.scraped", self.drill)
    }

    fn expected(&self) -> String {
        format!("every target stays scraped while drill {} lasts", self.drill)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        if let Some((why, seqs)) = timeline.vacuous(&self.drill) {
            return Verdict::unknown(id, expected, why).witnesses(seqs);
        }
        let Some((injected, healed)) =
            timeline.drill(&self.drill).and_then(|d| d.injected().zip(d.healed()))
        else {
            return Verdict::unknown(
                id,
                expected,
                format!("drill {} was not injected and healed", self.drill),
            );
        };
        let window = Interval { from: injected.at.wall_s(), to: healed.at.wall_s() };
        let Some((seq, up)) = samples(&timeline, &up_samples(&self.drill)) else {
            return Verdict::unknown(id, expected, "whether targets were up was not recorded")
                .witnesses([injected.seq]);
        };
        let scraped = Scraped::in_window(up, window);
        let Some((series, missed)) = scraped.down.first() else {
            let reason = format!(
                "{} stayed up in {}",
                super::wording::count(up.series.len() as u64, "target", "targets"),
                seconds(window.to - window.from)
            );
            return timeline.require_complete(
                Verdict::pass(id, expected, reason)
                    .evidence("samples of `up`", scraped.scrapes)
                    .witnesses([injected.seq, seq]),
            );
        };
        let names: Vec<String> = scraped.down.iter().map(|(s, _)| name(s)).collect();
        let seen = format!(
            "down {} after the injection: {}",
            seconds(missed[0] - window.from),
            list(&names, 5)
        );
        let (cause, seen, hint) = match self.timed_out(&timeline, series, window) {
            Some((took, limit)) => (
                Cause::ScrapeTimesOut,
                format!(
                    "{seen}; its scrapes took {}, and end after {}",
                    seconds(took),
                    seconds(limit)
                ),
                "make its metrics cheaper, give the service room for them, or the scrape a longer time-out: under load nothing is known of it now",
            ),
            None => (
                Cause::TargetNotScraped,
                seen,
                "look at the target's last error while it is under load",
            ),
        };
        Verdict::fail(id, expected, cause, seen)
            .stopped_at("not scraped")
            .hint(hint)
            .witnesses([injected.seq, seq])
    }
}

impl TargetsStayScraped {
    /// How long a target's slowest scrape took and when scrapes end, in seconds, if that is why it
    /// was down.
    fn timed_out(
        &self,
        timeline: &Timeline<'_>,
        target: &Series,
        window: Interval,
    ) -> Option<(f64, f64)> {
        let (_, durations) = samples(timeline, &duration_samples(&self.drill))?;
        let of_target = durations.series.iter().filter(|s| same_target(s, target));
        let took = of_target
            .flat_map(|s| points_in(s, window))
            .filter_map(|(_, value)| *value)
            .reduce(f64::max)?;
        let limit = timeout(timeline, target)?;
        (took >= 0.95 * limit).then_some((took, limit))
    }
}

/// What the samples of `up` show in a window.
struct Scraped<'s> {
    scrapes: u64,
    /// Targets that were down, and when.
    down: Vec<(&'s Series, Vec<f64>)>,
}

impl<'s> Scraped<'s> {
    fn in_window(up: &'s Samples, window: Interval) -> Scraped<'s> {
        let (mut scrapes, mut down) = (0, Vec::new());
        for series in &up.series {
            scrapes += points_in(series, window).count() as u64;
            let missed: Vec<f64> = points_in(series, window)
                .filter(|(_, value)| *value == Some(0.0))
                .map(|(at, _)| *at)
                .collect();
            if !missed.is_empty() {
                down.push((series, missed));
            }
        }
        Scraped { scrapes, down }
    }
}

fn points_in(series: &Series, window: Interval) -> impl Iterator<Item = &(f64, Option<f64>)> {
    series.points.iter().filter(move |(at, _)| (window.from..=window.to).contains(at))
}

fn name(target: &Series) -> String {
    format!(
        "{} ({})",
        target.labels.get("job").map_or("?", |j| j),
        target.labels.get("instance").map_or("?", |i| i)
    )
}
