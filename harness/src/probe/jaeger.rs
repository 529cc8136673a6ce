//! The trace store, asked over the HTTP API of Jaeger's query service.

use super::ask::{ApiClient, BULK};
use super::{Probe, Question};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::time::Instant;
use verdict::observation::fields::text;
use verdict::observation::traces::Span;
use verdict::observation::{Fact, Freshness, Observation};

/// Traces in one answer; a window that holds as many is split.
const PAGE: usize = 500;
/// A window that is no longer is not split any further, microseconds.
const SHORTEST_US: i64 = 1_000;
/// Spans in one answer. Ask for shorter times where there may be more.
const MOST: usize = 400_000;

/// Asks Jaeger.
pub struct Jaeger {
    client: ApiClient,
}

impl Jaeger {
    pub(super) fn new(client: ApiClient) -> Jaeger {
        Jaeger { client }
    }

    async fn answer(&self, question: &Question) -> Result<Vec<Fact>, String> {
        match question {
            Question::Spans { services, start_s, end_s } => {
                let (spans, truncated) = self.spans(services, *start_s, *end_s, PAGE).await?;
                Ok(vec![Fact::Spans { spans, truncated }])
            }
            Question::NewestTraces { signal, services, id_attribute, since_s } => {
                self.newest(signal, services, id_attribute, *since_s).await
            }
            other => Err(format!("jaeger has no answer to this question: {}", other.asked())),
        }
    }

    async fn newest(
        &self,
        signal: &str,
        services: &[String],
        id_attribute: &str,
        since_s: f64,
    ) -> Result<Vec<Fact>, String> {
        let (found, _) = self.spans(services, since_s, self.client.now().wall_s(), PAGE).await?;
        let ids = found.iter().filter_map(|span| span.operation(id_attribute)).collect();
        let at_s = found.iter().map(|span| span.start_us).max().map(|us| us as f64 / 1e6);
        Ok(vec![Fact::Freshness(Freshness { signal: signal.to_owned(), ids, at_s })])
    }

    /// The spans of all traces in which one of the services took part; of all services that the
    /// store knows, if none is named. A trace that the window cuts is given whole. And whether
    /// there were more.
    async fn spans(
        &self,
        services: &[String],
        start_s: f64,
        end_s: f64,
        page: usize,
    ) -> Result<(Vec<Span>, bool), String> {
        let deadline = Instant::now() + BULK * 9 / 10;
        let all;
        let services = if services.is_empty() {
            all = self.client.get::<Answer<Vec<String>>>("/api/services", &[]).await?.data()?;
            &all
        } else {
            services
        };
        let (start, end) = ((start_s * 1e6).floor() as i64, (end_s * 1e6).ceil() as i64);
        let mut windows: Vec<(&String, i64, i64)> =
            services.iter().map(|s| (s, start, end)).collect();
        let (mut spans, mut seen, mut truncated) = (Vec::new(), HashSet::new(), false);
        while let Some((service, from, to)) = windows.pop() {
            if spans.len() >= MOST || Instant::now() > deadline {
                truncated = true;
                break;
            }
            let (start, end, limit) = (from.to_string(), to.to_string(), page.to_string());
            let parameters = [
                ("service", service.as_str()),
                ("start", &start),
                ("end", &end),
                ("limit", &limit),
            ];
            let traces =
                self.client.get::<Answer<Vec<Trace>>>("/api/traces", &parameters).await?.data()?;
            if traces.len() >= page {
                if to - from > SHORTEST_US {
                    let middle = from + (to - from) / 2;
                    windows.extend([(service, from, middle), (service, middle, to)]);
                    continue;
                }
                truncated = true;
            }
            for span in traces.into_iter().flat_map(Trace::spans) {
                if seen.insert((span.trace_id.clone(), span.span_id.clone())) {
                    spans.push(span);
                }
            }
        }
        Ok((spans, truncated))
    }
}

impl Probe for Jaeger {
    fn source(&self) -> &str {
        self.client.source()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        Box::pin(async move {
            self.client.observe(&question.asked(), BULK, self.answer(question)).await
        })
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Option<Vec<Value>>,
}

impl<T: Default> Answer<T> {
    fn data(self) -> Result<T, String> {
        match self.errors.filter(|e| !e.is_empty()) {
            Some(errors) => Err(format!("the query service says {}", Value::from(errors))),
            None => Ok(self.data.unwrap_or_default()),
        }
    }
}

#[derive(Deserialize)]
struct Trace {
    spans: Vec<FoundSpan>,
    processes: HashMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundSpan {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    start_time: i64,
    duration: i64,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(rename = "processID")]
    process_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    value: Value,
}

impl Trace {
    fn spans(self) -> impl Iterator<Item = Span> {
        let processes = self.processes;
        self.spans.into_iter().map(move |s| {
            // A parent in another trace is a link, not a parent.
            let parent =
                s.references.iter().find(|r| r.ref_type == "CHILD_OF" && r.trace_id == s.trace_id);
            Span {
                parent_id: parent.map(|r| padded(&r.span_id, 16)),
                service: processes
                    .get(&s.process_id)
                    .map(|p| p.service_name.clone())
                    .unwrap_or_default(),
                name: s.operation_name,
                start_us: s.start_time,
                duration_us: s.duration,
                attributes: s
                    .tags
                    .into_iter()
                    .map(|t| (t.key, Value::from(text(&t.value))))
                    .collect(),
                trace_id: padded(&s.trace_id, 32),
                span_id: padded(&s.span_id, 16),
            }
        })
    }
}

/// Jaeger leaves out leading zeros of ids.
fn padded(id: &str, digits: usize) -> String {
    format!("{id:0>digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_the_query_service_gives_them() {
        let text = r#"{"data":[{"traceID":"ab","spans":[
            {"traceID":"ab","spanID":"1","operationName":"root","references":[{"refType":"CHILD_OF","traceID":"other","spanID":"7"}],
             "startTime":10,"duration":5,"tags":[{"key":"n","type":"int64","value":3},{"key":"ok","type":"bool","value":true}],"processID":"p1"},
            {"traceID":"ab","spanID":"2","operationName":"child","references":[{"refType":"FOLLOWS_FROM","traceID":"ab","spanID":"9"},
             {"refType":"CHILD_OF","traceID":"ab","spanID":"1"}],"startTime":11,"duration":1,"tags":[{"key":"s","type":"string","value":"x"}],"processID":"p2"}],
            "processes":{"p1":{"serviceName":"web"},"p2":{"serviceName":"db"}}}],"total":0,"errors":null}"#;
        let traces = serde_json::from_str::<Answer<Vec<Trace>>>(text).unwrap().data().unwrap();
        let spans: Vec<Span> = traces.into_iter().flat_map(Trace::spans).collect();
        assert_eq!(spans[0].trace_id, "000000000000000000000000000000ab");
        assert_eq!((spans[0].parent_id.as_deref(), spans[0].service.as_str()), (None, "web"));
        assert_eq!(spans[1].parent_id.as_deref(), Some("0000000000000001"));
        assert_eq!(
            (spans[0].attributes.text("n"), spans[0].attributes.text("ok")),
            (Some("3".into()), Some("true".into()))
        );
        assert_eq!(
            (spans[1].attributes.text("s").as_deref(), spans[1].service.as_str()),
            (Some("x"), "db")
        );
    }

    #[tokio::test]
    async fn a_window_that_stays_full_is_cut_off_and_says_so() {
        let trace = r#"{"traceID":"ab","spans":[{"traceID":"ab","spanID":"1","operationName":"x","startTime":1,"duration":1,"processID":"p"}],
            "processes":{"p":{"serviceName":"web"}}}"#;
        let body = format!(r#"{{"data":[{trace},{trace}],"errors":null}}"#);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = axum::Router::new().fallback(move || async move { body });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let probe = Jaeger::new(crate::probe::ask::tests::plain("traces", port));
        for (page, wanted) in [(2, true), (3, false)] {
            let (spans, truncated) =
                probe.spans(&["web".to_owned()], 1.0, 1.01, page).await.unwrap();
            assert_eq!((spans.len(), truncated), (1, wanted));
        }
    }

    #[test]
    fn an_error_in_the_answer_is_an_error() {
        let text = r#"{"data":null,"errors":[{"code":500,"msg":"storage is gone"}]}"#;
        let error = serde_json::from_str::<Answer<Vec<String>>>(text).unwrap().data().unwrap_err();
        assert!(error.contains("storage is gone"));
    }
}
