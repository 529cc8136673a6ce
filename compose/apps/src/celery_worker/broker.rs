//! The queue as kombu keeps it over Redis: taken from a list, held as unacknowledged while in work,
//! restored when whoever held it is gone.
//!
//! As with Celery, a message that Redis has popped for a worker which dies, or loses its
//! connection, before it could note the message as held, is lost: at most one a worker.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::celery::{Message, UNACKED, UNACKED_INDEX};
use crate::redis_link::{ANSWER, RedisFailure, RedisLink};

/// How long Redis waits for a task before it says that there is none. Short, since a worker that
/// stops waits for it.
const BRPOP_SECONDS: f64 = 0.5;
/// How often an acknowledgement that did not get through is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// Acknowledgements are given up after this long; the visibility timeout has taken over by then.
const GIVE_UP: Duration = Duration::from_secs(120);
/// Messages restored at once.
const RESTORE: usize = 20;

/// Ends a delivery once and only once: what follows it is pushed only if it was still held.
const SETTLE: &str = "\
if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  if ARGV[2] == 'first' then redis.call('RPUSH', KEYS[3], ARGV[3]) end
  if ARGV[2] == 'last' then redis.call('LPUSH', KEYS[3], ARGV[3]) end
  return 1
end
return 0";

/// The queue.
#[derive(Debug)]
pub(super) struct Broker {
    takes: RedisLink,
    redis: RedisLink,
    queue: String,
    visibility: Duration,
    held: Mutex<HashSet<String>>,
}

/// What is to follow a delivery that ends.
pub(super) enum Next {
    /// Nothing: it was dealt with.
    Nothing,
    /// Another delivery of the task, at the queue's end.
    Retry(Message),
    /// The same again, to be taken next.
    Back(Message),
}

impl Broker {
    /// `takes` is a connection of its own, since BRPOP blocks it.
    pub(super) fn new(
        takes: RedisLink,
        redis: RedisLink,
        queue: &str,
        visibility: Duration,
    ) -> Self {
        Self { takes, redis, queue: queue.into(), visibility, held: Mutex::default() }
    }

    /// The next message as it lies in the queue; none for now after half a second.
    pub(super) async fn take(&self) -> Result<Option<String>, RedisFailure> {
        let mut command = redis::cmd("BRPOP");
        command.arg(&self.queue).arg(BRPOP_SECONDS);
        let taken: Option<(String, Vec<u8>)> = self.takes.ask(&command, ANSWER).await?;
        Ok(taken.map(|(_, message)| String::from_utf8_lossy(&message).into_owned()))
    }

    /// Puts back what was taken and not held yet.
    pub(super) async fn put_back(&self, raw: &str) {
        let _ = self.redis.ask::<i64>(redis::cmd("RPUSH").arg(&self.queue).arg(raw), ANSWER).await;
    }

    /// Notes that a message is in work. It is, whether or not that could be noted.
    pub(super) async fn hold(&self, message: &Message) {
        let tag = message.delivery_tag();
        self.lock().insert(tag.into());
        let Ok(held) = message.held(&self.queue) else {
            return;
        };
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("HSET").arg(UNACKED).arg(tag).arg(held).ignore();
        pipeline.cmd("ZADD").arg(UNACKED_INDEX).arg(now()).arg(tag).ignore();
        if self.redis.ask_all::<()>(&pipeline, ANSWER).await.is_err() {
            // Once more when Redis may be back; upkeep would only touch what is there.
            tokio::time::sleep(AGAIN).await;
            let _ = self.redis.ask_all::<()>(&pipeline, ANSWER).await;
        }
    }

    /// Ends a delivery, trying until Redis has heard of it.
    pub(super) async fn settle(&self, message: &Message, next: Next) {
        let tag = message.delivery_tag();
        let (place, follower) = match next {
            Next::Nothing => ("none", String::new()),
            Next::Retry(message) => ("last", message.render().unwrap_or_default()),
            Next::Back(message) => ("first", message.render().unwrap_or_default()),
        };
        let mut command = redis::cmd("EVAL");
        command.arg(SETTLE).arg(3).arg(UNACKED).arg(UNACKED_INDEX).arg(&self.queue);
        command.arg(tag).arg(place).arg(follower);
        let deadline = tokio::time::Instant::now() + GIVE_UP;
        while let Err(RedisFailure::Unavailable(_)) = self.redis.ask::<i64>(&command, ANSWER).await
        {
            if tokio::time::Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.lock().remove(tag);
    }

    /// Keeps what is in work from being taken for abandoned, and restores what is. Runs for ever.
    pub(super) async fn keep_up(self: std::sync::Arc<Self>) {
        let period = (self.visibility / 4).min(Duration::from_secs(1));
        loop {
            tokio::time::sleep(period).await;
            // First the own ones, so that none of them looks abandoned after Redis was away.
            if self.refresh().await.is_ok() {
                let _ = self.restore().await;
            }
        }
    }

    async fn refresh(&self) -> Result<(), RedisFailure> {
        let tags: Vec<String> = self.lock().iter().cloned().collect();
        for tags in tags.chunks(500) {
            let mut command = redis::cmd("ZADD");
            command.arg(UNACKED_INDEX).arg("XX");
            for tag in tags {
                command.arg(now()).arg(tag);
            }
            self.redis.ask::<i64>(&command, ANSWER).await?;
        }
        Ok(())
    }

    async fn restore(&self) -> Result<(), RedisFailure> {
        let before = now() - self.visibility.as_secs_f64();
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(UNACKED_INDEX).arg("-inf").arg(before).arg("LIMIT").arg(0).arg(RESTORE);
        let tags: Vec<String> = self.redis.ask(&command, ANSWER).await?;
        for tag in tags {
            if self.lock().contains(&tag) {
                continue;
            }
            let held: Option<String> =
                self.redis.ask(redis::cmd("HGET").arg(UNACKED).arg(&tag), ANSWER).await?;
            let message = held
                .as_deref()
                .and_then(|held| Message::restore(held).ok())
                .and_then(|it| it.render().ok());
            let mut command = redis::cmd("EVAL");
            command.arg(SETTLE).arg(3).arg(UNACKED).arg(UNACKED_INDEX).arg(&self.queue).arg(&tag);
            command
                .arg(if message.is_some() { "first" } else { "none" })
                .arg(message.unwrap_or_default());
            self.redis.ask::<i64>(&command, ANSWER).await?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Unix seconds, as kombu scores them.
fn now() -> f64 {
    jiff::Timestamp::now().as_millisecond() as f64 / 1_000.0
}
