//! What a run does and what is expected of it: scenarios, features, baselines, sabotages.

use super::case::{Case, RULES, asked, each_gives_one_message, email, mini};

const STOPPED: &str = "scenarios/exporter_stopped.yaml";

/// A case about recorded runs; of optimised programs where `$optimised` holds of how tests are
/// built.
macro_rules! recorded {
    ($name:literal, $schema:literal, $stack:literal, $optimised:meta, $line:literal) => {
        Case {
            name: $name,
            stack: "email",
            edits: &[(
                "baseline-recorded.json",
                "",
                concat!(
                    "{\n\"schema\": ",
                    $schema,
                    ",\n\"stack\": \"",
                    $stack,
                    "\",\n\"firedrill\": \"0.1.0\",\n",
                    "\"optimised\": ",
                    cfg!($optimised),
                    ",\n\"day\": \"2026-01-01\",\n",
                    "\"host\": {\"processors\": 999, \"model\": \"abacus\", \"memory_gib\": 1, \"kernel\": \"1.0\"},\n",
                    "\"time_scale\": 1.0, \"window_s\": [75.0, 60.0], \"sources\": {}, \"runs\": []\n}\n"
                ),
            )],
            arguments: &["baseline", "check", "STACK", "--report", "report"],
            at: Some(("baseline-recorded.json", $line)),
        }
    };
}

const SCENARIOS: &[Case] = &[
    mini("unknown fault", &[(STOPPED, "kind: stop", "kind: stopp")], (STOPPED, "kind: stopp")),
    mini(
        "unknown fault on a line below",
        &[(
            STOPPED,
            "fault: {kind: stop, target: exporter}",
            "fault:\n  target: exporter\n  kind: explode",
        )],
        (STOPPED, "kind: explode"),
    ),
    mini(
        "setting that the fault lacks",
        &[(STOPPED, "target: exporter}", "target: exporter, settings: {hard: \"yes\"}}")],
        (STOPPED, "hard"),
    ),
    mini(
        "setting that is missing",
        &[(STOPPED, "kind: stop", "kind: packet_delay")],
        (STOPPED, "packet_delay"),
    ),
    mini(
        "fault on a service that is not there",
        &[(STOPPED, "target: exporter", "target: exportr")],
        (STOPPED, "exportr}"),
    ),
    mini(
        "alert in a scenario that does not exist",
        &[(STOPPED, "alerts: [ExporterDown]", "alerts: [ExporterDwn]")],
        (STOPPED, "ExporterDwn"),
    ),
    mini(
        "other alert that does not exist",
        &[(STOPPED, "alerts: [ExporterDown]", "alerts: [ExporterDown]\nalso_raises: [SpareDwn]")],
        (STOPPED, "SpareDwn"),
    ),
    mini(
        "scenario under another name",
        &[(STOPPED, "name: exporter_stopped", "name: exporter_halted")],
        (STOPPED, "name: exporter_halted"),
    ),
    mini("negative time", &[(STOPPED, "alerts: [", "hold_s: -1\nalerts: [")], (STOPPED, "hold_s")),
    mini(
        "time that is no number",
        &[(STOPPED, "alerts: [", "builds_up_s: .nan\nalerts: [")],
        (STOPPED, "builds_up_s"),
    ),
    mini(
        "load without traffic",
        &[(STOPPED, "alerts: [", "load: {journey: send_mail, rate: 5}\nalerts: [")],
        (STOPPED, "load:"),
    ),
    mini(
        "other schema of a scenario",
        &[(STOPPED, "schema: 1", "schema: 3")],
        (STOPPED, "schema: 3"),
    ),
    mini(
        "other schema of a roll-call",
        &[("verdicts.yaml", "schema: 1", "schema: 3")],
        ("verdicts.yaml", "schema: 3"),
    ),
];

const FEATURES: &[Case] = &[
    mini(
        "unknown alert in a feature",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Given the healthy stack\n    When drill \"spare_paused\" is run\n    Then alert SpareDwn fires within its budget, reaches its receivers and resolves\n",
        )],
        ("features/own.feature", "SpareDwn"),
    ),
    mini(
        "unknown drill in a feature",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    When drill \"spare_pausd\" is run\n",
        )],
        ("features/own.feature", "spare_pausd"),
    ),
    mini(
        "unknown step",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Given the healthy stack\n    Then all is swell\n",
        )],
        ("features/own.feature", "swell"),
    ),
    mini(
        "feature that is no Gherkin",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Given the healthy stack\n    Perhaps all is well\n",
        )],
        ("features/own.feature", "Perhaps"),
    ),
    mini(
        "verdict asked for twice",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Then every service is ready\n",
        )],
        (RULES, ""),
    ),
];

const BASELINE: &[Case] = &[
    email(
        "baseline of another stack",
        &[("baseline.yaml", "stack: email", "stack: booking")],
        ("baseline.yaml", "stack: booking"),
    ),
    email(
        "baseline of an older schema",
        &[("baseline.yaml", "schema: 2", "schema: 1")],
        ("baseline.yaml", "schema: 1"),
    ),
    email(
        "error rate of the gate in per cent",
        &[("baseline.yaml", "alpha: 0.01", "alpha: 1")],
        ("baseline.yaml", "alpha: 1"),
    ),
    email(
        "practical threshold of zero",
        &[(
            "baseline.yaml",
            "percentile: 50}}, unit: ms, practical: 0.5, limit: 250}",
            "percentile: 50}}, unit: ms, practical: 0, limit: 250}",
        )],
        ("baseline.yaml", "practical: 0,"),
    ),
    email(
        "measure of a step that does not exist",
        &[("baseline.yaml", "{step: list/list, percentile", "{step: list/lst, percentile")],
        ("baseline.yaml", "list/lst"),
    ),
    email(
        "lag of a signal that no source sends",
        &[(
            "baseline.yaml",
            "{lag: {signal: \"log:email-service\"}}",
            "{lag: {signal: \"log:email-servce\"}}",
        )],
        ("baseline.yaml", "{lag: {signal: \"log:email-servce"),
    ),
    email(
        "drill of the gate that does not exist",
        &[("baseline.yaml", "drills: [beat_stopped]", "drills: [beat_stoped]")],
        ("baseline.yaml", "beat_stoped"),
    ),
    email(
        "detection of an alert that no drill of the gate is about",
        &[("baseline.yaml", "alert: CeleryBeatDown", "alert: PostfixDown")],
        ("baseline.yaml", "detection: {"),
    ),
    email(
        "error rate in per cent",
        &[("baseline.yaml", "error_rate_max: 0.01", "error_rate_max: 5")],
        ("baseline.yaml", "error_rate_max"),
    ),
];

const RECORDED: &[Case] = &[
    Case {
        name: "nothing was recorded to compare with",
        stack: "email",
        edits: &[],
        arguments: &["baseline", "check", "STACK", "--report", "report"],
        at: None,
    },
    recorded!("recorded runs of an older schema", 1, "email", not(debug_assertions), "\"schema\""),
    recorded!("recorded runs of another stack", 2, "booking", not(debug_assertions), "\"stack\""),
    recorded!(
        "recorded runs of programs that are built otherwise",
        2,
        "email",
        debug_assertions,
        "\"optimised\""
    ),
    recorded!("recorded runs of another machine", 2, "email", not(debug_assertions), "\"host\""),
    asked("stack whose baseline measures nothing", &["baseline", "record", "STACK"]),
];

const SABOTAGES: &[Case] = &[
    Case {
        name: "sabotage that no longer fits",
        stack: "mini",
        edits: &[("prometheus/prometheus.yml", "spare:9001", "spare:9002")],
        arguments: &["selftest", "STACK", "--only", "scrape_wrong_port"],
        at: Some(("sabotage/scrape_wrong_port.yaml", "old:")),
    },
    Case {
        name: "sabotage of a verdict that nobody asks for",
        stack: "mini",
        edits: &[("sabotage/scrape_wrong_port.yaml", "scraping.targets", "scraping.target")],
        arguments: &["selftest", "STACK"],
        at: Some(("sabotage/scrape_wrong_port.yaml", "verdict:")),
    },
];

#[test]
fn scenarios() {
    each_gives_one_message("scenarios", SCENARIOS);
}

#[test]
fn features() {
    each_gives_one_message("features", FEATURES);
}

#[test]
fn baseline() {
    each_gives_one_message("baseline", BASELINE);
}

#[test]
fn recorded() {
    each_gives_one_message("recorded", RECORDED);
}

#[test]
fn sabotages() {
    each_gives_one_message("sabotages", SABOTAGES);
}
