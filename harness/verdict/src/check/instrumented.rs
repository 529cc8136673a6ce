//! Which services have metrics: every one of the topology, whether or not anybody thought of it.

use super::Checker;
use super::scraping::{TARGETS, Targets, answers_without_metrics};
use super::timeline::Timeline;
use super::wording::{count, list};
use crate::cause::Cause;
use crate::observation::metrics::Target;
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};

/// Every service that runs has metrics of its own that are scraped, or is declared as having none,
/// or none yet; those are named. Which services there are is told by the topology, not by a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServicesInstrumented {
    /// Names of all services that run, as the Compose file has them.
    pub services: Vec<String>,
    /// Pairs of a service and the job that scrapes it.
    pub scraped_by: Vec<(String, String)>,
    /// Services that have no metrics by declaration, with the reason stated there.
    pub without: Vec<(String, String)>,
    /// Services that are not instrumented yet by declaration, with the reason stated there.
    pub not_yet: Vec<(String, String)>,
}

/// What is known of the metrics of a service.
enum Metrics<'h> {
    Scraped,
    /// A job of the service scrapes what is another's.
    AnothersToo {
        target: &'h Target,
        other: String,
    },
    /// Something answers that has no metrics there, or nobody asks.
    Missing(String),
    /// Nothing answers.
    Down(String),
}

impl ServicesInstrumented {
    /// Whose metrics a target shows, by its job; else by the host that is scraped.
    fn is_of(&self, target: &Target, service: &str) -> bool {
        let jobs = || self.scraped_by.iter().filter(|(_, job)| *job == target.job);
        match jobs().next() {
            Some(_) => jobs().any(|(of, _)| of == service),
            None => target.is_at(service),
        }
    }

    fn metrics<'h>(&self, service: &str, targets: &[&'h Target]) -> Metrics<'h> {
        // An exporter that is scraped for another service is scraped itself as well.
        let own: Vec<&'h Target> = targets
            .iter()
            .copied()
            .filter(|t| self.is_of(t, service) || (t.up && t.is_at(service)))
            .collect();
        let Some(up) = own.iter().copied().find(|t| t.up) else {
            return match own.first() {
                None => Metrics::Missing(format!("{service} (nobody scrapes it)")),
                Some(t) => {
                    let seen = format!("{service} ({}: {})", t.scrape_url, t.last_error);
                    match answers_without_metrics(&t.last_error) {
                        true => Metrics::Missing(seen),
                        false => Metrics::Down(seen),
                    }
                }
            };
        };
        let another = |t: &Target| {
            let elsewhere = targets
                .iter()
                .find(|other| other.job != t.job && other.scrape_url == t.scrape_url && other.up)?;
            self.services.iter().find(|name| *name != service && elsewhere.is_at(name)).cloned()
        };
        let alone = own.iter().any(|t| t.up && another(t).is_none());
        match another(up).filter(|_| !alone) {
            Some(other) => Metrics::AnothersToo { target: up, other },
            None => Metrics::Scraped,
        }
    }
}

impl Checker for ServicesInstrumented {
    fn id(&self) -> String {
        "scraping.instrumentation".into()
    }

    fn expected(&self) -> String {
        format!(
            "each of {} has metrics of its own that are scraped, or is declared as having none",
            count(self.services.len() as u64, "service", "services")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let targets = match TARGETS.found(&timeline, (&id, &expected), Targets::of) {
            Ok(targets) => targets,
            Err(verdict) => return *verdict,
        };
        let stated = |all: &[(String, String)], service: &str| {
            all.iter().find(|(s, _)| s == service).map(|(s, why)| format!("{s} ({why})"))
        };
        let (mut fine, mut wrong, mut none, mut not_yet, mut by_now) =
            (0, Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for service in &self.services {
            let expected_later = stated(&self.not_yet, service);
            match (self.metrics(service, &targets.all), expected_later) {
                (Metrics::AnothersToo { target, other }, _) => wrong.push((
                    Cause::TargetOfAnother,
                    format!(
                        "{service} (job {} scrapes {}, which is {other}'s)",
                        target.job, target.scrape_url
                    ),
                )),
                (Metrics::Scraped, later) => {
                    fine += 1;
                    by_now.extend(later.map(|_| service.clone()));
                }
                (Metrics::Missing(_), Some(later)) => not_yet.push(later),
                (Metrics::Missing(seen), None) => match stated(&self.without, service) {
                    Some(stated) => none.push(stated),
                    None => wrong.push((Cause::NoMetricsEndpoint, seen)),
                },
                (Metrics::Down(seen), _) => wrong.push((Cause::TargetNotScraped, seen)),
            }
        }
        if let Some((cause, _)) = wrong.first() {
            let hint = match cause {
                Cause::TargetOfAnother => {
                    "correct the address in the scrape configuration: whoever is counted twice hides who is not counted"
                }
                Cause::TargetNotScraped => {
                    "does the service run, and listen on the port that is scraped?"
                }
                _ => {
                    "give the service a page of metrics and a job, or declare in firedrill.yaml that it is `not_instrumented` yet (at its target), or has no metrics at all (`without_metrics`), and why"
                }
            };
            return Verdict::fail(id, expected, *cause, list(wrong.iter().map(|(_, w)| w), 20))
                .witnesses(targets.seqs)
                .hint(hint);
        }
        let named = |what: &str, all: &[String]| match all {
            [] => String::new(),
            all => format!("; {what}: {}", list(all, 20)),
        };
        let reason = format!(
            "{} metrics of their own{}{}{}",
            count(fine, "service has", "services have"),
            named("not yet instrumented, by declaration", &not_yet),
            named("instrumented by now, remove `not_instrumented`", &by_now),
            named("without metrics by declaration", &none),
        );
        timeline.require_complete(
            Verdict::pass(id, expected, reason)
                .evidence("services with metrics", fine)
                .witnesses(targets.seqs),
        )
    }
}
