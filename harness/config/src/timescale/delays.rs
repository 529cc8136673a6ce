//! Shippers, windows of the calendar, and what windows hold.

use super::table_a::{rule_file, table_a, with_rules};
use super::*;
use crate::monitoring::{FileText, Loaded, Server, ServerKind};
use crate::yaml::Document;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn a_shippers_looks_at_its_files_are_divided() {
    let main = "filebeat.config.inputs: {enabled: true, path: inputs.d/*.yml}\nqueue.mem:\n  flush.timeout: 2s\noutput.elasticsearch: {timeout: 90s, index: \"logs-%{[source]}\"}\n";
    let inputs = "- type: filestream\n  prospector.scanner.check_interval: 4s\n  backoff: {init: 200ms, max: 5s}\n- type: filestream\n  id: plain\n- type: log\n  scan_frequency: 20s\n";
    let mut server = Server::of_file(ServerKind::Shipper, "shipper", "filebeat.yml", main);
    server.files.insert(
        server.folder().join("inputs.d/a.yml"),
        FileText::on_disk("inputs.d/a.yml", inputs),
    );
    let config = MonitoringConfig::load(&[server]).unwrap();
    let scaled = Scale::new(20.0).unwrap().apply(&config).unwrap();
    let files: Vec<_> = scaled.config.render().into_iter().map(|file| file.text).collect();
    assert_eq!(files.len(), 2);
    assert!(
        files[0].contains("flush.timeout: 100ms")
            && files[0].contains("timeout: 90s")
            && files[0].contains("\"logs-%{[source]}\""),
        "{}",
        files[0]
    );
    let read = |text: &str| Document::parse(Path::new("a.yml"), text).unwrap();
    let wanted = "- type: filestream\n  prospector.scanner.check_interval: 200ms\n  backoff: {init: 50ms, max: 250ms}\n- type: filestream\n  id: plain\n  \
                  prospector.scanner.check_interval: 500ms\n  backoff.init: 100ms\n  backoff.max: 500ms\n- type: log\n  scan_frequency: 1s\n";
    assert_eq!(read(&files[1]), read(wanted), "{}", files[1]);
    assert!(
        scaled.roundings.iter().any(|rounding| rounding.used_ms == 50 && rounding.exact_ms == 10.0)
    );
    assert!(
        scaled.not_scaled.iter().any(|left| left.what == "output.elasticsearch.timeout"),
        "{:#?}",
        scaled.not_scaled
    );
    assert_eq!(Scale::new(1.0).unwrap().apply(&config).unwrap().config, config);
}

fn with_windows() -> MonitoringConfig {
    let text = "route:\n  receiver: a\n  routes:\n  - {matchers: [x=1], mute_time_intervals: [nights]}\n  - {matchers: [x=2], active_time_intervals: [office]}\n\
                receivers: [{name: a}]\ntime_intervals:\n- name: nights\n  time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}], location: Europe/Berlin}]\n\
                - name: office\n  time_intervals: [{weekdays: ['monday:friday']}]\n- {name: unused, time_intervals: [{months: ['1']}]}\n";
    let mut config = table_a();
    let doc = Document::parse(Path::new("alertmanager.yml"), text).unwrap();
    config.alertmanagers[0].config =
        Loaded { view: crate::monitoring::Alertmanager::read(&doc).unwrap(), doc };
    config
}

#[test]
fn windows_of_the_calendar_are_put_where_the_run_needs_them() {
    // 1970-01-02, 23:40.
    let scaled =
        Scale::new(20.0).unwrap().at(86_400 + 23 * 3600 + 2400).apply(&with_windows()).unwrap();
    let text = scaled
        .config
        .render()
        .into_iter()
        .find(|file| file.original.ends_with("alertmanager.yml"))
        .unwrap()
        .text;
    let wanted = "time_intervals:\n- name: nights\n  time_intervals: [{times: [{start_time: '09:00', end_time: '15:00'}]}]\n- name: office\n  time_intervals: [{times: \
                  [{start_time: '21:00', end_time: '24:00'}, {start_time: '00:00', end_time: '03:00'}]}]\n- {name: unused, time_intervals: [{months: ['1']}]}\n";
    let read = |text: &str| {
        Document::parse(Path::new("a.yml"), text).unwrap().root.get("time_intervals").cloned()
    };
    assert_eq!(read(&text), read(wanted), "{text}");
    let listed: Vec<_> = scaled
        .not_scaled
        .iter()
        .filter(|left| left.what.starts_with("time interval"))
        .map(|left| left.why.as_str())
        .collect();
    assert_eq!(listed.len(), 3);
    assert!(
        listed[0].contains("away from now") && listed[0].contains("09:00 to 15:00"),
        "{listed:?}"
    );
    assert!(
        listed[1].contains("around now") && listed[2] == "it is a wall-clock time",
        "{listed:?}"
    );
    // Without an instant, and at scale 1, they stay.
    for scale in [Scale::new(20.0).unwrap(), Scale::new(1.0).unwrap().at(0)] {
        let config = scale.apply(&with_windows()).unwrap().config;
        assert_eq!(
            config.alertmanagers[0].config.doc.root.get("time_intervals"),
            with_windows().alertmanagers[0].config.doc.root.get("time_intervals")
        );
    }
}

fn traffic(arrivals_per_s: f64) -> Option<Traffic> {
    Some(Traffic {
        jobs: BTreeSet::from(["shop".to_owned()]),
        arrivals_per_s,
        error_rate: 0.01,
        alpha: 0.001,
    })
}

#[test]
fn what_chance_would_decide_is_refused_with_the_largest_scale() {
    let share = "sum(rate(r_total{job=\"shop\",code=~\"5..\"}[5m])) / sum(rate(r_total{job=\"shop\"}[5m])) > 0.05";
    let quantile =
        "histogram_quantile(0.99, sum by (le) (rate(d_seconds_bucket{job=\"shop\"}[5m]))) > 2";
    for (expr, part) in [(share, "by chance"), (quantile, "too few for a quantile of 0.99")] {
        let config = with_rules(&rule_file(&[("X", expr, "1m")], ""));
        let at = |n: f64, rate: f64| Scale::new(n).unwrap().traffic(traffic(rate)).apply(&config);
        let events = at(20.0, 40.0).unwrap().events;
        assert_eq!((events.len(), events[0].events), (1, 600.0));
        assert!(events[0].chance.is_none_or(|chance| chance < events[0].allowed));
        let refusal = at(300.0, 40.0).unwrap_err();
        let largest = refusal.largest_n_that_works;
        assert!(
            refusal.to_string().contains(part) && refusal.to_string().contains("rules.yml:5"),
            "{refusal}"
        );
        assert!(
            largest > 20.0
                && largest < 300.0
                && at(largest, 40.0).is_ok()
                && at(largest + 1.0, 40.0).is_err(),
            "{refusal}"
        );
        assert!(at(20.0, 0.5).is_err(), "too little traffic");
        assert!(at(largest + 1.0, 400.0).is_ok(), "more load is a way out");
        let (lowered, why) =
            Scale::new(300.0).unwrap().traffic(traffic(40.0)).apply_or_lower(&config);
        assert_eq!((lowered.scale, why.is_some()), (largest, true));
    }
    let other = with_rules(&rule_file(&[("X", &share.replace("shop", "bank"), "1m")], ""));
    assert!(
        Scale::new(300.0).unwrap().traffic(traffic(1.0)).apply(&other).unwrap().events.is_empty(),
        "nothing is stated of its traffic"
    );
}
