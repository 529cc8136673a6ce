//! Running tasks: as many at once as there are slots, each to its end, whatever becomes of the
//! others.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use opentelemetry::Context;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Worker;
use super::broker::Next;
use super::smtp::SmtpFailure;
use crate::celery::Message;
use crate::database::{DatabaseError, Outcome};
use crate::lifecycle::GRACE;
use crate::log::{Level, Line, milliseconds};
use crate::tasks::{SEND_TASK, SWEEP_TASK, SendArguments};
use crate::trace::SpanKind;

/// No execution takes longer: the waits within add up to less.
const TASK_LIMIT: Duration = Duration::from_secs(40);
/// Tasks that wait in memory for their time; beyond it they wait in a slot, and the queue behind
/// them.
const DEFERRED: usize = 1_000;
/// How often what only the database has to hear is tried again: minutes.
const DATABASE_RETRIES: u32 = 60;
/// The longest wait before a retry.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Header of our own: how often the mail server did not take the mail.
const SMTP_FAILURES: &str = "smtp_failures";
/// Header of our own: how the mail ended, when only the database has still to hear of it.
const OUTCOME: &str = "outcome";

/// How often and when a mail is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    pub(super) most: u32,
    pub(super) backoff: Duration,
}

impl Retries {
    /// The wait before retry number `retry` (from 1): doubles each time, up to a limit.
    fn wait(self, retry: u32) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << retry.saturating_sub(1).min(16));
        doubled.min(LONGEST_BACKOFF.max(self.backoff))
    }
}

/// Takes and runs tasks until told to stop; then what runs may end, what waits goes back.
pub(super) async fn consume(worker: Arc<Worker>, concurrency: usize) {
    let slots = Arc::new(Semaphore::new(concurrency));
    let deferred = Arc::new(Semaphore::new(DEFERRED));
    let stop = worker.service.stop.clone();
    loop {
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot,
            () = stop.said() => break,
        };
        let Ok(slot) = slot else { break };
        if stop.is_said() {
            break;
        }
        match worker.broker.take().await {
            Ok(Some(raw)) if stop.is_said() => worker.broker.put_back(&raw).await,
            Ok(Some(raw)) => dispatch(&worker, raw, slot, &slots, &deferred),
            Ok(None) => {}
            // The link reconnects by itself, and says so; asking again waits for it.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    let ended = async {
        let _ = slots.acquire_many(concurrency as u32).await;
        let _ = deferred.acquire_many(DEFERRED as u32).await;
    };
    let _ = tokio::time::timeout(GRACE, ended).await;
}

/// Starts a task, now or when its time has come.
fn dispatch(
    worker: &Arc<Worker>,
    raw: String,
    slot: OwnedSemaphorePermit,
    slots: &Arc<Semaphore>,
    deferred: &Arc<Semaphore>,
) {
    let message = match Message::parse(&raw) {
        Ok(message) => message,
        Err(error) => {
            // As Celery does: complain, and go on. It was never held, so there is nothing to
            // acknowledge.
            worker.metrics.ended("unknown", "failure", Duration::ZERO);
            let mut line =
                Line::new("task", "message discarded").failed(Level::Error, error.to_string());
            line.state = Some("failure");
            worker.service.log.write(line);
            return;
        }
    };
    let (worker, slots) = (worker.clone(), slots.clone());
    let wait = message
        .headers
        .eta
        .and_then(|eta| Duration::try_from(eta.duration_since(Timestamp::now())).ok());
    let place = wait.and_then(|_| deferred.clone().try_acquire_owned().ok());
    tokio::spawn(async move {
        let mut slot = Some(slot);
        if place.is_some() {
            slot = None;
        }
        worker.broker.hold(&message).await;
        let stop = worker.service.stop.clone();
        if let Some(wait) = wait {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.said() => return worker.broker.settle(&message, Next::Back(message.clone())).await,
            }
        }
        let _slot = match slot {
            Some(slot) => slot,
            None => tokio::select! {
                slot = slots.acquire_owned() => match slot {
                    Ok(slot) => slot,
                    Err(_) => return,
                },
                () = stop.said() => return worker.broker.settle(&message, Next::Back(message.clone())).await,
            },
        };
        drop(place);
        let next = execute(&worker, &message).await;
        // The slot is free for others even while Redis is away: the task itself has ended.
        drop(_slot);
        worker.broker.settle(&message, next).await;
    });
}

/// Why an execution did not do what it should.
enum Failure {
    /// Try again, the mail server did not take it.
    Smtp(String),
    /// Try again, the database did not answer. What is already known of the mail goes along.
    Database { error: String, outcome: Option<Outcome> },
    /// Try again a few times: the next one is on its way.
    Sweep(String),
    /// Nothing will help.
    Final(String),
}

/// One execution: span, metrics, its one log line. Returns what follows.
async fn execute(worker: &Arc<Worker>, message: &Message) -> Next {
    let headers = &message.headers;
    let parent = worker.service.tracer.extract(headers.traceparent.as_deref());
    let span = worker.service.tracer.span(
        format!("celery.run {}", headers.task),
        SpanKind::Consumer,
        &parent,
    );
    span.set("messaging.system", "redis");
    span.set("messaging.message.id", headers.id.clone());
    span.set("celery.retries", i64::from(headers.retries));
    span.set_some("operation.id", headers.operation_id.as_deref());
    let started = Instant::now();
    worker.metrics.active.inc();
    let mail = message.arguments::<SendArguments>().ok();
    let work = AssertUnwindSafe(run(worker, message, mail.as_ref(), span.context())).catch_unwind();
    let result = match tokio::time::timeout(TASK_LIMIT, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Failure::Final("panicked".into())),
        Err(_) => Err(Failure::Final(format!("took longer than {} s", TASK_LIMIT.as_secs()))),
    };
    let (state, error, next) = match result {
        Ok(()) => ("success", None, Next::Nothing),
        Err(failure) => {
            // A mail that is given up is `failed`; if that can't be written now, it is later.
            match decide(worker, message, failure) {
                Decision::Retry { error, wait, headers } => {
                    let eta = Timestamp::now()
                        + SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
                    ("retry", Some(error), Next::Retry(message.retry(eta, &headers)))
                }
                Decision::GiveUp { error } => {
                    give_up(worker, message, mail.as_ref(), span.context(), error).await
                }
            }
        }
    };
    let duration = started.elapsed();
    worker.metrics.active.dec();
    worker.metrics.ended(&headers.task, state, duration);
    span.set("celery.state", state);
    if let Some(error) = &error {
        span.fail(error.clone());
    }
    let mut line = Line::new("task", format!("{} {state}", headers.task));
    span.identify(&mut line);
    span.end();
    line.level = match state {
        "success" => Level::Info,
        "retry" => Level::Warning,
        _ => Level::Error,
    };
    line.operation_id = headers.operation_id.clone();
    line.task = Some(headers.task.clone());
    line.task_id = Some(headers.id.clone());
    line.state = Some(state);
    line.duration_ms = Some(milliseconds(duration));
    line.error = error;
    if let Some(mail) = mail {
        line.user = Some(mail.sender);
        line.email_id = Some(mail.email_id);
    }
    worker.service.log.write(line);
    next
}

async fn run(
    worker: &Worker,
    message: &Message,
    mail: Option<&SendArguments>,
    context: &Context,
) -> Result<(), Failure> {
    match (message.headers.task.as_str(), mail) {
        (SEND_TASK, Some(mail)) => send(worker, message, mail, context).await,
        (SEND_TASK, None) => Err(Failure::Final("arguments of another shape".into())),
        (SWEEP_TASK, _) => match worker.database.sweep(context).await {
            Ok(_) => Ok(()),
            Err(DatabaseError::Unavailable(error)) => Err(Failure::Sweep(error)),
            Err(error @ DatabaseError::Refused(_)) => Err(Failure::Final(error.to_string())),
        },
        (name, _) => Err(Failure::Final(format!("unknown task {name:?}"))),
    }
}

async fn send(
    worker: &Worker,
    message: &Message,
    mail: &SendArguments,
    context: &Context,
) -> Result<(), Failure> {
    let finish = async |outcome: Outcome, error: Option<&str>| {
        let finished = worker.database.finish_email(context, mail.email_id, outcome, error).await;
        finished
            .map_err(|error| Failure::Database { error: error.to_string(), outcome: Some(outcome) })
    };
    match message.header(OUTCOME).and_then(Value::as_str) {
        Some("sent") => return finish(Outcome::Sent, None).await,
        Some("failed") => {
            finish(Outcome::Failed, Some("mail server refused")).await?;
            return Err(Failure::Final("mail server refused".into()));
        }
        _ => {}
    }
    // A task that was delivered twice, or whose request was refused after all, must not send.
    match worker.database.is_queued(mail.email_id).await {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) => {
            return Err(Failure::Database { error: error.to_string(), outcome: None });
        }
    }
    let operation_id = message.headers.operation_id.as_deref();
    match worker.smtp.send(context, mail, &message.headers.id, operation_id).await {
        Ok(()) => {
            worker.metrics.delivered.inc();
            finish(Outcome::Sent, None).await
        }
        Err(SmtpFailure::Transient(error)) => Err(Failure::Smtp(error)),
        Err(SmtpFailure::Permanent(error)) => Err(Failure::Final(error)),
    }
}

enum Decision {
    Retry { error: String, wait: Duration, headers: Vec<(&'static str, Value)> },
    GiveUp { error: String },
}

fn decide(worker: &Worker, message: &Message, failure: Failure) -> Decision {
    match failure {
        Failure::Final(error) => Decision::GiveUp { error },
        Failure::Smtp(error) => {
            let failures =
                message.header(SMTP_FAILURES).and_then(Value::as_u64).unwrap_or(0) as u32 + 1;
            if failures > worker.retries.most {
                let tries = worker.retries.most + 1;
                return Decision::GiveUp {
                    error: format!("{error} (given up after {tries} tries)"),
                };
            }
            let wait = worker.retries.wait(failures);
            Decision::Retry { error, wait, headers: vec![(SMTP_FAILURES, json!(failures))] }
        }
        Failure::Sweep(error) if message.headers.retries >= worker.retries.most => {
            Decision::GiveUp { error }
        }
        Failure::Sweep(error) => Decision::Retry {
            error,
            wait: worker.retries.wait(message.headers.retries + 1),
            headers: Vec::new(),
        },
        Failure::Database { error, .. } if message.headers.retries >= DATABASE_RETRIES => {
            Decision::GiveUp { error }
        }
        Failure::Database { error, outcome } => {
            let wait = worker.retries.wait(message.headers.retries + 1);
            let headers = outcome.map(|outcome| (OUTCOME, json!(outcome.status())));
            Decision::Retry { error, wait, headers: headers.into_iter().collect() }
        }
    }
}

/// Writes down that the mail failed; when the database can't be told now, a later delivery tells
/// it.
async fn give_up(
    worker: &Worker,
    message: &Message,
    mail: Option<&SendArguments>,
    context: &Context,
    error: String,
) -> (&'static str, Option<String>, Next) {
    let written = message.header(OUTCOME).is_some() || message.headers.task != SEND_TASK;
    let Some(mail) = mail.filter(|_| !written) else {
        return ("failure", Some(error), Next::Nothing);
    };
    let told: Result<(), DatabaseError> =
        worker.database.finish_email(context, mail.email_id, Outcome::Failed, Some(&error)).await;
    match told {
        Ok(()) => ("failure", Some(error), Next::Nothing),
        Err(_) if message.headers.retries >= DATABASE_RETRIES => {
            ("failure", Some(error), Next::Nothing)
        }
        Err(database) => {
            let eta = Timestamp::now() + SignedDuration::from_secs(1);
            let headers = [(OUTCOME, json!(Outcome::Failed.status()))];
            (
                "retry",
                Some(format!("{error}; {database}")),
                Next::Retry(message.retry(eta, &headers)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let retries = Retries { most: 3, backoff: Duration::from_secs(1) };
        let waits: Vec<u64> =
            [1, 2, 3, 4, 60, u32::MAX].map(|retry| retries.wait(retry).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 5, 5, 5]);
        let slow = Retries { most: 3, backoff: Duration::from_secs(20) };
        assert_eq!(slow.wait(3), Duration::from_secs(20));
    }
}
