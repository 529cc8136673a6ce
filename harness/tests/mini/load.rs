//! `firedrill load` as it is called, against a server of this test: a pool of workers, each as long
//! at a request. What it tells is one JSON object on the standard output, whatever drives it, and
//! agrees with its exit code.

use axum::Router;
use axum::routing::get;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use support::clock::Clock;
use support::module::Tests;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

pub fn tests() -> Tests {
    Tests::side_by_side(support::awaited![
        interrupted_users_end_with_what_they_did,
        a_condition_stops_a_load_and_fails_it,
        a_search_tells_each_step_and_its_exit_code_what_limited_it,
        a_clock_that_is_set_does_not_concern_a_load,
    ])
}

/// Its URL, and how many requests it has answered.
async fn serve() -> (String, watch::Receiver<u64>) {
    let (answered, seen) = watch::channel(0);
    let (workers, answered) = (Arc::new(Semaphore::new(4)), Arc::new(answered));
    let answer = move || {
        let (workers, answered) = (Arc::clone(&workers), Arc::clone(&answered));
        async move {
            let _worker = workers.acquire().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            answered.send_modify(|n| *n += 1);
            "x"
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/", listener.local_addr().expect("address"));
    let router = Router::new().route("/", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

fn load(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    command.args(["load", "--url", url, "--format", "json", "--seed", "1"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Its exit code, what it told as JSON, and what it said.
fn told(output: &Output) -> (i32, Value, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout);
    let text = String::from_utf8_lossy(&output.stdout);
    (
        output.status.code().expect("it ended by itself"),
        json.unwrap_or_else(|e| panic!("{e} in {text:?}; {said}")),
        said,
    )
}

async fn interrupted_users_end_with_what_they_did() {
    let (url, mut answered) = serve().await;
    let child = load(&url, &["--users", "3", "--think-time", "5ms", "--duration", "10m"])
        .spawn()
        .expect("started");
    let pid = Pid::from_raw(child.id() as i32);
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    answered.wait_for(|n| *n > 10).await.expect("served");
    kill(pid, Signal::SIGINT).expect("signal");
    let (exit, json, said) = told(&ended.await.expect("waited").expect("ended"));
    assert_eq!(
        (exit, &json["pacing"], &json["users"]["count"]),
        (130, &"closed".into(), &3.into()),
        "{said}"
    );
    assert!(
        json["operations"].as_u64() >= Some(10) && said.contains("interrupted"),
        "{json} {said}"
    );
}

async fn a_condition_stops_a_load_and_fails_it() {
    let (url, _) = serve().await;
    let arguments = [
        "--rate",
        "40",
        "--duration",
        "10m",
        "--stop-when",
        "p50 > 10ms",
        "--stop-when",
        "error_rate > 5%",
        "--max-slip",
        "10s",
    ];
    let page = tempfile::NamedTempFile::new().expect("file");
    let (exit, json, said) =
        told(&load(&url, &arguments).arg("--html").arg(page.path()).output().expect("ended"));
    assert_eq!(exit, 1, "{json} {said}");
    // Its objective held until then; the page tells what the exit code tells.
    let page = std::fs::read_to_string(page.path()).expect("page");
    for words in ["badge fail", "did not keep its objectives", "it is not stopped by p50", "errors"]
    {
        assert!(page.contains(words), "{words:?}: {page}");
    }
    assert_eq!(json["stopped_by"]["condition"], "p50 > 10ms", "{json}");
    let windows = json["windows"].as_array().expect("windows");
    assert!(
        windows.iter().any(|w| w["to_s"] == json["stopped_by"]["at_s"]
            && w["latency_ms"]["p50"].as_f64() > Some(10.0)),
        "{json}"
    );
    assert!(said.contains("fail: it is not stopped by p50 > 10ms"), "{said}");
}

async fn a_search_tells_each_step_and_its_exit_code_what_limited_it() {
    let (url, _) = serve().await;
    let arguments = [
        "--find-knee",
        "--rate",
        "100",
        "--duration",
        "2s",
        "--precision",
        "40%",
        "--objective",
        "p99<=400ms",
        "--max-slip",
        "2s",
    ];
    let (exit, json, said) = told(&load(&url, &arguments).output().expect("ended"));
    let knee = &json["knee"];
    let steps = knee["steps"].as_array().expect("steps");
    let within = |rate: &Value| {
        steps.iter().any(|s| {
            s["rate"] == *rate
                && s["judged"] == "within"
                && s["latency_ms"]["p99"].as_f64() <= Some(400.0)
        })
    };
    // Other programs may make any rate too much; what is told must agree in any case.
    let wanted = match (knee["limited_by"].as_str(), knee["rate"].is_number()) {
        (Some("target"), true) => 0,
        (Some("target"), false) => 1,
        _ => 2,
    };
    assert_eq!(exit, wanted, "{json} {said}");
    assert!(knee["rate"].is_null() || within(&knee["rate"]), "{json}");
    assert!(
        steps.len() > 1 && steps.iter().any(|s| s["judged"] != "within"),
        "200 a second is what it bears: {json}"
    );
    assert!(knee["why"].as_str().is_some_and(|why| said.contains(why)), "{said}");
    assert_eq!(json["pacing"], "open");
}

async fn a_clock_that_is_set_does_not_concern_a_load() {
    let (url, mut answered) = serve().await;
    let clock = Clock::new().expect("a clock");
    clock.set(3600).expect("set");
    let log = tempfile::NamedTempFile::new().expect("file");
    let mut command = load(
        &url,
        &[
            "--rate",
            "20",
            "--duration",
            "4s",
            "--max-slip",
            "10s",
            "--objective",
            "errors<=0%",
            "--hdr-log",
        ],
    );
    command.arg(log.path());
    clock.show(&mut command);
    let child = command.spawn().expect("started");
    answered.wait_for(|n| *n > 20).await.expect("served");
    clock.set(-3600).expect("set");
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let (exit, json, said) = told(&ended.await.expect("waited").expect("ended"));
    assert_eq!(
        (exit, &json["operations"], &json["missed_starts"]),
        (0, &80.into(), &0.into()),
        "{json} {said}"
    );
    // A step of two hours would be in the latency, or in how long the load took.
    assert!(
        json["latency_ms"]["max"].as_f64().is_some_and(|ms| (20.0..1_800_000.0).contains(&ms)),
        "{json}"
    );
    let written = std::fs::read_to_string(log.path()).expect("log");
    let from_s = written
        .lines()
        .find_map(|l| l.strip_prefix("#[StartTime: ")?.split(' ').next()?.parse::<f64>().ok())
        .expect("its start");
    let now_s = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a time")
        .as_secs_f64();
    assert!(from_s > now_s + 1800.0, "it did not see the clock that it was shown");
    let intervals = written.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit()));
    let starts: Vec<f64> = intervals.filter_map(|l| l.split(',').next()?.parse().ok()).collect();
    assert!(
        starts.len() >= 4
            && starts.windows(2).all(|w| w[0] < w[1])
            && starts.iter().all(|s| *s < 1800.0),
        "{starts:?}"
    );
}
