//! Small inputs of one fault each, or of none. All findings but notes must be named.

/// Files, and what is told of them: `severity check file:line`.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) files: &'static [(&'static str, &'static str)],
    pub(super) wanted: &'static [&'static str],
}

const COMPOSE: &str = "services:
  prometheus:
    image: prom/prometheus:v3.4.2
    volumes: ['./p.yml:/etc/prometheus/prometheus.yml', './r.yml:/etc/prometheus/r.yml']
  alertmanager:
    image: prom/alertmanager:v0.28.1
    container_name: pager-box
    volumes: ['./a.yml:/etc/alertmanager/alertmanager.yml']
  web: {image: 'shop/web:1'}
  spare: {image: 'shop/spare:1', profiles: [more]}
";
const SERVER: &str = "global: {scrape_interval: 15s, evaluation_interval: 15s}
rule_files: [r.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['pager-box:9093']}]}]}
scrape_configs:
- {job_name: web, static_configs: [{targets: ['web:8080']}]}
";
const RULES: &str = "groups:
- name: web
  rules:
  - alert: WebDown
    expr: up{job=\"web\"} == 0
    for: 1m
    labels: {severity: critical}
";
const MANAGER: &str = "route: {receiver: team}
receivers:
- name: team
  webhook_configs: [{url: 'http://hooks.test/x'}]
";

macro_rules! case {
    ($name:expr, [$($file:expr => $text:expr),* $(,)?], $wanted:expr) => {
        Case { name: $name, files: &[$(($file, $text)),*], wanted: &$wanted }
    };
}
/// A rule file alone, with one alert whose expression stands in line 5.
macro_rules! alert {
    ($name:expr, $expr:expr, $wanted:expr) => {
        case!($name, ["r.yml" => concat!("groups:\n- name: a\n  rules:\n  - alert: X\n    expr: '", $expr, "'\n    for: 5m\n    labels: {severity: page}\n")], $wanted)
    };
}
macro_rules! server {
    ($name:expr, $text:expr, $wanted:expr) => {
        case!($name, ["p.yml" => concat!("rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_configs:\n- job_name: web\n  static_configs: [{targets: ['web:1']}]\n", $text), "r.yml" => RULES], $wanted)
    };
}
macro_rules! manager {
    ($name:expr, $text:expr, $wanted:expr) => {
        case!($name, ["p.yml" => SERVER, "r.yml" => RULES, "a.yml" => $text], $wanted)
    };
}
macro_rules! stack {
    ($name:expr, [$($file:expr => $text:expr),* $(,)?], $wanted:expr) => {
        case!($name, ["docker-compose.yml" => COMPOSE, "p.yml" => SERVER, "r.yml" => RULES, "a.yml" => MANAGER, $($file => $text),*], $wanted)
    };
}

pub(super) const CASES: &[Case] = &[
    // Nothing is wrong.
    stack!("a stack", [], []),
    case!("configuration alone", ["p.yml" => SERVER, "r.yml" => RULES, "a.yml" => MANAGER], []),
    case!("rules alone", ["r.yml" => RULES], []),
    stack!("rules through configs", ["docker-compose.yml" => "services:\n  prometheus:\n    image: prom/prometheus:v3.4.2\n    configs: [{source: p, target: /etc/prometheus/prometheus.yml}, {source: r, target: /etc/prometheus/r.yml}]\n  alertmanager: {image: 'prom/alertmanager:v0.28.1', hostname: pager-box, volumes: ['./a.yml:/etc/alertmanager/alertmanager.yml']}\n  web: {image: 'shop/web:1'}\nconfigs: {p: {file: ./p.yml}, r: {content: \"groups: [{name: a, rules: [{alert: A, expr: 'up == 0'}]}]\"}}\n", "r.yml" => ""], []),
    stack!("keys of Compose that nobody runs", ["docker-compose.yml" => "services:\n  prometheus:\n    image: prom/prometheus:v3.4.2\n    gpus: all\n    command: ['--config.file=/conf/p.yml', '--x=$2a$14$']\n    volumes: [{type: bind, source: ., target: /conf}]\n    links: [web]\n  pager-box: {image: 'prom/alertmanager:v0.28.1', volumes: ['./a.yml:/etc/alertmanager/alertmanager.yml']}\n  web: {image: 'shop/web:1', network_mode: host}\n"], []),
    stack!("a label that only the series carry", ["r.yml" => "groups:\n- name: a\n  rules:\n  - {alert: Deep, expr: 'queue_depth{job=\"web\"} > 5'}\n", "a.yml" => "route:\n  receiver: team\n  routes:\n  - {matchers: ['queue=\"billing\"'], receiver: other}\nreceivers:\n- {name: team, webhook_configs: [{url: 'http://hooks.test/a'}]}\n- {name: other, webhook_configs: [{url: 'http://hooks.test/b'}]}\n"], []),
    stack!("a label of the group", ["r.yml" => "groups:\n- name: a\n  labels: {team: db}\n  rules:\n  - {alert: Down, expr: 'up{job=\"web\"} == 0'}\n", "a.yml" => "route:\n  receiver: team\n  routes:\n  - {matchers: ['team=\"db\"'], receiver: other}\nreceivers:\n- {name: team, webhook_configs: [{url: 'http://hooks.test/a'}]}\n- {name: other, webhook_configs: [{url: 'http://hooks.test/b'}]}\n"], []),
    case!("a label of a file of targets", ["p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_configs:\n- {job_name: web, file_sd_configs: [{files: ['t/*.yml']}]}\n", "t/a.yml" => "- targets: ['web:1']\n  labels: {team: db}\n", "r.yml" => RULES, "a.yml" => "route:\n  receiver: team\n  routes:\n  - {matchers: ['team=\"db\"'], receiver: other}\nreceivers:\n- {name: team, webhook_configs: [{url: 'http://hooks.test/a'}]}\n- {name: other, webhook_configs: [{url: 'http://hooks.test/b'}]}\n"], []),
    case!("jobs of another file", ["p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_config_files: ['s/*.yml']\n", "s/a.yml" => "scrape_configs:\n- {job_name: web, static_configs: [{targets: ['web:1']}]}\n", "r.yml" => RULES], []),
    case!("one name, other expressions", ["r.yml" => "groups:\n- name: a\n  rules:\n  - {alert: Down, expr: 'up{job=\"a\"} == 0'}\n  - {alert: Down, expr: 'up{job=\"b\"} == 0'}\n"], []),
    case!("text in quotes that goes on at its key", ["r.yml" => "groups:\n- name: a\n  rules:\n  - alert: Down\n    expr: up == 0\n    annotations:\n      summary: \"it is down,\n      look\"\n"], []),
    alert!("a duration that is worked out", "rate(orders_total[5m * 2]) > 1_000", []),
    alert!(
        "what only newer parsers know",
        "rate(orders_total[5m] smoothed) > 1",
        ["note beyond-us r.yml:5"]
    ),
    alert!("a stray bracket in a template's neighbour", "up == 0", []),
    alert!("a guard", "increase(a_total[5m]) >= 0 and on (job) b > 5", []),
    alert!(
        "a series that is there when something is wrong",
        "job_failed{job=\"a\"}",
        ["note no-comparison r.yml:5"]
    ),
    alert!("a class with a dash", "up{job=~\"[\\\\w-.]+\"} == 0", []),
    alert!("names that begin with a colon", ":up:sum / :up:count < 0.5", []),
    stack!("a duration that is worked out, before it needed no flag", ["r.yml" => "groups:\n- name: a\n  rules:\n  - {alert: A, expr: 'rate(a_total[5m * 2]) > 1'}\n"], ["note beyond-us r.yml:4"]),
    stack!("addresses of the host's network", ["docker-compose.yml" => "services:\n  prometheus: {image: 'prom/prometheus:v3.4.2', network_mode: host, volumes: ['.:/etc/prometheus', './p.yml:/etc/prometheus/prometheus.yml']}\n  alertmanager: {image: 'prom/alertmanager:v0.28.1', network_mode: host, volumes: ['./a.yml:/etc/alertmanager/alertmanager.yml']}\n", "p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}\nscrape_configs:\n- {job_name: web, static_configs: [{targets: ['localhost:8080']}]}\n", "a.yml" => "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://localhost:5001/'}]}]\n"], []),
    stack!("an Alertmanager of another project", ["docker-compose.yml" => "services:\n  prometheus: {image: 'prom/prometheus:v3.4.2', networks: [shared], volumes: ['.:/etc/prometheus', './p.yml:/etc/prometheus/prometheus.yml']}\n  web: {image: x}\nnetworks: {shared: {external: true}}\n"], ["note alertmanager-address p.yml:3"]),
    case!("a label job that a target sets", ["p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_configs:\n- {job_name: all, static_configs: [{targets: ['web:1'], labels: {job: web}}]}\n", "r.yml" => RULES], []),
    case!("tests of rules", ["r.yml" => RULES, "t.yml" => "rule_files: [r.yml]\nevaluation_interval: 1m\ntests: []\n"], []),
    case!("a second document", ["r.yml" => "groups:\n- name: a\n  rules:\n  - {alert: X, expr: 'up == 0'}\n---\ngroups:\n- name: b\n"], ["warning second-document r.yml:5"]),
    manager!(
        "a template whose name holds the word",
        "route: {receiver: a}\nreceivers:\n- name: a\n  slack_configs: [{api_url: 'http://b', channel: c, text: '{{ define \"my.template.text\" }}x{{ end }}{{ template \"my.template.text\" . }}'}]\n",
        []
    ),
    manager!(
        "a Slack app, a wait as Go writes it, an address with a template",
        "route: {receiver: a}\nreceivers:\n- name: a\n  slack_configs: [{app_token: x, channel: c}]\n  webhook_configs: [{url: 'http://b/{{ .GroupLabels.team }}', timeout: 1.5s}]\n",
        []
    ),
    // What Prometheus refuses.
    server!("an unknown key", "  static_config: []\n", ["error unknown-key p.yml:6"]),
    server!(
        "a target with a scheme",
        "- job_name: b\n  static_configs: [{targets: ['http://b:1']}]\n",
        ["error refused p.yml:7"]
    ),
    server!(
        "an action that is none",
        "  relabel_configs: [{action: kep}]\n",
        ["error refused p.yml:6"]
    ),
    server!(
        "relabelling without a label",
        "  relabel_configs: [{source_labels: [a]}]\n",
        ["error refused p.yml:6"]
    ),
    case!("an unknown key of a rule", ["r.yml" => "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: up == 0\n    annotation: {a: b}\n    severity: page\n"], ["error unknown-key r.yml:6", "error unknown-key r.yml:7"]),
    stack!("a function that the image lacks", ["docker-compose.yml" => "services:\n  prometheus: {image: 'prom/prometheus:v2.53.3', volumes: ['.:/etc/prometheus', './p.yml:/etc/prometheus/prometheus.yml']}\n  pager-box: {image: 'prom/alertmanager:v0.28.1', volumes: ['./a.yml:/etc/alertmanager/alertmanager.yml']}\n  web: {image: x}\n", "r.yml" => "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: limitk(3, x) > 5\n"], ["error refused r.yml:5"]),
    stack!("the first API", ["p.yml" => "global: {scrape_interval: 15s}\nrule_files: [r.yml]\nalerting:\n  alertmanagers:\n  - api_version: v1\n    static_configs: [{targets: ['alertmanager:9093']}]\nscrape_configs:\n- {job_name: web, static_configs: [{targets: ['web:8080']}]}\n"], ["error refused p.yml:5"]),
    // What Alertmanager refuses.
    manager!(
        "an unknown key of a route",
        "route:\n  receiver: a\n  group_wiat: 1s\nreceivers: [{name: a, webhook_configs: [{url: 'http://b'}]}]\n",
        ["error unknown-key a.yml:3"]
    ),
    manager!(
        "an interval that is none",
        "route: {receiver: a}\ntime_intervals:\n- name: n\n  time_intervals: [{weekdays: ['mon:fri']}]\nreceivers: [{name: a, webhook_configs: [{url: 'http://b'}]}]\n",
        ["error refused a.yml:4"]
    ),
    manager!(
        "an address that is none",
        "route: {receiver: a}\nreceivers:\n- name: a\n  webhook_configs: [{url: 'b/c'}]\n",
        ["error refused a.yml:4"]
    ),
    // Expressions.
    alert!(
        "a quantile without le",
        "histogram_quantile(0.9, sum by (job) (rate(a_bucket[5m]))) > 1",
        ["error quantile-without-le r.yml:5"]
    ),
    alert!("a quantile of percent", "quantile(95, a) > 1", ["error quantile-range r.yml:5"]),
    alert!(
        "a part of itself",
        "rate(a_total{code=\"500\"}[5m]) / rate(a_total[5m]) > 0.1",
        ["warning divides-itself r.yml:5", "note ratio-falls-silent r.yml:5"]
    ),
    alert!(
        "values that differ",
        "a{result=\"bad\"} / a{result=\"good\"} > 0.1",
        ["warning never-matches r.yml:5"]
    ),
    alert!(
        "labels that one side lacks",
        "a > 2 * avg by (job) (a)",
        ["warning never-matches r.yml:5"]
    ),
    alert!("an hour without on", "a > 1 and hour() > 9", ["warning never-matches r.yml:5"]),
    alert!("a comparison that filters nothing", "a == bool 0", ["error always-true r.yml:5"]),
    alert!("no comparison", "rate(a_total[5m])", ["warning no-comparison r.yml:5"]),
    alert!(
        "a count over time of nothing",
        "count_over_time(up[5m]) == 0",
        ["error never-true r.yml:5"]
    ),
    alert!(
        "a share of percent",
        "(1 - avg by (job) (rate(idle_seconds_total[5m]))) > 90",
        ["error never-true r.yml:5"]
    ),
    alert!("a rate of a sum", "rate(sum(a_total)[5m:15s]) > 5", ["warning rate-of-sum r.yml:5"]),
    alert!(
        "the absence of several",
        "absent(up{job=~\"a|b\"})",
        ["warning absent-of-several r.yml:5"]
    ),
    alert!("an empty alternative", "up{job=~\"a|\"} == 0", ["warning matches-empty r.yml:5"]),
    alert!(
        "an age with a long wait",
        "time() - process_start_time_seconds < 120",
        ["warning for-outlasts-window r.yml:5"]
    ),
    alert!(
        "an event with a long wait",
        "increase(errors_total[1m]) > 0",
        ["warning for-outlasts-window r.yml:4"]
    ),
    alert!(
        "increase of a point in time",
        "increase(container_start_time_seconds[15m]) > 2",
        ["warning increase-of-gauge r.yml:5"]
    ),
    case!("a value in a label", ["r.yml" => "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: a > 1\n    for: 1m\n    labels: {v: '{{ $value }}'}\n    annotations: {v: '{{ $value }}'}\n"], ["warning value-in-label r.yml:4"]),
    case!("a limit of one", ["r.yml" => "groups:\n- name: a\n  limit: 1\n  rules:\n  - {alert: X, expr: 'up == 0'}\n"], ["warning limit-too-small r.yml:2"]),
    case!("a target that vanishes", ["p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_configs:\n- {job_name: web, dns_sd_configs: [{names: [web], type: A, port: 80}]}\n", "r.yml" => RULES], ["note falls-silent r.yml:5"]),
    // Scraping.
    server!(
        "a long interval",
        "  scrape_interval: 10m\n",
        ["warning interval-over-lookback p.yml:4"]
    ),
    server!(
        "a time-out of nothing",
        "  scrape_timeout: 1ms\n",
        ["warning timeout-too-short p.yml:4"]
    ),
    server!("a limit of samples", "  sample_limit: 1\n", ["warning limit-too-small p.yml:6"]),
    server!(
        "targets that are dropped",
        "  relabel_configs: [{source_labels: [__address__], regex: 'web:.*', action: drop}]\n",
        ["error target-dropped p.yml:4"]
    ),
    case!("a metric that is dropped", ["p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_configs:\n- job_name: web\n  static_configs: [{targets: ['web:1']}]\n  metric_relabel_configs: [{source_labels: [__name__], regex: 'q_.*', action: drop}]\n", "r.yml" => "groups:\n- name: a\n  rules:\n  - alert: X\n    expr: q_depth{job=\"web\"} > 5\n"], ["error metric-dropped r.yml:5"]),
    case!("alerts that are dropped", ["p.yml" => "rule_files: [r.yml]\nalerting:\n  alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]\n  alert_relabel_configs: [{source_labels: [severity], regex: critical, action: drop}]\nscrape_configs:\n- {job_name: web, static_configs: [{targets: ['web:1']}]}\n", "r.yml" => RULES], ["warning alert-dropped r.yml:4"]),
    case!("rules that nobody loads", ["p.yml" => "alerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]}\nscrape_configs:\n- {job_name: web, static_configs: [{targets: ['web:1']}]}\n", "rules/r.yml" => RULES], ["warning rules-not-loaded rules/r.yml:0"]),
    stack!("a target that is no service", ["p.yml" => "rule_files: [r.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['alertmanager:9093']}]}]}\nscrape_configs:\n- {job_name: web, static_configs: [{targets: ['wep:8080', 'spare:1']}]}\n"], ["note target-is-no-service p.yml:4"]),
    // Notifications.
    stack!("addresses that lead nowhere", ["a.yml" => "route: {receiver: a}\nreceivers:\n- name: a\n  webhook_configs:\n  - url: http://localhost:5001/\n  - url: http://pager-box:9093/api/v2/alerts\n  - url: http://spare:9000/\n"], ["error receiver-leads-nowhere a.yml:5", "error receiver-leads-nowhere a.yml:6", "error receiver-leads-nowhere a.yml:7"]),
    manager!(
        "a template that is nowhere",
        "route: {receiver: a}\nreceivers:\n- name: a\n  slack_configs: [{api_url: 'http://b', channel: c, text: '{{ template \"my.text\" . }}'}]\n",
        ["error template-undefined a.yml:4"]
    ),
    manager!(
        "a template file that is not there",
        "route: {receiver: a}\ntemplates: ['t/*.tmpl']\nreceivers: [{name: a, slack_configs: [{api_url: 'http://b', channel: c, text: '{{ template \"t.text\" . }}'}]}]\n",
        ["error template-file-missing a.yml:2"]
    ),
    manager!(
        "a pattern of templates that nobody uses",
        "route: {receiver: a}\ntemplates: ['t/*.tmpl']\nreceivers: [{name: a, webhook_configs: [{url: 'http://b'}]}]\n",
        ["note template-file-missing a.yml:2"]
    ),
    manager!(
        "reminders that are forgotten",
        "route: {receiver: a, repeat_interval: 30d}\nreceivers: [{name: a, webhook_configs: [{url: 'http://b'}]}]\n",
        ["warning repeat-over-retention a.yml:1"]
    ),
    manager!(
        "silence at any time",
        "route:\n  receiver: a\n  routes:\n  - {matchers: [severity=critical], receiver: b, mute_time_intervals: [n]}\ntime_intervals: [{name: n, time_intervals: [{weekdays: ['sunday:saturday']}]}]\nreceivers: [{name: a, webhook_configs: [{url: 'http://b'}]}, {name: b, webhook_configs: [{url: 'http://b'}]}]\n",
        ["warning muted-always a.yml:4"]
    ),
    // Collector and shipper.
    case!("a decision before the trace is there", ["c.yaml" => "receivers: {otlp: {}}\nprocessors:\n  tail_sampling:\n    decision_wait: 5s\n    policies:\n    - {name: slow, type: latency, latency: {threshold_ms: 10000}}\nexporters: {debug: {}}\nservice: {pipelines: {traces: {receivers: [otlp], processors: [tail_sampling], exporters: [debug]}}}\n"], ["error decision-wait c.yaml:6"]),
    case!("a batch that nothing keeps", ["c.yaml" => "receivers: {otlp: {}}\nprocessors: {batch: {}}\nexporters:\n  otlp:\n    endpoint: j:4317\n    sending_queue: {enabled: false}\n    retry_on_failure: {enabled: false}\nservice: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}}}\n"], ["warning batch-without-queue c.yaml:5"]),
    case!("two inputs with one id", ["f.yml" => "filebeat.inputs:\n- {type: filestream, paths: [/a]}\n- {type: filestream, paths: [/b]}\noutput.elasticsearch: {hosts: ['e:9200']}\n"], ["error input-id f.yml:3"]),
    case!("lines at the top of one index", ["f.yml" => "filebeat.inputs:\n- {type: filestream, id: a, paths: [/a], fields_under_root: true, fields: {source: a}, parsers: [{ndjson: {target: ''}}]}\n- {type: filestream, id: b, paths: [/b], fields_under_root: true, fields: {source: b}, parsers: [{ndjson: {target: ''}}]}\noutput.elasticsearch: {hosts: ['e:9200']}\n"], ["note field-of-two-types f.yml:3"]),
    case!("lines at the top of an index each", ["f.yml" => "filebeat.inputs:\n- {type: filestream, id: a, paths: [/a], fields_under_root: true, fields: {source: a}, parsers: [{ndjson: {target: ''}}]}\n- {type: filestream, id: b, paths: [/b], fields_under_root: true, fields: {source: b}, parsers: [{ndjson: {target: ''}}]}\noutput.elasticsearch: {hosts: ['e:9200'], index: 'logs-%{[source]}'}\n"], []),
    case!("a field of two types", ["f.yml" => "filebeat.inputs:\n- {type: filestream, id: a, paths: [/a], fields: {user: x}}\n- {type: filestream, id: b, paths: [/b], fields: {user: {name: x}}}\noutput.elasticsearch: {hosts: ['e:9200']}\n"], ["error field-of-two-types f.yml:3"]),
];
