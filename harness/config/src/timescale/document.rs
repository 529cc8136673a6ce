//! Durations that stand in configuration files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Reason, Work};
use crate::monitoring::alertmanager::{
    DEFAULT_GROUP_INTERVAL, DEFAULT_GROUP_WAIT, DEFAULT_REPEAT_INTERVAL, DEFAULT_RESOLVE_TIMEOUT,
};
use crate::monitoring::prometheus::DEFAULT_INTERVAL;
use crate::monitoring::{
    Alertmanager, AlertmanagerServer, Collector, CollectorServer, MonitoringConfig, Prometheus,
    PrometheusServer, ShipperServer, duration,
};
use crate::yaml::{ConfigError, Document, Node, Place, Value};

/// Where Go's notation is read, which allows fractions.
#[derive(Clone, Copy, PartialEq)]
enum Notation {
    Prometheus,
    Go,
}

/// The least that a duration is divided down to.
#[derive(Clone, Copy)]
struct Bound {
    least: Duration,
    why: &'static str,
}

/// Spans reach a collector when their senders hand them on, which is at their own pace: a decision
/// before that sees half a trace.
const DECISION: Bound = Bound {
    least: Duration::from_secs(2),
    why: "senders hand on their spans every second or so, whatever the time scale",
};
/// Batches and looks at files cost processor time each.
const POLL: Bound = Bound {
    least: Duration::from_millis(50),
    why: "more often costs more than the delay is worth",
};

/// Keys of a shipper by which a line waits, with what Filebeat takes where a `filestream` input
/// says nothing.
const SHIPPER: [(&str, Option<u64>); 6] = [
    ("prospector.scanner.check_interval", Some(10)),
    ("backoff.init", Some(2)),
    ("backoff.max", Some(10)),
    ("scan_frequency", None),
    ("max_backoff", None),
    ("queue.mem.flush.timeout", None),
];

/// Scales keys of one document and remembers which, so that the rest can be listed.
struct Pass<'w, 'a> {
    work: &'w mut Work<'a>,
    doc_name: std::path::PathBuf,
    done: BTreeSet<String>,
}

impl Pass<'_, '_> {
    /// Divides the duration under `key` of a map, or writes the divided default if it is missing.
    fn scale(
        &mut self,
        map: &mut Node,
        path: &str,
        key: &str,
        default: Option<Duration>,
        notation: Notation,
    ) {
        self.scale_down_to(map, path, key, default, notation, None);
    }

    /// The same, down to a bound below which it would do harm.
    fn scale_down_to(
        &mut self,
        map: &mut Node,
        path: &str,
        key: &str,
        default: Option<Duration>,
        notation: Notation,
        least: Option<Bound>,
    ) {
        let full = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        self.done.insert(full.clone());
        let written = map
            .get_non_null(key)
            .and_then(|node| Some((node.text()?.to_owned(), node.line_where_used)));
        let (from, line) = match (&written, default) {
            (Some((text, line)), _) => {
                let read = if notation == Notation::Go {
                    duration::parse_go(text)
                } else {
                    duration::parse(text)
                };
                match read {
                    Ok(from) => (from, *line),
                    Err(problem) => {
                        let place = Place::new(&self.doc_name, *line, full.clone());
                        let hint = "write the duration out".to_owned();
                        self.work.reasons.push(Reason {
                            subject: full,
                            place: Some(place),
                            seen: text.clone(),
                            why: problem,
                            hint,
                            largest_n: 1.0,
                        });
                        return;
                    }
                }
            }
            (None, Some(default)) => (default, 0),
            (None, None) => return,
        };
        let place = Place::new(&self.doc_name, line, full.clone());
        let to = match least.map(|bound| Bound { least: bound.least.min(from), ..bound }) {
            Some(Bound { least, why })
                if from.as_secs_f64() / self.work.scale.n < least.as_secs_f64() =>
            {
                self.work.rounded(
                    &place.to_string(),
                    from.as_secs_f64() * 1000.0 / self.work.scale.n,
                    least,
                    why,
                );
                least
            }
            _ => self.work.divided(from, &place.to_string(), Some(&place)),
        };
        map.set(key, Node::plain(duration::format(to)));
    }

    /// Lists every other duration of the document, so that none is passed over in silence.
    fn list_rest(&mut self, doc: &Document, why: &dyn Fn(&str) -> String) {
        self.list(&doc.root, "", why);
    }

    fn list(&mut self, node: &Node, path: &str, why: &dyn Fn(&str) -> String) {
        for (key, child) in node.entries() {
            let key = &key.name;
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            if NO_SETTINGS.contains(&key.as_str()) || self.done.contains(&full) {
                continue;
            }
            if let Some(text) = child.text()
                && speaks_of_time(key)
                && (duration::parse(text).is_ok() || duration::parse_go(text).is_ok())
                && text.ends_with(|c: char| c.is_ascii_alphabetic())
            {
                let place = Place::new(&self.doc_name, child.line_where_used, full.clone());
                let why = why(&full);
                self.work.left(full.clone(), text, why, Some(place));
            }
            self.list(child, &full, why);
        }
        for (index, child) in node.items().iter().enumerate() {
            self.list(child, &format!("{path}[{index}]"), why);
        }
    }
}

/// Keys below which nothing is a setting of the server.
const NO_SETTINGS: [&str; 9] = [
    "labels",
    "annotations",
    "external_labels",
    "params",
    "static_configs",
    "relabel_configs",
    "metric_relabel_configs",
    "alert_relabel_configs",
    "details",
];

fn speaks_of_time(key: &str) -> bool {
    let words = [
        "interval",
        "timeout",
        "duration",
        "deadline",
        "backoff",
        "period",
        "wait",
        "delay",
        "window",
        "age",
        "ttl",
        "retention",
        "offset",
        "lifetime",
        "lookback",
        "elapsed",
        "expire",
        "retry",
        "time",
    ];
    words.iter().any(|word| key.contains(word))
}

/// A rewritten document that can't be read again is a defect of the rewriting, and is said to be.
fn reread<T>(work: &mut Work<'_>, read: Result<T, ConfigError>, view: &mut T) {
    match read {
        Ok(new) => *view = new,
        Err(error) => {
            let hint = "this is a defect of firedrill: use time scale 1 and report it".to_owned();
            work.reasons.push(Reason {
                subject: error.place.key.clone(),
                place: Some(error.place.clone()),
                seen: String::new(),
                why: format!("after scaling it no longer reads: {}", error.problem),
                hint,
                largest_n: 1.0,
            });
        }
    }
}

/// Whether scrapes that take so long fit into half of a N-th of a timeout.
fn fits(p99: Duration, timeout: Duration, n: f64) -> bool {
    p99.as_secs_f64() <= timeout.as_secs_f64() / n / 2.0
}

/// Whether scrapes that take so long (99th percentile, by job) fit into half of their timeouts at
/// time scale `n`.
pub fn scrapes_fit(written: &MonitoringConfig, n: f64, p99: &BTreeMap<String, Duration>) -> bool {
    let jobs = written.prometheus.iter().flat_map(|server| &server.config.view.jobs);
    jobs.filter_map(|job| Some((job.timeout, p99.get(&job.name)?)))
        .all(|(timeout, p99)| fits(*p99, timeout, n))
}

impl Work<'_> {
    /// Refuses a scale at which scrapes don't fit into half their timeout.
    pub(super) fn measured(&mut self, server: &PrometheusServer) {
        for job in &server.config.view.jobs {
            let Some(p99) = self.scale.scrape_p99.get(&job.name) else { continue };
            let half = job.timeout.as_secs_f64() / self.scale.n / 2.0;
            if !fits(*p99, job.timeout, self.scale.n) {
                let largest = (job.timeout.as_secs_f64() / 2.0 / p99.as_secs_f64())
                    .floor()
                    .min((self.scale.n - 1.0).floor());
                self.reasons.push(Reason {
                    subject: format!("job `{}`", job.name),
                    place: Some(job.place.clone()),
                    seen: String::new(),
                    why: format!(
                        "its scrapes take {:.0} ms (99th percentile, measured), more than half of the scaled timeout of {:.0} ms",
                        p99.as_secs_f64() * 1000.0,
                        half * 2000.0
                    ),
                    hint: "use a smaller time scale, or make its metrics cheaper".into(),
                    largest_n: largest.max(1.0),
                });
            }
        }
    }

    /// Scales the configuration file of a Prometheus server.
    pub(super) fn prometheus(&mut self, server: &mut PrometheusServer) {
        let timeout = server.config.view.global.scrape_timeout;
        let doc = &mut server.config.doc;
        let original = doc.clone();
        let mut pass = Pass { doc_name: doc.file.clone(), done: BTreeSet::new(), work: self };
        if let Some(global) = doc.root.map_at("global") {
            let notation = Notation::Prometheus;
            // A zero means the default, too.
            for key in ["scrape_interval", "scrape_timeout", "evaluation_interval"] {
                if global
                    .get_non_null(key)
                    .and_then(Node::text)
                    .is_some_and(|text| duration::parse(text) == Ok(Duration::ZERO))
                {
                    global.set(key, Node::plain("null"));
                }
            }
            pass.scale(global, "global", "scrape_interval", Some(DEFAULT_INTERVAL), notation);
            pass.scale(global, "global", "scrape_timeout", Some(timeout), notation);
            pass.scale(global, "global", "evaluation_interval", Some(DEFAULT_INTERVAL), notation);
            pass.scale(global, "global", "rule_query_offset", None, notation);
        }
        if let Some(jobs) = doc.root.get_non_null_mut("scrape_configs") {
            for (index, job) in jobs.items_mut().iter_mut().enumerate() {
                let path = format!("scrape_configs[{index}]");
                pass.scale(job, &path, "scrape_interval", None, Notation::Prometheus);
                pass.scale(job, &path, "scrape_timeout", None, Notation::Prometheus);
            }
        }
        pass.list_rest(&original, &|key| {
            let why = if key.starts_with("remote_write") || key.starts_with("remote_read") {
                "remote storage is not part of detection"
            } else if key.contains("_sd_configs") {
                "service discovery asks systems that are not sped up"
            } else if key.starts_with("alerting") {
                "it bounds how long a delivery takes, which is measured"
            } else {
                "it is not among the durations by which detection waits"
            };
            why.to_owned()
        });
        let read = Prometheus::read(doc);
        reread(self, read, &mut server.config.view);
    }

    /// Scales the configuration file of an Alertmanager.
    pub(super) fn alertmanager(&mut self, server: &mut AlertmanagerServer) {
        let doc = &mut server.config.doc;
        let original = doc.clone();
        let mut pass = Pass { doc_name: doc.file.clone(), done: BTreeSet::new(), work: self };
        if let Some(global) = doc.root.map_at("global") {
            pass.scale(
                global,
                "global",
                "resolve_timeout",
                Some(DEFAULT_RESOLVE_TIMEOUT),
                Notation::Prometheus,
            );
        }
        if let Some(route) = doc.root.get_non_null_mut("route") {
            scale_route(&mut pass, route, "route", true);
        }
        pass.list_rest(&original, &|_| {
            "it belongs to a client, not to the waits between alert and notification".to_owned()
        });
        self.windows(doc, &server.config.view);
        let read = Alertmanager::read(doc);
        reread(self, read, &mut server.config.view);
    }

    /// Scales the configuration file of a Collector.
    pub(super) fn collector(&mut self, server: &mut CollectorServer) {
        let doc = &mut server.config.doc;
        let original = doc.clone();
        let mut pass = Pass { doc_name: doc.file.clone(), done: BTreeSet::new(), work: self };
        if let Some(processors) = doc.root.get_non_null_mut("processors")
            && let Value::Map(entries) = &mut processors.value
        {
            for (id, settings) in entries {
                let (key, default, bound) = match id.name.split('/').next() {
                    Some("tail_sampling") => ("decision_wait", Duration::from_secs(30), DECISION),
                    Some("groupbytrace") => ("wait_duration", Duration::from_secs(1), DECISION),
                    Some("batch") => ("timeout", Duration::from_millis(200), POLL),
                    _ => continue,
                };
                let path = format!("processors.{}", id.name);
                if settings.is_null() {
                    *settings = Node::map();
                }
                pass.scale_down_to(settings, &path, key, Some(default), Notation::Go, Some(bound));
            }
        }
        pass.list_rest(&original, &|_| {
            "it belongs to the way of spans, whose senders are not sped up".to_owned()
        });
        let read = Collector::read(doc);
        reread(self, read, &mut server.config.view);
    }
}

impl Work<'_> {
    /// Scales the files of a shipper of logs.
    pub(super) fn shipper(&mut self, server: &mut ShipperServer) {
        for doc in &mut server.files {
            let original = doc.clone();
            let mut pass =
                Pass { doc_name: doc.file.clone(), done: BTreeSet::new(), work: &mut *self };
            pass.shipper_keys(&mut doc.root, "", "");
            for (index, input) in doc.root.items_mut().iter_mut().enumerate() {
                if input.get_non_null("type").and_then(Node::text) != Some("filestream") {
                    continue;
                }
                let path = format!("[{index}]");
                for (key, default) in SHIPPER {
                    let Some(default) = default.filter(|_| {
                        !pass.done.iter().any(|done| done.starts_with(&path) && done.ends_with(key))
                    }) else {
                        continue;
                    };
                    pass.scale_down_to(
                        input,
                        &path,
                        key,
                        Some(Duration::from_secs(default)),
                        Notation::Go,
                        Some(POLL),
                    );
                }
            }
            pass.list_rest(&original, &|_| {
                "it is not among the durations by which a line waits".to_owned()
            });
        }
    }

    /// Puts windows of the calendar where this run needs them: those in which routes are silent
    /// away from now, those outside of which they are around it. What is left to the calendar would
    /// make a run's outcome depend on the hour.
    fn windows(&mut self, doc: &mut Document, view: &Alertmanager) {
        let (mut mutes, mut actives) = (BTreeSet::new(), BTreeSet::new());
        names_of_intervals(&view.route, &mut mutes, &mut actives);
        for (name, place) in &view.time_intervals {
            let what = format!("time interval `{name}`");
            let (muting, activating) = (mutes.contains(name), actives.contains(name));
            let now = match self.scale.now_s {
                Some(now) if muting != activating => now,
                _ => {
                    let why = if muting {
                        "it is both muting and activating, and stays a wall-clock time"
                    } else {
                        "it is a wall-clock time"
                    };
                    self.left(what, name.clone(), why, Some(place.clone()));
                    continue;
                }
            };
            let (node, shown) = window(now, muting);
            for key in ["time_intervals", "mute_time_intervals"] {
                let Some(list) = doc.root.get_non_null_mut(key) else { continue };
                for item in list
                    .items_mut()
                    .iter_mut()
                    .filter(|item| item.get_non_null("name").and_then(Node::text) == Some(name))
                {
                    item.set("time_intervals", node.clone());
                }
            }
            let side = if muting { "away from" } else { "around" };
            self.left(
                what,
                name.clone(),
                format!(
                    "it is a wall-clock time: a window {side} now takes its place, {shown} UTC"
                ),
                Some(place.clone()),
            );
        }
    }
}

impl Pass<'_, '_> {
    /// Divides the keys by which a line waits, however deep and whether written with dots or
    /// nested. `names` is the path of keys alone.
    fn shipper_keys(&mut self, node: &mut Node, path: &str, names: &str) {
        let keys: Vec<String> = node.entries().iter().map(|(key, _)| key.name.clone()).collect();
        for key in keys {
            let join = |around: &str| {
                if around.is_empty() { key.clone() } else { format!("{around}.{key}") }
            };
            let (full, name) = (join(path), join(names));
            let waits = SHIPPER
                .iter()
                .any(|(wait, _)| name == *wait || name.ends_with(&format!(".{wait}")));
            let readable = node
                .get_non_null(&key)
                .and_then(Node::text)
                .is_some_and(|text| duration::parse_go(text).is_ok());
            if waits && readable {
                self.scale_down_to(node, path, &key, None, Notation::Go, Some(POLL));
            } else if let Some(child) =
                node.get_non_null_mut(&key).filter(|_| !NO_SETTINGS.contains(&key.as_str()))
            {
                self.shipper_keys(child, &full, &name);
            }
        }
        for (index, child) in node.items_mut().iter_mut().enumerate() {
            self.shipper_keys(child, &format!("{path}[{index}]"), names);
        }
    }
}

fn names_of_intervals(
    route: &crate::monitoring::Route,
    mutes: &mut BTreeSet<String>,
    actives: &mut BTreeSet<String>,
) {
    mutes.extend(route.mute.iter().cloned());
    actives.extend(route.active.iter().cloned());
    route.routes.iter().for_each(|child| names_of_intervals(child, mutes, actives));
}

/// Six hours of a day in UTC that begin two hours before this one, or half a day later; the same
/// for all of an hour.
fn window(now_s: i64, away: bool) -> (Node, String) {
    const DAY: i64 = 24;
    let begin = (now_s.div_euclid(3600) - 2 + if away { 12 } else { 0 }).rem_euclid(DAY);
    let end = begin + 6;
    let parts = if end <= DAY { vec![(begin, end)] } else { vec![(begin, DAY), (0, end - DAY)] };
    let times = parts.iter().map(|(from, to)| {
        let mut range = Node::map();
        range.set("start_time", Node::string(format!("{from:02}:00")));
        range.set("end_time", Node::string(format!("{to:02}:00")));
        range
    });
    let mut interval = Node::map();
    interval.set("times", Node::new(Value::List(times.collect())));
    let shown: Vec<_> =
        parts.iter().map(|(from, to)| format!("{from:02}:00 to {to:02}:00")).collect();
    (Node::new(Value::List(vec![interval])), shown.join(" and "))
}

fn scale_route(pass: &mut Pass<'_, '_>, route: &mut Node, path: &str, is_root: bool) {
    for (key, default) in [
        ("group_wait", DEFAULT_GROUP_WAIT),
        ("group_interval", DEFAULT_GROUP_INTERVAL),
        ("repeat_interval", DEFAULT_REPEAT_INTERVAL),
    ] {
        pass.scale(route, path, key, is_root.then_some(default), Notation::Prometheus);
    }
    if let Some(children) = route.get_non_null_mut("routes") {
        for (index, child) in children.items_mut().iter_mut().enumerate() {
            scale_route(pass, child, &format!("{path}.routes[{index}]"), false);
        }
    }
}
