//! What is needed of an Alertmanager configuration, with the server's defaults filled in and its
//! inheritance resolved.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cursor::Cursor;
use super::matcher::{LabelMatcher, MatcherOp};
use super::receiver::{self, Receiver};
use crate::yaml::{ConfigError, Document, Place};

/// `group_wait` where no route states it, as all defaults here by
/// <https://prometheus.io/docs/alerting/latest/configuration/>.
pub const DEFAULT_GROUP_WAIT: Duration = Duration::from_secs(30);
/// `group_interval` where no route states it.
pub const DEFAULT_GROUP_INTERVAL: Duration = Duration::from_secs(300);
/// `repeat_interval` where no route states it.
pub const DEFAULT_REPEAT_INTERVAL: Duration = Duration::from_secs(4 * 3600);
/// `global.resolve_timeout` where the file does not state it.
pub const DEFAULT_RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);

/// An Alertmanager configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Alertmanager {
    /// After which an alert without an end counts as resolved. Prometheus always sends an end, so
    /// this rarely matters.
    pub resolve_timeout: Duration,
    /// The root of the routing tree.
    pub route: Route,
    /// Receivers in the order of the file.
    pub receivers: Vec<Receiver>,
    /// Rules by which alerts silence others (`inhibit_rules`).
    pub inhibitions: Vec<Inhibition>,
    /// Names of time intervals, which are wall-clock times, with where they stand.
    pub time_intervals: Vec<(String, Place)>,
    /// Those of them that hold at any time.
    pub always: Vec<String>,
    /// Patterns of template files, as written.
    pub templates: Vec<String>,
}

/// A node of the routing tree with everything that it inherits.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Name of the receiver that is notified.
    pub receiver: String,
    /// Names of the labels by which alerts are grouped, sorted.
    pub group_by: Vec<String>,
    /// Whether each alert is a group of its own (`group_by: ['...']`).
    pub group_by_all: bool,
    /// How long a new group waits before its first notification.
    pub group_wait: Duration,
    /// Time between notifications of changes to a group.
    pub group_interval: Duration,
    /// After which an unchanged group is notified again.
    pub repeat_interval: Duration,
    /// Matchers that must all hold for an alert to enter.
    pub matchers: Vec<LabelMatcher>,
    /// Whether an alert that enters is tried on the next sibling as well (`continue`).
    pub go_on: bool,
    /// Names of time intervals in which it is silent.
    pub mute: Vec<String>,
    /// Names of time intervals outside of which it is silent.
    pub active: Vec<String>,
    /// The routes below it, in order.
    pub routes: Vec<Route>,
    /// Where it stands.
    pub place: Place,
}

/// A rule by which alerts silence others.
#[derive(Debug, Clone, PartialEq)]
pub struct Inhibition {
    /// Matchers that the silencing alert must satisfy.
    pub source: Vec<LabelMatcher>,
    /// Matchers that the silenced alert must satisfy.
    pub target: Vec<LabelMatcher>,
    /// Names of labels that both must have alike; a missing label counts as empty.
    pub equal: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// A route that an alert ends in.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteMatch<'a> {
    /// The route that it is.
    pub route: &'a Route,
    /// Keys of the routes from the root to it: `route`, `route.routes[1]` …
    pub trail: Vec<&'a str>,
}

impl Alertmanager {
    /// Reads the typed view of a document.
    ///
    /// # Errors
    /// Names file, line and key of what Alertmanager would refuse.
    pub fn read(doc: &Document) -> Result<Alertmanager, ConfigError> {
        let root = Cursor::root(doc);
        root.expect_map()?;
        let Some(route_at) = root.get("route") else {
            return Err(root.error("no `route`", "an Alertmanager configuration has `route` and `receivers`; is this the right file?"));
        };
        let receivers = receiver::read(&root)?;
        let (mut time_intervals, mut always) = (Vec::new(), Vec::new());
        for key in ["mute_time_intervals", "time_intervals"] {
            for at in root.items(key)? {
                let name = at.required_text("name")?;
                let times = at.items("time_intervals").unwrap_or_default();
                if times.iter().any(super::calendar::is_always) {
                    always.push(name.clone());
                }
                time_intervals.push((name, at.place()));
            }
        }
        let first = Inherited {
            receiver: None,
            group_by: Vec::new(),
            group_by_all: false,
            group_wait: DEFAULT_GROUP_WAIT,
            group_interval: DEFAULT_GROUP_INTERVAL,
            repeat_interval: DEFAULT_REPEAT_INTERVAL,
        };
        let known = Known { receivers: &receivers, intervals: &time_intervals };
        let route = read_route(&route_at, &first, &known)?;
        if !route.matchers.is_empty() || route.go_on {
            return Err(route_at.error(
                "the root route has matchers or `continue`",
                "it must take every alert: move them to a route below",
            ));
        }
        let inhibitions =
            root.items("inhibit_rules")?.iter().map(read_inhibition).collect::<Result<_, _>>()?;
        Ok(Alertmanager {
            resolve_timeout: root
                .get("global")
                .map(|global| global.duration("resolve_timeout"))
                .transpose()?
                .flatten()
                .unwrap_or(DEFAULT_RESOLVE_TIMEOUT),
            route,
            inhibitions,
            time_intervals,
            always,
            templates: root.texts("templates")?,
            receivers,
        })
    }

    /// The routes that an alert with these labels ends in, as Alertmanager walks its tree: the
    /// deepest that match, in order; siblings after a match only if it says `continue`; the node
    /// itself if no child matches: <https://prometheus.io/docs/alerting/latest/configuration/#route>.
    pub fn route_for(&self, labels: &BTreeMap<String, String>) -> Vec<RouteMatch<'_>> {
        let mut found = Vec::new();
        walk(&self.route, labels, &mut Vec::new(), &mut found);
        found
    }

    /// The receiver of that name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// Inhibitions by which a firing alert with labels `source` silences one with labels `target`.
    pub fn inhibitions_between(
        &self,
        source: &BTreeMap<String, String>,
        target: &BTreeMap<String, String>,
    ) -> Vec<&Inhibition> {
        self.inhibitions.iter().filter(|rule| rule.silences(source, target)).collect()
    }
}

impl Inhibition {
    /// Whether a firing alert with labels `source` silences one with labels `target`. An alert that
    /// satisfies both sides is not silenced by one that does so too, itself included:
    /// <https://prometheus.io/docs/alerting/latest/configuration/#inhibition-related-settings>.
    pub fn silences(
        &self,
        source: &BTreeMap<String, String>,
        target: &BTreeMap<String, String>,
    ) -> bool {
        let all = |matchers: &[LabelMatcher], labels: &BTreeMap<String, String>| {
            matchers.iter().all(|m| m.matches(labels))
        };
        let value = |labels: &BTreeMap<String, String>, name: &str| {
            labels.get(name).cloned().unwrap_or_default()
        };
        all(&self.source, source)
            && all(&self.target, target)
            && self.equal.iter().all(|name| value(source, name) == value(target, name))
            && !(all(&self.source, target) && all(&self.target, source))
    }
}

fn walk<'a>(
    route: &'a Route,
    labels: &BTreeMap<String, String>,
    trail: &mut Vec<&'a str>,
    found: &mut Vec<RouteMatch<'a>>,
) -> bool {
    if !route.matchers.iter().all(|matcher| matcher.matches(labels)) {
        return false;
    }
    trail.push(&route.place.key);
    let before = found.len();
    for child in &route.routes {
        if walk(child, labels, trail, found) && !child.go_on {
            break;
        }
    }
    if found.len() == before {
        found.push(RouteMatch { route, trail: trail.clone() });
    }
    trail.pop();
    true
}

#[derive(Clone)]
struct Inherited {
    receiver: Option<String>,
    group_by: Vec<String>,
    group_by_all: bool,
    group_wait: Duration,
    group_interval: Duration,
    repeat_interval: Duration,
}

struct Known<'a> {
    receivers: &'a [Receiver],
    intervals: &'a [(String, Place)],
}

fn read_route(at: &Cursor<'_>, above: &Inherited, known: &Known<'_>) -> Result<Route, ConfigError> {
    at.expect_map()?;
    let mut own = above.clone();
    if let Some(receiver) = at.text_of("receiver")? {
        if !known.receivers.iter().any(|other| other.name == receiver) {
            let names: Vec<_> = known.receivers.iter().map(|other| other.name.as_str()).collect();
            return Err(at.get("receiver").as_ref().unwrap_or(at).error(
                format!("receiver `{receiver}` is not defined"),
                format!("defined are: {}", names.join(", ")),
            ));
        }
        own.receiver = Some(receiver);
    }
    let Some(receiver) = own.receiver.clone() else {
        return Err(at.error("the root route has no receiver", "add `receiver:`"));
    };
    // A list without labels inherits, as in Alertmanager, where it can't be told from a missing
    // one.
    let (all, mut names): (Vec<_>, Vec<_>) =
        at.texts("group_by")?.into_iter().partition(|name| name == "...");
    names.sort();
    match (all.is_empty(), names.is_empty()) {
        (false, false) => {
            return Err(at.error("group_by has `...` beside labels", "`...` stands alone"));
        }
        (true, false) => {
            own.group_by = names;
            own.group_by_all = false;
        }
        (false, true) => own.group_by_all = true,
        (true, true) => {}
    }
    if let Some(wait) = at.duration("group_wait")? {
        own.group_wait = wait;
    }
    for (key, slot) in
        [("group_interval", &mut own.group_interval), ("repeat_interval", &mut own.repeat_interval)]
    {
        if let Some(interval) = at.duration(key)? {
            if interval.is_zero() {
                return Err(at.error(format!("{key} is zero"), "Alertmanager refuses this"));
            }
            *slot = interval;
        }
    }
    let interval_names = |key: &str| -> Result<Vec<String>, ConfigError> {
        let names = at.texts(key)?;
        match names.iter().find(|name| !known.intervals.iter().any(|(other, _)| other == *name)) {
            Some(name) => Err(at.error(
                format!("time interval `{name}` is not defined"),
                "add it under `time_intervals`",
            )),
            None => Ok(names),
        }
    };
    Ok(Route {
        receiver,
        group_by: own.group_by.clone(),
        group_by_all: own.group_by_all,
        group_wait: own.group_wait,
        group_interval: own.group_interval,
        repeat_interval: own.repeat_interval,
        matchers: read_matchers(at, "")?,
        go_on: at.truth("continue", false)?,
        mute: interval_names("mute_time_intervals")?,
        active: interval_names("active_time_intervals")?,
        routes: at
            .items("routes")?
            .iter()
            .map(|child| read_route(child, &own, known))
            .collect::<Result<_, _>>()?,
        place: at.place(),
    })
}

fn read_inhibition(at: &Cursor<'_>) -> Result<Inhibition, ConfigError> {
    at.expect_map()?;
    Ok(Inhibition {
        source: read_matchers(at, "source_")?,
        target: read_matchers(at, "target_")?,
        equal: at.texts("equal")?,
        place: at.place(),
    })
}

/// Matchers in their three forms: `match`, `match_re`, `matchers`, each with a prefix.
fn read_matchers(at: &Cursor<'_>, prefix: &str) -> Result<Vec<LabelMatcher>, ConfigError> {
    let mut found = Vec::new();
    for (key, op) in [("match", MatcherOp::Equal), ("match_re", MatcherOp::Matches)] {
        for (name, value) in at.entries_of(&format!("{prefix}{key}"))? {
            found.push(LabelMatcher::new(name, op, value.text()?).map_err(|problem| {
                value.error(
                    problem,
                    "a matcher is written severity=\"critical\" or service=~\"a|b\"",
                )
            })?);
        }
    }
    for item in at.items(&format!("{prefix}matchers"))? {
        let text = item.text()?;
        found.extend(
            LabelMatcher::parse_list(&text)
                .map_err(|problem| item.error(problem, "write `label=\"value\"`"))?,
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Alertmanager, ConfigError> {
        Alertmanager::read(&Document::parse(Path::new("alertmanager.yml"), text)?)
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    const TREE: &str = "
route:
  receiver: ops
  group_by: [alertname, service]
  group_interval: 1m
  routes:
  - receiver: critical
    match: {severity: critical}
    continue: true
    group_wait: 5s
    routes:
    - match_re: {component: 'data.*'}
      receiver: dba
    - matchers: ['component=\"mail\"', 'service=~\"post|dove\"']
      group_by: ['...']
  - receiver: mail
    matchers: [component=mail]
    group_by: [cluster]
    routes:
    - matchers: [night=\"yes\"]
      mute_time_intervals: [weekend]
receivers: [{name: ops}, {name: critical}, {name: dba}, {name: mail}]
time_intervals: [{name: weekend}]
inhibit_rules:
- source_matchers: [alertname=~\"EmailServiceDown|PostfixDown\"]
  target_matchers: [alertname=~\"High.*|PostfixDown\"]
  equal: [service]
";

    fn ends(config: &Alertmanager, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let labels = labels(pairs);
        config
            .route_for(&labels)
            .iter()
            .map(|m| (m.route.receiver.clone(), m.trail.last().unwrap().to_string()))
            .collect()
    }

    #[test]
    fn routes_as_alertmanager_does() {
        let config = read(TREE).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(ends(&config, &[("severity", "warning")]), [pair("ops", "route")]);
        assert_eq!(
            ends(&config, &[("severity", "critical")]),
            [pair("critical", "route.routes[0]")]
        );
        assert_eq!(
            ends(&config, &[("severity", "critical"), ("component", "database")]),
            [pair("dba", "route.routes[0].routes[0]")]
        );
        assert_eq!(
            ends(&config, &[("severity", "critical"), ("component", "mail"), ("service", "post")]),
            [pair("critical", "route.routes[0].routes[1]"), pair("mail", "route.routes[1]")]
        );
        assert_eq!(
            ends(
                &config,
                &[("severity", "critical"), ("component", "mail"), ("service", "postfix")]
            ),
            [pair("critical", "route.routes[0]"), pair("mail", "route.routes[1]")],
            "regular expressions are anchored"
        );
    }

    #[test]
    fn inherits_as_alertmanager_does() {
        let config = read(TREE).unwrap();
        let critical = &config.route.routes[0];
        assert_eq!(critical.group_by, ["alertname", "service"]);
        assert_eq!(critical.group_wait, Duration::from_secs(5));
        assert_eq!(critical.routes[0].group_wait, Duration::from_secs(5));
        assert_eq!(critical.routes[0].group_interval, Duration::from_secs(60));
        assert!(critical.routes[1].group_by_all);
        assert_eq!(config.route.routes[1].group_wait, DEFAULT_GROUP_WAIT);
        assert_eq!(config.route.repeat_interval, DEFAULT_REPEAT_INTERVAL);
        assert_eq!(config.route.routes[1].routes[0].mute, ["weekend"]);
        assert_eq!(config.route.routes[1].routes[0].receiver, "mail");
    }

    #[test]
    fn inhibits_by_equal_labels_and_never_itself() {
        let config = read(TREE).unwrap();
        let down = labels(&[("alertname", "EmailServiceDown"), ("service", "email-service")]);
        let high = labels(&[("alertname", "HighErrorRate"), ("service", "email-service")]);
        let other = labels(&[("alertname", "HighErrorRate"), ("service", "redis")]);
        let postfix = labels(&[("alertname", "PostfixDown"), ("service", "email-service")]);
        assert_eq!(config.inhibitions_between(&down, &high).len(), 1);
        assert!(config.inhibitions_between(&down, &other).is_empty());
        assert!(config.inhibitions_between(&high, &down).is_empty());
        assert!(config.inhibitions_between(&postfix, &postfix).is_empty());
        assert_eq!(config.inhibitions_between(&down, &postfix).len(), 1);
    }

    #[test]
    fn refusals_name_line_and_key() {
        for (text, parts) in [
            ("receivers: []\n", &["no `route`"][..]),
            (
                "route:\n  receiver: a\nreceivers: [{name: b}]\n",
                &["alertmanager.yml:2", "`a` is not defined", "defined are: b"],
            ),
            (
                "route: {receiver: b, matchers: [a=b]}\nreceivers: [{name: b}]\n",
                &["root route has matchers"],
            ),
            (
                "route:\n  receiver: b\n  routes:\n  - matchers:\n    - severity\nreceivers: [{name: b}]\n",
                &["alertmanager.yml:5", "no matcher"],
            ),
            (
                "route: {receiver: b, group_wait: 1.5s}\nreceivers: [{name: b}]\n",
                &["group_wait", "1.5s"],
            ),
            (
                "route: {receiver: b, routes: [{mute_time_intervals: [x]}]}\nreceivers: [{name: b}]\n",
                &["`x` is not defined"],
            ),
            (
                "route: {receiver: b, group_interval: 0s}\nreceivers: [{name: b}]\n",
                &["group_interval is zero"],
            ),
            ("route: {receiver: b}\nreceivers: [{name: b}, {name: b}]\n", &["twice"]),
        ] {
            let error = read(text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{error} lacks {part}");
            }
        }
    }
}
