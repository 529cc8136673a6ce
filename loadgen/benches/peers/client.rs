//! Load generators, each as its own documentation tells to use it for the task.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What is asked of a client.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Operations a second; as many as it can if there is none.
    pub rate: Option<u32>,
    pub seconds: u32,
    pub connections: u32,
}

/// What a client told, and what it cost.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub operations: u64,
    /// Processor time of its process for each of them, microseconds.
    pub cpu_us: f64,
    /// P50, P90, P99 and largest.
    pub latency_ms: [f64; 4],
    /// P50 and P99 of what only ours tells.
    pub slip_ms: [f64; 2],
}

pub enum Client {
    Firedrill,
    Wrk(PathBuf),
    Oha(PathBuf),
    K6(PathBuf),
}

/// What k6 is to do: a constant arrival rate, whose latency it counts from when it sends.
const K6: &str = "import http from 'k6/http';
export const options = { discardResponseBodies: true, summaryTrendStats: ['med', 'p(90)', 'p(99)', 'max'], scenarios: { load: {
  executor: 'constant-arrival-rate', rate: RATE, timeUnit: '1s', duration: 'SECONDSs', preAllocatedVUs: VUS, maxVUs: VUS } } };
export default function () { http.get('http://ADDRESS/'); }
";

impl Client {
    pub fn name(&self) -> &'static str {
        match self {
            Client::Firedrill => "firedrill",
            Client::Wrk(_) => "wrk",
            Client::Oha(_) => "oha",
            Client::K6(_) => "k6",
        }
    }

    /// Whether it knows such a task.
    pub fn can(&self, task: &Task) -> bool {
        match self {
            Client::Firedrill | Client::Oha(_) => true,
            Client::Wrk(_) => task.rate.is_none(),
            Client::K6(_) => task.rate.is_some(),
        }
    }

    /// Runs a task on the second processor.
    pub fn run(&self, address: SocketAddr, task: &Task) -> Result<Measured, String> {
        let mut command = pinned();
        let (url, seconds, connections) = (format!("http://{address}/"), task.seconds.to_string(), task.connections.to_string());
        let scratch = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (script, export) = (scratch.path().join("load.js"), scratch.path().join("summary.json"));
        match self {
            Client::Firedrill => {
                let rate = task.rate.unwrap_or(0).to_string();
                command.arg(std::env::current_exe().map_err(|e| e.to_string())?);
                command.args(["be-a-generator", &address.to_string(), &rate, &seconds, &connections]);
            }
            Client::Wrk(program) => {
                // Without a rate of its own it is asked for all that it can also where others keep one: what it tells then shows.
                command.arg(program).args(["-t1", "-c", &connections, "-d", &seconds, "--timeout", "30", "--latency", &url]);
            }
            Client::Oha(program) => {
                command.arg(program).args(["--no-tui", "--output-format", "json", "-c", &connections, "-z", &format!("{seconds}s"), "-w"]);
                if let Some(rate) = task.rate {
                    command.args(["-q", &rate.to_string(), "--latency-correction"]);
                }
                command.arg(&url);
            }
            Client::K6(program) => {
                let rate = task.rate.ok_or("k6 is asked for a rate only")?;
                let text = K6.replace("RATE", &rate.to_string()).replace("SECONDS", &seconds);
                let text = text.replace("VUS", &connections).replace("ADDRESS", &address.to_string());
                std::fs::write(&script, text).map_err(|e| e.to_string())?;
                command.arg(program).args(["run", "--quiet", "--no-usage-report", "--summary-export"]).arg(&export).arg(&script);
            }
        }
        let before = children_us();
        let done = command.output().map_err(|e| format!("{} can't be started: {e}", self.name()))?;
        let used = children_us() - before;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            return Err(format!("{} ended with {}: {text}", self.name(), done.status));
        }
        let told = match self {
            Client::Firedrill => ours(&text),
            Client::Wrk(_) => wrk(&text),
            Client::Oha(_) => oha(&text),
            Client::K6(_) => std::fs::read_to_string(&export).ok().and_then(|text| k6(&text)),
        };
        let told = told.filter(|t| t.operations > 0).ok_or_else(|| format!("{} told what can't be read: {text}", self.name()))?;
        Ok(Measured { cpu_us: used as f64 / told.operations as f64, ..told })
    }
}

/// A command on the second processor.
fn pinned() -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// P50 and P99 of how late a thread is that only sleeps, and what that costs each time, microseconds.
pub fn sleeper() -> Result<[f64; 3], String> {
    let before = children_us();
    let done = pinned().arg(std::env::current_exe().map_err(|e| e.to_string())?).arg("only-sleep").output().map_err(|e| e.to_string())?;
    let used = (children_us() - before) as f64;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let told: Vec<f64> = text.split_whitespace().filter_map(|t| t.parse().ok()).collect();
    match told[..] {
        [p50, p99] => Ok([p50, p99, used / f64::from(super::SLIP.0 * super::SLIP.1)]),
        _ => Err(format!("what a sleeping thread told can't be read: {text}")),
    }
}

/// Processor time of all processes that ended so far, microseconds. One runs at a time.
fn children_us() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |u| u.user_time().num_microseconds() + u.system_time().num_microseconds())
}

fn told(operations: u64, latency_ms: [f64; 4]) -> Measured {
    Measured { operations, cpu_us: 0.0, latency_ms, slip_ms: [0.0; 2] }
}

fn ours(text: &str) -> Option<Measured> {
    let summary: verdict::history::load::LoadSummary = serde_json::from_str(text).ok()?;
    let l = summary.latency_ms;
    let slip_p50_ms = summary.generator.as_ref().map_or(0.0, |g| g.slip_p50_ms);
    Some(Measured { slip_ms: [slip_p50_ms, summary.slip_p99_ms], ..told(summary.operations, [l.p50, l.p90, l.p99, l.max]) })
}

/// A duration as wrk writes it.
fn wrk_ms(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    Some(number.parse::<f64>().ok()? * [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)].iter().find(|(u, _)| *u == unit)?.1)
}

fn wrk(text: &str) -> Option<Measured> {
    let field =
        |label: &str, n: usize| text.lines().find_map(|l| l.trim().strip_prefix(label)?.split_whitespace().nth(n).map(str::to_owned));
    let operations = text.lines().find_map(|l| l.split_once(" requests in ")?.0.trim().parse().ok())?;
    let quantile = |label| wrk_ms(&field(label, 0)?);
    // Columns of the line of latencies: mean, deviation, largest.
    let max = text.lines().find_map(|l| l.trim().strip_prefix("Latency ")?.split_whitespace().nth(2).and_then(wrk_ms))?;
    Some(told(operations, [quantile("50%")?, quantile("90%")?, quantile("99%")?, max]))
}

fn oha(text: &str) -> Option<Measured> {
    let all: Value = serde_json::from_str(text).ok()?;
    let operations = all["statusCodeDistribution"].as_object()?.values().filter_map(Value::as_u64).sum();
    let ms = |v: &Value| v.as_f64().map(|s| s * 1e3);
    let p = &all["latencyPercentiles"];
    Some(told(operations, [ms(&p["p50"])?, ms(&p["p90"])?, ms(&p["p99"])?, ms(&all["summary"]["slowest"])?]))
}

fn k6(text: &str) -> Option<Measured> {
    let all: Value = serde_json::from_str(text).ok()?;
    let metrics = &all["metrics"];
    let d = &metrics["http_req_duration"];
    let operations = metrics["http_reqs"]["count"].as_u64()?;
    Some(told(operations, [d["med"].as_f64()?, d["p(90)"].as_f64()?, d["p(99)"].as_f64()?, d["max"].as_f64()?]))
}
