//! One service made anew in a stack that is up, for changes that a server takes over only when it
//! starts. One that has several instances is made anew one instance after the other.

use super::resolve::{self, Context, Host};
use super::start::Job;
use super::up::ServiceOverride;
use super::{Running, Stack, StackError, volumes};
use crate::engine::Engine;
use crate::engine::label::Owner;
use crate::engine::spec::PortSpec;
use crate::stack::compose::{Source, load};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Makes a service's containers anew from the work copy's Compose file as it is now, at their old
/// ports, and waits until each is ready. What was added to the old ones has to be added again. Later
/// commands find the new containers; `running` itself still names the old ones, so ask the engine by
/// name.
///
/// # Errors
/// [`StackError`]; once it is one about the engine, an old container is gone.
pub async fn recreate(
    engine: &Engine,
    stack: &Stack,
    running: &Running,
    name: &str,
    addition: Option<&ServiceOverride>,
) -> Result<(), StackError> {
    let work = running.work_copy();
    let owner = Owner {
        run: running.run.clone(),
        stack: running.stack.clone(),
        project: running.project.clone(),
    };
    let source =
        Source { copy: Some((work.original.clone(), work.folder.clone())), ..stack.source.clone() };
    let project = load(&source)?;
    let missing = || StackError::NotFound {
        what: format!("there is no running service {name}"),
        hint: "name a service of the Compose file".into(),
    };
    let service = project.services.get(name).ok_or_else(missing)?;
    let old = running.services.get(name).ok_or_else(missing)?;
    let host = Host::look();
    let mounts = work.mounts(&project, &stack.declaration.owner_data)?;
    mounts.bring(&work)?;
    let as_they_are = volumes::as_they_are(engine, &owner.project, &mounts).await?;
    let context = Context {
        owner: &owner,
        project: &project,
        work: &work,
        host: &host,
        mounts: &mounts,
        as_they_are: &as_they_are,
    };
    let mut anew = running.clone();
    for (at, instance) in running.members_of(name).iter().enumerate() {
        let ports: Vec<_> = old.instances[at]
            .ports
            .iter()
            .map(|(container, host)| PortSpec { container: *container, host: *host, udp: false })
            .collect();
        let service = (service, at + 1);
        let (image, no_deviations) = (&old.image, &mut BTreeSet::new());
        let spec = resolve::service(&context, service, image, &ports, addition, no_deviations)?;
        let before = engine.container_of(&running.project, instance).await?;
        engine.remove(&before.id).await?;
        let job = Job {
            engine: engine.clone(),
            spec,
            needs: Vec::new(),
            completes: false,
            ready_within: Duration::from_secs(60),
            began: Instant::now(),
        };
        let (events, _told) = mpsc::unbounded_channel();
        let made = job.run(&BTreeMap::new(), &events).await?;
        if let Some(known) = anew.services.get_mut(name) {
            known.instances[at] = made.instance;
        }
        // Written down each time: what fails at the next instance leaves this one known.
        anew.save_beside_work()?;
    }
    Ok(())
}
