//! Scraping: targets, series, metrics endpoints, the configuration in force.

use super::Telling;
use cucumber::then;
use verdict::check::scraping::{ConfigurationLoaded, ExpectedTarget, MetricsEndpoints, SeriesPresent, TargetsUp};

#[then("every target is up and fresh")]
fn targets_up(t: &mut Telling) {
    let targets = t.declaration().targets.iter().map(|d| ExpectedTarget { job: d.job.clone(), count: d.count }).collect();
    t.expect(TargetsUp { targets });
}

#[then("each expected series is present")]
fn series_present(t: &mut Telling) {
    let selectors = t.declaration().series;
    t.expect(SeriesPresent { selectors });
}

#[then("each service has metrics, or is named as having none")]
fn metrics_endpoints(t: &mut Telling) {
    let declaration = t.declaration();
    t.expect(MetricsEndpoints {
        services: declaration.targets.iter().map(|d| (d.service.clone(), d.job.clone())).collect(),
        without: declaration.without_metrics.iter().map(|w| (w.service.clone(), w.why.clone())).collect(),
    });
}

#[then("the servers run with the configuration they were last given")]
fn configuration_loaded(t: &mut Telling) {
    let declaration = t.declaration();
    let servers = [&declaration.roles.metrics, &declaration.roles.alerting].into_iter().flatten().map(|r| r.service.clone()).collect();
    t.expect(ConfigurationLoaded { servers, alerts: declaration.alerts.iter().map(|a| a.name.clone()).collect() });
}
