//! Servers that answer with errors, with nonsense, or not at all: each question to each probe is an
//! observation.

use super::{assert_unreachable, connect};
use firedrill::declaration::kinds;
use firedrill::probe::Question;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use verdict::{Fact, Observation};

fn questions(kind: &str) -> Vec<Question> {
    let (start_s, end_s) = (1000.0, 1010.0);
    match kind {
        "prometheus" => vec![
            Question::Targets,
            Question::SeriesCount { selectors: vec!["up".into()] },
            Question::Range { name: "x".into(), expr: "up".into(), start_s, end_s, step_s: 1.0 },
            Question::Rules,
            Question::Evaluations,
            Question::RuleInputs { alert: "A".into(), drill: None, start_s, end_s },
            Question::Reload,
        ],
        "alertmanager" => vec![Question::ManagedAlerts, Question::Silences, Question::Reload],
        "elasticsearch" => vec![
            Question::Documents { pattern: "logs-*".into(), start_s, end_s },
            Question::FieldTypes { pattern: "logs-*".into() },
            Question::Indices { pattern: "logs-*".into() },
        ],
        "jaeger" => {
            vec![
                Question::Spans { services: vec!["a".into()], start_s, end_s },
                Question::Spans { services: vec![], start_s, end_s },
            ]
        }
        "grafana" => vec![
            Question::Dashboards,
            Question::Panels { dashboard: "d".into(), start_s, end_s },
            Question::Datasources,
        ],
        other => panic!("no questions for {other}"),
    }
}

async fn serve(status: u16, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move || async move { (axum::http::StatusCode::from_u16(status).unwrap(), body) };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    port
}

pub async fn all() {
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let ports = [
        refused,
        serve(500, r#"{"status":"error"}"#).await,
        serve(200, "<html>").await,
        serve(200, "{}").await,
    ];
    for kind in kinds::asked() {
        for port in ports {
            let probe = connect(kind, port);
            for question in questions(kind) {
                // An empty object is an honest answer to these: there is nothing.
                let nothing =
                    matches!(question, Question::FieldTypes { .. } | Question::Spans { .. });
                if !(nothing && port == ports[3]) {
                    assert_unreachable(&*probe, question).await;
                }
            }
        }
        // A question that another backend answers.
        let foreign = if kind == "prometheus" { Question::Silences } else { Question::Targets };
        assert_unreachable(&*connect(kind, refused), foreign).await;
    }
    // One that takes its time is waited for; one that is silent is given up, and not before.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = connect("prometheus", silent.local_addr().unwrap().port());
    let given_up = async {
        tokio::join!(
            assert_unreachable(&*probe, Question::Targets),
            assert_unreachable(&*probe, Question::Reload)
        );
        Instant::now()
    };
    let slow = connect(
        "prometheus",
        serve_late(r#"{"status":"success","data":{"activeTargets":[]}}"#).await,
    );
    let answered = async {
        let facts = slow.ask(&Question::Targets).await;
        assert!(
            matches!(facts.as_slice(), [Observation { fact: Fact::Targets { .. }, .. }]),
            "{facts:?}"
        );
        Instant::now()
    };
    let (given_up, answered) = tokio::join!(given_up, answered);
    assert!(answered < given_up);
}

/// A server that answers after a second.
async fn serve_late(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move || async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        body
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    port
}
