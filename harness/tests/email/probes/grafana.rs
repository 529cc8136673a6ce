//! Grafana over Prometheus, Elasticsearch and Jaeger, with panels that have data, have none, and
//! fail.

use super::{
    SECOND, ask, assert_unreachable, connect, elasticsearch, fact, jaeger, now_s, prometheus,
};
use firedrill::declaration::Role;
use firedrill::drill::annotation::Annotations;
use firedrill::probe::Question;
use firedrill::process::clock::RunClock;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::images;
use support::lab::{Lab, Spec, eventually};
use verdict::history::fault::{FaultEvent, ONLY_FAULT};
use verdict::history::load::LoadEvent;
use verdict::history::run::RunEvent;
use verdict::observation::Fact;
use verdict::observation::dashboards::Panel;
use verdict::{At, Event, EventKind};

const CONFIG: &str = "
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}
scrape_configs: [{job_name: self, static_configs: [{targets: ['localhost:9090']}]}]
";

fn panel(title: &str, datasource: Value, target: Value) -> Value {
    json!({"title": title, "type": "timeseries", "datasource": datasource, "targets": [target]})
}

fn dashboard() -> Value {
    let metrics = json!({"type": "prometheus", "uid": "metrics"});
    let expr = |expr: &str| json!({"refId": "A", "expr": expr});
    let buckets = json!([{"type": "date_histogram", "id": "2", "field": "@timestamp", "settings": {"interval": "auto"}}]);
    let logs = json!({"refId": "A", "query": "*", "metrics": [{"type": "count", "id": "1"}], "bucketAggs": buckets, "timeField": "@timestamp"});
    let variables = json!({"list": [
        {"name": "source", "type": "datasource", "query": "prometheus", "current": {}},
        {"name": "job", "type": "query", "datasource": metrics, "query": {"query": "label_values(up, job)", "refId": "v"}, "current": {}},
        {"name": "code", "type": "query", "datasource": metrics, "query": "label_values(prometheus_http_requests_total, code)", "includeAll": true,
         "current": {"value": ["$__all"]}}]});
    json!({"uid": "board", "title": "Board", "templating": variables, "panels": [
        panel("rate", json!("metrics"), expr("sum(rate(prometheus_http_requests_total{job=\"$job\",code=~\"$code\"}[$__rate_interval]))")),
        panel("by variable", json!({"type": "prometheus", "uid": "${source}"}), expr("up")),
        panel("by default", Value::Null, json!({"refId": "A", "expr": "up", "instant": true})),
        panel("dead", metrics.clone(), expr("no_such_metric")),
        panel("broken", metrics.clone(), expr("sum(")),
        panel("nowhere", json!({"type": "prometheus", "uid": "missing"}), expr("up")),
        panel("unreachable", json!({"type": "prometheus", "uid": "unreachable"}), expr("up")),
        {"title": "row", "type": "row", "panels": [panel("in a row", metrics.clone(), expr("vector(1)"))]},
        {"title": "words", "type": "text"},
        {"title": "computed", "type": "stat", "targets": [
            {"refId": "A", "datasource": metrics, "expr": "up", "instant": true, "hide": true},
            {"refId": "B", "datasource": {"type": "__expr__", "uid": "__expr__"}, "type": "math", "expression": "$A * 2"}]},
        panel("logs", json!({"type": "elasticsearch", "uid": "logs"}), logs),
        panel("traces", json!({"type": "jaeger", "uid": "traces"}), json!({"refId": "A", "queryType": "search", "service": "web"})),
    ]})
}

pub async fn answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::new().await;
    let metrics = prometheus::start(&mut lab, folder.path(), CONFIG, "groups: []").await;
    let traces = jaeger::start(&mut lab).await;
    let logs = elasticsearch::start(&mut lab).await;
    elasticsearch::fill(&logs, "logs-web", 20, now_s() - 20.0).await;
    let (root, _) = jaeger::trace(1, (now_s() * 1e6) as i64 - 5_000_000);
    jaeger::send(&traces, "web", vec![root]).await;
    let grafana = lab
        .start(Spec {
            image: images::reference("grafana"),
            env: vec![
                "GF_ANALYTICS_CHECK_FOR_UPDATES=false".into(),
                "GF_ANALYTICS_REPORTING_ENABLED=false".into(),
            ],
            ports: vec![3000],
            ..Spec::default()
        })
        .await;
    let base = format!("http://127.0.0.1:{}", grafana.port(3000));
    let ready = || async {
        reqwest::get(format!("{base}/api/health"))
            .await
            .and_then(|r| r.error_for_status())
            .map_err(|e| e.to_string())
    };
    eventually(60 * SECOND, ready).await;
    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let answer = http
            .post(format!("{base}{path}"))
            .basic_auth("admin", Some("admin"))
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status}: {}", answer.text().await.unwrap());
    };
    let source = |uid: &str, kind: &str, url: &str, more: Value| json!({"uid": uid, "name": format!("my {uid}"), "type": kind, "url": url, "access": "proxy", "isDefault": uid == "metrics", "jsonData": more});
    let daily =
        json!({"index": "[logs-web-]YYYY.MM.DD", "interval": "Daily", "timeField": "@timestamp"});
    let all_days = json!({"index": "logs-web-*", "timeField": "@timestamp"});
    post(
        "/api/datasources",
        source("metrics", "prometheus", "http://prometheus:9090", json!({"timeInterval": "500ms"})),
    )
    .await;
    post("/api/datasources", source("unreachable", "prometheus", "http://prometheus:1", json!({})))
        .await;
    post(
        "/api/datasources",
        source("logs", "elasticsearch", "http://elasticsearch:9200", all_days),
    )
    .await;
    post("/api/datasources", source("daily", "elasticsearch", "http://elasticsearch:9200", daily))
        .await;
    post(
        "/api/datasources",
        source(
            "nologs",
            "elasticsearch",
            "http://elasticsearch:1",
            json!({"index": "x", "timeField": "@timestamp"}),
        ),
    )
    .await;
    post("/api/datasources", source("traces", "jaeger", "http://jaeger:16686", json!({}))).await;
    post("/api/datasources", source("notraces", "jaeger", "http://jaeger:1", json!({}))).await;
    post("/api/dashboards/db", json!({"dashboard": dashboard(), "overwrite": true})).await;

    let probe = connect("grafana", grafana.port(3000));
    match fact(&*probe, Question::Dashboards).await {
        Fact::Dashboards { dashboards } => {
            assert_eq!(dashboards.len(), 1);
            assert_eq!(
                (dashboards[0].uid.as_str(), dashboards[0].title.as_str(), dashboards[0].panels),
                ("board", "Board", 11)
            );
        }
        other => panic!("{other:?}"),
    }

    let ask_panels = async || -> BTreeMap<String, Panel> {
        let facts = ask(
            &*probe,
            Question::Panels { dashboard: "board".into(), start_s: now_s() - 60.0, end_s: now_s() },
        )
        .await;
        let panel = |f| match f {
            Fact::Panel(p) => (p.panel.clone(), p),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(panel).collect()
    };
    // A rate needs two scrapes.
    let panels = eventually(30 * SECOND, || async {
        let panels = ask_panels().await;
        let waiting =
            ["rate", "by variable", "by default", "in a row", "computed", "logs", "traces"]
                .into_iter()
                .find(|t| panels[*t].values == 0);
        waiting.map_or(Ok(panels.clone()), |t| Err(format!("{:?}", panels[t])))
    })
    .await;
    assert_eq!(panels.len(), 11);
    for (title, p) in &panels {
        match title.as_str() {
            "dead" => assert!(p.values == 0 && p.frames == 0 && p.error.is_none(), "{p:?}"),
            "broken" => {
                assert!(p.values == 0 && p.error.as_ref().unwrap().contains("parse"), "{p:?}")
            }
            "nowhere" => {
                assert!(p.error.as_ref().unwrap().contains("\"missing\" does not exist"), "{p:?}")
            }
            "unreachable" => assert!(p.error.as_ref().unwrap().contains("refused"), "{p:?}"),
            _ => assert!(p.error.is_none() && p.frames > 0 && p.took_s > 0.0, "{p:?}"),
        }
        assert_eq!(p.dashboard, "board");
    }
    assert_eq!(
        (panels["dead"].query.as_str(), panels["dead"].datasource.as_str()),
        ("no_such_metric", "my metrics")
    );
    assert_eq!((panels["by default"].values, panels["computed"].values), (1, 1));
    let none =
        Question::Panels { dashboard: "none".into(), start_s: now_s() - 60.0, end_s: now_s() };
    assert_unreachable(&*probe, none).await;

    let health: BTreeMap<String, (bool, String)> = ask(&*probe, Question::Datasources)
        .await
        .into_iter()
        .map(|f| match f {
            Fact::Datasource(d) => (d.uid, (d.ok, d.seen)),
            other => panic!("{other:?}"),
        })
        .collect();
    let ok: Vec<&str> =
        health.iter().filter(|(_, (ok, _))| *ok).map(|(uid, _)| uid.as_str()).collect();
    assert_eq!(ok, ["daily", "logs", "metrics", "traces"], "{health:#?}");
    assert_eq!(health.len(), 7);

    annotations(grafana.port(3000)).await;

    // The data source's server stands still: a panel is waited for as long as people wait, and in
    // vain.
    let still = json!({"uid": "still", "title": "Still", "panels": [panel("waits", json!("metrics"), json!({"refId": "A", "expr": "up"}))]});
    post("/api/dashboards/db", json!({"dashboard": still, "overwrite": true})).await;
    let question =
        Question::Panels { dashboard: "still".into(), start_s: now_s() - 60.0, end_s: now_s() };
    match lab.while_frozen(&metrics, fact(&*probe, question)).await {
        Fact::Panel(p) => assert!(p.timed_out && p.took_s >= 30.0 && p.error.is_some(), "{p:?}"),
        other => panic!("{other:?}"),
    }

    // The data source's server goes: the panel fails, and Grafana is there.
    lab.stop(&metrics).await;
    let panels = ask_panels().await;
    assert!(panels["by default"].error.is_some(), "{:?}", panels["by default"]);
    lab.stop(&grafana).await;
    assert_unreachable(&*probe, Question::Dashboards).await;
    assert_unreachable(&*probe, Question::Datasources).await;
    assert_unreachable(
        &*probe,
        Question::Panels { dashboard: "board".into(), start_s: 0.0, end_s: 1.0 },
    )
    .await;
}

/// What is written of a run's load and faults is there afterwards, with its beginning and its end,
/// on the dashboard; and a server that refuses is told of.
async fn annotations(port: u16) {
    let role = |password: &str| Role {
        kind: "grafana".into(),
        service: "my-grafana".into(),
        port: 3000,
        config: None,
        user: Some("admin".into()),
        password: Some(password.into()),
        ..Role::default()
    };
    let began_s = now_s().floor() - 60.0;
    let event = |after_s: f64, kind: EventKind| {
        let at =
            At { mono_us: (after_s * 1e6) as i64, wall_us: ((began_s + after_s) * 1e6) as i64 };
        Event { seq: 0, at, kind }
    };
    let injected = FaultEvent::Injected {
        drill: "web_stopped".into(),
        fault: ONLY_FAULT.into(),
        kind: "stop".into(),
        target: "web".into(),
        instances: vec![],
        mechanism: "signal".into(),
        blast_radius: Default::default(),
    };
    let healed = FaultEvent::Healed { drill: "web_stopped".into(), fault: ONLY_FAULT.into() };
    let events = [
        event(0.0, EventKind::Load(LoadEvent::Began { rate: 20.0, stream: "background".into() })),
        event(10.0, EventKind::Fault(injected)),
        event(25.0, EventKind::Fault(healed)),
        event(40.0, EventKind::Run(RunEvent::DrillEnded { drill: "web_stopped".into() })),
    ];
    let annotate = async |password: &str, run: &str| {
        // No dashboard is named: all that there are.
        let role = role(password);
        let access = role.access_at(port);
        let annotations = Annotations::on(&role, access, Vec::new(), run, RunClock::begin());
        let sender = annotations.sender();
        events.iter().for_each(|e| sender.send(e.clone()).unwrap());
        drop(sender);
        annotations.end().await
    };
    let Fact::Annotations { mut annotations } = annotate("admin", "r1").await.unwrap().fact else {
        panic!("another answer")
    };
    annotations.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    let seen: Vec<_> = annotations
        .iter()
        .map(|a| (a.dashboard.as_str(), a.text.as_str(), a.from_s - began_s, a.to_s - began_s))
        .collect();
    // The load was not ended: it ends with the last event.
    let wanted = [
        ("board", "load background: 20 arrivals a second", 0.0, 40.0),
        ("board", "fault stop on web (drill web_stopped)", 10.0, 25.0),
    ];
    assert_eq!(seen, wanted);
    assert!(
        annotations[1].tags.iter().any(|t| t == "fault:web_stopped")
            && annotations[1].tags.iter().any(|t| t == "run:r1")
    );
    let refused = annotate("wrong", "r2").await.unwrap_err();
    assert!(refused.contains("401"), "{refused}");
}
