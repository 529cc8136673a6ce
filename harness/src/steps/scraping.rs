//! Scraping: targets, series, metrics endpoints, the configuration in force.

use super::Telling;
use cucumber::then;
use verdict::check::scraping::{ConfigurationLoaded, ExpectedTarget, MetricsEndpoints, SeriesPresent, TargetsUp};

#[then("every target is up and fresh")]
fn targets_up(t: &mut Telling) {
    let declaration = t.declaration();
    if declaration.targets.is_empty() {
        return t.not_stated("targets", declaration.roles.metrics.is_some(), "which jobs are scraped");
    }
    let targets = declaration.targets.iter().map(|d| ExpectedTarget { job: d.job.clone(), count: d.count }).collect();
    t.expect(TargetsUp { targets });
}

#[then("each expected series is present")]
fn series_present(t: &mut Telling) {
    let selectors = t.declaration().series;
    if selectors.is_empty() {
        return t.not_stated("series", false, "which series must exist");
    }
    t.expect(SeriesPresent { selectors });
}

#[then("each service has metrics, or is named as having none")]
fn metrics_endpoints(t: &mut Telling) {
    let declaration = t.declaration();
    if declaration.targets.is_empty() && declaration.without_metrics.is_empty() {
        return t.not_stated("targets", declaration.roles.metrics.is_some(), "which jobs are scraped");
    }
    t.expect(MetricsEndpoints {
        services: declaration.targets.iter().map(|d| (d.service.clone(), d.job.clone())).collect(),
        without: declaration.without_metrics.iter().map(|w| (w.service.clone(), w.why.clone())).collect(),
    });
}

#[then("the servers run with the configuration they were last given")]
fn configuration_loaded(t: &mut Telling) {
    let declaration = t.declaration();
    let servers: Vec<String> =
        [&declaration.roles.metrics, &declaration.roles.alerting].into_iter().flatten().map(|r| r.service.clone()).collect();
    if servers.is_empty() {
        return t.not_stated("roles.metrics", false, "who answers for metrics");
    }
    t.expect(ConfigurationLoaded { servers, alerts: declaration.alerts.iter().map(|a| a.name.clone()).collect() });
}
