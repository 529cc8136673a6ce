//! What an operation costs the client, here and with other load generators, and which of them tells
//! the truth about a server that stops.
//!
//!     cargo bench -p loadgen --bench peers            (PEERS_ROUNDS=5, PEERS_SECONDS=3)
//!
//! nginx answers 100 bytes on one processor, the client has another one to itself, with 32
//! connections. Processor time is what the kernel charged to the client's process; a saturated
//! server hides nothing then. All run in interleaved rounds, so that what changes on the machine
//! meanwhile changes for all; ratios are of the medians, with the least and largest of the rounds.
//! wrk and nginx come from apt (as root), oha from crates.io, into target/peers; wrk2, vegeta, hey
//! and ab take part where they are on the search path. All are free; what can't be had is left out
//! and said. It asserts nothing: figures depend on the machine.
//!
//! Rules of a packet filter (Docker's, say) cost every client the same microsecond, which brings
//! ratios nearer to one; without them:
//!     unshare --net sh -c 'ip link set lo up; cargo bench -p loadgen --bench peers'
//!
//! Seen so on two virtual processors (2026): open loop 11.5 µs, oha 19.7 (ratio 0.56); flat out
//! 6.8, wrk 7.4, oha 11.7 (0.92, 0.59). A thread that only sleeps was woken 1.5 ms late at P99
//! there, and each time cost it 23 µs.

#[path = "peers/answer.rs"]
mod answer;
#[path = "peers/client.rs"]
mod client;
#[path = "peers/install.rs"]
mod install;
#[path = "peers/nginx.rs"]
mod nginx;

use client::{Client, Measured, Task};
use loadgen::Arrival;
use loadgen::direct::{Direct, Pace, Parts, Request, Watch, drive};
use nginx::Nginx;
use nix::sys::prctl;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, address, rate, seconds, connections] = &arguments[..]
        && role == "be-a-generator"
    {
        return generate(address, rate, seconds, connections);
    }
    if let [_, role] = &arguments[..]
        && role == "only-sleep"
    {
        return only_sleep();
    }
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Our own generator, as a process of its own like the others.
fn generate(address: &str, rate: &str, seconds: &str, connections: &str) -> ExitCode {
    let parts =
        Parts { method: "GET".into(), host: address.into(), path: "/".into(), ..Parts::default() };
    let number = |text: &str| text.parse::<f64>().expect("number");
    let direct = Direct {
        address: address.parse().expect("address"),
        request: Request::new(&parts).expect("request"),
        pace: if number(rate) == 0.0 {
            Pace::FlatOut
        } else {
            Pace::Open { arrival: Arrival::Constant, rate: number(rate) }
        },
        duration: Some(Duration::from_secs_f64(number(seconds))),
        connections: connections.parse().expect("number"),
        waiting: 500_000,
        timeout: Duration::from_secs(30),
        wanted: None,
        slip_limit: Duration::from_millis(25),
        windows: loadgen::Windows::default(),
        seed: 1,
    };
    let watch = Watch {
        log: None,
        wall: &SystemTime::now,
        stop: &CancellationToken::new(),
        live: &mut |_, _| (),
    };
    match drive(&direct, watch) {
        Ok(summary) => println!("{}", serde_json::to_string(&summary).expect("json")),
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn compare() -> Result<(), String> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Err("two processors are wanted: one for the server, one for the client".into());
    }
    let clients = install::clients();
    let nginx = Nginx::start()?;
    let (rounds, seconds) = (setting("PEERS_ROUNDS", 5), setting("PEERS_SECONDS", 3));
    let open = Task { rate: Some(20_000), seconds, connections: 32 };
    let flat = Task { rate: None, seconds, connections: 32 };
    let contests = [
        ("open loop, 20000 a second", open, &[("oha", 0.6)][..]),
        ("flat out", flat, &[("oha", 1.0), ("wrk", 1.3)][..]),
    ];
    for (title, task, limits) in contests {
        let taking: Vec<&Client> = clients.iter().filter(|c| c.can(&task)).collect();
        let mut seen: Vec<Vec<Measured>> = taking.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds as usize {
            // Each round begins with another one.
            for turn in 0..taking.len() {
                let n = (turn + round) % taking.len();
                seen[n].push(taking[n].run(nginx.address, &task)?);
            }
        }
        println!("\n{title}, {rounds} rounds of {seconds} s, 32 connections, 100 bytes");
        for (client, all) in taking.iter().zip(&seen) {
            let cost = spread(all.iter().map(|m| m.cpu_us));
            let rate = spread(all.iter().map(|m| m.operations as f64 / f64::from(seconds)));
            let [p50, p99] = [0, 2].map(|n| spread(all.iter().map(|m| m.latency_ms[n]))[1]);
            println!(
                "  {:<10} {:>6.2} µs of processor an operation ({:.2} to {:.2}), {:>7.0} a second, P50 {p50:.3} P99 {p99:.3} ms",
                client.name(),
                cost[1],
                cost[0],
                cost[2],
                rate[1]
            );
        }
        for (peer, limit) in limits {
            let Some(theirs) = taking.iter().position(|c| c.name() == *peer) else {
                println!("  {peer} could not be had: no ratio");
                continue;
            };
            let ratios = seen[0].iter().zip(&seen[theirs]).map(|(a, b)| a.cpu_us / b.cpu_us);
            let ratio = spread(ratios);
            let verdict = if ratio[1] <= *limit { "kept" } else { "missed" };
            println!(
                "  firedrill / {peer}: {:.2} ({:.2} to {:.2}), wanted at most {limit}: {verdict}",
                ratio[1], ratio[0], ratio[2]
            );
        }
    }
    slip(&clients[0], &nginx)?;
    truth(&clients, &nginx)
}

/// Least, median and largest.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// Arrivals a second at which slip is measured, and for how many seconds.
const SLIP: (u32, u32) = (5000, 5);

/// A thread that does nothing but sleep until arrivals are due: what this machine makes of that is
/// no generator's doing.
fn only_sleep() -> ExitCode {
    let (rate, seconds) = SLIP;
    let _ = prctl::set_timerslack(1);
    let began = clock();
    let mut slip: Vec<f64> = (0..rate * seconds)
        .map(|n| {
            let due = began + Duration::from_secs(u64::from(n)) / rate;
            let _ = clock_nanosleep(
                ClockId::CLOCK_MONOTONIC,
                ClockNanosleepFlags::TIMER_ABSTIME,
                &due.into(),
            );
            clock().saturating_sub(due).as_secs_f64() * 1e6
        })
        .collect();
    slip.sort_by(f64::total_cmp);
    println!("{} {}", slip[slip.len() / 2], slip[slip.len() * 99 / 100]);
    ExitCode::SUCCESS
}

fn clock() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

fn slip(ours: &Client, nginx: &Nginx) -> Result<(), String> {
    let (rate, seconds) = SLIP;
    let (mut seen, mut slept) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        seen.push(ours.run(nginx.address, &Task { rate: Some(rate), seconds, connections: 32 })?);
        slept.push(client::sleeper()?);
    }
    let median = |of: &dyn Fn(&Measured) -> f64| spread(seen.iter().map(of))[1];
    let [cpu, p50, p99] =
        [median(&|m| m.cpu_us), median(&|m| m.slip_ms[0] * 1e3), median(&|m| m.slip_ms[1] * 1e3)];
    println!(
        "\nslip at {rate} a second, 3 rounds of {seconds} s: P50 {p50:.0} P99 {p99:.0} µs (wanted under 200), {cpu:.2} µs of processor an operation: {:.1} % of a processor",
        cpu * f64::from(rate) / 1e4
    );
    let [p50, p99, cpu] = [0, 1, 2].map(|n| spread(slept.iter().map(|s: &[f64; 3]| s[n]))[1]);
    println!(
        "  a thread that only sleeps until then: P50 {p50:.0} P99 {p99:.0} µs, {cpu:.2} µs of processor each time"
    );
    Ok(())
}

/// 500 a second for 10 s, and the server stopped for 6 of them.
fn truth(clients: &[Client], nginx: &Nginx) -> Result<(), String> {
    println!(
        "\nthe server stopped for 6 of 10 s at 500 a second: true are P50 1.0, P90 5.0, P99 5.9, max 6.0 s"
    );
    let task = Task { rate: Some(500), seconds: 10, connections: 32 };
    for client in clients {
        let measured =
            nginx.stopped_meanwhile(Duration::from_secs(2), Duration::from_secs(6), || {
                client.run(nginx.address, &task)
            })?;
        let [p50, p90, p99, max] = measured.latency_ms.map(|ms| ms / 1e3);
        let wrong = [(p50, 1.0), (p90, 5.0), (p99, 5.9), (max, 6.0)]
            .map(|(seen, true_): (f64, f64)| (seen / true_ - 1.0).abs());
        println!(
            "  {:<10} P50 {p50:.3} P90 {p90:.3} P99 {p99:.3} max {max:.3} s, {} operations; at worst {:.1} % from the truth",
            client.name(),
            measured.operations,
            wrong.into_iter().fold(0.0, f64::max) * 100.0
        );
    }
    Ok(())
}
