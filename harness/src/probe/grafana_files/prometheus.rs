//! What Grafana's server asks of Prometheus for a query that the browser sent.

use super::super::boards::Answer;
use crate::dashboards::DataSource;
use crate::dashboards::interval::{parsed_ms, rounded_ms, written, written_in_full};
use crate::dashboards::lookup::form;
use crate::secret::start_of;
use serde_json::Value;

/// Points of a series that Prometheus answers at most.
const POINTS: f64 = 11_000.0;
/// Interval between scrapes where a data source states none.
const SCRAPES_MS: u64 = 15_000;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// Expression, with all its variables filled in.
    pub(super) expr: String,
    /// Over which time.
    pub(super) over: Over,
    /// Whether it travels in the address.
    pub(super) by_get: bool,
    more: Vec<(String, String)>,
}

/// Times in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Instant { at: i64 },
    Range { start: i64, end: i64, step: u64 },
}

/// The requests of a query as the browser sent it: one for an instant, one over the range, or both.
pub(super) fn requests(
    query: &Value,
    source: &DataSource,
    (from, to): (i64, i64),
) -> Result<Vec<Request>, String> {
    let scrapes = source.json_data["timeInterval"].as_str().filter(|t| !t.is_empty());
    let scrapes_ms = match scrapes {
        Some(text) => parsed_ms(text)
            .ok_or_else(|| format!("the data source's scrape interval {text:?} is none"))?,
        None => SCRAPES_MS,
    };
    let asked = query["interval"].as_str().unwrap_or_default();
    let is_rate = matches!(asked, "$__rate_interval" | "${__rate_interval}");
    let is_variable = is_rate || matches!(asked, "$__interval" | "${__interval}");
    let least = match (asked, query["intervalMs"].as_u64().filter(|ms| *ms > 0)) {
        (text, _) if !text.is_empty() && !is_variable => {
            parsed_ms(text).ok_or_else(|| format!("interval {text:?} is none"))?
        }
        (_, Some(ms)) => ms,
        _ => scrapes_ms,
    };
    let range = (to - from).max(0) as f64;
    let points = query["maxDataPoints"].as_f64().filter(|p| *p > 0.0).unwrap_or(1_500.0);
    let wanted = range / points;
    let step = if wanted < least as f64 { least } else { rounded_ms(wanted) };
    let step = step.max(rounded_ms(range / POINTS));
    let rate = |interval: u64| (interval + scrapes_ms).max(4 * scrapes_ms);
    let step = if is_rate {
        rate(step)
    } else {
        step * query["intervalFactor"].as_u64().filter(|f| *f > 0).unwrap_or(1)
    };
    let expr = filled(
        query["expr"].as_str().unwrap_or_default(),
        step,
        if is_rate { step } else { rate(step) },
        range,
    );
    let by_get =
        source.json_data["httpMethod"].as_str().is_some_and(|m| m.eq_ignore_ascii_case("GET"));
    let more = source.json_data["customQueryParameters"].as_str().unwrap_or_default();
    let more: Vec<(String, String)> = more
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let request = |over: Over| Request { expr: expr.clone(), over, by_get, more: more.clone() };
    let instant = query["instant"] == true;
    let range = query["range"] == true || !instant;
    // Ranges begin and end at multiples of the step, instants where they are.
    let offset = query["utcOffsetSec"].as_i64().unwrap_or(0) * 1_000;
    let aligned = |at: i64| (at + offset).div_euclid(step as i64) * step as i64 - offset;
    let over = range.then(|| Over::Range { start: aligned(from), end: aligned(to), step });
    Ok(instant.then_some(Over::Instant { at: to }).into_iter().chain(over).map(request).collect())
}

/// The expression with the intervals filled in, longer names first.
fn filled(expr: &str, step: u64, rate: u64, range_ms: f64) -> String {
    let range_s = (range_ms / 1e3).round();
    let values = [
        ("__interval_ms", step.to_string()),
        ("__interval", written(step)),
        ("__range_ms", format!("{range_ms:.0}")),
        ("__range_s", range_s.to_string()),
        ("__range", format!("{range_s}s")),
        ("__rate_interval_ms", rate.to_string()),
        ("__rate_interval", written_in_full(rate)),
    ];
    values.iter().fold(expr.to_owned(), |text, (name, value)| {
        text.replace(&format!("${name}"), value).replace(&format!("${{{name}}}"), value)
    })
}

impl Request {
    /// Path below the data source's address.
    pub(super) fn path(&self) -> &'static str {
        match self.over {
            Over::Instant { .. } => "api/v1/query",
            Over::Range { .. } => "api/v1/query_range",
        }
    }

    /// Its parameters.
    pub(super) fn form(&self) -> String {
        let seconds = |ms: i64| (ms as f64 / 1e3).to_string();
        let times = match self.over {
            Over::Instant { at } => vec![("time", seconds(at))],
            Over::Range { start, end, step } => vec![
                ("start", seconds(start)),
                ("end", seconds(end)),
                ("step", seconds(step as i64)),
            ],
        };
        let times = times.iter().map(|(name, value)| (*name, value.as_str()));
        form(
            std::iter::once(("query", self.expr.as_str()))
                .chain(times)
                .chain(self.more.iter().map(|(n, v)| (n.as_str(), v.as_str()))),
        )
    }
}

/// What an answer shows on a panel: series, and values that can be drawn.
pub(super) fn answer(status: u16, text: &str) -> Answer {
    let found: Value = serde_json::from_str(text).unwrap_or_default();
    if found["status"] != "success" {
        let told = found["error"]
            .as_str()
            .map(|e| format!("{}: {e}", found["errorType"].as_str().unwrap_or("error")));
        return Answer::failed(
            told.unwrap_or_else(|| format!("HTTP {status}: {}", start_of(text.as_bytes()))),
        );
    }
    let data = &found["data"];
    let drawn = |sample: &Value| {
        sample[1].as_str().and_then(|v| v.parse::<f64>().ok()).is_some_and(f64::is_finite)
    };
    let series = || data["result"].as_array().into_iter().flatten();
    let samples = |series: &Value| {
        series["values"].as_array().map_or(0, |v| v.iter().filter(|s| drawn(s)).count()) as u64
    };
    let histograms = |series: &Value| {
        series["histograms"].as_array().map_or(0, Vec::len) as u64
            + u64::from(series["histogram"].is_array())
    };
    let values = match data["resultType"].as_str() {
        Some("matrix") => series().map(|s| samples(s) + histograms(s)).sum(),
        Some("vector") => series().map(|s| u64::from(drawn(&s["value"])) + histograms(s)).sum(),
        Some("scalar") => u64::from(drawn(&data["result"])),
        Some("string") => 1,
        _ => {
            return Answer::failed(format!(
                "HTTP {status}, not understood: {}",
                start_of(text.as_bytes())
            ));
        }
    };
    let frames = if matches!(data["resultType"].as_str(), Some("scalar" | "string")) {
        1
    } else {
        series().count() as u64
    };
    Answer { frames, values, error: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(json_data: Value) -> DataSource {
        DataSource { r#type: "prometheus".into(), json_data, ..DataSource::default() }
    }

    fn only(query: Value, json_data: Value, over: (i64, i64)) -> Request {
        let mut all = requests(&query, &source(json_data), over).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    fn query(expr: &str, more: Value) -> Value {
        let mut query =
            json!({"expr": expr, "range": true, "intervalMs": 7200, "maxDataPoints": 500});
        for (key, value) in more.as_object().into_iter().flatten() {
            query[key] = value.clone();
        }
        query
    }

    const HOUR: (i64, i64) = (1_000_003_000, 1_003_603_000);

    #[test]
    fn the_rate_interval_is_the_longer_of_its_two_terms() {
        let rate = |scrapes: &str, more: Value| {
            only(query("rate(x[$__rate_interval])", more), json!({"timeInterval": scrapes}), HOUR)
                .expr
        };
        // Four scrapes, while the interval is short …
        assert_eq!(rate("15s", json!({})), "rate(x[1m0s])");
        assert_eq!(rate("", json!({})), "rate(x[1m0s])");
        assert_eq!(rate("1s", json!({"intervalMs": 1})), "rate(x[6s])");
        // … and interval and scrape where that is longer.
        assert_eq!(rate("15s", json!({"maxDataPoints": 30})), "rate(x[2m15s])");
        let both =
            only(query("x[${__rate_interval}] $__rate_interval_ms", json!({})), json!({}), HOUR);
        assert_eq!(both.expr, "x[1m0s] 60000");
    }

    #[test]
    fn every_interval_and_range_is_filled_in() {
        let expr = "[$__interval] $__interval_ms [$__range] $__range_s $__range_ms ${__interval} ${__range_s}";
        assert_eq!(
            only(query(expr, json!({})), json!({}), HOUR).expr,
            "[5s] 5000 [3600s] 3600 3600000 5s 3600"
        );
        assert_eq!(only(query("$__range_s", json!({})), json!({}), (0, 5_786)).expr, "6");
    }

    #[test]
    fn the_step_follows_from_range_points_and_the_least_interval() {
        let step = |more: Value, range: (i64, i64)| match only(
            query("up", more),
            json!({"timeInterval": "15s"}),
            range,
        )
        .over
        {
            Over::Range { start, end, step } => {
                assert!(
                    start % step as i64 == 0
                        && end % step as i64 == 0
                        && start <= range.0
                        && range.0 - start < step as i64
                );
                step
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(step(json!({"intervalMs": 1_000}), HOUR), 5_000);
        assert_eq!(step(json!({"interval": "30s"}), HOUR), 30_000);
        assert_eq!(step(json!({"interval": "$__interval", "intervalMs": 1_000}), HOUR), 5_000);
        assert_eq!(
            step(json!({"interval": "$__rate_interval", "intervalMs": 1_000}), HOUR),
            60_000
        );
        assert_eq!(step(json!({"interval": "30s", "intervalFactor": 2}), HOUR), 60_000);
        assert_eq!(step(json!({"intervalMs": 0, "maxDataPoints": 100_000}), HOUR), 15_000);
        // More points than the server gives: 13 weeks in seconds.
        assert_eq!(
            step(json!({"interval": "1s", "maxDataPoints": 1_000_000_000}), (0, 7_862_400_000)),
            600_000
        );
        assert!(
            requests(&query("up", json!({"interval": "5 apples"})), &source(json!({})), HOUR)
                .unwrap_err()
                .contains("5 apples")
        );
        assert!(
            requests(&query("up", json!({})), &source(json!({"timeInterval": "x"})), HOUR).is_err()
        );
    }

    #[test]
    fn instants_ranges_and_both() {
        let asked = |more: Value| {
            requests(&query("up", more), &source(json!({})), (1_500, 12_345)).unwrap()
        };
        let paths = |more: Value| asked(more).iter().map(Request::path).collect::<Vec<_>>();
        assert_eq!(paths(json!({"range": false})), ["api/v1/query_range"]);
        assert_eq!(paths(json!({"instant": true})), ["api/v1/query", "api/v1/query_range"]);
        let instant = &asked(json!({"range": false, "instant": true}))[0];
        assert_eq!(
            (instant.path(), instant.form().as_str()),
            ("api/v1/query", "query=up&time=12.345")
        );
        assert_eq!(
            asked(json!({"interval": "500ms"}))[0].form(),
            "query=up&start=1.5&end=12&step=0.5"
        );
        assert!(!instant.by_get);
        let more = json!({"httpMethod": "GET", "customQueryParameters": "timeout=5s&dedup=true"});
        let got = only(query("up", json!({"interval": "1s"})), more, (0, 1_000));
        assert!(
            got.by_get && got.form() == "query=up&start=0&end=1&step=1&timeout=5s&dedup=true",
            "{got:?}"
        );
    }

    #[test]
    fn what_can_be_drawn_counts() {
        let of = |text: &str| {
            let a = answer(200, text);
            assert_eq!(a.error, None);
            (a.frames, a.values)
        };
        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"1"],[2,"NaN"],[3,"+Inf"],[4,"0"]]},{"metric":{"a":"b"},"values":[[1,"5"]]}]}}"#;
        assert_eq!(of(matrix), (2, 3));
        assert_eq!(
            of(
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}"#
            ),
            (1, 0)
        );
        assert_eq!(
            of(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
            (0, 0)
        );
        assert_eq!(
            of(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#),
            (1, 1)
        );
        assert_eq!(
            of(
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#
            ),
            (1, 1)
        );
        let wrong = |status, text| answer(status, text).error.unwrap();
        assert_eq!(
            wrong(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#),
            "bad_data: parse error"
        );
        assert_eq!(wrong(502, "<html>"), "HTTP 502: <html>");
        assert!(wrong(200, r#"{"status":"success","data":{}}"#).contains("not understood"));
    }
}
