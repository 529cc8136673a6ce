//! Scraping: targets, series, metrics endpoints, the configuration in force.

use super::StepWorld;
use crate::declaration::{DeclaredTarget, MAIN_SET, Role};
use crate::plan::PlanContext;
use config::monitoring::{duration, promql};
use cucumber::then;
use verdict::check::instrumented::ServicesInstrumented;
use verdict::check::retention::{Kept, SamplesKept};
use verdict::check::scraping::{
    ConfigurationLoaded, ExpectedTarget, MetricsEndpoints, SeriesPresent, TargetsUp,
};
use verdict::left_out::{Absent, AbsentService};

#[then("every target is up and fresh")]
fn targets_up(t: &mut StepWorld) {
    let subject = t.told();
    let declaration = &subject.declaration;
    if declaration.targets.is_empty() {
        return t.not_stated(
            "targets",
            !declaration.roles.metrics.is_empty(),
            "which jobs are scraped",
        );
    }
    let (gone, there) = split(&subject);
    // Several services may be targets of one job: its targets are theirs together.
    let mut targets: Vec<ExpectedTarget> = Vec::new();
    for declared in there.iter().filter(|d| d.is_in(MAIN_SET) && d.not_instrumented.is_none()) {
        match targets.iter_mut().find(|known| known.job == declared.job) {
            Some(known) => known.count += declared.count,
            None => {
                targets.push(ExpectedTarget { job: declared.job.clone(), count: declared.count });
            }
        }
    }
    let none =
        gone.first().filter(|_| targets.is_empty()).and_then(|d| subject.is_left_out(d.scraped()));
    t.expect_unless(
        none,
        TargetsUp { targets, absent: jobs(&gone, |d| d.count), left_out: subject.absent.clone() },
    );
}

#[then("each expected series is present")]
fn series_present(t: &mut StepWorld) {
    let subject = t.told();
    let all = subject.declaration.series.clone();
    if all.is_empty() {
        return t.not_stated("series", false, "which series must exist");
    }
    let exposed_by = |selector: &String| {
        subject.absent.iter().find(|l| is_about(selector, l)).map(|l| &l.service)
    };
    let absent: Vec<Absent> =
        all.iter().filter_map(|s| Some(Absent::new(exposed_by(s)?, s))).collect();
    let selectors: Vec<String> = all.into_iter().filter(|s| exposed_by(s).is_none()).collect();
    let none = absent
        .first()
        .filter(|_| selectors.is_empty())
        .and_then(|a| subject.is_left_out(&a.service));
    t.expect_unless(none, SeriesPresent { selectors, absent: absent.clone() });
}

/// Whether a selector asks for what a service exposes: each of its parts names a job or an instance
/// of the service.
fn is_about(selector: &str, service: &AbsentService) -> bool {
    let Ok(expr) = promql::parse(selector) else { return false };
    let parts = promql::selectors(&expr);
    let named = |label: &str, is: &dyn Fn(&str) -> bool| {
        parts.iter().all(|part| promql::equal_to(part, label).is_some_and(is))
    };
    !parts.is_empty()
        && (named("job", &|j| service.jobs.iter().any(|job| job == j))
            || named("instance", &|i| service.is_host(i)))
}

/// The declared targets that belong to services that are left out, and the others.
fn split(subject: &PlanContext) -> (Vec<&DeclaredTarget>, Vec<&DeclaredTarget>) {
    subject.declaration.targets.iter().partition(|d| subject.left_out.contains_key(d.scraped()))
}

fn jobs(gone: &[&DeclaredTarget], count: impl Fn(&DeclaredTarget) -> u64) -> Vec<Absent> {
    gone.iter()
        .map(|d| Absent { count: count(d), ..Absent::new(d.scraped(), format!("job {}", d.job)) })
        .collect()
}

#[then("each service has metrics, or is named as having none")]
fn metrics_endpoints(t: &mut StepWorld) {
    let subject = t.told();
    let declaration = &subject.declaration;
    if declaration.targets.is_empty() && declaration.without_metrics.is_empty() {
        return t.not_stated(
            "targets",
            !declaration.roles.metrics.is_empty(),
            "which jobs are scraped",
        );
    }
    let (gone, there) = split(&subject);
    let services: Vec<_> = there
        .iter()
        .filter(|d| d.not_instrumented.is_none())
        .map(|d| (d.service.clone(), d.job.clone()))
        .collect();
    let none =
        gone.first().filter(|_| services.is_empty()).and_then(|d| subject.is_left_out(d.scraped()));
    let without =
        declaration.without_metrics.iter().map(|w| (w.service.clone(), w.why.clone())).collect();
    t.expect_unless(
        none,
        MetricsEndpoints {
            services,
            without,
            absent: jobs(&gone, |_| 1),
            left_out: subject.absent.clone(),
        },
    );
}

#[then("each service of the topology has metrics of its own, or is declared as having none yet")]
fn services_instrumented(t: &mut StepWorld) {
    let subject = t.told();
    let declaration = &subject.declaration;
    if declaration.roles.metrics.is_empty() {
        return t.not_stated("roles.metrics", false, "who answers for metrics");
    }
    let (_, there) = split(&subject);
    let not_yet = there
        .iter()
        .filter_map(|d| Some((d.service.clone(), d.not_instrumented.clone()?)))
        .collect();
    t.expect(ServicesInstrumented {
        services: subject.services.clone(),
        scraped_by: there.iter().map(|d| (d.service.clone(), d.job.clone())).collect(),
        without: declaration
            .without_metrics
            .iter()
            .map(|w| (w.service.clone(), w.why.clone()))
            .collect(),
        not_yet,
    });
}

#[then("each metrics server keeps samples for as long as declared")]
fn samples_kept(t: &mut StepWorld) {
    let declaration = t.declaration();
    let kept = |role: &Role| {
        let declared = role.retention.clone()?;
        // One that can't be read was refused when the declaration was.
        let seconds = duration::parse(&declared).ok()?.as_secs_f64();
        Some(Kept { server: role.service.clone(), seconds, declared })
    };
    let servers: Vec<Kept> = declaration.roles.metrics.iter().filter_map(kept).collect();
    if servers.is_empty() {
        return t.not_stated("roles.metrics.retention", false, "for how long samples are kept");
    }
    t.expect(SamplesKept { servers });
}

#[then("the servers run with the configuration they were last given")]
fn configuration_loaded(t: &mut StepWorld) {
    let declaration = t.declaration();
    let (metrics, alerting) = (&declaration.roles.metrics, &declaration.roles.alerting);
    let servers: Vec<String> =
        metrics.iter().chain(alerting.iter()).map(|r| r.service.clone()).collect();
    if servers.is_empty() {
        return t.not_stated("roles.metrics", false, "who answers for metrics");
    }
    t.expect(ConfigurationLoaded {
        servers,
        alerts: declaration.alerts.iter().map(|a| a.name.clone()).collect(),
    });
}
