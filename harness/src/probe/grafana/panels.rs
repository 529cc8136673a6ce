//! The panels of a dashboard's JSON.

use serde_json::Value;

/// A panel with its queries.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PanelModel {
    /// Title, or the panel's id if it has none.
    pub(super) title: String,
    /// Data source of the panel, which its queries may override.
    pub(super) datasource: Value,
    /// Queries that are shown or that others are computed from, as written.
    pub(super) targets: Vec<Value>,
    /// Points wanted of each series.
    pub(super) max_data_points: u64,
}

/// Panels with queries, those in rows included. Rows, texts and lists have none.
pub(super) fn panels(dashboard: &Value) -> Vec<PanelModel> {
    let mut found = Vec::new();
    open(dashboard, &mut found);
    // Panels are told apart by their titles.
    let titles: Vec<String> = found.iter().map(|(_, panel): &(Value, PanelModel)| panel.title.clone()).collect();
    let named = found.into_iter().map(|(id, mut panel)| {
        if titles.iter().filter(|t| **t == panel.title).count() > 1 {
            panel.title = format!("{} (panel {id})", panel.title);
        }
        panel
    });
    named.collect()
}

fn open(holder: &Value, into: &mut Vec<(Value, PanelModel)>) {
    // Dashboards before schema 16 hold their panels in `rows`.
    for row in holder["rows"].as_array().into_iter().flatten() {
        open(row, into);
    }
    for panel in holder["panels"].as_array().into_iter().flatten() {
        if panel["panels"].as_array().is_some_and(|p| !p.is_empty()) {
            open(panel, into);
        }
        let targets: Vec<Value> = panel["targets"].as_array().cloned().unwrap_or_default();
        if targets.is_empty() || matches!(panel["type"].as_str(), Some("row" | "text")) {
            continue;
        }
        let title = panel["title"].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let model = PanelModel {
            title: title.unwrap_or_else(|| format!("panel {}", panel["id"])),
            datasource: panel["datasource"].clone(),
            targets,
            max_data_points: panel["maxDataPoints"].as_u64().unwrap_or(500).max(1),
        };
        into.push((panel["id"].clone(), model));
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
}
