//! Targets are up and fresh, expected series exist, the configuration in force is the one on disk.

use super::Checker;
use super::answered::Wanted;
use super::timeline::Timeline;
use super::wording::{count, list, seconds};
use crate::cause::Cause;
use crate::left_out::{self, ANSWERED_HINT, Absent, AbsentService};
use crate::observation::Fact;
use crate::observation::asked::Asked;
use crate::observation::metrics::Target;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod configuration;

pub use configuration::ConfigurationLoaded;

/// A target is stale if its last scrape is older than this many intervals.
const STALE_AFTER_INTERVALS: f64 = 3.0;

/// A job of the scrape configuration and how many targets it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedTarget {
    /// Name of the job, as the label `job` of its targets has it.
    pub job: String,
    /// Least number of targets.
    pub count: u64,
}

/// Every expected target is up and its last scrape is younger than three intervals, in the healthy
/// stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetsUp {
    /// Jobs whose targets must be up and fresh.
    pub targets: Vec<ExpectedTarget>,
    /// Jobs of services that are left out: their targets must not be up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// Services that are left out of the run and may expose nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<AbsentService>,
}

/// Each expected selector matches at least one series, in the healthy stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeriesPresent {
    /// PromQL selectors, each of which must match at least one series.
    pub selectors: Vec<String>,
    /// Selectors of what services that are left out would expose. They may match: `up` of a target
    /// that is down is a series, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
}

/// Every service exposes metrics (has at least one target), except those that the declaration names
/// as having none; those are named in the verdict's reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricsEndpoints {
    /// Pairs of a service and the job that scrapes it.
    pub services: Vec<(String, String)>,
    /// Services that have no metrics by declaration, with the reason stated there.
    pub without: Vec<(String, String)>,
    /// Jobs of services that are left out of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// Services that are left out of the run and may expose nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<AbsentService>,
}

/// The targets as each metrics server knew them last while the stack was healthy.
pub(super) struct Targets<'h> {
    pub(super) seqs: Vec<u64>,
    pub(super) all: Vec<&'h Target>,
}

impl<'h> Targets<'h> {
    pub(super) fn of(timeline: &Timeline<'h>) -> Option<Targets<'h>> {
        let mut last: BTreeMap<&str, (u64, &'h Vec<Target>)> = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            if let Fact::Targets { targets } = &o.fact {
                last.insert(&o.source, (e.seq, targets));
            }
        }
        (!last.is_empty()).then(|| Targets {
            seqs: last.values().map(|(s, _)| *s).collect(),
            all: last.values().flat_map(|(_, t)| t.iter()).collect(),
        })
    }

    fn of_job(&self, job: &str) -> Vec<&'h Target> {
        self.all.iter().copied().filter(|t| t.job == job).collect()
    }

    /// Those of a job whose services are not left out.
    fn running_of_job(&self, job: &str, left_out: &[AbsentService]) -> Vec<&'h Target> {
        self.of_job(job).into_iter().filter(|t| left_out::owner(left_out, t).is_none()).collect()
    }

    /// What else answers for services that are left out.
    fn answered(&self, left_out: &[AbsentService]) -> Vec<(Cause, String)> {
        left_out::answered(left_out, &self.all)
            .into_iter()
            .map(|seen| (Cause::LeftOutAnswers, seen))
            .collect()
    }
}

pub(super) const TARGETS: Wanted = Wanted {
    what: "targets",
    is: |fact| matches!(fact, Fact::Targets { .. }),
    asks: |question| *question == Asked::Targets,
};

const SERIES: Wanted = Wanted {
    what: "series",
    is: |fact| matches!(fact, Fact::SeriesCount { .. }),
    asks: |question| matches!(question, Asked::SeriesCounts { .. } | Asked::SeriesCount { .. }),
};

/// How many series matched each selector last while the stack was healthy, each with its event;
/// none if no selector was counted.
fn counted<'h>(timeline: &Timeline<'h>) -> Option<BTreeMap<&'h str, (u64, u64)>> {
    let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (e, o) in timeline.healthy_facts() {
        if let Fact::SeriesCount { counts } = &o.fact {
            last.extend(counts.iter().map(|c| (c.selector.as_str(), (c.count, e.seq))));
        }
    }
    (!last.is_empty()).then_some(last)
}

/// What is wrong with a target, if anything.
fn fault_of(t: &Target) -> Option<(Cause, String)> {
    let name = format!("{} ({})", t.job, t.scrape_url);
    let Some(age) = t.age_s else {
        return Some((Cause::TargetNotScraped, format!("{name} was never scraped")));
    };
    if !t.up {
        return Some((
            Cause::TargetNotScraped,
            format!(
                "{name} is down: {}",
                if t.last_error.is_empty() { "no error given" } else { &t.last_error }
            ),
        ));
    }
    (age > STALE_AFTER_INTERVALS * t.interval_s).then(|| {
        (
            Cause::TargetStale,
            format!(
                "{name} was last scraped {} ago, its interval is {}",
                seconds(age),
                seconds(t.interval_s)
            ),
        )
    })
}

impl Checker for TargetsUp {
    fn id(&self) -> String {
        "scraping.targets".into()
    }

    fn expected(&self) -> String {
        format!(
            "the targets of {} are up and fresh while the stack is healthy",
            count(self.targets.len() as u64, "job", "jobs")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let targets = match TARGETS.found(&timeline, (&id, &expected), Targets::of) {
            Ok(targets) => targets,
            Err(verdict) => return *verdict,
        };
        let mut wrong = targets.answered(&self.left_out);
        let mut fine = 0;
        for wanted in &self.targets {
            let of_job = targets.running_of_job(&wanted.job, &self.left_out);
            if (of_job.len() as u64) < wanted.count {
                wrong.push((
                    Cause::TargetNotInDiscovery,
                    format!(
                        "job {} has {}, {} wanted",
                        wanted.job,
                        count(of_job.len() as u64, "target", "targets"),
                        wanted.count
                    ),
                ));
            }
            let faults: Vec<_> = of_job.iter().filter_map(|t| fault_of(t)).collect();
            fine += (of_job.len() - faults.len()) as u64;
            wrong.extend(faults);
        }
        if let Some((cause, _)) = wrong.first() {
            let hint = match cause {
                Cause::LeftOutAnswers => ANSWERED_HINT,
                Cause::TargetNotInDiscovery => {
                    "is the job in the scrape configuration, and does its discovery find the service by the name that it has?"
                }
                Cause::TargetStale => {
                    "the scrape takes longer than its interval, or the server is overloaded: compare scrape duration and interval"
                }
                _ => {
                    "check host, port and path of the scrape configuration against what the service listens on"
                }
            };
            return Verdict::fail(id, expected, *cause, list(wrong.iter().map(|(_, w)| w), 5))
                .witnesses(targets.seqs)
                .hint(hint);
        }
        timeline.require_complete(
            Verdict::pass(
                id,
                expected,
                format!("all {fine} up and fresh{}", left_out::told(&self.absent)),
            )
            .evidence("targets up and fresh", fine)
            .witnesses(targets.seqs),
        )
    }
}

impl Checker for SeriesPresent {
    fn id(&self) -> String {
        "scraping.series".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} at least one series while the stack is healthy",
            count(self.selectors.len() as u64, "selector matches", "selectors match")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let last = match SERIES.found(&timeline, (&id, &expected), counted) {
            Ok(last) => last,
            Err(verdict) => return *verdict,
        };
        let (mut found, mut absent, mut unasked, mut seqs) =
            (0, Vec::new(), Vec::new(), Vec::new());
        for selector in &self.selectors {
            match last.get(selector.as_str()) {
                Some((0, seq)) => absent.push((selector, *seq)),
                Some((n, seq)) => {
                    found += n;
                    if !seqs.contains(seq) {
                        seqs.push(*seq);
                    }
                }
                None => unasked.push(selector),
            }
        }
        if !absent.is_empty() {
            return Verdict::fail(
                id,
                expected,
                Cause::SeriesAbsent,
                format!("no series matches {}", list(absent.iter().map(|(s, _)| format!("`{s}`")).collect::<Vec<_>>(), 5)),
            )
            .witnesses(absent.iter().map(|(_, s)| *s))
            .hint("was the metric renamed, or is its target not scraped? compare with what the target exposes");
        }
        if !unasked.is_empty() || self.selectors.is_empty() {
            return Verdict::unknown(
                id,
                expected,
                if unasked.is_empty() {
                    "no series is declared".into()
                } else {
                    format!("never counted: {}", list(&unasked, 5))
                },
            );
        }
        let (series, selectors) = (
            count(found, "series", "series"),
            count(self.selectors.len() as u64, "selector", "selectors"),
        );
        let reason = format!("{series} for {selectors}{}", left_out::told(&self.absent));
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("selectors that match", self.selectors.len() as u64)
                .witnesses(seqs),
        )
    }
}

impl Checker for MetricsEndpoints {
    fn id(&self) -> String {
        "scraping.metrics_endpoints".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} metrics that are scraped",
            count(self.services.len() as u64, "service exposes", "services expose")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let targets = match TARGETS.found(&timeline, (&id, &expected), Targets::of) {
            Ok(targets) => targets,
            Err(verdict) => return *verdict,
        };
        let mut wrong = targets.answered(&self.left_out);
        let mut fine = 0;
        for (service, job) in &self.services {
            let of_job = targets.running_of_job(job, &self.left_out);
            match of_job.iter().find(|t| t.up).or(of_job.first()) {
                None => wrong.push((
                    Cause::NoMetricsEndpoint,
                    format!("{service} (no target of job {job})"),
                )),
                Some(t) if !t.up && answers_without_metrics(&t.last_error) => wrong.push((
                    Cause::NoMetricsEndpoint,
                    format!("{service} ({}: {})", t.scrape_url, t.last_error),
                )),
                Some(t) if !t.up => wrong.push((
                    Cause::TargetNotScraped,
                    format!("{service} ({}: {})", t.scrape_url, t.last_error),
                )),
                Some(_) => fine += 1,
            }
        }
        let none: Vec<String> =
            self.without.iter().map(|(s, why)| format!("{s} ({why})")).collect();
        let declared = if none.is_empty() {
            String::new()
        } else {
            format!("; without metrics by declaration: {}", list(&none, 10))
        };
        if let Some((cause @ Cause::LeftOutAnswers, seen)) = wrong.first() {
            return Verdict::fail(id, expected, *cause, seen)
                .witnesses(targets.seqs)
                .hint(ANSWERED_HINT);
        }
        if let Some((cause, _)) = wrong.first() {
            return Verdict::fail(id, expected, *cause, format!("without metrics: {}{declared}", list(wrong.iter().map(|(_, w)| w), 5)))
                .witnesses(targets.seqs)
                .hint("a service whose metrics nobody scrapes can't raise an alert: give it an endpoint and a job, or declare that it has none, and why");
        }
        timeline.require_complete(
            Verdict::pass(
                id,
                expected,
                format!("all {fine} are scraped{declared}{}", left_out::told(&self.absent)),
            )
            .evidence("services with metrics", fine)
            .witnesses(targets.seqs),
        )
    }
}

/// Whether a scrape's error says that something answered that has no metrics there.
pub fn answers_without_metrics(error: &str) -> bool {
    let e = error.to_lowercase();
    [
        "404",
        "405",
        "410",
        "501",
        "content-type",
        "content type",
        "invalid metric",
        "expected a valid start token",
        "no token found",
    ]
    .iter()
    .any(|s| e.contains(s))
}
