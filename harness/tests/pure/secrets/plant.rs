//! A stack that is whole and holds a secret in every file that can hold one.

use support::broken::Broken;

/// Each secret, and the file that it stands in.
pub const PLANTED: &[(&str, &str)] = &[
    ("firedrill.yaml", "R01fdkeyAAAA1111zzzz"),
    ("firedrill.yaml", "fd-workload-pw-02x"),
    ("firedrill.yaml", "fdRolePassword03"),
    ("firedrill.yaml", "fdRoleToken29"),
    ("monitoring.pw", "file30-of-a-role"),
    ("alertmanager.yml", "T04SLACK/B04HOOK/s04slackwebhooktail"),
    ("alertmanager.yml", "genie05-11aa-22bb-33cc"),
    ("alertmanager.yml", "smtp06Auth!Password"),
    ("alertmanager.yml", "bearer07.credential.value"),
    ("alertmanager.yml", "basic08&pass<word>"),
    ("alertmanager.yml", "room09/private-part-of-hook"),
    ("slack_url", "T10FILE/B10FILE/s10inafileofitsown"),
    ("prometheus.yml", "write11-basic-password"),
    ("prometheus.yml", "scrape12BearerToken0000"),
    ("prometheus.yml", "oauth13clientsecret"),
    ("prometheus.yml", "userinfo14passw0rd"),
    ("web.yml", "$2b$12$hNf2lSsxfm0.i4a.1kVpSO"),
    ("otel.yaml", "otel15-header-api-key"),
    ("otel.yaml", "otel16userinfo"),
    ("filebeat.yml", "beat17password99"),
    ("grafana/datasources.yaml", "grafana18SecureJson"),
    ("grafana/contacts.yaml", "grafana19hooktoken"),
    ("docker-compose.yml", "compose20pgpassword"),
    ("docker-compose.yml", "compose21redisrequirepass"),
    ("docker-compose.yml", "compose22default"),
    ("docker-compose.yml", "compose23label.token"),
    ("docker-compose.yml", "compose24curl9header"),
    (".env", "dotenv25stripe_sk_live"),
    ("extra.env", "envfile26dsnpass"),
    ("secrets/db.txt", "file27 only a secret"),
    ("app.json", "json28-api-token-value"),
];

/// Each secret alone.
pub fn secrets() -> Vec<&'static str> {
    PLANTED.iter().map(|(_, secret)| *secret).collect()
}

const FILES: &[(&str, &str)] = &[
    (
        "firedrill.yaml",
        r##"schema: 1
stack: shop
roles:
  metrics: {kind: prometheus, service: prometheus, port: 9090, user: ops, password_file: monitoring.pw, config: prometheus.yml}
  alerting: {kind: alertmanager, service: alertmanager, port: 9093, token: fdRoleToken29, config: alertmanager.yml}
  collector: {kind: otel-collector, service: otel, port: 13133, config: otel.yaml}
  dashboards: {kind: grafana, service: grafana, port: 3000, user: admin, password: fdRolePassword03}
targets: [{job: node, service: node}]
series: [up]
datasources: [Prometheus]
dashboards: [{uid: shop, panels: 1}]
alerts:
  - {name: NodeDown, labels: {severity: critical}, receivers: [chat, genie, pager]}
receivers:
  - {name: chat, protocol: slack, host: hooks.slack.com, path: /services/T04SLACK/B04HOOK/s04slackwebhooktail, channel: "#ops"}
  - {name: genie, protocol: opsgenie, host: api.opsgenie.com, path: /v2/alerts, key: genie05-11aa-22bb-33cc}
  - name: pager
    protocol: pagerduty_v2
    host: events.pagerduty.com
    path: /v2/enqueue
    key: R01fdkeyAAAA1111zzzz
  - {name: room, protocol: webhook, host: rooms.test, path: /room09/private-part-of-hook}
  - {name: mail, protocol: smtp, host: relay.test, port: 587, path: ops@ops.test}
workload:
  rate: 5
  http: node:9100
  users: [alice@mail.test]
  password: fd-workload-pw-02x
  auth: {basic: ["{user.name}", "{user.password}"]}
  journeys: {list: {steps: [{name: list, get: /metrics}]}}
"##,
    ),
    (
        "alertmanager.yml",
        r##"global:
  smtp_smarthost: relay.test:587
  smtp_from: alerts@ops.test
  smtp_auth_username: ops
  smtp_auth_password: 'smtp06Auth!Password'
  opsgenie_api_key: genie05-11aa-22bb-33cc
route: {receiver: all}
receivers:
  - name: all
    slack_configs:
      - {api_url: 'https://hooks.slack.com/services/T04SLACK/B04HOOK/s04slackwebhooktail', channel: '#ops'}
    opsgenie_configs: [{}]
    pagerduty_configs:
      - routing_key: R01fdkeyAAAA1111zzzz
    webhook_configs:
      - url: https://rooms.test/room09/private-part-of-hook
        http_config:
          authorization: {credentials: bearer07.credential.value}
      - url: https://rooms.test/room09/private-part-of-hook
        http_config:
          basic_auth:
            username: ops
            password: "basic08&pass<word>"
    email_configs:
      - to: ops@ops.test
"##,
    ),
    ("monitoring.pw", "file30-of-a-role\n"),
    ("slack_url", "https://hooks.slack.com/services/T10FILE/B10FILE/s10inafileofitsown\n"),
    (
        "prometheus.yml",
        r##"global: {scrape_interval: 15s, evaluation_interval: 15s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['alertmanager:9093']}]}]}
remote_write:
  - url: http://writer:userinfo14passw0rd@grafana:9009/api/v1/push
    basic_auth: {username: writer, password: write11-basic-password}
scrape_configs:
  - job_name: node
    bearer_token: scrape12BearerToken0000
    static_configs: [{targets: ['node:9100']}]
  - job_name: oauth
    oauth2:
      client_id: one
      client_secret: oauth13clientsecret
      token_url: http://node:9100/token
    static_configs: [{targets: ['node:9100']}]
"##,
    ),
    ("web.yml", "basic_auth_users:\n  admin_password: $2b$12$hNf2lSsxfm0.i4a.1kVpSO\n"),
    (
        "otel.yaml",
        r##"receivers: {otlp: {protocols: {grpc: {endpoint: '0.0.0.0:4317'}}}}
exporters:
  otlphttp:
    endpoint: http://collector:otel16userinfo@node:4318
    headers:
      x-honeycomb-team: otel15-header-api-key
      Authorization: "Bearer ${env:OTEL_TOKEN}"
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp]}}}
"##,
    ),
    (
        "filebeat.yml",
        "output.elasticsearch:\n  hosts: ['http://elasticsearch:9200']\n  username: elastic\n  password: beat17password99\n",
    ),
    (
        "grafana/datasources.yaml",
        "apiVersion: 1\ndatasources:\n  - name: Prometheus\n    type: prometheus\n    url: http://prometheus:9090\n    secureJsonData:\n      basicAuthPassword: grafana18SecureJson\n",
    ),
    (
        "grafana/contacts.yaml",
        "apiVersion: 1\ncontactPoints:\n  - name: ops\n    receivers:\n      - uid: one\n        type: webhook\n        settings:\n          url: https://rooms.test/hooks/grafana19hooktoken\n",
    ),
    (
        "docker-compose.yml",
        r##"services:
  prometheus:
    image: prom/prometheus:v3.4.2
    volumes: ["./prometheus.yml:/etc/prometheus/prometheus.yml", "./rules.yml:/etc/prometheus/rules.yml"]
  alertmanager:
    image: prom/alertmanager:v0.28.1
    volumes: ["./alertmanager.yml:/etc/alertmanager/alertmanager.yml", "./slack_url:/etc/alertmanager/slack_url"]
  node:
    image: prom/node-exporter:v1.9.0
    env_file: [extra.env]
    environment:
      POSTGRES_PASSWORD: compose20pgpassword
      FALLBACK_TOKEN: ${NOT_SET_ANYWHERE:-compose22default}
      STRIPE_KEY: ${STRIPE}
      SHORT_PASSWORD: s3cr
    labels: {deploy.token: compose23label.token}
    secrets: [db]
    healthcheck: {test: ["CMD", "curl", "-H", "Authorization: Bearer compose24curl9header", "http://127.0.0.1:9100/"]}
  otel: {image: "otel/opentelemetry-collector:0.130.0", volumes: ["./otel.yaml:/etc/otelcol/config.yaml"]}
  grafana: {image: "grafana/grafana:12.1.0", volumes: ["./grafana:/etc/grafana/provisioning"]}
  redis: {image: "redis:8.0", command: [redis-server, --requirepass, compose21redisrequirepass]}
secrets: {db: {file: ./secrets/db.txt}}
"##,
    ),
    (".env", "STRIPE=x\nSTRIPE_API_KEY=dotenv25stripe_sk_live\n"),
    ("extra.env", "DATABASE_URL=postgres://app:envfile26dsnpass@node:5432/app\n"),
    ("secrets/db.txt", "file27 only a secret\n"),
    ("app.json", "{\"service\": {\"apiToken\": \"json28-api-token-value\"}}\n"),
    (
        "rules.yml",
        "groups:\n  - name: a\n    rules:\n      - alert: NodeDown\n        expr: up{job=\"node\"} == 0\n        for: 1m\n        labels: {severity: critical}\n        annotations: {summary: \"{{ $labels.instance }} is down\"}\n",
    ),
    (
        "baseline.yaml",
        "schema: 2\nstack: shop\nerror_rate_max: 0.01\noperations_min: 10\nsteps:\n  list/list: {p50_ms: 200, p99_ms: 2000}\n",
    ),
    (
        "scenarios/node_stopped.yaml",
        "schema: 1\nname: node_stopped\nsummary: The node exporter is gone.\nfault: {kind: stop, target: node}\nalerts: [NodeDown]\n",
    ),
];

/// The stack in a folder of its own.
pub fn planted() -> Broken {
    let broken = Broken { home: tempfile::tempdir().expect("folder") };
    for (file, text) in FILES {
        broken.edit(file, "", text);
    }
    broken
}
