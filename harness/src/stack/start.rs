//! Starting services: all in parallel as far as their dependencies allow, each until it is ready.

use super::StackError;
use super::running::{RunningInstance, RunningService};
use crate::engine::spec::{ContainerSpec, RestartSpec};
use crate::engine::{ContainerState, Engine, EngineError, Health, label};
use crate::stack::compose::{Condition, Project};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use verdict::history::stack::StackEvent;

/// How often a service that is not ready yet is looked at.
const POLL: Duration = Duration::from_millis(200);
/// Time between two health checks that are run from here.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How many lines of its log a service that is not ready shows.
const TAIL: u32 = 15;

/// How far a service is. Later ones include earlier ones, except `Completed` and `Ready`, which
/// exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Started,
    Ready,
    Completed,
}

/// What is started.
pub(super) struct Start<'a> {
    pub engine: &'a Engine,
    pub project: &'a Project,
    /// What each instance is made of, by what it is called.
    pub specs: &'a BTreeMap<String, ContainerSpec>,
    /// Names of the services that are not the Compose file's.
    pub extra: &'a BTreeSet<String>,
    pub ready_within: Duration,
    /// Told of everything as it happens.
    pub on_event: &'a (dyn Fn(StackEvent) + Send + Sync),
}

/// Starts all instances of all services, and returns when they are ready.
pub(super) async fn start_all(
    start: Start<'_>,
) -> Result<BTreeMap<String, RunningService>, StackError> {
    let began = Instant::now();
    let stages: BTreeMap<String, watch::Sender<Stage>> =
        start.specs.keys().map(|name| (name.clone(), watch::channel(Stage::Waiting).0)).collect();
    let stages = Arc::new(stages);
    let (events, mut told) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for spec in start.specs.values() {
        let name = &spec.service;
        let instances = |service: &str| {
            let of = start.specs.iter().filter(|(_, spec)| spec.service == service);
            of.map(|(instance, _)| instance.clone()).collect::<Vec<_>>()
        };
        // It waits for every instance of what it needs.
        let needs = dependencies(start.project, start.extra, name)
            .into_iter()
            .flat_map(|(on, condition)| instances(&on).into_iter().map(move |on| (on, condition)))
            .collect();
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
    let mut made = Vec::new();
    loop {
        tokio::select! {
            Some(event) = told.recv() => (start.on_event)(event),
            joined = tasks.join_next() => match joined {
                None => break,
                Some(Ok(Ok(one))) => made.push(one),
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
    Ok(by_service(made))
}

/// An instance that was started.
pub(super) struct Made {
    pub service: String,
    pub index: usize,
    pub image: String,
    pub instance: RunningInstance,
}

/// The instances of each service, by number.
fn by_service(mut made: Vec<Made>) -> BTreeMap<String, RunningService> {
    made.sort_by_key(|one| one.index);
    let mut services: BTreeMap<String, RunningService> = BTreeMap::new();
    for Made { service, image, instance, .. } in made {
        let empty = RunningService { image, instances: Vec::new() };
        services.entry(service).or_insert(empty).instances.push(instance);
    }
    services
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
    ) -> Result<Made, StackError> {
        let name = self.spec.instance.clone();
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
        let (stage, condition, restarts) = self.ready(&id, stages.keys()).await?;
        tell(StackEvent::Ready {
            service: name.clone(),
            after_s: self.began.elapsed().as_secs_f64(),
            condition: condition.to_owned(),
            restarts,
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
        let ContainerSpec { service, index, image, .. } = self.spec;
        Ok(Made { service, index, image, instance: RunningInstance { container: id, ports } })
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
                    service: self.spec.instance.clone(),
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

    /// Waits until it is ready; says how far it is then, by which condition, and how often the
    /// engine restarted it on the way.
    async fn ready(
        &self,
        id: &str,
        others: impl Iterator<Item = &String>,
    ) -> Result<(Stage, &'static str, u32), StackError> {
        let since = Instant::now();
        let (mut before, mut checked): (Option<ContainerState>, Option<Instant>) = (None, None);
        loop {
            let seen = self.engine.inspect(id).await?;
            let restarted_by_itself = self.spec.restart != RestartSpec::No;
            if !seen.running {
                if seen.exit_code == 0 && (self.completes || !restarted_by_itself) {
                    return Ok((Stage::Completed, "completed", seen.restarts));
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
                    Health::Healthy => return Ok((Stage::Ready, "healthcheck", seen.restarts)),
                    Health::None
                        if before.as_ref().is_some_and(|before| {
                            before.running && before.started_at == seen.started_at
                        }) =>
                    {
                        return Ok((Stage::Ready, "running", seen.restarts));
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
                let because = self.others_in_trouble(others).await;
                let seen = format!("not within {within:.0} s; {last}{because}");
                return Err(self.not_ready(id, seen).await);
            }
            before = Some(seen);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Which other services are in trouble, in words: one that waits for another is only where the
    /// other's trouble shows, whether or not the Compose file says that it depends on it.
    async fn others_in_trouble(&self, services: impl Iterator<Item = &String>) -> String {
        let project = self.spec.labels.get(label::PROJECT).map_or("", String::as_str);
        let mut words = String::new();
        for name in services.filter(|name| **name != self.spec.instance) {
            let Ok(state) = self.engine.container_of(project, name).await else { continue };
            if let Some(trouble) = trouble(&state) {
                words.push_str(&format!("; meanwhile {name} {trouble}"));
            }
        }
        words
    }

    async fn not_ready(&self, id: &str, seen: String) -> StackError {
        let log_tail = self.engine.log_tail(id, TAIL).await.unwrap_or_default();
        StackError::NotReady { service: self.spec.instance.clone(), seen, log_tail }
    }
}

fn died(seen: &ContainerState) -> String {
    format!("it {}", ended(seen))
}

fn ended(seen: &ContainerState) -> String {
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
    format!("ended with exit code {}{why}{restarts}", seen.exit_code)
}

/// What is wrong with a service that another may wait for, if anything is.
fn trouble(seen: &ContainerState) -> Option<String> {
    match (seen.running, seen.health) {
        (false, _) if seen.exit_code == 0 && seen.restarts == 0 => None,
        (false, _) => Some(ended(seen)),
        (true, Health::Unhealthy) => Some("is unhealthy".into()),
        (true, Health::Healthy) => None,
        (true, _) if seen.restarts > 0 => Some(format!("was restarted {} times", seen.restarts)),
        (true, _) => None,
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Limits;

    fn container(running: bool, health: Health, restarts: u32, exit_code: i64) -> ContainerState {
        ContainerState {
            id: "1".into(),
            name: "store-1".into(),
            service: "store".into(),
            image: "store:1".into(),
            running,
            paused: false,
            pid: 0,
            health,
            health_output: String::new(),
            health_test: Vec::new(),
            exit_code,
            oom_killed: false,
            error: String::new(),
            restarts,
            started_at: String::new(),
            ips: BTreeMap::new(),
            ports: BTreeMap::new(),
            limits: Limits::default(),
            labels: BTreeMap::new(),
            binds: BTreeMap::new(),
        }
    }

    #[test]
    fn of_the_other_services_only_those_in_trouble_are_named() {
        for (state, wanted) in [
            (container(true, Health::Healthy, 2, 0), None),
            (container(true, Health::Starting, 0, 0), None),
            (container(false, Health::None, 0, 0), None),
            (container(true, Health::Starting, 4, 137), Some("was restarted 4 times")),
            (container(true, Health::Unhealthy, 0, 0), Some("is unhealthy")),
            (
                container(false, Health::None, 3, 78),
                Some("ended with exit code 78 after 3 restarts"),
            ),
        ] {
            assert_eq!(trouble(&state).as_deref(), wanted, "{state:?}");
        }
    }
}
