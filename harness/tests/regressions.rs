//! Releases in which nothing breaks and which are worse: a service that is a tenth slower and leaks, a cache that no longer hits, a
//! dashboard that takes seconds. Compared with the stack as it is, in turn, each is told by the measure that it concerns, and nothing
//! else is. Night only: six runs of five minutes.

#![allow(clippy::unwrap_used)]

// Each test program uses its part of this.
#[allow(dead_code)]
#[path = "bad_input/broken.rs"]
mod broken;
#[path = "images/obtain.rs"]
mod images;

use broken::Broken;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

/// What must be worse, and by which change.
const WORSE: [(&str, &str); 4] = [
    ("baseline.list_median", "a service that is slower by a tenth"),
    ("baseline.memory_growth", "a leak of 32 KiB a request"),
    ("baseline.cache_hit_rate", "a cache whose entries are gone at once"),
    ("baseline.dashboard", "a panel that takes seconds"),
];
/// What none of these changes concerns.
const AS_BEFORE: [&str; 4] = ["baseline.error_rate", "baseline.queue_depth", "baseline.log_lateness", "baseline.detection"];

fn main() -> ExitCode {
    let name = "releases that are slower, leak or no longer cache are told from the stack as it is";
    let trial = match images::is_set("FIREDRILL_NIGHTLY") {
        true => images::needing(name, images::no_engine, told),
        false => Trial::test(format!("{name} (nightly: FIREDRILL_NIGHTLY=1 runs it)"), || Ok(())).with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn worse() -> Broken {
    let copy = Broken::copy_of("email");
    copy.edit(
        "docker-compose.yml",
        r#"CACHE_TTL_SECONDS: "30""#,
        "CACHE_TTL_SECONDS: \"0.001\"\n      SLOWED_BY: \"1.1\"\n      LEAKED_BYTES: \"32768\"",
    );
    let panel = "grafana/dashboards/email-service-overview.json";
    copy.edit(panel, r#"job:http_requests:rate5m{job=\"email-service\"}"#, SLOW_QUERY);
    copy
}

/// Evaluates a rate at three million instants.
const SLOW_QUERY: &str = r#"max_over_time(rate(process_cpu_seconds_total{job=\"email-service\"}[1m])[50m:1ms])"#;

fn told() -> Result<(), Failed> {
    let copy = worse();
    let folder = copy.folder().display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["baseline", "check", &folder, "--versus", "email", "--runs", "3", "--format", "json", "--report"])
        .arg(copy.report())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("{e}: {said}"))?;
    let verdicts: BTreeMap<&str, &Value> =
        report["verdicts"].as_array().into_iter().flatten().filter_map(|v| Some((v["id"].as_str()?, v))).collect();
    let status = |id: &str| verdicts.get(id).and_then(|v| v["status"].as_str()).unwrap_or("missing");
    let missed = WORSE.iter().filter(|(id, _)| status(id) != "fail").map(|(id, what)| format!("{what}: {id} is {}", status(id)));
    let blamed = AS_BEFORE.iter().filter(|id| status(id) == "fail").map(|id| format!("{id} fails"));
    let wrong: Vec<String> = missed.chain(blamed).collect();
    if wrong.is_empty() && output.status.code() == Some(1) { Ok(()) } else { Err(format!("{}\n{said}", wrong.join("\n")).into()) }
}
