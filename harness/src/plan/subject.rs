//! What is known of a stack before anything starts: its declaration, Compose file, monitoring
//! configuration (as written and at the time scale), scenarios, baseline, roll-call and detection
//! budgets.

mod apart;
mod check;
mod data;
pub mod source;

use crate::declaration::{Declaration, GRAFANA_FILES};
use crate::plan::scenario::{self, Scenario};
use crate::plan::{AlertBudget, PlanContext};
use crate::process::exit::Exit;
use crate::process::failure::{Advice, UserError};
use crate::process::home::Home;
use crate::stack::{self, Mounts, Stack, StackError, Topology};
use crate::yaml;
use config::budget::{self, BudgetAssumptions};
use config::monitoring::MonitoringConfig;
use config::timescale::{Declared, Scale, Scaled, Traffic};
use config::yaml::{ConfigError, Place};
use loadgen::traffic::service_of;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use verdict::baseline::Baseline;
use verdict::check::roll_call::Required;
use verdict::history::run::{Deviation, DeviationKind};
use verdict::left_out::AbsentService;

/// Why a stack can't be used. The message names file and line and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of ours or of the monitoring configuration.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// The declaration, the Compose file, or there is no such stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// It can't be had at the time scale.
    #[error(transparent)]
    Scale(#[from] config::timescale::Refusal),
    /// That is no time scale.
    #[error(transparent)]
    ScaleRange(#[from] config::timescale::ScaleError),
    /// Something else that is stated wrongly.
    #[error("{}", .0.what)]
    Stated(Advice),
}

pub(crate) use data::sources;

/// The roll-call of a stack: `verdicts.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollCall {
    schema: u32,
    verdicts: Vec<Called>,
}

/// One verdict of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Called {
    id: String,
    #[serde(default = "one")]
    least_evidence: u64,
    #[serde(default)]
    may_skip: bool,
}

fn one() -> u64 {
    1
}

/// Time that a stage may take because other programs use the host: an allowance of its own in every
/// budget, seconds.
pub const HOST_NOISE_S: f64 = 6.0;
/// 99th percentile of a scrape on the shared two cores that this was measured on, seconds.
const SCRAPE_TAKES_S: f64 = 0.3;

/// A stack that was read whole.
#[derive(Debug, Clone)]
pub struct LoadedStack {
    /// Its folder, its declaration and what it is made of.
    pub stack: Stack,
    /// What plans are made from.
    pub subject: PlanContext,
    /// Its monitoring configuration as written.
    pub written: MonitoringConfig,
    /// The same at the time scale.
    pub scaled: Scaled,
    /// The roll-call; empty if the stack has none.
    pub required: Vec<Required>,
    /// Folder of its features.
    pub features: PathBuf,
    /// Differences to list, found while reading.
    pub deviations: Vec<Deviation>,
    /// What a run will list as different about the system, as far as it can be told before anything
    /// starts: a dry run prints it.
    pub foreseen: Vec<Deviation>,
    /// What its containers mount.
    pub mounts: Mounts,
    /// Where its baseline is stated, whether or not that file is there.
    pub baseline_file: PathBuf,
}

/// Reads a stack at a time scale; `None` takes the declared one, which lowers itself where it must
/// and says so.
///
/// # Errors
/// See [`Error`].
pub fn read(
    folder_or_name: &str,
    home: &Home,
    time_scale: Option<f64>,
) -> Result<LoadedStack, Error> {
    read_asked(folder_or_name, home, &Asked { time_scale, ..Asked::default() })
}

/// What a stack is read for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Time scale that is asked for; without one, the declared one.
    pub time_scale: Option<f64>,
    /// How long scrapes were measured to take (99th percentile, by job): a scale at which they
    /// don't fit into half of their timeouts is refused, or lowered where it is the declared one.
    pub scrapes: BTreeMap<String, Duration>,
    /// Compose profiles that are turned on.
    pub profiles: BTreeSet<String>,
    /// Optional services whose image can't be had, with the reason.
    pub unavailable: BTreeMap<String, String>,
}

/// Reads a stack for what is asked.
///
/// # Errors
/// See [`Error`].
pub fn read_asked(folder_or_name: &str, home: &Home, asked: &Asked) -> Result<LoadedStack, Error> {
    let stack = Stack::open_with(folder_or_name, &asked.profiles, &asked.unavailable)?;
    let declaration = &stack.declaration;
    let (written, unreadable) = source::load(&sources(&stack)?);
    if let Some(error) = unreadable.into_iter().next() {
        return Err(error.into());
    }
    let files = written.render();
    let mounts = data::mounts(&stack, &files)?;
    let mut deviations: Vec<Deviation> = declaration
        .deviations
        .iter()
        .map(|d| Deviation::new(DeviationKind::System, &d.what, &d.why))
        .collect();
    let mut foreseen = deviations.clone();
    let unscalable = data::unscalable(&mounts, &files);
    let scaled = scaled(
        declaration,
        &written,
        asked.time_scale,
        &asked.scrapes,
        unscalable,
        &mut deviations,
    )?;
    if scaled.scale != asked.time_scale.unwrap_or(declaration.time_scale) {
        // That the scale lowers itself is the first that scaling tells.
        foreseen.extend(deviations.get(foreseen.len()).cloned());
    }
    foreseen.extend(
        stack::foreseen(&stack, &mounts)?
            .into_iter()
            .map(|d| Deviation::new(DeviationKind::System, d.what, d.why)),
    );
    let drills = Drills::read(&stack, home, &scaled.config, &mounts)?;
    let call = stack.folder.join("verdicts.yaml");
    let required = if call.is_file() { roll_call(&call)? } else { Vec::new() };
    check::contained(declaration, &stack.topology, &written)?;
    check::bounds(&stack.declaration_file, declaration, &written)?;
    let baseline_file = drills.baseline_file.clone();
    let subject = context(declaration, &stack.topology, &scaled, drills);
    deviations.extend(absent(&subject, &stack.topology));
    let features = first_that_exists(&[stack.folder.join("features"), home.features()]);
    Ok(LoadedStack {
        stack,
        subject,
        written,
        scaled,
        required,
        features,
        deviations,
        foreseen,
        mounts,
        baseline_file,
    })
}

/// The drills of a stack, and what they are compared with.
struct Drills {
    scenarios: BTreeMap<String, Scenario>,
    baseline: Option<Baseline>,
    baseline_file: PathBuf,
}

impl Drills {
    fn read(
        stack: &Stack,
        home: &Home,
        config: &MonitoringConfig,
        mounts: &Mounts,
    ) -> Result<Drills, Error> {
        let (declaration, folder) = (&stack.declaration, &stack.folder);
        let scenarios_folder = first_that_exists(&[
            folder.join("scenarios"),
            home.scenarios().join(&declaration.stack),
        ]);
        let mut scenarios = scenario::read_all(&scenarios_folder)?;
        check::scenarios(&scenarios_folder, &mut scenarios, stack, config, mounts)?;
        let baseline_file = first_that_exists(&[
            folder.join("baseline.yaml"),
            home.scenarios().join("baselines").join(format!("{}.yaml", declaration.stack)),
        ]);
        let baseline = if baseline_file.is_file() {
            Some(check::baseline(&baseline_file, declaration, &scenarios)?)
        } else {
            None
        };
        Ok(Drills { scenarios, baseline, baseline_file })
    }
}

fn context(
    declaration: &Declaration,
    topology: &Topology,
    scaled: &Scaled,
    drills: Drills,
) -> PlanContext {
    let running = topology.services.iter().map(|(name, s)| (name, &s.instances));
    let missing = topology.left_out.iter().map(|(name, left)| (name, &left.instances));
    let instances = running.chain(missing).map(|(n, all)| (n.clone(), all.clone())).collect();
    let left_out = left_out(declaration, topology);
    let absent = left_out.keys().map(|name| seen_as(name, declaration, topology)).collect();
    let unavailable = topology.left_out.iter().filter(|(_, left)| left.unavailable);
    PlanContext {
        declaration: declaration.clone(),
        time_scale: scaled.scale,
        scenarios: drills.scenarios,
        baseline: drills.baseline,
        budgets: budgets(declaration, &scaled.config),
        apart: apart::apart(declaration, &scaled.config),
        services: topology.services.keys().cloned().collect(),
        instances,
        left_out,
        unavailable: unavailable.map(|(name, _)| name.clone()).collect(),
        absent,
        hosts: topology.hosts.clone(),
    }
}

/// What does not run, and what is judged otherwise for that.
fn absent(subject: &PlanContext, topology: &Topology) -> Vec<Deviation> {
    let left_out = subject.left_out.iter().map(|(name, why)| {
        Deviation::new(DeviationKind::Absent, format!("service {name} does not run"), why)
    });
    let runs = |service: &str| {
        topology.services.contains_key(service) && !subject.left_out.contains_key(service)
    };
    left_out.chain(from_files(&subject.declaration, runs)).collect()
}

/// That dashboards are judged from their files, where they are.
fn from_files(declaration: &Declaration, runs: impl Fn(&str) -> bool) -> Option<Deviation> {
    declaration.roles.dashboards_where(runs).filter(|role| role.kind == GRAFANA_FILES)?;
    let what = "dashboards are judged from their files: Grafana does not run";
    let why = "each panel's query is asked of its data source, and how long that takes is measured there; \
               neither load nor faults are noted on dashboards";
    Some(Deviation::new(DeviationKind::Absent, what, why))
}

fn first_that_exists(candidates: &[PathBuf]) -> PathBuf {
    candidates.iter().find(|c| c.exists()).or(candidates.last()).cloned().unwrap_or_default()
}

fn roll_call(path: &Path) -> Result<Vec<Required>, Error> {
    let call: RollCall = yaml::read(path)?;
    if call.schema != 1 {
        return Err(yaml::error_at(
            path,
            &["schema"],
            format!("schema: seen {}, wanted 1", call.schema),
            "this program reads version 1",
        )
        .into());
    }
    let required = |c: Called| Required {
        id: c.id,
        least_evidence: c.least_evidence,
        may_skip: c.may_skip,
        without: BTreeMap::new(),
    };
    Ok(call.verdicts.into_iter().map(required).collect())
}

fn scaled(
    declaration: &Declaration,
    written: &MonitoringConfig,
    asked: Option<f64>,
    scrapes: &BTreeMap<String, Duration>,
    unscalable: Vec<(Place, String)>,
    deviations: &mut Vec<Deviation>,
) -> Result<Scaled, Error> {
    let exponents =
        declaration.scaling.iter().map(|(name, d)| (name.clone(), d.exponent)).collect();
    let mut scale = Scale::new(asked.unwrap_or(declaration.time_scale))?
        .declared(Declared { exponents, ..Declared::default() })
        .at(jiff::Timestamp::now().as_second());
    scale = scale
        .traffic(traffic(declaration))
        .measured_scrapes(scrapes.clone())
        .unscalable(unscalable);
    let scaled = match asked {
        Some(_) => scale.apply(written)?,
        None => {
            let (scaled, refusal) = scale.apply_or_lower(written);
            if let Some(refusal) = refusal {
                deviations.push(Deviation::new(
                    DeviationKind::NotScaled,
                    format!("time scale {} instead of {}", scaled.scale, declaration.time_scale),
                    refusal.to_string().replace('\n', ";"),
                ));
            }
            scaled
        }
    };
    for left in &scaled.not_scaled {
        deviations.push(Deviation::new(
            DeviationKind::NotScaled,
            format!("{} {}", left.what, left.value),
            &left.why,
        ));
    }
    for rounding in &scaled.roundings {
        let why =
            if rounding.why.is_empty() { "servers read whole milliseconds" } else { &rounding.why };
        let what = format!(
            "scaled to {} ms instead of {:.3} ms: {}",
            rounding.used_ms, rounding.exact_ms, rounding.what
        );
        deviations.push(Deviation::new(DeviationKind::NotScaled, what, why));
    }
    Ok(scaled)
}

/// What windows will hold, as far as the declaration tells: the jobs of the services that
/// the workload talks to.
fn traffic(declaration: &Declaration) -> Option<Traffic> {
    let workload = declaration.workload.as_ref()?;
    let asked = workload.places_asked();
    let services: BTreeSet<&str> = asked.iter().map(|place| service_of(place)).collect();
    let jobs = declaration
        .targets
        .iter()
        .filter(|target| services.contains(target.service.as_str()))
        .map(|target| target.job.clone())
        .collect();
    Some(Traffic {
        jobs,
        arrivals_per_s: workload.rate,
        error_rate: declaration.steady_state.error_rate,
        alpha: declaration.alpha,
    })
}

/// Services that are left out, with the reason: what kept them out, and what their owner states
/// about that.
fn left_out(declaration: &Declaration, topology: &Topology) -> BTreeMap<String, String> {
    let stated = |name: &String| {
        declaration.optional.iter().find(|o| o.service == *name).map(|o| o.why.clone())
    };
    let why = |name: &String, left: &stack::topology::LeftOut| match stated(name) {
        Some(stated) if left.unavailable => format!("{} ({stated})", left.why),
        Some(stated) => stated,
        None => left.why.clone(),
    };
    topology.left_out.iter().map(|(name, left)| (name.clone(), why(name, left))).collect()
}

/// How a service that is left out would be seen: by its names, and by jobs that scrape nothing
/// else.
fn seen_as(name: &str, declaration: &Declaration, topology: &Topology) -> AbsentService {
    let is_out = |service: &str| topology.left_out.contains_key(service);
    let of_job = |job: &str| {
        declaration.targets.iter().filter(|t| t.job == job).all(|t| is_out(t.scraped()))
    };
    let jobs = declaration
        .targets
        .iter()
        .filter(|t| t.scraped() == name && of_job(&t.job))
        .map(|t| t.job.clone())
        .collect();
    // A name that a service has as well which runs says nothing.
    let runs = |host: &String| topology.services.values().any(|s| s.names.contains(host));
    let names = topology.left_out.get(name).into_iter().flat_map(|left| &left.names);
    let hosts: Vec<String> = names.filter(|host| !runs(host)).cloned().collect();
    AbsentService { service: name.to_owned(), jobs, hosts }
}

/// The slowest path of each declared alert. One that the configuration lacks gets the slowest of
/// all: it will be convicted of not being loaded, and the drill needs a bound until then.
fn budgets(declaration: &Declaration, config: &MonitoringConfig) -> BTreeMap<String, AlertBudget> {
    let assumptions = BudgetAssumptions {
        scrape_takes: Duration::from_secs_f64(SCRAPE_TAKES_S),
        // A stopped container's address answers nobody, so its scrape may end by time-out.
        target_hangs: true,
        joins_group: true,
        delivery: Duration::from_secs(1),
        host_noise: Duration::from_secs_f64(HOST_NOISE_S),
        ..BudgetAssumptions::default()
    };
    let seconds = |b: &budget::Budget| AlertBudget {
        fire_s: b.fire.as_secs_f64(),
        notify_s: b.notify.as_secs_f64(),
        resolve_s: b.resolve.as_secs_f64(),
        stages: b.stage_seconds(),
    };
    let mut known = BTreeMap::new();
    for alert in &declaration.alerts {
        let found =
            budget::budgets(config, &alert.name, &alert.labels, &assumptions).unwrap_or_default();
        let slowest = found.iter().map(seconds).reduce(|a, b| AlertBudget {
            fire_s: a.fire_s.max(b.fire_s),
            resolve_s: a.resolve_s.max(b.resolve_s),
            stages: if a.notify_s >= b.notify_s { a.stages } else { b.stages },
            notify_s: a.notify_s.max(b.notify_s),
        });
        if let Some(budget) = slowest {
            known.insert(alert.name.clone(), budget);
        }
    }
    let most = |f: fn(&AlertBudget) -> f64| known.values().map(f).fold(30.0, f64::max);
    let fallback = AlertBudget {
        fire_s: most(|b| b.fire_s),
        notify_s: most(|b| b.notify_s),
        resolve_s: most(|b| b.resolve_s),
        stages: Vec::new(),
    };
    for alert in &declaration.alerts {
        known.entry(alert.name.clone()).or_insert_with(|| fallback.clone());
    }
    known
}

impl UserError for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Stack(e) => e.exit(),
            _ => Exit::Usage,
        }
    }

    fn advice(&self) -> Advice {
        match self {
            Error::File(e) => e.advice(),
            Error::Stack(e) => e.advice(),
            Error::Scale(e) => e.to_string().into(),
            Error::ScaleRange(e) => e.advice(),
            Error::Stated(advice) => advice.clone(),
        }
    }

    fn hints(&self) -> Vec<String> {
        self.advice().hints
    }
}
