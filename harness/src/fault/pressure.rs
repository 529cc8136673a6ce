//! Pressure inside a container: `cpu_pressure` and `memory_pressure`. A helper of ours joins the
//! container's control groups and spins or fills memory there, so that it competes with the
//! container's own processes for the same share. The host's memory is never filled: memory pressure
//! needs a limit on the container.

use super::healing;
use super::helper::{self, Orders};
use super::{Ability, Fault, FaultError, Kind, Scene, Settings};
use crate::engine::Limits;
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use verdict::history::fault::BlastRadius;

/// See [`cpu`].
pub const CPU_PRESSURE: Kind = Kind {
    name: "cpu_pressure",
    what: "helpers spin in its control group (threads)",
    aim: cpu,
    undo: None,
};
/// See [`memory`].
pub const MEMORY_PRESSURE: Kind = Kind {
    name: "memory_pressure",
    what: "a helper fills its memory limit (per_cent)",
    aim: memory,
    undo: None,
};

/// Share of the processor time that is there for the control group, and of what the group takes,
/// that the helper must take.
const CPU_SHARES: (f64, f64) = (0.05, 0.1);
/// Time over which processor time is measured.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Pressed {
    Cpu(u32),
    /// Share of the limit that is filled, per cent.
    Memory(u32),
}

struct Pressure {
    kind: Pressed,
    target: String,
    cgroups: Vec<PathBuf>,
    limits: Limits,
    /// Bytes that the group held before.
    held_before: f64,
    /// Process of the helper, and its start.
    helper: (i32, u64),
}

/// `cpu_pressure`. Setting: `threads` (1 to 64, default 2).
///
/// # Errors
/// Unknown or senseless settings.
pub fn cpu(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only("cpu_pressure", settings, &["threads"])?;
    aim(Pressed::Cpu(super::number("cpu_pressure", settings, "threads", 2, 1..=64)?), target)
}

/// `memory_pressure`. Setting: `per_cent` of the container's memory limit (1 to 95, default 90):
/// above, the kernel would kill.
///
/// # Errors
/// Unknown or senseless settings.
pub fn memory(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only("memory_pressure", settings, &["per_cent"])?;
    aim(
        Pressed::Memory(super::number("memory_pressure", settings, "per_cent", 90, 1..=95)?),
        target,
    )
}

fn aim(kind: Pressed, target: &str) -> Result<Box<dyn Fault>, FaultError> {
    let (cgroups, limits) = (Vec::new(), Limits::default());
    Ok(Box::new(Pressure {
        kind,
        target: target.into(),
        cgroups,
        limits,
        held_before: 0.0,
        helper: (0, 0),
    }))
}

impl Pressure {
    fn controllers(&self) -> &'static [&'static str] {
        match self.kind {
            Pressed::Cpu(_) => &["cpu", "cpuacct"],
            Pressed::Memory(_) => &["memory"],
        }
    }

    fn group(&self) -> io::Result<&Path> {
        self.cgroups
            .last()
            .map(PathBuf::as_path)
            .ok_or_else(|| io::Error::other("it was not prepared"))
    }

    fn helper_lives(&self) -> bool {
        healing::start_ticks_of(self.helper.0) == Some(self.helper.1)
    }

    /// Cores that the group takes, and the helper alone.
    async fn cores(&self) -> io::Result<(f64, f64)> {
        let group = self.group()?;
        let spent = || Ok::<_, io::Error>((cpu_seconds(group)?, process_seconds(self.helper.0)?));
        let (before, began) = (spent()?, Instant::now());
        tokio::time::sleep(LOOK).await;
        let (after, seconds) = (spent()?, began.elapsed().as_secs_f64());
        Ok(((after.0 - before.0) / seconds, (after.1 - before.1) / seconds))
    }

    async fn cpu_bites(&self, threads: u32) -> io::Result<Option<String>> {
        let (group, helper) = self.cores().await?;
        let host = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        let limit =
            if self.limits.nano_cpus > 0 { self.limits.nano_cpus as f64 / 1e9 } else { host };
        let there = limit.min(f64::from(threads)).min(host);
        // What the helper takes is in the group's figure, unless it never got in there; clock ticks
        // are coarse.
        let bites = helper >= there * CPU_SHARES.0
            && helper >= group * CPU_SHARES.1
            && group >= helper * 0.5;
        Ok(bites.then(|| format!("the control group of {} takes {group:.2} cores, {helper:.2} of them for the helper", self.target)))
    }

    fn memory_bites(&self, per_cent: u32) -> io::Result<Option<String>> {
        let limit = self.limits.memory as f64;
        let (held, ours) = (held_bytes(self.group()?)?, process_bytes(self.helper.0)?);
        let wanted = limit * f64::from(per_cent) / 100.0;
        let bites = held >= wanted * 0.9 && ours >= (wanted - self.held_before) * 0.5;
        Ok(bites.then(|| {
            let per_cent = |bytes: f64| bytes / limit * 100.0;
            format!(
                "{} holds {:.0} % of its memory limit, before: {:.0} %",
                self.target,
                per_cent(held),
                per_cent(self.held_before)
            )
        }))
    }

    fn fails(&self, scene: &Scene<'_>, error: impl std::fmt::Display) -> FaultError {
        scene.failed(self.kind(), &self.target, error)
    }
}

impl Fault for Pressure {
    fn kind(&self) -> &'static str {
        match self.kind {
            Pressed::Cpu(_) => "cpu_pressure",
            Pressed::Memory(_) => "memory_pressure",
        }
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "helper process in the container's control group".into()
    }

    fn needs(&self) -> Vec<Ability> {
        vec![Ability::ControlGroups]
    }

    fn blast_radius(&self) -> BlastRadius {
        let host = matches!(self.kind, Pressed::Cpu(_)) && self.limits.nano_cpus == 0;
        BlastRadius { services: vec![self.target.clone()], host, ..BlastRadius::default() }
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let container = scene.alive(self.kind(), &self.target).await?;
            self.limits = container.limits;
            if matches!(self.kind, Pressed::Memory(_)) && self.limits.memory <= 0 {
                let what = format!("fault memory_pressure: {} has no memory limit", self.target);
                return Err(FaultError::Settings {
                    what,
                    hint: "give the service `mem_limit` in the Compose file; the host's memory is never filled".into(),
                });
            }
            self.cgroups = self
                .controllers()
                .iter()
                .map(|c| cgroup(container.pid, c))
                .collect::<io::Result<_>>()
                .map_err(|e| self.fails(scene, e))?;
            let mut arguments = vec!["press".to_owned()];
            for folder in &self.cgroups {
                arguments.extend(["--cgroup".into(), folder.display().to_string()]);
            }
            match self.kind {
                Pressed::Cpu(threads) => {
                    arguments.extend(["--threads".into(), threads.to_string()])
                }
                Pressed::Memory(per_cent) => {
                    let wanted = self.limits.memory / 100 * i64::from(per_cent);
                    self.held_before =
                        self.group().and_then(held_bytes).map_err(|e| self.fails(scene, e))?;
                    if self.held_before >= wanted as f64 {
                        let share = self.held_before / self.limits.memory as f64 * 100.0;
                        return Err(self.fails(scene, format!("nothing to fill up to {per_cent} %: it holds {share:.0} % of its limit")));
                    }
                    arguments.extend(["--up-to-bytes".into(), wanted.to_string()]);
                }
            }
            let undo = helper::start(&arguments).await.map_err(|e| self.fails(scene, e))?;
            if let Undo::EndHelper { pid, start_ticks } = undo {
                self.helper = (pid, start_ticks);
            }
            Ok(vec![undo])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async { helper::begin(self.helper.0).map_err(|e| self.fails(scene, e)) })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            if !self.helper_lives() {
                return Err(self.fails(scene, "its helper has ended"));
            }
            let seen = match self.kind {
                Pressed::Cpu(threads) => self.cpu_bites(threads).await,
                Pressed::Memory(per_cent) => self.memory_bites(per_cent),
            };
            seen.map_err(|e| self.fails(scene, e))
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let works = scene.works(self.kind(), &self.target).await?;
            Ok(works.filter(|_| !self.helper_lives()).map(|w| format!("the helper has ended; {w}")))
        })
    }
}

/// Folder of a process's control group for a controller, version 1 or 2.
fn cgroup(pid: i32, controller: &str) -> io::Result<PathBuf> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let unified = number == "0" && controllers.is_empty();
        if !unified && !controllers.split(',').any(|c| c == controller) {
            continue;
        }
        let folder = mounts.lines().find_map(|m| {
            let (head, tail) = m.split_once(" - ")?;
            let fields: Vec<&str> = tail.split_whitespace().collect();
            let right = if unified {
                fields.first() == Some(&"cgroup2")
            } else {
                fields.first() == Some(&"cgroup")
                    && fields.get(2)?.split(',').any(|o| o == controller)
            };
            // What is mounted may be a part of the hierarchy.
            let (root, point) = (head.split_whitespace().nth(3)?, head.split_whitespace().nth(4)?);
            let below = path.strip_prefix(root).filter(|_| root != "/").unwrap_or(path);
            right.then(|| Path::new(point).join(below.trim_start_matches('/')))
        });
        // On a machine of version 1 the unified hierarchy is there as well, without controllers.
        if let Some(folder) = folder.filter(|f| {
            f.join("cgroup.procs").exists() && (!unified || f.join("cpu.stat").exists())
        }) {
            return Ok(folder);
        }
    }
    Err(io::Error::other(format!(
        "process {pid} is in no control group with controller {controller}"
    )))
}

/// Processor time that a control group has taken, seconds.
fn cpu_seconds(group: &Path) -> io::Result<f64> {
    let scale = if group.join("cpuacct.usage").exists() { 1e9 } else { 1e6 };
    Ok(read_number(group, &[("cpuacct.usage", None), ("cpu.stat", Some("usage_usec"))])? / scale)
}

/// Processor time that a process has taken, seconds.
fn process_seconds(pid: i32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let a_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
    Ok((ticks(11) + ticks(12)) / a_second)
}

/// Bytes that a control group holds and can't be made to give back: without the files that it has
/// read or written.
fn held_bytes(group: &Path) -> io::Result<f64> {
    let used = read_number(group, &[("memory.usage_in_bytes", None), ("memory.current", None)])?;
    let files = |which: &str| {
        let total = format!("total_{which}_file ");
        read_number(
            group,
            &[("memory.stat", Some(&total)), ("memory.stat", Some(&total["total_".len()..]))],
        )
    };
    Ok((used - files("active")? - files("inactive")?).max(0.0))
}

/// Memory of its own that a process holds, bytes.
fn process_bytes(pid: i32) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|l| l.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.unwrap_or(0.0) * 1024.0)
}

fn read_number(folder: &Path, candidates: &[(&str, Option<&str>)]) -> io::Result<f64> {
    for (file, key) in candidates {
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else { continue };
        let value = match key {
            None => text.trim().parse().ok(),
            Some(key) => text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse().ok()),
        };
        if let Some(value) = value {
            return Ok(value);
        }
    }
    Err(io::Error::other(format!("{} shows no usage", folder.display())))
}

/// The helper's work: joins the control groups, waits for SIGUSR1, then spins or fills memory (of
/// the group, or of the host) until it is ended. Prints `ready` when it waits, and ends if the
/// harness is gone before the signal.
///
/// # Errors
/// A control group can't be joined.
pub fn press(
    cgroups: &[PathBuf],
    threads: u32,
    up_to_bytes: u64,
    host_available: Option<(u64, u64)>,
) -> io::Result<()> {
    let orders = Orders::awaited()?;
    for folder in cgroups {
        std::fs::write(folder.join("cgroup.procs"), std::process::id().to_string())?;
    }
    println!("ready");
    orders.wait()?;
    for _ in 0..threads {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop()
            }
        });
    }
    if let Some((available, most)) = host_available {
        return super::host::hold_memory(available, most);
    }
    let held = || cgroups.last().and_then(|group| held_bytes(group).ok()).unwrap_or(f64::MAX);
    let mut ours: Vec<Vec<u8>> = Vec::new();
    loop {
        if up_to_bytes > 0 && held() < up_to_bytes as f64 {
            // Each page is written, so that it is really there.
            ours.push(vec![ours.len() as u8 | 1; 1 << 20]);
        } else {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
