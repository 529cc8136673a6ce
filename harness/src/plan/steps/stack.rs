//! The stack as a whole: services, health endpoints, the load.

use super::StepWorld;
use crate::declaration::HealthEndpoint;
use crate::probe::health::{endpoint_name, of_each};
use cucumber::{given, then};
use verdict::check::drill::LoadKeptSchedule;
use verdict::check::health::{HealthEndpoints, ServicesReady};
use verdict::left_out::Absent;

#[given("the healthy stack")]
fn healthy_stack(t: &mut StepWorld) {
    if t.plan.required.is_empty() && t.subject.is_none() {
        t.refuse("no stack", "name a stack");
    }
}

#[then("every service is ready")]
fn every_service_is_ready(t: &mut StepWorld) {
    let subject = t.told();
    let instances = |name: &String| subject.instances_of(name);
    let absent = |name| Absent { count: instances(name).len() as u64, ..Absent::new(name, name) };
    let left_out = subject.left_out.keys().map(absent).collect();
    let services = subject.services.iter().flat_map(instances).collect();
    t.expect(ServicesReady { services, left_out });
}

#[then("each documented health endpoint answers")]
fn health_endpoints(t: &mut StepWorld) {
    let subject = t.told();
    let all = &subject.declaration.health;
    if all.is_empty() {
        return t.not_stated("health", false, "the documented health endpoints");
    }
    let each = |h: &HealthEndpoint| of_each(h, subject.instances_of(&h.service));
    let (gone, there): (Vec<_>, Vec<_>) =
        all.iter().partition(|h| subject.left_out.contains_key(&h.service));
    let endpoints: Vec<String> =
        there.into_iter().flat_map(each).map(|h| endpoint_name(&h)).collect();
    let absent = |h: &HealthEndpoint| {
        let of = h.service.clone();
        each(h).into_iter().map(move |h| Absent::new(of.clone(), endpoint_name(&h)))
    };
    let left_out = gone.iter().copied().flat_map(absent).collect();
    // Where all are left out, nothing is expected.
    let none =
        gone.first().filter(|_| endpoints.is_empty()).and_then(|h| subject.is_left_out(&h.service));
    t.expect_unless(none, HealthEndpoints { endpoints, left_out });
}

#[then("the load kept its schedule")]
fn load_kept_schedule(t: &mut StepWorld) {
    if t.declaration().workload.is_none() {
        return t.not_stated("workload", false, "the traffic");
    }
    t.expect(LoadKeptSchedule {
        stream: "background".into(),
        missed_share: 0.01,
        slip_p99_ms: 250.0,
    });
}
