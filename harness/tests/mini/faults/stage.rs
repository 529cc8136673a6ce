//! The stack that all cases share, and how it is looked at without the harness's faults: over
//! published ports, with tools inside the containers, through the engine's own figures.

use firedrill::engine::{Engine, label};
use firedrill::fault::healing::{carry_out, heal};
use firedrill::fault::{self, Fault, FaultError, Scene};
use firedrill::journal::{Journal, STATE_VARIABLE, Undo};
use firedrill::stack::{Running, Stack, Up, WorkCopy, remove_run, up};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::images;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub const IMAGES: &[&str] = &["redis", "base-trixie"];
/// Longest time until something that must happen is seen.
const BOUND: Duration = Duration::from_secs(20);
const COMPOSE: &str = r#"
services:
  store:
    image: firedrill/redis:tested
    command: ["redis-server", "--maxmemory", "24mb", "--maxmemory-policy", "volatile-lru", "--save", ""]
    mem_limit: 128m
    ports: ["6379"]
    healthcheck: {test: ["CMD", "redis-cli", "ping"], interval: 1s, timeout: 5s, retries: 30, start_period: 20s}
  client:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    stop_grace_period: 0s
  narrow:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    stop_grace_period: 0s
    cpus: 0.1
  twin:
    image: firedrill/base-trixie:tested
    command: sleep 600
    init: true
    stop_grace_period: 0s
    deploy: {replicas: 2}
  pool:
    image: firedrill/redis:tested
    command: ["redis-server", "--save", ""]
    scale: 2
"#;

pub struct Stage {
    pub engine: Engine,
    pub journal: Journal,
    pub running: Running,
    _home: tempfile::TempDir,
}

impl Stage {
    pub async fn set() -> Outcome<Stage> {
        let home = tempfile::tempdir()?;
        let (engine, journal) = (Engine::connect().await?, Journal::at(home.path().join("state")));
        let name = format!("faulttest-{}", std::process::id());
        let folder = home.path().join("stack");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("docker-compose.yml"), images::filled(COMPOSE, IMAGES))?;
        std::fs::write(
            folder.join("firedrill.yaml"),
            format!("schema: 1\nstack: {name}\nroles: {{}}\n"),
        )?;
        let stack = Stack::open(&folder.to_string_lossy())?;
        let run = format!("faults{}", std::process::id());
        let work = WorkCopy::make(&journal, &stack, &run)?;
        let running = up(Up {
            engine: &engine,
            journal: &journal,
            stack: &stack,
            work: &work,
            images: BTreeMap::new(),
            extra_services: Vec::new(),
            additions: BTreeMap::new(),
            ports: None,
            ready_within: Duration::from_secs(60),
            kept: true,
            on_event: &|_| {},
        })
        .await?;
        Ok(Stage { engine, journal, running, _home: home })
    }

    /// Removes it, and sees that nothing is left.
    pub async fn leave(self) -> Outcome {
        let run = self.running.run.as_str();
        remove_run(Some(&self.engine), &self.journal, run).await?;
        let containers = self.engine.containers_with(label::RUN, Some(run)).await?;
        let open = self.journal.open_entries()?;
        if containers.is_empty() && open.is_empty() {
            Ok(())
        } else {
            Err(format!("{containers:?} {open:?}").into())
        }
    }

    /// No fault is open; what a failed case left is undone, so that the next finds the stack well.
    pub async fn clean(&self) -> Outcome {
        let open = self.faults_open()?;
        if open.is_empty() {
            return Ok(());
        }
        let healed = heal(&self.journal, Some(&self.engine), None).await?;
        Err(format!("{open:?}; healing them failed for {:?}", healed.failed).into())
    }

    pub fn scene(&self) -> Scene<'_> {
        Scene { engine: &self.engine, project: &self.running.project, run: &self.running.run }
    }

    pub fn container(&self, service: &str) -> Outcome<&str> {
        Ok(self.running.container(service).ok_or_else(|| format!("no container of {service}"))?)
    }

    /// What the journal holds open besides the stack, read from disk.
    pub fn faults_open(&self) -> Outcome<Vec<Undo>> {
        Ok(self
            .journal
            .open_entries()?
            .into_iter()
            .filter_map(|e| e.undo)
            .filter(|u| !u.removes_stack())
            .collect())
    }

    /// The built program, with this journal.
    pub fn program(&self, arguments: &[&str]) -> Outcome<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        Ok(command.args(arguments).env(STATE_VARIABLE, self.journal.home()).output()?)
    }

    /// Asks the store over its published port.
    pub fn ask(&self, command: &str) -> Outcome<String> {
        let address = self.running.address("store", 6379).ok_or("no port")?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.is_empty() { Err("no answer".into()) } else { Ok(answer) }
    }

    /// A field of the store's INFO.
    pub fn info(&self, field: &str) -> Outcome<String> {
        let all = self.ask("INFO")?;
        let value =
            all.lines().find_map(|l| Some(l.strip_prefix(field)?.strip_prefix(':')?.to_owned()));
        Ok(value.ok_or_else(|| format!("no {field}"))?)
    }

    pub fn store_answers(&self) -> Outcome {
        self.ask("PING")
            .and_then(|said| if said.starts_with("+PONG") { Ok(()) } else { Err(said.into()) })
    }

    /// How a service's container connects to the store: seconds, or the words of what went wrong.
    pub async fn connects(&self, from: &str) -> Outcome<Result<f64, String>> {
        self.connects_to(from, "store").await
    }

    /// How it connects to a Redis.
    pub async fn connects_to(&self, from: &str, to: &str) -> Outcome<Result<f64, String>> {
        let script = format!(
            r#"began=$EPOCHREALTIME; timeout 5 bash -c 'exec 3<>/dev/tcp/{to}/6379' || {{ echo "code $?"; exit; }}
               echo "$began $EPOCHREALTIME""#
        );
        let ran = self.engine.exec(self.container(from)?, &["bash", "-c", &script], BOUND).await?;
        let times: Vec<f64> =
            ran.stdout.split_whitespace().filter_map(|t| t.parse().ok()).collect();
        Ok(match times[..] {
            [began, ended] => Ok(ended - began),
            _ => Err(format!("{}{}", ran.stdout, ran.stderr)),
        })
    }

    /// Processor time that the engine has counted for a container, seconds, and its memory, bytes.
    pub async fn counted(&self, service: &str) -> Outcome<(f64, f64)> {
        let options = bollard::query_parameters::StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut stream =
            std::pin::pin!(self.engine.docker().stats(self.container(service)?, Some(options)));
        let seen = stream.next().await.ok_or("no figures")??;
        let cpu =
            seen.cpu_stats.and_then(|c| c.cpu_usage?.total_usage).ok_or("no processor time")?;
        let memory = seen.memory_stats.and_then(|m| m.usage).ok_or("no memory")?;
        Ok((cpu as f64 / 1e9, memory as f64))
    }

    /// Cores that a container takes, over a second.
    pub async fn cores(&self, service: &str) -> Outcome<f64> {
        let (began, before) = (Instant::now(), self.counted(service).await?.0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok((self.counted(service).await?.0 - before) / began.elapsed().as_secs_f64())
    }

    /// Strikes, and looks from both sides: by the fault's own claims, and by `well` and `disturbed`
    /// (each says why not).
    pub async fn strike<W, D>(
        &self,
        kind: &str,
        target: &str,
        settings: &[(&str, &str)],
        well: W,
        disturbed: D,
    ) -> Outcome<Vec<Undo>>
    where
        W: AsyncFn() -> Outcome,
        D: AsyncFn() -> Outcome,
    {
        let scene = self.scene();
        well().await.map_err(|e| format!("before: {e}"))?;
        let mut fault = aimed(kind, target, settings)?;
        let undo = fault.prepare(&scene).await?;
        for one in &undo {
            self.journal.open(&self.running.run, &self.running.stack, kind, one.clone())?;
        }
        let ended = self.struck(fault.as_mut(), &undo, &well, &disturbed).await;
        let healed = heal(&self.journal, Some(&self.engine), Some(&self.running.run)).await?;
        ended?;
        if healed.undone.len() != undo.len()
            || !healed.failed.is_empty()
            || !self.faults_open()?.is_empty()
        {
            return Err(format!("healing: {healed:?}").into());
        }
        let evidence =
            until(async || Ok(fault.left(&scene).await?.ok_or("it does not say that it left")?))
                .await?;
        until(&well).await.map_err(|e| format!("after healing (it says: {evidence}): {e}"))?;
        for one in &undo {
            carry_out(Some(&self.engine), one)
                .await
                .map_err(|e| format!("undone a second time: {e}"))?;
            if let Undo::EndHelper { pid, .. } = one {
                ended_helper(*pid)?;
            }
        }
        well().await.map_err(|e| format!("after a second healing: {e}"))?;
        Ok(undo)
    }

    async fn struck<W, D>(
        &self,
        fault: &mut dyn Fault,
        undo: &[Undo],
        well: &W,
        disturbed: &D,
    ) -> Outcome
    where
        W: AsyncFn() -> Outcome,
        D: AsyncFn() -> Outcome,
    {
        let scene = self.scene();
        if undo.is_empty() || self.faults_open()? != undo {
            return Err(
                format!("it has {undo:?} to undo, the journal {:?}", self.faults_open()?).into()
            );
        }
        // What is only prepared disturbs nothing, and does not claim to.
        well().await.map_err(|e| format!("prepared: {e}"))?;
        if let Ok(Some(claim)) = fault.bites(&scene).await {
            return Err(format!("it claims to bite before it is injected: {claim}").into());
        }
        fault.inject(&scene).await?;
        let evidence = until(async || {
            Ok(fault.bites(&scene).await?.ok_or("it does not say that it bites")?)
        })
        .await?;
        until(disturbed)
            .await
            .map_err(|e| format!("it says that it bites ({evidence}), but: {e}"))?;
        match fault.bites(&scene).await? {
            Some(_) => Ok(()),
            None => Err("it no longer says that it bites".into()),
        }
    }
}

pub fn aimed(
    kind: &str,
    target: &str,
    settings: &[(&str, &str)],
) -> Result<Box<dyn Fault>, FaultError> {
    fault::aim(
        kind,
        target,
        &settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    )
}

/// Looks until it is so; else says what was seen last.
pub async fn until<T>(look: impl AsyncFn() -> Outcome<T>) -> Outcome<T> {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(why) if began.elapsed() > BOUND => return Err(why),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether a process has ended: it is gone, or only waits for its parent to take notice.
pub fn ended_helper(pid: i32) -> Outcome {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
    if state.is_empty() || state.starts_with('Z') {
        Ok(())
    } else {
        Err(format!("process {pid} lives: {stat}").into())
    }
}

/// `Ok` if it holds; else what was seen.
pub fn check(holds: bool, seen: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{seen:?}").into()) }
}
