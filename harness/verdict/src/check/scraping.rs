//! Targets are up and fresh, expected series exist, the configuration in force is the one on disk.

use super::Checker;
use super::timeline::{Timeline, unreachable_backend};
use super::wording::{count, list, seconds};
use crate::cause::Cause;
use crate::left_out::{self, ANSWERED_HINT, Absent, AbsentService};
use crate::observation::Fact;
use crate::observation::asked::Asked;
use crate::observation::host::MountedFile;
use crate::observation::metrics::{Reload, Rule, Target};
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// The metrics server and the alert manager run with the configuration they were last given, and
/// every rule group evaluates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationLoaded {
    /// Services that must say that their last reload was accepted.
    pub servers: Vec<String>,
    /// Names of the alerts whose rules must be loaded.
    pub alerts: Vec<String>,
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

pub(super) fn is_targets(f: &Fact) -> bool {
    matches!(f, Fact::Targets { .. })
}

pub(super) fn asks_targets(question: &Asked) -> bool {
    *question == Asked::Targets
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
        if let Some(s) = timeline.unreachable_source(is_targets, asks_targets) {
            return unreachable_backend(id, expected, &s);
        }
        let Some(targets) = Targets::of(&timeline) else {
            return timeline.unanswered(id, expected, "targets", is_targets, asks_targets);
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
        let is_count = |f: &Fact| matches!(f, Fact::SeriesCount { .. });
        let asks = |q: &Asked| matches!(q, Asked::SeriesCounts { .. } | Asked::SeriesCount { .. });
        if let Some(s) = timeline.unreachable_source(is_count, asks) {
            return unreachable_backend(id, expected, &s);
        }
        let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            if let Fact::SeriesCount { counts } = &o.fact {
                last.extend(counts.iter().map(|c| (c.selector.as_str(), (c.count, e.seq))));
            }
        }
        if last.is_empty() {
            return timeline.unanswered(id, expected, "series", is_count, asks);
        }
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
        if let Some(s) = timeline.unreachable_source(is_targets, asks_targets) {
            return unreachable_backend(id, expected, &s);
        }
        let Some(targets) = Targets::of(&timeline) else {
            return timeline.unanswered(id, expected, "targets", is_targets, asks_targets);
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

/// Alerting rules that no label tells apart: group, name.
fn duplicated(rules: &[(&str, &Rule)]) -> Vec<String> {
    type Identity<'a> = (&'a str, Vec<(&'a String, &'a String)>);
    let mut by_identity: BTreeMap<Identity<'_>, Vec<&str>> = BTreeMap::new();
    for (group, rule) in rules.iter().filter(|(_, r)| r.alerting) {
        by_identity.entry((&rule.name, rule.labels.iter().collect())).or_default().push(group);
    }
    let twice = by_identity.into_iter().filter(|(_, groups)| groups.len() > 1);
    twice.map(|((name, _), groups)| format!("{name} in {}", list(&groups, 5))).collect()
}

impl ConfigurationLoaded {
    /// A file of one of the servers that was replaced under its mount, as last seen: the event, and
    /// what is wrong.
    fn replaced(&self, history: &History) -> Option<(u64, String)> {
        let mut last: BTreeMap<&str, (u64, &Vec<MountedFile>)> = BTreeMap::new();
        for (e, o) in history.observations() {
            if let Fact::MountedFiles { files } = &o.fact
                && self.servers.contains(&o.source)
            {
                last.insert(&o.source, (e.seq, files));
            }
        }
        last.into_iter().find_map(|(server, (seq, files))| {
            let file = files.iter().find(|f| f.replaced)?;
            Some((
                seq,
                format!(
                    "{server} still reads the old {}: the file was replaced under its mount, and a reload reads the old one again",
                    file.inside
                ),
            ))
        })
    }

    /// The last reload status of each server while the stack was healthy, and the last of all.
    fn reloads<'h>(&self, timeline: &Timeline<'h>) -> BTreeMap<&'h str, Vec<(u64, &'h Reload)>> {
        let mut found: BTreeMap<&str, Vec<(u64, &Reload)>> = BTreeMap::new();
        let mut all: Vec<_> = timeline.history.observations().collect();
        all.sort_by_key(|(_, o)| o.answered.mono_us);
        for facts in [timeline.healthy_facts(), all] {
            let mut last: BTreeMap<&str, (u64, &Reload)> = BTreeMap::new();
            for (e, o) in facts {
                if let Fact::Reload(r) = &o.fact {
                    last.insert(&o.source, (e.seq, r));
                }
            }
            for (source, reload) in last {
                found.entry(source).or_default().push(reload);
            }
        }
        found
    }
}

impl Checker for ConfigurationLoaded {
    fn id(&self) -> String {
        "scraping.configuration".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} with the configuration last given, {} loaded, and every rule evaluates",
            list(&self.servers, 5) + " run",
            count(self.alerts.len() as u64, "alert is", "alerts are")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let reloads = self.reloads(&timeline);
        let mut seqs = Vec::new();
        let mut unasked = Vec::new();
        for server in &self.servers {
            let Some(of_server) = reloads.get(server.as_str()) else {
                unasked.push(format!("the reload status of {server}"));
                continue;
            };
            if let Some((seq, r)) = of_server.iter().find(|(_, r)| !r.successful) {
                return Verdict::fail(id, expected, Cause::ReloadRejected, format!("{server} refused its last configuration and runs on an older one: {}", r.seen))
                    .witnesses([*seq])
                    .hint(format!("check the files of {server} with its own checking tool, correct them, and reload; until then every edit since is without effect"));
            }
            seqs.extend(of_server.first().map(|(s, _)| *s));
        }
        if let Some((seq, seen)) = self.replaced(history) {
            return Verdict::fail(id, expected, Cause::FileReplacedUnderMount, seen).witnesses([seq]).hint(
                "mount the folder instead of the file, or write the file in place; until then recreate the container after each edit",
            );
        }
        let is_rules = |f: &Fact| matches!(f, Fact::Rules { .. } | Fact::Reload(_));
        let asks = |q: &Asked| {
            matches!(
                q,
                Asked::Rules | Asked::Evaluations | Asked::RuleInputs { .. } | Asked::Reload
            )
        };
        if let Some(s) = timeline.unreachable_source(is_rules, asks) {
            return unreachable_backend(id, expected, &s);
        }
        // By server: the event, and each rule with the name of its group.
        type Loaded<'h> = (u64, Vec<(&'h str, &'h Rule)>);
        let mut rules: BTreeMap<&str, Loaded<'_>> = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            if let Fact::Rules { groups } = &o.fact {
                rules.insert(
                    &o.source,
                    (
                        e.seq,
                        groups
                            .iter()
                            .flat_map(|g| g.rules.iter().map(|r| (g.name.as_str(), r)))
                            .collect(),
                    ),
                );
            }
        }
        seqs.extend(rules.values().map(|(s, _)| *s));
        let all: Vec<(&str, &Rule)> = rules.values().flat_map(|(_, r)| r.iter().copied()).collect();
        if rules.is_empty() && !self.alerts.is_empty() {
            unasked.push("the rules".into());
        } else {
            let missing: Vec<&String> = self
                .alerts
                .iter()
                .filter(|a| !all.iter().any(|(_, r)| r.alerting && r.name == **a))
                .collect();
            if !missing.is_empty() {
                return Verdict::fail(
                    id,
                    expected,
                    Cause::RuleNotLoaded,
                    format!("{} not loaded, of {} rules that are", list(&missing, 8), all.len()),
                )
                .witnesses(seqs)
                .hint("is the rule's file listed under the server's rule files, and was the server reloaded since it was written?");
            }
        }
        let failing: Vec<String> = all
            .iter()
            .filter(|(_, r)| r.health == "err" || !r.last_error.is_empty())
            .map(|(g, r)| format!("{} of group {g}: {}", r.name, r.last_error))
            .collect();
        if !failing.is_empty() {
            return Verdict::fail(id, expected, Cause::RuleFailing, list(&failing, 5))
                .witnesses(seqs)
                .hint("run the expression by hand: many-to-many matches and duplicate series are the usual reasons");
        }
        let twice: Vec<String> = rules.values().flat_map(|(_, r)| duplicated(r)).collect();
        if !twice.is_empty() {
            let seen = format!("rules with the same name and labels: {}", list(&twice, 5));
            return Verdict::fail(id, expected, Cause::RuleDuplicated, seen)
                .witnesses(seqs)
                .hint("give each rule labels of its own, such as a severity: the alert manager can't tell their alerts apart, and the end of one ends the other");
        }
        let unevaluated: Vec<&str> =
            all.iter().filter(|(_, r)| r.health != "ok").map(|(_, r)| r.name.as_str()).collect();
        if !unevaluated.is_empty() {
            unasked.push(format!("an evaluation of {}", list(&unevaluated, 5)));
        }
        if !unasked.is_empty() {
            return Verdict::unknown(
                id,
                expected,
                format!("not seen while the stack was healthy: {}", list(&unasked, 5)),
            )
            .witnesses(seqs);
        }
        let reason = format!(
            "{} up to date, {} evaluate",
            list(&self.servers, 5),
            count(all.len() as u64, "rule", "rules")
        );
        let verdict = Verdict::pass(id, expected, reason)
            .evidence("servers with their last configuration", self.servers.len() as u64)
            .evidence("rules that evaluate", all.len() as u64);
        timeline.require_complete(verdict.witnesses(seqs))
    }
}
