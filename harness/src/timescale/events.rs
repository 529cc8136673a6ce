//! How many events a window holds once it is N times as short.

use std::time::Duration;

use serde::Serialize;

use crate::monitoring::{MonitoringConfig, promql};

/// A window that a rule looks back over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeUse {
    /// Service of the Prometheus server.
    pub service: String,
    /// Alert or recorded series.
    pub rule: String,
    /// The window, offsets and surrounding subqueries added.
    pub window: Duration,
}

/// Expected number of events in a window, given their arrivals per second. Both must not be negative.
pub fn events_in_window(arrivals_per_second: f64, window: Duration) -> f64 {
    arrivals_per_second.max(0.0) * window.as_secs_f64()
}

/// Every window of every rule, as the configuration has it: for a scaled one, the scaled windows.
pub fn ranges(config: &MonitoringConfig) -> Vec<RangeUse> {
    config
        .rules()
        .flat_map(|(server, _, rule)| {
            promql::windows(&rule.expr).into_iter().map(|window| RangeUse {
                service: server.service.clone(),
                rule: rule.name.clone(),
                window,
            })
        })
        .collect()
}
