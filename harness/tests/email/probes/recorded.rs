//! Grafana as a server answers that was recorded: `grafana-10.0.0.jsonl` holds requests and answers
//! of Grafana 10.0.0, one a line, each series with its first two and its last point. What no
//! request was recorded for is answered 404, as no server of ours would.

use super::{ask, connect, fact};
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use firedrill::declaration::Role;
use firedrill::drill::annotation::Annotations;
use firedrill::probe::Question;
use firedrill::process::clock::RunClock;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use verdict::history::fault::{FaultEvent, ONLY_FAULT};
use verdict::history::load::LoadEvent;
use verdict::history::run::{Phase, RunEvent};
use verdict::observation::Fact;
use verdict::observation::dashboards::Panel;
use verdict::{At, Event, EventKind};

#[derive(Deserialize)]
struct Exchange {
    request: String,
    body: Value,
    status: u16,
    answer: Value,
}

fn recording() -> Vec<Exchange> {
    include_str!("grafana-10.0.0.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The recorded range, ms since 1970; seconds in the middle of a millisecond, so that rounding
/// can't matter.
const FROM_MS: i64 = 1_796_002_622_285;
const TO_MS: i64 = 1_796_002_628_071;
const RUN: &str = "1130-013702-2b49";

/// What was asked so far, by the number of its line; `None` for what was not recorded.
type Asked = Arc<Mutex<Vec<Result<usize, String>>>>;

async fn replayed() -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (exchanges, asked) = (Arc::new(recording()), Asked::default());
    let seen = asked.clone();
    let answer = move |request: Request| {
        let (exchanges, seen) = (exchanges.clone(), seen.clone());
        async move {
            let (parts, body) = request.into_parts();
            // "admin:admin", as the stack states it.
            if parts
                .headers
                .get(header::AUTHORIZATION)
                .is_none_or(|a| a != "Basic YWRtaW46YWRtaW4=")
            {
                return (StatusCode::UNAUTHORIZED, String::new()).into_response();
            }
            let wanted = format!("{} {}", parts.method, parts.uri);
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let found = exchanges.iter().position(|e| e.request == wanted && e.body == body);
            seen.lock().unwrap().push(found.ok_or(format!("{wanted} {body}")));
            let Some(exchange) = found.map(|at| &exchanges[at]) else {
                return (StatusCode::NOT_FOUND, "not recorded").into_response();
            };
            (StatusCode::from_u16(exchange.status).unwrap(), exchange.answer.to_string())
                .into_response()
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (port, asked)
}

fn panels(dashboard: &str) -> Question {
    Question::Panels {
        dashboard: dashboard.into(),
        start_s: (FROM_MS as f64 + 0.5) / 1e3,
        end_s: (TO_MS as f64 + 0.5) / 1e3,
    }
}

/// Every request about dashboards and data sources that the recording holds is made again, and no
/// other.
pub async fn answers() {
    let (port, asked) = replayed().await;
    let probe = connect("grafana", port);
    let Fact::Dashboards { dashboards } = fact(&*probe, Question::Dashboards).await else {
        panic!("another answer")
    };
    let known: BTreeMap<&str, (&str, u64)> =
        dashboards.iter().map(|d| (d.uid.as_str(), (d.title.as_str(), d.panels))).collect();
    let wanted = [
        ("email-service-overview", ("E-mail service overview", 18)),
        ("system-resources", ("System resources", 18)),
    ];
    assert_eq!(known, wanted.into());

    let mut queries = 0;
    for (uid, (title, count)) in wanted {
        let found: Vec<Panel> = ask(&*probe, panels(uid))
            .await
            .into_iter()
            .map(|f| match f {
                Fact::Panel(p) => p,
                other => panic!("{title}: {other:?}"),
            })
            .collect();
        let titles: std::collections::BTreeSet<&str> =
            found.iter().map(|p| p.panel.as_str()).collect();
        assert_eq!(titles.len() as u64, count);
        for p in &found {
            assert!(
                p.error.is_none()
                    && p.skipped.is_none()
                    && p.values > 0
                    && p.frames > 0
                    && !p.timed_out,
                "{p:?}"
            );
        }
        queries += found.len();
    }
    let recorded = recording();
    assert_eq!(queries, recorded.iter().filter(|e| e.request == "POST /api/ds/query").count());

    let health = ask(&*probe, Question::Datasources).await;
    let names: Vec<(String, bool)> = health
        .into_iter()
        .map(|f| match f {
            Fact::Datasource(d) => (d.name, d.ok),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        names,
        ["Alertmanager", "Elasticsearch", "Jaeger", "Prometheus"].map(|n| (n.to_owned(), true))
    );

    let asked = std::mem::take(&mut *asked.lock().unwrap());
    let strangers: Vec<&String> = asked.iter().filter_map(|a| a.as_ref().err()).collect();
    assert!(strangers.is_empty(), "not recorded: {strangers:#?}");
    let about =
        |e: &Exchange| !e.request.contains("/api/annotations") && e.request != "GET /api/health";
    let missing: Vec<&str> = recorded
        .iter()
        .enumerate()
        .filter(|(at, e)| about(e) && !asked.contains(&Ok(*at)))
        .map(|(_, e)| e.request.as_str())
        .collect();
    assert!(missing.is_empty(), "recorded and not asked: {missing:?}");

    // Another time was not recorded: what the server refuses then is the panel's error, and its
    // message is told.
    let other =
        Question::Panels { dashboard: "system-resources".into(), start_s: 0.0, end_s: 60.0 };
    let refused = ask(&*probe, other).await;
    assert!(
        refused
            .iter()
            .all(|f| matches!(f, Fact::Unreachable { error, .. } if error.contains("HTTP 404"))),
        "{:?}",
        refused.first()
    );

    annotations().await;
}

/// The annotations of the recorded run are written as they were, and counted as there.
async fn annotations() {
    let (port, asked) = replayed().await;
    let role = Role {
        kind: "grafana".into(),
        service: "grafana".into(),
        port: 3000,
        user: Some("admin".into()),
        password: Some("admin".into()),
        ..Role::default()
    };
    let uids = ["email-service-overview", "system-resources"].map(String::from).to_vec();
    let annotations = Annotations::on(&role, role.access_at(port), uids, RUN, RunClock::begin());
    let event = |ms: i64, kind: EventKind| Event {
        seq: 0,
        at: At { mono_us: 0, wall_us: ms * 1_000 },
        kind,
    };
    let phase = |phase: Phase, begins: bool| match begins {
        true => EventKind::Run(RunEvent::PhaseBegan { phase }),
        false => EventKind::Run(RunEvent::PhaseEnded { phase }),
    };
    let injected = FaultEvent::Injected {
        drill: "redis_evicts".into(),
        fault: ONLY_FAULT.into(),
        kind: "redis_fill".into(),
        target: "redis".into(),
        instances: vec![],
        mechanism: "commands".into(),
        blast_radius: Default::default(),
    };
    let healed = FaultEvent::Healed { drill: "redis_evicts".into(), fault: ONLY_FAULT.into() };
    let sender = annotations.sender();
    for (ms, kind) in [
        (1_796_002_622_285, phase(Phase::Steady, true)),
        (
            1_796_002_622_285,
            EventKind::Load(LoadEvent::Began { rate: 20.0, stream: "background".into() }),
        ),
        (1_796_002_629_016, phase(Phase::Steady, false)),
        (1_796_002_629_016, phase(Phase::Drive, true)),
        (1_796_002_634_024, EventKind::Fault(injected)),
        (1_796_002_637_228, EventKind::Fault(healed)),
        (
            1_796_002_662_760,
            EventKind::Load(LoadEvent::Ended {
                stream: "background".into(),
                summary: Box::default(),
            }),
        ),
        (1_796_002_662_760, phase(Phase::Drive, false)),
        (1_796_002_662_760, phase(Phase::Drain, true)),
        (1_796_002_667_401, phase(Phase::Drain, false)),
    ] {
        sender.send(event(ms, kind)).unwrap();
    }
    drop(sender);
    let Fact::Annotations { annotations } = annotations.end().await.unwrap().fact else {
        panic!("another answer")
    };
    assert_eq!(annotations.len(), 10);
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    assert!(
        asked.iter().all(Result::is_ok),
        "{:#?}",
        asked.iter().filter_map(|a| a.as_ref().err()).collect::<Vec<_>>()
    );
    assert_eq!(
        asked.len(),
        recording().iter().filter(|e| e.request.contains("/api/annotations")).count()
    );
}
