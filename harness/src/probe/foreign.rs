//! Answers of backends as no server should give them: each question is answered with observations
//! all the same, and what is recorded of them reads again.

use super::{Probe, Question, connect};
use crate::backend::Access;
use crate::declaration::Role;
use crate::process::clock::RunClock;
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tokio::runtime::Runtime;
use verdict::observation::{Fact, Observation};

// Each line is what a server answers at paths that begin so; ⏎ ends a line of the answer.
const PROMETHEUS: &[&str] = &[
    r#"/api/v1/targets {"status":"success","data":{"activeTargets":[{"labels":{"job":"a","instance":"b:1"},"scrapePool":"a","scrapeUrl":"http://b:1/metrics","lastError":"","lastScrape":"2026-11-30T12:00:00.5Z","lastScrapeDuration":0.01,"health":"up","scrapeInterval":"15s","scrapeTimeout":"10s"}]}}
/api/v1/rules {"status":"success","data":{"groups":[{"name":"g","file":"/r.yml","interval":15,"lastEvaluation":"2026-11-30T12:00:00Z","rules":[{"name":"A","query":"rate(x_total{a=\"b\"}[5m]) > 0.5","duration":60,"labels":{"severity":"page"},"health":"ok","type":"alerting"},{"name":"a:b","query":"sum(up)","health":"err","lastError":"many-to-many","type":"recording"}]}]}}
/api/v1/query_range {"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1764500000,"1"],[1764500015,"NaN"],[1764500030.5,"+Inf"]]}]}}
/api/v1/query {"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1764500000,"3"]}]}}
/api/v1/status/config {"status":"success","data":{"yaml":"global:\n  external_labels:\n    replica: a\nscrape_configs:\n- job_name: a\n"}}
/api/v1/alertmanagers {"status":"success","data":{"activeAlertmanagers":[{"url":"http://alertmanager:9093/api/v2/alerts"}]}}
/api/v1/status/runtimeinfo {"status":"success","data":{"startTime":"2026-11-30T11:00:00Z","reloadConfigSuccess":true,"lastConfigTime":"2026-11-30T11:00:00Z"}}
/metrics prometheus_config_last_reload_successful 1⏎prometheus_config_last_reload_success_timestamp_seconds 1764500000⏎prometheus_rule_group_iterations_total{rule_group="/r.yml;g"} 12"#,
    r#"/ {"status":"error","errorType":"bad_data","error":"parse error","data":null}"#,
];
const ALERTMANAGER: &[&str] = &[
    r#"/api/v2/alerts/groups [{"labels":{},"receiver":{"name":"pager"},"alerts":[{"fingerprint":"f1","status":{"state":"suppressed","inhibitedBy":["f2"],"silencedBy":[],"mutedBy":["nights"]}}]}]
/api/v2/alerts [{"fingerprint":"f1","labels":{"alertname":"A","severity":"page"},"startsAt":"2026-11-30T12:00:00Z","endsAt":"2026-11-30T12:05:00Z","receivers":[{"name":"pager"}],"status":{"state":"suppressed","inhibitedBy":["f2"],"silencedBy":["s1"]}}]
/api/v2/silences [{"id":"s1","matchers":[{"name":"a","value":"b|c","isRegex":true,"isEqual":false}],"createdBy":"x","status":{"state":"active"}}]
/api/v2/receivers [{"name":"pager"}]
/api/v2/status {"config":{"original":"global:\n  resolve_timeout: 5m\nroute:\n  receiver: pager\n  group_by: [a]\n  group_wait: 30s\n  routes:\n  - match: {severity: page}\nreceivers:\n- name: pager\n"},"cluster":{"status":"ready","peers":[{"name":"n","address":"10.0.0.1:9094"}]},"uptime":"2026-11-30T11:00:00Z"}
/metrics alertmanager_config_last_reload_successful 1⏎alertmanager_config_last_reload_success_timestamp_seconds 1764500000"#,
];
const ELASTICSEARCH: &[&str] = &[
    r#"/logs/_search {"_scroll_id":"s","timed_out":false,"_shards":{"failed":0},"hits":{"total":{"value":1},"hits":[{"_index":"logs-1","_id":"1","_source":{"@timestamp":"2026-11-30T12:00:00Z","op":"x","n":1e300}}]}}
/_search/scroll {"_scroll_id":"s","timed_out":false,"_shards":{"failed":0},"hits":{"hits":[]}}
/logs/_mapping {"logs-1":{"mappings":{"properties":{"a":{"type":"text","fields":{"keyword":{"type":"keyword"}}},"b":{"properties":{"c":{"type":"long"}}}}}}}
/_cat/indices [{"index":"logs-1","docs.count":"12"},{"index":"logs-2","docs.count":null}]"#,
];
const JAEGER: &[&str] = &[
    r#"/api/services {"data":["web"],"errors":null}
/api/traces {"data":[{"traceID":"ab","spans":[{"traceID":"ab","spanID":"1","operationName":"x","references":[{"refType":"CHILD_OF","traceID":"ab","spanID":"2"}],"startTime":1764500000000000,"duration":5,"tags":[{"key":"op","value":"x"},{"key":"n","value":3}],"processID":"p"}],"processes":{"p":{"serviceName":"web"}}}]}"#,
    r#"/ {"data":null,"errors":[{"code":500,"msg":"storage is gone"}]}"#,
];
const GRAFANA: &[&str] = &[r#"/api/datasources/uid {"status":"OK","message":"it works"}
/api/datasources [{"id":1,"uid":"p","name":"Prometheus","type":"prometheus","url":"http://p:9090","isDefault":true,"jsonData":{"timeInterval":"15s"}}]
/api/search [{"uid":"board","title":"Board"}]
/api/dashboards/uid {"dashboard":{"uid":"board","title":"Board","panels":[{"id":1,"title":"P","type":"timeseries","datasource":{"type":"prometheus","uid":"p"},"targets":[{"refId":"A","expr":"rate(x[$__rate_interval])"}]}]}}
/api/ds/query {"results":{"A":{"status":200,"frames":[{"schema":{"fields":[{"name":"t","type":"time"},{"name":"v","type":"number"}]},"data":{"values":[[1,2],[3,null]]}}]}}}
/api/annotations [{"dashboardUID":"board","time":1764500000000,"timeEnd":1764500001000,"text":"t","tags":["a"]}]"#];

/// A server whose answers are what it was last given.
struct Server {
    answers: Arc<Mutex<String>>,
    port: u16,
    runtime: Runtime,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let answers = Arc::new(Mutex::new(String::new()));
    let (port, given) = (Mutex::new(0), Arc::clone(&answers));
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        *port.lock().expect("mine") = listener.local_addr().expect("an address").port();
        let router = axum::Router::new().fallback(move |uri: axum::http::Uri| {
            let given = given.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let fits = |line: &str| {
                let (path, body) = line.split_once(' ')?;
                uri.path().starts_with(path).then(|| body.to_owned())
            };
            let body = given.lines().find_map(fits).unwrap_or(given.clone());
            async move { body.replace('⏎', "\n") }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
    });
    Server { answers, port: port.into_inner().expect("mine"), runtime }
});

/// One question of each kind.
fn questions() -> Vec<Question> {
    let (start_s, end_s) = (1_764_500_000.0, 1_764_500_060.0);
    let (signal, pattern) = ("log:a".to_owned(), "logs".to_owned());
    let (services, id) = (vec!["web".to_owned()], "op".to_owned());
    vec![
        Question::Targets,
        Question::SeriesCount { selectors: vec!["up".into(), "x{".into()] },
        Question::Range { name: "up".into(), expr: "up".into(), start_s, end_s, step_s: 15.0 },
        Question::Rules,
        Question::Evaluations,
        Question::RuleInputs { alert: "A".into(), drill: None, start_s, end_s },
        Question::Reload,
        Question::ManagedAlerts,
        Question::Silences,
        Question::ManagerReceivers,
        Question::Replica,
        Question::ClusterMember,
        Question::ProcessStarted,
        Question::Documents { pattern: pattern.clone(), start_s, end_s },
        Question::NewestLines {
            signal: signal.clone(),
            pattern: pattern.clone(),
            id_field: id.clone(),
        },
        Question::FieldTypes { pattern: pattern.clone() },
        Question::Indices { pattern },
        Question::Spans { services: Vec::new(), start_s, end_s },
        Question::NewestTraces { signal, services, id_attribute: id, since_s: start_s },
        Question::Dashboards,
        Question::Panels { dashboard: "board".into(), start_s, end_s },
        Question::Datasources,
        Question::Annotations { tags: vec!["a".into()] },
    ]
}

/// Asks a server of this kind all questions, while it answers so; how many were answered.
fn asked(kind: &str, answers: &str) -> usize {
    // One test at a time states what the server answers.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let server = &*SERVER;
    answers.clone_into(&mut server.answers.lock().unwrap_or_else(PoisonError::into_inner));
    let role = Role { kind: kind.into(), service: "x".into(), port: 1, ..Role::default() };
    let probe: Box<dyn Probe> = connect(&role, &Access::plain(server.port), RunClock::begin())
        .unwrap_or_else(|e| panic!("{e}"));
    let mut answered = 0;
    for question in questions() {
        let seen = server.runtime.block_on(probe.ask(&question));
        answered += usize::from(seen.iter().any(is_answer));
        for observation in seen {
            if let Fact::Unreachable { error, .. } = &observation.fact {
                assert!(!error.is_empty(), "{kind}, {question:?}: no reason");
            }
            let text = serde_json::to_string(&observation).expect("it is written");
            let again: Observation = serde_json::from_str(&text)
                .unwrap_or_else(|e| panic!("{kind}, {question:?}: recorded as {text}: {e}"));
            assert_eq!(again, observation, "{kind}, {question:?}: recorded as {text}");
        }
    }
    answered
}

fn is_answer(observation: &Observation) -> bool {
    !matches!(observation.fact, Fact::Unreachable { .. })
}

#[test]
fn what_is_damaged_below_is_answered_as_long_as_it_is_whole() {
    for (kind, answers, wanted) in [
        ("prometheus", PROMETHEUS[0], 9),
        ("alertmanager", ALERTMANAGER[0], 6),
        ("elasticsearch", ELASTICSEARCH[0], 4),
        ("jaeger", JAEGER[0], 2),
        ("grafana", GRAFANA[0], 4),
    ] {
        assert_eq!(asked(kind, answers), wanted, "{kind}");
    }
}

proptest! {
    #![proptest_config(damaged::cases(40))]

    #[test]
    fn a_damaged_answer_of_prometheus(text in damaged(PROMETHEUS)) {
        asked("prometheus", &text);
    }

    #[test]
    fn a_damaged_answer_of_alertmanager(text in damaged(ALERTMANAGER)) {
        asked("alertmanager", &text);
    }

    #[test]
    fn a_damaged_answer_of_elasticsearch(text in damaged(ELASTICSEARCH)) {
        asked("elasticsearch", &text);
    }

    #[test]
    fn a_damaged_answer_of_jaeger(text in damaged(JAEGER)) {
        asked("jaeger", &text);
    }

    #[test]
    fn a_damaged_answer_of_grafana(text in damaged(GRAFANA)) {
        asked("grafana", &text);
    }
}

proptest! {
    #![proptest_config(damaged::cases(15))]

    #[test]
    fn anything_in_place_of_an_answer(text in anything()) {
        for kind in ["prometheus", "alertmanager", "elasticsearch", "jaeger", "grafana"] {
            asked(kind, &text);
        }
    }
}

#[test]
fn answers_that_nest_deeply_are_read_or_refused() {
    for text in deep().filter(|text| text.starts_with(['{', '['])) {
        for kind in ["prometheus", "alertmanager", "elasticsearch", "jaeger", "grafana"] {
            asked(kind, &text);
        }
    }
}
