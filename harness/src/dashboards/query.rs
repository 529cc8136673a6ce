//! The queries of a dashboard as the browser sends them.

use super::format::{Chosen, Style};
use super::panels::PanelModel;
use super::variables::{self, Values};
use super::{DataSource, Lack};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What all queries of a dashboard share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// The data sources that there are.
    pub(crate) sources: Vec<DataSource>,
    /// Values of variables.
    pub(crate) values: Values,
    /// Variables that have no value, with the reason: queries that use them are not asked, the
    /// others are.
    pub(crate) unresolved: BTreeMap<String, Lack>,
    /// Variables whose filters change every query of a data source, as it is named.
    pub(crate) filters: Vec<(String, Value)>,
    /// Inputs that a dashboard states for whoever imports it by hand.
    pub(crate) inputs: Vec<String>,
    /// From, ms since 1970.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

impl Context {
    /// For a dashboard over a time, its variables without values yet.
    pub(crate) fn new(
        sources: Vec<DataSource>,
        dashboard: &Value,
        start_s: f64,
        end_s: f64,
    ) -> Context {
        let (from_ms, to_ms) = ((start_s * 1e3) as i64, (end_s * 1e3) as i64);
        let times = [("__from", from_ms), ("__to", to_ms)];
        let values = times.map(|(name, ms)| (name.to_owned(), Chosen::one(ms.to_string()))).into();
        let inputs = dashboard["__inputs"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|i| i["name"].as_str().map(str::to_owned))
            .collect();
        Context { sources, values, inputs, from_ms, to_ms, ..Context::default() }
    }

    /// Why a query can't be written, if a variable in it has no value.
    pub(crate) fn lacks(&self, target: &Value) -> Option<Lack> {
        let text = target.to_string();
        let used = |name: &str| variables::names(&text).any(|used| used == name);
        self.unresolved.iter().find(|(name, _)| used(name)).map(|(_, lack)| lack.clone())
    }

    /// The data source that a reference means: by name, uid, variable, or the default one.
    pub(crate) fn source(&self, reference: &Value) -> Result<DataSource, Lack> {
        let named = reference["uid"].as_str().or(reference.as_str());
        let put = |n: &str| variables::put(n, &self.values, Style::Glob);
        let mixed = "-- Mixed --";
        let named = named.map(put).filter(|n| !n.is_empty() && n != "default" && n != mixed);
        let Some(named) = named else {
            let kind = reference["type"].as_str().filter(|_| reference["uid"] != mixed);
            let default =
                self.sources.iter().find(|s| s.is_default && kind.is_none_or(|k| k == s.r#type));
            let only = || self.sources.iter().find(|s| kind.is_some_and(|k| k == s.r#type));
            return default
                .or_else(only)
                .cloned()
                .ok_or_else(|| Lack::Fails("there is no default data source".into()));
        };
        if named == "__expr__" {
            return Ok(DataSource {
                name: named.clone(),
                uid: named.clone(),
                r#type: named,
                ..DataSource::default()
            });
        }
        if ["grafana", "-- Grafana --"].contains(&named.as_str()) {
            return Ok(DataSource {
                name: "grafana".into(),
                uid: "grafana".into(),
                r#type: "datasource".into(),
                ..DataSource::default()
            });
        }
        if named == "-- Dashboard --" {
            return Err(Lack::NotAsked("it shows what another panel asks for".into()));
        }
        let found = self
            .sources
            .iter()
            .find(|s| s.uid == named)
            .or_else(|| self.sources.iter().find(|s| s.name == named));
        found.cloned().ok_or_else(|| {
            let is_input = |name: &String| variables::names(&named).any(|used| used == name);
            Lack::Fails(match self.inputs.iter().any(is_input) {
                // https://github.com/grafana/grafana/issues/10786
                true => format!(
                    "data source {named:?} does not exist: inputs are filled in when a dashboard is imported by hand, not from files"
                ),
                false => format!("data source {named:?} does not exist"),
            })
        })
    }

    /// The context once for each value of the variables that a panel is repeated for, with what
    /// tells them apart.
    pub(crate) fn repeated(&self, panel: &PanelModel) -> Vec<(Context, String)> {
        let mut all = vec![(self.clone(), String::new())];
        for name in &panel.repeated {
            let Some(chosen) = self.values.get(name).filter(|c| !c.values.is_empty()) else {
                continue;
            };
            let each = |(context, told): (Context, String)| {
                let of = move |value: &String| {
                    let mut context = context.clone();
                    let one = Chosen { values: vec![value.clone()], list: false, ..chosen.clone() };
                    context.values.insert(name.clone(), one);
                    (context, format!("{told} ({name} = {value})"))
                };
                chosen.values.iter().map(of).collect::<Vec<_>>()
            };
            all = all.into_iter().flat_map(each).collect();
        }
        all
    }

    /// A query as the browser sends it.
    pub(crate) fn query(
        &self,
        target: &Value,
        index: usize,
        source: &DataSource,
        panel: &PanelModel,
    ) -> Value {
        let range_ms = (self.to_ms - self.from_ms).max(1);
        let interval_ms = (range_ms / i64::try_from(panel.max_data_points).unwrap_or(500)).max(1);
        let mut query = target.clone();
        let prometheus = source.r#type == "prometheus";
        let mut values = self.values.clone();
        if !prometheus {
            // Prometheus' plug-in puts its own into what it is sent.
            for (name, value) in [
                ("__interval", format!("{interval_ms}ms")),
                ("__interval_ms", interval_ms.to_string()),
                ("__rate_interval", format!("{}ms", interval_ms * 4)),
                ("__range", format!("{}s", range_ms / 1000)),
                ("__range_s", (range_ms / 1000).to_string()),
                ("__range_ms", range_ms.to_string()),
            ] {
                // Written as it is: what is special in a value is nothing here.
                values.insert(name.to_owned(), Chosen { verbatim: true, ..Chosen::one(value) });
            }
        }
        variables::put_all(&mut query, &values, Style::of(&source.r#type));
        query["refId"] = ref_id(target, index).into();
        query["datasource"] = json!({"type": source.r#type, "uid": source.uid});
        query["intervalMs"] = interval_ms.into();
        query["maxDataPoints"] = panel.max_data_points.into();
        if prometheus && query["instant"] != true && query["range"] != true {
            query["range"] = true.into();
        }
        query
    }
}

/// Letter of a query.
pub(crate) fn ref_id(target: &Value, index: usize) -> String {
    target["refId"]
        .as_str()
        .filter(|r| !r.is_empty())
        .map_or_else(|| format!("Q{index}"), str::to_owned)
}

/// The part of a query that people wrote.
pub(crate) fn as_written(target: &Value) -> String {
    let fields = ["expr", "query", "rawSql", "expression", "target", "uid"];
    let written = fields.iter().find_map(|f| target[*f].as_str()).or(target.as_str());
    written.map_or_else(|| target.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::panels::panels;

    fn context() -> Context {
        let source = |uid: &str, name: &str, kind: &str, is_default: bool| DataSource {
            uid: uid.into(),
            name: name.into(),
            r#type: kind.into(),
            is_default,
            ..DataSource::default()
        };
        let sources = vec![
            source("m1", "Metrics", "prometheus", true),
            source("m2", "Other metrics", "prometheus", false),
            source("l1", "Logs", "elasticsearch", false),
        ];
        let dashboard = json!({"__inputs": [{"name": "DS_PROMETHEUS", "type": "datasource"}]});
        let mut context = Context::new(sources, &dashboard, 10.0, 20.0);
        context.values.insert("source".into(), Chosen::one("m2"));
        context
    }

    #[test]
    fn data_sources_are_found_by_every_kind_of_reference() {
        let context = context();
        for (reference, uid) in [
            (json!({"type": "prometheus", "uid": "m2"}), "m2"),
            (json!("Logs"), "l1"),
            (json!({"uid": "$source"}), "m2"),
            (json!("${source}"), "m2"),
            (Value::Null, "m1"),
            (json!("default"), "m1"),
            (json!({"type": "elasticsearch"}), "l1"),
            (json!({"type": "datasource", "uid": "-- Mixed --"}), "m1"),
            (json!({"type": "datasource", "uid": "grafana"}), "grafana"),
            (json!("-- Grafana --"), "grafana"),
            (json!({"uid": "__expr__"}), "__expr__"),
        ] {
            assert_eq!(
                context.source(&reference).map(|s| s.uid),
                Ok(uid.to_owned()),
                "{reference}"
            );
        }
        let fails = |reference: Value| match context.source(&reference) {
            Err(Lack::Fails(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(fails(json!({"uid": "gone"})), "data source \"gone\" does not exist");
        assert!(fails(json!({"uid": "${DS_PROMETHEUS}"})).contains("imported by hand"));
        assert!(!fails(json!({"uid": "${DS_OTHER}"})).contains("imported by hand"));
        assert!(matches!(
            context.source(&json!({"uid": "-- Dashboard --"})),
            Err(Lack::NotAsked(_))
        ));
        assert!(Context::default().source(&Value::Null).is_err());
    }

    #[test]
    fn a_repeated_panel_is_asked_for_each_value() {
        let mut context = context();
        let chosen = Chosen {
            values: vec!["a".into(), "b.c".into()],
            list: true,
            pattern: true,
            verbatim: false,
        };
        context.values.insert("job".into(), chosen);
        let board = json!({"panels": [{"id": 1, "title": "t", "repeat": "job", "targets": [{"expr": "up{job=~\"$job\"}"}]}]});
        let panel = &panels(&board)[0];
        let source = context.source(&Value::Null).unwrap();
        let all: Vec<_> = context
            .repeated(panel)
            .into_iter()
            .map(|(c, told)| (c.query(&panel.targets[0], 0, &source, panel)["expr"].clone(), told))
            .collect();
        let wanted = [(r#"up{job=~"a"}"#, " (job = a)"), (r#"up{job=~"b\\.c"}"#, " (job = b.c)")];
        assert_eq!(all, wanted.map(|(expr, told)| (json!(expr), told.to_owned())));
        let unknown = PanelModel { repeated: vec!["gone".into()], ..panel.clone() };
        assert_eq!(context.repeated(&unknown).len(), 1);
    }

    #[test]
    fn a_variable_without_a_value_keeps_only_its_queries_from_being_asked() {
        let mut context = context();
        context.unresolved.insert("job".into(), Lack::NotAsked("why".into()));
        assert_eq!(
            context.lacks(&json!({"expr": "up{job=\"$job\"}"})),
            Some(Lack::NotAsked("why".into()))
        );
        assert_eq!(context.lacks(&json!({"expr": "up{job=\"$jobs\"}"})), None);
    }
}
