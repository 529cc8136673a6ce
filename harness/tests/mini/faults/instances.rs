//! Services of two instances: a fault on one is not to be seen in the other's namespaces, a fault on
//! the service is to be seen in both.

use super::stage::{Outcome, Stage, aimed, check};
use firedrill::engine::namespace;
use firedrill::fault::healing::carry_out;

const TO_STORE: &[(&str, &str)] = &[("to", "store:6379")];
const BOTH: [&str; 2] = ["twin-1", "twin-2"];

/// It connects to the store, or is refused, and the packet filter of its own namespace says why.
async fn is_refused(stage: &Stage, instance: &str, refused: bool) -> Outcome {
    let seen = stage.connects(instance).await?;
    check(seen.is_err() == refused, (instance, seen))?;
    let pid = stage.engine.inspect(stage.container(instance)?).await?.pid;
    let rules = namespace::run(pid, "iptables", &["-S".into(), "OUTPUT".into()]).await?;
    check(rules.ok && rules.stdout.contains("REJECT") == refused, (instance, rules))
}

async fn is_paused(stage: &Stage, instance: &str, paused: bool) -> Outcome {
    let seen = stage.engine.inspect(stage.container(instance)?).await?;
    check(seen.running && seen.paused == paused, (instance, seen.paused))
}

pub async fn one(stage: &Stage) -> Outcome {
    let well = async || {
        is_refused(stage, "twin-1", false).await?;
        is_refused(stage, "twin-2", false).await
    };
    let disturbed = async || {
        is_refused(stage, "twin-1", false).await?;
        is_refused(stage, "twin-2", true).await
    };
    let undo = stage.strike("refuse_connections", "twin-2", TO_STORE, well, disturbed).await?;
    check(undo.len() == 1, undo)?;
    let well = async || {
        is_paused(stage, "twin-1", false).await?;
        is_paused(stage, "twin-2", false).await
    };
    let disturbed = async || {
        is_paused(stage, "twin-1", true).await?;
        is_paused(stage, "twin-2", false).await
    };
    stage.strike("pause", "twin-1", &[], well, disturbed).await.map(drop)
}

pub async fn each(stage: &Stage) -> Outcome {
    let all = async |refused: bool| {
        is_refused(stage, "twin-1", refused).await?;
        is_refused(stage, "twin-2", refused).await
    };
    let (well, disturbed) = (async || all(false).await, async || all(true).await);
    let undo = stage.strike("refuse_connections", "twin", TO_STORE, well, disturbed).await?;
    check(undo.len() == 2, undo)?;
    for (target, wanted) in
        [("twin", &BOTH[..]), ("twin-2", &["twin-2"][..]), ("client", &["client"][..])]
    {
        let mut fault = aimed("pause", target, &[])?;
        let undo = fault.prepare(&stage.scene()).await?;
        for one in &undo {
            carry_out(Some(&stage.engine), one).await?;
        }
        check(fault.instances() == wanted, fault.instances())?;
    }
    Ok(())
}

/// The addresses of the two servers, by their numbers.
async fn pool(stage: &Stage) -> Outcome<Vec<String>> {
    let found = stage.engine.instances(&stage.running.project, "pool").await?;
    let addresses: Option<Vec<String>> =
        found.iter().map(|instance| Some(instance.address?.to_string())).collect();
    let addresses = addresses.filter(|all| all.len() == 2);
    Ok(addresses.ok_or_else(|| format!("{found:?}"))?)
}

pub async fn ends(stage: &Stage) -> Outcome {
    let pool = pool(stage).await?;
    let refused = async |wanted: [bool; 2]| {
        for (address, wanted) in pool.iter().zip(wanted) {
            let seen = stage.connects_to("client", address).await?;
            check(seen.is_err() == wanted, (address, seen))?;
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    for (to, wanted) in [("pool:6379", [true, true]), ("pool-2:6379", [false, true])] {
        let (well, disturbed) =
            (async || refused([false, false]).await, async || refused(wanted).await);
        stage.strike("refuse_connections", "client", &[("to", to)], well, disturbed).await?;
    }
    // Each has a packet queue of its own in the one namespace of the client.
    let late = async |wanted: bool| {
        for address in &pool {
            let took = stage.connects_to("client", address).await??;
            check((took > 0.4) == wanted, (address, took))?;
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    };
    let settings = [("to", "pool:6379"), ("delay_ms", "800")];
    let (well, disturbed) = (async || late(false).await, async || late(true).await);
    stage.strike("packet_delay", "client", &settings, well, disturbed).await.map(drop)
}
