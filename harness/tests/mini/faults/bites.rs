//! Each kind bites what it is aimed at and nothing else, and leaves.

use super::stage::{Outcome, Stage, check};
use firedrill::engine::namespace;
use std::cell::Cell;
use std::net::UdpSocket;

pub async fn stop(stage: &Stage) -> Outcome {
    ended(stage, "stop", 0).await
}

pub async fn kill(stage: &Stage) -> Outcome {
    ended(stage, "kill", 137).await
}

async fn ended(stage: &Stage, kind: &str, code: i64) -> Outcome {
    let well = async || stage.store_answers();
    let disturbed = async || {
        let state = stage.engine.inspect(stage.container("store")?).await?;
        check(
            stage.store_answers().is_err() && !state.running && state.exit_code == code,
            (state.running, state.exit_code),
        )
    };
    stage.strike(kind, "store", &[], well, disturbed).await.map(drop)
}

pub async fn pause(stage: &Stage) -> Outcome {
    let well = async || stage.store_answers();
    // The kernel still takes the connection; nobody answers.
    let disturbed = async || {
        let address = stage.running.address("store", 6379).ok_or("no port")?;
        std::net::TcpStream::connect(address)?;
        check(stage.store_answers().is_err(), "it answers")
    };
    stage.strike("pause", "store", &[], well, disturbed).await.map(drop)
}

pub async fn restart(stage: &Stage) -> Outcome {
    let before = stage.info("run_id")?;
    let well = async || stage.store_answers();
    let disturbed =
        async || check(stage.info("run_id")? != before, "the server is the one that it was");
    stage.strike("restart", "store", &[], well, disturbed).await.map(drop)
}

pub async fn cpu(stage: &Stage) -> Outcome {
    let (usual, other) = (stage.cores("client").await?, stage.counted("narrow").await?.0);
    let well = async || {
        stage.cores("client").await.and_then(|cores| check(cores < 0.01 + usual * 2.0, cores))
    };
    let disturbed = async || {
        stage.cores("client").await.and_then(|cores| check(cores > 0.05 + usual * 10.0, cores))
    };
    stage.strike("cpu_pressure", "client", &[("threads", "1")], well, disturbed).await?;
    let other = stage.counted("narrow").await?.0 - other;
    check(other < 0.1, format!("another container took {other} s"))
}

/// Under a limit of a tenth of a core, nothing takes more: the helper takes it from the container's
/// own.
pub async fn cpu_limited(stage: &Stage) -> Outcome {
    let usual = stage.cores("narrow").await?;
    let well = async || {
        stage.cores("narrow").await.and_then(|cores| check(cores < 0.005 + usual * 2.0, cores))
    };
    let disturbed = async || {
        stage
            .cores("narrow")
            .await
            .and_then(|cores| check((0.01 + usual * 5.0..0.3).contains(&cores), cores))
    };
    stage.strike("cpu_pressure", "narrow", &[("threads", "2")], well, disturbed).await.map(drop)
}

pub async fn memory(stage: &Stage) -> Outcome {
    let limit = stage.engine.inspect(stage.container("store")?).await?.limits.memory as f64;
    let share =
        async || Ok::<_, Box<dyn std::error::Error>>(stage.counted("store").await?.1 / limit);
    let well = async || share().await.and_then(|share| check(share < 0.5, share));
    let disturbed =
        async || share().await.and_then(|share| check((0.75..=1.0).contains(&share), share));
    let first = stage.info("run_id")?;
    stage.strike("memory_pressure", "store", &[("per_cent", "80")], well, disturbed).await?;
    let state = stage.engine.inspect(stage.container("store")?).await?;
    check(stage.info("run_id")? == first && !state.oom_killed, "the server was killed")
}

pub async fn refusal(stage: &Stage) -> Outcome {
    cut(stage, "refuse_connections", "Connection refused").await
}

pub async fn partition(stage: &Stage) -> Outcome {
    // 124 is what `timeout` says of what it had to end.
    cut(stage, "partition", "code 124").await
}

/// Whether a packet of UDP arrives.
async fn arrives(stage: &Stage, from: &str, to: &str) -> Outcome<bool> {
    let (from, to) = (stage.container(from)?, stage.container(to)?);
    let (from, to) = (stage.engine.inspect(from).await?, stage.engine.inspect(to).await?);
    let address: std::net::IpAddr = to.ip().ok_or("no address")?.parse()?;
    let bound = namespace::within(to.pid, move || UdpSocket::bind((address, 0))).await?;
    let receiver = bound?;
    receiver.set_read_timeout(Some(std::time::Duration::from_millis(500)))?;
    let port = receiver.local_addr()?;
    // One that is dropped on its way out is an error of the sender's.
    let send = move || UdpSocket::bind(("0.0.0.0", 0)).and_then(|s| s.send_to(b"x", port)).is_ok();
    namespace::within(from.pid, send).await?;
    Ok(receiver.recv(&mut [0; 8]).is_ok())
}

pub async fn cut_both_ways(stage: &Stage) -> Outcome {
    cut_off(stage, "both", false).await
}

pub async fn cut_one_way(stage: &Stage) -> Outcome {
    cut_off(stage, "there", true).await
}

async fn cut_off(stage: &Stage, way: &str, returns: bool) -> Outcome {
    let passes = async |from: &str, to: &str, wanted: bool| {
        let arrived = arrives(stage, from, to).await?;
        check(arrived == wanted, format!("a packet from {from} to {to} arrived: {arrived}"))
    };
    let others = async || {
        stage.store_answers()?;
        stage.connects("narrow").await.and_then(|seen| check(seen.is_ok(), seen))?;
        passes("narrow", "store", true).await?;
        passes("client", "narrow", true).await
    };
    let well = async || {
        stage.connects("client").await.and_then(|seen| check(seen.is_ok(), seen))?;
        passes("client", "store", true).await?;
        passes("store", "client", true).await
    };
    let disturbed = async || {
        let seen = stage.connects("client").await?;
        check(seen.as_ref().is_err_and(|said| said.contains("code 124")), seen)?;
        passes("client", "store", false).await?;
        passes("store", "client", returns).await?;
        others().await
    };
    let settings = [("and", "store"), ("way", way)];
    stage.strike("cut", "client", &settings, well, disturbed).await.map(drop)
}

async fn cut(stage: &Stage, kind: &str, words: &str) -> Outcome {
    let well = async || stage.connects("client").await.and_then(|seen| check(seen.is_ok(), seen));
    let disturbed = async || {
        let seen = stage.connects("client").await?;
        check(seen.as_ref().is_err_and(|said| said.contains(words)), seen)?;
        // Another client, and the way in from the host, notice nothing.
        stage.store_answers()?;
        stage.connects("narrow").await.and_then(|seen| check(seen.is_ok(), seen))
    };
    stage.strike(kind, "client", &[("to", "store:6379")], well, disturbed).await.map(drop)
}

pub async fn delay(stage: &Stage) -> Outcome {
    let best = async |from: &str| {
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            best = best.min(stage.connects(from).await??);
        }
        Ok::<_, Box<dyn std::error::Error>>(best)
    };
    let usual = best("client").await?;
    let delayed = Cell::new(0.0);
    let well = async || {
        best("client")
            .await
            .and_then(|took| check(took < usual * 5.0 + delayed.get() / 5.0, (took, usual)))
    };
    let disturbed = async || {
        delayed.set(best("client").await?);
        // Ten times what it took before, and each connection is late.
        check(delayed.get() > usual * 10.0, (delayed.get(), usual))?;
        best("narrow").await.and_then(|other| {
            check(other < delayed.get() / 5.0, format!("another client: {other} s"))
        })
    };
    // So long that a busy host does not take it for usual.
    let ms = ((usual * 40_000.0) as u64).clamp(400, 2000).to_string();
    stage
        .strike(
            "packet_delay",
            "client",
            &[("to", "store:6379"), ("delay_ms", &ms)],
            well,
            disturbed,
        )
        .await
        .map(drop)
}

pub async fn fill(stage: &Stage) -> Outcome {
    stage.ask("SET queue task")?;
    let evicted =
        async || Ok::<u64, Box<dyn std::error::Error>>(stage.info("evicted_keys")?.parse()?);
    let before = evicted().await?;
    let well =
        async || stage.ask("DBSIZE").and_then(|said| check(said.starts_with(":1\r\n"), said));
    let disturbed = async || evicted().await.and_then(|now| check(now > before, (now, before)));
    stage.strike("redis_fill", "store", &[], well, disturbed).await?;
    let said = stage.ask("GETDEL queue")?;
    check(said.contains("task"), said)
}
