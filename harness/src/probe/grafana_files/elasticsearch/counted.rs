//! How many series and numbers an answer of Elasticsearch is on a panel.

use super::{Number, Shape};
use crate::probe::boards::Answer;
use serde_json::Value;

/// The series and numbers that Grafana makes of a response.
pub(super) fn counted(shape: &Shape, response: &Value) -> Answer {
    match shape {
        Shape::Documents => {
            let hits = response["hits"]["hits"].as_array().map_or(0, Vec::len) as u64;
            Answer { frames: hits.min(1), values: hits, error: None }
        }
        Shape::Buckets { ids, over_time, numbers } => {
            let mut found = Found::default();
            walk(&response["aggregations"], ids, numbers, &mut found);
            // Over time there is a series for each of the numbers of each outer bucket, else one
            // table.
            let frames = if *over_time { found.series } else { found.rows.min(1) };
            Answer { frames, values: found.values, error: None }
        }
    }
}

#[derive(Default)]
struct Found {
    series: u64,
    rows: u64,
    values: u64,
}

fn walk(at: &Value, ids: &[String], numbers: &[Number], found: &mut Found) {
    let Some((id, below)) = ids.split_first() else { return };
    let buckets: Vec<&Value> = match &at[id]["buckets"] {
        Value::Array(all) => all.iter().collect(),
        Value::Object(named) => named.values().collect(),
        _ => return,
    };
    if !below.is_empty() {
        return buckets.into_iter().for_each(|bucket| walk(bucket, below, numbers, found));
    }
    found.rows += buckets.len() as u64;
    for number in numbers {
        let of = |bucket: &&Value| match number {
            Number::Count => vec![bucket["doc_count"].clone()],
            Number::Value(id) => vec![bucket[id]["value"].clone()],
            Number::Percentiles(id) => bucket[id]["values"]
                .as_object()
                .map_or_else(Vec::new, |all| all.values().cloned().collect()),
        };
        let each = buckets.first().map_or(0, |b| of(b).len()) as u64;
        found.series += each;
        found.values += buckets.iter().flat_map(of).filter(Value::is_number).count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::search;
    use crate::dashboards::DataSource;
    use serde_json::{Value, json};

    fn counted(query: Value, response: Value) -> (u64, u64) {
        let search = search(&query, &DataSource::default(), (0, 10)).unwrap();
        let answer = search.answer(200, &json!({"responses": [response]}).to_string());
        assert_eq!(answer.error, None);
        (answer.frames, answer.values)
    }

    #[test]
    fn series_over_time_tables_and_documents() {
        let by_source = json!({"bucketAggs": [{"id": "3", "type": "terms", "field": "s"}, {"id": "2", "type": "date_histogram"}]});
        let over_time = |counts: &[u64]| json!({"2": {"buckets": counts.iter().map(|c| json!({"key": 1, "doc_count": c})).collect::<Vec<_>>()}});
        let two = json!({"aggregations": {"3": {"buckets": [over_time(&[1, 0, 2]), over_time(&[0, 0, 0])]}}});
        // Where nothing was there is a zero, which is drawn.
        assert_eq!(counted(by_source.clone(), two), (2, 6));
        assert_eq!(counted(by_source, json!({"aggregations": {"3": {"buckets": []}}})), (0, 0));

        let metrics = json!({"metrics": [{"id": "1", "type": "avg", "field": "d"}, {"id": "4", "type": "percentiles", "field": "d"}],
            "bucketAggs": [{"id": "2", "type": "date_histogram"}]});
        let bucket = |value: Value| json!({"1": {"value": value}, "4": {"values": {"50.0": value, "99.0": value}}});
        let gaps =
            json!({"aggregations": {"2": {"buckets": [bucket(json!(1.5)), bucket(Value::Null)]}}});
        assert_eq!(counted(metrics, gaps), (3, 3));

        let table =
            json!({"bucketAggs": [{"id": "2", "type": "filters", "settings": {"filters": []}}]});
        let named = json!({"aggregations": {"2": {"buckets": {"a": {"doc_count": 1}, "b": {"doc_count": 0}}}}});
        assert_eq!(counted(table, named), (1, 2));

        let lines = json!({"metrics": [{"id": "1", "type": "logs"}]});
        assert_eq!(counted(lines.clone(), json!({"hits": {"hits": [{}, {}]}})), (1, 2));
        assert_eq!(counted(lines, json!({"hits": {"hits": []}})), (0, 0));
    }

    #[test]
    fn errors_are_told() {
        let search = search(&json!({}), &DataSource::default(), (0, 10)).unwrap();
        let told = |status, text: &str| search.answer(status, text).error.unwrap();
        let parse = r#"{"responses":[{"error":{"root_cause":[{"type":"x","reason":"Failed to parse query [a:]"}],"reason":"all shards failed"}}]}"#;
        assert_eq!(told(200, parse), "Failed to parse query [a:]");
        assert_eq!(told(200, r#"{"responses":[{"error":{"reason":"no index"}}]}"#), "no index");
        assert_eq!(told(503, "gone"), "HTTP 503: gone");
        assert_eq!(told(200, "{}"), "HTTP 200: {}");
    }
}
