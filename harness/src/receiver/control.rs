//! The plain HTTP interface that the harness reads: what arrived, health, and misbehaviour asked
//! for.

use super::record::Recorded;
use super::{Behaviour, Shared};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Longest time that a request for notifications waits, seconds.
const MAX_WAIT_S: f64 = 30.0;

/// Answer to `GET /notifications?after=N&wait_s=S`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Identity of the record; another one if the stand-ins began anew.
    pub record: String,
    /// Those with `seq` above N, in order; empty if none came within the wait.
    pub notifications: Vec<Recorded>,
}

/// Answer to `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: String,
    /// Number of stand-ins.
    pub receivers: usize,
    /// Number of notifications recorded.
    pub notifications: u64,
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    after: u64,
    wait_s: Option<f64>,
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let router = Router::new()
        .route("/notifications", get(notifications))
        .route("/health", get(health))
        .route("/behaviour", put(behaviour))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("control: {error}");
    }
}

async fn notifications(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Json<Page> {
    let wait = Duration::from_secs_f64(
        asked.wait_s.filter(|s| s.is_finite()).unwrap_or(25.0).clamp(0.0, MAX_WAIT_S),
    );
    let mut last = shared.record.last();
    // More than there are means another record: answer at once, so that the asker sees it.
    let more = last.wait_for(|last| *last != asked.after);
    let _ = tokio::time::timeout(wait, more).await;
    Json(Page {
        record: shared.record.id().to_owned(),
        notifications: shared.record.after(asked.after),
    })
}

async fn health(State(shared): State<Arc<Shared>>) -> Json<Health> {
    let notifications = *shared.record.last().borrow();
    Json(Health { status: "ok".into(), receivers: shared.receivers.len(), notifications })
}

async fn behaviour(
    State(shared): State<Arc<Shared>>,
    asked: Result<Json<Behaviour>, JsonRejection>,
) -> Response {
    let behaviour = match asked {
        Ok(Json(behaviour)) => behaviour,
        Err(error) => return (StatusCode::BAD_REQUEST, error.body_text()).into_response(),
    };
    if !shared.receivers.iter().any(|r| r.name == behaviour.receiver) {
        let known: Vec<&str> = shared.receivers.iter().map(|r| r.name.as_str()).collect();
        let error =
            format!("receiver {:?} is not declared; {} are", behaviour.receiver, known.join(", "));
        return (StatusCode::NOT_FOUND, error).into_response();
    }
    if let Some(answer) = behaviour.answer.filter(|a| !(400..600).contains(a)) {
        return (StatusCode::BAD_REQUEST, format!("answer {answer} seen, 400 to 599 wanted"))
            .into_response();
    }
    shared.behaviours.put(behaviour);
    StatusCode::NO_CONTENT.into_response()
}
