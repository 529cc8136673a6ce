//! Files and arguments that are wrong: exit code 64, before anything is touched.

use support::broken::Broken;

/// One way to be wrong.
pub(super) struct Case {
    pub name: &'static str,
    pub stack: &'static str,
    /// File, text that is there, text that takes its place; an empty one writes the whole file.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
    /// `STACK` stands for the folder.
    pub arguments: &'static [&'static str],
    /// File, and a text that stands first on the line which the message must name; none if no line
    /// is meant.
    pub at: Option<(&'static str, &'static str)>,
    pub says: &'static [&'static str],
}

pub(super) const VERIFY: &[&str] = &["verify", "STACK", "--report", "report"];

/// A case about files, on the mini stack.
const fn mini(
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    at: (&'static str, &'static str),
    says: &'static [&'static str],
) -> Case {
    Case { name, stack: "mini", edits, arguments: VERIFY, at: Some(at), says }
}

/// The same on the e-mail stack.
pub(super) const fn email(
    name: &'static str,
    edits: &'static [(&'static str, &'static str, &'static str)],
    at: (&'static str, &'static str),
    says: &'static [&'static str],
) -> Case {
    Case { name, stack: "email", edits, arguments: VERIFY, at: Some(at), says }
}

/// A case about arguments, on the mini stack as it is.
const fn asked(
    name: &'static str,
    arguments: &'static [&'static str],
    says: &'static [&'static str],
) -> Case {
    Case { name, stack: "mini", edits: &[], arguments, at: None, says }
}

/// A case about the load of one URL.
macro_rules! load {
    ($name:literal, $url:literal, [$($more:literal),*], $says:expr) => {
        asked($name, &["load", "--url", $url, "--rate", "5", "--duration", "1s" $(, $more)*], $says)
    };
}

/// A case about recorded runs; of optimised programs where `$optimised` holds of how tests are
/// built.
macro_rules! recorded {
    ($name:literal, $schema:literal, $stack:literal, $optimised:meta, $line:literal, $says:expr) => {
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
            says: $says,
        }
    };
}

/// How these programs are built, as it is told of recorded runs that are built otherwise.
const BUILT: &str = if cfg!(debug_assertions) {
    "that are optimised, these are not optimised"
} else {
    "that are not optimised, these are optimised"
};
const COMPOSE: &str = "docker-compose.yml";
pub(super) const OWN: &str = "firedrill.yaml";
const RULES: &str = "prometheus/rules/alerts.yml";
const BOARD: &str = "grafana/dashboards/system-resources.json";
const DATASOURCES: &str = "grafana/provisioning/datasources/stack.yml";
const STOPPED: &str = "scenarios/exporter_stopped.yaml";

const CASES: &[Case] = &[
    // What the configuration can't promise.
    mini(
        "a bound below what the configuration promises",
        &[(OWN, "receivers: [pager, chat]}", "receivers: [pager, chat], within_s: 4}")],
        (OWN, "- {name: ExporterDown"),
        &[
            "ExporterDown",
            "within 4 s",
            "promises 5 s",
            "evaluation 1 s + hold 3 s + group_wait 1 s",
            "shorten `for`",
        ],
    ),
    mini(
        "a bound that is no number of seconds",
        &[(OWN, "receivers: [pager, chat]}", "receivers: [pager, chat], within_s: -4}")],
        (OWN, "- {name: ExporterDown"),
        &["within_s: seen -4", "seconds at time scale 1"],
    ),
    // The Compose file.
    mini(
        "unknown key in the Compose file",
        &[(
            COMPOSE,
            "    healthcheck:\n      test: [\"CMD\", \"wget\", \"-q\", \"--spider\", \"http://127.0.0.1:9093",
            "    healthchek:\n      test: [\"CMD\", \"wget\", \"-q\", \"--spider\", \"http://127.0.0.1:9093",
        )],
        (COMPOSE, "healthchek:"),
        &["healthchek", "did you mean", "healthcheck"],
    ),
    mini(
        "Compose file that is no YAML",
        &[(COMPOSE, "    ports: [\"127.0.0.1:9093:9093\"]", "    ports: [\"127.0.0.1:9093:9093\"")],
        (COMPOSE, "    volumes:\n      - ./alertmanager"),
        &["not readable as YAML"],
    ),
    mini(
        "duration without unit",
        &[(COMPOSE, "interval: 2s", "interval: 2 parsecs")],
        (COMPOSE, "parsecs"),
        &["interval", "2 parsecs"],
    ),
    mini(
        "volume that is not declared",
        &[(COMPOSE, "- prometheus-data:/prometheus", "- prometheus-dat:/prometheus")],
        (COMPOSE, "prometheus-dat:/"),
        &["prometheus-dat"],
    ),
    mini(
        "dependency that does not exist",
        &[(
            COMPOSE,
            "    image: firedrill/apps\n",
            "    image: firedrill/apps\n    depends_on: [promethius]\n",
        )],
        (COMPOSE, "  exporter:"),
        &["promethius", "did you mean prometheus?"],
    ),
    mini(
        "Compose file elsewhere",
        &[(OWN, "stack: mini", "stack: mini\ncompose: compose.yml")],
        (OWN, "compose: compose.yml"),
        &["there is no file", "compose.yml"],
    ),
    // firedrill.yaml.
    mini(
        "unknown key in firedrill.yaml",
        &[(OWN, "steady_state:", "stedy_state:")],
        (OWN, "stedy_state:"),
        &["unknown key `stedy_state`", "did you mean `steady_state`?"],
    ),
    mini(
        "unknown key below",
        &[(OWN, "hold_s: 6", "hold_for: 6")],
        (OWN, "hold_for"),
        &["unknown key `hold_for`", "hold_s"],
    ),
    mini(
        "missing key",
        &[(OWN, ", receivers: [pager, chat]}", "}")],
        (OWN, "ExporterDown"),
        &["`receivers` is missing", "add `receivers:`"],
    ),
    mini(
        "comma without quotes",
        &[(OWN, "contains: '\"status\":\"healthy\"'}", "contains: status, healthy is said}")],
        (OWN, "healthy is said"),
        &["in quotes"],
    ),
    mini(
        "colon without quotes",
        &[(OWN, "contains: '\"status\":\"healthy\"'}", "contains: {status: healthy}}")],
        (OWN, "{status: healthy}"),
        &["in quotes"],
    ),
    mini(
        "wrong type",
        &[(OWN, "time_scale: 1", "time_scale: fast")],
        (OWN, "time_scale: fast"),
        &["fast"],
    ),
    mini(
        "number out of range",
        &[(OWN, "hold_s: 6", "hold_s: -6")],
        (OWN, "hold_s"),
        &["steady_state.hold_s", "-6", "from 0"],
    ),
    mini(
        "time scale out of range in the file",
        &[(OWN, "time_scale: 1", "time_scale: 0.5")],
        (OWN, "time_scale"),
        &["0.5", "from 1 to 10000"],
    ),
    mini(
        "newer schema",
        &[(OWN, "schema: 1", "schema: 2")],
        (OWN, "schema: 2"),
        &["seen 2, wanted 1"],
    ),
    mini(
        "receiver that is not declared",
        &[(OWN, "receivers: [pager, chat]", "receivers: [pagr, chat]")],
        (OWN, "pagr"),
        &["ExporterDown", "pagr", "did you mean pager?"],
    ),
    mini(
        "unknown protocol",
        &[(OWN, "protocol: webhook", "protocol: webhok")],
        (OWN, "webhok,"),
        &["`webhok`", "did you mean `webhook`?"],
    ),
    mini(
        "role of a service that is not there",
        &[(
            OWN,
            "service: alertmanager, port: 9093, config",
            "service: alertmanger, port: 9093, config",
        )],
        (OWN, "alertmanger,"),
        &["alertmanger", "did you mean alertmanager?"],
    ),
    mini(
        "unknown kind of server",
        &[(OWN, "kind: prometheus", "kind: promethius")],
        (OWN, "promethius"),
        &["roles.metrics.kind", "did you mean prometheus?"],
    ),
    email(
        "dashboards of a folder that is not there",
        &[(OWN, "provisioning: grafana/provisioning", "provisioning: grafana/provision")],
        (OWN, "{kind: grafana-files"),
        &["provisioning: there is no folder", "grafana/provision"],
    ),
    email(
        "dashboard that is no JSON",
        &[(BOARD, "\"title\": \"CPU busy\",", "\"title\": \"CPU busy\"")],
        (BOARD, "\"type\": \"timeseries\""),
        &["no JSON"],
    ),
    email(
        "dashboard in no file",
        &[(OWN, "uid: system-resources", "uid: system-resorces")],
        (OWN, "uid: system-resorces"),
        &["system-resorces is in no file", "did you mean system-resources?"],
    ),
    email(
        "two dashboards with one uid",
        &[(BOARD, "\"uid\": \"system-resources\"", "\"uid\": \"email-service-overview\"")],
        (BOARD, "\"uid\": \"email-service-overview\""),
        &["dashboard email-service-overview is in", "email-service-overview.json too"],
    ),
    email(
        "panel with a variable that nothing defines",
        &[(BOARD, "\"expr\": \"node_load1\"", "\"expr\": \"node_load1{job=\\\"$job\\\"}\"")],
        (BOARD, "\"expr\": \"node_load1{job"),
        &["panel Load", "variable job, which nothing defines"],
    ),
    email(
        "data source that leads out of the stack",
        &[(DATASOURCES, "url: http://prometheus:9090", "url: http://metrics.example.com")],
        (DATASOURCES, "url: http://metrics.example.com"),
        &["data source Prometheus leads out of the stack", "metrics.example.com:80"],
    ),
    email(
        "dashboards of a server without a port",
        &[(OWN, "service: grafana, port: 3000, user", "service: grafana, user")],
        (OWN, "{kind: grafana, service: grafana"),
        &["roles.dashboards.0: the key `port` is missing"],
    ),
    email(
        "files of dashboards without a folder",
        &[(
            OWN,
            "{kind: grafana-files, provisioning: grafana/provisioning}",
            "{kind: grafana-files}",
        )],
        (OWN, "{kind: grafana-files}"),
        &["roles.dashboards.1: the key `provisioning` is missing"],
    ),
    email(
        "a folder of a server that reads its files itself",
        &[(
            OWN,
            "user: admin, password: admin}",
            "user: admin, password: admin, provisioning: grafana/provisioning}",
        )],
        (OWN, "{kind: grafana, service"),
        &["roles.dashboards.0.provisioning", "reads its files itself"],
    ),
    mini(
        "role without a service",
        &[(OWN, "kind: prometheus, service: prometheus, ", "kind: prometheus, ")],
        (OWN, "metrics:"),
        &["roles.metrics: the key `service` is missing"],
    ),
    mini(
        "role without configuration",
        &[
            (OWN, ", config: prometheus/prometheus.yml", ""),
            // Mounted where the server looks it would be known.
            (COMPOSE, "./prometheus:/etc/prometheus:ro", "./prometheus:/srv/prometheus:ro"),
        ],
        (OWN, "metrics:"),
        &["roles.metrics", "`config` is missing"],
    ),
    mini(
        "alert declared twice",
        &[(OWN, "name: SpareDown", "name: ExporterDown")],
        (OWN, "name: ExporterDown, labels: {severity: warning"),
        &["ExporterDown is declared twice"],
    ),
    mini(
        "health endpoint without path and banner",
        &[(OWN, "port: 9090, path: /-/ready}", "port: 9090}")],
        (OWN, "service: prometheus, port: 9090}"),
        &["neither `path` and `banner`"],
    ),
    mini(
        "waiver with a bad date",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, owner: me, reason: known, expires: 31.12.2026}\nsteady_state:",
        )],
        (OWN, "31.12.2026"),
        &["31.12.2026", "YYYY-MM-DD"],
    ),
    mini(
        "waiver without owner",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, reason: known, expires: 2026-12-31}\nsteady_state:",
        )],
        (OWN, "{verdict: alert.SpareDown.fires, reason"),
        &["owner"],
    ),
    mini(
        "waiver whose owner is nobody",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, owner: ' ', reason: known, expires: 2026-12-31}\nsteady_state:",
        )],
        (OWN, "owner: ' '"),
        &["the waiver of alert.SpareDown.fires has no owner", "who accepts"],
    ),
    mini(
        "waiver for a verdict that nobody asks for",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fire, owner: me, reason: known, expires: 2999-12-31}\nsteady_state:",
        )],
        (OWN, "alert.SpareDown.fire"),
        &[
            "the waiver of alert.SpareDown.fire is for a verdict that nobody asks for",
            "did you mean alert.SpareDown.fires?",
        ],
    ),
    mini(
        "waiver on a day that does not exist",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, owner: me, reason: known, expires: 2026-02-30}\nsteady_state:",
        )],
        (OWN, "2026-02-30"),
        &["2026-02-30", "no day"],
    ),
    email(
        "unknown journey",
        &[(OWN, "send_mail:", "sendmail:")],
        (OWN, "{sendmail:"),
        &["no journey sendmail", "did you mean send_mail?"],
    ),
    email(
        "address without port",
        &[(OWN, "http: email-service:5000", "http: email-service")],
        (OWN, "http: email-service"),
        &["workload.http", "write service:port"],
    ),
    email(
        "parent that is no span",
        &[(OWN, "parent: \"email-service: ", "parent: \"email-servce: ")],
        (OWN, "email-servce: "),
        &["no span of", "email-servce", "did you mean email-service: "],
    ),
    // The monitoring configuration.
    mini(
        "rule that does not parse",
        &[(RULES, "up{job=\"spare\"} == 0", "up{job=\"spare\" == 0")],
        (RULES, "up{job=\"spare\" == 0"),
        &["groups[0].rules[2].expr"],
    ),
    mini(
        "rule file that is no YAML",
        &[(RULES, "    rules:\n      - record", "   rules:\n      - record")],
        (RULES, "   rules:\n"),
        &["alerts.yml"],
    ),
    mini(
        "configuration that is not there",
        &[(OWN, "config: prometheus/prometheus.yml", "config: prometheus/prometheus.yaml")],
        (OWN, "prometheus/prometheus.yaml"),
        &["prometheus/prometheus.yaml"],
    ),
    mini(
        "receiver outside the stack",
        &[(
            "alertmanager/alertmanager.yml",
            "https://chat.test/rooms/ops",
            "https://chat.example.com/rooms/ops",
        )],
        ("alertmanager/alertmanager.yml", "chat.example.com"),
        &["leads out of the stack", "chat.example.com", "nothing was started"],
    ),
    mini(
        "unknown receiver in a route",
        &[("alertmanager/alertmanager.yml", "      receiver: pager\n", "      receiver: pagr\n")],
        ("alertmanager/alertmanager.yml", "receiver: pagr"),
        &["pagr"],
    ),
    // Scenarios.
    mini(
        "unknown fault",
        &[(STOPPED, "kind: stop", "kind: stopp")],
        (STOPPED, "kind: stopp"),
        &["no fault stopp", "did you mean stop?"],
    ),
    mini(
        "unknown fault on a line below",
        &[(
            STOPPED,
            "fault: {kind: stop, target: exporter}",
            "fault:\n  target: exporter\n  kind: explode",
        )],
        (STOPPED, "kind: explode"),
        &["no fault explode", "the faults are stop, kill"],
    ),
    mini(
        "setting that the fault lacks",
        &[(STOPPED, "target: exporter}", "target: exporter, settings: {hard: \"yes\"}}")],
        (STOPPED, "hard"),
        &["hard", "stop"],
    ),
    mini(
        "setting that is missing",
        &[(STOPPED, "kind: stop", "kind: packet_delay")],
        (STOPPED, "packet_delay"),
        &["packet_delay", "to"],
    ),
    mini(
        "fault on a service that is not there",
        &[(STOPPED, "target: exporter", "target: exportr")],
        (STOPPED, "exportr}"),
        &["no service exportr", "did you mean exporter?"],
    ),
    mini(
        "alert in a scenario that does not exist",
        &[(STOPPED, "alerts: [ExporterDown]", "alerts: [ExporterDwn]")],
        (STOPPED, "ExporterDwn"),
        &["ExporterDwn is not declared", "did you mean ExporterDown?"],
    ),
    mini(
        "other alert that does not exist",
        &[(STOPPED, "alerts: [ExporterDown]", "alerts: [ExporterDown]\nalso_raises: [SpareDwn]")],
        (STOPPED, "SpareDwn"),
        &["no alert SpareDwn", "did you mean SpareDown?"],
    ),
    mini(
        "scenario under another name",
        &[(STOPPED, "name: exporter_stopped", "name: exporter_halted")],
        (STOPPED, "name: exporter_halted"),
        &["exporter_halted", "exporter_stopped", "same name"],
    ),
    mini(
        "negative time",
        &[(STOPPED, "alerts: [", "hold_s: -1\nalerts: [")],
        (STOPPED, "hold_s"),
        &["hold_s", "-1", "from 0"],
    ),
    mini(
        "time that is no number",
        &[(STOPPED, "alerts: [", "builds_up_s: .nan\nalerts: [")],
        (STOPPED, "builds_up_s"),
        &["builds_up_s", ".nan"],
    ),
    mini(
        "load without traffic",
        &[(STOPPED, "alerts: [", "load: {journey: send_mail, rate: 5}\nalerts: [")],
        (STOPPED, "load:"),
        &["no `workload`"],
    ),
    mini(
        "other schema of a scenario",
        &[(STOPPED, "schema: 1", "schema: 3")],
        (STOPPED, "schema: 3"),
        &["seen 3, wanted 1"],
    ),
    mini(
        "other schema of a roll-call",
        &[("verdicts.yaml", "schema: 1", "schema: 3")],
        ("verdicts.yaml", "schema: 3"),
        &["seen 3, wanted 1"],
    ),
    // The baseline.
    email(
        "baseline of another stack",
        &[("baseline.yaml", "stack: email", "stack: booking")],
        ("baseline.yaml", "stack: booking"),
        &["baseline of stack booking, wanted email"],
    ),
    email(
        "baseline of an older schema",
        &[("baseline.yaml", "schema: 2", "schema: 1")],
        ("baseline.yaml", "schema: 1"),
        &["seen 1, wanted 2", "write `schema: 2`"],
    ),
    email(
        "error rate of the gate in per cent",
        &[("baseline.yaml", "alpha: 0.01", "alpha: 1")],
        ("baseline.yaml", "alpha: 1"),
        &["alpha: seen 1", "0.01"],
    ),
    email(
        "practical threshold of zero",
        &[(
            "baseline.yaml",
            "percentile: 50}}, unit: ms, practical: 0.5, limit: 250}",
            "percentile: 50}}, unit: ms, practical: 0, limit: 250}",
        )],
        ("baseline.yaml", "practical: 0,"),
        &["seen 0 of", "above 0"],
    ),
    email(
        "measure of a step that does not exist",
        &[("baseline.yaml", "{step: list/list, percentile", "{step: list/lst, percentile")],
        ("baseline.yaml", "list/lst"),
        &["list/lst", "did you mean list/list?"],
    ),
    email(
        "lag of a signal that no source sends",
        &[(
            "baseline.yaml",
            "{lag: {signal: \"log:email-service\"}}",
            "{lag: {signal: \"log:email-servce\"}}",
        )],
        ("baseline.yaml", "{lag: {signal: \"log:email-servce"),
        &["nothing answers for log:email-servce", "did you mean log:email-service?"],
    ),
    email(
        "drill of the gate that does not exist",
        &[("baseline.yaml", "drills: [beat_stopped]", "drills: [beat_stoped]")],
        ("baseline.yaml", "beat_stoped"),
        &["no drill beat_stoped", "did you mean beat_stopped?"],
    ),
    email(
        "detection of an alert that no drill of the gate is about",
        &[("baseline.yaml", "alert: CeleryBeatDown", "alert: PostfixDown")],
        ("baseline.yaml", "detection: {"),
        &["no drill under `drills` is about PostfixDown", "these are: postfix_stopped"],
    ),
    Case {
        name: "nothing was recorded to compare with",
        stack: "email",
        edits: &[],
        arguments: &["baseline", "check", "STACK", "--report", "report"],
        at: None,
        says: &["baseline-recorded.json does not exist", "firedrill baseline record"],
    },
    recorded!(
        "recorded runs of an older schema",
        1,
        "email",
        not(debug_assertions),
        "\"schema\"",
        &["seen 1, wanted 2", "record the baseline again"]
    ),
    recorded!(
        "recorded runs of another stack",
        2,
        "booking",
        not(debug_assertions),
        "\"stack\"",
        &["recorded of booking, wanted email"]
    ),
    recorded!(
        "recorded runs of programs that are built otherwise",
        2,
        "email",
        debug_assertions,
        "\"optimised\"",
        &[BUILT, "--release"]
    ),
    recorded!(
        "recorded runs of another machine",
        2,
        "email",
        not(debug_assertions),
        "\"host\"",
        &["999 processors, here", "--versus"]
    ),
    asked(
        "stack whose baseline measures nothing",
        &["baseline", "record", "STACK"],
        &["has no gate", "state under `gate`"],
    ),
    email(
        "error rate in per cent",
        &[("baseline.yaml", "error_rate_max: 0.01", "error_rate_max: 5")],
        ("baseline.yaml", "error_rate_max"),
        &["seen 5", "0.01"],
    ),
    // Features.
    mini(
        "unknown alert in a feature",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Given the healthy stack\n    When drill \"spare_paused\" is run\n    Then alert SpareDwn fires within its budget, reaches its receivers and resolves\n",
        )],
        ("features/own.feature", "SpareDwn"),
        &["SpareDwn is not declared", "did you mean SpareDown?"],
    ),
    mini(
        "unknown drill in a feature",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    When drill \"spare_pausd\" is run\n",
        )],
        ("features/own.feature", "spare_pausd"),
        &["no drill spare_pausd", "did you mean spare_paused?"],
    ),
    mini(
        "unknown step",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Given the healthy stack\n    Then all is swell\n",
        )],
        ("features/own.feature", "swell"),
        &["no step \"all is swell\""],
    ),
    mini(
        "feature that is no Gherkin",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Given the healthy stack\n    Perhaps all is well\n",
        )],
        ("features/own.feature", "Perhaps"),
        &["Gherkin", "Given, When, Then"],
    ),
    mini(
        "verdict asked for twice",
        &[(
            "features/own.feature",
            "",
            "Feature: Own\n  Scenario: One\n    Then every service is ready\n",
        )],
        (RULES, ""),
        &["health.services is asked for twice", "own.feature:3", "health.feature:7"],
    ),
    // Arguments.
    asked("no such stack", &["verify", "emial"], &["no stack emial", "did you mean email?"]),
    asked("no such folder", &["verify", "./shopp"], &["no folder", "shopp"]),
    asked(
        "folder without firedrill.yaml",
        &["verify", "STACK/features"],
        &["has no firedrill.yaml", "compose/stacks/mini/firedrill.yaml"],
    ),
    asked(
        "file in place of a folder",
        &["verify", "STACK/firedrill.yaml"],
        &["is a file, wanted the folder"],
    ),
    asked("unknown tag", &["verify", "STACK", "--tags", "nightli"], &["tag nightli"]),
    asked(
        "one known tag does not excuse an unknown one",
        &["verify", "email", "--tags", "stack:email,slow-ish"],
        &["tag slow-ish"],
    ),
    asked(
        "time scale out of range",
        &["verify", "STACK", "--time-scale", "0"],
        &["time scale 0 is out of range, wanted 1 to 10000"],
    ),
    asked(
        "time scale that can't be had",
        &["verify", "STACK", "--time-scale", "5000"],
        &["time scale 5000 can't be had; the largest that works is"],
    ),
    asked(
        "unknown drill",
        &["run", "exporter_stoped", "--stack", "STACK"],
        &["no drill exporter_stoped", "did you mean exporter_stopped?"],
    ),
    asked(
        "unknown sabotage",
        &["selftest", "STACK", "--only", "scrape_wrong_prt"],
        &["no sabotage scrape_wrong_prt", "did you mean scrape_wrong_port?"],
    ),
    asked(
        "unknown image",
        &["images", "grafanna"],
        &["no image grafanna", "did you mean grafana?"],
    ),
    asked(
        "unknown fault by hand",
        &["fault", "inject", "stpo", "exporter"],
        &["no fault stpo", "did you mean stop?"],
    ),
    asked(
        "unknown setting by hand",
        &["fault", "inject", "packet_delay", "exporter", "to=spare", "by=5"],
        &["by"],
    ),
    asked(
        "setting without value",
        &["fault", "inject", "packet_delay", "exporter", "to"],
        &["setting to is not written key=value"],
    ),
    asked(
        "fault on a stack that is not up",
        &["fault", "inject", "stop", "exporter", "--stack", "STACK"],
        &["stack mini is not up", "no stack is up"],
    ),
    asked(
        "load of a rate of zero",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "0", "--duration", "1s"],
        &["--rate", "above 0"],
    ),
    asked(
        "load for a duration without unit",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "5", "--duration", "10"],
        &["--duration", "\"10\" is not a number with a unit", "10s"],
    ),
    asked(
        "load without duration",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "5"],
        &["--duration is missing", "10s"],
    ),
    asked(
        "load without rate",
        &["load", "--url", "http://127.0.0.1:9/", "--duration", "5s"],
        &["--rate is missing", "--rate 500"],
    ),
    asked(
        "load of somebody else",
        &["load", "--url", "http://192.0.2.1/", "--rate", "5", "--duration", "1s"],
        &["192.0.2.1", "neither on the loopback interface nor on a network of ours"],
    ),
    load!(
        "load over TLS without an authority",
        "https://127.0.0.1:9/",
        [],
        &["--ca is missing", "--ca FILE"]
    ),
    load!(
        "load with an authority that is not there",
        "https://127.0.0.1:9/",
        ["--ca", "nowhere.pem"],
        &["nowhere.pem", "can be read"]
    ),
    load!(
        "load with an authority that is none",
        "https://127.0.0.1:9/",
        ["--ca", "STACK/firedrill.yaml"],
        &["firedrill.yaml", "no certificate", "BEGIN CERTIFICATE"]
    ),
    load!(
        "load of a scheme that does not exist",
        "ftp://127.0.0.1:9/",
        [],
        &["scheme ftp", "otlp+grpc, ", "lines+file"]
    ),
    load!(
        "load of somebody else's mail server",
        "smtp://192.0.2.1",
        ["--to", "a@mail.test"],
        &["192.0.2.1", "network of ours"]
    ),
    load!(
        "load of mail for nobody",
        "smtp://127.0.0.1:9",
        [],
        &["--to is missing", "--to alice@mail.test"]
    ),
    load!(
        "load of mail for what is no address",
        "smtp://127.0.0.1:9",
        ["--to", "alice"],
        &["\"alice\" is no mail address"]
    ),
    load!(
        "load of a mailbox of nobody",
        "imap://127.0.0.1:9/INBOX",
        [],
        &["names no user", "imap://alice:PASSWORD@"]
    ),
    load!(
        "load with another protocol's option",
        "otlp+http://127.0.0.1:9",
        ["--to", "a@mail.test"],
        &["--to does not go with this URL", "smtp://"]
    ),
    load!(
        "load into a file that can't be",
        "lines+file:/nowhere/at/all.log",
        [],
        &["/nowhere/at/all.log", "lines+file:"]
    ),
    load!(
        "load of several lines as one",
        "lines+tcp://127.0.0.1:9",
        ["--body", "a\nb"],
        &["several lines", "--body"]
    ),
    load!(
        "load with bodies of no size",
        "http://127.0.0.1:9/",
        ["--body-bytes", "9..5"],
        &["--body-bytes", "100..2000"]
    ),
    Case {
        edits: &[("feed.csv", "", "user,word\na,b\n")],
        ..load!(
            "load without the feed's column",
            "http://127.0.0.1:9/{feed.usr}",
            ["--feed", "STACK/feed.csv"],
            &["feed.csv: line 1: there is no column \"usr\", only user, word"]
        )
    },
    Case {
        edits: &[("feed.csv", "", "user,word\na,b,c\n")],
        ..load!(
            "load with a ragged feed",
            "http://127.0.0.1:9/",
            ["--feed", "STACK/feed.csv"],
            &["feed.csv: line 2: seen 3 values, wanted 2"]
        )
    },
    Case {
        edits: &[("feed.csv", "", "user\na\n")],
        ..load!(
            "load with a feed's order that does not exist",
            "http://127.0.0.1:9/",
            ["--feed", "STACK/feed.csv", "--feed-order", "up"],
            &["--feed-order", "shuffled"]
        )
    },
    asked(
        "load of a shape that does not exist",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--arrival",
            "rampp:5:1s",
        ],
        &["rampp:5:1s", "ramp:TO:OVER"],
    ),
    asked(
        "load with a placeholder that nothing fills",
        &["load", "--url", "http://127.0.0.1:9/{what}", "--rate", "5", "--duration", "1s"],
        &["{what}", "{feed.COLUMN}"],
    ),
    asked(
        "load of a journey that does not exist",
        &["load", "email", "--journey", "lst=3"],
        &["no journey lst", "did you mean list?"],
    ),
    asked("load of a stack without workload", &["load", "STACK"], &["has no workload", "--url"]),
    asked(
        "load with an objective that is none",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--objective",
            "p99<250",
        ],
        &["p99<250", "p99<=250ms"],
    ),
    asked(
        "load by no users",
        &["load", "--url", "http://127.0.0.1:9/", "--users", "0", "--duration", "1s"],
        &["--users", "a number of users from 1"],
    ),
    asked(
        "load by users at a rate",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--users",
            "5",
            "--rate",
            "5",
            "--duration",
            "1s",
        ],
        &["--rate and --users contradict each other", "have no rate"],
    ),
    asked(
        "load by users who think without unit",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--users",
            "5",
            "--think-time",
            "1..3",
            "--duration",
            "1s",
        ],
        &["--think-time", "is not a number with a unit"],
    ),
    asked(
        "load along a plan that does not exist",
        &["load", "--url", "http://127.0.0.1:9/", "--rate", "5", "--plan", "soack"],
        &["plan \"soack\" is unknown", "soak, spike"],
    ),
    asked(
        "load along a plan that is too short",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--plan",
            "spike",
            "--duration",
            "3s",
        ],
        &["3s is too short for --plan", "at least 9s"],
    ),
    asked(
        "load by users along a plan that changes the rate",
        &["load", "--url", "http://127.0.0.1:9/", "--users", "5", "--plan", "breakpoint"],
        &["users have none", "--plan soak"],
    ),
    asked(
        "knee without objective",
        &["load", "--url", "http://127.0.0.1:9/", "--find-knee"],
        &["--find-knee needs an objective", "--objective p99<=250ms"],
    ),
    asked(
        "knee of a ramp",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--find-knee",
            "--objective",
            "p99<=1s",
            "--rate",
            "5",
            "--arrival",
            "ramp:9:1s",
        ],
        &["one rate", "constant or poisson"],
    ),
    asked(
        "load with a condition that is none",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--stop-when",
            "error_rate > 0.05",
        ],
        &["error_rate > 0.05", "error_rate > 5%"],
    ),
    asked(
        "load by workers without a token",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
        ],
        &["there is no token", "--token-file", "FIREDRILL_WORKER_TOKEN"],
    ),
    asked(
        "load by workers whose token is no secret",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
            "--token-file",
            "/dev/null",
        ],
        &["/dev/null", "0 characters, wanted at least 16"],
    ),
    asked(
        "load by containers without a stack",
        &[
            "load",
            "--url",
            "http://web:80/",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--worker-containers",
            "2",
        ],
        &["no stack is up", "firedrill up"],
    ),
    asked(
        "worker that may drive the internet",
        &["worker", "--allow", "0.0.0.0/0"],
        &["--allow 0.0.0.0/0", "not private", "10.20.0.0/16"],
    ),
    asked("worker without a token", &["worker"], &["there is no token", "/dev/urandom"]),
    asked(
        "load by workers who have users",
        &[
            "load",
            "--url",
            "http://127.0.0.1:9/",
            "--users",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
        ],
        &["workers drive a --rate", "--users"],
    ),
    asked(
        "load of log lines by workers",
        &[
            "load",
            "--url",
            "lines+tcp://127.0.0.1:9",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--workers",
            "127.0.0.1:9",
        ],
        &["workers drive http:// only"],
    ),
    asked(
        "tags without scenarios",
        &["up", "STACK", "--tags", "nightly"],
        &["--tags selects scenarios"],
    ),
    Case {
        name: "sabotage that no longer fits",
        stack: "mini",
        edits: &[("prometheus/prometheus.yml", "spare:9001", "spare:9002")],
        arguments: &["selftest", "STACK", "--only", "scrape_wrong_port"],
        at: Some(("sabotage/scrape_wrong_port.yaml", "old:")),
        says: &["0 times", "adapt the sabotage"],
    },
    Case {
        name: "sabotage of a verdict that nobody asks for",
        stack: "mini",
        edits: &[("sabotage/scrape_wrong_port.yaml", "scraping.targets", "scraping.target")],
        arguments: &["selftest", "STACK"],
        at: Some(("sabotage/scrape_wrong_port.yaml", "verdict:")),
        says: &["scraping.target", "--dry-run"],
    },
];

/// Everything that is wrong with the message of one case.
pub(super) fn wrong_with(case: &Case) -> Result<(), String> {
    let tried = std::panic::catch_unwind(|| {
        let broken = Broken::copy_of(case.stack);
        for (file, old, new) in case.edits {
            broken.edit(file, old, new);
        }
        let ended = broken.run(case.arguments);
        ended.is_one_message(64, case.says);
        if let Some((file, text)) = case.at.filter(|(_, text)| !text.is_empty()) {
            let place = broken.place(file, text);
            assert!(
                ended.stderr.contains(&format!("{place}:")),
                "not at {place}:\n{}",
                ended.stderr
            );
        }
        assert!(broken.state().is_empty(), "something was begun: {:?}", broken.state());
        assert!(
            !broken.report().exists()
                || std::fs::read_dir(broken.report()).is_ok_and(|mut f| f.next().is_none()),
            "a run was begun"
        );
    });
    tried.map_err(|panic| {
        panic
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| panic.downcast_ref::<&str>().copied().unwrap_or("?").to_owned())
    })
}

#[test]
fn each_mistake_gives_one_message_with_place_word_and_hint() {
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|c| wrong_with(c).err().map(|e| format!("--- {}\n{e}", c.name)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn a_stack_that_is_whole_has_nothing_wrong() {
    for stack in ["mini", "email"] {
        let ended = Broken::copy_of(stack).run(&["verify", "STACK", "--dry-run"]);
        assert_eq!((ended.exit, ended.stderr.as_str()), (0, ""), "{stack}");
        assert!(ended.stdout.contains("expect  health.services"), "{}", ended.stdout);
    }
}

#[test]
fn help_is_there_for_every_command() {
    let broken = Broken::copy_of("mini");
    let whole = broken.run(&["--help"]).stdout;
    let listed: Vec<&str> = whole
        .lines()
        .skip_while(|l| !l.starts_with("Commands:"))
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(listed.len() >= 10, "{whole}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"))
        .expect("README");
    for command in listed.into_iter().filter(|c| *c != "help") {
        let help = broken.run(&[command, "--help"]);
        assert_eq!(help.exit, 0, "{command}");
        assert!(help.stdout.contains("Usage: firedrill"), "{command}: {}", help.stdout);
        let commands = readme
            .split("## Commands")
            .nth(1)
            .and_then(|r| r.split("\n## ").next())
            .expect("a section");
        assert!(
            commands.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == command),
            "the README's list lacks {command}"
        );
    }
    for wrong in [
        &["verfy"][..],
        &["verify", "--tim-scale", "5"],
        &["run"],
        &["judge"],
        &["verify", "--seed", "x"],
        &["fault"],
        &["verify", "--images", "none"],
    ] {
        let ended = broken.run(wrong);
        assert_eq!(ended.exit, 64, "{wrong:?}: {}", ended.stderr);
    }
}
