//! Drills of several phases and faults that make no sense.

use super::cases::{COMPOSE, Case, STOPPED, mini};

/// A scenario of format 2, by what follows its head.
macro_rules! phases {
    ($name:literal, $body:literal, $line:literal, $says:expr) => {
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
            $says,
        )
    };
}

pub(super) const CASES: &[Case] = &[
    phases!(
        "share of nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, share: 0}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "share: 0",
        &["share is 0", "more than 0 and less than 1", "at least one instance"]
    ),
    phases!(
        "share of all",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, share: 1}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "share: 1",
        &["share is 1", "more than 0 and less than 1"]
    ),
    phases!(
        "instance before the first",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, instance: 0}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "instance: 0",
        &["no instance 0", "numbered from 1"]
    ),
    phases!(
        "an instance and a share",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exporter, instance: 1, share: 0.5}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "instance: 1",
        &["two targets", "state one of them"]
    ),
    phases!(
        "target that says nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {which: all}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "which: all",
        &["does not say which instances", "{service, share}"]
    ),
    phases!(
        "unknown key of a target",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {servce: exporter}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "servce",
        &["unknown key `servce`", "did you mean `service`?"]
    ),
    phases!(
        "fault without a target",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: stop",
        &["fault one (stop) does not say where it is", "write `on:`"]
    ),
    phases!(
        "service of a phase that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {service: exportr, share: 0.5}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "exportr",
        &["no service exportr", "did you mean exporter?"]
    ),
    phases!(
        "role that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: metric, which: all}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "role: metric,",
        &["no role metric", "did you mean metrics?"]
    ),
    phases!(
        "role without servers",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: logs, which: all}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "role: logs",
        &["no server of role logs", "state it under `roles`"]
    ),
    phases!(
        "leader of servers that have none",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: metrics, which: leader}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "which: leader",
        &["role metrics none leads", "`which: minority`"]
    ),
    phases!(
        "part of a role that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {role: metrics, which: half}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "which: half",
        &["which is half", "leader, minority or all"]
    ),
    phases!(
        "zone without services",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: {zone: west}}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "zone: west",
        &["no service in", "zone west", "label `firedrill.zone: west`"]
    ),
    phases!(
        "fault id twice",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n      - {id: one, kind: pause, on: spare}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: pause",
        &["there is a fault one in phase lost already", "an id of its own"]
    ),
    phases!(
        "fault id that is no word",
        "phases:\n  - name: lost\n    inject:\n      - {id: \"the one\", kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "the one",
        &["a fault's id is \"the one\"", "write a word"]
    ),
    phases!(
        "heals what was not injected",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - name: back\n    heal:\n      - two\n    resolves: [ExporterDown]\n",
        "- two",
        &["phase back heals two, which is not there then", "there are one"]
    ),
    phases!(
        "heals what it injects",
        "phases:\n  - name: lost\n    inject: [{id: one, kind: stop, on: exporter}]\n    heal:\n      - one\n",
        "- one",
        &["phase lost heals one, which is not there then", "no fault of an earlier phase is"]
    ),
    phases!(
        "heals twice",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: back, heal: [one]}\n  - name: again\n    heal:\n      - one\n",
        "- one",
        &["phase again heals one, which is not there then"]
    ),
    phases!(
        "resolves what is not raised",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "resolves",
        &["resolves ExporterDown, which no phase before raises", "under `alerts`"]
    ),
    phases!(
        "resolves and heals nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - name: later\n    resolves: [ExporterDown]\n",
        "resolves",
        &["resolves ExporterDown, and heals nothing", "state under `heal`"]
    ),
    phases!(
        "alert in two phases",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDown]\n  - name: more\n    inject: [{id: two, kind: stop, on: spare}]\n    alerts:\n      - ExporterDown\n",
        "- ExporterDown",
        &["an earlier phase is about ExporterDown already", "proved once"]
    ),
    phases!(
        "alert without a fault",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - name: back\n    heal: [one]\n    alerts:\n      - ExporterDown\n",
        "- ExporterDown",
        &["is about ExporterDown, and injects nothing"]
    ),
    phases!(
        "alert of a phase that is not declared",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    alerts: [ExporterDwn]\n",
        "ExporterDwn",
        &["ExporterDwn is not declared", "did you mean ExporterDown?"]
    ),
    phases!(
        "phase that does nothing",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: idle, stays: {s: 5}}\n",
        "name: idle",
        &["phase idle does nothing"]
    ),
    phases!(
        "phase twice",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n  - {name: lost, heal: [one]}\n",
        "{name: lost",
        &["there is a phase lost already"]
    ),
    phases!(
        "no fault at all",
        "phases: []\n",
        "phases:",
        &["no phase injects a fault", "inject: [{id, kind, on}]"]
    ),
    phases!(
        "unknown key of a phase",
        "phases:\n  - name: lost\n    injct: [{id: one, kind: stop, on: exporter}]\n",
        "injct",
        &["unknown key `injct`", "did you mean `inject`?"]
    ),
    phases!(
        "the fault of format 1 in format 2",
        "fault: {kind: stop, target: exporter}\n",
        "fault:",
        &["unknown key `fault`"]
    ),
    phases!(
        "time of a phase that is none",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    stays: {s: -1}\n",
        "s: -1",
        &["stays: seen -1", "from 0"]
    ),
    phases!(
        "load of a phase without traffic",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter}\n    load: {journey: send_mail, rate: 5}\n",
        "load:",
        &["no `workload`"]
    ),
    phases!(
        "cut of a set with itself",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter, spare], and: [prometheus, {service: spare}]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
        &["fault one: spare would be cut off from itself", "on one side only"]
    ),
    phases!(
        "cut of a role with one of its servers",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [{role: metrics, which: all}], and: [prometheus]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
        &["all of metrics would be cut off from itself"]
    ),
    phases!(
        "cut with nobody",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter], and: []}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
        &["fault one: `and` names nobody", "at least one service on each side"]
    ),
    phases!(
        "cut with one side",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: cut",
        &["fault one (cut) does not say where it is", "write `between: [...]`, `and: [...]`"]
    ),
    phases!(
        "cut of a service that is not there",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exportr], and: [spare]}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "exportr",
        &["no service exportr", "did you mean exporter?"]
    ),
    phases!(
        "cut in a way that there is not",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: cut, between: [exporter], and: [spare], way: back}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "way: back",
        &["`way` is \"back\"", "write both, or there"]
    ),
    phases!(
        "way of a fault that has none",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stop, on: exporter, way: both}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "way: both",
        &["a fault stop has no `way`", "remove it"]
    ),
    phases!(
        "unknown fault of a phase",
        "phases:\n  - name: lost\n    inject:\n      - {id: one, kind: stopp, on: exporter}\n    alerts: [ExporterDown]\n  - {name: back, heal: [one], resolves: [ExporterDown]}\n",
        "kind: stopp",
        &["no fault stopp", "did you mean stop?"]
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
        &["no service in", "zone wst", "did you mean west?"],
    ),
];
