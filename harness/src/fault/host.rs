//! The host itself is loaded, as by any other program on it: `host_cpu` spins on all of its
//! processors, `host_memory` takes a share of its memory and holds the rest at that level. They are
//! aimed at the service by which the host is watched, which is left alone. The host's memory is
//! never filled: what is taken is bounded, and much stays available.

use super::{Ability, Fault, FaultError, Kind, Scene, Settings, helper};
use crate::journal::Undo;
use futures::future::BoxFuture;
use std::io;
use std::time::Duration;
use verdict::history::fault::BlastRadius;

/// See [`cpu`].
pub const HOST_CPU: Kind = Kind {
    name: "host_cpu",
    what: "all processors of the host are kept busy",
    aim: cpu,
    undo: None,
};
/// See [`memory`].
pub const HOST_MEMORY: Kind = Kind {
    name: "host_memory",
    what: "a share of the host's memory is taken, never all (per_cent)",
    aim: memory,
    undo: None,
};

/// Largest share of the processors' time that is idle while they count as busy.
const IDLE_MOST: f64 = 0.1;
/// Share of the host's memory that must stay available.
const AVAILABLE_LEAST: f64 = 0.2;
/// Most that a helper takes, as a multiple of what is wanted: others give memory back while it
/// holds the level.
const TAKEN_MOST: u64 = 3;
/// Step in which memory is taken and given back, bytes.
const STEP: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Load {
    Cpu,
    /// Share by which the available memory falls, per cent of all.
    Memory(u32),
}

struct Host {
    kind: Load,
    target: String,
    /// Memory available before and all, bytes.
    before: Memory,
    helper: Option<Undo>,
}

/// What the kernel says of the host's memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Memory {
    available: u64,
    total: u64,
}

/// `host_cpu`. It has no settings.
///
/// # Errors
/// Any setting.
pub fn cpu(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only("host_cpu", settings, &[])?;
    Ok(Box::new(Host {
        kind: Load::Cpu,
        target: target.into(),
        before: Memory::default(),
        helper: None,
    }))
}

/// `host_memory`. Setting: `per_cent` of the host's memory by which what is available falls (1 to
/// 20, default 4).
///
/// # Errors
/// Unknown or senseless settings.
pub fn memory(target: &str, settings: &Settings) -> Result<Box<dyn Fault>, FaultError> {
    super::only("host_memory", settings, &["per_cent"])?;
    let per_cent = super::number("host_memory", settings, "per_cent", 4, 1..=20)?;
    Ok(Box::new(Host {
        kind: Load::Memory(per_cent),
        target: target.into(),
        before: Memory::default(),
        helper: None,
    }))
}

impl Host {
    fn fails(&self, scene: &Scene<'_>, error: impl std::fmt::Display) -> FaultError {
        scene.failed(self.kind(), &self.target, error)
    }

    fn wanted(&self) -> u64 {
        match self.kind {
            Load::Cpu => 0,
            Load::Memory(per_cent) => self.before.total / 100 * u64::from(per_cent),
        }
    }

    fn helper(&self) -> Option<(i32, u64)> {
        match self.helper {
            Some(Undo::EndHelper { pid, start_ticks }) => Some((pid, start_ticks)),
            _ => None,
        }
    }
}

impl Fault for Host {
    fn kind(&self) -> &'static str {
        match self.kind {
            Load::Cpu => "host_cpu",
            Load::Memory(_) => "host_memory",
        }
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn mechanism(&self) -> String {
        "helper process on the host".into()
    }

    fn needs(&self) -> Vec<Ability> {
        Vec::new()
    }

    fn acts_on_host(&self) -> bool {
        true
    }

    fn blast_radius(&self) -> BlastRadius {
        BlastRadius { host: self.kind == Load::Cpu, ..BlastRadius::default() }
    }

    fn prepare<'a>(
        &'a mut self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Vec<Undo>, FaultError>> {
        Box::pin(async {
            // It must be there, though nothing happens to it.
            for instance in scene.instances(&self.target).await? {
                scene.container(&instance).await?;
            }
            self.before = host_memory().map_err(|e| self.fails(scene, e))?;
            let mut arguments = vec!["press".to_owned()];
            match self.kind {
                Load::Cpu => {
                    let processors = processors().map_err(|e| self.fails(scene, e))?.count;
                    arguments.extend(["--threads".into(), processors.to_string()]);
                }
                Load::Memory(per_cent) => {
                    let left = self.before.available.saturating_sub(self.wanted());
                    if (left as f64) < self.before.total as f64 * AVAILABLE_LEAST {
                        return Err(FaultError::Unfit {
                            kind: "host_memory",
                            needs: format!(
                                "{:.0} % of the host's memory available after it took {per_cent} %, seen {:.0} %",
                                AVAILABLE_LEAST * 100.0,
                                left as f64 / self.before.total as f64 * 100.0
                            ),
                            hint: "end what else takes memory on this host; it is never filled"
                                .into(),
                        });
                    }
                    arguments.extend(["--host-available".into(), left.to_string()]);
                    arguments.extend(["--most".into(), (self.wanted() * TAKEN_MOST).to_string()]);
                }
            }
            let helper = helper::start(&arguments).await.map_err(|e| self.fails(scene, e))?;
            self.helper = Some(helper.clone());
            Ok(vec![helper])
        })
    }

    fn inject<'a>(&'a mut self, scene: &'a Scene<'a>) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async {
            let (pid, _) = self.helper().ok_or_else(|| self.fails(scene, "it was not prepared"))?;
            helper::begin(pid).map_err(|e| self.fails(scene, e))
        })
    }

    fn bites<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            match self.kind {
                Load::Cpu => {
                    let idle = idle_share().await.map_err(|e| self.fails(scene, e))?;
                    Ok((idle < IDLE_MOST).then(|| {
                        format!("the host's processors were idle {:.1} % of a second", idle * 100.0)
                    }))
                }
                Load::Memory(_) => {
                    let now = host_memory().map_err(|e| self.fails(scene, e))?;
                    let (before, mib) = (self.before.available, |bytes: u64| bytes >> 20);
                    let fell = before.saturating_sub(now.available);
                    Ok((fell >= self.wanted() / 10 * 9).then(|| {
                        format!(
                            "the host's available memory fell from {} to {} of {} MiB",
                            mib(before),
                            mib(now.available),
                            mib(now.total)
                        )
                    }))
                }
            }
        })
    }

    fn left<'a>(
        &'a self,
        scene: &'a Scene<'a>,
    ) -> BoxFuture<'a, Result<Option<String>, FaultError>> {
        Box::pin(async {
            let (pid, start_ticks) =
                self.helper().ok_or_else(|| self.fails(scene, "it was not prepared"))?;
            let gone = crate::fault::healing::start_ticks_of(pid) != Some(start_ticks);
            Ok(match self.kind {
                _ if !gone => None,
                Load::Cpu => Some("the helper that kept the processors busy has ended".into()),
                Load::Memory(_) => {
                    let now = host_memory().map_err(|e| self.fails(scene, e))?;
                    Some(format!(
                        "the helper has ended; {} of {} MiB of the host's memory are available",
                        now.available >> 20,
                        now.total >> 20
                    ))
                }
            })
        })
    }
}

/// Memory of the host.
fn host_memory() -> io::Result<Memory> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        let kib: Option<u64> = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
        kib.map(|k| k * 1024)
            .ok_or_else(|| io::Error::other(format!("/proc/meminfo shows no {name}")))
    };
    Ok(Memory { available: bytes("MemAvailable")?, total: bytes("MemTotal")? })
}

/// Time of the host's processors, clock ticks, and their number.
struct Processors {
    idle: u64,
    all: u64,
    count: usize,
}

fn processors() -> io::Result<Processors> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields = |line: &str| {
        line.split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|f| f.parse::<u64>().ok())
            .collect::<Vec<_>>()
    };
    let sum = text.lines().find(|l| l.starts_with("cpu ")).map(fields).unwrap_or_default();
    let idle =
        sum.get(3).copied().ok_or_else(|| io::Error::other("/proc/stat shows no idle time"))?;
    let count = text.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    Ok(Processors { idle, all: sum.iter().sum(), count: count.max(1) })
}

/// Share of a second from now on in which the host's processors are idle.
async fn idle_share() -> io::Result<f64> {
    let before = processors()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = processors()?;
    Ok((after.idle - before.idle) as f64 / (after.all - before.all).max(1) as f64)
}

/// Takes memory until so much is available on the host, and holds it there, for ever. Never takes
/// more than `most` bytes.
///
/// # Errors
/// The kernel does not tell how much is available.
pub fn hold_memory(available: u64, most: u64) -> io::Result<()> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let now = host_memory()?.available;
        if now > available && (held.len() * STEP) as u64 + STEP as u64 <= most {
            // Each page is written, so that it is really there; no two steps are alike, so that
            // they can't be merged.
            held.push(vec![held.len() as u8 | 1; STEP]);
        } else {
            if now + 2 * (STEP as u64) < available {
                held.pop();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::failure::UserError;

    #[test]
    fn the_kernel_tells_what_is_asked() {
        let memory = host_memory().unwrap();
        assert!(memory.available > 0 && memory.available < memory.total);
        let processors = processors().unwrap();
        assert!(processors.count >= 1 && processors.idle < processors.all);
    }

    #[test]
    fn settings_are_checked() {
        let of = |value: &str| {
            memory("a", &Settings::from([("per_cent".into(), value.into())]))
                .err()
                .map(|e| e.advice().to_string())
        };
        assert_eq!(of("4"), None);
        assert!(of("50").unwrap().contains("from 1 to 20") && of("x").is_some());
        assert!(cpu("a", &Settings::from([("threads".into(), "2".into())])).is_err());
    }
}
