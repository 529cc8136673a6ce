//! One fault by hand.

use crate::engine::Engine;
use crate::fault::{self, Scene, Settings};
use crate::journal::Journal;
use crate::ops::options::Options;
use crate::ops::up;
use crate::plan::preflight;
use crate::process::exit::Exit;
use crate::process::failure::{Failure, UserError};
use crate::yaml::suggest;
use std::collections::BTreeSet;

/// Injects a fault into a stack that is up, and waits until it is seen to bite; the evidence is
/// returned.
///
/// # Errors
/// The fault or its target is not known, it can't be injected here, or its effect is not seen.
pub async fn inject(
    kind: &str,
    target: &str,
    settings: &[String],
    options: &Options,
) -> Result<String, Failure> {
    let mut parsed = Settings::new();
    for setting in settings {
        let Some((key, value)) = setting.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::usage(format!("setting {setting} is not written key=value"))
                .hint("firedrill fault list shows the settings of each kind in brackets"));
        };
        if parsed.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Failure::usage(format!("setting {key} is given twice"))
                .hint("give each setting once"));
        }
    }
    let mut fault = fault::aim(kind, target, &parsed)?;
    let journal = Journal::of_user();
    let running = up::running(&journal, &options.name_or_word())?;
    let instances: BTreeSet<String> = running.instances().map(|(name, _)| name).collect();
    let several = || instances.iter().filter(|name| !running.services.contains_key(*name));
    let services = || running.services.keys().chain(several()).map(String::as_str);
    let mut named = fault::sides(target).chain(fault::named_in(&parsed));
    if let Some(service) = named.find(|s| !services().any(|known| known == *s)) {
        return Err(Failure::usage(format!("stack {} runs no service {service}", running.stack))
            .hint(suggest(service, services(), "services")));
    }
    let engine = Engine::connect().await?;
    for ability in fault.needs() {
        preflight::able(ability).await.map_err(|e| {
            let advice = e.advice().within(format!("fault {kind} can't be injected here"));
            Failure::new(e.exit(), advice)
        })?;
    }
    let scene = Scene { engine: &engine, project: &running.project, run: &running.run };
    for undo in fault.prepare(&scene).await? {
        let what = format!("fault {kind} on {target}, by hand");
        journal.open(&running.run, &running.stack, &what, undo)?;
    }
    // From here on there is something to undo, whatever comes of it.
    let open =
        |e: fault::FaultError| Failure::from(e).hint("firedrill heal undoes what was injected");
    fault.inject(&scene).await.map_err(open)?;
    for _ in 0..100 {
        if let Some(evidence) = fault.bites(&scene).await.map_err(open)? {
            return Ok(evidence);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Err(Failure::new(
        Exit::Unknown,
        format!("fault {kind} on {target} was injected, and its effect was not seen within 20 s"),
    )
    .hint("firedrill heal undoes it"))
}
