//! What email-service counts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::cache::Cache;
use crate::database::Database;
use crate::log::Log;
use crate::mailbox::Mailboxes;
use crate::metrics::{Buckets, Histograms, registry, respond};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    endpoint: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    endpoint: String,
}

/// The registry and what is counted by hand.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Histograms<Asked>,
    queue_length: QueueLength,
    /// Mails whose task was pushed.
    pub(super) emails_accepted: Counter,
}

/// Routes with the status of success: their series exist from the start, so that a ratio of errors
/// is 0 and not absent.
const ROUTES: [(&str, &str, u16); 5] = [
    ("POST", "/api/v1/emails", 202),
    ("GET", "/api/v1/emails", 200),
    ("GET", "/api/v1/emails/search", 200),
    ("GET", "/api/v1/mailbox/messages", 200),
    ("GET", "/api/v1/mailbox/messages/{uid}", 200),
];

impl Metrics {
    pub(super) fn new(
        buckets: Buckets,
        log: &Log,
        database: &Database,
        mailboxes: &Mailboxes,
        cache: &Cache,
        queue: &str,
    ) -> Self {
        let mut registry = registry(log);
        let requests = Family::<Answered, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let durations = Histograms::<Asked>::new_with_constructor(buckets);
        registry.register(
            "http_request_duration_seconds",
            "Time to answer a request, in seconds",
            durations.clone(),
        );
        for (method, endpoint, success) in ROUTES {
            drop(durations.get_or_create(&Asked { method, endpoint: endpoint.into() }));
            for status in [success, 500, 503, 504] {
                drop(requests.get_or_create(&Answered {
                    method,
                    endpoint: endpoint.into(),
                    status,
                }));
            }
        }
        let emails_accepted = Counter::default();
        registry.register("emails_accepted", "Mails stored and queued", emails_accepted.clone());
        registry.register("cache_hits", "Searches answered from the cache", cache.hits.clone());
        registry.register(
            "cache_misses",
            "Searches that the cache did not know",
            cache.misses.clone(),
        );
        registry.register(
            "imap_connections",
            "Attempts to open an IMAP session",
            mailboxes.attempts(),
        );
        for gauge in database.gauges().into_iter().chain(mailboxes.gauges()) {
            registry.register_collector(Box::new(gauge));
        }
        let queue_length = QueueLength { queue: queue.into(), length: Arc::default() };
        registry.register_collector(Box::new(queue_length.clone()));
        Self { registry, requests, durations, queue_length, emails_accepted }
    }

    /// One request was answered.
    pub(super) fn answered(
        &self,
        method: &'static str,
        endpoint: &str,
        status: u16,
        duration: Duration,
    ) {
        self.requests.get_or_create(&Answered { method, endpoint: endpoint.into(), status }).inc();
        self.durations
            .get_or_create(&Asked { method, endpoint: endpoint.into() })
            .observe(duration.as_secs_f64());
    }

    /// The page, with the length of the queue as it was asked for this scrape.
    pub(super) fn respond(&self, queue_length: Option<i64>, headers: &HeaderMap) -> Response {
        *self.queue_length.length.lock().unwrap_or_else(PoisonError::into_inner) = queue_length;
        respond(&self.registry, headers)
    }
}

/// Absent when Redis could not be asked.
#[derive(Clone)]
struct QueueLength {
    queue: String,
    length: Arc<Mutex<Option<i64>>>,
}

impl fmt::Debug for QueueLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueLength").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Collector for QueueLength {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let length = *self.length.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(length) = length else { return Ok(()) };
        let gauge = ConstGauge::new(length);
        let help = "Tasks that wait in the queue";
        let mut family =
            encoder.encode_descriptor("celery_queue_length", help, None, gauge.metric_type())?;
        gauge.encode(family.encode_family(&[("queue", self.queue.as_str())])?)
    }
}
