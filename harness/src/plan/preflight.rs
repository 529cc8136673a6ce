//! Can this machine run it, and if not, what is missing: each ability is tried, not guessed from a
//! version.

use crate::engine::containment;
use crate::engine::namespace::{self, command};
use crate::engine::{Engine, EngineError};
use crate::fault::Ability;
use crate::plan::Plan;
use crate::process::failure::{Advice, UserError};
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use std::path::Path;

/// Bytes that all images of the e-mail stack take, with what their building needs meanwhile.
pub const DISK_FOR_IMAGES: u64 = 12 << 30;
/// Bytes that a run writes at most: data of the backends, logs, records.
pub const DISK_FOR_RUN: u64 = 1 << 30;
/// Bytes of memory that the e-mail stack and the harness take.
pub const MEMORY_FOR_STACK: u64 = 4 << 30;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub name: &'static str,
    /// Whether it is as wanted.
    pub ok: bool,
    /// Whether nothing runs without it; otherwise only some faults or measurements are lost.
    pub required: bool,
    /// What was seen.
    pub seen: String,
    /// What to do, if it is not as wanted.
    pub hint: String,
}

impl Finding {
    /// Whether a stack can run all the same.
    pub fn bearable(&self) -> bool {
        self.ok || !self.required
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.ok {
            "ok"
        } else if self.required {
            "missing"
        } else {
            "poor"
        };
        write!(formatter, "{mark:<8} {:<40} {}", self.name, self.seen)?;
        if !self.ok && !self.hint.is_empty() {
            write!(formatter, "\n         hint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// Looks at everything, for `doctor`.
pub async fn examine() -> Vec<Finding> {
    let engine = Engine::connect().await;
    let mut checks = vec![engine_check(&engine).await];
    for (name, ability) in [
        ("entering namespaces", Ability::EnterNamespaces),
        ("packet filter inside containers", Ability::PacketFilter),
        ("packet queue of the kernel (NFQUEUE)", Ability::PacketQueue),
        ("control groups", Ability::ControlGroups),
        ("loop devices", Ability::LoopDevices),
    ] {
        let required = matches!(ability, Ability::EnterNamespaces | Ability::PacketFilter);
        checks.push(from(name, required, able(ability).await.map(|()| "works".into())));
    }
    checks.push(from("containment of stacks", true, containable().await.map(|()| "works".into())));
    checks.push(from("traffic shaping (tbf)", false, shaping().await.map(|()| "works".into())));
    if let Ok(engine) = &engine {
        checks.push(from(
            "disk space for images",
            true,
            disk(engine, "obtaining all images", DISK_FOR_IMAGES).await,
        ));
    }
    checks.push(memory());
    checks.push(pressure());
    checks.push(user());
    checks
}

/// What the drills of a plan need of the host: each ability once, with who needs it first.
pub fn needs(plan: &Plan) -> Vec<(Ability, String)> {
    let mut needs: Vec<(Ability, String)> = Vec::new();
    for scenario in plan.drills.iter().map(|drill| &drill.scenario) {
        // Whether they can be aimed at all was told when the file was read.
        for fault in scenario.faults().filter_map(|spec| spec.foreseen().ok()).flatten() {
            for ability in fault.needs() {
                if !needs.iter().any(|(known, _)| *known == ability) {
                    let who = format!("drill {} (fault {})", scenario.name, fault.kind());
                    needs.push((ability, who));
                }
            }
        }
    }
    needs
}

/// Refuses to bring a stack up where it can't be contained, where there is no room for what it
/// writes, or where an ability is missing that somebody needs.
///
/// # Errors
/// [`EngineError::Unfit`] naming the first thing that is missing, and for whom.
pub async fn require(engine: &Engine, needs: &[(Ability, String)]) -> Result<(), EngineError> {
    containable()
        .await
        .map_err(|error| needed(error, "containment, without which no stack is started,"))?;
    for (ability, who) in needs {
        able(*ability).await.map_err(|error| needed(error, who))?;
    }
    disk(engine, "a run", DISK_FOR_RUN).await.map(drop)
}

fn needed(error: EngineError, who: &str) -> EngineError {
    match error {
        EngineError::Unfit { what, hint } => EngineError::Unfit {
            what: format!("{who} needs what this machine lacks: {what}"),
            hint,
        },
        other => other,
    }
}

/// Tries an ability that faults need, in a network namespace made for the purpose.
///
/// # Errors
/// [`EngineError::Unfit`] with what was tried and what came of it.
pub async fn able(ability: Ability) -> Result<(), EngineError> {
    match ability {
        Ability::EnterNamespaces => {
            // Making one takes the same right as entering another's; entering our own shows that
            // the call is let through.
            namespace::in_fresh(|| ()).await?;
            namespace::within(i32::try_from(std::process::id()).unwrap_or(0), || ()).await
        }
        Ability::PacketFilter => {
            try_in_fresh(
                "iptables",
                "-w 10 -A INPUT -p tcp --dport 9 -j REJECT --reject-with tcp-reset",
            )
            .await
        }
        Ability::PacketQueue => {
            try_in_fresh(
                "iptables",
                "-w 10 -A OUTPUT -p tcp --dport 9 -j NFQUEUE --queue-num 7 --queue-bypass",
            )
            .await
        }
        Ability::ControlGroups => control_groups(),
        Ability::LoopDevices => loop_devices(),
    }
}

/// Whether a process may be put into a control group: it is put into the one in which it is, which
/// changes nothing.
fn control_groups() -> Result<(), EngineError> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let places = own.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let first = controllers.split(',').next().unwrap_or_default();
        let first = if first.is_empty() { "." } else { first };
        Some(
            Path::new("/sys/fs/cgroup")
                .join(first)
                .join(path.trim_start_matches('/'))
                .join("cgroup.procs"),
        )
    });
    // With namespaces of control groups between us and the engine, only some can be seen.
    let mut seen = "none can be seen under /sys/fs/cgroup".to_owned();
    for place in places.filter(|place| place.exists()) {
        match std::fs::write(&place, std::process::id().to_string()) {
            Ok(()) => return Ok(()),
            Err(error) => seen = format!("{}: {error}", place.display()),
        }
    }
    Err(EngineError::Unfit {
        what: format!("processes can't be put into control groups: {seen}"),
        hint: "run as root with /sys/fs/cgroup mounted for writing; faults of pressure need it"
            .into(),
    })
}

/// Whether a file system can be made in a file and mounted: looks for the programs and for a free
/// device.
fn loop_devices() -> Result<(), EngineError> {
    for (program, argument) in [("losetup", "--find"), ("mkfs.ext4", "-V")] {
        let seen = match command(program, &[argument.to_owned()]) {
            Ok(said) if said.ok => continue,
            Ok(said) => said.stderr,
            Err(seen) => seen,
        };
        return Err(EngineError::Unfit {
            what: format!("`{program} {argument}`: {}", seen.trim()),
            hint: "run as root on a kernel with loop devices; Debian packages mount and e2fsprogs have the programs".into(),
        });
    }
    Ok(())
}

/// Tries the rules that contain a stack.
async fn containable() -> Result<(), EngineError> {
    let rule = "-w 10 -A INPUT -i fd-try -m conntrack --ctstate NEW -m comment --comment firedrill.run=try \
                -j REJECT --reject-with icmp-port-unreachable";
    try_in_fresh("iptables", rule).await?;
    let said = containment::iptables(None, &["-S".into(), "INPUT".into()]).await?;
    if said.ok {
        return Ok(());
    }
    Err(unfit("iptables -S INPUT".into(), said.stderr.trim()))
}

async fn shaping() -> Result<(), EngineError> {
    try_in_fresh("tc", "qdisc add dev lo root tbf rate 1mbit burst 32kbit latency 400ms").await
}

async fn try_in_fresh(program: &'static str, line: &'static str) -> Result<(), EngineError> {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let tried = format!("{program} {}", args.join(" "));
    let said = namespace::in_fresh(move || command(program, &args)).await?;
    match said {
        Ok(said) if said.ok => Ok(()),
        Ok(said) => Err(unfit(tried, said.stderr.trim())),
        Err(seen) => Err(unfit(tried, &seen)),
    }
}

fn unfit(tried: String, seen: &str) -> EngineError {
    EngineError::Unfit {
        what: format!("`{tried}`: {seen}"),
        hint: "run as root on a kernel with netfilter; Debian packages iptables and iproute2 have the programs".into(),
    }
}

async fn engine_check(engine: &Result<Engine, EngineError>) -> Finding {
    let seen = match engine {
        Err(error) => Err(error.advice()),
        Ok(engine) => engine.version().await.map_err(Advice::from).map(|version| {
            format!(
                "{} (API {}, {}, kernel {})",
                version.engine, version.api, version.os, version.kernel
            )
        }),
    };
    check("container engine", true, seen)
}

/// Looks whether the file system that holds images has room.
///
/// # Errors
/// [`EngineError::Unfit`] if it has less than `wanted` bytes.
pub async fn disk(engine: &Engine, what_for: &str, wanted: u64) -> Result<String, EngineError> {
    let root = engine.folder().await?;
    // An engine elsewhere, or one whose folder we may not see, can't be judged from here.
    let Ok(seen) = statvfs(root.as_str()) else {
        return Ok(format!("{root} can't be seen from here"));
    };
    let free = seen.blocks_available() * seen.fragment_size();
    if free < wanted {
        return Err(EngineError::Unfit {
            what: format!(
                "no room on disk: {root} has {} free, {what_for} needs {}",
                gib(free),
                gib(wanted)
            ),
            hint:
                "make room, for example with `docker image prune`, or move the engine's data-root"
                    .into(),
        });
    }
    Ok(format!("{} free in {root}", gib(free)))
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| kib << 10);
    let seen = match available {
        None => Ok("can't be read".to_owned()),
        Some(bytes) if bytes < MEMORY_FOR_STACK => Err(Advice::from(format!(
            "{} available, the e-mail stack takes {}",
            gib(bytes),
            gib(MEMORY_FOR_STACK)
        ))
        .hint("end other programs, or take a larger machine")),
        Some(bytes) => Ok(format!("{} available", gib(bytes))),
    };
    check("memory", false, seen)
}

fn pressure() -> Finding {
    let seen = match std::fs::read_to_string("/proc/pressure/cpu") {
        Ok(text) => Ok(text.lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(Advice::from(format!("/proc/pressure/cpu: {error}"))
            .hint("boot with psi=1; without it a late verdict can't be told from a busy host")),
    };
    check("pressure stall information", false, seen)
}

fn user() -> Finding {
    let id = nix::unistd::geteuid();
    let seen = if id.is_root() {
        Ok("root".to_owned())
    } else {
        Err(Advice::from(format!("user {id}"))
            .hint("containment and faults take root: run with sudo"))
    };
    check("user", true, seen)
}

fn from(name: &'static str, required: bool, seen: Result<String, EngineError>) -> Finding {
    check(name, required, seen.map_err(Advice::from))
}

fn check(name: &'static str, required: bool, seen: Result<String, Advice>) -> Finding {
    let ok = seen.is_ok();
    let (seen, hints) = match seen {
        Ok(seen) => (seen, Vec::new()),
        Err(Advice { what, hints }) => (what, hints),
    };
    Finding { name, ok, required, seen, hint: hints.join("; ") }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_shown_with_its_hint() {
        let seen = check("x", true, Err(Advice::from("no room").hint("make room")));
        assert_eq!(
            seen.to_string(),
            format!("missing  {:<40} no room\n         hint: make room", "x")
        );
    }
}
