//! What a harness leaves behind that is killed with SIGKILL at random instants: nothing, where a
//! reaper watches the run; and where the stack stays up, nothing that `heal` does not mend.
//!
//! The test executes itself as the harness that is killed, as the reaper, and as a helper process
//! of a fault. The instants come from `FIREDRILL_CRASH_SEED`; a failure prints the seed.

use firedrill::engine::containment::iptables;
use firedrill::engine::{Engine, label, namespace};
use firedrill::fault::healing::{heal, start_ticks_of};
use firedrill::journal::{Journal, STATE_VARIABLE, Undo};
use firedrill::stack::reaper::{self, Reaper};
use firedrill::stack::{Running, Stack, Up, WorkCopy, down, remove_run, up};
use libtest_mimic::Failed;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use support::images;
use support::module::Tests;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const IMAGES: &[&str] = &["redis", "base-trixie"];
const KILLS: usize = 5;
const COMPOSE: &str = r#"
services:
  redis:
    image: firedrill/redis:tested
    ports: ["6379"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 300ms, timeout: 2s, retries: 30}
  idle:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    stop_grace_period: 0s
volumes: {data: {}}
"#;

/// What this program is executed as by the tests themselves, if it is.
pub fn executed() -> Option<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Some(match args[..] {
        [reaper::SUBCOMMAND, "--run", run] => {
            ended(runtime().block_on(async { Ok(reaper::main(run).await?) }))
        }
        ["harness-with-reaper", folder, run] => {
            ended(runtime().block_on(harness_with_reaper(folder, run)))
        }
        ["harness-of-faults", run] => ended(runtime().block_on(harness_of_faults(run))),
        ["fault-helper", ..] => fault_helper(),
        _ => return None,
    })
}

pub fn tests() -> Tests {
    Tests::side_by_side([
        images::trial("a_killed_run_is_removed_by_its_reaper", IMAGES, || told(killed_runs())),
        images::trial("a_stack_that_stays_up_is_mended_after_each_kill", IMAGES, || {
            told(killed_faults())
        }),
    ])
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

fn ended(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn told(test: impl Future<Output = Outcome>) -> Result<(), Failed> {
    runtime()
        .block_on(test)
        .map_err(|error| Failed::from(format!("{error} (FIREDRILL_CRASH_SEED={})", seed())))
}

fn seed() -> u64 {
    std::env::var("FIREDRILL_CRASH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_260_712)
}

/// A name of its own, so that `down` of all its runs touches no other test's.
fn stack_name() -> String {
    format!("crashtest-{}", std::process::id())
}

fn write_stack(folder: &Path) -> Outcome<Stack> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("docker-compose.yml"), images::filled(COMPOSE, IMAGES))?;
    std::fs::write(
        folder.join("firedrill.yaml"),
        format!("schema: 1\nstack: {}\nroles: {{}}\n", stack_name()),
    )?;
    Ok(Stack::open(&folder.to_string_lossy())?)
}

async fn bring_up(
    engine: &Engine,
    journal: &Journal,
    stack: &Stack,
    run: &str,
    kept: bool,
) -> Outcome<Running> {
    let work = WorkCopy::make(journal, stack, run)?;
    let running = up(Up {
        engine,
        journal,
        stack,
        work: &work,
        images: BTreeMap::new(),
        extra_services: Vec::new(),
        additions: BTreeMap::new(),
        ports: None,
        ready_within: Duration::from_secs(30),
        kept,
        on_event: &|_| {},
    })
    .await?;
    Ok(running)
}

/// A harness: reaper, up, then nothing but waiting to be killed.
async fn harness_with_reaper(folder: &str, run: &str) -> Outcome {
    let journal = Journal::of_user();
    let stack = Stack::open(folder)?;
    let _reaper = Reaper::spawn_as(&std::env::current_exe()?, &journal, run)?;
    println!("begun");
    let engine = Engine::connect().await?;
    bring_up(&engine, &journal, &stack, run, false).await?;
    println!("up");
    std::future::pending().await
}

/// A harness that injects one fault after the other into a stack that is up, and never heals.
async fn harness_of_faults(run: &str) -> Outcome {
    let journal = Journal::of_user();
    let engine = Engine::connect().await?;
    let running = Running::load(&journal, run)?.ok_or("the stack is not up")?;
    let (redis, idle) =
        (running.container("redis").ok_or("redis")?, running.container("idle").ok_or("idle")?);
    println!("begun");
    let note = |what: &str, undo: Undo| journal.open(run, &running.stack, what, undo);

    let mut helper = Command::new(std::env::current_exe()?)
        .arg("fault-helper")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let pid = i32::try_from(helper.id())?;
    let start_ticks = start_ticks_of(pid).ok_or("the helper is gone")?;
    note("helper", Undo::EndHelper { pid, start_ticks })?;
    let mut pipe = helper.stdin.take().ok_or("no pipe")?;
    pipe.write_all(b"go\n")?;
    println!("helper {pid}");

    let rule = |action: &str| -> Vec<String> {
        format!("{action} INPUT -p tcp --dport 6379 -j DROP")
            .split(' ')
            .map(str::to_owned)
            .collect()
    };
    note(
        "partition of redis",
        Undo::DeleteContainerRules { container: redis.into(), rules: vec![rule("-D")] },
    )?;
    iptables(Some(engine.inspect(redis).await?.pid), &rule("-I")).await?;
    note("pause of redis", Undo::Unpause { container: redis.into() })?;
    engine.pause(redis).await?;
    note("kill of idle", Undo::StartContainer { container: idle.into() })?;
    engine.kill(idle, "SIGKILL").await?;
    println!("all");
    std::future::pending().await
}

/// A helper of a fault: does nothing before it is told to, and ends when its harness dies before
/// that. Then it has a life of its own, which only the journal ends.
fn fault_helper() -> ExitCode {
    let mut word = String::new();
    let told = std::io::stdin().read_line(&mut word);
    if told.is_err() || word.trim() != "go" {
        return ExitCode::SUCCESS;
    }
    loop {
        std::thread::park();
    }
}

/// A child that is to be killed, and what it has printed so far.
struct Victim {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Victim {
    fn start(home: &Path, args: &[&str]) -> Outcome<Victim> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .env(STATE_VARIABLE, home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        if lines.recv_timeout(Duration::from_secs(20))? != "begun" {
            return Err("the harness did not begin".into());
        }
        Ok(Victim { child, lines })
    }

    /// Kills it after a while, and returns what it had printed.
    fn kill_after(mut self, wait: Duration) -> Outcome<Vec<String>> {
        // The instant is random on purpose: there is no condition to wait for.
        std::thread::sleep(wait);
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.lines.iter().collect())
    }
}

async fn killed_runs() -> Outcome {
    let home = tempfile::tempdir()?;
    let state = home.path().join("state");
    let (engine, journal) = (Engine::connect().await?, Journal::at(&state));
    let folder = home.path().join("stack");
    write_stack(&folder)?;
    let mut random = StdRng::seed_from_u64(seed());
    for kill in 0..KILLS {
        let run = format!("crash{}r{kill}", std::process::id());
        let wait = Duration::from_millis(random.random_range(0..3500));
        let victim =
            Victim::start(&state, &["harness-with-reaper", &folder.to_string_lossy(), &run])?;
        let printed = victim.kill_after(wait)?;
        let left = gone_within(&engine, &journal, &run, Duration::from_secs(30)).await;
        if let Err(left) = left {
            remove_run(Some(&engine), &journal, &run).await?;
            return Err(
                format!("kill {kill} after {wait:?} (printed {printed:?}) left {left}").into()
            );
        }
    }
    Ok(())
}

/// Waits until nothing of a run is there; else says what is.
async fn gone_within(
    engine: &Engine,
    journal: &Journal,
    run: &str,
    within: Duration,
) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let left = leftovers(engine, journal, run).await.map_err(|error| error.to_string())?;
        if left.is_empty() {
            return Ok(());
        }
        if since.elapsed() > within {
            return Err(left.join(", "));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn leftovers(engine: &Engine, journal: &Journal, run: &str) -> Outcome<Vec<String>> {
    let mut left = Vec::new();
    left.extend(
        engine
            .containers_with(label::RUN, Some(run))
            .await?
            .into_iter()
            .map(|id| format!("container {id}")),
    );
    left.extend(
        engine
            .networks_with(label::RUN, Some(run))
            .await?
            .into_iter()
            .map(|name| format!("network {name}")),
    );
    left.extend(
        engine
            .volumes_with(label::RUN, Some(run))
            .await?
            .into_iter()
            .map(|name| format!("volume {name}")),
    );
    let rules = namespace::run_on_host("iptables-save", &[]).await?;
    left.extend(
        rules.stdout.lines().filter(|line| line.contains(run)).map(|line| format!("rule {line}")),
    );
    left.extend(
        journal
            .open_entries()?
            .into_iter()
            .filter(|entry| entry.run == run)
            .map(|entry| format!("entry {}", entry.what)),
    );
    if journal.home().join("runs").join(run).exists() {
        left.push("its folder".into());
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    left.extend(
        mounts.lines().filter(|line| line.contains(run)).map(|line| format!("mount {line}")),
    );
    left.extend(processes_with(run).into_iter().map(|pid| format!("process {pid}")));
    Ok(left)
}

/// Processes other than this one with `word` among their arguments.
fn processes_with(word: &str) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != std::process::id() as i32)
        .filter(|pid| {
            let mut line = Vec::new();
            let file = std::fs::File::open(format!("/proc/{pid}/cmdline"));
            file.and_then(|mut file| file.read_to_end(&mut line)).is_ok()
                && String::from_utf8_lossy(&line).split('\0').any(|argument| argument == word)
        })
        .collect()
}

async fn killed_faults() -> Outcome {
    let home = tempfile::tempdir()?;
    let state = home.path().join("state");
    let (engine, journal) = (Engine::connect().await?, Journal::at(&state));
    let stack = write_stack(&home.path().join("stack"))?;
    let run = format!("crash{}f", std::process::id());
    let outcome = kill_and_mend(&engine, &journal, &stack, &run, &state).await;
    down::remove_runs(&engine, &journal, Some(stack.name())).await?;
    outcome?;
    let left = leftovers(&engine, &journal, &run).await?;
    if left.is_empty() { Ok(()) } else { Err(format!("down left {}", left.join(", ")).into()) }
}

async fn kill_and_mend(
    engine: &Engine,
    journal: &Journal,
    stack: &Stack,
    run: &str,
    state: &Path,
) -> Outcome {
    let running = bring_up(engine, journal, stack, run, true).await?;
    let containers: Vec<&str> =
        running.instances().map(|(_, instance)| instance.container.as_str()).collect();
    works(engine, &running).await.map_err(|why| format!("before any fault: {why}"))?;
    let mut random = StdRng::seed_from_u64(seed());
    let mut reached_all = 0;
    for kill in 0..KILLS {
        // The last kill comes when every fault is there.
        let wait = Duration::from_millis(if kill + 1 == KILLS {
            4000
        } else {
            random.random_range(0..1200)
        });
        let printed = Victim::start(state, &["harness-of-faults", run])?.kill_after(wait)?;
        reached_all += usize::from(printed.iter().any(|line| line == "all"));
        let healed = heal(journal, Some(engine), None).await?;
        if !healed.failed.is_empty() {
            return Err(
                format!("kill {kill} after {wait:?}: heal failed: {:?}", healed.failed).into()
            );
        }
        mended(engine, journal, &running, &printed)
            .await
            .map_err(|why| format!("kill {kill} after {wait:?}: {why}"))?;
        for id in &containers {
            engine
                .inspect(id)
                .await
                .map_err(|error| format!("it is no longer the same stack: {error}"))?;
        }
    }
    if reached_all == 0 {
        return Err("no harness got as far as injecting every fault".into());
    }
    Ok(())
}

/// Nothing of a fault is left, and the stack works.
async fn mended(
    engine: &Engine,
    journal: &Journal,
    running: &Running,
    printed: &[String],
) -> Outcome {
    for line in printed {
        if let Some(pid) = line.strip_prefix("helper ") {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = state.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
            if !state.is_empty() && !state.starts_with('Z') {
                return Err(format!("helper {pid} is alive").into());
            }
        }
    }
    let redis = engine.inspect(running.container("redis").ok_or("redis")?).await?;
    let rules = namespace::run(redis.pid, "iptables", &["-S".into()]).await?;
    if !rules.ok || rules.stdout.contains("6379") {
        return Err(format!("rules: {rules:?}").into());
    }
    let open: Vec<String> = journal.open_entries()?.into_iter().map(|entry| entry.what).collect();
    if open != [format!("stack {} of run {}", running.stack, running.run)] {
        return Err(format!("journal: {open:?}").into());
    }
    works(engine, running).await
}

/// Redis answers at its published port, and the other container runs.
async fn works(engine: &Engine, running: &Running) -> Outcome {
    let address = running.address("redis", 6379).ok_or("no port")?;
    let since = Instant::now();
    loop {
        let answer = ping(address);
        let idle = engine.inspect(running.container("idle").ok_or("idle")?).await?;
        match answer {
            Ok(()) if idle.running => return Ok(()),
            seen if since.elapsed() > Duration::from_secs(60) => {
                return Err(format!("redis: {seen:?}; idle runs: {}", idle.running).into());
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn ping(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(std::io::Error::other("another answer")) }
}
