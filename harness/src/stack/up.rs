//! Bringing a stack up: networks, volumes, then its services.

use super::mounts::Mounts;
use super::resolve::{self, Context, Host};
use super::running::{Deviation, Running};
use super::start::{Start, start_all};
use super::work_copy::{WorkCopy, announce};
use super::{PortPlan, Stack, StackError, plan_ports, remove_run, volumes};
use crate::engine::containment;
use crate::engine::label::Owner;
use crate::engine::network::{NetworkSpec, bridge_name};
use crate::engine::spec::{Attachment, ContainerSpec, FileSpec};
use crate::engine::{Engine, EngineError};
use crate::journal::Journal;
use crate::process::failure::UserError;
use crate::stack::compose::{Project, Source, load};
use config::yaml::ConfigError;
use loadgen::traffic::service_of;
use loadgen::traffic::stated::StatedTraffic;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use verdict::history::stack::StackEvent;

/// What is to be brought up.
pub struct Up<'a> {
    pub engine: &'a Engine,
    pub journal: &'a Journal,
    pub stack: &'a Stack,
    /// The run's copy of its folder: the Compose file and all it mounts are read there.
    pub work: &'a WorkCopy,
    /// Image reference of each service; those not named keep the one in the Compose file.
    pub images: BTreeMap<String, String>,
    /// Further services, started before all others: the stand-ins. Their names, networks (unless
    /// they name some) and labels are filled in; a host port 0 is chosen.
    pub extra_services: Vec<ContainerSpec>,
    /// What is added to services of the Compose file.
    pub additions: BTreeMap<String, ServiceOverride>,
    /// Host ports, if planned before.
    pub ports: Option<PortPlan>,
    /// Longest time from a service's start until it is ready.
    pub ready_within: Duration,
    /// Whether the stack stays when the program ends.
    pub kept: bool,
    /// Told of everything as it happens.
    pub on_event: &'a (dyn Fn(StackEvent) + Send + Sync),
}

/// What is added to a service of the Compose file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceOverride {
    /// Environment, over the file's own.
    pub env: BTreeMap<String, String>,
    /// Files put into the container before it starts.
    pub files: Vec<FileSpec>,
    /// Command in place of the file's.
    pub command: Option<Vec<String>>,
    /// Further names in its first network.
    pub aliases: Vec<String>,
}

/// Brings a stack up and returns when all services are ready. When that fails, everything of the
/// run is removed again.
///
/// # Errors
/// [`StackError`]; for a service that is not ready, with what was seen last and the end of its log.
pub async fn up(request: Up<'_>) -> Result<Running, StackError> {
    let (engine, journal, run) = (request.engine, request.journal, request.work.run.clone());
    match try_up(request).await {
        Ok(running) => Ok(running),
        Err(error) => {
            if let Err(second) = remove_run(Some(engine), journal, &run).await {
                let second = second.advice();
                tracing::error!(%second, run, "the failed run could not be removed; `firedrill down --all` tries again");
            }
            Err(error)
        }
    }
}

async fn try_up(request: Up<'_>) -> Result<Running, StackError> {
    let Up { engine, journal, stack, work, .. } = request;
    let run = work.run.as_str();
    let owner = Owner {
        run: run.to_owned(),
        stack: stack.name().to_owned(),
        project: project_name(stack.name(), run),
    };
    let source =
        Source { copy: Some((work.original.clone(), work.folder.clone())), ..stack.source.clone() };
    let project = load(&source)?;
    announce(journal, run, stack.name())?;
    let ports = match request.ports.clone() {
        Some(ports) => ports,
        None => plan_ports(stack, &project, &request.extra_services, run)?,
    };

    let mut deviations = warnings(stack, &project);
    let mut left_out = BTreeMap::new();
    for (service, left) in &project.left_out {
        let why = left.why.to_string();
        (request.on_event)(StackEvent::LeftOut { service: service.clone(), why: why.clone() });
        left_out.insert(service.clone(), why);
    }

    let networks = networks_of(&project);
    let host = Host::look();
    let mounts = work.mounts(&project, &stack.declaration.owner_data)?;
    mounts.bring(work)?;
    deviations.extend(mounts.deviations.iter().cloned());
    let externals = volumes::externals(engine, &mounts, &mut deviations).await?;
    let context = Context {
        owner: &owner,
        project: &project,
        work,
        host: &host,
        mounts: &mounts,
        as_they_are: &externals.as_they_are,
    };
    let mut specs = specs(&context, &request, &ports, &mut deviations)?;
    let mut extra_names = BTreeSet::new();
    for spec in request.extra_services {
        let spec = attached(spec, &owner, &networks, &ports);
        extra_names.insert(spec.service.clone());
        specs.insert(spec.service.clone(), spec);
    }
    have_images(engine, &specs).await?;
    make_networks(engine, &owner, &networks).await?;
    volumes::make(engine, &owner, &project, &mounts, &externals).await?;

    let started = Instant::now();
    let services = start_all(Start {
        engine,
        project: &project,
        specs: &specs,
        extra: &extra_names,
        ready_within: request.ready_within,
        on_event: request.on_event,
    })
    .await?;
    let running = Running {
        schema: 1,
        stack: owner.stack.clone(),
        run: owner.run.clone(),
        project: owner.project.clone(),
        folder: work.original.clone(),
        work: work.folder.clone(),
        networks: networks.keys().map(|name| resolve::network_name(&owner.project, name)).collect(),
        services,
        left_out,
        deviations: deviations.into_iter().collect(),
        up_s: started.elapsed().as_secs_f64(),
        since: jiff::Timestamp::now().to_string(),
        kept: request.kept,
    };
    running.save(journal)?;
    Ok(running)
}

/// What each instance of the Compose file's services is run as.
fn specs(
    context: &Context<'_>,
    request: &Up<'_>,
    ports: &PortPlan,
    deviations: &mut BTreeSet<Deviation>,
) -> Result<BTreeMap<String, ContainerSpec>, StackError> {
    let mut specs = BTreeMap::new();
    for (name, service) in &context.project.services {
        let image = request.images.get(name).or(service.image.as_ref()).ok_or_else(|| {
            let mark = service.build.as_ref().unwrap_or(&service.mark);
            ConfigError::at(
                mark,
                format!("services.{name}: no image"),
                "firedrill runs images: name one with `image:`, or map it under `images:` in firedrill.yaml",
            )
        })?;
        let addition = request.additions.get(name);
        for (index, instance) in (1..).zip(service.instances()) {
            let ports = ports.get(&instance).map_or(&[][..], Vec::as_slice);
            let service = (service, index);
            let spec = resolve::service(context, service, image, ports, addition, deviations)?;
            specs.insert(instance, spec);
        }
    }
    Ok(specs)
}

/// A further service, in all networks of the stack under all its names, so that every service finds
/// it.
fn attached(
    mut spec: ContainerSpec,
    owner: &Owner,
    networks: &Networks,
    ports: &PortPlan,
) -> ContainerSpec {
    spec.name = resolve::container_name(&owner.project, &spec.service, 1);
    (spec.instance, spec.index) = (spec.service.clone(), 1);
    if let Some(ports) = ports.get(&spec.service) {
        spec.ports.clone_from(ports);
    }
    let aliases: Vec<String> = spec
        .networks
        .drain(..)
        .flat_map(|network| network.aliases)
        .chain([spec.service.clone()])
        .collect();
    spec.networks = networks
        .keys()
        .map(|network| Attachment {
            network: resolve::network_name(&owner.project, network),
            aliases: aliases.clone(),
            ..Attachment::default()
        })
        .collect();
    resolve::finish_labels(&mut spec, owner, None);
    spec
}

async fn have_images(
    engine: &Engine,
    specs: &BTreeMap<String, ContainerSpec>,
) -> Result<(), StackError> {
    for spec in specs.values() {
        if !engine.has_image(&spec.image).await? {
            let (image, service) = (spec.image.clone(), spec.service.clone());
            return Err(EngineError::NoImage { image, service }.into());
        }
    }
    Ok(())
}

async fn make_networks(
    engine: &Engine,
    owner: &Owner,
    networks: &Networks,
) -> Result<(), StackError> {
    for (name, subnets) in networks {
        let labels = owner.labels().into_iter();
        let spec = NetworkSpec {
            name: resolve::network_name(&owner.project, name),
            subnets: subnets.clone(),
            labels: labels
                .chain([("com.docker.compose.network".to_owned(), name.clone())])
                .collect(),
        };
        // Sealed before it is there, so that nothing ever runs in it unsealed.
        containment::seal(&bridge_name(&spec.name), &owner.run).await?;
        engine.create_network(&spec).await?;
    }
    Ok(())
}

fn warnings(stack: &Stack, project: &Project) -> BTreeSet<Deviation> {
    let why = "as Compose itself would warn, or as containment demands";
    let warned =
        project.warnings.iter().map(|what| Deviation { what: what.clone(), why: why.into() });
    let workload = stack.declaration.workload.iter();
    let served = workload.flat_map(StatedTraffic::places).filter_map(|(_, place)| {
        let name = service_of(&place);
        let service = project.services.get(name).filter(|service| service.replicas > 1)?;
        Some(Deviation {
            what: format!(
                "the traffic to {name} goes to its first instance of {}",
                service.replicas
            ),
            why: "the load knows one address of each service".into(),
        })
    });
    warned.chain(served).collect()
}

/// What a run of a stack will list as different from what is written, as far as its files and this
/// machine tell: nothing is started, no engine is asked.
///
/// # Errors
/// [`StackError::Config`] for a config or secret that can't be read.
pub fn foreseen(stack: &Stack, mounts: &Mounts) -> Result<BTreeSet<Deviation>, StackError> {
    let project = &stack.project;
    let owner = Owner {
        run: String::new(),
        stack: stack.name().to_owned(),
        project: project_name(stack.name(), ""),
    };
    let work = WorkCopy {
        run: String::new(),
        original: stack.folder.clone(),
        folder: stack.folder.clone(),
    };
    let (host, as_they_are) = (Host::look(), BTreeMap::new());
    let context = Context {
        owner: &owner,
        project,
        work: &work,
        host: &host,
        mounts,
        as_they_are: &as_they_are,
    };
    let mut deviations = warnings(stack, project);
    deviations.extend(mounts.deviations.iter().cloned().chain(mounts.told_externals()));
    for service in project.services.values() {
        resolve::service(&context, (service, 1), "", &[], None, &mut deviations)?;
    }
    Ok(deviations)
}

/// Name of the Compose project of a run.
fn project_name(stack: &str, run: &str) -> String {
    let run: String =
        run.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("firedrill-{stack}-{run}")
}

/// Networks of a stack by name, and the subnets of each.
type Networks = BTreeMap<String, Vec<(String, Option<String>)>>;

/// Networks that services are in, and the subnets that the file asks for.
fn networks_of(project: &Project) -> Networks {
    let mut networks = BTreeMap::new();
    for service in project.services.values().filter(|service| service.network_mode.is_none()) {
        for name in service.networks.keys() {
            let subnets = project
                .networks
                .get(name)
                .map(|network| network.subnets.clone())
                .unwrap_or_default();
            networks.insert(name.clone(), subnets);
        }
    }
    networks
}
