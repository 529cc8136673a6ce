//! Pressure inside a container: `cpu_pressure` and `memory_pressure`. A helper of ours joins the container's control groups
//! and spins or fills memory there, so that it competes with the container's own processes for the same share. The host's
//! memory is never filled: memory pressure needs a limit on the container.

use super::{Ability, Fault, FaultError, Scene, Settings};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use verdict::history::fault::BlastRadius;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Spinning threads.
    Cpu(u32),
    /// Share of the limit that is filled, per cent.
    Memory(u32),
}

struct Pressure {
    kind: Kind,
    target: String,
    cgroups: Vec<PathBuf>,
    limit: i64,
    cpu_limited: bool,
    helper: i32,
}

/// `cpu_pressure`. Setting: `threads` (1 to 64, default 2).
///
/// # Errors
/// Unknown or senseless settings.
pub fn cpu(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only("cpu_pressure", settings, &["threads"])?;
    aim(Kind::Cpu(super::number("cpu_pressure", settings, "threads", 2, 1..=64)?), target)
}

/// `memory_pressure`. Setting: `per_cent` of the container's memory limit (1 to 100, default 90).
///
/// # Errors
/// Unknown or senseless settings.
pub fn memory(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only("memory_pressure", settings, &["per_cent"])?;
    aim(Kind::Memory(super::number("memory_pressure", settings, "per_cent", 90, 1..=100)?), target)
}

fn aim(kind: Kind, target: &str) -> Result<Box<dyn Fault>, FaultError> {
    Ok(Box::new(Pressure { kind, target: target.into(), cgroups: Vec::new(), limit: 0, cpu_limited: false, helper: 0 }))
}

impl Pressure {
    fn controllers(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Cpu(_) => &["cpu", "cpuacct"],
            Kind::Memory(_) => &["memory"],
        }
    }

    /// What the control group uses: cores, or bytes.
    async fn usage(&self) -> io::Result<f64> {
        let folder = self.cgroups.last().ok_or_else(|| io::Error::other("it was not prepared"))?;
        match self.kind {
            Kind::Memory(_) => read_number(folder, &[("memory.usage_in_bytes", None), ("memory.current", None)]),
            Kind::Cpu(_) => {
                let spent = || read_number(folder, &[("cpuacct.usage", None), ("cpu.stat", Some("usage_usec"))]);
                let scale = if folder.join("cpuacct.usage").exists() { 1e9 } else { 1e6 };
                let (before, began) = (spent()?, std::time::Instant::now());
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok((spent()? - before) / scale / began.elapsed().as_secs_f64())
            }
        }
    }

    fn fails(&self, scene: &Scene<'_>, error: impl std::fmt::Display) -> FaultError {
        scene.failed(self.kind(), &self.target, error)
    }
}

impl Fault for Pressure {
    fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Cpu(_) => "cpu_pressure",
            Kind::Memory(_) => "memory_pressure",
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
        let host = matches!(self.kind, Kind::Cpu(_)) && !self.cpu_limited;
        BlastRadius { services: vec![self.target.clone()], host, ..BlastRadius::default() }
    }

    fn prepare<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            let container = scene.container(&self.target).await?;
            self.limit = container.limits.memory;
            self.cpu_limited = container.limits.nano_cpus > 0;
            if matches!(self.kind, Kind::Memory(_)) && self.limit <= 0 {
                let what = format!("fault memory_pressure: {} has no memory limit", self.target);
                return Err(FaultError::Settings {
                    what,
                    hint: "give the service `mem_limit` in the Compose file; the host's memory is never filled".into(),
                });
            }
            self.cgroups =
                self.controllers().iter().map(|c| cgroup(container.pid, c)).collect::<io::Result<_>>().map_err(|e| self.fails(scene, e))?;
            let mut arguments = vec!["press".to_owned()];
            for folder in &self.cgroups {
                arguments.extend(["--cgroup".into(), folder.display().to_string()]);
            }
            match self.kind {
                Kind::Cpu(threads) => arguments.extend(["--threads".into(), threads.to_string()]),
                Kind::Memory(per_cent) => arguments.extend(["--up-to-bytes".into(), (self.limit / 100 * i64::from(per_cent)).to_string()]),
            }
            let undo = super::helper::start(&arguments).await.map_err(|e| self.fails(scene, e))?;
            if let Undo::EndHelper { pid, .. } = undo {
                self.helper = pid;
            }
            Ok(vec![undo])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let helper = nix::unistd::Pid::from_raw(self.helper);
            nix::sys::signal::kill(helper, nix::sys::signal::Signal::SIGUSR1).map_err(|e| self.fails(scene, e))
        })
    }

    fn bites<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let usage = self.usage().await.map_err(|e| self.fails(scene, e))?;
            Ok(match self.kind {
                Kind::Cpu(_) => (usage > 0.15).then(|| format!("the control group of {} uses {usage:.2} cores", self.target)),
                Kind::Memory(per_cent) => {
                    let share = usage / self.limit as f64 * 100.0;
                    (share > f64::from(per_cent) * 0.9)
                        .then(|| format!("the control group of {} uses {share:.0} % of its memory limit", self.target))
                }
            })
        })
    }

    fn left<'a>(&'a self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let gone = !std::path::Path::new(&format!("/proc/{}/stat", self.helper)).exists();
            let works = scene.works(self.kind(), &self.target).await?;
            Ok(works.filter(|_| gone).map(|w| format!("the helper has ended; {w}")))
        })
    }
}

/// Folder of a process's control group for a controller, version 1 or 2.
fn cgroup(pid: i32, controller: &str) -> io::Result<PathBuf> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let unified = number == "0" && controllers.is_empty();
        if !unified && !controllers.split(',').any(|c| c == controller) {
            continue;
        }
        let point = mounts.lines().find_map(|m| {
            let (head, tail) = m.split_once(" - ")?;
            let fields: Vec<&str> = tail.split_whitespace().collect();
            let right = if unified {
                fields.first() == Some(&"cgroup2")
            } else {
                fields.first() == Some(&"cgroup") && fields.get(2)?.split(',').any(|o| o == controller)
            };
            right.then(|| head.split_whitespace().nth(4).map(PathBuf::from)).flatten()
        });
        let folder = point.map(|p| p.join(path.trim_start_matches('/')));
        // On a machine of version 1 the unified hierarchy is there as well, without controllers.
        if let Some(folder) = folder.filter(|f| f.join("cgroup.procs").exists() && (!unified || f.join("cpu.stat").exists())) {
            return Ok(folder);
        }
    }
    Err(io::Error::other(format!("process {pid} is in no control group with controller {controller}")))
}

fn read_number(folder: &std::path::Path, candidates: &[(&str, Option<&str>)]) -> io::Result<f64> {
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

/// The helper's work: joins the control groups, waits for SIGUSR1, then spins or fills memory (of the group, or of the host) until it is ended. Prints `ready`
/// when it waits.
///
/// # Errors
/// A control group can't be joined.
pub fn press(cgroups: &[PathBuf], threads: u32, up_to_bytes: u64, host_available: Option<(u64, u64)>) -> io::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    let mut go = SigSet::empty();
    go.add(Signal::SIGUSR1);
    go.thread_block()?;
    for folder in cgroups {
        std::fs::write(folder.join("cgroup.procs"), std::process::id().to_string())?;
    }
    println!("ready");
    go.wait()?;
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
    let folder = cgroups.last();
    let used =
        || folder.and_then(|f| read_number(f, &[("memory.usage_in_bytes", None), ("memory.current", None)]).ok()).unwrap_or(f64::MAX);
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        if up_to_bytes > 0 && used() < up_to_bytes as f64 {
            // Each page is written, so that it is really there.
            held.push(vec![held.len() as u8 | 1; 1 << 20]);
        } else {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
