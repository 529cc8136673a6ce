//! Results of searches, kept in Redis for a while. A cache that can't be asked costs its benefit
//! and nothing else.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::redis_link::RedisLink;

/// A cache that is slower than this is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The cache.
pub(super) struct Cache {
    redis: RedisLink,
    keep: Duration,
    pub(super) hits: Counter,
    pub(super) misses: Counter,
}

impl Cache {
    pub(super) fn new(redis: RedisLink, keep: Duration) -> Self {
        Self { redis, keep, hits: Counter::default(), misses: Counter::default() }
    }

    /// What is known; neither a hit nor a miss when the cache did not answer.
    pub(super) async fn get(&self, key: &str) -> Option<String> {
        let known: Option<String> =
            self.redis.ask(redis::cmd("GET").arg(key), PATIENCE).await.ok()?;
        if known.is_some() { &self.hits } else { &self.misses }.inc();
        known
    }

    /// Keeps a value for the time to live.
    pub(super) async fn set(&self, key: &str, value: &str) {
        let milliseconds = (self.keep.as_millis() as u64).max(1);
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("PX").arg(milliseconds);
        let _ = self.redis.ask::<()>(&command, PATIENCE).await;
    }
}
