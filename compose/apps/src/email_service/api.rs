//! The endpoints under `/api/v1`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, FromRequestParts, Path, Query, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::App;
use super::basic_auth::authenticate;
use super::observe::Call;
use crate::database::{DatabaseError, NewEmail, Outcome};
use crate::mailbox::MailboxError;
use crate::redis_link::RedisFailure;
use crate::request::refusal;
use crate::tasks::SEND_TASK;
use crate::tasks::SendArguments;

/// Mails listed when the caller does not say how many, and at most.
const LIMIT: (u32, u32) = (20, 100);
/// Characters of a search, and of a subject.
const SHORT_TEXT: usize = 200;
/// Recipients of a mail.
const RECIPIENTS: usize = 50;

/// Why a request is not answered with what it asked for: the status, what the caller is told, what
/// the log is told.
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    cause: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str) -> Self {
        Self { status, error, cause: None }
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        let (status, text) = match error {
            DatabaseError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "database unavailable")
            }
            DatabaseError::Refused(_) => (StatusCode::INTERNAL_SERVER_ERROR, "database error"),
        };
        Self { status, error: text, cause: Some(error.to_string()) }
    }
}

impl From<RedisFailure> for Refusal {
    fn from(error: RedisFailure) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "queue unavailable",
            cause: Some(error.to_string()),
        }
    }
}

impl From<MailboxError> for Refusal {
    fn from(error: MailboxError) -> Self {
        let (status, text) = match error {
            MailboxError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "mailbox unavailable")
            }
            MailboxError::Refused(_) => (StatusCode::INTERNAL_SERVER_ERROR, "mailbox error"),
        };
        Self { status, error: text, cause: Some(error.to_string()) }
    }
}

/// The answer, and a word to the log if there is none.
fn answer(call: &Call, result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(|refused| {
        call.failed(refused.cause.as_deref().unwrap_or(refused.error));
        refusal(refused.status, refused.error)
    })
}

/// The authenticated account; whoever is none is answered 401.
pub(super) struct User(String);

impl FromRequestParts<Arc<App>> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let call = parts.extensions.get::<Call>();
        match authenticate(&app.accounts, &parts.headers) {
            Some(user) => {
                if let Some(call) = call {
                    call.user_is(&user);
                }
                Ok(Self(user))
            }
            None => {
                if let Some(call) = call {
                    call.failed("authentication failed");
                }
                let mut response = refusal(StatusCode::UNAUTHORIZED, "authentication failed");
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"mail\""));
                Err(response)
            }
        }
    }
}

#[derive(Deserialize)]
struct Draft {
    to: Vec<String>,
    subject: String,
    #[serde(default)]
    body: String,
}

/// `POST /api/v1/emails`
pub(super) async fn send(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    User(user): User,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let result = match body {
        Ok(body) => accept(&app, &call, user, &body).await,
        Err(rejection) => Err(Refusal {
            status: rejection.status(),
            error: "body unreadable",
            cause: Some(rejection.to_string()),
        }),
    };
    answer(&call, result)
}

async fn accept(app: &App, call: &Call, user: String, body: &[u8]) -> Result<Response, Refusal> {
    let draft: Draft = serde_json::from_slice(body).map_err(|error| Refusal {
        status: StatusCode::BAD_REQUEST,
        error: "body wants {\"to\":[address],\"subject\":text,\"body\":text}",
        cause: Some(error.to_string()),
    })?;
    if draft.subject.chars().count() > SHORT_TEXT || draft.subject.contains(['\r', '\n']) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "subject wants one line of at most 200 characters",
        ));
    }
    // What PostgreSQL can't store as text is no text.
    if draft.subject.contains('\0') || draft.body.contains('\0') {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "text wants no NUL characters"));
    }
    if !(1..=RECIPIENTS).contains(&draft.to.len()) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "to wants 1 to 50 addresses"));
    }
    let recipients: Option<Vec<String>> =
        draft.to.iter().map(|address| app.accounts.find(address)).collect();
    let Some(recipients) = recipients else {
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown recipient"));
    };
    let task_id = Uuid::new_v4();
    let email = NewEmail {
        sender: user,
        recipients,
        subject: draft.subject,
        body: draft.body,
        operation_id: call.operation_id.clone(),
        task_id,
    };
    let id = app.database.insert_email(&call.context, &email).await?;
    call.email_is(id);
    let NewEmail { sender, recipients, subject, body, .. } = email;
    let arguments = SendArguments { email_id: id, sender, recipients, subject, body };
    let operation_id = call.operation_id.as_deref();
    if let Err(error) =
        app.publisher.publish(&call.context, SEND_TASK, task_id, &arguments, operation_id).await
    {
        // Refused, so it must not be sent after all, should the task have come through.
        let reason = error.to_string();
        let given_up = app.database.finish_email(&call.context, id, Outcome::Failed, Some(&reason));
        if let Err(error) = given_up.await {
            call.failed(&format!("{reason}; and row {id} stays queued: {error}"));
        }
        return Err(error.into());
    }
    app.metrics.emails_accepted.inc();
    Ok((StatusCode::ACCEPTED, Json(json!({"id": id, "status": "queued"}))).into_response())
}

#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<String>,
}

impl Limit {
    fn read(&self) -> Result<u32, Refusal> {
        let (default, most) = LIMIT;
        let Some(text) = &self.limit else {
            return Ok(default);
        };
        match text.parse() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "limit wants a number from 1 to 100")),
        }
    }
}

/// `GET /api/v1/emails?limit=N`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    User(user): User,
    Query(limit): Query<Limit>,
) -> Response {
    let listed = async {
        let emails = app.database.list_emails(&call.context, &user, limit.read()?.into()).await?;
        Ok(Json(emails).into_response())
    };
    answer(&call, listed.await)
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /api/v1/emails/search?q=text`
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    User(user): User,
    Query(Search { q }): Query<Search>,
) -> Response {
    let found = async {
        if q.is_empty() || q.chars().count() > SHORT_TEXT || q.contains('\0') {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "q wants 1 to 200 characters"));
        }
        let key = format!("cache:search:{user}:{q}");
        if let Some(known) = app.cache.get(&key).await {
            return Ok(json_text(known));
        }
        let emails = app.database.search_emails(&call.context, &user, &q, LIMIT.1.into()).await?;
        let text = render(&emails)?;
        app.cache.set(&key, &text).await;
        Ok(json_text(text))
    };
    answer(&call, found.await)
}

fn render(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|error| Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: "internal error",
        cause: Some(error.to_string()),
    })
}

fn json_text(text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// `GET /api/v1/mailbox/messages?limit=N`
pub(super) async fn mailbox_list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    User(user): User,
    Query(limit): Query<Limit>,
) -> Response {
    let listed = async {
        let messages = app.mailboxes.list(&call.context, &user, limit.read()?).await?;
        Ok(Json(messages).into_response())
    };
    answer(&call, listed.await)
}

/// `GET /api/v1/mailbox/messages/{uid}`
pub(super) async fn mailbox_fetch(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    User(user): User,
    Path(uid): Path<String>,
) -> Response {
    let fetched = async {
        // IMAP's numbers start at 1; anything else names no message.
        let missing = || Refusal::new(StatusCode::NOT_FOUND, "no such message");
        let uid: u32 = uid.parse().ok().filter(|uid| *uid > 0).ok_or_else(missing)?;
        let message = app.mailboxes.fetch(&call.context, &user, uid).await?.ok_or_else(missing)?;
        Ok(Json(message).into_response())
    };
    answer(&call, fetched.await)
}
