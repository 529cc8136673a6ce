//! Dashboards from files over a real Prometheus: panels that have data, have none, fail, and take
//! their time.

use super::{SECOND, ask, now_s, prometheus};
use config::yaml::Mark;
use firedrill::probe::{GrafanaFiles, Question, Reach};
use firedrill::process::clock::RunClock;
use firedrill::stack::dashboards::files::Place;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::lab::{Lab, eventually};
use verdict::observation::Fact;
use verdict::observation::dashboards::Panel;

const CONFIG: &str = "
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}
scrape_configs: [{job_name: self, static_configs: [{targets: ['localhost:9090']}]}]
";
/// Sorts 15,000 values at each of 1,000 instants.
const SLOW: &str = "max_over_time(quantile_over_time(0.5, vector(1)[30s:2ms])[30s:30ms])";

fn write(folder: &Path, file: &str, content: &Value) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content.to_string()).unwrap();
}

fn board() -> Value {
    let panel = |title: &str, target: Value| json!({"title": title, "type": "timeseries", "datasource": {"type": "prometheus", "uid": "m"}, "targets": [target]});
    let range = |expr: &str| json!({"refId": "A", "expr": expr});
    let instant = |expr: &str| json!({"refId": "A", "expr": expr, "instant": true, "range": false});
    let query = |name: &str, query: &str, more: Value| {
        let mut variable = json!({"name": name, "type": "query", "datasource": {"uid": "m"}, "query": query, "refresh": 1, "current": {}});
        more.as_object().unwrap().iter().for_each(|(k, v)| variable[k] = v.clone());
        variable
    };
    let all = json!({"multi": true, "includeAll": true, "current": {"value": ["$__all"]}});
    json!({"uid": "board", "title": "Board",
    "templating": {"list": [
        query("job", "label_values(up, job)", json!({})),
        query("code", "label_values(prometheus_http_requests_total{job=\"$job\"}, code)", all.clone()),
        query("name", "metrics(^prometheus_build)", json!({})),
        query("label", "label_names()", json!({"regex": "/^(inst.*)$/"})),
        query("result", "query_result(up)", json!({"regex": "/job=\"([^\"]+)\"/"})),
        query("series", "up{job=\"$job\"}", json!({"regex": "/instance=\"([^\"]+)\"/"}))]},
    "panels": [
        panel("rate", range("sum by (code) (rate(prometheus_http_requests_total{job=\"$job\", code=~\"$code\"}[$__rate_interval]))")),
        panel("instant", instant("up{job=\"$result\"}")),
        panel("by name", instant("{__name__=\"$name\"}")),
        panel("by label", instant("count by ($label) (up{instance=\"$series\"})")),
        panel("range", instant("count_over_time(up[$__range]) / $__range_s")),
        panel("dead", range("no_such_metric")),
        panel("broken", range("sum(")),
        panel("slow", instant(SLOW)),
    ]})
}

pub async fn answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::new().await;
    let server = tempfile::tempdir().unwrap();
    let metrics = prometheus::start(&mut lab, server.path(), CONFIG, "groups: []").await;
    let source = json!({"name": "Metrics", "type": "prometheus", "uid": "m", "url": "http://prometheus:9090", "jsonData": {"timeInterval": "500ms"}});
    write(folder.path(), "provisioning/datasources/all.yaml", &json!({"datasources": [source]}));
    let provider = json!({"name": "all", "options": {"path": "/boards"}});
    write(folder.path(), "provisioning/dashboards/all.yaml", &json!({"providers": [provider]}));
    write(folder.path(), "boards/board.json", &board());
    let place = Place {
        provisioning: folder.path().join("provisioning"),
        named: Mark { file: Arc::from(Path::new("firedrill.yaml")), line: 1 },
        mounts: vec![("/boards".into(), folder.path().join("boards"))],
        environment: BTreeMap::new(),
    };
    let reach = Reach {
        hosts: [("prometheus".to_owned(), "prometheus".to_owned())].into(),
        published: [(("prometheus".to_owned(), 9090), metrics.port(9090))].into(),
    };
    let probe = GrafanaFiles::new(place, reach, RunClock::begin());

    let ask_panels = async || -> BTreeMap<String, Panel> {
        let facts = ask(
            &probe,
            Question::Panels { dashboard: "board".into(), start_s: now_s() - 60.0, end_s: now_s() },
        )
        .await;
        let panel = |f| match f {
            Fact::Panel(p) => (p.panel.clone(), p),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(panel).collect()
    };
    let with_data = ["rate", "instant", "by name", "by label", "range", "slow"];
    // A rate needs two scrapes.
    let panels = eventually(30 * SECOND, || async {
        let panels = ask_panels().await;
        let waiting = with_data.into_iter().find(|t| panels[*t].values == 0);
        waiting.map_or(Ok(panels.clone()), |t| Err(format!("{:?}", panels[t])))
    })
    .await;
    assert_eq!(panels.len(), 8);
    for title in with_data {
        let p = &panels[title];
        assert!(
            p.error.is_none() && p.skipped.is_none() && p.frames > 0 && p.took_s > 0.0,
            "{p:?}"
        );
    }
    assert!(panels["dead"].values == 0 && panels["dead"].error.is_none(), "{:?}", panels["dead"]);
    assert!(
        panels["broken"].error.as_ref().is_some_and(|e| e.contains("parse error")),
        "{:?}",
        panels["broken"]
    );
    // What takes the data source long is told to: the slowest of the others is no panel of seconds.
    let others = with_data[..5].iter().map(|t| panels[*t].took_s).fold(0.0, f64::max);
    assert!(
        panels["slow"].took_s > 3.0 * others,
        "slow {} s, others {others} s",
        panels["slow"].took_s
    );

    let health = async || match ask(&probe, Question::Datasources).await.as_slice() {
        [Fact::Datasource(d)] => (d.ok, d.seen.clone()),
        other => panic!("{other:?}"),
    };
    assert!(health().await.0);

    // A metric that is renamed in the file while all else runs.
    let text = board().to_string();
    assert!(text.contains("prometheus_http_requests_total{job=\\\"$job\\\", code"));
    let renamed: Value = serde_json::from_str(
        &text.replace("sum by (code) (rate(prometheus_http", "sum by (code) (rate(prom_http"),
    )
    .unwrap();
    write(folder.path(), "boards/board.json", &renamed);
    let panels = ask_panels().await;
    assert!(panels["rate"].values == 0 && panels["instant"].values > 0, "{:?}", panels["rate"]);

    lab.stop(&metrics).await;
    let (ok, seen) = health().await;
    assert!(!ok && seen.contains("refused"), "{seen}");
    let panels = ask_panels().await;
    assert!(
        panels["instant"].error.is_some() && panels["instant"].values == 0,
        "{:?}",
        panels["instant"]
    );
}
