//! Several servers of a role that don't go together.

use super::case::{Case, OWN, each_gives_one_message, email, mini};

const METRICS: &str = "  metrics: {kind: prometheus, service: prometheus, port: 9090, config: prometheus/prometheus.yml}";
const LOGS: &str = "  logs: {kind: elasticsearch, service: elasticsearch, port: 9200}";

const CASES: &[Case] = &[
    mini(
        "a server stands there twice",
        &[(
            OWN,
            METRICS,
            "  metrics:\n    - {kind: prometheus, service: prometheus, port: 9090, config: prometheus/prometheus.yml}\n    - {kind: prometheus, port: 9090, service: prometheus}",
        )],
        (OWN, "- {kind: prometheus, port"),
    ),
    mini(
        "target in a set that nobody has",
        &[(
            OWN,
            "- {job: exporter, service: exporter}",
            "- {job: exporter, service: exporter, in: man}",
        )],
        (OWN, "in: man"),
    ),
    mini(
        "no server in the main set",
        &[(
            OWN,
            "config: prometheus/prometheus.yml}",
            "config: prometheus/prometheus.yml, set: global}",
        )],
        (OWN, "set: global"),
    ),
    mini(
        "set of an alert manager",
        &[(OWN, "port: 9093, config", "port: 9093, set: main, config")],
        (OWN, "set: main"),
    ),
    mini(
        "events of a metrics server",
        &[(
            OWN,
            "config: prometheus/prometheus.yml}",
            "config: prometheus/prometheus.yml, events: /prometheus/events.jsonl}",
        )],
        (OWN, "events: /prometheus"),
    ),
    mini(
        "events without a whole path",
        &[(OWN, "port: 9093, config", "port: 9093, events: events.jsonl, config")],
        (OWN, "events: events.jsonl"),
    ),
    mini(
        "entrance to what is no store",
        &[(
            OWN,
            "config: prometheus/prometheus.yml}",
            "config: prometheus/prometheus.yml, entrance_to: main}",
        )],
        (OWN, "entrance_to: main"),
    ),
    email(
        "entrance to a store of another kind",
        &[(
            OWN,
            LOGS,
            "  logs:\n    - {kind: elasticsearch, service: elasticsearch, port: 9200, entrance_to: logs}\n    - {kind: jaeger, service: jaeger, port: 16686, entrance_to: logs}",
        )],
        (OWN, "- {kind: jaeger"),
    ),
    email(
        "entrances to two stores",
        &[(
            OWN,
            LOGS,
            "  logs:\n    - {kind: elasticsearch, service: elasticsearch, port: 9200, entrance_to: logs}\n    - {kind: elasticsearch, service: kibana, port: 9200, entrance_to: archive}",
        )],
        (OWN, "entrance_to: archive"),
    ),
    email(
        "one of several stores",
        &[(
            OWN,
            LOGS,
            "  logs:\n    - {kind: elasticsearch, service: elasticsearch, port: 9200, entrance_to: logs}\n    - {kind: elasticsearch, service: kibana, port: 9201}",
        )],
        (OWN, "port: 9201"),
    ),
];

#[test]
fn members() {
    each_gives_one_message("members", CASES);
}
