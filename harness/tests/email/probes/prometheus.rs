//! Prometheus that scrapes itself, a target that is not there, and rules of all kinds.

use super::{SECOND, ask, assert_unreachable, connect, fact, now_s};
use firedrill::probe::{Probe, Question};
use std::path::Path;
use support::images;
use support::lab::{Container, Lab, Spec, eventually};
use verdict::observation::Fact;
use verdict::observation::metrics::{GroupEvaluations, RuleInputs};

const CONFIG: &str = "
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}
rule_files: [/etc/prometheus/rules.yml]
scrape_configs:
  - job_name: self
    static_configs: [{targets: ['localhost:9090'], labels: {service: metrics}}]
  - job_name: gone
    static_configs: [{targets: ['localhost:1']}]
";

const RULES: &str = r#"
groups:
  - name: g
    interval: 750ms
    rules:
      - {record: "job:up:sum", expr: sum by (job) (up)}
      - {alert: Down, expr: 'up == 0', for: 1s500ms, labels: {severity: critical}}
      - {alert: Slow, expr: 'histogram_quantile(0.99, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket[5s]))) > 1e3'}
      - {alert: Renamed, expr: 'up_renamed{job="self"} == 0 and up{job="self"} < 0.5'}
"#;

/// Starts Prometheus with these files in a folder, which stays writable for the test.
pub async fn start(lab: &mut Lab, folder: &Path, config: &str, rules: &str) -> Container {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("prometheus.yml"), config).unwrap();
    std::fs::write(folder.join("rules.yml"), rules).unwrap();
    let container = lab
        .start(Spec {
            image: images::reference("prometheus"),
            aliases: vec!["prometheus".into()],
            binds: vec![format!("{}:/etc/prometheus:ro", folder.display())],
            ports: vec![9090],
            ..Spec::default()
        })
        .await;
    let ready = format!("http://127.0.0.1:{}/-/ready", container.port(9090));
    let is_ready = || async {
        reqwest::get(&ready).await.and_then(|r| r.error_for_status()).map_err(|e| e.to_string())
    };
    eventually(20 * SECOND, is_ready).await;
    container
}

async fn inputs(probe: &dyn Probe, alert: &str, start_s: f64) -> RuleInputs {
    let question = Question::RuleInputs {
        alert: alert.into(),
        drill: Some("d".into()),
        start_s,
        end_s: now_s(),
    };
    let facts = ask(probe, question).await;
    match facts.as_slice() {
        [Fact::RuleInputs(inputs)] => inputs.clone(),
        // With the samples of the condition itself, by which its stages are measured.
        [Fact::RuleInputs(inputs), Fact::Samples(condition)]
            if condition.name == format!("condition.{alert}") =>
        {
            inputs.clone()
        }
        other => panic!("{other:?}"),
    }
}

pub async fn answers() {
    let began = now_s();
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::new().await;
    let container = start(&mut lab, folder.path(), CONFIG, RULES).await;
    let probe = connect("prometheus", container.port(9090));

    // Targets, one up and one down, once both were scraped.
    let targets = eventually(20 * SECOND, || async {
        match fact(&*probe, Question::Targets).await {
            Fact::Targets { targets }
                if targets.len() == 2 && targets.iter().all(|t| t.age_s.is_some()) =>
            {
                Ok(targets)
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let of = |job: &str| targets.iter().find(|t| t.job == job).unwrap();
    let (up, down) = (of("self"), of("gone"));
    assert!(
        up.up
            && up.last_error.is_empty()
            && up.labels["service"] == "metrics"
            && up.interval_s == 0.5
    );
    assert!(
        (0.0..now_s() - began).contains(&up.age_s.unwrap())
            && up.duration_s > 0.0
            && up.scrape_url.ends_with("/metrics"),
        "{up:?}"
    );
    assert!(
        !down.up && down.last_error.contains("refused") && down.instance == "localhost:1",
        "{down:?}"
    );

    // The rules are evaluated, and the alert fires.
    eventually(20 * SECOND, || async {
        let selectors = vec![r#"ALERTS{alertname="Down",alertstate="firing"}"#.to_owned()];
        match fact(&*probe, Question::SeriesCount { selectors }).await {
            Fact::SeriesCount { counts } if counts[0].count == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let selectors =
        ["up", "nothing_at_all", "up{job=\"self\"}", "job:up:sum"].map(str::to_owned).to_vec();
    match fact(&*probe, Question::SeriesCount { selectors }).await {
        Fact::SeriesCount { counts } => {
            assert_eq!(counts.iter().map(|c| c.count).collect::<Vec<_>>(), [2, 0, 1, 2])
        }
        other => panic!("{other:?}"),
    }
    // One that does not parse is told apart from those that do.
    let facts =
        ask(&*probe, Question::SeriesCount { selectors: vec!["up".into(), "up{".into()] }).await;
    assert!(
        matches!(&facts[0], Fact::Unreachable { error, .. } if error.contains("parse")),
        "{facts:?}"
    );
    assert!(matches!(&facts[1], Fact::SeriesCount { counts } if counts[0].count == 2), "{facts:?}");

    // Samples: at steps (more of them than one request may ask for), and as stored.
    let range = |step_s: f64, start_s: f64| Question::Range {
        name: "x".into(),
        expr: "up".into(),
        start_s,
        end_s: now_s(),
        step_s,
    };
    match fact(&*probe, range(0.5, now_s() - 12_000.0)).await {
        Fact::Samples(s) => {
            assert_eq!((s.name.as_str(), s.expr.as_str(), s.series.len()), ("x", "up", 2));
            let own = s.series.iter().find(|s| s.labels["job"] == "self").unwrap();
            assert!(
                own.points.len() > 3
                    && own.points.iter().all(|(t, v)| *t > began - 2.0 && *v == Some(1.0)),
                "{own:?}"
            );
            assert!(own.points.windows(2).all(|w| w[0].0 < w[1].0));
        }
        other => panic!("{other:?}"),
    }
    match fact(&*probe, range(0.0, began)).await {
        Fact::Samples(s) => {
            let own = s.series.iter().find(|s| s.labels["job"] == "self").unwrap();
            let steps: Vec<f64> = own.points.windows(2).map(|w| w[1].0 - w[0].0).collect();
            assert!(!steps.is_empty() && steps.iter().all(|s| (0.4..2.0).contains(s)), "{steps:?}");
        }
        other => panic!("{other:?}"),
    }

    match fact(&*probe, Question::Rules).await {
        Fact::Rules { groups } => {
            assert_eq!(
                (groups[0].name.as_str(), groups[0].interval_s, groups[0].rules.len()),
                ("g", 0.75, 4)
            );
            let down = &groups[0].rules[1];
            assert!(
                down.alerting
                    && down.for_s == 1.5
                    && down.labels["severity"] == "critical"
                    && down.health == "ok",
                "{down:?}"
            );
            assert!(!groups[0].rules[0].alerting && groups[0].file.ends_with("rules.yml"));
        }
        other => panic!("{other:?}"),
    }

    let down = inputs(&*probe, "Down", began).await;
    assert_eq!(
        (
            down.comparisons[0].left.as_str(),
            down.comparisons[0].op.as_str(),
            down.comparisons[0].threshold
        ),
        ("up", "==", 0.0)
    );
    assert_eq!((down.comparisons[0].lowest, down.comparisons[0].highest), (Some(0.0), Some(1.0)));
    assert!(
        down.comparisons[0].samples > 2
            && down.drill.as_deref() == Some("d")
            && down.bucket_bounds.is_empty()
    );
    assert_eq!((down.selectors[0].selector.as_str(), down.selectors[0].count), ("up", 2));
    let slow = inputs(&*probe, "Slow", began).await;
    assert!(
        slow.bucket_bounds.len() > 3 && slow.bucket_bounds.windows(2).all(|w| w[0] < w[1]),
        "{slow:?}"
    );
    assert!(
        slow.selectors[0].count > 3 && slow.comparisons[0].highest.is_none_or(|h| h < 1e3),
        "{slow:?}"
    );
    let renamed = inputs(&*probe, "Renamed", began).await;
    assert_eq!(renamed.selectors.iter().map(|s| s.count).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((renamed.comparisons[0].lowest, renamed.comparisons[1].lowest), (None, Some(1.0)));
    assert!(inputs(&*probe, "NeverLoaded", began).await.expr.is_empty());

    // Evaluations are counted; those that were missed while it stood still are not, though its own
    // counter counts them.
    let counted = || async {
        match fact(&*probe, Question::Evaluations).await {
            Fact::Evaluations { groups } => groups
                .iter()
                .find(|g| g.file.ends_with("/rules.yml") && g.name == "g")
                .cloned()
                .ok_or(groups),
            other => panic!("{other:?}"),
        }
    };
    let first = counted().await.unwrap();
    assert!(first.evaluated > 0 && first.failed == 0, "{first:?}");
    let before_s = now_s();
    lab.freeze(&container, 5 * SECOND).await;
    let more = |wanted: u64| {
        move |seen: GroupEvaluations| {
            if seen.evaluated >= wanted { Ok(seen) } else { Err(format!("{seen:?}")) }
        }
    };
    let after =
        eventually(20 * SECOND, || async { more(first.evaluated + 2)(counted().await.unwrap()) })
            .await;
    let (due, seen) = ((now_s() - before_s) / 0.75, after.evaluated - first.evaluated);
    assert!(due - seen as f64 >= 4.0, "{seen} of {due} though it stood still");

    // A configuration that is refused.
    match fact(&*probe, Question::Reload).await {
        Fact::Reload(r) => assert!(r.successful && r.last_success_s > began - 5.0, "{r:?}"),
        other => panic!("{other:?}"),
    }
    std::fs::write(folder.path().join("rules.yml"), RULES.replace("up == 0", "up === 0")).unwrap();
    lab.hang_up(&container).await;
    eventually(10 * SECOND, || async {
        match fact(&*probe, Question::Reload).await {
            Fact::Reload(r) if !r.successful && !r.seen.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    lab.stop(&container).await;
    assert_unreachable(&*probe, Question::Targets).await;
    assert_unreachable(&*probe, Question::SeriesCount { selectors: vec!["up".into(), "x".into()] })
        .await;
    assert_unreachable(
        &*probe,
        Question::RuleInputs { alert: "Down".into(), drill: None, start_s: began, end_s: now_s() },
    )
    .await;
}
