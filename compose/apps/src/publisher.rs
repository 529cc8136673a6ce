//! Pushing tasks to the queue.

use std::time::Duration;

use opentelemetry::Context;
use serde::Serialize;
use uuid::Uuid;

use crate::celery::Message;
use crate::redis_link::{ANSWER, RedisFailure, RedisLink};
use crate::trace::{SpanKind, TraceParent, Tracer};

/// Publishes to one queue. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Publisher {
    link: RedisLink,
    queue: String,
    origin: String,
    tracer: Tracer,
}

/// A task that was pushed.
#[derive(Clone, Debug)]
pub struct Published {
    /// The publishing span, parent of the task's.
    pub parent: TraceParent,
}

impl Publisher {
    /// `origin` names the publishing service.
    pub fn new(link: RedisLink, queue: &str, origin: &str, tracer: Tracer) -> Self {
        Self { link, queue: queue.into(), origin: origin.into(), tracer }
    }

    /// Tasks that wait, if Redis says so within `limit`.
    pub async fn length(&self, limit: Duration) -> Option<i64> {
        self.link.ask(redis::cmd("LLEN").arg(&self.queue), limit).await.ok()
    }

    /// Pushes a task below a span of its own, which the worker's span takes for its parent. On
    /// [`RedisFailure::Unavailable`] the task may have been pushed all the same.
    pub async fn publish(
        &self,
        parent: &Context,
        task: &str,
        id: Uuid,
        arguments: &impl Serialize,
        operation_id: Option<&str>,
    ) -> Result<Published, RedisFailure> {
        let span = self.tracer.span(format!("celery.publish {task}"), SpanKind::Producer, parent);
        span.set("messaging.system", "redis");
        span.set("messaging.destination.name", self.queue.clone());
        span.set("messaging.message.id", id.to_string());
        span.set_some("operation.id", operation_id);
        let published = Published { parent: span.traceparent() };
        let result = self.push(task, id, arguments, operation_id, self.tracer.inject(&span)).await;
        span.end_with(&result);
        result.map(|()| published)
    }

    async fn push(
        &self,
        task: &str,
        id: Uuid,
        arguments: &impl Serialize,
        operation_id: Option<&str>,
        traceparent: Option<String>,
    ) -> Result<(), RedisFailure> {
        let unwritable =
            |error: serde_json::Error| RedisFailure::Refused(format!("task {task}: {error}"));
        let mut message =
            Message::new(task, id, arguments, &self.queue, &self.origin).map_err(unwritable)?;
        message.headers.operation_id = operation_id.map(str::to_owned);
        message.headers.traceparent = traceparent;
        let message = message.render().map_err(unwritable)?;
        self.link
            .ask::<i64>(redis::cmd("LPUSH").arg(&self.queue).arg(message), ANSWER)
            .await
            .map(drop)
    }
}
