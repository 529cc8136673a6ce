//! What Grafana's server asks of Elasticsearch for a query that the browser sent.

mod counted;

use super::super::boards::Answer;
use crate::dashboards::{DataSource, index};
use crate::secret::start_of;
use serde_json::{Value, json};

/// Why a query is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// Grafana refuses it too.
    Fails(String),
    /// It holds what is not understood here.
    NotAsked(String),
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) index: String,
    /// What is searched for.
    pub(super) search: Value,
    shape: Shape,
}

/// What is made of its answer.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Documents,
    /// Buckets within buckets (their ids), and the numbers of each innermost one.
    Buckets {
        ids: Vec<String>,
        over_time: bool,
        numbers: Vec<Number>,
    },
}

/// A number of a bucket.
#[derive(Debug, Clone, PartialEq)]
enum Number {
    /// How many documents it has.
    Count,
    /// One value, under the metric's id.
    Value(String),
    /// A value for each percentile, under the metric's id.
    Percentiles(String),
}

/// The search of a query.
pub(super) fn search(
    query: &Value,
    source: &DataSource,
    (from, to): (i64, i64),
) -> Result<Search, Refused> {
    let time_field =
        source.json_data["timeField"].as_str().filter(|f| !f.is_empty()).unwrap_or("@timestamp");
    let range = json!({"range": {time_field: {"format": "epoch_millis", "gte": from, "lte": to}}});
    let mut filter = vec![range];
    if let Some(lucene) = query["query"].as_str().map(str::trim).filter(|q| !q.is_empty()) {
        filter.push(query_string(lucene));
    }
    let filtered = json!({"bool": {"filter": filter}});
    let default = vec![json!({"type": "count", "id": "1"})];
    let metrics = query["metrics"].as_array().filter(|m| !m.is_empty()).unwrap_or(&default);
    let kind = |metric: &Value| metric["type"].as_str().unwrap_or("count").to_owned();
    let index = index(source);
    if let Some(first) =
        metrics.first().filter(|m| matches!(kind(m).as_str(), "raw_data" | "raw_document" | "logs"))
    {
        let settings = &first["settings"];
        let size = number(&settings["size"]).or_else(|| number(&settings["limit"])).unwrap_or(500);
        let search = json!({"size": size, "query": filtered, "sort": [{time_field: {"order": "desc", "unmapped_type": "boolean"}}, {"_doc": {"order": "desc"}}]});
        return Ok(Search { index, search, shape: Shape::Documents });
    }
    let over_time = vec![
        json!({"type": "date_histogram", "id": "2", "field": time_field, "settings": {"interval": "auto"}}),
    ];
    let buckets = query["bucketAggs"].as_array().unwrap_or(&over_time);
    if buckets.is_empty() {
        return Err(Refused::Fails("a query without buckets".into()));
    }
    let (mut leaves, mut numbers) = (serde_json::Map::new(), Vec::new());
    for metric in metrics {
        let (kind, id) = (kind(metric), id_of(metric));
        if kind == "count" {
            if metric["hide"] != true {
                numbers.push(Number::Count);
            }
            continue;
        }
        leaves.insert(id.clone(), aggregated(&kind, metric)?);
        if metric["hide"] != true {
            numbers.push(if kind == "percentiles" {
                Number::Percentiles(id)
            } else {
                Number::Value(id)
            });
        }
    }
    let last = buckets.last().and_then(|b| b["type"].as_str()).unwrap_or_default().to_owned();
    let ids: Vec<String> = buckets.iter().map(id_of).collect();
    let all = leaves.clone();
    let interval = query["intervalMs"].as_u64().unwrap_or(1);
    let mut below = leaves;
    for bucket in buckets.iter().rev() {
        let mut made = bucketed(bucket, time_field, (from, to), interval)?;
        // A bucket that is ordered by a metric has to have it.
        let order =
            bucket["settings"]["orderBy"].as_str().map(|o| o.split(['[', '.']).next().unwrap_or(o));
        if let Some((id, metric)) =
            order.and_then(|o| all.get_key_value(o)).filter(|_| bucket["type"] == "terms")
        {
            below.entry(id.clone()).or_insert_with(|| metric.clone());
        }
        if !below.is_empty() {
            made["aggs"] = Value::Object(std::mem::take(&mut below));
        }
        below.insert(id_of(bucket), made);
    }
    let search = json!({"size": 0, "query": filtered, "aggs": below});
    Ok(Search {
        index,
        search,
        shape: Shape::Buckets { ids, over_time: last == "date_histogram", numbers },
    })
}

fn query_string(lucene: &str) -> Value {
    json!({"query_string": {"analyze_wildcard": true, "query": lucene}})
}

/// A number, which the editor may have written as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn id_of(aggregation: &Value) -> String {
    aggregation["id"].as_str().map_or_else(|| aggregation["id"].to_string(), str::to_owned)
}

fn aggregated(kind: &str, metric: &Value) -> Result<Value, Refused> {
    if !matches!(kind, "avg" | "sum" | "min" | "max" | "cardinality" | "percentiles") {
        return Err(Refused::NotAsked(format!("the metric {kind} is not asked without Grafana")));
    }
    let settings = &metric["settings"];
    let mut made = json!({"field": metric["field"]});
    let script = settings["script"]
        .as_str()
        .or(settings["script"]["inline"].as_str())
        .filter(|s| !s.is_empty());
    if let Some(script) = script {
        made["script"] = script.into();
    }
    if let Some(missing) = settings["missing"].as_str().filter(|m| !m.is_empty()) {
        made["missing"] = missing.parse::<f64>().map_or_else(|_| Value::from(missing), Value::from);
    }
    if let Some(threshold) =
        number(&settings["precision_threshold"]).filter(|_| kind == "cardinality")
    {
        made["precision_threshold"] = threshold.into();
    }
    if kind == "percentiles" {
        let stated = settings["percents"].as_array().filter(|p| !p.is_empty());
        let percents = stated.map_or_else(
            || json!([25, 50, 75, 95, 99]),
            |all| {
                all.iter()
                    .filter_map(|p| p.as_f64().or_else(|| p.as_str()?.parse().ok()))
                    .collect::<Vec<f64>>()
                    .into()
            },
        );
        made["percents"] = percents;
    }
    Ok(json!({kind: made}))
}

fn bucketed(
    bucket: &Value,
    time_field: &str,
    (from, to): (i64, i64),
    interval_ms: u64,
) -> Result<Value, Refused> {
    let settings = &bucket["settings"];
    let text = |key: &str| settings[key].as_str().filter(|s| !s.is_empty());
    match bucket["type"].as_str().unwrap_or_default() {
        "date_histogram" => {
            let auto = format!("{interval_ms}ms");
            let interval = text("interval").filter(|i| *i != "auto").unwrap_or(&auto);
            let calendar = ["1w", "1M", "1q", "1y"].contains(&interval);
            let mut made = json!({
                "field": bucket["field"].as_str().unwrap_or(time_field),
                "min_doc_count": number(&settings["min_doc_count"]).unwrap_or(0),
                "extended_bounds": {"min": from, "max": to},
                "format": "epoch_millis",
            });
            made[if calendar { "calendar_interval" } else { "fixed_interval" }] = interval.into();
            for (key, setting) in [("offset", "offset"), ("missing", "missing")] {
                if let Some(value) = text(setting) {
                    made[key] = value.into();
                }
            }
            if let Some(zone) = text("timeZone").filter(|z| *z != "utc") {
                made["time_zone"] = zone.into();
            }
            Ok(json!({"date_histogram": made}))
        }
        "terms" => {
            let order = match text("orderBy").unwrap_or("_term") {
                "_term" => "_key",
                other => other,
            };
            let size = number(&settings["size"]).filter(|s| *s > 0).unwrap_or(500);
            let mut made = json!({"field": bucket["field"], "size": size, "order": {order: text("order").unwrap_or("desc")}});
            if let Some(least) = number(&settings["min_doc_count"]) {
                made["min_doc_count"] = least.into();
            }
            if let Some(missing) = text("missing") {
                made["missing"] = missing.into();
            }
            Ok(json!({"terms": made}))
        }
        "filters" => {
            let all = settings["filters"].as_array().into_iter().flatten();
            let each = all.map(|f| {
                let lucene = f["query"].as_str().unwrap_or_default();
                (
                    f["label"].as_str().filter(|l| !l.is_empty()).unwrap_or(lucene).to_owned(),
                    query_string(lucene),
                )
            });
            Ok(json!({"filters": {"filters": each.collect::<serde_json::Map<_, _>>()}}))
        }
        other => {
            Err(Refused::NotAsked(format!("buckets of type {other} are not asked without Grafana")))
        }
    }
}

impl Search {
    /// As it is sent: a line that says where, and one that says what.
    pub(super) fn body(&self) -> String {
        let head = json!({"ignore_unavailable": true, "index": self.index, "search_type": "query_then_fetch"});
        format!("{head}\n{}\n", self.search)
    }

    /// What an answer shows on a panel.
    pub(super) fn answer(&self, status: u16, text: &str) -> Answer {
        let found: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(first) = found["responses"].get(0).filter(|_| status == 200) else {
            return Answer::failed(format!("HTTP {status}: {}", start_of(text.as_bytes())));
        };
        if let Some(error) = first.get("error") {
            let root = error["root_cause"][0]["reason"].as_str().or(error["reason"].as_str());
            return Answer::failed(root.map_or_else(|| error.to_string(), str::to_owned));
        }
        counted::counted(&self.shape, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> DataSource {
        let json_data =
            json!({"index": "[logs-]YYYY.MM.DD", "interval": "Daily", "timeField": "@timestamp"});
        DataSource { r#type: "elasticsearch".into(), json_data, ..DataSource::default() }
    }

    fn asked(query: Value) -> Search {
        search(&query, &source(), (1_000, 2_000)).unwrap()
    }

    #[test]
    fn lines_over_time_by_source() {
        let search = asked(
            json!({"query": "level:error", "intervalMs": 11, "metrics": [{"id": "1", "type": "count"}], "bucketAggs": [
            {"id": "3", "type": "terms", "field": "source", "settings": {"min_doc_count": "1", "order": "desc", "orderBy": "_count", "size": "10"}},
            {"id": "2", "type": "date_histogram", "field": "@timestamp", "settings": {"interval": "auto", "min_doc_count": "0"}}]}),
        );
        let over_time = json!({"date_histogram": {"field": "@timestamp", "min_doc_count": 0, "extended_bounds": {"min": 1000, "max": 2000},
            "format": "epoch_millis", "fixed_interval": "11ms"}});
        let terms = json!({"terms": {"field": "source", "size": 10, "order": {"_count": "desc"}, "min_doc_count": 1}, "aggs": {"2": over_time}});
        let filter = json!([{"range": {"@timestamp": {"format": "epoch_millis", "gte": 1000, "lte": 2000}}},
            {"query_string": {"analyze_wildcard": true, "query": "level:error"}}]);
        assert_eq!(
            search.search,
            json!({"size": 0, "query": {"bool": {"filter": filter}}, "aggs": {"3": terms}})
        );
        let body = search.body();
        let head: Value = serde_json::from_str(body.lines().next().unwrap()).unwrap();
        assert_eq!(
            (head["index"].as_str(), body.lines().count(), body.ends_with('\n')),
            (Some("logs-*"), 2, true)
        );
    }

    #[test]
    fn metrics_within_buckets() {
        let search = asked(json!({"query": "", "metrics": [
            {"id": "1", "type": "avg", "field": "duration_ms"},
            {"id": "4", "type": "cardinality", "field": "user", "settings": {"precision_threshold": "100"}},
            {"id": "5", "type": "percentiles", "field": "duration_ms", "settings": {"percents": ["50", "99"]}},
            {"id": "6", "type": "max", "field": "status", "settings": {"missing": "0"}, "hide": true}],
            "bucketAggs": [{"id": "3", "type": "terms", "field": "endpoint", "settings": {"orderBy": "1", "order": "asc", "size": "0"}},
                {"id": "2", "type": "filters", "settings": {"filters": [{"query": "a:1", "label": "one"}, {"query": "b:2"}]}}]}));
        let terms = &search.search["aggs"]["3"];
        assert_eq!(
            terms["terms"],
            json!({"field": "endpoint", "size": 500, "order": {"1": "asc"}})
        );
        assert_eq!(terms["aggs"]["1"], json!({"avg": {"field": "duration_ms"}}), "ordered by it");
        let filters = &terms["aggs"]["2"];
        assert_eq!(filters["filters"]["filters"]["one"], query_string("a:1"));
        assert_eq!(filters["filters"]["filters"]["b:2"], query_string("b:2"));
        assert_eq!(
            filters["aggs"]["4"],
            json!({"cardinality": {"field": "user", "precision_threshold": 100}})
        );
        assert_eq!(
            filters["aggs"]["5"],
            json!({"percentiles": {"field": "duration_ms", "percents": [50.0, 99.0]}})
        );
        assert_eq!(filters["aggs"]["6"], json!({"max": {"field": "status", "missing": 0.0}}));
        assert_eq!(
            search.search["query"]["bool"]["filter"].as_array().unwrap().len(),
            1,
            "an empty query filters nothing"
        );
    }

    #[test]
    fn documents_and_what_is_assumed() {
        for kind in ["raw_data", "raw_document", "logs"] {
            let search = asked(
                json!({"query": "*", "metrics": [{"id": "1", "type": kind, "settings": {"size": "20"}}]}),
            );
            assert_eq!((&search.search["size"], search.shape), (&json!(20), Shape::Documents));
        }
        let plain = asked(json!({"query": "*", "intervalMs": 5}));
        assert_eq!(plain.search["aggs"]["2"]["date_histogram"]["fixed_interval"], "5ms");
        let bucket = |settings: Value| {
            asked(json!({"bucketAggs": [{"id": "2", "type": "date_histogram", "field": "t", "settings": settings}]})).search
        };
        let made = bucket(json!({"interval": "1w", "timeZone": "Europe/Berlin", "offset": "+1h"}));
        let made = &made["aggs"]["2"]["date_histogram"];
        assert_eq!(
            (&made["calendar_interval"], &made["time_zone"], &made["offset"]),
            (&json!("1w"), &json!("Europe/Berlin"), &json!("+1h"))
        );
        assert_eq!(
            bucket(json!({"interval": "30s"}))["aggs"]["2"]["date_histogram"]["fixed_interval"],
            "30s"
        );
    }

    #[test]
    fn what_is_not_understood_is_not_asked() {
        let refused = |query: Value| search(&query, &source(), (0, 1)).unwrap_err();
        assert!(
            matches!(refused(json!({"metrics": [{"id": "1", "type": "derivative"}]})), Refused::NotAsked(w) if w.contains("derivative"))
        );
        assert!(
            matches!(refused(json!({"bucketAggs": [{"id": "2", "type": "geohash_grid"}]})), Refused::NotAsked(w) if w.contains("geohash_grid"))
        );
        assert!(matches!(refused(json!({"bucketAggs": []})), Refused::Fails(_)));
    }
}
