//! Faults that have nothing to disturb: none bites silently, and none leaves anything behind.

use super::stage::{Outcome, Stage, aimed, check};
use firedrill::fault;
use firedrill::fault::healing::carry_out;
use firedrill::process::failure::UserError;

const TO_STORE: &[(&str, &str)] = &[("to", "store:6379")];
const LATE: &[(&str, &str)] = &[("to", "store:6379"), ("delay_ms", "300")];

fn settings(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "refuse_connections" | "partition" => TO_STORE,
        "packet_delay" => LATE,
        "cut" => &[("and", "store")],
        _ => &[],
    }
}

/// The kinds that the cases here know the settings of.
const KINDS: &[&str] = &[
    "stop",
    "kill",
    "pause",
    "restart",
    "cpu_pressure",
    "memory_pressure",
    "refuse_connections",
    "partition",
    "cut",
    "packet_delay",
    "redis_fill",
];

/// It must be refused while it is prepared, with these words, and so before it is journalled or
/// injected.
async fn refused(
    stage: &Stage,
    kind: &str,
    target: &str,
    settings: &[(&str, &str)],
    words: &[&str],
) -> Outcome {
    let told = match aimed(kind, target, settings) {
        Err(error) => error.advice().to_string(),
        Ok(mut fault) => match fault.prepare(&stage.scene()).await {
            Err(error) => error.advice().to_string(),
            Ok(undo) => {
                for one in &undo {
                    carry_out(Some(&stage.engine), one).await?;
                }
                return Err(format!("{kind} on {target} is prepared: {undo:?}").into());
            }
        },
    };
    check(words.iter().all(|w| told.contains(w)), told)
}

pub async fn not_running(stage: &Stage) -> Outcome {
    let id = stage.container("client")?;
    stage.engine.kill(id, "SIGKILL").await?;
    super::stage::until(async || {
        stage
            .engine
            .inspect(id)
            .await
            .map_err(Into::into)
            .and_then(|s| check(!s.running, s.running))
    })
    .await?;
    let mut told = Ok(());
    for kind in KINDS {
        told = told.and(
            refused(stage, kind, "client", settings(kind), &[kind, "client", "does not run"]).await,
        );
    }
    stage.engine.start(id).await?;
    told?;
    stage.engine.pause(id).await?;
    let told = refused(stage, "pause", "client", &[], &["client", "paused already"]).await;
    stage.engine.unpause(id).await?;
    told
}

pub async fn nobody(stage: &Stage) -> Outcome {
    for kind in KINDS {
        check(fault::kinds().contains(kind), kind)?;
        refused(stage, kind, "nobody", settings(kind), &[kind, "nobody"]).await?;
    }
    refused(stage, "partition", "client", &[("to", "nobody:6379")], &["nobody"]).await
}

/// Injects it, and wants to be told by `bites` that there is nothing to disturb.
async fn does_not_bite(
    stage: &Stage,
    kind: &str,
    settings: &[(&str, &str)],
    words: &str,
) -> Outcome {
    let scene = stage.scene();
    let mut fault = aimed(kind, "client", settings)?;
    let undo = fault.prepare(&scene).await?;
    let injected = fault.inject(&scene).await;
    let bites = fault.bites(&scene).await;
    for one in &undo {
        carry_out(Some(&stage.engine), one).await?;
    }
    injected?;
    match bites {
        Ok(seen) => Err(format!("{kind}: {seen:?}").into()),
        Err(error) => check(error.advice().to_string().contains(words), error.advice().to_string()),
    }
}

pub async fn unused_port(stage: &Stage) -> Outcome {
    for kind in ["refuse_connections", "partition", "packet_delay"] {
        let settings: Vec<(&str, &str)> = settings(kind)
            .iter()
            .map(|(k, v)| if *k == "to" { (*k, "store:6380") } else { (*k, *v) })
            .collect();
        does_not_bite(stage, kind, &settings, "failed before the fault already").await?;
    }
    Ok(())
}

pub async fn cut_already(stage: &Stage) -> Outcome {
    let scene = stage.scene();
    let mut first = aimed("refuse_connections", "client", TO_STORE)?;
    let undo = first.prepare(&scene).await?;
    first.inject(&scene).await?;
    let mut told = Ok(());
    for kind in ["partition", "packet_delay"] {
        told = told.and(
            does_not_bite(stage, kind, settings(kind), "failed before the fault already").await,
        );
    }
    for one in &undo {
        carry_out(Some(&stage.engine), one).await?;
    }
    told?;
    // Nor is it a fault's doing when the server itself goes.
    let mut fault = aimed("refuse_connections", "client", TO_STORE)?;
    fault.prepare(&scene).await?;
    stage.ask("CONFIG SET port 6390")?;
    let claim = fault.bites(&scene).await;
    let id = stage.container("store")?;
    let back = stage
        .engine
        .exec(
            id,
            &["redis-cli", "-p", "6390", "config", "set", "port", "6379"],
            std::time::Duration::from_secs(10),
        )
        .await?;
    check(back.code == 0, back)?;
    check(claim.as_ref().is_ok_and(Option::is_none), claim)
}

pub async fn no_pressure(stage: &Stage) -> Outcome {
    refused(stage, "cpu_pressure", "client", &[("threads", "0")], &["threads", "from 1 to 64"])
        .await?;
    refused(stage, "memory_pressure", "store", &[("per_cent", "0")], &["per_cent", "from 1 to"])
        .await?;
    refused(
        stage,
        "memory_pressure",
        "store",
        &[("per_cent", "1")],
        &["nothing to fill up to 1 %"],
    )
    .await?;
    refused(stage, "memory_pressure", "client", &[], &["client has no memory limit", "mem_limit"])
        .await
}

pub async fn never_evicts(stage: &Stage) -> Outcome {
    stage.ask("CONFIG SET maxmemory-policy noeviction")?;
    let first = refused(stage, "redis_fill", "store", &[], &["noeviction", "never evicts"]).await;
    stage.ask("CONFIG SET maxmemory-policy volatile-lru")?;
    stage.ask("CONFIG SET maxmemory 0")?;
    let second =
        refused(stage, "redis_fill", "store", &[], &["maxmemory of store is 0 bytes"]).await;
    stage.ask("CONFIG SET maxmemory 24mb")?;
    first.and(second)?;
    refused(stage, "redis_fill", "client", &[], &["redis_fill on client", "refused"]).await
}
