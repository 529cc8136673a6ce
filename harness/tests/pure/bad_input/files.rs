//! The stack's files: declaration, Compose file, monitoring configuration.

use super::case::{Case, OWN, RULES, each_gives_one_message, email, mini};

const COMPOSE: &str = "docker-compose.yml";
const BOARD: &str = "grafana/dashboards/system-resources.json";
const DATASOURCES: &str = "grafana/provisioning/datasources/stack.yml";

const PROMISES: &[Case] = &[
    mini(
        "a bound below what the configuration promises",
        &[(OWN, "receivers: [pager, chat]}", "receivers: [pager, chat], within_s: 4}")],
        (OWN, "- {name: ExporterDown"),
    ),
    mini(
        "a bound that is no number of seconds",
        &[(OWN, "receivers: [pager, chat]}", "receivers: [pager, chat], within_s: -4}")],
        (OWN, "- {name: ExporterDown"),
    ),
];

const COMPOSE_FILE: &[Case] = &[
    mini(
        "unknown key in the Compose file",
        &[(
            COMPOSE,
            "    healthcheck:\n      test: [\"CMD\", \"wget\", \"-q\", \"--spider\", \"http://127.0.0.1:9093",
            "    healthchek:\n      test: [\"CMD\", \"wget\", \"-q\", \"--spider\", \"http://127.0.0.1:9093",
        )],
        (COMPOSE, "healthchek:"),
    ),
    mini(
        "Compose file that is no YAML",
        &[(COMPOSE, "    ports: [\"127.0.0.1:9093:9093\"]", "    ports: [\"127.0.0.1:9093:9093\"")],
        (COMPOSE, "    volumes:\n      - ./alertmanager"),
    ),
    mini(
        "duration without unit",
        &[(COMPOSE, "interval: 2s", "interval: 2 parsecs")],
        (COMPOSE, "parsecs"),
    ),
    mini(
        "volume that is not declared",
        &[(COMPOSE, "- prometheus-data:/prometheus", "- prometheus-dat:/prometheus")],
        (COMPOSE, "prometheus-dat:/"),
    ),
    mini(
        "dependency that does not exist",
        &[(
            COMPOSE,
            "    image: firedrill/apps\n",
            "    image: firedrill/apps\n    depends_on: [promethius]\n",
        )],
        (COMPOSE, "  exporter:"),
    ),
    mini(
        "Compose file elsewhere",
        &[(OWN, "stack: mini", "stack: mini\ncompose: compose.yml")],
        (OWN, "compose: compose.yml"),
    ),
];

const DECLARATION: &[Case] = &[
    mini(
        "unknown key in firedrill.yaml",
        &[(OWN, "steady_state:", "stedy_state:")],
        (OWN, "stedy_state:"),
    ),
    mini("unknown key below", &[(OWN, "hold_s: 6", "hold_for: 6")], (OWN, "hold_for")),
    mini("missing key", &[(OWN, ", receivers: [pager, chat]}", "}")], (OWN, "ExporterDown")),
    mini(
        "comma without quotes",
        &[(OWN, "contains: '\"status\":\"healthy\"'}", "contains: status, healthy is said}")],
        (OWN, "healthy is said"),
    ),
    mini(
        "colon without quotes",
        &[(OWN, "contains: '\"status\":\"healthy\"'}", "contains: {status: healthy}}")],
        (OWN, "{status: healthy}"),
    ),
    mini("wrong type", &[(OWN, "time_scale: 1", "time_scale: fast")], (OWN, "time_scale: fast")),
    mini("number out of range", &[(OWN, "hold_s: 6", "hold_s: -6")], (OWN, "hold_s")),
    mini(
        "time scale out of range in the file",
        &[(OWN, "time_scale: 1", "time_scale: 0.5")],
        (OWN, "time_scale"),
    ),
    mini("newer schema", &[(OWN, "schema: 1", "schema: 2")], (OWN, "schema: 2")),
    mini(
        "receiver that is not declared",
        &[(OWN, "receivers: [pager, chat]", "receivers: [pagr, chat]")],
        (OWN, "pagr"),
    ),
    mini("unknown protocol", &[(OWN, "protocol: webhook", "protocol: webhok")], (OWN, "webhok,")),
    mini(
        "role of a service that is not there",
        &[(
            OWN,
            "service: alertmanager, port: 9093, config",
            "service: alertmanger, port: 9093, config",
        )],
        (OWN, "alertmanger,"),
    ),
    mini(
        "unknown kind of server",
        &[(OWN, "kind: prometheus", "kind: promethius")],
        (OWN, "promethius"),
    ),
    email(
        "dashboards of a folder that is not there",
        &[(OWN, "provisioning: grafana/provisioning", "provisioning: grafana/provision")],
        (OWN, "{kind: grafana-files"),
    ),
    email(
        "dashboard that is no JSON",
        &[(BOARD, "\"title\": \"CPU busy\",", "\"title\": \"CPU busy\"")],
        (BOARD, "\"type\": \"timeseries\""),
    ),
    email(
        "dashboard in no file",
        &[(OWN, "uid: system-resources", "uid: system-resorces")],
        (OWN, "uid: system-resorces"),
    ),
    email(
        "two dashboards with one uid",
        &[(BOARD, "\"uid\": \"system-resources\"", "\"uid\": \"email-service-overview\"")],
        (BOARD, "\"uid\": \"email-service-overview\""),
    ),
    email(
        "panel with a variable that nothing defines",
        &[(BOARD, "\"expr\": \"node_load1\"", "\"expr\": \"node_load1{job=\\\"$job\\\"}\"")],
        (BOARD, "\"expr\": \"node_load1{job"),
    ),
    email(
        "data source that leads out of the stack",
        &[(DATASOURCES, "url: http://prometheus:9090", "url: http://metrics.example.com")],
        (DATASOURCES, "url: http://metrics.example.com"),
    ),
    email(
        "dashboards of a server without a port",
        &[(OWN, "service: grafana, port: 3000, user", "service: grafana, user")],
        (OWN, "{kind: grafana, service: grafana"),
    ),
    email(
        "files of dashboards without a folder",
        &[(
            OWN,
            "{kind: grafana-files, provisioning: grafana/provisioning}",
            "{kind: grafana-files}",
        )],
        (OWN, "{kind: grafana-files}"),
    ),
    email(
        "a folder of a server that reads its files itself",
        &[(
            OWN,
            "user: admin, password: admin}",
            "user: admin, password: admin, provisioning: grafana/provisioning}",
        )],
        (OWN, "{kind: grafana, service"),
    ),
    mini(
        "role without a service",
        &[(OWN, "kind: prometheus, service: prometheus, ", "kind: prometheus, ")],
        (OWN, "metrics:"),
    ),
    mini(
        "role without configuration",
        &[
            (OWN, ", config: prometheus/prometheus.yml", ""),
            // Mounted where the server looks it would be known.
            (COMPOSE, "./prometheus:/etc/prometheus:ro", "./prometheus:/srv/prometheus:ro"),
        ],
        (OWN, "metrics:"),
    ),
    mini(
        "alert declared twice",
        &[(OWN, "name: SpareDown", "name: ExporterDown")],
        (OWN, "name: ExporterDown, labels: {severity: warning"),
    ),
    mini(
        "health endpoint without path and banner",
        &[(OWN, "port: 9090, path: /-/ready}", "port: 9090}")],
        (OWN, "service: prometheus, port: 9090}"),
    ),
    mini(
        "waiver with a bad date",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, owner: me, reason: known, expires: 31.12.2026}\nsteady_state:",
        )],
        (OWN, "31.12.2026"),
    ),
    mini(
        "waiver without owner",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, reason: known, expires: 2026-12-31}\nsteady_state:",
        )],
        (OWN, "{verdict: alert.SpareDown.fires, reason"),
    ),
    mini(
        "waiver whose owner is nobody",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, owner: ' ', reason: known, expires: 2026-12-31}\nsteady_state:",
        )],
        (OWN, "owner: ' '"),
    ),
    mini(
        "waiver for a verdict that nobody asks for",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fire, owner: me, reason: known, expires: 2999-12-31}\nsteady_state:",
        )],
        (OWN, "alert.SpareDown.fire"),
    ),
    mini(
        "waiver on a day that does not exist",
        &[(
            OWN,
            "steady_state:",
            "waivers:\n  - {verdict: alert.SpareDown.fires, owner: me, reason: known, expires: 2026-02-30}\nsteady_state:",
        )],
        (OWN, "2026-02-30"),
    ),
    email("unknown journey", &[(OWN, "send_mail:", "sendmail:")], (OWN, "{sendmail:")),
    email(
        "address without port",
        &[(OWN, "http: email-service:5000", "http: email-service")],
        (OWN, "http: email-service"),
    ),
    email(
        "parent that is no span",
        &[(OWN, "parent: \"email-service: ", "parent: \"email-servce: ")],
        (OWN, "email-servce: "),
    ),
];

const MONITORING: &[Case] = &[
    mini(
        "rule that does not parse",
        &[(RULES, "up{job=\"spare\"} == 0", "up{job=\"spare\" == 0")],
        (RULES, "up{job=\"spare\" == 0"),
    ),
    mini(
        "rule file that is no YAML",
        &[(RULES, "    rules:\n      - record", "   rules:\n      - record")],
        (RULES, "   rules:\n"),
    ),
    mini(
        "configuration that is not there",
        &[(OWN, "config: prometheus/prometheus.yml", "config: prometheus/prometheus.yaml")],
        (OWN, "prometheus/prometheus.yaml"),
    ),
    mini(
        "receiver outside the stack",
        &[(
            "alertmanager/alertmanager.yml",
            "https://chat.test/rooms/ops",
            "https://chat.example.com/rooms/ops",
        )],
        ("alertmanager/alertmanager.yml", "chat.example.com"),
    ),
    mini(
        "unknown receiver in a route",
        &[("alertmanager/alertmanager.yml", "      receiver: pager\n", "      receiver: pagr\n")],
        ("alertmanager/alertmanager.yml", "receiver: pagr"),
    ),
];

#[test]
fn promises() {
    each_gives_one_message("promises", PROMISES);
}

#[test]
fn compose_file() {
    each_gives_one_message("compose_file", COMPOSE_FILE);
}

#[test]
fn declaration() {
    each_gives_one_message("declaration", DECLARATION);
}

#[test]
fn monitoring() {
    each_gives_one_message("monitoring", MONITORING);
}
