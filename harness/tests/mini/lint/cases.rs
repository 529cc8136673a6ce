//! Ways to break a monitoring configuration that its files tell.

/// One way.
pub struct Case {
    pub name: &'static str,
    pub stack: &'static str,
    /// File, text that is there, text that takes its place; an empty one writes the whole file.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
    /// The check that finds it.
    pub check: &'static str,
    pub severity: &'static str,
    /// File, and a text that begins on the line that must be named; empty if the file as a whole is
    /// meant.
    pub at: (&'static str, &'static str),
}

const RULES: &str = "prometheus/rules/alerts.yml";
const SERVER: &str = "prometheus/prometheus.yml";
const MANAGER: &str = "alertmanager/alertmanager.yml";

type Edits = &'static [(&'static str, &'static str, &'static str)];

const fn mini(
    name: &'static str,
    check: &'static str,
    severity: &'static str,
    edits: Edits,
    at: (&'static str, &'static str),
) -> Case {
    Case { name, stack: "mini", edits, check, severity, at }
}

const fn email(
    name: &'static str,
    check: &'static str,
    severity: &'static str,
    edits: Edits,
    at: (&'static str, &'static str),
) -> Case {
    Case { name, stack: "email", edits, check, severity, at }
}

const VALUE: &str = "scripted_value{job=\"exporter\"} > 100";
const SPARE: &str = "up{job=\"spare\"} == 0 or absent(up{job=\"spare\"})";
const SUMMARY: &str = "summary: The scripted value is high";

pub const CASES: &[Case] = &[
    // Files and rules.
    mini(
        "an expression that does not parse",
        "parse",
        "error",
        &[(RULES, VALUE, "scripted_value{ > 100")],
        (RULES, "expr: scripted_value"),
    ),
    mini(
        "a rule file that is not there",
        "rule-file-missing",
        "error",
        &[(SERVER, "rules/*.yml", "rulez/*.yml")],
        (SERVER, "- rulez/*.yml"),
    ),
    mini(
        "two rules with one name",
        "duplicate-rule",
        "error",
        &[(
            RULES,
            "      - alert: SpareDown",
            "      - alert: ExporterDown\n        expr: up{job=\"exporter\"} == 0 or absent(up{job=\"exporter\"})\n        for: 4s\n        labels: {severity: critical, service: exporter}\n      - alert: SpareDown",
        )],
        (
            RULES,
            "- alert: ExporterDown\n        expr: up{job=\"exporter\"} == 0 or absent(up{job=\"exporter\"})\n        for: 4s",
        ),
    ),
    mini(
        "a `for` below the interval",
        "for-below-interval",
        "warning",
        &[(RULES, "for: 3s", "for: 300ms")],
        (RULES, "- alert: ExporterDown"),
    ),
    mini(
        "a `for` of an hour",
        "for-long",
        "note",
        &[(RULES, "for: 3s", "for: 1h")],
        (RULES, "- alert: ExporterDown"),
    ),
    mini(
        "a `for` beyond what its owner bears",
        "told-too-late",
        "error",
        &[
            (RULES, "for: 3s", "for: 40s"),
            (
                "firedrill.yaml",
                "receivers: [pager, chat]}",
                "receivers: [pager, chat], within_s: 30}",
            ),
        ],
        (RULES, "- alert: ExporterDown"),
    ),
    mini(
        "no Alertmanager",
        "no-alertmanager",
        "error",
        &[(SERVER, "    - static_configs:\n        - targets: [alertmanager:9093]\n\n", "\n")],
        (SERVER, ""),
    ),
    mini(
        "an Alertmanager that is not there",
        "alertmanager-address",
        "error",
        &[(SERVER, "[alertmanager:9093]\n\nscrape", "[alertmanger:9093]\n\nscrape")],
        (SERVER, "        - targets: [alertmanger"),
    ),
    mini(
        "a wrong port of Alertmanager",
        "alertmanager-address",
        "error",
        &[(SERVER, "[alertmanager:9093]\n\nscrape", "[alertmanager:9094]\n\nscrape")],
        (SERVER, "        - targets: [alertmanager:9094"),
    ),
    // Expressions.
    mini(
        "a job that does not exist",
        "unknown-job",
        "error",
        &[(RULES, VALUE, "scripted_value{job=\"exporters\"} > 100")],
        (RULES, "expr: scripted_value"),
    ),
    mini(
        "a recorded series that nothing records",
        "unrecorded-series",
        "error",
        &[(RULES, VALUE, "job:up:mean > 100")],
        (RULES, "expr: job:up:mean"),
    ),
    mini(
        "a range of one scrape",
        "range-too-short",
        "error",
        &[(RULES, VALUE, "rate(scripted_requests_total{job=\"exporter\"}[1s]) > 100")],
        (RULES, "expr: rate"),
    ),
    mini(
        "a threshold inverted",
        "never-true",
        "error",
        &[(RULES, SPARE, "up{job=\"spare\"} < 0")],
        (RULES, "expr: up{job=\"spare\"}"),
    ),
    mini(
        "a count of nothing",
        "never-true",
        "error",
        &[(RULES, SPARE, "count(up{job=\"spare\"} == 1) == 0")],
        (RULES, "expr: count"),
    ),
    mini(
        "a comparison that always holds",
        "always-true",
        "error",
        &[(RULES, SPARE, "sum(rate(scripted_requests_total[10s])) >= 0")],
        (RULES, "expr: sum(rate"),
    ),
    mini(
        "a raw counter",
        "raw-counter",
        "warning",
        &[(RULES, VALUE, "scripted_requests_total{job=\"exporter\"} > 100")],
        (RULES, "expr: scripted_requests_total"),
    ),
    mini(
        "a ratio that falls silent",
        "ratio-falls-silent",
        "warning",
        &[(
            RULES,
            "up{job=\"exporter\"} == 0 or absent(up{job=\"exporter\"})",
            "scripted_value{job=\"exporter\"} > 900",
        )],
        // Text in several lines stands where it begins.
        (RULES, "sum by (job) (rate("),
    ),
    // Templates.
    mini(
        "a template that is not closed",
        "template",
        "error",
        &[(RULES, SUMMARY, "summary: 'is at {{ $value'")],
        (RULES, "- alert: ScriptedValueHigh"),
    ),
    mini(
        "a template with an unknown function",
        "template",
        "error",
        &[(RULES, SUMMARY, "summary: 'is at {{ $value | humanise }}'")],
        (RULES, "- alert: ScriptedValueHigh"),
    ),
    mini(
        "a template with a label that was grouped away",
        "template-label",
        "note",
        &[(RULES, "summary: Scripted requests fail", "summary: 'on {{ $labels.instance }}'")],
        (RULES, "- alert: ScriptedErrorRate"),
    ),
    // Routes, receivers, inhibitions.
    mini(
        "a label that no alert carries",
        "unknown-label",
        "warning",
        &[(MANAGER, "matchers: [severity=\"critical\"]", "matchers: [severty=\"critical\"]")],
        (MANAGER, "- matchers: [severty"),
    ),
    mini(
        "a value that no alert carries",
        "dead-route",
        "warning",
        &[(MANAGER, "severity=\"critical\"", "severity=\"pager\"")],
        (MANAGER, "- matchers: [severity=\"pager"),
    ),
    mini(
        "a route in the shadow of another",
        "dead-route",
        "warning",
        &[
            (MANAGER, "      continue: true\n", ""),
            (MANAGER, "severity=\"critical\"", "severity=~\".+\""),
        ],
        (MANAGER, "- matchers: [severity=~\".+\"]\n      receiver: chat"),
    ),
    mini(
        "an alert without severity",
        "label-missing",
        "warning",
        &[(RULES, "{severity: warning, service: spare}", "{service: spare}")],
        (RULES, "- alert: SpareDown"),
    ),
    email(
        "a severity misspelt",
        "label-value",
        "warning",
        &[(
            RULES,
            "severity: critical, component: infrastructure",
            "severity: critcal, component: infrastructure",
        )],
        (RULES, "- alert: OutOfMemory"),
    ),
    mini(
        "a receiver that no route names",
        "receiver-never-reached",
        "warning",
        &[(
            MANAGER,
            "receivers:\n",
            "receivers:\n  - name: attic\n    webhook_configs: [{url: 'https://chat.test/attic'}]\n",
        )],
        (MANAGER, "- name: attic"),
    ),
    mini(
        "a receiver that tells nobody",
        "receiver-tells-nobody",
        "warning",
        &[(
            MANAGER,
            "    webhook_configs:\n      - url: https://webhook.test/hook\n        send_resolved: true\n",
            "",
        )],
        (MANAGER, "- name: pager"),
    ),
    mini(
        "an inhibition by what does not exist",
        "dead-inhibition",
        "warning",
        &[(MANAGER, "alertname=\"ExporterDown\"", "alertname=\"ExporterGone\"")],
        (MANAGER, "- source_matchers"),
    ),
    mini(
        "an inhibition that compares what differs",
        "dead-inhibition",
        "warning",
        &[(MANAGER, "equal: [service]", "equal: [alertname]")],
        (MANAGER, "- source_matchers"),
    ),
    mini(
        "an inhibition that compares nothing",
        "empty-equal",
        "warning",
        &[(MANAGER, "equal: [service]", "equal: [service, cluster]")],
        (MANAGER, "- source_matchers"),
    ),
    mini(
        "an inhibition that swallows a critical alert",
        "inhibits-critical",
        "warning",
        &[
            (MANAGER, "alertname=\"ExporterDown\"", "alertname=\"ScriptedValueHigh\""),
            (
                MANAGER,
                "alertname=~\"ScriptedValueHigh|ScriptedErrorRate\"",
                "alertname=~\"ExporterDown|ScriptedErrorRate\"",
            ),
        ],
        (MANAGER, "- source_matchers"),
    ),
    mini(
        "reminders faster than the group",
        "repeat-below-group-interval",
        "warning",
        &[(MANAGER, "repeat_interval: 1h", "repeat_interval: 2s")],
        (MANAGER, "receiver: chat\n  group_by"),
    ),
    email(
        "a Postfix alert mailed through Postfix",
        "told-through-itself",
        "error",
        &[
            (MANAGER, "smtp.relay.test:587", "postfix:25"),
            (
                MANAGER,
                "to: mail-team@ops.test\n        send_resolved: true\n    slack_configs:\n      - api_url: https://hooks.slack.com/services/T00000000/B00000000/firedrill-mail\n        channel: '#alerts-mail'\n        send_resolved: true\n        text: *text\n",
                "to: mail-team@ops.test\n        send_resolved: true\n",
            ),
        ],
        (RULES, "- alert: MailQueueHigh"),
    ),
    // The time scale that the stack declares.
    email(
        "a count that can't be scaled",
        "time-scale",
        "warning",
        &[(RULES, "redis_evicted_keys_total[5m]) > 0", "redis_evicted_keys_total[5m]) > 3")],
        (RULES, "expr: increase(redis_evicted"),
    ),
];
