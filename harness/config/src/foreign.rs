//! No file of anybody's makes a reader panic or go on for ever: whatever it holds, it reads, or the
//! error names it.

use crate::budget::{BudgetAssumptions, budgets};
use crate::monitoring::collector::expand;
use crate::monitoring::files::{fits, flags};
use crate::monitoring::matcher::LabelMatcher;
use crate::monitoring::{
    FileText, MonitoringConfig, Origin, Server, ServerKind, comparison, duration, named_files,
    promql, rules,
};
use crate::mutation::mutants;
use crate::overriding::{Override, Replacement};
use crate::secret::{self, collect, words};
use crate::timescale::{Scale, ranges};
use crate::yaml::{self, ConfigError, Document};
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use verdict::observation::replay::Variant;

const PROMETHEUS: &[&str] = &[
    include_str!("timescale/fixtures/prometheus.yml"),
    include_str!("../../../compose/stacks/email/prometheus/prometheus.yml"),
    include_str!("../../../compose/stacks/mini/prometheus/prometheus.yml"),
];
const RULES: &[&str] = &[
    include_str!("timescale/fixtures/rules.yml"),
    include_str!("../../../compose/stacks/email/prometheus/rules/recording.yml"),
    include_str!("../../../compose/stacks/mini/prometheus/rules/alerts.yml"),
];
const ALERTMANAGER: &[&str] = &[
    include_str!("timescale/fixtures/alertmanager.yml"),
    include_str!("../../../compose/stacks/email/alertmanager/alertmanager.yml"),
    include_str!("../../../compose/stacks/mini/alertmanager/alertmanager.yml"),
];
const COLLECTOR: &[&str] = &[
    include_str!("timescale/fixtures/otel.yaml"),
    include_str!("../../../compose/stacks/email/otel-collector/config.yaml"),
];
const FILEBEAT: &[&str] = &[
    include_str!("../../../compose/stacks/email/filebeat/to-logstash.yml"),
    include_str!("../../../compose/stacks/email/filebeat/inputs.d/applications.yml"),
];
const EXPRESSIONS: &[&str] = &[
    "sum by (job) (rate(a_total{job=~\"b|c\",x!=\"\"}[5m] offset 1h)) / ignoring (x) group_left (y) b > bool 0.5",
    "histogram_quantile(0.99, sum(rate(a_bucket[10m])) by (le, job)) > 0.5 and on (job) up == 1",
    "max_over_time(rate(a_total[5m])[1h:30s] @ end()) > 7 unless absent(x) or vector(1)",
    "predict_linear(a[6h], 4 * 3600) < 0 or -topk(3, a ^ 2 % 7) >= quantile(0.9, \"x\")",
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\") * 1e3 - time() + 0x1F == Inf",
    "{__name__=\"a:b\", \"quoted.name\"=\"x\"} offset -5m < NaN",
];
const MATCHERS: &[&str] = &["a=\"b\"", "{a=~\"b|c\", d!=e}", "a!~\"(x\\\"y)\",", "\"a b\"=c"];
const DURATIONS: &[&str] = &["1h30m", "5m", "1y2w3d4h5m6s7ms", "0", "1.5h", "-2m", "300ms", "1µs"];
const PATTERNS: &[&str] = &["rules/*.yml", "/etc/[a-c]?/[^x]*.y\\*ml", "a/../b", "[]a]", "[^]"];
const LINES: &[&str] = &[
    "    routing_key: 0123456789abcdef",
    "{ url: 'https://a:b@hooks.slack.com/services/T/B/x', password: \"p\" } # c",
    "curl -H 'Authorization: Bearer abc' https://x?token=y%41",
    "DATABASE_URL=postgres://u:p/w@h:5432/d?sslmode=disable",
    "- --web.config=${SECRET:-default}",
];

/// Whether an error tells what is wrong, and in which file.
fn names(error: &ConfigError, file: &str) {
    assert!(!error.problem.is_empty(), "{error:?}");
    let named = error.place.file == Path::new(file) || error.place.file.starts_with("service x");
    assert!(named, "not {file}: {error:?}");
}

/// Reads a file as a server's, and does with it all that is done with one.
fn used(kind: ServerKind, text: &str) {
    let server = Server::of_file(kind, "x", "its.yml", text);
    through(&[server], |error| names(error, "its.yml"));
    named_files(kind, &FileText::on_disk("its.yml", text));
}

fn through(servers: &[Server], each: impl Fn(&ConfigError)) {
    if let Err(error) = MonitoringConfig::load(servers) {
        each(&error);
    }
    let (config, errors) = MonitoringConfig::load_what_reads(servers);
    errors.iter().for_each(&each);
    if let Err(error) = config.destinations() {
        each(&error);
    }
    for file in config.render() {
        let read = Document::parse(&file.original, &file.text);
        assert!(read.is_ok(), "what is written does not read: {read:?}\n{}", file.text);
    }
    for (_, _, rule) in config.rules() {
        let found = budgets(&config, &rule.name, &BTreeMap::new(), &BudgetAssumptions::default());
        for budget in found.unwrap_or_default() {
            budget.to_string();
            budget.stage_seconds();
        }
    }
    for server in &config.alertmanagers {
        let labels = BTreeMap::from([("severity".to_owned(), "critical".to_owned())]);
        server.config.view.route_for(&labels);
    }
    ranges(&config);
    let scale = Scale::new(20.0).unwrap_or_else(|error| panic!("{error}"));
    match scale.apply(&config) {
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
        Ok(scaled) => {
            for file in scaled.config.render() {
                assert!(Document::parse(&file.original, &file.text).is_ok(), "{}", file.text);
            }
        }
    }
    scale.apply_or_lower(&config);
}

fn rules_are_read(text: &str) {
    match Document::parse(Path::new("rules.yml"), text) {
        Err(error) => names(&error, "rules.yml"),
        Ok(doc) => {
            rules::read_what_reads(&doc).1.iter().for_each(|error| names(error, "rules.yml"));
            let change = Override {
                alert: "HighErrorRate".into(),
                replace: "0.5".into(),
                with: Replacement::Expression("1".into()),
                why: String::new(),
            };
            let _ = change.apply(&doc, None);
        }
    }
    let mut server = Server::of_file(
        ServerKind::Prometheus,
        "x",
        "prometheus.yml",
        "rule_files: [rules.yml]\nscrape_configs: [{job_name: a}]\n",
    );
    let file = FileText {
        text: text.into(),
        origin: Origin::Within {
            path: "compose.yml".into(),
            key: "configs.rules".into(),
            before: 7,
            spread: text.len().is_multiple_of(2),
        },
    };
    server.files.insert(server.folder().join("rules.yml"), file);
    through(&[server], |error| names(error, "compose.yml"));
}

fn expression_is_read(text: &str) {
    let Ok(expr) = promql::parse(text) else { return };
    let printed = promql::print(&expr);
    promql::constant(&expr);
    promql::windows(&expr);
    comparison::comparisons(&expr);
    comparison::rate_below(&expr);
    let variant = Variant { expr: printed, for_ms: 60_000, keep_firing_ms: i64::MAX / 1_000_000 };
    let _ = mutants(&variant);
    let rule = serde_json::to_string(text).unwrap_or_default();
    rules_are_read(&format!("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: {rule}\n"));
}

fn word_is_read(text: &str) {
    if let Ok(read) = duration::parse(text) {
        let again = duration::parse(&duration::format(read));
        assert!(again.is_ok(), "{text:?} was read as {read:?}, written {again:?}");
    }
    let _ = duration::parse_go(text);
    if let Ok(matchers) = LabelMatcher::parse_list(text) {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        matchers.iter().for_each(|matcher| {
            matcher.matches(&labels);
        });
    }
    fits(text, "a.yml");
    fits("*", text);
    flags(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let _ = expand(text, &BTreeMap::from([("A".to_owned(), "b".to_owned())]));
}

fn secrets_are_sought(text: &str) {
    for file in ["a.yml", "a.json", ".env", "firedrill.yaml"] {
        collect::collect(Path::new(file), text);
    }
    for line in text.lines() {
        secret::shown_line(line);
        secret::holds_secret(line);
        secret::shown("password", line);
        words::is_secret(line);
        let pieces = collect::content("password", line);
        let mut secrets = secret::scrub::Secrets::default();
        for piece in pieces {
            if let collect::Piece::Value { field, value } = piece {
                secrets.add(&field, &value);
            }
        }
        secrets.scrubber().scrub(text);
    }
}

fn everything(text: &str) {
    let kinds = [
        ServerKind::Prometheus,
        ServerKind::Alertmanager,
        ServerKind::Collector,
        ServerKind::Shipper,
    ];
    kinds.into_iter().for_each(|kind| used(kind, text));
    rules_are_read(text);
    expression_is_read(text);
    word_is_read(text);
    secrets_are_sought(text);
    if let Ok(Some(root)) = yaml::read(Path::new("a.yml"), text) {
        let doc = Document { file: "a.yml".into(), root, within: None, further: None };
        let again = Document::parse(Path::new("a.yml"), &doc.to_yaml());
        assert_eq!(again.as_ref(), Ok(&doc), "written:\n{}", doc.to_yaml());
    }
}

proptest! {
    #![proptest_config(damaged::cases(60))]

    #[test]
    fn anything_is_read_or_refused(text in anything()) {
        everything(&text);
    }

    #[test]
    fn a_damaged_file_of_prometheus(text in damaged(PROMETHEUS)) {
        used(ServerKind::Prometheus, &text);
    }

    #[test]
    fn a_damaged_file_of_alertmanager(text in damaged(ALERTMANAGER)) {
        used(ServerKind::Alertmanager, &text);
    }

    #[test]
    fn a_damaged_file_of_a_collector(text in damaged(COLLECTOR)) {
        used(ServerKind::Collector, &text);
    }

    #[test]
    fn a_damaged_file_of_a_shipper(text in damaged(FILEBEAT)) {
        used(ServerKind::Shipper, &text);
    }

    #[test]
    fn a_damaged_file_in_which_secrets_are_sought(
        text in prop_oneof![damaged(LINES), damaged(ALERTMANAGER), damaged(FILEBEAT)]
    ) {
        secrets_are_sought(&text);
    }
}

proptest! {
    #![proptest_config(damaged::cases(30))]

    #[test]
    fn a_damaged_file_of_rules(text in damaged(RULES)) {
        rules_are_read(&text);
    }
}

proptest! {
    #![proptest_config(damaged::cases(250))]

    #[test]
    fn a_damaged_expression(text in damaged(EXPRESSIONS)) {
        expression_is_read(&text);
    }

    #[test]
    fn a_damaged_word(
        text in prop_oneof![damaged(MATCHERS), damaged(DURATIONS), damaged(PATTERNS), damaged(LINES)]
    ) {
        word_is_read(&text);
    }
}

#[test]
fn yaml_that_nests_deeply_is_read_or_refused() {
    let read = |text: &str| yaml::read(Path::new("a.yml"), text).is_ok();
    deep().for_each(|text| {
        read(&text);
    });
    deep().for_each(|text| rules_are_read(&text));
}

#[test]
fn expressions_that_nest_deeply_are_read_or_refused() {
    deep().for_each(|text| expression_is_read(&text));
}

#[test]
fn words_that_nest_deeply_are_read_or_refused() {
    for text in deep() {
        word_is_read(&text);
        secrets_are_sought(&text);
    }
}
