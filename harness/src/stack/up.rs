//! Bringing a stack up: networks, volumes, then all services in parallel as far as their
//! dependencies allow, each until it is ready.

use super::mounts::Mounts;
use super::resolve::{self, Context, Host};
use super::running::{Deviation, Running, RunningService};
use super::work_copy::{WorkCopy, announce};
use super::{PortPlan, Stack, StackError, plan_ports, remove_run, volumes};
use crate::engine::containment;
use crate::engine::label::Owner;
use crate::engine::network::{NetworkSpec, bridge_name};
use crate::engine::spec::{Attachment, ContainerSpec, FileSpec, RestartSpec};
use crate::engine::{ContainerState, Engine, EngineError, Health};
use crate::journal::Journal;
use crate::stack::compose::{Condition, Project, Source, load};
use config::yaml::ConfigError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
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

/// How often a service that is not ready yet is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Time between two health checks that are run from here.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How many lines of its log a service that is not ready shows.
const TAIL: u32 = 15;

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
    let ports = match request.ports {
        Some(ports) => ports,
        None => plan_ports(stack, &project, &request.extra_services, run)?,
    };

    let mut deviations = warnings(&project);
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
    let mut specs: BTreeMap<String, ContainerSpec> = BTreeMap::new();
    for (name, service) in &project.services {
        let image = request.images.get(name).or(service.image.as_ref()).ok_or_else(|| {
            let mark = service.build.as_ref().unwrap_or(&service.mark);
            ConfigError::at(
                mark,
                format!("services.{name}: no image"),
                "firedrill runs images: name one with `image:`, or map it under `images:` in firedrill.yaml",
            )
        })?;
        let ports = ports.get(name).map_or(&[][..], Vec::as_slice);
        let addition = request.additions.get(name);
        specs.insert(
            name.clone(),
            resolve::service(&context, service, image, ports, addition, &mut deviations)?,
        );
    }
    let default_network = resolve::network_name(
        &owner.project,
        networks.keys().next().map_or("default", String::as_str),
    );
    let mut extra_names = BTreeSet::new();
    for mut spec in request.extra_services {
        spec.name = resolve::container_name(&owner.project, &spec.service);
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
                ipv4: None,
            })
            .collect();
        resolve::finish_labels(&mut spec, &owner, None);
        extra_names.insert(spec.service.clone());
        specs.insert(spec.service.clone(), spec);
    }
    for spec in specs.values() {
        if !engine.has_image(&spec.image).await? {
            return Err(EngineError::NoImage {
                image: spec.image.clone(),
                service: spec.service.clone(),
            }
            .into());
        }
    }

    for (name, subnets) in &networks {
        let spec = NetworkSpec {
            name: resolve::network_name(&owner.project, name),
            subnets: subnets.clone(),
            labels: owner
                .labels()
                .into_iter()
                .chain([("com.docker.compose.network".to_owned(), name.clone())])
                .collect(),
        };
        // Sealed before it is there, so that nothing ever runs in it unsealed.
        containment::seal(&bridge_name(&spec.name), run).await?;
        engine.create_network(&spec).await?;
    }
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
        network: default_network,
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

fn warnings(project: &Project) -> BTreeSet<Deviation> {
    let why = "as Compose itself would warn, or as containment demands";
    project
        .warnings
        .iter()
        .map(|warning| Deviation { what: warning.clone(), why: why.into() })
        .collect()
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
    let mut deviations = warnings(project);
    deviations.extend(mounts.deviations.iter().cloned().chain(mounts.told_externals()));
    for service in project.services.values() {
        resolve::service(&context, service, "", &[], None, &mut deviations)?;
    }
    Ok(deviations)
}

/// Name of the Compose project of a run.
fn project_name(stack: &str, run: &str) -> String {
    let run: String =
        run.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    format!("firedrill-{stack}-{run}")
}

/// Networks that services are in, and the subnets that the file asks for.
fn networks_of(project: &Project) -> BTreeMap<String, Vec<(String, Option<String>)>> {
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

/// How far a service is. Later ones include earlier ones, except `Completed` and `Ready`, which
/// exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Started,
    Ready,
    Completed,
}

struct Start<'a> {
    engine: &'a Engine,
    project: &'a Project,
    specs: &'a BTreeMap<String, ContainerSpec>,
    extra: &'a BTreeSet<String>,
    ready_within: Duration,
    on_event: &'a (dyn Fn(StackEvent) + Send + Sync),
}

async fn start_all(start: Start<'_>) -> Result<BTreeMap<String, RunningService>, StackError> {
    let began = Instant::now();
    let stages: BTreeMap<String, watch::Sender<Stage>> =
        start.specs.keys().map(|name| (name.clone(), watch::channel(Stage::Waiting).0)).collect();
    let stages = Arc::new(stages);
    let (events, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for (name, spec) in start.specs {
        let needs = dependencies(start.project, start.extra, name);
        let completes = start.project.services.values().any(|other| {
            other
                .depends_on
                .get(name)
                .is_some_and(|dependency| dependency.condition == Condition::Completed)
        });
        let job = Job {
            engine: start.engine.clone(),
            spec: spec.clone(),
            needs,
            completes,
            ready_within: start.ready_within,
            began,
        };
        let (stages, events) = (stages.clone(), events.clone());
        tasks.spawn(async move { job.run(&stages, &events).await });
    }
    drop(events);
    let mut services = BTreeMap::new();
    loop {
        tokio::select! {
            Some(event) = told.recv() => (start.on_event)(event),
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok(Ok((name, service)))) => drop(services.insert(name, service)),
                Some(Ok(Err(error))) => {
                    // The others are given up; dropping the set ends them.
                    while let Ok(event) = told.try_recv() {
                        (start.on_event)(event);
                    }
                    if let StackError::NotReady { service, seen, log_tail } = &error {
                        let (service, seen, log_tail) = (service.clone(), seen.clone(), log_tail.clone());
                        (start.on_event)(StackEvent::NotReady { service, seen, log_tail });
                    }
                    return Err(error);
                }
                Some(Err(error)) => {
                    return Err(EngineError::Refused { what: "starting a service".into(), status: None, seen: error.to_string() }.into());
                }
            },
        }
    }
    while let Ok(event) = told.try_recv() {
        (start.on_event)(event);
    }
    Ok(services)
}

/// What a service waits for. Everything waits for the further services to be started, so that the
/// names they take over are there.
fn dependencies(
    project: &Project,
    extra: &BTreeSet<String>,
    name: &str,
) -> Vec<(String, Condition)> {
    if extra.contains(name) {
        return Vec::new();
    }
    let mut needs: Vec<(String, Condition)> =
        extra.iter().map(|name| (name.clone(), Condition::Started)).collect();
    let Some(service) = project.services.get(name) else { return needs };
    let present = |name: &&String| project.services.contains_key(*name);
    needs.extend(
        service
            .depends_on
            .iter()
            .filter(|(name, _)| present(name))
            .map(|(name, dependency)| (name.clone(), dependency.condition)),
    );
    for mode in [&service.network_mode, &service.pid, &service.ipc] {
        if let Some(other) = mode.as_deref().and_then(|mode| mode.strip_prefix("service:")) {
            needs.push((other.to_owned(), Condition::Started));
        }
    }
    needs
}

/// One container on its way to being ready.
pub(super) struct Job {
    pub engine: Engine,
    pub spec: ContainerSpec,
    pub needs: Vec<(String, Condition)>,
    pub completes: bool,
    pub ready_within: Duration,
    pub began: Instant,
}

impl Job {
    pub async fn run(
        self,
        stages: &BTreeMap<String, watch::Sender<Stage>>,
        events: &mpsc::UnboundedSender<StackEvent>,
    ) -> Result<(String, RunningService), StackError> {
        let name = self.spec.service.clone();
        let tell = |event| {
            // Nobody listens any more once another service has failed.
            let _ = events.send(event);
        };
        // Made while its dependencies come up; only starting waits for them. A shared namespace
        // must be there to be made.
        let shares = [&self.spec.network_mode, &self.spec.pid, &self.spec.ipc]
            .iter()
            .any(|mode| mode.as_deref().is_some_and(|mode| mode.starts_with("container:")));
        let mut made = None;
        if !shares {
            made = Some(self.engine.create(&self.spec).await?);
        }
        for (on, condition) in &self.needs {
            let Some(stage) = stages.get(on) else { continue };
            let holds = |stage: &Stage| match condition {
                Condition::Started => *stage != Stage::Waiting,
                Condition::Healthy => matches!(stage, Stage::Ready | Stage::Completed),
                Condition::Completed => *stage == Stage::Completed,
            };
            // The sender lives as long as this function's caller.
            let _ = stage.subscribe().wait_for(holds).await;
        }
        let id = match made {
            Some(id) => id,
            None => self.engine.create(&self.spec).await?,
        };
        self.start(&id).await?;
        tell(StackEvent::Started {
            service: name.clone(),
            container: id.clone(),
            image: self.spec.image.clone(),
        });
        if let Some(stage) = stages.get(&name) {
            stage.send_replace(Stage::Started);
        }
        let (stage, condition) = self.ready(&id).await?;
        tell(StackEvent::Ready {
            service: name.clone(),
            after_s: self.began.elapsed().as_secs_f64(),
            condition: condition.to_owned(),
        });
        if let Some(sender) = stages.get(&name) {
            sender.send_replace(stage);
        }
        let ports = self
            .spec
            .ports
            .iter()
            .filter(|port| !port.udp)
            .map(|port| (port.container, port.host))
            .collect();
        Ok((name, RunningService { container: id, image: self.spec.image, ports }))
    }

    async fn start(&self, id: &str) -> Result<(), StackError> {
        match self.engine.start(id).await {
            Err(EngineError::Refused { seen, .. })
                if seen.contains("port is already allocated")
                    || seen.contains("address already in use") =>
            {
                let port =
                    self.spec.ports.iter().find(|port| seen.contains(&format!(":{}", port.host)));
                Err(EngineError::PortInUse {
                    port: port.map_or(0, |port| port.host),
                    service: self.spec.service.clone(),
                    seen,
                }
                .into())
            }
            Err(EngineError::Refused { seen, .. }) => {
                Err(self.not_ready(id, format!("it can't be started: {seen}")).await)
            }
            other => other.map_err(StackError::from),
        }
    }

    /// Waits until it is ready; says how far it is then, and by which condition.
    async fn ready(&self, id: &str) -> Result<(Stage, &'static str), StackError> {
        let since = Instant::now();
        let (mut before, mut checked): (Option<ContainerState>, Option<Instant>) = (None, None);
        loop {
            let seen = self.engine.inspect(id).await?;
            let restarted_by_itself = self.spec.restart != RestartSpec::No;
            if !seen.running {
                if seen.exit_code == 0 && (self.completes || !restarted_by_itself) {
                    return Ok((Stage::Completed, "completed"));
                }
                if !restarted_by_itself {
                    return Err(self.not_ready(id, died(&seen)).await);
                }
            } else if !self.completes {
                // Running a check costs more than looking.
                let check = checked.is_none_or(|at: Instant| at.elapsed() >= CHECK_EVERY);
                let health = if check { self.engine.health(&seen).await? } else { seen.health };
                if check {
                    checked = Some(Instant::now());
                }
                match health {
                    Health::Healthy => return Ok((Stage::Ready, "healthcheck")),
                    Health::None
                        if before.as_ref().is_some_and(|before| {
                            before.running && before.started_at == seen.started_at
                        }) =>
                    {
                        return Ok((Stage::Ready, "running"));
                    }
                    _ => {}
                }
            }
            if since.elapsed() > self.ready_within {
                let within = self.ready_within.as_secs_f64();
                let last = match (seen.running, seen.health) {
                    (false, _) => died(&seen),
                    (true, Health::None) if self.completes => {
                        "it still runs, wanted to end with 0".to_owned()
                    }
                    (true, Health::None) => format!("it was restarted {} times", seen.restarts),
                    (true, health) => format!(
                        "its health check is {health:?}: {}",
                        or(&seen.health_output, "it printed nothing")
                    )
                    .to_lowercase(),
                };
                return Err(self.not_ready(id, format!("not within {within:.0} s; {last}")).await);
            }
            before = Some(seen);
            tokio::time::sleep(POLL).await;
        }
    }

    async fn not_ready(&self, id: &str, seen: String) -> StackError {
        let log_tail = self.engine.log_tail(id, TAIL).await.unwrap_or_default();
        StackError::NotReady { service: self.spec.service.clone(), seen, log_tail }
    }
}

fn died(seen: &ContainerState) -> String {
    let why = match (seen.oom_killed, seen.error.as_str()) {
        (true, _) => ", killed for memory".to_owned(),
        (false, "") => String::new(),
        (false, error) => format!(", {error}"),
    };
    let restarts = if seen.restarts > 0 {
        format!(" after {} restarts", seen.restarts)
    } else {
        String::new()
    };
    format!("it ended with exit code {}{why}{restarts}", seen.exit_code)
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}
