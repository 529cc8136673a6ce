//! `firedrill lint` on our stacks as they are, on copies that are broken in one way each, and on a
//! stack that is up.
//!
//! Each copy must be convicted of what was broken, at its place, and of nothing else.

#![allow(clippy::unwrap_used)]

mod cases;

use libtest_mimic::Failed;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};
use support::broken::{Broken, Ended};
use support::images;
use support::module::{Test, Tests};

pub fn tests() -> Tests {
    let mut tests = vec![
        Test::new("our_stacks_are_clean", our_stacks_are_clean),
        Test::new("a_thousand_rules_take_seconds", a_thousand_rules_take_seconds),
        Test::new("what_is_printed_can_be_read", what_is_printed_can_be_read),
        images::trial(
            "a_stack_that_is_up_tells_more",
            &["prometheus", "alertmanager"],
            a_stack_that_is_up_tells_more,
        ),
    ];
    for case in cases::CASES {
        tests.push(Test::new(format!("broken: {}", case.name), move || wrong(case)));
    }
    Tests::side_by_side(tests)
}

/// What a lint found: severity, check, `file:line`. Files are told from the folder that it ran in.
fn findings(broken: &Broken, ended: &Ended) -> Result<Vec<(String, String, String)>, Failed> {
    let told: Value = serde_json::from_str(&ended.stdout)
        .map_err(|error| format!("{error}: {}{}", ended.stderr, ended.stdout))?;
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let all = told["findings"].as_array().ok_or("no list of findings")?;
    for finding in all {
        if text(finding, "what").is_empty() || finding["line"].as_u64().is_none() {
            return Err(format!("a finding without words or line: {finding}").into());
        }
    }
    let file = |one: &Value| broken.home.path().join(text(one, "file")).canonicalize();
    all.iter()
        .map(|one| {
            Ok((
                text(one, "severity"),
                text(one, "check"),
                format!("{}:{}", file(one)?.display(), one["line"]),
            ))
        })
        .collect()
}

fn our_stacks_are_clean() -> Result<(), Failed> {
    for stack in ["mini", "email"] {
        let ended = Broken::copy_of(stack).run(&["lint", "STACK"]);
        if ended.exit != 0 || !ended.stdout.starts_with("pass: ") {
            return Err(
                format!("{stack}: exit {}: {}{}", ended.exit, ended.stdout, ended.stderr).into()
            );
        }
    }
    Ok(())
}

/// What follows from a finding: nothing gets through a route that no alert enters.
fn follows(check: &str) -> &'static [&'static str] {
    match check {
        "unknown-label" | "dead-route" => &["dead-route", "receiver-never-reached"],
        _ => &[],
    }
}

fn wrong(case: &cases::Case) -> Result<(), Failed> {
    let broken = Broken::copy_of(case.stack);
    for (file, old, new) in case.edits {
        broken.edit(file, old, new);
    }
    let ended = broken.run(&["lint", "STACK", "--format", "json"]);
    let found = findings(&broken, &ended)?;
    let (file, text) = case.at;
    let path = broken.folder().join(file).canonicalize()?;
    let place =
        if text.is_empty() { format!("{}:0", path.display()) } else { broken.place(file, text) };
    let wanted = (case.severity.to_owned(), case.check.to_owned(), place);
    let others: Vec<_> = found
        .iter()
        .filter(|one| one.1 != case.check && !follows(case.check).contains(&one.1.as_str()))
        .collect();
    if !found.contains(&wanted) || !others.is_empty() {
        return Err(format!(
            "wanted {wanted:?} and nothing else, found {found:#?}\n{}",
            ended.stdout
        )
        .into());
    }
    let exit = i32::from(found.iter().any(|one| one.0 != "note"));
    if ended.exit == exit {
        Ok(())
    } else {
        Err(format!("exit {}, wanted {exit}", ended.exit).into())
    }
}

/// The mini stack with this many more rules, recorded series among them.
fn with_rules(number: usize) -> Broken {
    let broken = Broken::copy_of("mini");
    let mut text = String::from("groups:\n");
    for group in 0..number / 20 {
        text.push_str(&format!("- name: generated{group}\n  rules:\n"));
        for rule in 0..10 {
            let name = format!("generated{group}_{rule}");
            text.push_str(&format!(
                "  - record: job:{name}:rate10s\n    expr: sum by (job) (rate(scripted_requests_total{{job=\"exporter\", status=~\"{rule}..\"}}[10s]))\n  \
                 - alert: {name}\n    expr: job:{name}:rate10s / on (job) group_left () sum by (job) (rate(scripted_requests_total{{job=\"exporter\"}}[10s])) > 0.{rule}5\n    \
                 for: 2s\n    labels: {{severity: {}, service: exporter}}\n    annotations: {{summary: '{{{{ $labels.job }}}} is at {{{{ $value | humanizePercentage }}}}'}}\n",
                if rule % 3 == 0 { "critical" } else { "warning" }
            ));
        }
    }
    broken.edit("prometheus/rules/generated.yml", "", &text);
    broken
}

fn a_thousand_rules_take_seconds() -> Result<(), Failed> {
    let took = |number: usize| -> Result<Duration, Failed> {
        let broken = with_rules(number);
        let mut least = Duration::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            let ended = broken.run(&["lint", "STACK"]);
            least = least.min(began.elapsed());
            if ended.exit != 0 || !ended.stdout.contains(&format!("{} rules", number + 5)) {
                return Err(format!(
                    "{number} rules: exit {}: {}{}",
                    ended.exit, ended.stdout, ended.stderr
                )
                .into());
            }
        }
        Ok(least)
    };
    let (few, many) = (took(200)?, took(2000)?);
    println!("200 rules {few:?}, 2000 rules {many:?}");
    // Ten times as many rules: twenty times as long is still about linear, a square would be a
    // hundred times.
    if many > few * 20 {
        return Err(format!("200 rules took {few:?}, 2000 took {many:?}").into());
    }
    Ok(())
}

fn what_is_printed_can_be_read() -> Result<(), Failed> {
    let broken = Broken::copy_of("mini");
    broken.edit("prometheus/rules/alerts.yml", "[10s])) > 0.05", "[10s])) > = 0.05");
    let ended = broken.run(&["lint", "STACK"]);
    let place = broken.place("prometheus/rules/alerts.yml", "> = 0.05");
    let lines: Vec<_> = ended.stdout.lines().collect();
    let told = lines.iter().any(|line| {
        line.contains(": error: parse: ") && place.ends_with(line.split(": ").next().unwrap_or("?"))
    });
    if !told
        || !ended.stdout.contains("hint: ")
        || !lines.last().is_some_and(|line| line.starts_with("fail: ") && line.contains("1 errors"))
    {
        return Err(format!("wanted one finding at {place}: {}", ended.stdout).into());
    }
    Ok(())
}

/// Rules that only the running stack can convict, beside those of the stack, which are right.
const LIVE: &str = r#"groups:
- name: live
  rules:
  - {alert: Gone, expr: 'scripted_valeu{job="exporter"} > 5', labels: {severity: warning, service: exporter}}
  - {alert: NoSuchLabel, expr: 'scripted_value{job="exporter", zone="a"} > 5', labels: {severity: warning, service: exporter}}
  - {alert: NoSuchValue, expr: 'scripted_requests_total{job="exporter", status="418"} > 0', labels: {severity: warning, service: exporter}}
  - {alert: NoSuchGroup, expr: 'sum by (zone) (scripted_value) > 500', labels: {severity: warning, service: exporter}}
  - alert: TooSlow
    expr: histogram_quantile(0.9, sum by (job, le) (rate(scripted_seconds_bucket[10s]))) > 2
    labels: {severity: warning, service: exporter}
  - alert: SlowEnough
    expr: histogram_quantile(0.9, sum by (job, le) (rate(scripted_seconds_bucket[10s]))) > 0.5
    labels: {severity: warning, service: exporter}
  - alert: NotSlowYet
    expr: histogram_quantile(0.9, sum by (cmd, le) (rate(grown_usec_bucket[10s]))) > 100000
    labels: {severity: warning, service: exporter}
  - alert: Shows
    expr: scripted_value > 500
    labels: {severity: warning, service: exporter}
    annotations: {summary: 'in {{ $labels.zone }} of {{ $labels.instance }}'}
"#;

fn a_stack_that_is_up_tells_more() -> Result<(), Failed> {
    let broken = Broken::copy_of("mini");
    broken.edit("prometheus/rules/live.yml", "", LIVE);
    let buckets = "        # TYPE scripted_seconds histogram\n        scripted_seconds_bucket{le=\"1\"} 4\n        scripted_seconds_bucket{le=\"2\"} 5\n        \
                   scripted_seconds_bucket{le=\"+Inf\"} 6\n        scripted_seconds_sum 9\n        scripted_seconds_count 6\n";
    // Its buckets come with the data, as those of Redis' commands: that there is none beyond is no
    // evidence.
    let grown = "        # TYPE grown_usec histogram\n        grown_usec_bucket{cmd=\"get\",le=\"2\"} 5\n        \
                 grown_usec_bucket{cmd=\"get\",le=\"16\"} 6\n        grown_usec_bucket{cmd=\"get\",le=\"+Inf\"} 6\n        \
                 grown_usec_sum{cmd=\"get\"} 20\n        grown_usec_count{cmd=\"get\"} 6\n";
    let first = "        # TYPE scripted_value gauge\n";
    broken.edit("docker-compose.yml", first, &format!("{buckets}{grown}{first}"));
    // A job without a target: its discovery finds nothing.
    let empty = "  - job_name: nobody\n    static_configs: []\n";
    broken.edit(
        "prometheus/prometheus.yml",
        "scrape_configs:\n",
        &format!("scrape_configs:\n{empty}"),
    );
    let program = |arguments: &[&str]| {
        let mut command = broken.command(arguments);
        command
            .env_remove("DOCKER_HOST")
            .env("FIREDRILL_STATE", broken.home.path().join("state"))
            .current_dir(broken.home.path());
        // Where the tools are that build what is missing.
        command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
        command
    };
    let up = Down(Some(program(&["down", "STACK", "--report", "report"])));
    let ended = program(&["up", "STACK", "--report", "report"]).output()?;
    if !ended.status.success() {
        return Err(format!(
            "up ended with {}: {}",
            ended.status,
            String::from_utf8_lossy(&ended.stderr)
        )
        .into());
    }
    // A rate needs two scrapes, and the rules an evaluation.
    let began = Instant::now();
    let wanted: BTreeSet<(&str, &str)> = [
        ("job-without-target", "- job_name: nobody"),
        ("series-missing", "alert: Gone"),
        ("series-missing", "alert: NoSuchLabel"),
        ("selector-matches-nothing", "alert: NoSuchValue"),
        ("grouped-by-nothing", "alert: NoSuchGroup"),
        ("beyond-last-bucket", "alert: TooSlow"),
        ("template-label", "alert: Shows"),
    ]
    .into();
    loop {
        let output = program(&["lint", "STACK", "--format", "json"]).output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let ended = Ended {
            exit: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        let found: BTreeSet<_> = findings(&broken, &ended)?
            .into_iter()
            .map(|(_, check, place)| (check, place))
            .collect();
        let places: BTreeSet<_> = wanted
            .iter()
            .map(|(check, at)| {
                let file = if at.contains("job_name") { "prometheus/prometheus.yml" } else { "prometheus/rules/live.yml" };
                // The expression of a rule in several lines stands in the next one.
                let line = if *check == "beyond-last-bucket" {
                    "expr: histogram_quantile(0.9, sum by (job, le) (rate(scripted_seconds_bucket[10s]))) > 2"
                } else {
                    at
                };
                ((*check).to_owned(), broken.place(file, line))
            })
            .collect();
        if found == places {
            break;
        }
        if began.elapsed() > Duration::from_secs(30) {
            return Err(format!("wanted {places:#?}, found {}", ended.stdout).into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    up.now()
}

/// Removes the stack, however the test ends.
struct Down(Option<Command>);

impl Down {
    fn now(mut self) -> Result<(), Failed> {
        let ended = self.0.take().map(|mut command| command.output()).transpose()?;
        match ended {
            Some(ended) if !ended.status.success() => {
                Err(String::from_utf8_lossy(&ended.stderr).into_owned().into())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        if let Some(mut command) = self.0.take() {
            let _ = command.output();
        }
    }
}
