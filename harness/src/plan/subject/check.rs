//! Whether a stack's files agree with each other: scenarios, baseline and monitoring configuration
//! with the declaration.

mod baseline;
mod scenarios;

pub(super) use baseline::baseline;
pub(super) use scenarios::scenarios;

use super::Error;
use crate::declaration::Declaration;
use crate::process::failure::Advice;
use crate::stack::Topology;
use crate::yaml;
use config::budget::{self, BudgetAssumptions};
use config::monitoring::MonitoringConfig;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// What an owner wants to be told within must be what the configuration can promise, however fast
/// everything is.
pub(super) fn bounds(
    file: &Path,
    declaration: &Declaration,
    config: &MonitoringConfig,
) -> Result<(), Error> {
    let at_best = BudgetAssumptions::at_best();
    for (at, alert) in declaration.alerts.iter().enumerate() {
        let Some(within_s) = alert.within_s else { continue };
        let keys = ["alerts", &at.to_string(), "within_s"];
        let Ok(within) = Duration::try_from_secs_f64(within_s) else {
            let what = format!(
                "alerts: {}: within_s: seen {within_s}, wanted a number of seconds",
                alert.name
            );
            return Err(yaml::error_at(file, &keys, what, "seconds at time scale 1, as 300").into());
        };
        let refused = match budget::budgets(config, &alert.name, &alert.labels, &at_best) {
            Ok(budgets) => budgets.iter().find_map(|budget| budget.check_feasible(within).err()),
            // That it is not there is a verdict.
            Err(_) => None,
        };
        if let Some(refused) = refused {
            let (what, hint) = (format!("alerts: {refused}"), refused.hint());
            return Err(yaml::error_at(file, &keys, what, hint).into());
        }
    }
    Ok(())
}

/// Everything that the configuration sends must go to a service of the stack or to a stand-in: a
/// drill must never page a person.
pub(super) fn contained(
    declaration: &Declaration,
    topology: &Topology,
    config: &MonitoringConfig,
) -> Result<(), Error> {
    let names = topology.services.values().flat_map(|service| &service.names);
    let left_out = topology.left_out.values().flat_map(|left| &left.names);
    let known: BTreeSet<String> = names
        .chain(left_out)
        .chain(declaration.receivers.iter().map(|r| &r.host))
        .map(|h| h.to_ascii_lowercase())
        .collect();
    for destination in config.destinations()?.into_iter().filter(|d| d.kind.sends()) {
        let inside = |host: &str| {
            known.contains(&host.to_ascii_lowercase())
                || matches!(host, "localhost" | "127.0.0.1" | "::1" | "0.0.0.0")
        };
        let refuse = |seen: String| {
            let what = format!(
                "{}: {} of {} leads out of the stack: {seen}",
                destination.place, destination.owner, destination.service
            );
            Error::Stated(Advice::from(what).hint("name a service of the stack, or declare a stand-in for the host under `receivers` in firedrill.yaml; nothing was started"))
        };
        match (&destination.host, &destination.unknown) {
            (Some(host), _) if inside(host) => {}
            (Some(host), _) => {
                return Err(refuse(destination.server().unwrap_or_else(|| host.clone())));
            }
            (None, why) => {
                return Err(refuse(
                    why.clone().unwrap_or_else(|| "its address is not known".into()),
                ));
            }
        }
    }
    Ok(())
}
