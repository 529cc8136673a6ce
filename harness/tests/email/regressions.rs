//! Releases in which nothing breaks and which are worse: a service that is a tenth slower, one that
//! leaks, a cache that no longer hits, a log store that shows lines late, a dashboard that takes
//! seconds. Compared with the stack as it is, in turn, each is told by the measure that it
//! concerns, and nothing else is. Night only: eight runs of the e-mail stack, over three minutes
//! each, and eight of a small one, 75 s each.

#![allow(clippy::unwrap_used)]

use libtest_mimic::Failed;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use support::broken::Broken;
use support::images;
use support::module::{Test, Tests};

/// A check of the gate, and what it must tell.
struct Comparison<'a> {
    /// The worse version, and the one that it is compared with.
    folder: &'a str,
    versus: &'a str,
    runs: &'a str,
    /// Measures that must be worse, and why.
    worse: &'a [(&'a str, &'a str)],
    /// Measures that none of the changes concerns.
    as_before: &'a [&'a str],
}

type Told = fn() -> Result<(), Failed>;

pub fn tests() -> Tests {
    let trials: [(&str, Told); 2] = [
        ("a service that is slower by a tenth is told from the one as it is", slower),
        (
            "releases that leak, no longer cache, log late or show nothing for seconds are told from the stack as it is",
            worse,
        ),
    ];
    // One stack at a time: they would slow each other.
    Tests::one_by_one(trials.map(|(name, trial)| {
        Test::nightly(name, |name| images::needing(name, images::no_engine, trial))
    }))
}

/// Medians of this service differ by 0.3 % between runs, and the slower one is 9 % above: four runs
/// on each side tell that.
fn slower() -> Result<(), Failed> {
    let service = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/email/regressions/service");
    let home = tempfile::tempdir()?;
    let copy = home.path().join("service");
    firedrill::stack::work_copy::copy(&service, &copy)?;
    let compose = copy.join("docker-compose.yml");
    let (text, place) = (std::fs::read_to_string(&compose)?, "SERVICE_NAME: email-service\n");
    assert!(text.contains(place));
    std::fs::write(
        &compose,
        text.replacen(place, &format!("{place}      SLOWED_BY: \"1.1\"\n"), 1),
    )?;
    Comparison {
        folder: &copy.display().to_string(),
        versus: &service.display().to_string(),
        runs: "4",
        worse: &[("baseline.list_median", "a service that is slower by a tenth")],
        as_before: &["baseline.error_rate"],
    }
    .made(&home.path().join("report"))
}

fn worse() -> Result<(), Failed> {
    let copy = Broken::copy_of("email");
    copy.edit(
        "docker-compose.yml",
        r#"CACHE_TTL_SECONDS: "30""#,
        "CACHE_TTL_SECONDS: \"0.001\"\n      LEAKED_BYTES: \"32768\"",
    );
    copy.edit(
        "elasticsearch/logs-template.json",
        r#""index.refresh_interval": "1s""#,
        r#""index.refresh_interval": "15s""#,
    );
    copy.without_drill();
    let panel = "grafana/dashboards/email-service-overview.json";
    copy.edit(panel, r#"job:http_requests:rate5m{job=\"email-service\"}"#, SLOW_QUERY);
    Comparison {
        folder: &copy.folder().display().to_string(),
        versus: "email",
        runs: "4",
        worse: &[
            ("baseline.memory_growth", "a leak of 32 KiB a request"),
            ("baseline.cache_hit_rate", "a cache whose entries are gone at once"),
            ("baseline.dashboard", "a panel that takes seconds"),
            ("baseline.log_lag", "a log store that shows lines seconds later"),
        ],
        as_before: &[
            "baseline.error_rate",
            "baseline.queue_depth",
            "baseline.task_lateness",
            "baseline.trace_lag",
        ],
    }
    .made(&copy.report())
}

/// Sorts 30,000 values at each of 2,000 instants, and at as many for each minute that is shown: 3
/// to 4 s in these runs, on two cores.
const SLOW_QUERY: &str = "max_over_time(quantile_over_time(0.5, vector(1)[1m:2ms])[1m:30ms])";

impl Comparison<'_> {
    /// Makes it; an error says what it told wrongly.
    fn made(&self, report: &Path) -> Result<(), Failed> {
        let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
            .args([
                "baseline",
                "check",
                self.folder,
                "--versus",
                self.versus,
                "--runs",
                self.runs,
                "--format",
                "json",
                "--report",
            ])
            .arg(report)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let report: Value =
            serde_json::from_slice(&output.stdout).map_err(|e| format!("{e}: {said}"))?;
        let verdicts: BTreeMap<&str, &Value> = report["verdicts"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| Some((v["id"].as_str()?, v)))
            .collect();
        let status =
            |id: &str| verdicts.get(id).and_then(|v| v["status"].as_str()).unwrap_or("missing");
        let missed = self
            .worse
            .iter()
            .filter(|(id, _)| status(id) != "fail")
            .map(|(id, what)| format!("{what}: {id} is {}", status(id)));
        let blamed =
            self.as_before.iter().filter(|id| status(id) == "fail").map(|id| format!("{id} fails"));
        let wrong: Vec<String> = missed.chain(blamed).collect();
        if wrong.is_empty() && output.status.code() == Some(1) {
            return Ok(());
        }
        let told: Vec<String> = verdicts
            .iter()
            .map(|(id, v)| format!("{id}: {} {}", v["status"], v["reason"]))
            .collect();
        Err(format!("{}\n{}\n{said}", wrong.join("\n"), told.join("\n")).into())
    }
}
