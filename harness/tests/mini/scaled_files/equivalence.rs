//! The rules at true time and the scaled rules at scaled time make the same transitions, by the
//! server's own engine.
//!
//! `promtool test rules` evaluates a file of rules over given series. It is asked for `ALERTS` at
//! every evaluation and told to expect nothing; what it got instead is the state of all alerts.
//! Left out are functions that count what happens to a gauge (`changes`, `resets`): compressed
//! samples hold the same number of changes, while a watched system goes on at its own pace.

use super::series::{INTERVAL, Kind, STEPS, Series, drawn, test_file};
use config::monitoring::{FileText, MonitoringConfig, Server, ServerKind};
use config::timescale::{Declared, Scale};
use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use support::images;
use support::module::Test;

/// State of each alert, by its labels, at each evaluation.
type States = BTreeMap<String, Vec<(usize, String)>>;

pub fn tests() -> Vec<Test> {
    let needed: &[&str] = &["prometheus"];
    let mut tests = Vec::new();
    for n in [5.0, 20.0] {
        tests.push(images::trial(
            &format!("table_a_makes_the_same_transitions_at_{n}"),
            needed,
            move || table_a(n),
        ));
    }
    for n in [4.0, 20.0] {
        tests.push(images::trial(
            &format!("generated_rules_make_the_same_transitions_at_{n}"),
            needed,
            move || generated(n),
        ));
    }
    tests.push(images::trial("a_wrong_exponent_is_found", needed, wrong_exponent));
    tests
}

/// A rule file and the configuration around it.
fn load(rules: &str, folder: &Path) -> Result<MonitoringConfig, Failed> {
    let interval = config::monitoring::duration::format(INTERVAL);
    std::fs::write(folder.join("rules.yml"), rules)?;
    let around = format!(
        "global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\nrule_files: [rules.yml]\n"
    );
    std::fs::write(folder.join("prometheus.yml"), &around)?;
    let mut server = Server::of_file(
        ServerKind::Prometheus,
        "prometheus",
        folder.join("prometheus.yml"),
        &around,
    );
    server.files.insert(
        server.folder().join("rules.yml"),
        FileText::on_disk(folder.join("rules.yml"), rules),
    );
    Ok(MonitoringConfig::load(&[server])?)
}

fn rules_of(config: &MonitoringConfig) -> Result<String, Failed> {
    let rendered = config.render().into_iter().find(|file| file.original.ends_with("rules.yml"));
    Ok(rendered.ok_or("no rule file was rendered")?.text)
}

/// What the original rules make of the series, and what the scaled ones make of the compressed
/// series.
fn both(original: &str, scaled: &str, series: &[Series], n: f64) -> Result<[States; 2], Failed> {
    let folder = super::shared_folder()?;
    let groups: Vec<_> =
        original.lines().filter_map(|line| line.trim_start().strip_prefix("- name: ")).collect();
    for (name, rules, n) in [("original", original, 1.0), ("scaled", scaled, n)] {
        std::fs::write(folder.path().join(format!("{name}.yml")), rules)?;
        std::fs::write(
            folder.path().join(format!("{name}-test.yml")),
            test_file(&format!("{name}.yml"), &groups, series, n),
        )?;
    }
    // It ends with 1, as wanted: wherever an alert is active, "expected nothing" fails.
    let command = "for rules in original scaled; do promtool test rules $rules-test.yml > $rules.out 2>&1; done; true";
    super::run("prometheus", "sh", folder.path(), &["-c", command])?;
    let states = |name: &str, n: f64| -> Result<States, Failed> {
        let said = std::fs::read_to_string(folder.path().join(format!("{name}.out")))?;
        states(&said, n).map_err(|why| {
            format!(
                "promtool on the {name} rules: {why}\n{}",
                said.chars().take(2000).collect::<String>()
            )
            .into()
        })
    };
    Ok([states("original", 1.0)?, states("scaled", n)?])
}

/// Reads what promtool got instead of nothing.
fn states(said: &str, n: f64) -> Result<States, String> {
    let mut found = States::new();
    let mut at = None;
    let labels = regex::Regex::new(r#"\{__name__="ALERTS", ([^}]*)\} 1E\+00"#).unwrap();
    let state = regex::Regex::new(r#"alertstate="(\w+)"(, )?"#).unwrap();
    for line in said.lines().map(str::trim) {
        if let Some((_, time)) =
            line.strip_prefix("expr: \"ALERTS\", time: ").map(|time| ("", time))
        {
            let time = config::monitoring::duration::parse(time.trim_end_matches(','))?;
            at = Some((time.as_secs_f64() * n / INTERVAL.as_secs_f64()).round() as usize);
        } else if line.starts_with("got:") || line.starts_with("{__name__") {
            let at = at.ok_or("a state without its time")?;
            for one in labels.captures_iter(line) {
                let in_state =
                    state.captures(&one[1]).ok_or("an alert without its state")?[1].to_owned();
                found
                    .entry(state.replace(&one[1], "").into_owned())
                    .or_default()
                    .push((at, in_state));
            }
        } else if line.contains("error") || line.contains("could not") {
            return Err(line.to_owned());
        }
    }
    if found.is_empty() { Err("no alert was ever active".into()) } else { Ok(found) }
}

fn alert_name(labels: &str) -> &str {
    labels.split("alertname=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("")
}

/// Alerts whose states differ at some evaluation, with the first difference of each.
fn differences([original, scaled]: &[States; 2]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for labels in original.keys().chain(scaled.keys()) {
        let none = Vec::new();
        let (one, two) =
            (original.get(labels).unwrap_or(&none), scaled.get(labels).unwrap_or(&none));
        if one != two {
            let first = one
                .iter()
                .find(|state| !two.contains(state))
                .or_else(|| two.iter().find(|state| !one.contains(state)));
            found.entry(alert_name(labels).to_owned()).or_insert_with(|| {
                format!("{{{labels}}} first differs at {first:?}: {} active evaluations at true time, {} scaled", one.len(), two.len())
            });
        }
    }
    found
}

/// Alerts that fired and that were inactive at some evaluation.
fn both_ways(states: &States) -> BTreeSet<&str> {
    let fired = |all: &&(usize, String)| all.1 == "firing";
    states
        .iter()
        .filter(|(_, all)| all.len() < STEPS && all.iter().any(|one| fired(&one)))
        .map(|(labels, _)| alert_name(labels))
        .collect()
}

fn same(states: &[States; 2], shown: impl Fn(&str) -> String) -> Result<(), Failed> {
    let differing = differences(states);
    match differing.iter().min_by_key(|(alert, _)| shown(alert).len()) {
        None => Ok(()),
        Some((alert, how)) => {
            Err(format!("{} alerts differ; the shortest: {}: {how}", differing.len(), shown(alert))
                .into())
        }
    }
}

/// What makes each of the 26 alerts fire and resolve: name, kind, value while all is well, value in
/// trouble.
const TABLE_A: &[(&str, Kind, Option<f64>, Option<f64>)] = &[
    ("node_cpu_seconds_total{instance=\"n\",mode=\"idle\"}", Kind::Counter, Some(0.71), Some(0.07)),
    ("node_memory_MemAvailable_bytes{instance=\"n\"}", Kind::Level, Some(5.1e9), Some(0.31e9)),
    ("node_memory_MemTotal_bytes{instance=\"n\"}", Kind::Level, Some(8e9), Some(8e9)),
    (
        "node_filesystem_avail_bytes{instance=\"n\",fstype=\"ext4\"}",
        Kind::Level,
        Some(5e9),
        Some(1e9),
    ),
    (
        "node_filesystem_size_bytes{instance=\"n\",fstype=\"ext4\"}",
        Kind::Level,
        Some(9e9),
        Some(9e9),
    ),
    ("pg_stat_activity_count{instance=\"p\",state=\"active\"}", Kind::Level, Some(9.0), Some(47.0)),
    ("pg_settings_max_connections{instance=\"p\"}", Kind::Level, Some(50.0), Some(50.0)),
    ("pg_replication_lag_seconds{instance=\"p\"}", Kind::Level, Some(0.3), Some(12.5)),
    (
        "pg_stat_activity_max_tx_duration{instance=\"p\",state=\"active\"}",
        Kind::Level,
        Some(2.0),
        Some(301.0),
    ),
    ("pg_database_size_bytes{instance=\"p\"}", Kind::Level, Some(1e9), Some(6e9)),
    ("redis_memory_used_bytes{instance=\"r\"}", Kind::Level, Some(1e6), Some(9e6)),
    ("redis_memory_max_bytes{instance=\"r\"}", Kind::Level, Some(1e7), Some(1e7)),
    ("redis_connected_clients{instance=\"r\"}", Kind::Level, Some(20.0), Some(1200.0)),
    ("redis_evicted_keys_total{instance=\"r\"}", Kind::Counter, Some(0.0), Some(3.3)),
    (
        "redis_commands_latencies_usec_bucket{instance=\"r\",cmd=\"get\",le=\"1000\"}",
        Kind::Counter,
        Some(9.0),
        Some(0.0),
    ),
    (
        "redis_commands_latencies_usec_bucket{instance=\"r\",cmd=\"get\",le=\"200000\"}",
        Kind::Counter,
        Some(9.0),
        Some(9.0),
    ),
    (
        "redis_commands_latencies_usec_bucket{instance=\"r\",cmd=\"get\",le=\"+Inf\"}",
        Kind::Counter,
        Some(9.0),
        Some(9.0),
    ),
    ("up{job=\"email-service\"}", Kind::Level, Some(1.0), Some(0.0)),
    ("up{job=\"celery-beat\"}", Kind::Level, Some(1.0), Some(1.0)),
    (
        "http_requests_total{job=\"email-service\",status=\"200\"}",
        Kind::Counter,
        Some(17.0),
        Some(9.0),
    ),
    (
        "http_requests_total{job=\"email-service\",status=\"503\"}",
        Kind::Counter,
        Some(0.01),
        Some(8.0),
    ),
    (
        "http_request_duration_seconds_bucket{job=\"email-service\",le=\"1\"}",
        Kind::Counter,
        Some(17.0),
        Some(2.0),
    ),
    (
        "http_request_duration_seconds_bucket{job=\"email-service\",le=\"5\"}",
        Kind::Counter,
        Some(17.0),
        Some(17.0),
    ),
    (
        "http_request_duration_seconds_bucket{job=\"email-service\",le=\"+Inf\"}",
        Kind::Counter,
        Some(17.0),
        Some(17.0),
    ),
    ("db_pool_in_use{job=\"email-service\"}", Kind::Level, Some(2.0), Some(9.0)),
    ("db_pool_size{job=\"email-service\"}", Kind::Level, Some(10.0), Some(10.0)),
    ("imap_pool_in_use{job=\"email-service\"}", Kind::Level, Some(2.0), Some(10.0)),
    ("imap_pool_size{job=\"email-service\"}", Kind::Level, Some(10.0), Some(10.0)),
    ("smtp_pool_in_use{job=\"celery-worker\"}", Kind::Level, Some(2.0), Some(8.0)),
    ("smtp_pool_size{job=\"celery-worker\"}", Kind::Level, Some(8.0), Some(8.0)),
    ("celery_queue_length{queue=\"celery\"}", Kind::Level, Some(3.0), Some(1700.0)),
    ("celery_tasks_total{state=\"success\"}", Kind::Counter, Some(5.0), Some(3.0)),
    ("celery_tasks_total{state=\"failure\"}", Kind::Counter, Some(0.0), Some(1.3)),
    ("celery_worker_up{job=\"celery-worker\"}", Kind::Level, Some(1.0), None),
    (
        "celery_beat_last_tick_timestamp_seconds{job=\"celery-beat\"}",
        Kind::Age,
        Some(2.5),
        Some(44.0),
    ),
    ("celery_beat_period_seconds{job=\"celery-beat\"}", Kind::Level, Some(5.0), Some(5.0)),
    ("probe_success{job=\"blackbox-smtp\"}", Kind::Level, Some(1.0), Some(0.0)),
    ("probe_success{job=\"blackbox-imap\"}", Kind::Level, Some(1.0), Some(0.0)),
    ("postfix_showq_message_size_bytes_count{instance=\"m\"}", Kind::Level, Some(3.0), Some(180.0)),
    (
        "imap_connections_total{job=\"email-service\",result=\"ok\"}",
        Kind::Counter,
        Some(4.0),
        Some(3.0),
    ),
    (
        "imap_connections_total{job=\"email-service\",result=\"failed\"}",
        Kind::Counter,
        Some(0.0),
        Some(0.7),
    ),
];

fn fixture() -> Result<String, Failed> {
    Ok(std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config/src/timescale/fixtures/rules.yml"),
    )?)
}

fn table_a(n: f64) -> Result<(), Failed> {
    let phases = |well: Option<f64>, ill: Option<f64>| {
        [(80, well), (97, ill), (90, well), (9, ill), (STEPS, well)]
    };
    let series: Vec<_> = TABLE_A
        .iter()
        .map(|(name, kind, well, ill)| Series::of_phases(name, *kind, &phases(*well, *ill)))
        .collect();
    let folder = tempfile::tempdir()?;
    let config = load(&fixture()?, folder.path())?;
    let scaled = Scale::new(n)?.apply(&config)?.config;
    let states = both(&rules_of(&config)?, &rules_of(&scaled)?, &series, n)?;
    let moved = both_ways(&states[0]);
    let still: Vec<_> = config
        .rules()
        .filter(|(_, _, rule)| rule.is_alert() && !moved.contains(rule.name.as_str()))
        .collect();
    if !still.is_empty() || moved.len() != 26 {
        let names: Vec<_> = still.iter().map(|(_, _, rule)| rule.name.as_str()).collect();
        return Err(format!(
            "{} alerts fired and were inactive, wanted 26; not: {}",
            moved.len(),
            names.join(", ")
        )
        .into());
    }
    same(&states, |alert| alert.to_owned())
}

/// What rules are made of. `level` keeps its value when time is compressed, `count` becomes an N-th
/// of it.
fn condition() -> impl Strategy<Value = String> {
    let window = prop::sample::select(vec!["1m", "2m", "5m", "10m", "20m"]).boxed();
    let counter =
        prop::sample::select(vec!["a_total", "a_total{i=\"1\"}", "b_total", "c_total{i!=\"2\"}"])
            .boxed();
    let gauge = prop::sample::select(vec!["g", "g{i=\"2\"}", "queue", "(g - 0.3 * queue)"]).boxed();
    let ugly = (-1.5_f64..2.5).prop_map(|power| format!("{:.7}", 10_f64.powf(power))).boxed();
    let op = prop::sample::select(vec![">", ">=", "<", "<="]).boxed();
    let count = {
        let shape = prop::sample::select(vec![
            "increase(C[W])",
            "increase(C[W] offset 2m)",
            "sum by (i) (increase(C[W]))",
            "sum(increase(C[W]))",
            "clamp_max(increase(C[W]), 999.77)",
            "max_over_time(increase(C[W])[5m:30s])",
            "avg_over_time(increase(C[W])[5m:])",
            "(increase(C[W]) or vector(0))",
            "rate(C[W]) * 0 + increase(C[W])",
            "abs(-increase(C[W]))",
            "delta(C[W])",
            "increase(C[W]) / 3",
            "quantile(0.7, increase(C[W]))",
            "increase(C[W]) * on (i) group_left () (g > bool 5.77)",
            "recorded:increase5m",
            "twice:recorded:increase5m",
        ]);
        (shape, counter.clone(), window.clone())
            .prop_map(|(shape, counter, window)| shape.replace('C', counter).replace('W', window))
            .boxed()
    };
    let level = {
        let shape = prop::sample::select(vec![
            "rate(C[W])",
            "irate(C[W])",
            "sum by (i) (rate(C[W]))",
            "deriv(C[W])",
            "rate(C[W] offset 5m)",
            "max_over_time(rate(C[W])[10m:1m])",
            "increase(C[W]) / increase(b_total[W])",
            "sum(increase(C[W])) / sum(rate(b_total[W]))^0 / 300",
            "histogram_quantile(0.9, sum by (le) (rate(h_bucket[W])))",
            "histogram_quantile(0.5, sum by (le) (increase(h_bucket[W])))",
            "rate(h_sum[W]) / rate(h_count[W])",
            "G",
            "avg_over_time(G2[W])",
            "max_over_time(G2[W])",
            "min_over_time(G2[W])",
            "quantile_over_time(0.8, G2[W])",
            "last_over_time(G2[W])",
            "sum_over_time(G2[W])",
            "count_over_time(G2[W])",
            "stddev(G)",
            "topk(1, G)",
            "count(G > 3.77)",
            "G2 offset W",
            "time() - t_timestamp_seconds",
            "G * rate(C[W])",
            "sqrt(rate(C[W]))",
            "clamp(G, 0.77, 55.3)",
            "avg(G) by (i) / scalar(sum(queue))",
            "recorded:rate5m",
        ]);
        let gauges = prop::sample::select(vec!["g", "queue", "g{i=\"1\"}"]);
        (shape, counter, gauge, gauges, window.clone())
            .prop_map(|(shape, counter, gauge, bare, window)| {
                // What stands first must not be taken for a part of it.
                shape
                    .replace("G2", bare)
                    .replace('G', gauge)
                    .replace('C', counter)
                    .replace('W', window)
            })
            .boxed()
    };
    let vanishing = prop::sample::select(vec![
        "absent(gone)",
        "absent_over_time(gone[W])",
        "gone == 0",
        "up{job=\"x\"} == 0 or absent(gone)",
    ]);
    let vanishing =
        (vanishing, window).prop_map(|(shape, window)| shape.replace('W', window)).boxed();
    let of_count = (count, op.clone(), 1.4_f64..4.0)
        .prop_map(|(e, op, power)| format!("{e} {op} {:.7}", 10_f64.powf(power)));
    let of_level = (level, op, ugly).prop_map(|(e, op, v)| format!("{e} {op} {v}"));
    let simple = prop_oneof![4 => of_level, 4 => of_count, 1 => vanishing].boxed();
    let joint = prop::sample::select(vec!["and on () ", "or ", "unless on () ", "and on (i) "]);
    prop_oneof![5 => simple.clone(), 2 => (simple.clone(), joint, simple).prop_map(|(a, joint, b)| format!("({a}) {joint}({b})"))]
}

/// Rules of the grammar, with series under them, drawn from a seed.
fn drawn_rules(number: usize, runner: &mut TestRunner) -> (Vec<String>, Vec<Series>) {
    let holds = prop::sample::select(vec!["0s", "15s", "40s", "1m", "2m", "5m"]);
    let rule =
        (condition(), holds.clone(), prop::sample::select(vec!["0s", "0s", "0s", "1m", "3m"]));
    let rules = (0..number)
        .map(|at| {
            let (expr, hold, keep) = drawn(&rule, runner);
            let expr = serde_json::to_string(&expr).unwrap();
            format!(
                "  - alert: R{at}\n    expr: {expr}\n    for: {hold}\n    keep_firing_for: {keep}\n"
            )
        })
        .collect();
    let mut series = Vec::new();
    for i in 1..=3 {
        for (name, kind, size) in [
            ("a_total", Kind::Counter, 1.7),
            ("b_total", Kind::Counter, 2.3),
            ("c_total", Kind::Counter, 0.3),
            ("g", Kind::Level, 7.1),
            ("queue", Kind::Level, 4.3),
        ] {
            series.push(Series::random(&format!("{name}{{i=\"{i}\"}}"), kind, size, runner));
        }
    }
    // Buckets add up.
    let mut below = vec![0.0; STEPS];
    for le in ["0.1", "0.7", "3", "40", "+Inf"] {
        let mut bucket =
            Series::random(&format!("h_bucket{{le=\"{le}\"}}"), Kind::Counter, 1.1, &mut *runner);
        let mut last = 0.0;
        let mut sum = 0.0;
        for (value, below) in bucket.values.iter_mut().zip(&mut below) {
            let now = value.unwrap_or(last);
            sum += (now - last).max(0.0);
            last = now;
            *below += sum;
            *value = Some(*below);
            *below -= sum;
        }
        for (value, below) in bucket.values.iter().zip(&mut below) {
            *below = value.unwrap_or(0.0);
        }
        if le == "+Inf" {
            series.push(Series { name: "h_count".into(), ..bucket.clone() });
            let summed = bucket
                .values
                .iter()
                .enumerate()
                .map(|(at, value)| value.map(|value| value * 0.77 + (at as f64 * 0.1)));
            series.push(Series {
                name: "h_sum".into(),
                kind: Kind::Counter,
                values: summed.collect(),
            });
        }
        series.push(bucket);
    }
    series.push(Series::random("gone{i=\"1\"}", Kind::Level, 1.0, runner));
    series.push(Series::of_phases(
        "up{job=\"x\"}",
        Kind::Level,
        &[(100, Some(1.0)), (50, Some(0.0)), (STEPS, Some(1.0))],
    ));
    series.push(Series::random("t_timestamp_seconds{i=\"1\"}", Kind::Age, 20.0, runner));
    (rules, series)
}

const RECORDED: &str = "groups:\n- name: recorded\n  rules:\n  - record: recorded:increase5m\n    expr: increase(a_total[5m])\n  \
                        - record: recorded:rate5m\n    expr: sum by (i) (rate(b_total[5m]))\n  - record: twice:recorded:increase5m\n    \
                        expr: 2 * recorded:increase5m\n- name: drawn\n  rules:\n";

/// The seed: `FIREDRILL_SEED`, else one that stays.
fn runner() -> (u64, TestRunner) {
    let seed = std::env::var("FIREDRILL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    (seed, TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() }))
}

/// Rules that can be had at a scale; those that can't must have been refused with their place.
fn without_refused(
    rules: Vec<String>,
    n: f64,
    folder: &Path,
) -> Result<(Vec<String>, usize), Failed> {
    let config = load(&format!("{RECORDED}{}", rules.concat()), folder)?;
    let Err(refusal) = Scale::new(n)?.apply(&config) else { return Ok((rules, 0)) };
    let mut refused = BTreeSet::new();
    for reason in &refusal.reasons {
        let place = reason
            .place
            .as_ref()
            .ok_or_else(|| format!("refused without a place: {}", reason.subject))?;
        let name = reason.subject.split('`').nth(1).unwrap_or("").to_owned();
        let line = format!("alert: {name}");
        let written = std::fs::read_to_string(&place.file)?;
        let seen = written.lines().take(place.line as usize).any(|text| text.ends_with(&line));
        if !seen {
            return Err(format!("{place} is not where {name} stands").into());
        }
        refused.insert(line);
    }
    let number = refused.len();
    let kept = rules
        .into_iter()
        .filter(|rule| !refused.iter().any(|line| rule.lines().any(|text| text.ends_with(line))))
        .collect();
    Ok((kept, number))
}

fn generated(n: f64) -> Result<(), Failed> {
    let (seed, mut runner) = runner();
    let (rules, series) = drawn_rules(200, &mut runner);
    let folder = tempfile::tempdir()?;
    let (rules, refused) = without_refused(rules, n, folder.path())?;
    let config = load(&format!("{RECORDED}{}", rules.concat()), folder.path())?;
    let scaled = Scale::new(n)?.apply(&config)?;
    let states = both(&rules_of(&config)?, &rules_of(&scaled.config)?, &series, n)?;
    let expressions: BTreeMap<_, _> =
        config.rules().map(|(_, _, rule)| (rule.name.clone(), rule.text.clone())).collect();
    same(&states, |alert| expressions.get(alert).cloned().unwrap_or_default())
        .map_err(|failed| format!("seed {seed}, scale {n}: {}", failed.message().unwrap_or("")))?;
    // That nothing differs is worth something only where something happens.
    let moved = both_ways(&states[0]).len();
    if moved * 3 < rules.len() || rules.len() < 120 {
        return Err(format!(
            "seed {seed}: of {} rules ({refused} refused) only {moved} fired and were inactive",
            rules.len()
        )
        .into());
    }
    Ok(())
}

/// The test must be able to fail: a literal that is left although what it is compared with shrinks
/// has to be found.
fn wrong_exponent() -> Result<(), Failed> {
    let rules = "groups:\n- name: all\n  rules:\n  - alert: Right\n    expr: increase(x_total[5m]) > 311.7\n  - alert: Wrong\n    expr: \
                 increase(x_total[5m]) > 311.7\n";
    let series = [Series::of_phases(
        "x_total{i=\"1\"}",
        Kind::Counter,
        &[(60, Some(0.3)), (90, Some(4.1)), (STEPS, Some(0.2))],
    )];
    let folder = tempfile::tempdir()?;
    let config = load(rules, folder.path())?;
    for planted in [0.0, 1.0, -2.0] {
        let exponents = BTreeMap::from([("Wrong".to_owned(), planted)]);
        let scaled = Scale::new(20.0)?
            .declared(Declared { exponents, ..Declared::default() })
            .apply(&config)?;
        let found = differences(&both(rules, &rules_of(&scaled.config)?, &series, 20.0)?);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        if names != ["Wrong"] {
            return Err(format!(
                "exponent {planted} instead of -1 was planted in Wrong; found to differ: {names:?}"
            )
            .into());
        }
    }
    Ok(())
}
