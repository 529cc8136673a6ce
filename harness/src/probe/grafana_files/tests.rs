//! Files in a folder, and servers that answer what is written here. What is asked is held against
//! what Grafana 10.0.0 was recorded to ask.

use super::*;
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use config::yaml::Mark;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpListener;
use verdict::observation::dashboards::Panel;

const RECORDING: &str = include_str!("../../../tests/email/probes/grafana-10.0.0.jsonl");
/// The recorded range, ms since 1970.
const RANGE: (i64, i64) = (1_796_002_622_285, 1_796_002_628_071);

fn recorded() -> Vec<Value> {
    RECORDING.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answer_to(request: &str) -> Value {
    recorded().into_iter().find(|e| e["request"] == request).unwrap()["answer"].clone()
}

/// Requests that a server has seen: path with parameters, and body.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A server that answers each request with what a function makes of its path, parameters and body.
async fn serve(answer: fn(&str, &str) -> (u16, String)) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let noting = seen.clone();
    let handler = move |request: Request| {
        let noting = noting.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body =
                String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec())
                    .unwrap();
            let login = parts
                .headers
                .get(header::AUTHORIZATION)
                .map_or("", |a| a.to_str().unwrap())
                .to_owned();
            let place = parts.uri.to_string();
            noting.lock().unwrap().push((
                format!(
                    "{place}{}",
                    if login.is_empty() { String::new() } else { format!(" {login}") }
                ),
                body.clone(),
            ));
            let (status, text) = answer(&place, &body);
            (StatusCode::from_u16(status).unwrap(), text)
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    (port, seen)
}

/// A stack's files, and where its services are.
struct Stack {
    folder: TempDir,
    reach: Reach,
}

impl Stack {
    fn new(sources: &Value, boards: &[(&str, Value)]) -> Stack {
        let stack = Stack { folder: tempfile::tempdir().unwrap(), reach: Reach::default() };
        stack.write(
            "provisioning/datasources/all.yaml",
            &json!({"apiVersion": 1, "datasources": sources}).to_string(),
        );
        let provider = json!({"name": "all", "type": "file", "options": {"path": "/boards"}});
        stack.write(
            "provisioning/dashboards/all.yaml",
            &json!({"providers": [provider]}).to_string(),
        );
        for (file, board) in boards {
            stack.write(&format!("boards/{file}"), &board.to_string());
        }
        stack
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn service(mut self, name: &str, inside: u16, port: Option<u16>) -> Stack {
        self.reach.hosts.insert(name.into(), name.into());
        if let Some(port) = port {
            self.reach.published.insert((name.into(), inside), port);
        }
        self
    }

    fn probe(&self) -> GrafanaFiles {
        let place = Place {
            provisioning: self.folder.path().join("provisioning"),
            named: Mark { file: Arc::from(Path::new("firedrill.yaml")), line: 1 },
            mounts: vec![("/boards".into(), self.folder.path().join("boards"))],
            environment: BTreeMap::new(),
        };
        GrafanaFiles::new(place, self.reach.clone(), RunClock::begin())
    }
}

async fn facts(probe: &GrafanaFiles, question: Question) -> Vec<Fact> {
    let observations = probe.ask(&question).await;
    assert!(observations.iter().all(|o| o.source == probe.source()));
    observations.into_iter().map(|o| o.fact).collect()
}

async fn panels(probe: &GrafanaFiles, dashboard: &str) -> Vec<Panel> {
    let seconds = |ms: i64| (ms as f64 + 0.5) / 1e3;
    let question = Question::Panels {
        dashboard: dashboard.into(),
        start_s: seconds(RANGE.0),
        end_s: seconds(RANGE.1),
    };
    let panel = |fact| match fact {
        Fact::Panel(panel) => panel,
        other => panic!("{other:?}"),
    };
    facts(probe, question).await.into_iter().map(panel).collect()
}

fn prometheus_source() -> DataSource {
    let all: Vec<DataSource> = serde_json::from_value(answer_to("GET /api/datasources")).unwrap();
    all.into_iter().find(|s| s.r#type == "prometheus").unwrap()
}

/// Each query that the browser's part was recorded to send becomes the query that Grafana said it
/// had made of it, at the same instants.
#[test]
fn each_recorded_query_is_made_as_grafana_made_it() {
    let source = prometheus_source();
    let mut compared = 0;
    for exchange in recorded().iter().filter(|e| e["request"] == "POST /api/ds/query") {
        let query = &exchange["body"]["queries"][0];
        if query["datasource"]["type"] != "prometheus" {
            continue;
        }
        let requests = prometheus::requests(query, &source, RANGE).unwrap();
        let [request] = requests.as_slice() else { panic!("{requests:?}") };
        let frames = exchange["answer"]["results"][query["refId"].as_str().unwrap()]["frames"]
            .as_array()
            .unwrap();
        let mut first_and_last = BTreeSet::new();
        for frame in frames {
            let times: Vec<i64> = frame["data"]["values"][0]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_i64().unwrap())
                .collect();
            first_and_last.extend([times[0], *times.last().unwrap()]);
            match request.over {
                prometheus::Over::Instant { at } => assert_eq!(times, [at], "{}", request.expr),
                prometheus::Over::Range { start, end, step } => {
                    assert!(
                        times
                            .iter()
                            .all(|t| (start..=end).contains(t) && (t - start) % step as i64 == 0),
                        "{}: {times:?}",
                        request.expr
                    );
                    assert_eq!(times[1] - times[0], step as i64);
                    let said = format!(
                        "Expr: {}\nStep: {}",
                        request.expr,
                        crate::dashboards::interval::written_in_full(step)
                    );
                    assert_eq!(frame["schema"]["meta"]["executedQueryString"], said);
                }
            }
        }
        // Series that were there all the time begin and end with the range.
        if let (prometheus::Over::Range { start, end, .. }, true) =
            (request.over, query["expr"] == "min by (job) (up)")
        {
            assert_eq!(first_and_last, [start, end].into());
        }
        compared += 1;
    }
    assert_eq!(compared, 54);
}

/// The buckets that Grafana was answered are those that are asked for here.
#[test]
fn the_recorded_log_panel_is_asked_in_the_same_buckets() {
    let sources: Vec<DataSource> =
        serde_json::from_value(answer_to("GET /api/datasources")).unwrap();
    let source = sources.iter().find(|s| s.r#type == "elasticsearch").unwrap();
    let exchanges = recorded();
    let exchange = exchanges
        .iter()
        .find(|e| e["body"]["queries"][0]["datasource"]["type"] == "elasticsearch")
        .unwrap();
    let search = elasticsearch::search(&exchange["body"]["queries"][0], source, RANGE).unwrap();
    assert_eq!(search.index, "logs-*");
    let over_time = &search.search["aggs"]["3"]["aggs"]["2"]["date_histogram"];
    let interval: i64 =
        over_time["fixed_interval"].as_str().unwrap().strip_suffix("ms").unwrap().parse().unwrap();
    assert_eq!(over_time["extended_bounds"], json!({"min": RANGE.0, "max": RANGE.1}));
    let times = &exchange["answer"]["results"]["A"]["frames"][0]["data"]["values"][0];
    let bucket = |at: i64| at.div_euclid(interval) * interval;
    assert_eq!(times, &json!([bucket(RANGE.0), bucket(RANGE.0) + interval, bucket(RANGE.1)]));
}

fn form_of(body: &str) -> BTreeMap<String, String> {
    reqwest::Url::parse(&format!("http://x/?{body}")).unwrap().query_pairs().into_owned().collect()
}

fn one_sample(place: &str, body: &str) -> (u16, String) {
    let form = form_of(body);
    let text = match place {
        "/api/v1/query" => {
            json!({"resultType": "vector", "result": [{"metric": {}, "value": [form["time"].parse::<f64>().unwrap(), "1"]}]})
        }
        "/api/v1/query_range" => {
            json!({"resultType": "matrix", "result": [{"metric": {}, "values": [[form["start"].parse::<f64>().unwrap(), "1"]]}]})
        }
        "/api/v1/query?query=1%2B1" => json!({"resultType": "scalar", "result": [1, "2"]}),
        "/_msearch?max_concurrent_shard_requests=5" => {
            let bucket = json!({"key": 1, "doc_count": 3});
            return (
                200,
                json!({"responses": [{"aggregations": {"3": {"buckets": [{"key": "a", "2": {"buckets": [bucket]}}]}}}]}).to_string(),
            );
        }
        _ => return (200, "{}".into()),
    };
    (200, json!({"status": "success", "data": text}).to_string())
}

/// The dashboards of the recorded stack, from files: the same panels, and of Prometheus exactly the
/// queries that Grafana ran.
#[tokio::test]
async fn the_recorded_dashboards_ask_from_files_what_grafana_asked() {
    let uids = ["email-service-overview", "system-resources"];
    let boards = uids.map(|uid| {
        (
            format!("{uid}.json"),
            answer_to(&format!("GET /api/dashboards/uid/{uid}"))["dashboard"].clone(),
        )
    });
    let boards: Vec<(&str, Value)> =
        boards.iter().map(|(file, board)| (file.as_str(), board.clone())).collect();
    let (metrics, seen) = serve(one_sample).await;
    let (others, _) = serve(one_sample).await;
    let stack = Stack::new(&answer_to("GET /api/datasources"), &boards)
        .service("prometheus", 9090, Some(metrics))
        .service("elasticsearch", 9200, Some(others))
        .service("jaeger", 16686, Some(others))
        .service("alertmanager", 9093, Some(others));
    let probe = stack.probe();
    let [Fact::Dashboards { dashboards }] = &facts(&probe, Question::Dashboards).await[..] else {
        panic!("another answer")
    };
    let [Fact::Dashboards { dashboards: by_grafana }] = &[Fact::Dashboards {
        dashboards: uids
            .map(|uid| {
                let board = &answer_to(&format!("GET /api/dashboards/uid/{uid}"))["dashboard"];
                Dashboard {
                    uid: uid.into(),
                    title: board["title"].as_str().unwrap().into(),
                    panels: 18,
                }
            })
            .to_vec(),
    }] else {
        unreachable!()
    };
    assert_eq!(dashboards, by_grafana);
    let mut found = Vec::new();
    for uid in uids {
        found.extend(panels(&probe, uid).await);
    }
    assert!(
        found.iter().all(|p| p.error.is_none() && p.skipped.is_none() && p.values > 0),
        "{found:#?}"
    );

    let asked: BTreeSet<(String, Vec<(String, String)>)> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(place, body)| (place.clone(), form_of(body).into_iter().collect()))
        .collect();
    let mut by_grafana = BTreeSet::new();
    let exchanges = recorded();
    for exchange in
        exchanges.iter().filter(|e| e["body"]["queries"][0]["datasource"]["type"] == "prometheus")
    {
        let query = &exchange["body"]["queries"][0];
        let said =
            exchange["answer"]["results"][query["refId"].as_str().unwrap()]["frames"][0]["schema"]
                ["meta"]["executedQueryString"]
                .clone();
        let said = said.as_str().unwrap().to_owned();
        let expr =
            said.strip_prefix("Expr: ").unwrap().split("\nStep: ").next().unwrap().to_owned();
        let pairs = |all: &[(&str, &str)]| {
            all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
        };
        by_grafana.insert(match query["instant"] == true {
            true => {
                ("/api/v1/query".to_owned(), pairs(&[("query", &expr), ("time", "1796002628.071")]))
            }
            false => {
                let times = [
                    ("end", "1796002628.07"),
                    ("query", &expr),
                    ("start", "1796002622.28"),
                    ("step", "0.01"),
                ];
                ("/api/v1/query_range".to_owned(), pairs(&times))
            }
        });
    }
    assert_eq!(asked, by_grafana);
    assert_eq!(
        found.len(),
        exchanges.iter().filter(|e| e["request"] == "POST /api/ds/query").count()
    );
}

fn two_sources() -> Value {
    json!([
        {"name": "Metrics", "type": "prometheus", "uid": "m", "url": "http://metrics:9090", "isDefault": true,
         "basicAuth": true, "basicAuthUser": "me", "secureJsonData": {"basicAuthPassword": "secret"}},
        {"name": "Traces", "type": "jaeger", "uid": "t", "url": "http://traces:16686"},
        {"name": "Down", "type": "prometheus", "uid": "d", "url": "http://down:9090"},
        {"name": "Away", "type": "prometheus", "uid": "a", "url": "http://away:9090"},
        {"name": "Logs", "type": "elasticsearch", "uid": "l", "url": "http://logs:9200/base",
         "jsonData": {"index": "logs-*", "httpHeaderName1": "Authorization"}, "secureJsonData": {"httpHeaderValue1": "Token x"}}
    ])
}

fn board(panels: Value) -> Value {
    let variables = json!({"list": [
        {"name": "job", "type": "query", "query": "label_values(up, job)", "multi": true, "current": {"value": ["$__all"]}, "includeAll": true},
        {"name": "odd", "type": "query", "query": "label_values(a b)"}]});
    json!({"uid": "b", "title": "Board", "templating": variables, "panels": panels})
}

fn panel(title: &str, datasource: Value, target: Value) -> Value {
    json!({"title": title, "datasource": datasource, "targets": [target]})
}

fn as_asked(place: &str, body: &str) -> (u16, String) {
    if place.starts_with("/api/v1/label/job/values?") {
        return (200, json!({"status": "success", "data": ["api", "web"]}).to_string());
    }
    if place.starts_with("/base/_msearch") {
        let status = if body.contains("nonsense") { 400 } else { 200 };
        return (status, json!({"responses": [{"hits": {"hits": [{}, {}]}}]}).to_string());
    }
    if place.starts_with("/base/logs-*/_mapping") || place == "/api/services" {
        return (200, "{}".into());
    }
    let form = form_of(body);
    match form.get("query").map(String::as_str) {
        Some(query) if query.contains("no_such_metric") => (
            200,
            json!({"status": "success", "data": {"resultType": "matrix", "result": []}})
                .to_string(),
        ),
        Some("sum(") => (
            400,
            json!({"status": "error", "errorType": "bad_data", "error": "parse error"}).to_string(),
        ),
        _ => one_sample(place, body),
    }
}

async fn stack_of(panels: Value) -> (Stack, Seen, Seen) {
    let ((metrics, of_metrics), (others, of_others)) =
        (serve(as_asked).await, serve(as_asked).await);
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let stack = Stack::new(&two_sources(), &[("deep/board.json", board(panels))])
        .service("metrics", 9090, Some(metrics))
        .service("traces", 16686, Some(others))
        .service("down", 9090, Some(refused))
        .service("away", 9090, None)
        .service("logs", 9200, Some(others));
    (stack, of_metrics, of_others)
}

#[tokio::test]
async fn panels_with_data_pass_and_those_without_or_with_errors_do_not() {
    let expr = |expr: &str| json!({"refId": "A", "expr": expr});
    let (stack, of_metrics, of_others) = stack_of(json!([
        panel("by default", Value::Null, expr("up{job=~\"$job\"}")),
        panel("repeated", json!({"uid": "m"}), expr("up{job=\"$job\"}")),
        panel("dead", json!("Metrics"), expr("rate(no_such_metric[$__rate_interval])")),
        panel("broken", json!({"uid": "m"}), expr("sum(")),
        panel("nowhere", json!({"uid": "gone"}), expr("up")),
        panel("down", json!({"uid": "d"}), expr("up")),
        panel("left out", json!({"uid": "a"}), expr("up")),
        panel("lines", json!({"uid": "l"}), json!({"refId": "A", "query": "*", "metrics": [{"id": "1", "type": "logs"}]})),
        panel("nonsense", json!({"uid": "l"}), json!({"refId": "A", "query": "nonsense", "metrics": [{"id": "1", "type": "logs"}]})),
        panel("pipeline", json!({"uid": "l"}), json!({"refId": "A", "metrics": [{"id": "1", "type": "derivative"}]})),
        panel("traces", json!({"uid": "t"}), json!({"refId": "A", "queryType": "search", "service": "web"})),
        panel("own", json!("-- Grafana --"), json!({"refId": "A", "queryType": "randomWalk"})),
        panel("other panel", json!("-- Dashboard --"), json!({"refId": "A", "panelId": 1})),
        panel("variable", json!({"uid": "m"}), expr("up{a=\"$odd\"}")),
        {"title": "computed", "datasource": "-- Mixed --", "targets": [
            {"refId": "A", "datasource": {"uid": "m"}, "expr": "up"},
            {"refId": "B", "datasource": {"type": "__expr__", "uid": "__expr__"}, "type": "math", "expression": "$A * 2"}]},
        {"title": "shared", "libraryPanel": {"uid": "x", "name": "Shared"}},
        {"title": "words", "type": "text"},
    ]))
    .await;
    stack.write("boards/deep/board.json", &{
        let mut board: Value = serde_json::from_str(
            &std::fs::read_to_string(stack.folder.path().join("boards/deep/board.json")).unwrap(),
        )
        .unwrap();
        board["panels"][1]["repeat"] = "job".into();
        board.to_string()
    });
    let found = panels(&stack.probe(), "b").await;
    let of = |title: &str| found.iter().filter(|p| p.panel == title).collect::<Vec<_>>();
    let one = |title: &str| {
        let all = of(title);
        assert_eq!(all.len(), 1, "{title}: {all:#?}");
        all[0]
    };
    for title in ["by default", "lines"] {
        let p = one(title);
        assert!(
            p.error.is_none()
                && p.skipped.is_none()
                && p.values > 0
                && p.frames > 0
                && p.took_s > 0.0,
            "{p:?}"
        );
    }
    assert_eq!((one("by default").datasource.as_str(), one("lines").values), ("Metrics", 2));
    let repeated: Vec<&str> = of("repeated").iter().map(|p| p.query.as_str()).collect();
    assert_eq!(repeated, [r#"up{job="$job"} (job = api)"#, r#"up{job="$job"} (job = web)"#]);
    let dead = one("dead");
    assert!(
        dead.values == 0 && dead.frames == 0 && dead.error.is_none() && dead.skipped.is_none(),
        "{dead:?}"
    );
    for (title, word) in [
        ("broken", "bad_data: parse error"),
        ("nowhere", "data source \"gone\" does not exist"),
        ("down", "refused"),
        ("nonsense", "HTTP 400"),
    ] {
        let p = one(title);
        assert!(
            p.error.as_ref().is_some_and(|e| e.contains(word)) && p.values == 0,
            "{title}: {p:?}"
        );
    }
    for (title, word) in [
        ("left out", "is service away, which does not run"),
        ("pipeline", "metric derivative"),
        ("traces", "type jaeger"),
        ("own", "only Grafana knows"),
        ("other panel", "another panel"),
        ("variable", "variable odd"),
        ("shared", "library panel Shared"),
    ] {
        let p = one(title);
        assert!(
            p.skipped.as_ref().is_some_and(|w| w.contains(word))
                && p.error.is_none()
                && p.took_s == 0.0,
            "{title}: {p:?}"
        );
    }
    let computed = of("computed");
    assert_eq!(
        computed.iter().map(|p| (p.values, p.skipped.is_some())).collect::<Vec<_>>(),
        [(1, false), (0, true)]
    );
    assert!(of("words").is_empty());

    let of_metrics = of_metrics.lock().unwrap();
    // "me:secret", which nothing that is told holds.
    assert!(
        of_metrics.iter().all(|(place, _)| place.ends_with(" Basic bWU6c2VjcmV0")),
        "{of_metrics:#?}"
    );
    assert!(!format!("{found:?}").contains("secret"));
    assert!(of_metrics.iter().any(|(_, body)| {
        form_of(body).get("query").is_some_and(|q| q == r#"up{job=~"(api|web)"}"#)
    }));
    assert!(
        of_metrics
            .iter()
            .any(|(_, body)| form_of(body).get("query").is_some_and(|q| q == r#"up{job="web"}"#))
    );
    assert!(of_metrics.iter().any(|(_, body)| {
        form_of(body).get("query").is_some_and(|q| q == "rate(no_such_metric[1m0s])")
    }));
    assert!(
        of_others.lock().unwrap().iter().any(|(place, body)| place.starts_with("/base/_msearch")
            && body.contains("\"index\":\"logs-*\""))
    );
}

#[tokio::test]
async fn data_sources_are_asked_at_their_own_address() {
    let (stack, of_metrics, of_others) = stack_of(json!([])).await;
    let found: BTreeMap<String, (bool, String)> = facts(&stack.probe(), Question::Datasources)
        .await
        .into_iter()
        .map(|f| match f {
            Fact::Datasource(d) => (d.name, (d.ok, d.seen)),
            other => panic!("{other:?}"),
        })
        .collect();
    let ok: Vec<&str> =
        found.iter().filter(|(_, (ok, _))| *ok).map(|(name, _)| name.as_str()).collect();
    assert_eq!(ok, ["Logs", "Metrics", "Traces"], "{found:#?}");
    assert!(
        found["Down"].1.contains("refused") && found["Away"].1.contains("does not run"),
        "{found:#?}"
    );
    assert!(of_metrics.lock().unwrap()[0].0.starts_with("/api/v1/query?query=1%2B1"));
    let others: Vec<String> =
        of_others.lock().unwrap().iter().map(|(place, _)| place.clone()).collect();
    assert_eq!(others, ["/api/services", "/base/logs-*/_mapping Token x"]);
}

/// What is changed while the stack runs counts from then on; what is broken then is told, and is no
/// answer.
#[tokio::test]
async fn files_are_read_anew_for_each_question() {
    let expr = |expr: &str| json!([panel("p", Value::Null, json!({"refId": "A", "expr": expr}))]);
    let (stack, ..) = stack_of(expr("up")).await;
    let probe = stack.probe();
    assert_eq!(panels(&probe, "b").await[0].values, 1);
    stack.write("boards/deep/board.json", &board(expr("no_such_metric")).to_string());
    assert_eq!(
        (panels(&probe, "b").await[0].values, panels(&probe, "b").await[0].query.clone()),
        (0, "no_such_metric".into())
    );
    stack.write("boards/deep/board.json", "{");
    for question in [
        Question::Dashboards,
        Question::Datasources,
        Question::Panels { dashboard: "b".into(), start_s: 0.0, end_s: 1.0 },
    ] {
        let asked = question.asked();
        match &facts(&probe, question).await[..] {
            [Fact::Unreachable { question, error }] => {
                assert!(*question == asked && error.contains("board.json:1"), "{error}")
            }
            other => panic!("{other:?}"),
        }
    }
    stack.write("boards/deep/board.json", &board(json!([])).to_string());
    let none = Question::Panels { dashboard: "b".into(), start_s: 0.0, end_s: 1.0 };
    assert!(
        matches!(&facts(&probe, none).await[..], [Fact::Unreachable { error, .. }] if error.contains("no panel with a query"))
    );
    let gone = Question::Panels { dashboard: "c".into(), start_s: 0.0, end_s: 1.0 };
    assert!(
        matches!(&facts(&probe, gone).await[..], [Fact::Unreachable { error, .. }] if error.contains("c is in no file"))
    );
    let foreign = facts(&probe, Question::Targets).await;
    assert!(matches!(&foreign[..], [Fact::Unreachable { .. }]));
}
