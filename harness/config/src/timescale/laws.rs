//! What must hold at every time scale.

use proptest::prelude::*;

use super::table_a::{rule_file, scaled_expr, table_a, with_rules};
use super::*;
use crate::monitoring::promql;

fn text(expr: &str) -> String {
    scaled_expr(expr, None).unwrap_or_else(|refusal| panic!("{expr}: {refusal}"))
}

#[test]
fn exponents_are_inferred() {
    for (expr, wanted) in [
        ("increase(x_total[5m]) > 100", "increase(x_total[15s]) > 5"),
        ("100 < increase(x_total[5m])", "5 < increase(x_total[15s])"),
        ("increase(x_total[5m]) > 0", "increase(x_total[15s]) > 0"),
        (
            "sum by (job) (increase(x_total[5m] offset 1h)) + 20 > 100",
            "sum by (job) (increase(x_total[15s] offset 3m)) + 1 > 5",
        ),
        ("increase(x_total[5m]) / 300 > 2", "increase(x_total[15s]) / 300 > 0.1"),
        ("rate(x_total[5m]) * 300 > 600", "rate(x_total[15s]) * 300 > 600"),
        (
            "increase(a_total[5m]) / increase(b_total[5m]) > 0.1",
            "increase(a_total[15s]) / increase(b_total[15s]) > 0.1",
        ),
        (
            "increase(a_total[5m]) > 0.1 * increase(b_total[5m])",
            "increase(a_total[15s]) > 0.1 * increase(b_total[15s])",
        ),
        ("count_over_time(up[5m]) < 20", "count_over_time(up[15s]) < 20"),
        ("avg_over_time(up[1h]) < 0.5", "avg_over_time(up[3m]) < 0.5"),
        ("sum_over_time(up[5m]) < 20", "sum_over_time(up[15s]) < 20"),
        ("changes(x[2h]) > 40", "changes(x[6m]) > 2"),
        ("resets(x_total[2h]) > 20", "resets(x_total[6m]) > 1"),
        ("count(increase(x_total[5m]) > 60) > 3", "count(increase(x_total[15s]) > 3) > 3"),
        (
            "max_over_time(rate(x_total[5m])[1h:30s]) > 7",
            "max_over_time(rate(x_total[15s])[3m:1s500ms]) > 7",
        ),
        (
            "histogram_quantile(0.9, rate(x_bucket[5m])) > 7",
            "histogram_quantile(0.9, rate(x_bucket[15s])) > 7",
        ),
        ("x_count > 100", "x_count > 100"),
        ("x_total > 0", "x_total > 0"),
        ("a_total / b_total > 0.1", "a_total / b_total > 0.1"),
        ("x_total - x_total offset 5m > 40", "x_total - x_total offset 15s > 2"),
        ("clamp_max(increase(x_total[5m]), 200) > 40", "clamp_max(increase(x_total[15s]), 10) > 2"),
        ("increase(x_total[5m]) > bool 40 == 1", "increase(x_total[15s]) > bool 2 == 1"),
        ("increase(x_total[5m]) ^ 2 > 8000", "increase(x_total[15s]) ^ 2 > 20"),
        ("300 / increase(x_total[5m]) > 2", "300 / increase(x_total[15s]) > 40"),
        ("time() - x > 15", "time() - x > 15"),
        ("x_cert_expiry - time() < 86400 * 30", "x_cert_expiry - time() < 86400 * 30"),
        ("increase(x_seconds_total[5m]) > 2", "increase(x_seconds_total[15s]) > 0.1"),
        (
            "rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m]) > 2",
            "rate(x_seconds_sum[15s]) / rate(x_seconds_count[15s]) > 2",
        ),
        ("(increase(x_total[5m]) or vector(0)) > 40", "(increase(x_total[15s]) or vector(0)) > 2"),
        ("increase(x_total[5m]) > 20 * 2", "increase(x_total[15s]) > 2"),
        ("deriv(x_total[5m]) > 5", "deriv(x_total[15s]) > 5"),
        ("-increase(x_total[5m]) < -40", "-increase(x_total[15s]) < -2"),
        ("absent_over_time(x[10m])", "absent_over_time(x[30s])"),
        ("predict_linear(x[1h], 60)", "predict_linear(x[3m], 60)"),
        (
            "increase(x_total[5m]) > 100 unless on () up == 0",
            "increase(x_total[15s]) > 5 unless on () up == 0",
        ),
        ("quantile(0.9, increase(x_total[5m])) > 40", "quantile(0.9, increase(x_total[15s])) > 2"),
        ("x > 3 * avg_over_time(x[1h])", "x > 3 * avg_over_time(x[3m])"),
    ] {
        assert_eq!(
            promql::parse(&text(expr)).unwrap(),
            promql::parse(wanted).unwrap(),
            "{expr} became {}",
            text(expr)
        );
    }
}

#[test]
fn what_has_no_single_exponent_is_refused() {
    for (expr, part) in [
        ("predict_linear(node_filesystem_free_bytes[6h], 14400) < 0", "predict_linear()"),
        ("delta(temperature[5m]) > 3", "delta() of a gauge"),
        ("idelta(temperature[5m]) > 3", "idelta() of a gauge"),
        ("deriv(temperature[5m]) > 3", "deriv() of a gauge"),
        ("holt_winters(x[1h], 0.5, 0.5) > 3", "holt_winters()"),
        ("x - x offset 1h > 3", "two times"),
        ("max_over_time(x[1h]) - min_over_time(x[1h]) > 3", "two times"),
        ("stddev_over_time(x[1h]) > 3", "noise"),
        ("x_total > 1000", "raw counter"),
        ("a_total - b_total > 1000", "raw counters"),
        ("increase(x_total[5m]) + rate(x_total[5m]) > 3", "N^-1"),
        ("increase(x_total[5m]) > rate(x_total[5m])", "compares"),
        ("increase(x_total[5m]) > limit", "compares"),
        ("floor(increase(x_total[5m])) > 40", "whole numbers"),
        ("ln(increase(x_total[5m])) > 4", "no power law"),
        ("(increase(x_total[5m]) or vector(1)) > 40", "constant"),
    ] {
        let refusal =
            scaled_expr(expr, None).map(|text| panic!("{expr} became {text}")).unwrap_err();
        let shown = refusal.to_string();
        assert!(
            shown.contains(part)
                && shown.contains("rules.yml:5")
                && shown.contains("alert `X`")
                && shown.contains("hint"),
            "{expr}: {shown}"
        );
        assert_eq!(refusal.largest_n_that_works, 1.0, "{expr}");
    }
}

#[test]
fn a_count_below_one_is_refused_with_the_largest_scale() {
    for (expr, largest) in [
        ("increase(x_total[5m]) > 10", 10.0),
        ("changes(x[15m]) > 3", 3.0),
        ("increase(x_total[5m]) >= 0.5", 1.0),
        ("increase(x_total[5m]) ^ 2 > 100", 10.0),
    ] {
        let refusal = scaled_expr(expr, None).unwrap_err();
        assert_eq!(refusal.largest_n_that_works, largest, "{refusal}");
        let config = with_rules(&rule_file(&[("X", expr, "1m")], ""));
        let (lowered, why) = Scale::new(20.0).unwrap().apply_or_lower(&config);
        assert_eq!((lowered.scale, why.is_some()), (largest, true));
    }
    assert!(scaled_expr("increase(x_total[5m]) > 20", None).is_ok(), "one is not below one");
}

#[test]
fn what_is_declared_decides() {
    for (expr, exponent, wanted) in [
        ("increase(x_total[5m]) > 10", -1.0, "increase(x_total[15s]) > 0.5"),
        ("increase(x_total[5m]) > 10", 0.0, "increase(x_total[15s]) > 10"),
        ("delta(temperature[5m]) > 3", 0.0, "delta(temperature[15s]) > 3"),
        ("delta(temperature[5m]) > 3", -1.0, "delta(temperature[15s]) > 0.15"),
        ("predict_linear(x[6h], 14400) < 0", -1.0, "predict_linear(x[18m], 720) < 0"),
        ("predict_linear(x[6h], 14400) < 0", 0.0, "predict_linear(x[18m], 14400) < 0"),
        ("time() - x > 300", -1.0, "time() - x > 15"),
        ("pg_stat_activity_max_tx_duration > 300", -1.0, "pg_stat_activity_max_tx_duration > 15"),
        ("x_total > 1000", -1.0, "x_total > 50"),
        ("increase(x_total[5m]) > limit", 0.0, "increase(x_total[15s]) > limit"),
        ("x > 100", -1.0, "x > 100"),
    ] {
        let text =
            scaled_expr(expr, Some(exponent)).unwrap_or_else(|refusal| panic!("{expr}: {refusal}"));
        assert_eq!(
            promql::parse(&text).unwrap(),
            promql::parse(wanted).unwrap(),
            "{expr} became {text}"
        );
    }
    let gauge = Declared {
        series: BTreeMap::from([("threads_total".to_owned(), SeriesType::Gauge)]),
        ..Declared::default()
    };
    let config = with_rules(&rule_file(&[("X", "threads_total > 100", "1m")], ""));
    assert!(Scale::new(20.0).unwrap().apply(&config).is_err());
    assert!(Scale::new(20.0).unwrap().declared(gauge).apply(&config).is_ok());
}

#[test]
fn recorded_series_carry_their_exponent() {
    let recorded = "  - record: job:x:increase5m\n    expr: sum by (job) (increase(x_total[5m]))\n  - record: late\n    expr: twice\n  - record: twice\n    \
                    expr: 2 * job:x:increase5m\n  - record: job:y\n    expr: delta(y[5m])\n";
    let scaled = |expr: &str| {
        let config = with_rules(&rule_file(&[("X", expr, "1m")], recorded));
        Scale::new(20.0)
            .unwrap()
            .apply(&config)
            .map(|scaled| scaled.config.rules().last().unwrap().2.text.clone())
    };
    assert_eq!(scaled("job:x:increase5m > 100").unwrap(), "job:x:increase5m > 5");
    assert_eq!(scaled("late > 100").unwrap(), "late > 5");
    assert_eq!(scaled("avg_over_time(late[1h]) > 100").unwrap(), "avg_over_time(late[3m]) > 5");
    assert!(scaled("job:y > 100").unwrap_err().to_string().contains("delta()"));
    assert!(scaled("increase(job:x:increase5m[5m]) > 100").is_err());
}

#[test]
fn a_slow_scrape_is_refused_with_the_largest_scale() {
    let scale = |n: f64| {
        Scale::new(n)
            .unwrap()
            .measured_scrapes(BTreeMap::from([("cadvisor".to_owned(), Duration::from_millis(400))]))
    };
    assert!(scale(20.0).apply(&table_a()).is_ok(), "30 s / 20 / 2 = 750 ms");
    let refusal = scale(60.0).apply(&table_a()).unwrap_err();
    assert_eq!(refusal.largest_n_that_works, 37.0, "{refusal}");
    assert!(scale(37.0).apply(&table_a()).is_ok());
}

#[test]
fn scales_out_of_range_are_refused() {
    for n in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY, 20_000.0] {
        assert!(Scale::new(n).is_err(), "{n}");
    }
}

#[test]
fn elasticsearch_accepts_no_less_than_it_does() {
    let mut config = MonitoringConfig::default();
    let server = |settings: &[(&str, &str)]| crate::monitoring::ElasticsearchServer {
        service: "es".into(),
        settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    config.elasticsearch.push(server(&[("cluster.fault_detection.follower_check.timeout", "4s")]));
    config.elasticsearch.push(server(&[("discovery.type", "single-node")]));
    let scaled = Scale::new(20.0).unwrap().apply(&config).unwrap();
    let flags: Vec<_> =
        scaled.flags.iter().map(|flag| (flag.name.as_str(), flag.value.as_str())).collect();
    assert_eq!(
        flags,
        [
            ("cluster.fault_detection.leader_check.interval", "100ms"),
            ("cluster.fault_detection.leader_check.timeout", "500ms"),
            ("cluster.fault_detection.follower_check.interval", "100ms"),
            ("cluster.fault_detection.follower_check.timeout", "200ms"),
        ]
    );
    assert_eq!(scaled.roundings.len(), 2);
    assert!(scaled.roundings[0].why.contains("no less"));
}

fn some_rules() -> impl Strategy<Value = String> {
    let window = prop::sample::select(vec!["1m", "5m", "10m", "1h", "6h"]);
    let metric = prop::sample::select(vec![
        "a_total",
        "b_total{job=\"x\",code=~\"5..\"}",
        "c_seconds_count",
        "d_bytes",
    ]);
    let shape = prop::sample::select(vec![
        "increase(M[W]) > V000",
        "sum by (job) (rate(M[W] offset W)) / 3 > V",
        "max_over_time(rate(M[W])[1h:W]) >= V",
        "M offset W > bool 0",
        "count_over_time(M[W]) < V or absent(M)",
        "histogram_quantile(0.V, sum by (le) (rate(M[W]))) > V",
        "increase(M[W]) / ignoring (code) group_left () increase(M[W]) > 0.V",
        "changes(M[W]) > V000 and on (job) up == 1",
    ]);
    let rule =
        (shape, metric, window, 1_u32..9, prop::sample::select(vec!["0s", "1m", "2m", "10m"]))
            .prop_map(|(shape, metric, window, value, hold)| {
                // A counter compared by itself is no part of this.
                let metric = if shape.contains("offset W >") { "d_bytes" } else { metric };
                let expr = shape
                    .replace('M', metric)
                    .replace('W', window)
                    .replace('V', &value.to_string());
                (expr, hold)
            });
    prop::collection::vec(rule, 1..6).prop_map(|rules| {
        let named: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(at, (expr, hold))| (format!("A{at}"), expr.clone(), *hold))
            .collect();
        let alerts: Vec<_> =
            named.iter().map(|(name, expr, hold)| (name.as_str(), expr.as_str(), *hold)).collect();
        rule_file(&alerts, "")
    })
}

/// The same meaning: the same views and flags, numbers equal to the last digits.
fn assert_same(one: &MonitoringConfig, two: &MonitoringConfig) {
    assert_eq!(one.prometheus[0].config.view.global, two.prometheus[0].config.view.global);
    assert_eq!(one.prometheus[0].flags, two.prometheus[0].flags);
    assert_eq!(one.alertmanagers[0].flags, two.alertmanagers[0].flags);
    assert_eq!(one.collectors[0].config.doc, two.collectors[0].config.doc);
    assert_eq!(one.probers, two.probers);
    assert_eq!(one.alertmanagers[0].config.view, two.alertmanagers[0].config.view);
    for ((_, _, a), (_, _, b)) in one.rules().zip(two.rules()) {
        assert_eq!((a.hold(), promql::windows(&a.expr)), (b.hold(), promql::windows(&b.expr)));
        let numbers = |text: &str| -> Vec<f64> {
            text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        for (x, y) in numbers(&a.text).iter().zip(numbers(&b.text)) {
            assert!((x - y).abs() <= 1e-9 * y.abs().max(1.0), "{} against {}", a.text, b.text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn scale_one_is_the_identity(rules in some_rules()) {
        let config = with_rules(&rules);
        let scaled = Scale::new(1.0).unwrap().apply(&config).unwrap();
        prop_assert_eq!(&scaled.config, &config);
        prop_assert!(scaled.flags.is_empty() && scaled.roundings.is_empty());
        // What is written reads as the same configuration.
        let documents = [
            &config.prometheus[0].config.doc,
            &config.prometheus[0].rules[0].doc,
            &config.alertmanagers[0].config.doc,
            &config.collectors[0].config.doc,
        ];
        let files = scaled.config.render();
        prop_assert_eq!(files.len(), documents.len());
        for (file, original) in files.iter().zip(documents) {
            let again = crate::yaml::Document::parse(&file.original, &file.text).unwrap();
            prop_assert_eq!(&again, original);
        }
    }

    #[test]
    fn scales_compose_while_durations_are_whole(rules in some_rules(), n in prop::sample::select(vec![2.0, 4.0, 5.0]), m in prop::sample::select(vec![2.0, 5.0])) {
        let config = with_rules(&rules);
        let by = |n: f64, config: &MonitoringConfig| Scale::new(n).unwrap().apply(config).unwrap();
        let twice = by(m, &by(n, &config).config);
        let once = by(n * m, &config);
        // Only bounds may have held something back.
        prop_assert!(once.roundings.iter().chain(&twice.roundings).all(|rounding| !rounding.why.is_empty()));
        assert_same(&twice.config, &once.config);
    }

    #[test]
    fn each_window_keeps_its_number_of_samples(rules in some_rules(), n in prop::sample::select(vec![2.0, 3.0, 20.0, 50.0])) {
        let config = with_rules(&rules);
        let scaled = Scale::new(n).unwrap().apply(&config).unwrap();
        let interval = |config: &MonitoringConfig| config.prometheus[0].config.view.global.scrape_interval.as_millis();
        let (before, after) = (ranges(&config), ranges(&scaled.config));
        prop_assert_eq!(before.len(), after.len());
        prop_assert!(!before.is_empty() || !rules.contains('['));
        for (one, two) in before.iter().zip(&after) {
            // window / interval, without dividing.
            prop_assert_eq!(one.window.as_millis() * interval(&scaled.config), two.window.as_millis() * interval(&config));
        }
    }

    #[test]
    fn what_is_written_parses_to_what_was_meant(rules in some_rules(), n in 2.0_f64..60.0) {
        let config = with_rules(&rules);
        let scaled = Scale::new(n).unwrap().apply(&config).unwrap();
        for (_, _, rule) in scaled.config.rules() {
            prop_assert_eq!(promql::parse(&promql::print(&rule.expr)).unwrap(), rule.expr.clone());
            prop_assert_eq!(promql::parse(&rule.text).unwrap(), rule.expr.clone());
        }
        let fraction = regex::Regex::new(r"[0-9]\.[0-9]+m?s\b").unwrap();
        for file in scaled.config.render() {
            prop_assert!(!fraction.is_match(&file.text), "{}", file.text);
        }
    }

    #[test]
    fn the_largest_scale_that_works_works(limit in 1_u32..200, n in 2.0_f64..500.0) {
        let config = with_rules(&rule_file(&[("X", &format!("increase(x_total[5m]) > {limit}"), "1m")], ""));
        let scale = Scale::new(n).unwrap();
        if let Err(refusal) = scale.apply(&config) {
            let largest = refusal.largest_n_that_works;
            prop_assert!(largest < n);
            prop_assert!(Scale::new(largest).unwrap().apply(&config).is_ok());
            prop_assert!(largest + 1.0 > n || Scale::new(largest + 1.0).unwrap().apply(&config).is_err());
        }
    }
}

#[test]
fn windows_hold_the_events_that_arrive() {
    assert_eq!(events_in_window(40.0, Duration::from_secs(15)), 600.0);
    assert_eq!(events_in_window(-1.0, Duration::from_secs(15)), 0.0);
}
