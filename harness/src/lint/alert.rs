//! An alert as Alertmanager will see it: its labels, as far as the files tell.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::{self, Labels, Recorded};
use config::monitoring::matcher::LabelMatcher;
use config::monitoring::{MonitoringConfig, PrometheusServer, Rule, promql};
use promql_parser::parser::Expr;

/// An alert with its labels.
pub(crate) struct Alert<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) server: &'a PrometheusServer,
    labels: Labels,
    /// Whether an exporter, a discovery or relabelling may have put labels on its series that no
    /// file speaks of.
    foreign: bool,
}

/// What is known of a label of an alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// Its value; empty if it is not there.
    Value(String),
    /// It comes from the series or a template.
    Open,
}

/// All alerts, and the labels that series may bring along.
pub(crate) struct Alerts<'a> {
    pub(crate) all: Vec<Alert<'a>>,
    /// Labels that any series may have, as far as the files speak of any: labels of targets and of
    /// recorded series, and those that expressions select or group by.
    pub(crate) of_series: BTreeSet<String>,
}

impl<'a> Alerts<'a> {
    pub(crate) fn of(config: &'a MonitoringConfig) -> Alerts<'a> {
        let mut of_series: BTreeSet<String> = ["job", "instance"].map(str::to_owned).into();
        for server in &config.prometheus {
            let view = &server.config.view;
            for job in &view.jobs {
                let groups = job.static_configs.iter().chain(&job.discovered);
                of_series.extend(groups.flat_map(|targets| targets.labels.keys().cloned()));
                of_series.extend(
                    job.relabels
                        .iter()
                        .chain(&job.metric_relabels)
                        .map(|relabel| relabel.target_label.clone()),
                );
            }
            of_series
                .extend(view.alert_relabels.iter().map(|relabel| relabel.target_label.clone()));
            for rule in
                server.rules.iter().flat_map(|file| &file.view).flat_map(|group| &group.rules)
            {
                if !rule.is_alert() {
                    of_series.extend(rule.labels.keys().cloned());
                }
                spoken_of(&rule.expr, &mut of_series);
            }
        }
        let mut all = Vec::new();
        for server in &config.prometheus {
            let rules =
                server.rules.iter().flat_map(|file| &file.view).flat_map(|group| &group.rules);
            let recorded = labels::recorded(rules.clone());
            all.extend(
                rules.filter(|rule| rule.is_alert()).map(|rule| Alert::of(rule, server, &recorded)),
            );
        }
        Alerts { all, of_series }
    }

    /// What is known of an alert's label. One that no file speaks of is taken to be on no series that
    /// the server itself makes (`up`), and may be on all others.
    pub(crate) fn label(&self, alert: &Alert<'_>, name: &str) -> Known {
        match alert.labels.known.get(name) {
            Some(Some(value)) => Known::Value(value.clone()),
            Some(None) => Known::Open,
            None if alert.labels.may_carry(name)
                && (alert.foreign || self.of_series.contains(name)) =>
            {
                Known::Open
            }
            None => Known::Value(String::new()),
        }
    }

    /// Whether an alert satisfies a matcher; none if its series decide.
    pub(crate) fn satisfies(&self, alert: &Alert<'_>, matcher: &LabelMatcher) -> Option<bool> {
        match self.label(alert, &matcher.name) {
            Known::Value(value) => {
                Some(matcher.matches(&BTreeMap::from([(matcher.name.clone(), value)])))
            }
            Known::Open => None,
        }
    }

    /// Whether an alert satisfies all of these.
    pub(crate) fn satisfies_all(
        &self,
        alert: &Alert<'_>,
        matchers: &[LabelMatcher],
    ) -> Option<bool> {
        matchers
            .iter()
            .try_fold(Some(true), |all, matcher| match self.satisfies(alert, matcher) {
                Some(false) => Err(()),
                Some(true) => Ok(all),
                None => Ok(None),
            })
            .unwrap_or(Some(false))
    }
}

impl<'a> Alert<'a> {
    fn of(rule: &'a Rule, server: &'a PrometheusServer, recorded: &Recorded) -> Alert<'a> {
        let mut labels = labels::of(&rule.expr, recorded);
        let set = |labels: &mut Labels, name: &str, value: Option<String>| {
            labels.gone.remove(name);
            labels.known.insert(name.to_owned(), value);
        };
        for (name, value) in &rule.labels {
            let fixed = (!value.contains("{{")).then(|| value.clone());
            set(&mut labels, name, fixed);
        }
        // External labels don't overwrite.
        for (name, value) in &server.config.view.global.external_labels {
            if !labels.known.contains_key(name) {
                set(&mut labels, name, Some(value.clone()));
            }
        }
        set(&mut labels, "alertname", Some(rule.name.clone()));
        for relabel in &server.config.view.alert_relabels {
            match relabel.action.as_str() {
                "labeldrop" | "labelkeep" | "labelmap" => {
                    labels.known.values_mut().for_each(|value| *value = None)
                }
                _ => set(&mut labels, &relabel.target_label, None),
            }
        }
        Alert { rule, server, labels, foreign: foreign(rule, server, recorded) }
    }

    /// Whether it may carry a label that no file speaks of.
    pub(crate) fn may_carry(&self, name: &str) -> bool {
        self.foreign && self.labels.may_carry(name)
    }

    /// Whether its expression has a result whatever is there.
    pub(crate) fn always_fires(&self) -> bool {
        matches!(promql::inner(&self.rule.expr), Expr::Call(call) if call.func.name == "vector")
    }

    /// Jobs that its expression names.
    pub(crate) fn jobs(&self) -> BTreeSet<&'a str> {
        promql::selectors(&self.rule.expr)
            .into_iter()
            .filter_map(|selector| promql::equal_to(selector, "job"))
            .collect()
    }
}

/// Whether the series of a rule may have labels that no file speaks of.
fn foreign(rule: &Rule, server: &PrometheusServer, recorded: &Recorded) -> bool {
    let jobs = &server.config.view.jobs;
    let dynamic = jobs.is_empty()
        || server.lacks_jobs()
        || jobs.iter().any(|job| {
            let unread = job.discoveries.iter().any(|(kind, _)| kind != "file")
                || (!job.target_files.is_empty() && job.discovered.is_empty());
            unread
                || job.honor_labels
                || job.relabels.iter().any(|relabel| relabel.action == "labelmap")
        });
    // What is recorded of such series without grouping them has their labels.
    let own = |name: &str| {
        name == "up"
            || name.starts_with("scrape_")
            || recorded.get(name).is_some_and(|labels| !labels.open)
    };
    dynamic
        || promql::selectors(&rule.expr)
            .into_iter()
            .any(|selector| promql::metric_name(selector).is_none_or(|name| !own(name)))
}

/// Labels that an expression speaks of.
fn spoken_of(expr: &promql_parser::parser::Expr, found: &mut BTreeSet<String>) {
    use promql_parser::parser::{Expr, LabelModifier, VectorMatchCardinality};
    match expr {
        Expr::VectorSelector(selector) => {
            found.extend(selector.matchers.matchers.iter().map(|matcher| matcher.name.clone()))
        }
        Expr::MatrixSelector(matrix) => {
            found.extend(matrix.vs.matchers.matchers.iter().map(|matcher| matcher.name.clone()))
        }
        Expr::Aggregate(aggregate) => {
            if let Some(LabelModifier::Include(names)) = &aggregate.modifier {
                found.extend(names.labels.iter().cloned());
            }
        }
        Expr::Binary(binary) => {
            if let Some(
                VectorMatchCardinality::ManyToOne(names) | VectorMatchCardinality::OneToMany(names),
            ) = binary.modifier.as_ref().map(|modifier| &modifier.card)
            {
                found.extend(names.labels.iter().cloned());
            }
        }
        _ => {}
    }
    for child in promql::children(expr) {
        spoken_of(child, found);
    }
}
