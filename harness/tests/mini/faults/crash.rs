//! SIGKILL of a fault's helper, and of the harness before it has told the helper anything. The
//! faults are injected by the built program, as by hand, which has ended when they are looked at.

use super::stage::{Outcome, Stage, check, ended_helper, until};
use firedrill::engine::namespace;
use firedrill::journal::Undo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const BY_HAND: [&[&str]; 3] = [
    &["packet_delay", "client", "to=store:6379", "delay_ms=500"],
    &["cpu_pressure", "client", "threads=1"],
    &["memory_pressure", "store", "per_cent=80"],
];

pub async fn killed_helpers(stage: &Stage) -> Outcome {
    for arguments in BY_HAND {
        for killed in [true, false] {
            by_hand(stage, arguments, killed)
                .await
                .map_err(|e| format!("{arguments:?}, its helper killed: {killed}: {e}"))?;
        }
    }
    let healed = stage.program(&["heal"])?;
    check(
        healed.status.success()
            && String::from_utf8_lossy(&healed.stdout).contains("0 healed, 0 could not be"),
        healed,
    )
}

async fn by_hand(stage: &Stage, arguments: &[&str], killed: bool) -> Outcome {
    let injected = stage
        .program(&[&["fault", "inject", "--stack", &stage.running.stack], arguments].concat())?;
    check(
        injected.status.success()
            && String::from_utf8_lossy(&injected.stdout).contains("firedrill heal"),
        &injected,
    )?;
    let open = stage.faults_open()?;
    let helper = open
        .iter()
        .find_map(|u| if let Undo::EndHelper { pid, .. } = u { Some(*pid) } else { None })
        .ok_or("no helper")?;
    check(ended_helper(helper).is_err(), "the helper ended with the program that started it")?;
    if killed {
        kill(Pid::from_raw(helper), Signal::SIGKILL)?;
        until(async || ended_helper(helper)).await?;
    }
    let healed = stage.program(&["heal"])?;
    check(healed.status.success() && stage.faults_open()?.is_empty(), &healed)?;
    until(async || ended_helper(helper)).await?;
    let pid = stage.engine.inspect(stage.container("client")?).await?.pid;
    let rules = namespace::run(pid, "iptables", &["-S".into()]).await?;
    check(rules.ok && !rules.stdout.contains("6379"), rules)?;
    until(async || {
        stage.store_answers()?;
        stage.connects("client").await.and_then(|seen| check(seen.is_ok(), seen))
    })
    .await
}

/// What a harness that is gone cut off is mended from its journal alone.
pub async fn cut_off(stage: &Stage) -> Outcome {
    let arguments = ["cut", "client", "and=store,narrow"];
    let injected = stage.program(
        &[&["fault", "inject", "--stack", &stage.running.stack][..], &arguments].concat(),
    )?;
    check(injected.status.success(), &injected)?;
    let rules = async || {
        let pid = stage.engine.inspect(stage.container("client")?).await?.pid;
        let rules = namespace::run(pid, "iptables", &["-S".into()]).await?;
        Ok::<usize, Box<dyn std::error::Error>>(rules.stdout.matches("-j DROP").count())
    };
    let found = rules().await?;
    check(found == 4 && !stage.faults_open()?.is_empty(), found)?;
    check(stage.connects("client").await?.is_err(), "it still reaches the store")?;
    let healed = stage.program(&["heal"])?;
    check(healed.status.success() && stage.faults_open()?.is_empty(), &healed)?;
    check(rules().await? == 0, "rules are left")?;
    until(async || stage.connects("client").await.and_then(|seen| check(seen.is_ok(), seen))).await
}

pub async fn orphans(stage: &Stage) -> Outcome {
    let client = stage.engine.inspect(stage.container("client")?).await?.pid.to_string();
    let sessions = [
        "hold-sessions",
        "--pid",
        &client,
        "--protocol",
        "redis",
        "--port",
        "6379",
        "--name",
        "orphan",
        "--up-to",
        "9",
    ];
    let packets = ["hold-packets", "--pid", &client, "--queue", "7399", "--delay-ms", "100"];
    for arguments in [&["press", "--threads", "1"][..], &packets, &sessions] {
        // A shell stands for the harness: it starts the helper and waits for it, until it is
        // killed.
        let mut harness = Command::new("sh")
            .args(["-c", r#""$0" "$@" & echo $!; wait"#, env!("CARGO_BIN_EXE_firedrill")])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(harness.stdout.take().ok_or("no output")?).lines();
        let helper: i32 = lines.next().ok_or("no line")??.parse()?;
        let ready = lines.next().ok_or("no line")??;
        check(ready == "ready" && ended_helper(helper).is_err(), &ready)?;
        harness.kill()?;
        harness.wait()?;
        until(async || ended_helper(helper)).await.map_err(|e| format!("{arguments:?}: {e}"))?;
    }
    Ok(())
}
