//! Installing and starting Docker on a Debian machine, as root, when the user asks for it
//! (`--provision`, or `FIREDRILL_PROVISION=1`). What is installed stays.

use crate::engine::{Engine, EngineError};
use crate::process::failure::UserError;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Programs that are needed, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 5] = [
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
    ("tc", "iproute2"),
    ("nsenter", "util-linux"),
    ("mmdebstrap", "mmdebstrap"),
];

/// Longest time that the engine may take to answer after it was started.
const START: Duration = Duration::from_secs(60);

/// Whether the environment asks for provisioning, for `cargo test`.
pub fn asked_by_environment() -> bool {
    std::env::var("FIREDRILL_PROVISION").is_ok_and(|value| value == "1" || value == "true")
}

/// Connects to the engine. If `provision`, installs what is missing of Docker, `iptables`,
/// `iproute2` and `mmdebstrap` first, and starts the engine if none answers. `say` is told of each
/// step.
///
/// # Errors
/// [`EngineError::Missing`] without `provision`; else [`EngineError::Unfit`] for the step that
/// failed.
pub async fn engine(
    provision: bool,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Engine, EngineError> {
    let connected = Engine::connect().await;
    if !provision {
        return connected;
    }
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if connected.is_ok() {
        // An engine that answers may have come from elsewhere, and need no daemon of Debian's.
        packages.retain(|package| *package != "docker.io");
    }
    if !packages.is_empty() {
        install(&packages, say).await?;
    }
    match connected {
        Err(EngineError::Missing { .. }) => start(say).await,
        other => other,
    }
}

/// Finds a program on PATH, or where Debian keeps those for root.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

async fn install(packages: &[&str], say: &(dyn Fn(&str) + Send + Sync)) -> Result<(), EngineError> {
    let list = packages.join(" ");
    let by_hand = format!("install {list} by hand");
    if !nix::unistd::geteuid().is_root() {
        return Err(EngineError::Unfit {
            what: format!("{list} missing, and only root may install them"),
            hint: format!("run as root, or {by_hand}"),
        });
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !is_debian(&release) || find("apt-get").is_none() {
        return Err(EngineError::Unfit {
            what: format!("{list} missing, and --provision knows Debian only"),
            hint: by_hand,
        });
    }
    say(&format!("installing {list}"));
    run("apt-get", &["-qq", "-o", "DPkg::Lock::Timeout=120", "update"]).await?;
    let mut args = vec!["-qq", "-y", "-o", "DPkg::Lock::Timeout=120", "install"];
    args.extend_from_slice(packages);
    // With what they recommend: that mounts control groups where no init system does, and lets
    // mmdebstrap check signatures.
    run("apt-get", &args).await
}

fn is_debian(release: &str) -> bool {
    release.lines().any(|line| {
        let value = line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE="));
        value.is_some_and(|value| value.trim_matches('"').split(' ').any(|id| id == "debian"))
    })
}

/// Runs a step; what it printed last is shown if it fails.
async fn run(program: &str, args: &[&str]) -> Result<(), EngineError> {
    let failed = |seen: String| EngineError::Unfit {
        what: format!("`{program} {}`: {seen}", args.join(" ")),
        hint: "run it by hand to see more".into(),
    };
    let mut child = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut last: Vec<String> = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            last.push(line);
            if last.len() > 8 {
                last.remove(0);
            }
        }
    }
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(format!("{status}\n{}", last.join("\n")))) }
}

async fn start(say: &(dyn Fn(&str) + Send + Sync)) -> Result<Engine, EngineError> {
    say("starting the container engine");
    let log = Path::new("/var/log/firedrill-dockerd.log");
    let mut daemon = None;
    if Path::new("/run/systemd/system").is_dir() {
        run("systemctl", &["start", "docker"]).await?;
    } else {
        let unfit =
            |what: String| EngineError::Unfit { what, hint: "start `dockerd` as root".into() };
        let program = find("dockerd").ok_or_else(|| unfit("there is no program dockerd".into()))?;
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| unfit(format!("{}: {error}", log.display())))?;
        let errors = output.try_clone().map_err(|error| unfit(error.to_string()))?;
        // A group of its own: it stays when we and our terminal go.
        let mut command = std::process::Command::new("setsid");
        command
            .arg("--fork")
            .arg(&program)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        command.env("PATH", daemon_path()).current_dir("/");
        let started = command
            .spawn()
            .map_err(|error| unfit(format!("`setsid {}`: {error}", program.display())))?;
        daemon = Some(started);
    }
    let since = Instant::now();
    loop {
        match Engine::connect().await {
            Ok(engine) => {
                if let Some(mut forked) = daemon {
                    // It only forked the daemon, and ended.
                    let _ = forked.wait();
                }
                return Ok(engine);
            }
            Err(error) if since.elapsed() > START => {
                let tail = std::fs::read_to_string(log).unwrap_or_default();
                let tail: Vec<&str> = tail.lines().rev().take(5).collect();
                return Err(EngineError::Unfit {
                    what: format!(
                        "the engine was started and does not answer within {} s: {}\nthe end of {}:\n{}",
                        START.as_secs(),
                        error.advice(),
                        log.display(),
                        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                    ),
                    hint: "start `dockerd` by hand to see more".into(),
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// PATH for the daemon, which needs `iptables` and `containerd` from where Debian keeps them.
fn daemon_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin:{own}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_known() {
        assert!(is_debian("NAME=x\nID=debian\n") && is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(!is_debian("ID=fedora\n") && !is_debian(""));
        assert!(find("sh").is_some() && find("no-such-program-at-all").is_none());
    }
}
