//! What each of the laboratory's services counts.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::log::Log;
use crate::metrics::{Buckets, DURATION_BUCKETS, Histograms, parse_buckets, registry, respond};

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
    /// What a service counts besides is registered here.
    pub(super) registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Histograms<Asked>,
    pub(super) in_flight: Gauge,
}

impl Metrics {
    /// `routes` are those of success, with its status: their series exist from the start, so that a
    /// ratio of errors is 0 and not absent.
    pub(super) fn new(log: &Log, routes: &[(&'static str, &str, u16)]) -> Self {
        let mut registry = registry(log);
        let requests = Family::<Answered, Counter>::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let buckets = parse_buckets(DURATION_BUCKETS).unwrap_or_else(|_| Buckets(vec![1.0]));
        let durations = Histograms::<Asked>::new_with_constructor(buckets);
        registry.register(
            "http_request_duration_seconds",
            "Time to answer a request, in seconds",
            durations.clone(),
        );
        let in_flight = Gauge::default();
        registry.register("http_requests_in_flight", "Requests under way", in_flight.clone());
        let metrics = Self { registry, requests, durations, in_flight };
        for (method, endpoint, success) in routes {
            drop(metrics.durations.get_or_create(&Asked { method, endpoint: (*endpoint).into() }));
            for status in [*success, 500, 503] {
                drop(metrics.requests.get_or_create(&Answered {
                    method,
                    endpoint: (*endpoint).into(),
                    status,
                }));
            }
        }
        metrics
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

    /// The page.
    pub(super) fn respond(&self, headers: &HeaderMap) -> Response {
        respond(&self.registry, headers)
    }
}
