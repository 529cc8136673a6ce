//! The 26 alerts of an e-mail system, as a fixture, scaled and compared literal by literal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use promql_parser::parser::Expr;

use super::*;
use crate::monitoring::{FileText, Loaded, Server, ServerKind, promql, rules};
use crate::yaml::Document;

pub(super) fn rule_file(alerts: &[(&str, &str, &str)], more: &str) -> String {
    let mut text = format!("groups:\n- name: all\n  rules:\n{more}");
    for (name, expr, hold) in alerts {
        text.push_str(&format!(
            "  - alert: {name}\n    expr: {}\n    for: {hold}\n",
            serde_json::to_string(expr).unwrap()
        ));
    }
    text
}

/// The fixture: an e-mail system's whole monitoring configuration.
pub(crate) fn table_a() -> MonitoringConfig {
    static LOADED: LazyLock<MonitoringConfig> = LazyLock::new(load);
    LOADED.clone()
}

fn load() -> MonitoringConfig {
    let mut prometheus = Server::of_file(
        ServerKind::Prometheus,
        "prometheus",
        "prometheus.yml",
        include_str!("fixtures/prometheus.yml"),
    );
    prometheus.command = vec!["--storage.tsdb.retention.time=15d".into()];
    let rules = FileText::on_disk("rules.yml", include_str!("fixtures/rules.yml"));
    prometheus.files.insert(prometheus.folder().join("rules.yml"), rules);
    let (alertmanager, collector) =
        (include_str!("fixtures/alertmanager.yml"), include_str!("fixtures/otel.yaml"));
    let servers = [
        prometheus,
        Server::of_file(ServerKind::Alertmanager, "alertmanager", "alertmanager.yml", alertmanager),
        Server::of_file(ServerKind::Collector, "otel-collector", "otel.yaml", collector),
    ];
    MonitoringConfig::load(&servers).unwrap_or_else(|error| panic!("{error}"))
}

/// The fixture with other rules.
pub(super) fn with_rules(text: &str) -> MonitoringConfig {
    let mut config = table_a();
    let doc = Document::parse(Path::new("rules.yml"), text).unwrap();
    config.prometheus[0].rules = vec![Loaded { view: rules::read(&doc).unwrap(), doc }];
    config
}

fn at_20(config: &MonitoringConfig) -> Scaled {
    Scale::new(20.0).unwrap().apply(config).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// The rule of that name, after scaling alone at 20.
pub(super) fn scaled_expr(expr: &str, declared: Option<f64>) -> Result<String, Refusal> {
    let config = with_rules(&rule_file(&[("X", expr, "1m")], ""));
    let exponents = declared.map(|exponent| ("X".to_owned(), exponent)).into_iter().collect();
    let scale = Scale::new(20.0).unwrap().declared(Declared { exponents, ..Declared::default() });
    scale.apply(&config).map(|scaled| scaled.config.rules().next().unwrap().2.text.clone())
}

#[test]
fn all_26_scale_and_come_out_as_worked_out_by_hand() {
    let scaled = at_20(&table_a());
    let wanted: BTreeMap<&str, (&str, &str)> = BTreeMap::from([
        (
            "HighCPUUsage",
            (
                "(1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[15s]))) * 100 > 80",
                "15s",
            ),
        ),
        ("HighMemoryUsage", ("=", "15s")),
        ("HighDiskUsage", ("=", "30s")),
        ("OutOfMemory", ("=", "0s")),
        ("DatabaseConnectionsHigh", ("=", "6s")),
        ("DatabaseReplicationLag", ("=", "3s")),
        ("LongRunningQuery", ("=", "0s")),
        ("DatabaseSizeHigh", ("=", "15s")),
        ("RedisMemoryHigh", ("=", "6s")),
        ("RedisClientsHigh", ("=", "6s")),
        ("RedisEvictions", ("increase(redis_evicted_keys_total[15s]) > 0", "0s")),
        (
            "RedisCommandLatency",
            (
                "histogram_quantile(0.99, sum by (le, cmd) (rate(redis_commands_latencies_usec_bucket[15s]))) > 100000",
                "6s",
            ),
        ),
        ("EmailServiceDown", ("=", "6s")),
        (
            "HighErrorRate",
            (
                "sum(rate(http_requests_total{job=\"email-service\",status=~\"5..\"}[15s])) / sum(rate(http_requests_total{job=\"email-service\"}[15s])) > 0.05",
                "9s",
            ),
        ),
        ("HighRequestLatency", ("=", "6s")),
        ("DBPoolNearlyExhausted", ("=", "6s")),
        ("IMAPPoolNearlyExhausted", ("=", "6s")),
        ("SMTPPoolNearlyExhausted", ("=", "6s")),
        ("CeleryQueueBackup", ("=", "6s")),
        (
            "CeleryFailureRate",
            (
                "sum(increase(celery_tasks_total{state=\"failure\"}[15s])) / sum(increase(celery_tasks_total{state=~\"success|failure\"}[15s])) > 0.1",
                "15s",
            ),
        ),
        ("CeleryWorkerOffline", ("=", "3s")),
        ("CeleryBeatDown", ("=", "3s")),
        ("PostfixDown", ("=", "3s")),
        ("MailQueueHigh", ("=", "6s")),
        ("DovecotDown", ("=", "3s")),
        (
            "IMAPErrorsHigh",
            (
                "sum(rate(imap_connections_total{result!=\"ok\"}[15s])) / sum(rate(imap_connections_total[15s])) > 0.05",
                "6s",
            ),
        ),
    ]);
    let original = table_a();
    let mut seen = BTreeSet::new();
    for (_, _, rule) in scaled.config.rules().filter(|(_, _, rule)| rule.is_alert()) {
        let (expr, hold) = wanted[rule.name.as_str()];
        let unscaled = original.rules().find(|(_, _, other)| other.name == rule.name).unwrap().2;
        let expr = if expr == "=" { unscaled.text.as_str() } else { expr };
        assert_eq!(
            promql::parse(&rule.text).unwrap(),
            promql::parse(expr).unwrap(),
            "{}: {}",
            rule.name,
            rule.text
        );
        assert_eq!(duration::format(rule.hold()), hold, "{}", rule.name);
        assert!(seen.insert(rule.name.clone()));
    }
    assert_eq!(seen.len(), 26);
    let held: Vec<_> = scaled
        .roundings
        .iter()
        .map(|rounding| (rounding.used_ms, rounding.why.is_empty()))
        .collect();
    assert_eq!(
        held,
        [(2000, false), (50, false)],
        "the decision of the sampler and the batch: {:#?}",
        scaled.roundings
    );
}

/// Literals of an expression that something measured is compared with or added to; those that only
/// multiply are not.
fn beside_measured(expr: &Expr) -> Vec<String> {
    fn constant(expr: &Expr) -> bool {
        !matches!(expr, Expr::Call(call) if call.func.name == "time")
            && promql::selectors(expr).is_empty()
            && promql::windows(expr).is_empty()
    }
    let mut found = Vec::new();
    if let Expr::Binary(binary) = expr
        && (binary.op.is_comparison_operator()
            || ["+", "-"].contains(&binary.op.to_string().as_str()))
    {
        for (one, other) in [(&binary.lhs, &binary.rhs), (&binary.rhs, &binary.lhs)] {
            let calls_time = matches!(&**one, Expr::Call(call) if call.func.name == "time");
            if constant(one) && !calls_time && !constant(other) {
                found.push(promql::print(one));
            }
        }
    }
    let below: Vec<&Expr> = match expr {
        Expr::Aggregate(aggregate) => vec![&aggregate.expr],
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(|arg| &**arg).collect(),
        _ => Vec::new(),
    };
    found.extend(below.into_iter().flat_map(beside_measured));
    found.sort();
    found
}

#[test]
fn no_literal_is_passed_over_in_silence() {
    let config = table_a();
    let scaled = at_20(&config);
    for (_, _, rule) in config.rules() {
        let mut reported: Vec<_> = scaled
            .literals
            .iter()
            .filter(|literal| literal.rule == rule.name)
            .map(|literal| literal.before.clone())
            .collect();
        reported.sort();
        assert_eq!(reported, beside_measured(&rule.expr), "{}", rule.name);
    }
}

#[test]
fn times_are_listed_and_left() {
    let scaled = at_20(&table_a());
    let times: Vec<_> = scaled
        .not_scaled
        .iter()
        .filter(|left| left.what.contains("time") && left.what.starts_with("alert `"))
        .map(|left| (left.what.split('`').nth(1).unwrap(), left.value.as_str()))
        .collect();
    assert_eq!(
        times,
        [
            ("DatabaseReplicationLag", "10"),
            ("LongRunningQuery", "300"),
            ("RedisCommandLatency", "100000"),
            ("HighRequestLatency", "2"),
            (
                "CeleryBeatDown",
                "time() - celery_beat_last_tick_timestamp_seconds > 3 * celery_beat_period_seconds"
            ),
        ]
    );
}

#[test]
fn files_and_flags_are_scaled() {
    let scaled = at_20(&table_a());
    let ms = Duration::from_millis;
    let prometheus = &scaled.config.prometheus[0].config.view;
    assert_eq!(
        (prometheus.global.scrape_interval, prometheus.global.evaluation_interval),
        (ms(750), ms(750))
    );
    assert_eq!(prometheus.global.scrape_timeout, ms(500), "the default of 10 s is written out");
    assert_eq!((prometheus.jobs[2].interval, prometheus.jobs[2].timeout), (ms(3000), ms(1500)));
    let manager = &scaled.config.alertmanagers[0].config.view;
    assert_eq!(manager.resolve_timeout, ms(15_000));
    assert_eq!(
        (manager.route.group_wait, manager.route.group_interval, manager.route.repeat_interval),
        (ms(1500), ms(15_000), ms(720_000))
    );
    assert_eq!(
        (manager.route.routes[2].group_wait, manager.route.routes[2].group_interval),
        (ms(500), ms(15_000))
    );
    let flags: Vec<_> = scaled
        .flags
        .iter()
        .map(|flag| (flag.service.as_str(), flag.name.as_str(), flag.value.as_str()))
        .collect();
    assert_eq!(
        flags,
        [
            ("prometheus", "query.lookback-delta", "15s"),
            ("prometheus", "rules.alert.resend-delay", "3s"),
            ("prometheus", "rules.alert.for-grace-period", "30s"),
            ("prometheus", "rules.alert.for-outage-tolerance", "3m"),
            ("alertmanager", "cluster.peer-timeout", "750ms"),
            ("blackbox-exporter", "timeout-offset", "0.025"),
        ]
    );
    let files = scaled.config.render();
    let text = |name: &str| &files.iter().find(|file| file.original.ends_with(name)).unwrap().text;
    assert!(text("otel.yaml").contains("decision_wait: 2s"), "{}", text("otel.yaml"));
    assert!(
        text("alertmanager.yml").contains("group_wait: 1s500ms"),
        "{}",
        text("alertmanager.yml")
    );
    for (what, value) in [
        ("remote_write[0].remote_timeout", "30s"),
        ("prometheus --storage.tsdb.retention.time", "15d"),
        ("alertmanager: interval of the maintenance of groups", "30s"),
    ] {
        assert!(
            scaled.not_scaled.iter().any(|left| left.what == what && left.value == value),
            "{what} is not listed: {:#?}",
            scaled.not_scaled
        );
    }
}
