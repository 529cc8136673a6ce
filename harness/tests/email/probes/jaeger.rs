//! Jaeger with more traces than one page holds.

use super::{SECOND, assert_unreachable, connect, fact, now_s};
use firedrill::probe::Question;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::images;
use support::lab::{Container, Lab, Spec, eventually};
use verdict::observation::Fact;
use verdict::observation::traces::Span;

pub async fn start(lab: &mut Lab) -> Container {
    let (image, ports, aliases) =
        (images::reference("jaeger"), vec![16686, 4318], vec!["jaeger".into()]);
    let container = lab.start(Spec { image, ports, aliases, ..Spec::default() }).await;
    let services = format!("http://127.0.0.1:{}/api/services", container.port(16686));
    let ready = || async {
        reqwest::get(&services).await.and_then(|r| r.error_for_status()).map_err(|e| e.to_string())
    };
    eventually(20 * SECOND, ready).await;
    container
}

fn span(trace: u64, id: u64, parent: Option<u64>, name: &str, start_us: i64) -> Value {
    let nanos = |us: i64| (us * 1000).to_string();
    let mut span = json!({"traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "name": name, "kind": 2,
        "startTimeUnixNano": nanos(start_us), "endTimeUnixNano": nanos(start_us + 250),
        "attributes": [{"key": "operation.id", "value": {"stringValue": format!("op-{trace}")}}, {"key": "n", "value": {"intValue": "7"}}]});
    if let Some(parent) = parent {
        span["parentSpanId"] = format!("{parent:016x}").into();
    }
    span
}

/// Sends spans of one service by OTLP over HTTP.
pub async fn send(container: &Container, service: &str, spans: Vec<Value>) {
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    let url = format!("http://127.0.0.1:{}/v1/traces", container.port(4318));
    let post = || async {
        let answer = reqwest::Client::new()
            .post(&url)
            .json(&body)
            .send()
            .await
            .and_then(|r| r.error_for_status());
        answer.map(drop).map_err(|e| e.to_string())
    };
    eventually(30 * SECOND, post).await;
}

/// A trace of two spans in two services.
pub fn trace(number: u64, start_us: i64) -> (Value, Value) {
    let root = span(number, number * 2, None, "POST /x", start_us);
    (root, span(number, number * 2 + 1, Some(number * 2), "work", start_us + 100))
}

pub async fn answers() {
    let began = now_s();
    let mut lab = Lab::new().await;
    let container = start(&mut lab).await;
    const TRACES: u64 = 1800;
    let first_us = (began * 1e6) as i64 - 60_000_000;
    let all: Vec<(Value, Value)> =
        (1..=TRACES).map(|n| trace(n, first_us + n as i64 * 10_000)).collect();
    send(&container, "web", all.iter().map(|(root, _)| root.clone()).collect()).await;
    send(&container, "worker", all.iter().map(|(_, child)| child.clone()).collect()).await;
    // One whose parent is missing.
    send(&container, "worker", vec![span(TRACES + 1, 9999, Some(8888), "orphan", first_us)]).await;

    let probe = connect("jaeger", container.port(16686));
    let spans = async |services: &[&str], end_s: f64| -> Vec<Span> {
        let services = services.iter().map(|s| (*s).to_owned()).collect();
        match fact(&*probe, Question::Spans { services, start_s: began - 120.0, end_s }).await {
            Fact::Spans { spans, truncated } => {
                assert!(!truncated);
                spans
            }
            other => panic!("{other:?}"),
        }
    };
    let wanted = TRACES as usize * 2 + 1;
    let stored = eventually(30 * SECOND, || async {
        let found = spans(&["web", "worker"], now_s()).await;
        if found.len() >= wanted {
            Ok(found)
        } else {
            Err(format!("{} of {wanted} spans", found.len()))
        }
    })
    .await;
    assert_eq!(stored.len(), wanted);
    let ids: HashSet<_> = stored.iter().map(|s| (&s.trace_id, &s.span_id)).collect();
    assert_eq!(ids.len(), wanted, "each span once");
    let find = |id: u64| stored.iter().find(|s| s.span_id == format!("{id:016x}")).unwrap();
    let (root, child) = (find(2), find(3));
    assert_eq!(root.trace_id, format!("{:032x}", 1));
    assert_eq!(
        (root.service.as_str(), root.name.as_str(), root.parent_id.as_deref()),
        ("web", "POST /x", None)
    );
    assert_eq!((root.start_us, root.duration_us), (first_us + 10_000, 250));
    assert_eq!(
        (root.attributes.text("operation.id").as_deref(), root.attributes.text("n").as_deref()),
        (Some("op-1"), Some("7"))
    );
    assert_eq!(
        (child.service.as_str(), child.parent_id.as_deref()),
        ("worker", Some(root.span_id.as_str()))
    );
    assert_eq!(find(9999).parent_id.as_deref(), Some(format!("{:016x}", 8888)).as_deref());

    // All services when none is named; none that is not known; none before they were.
    assert_eq!(spans(&[], now_s()).await.len(), wanted);
    assert!(spans(&["nobody"], now_s()).await.is_empty());
    assert!(spans(&["web"], began - 100.0).await.is_empty());
    let since_s = (first_us as f64 + (TRACES as f64 - 2.5) * 1e4) / 1e6;
    let (signal, id_attribute) = ("trace".to_owned(), "operation.id".to_owned());
    match fact(
        &*probe,
        Question::NewestTraces { signal, services: vec!["web".into()], id_attribute, since_s },
    )
    .await
    {
        Fact::Freshness(newest) => {
            let ids: HashSet<_> = newest.ids.iter().map(String::as_str).collect();
            assert_eq!(ids, HashSet::from(["op-1798", "op-1799", "op-1800"]));
            assert!(
                (newest.at_s.unwrap() - (first_us as f64 / 1e6 + 18.0)).abs() < 0.001,
                "{newest:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    lab.stop(&container).await;
    assert_unreachable(
        &*probe,
        Question::Spans { services: vec!["web".into()], start_s: 0.0, end_s: 1.0 },
    )
    .await;
}
