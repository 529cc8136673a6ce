//! Dashboards as nobody should export them.

use super::format::Style;
use super::interval::parsed_ms;
use super::lookup::Lookup;
use super::panels::panels;
use super::variables::{Values, names, put, variables};
use damaged::{anything, damaged};
use proptest::prelude::*;

const BOARDS: &[&str] = &[
    include_str!("../../../compose/stacks/email/grafana/dashboards/system-resources.json"),
    include_str!("../../../compose/stacks/email/grafana/dashboards/email-service-overview.json"),
    r#"{"title": "T", "schemaVersion": 12, "templating": {"list": [{"name": "job", "type": "query", "query": {"query": "label_values(up{a=\"$b\"}, job)"}, "regex": "/(a.*)/i", "sort": 3, "includeAll": true, "current": {"value": ["$__all"]}}, {"name": "i", "type": "interval", "query": "1m,5m", "auto": true, "auto_count": 30, "auto_min": "10s"}, {"name": "c", "type": "custom", "query": "a : b, c\\,d"}]}, "rows": [{"repeat": "job", "panels": [{"id": 1, "type": "graph", "maxDataPoints": 100, "interval": ">1m", "targets": [{"refId": "A", "expr": "rate(x[$__rate_interval])"}]}]}]}"#,
];
const TEXTS: &[&str] = &[
    "rate(a{b=\"$job\", c=~\"${d:regex}\"}[$__interval]) [[e]] ${f.text:csv}",
    "label_values(up{job=\"$job\"}, instance)",
    "query_result(topk(3, a))",
    "1h30m",
    ">15s",
    "{\"find\": \"terms\", \"field\": \"a.keyword\", \"size\": 10}",
];

fn text_is_read(text: &str) {
    parsed_ms(text);
    put(text, &Values::default(), Style::of("prometheus"));
    names(text).for_each(drop);
    if let Some(lookup) = Lookup::read(text) {
        lookup.path(0, 1);
    }
}

proptest! {
    #![proptest_config(damaged::cases(100))]

    #[test]
    fn a_damaged_dashboard(text in damaged(BOARDS)) {
        if let Ok(board) = serde_json::from_str(&text) {
            panels(&board);
            for variable in variables(&board) {
                variable.listed();
                let _ = variable.filtered(vec!["a1".into(), "é".into(), String::new()]);
            }
        }
    }

    #[test]
    fn a_damaged_query(text in prop_oneof![damaged(TEXTS), anything()]) {
        text_is_read(&text);
    }
}

#[test]
fn what_nests_deeply_is_read_or_refused() {
    damaged::deep().for_each(|text| text_is_read(&text));
}
