//! The panels of a dashboard's JSON.

use serde_json::Value;

/// A panel with its queries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PanelModel {
    /// Title, or the panel's id if it has none.
    pub(crate) title: String,
    /// Data source of the panel, which its queries may override.
    pub(crate) datasource: Value,
    /// Queries that are shown or that others are computed from, as written.
    pub(crate) targets: Vec<Value>,
    /// Points wanted of each series.
    pub(crate) max_data_points: u64,
    /// Variables for each of whose values it is shown once: its row's, and its own.
    pub(crate) repeated: Vec<String>,
    /// Why its queries are not known, if they are not.
    pub(crate) elsewhere: Option<String>,
}

/// Panels with queries, those in rows included. Rows, texts and lists have none.
pub(crate) fn panels(dashboard: &Value) -> Vec<PanelModel> {
    let mut found = Vec::new();
    open(dashboard, None, &mut found);
    // Panels are told apart by their titles.
    let titles: Vec<String> =
        found.iter().map(|(_, panel): &(Value, PanelModel)| panel.title.clone()).collect();
    let named = found.into_iter().map(|(id, mut panel)| {
        if titles.iter().filter(|t| **t == panel.title).count() > 1 {
            panel.title = format!("{} (panel {id})", panel.title);
        }
        panel
    });
    named.collect()
}

fn open(holder: &Value, repeated: Option<&str>, into: &mut Vec<(Value, PanelModel)>) {
    let repeats = |v: &Value| v["repeat"].as_str().filter(|r| !r.is_empty()).map(str::to_owned);
    // Dashboards before schema 16 hold their panels in `rows`.
    for row in holder["rows"].as_array().into_iter().flatten() {
        open(row, repeats(row).as_deref().or(repeated), into);
    }
    // An open row is followed by its panels; a collapsed one holds them.
    let mut row = repeated.map(str::to_owned);
    for panel in holder["panels"].as_array().into_iter().flatten() {
        if panel["type"] == "row" {
            row = repeats(panel);
        }
        if panel["panels"].as_array().is_some_and(|p| !p.is_empty()) {
            open(panel, row.as_deref(), into);
        }
        let targets: Vec<Value> = panel["targets"].as_array().cloned().unwrap_or_default();
        let library =
            panel["libraryPanel"]["name"].as_str().or(panel["libraryPanel"]["uid"].as_str());
        let elsewhere = library
            .filter(|_| targets.is_empty())
            .map(|name| format!("it is library panel {name}, which is in no file"));
        if (targets.is_empty() && elsewhere.is_none())
            || matches!(panel["type"].as_str(), Some("row" | "text"))
        {
            continue;
        }
        let title =
            panel["title"].as_str().or(library).filter(|t| !t.is_empty()).map(str::to_owned);
        let model = PanelModel {
            title: title.unwrap_or_else(|| format!("panel {}", panel["id"])),
            datasource: panel["datasource"].clone(),
            targets,
            max_data_points: panel["maxDataPoints"].as_u64().unwrap_or(500).max(1),
            repeated: row.clone().into_iter().chain(repeats(panel)).collect(),
            elsewhere,
        };
        into.push((panel["id"].clone(), model));
    }
}

impl PanelModel {
    /// The queries that are shown, with their places among all.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (usize, &Value)> {
        self.targets.iter().enumerate().filter(|(_, t)| !t["hide"].as_bool().unwrap_or(false))
    }

    /// Whether one of its queries is computed from others.
    pub(crate) fn is_computed(&self) -> bool {
        self.targets.iter().any(|t| {
            t["datasource"]["uid"] == "__expr__"
                || t["datasource"]["type"] == "__expr__"
                || t["datasource"] == "__expr__"
        })
    }

    /// The data source that a query names, or else the panel.
    pub(crate) fn reference<'a>(&'a self, target: &'a Value) -> &'a Value {
        if target["datasource"].is_null() { &self.datasource } else { &target["datasource"] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn panels_in_rows_count_and_rows_do_not() {
        let target = json!([{"refId": "A", "expr": "up"}]);
        let dashboard = json!({
            "panels": [
                {"id": 1, "type": "timeseries", "title": "one", "targets": target},
                {"id": 2, "type": "row", "title": "row", "panels": [{"id": 3, "type": "stat", "title": "two", "targets": target}]},
                {"id": 4, "type": "text", "title": "words"},
                {"id": 5, "type": "timeseries", "title": "without queries", "targets": []},
                {"id": 6, "type": "gauge", "targets": target, "maxDataPoints": 10}],
            "rows": [{"panels": [{"id": 7, "type": "graph", "title": "old", "targets": target}]}]});
        let titles: Vec<_> = panels(&dashboard).into_iter().map(|p| p.title).collect();
        assert_eq!(titles, ["old", "one", "two", "panel 6"]);
        let twice = json!({"panels": [{"id": 1, "title": "a", "targets": target}, {"id": 2, "title": "a", "targets": target}]});
        let titles: Vec<_> = panels(&twice).into_iter().map(|p| p.title).collect();
        assert_eq!(titles, ["a (panel 1)", "a (panel 2)"]);
    }

    #[test]
    fn repeated_panels_hidden_queries_and_library_panels() {
        let target =
            json!([{"refId": "A", "expr": "up"}, {"refId": "B", "expr": "down", "hide": true}]);
        let dashboard = json!({"panels": [
            {"id": 1, "type": "row", "repeat": "job", "collapsed": false},
            {"id": 2, "type": "stat", "title": "in a repeated row", "targets": target, "repeat": "instance"},
            {"id": 3, "type": "row", "repeat": "zone", "collapsed": true, "panels": [{"id": 4, "type": "stat", "title": "held", "targets": target}]},
            {"id": 5, "type": "row"},
            {"id": 6, "type": "stat", "title": "plain", "targets": target},
            {"id": 7, "title": "shared", "libraryPanel": {"uid": "x", "name": "Shared"}},
            {"id": 8, "title": "written out", "libraryPanel": {"uid": "y", "name": "Y"}, "targets": target}]});
        let found = panels(&dashboard);
        let repeated: Vec<_> =
            found.iter().map(|p| (p.title.as_str(), p.repeated.join(" "))).collect();
        let wanted = [
            ("in a repeated row", "job instance"),
            ("held", "zone"),
            ("plain", ""),
            ("shared", ""),
            ("written out", ""),
        ];
        assert_eq!(repeated, wanted.map(|(title, by)| (title, by.to_owned())));
        assert_eq!(
            found[2].shown().map(|(at, t)| (at, t["expr"].as_str().unwrap())).collect::<Vec<_>>(),
            [(0, "up")]
        );
        assert!(
            found[3].elsewhere.as_ref().unwrap().contains("library panel Shared")
                && found[4].elsewhere.is_none()
        );
    }
}
