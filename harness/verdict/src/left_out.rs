//! What is left out of a run, and how it shows: a service whose image can't be had has targets,
//! endpoints and data sources that are expected absent, by name.

use crate::check::wording::list;
use crate::history::alert::AlertEvent;
use crate::history::{EventKind, History};
use crate::observation::Fact;
use crate::observation::metrics::{Samples, Target};
use crate::scrapes::STEADY_SCRAPES;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A service that is left out, by the names under which it would be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentService {
    /// Name of the service, as the Compose file has it.
    pub service: String,
    /// Jobs of the scrape configuration that scrape nothing else.
    #[serde(default)]
    pub jobs: Vec<String>,
    /// Host names by which it would be reached inside the stack.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// Something that is expected absent, because its service is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Absent {
    /// Name of the service that is left out.
    pub service: String,
    /// Name of the endpoint, job, selector or data source.
    pub name: String,
    /// Least number of them that would be seen if the service ran.
    #[serde(default = "one")]
    pub count: u64,
}

fn one() -> u64 {
    1
}

impl Absent {
    /// One thing that is absent because of this service.
    pub fn new(service: impl Into<String>, name: impl Into<String>) -> Absent {
        Absent { service: service.into(), name: name.into(), count: 1 }
    }
}

/// Host of `host:port`, or of a URL.
pub(crate) fn host_of(address: &str) -> &str {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split(['/', '?']).next().unwrap_or(address);
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

impl AbsentService {
    /// Whether a target is one of the service's.
    pub fn is_target(&self, target: &Target) -> bool {
        self.jobs.contains(&target.job) || self.hosts.iter().any(|host| target.is_at(host))
    }

    /// Whether labels of a series or an alert say that it is about one of the service's targets.
    pub fn names(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get("job").is_some_and(|job| self.jobs.contains(job))
            || labels.get("instance").is_some_and(|i| self.is_host(i))
    }

    /// Whether an address, `host:port` or a URL, is the service's.
    pub fn is_host(&self, address: &str) -> bool {
        let host = host_of(address);
        self.hosts.iter().any(|h| h == host)
    }
}

/// The service that a target belongs to, if that is left out.
pub fn owner<'l>(left_out: &'l [AbsentService], target: &Target) -> Option<&'l AbsentService> {
    left_out.iter().find(|l| l.is_target(target))
}

/// Whether labels are about a service that is left out.
pub fn named(left_out: &[AbsentService], labels: &BTreeMap<String, String>) -> bool {
    left_out.iter().any(|l| l.names(labels))
}

/// What else answers for services that are left out: each target of theirs that is up.
pub(crate) fn answered(left_out: &[AbsentService], targets: &[&Target]) -> Vec<String> {
    let up = targets.iter().filter(|t| t.up).filter_map(|t| Some((owner(left_out, t)?, t)));
    up.map(|(l, t)| {
        format!(
            "{} is left out, and something else answers for it: {} ({}) is up",
            l.service, t.job, t.scrape_url
        )
    })
    .collect()
}

/// What to do where something else answers for a service that is left out.
pub(crate) const ANSWERED_HINT: &str = "correct the address that is scraped; if an exporter answers for the service, state it as `from` of the target in firedrill.yaml";

/// `; left out: a (b), c`, by service; empty if nothing is.
pub(crate) fn told(absent: &[Absent]) -> String {
    if absent.is_empty() {
        return String::new();
    }
    let one = |a: &Absent| {
        if a.name == a.service { a.name.clone() } else { format!("{} (of {})", a.name, a.service) }
    };
    format!("; left out: {}", list(absent.iter().map(one), 5))
}

/// The history without what is said about targets of services that are left out: an alert that is
/// active because of them says nothing about the stack. Targets themselves stay: that they are
/// absent is judged.
pub fn without<'h>(history: &'h History, left_out: &[AbsentService]) -> Cow<'h, History> {
    if !history.events.iter().any(|event| speaks_of(&event.kind, left_out)) {
        return Cow::Borrowed(history);
    }
    let mut seen = history.clone();
    for event in &mut seen.events {
        match &mut event.kind {
            EventKind::Observation(o) => match &mut o.fact {
                Fact::Samples(samples) if samples.name != STEADY_SCRAPES => {
                    retain(samples, left_out)
                }
                Fact::ManagedAlerts { alerts } => alerts.retain(|a| !named(left_out, &a.labels)),
                Fact::ManagerEvents { events, .. } => {
                    for event in events.iter_mut() {
                        event.alerts.retain(|a| !named(left_out, &a.labels));
                    }
                    events.retain(|event| !event.alerts.is_empty());
                }
                _ => {}
            },
            EventKind::Alert(AlertEvent::Notification(n)) => {
                n.alerts.retain(|a| !named(left_out, &a.labels))
            }
            _ => {}
        }
    }
    Cow::Owned(seen)
}

/// Whether an event says something that would be taken out. How long scrapes took is judged
/// nowhere.
fn speaks_of(kind: &EventKind, left_out: &[AbsentService]) -> bool {
    match kind {
        EventKind::Observation(o) => match &o.fact {
            Fact::Samples(samples) => {
                samples.name != STEADY_SCRAPES
                    && samples.series.iter().any(|s| named(left_out, &s.labels))
            }
            Fact::ManagedAlerts { alerts } => alerts.iter().any(|a| named(left_out, &a.labels)),
            Fact::ManagerEvents { events, .. } => {
                events.iter().flat_map(|e| &e.alerts).any(|a| named(left_out, &a.labels))
            }
            _ => false,
        },
        EventKind::Alert(AlertEvent::Notification(n)) => {
            n.alerts.iter().any(|a| named(left_out, &a.labels))
        }
        _ => false,
    }
}

/// Leaves out the series that are about services that are left out.
pub fn retain(samples: &mut Samples, left_out: &[AbsentService]) {
    samples.series.retain(|s| !named(left_out, &s.labels));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::metrics::Series;

    fn boards() -> Vec<AbsentService> {
        vec![AbsentService {
            service: "boards".into(),
            jobs: vec!["panels".into()],
            hosts: vec!["boards".into(), "boards.lan".into()],
        }]
    }

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_service_is_named_by_its_job_and_by_its_hosts_and_by_nothing_else() {
        let left_out = boards();
        for about in [
            &[("job", "panels")][..],
            &[("instance", "boards:3000")],
            &[("instance", "boards.lan:80"), ("job", "web")],
        ] {
            assert!(named(&left_out, &labels(about)), "{about:?}");
        }
        for other in [
            &[("job", "panels2")][..],
            &[("instance", "dashboards:3000")],
            &[("service", "boards")],
            &[("instance", "boards2:1")],
            &[],
        ] {
            assert!(!named(&left_out, &labels(other)), "{other:?}");
        }
        assert!(!named(&[], &labels(&[("job", "panels")])));
    }

    #[test]
    fn addresses_are_compared_by_host() {
        for (address, host) in [
            ("http://a:1/metrics", "a"),
            ("a:1", "a"),
            ("a", "a"),
            ("https://a.b:9/x?target=c:1", "a.b"),
        ] {
            assert_eq!(host_of(address), host, "{address}");
        }
    }

    #[test]
    fn only_series_about_what_is_left_out_are_left_out() {
        let series =
            |of: &[(&str, &str)]| Series { labels: labels(of), points: vec![(1.0, Some(1.0))] };
        let all = vec![
            series(&[("alertname", "Down"), ("job", "panels")]),
            series(&[("alertname", "Down"), ("job", "web")]),
        ];
        let mut samples = Samples {
            name: "alerts".into(),
            expr: "ALERTS".into(),
            start_s: 0.0,
            end_s: 1.0,
            step_s: 1.0,
            series: all,
        };
        retain(&mut samples, &boards());
        assert_eq!(
            samples.series.iter().map(|s| s.labels["job"].as_str()).collect::<Vec<_>>(),
            ["web"]
        );
        retain(&mut samples, &[]);
        assert_eq!(samples.series.len(), 1);
    }
}
