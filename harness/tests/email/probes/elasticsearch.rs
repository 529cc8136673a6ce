//! Elasticsearch with more documents than one page holds, in two daily indices.

use super::{SECOND, ask, assert_unreachable, connect, fact};
use firedrill::probe::{Probe, Question};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::images;
use support::lab::{Container, Lab, Spec, eventually};
use verdict::observation::{Fact, Freshness};

const NOON: f64 = 1_700_000_000.0;

pub async fn start(lab: &mut Lab) -> Container {
    let watermarks = ["low", "high", "flood_stage"]
        .map(|w| format!("cluster.routing.allocation.disk.watermark.{w}=1gb"));
    let mut env =
        vec!["discovery.type=single-node".to_owned(), "ES_JAVA_OPTS=-Xms384m -Xmx384m".to_owned()];
    env.extend(watermarks);
    let (image, ports, aliases) =
        (images::reference("elasticsearch"), vec![9200], vec!["elasticsearch".into()]);
    let container = lab.start(Spec { image, env, ports, aliases, ..Spec::default() }).await;
    let health = format!(
        "http://127.0.0.1:{}/_cluster/health?wait_for_status=yellow&timeout=1s",
        container.port(9200)
    );
    let ready = || async {
        reqwest::get(&health).await.and_then(|r| r.error_for_status()).map_err(|e| e.to_string())
    };
    eventually(90 * SECOND, ready).await;
    container
}

pub async fn call(container: &Container, method: Method, path: &str, body: String) -> Value {
    let url = format!("http://127.0.0.1:{}{path}", container.port(9200));
    let request = reqwest::Client::new()
        .request(method, url)
        .header("content-type", "application/json")
        .body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Documents a second apart from `NOON`, into the index of their parity.
pub async fn fill(container: &Container, prefix: &str, count: usize, first_s: f64) {
    let mut lines = String::new();
    for n in 0..count {
        let index = format!("{prefix}-{}", if n % 2 == 0 { "2023.11.14" } else { "2023.11.15" });
        let at = jiff::Timestamp::from_millisecond((first_s * 1e3) as i64 + n as i64).unwrap();
        lines
            .push_str(&format!("{}\n", json!({"index": {"_index": index, "_id": format!("{n}")}})));
        lines.push_str(&format!(
            "{}\n",
            json!({"@timestamp": at.to_string(), "n": n, "nested": {"text": "x"}})
        ));
    }
    let done = call(container, Method::POST, "/_bulk?refresh=true", lines).await;
    assert_eq!(done["errors"], false, "{done}");
}

pub async fn answers() {
    let mut lab = Lab::new().await;
    let container = start(&mut lab).await;
    let mapping = json!({"mappings": {"properties": {"@timestamp": {"type": "date"}, "n": {"type": "long"},
        "nested": {"properties": {"text": {"type": "keyword"}}}, "message": {"type": "text", "fields": {"raw": {"type": "keyword"}}}}}});
    call(&container, Method::PUT, "/logs-web-2023.11.14", mapping.to_string()).await;
    const DOCUMENTS: usize = 5_000;
    fill(&container, "logs-web", DOCUMENTS, NOON).await;

    let probe = connect("elasticsearch", container.port(9200));
    let documents = async |pattern: &str, start_s: f64, end_s: f64| match fact(
        &*probe,
        Question::Documents { pattern: pattern.into(), start_s, end_s },
    )
    .await
    {
        Fact::Documents { documents, truncated } => {
            assert!(!truncated);
            documents
        }
        other => panic!("{other:?}"),
    };
    let all = documents("logs-web-*", NOON, NOON + 10.0).await;
    assert_eq!(all.len(), DOCUMENTS);
    assert_eq!(all.iter().map(|d| (&d.index, &d.id)).collect::<HashSet<_>>().len(), DOCUMENTS);
    let seven = all.iter().find(|d| d.id == "7").unwrap();
    let fields = seven.fields.parsed();
    assert_eq!(
        (seven.index.as_str(), &fields["n"], &fields["nested"]["text"]),
        ("logs-web-2023.11.15", &json!(7), &json!("x"))
    );
    // Both ends count, and nothing beyond.
    assert_eq!(documents("logs-web-*", NOON + 0.010, NOON + 0.019).await.len(), 10);
    assert!(documents("logs-web-*", NOON + 10.0, NOON + 20.0).await.is_empty());
    assert!(documents("logs-nobody-*", NOON, NOON + 10.0).await.is_empty());
    let open = call(&container, Method::GET, "/_nodes/stats/indices/search", String::new()).await;
    let node = open["nodes"].as_object().unwrap().values().next().unwrap();
    assert_eq!(node["indices"]["search"]["open_contexts"], 0, "no scroll is left open");

    let types = ask(&*probe, Question::FieldTypes { pattern: "logs-web-*".into() }).await;
    assert_eq!(types.len(), 2);
    let of = |index: &str| {
        types
            .iter()
            .find_map(|f| match f {
                Fact::FieldTypes(t) if t.index == index => Some(&t.types),
                _ => None,
            })
            .unwrap()
    };
    let first: Vec<_> =
        of("logs-web-2023.11.14").iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let want = [
        ("@timestamp", "date"),
        ("message", "text"),
        ("message.raw", "keyword"),
        ("n", "long"),
        ("nested.text", "keyword"),
    ];
    assert_eq!(first, want);
    assert_eq!(of("logs-web-2023.11.15")["nested.text"], "text");
    assert!(
        ask(&*probe, Question::FieldTypes { pattern: "logs-nobody-*".into() }).await.is_empty()
    );
    match fact(&*probe, Question::Indices { pattern: "logs-*".into() }).await {
        Fact::Indices { indices } => {
            let seen: Vec<_> = indices.iter().map(|i| (i.name.as_str(), i.documents)).collect();
            assert_eq!(seen, [("logs-web-2023.11.14", 2500), ("logs-web-2023.11.15", 2500)]);
        }
        other => panic!("{other:?}"),
    }

    newest(&container, &*probe).await;
    lab.stop(&container).await;
    let gone = Question::Documents { pattern: "logs-*".into(), start_s: NOON, end_s: NOON + 1.0 };
    assert_unreachable(&*probe, gone).await;
    assert_unreachable(&*probe, Question::Indices { pattern: "*".into() }).await;
}

/// What is stored and not refreshed can't be found: that is what a lag is made of.
async fn newest(container: &Container, probe: &dyn Probe) {
    let unrefreshed = json!({"settings": {"index.refresh_interval": "-1"}});
    call(container, Method::PUT, "/logs-late-2023.11.14", unrefreshed.to_string()).await;
    let line = |second: u32, operation: Option<&str>| {
        let line = json!({"@timestamp": format!("2023-11-14T12:00:{second:02}.500Z"), "operation_id": operation});
        format!("{}\n{line}\n", json!({"index": {"_index": "logs-late-2023.11.14"}}))
    };
    // The line that came last answers for nobody.
    let lines =
        [line(2, Some("b")), line(3, Some("c")), line(1, Some("a")), line(4, None)].concat();
    call(container, Method::POST, "/_bulk", lines).await;
    let found = async || {
        let (signal, id_field) = ("log:late".to_owned(), "operation_id".to_owned());
        match fact(probe, Question::NewestLines { signal, pattern: "logs-late-*".into(), id_field })
            .await
        {
            Fact::Freshness(newest) => newest,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found().await, Freshness { signal: "log:late".into(), ids: Vec::new(), at_s: None });
    call(container, Method::POST, "/logs-late-*/_refresh", String::new()).await;
    let ids = ["c", "b", "a"].map(str::to_owned).to_vec();
    assert_eq!(
        found().await,
        Freshness { signal: "log:late".into(), ids, at_s: Some(1_699_963_203.5) }
    );
}
