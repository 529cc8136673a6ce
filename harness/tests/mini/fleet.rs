//! A load that several workers drive: they begin exactly the arrivals of one schedule, a worker
//! that dies makes it invalid, one whose coordinator dies stops at once, and strangers are refused.
//! With the built program, as processes on the loopback interface and as containers in the mini
//! stack's network.

mod containers;
mod crew;

use crew::{Crew, Server, TOKEN, Told, monotonic_us, until};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use libtest_mimic::Failed;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use support::images;
use support::module::{Test, Tests};
use verdict::history::load::WorkerState;

pub fn tests() -> Tests {
    let mut tests: Vec<Test> = [
        ("workers_begin_the_arrivals_of_one_schedule", one_schedule as fn() -> Result<(), Failed>),
        ("a_worker_that_dies_makes_the_load_invalid", a_worker_dies),
        ("workers_stop_when_their_coordinator_dies", the_coordinator_dies),
        ("a_worker_serves_one_coordinator_and_ctrl_c_ends_the_load", busy_and_interrupted),
        ("strangers_are_refused", strangers),
        ("a_worker_drives_nothing_that_it_may_not", foreign_targets),
    ]
    .into_iter()
    .map(|(name, test)| Test::new(name, test))
    .collect();
    tests.push(Test::nightly("a_worker_that_falls_silent_is_given_up", |name| {
        Test::new(name, a_worker_falls_silent)
    }));
    let stack = &["prometheus", "alertmanager"];
    tests.push(images::trial(
        "workers_are_containers_in_the_network_of_a_stack",
        stack,
        containers::in_a_stack,
    ));
    // Each watches processes; side by side they would take the processors from each other.
    Tests::one_by_one(tests)
}

/// Most attempts at what other programs of the machine can spoil: the generator says so then.
const ATTEMPTS: u32 = 4;

/// A load that nobody disturbs: one that others on this machine spoilt is driven again.
fn undisturbed(crew: &Crew, server: &Server, arguments: &[&str]) -> Result<Told, Failed> {
    for _ in 1..ATTEMPTS {
        let told = crew.load(server, arguments)?.ended()?;
        let spoilt = |why: &str| why.contains("bottleneck") || why.contains("fell behind");
        if !told.summary.as_ref().and_then(|s| s.invalid.as_deref()).is_some_and(spoilt) {
            return Ok(told);
        }
        server.forget();
    }
    crew.load(server, arguments)?.ended()
}

fn one_schedule() -> Result<(), Failed> {
    let server = Server::start()?;
    let before = monotonic_us();
    let crew = Crew::of(3)?;
    let after = monotonic_us();
    let log = crew.home.path().join("merged.hlog");
    let log = log.to_string_lossy();
    let shape =
        ["--rate", "150", "--duration", "2500ms", "--arrival", "poisson", "--hdr-log", &log];
    let told = undisturbed(&crew, &server, &shape)?;
    let summary = told.passed()?;
    // The server saw every number of the schedule, once.
    let (numbers, arrivals) = (server.numbers(), summary.operations);
    let whole: Vec<u64> = (0..arrivals).collect();
    assert!(arrivals > 200, "{arrivals} of some 375");
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, whole, "what the server saw");
    assert_eq!(summary.workers.len(), 3);
    for (index, worker) in summary.workers.iter().enumerate() {
        let share = (0..arrivals).filter(|n| n % 3 == index as u64).count() as u64;
        assert_eq!(
            (worker.state, worker.arrivals, worker.operations),
            (WorkerState::Ended, share, share),
            "{worker:?}"
        );
        // Each one's clock counts from when it began to listen, which was within these bounds.
        let (offset, unsure) = (worker.clock_offset.us, worker.clock_offset.uncertainty_us);
        assert!(
            unsure > 0.0 && (before - unsure..after + unsure).contains(&-offset),
            "{worker:?}: from {before} to {after} µs"
        );
        assert!(
            worker.began_late_us.is_some()
                && worker.clock_drift.is_some()
                && worker.generator.is_some(),
            "{worker:?}"
        );
    }
    let offsets: BTreeSet<i64> = summary.workers.iter().map(|w| w.clock_offset.us as i64).collect();
    assert_eq!(offsets.len(), 3, "their clocks differ");
    let skew = summary.start_skew.expect("stated");
    let late = |f: fn(f64, f64) -> f64, from| {
        summary.workers.iter().filter_map(|w| w.began_late_us).fold(from, f)
    };
    assert_eq!(skew.us, late(f64::max, 0.0) - late(f64::min, f64::INFINITY));
    let connections = summary.connections.expect("stated");
    assert_eq!(connections.limit, Some(256), "shared out exactly");
    assert_eq!(
        logged(&std::fs::read(crew.home.path().join("merged.hlog"))?)?,
        arrivals,
        "each is in the log once"
    );
    // The same again is the same schedule.
    server.forget();
    let again = undisturbed(&crew, &server, &shape)?;
    assert_eq!(again.passed()?.operations, arrivals);
    Ok(())
}

/// Operations in an interval log, by latency.
fn logged(bytes: &[u8]) -> Result<u64, Failed> {
    use base64::Engine;
    let mut operations = 0;
    for entry in IntervalLogIterator::new(bytes) {
        let LogEntry::Interval(interval) = entry.map_err(|e| format!("{e:?}"))? else { continue };
        if interval.tag().is_none() {
            let raw =
                base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram())?;
            let histogram: Histogram<u64> =
                Deserializer::new().deserialize(&mut &raw[..]).map_err(|e| format!("{e:?}"))?;
            operations += histogram.len();
        }
    }
    Ok(operations)
}

fn a_worker_dies() -> Result<(), Failed> {
    let (server, crew) = (Server::start()?, Crew::of(2)?);
    let load = crew.load(&server, &["--rate", "200", "--duration", "5s"])?;
    until("the load is under way", || Ok(server.numbers().len() >= 200))?;
    crew.workers[1].signal(Signal::SIGKILL)?;
    let told = load.ended()?;
    let summary = told.summary.as_ref().ok_or_else(|| told.words())?;
    assert_eq!(told.exit, Some(2), "{}", told.words());
    let why = summary.invalid.as_deref().unwrap_or_default();
    assert!(why.contains(&format!("worker {} was lost", crew.workers[1].address)), "{why}");
    assert!(
        told.stderr.contains("unknown: errors<=1%") && !told.stderr.contains("pass: "),
        "{}",
        told.words()
    );
    let [stays, dies] = &summary.workers[..] else { return Err("wanted two workers".into()) };
    assert_eq!(
        (stays.state, stays.operations, stays.invalid.as_deref()),
        (WorkerState::Ended, 500, None),
        "{stays:?}"
    );
    assert_eq!((dies.state, dies.operations < 500), (WorkerState::Lost, true), "{dies:?}");
    assert!(
        dies.lost_at_s.is_some_and(|at| at > 0.0 && at < 5.0) && dies.invalid.is_some(),
        "{dies:?}"
    );
    assert_eq!(summary.operations, stays.operations + dies.operations);
    assert!(
        summary.achieved_rate < summary.offered_rate && summary.offered_rate == 200.0,
        "{summary:?}"
    );
    // The one that stays begins its own arrivals and no others.
    let seen: BTreeSet<u64> = server.numbers().into_iter().collect();
    assert!((0..1000).step_by(2).all(|n| seen.contains(&n)), "every arrival of the first worker");
    assert!(!seen.contains(&999), "the last arrival was the second worker's");
    Ok(())
}

fn the_coordinator_dies() -> Result<(), Failed> {
    let (server, crew) = (Server::start()?, Crew::of(2)?);
    let load = crew.load(&server, &["--rate", "200", "--duration", "60s"])?;
    until("the load is under way", || Ok(server.numbers().len() >= 100))?;
    load.signal(Signal::SIGKILL)?;
    for worker in &crew.workers {
        worker.says("is gone: ")?;
    }
    // They serve the next one, and what was begun is over: in that time it would have brought 200 a
    // second.
    let (stopped, other) = (server.numbers().len(), Server::start()?);
    undisturbed(&crew, &other, &["--rate", "50", "--duration", "1s"])?.passed()?;
    let more = server.numbers().len() - stopped;
    assert!(more < 50, "{more} came after their coordinator was gone");
    Ok(())
}

fn busy_and_interrupted() -> Result<(), Failed> {
    let (server, crew) = (Server::start()?, Crew::of(2)?);
    let first = crew.load(&server, &["--rate", "100", "--duration", "60s"])?;
    until("the load is under way", || Ok(server.numbers().len() >= 50))?;
    let second = crew.load(&server, &["--rate", "10", "--duration", "1s"])?.ended()?;
    second.refused(3, "is busy with another coordinator")?;
    first.signal(Signal::SIGINT)?;
    let told = first.ended()?;
    assert_eq!(told.exit, Some(130), "{}", told.words());
    let summary = told.summary.as_ref().ok_or_else(|| told.words())?;
    assert!(summary.workers.iter().all(|w| w.state == WorkerState::Ended), "{}", told.words());
    assert_eq!(summary.operations, server.numbers().len() as u64, "all that were begun have ended");
    Ok(())
}

/// A server that says these bytes to whoever connects, once.
fn saying(bytes: Vec<u8>) -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(&bytes);
            // Until the other side hangs up.
            let _ = stream.read(&mut [0; 64]);
        }
    });
    Ok(address)
}

fn framed(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
}

fn strangers() -> Result<(), Failed> {
    let (server, crew) = (Server::start()?, Crew::of(1)?);
    let quick = ["--rate", "10", "--duration", "1s"];
    let token = crew.home.path().join("other-token");
    std::fs::write(&token, TOKEN.replace('0', "1"))?;
    let own = crew.workers[0].address.to_string();
    crew.load_on(&own, &token, &server.url(), &quick)?.ended()?.refused(64, "has another token")?;
    let token = crew.token();
    // The worker is none the worse for it, nor for somebody who speaks another protocol or nothing
    // at all.
    let _silent = std::net::TcpStream::connect(crew.workers[0].address)?;
    std::net::TcpStream::connect(crew.workers[0].address)?.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
    undisturbed(&crew, &server, &quick)?.passed()?;
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    crew.load_on(&nobody, &token, &server.url(), &quick)?
        .ended()?
        .refused(3, "can't be reached")?;
    let mail = saying(b"220 mail.test ESMTP\r\n".to_vec())?.to_string();
    crew.load_on(&mail, &token, &server.url(), &quick)?
        .ended()?
        .refused(3, "is no worker of ours")?;
    let newer =
        saying(framed(r#"{"say":"hello","name":"firedrill worker","version":99,"word":"w"}"#))?
            .to_string();
    crew.load_on(&newer, &token, &server.url(), &quick)?
        .ended()?
        .refused(3, "speaks version 99 of the protocol")?;
    // One that does not know the token can't make us believe that it does.
    let hello = framed(r#"{"say":"hello","name":"firedrill worker","version":2,"word":"w"}"#);
    let imposter =
        saying([hello, framed(r#"{"say":"welcome","proof":"AAAA"}"#)].concat())?.to_string();
    crew.load_on(&imposter, &token, &server.url(), &quick)?
        .ended()?
        .refused(64, "has another token")?;
    let twice = format!("{own},{own}");
    crew.load_on(&twice, &token, &server.url(), &quick)?.ended()?.refused(64, "is named twice")?;
    Ok(())
}

fn foreign_targets() -> Result<(), Failed> {
    let crew = Crew::of(1)?;
    let (own, token, quick) =
        (crew.workers[0].address.to_string(), crew.token(), ["--rate", "10", "--duration", "1s"]);
    for url in ["http://192.0.2.1/", "http://10.255.0.9:80/"] {
        let told = crew.load_on(&own, &token, url, &quick)?.ended()?;
        told.refused(64, "neither on the loopback interface nor on a network of ours")?;
        assert!(
            told.stderr.contains(&format!("worker {own}")) && told.stderr.contains("--allow"),
            "{}",
            told.words()
        );
    }
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    crew.load_on(&own, &token, &format!("http://{nobody}/"), &quick)?
        .ended()?
        .refused(3, "nothing can be reached at")?;
    Ok(())
}

/// A worker that is stopped as a whole keeps its connection, and says nothing: as one whose machine
/// was cut off.
fn a_worker_falls_silent() -> Result<(), Failed> {
    let (server, crew) = (Server::start()?, Crew::of(2)?);
    let load = crew.load(&server, &["--rate", "100", "--duration", "4s"])?;
    until("the load is under way", || Ok(server.numbers().len() >= 100))?;
    crew.workers[1].signal(Signal::SIGSTOP)?;
    let told = load.ended()?;
    let summary = told.summary.as_ref().ok_or_else(|| told.words())?;
    assert_eq!(told.exit, Some(2), "{}", told.words());
    assert_eq!(summary.workers[1].state, WorkerState::Lost, "{summary:?}");
    assert!(
        summary.invalid.as_deref().is_some_and(|why| why.contains("nothing was heard")),
        "{:?}",
        summary.invalid
    );
    // Back again, it notices that nobody hears it, and drives nothing.
    crew.workers[1].signal(Signal::SIGCONT)?;
    crew.workers[1].says("is gone: ")?;
    Ok(())
}
