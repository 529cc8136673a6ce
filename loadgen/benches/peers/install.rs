//! Gets the peers, into target/peers.

use super::client::Client;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")).join("peers")
}

/// Where a program is: on the search path, or installed by us.
pub fn find(name: &str) -> Option<PathBuf> {
    let ours = folder().join("bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(ours)
        .chain(std::env::split_paths(&path).map(|d| d.join(name)))
        .find(|p| p.is_file())
}

/// Runs an installation; its last words if it fails.
fn install(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or("no words").to_owned())
}

/// A Debian package's program.
pub fn of_apt(name: &str) -> Result<PathBuf, String> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(format!("{name} is not installed (apt-get install {name})"));
    }
    eprintln!("installing {name}");
    install(
        Command::new("apt-get")
            .args(["install", "-y", "--no-install-recommends", name])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    find(name).ok_or_else(|| format!("{name} is not there after its installation"))
}

fn built(name: &str, command: &mut Command) -> Result<PathBuf, String> {
    if let Some(found) = find(name) {
        return Ok(found);
    }
    eprintln!("building {name}, which takes minutes");
    install(command)?;
    find(name).ok_or_else(|| format!("{name} is not there after its installation"))
}

/// Our own generator first, then the peers that can be had. wrk and oha are installed where they
/// are not; of the others those take part that are on the search path.
pub fn clients() -> Vec<Client> {
    let folder = folder();
    let oha = || {
        built(
            "oha",
            Command::new("cargo").args(["install", "oha", "--locked", "--root"]).arg(&folder),
        )
    };
    let there = |name: &str| find(name).ok_or_else(|| "it is not on the search path".to_owned());
    let mut clients = vec![Client::Firedrill];
    for (name, got) in [
        ("wrk", of_apt("wrk").map(Client::Wrk)),
        ("oha", oha().map(Client::Oha)),
        ("wrk2", there("wrk2").map(Client::Wrk2)),
        ("vegeta", there("vegeta").map(Client::Vegeta)),
        ("hey", there("hey").map(Client::Hey)),
        ("ab", there("ab").map(Client::Ab)),
    ] {
        match got {
            Ok(client) => clients.push(client),
            Err(why) => println!("{name} is left out: {why}"),
        }
    }
    clients
}
