//! Durations that servers take from their command line or environment, and those that can't be
//! changed at all.

use std::time::Duration;

use super::{Flag, Reason, Work};
use crate::monitoring::{
    AlertmanagerServer, ElasticsearchServer, ProberServer, PrometheusServer, duration,
};

const SECOND: Duration = Duration::from_secs(1);

/// Flags of Prometheus that detection waits by, with their defaults.
const PROMETHEUS: [(&str, Duration); 4] = [
    ("query.lookback-delta", Duration::from_secs(300)),
    ("rules.alert.resend-delay", Duration::from_secs(60)),
    ("rules.alert.for-grace-period", Duration::from_secs(600)),
    ("rules.alert.for-outage-tolerance", Duration::from_secs(3600)),
];

/// Flags of Alertmanager that detection waits by.
const ALERTMANAGER: [(&str, Duration); 1] = [("cluster.peer-timeout", Duration::from_secs(15))];

/// Settings of Elasticsearch: name, default, and the least that it accepts.
const ELASTICSEARCH: [(&str, Duration, Duration); 4] = [
    ("cluster.fault_detection.leader_check.interval", SECOND, Duration::from_millis(100)),
    (
        "cluster.fault_detection.leader_check.timeout",
        Duration::from_secs(10),
        Duration::from_millis(1),
    ),
    ("cluster.fault_detection.follower_check.interval", SECOND, Duration::from_millis(100)),
    (
        "cluster.fault_detection.follower_check.timeout",
        Duration::from_secs(10),
        Duration::from_millis(1),
    ),
];

impl Work<'_> {
    fn flag(
        &mut self,
        service: &str,
        flags: &mut std::collections::BTreeMap<String, String>,
        name: &str,
        default: Duration,
    ) {
        let from = match flags
            .get(name)
            .map(|text| duration::parse(text).or_else(|_| duration::parse_go(text)))
        {
            None => default,
            Some(Ok(from)) => from,
            Some(Err(why)) => {
                self.reasons.push(Reason {
                    subject: format!("{service} --{name}"),
                    place: None,
                    seen: flags.get(name).cloned().unwrap_or_default(),
                    why,
                    hint: "write the duration out".into(),
                    largest_n: 1.0,
                });
                return;
            }
        };
        let to = duration::format(self.divided(from, &format!("{service} --{name}"), None));
        flags.insert(name.to_owned(), to.clone());
        self.flags.push(Flag { service: service.to_owned(), name: name.to_owned(), value: to });
    }

    fn list_flags(
        &mut self,
        service: &str,
        flags: &std::collections::BTreeMap<String, String>,
        scaled: &[&str],
        why: &str,
    ) {
        for (name, value) in flags {
            if !scaled.contains(&name.as_str())
                && duration::parse(value).or_else(|_| duration::parse_go(value)).is_ok()
                && value.len() > 1
            {
                self.left(format!("{service} --{name}"), value.as_str(), why, None);
            }
        }
    }

    pub(super) fn prometheus_flags(&mut self, server: &mut PrometheusServer) {
        for (name, default) in PROMETHEUS {
            self.flag(&server.service, &mut server.flags, name, default);
        }
        let scaled: Vec<_> = PROMETHEUS.iter().map(|(name, _)| *name).collect();
        self.list_flags(
            &server.service,
            &server.flags,
            &scaled,
            "it is not among the durations by which detection waits",
        );
        self.left(
            format!("{}: how long resolved alerts are kept", server.service),
            "15m",
            "it is fixed in Prometheus",
            None,
        );
    }

    pub(super) fn alertmanager_flags(&mut self, server: &mut AlertmanagerServer) {
        for (name, default) in ALERTMANAGER {
            self.flag(&server.service, &mut server.flags, name, default);
        }
        let scaled: Vec<_> = ALERTMANAGER.iter().map(|(name, _)| *name).collect();
        self.list_flags(
            &server.service,
            &server.flags,
            &scaled,
            "gossip and probes between peers stay as they are, or the cluster would flap",
        );
        for (name, value) in [
            ("cluster.gossip-interval", "200ms"),
            ("cluster.probe-interval", "1s"),
            ("cluster.pushpull-interval", "1m"),
        ] {
            if !server.flags.contains_key(name) {
                let why =
                    "gossip and probes between peers stay as they are, or the cluster would flap";
                self.left(format!("{} --{name}", server.service), value, why, None);
            }
        }
        let why = "it is fixed in Alertmanager";
        self.left(
            format!("{}: least time-out of a notification", server.service),
            "10s",
            why,
            None,
        );
        self.left(
            format!("{}: interval of the maintenance of groups", server.service),
            "30s",
            why,
            None,
        );
    }

    /// A blackbox exporter ends a probe half a second before the scrape's time-out, which at a
    /// scale of 20 is the whole of the usual 10 s: every probe would fail on a healthy stack.
    pub(super) fn prober(&mut self, server: &mut ProberServer) {
        let name = "timeout-offset";
        let written = server.flags.get(name);
        let Some(seconds) = written
            .map_or(Some(0.5), |text| text.parse::<f64>().ok())
            .filter(|seconds| seconds.is_finite())
        else {
            self.left(
                format!("{} --{name}", server.service),
                written.cloned().unwrap_or_default(),
                "it is no number of seconds",
                None,
            );
            return;
        };
        let value = format!("{}", (seconds / self.scale.n * 1e6).round() / 1e6);
        server.flags.insert(name.to_owned(), value.clone());
        self.flags.push(Flag { service: server.service.clone(), name: name.to_owned(), value });
    }

    pub(super) fn elasticsearch(&mut self, server: &mut ElasticsearchServer) {
        if server.settings.get("discovery.type").is_some_and(|kind| kind == "single-node") {
            return;
        }
        let mut wanted: Vec<(String, Duration, Duration)> = ELASTICSEARCH
            .iter()
            .map(|(name, default, least)| ((*name).to_owned(), *default, *least))
            .collect();
        for name in server.settings.keys() {
            let is_wait = name.starts_with("discovery.")
                && (name.ends_with("timeout") || name.ends_with("interval"));
            if is_wait {
                wanted.push((name.clone(), SECOND, Duration::from_millis(1)));
            }
        }
        for (name, default, least) in wanted {
            let what = format!("{}: {name}", server.service);
            let from = match server.settings.get(&name).map(|text| duration::parse_go(text)) {
                None => default,
                Some(Ok(from)) => from,
                Some(Err(why)) => {
                    let seen = server.settings.get(&name).cloned().unwrap_or_default();
                    self.left(what, seen, why, None);
                    continue;
                }
            };
            let mut to = self.divided(from, &what, None);
            if to < least && from >= least {
                let exact = from.as_secs_f64() * 1000.0 / self.scale.n;
                self.rounded(&what, exact, least, "Elasticsearch accepts no less");
                to = least;
            }
            // Elasticsearch reads one number with one unit.
            let value = format!("{}ms", to.as_millis());
            server.settings.insert(name.clone(), value.clone());
            self.flags.push(Flag { service: server.service.clone(), name, value });
        }
    }
}
