//! Faults of the host, of its file systems and of connections that break now and then, seen from
//! inside the containers that they are aimed at.

use super::{Outcome, Servers, runtime, soon};
use firedrill::engine::{Engine, namespace};
use firedrill::journal::Undo;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What `df` of the container says is used of the place, per cent; none if nothing is mounted
/// there.
fn used(servers: &Servers, place: &str) -> Outcome<Option<u32>> {
    let id = servers.running.container("redis").ok_or("no redis")?;
    let said = runtime().block_on(async {
        let engine = Engine::connect().await?;
        engine.exec(id, &["df", "-P", place], Duration::from_secs(5)).await
    })?;
    let line =
        said.stdout.lines().nth(1).ok_or("df says nothing")?.split_whitespace().collect::<Vec<_>>();
    Ok(if line.last() == Some(&place) {
        Some(line[4].trim_end_matches('%').parse()?)
    } else {
        None
    })
}

pub fn disk(servers: &Servers) -> Outcome {
    assert_eq!(used(servers, "/mnt")?, None);
    let evidence = servers.inject(
        "fill_disk",
        "redis",
        &["mount_point=/mnt", "size_mib=16", "per_cent=90"],
    )?;
    assert!(evidence.contains("/mnt") && evidence.contains("% used"), "{evidence}");
    assert!(
        used(servers, "/mnt")?.is_some_and(|u| (90..=100).contains(&u)),
        "{:?}",
        used(servers, "/mnt")
    );
    let of_mount = |u| {
        if let Undo::Fault { state, .. } = u {
            state["image"].as_str().map(std::path::PathBuf::from)
        } else {
            None
        }
    };
    let image = servers.open()?.into_iter().find_map(of_mount);
    let image = image.ok_or("no mount in the journal")?;
    assert!(
        !std::fs::read_to_string("/proc/self/mountinfo")?.contains(" /mnt "),
        "the host has nothing mounted"
    );
    // A second one at the same place would hide the first.
    let again =
        ["fault", "inject", "fill_disk", "redis", "--stack", &servers.name, "mount_point=/mnt"];
    let (code, _, said) = servers.firedrill(&again)?;
    assert!(code == Some(2) && said.contains("mounted at /mnt already"), "{code:?} {said}");
    assert!(servers.heal()?.contains("1 healed"));
    assert_eq!((used(servers, "/mnt")?, image.exists()), (None, false));
    let devices = std::process::Command::new("losetup").arg("--list").output()?;
    assert!(!String::from_utf8(devices.stdout)?.contains("firedrill-disk-"), "no device is left");
    Ok(())
}

pub fn flaky(servers: &Servers) -> Outcome {
    let refused = || {
        runtime().block_on(async {
            let engine = Engine::connect().await?;
            let project = &servers.running.project;
            let (from, to) = (
                engine.container_of(project, "postgres").await?,
                engine.container_of(project, "redis").await?,
            );
            let to: SocketAddr = format!("{}:6379", to.ip().ok_or("no address")?).parse()?;
            let tried = move || {
                (0..300)
                    .filter(|_| TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_err())
                    .count()
            };
            Ok::<usize, Box<dyn std::error::Error>>(namespace::within(from.pid, tried).await?)
        })
    };
    assert_eq!(refused()?, 0);
    servers.inject("flaky_connections", "postgres", &["to=redis:6379", "per_cent=20"])?;
    // A client sends two packets before it has its connection, and each may meet the reset: 36 % of
    // 300 are 108, and five standard deviations 42.
    let seen = refused()?;
    assert!((66..=150).contains(&seen), "{seen}");
    servers.redis()?.command(&[b"PING"])?;
    servers.heal()?;
    assert_eq!(refused()?, 0);
    Ok(())
}

pub fn processors(servers: &Servers) -> Outcome {
    let evidence = servers.inject("host_cpu", "redis", &[])?;
    assert!(evidence.contains("idle"), "{evidence}");
    let stat = || -> Outcome<Vec<u64>> {
        let text = std::fs::read_to_string("/proc/stat")?;
        Ok(text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .filter_map(|f| f.parse().ok())
            .collect())
    };
    let before = stat()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = stat()?;
    let (idle, all) = (
        after[3] - before[3],
        after.iter().take(8).sum::<u64>() - before.iter().take(8).sum::<u64>(),
    );
    assert!(idle * 10 < all, "idle {idle} of {all}");
    let helper = servers.helper()?;
    servers.heal()?;
    ended(helper)
}

/// Waits until a process has ended, though nobody asked how.
fn ended(pid: i32) -> Outcome {
    let stat = format!("/proc/{pid}/stat");
    soon("its helper has ended", || {
        Ok(std::fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z ")))
    })
}

/// The host's own figures can't be compared before and after: other programs take and give back as
/// much meanwhile. What the helper holds is its own, and while it holds the level that the fault
/// states, no more than that is available.
pub fn memory(servers: &Servers) -> Outcome {
    let kib = |file: &str, name: &str| -> Outcome<u64> {
        let text = std::fs::read_to_string(file)?;
        let number = text.lines().find_map(|l| {
            l.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok()
        });
        Ok(number.ok_or_else(|| format!("{file} has no {name}"))?)
    };
    let total = kib("/proc/meminfo", "MemTotal")?;
    let evidence = servers.inject("host_memory", "redis", &["per_cent=3"])?;
    let numbers: Vec<u64> =
        evidence.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [.., before, fell_to, of] = numbers[..] else {
        return Err(format!("no figures in: {evidence}").into());
    };
    assert!(
        evidence.contains("available memory")
            && of == total >> 10
            && before - fell_to >= of * 27 / 1000,
        "{evidence}"
    );
    let helper = servers.helper()?;
    let held = || kib(&format!("/proc/{helper}/status"), "VmRSS");
    // A step of 4 MiB is taken as soon as more than the level is available, up to three times what
    // is wanted.
    soon("no more than the level is available", || {
        Ok(kib("/proc/meminfo", "MemAvailable")? <= (before << 10) - total * 2 / 100
            || held()? > total * 8 / 100)
    })?;
    soon("the helper holds some of it itself", || Ok(held()? > 64 << 10))?;
    servers.heal()?;
    ended(helper)
}

pub fn refused(servers: &Servers) -> Outcome {
    for (kind, settings, code, words) in [
        ("fill_disk", &["mount_point=/no/such/folder"][..], 64, "has no folder"),
        ("fill_disk", &["mount_point=mnt"], 64, "whole path"),
        ("fill_disk", &["mount_point=/mnt", "size_mib=4"], 64, "from 8 to 1024"),
        ("host_memory", &["per_cent=90"], 64, "from 1 to 20"),
        ("host_cpu", &["threads=1"], 64, "no setting"),
        ("flaky_connections", &["to=postgres:5432", "per_cent=0"], 64, "from 1 to 90"),
    ] {
        let (seen, said) = servers.refused(kind, "redis", settings)?;
        assert!(seen == Some(code) && said.contains(words), "{kind} {settings:?}: {seen:?} {said}");
    }
    Ok(())
}
