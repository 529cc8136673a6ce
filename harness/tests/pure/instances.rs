//! Services of several instances: what is planned and expected of each, and what is refused.

#![allow(clippy::unwrap_used)]

use firedrill::ops::options::Options;
use firedrill::ops::settings::Common;
use firedrill::plan::Plan;
use std::collections::BTreeMap;
use support::broken::Broken;
use verdict::Expectation;

const COMPOSE: &str = "docker-compose.yml";

/// The mini stack with two spares.
fn spares() -> Broken {
    let stack = Broken::copy_of("mini");
    stack.edit(COMPOSE, "    ports: [\"127.0.0.1:9001:9001\"]", "    deploy: {replicas: 2}");
    stack.edit(
        "firedrill.yaml",
        "\nhealth:",
        "\noptional:\n  - {service: spare, why: it is a spare}\n\nhealth:",
    );
    stack
}

fn plan(stack: &Broken, unavailable: &[&str]) -> Plan {
    let common = Common::of_tests(stack.report());
    let unavailable: BTreeMap<String, String> =
        unavailable.iter().map(|s| ((*s).to_owned(), "no such image".to_owned())).collect();
    let options =
        Options { unavailable, ..Options::for_tests(&stack.folder().to_string_lossy(), common) };
    options.plan().unwrap_or_else(|f| panic!("{}", f.to_string()))
}

fn services(plan: &Plan) -> (Vec<String>, Vec<(String, u64)>) {
    let found = plan.expectations.iter().find_map(|p| match &p.expectation {
        Expectation::ServicesReady(c) => Some(c),
        _ => None,
    });
    let c = found.unwrap();
    let absent = c.left_out.iter().map(|a| (a.name.clone(), a.count)).collect();
    (c.services.clone(), absent)
}

fn endpoints(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let found = plan.expectations.iter().find_map(|p| match &p.expectation {
        Expectation::HealthEndpoints(c) => Some(c),
        _ => None,
    });
    let c = found.unwrap();
    let of_spares = c.endpoints.iter().filter(|e| e.contains("spare")).cloned().collect();
    (of_spares, c.left_out.iter().map(|a| a.name.clone()).collect())
}

const BOTH: [&str; 2] = ["http://spare-1:9001/health", "http://spare-2:9001/health"];

#[test]
fn each_instance_must_be_ready_and_healthy() {
    let plan = plan(&spares(), &[]);
    let (ready, absent) = services(&plan);
    assert_eq!(ready, ["alertmanager", "exporter", "prometheus", "spare-1", "spare-2"]);
    assert!(absent.is_empty(), "{absent:?}");
    assert_eq!(endpoints(&plan).0, BOTH);
}

#[test]
fn each_instance_of_a_service_that_is_left_out_is_missing() {
    let plan = plan(&spares(), &["spare"]);
    let (ready, absent) = services(&plan);
    assert_eq!(ready, ["alertmanager", "exporter", "prometheus"]);
    assert_eq!(absent, [("spare".to_owned(), 2)]);
    assert_eq!(endpoints(&plan), (Vec::new(), BOTH.map(str::to_owned).to_vec()));
}

#[test]
fn what_can_not_have_several_instances_is_refused_with_file_line_and_what_to_do() {
    let cases = [
        (
            "image: firedrill/apps\n    command: [\"exporter\"]",
            "9000 of the host",
            "write \"9000\" alone",
        ),
        ("image: prom/prometheus:v2.53.3", "9090 of the host", "write \"9090\" alone"),
    ];
    for (place, wanted, hint) in cases {
        let stack = Broken::copy_of("mini");
        stack.edit(COMPOSE, place, &format!("scale: 2\n    {place}"));
        let ended = stack.run(&["verify", "STACK", "--dry-run"]);
        ended.is_one_message(64, &["docker-compose.yml:", wanted, hint]);
    }
    // One that answers for a role is a service of its own, whatever its ports.
    let stack = Broken::copy_of("mini");
    stack.edit(COMPOSE, "ports: [\"127.0.0.1:9093:9093\"]", "scale: 2");
    let ended = stack.run(&["verify", "STACK", "--dry-run"]);
    let says = ["firedrill.yaml:", "alertmanager has 2 instances", "a service for each server"];
    ended.is_one_message(64, &says);
}
