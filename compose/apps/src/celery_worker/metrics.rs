//! What celery-worker counts.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::smtp::Mailer;
use crate::database::Database;
use crate::log::Log;
use crate::metrics::{
    Buckets, DURATION_BUCKETS, Histograms, Sampled, parse_buckets, registry, respond,
};
use crate::tasks::{SEND_TASK, SWEEP_TASK};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    task: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfTask {
    task: &'static str,
}

/// The registry and what is counted by hand.
pub(super) struct Metrics {
    registry: Registry,
    tasks: Family<Ended, Counter>,
    durations: Histograms<OfTask>,
    /// Tasks being run.
    pub(super) active: Gauge,
    /// Mails that the mail server has taken over.
    pub(super) delivered: Counter,
}

impl Metrics {
    pub(super) fn new(log: &Log, database: &Database, smtp: &Mailer) -> Self {
        let mut registry = registry(log);
        registry.register_collector(Box::new(Sampled::gauge(
            "celery_worker_up",
            "This worker runs",
            || 1.0,
        )));
        let tasks = Family::<Ended, Counter>::default();
        registry.register("celery_tasks", "Task executions that ended", tasks.clone());
        let buckets = parse_buckets(DURATION_BUCKETS).unwrap_or_else(|_| Buckets(vec![1.0]));
        let durations = Histograms::<OfTask>::new_with_constructor(buckets);
        registry.register(
            "celery_task_duration_seconds",
            "Time to run a task, in seconds",
            durations.clone(),
        );
        for task in [SEND_TASK, SWEEP_TASK] {
            drop(durations.get_or_create(&OfTask { task }));
            for state in ["success", "failure", "retry"] {
                drop(tasks.get_or_create(&Ended { task, state }));
            }
        }
        let (active, delivered) = (Gauge::default(), Counter::default());
        registry.register("celery_tasks_active", "Tasks being run", active.clone());
        registry.register(
            "emails_delivered",
            "Mails that the mail server has taken over",
            delivered.clone(),
        );
        for gauge in database.gauges().into_iter().chain(smtp.gauges()) {
            registry.register_collector(Box::new(gauge));
        }
        Self { registry, tasks, durations, active, delivered }
    }

    /// One execution ended.
    pub(super) fn ended(&self, task: &str, state: &'static str, duration: Duration) {
        // Names come from the queue; labels must not grow with what somebody writes there.
        let task =
            [SEND_TASK, SWEEP_TASK].into_iter().find(|known| *known == task).unwrap_or("unknown");
        self.tasks.get_or_create(&Ended { task, state }).inc();
        self.durations.get_or_create(&OfTask { task }).observe(duration.as_secs_f64());
    }

    /// The page.
    pub(super) fn respond(&self, headers: &HeaderMap) -> Response {
        respond(&self.registry, headers)
    }
}
