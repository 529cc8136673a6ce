//! The stack as a whole: services, health endpoints, the load.

use super::Telling;
use cucumber::{given, then};
use verdict::check::drill::LoadKeptSchedule;
use verdict::check::health::{HealthEndpoints, ServicesReady};

#[given("the healthy stack")]
fn healthy_stack(t: &mut Telling) {
    if t.plan.required.is_empty() && t.subject.is_none() {
        t.refuse("no stack", "name a stack");
    }
}

#[then("every service is ready")]
fn every_service_is_ready(t: &mut Telling) {
    let services = t.subject.as_ref().map(|s| s.services.clone()).unwrap_or_default();
    t.expect(ServicesReady { services });
}

#[then("each documented health endpoint answers")]
fn health_endpoints(t: &mut Telling) {
    if t.declaration().health.is_empty() {
        return t.not_stated("health", false, "the documented health endpoints");
    }
    let left_out = t.subject.as_ref().map(|s| s.left_out.clone()).unwrap_or_default();
    let endpoints =
        t.declaration().health.iter().filter(|h| !left_out.contains_key(&h.service)).map(crate::probe::health::endpoint_name).collect();
    t.expect(HealthEndpoints { endpoints });
}

#[then("the load kept its schedule")]
fn load_kept_schedule(t: &mut Telling) {
    if t.declaration().workload.is_none() {
        return t.not_stated("workload", false, "the traffic");
    }
    t.expect(LoadKeptSchedule { stream: "background".into(), missed_share: 0.01, slip_p99_ms: 250.0 });
}
