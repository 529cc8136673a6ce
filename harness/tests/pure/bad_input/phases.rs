//! Drills of several phases and faults that make no sense.

use super::case::{Case, each_gives_one_message, mini};

const COMPOSE: &str = "docker-compose.yml";
const STOPPED: &str = "scenarios/exporter_stopped.yaml";

/// A scenario of format 2, by what follows its head.
macro_rules! phases {
    ($name:literal, $body:literal, $line:literal $(,)?) => {
        mini(
            $name,
            &[(
                STOPPED,
                "",
                concat!(
                    "schema: 2\nname: exporter_stopped\nsummary: The exporter is gone.\n",
                    $body
                ),
            )],
            (STOPPED, $line),
        )
    };
}

const CASES: &[Case] = &[
    phases!(
        "share of nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, share: 0}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "share: 0",
    ),
    phases!(
        "share of all",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, share: 1}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "share: 1",
    ),
    phases!(
        "instance before the first",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, instance: 0}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "instance: 0",
    ),
    phases!(
        "an instance and a share",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, instance: 1, share: 0.5}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "instance: 1",
    ),
    phases!(
        "target that says nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {which: all}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "which: all",
    ),
    phases!(
        "unknown key of a target",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {servce: exporter}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "servce",
    ),
    phases!(
        "fault without a target",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: stop",
    ),
    phases!(
        "service of a phase that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exportr, share: 0.5}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "exportr",
    ),
    phases!(
        "role that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: metric, which: all}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "role: metric,",
    ),
    phases!(
        "role without servers",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: logs, which: all}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "role: logs",
    ),
    phases!(
        "leader of servers that have none",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: metrics, which: leader}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "which: leader",
    ),
    phases!(
        "part of a role that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: metrics, which: half}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "which: half",
    ),
    phases!(
        "zone without services",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {zone: west}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "zone: west",
    ),
    phases!(
        "fault id twice",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n      - {id: one, kind: pause, on: spare}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: pause",
    ),
    phases!(
        "fault id that is no word",
        "phases:\n  - name: lost\n    inject:\n      - {id: \"the one\", kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "the one",
    ),
    phases!(
        "heals what was not injected",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - name: back\n    heal:\n      - two\n    resolves: [ExporterDown]\n",
        "- two",
    ),
    phases!(
        "heals what it injects",
        "phases:\n  - name: lost\n    inject: [{id: one, kind: stop, on: exporter}]\n    heal:\n      - one\n",
        "- one",
    ),
    phases!(
        "heals twice",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: back, heal: [one]}\n  - name: again\n    heal:\n      - one\n",
        "- one",
    ),
    phases!(
        "resolves what is not raised",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "resolves",
    ),
    phases!(
        "resolves and heals nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - name: later\n    resolves: [ExporterDown]\n",
        "resolves",
    ),
    phases!(
        "alert in two phases",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - name: more\n    inject: [{id: two, kind: stop, on: spare}]\n    alerts:\n      - ExporterDown\n",
        "- ExporterDown",
    ),
    phases!(
        "alert without a fault",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - name: back\n    heal: [one]\n    alerts:\n      - ExporterDown\n",
        "- ExporterDown",
    ),
    phases!(
        "alert of a phase that is not declared",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDwn]\n",
        "ExporterDwn",
    ),
    phases!(
        "phase that does nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: idle, stays: {s: 5}}\n",
        "name: idle",
    ),
    phases!(
        "phase twice",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: lost, heal: [one]}\n",
        "{name: lost",
    ),
    phases!("no fault at all", "phases: []\n", "phases:",),
    phases!(
        "unknown key of a phase",
        "phases:\n  - name: lost\n    injct: [{id: one, kind: stop, on: exporter}]\n",
        "injct",
    ),
    phases!(
        "the fault of format 1 in format 2",
        "fault: {kind: stop, target: exporter}\n",
        "fault:",
    ),
    phases!(
        "time of a phase that is none",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    stays: {s: -1}\n",
        "s: -1",
    ),
    phases!(
        "load of a phase without traffic",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    load: {journey: send_mail, rate: 5}\n",
        "load:",
    ),
    phases!(
        "cut of a set with itself",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter, spare], and: [prometheus, {service: spare}]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
    ),
    phases!(
        "cut of a role with one of its servers",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [{role: metrics, which: all}], and: [prometheus]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
    ),
    phases!(
        "cut with nobody",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter], and: []}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
    ),
    phases!(
        "cut with one side",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
    ),
    phases!(
        "cut of a service that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exportr], and: [spare]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "exportr",
    ),
    phases!(
        "cut in a way that there is not",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter], and: [spare], way: back}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "way: back",
    ),
    phases!(
        "way of a fault that has none",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter, way: both}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "way: both",
    ),
    phases!(
        "unknown fault of a phase",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stopp, on: exporter}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: stopp",
    ),
    mini(
        "zone under another name",
        &[
            (COMPOSE, "  spare:\n", "  spare:\n    labels: {firedrill.zone: west}\n"),
            (
                STOPPED,
                "",
                "schema: 2\nname: exporter_stopped\nsummary: The exporter is gone.\nphases:\n  - {name: lost, inject: [{id: one, kind: stop, on: {zone: wst}}]}\n",
            ),
        ],
        (STOPPED, "zone: wst"),
    ),
];

#[test]
fn phases() {
    each_gives_one_message("phases", CASES);
}
