//! Gates, trends and comparisons by the built binary, without Docker: steps that lint files and
//! load a server of this test, and recorded runs. `DOCKER_HOST` leads nowhere, so a step that needs
//! an engine is unfit.

#![allow(clippy::unwrap_used)]

mod pages;
mod server;

use firedrill::ops::gate::outcome::Outcome;
use firedrill::ops::gate::report::Report;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quick_junit::{NonSuccessKind, TestCaseStatus};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::broken::Broken;

/// Longest that anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A gate of these steps in a copy of the mini stack, and the arguments that run it.
fn gate(steps: &str) -> (Broken, Vec<String>) {
    let broken = Broken::copy_of("mini");
    let text = format!("schema: 1\nabout: a test\nstack: STACK\nhours: 1\nsteps:\n{steps}")
        .replace("STACK", &broken.folder().display().to_string());
    std::fs::write(broken.home.path().join("own.yaml"), text).unwrap();
    let arguments =
        ["gate", "own.yaml", "--report", "report", "--seed", "7"].map(str::to_owned).to_vec();
    (broken, arguments)
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The one folder of a gate, once it is there.
fn folder(broken: &Broken) -> Option<PathBuf> {
    let mut all = std::fs::read_dir(broken.report())
        .ok()?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.join("gate.json").is_file());
    all.next()
}

fn report(folder: &Path) -> Report {
    firedrill::record::read_json(folder, "gate.json").unwrap()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{what} was not seen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn begin(broken: &Broken, arguments: &[String]) -> Child {
    broken.command(&words(arguments)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(mut child: Child) -> (i32, String) {
    let code = until("the end", || child.try_wait().unwrap()).code().unwrap_or(-1);
    let output = child.wait_with_output().unwrap();
    (
        code,
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    )
}

/// The process whose gate this is.
fn step_of(gate: &Child) -> Option<i32> {
    let wanted = format!("--of-gate\0{}\0", gate.id()).into_bytes();
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    processes.into_iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(wanted.len()).any(|w| w == wanted)
    })
}

fn lives(pid: i32) -> bool {
    // One that ended and was not waited for yet counts as gone.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(") ").next().and_then(|s| s.chars().next()).is_some_and(|s| s != 'Z' && s != 'X')
}

/// The golden run under the folder for reports, by this name.
fn recorded(broken: &Broken, name: &str) -> PathBuf {
    let (from, to) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pure/report/golden"),
        broken.report().join(name),
    );
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    to
}

/// One that is judged by a bound which it does not keep.
fn recorded_and_failing(broken: &Broken, name: &str) {
    let path = recorded(broken, name).join("run.json");
    let mut file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let expectations = file["plan"]["expectations"].as_array_mut().unwrap();
    let fires = expectations.iter_mut().map(|e| &mut e["expectation"]);
    let mut fires =
        fires.filter(|e| e["check"] == "alert_fires" && e["alert"] == "EmailServiceDown");
    fires.next().unwrap()["within_s"] = 0.5.into();
    std::fs::write(&path, file.to_string()).unwrap();
}

#[test]
fn steps_run_in_turn_and_their_worst_end_is_the_gates() {
    let server = server::start();
    // On a busy machine a load may be invalid, which is not what this is about.
    let (broken, arguments) = gate(&format!(
        "  - {{name: lint, run: 'lint {{stack}} --files-only'}}
  - {{name: old, run: judge report/good}}
  - {{name: worse, run: judge report/bad, allow: [fail], because: known}}
  - {{name: load, run: 'load --url http://{server}/ --rate 50 --duration 500ms --max-slip 1m', allow: [unknown], because: busy}}
  - {{name: verify, run: 'verify {{stack}}', otherwise: stop}}
  - {{name: never, run: 'lint {{stack}}'}}
"
    ));
    recorded(&broken, "good");
    recorded_and_failing(&broken, "bad");
    let ended = broken.run(&words(&arguments));
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.exit, 3, "{told}");
    let folder = folder(&broken).unwrap();
    let seen = report(&folder);
    use Outcome::{Allowed, NotRun, Pass, Unfit};
    let outcomes: Vec<_> = seen.steps.iter().map(|s| s.outcome).collect();
    assert_eq!(
        (&outcomes[..3], &outcomes[4..]),
        (&[Pass, Pass, Allowed][..], &[Unfit, NotRun][..]),
        "{told}"
    );
    assert!([Pass, Allowed].contains(&outcomes[3]), "{told}");
    assert_eq!(seen.steps[5].because.as_deref(), Some("verify did not pass"));
    assert!(
        seen.steps[0].ran[0].command.ends_with("--files-only --seed 7"),
        "{:?}",
        seen.steps[0].ran
    );
    for words in [
        "unfit: of 6 steps ",
        "1 did not pass, 1 not run",
        "no container engine answers",
        "report: report/",
    ] {
        assert!(told.contains(words), "{words:?}: {told}");
    }
    let xml = std::fs::read_to_string(folder.join("junit.xml")).unwrap();
    let junit = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    let statuses: Vec<_> =
        junit.test_suites.iter().flat_map(|s| &s.test_cases).map(|c| &c.status).collect();
    assert_eq!(statuses.len(), 6, "{xml}");
    assert!(
        matches!(statuses[4], TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. }),
        "{xml}"
    );
    assert!(matches!(statuses[5], TestCaseStatus::Skipped { .. }), "{xml}");
    let page = std::fs::read_to_string(folder.join("index.html")).unwrap();
    pages::is_readable(&page);
    pages::links_lead_somewhere(&page, &folder);
    let load = std::fs::read_to_string(folder.join("04-load/load-001.html")).unwrap();
    pages::is_readable(&load);
    assert!(load.contains("Latency and service time by percentile"), "{load}");
}

#[test]
fn a_step_is_repeated_until_its_share_is_over_and_at_least_once() {
    let server = server::start();
    let (broken, mut arguments) = gate(&format!(
        "  - {{name: again, run: 'lint {{stack}} --files-only', share: 0.3}}
  - {{name: once, run: 'load --url http://{server}/ --rate 20 --duration {{share}} --max-slip 1m', share: 0.0001, allow: [unknown], because: busy}}
"
    ));
    arguments.extend(["--hours", "0.002"].map(str::to_owned));
    let ended = broken.run(&words(&arguments));
    assert_eq!(ended.exit, 0, "{}{}", ended.stdout, ended.stderr);
    let seen = report(&folder(&broken).unwrap());
    let seeds: Vec<&str> =
        seen.steps[0].ran.iter().filter_map(|r| r.command.rsplit(' ').next()).collect();
    assert!(
        !seeds.is_empty() && seeds.iter().enumerate().all(|(n, s)| *s == (7 + n).to_string()),
        "{seeds:?}"
    );
    assert!(
        seen.steps[1].ran.len() == 1 && seen.steps[1].ran[0].command.contains("--duration 1s"),
        "{:?}",
        seen.steps[1].ran
    );
}

#[test]
fn an_interrupt_ends_the_step_that_runs_and_begins_no_other() {
    let server = server::start();
    let (broken, arguments) = gate(&format!(
        "  - {{name: lint, run: 'lint {{stack}} --files-only'}}
  - {{name: long, run: 'load --url http://{server}/ --rate 50 --duration 1h'}}
  - {{name: never, run: 'lint {{stack}}'}}
"
    ));
    let gate = begin(&broken, &arguments);
    // The load is on its way when it has told what it sees.
    until("the load", || {
        let output =
            std::fs::read_to_string(folder(&broken)?.join("02-long/output-001.txt")).ok()?;
        output.contains("in flight").then_some(())
    });
    kill(Pid::from_raw(gate.id() as i32), Signal::SIGINT).unwrap();
    let (exit, told) = end(gate);
    assert_eq!(exit, 130, "{told}");
    let folder = folder(&broken).unwrap();
    let seen = report(&folder);
    use Outcome::{Interrupted, NotRun, Pass};
    assert_eq!(
        seen.steps.iter().map(|s| s.outcome).collect::<Vec<_>>(),
        [Pass, Interrupted, NotRun],
        "{told}"
    );
    assert!(
        folder.join("junit.xml").is_file() && told.contains("interrupted: of 3 steps 1 passed"),
        "{told}"
    );
    let output = std::fs::read_to_string(folder.join("02-long/output-001.txt")).unwrap();
    assert!(
        output.contains("latency from the intended start"),
        "it told what it had measured: {output}"
    );
}

#[test]
fn a_step_beyond_its_bound_is_unknown() {
    let server = server::start();
    let (broken, arguments) = gate(&format!(
        "  - {{name: long, run: 'load --url http://{server}/ --rate 50 --duration 1h', within: 1500ms}}\n"
    ));
    let ended = broken.run(&words(&arguments));
    assert_eq!(ended.exit, 2, "{}{}", ended.stdout, ended.stderr);
    let ran = &report(&folder(&broken).unwrap()).steps[0].ran[0];
    assert!(ran.note.as_ref().is_some_and(|n| n.contains("did not end within 1.5s")), "{ran:?}");
}

#[test]
fn a_gate_that_is_killed_leaves_no_step_behind() {
    let server = server::start();
    let (broken, arguments) = gate(&format!(
        "  - {{name: long, run: 'load --url http://{server}/ --rate 50 --duration 1h'}}\n"
    ));
    let mut gate = begin(&broken, &arguments);
    let step = until("the step", || step_of(&gate));
    gate.kill().unwrap();
    gate.wait().unwrap();
    until("the end of the step", || (!lives(step)).then_some(()));
}

#[test]
fn what_can_not_be_run_is_said_before_anything_is() {
    let (broken, arguments) =
        gate("  - {name: lint, run: 'lint {stack}'}\n  - {name: x, run: 'vrify {stack}'}\n");
    let ended = broken.run(&words(&arguments));
    ended.is_one_message(64, &["own.yaml:7:", "step x", "vrify"]);
    assert!(!broken.report().exists());
    broken.run(&["gate", "relase"]).is_one_message(64, &["no such gate", "release"]);
    let (broken, arguments) = gate("  - {name: lint, run: 'lint {stack}'}\n");
    broken
        .run(&[&words(&arguments)[..], &["--hours", "0"]].concat())
        .is_one_message(64, &["--hours 0", "--hours 0.1"]);
    broken
        .run(&[&words(&arguments)[..], &["--stack", "nowhere"]].concat())
        .is_one_message(64, &["nowhere"]);
    let printed = broken.run(&[&words(&arguments)[..], &["--dry-run"]].concat());
    assert!(
        printed.exit == 0
            && printed.stdout.contains("firedrill lint ")
            && !broken.report().exists(),
        "{}",
        printed.stdout
    );
}

#[test]
fn recorded_runs_are_shown_over_time_and_side_by_side() {
    let broken = Broken::copy_of("mini");
    recorded(&broken, "one");
    recorded_and_failing(&broken, "two");
    assert_eq!((broken.run(&["judge", "one"]).exit, broken.run(&["judge", "two"]).exit), (0, 1));
    std::fs::create_dir_all(broken.report().join("torn")).unwrap();
    std::fs::write(broken.report().join("torn/report.json"), "{").unwrap();

    let ended = broken.run(&["trend"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    for words in
        ["EmailServiceDown", "fail", "torn/report.json", "2 runs in 1 groups, 1 files left out"]
    {
        assert!(ended.stdout.contains(words), "{words:?}: {}", ended.stdout);
    }
    let page = std::fs::read_to_string(broken.report().join("trend.html")).unwrap();
    pages::is_readable(&page);
    pages::links_lead_somewhere(&page, &broken.report());
    assert!(page.contains("<svg") && page.contains("torn"), "{page}");

    let ended = broken.run(&["compare", "one", "two", "--html", "beside.html"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    for words in [
        "Verdicts: 1 changed",
        "pass -> fail",
        "alert.EmailServiceDown.fires",
        "fired after",
        "what the run took",
        "P50",
    ] {
        assert!(ended.stdout.contains(words), "{words:?}: {}", ended.stdout);
    }
    let page = std::fs::read_to_string(broken.home.path().join("beside.html")).unwrap();
    pages::is_readable(&page);
    assert!(page.contains("Latency over time of the second run"), "{page}");
    pages::is_readable(&std::fs::read_to_string(broken.report().join("one/report.html")).unwrap());

    broken.run(&["compare", "one", "three"]).is_one_message(64, &["three is no recorded run"]);
    broken.run(&["trend", "nowhere"]).is_one_message(64, &["nowhere"]);
    std::fs::remove_dir_all(broken.report()).unwrap();
    std::fs::create_dir_all(broken.report()).unwrap();
    broken.run(&["trend"]).is_one_message(64, &["holds no report"]);
}
