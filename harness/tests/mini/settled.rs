//! Whether a run stands on what it takes for granted: the time scale leaves scrapes enough time,
//! each fault can be had and stays until it is healed, the host's clock goes on evenly. On copies
//! of the mini stack, with the built binary.

#![allow(clippy::unwrap_used)]

use firedrill::engine::{Engine, EngineError, label};
use libtest_mimic::Failed;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::broken::Broken;
use support::clock::Clock;
use support::images;
use support::module::{Test, Tests};

const IMAGES: [&str; 2] = ["prometheus", "alertmanager"];
/// Longest time until a drill's fault is seen to bite; images may have to be made first.
const BITES: Duration = Duration::from_secs(1800);
/// The time scale that the copy declares: its intervals are as many times longer than those of the
/// original.
const DECLARED: f64 = 8.0;

pub fn tests() -> Tests {
    let slow = "a time scale that scrapes don't bear lowers itself, and a fault that can't be had spoils its own drill only";
    let set_back = "a clock that is set back while a drill goes on leaves nothing judged that compares times, and nothing else";
    let mut tests = vec![
        images::trial(slow, &IMAGES, lowers_itself),
        images::trial(set_back, &IMAGES, || clock_is_set(-600)),
    ];
    type Case = (&'static str, fn() -> Result<(), Failed>);
    let at_night: [Case; 3] = [
        ("a time scale that was asked for is refused with the largest that works", refused),
        ("a fault that ends by itself proves nothing", ends_by_itself),
        (
            "a clock that is set forward while a drill goes on leaves nothing judged that compares times",
            || clock_is_set(600),
        ),
    ];
    for (name, test) in at_night {
        tests.push(Test::nightly(name, |name| images::trial(name, &IMAGES, test)));
    }
    Tests::one_by_one(tests)
}

/// The mini stack at a time scale, with a target whose scrapes take longer than half of their
/// timeout then; and no drill.
fn slow() -> Broken {
    let copy = Broken::copy_of("mini");
    copy.edit("firedrill.yaml", "time_scale: 1", &format!("time_scale: {DECLARED}"));
    copy.edit("firedrill.yaml", "hold_s: 6", "hold_s: 3");
    let server = "prometheus/prometheus.yml";
    copy.edit(server, "scrape_interval: 1s", "scrape_interval: 8s");
    copy.edit(server, "scrape_timeout: 900ms", "scrape_timeout: 7200ms");
    copy.edit(server, "evaluation_interval: 1s", "evaluation_interval: 8s");
    copy.edit(server, "- job_name: spare", "- job_name: spare\n    scrape_timeout: 2400ms");
    copy.edit(
        "docker-compose.yml",
        "LISTEN: 0.0.0.0:9001",
        "LISTEN: 0.0.0.0:9001\n      SCRAPE_WORK_MS: 200",
    );
    for file in std::fs::read_dir(copy.folder().join("scenarios")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    std::fs::remove_file(copy.folder().join("verdicts.yaml")).unwrap();
    copy
}

fn command(copy: &Broken, arguments: &[&str]) -> Command {
    let folder = copy.folder().display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command
        .args(arguments.iter().map(|a| a.replace("STACK", &folder)))
        .args(["--report", "report"])
        .current_dir(copy.home.path());
    command.env("FIREDRILL_STATE", copy.home.path().join("state"));
    command
}

fn words(output: &Output) -> String {
    format!(
        "exit {:?}\n{}\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

/// Folders of the runs, oldest first.
fn runs(copy: &Broken) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(copy.report())
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    found.retain(|folder| folder.join("history.jsonl").is_file());
    found.sort();
    found
}

fn json(file: &Path) -> Result<Value, Failed> {
    Ok(serde_json::from_str(
        &std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?,
    )?)
}

/// Status and reason of a verdict.
fn verdict<'r>(report: &'r Value, id: &str) -> Result<(&'r str, &'r str), Failed> {
    let told = report["verdicts"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|v| v["id"] == id)
        .ok_or_else(|| format!("no verdict {id}"))?;
    Ok((told["status"].as_str().unwrap_or_default(), told["reason"].as_str().unwrap_or_default()))
}

fn lowers_itself() -> Result<(), Failed> {
    let copy = slow();
    let drill = "schema: 1\nname: not_to_be_had\nsummary: There is no such server.\nfault: {kind: redis_fill, target: spare, settings: {port: \"9001\"}}\n";
    copy.edit("scenarios/not_to_be_had.yaml", "", drill);
    let output = command(&copy, &["verify", "STACK"]).output()?;
    let told = words(&output);
    // One drill is unknown, and nothing else is wrong.
    assert_eq!(output.status.code(), Some(2), "{told}");
    let runs = runs(&copy);
    assert!(runs.len() > 1, "it was not begun anew: {told}");
    let report = json(&runs.last().unwrap().join("report.json"))?;
    let scale = report["run"]["time_scale"].as_f64().ok_or("no time scale")?;
    assert!((1.0..DECLARED).contains(&scale), "{told}");
    let deviations = report["run"]["deviations"].as_array().ok_or("no deviations")?;
    let what = format!("time scale {scale} instead of {DECLARED}");
    let why = deviations
        .iter()
        .find(|d| d["what"] == what)
        .and_then(|d| d["why"].as_str())
        .unwrap_or_default();
    assert!(
        why.contains("job `spare`: its scrapes take") && !why.contains("job `exporter`"),
        "{deviations:?}"
    );
    let (status, reason) = verdict(&report, "drill.not_to_be_had.fault")?;
    assert!(
        status == "unknown"
            && reason.contains("it could not be injected: fault redis_fill on spare"),
        "{status}: {reason}"
    );
    let wrong: Vec<_> = report["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["status"] != "pass" && v["status"] != "skipped")
        .collect();
    assert!(
        wrong
            .iter()
            .all(|v| v["id"].as_str().is_some_and(|id| id.starts_with("drill.not_to_be_had."))),
        "{wrong:#?}"
    );
    assert_eq!(verdict(&report, "scraping.targets")?.0, "pass");
    // The run that ended before its first drill says why.
    let ended = std::fs::read_to_string(runs[0].join("history.jsonl"))?;
    assert!(
        ended.lines().last().unwrap().contains("more than half of their scaled timeout"),
        "{told}"
    );
    Ok(())
}

fn refused() -> Result<(), Failed> {
    let copy = slow();
    let output = command(&copy, &["verify", "STACK", "--time-scale", "8"]).output()?;
    let told = words(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    for wanted in [
        "time scale 8 can't be had; the largest that works is ",
        "job `spare`: its scrapes take ",
        "hint: ",
    ] {
        assert!(told.contains(wanted), "{wanted:?}: {told}");
    }
    assert_eq!(runs(&copy).len(), 1, "{told}");
    Ok(())
}

/// A copy of the mini stack with a name of its own, so that its containers can be told.
fn named() -> (Broken, String) {
    let copy = Broken::copy_of("mini");
    let name = format!("mini-{}", std::process::id());
    copy.edit("firedrill.yaml", "stack: mini", &format!("stack: {name}"));
    (copy, name)
}

/// Waits until the fault of a copy's only run has bitten.
fn bitten(copy: &Broken) {
    let began = Instant::now();
    let bit = |folder: &PathBuf| {
        std::fs::read_to_string(folder.join("history.jsonl"))
            .is_ok_and(|told| told.contains("\"bit\""))
    };
    while !runs(copy).iter().any(bit) && began.elapsed() < BITES {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ends_by_itself() -> Result<(), Failed> {
    let (copy, name) = named();
    let child = command(&copy, &["run", "spare_paused", "--stack", "STACK"])
        .stdout(Stdio::piped())
        .spawn()?;
    bitten(&copy);
    // Somebody else puts an end to it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let unpaused = runtime.block_on(unpause(&name));
    let output = child.wait_with_output()?;
    let told = words(&output);
    unpaused.map_err(|e| format!("{e}\n{told}"))?;
    assert_eq!(output.status.code(), Some(2), "{told}");
    let report = json(&runs(&copy)[0].join("report.json"))?;
    let (status, reason) = verdict(&report, "drill.spare_paused.fault")?;
    assert!(
        status == "unknown" && reason.contains("it bit, and before it was healed it did no more"),
        "{status}: {reason}"
    );
    assert_eq!(verdict(&report, "alert.SpareDown.fires")?.0, "unknown");
    Ok(())
}

fn clock_is_set(by_s: i64) -> Result<(), Failed> {
    let (copy, name) = named();
    let clock = Clock::new()?;
    let mut run = command(&copy, &["run", "spare_paused", "--stack", "STACK"]);
    clock.show(&mut run);
    let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    bitten(&copy);
    clock.set(by_s)?;
    let output = child.wait_with_output()?;
    let told = words(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let report = json(&runs(&copy)[0].join("report.json"))?;
    let stepped = format!("the host's clock was stepped by {by_s:+}.0 s between events ");
    for id in [
        "alert.SpareDown.fires",
        "alert.SpareDown.reaches",
        "alert.SpareDown.resolves",
        "drill.spare_paused.fault",
    ] {
        let (status, reason) = verdict(&report, id)?;
        assert!(status == "unknown" && reason.contains(&stepped), "{id}: {status}: {reason}");
    }
    let failed: Vec<_> = report["verdicts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|v| v["status"] == "fail")
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // Healed and removed by the clock that was not set.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let left = runtime.block_on(async {
        Engine::connect().await?.containers_with(label::STACK, Some(&name)).await
    });
    assert_eq!(left.map_err(|e: EngineError| e.to_string())?.len(), 0, "{told}");
    Ok(())
}

/// Lets the containers of a stack go on that are paused.
async fn unpause(stack: &str) -> Result<(), String> {
    let told = |e: EngineError| e.to_string();
    let engine = Engine::connect().await.map_err(told)?;
    let mut paused = 0;
    for container in engine.containers_with(label::STACK, Some(stack)).await.map_err(told)? {
        if engine.inspect(&container).await.map_err(told)?.paused {
            engine.unpause(&container).await.map_err(told)?;
            paused += 1;
        }
    }
    if paused == 1 { Ok(()) } else { Err(format!("{paused} containers of {stack} were paused")) }
}
