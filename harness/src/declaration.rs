//! `firedrill.yaml`: what its owner states about a stack. Expectations come from here, never from
//! the configuration under test. Every name that a verdict speaks of is stated here, so that no
//! code knows a stack's names.

mod access;
pub mod kinds;
mod one_or_list;
pub mod secrets;

pub use access::DECLARATION;
pub use one_or_list::OneOrList;

use crate::backend::Scheme;
use config::timescale::ScalingDecision;
use loadgen::traffic::stated::StatedTraffic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use verdict::history::alert::{AlertEvent, Protocol};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Version of this format; 1.
    pub schema: u32,
    /// Name of the stack: lower-case letters, digits and dashes.
    pub stack: String,
    /// Compose file, relative to this file.
    #[serde(default = "compose_file")]
    pub compose: String,
    /// Time scale of `verify`, `alerts` and `selftest`, unless `--time-scale` says otherwise.
    #[serde(default = "one")]
    pub time_scale: f64,
    /// Chance of a false conviction over the whole run, shared out among its statistical tests.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Which ports of 127.0.0.1 the stack's services are published on.
    #[serde(default)]
    pub ports: PortBinding,
    /// Who answers which question.
    pub roles: Roles,
    /// Services that are left out where their image can't be had.
    #[serde(default)]
    pub optional: Vec<Optional>,
    /// Documented health endpoints.
    #[serde(default)]
    pub health: Vec<HealthEndpoint>,
    /// Scrape targets.
    #[serde(default)]
    pub targets: Vec<DeclaredTarget>,
    /// Services without metrics, by design.
    #[serde(default)]
    pub without_metrics: Vec<WithoutMetrics>,
    /// Selectors that must match at least one series.
    #[serde(default)]
    pub series: Vec<String>,
    /// What must be found in the log store.
    #[serde(default)]
    pub logs: Option<Logs>,
    /// What must be found in the trace store.
    #[serde(default)]
    pub traces: Option<Traces>,
    /// Alerts: what they carry and whom they reach.
    #[serde(default)]
    pub alerts: Vec<DeclaredAlert>,
    /// Services that can be gone without anybody being notified, so far.
    #[serde(default)]
    pub gaps: Vec<DeclaredGap>,
    /// Dead man's switches.
    #[serde(default, rename = "switches")]
    pub dead_mans_switches: Vec<DeadMansSwitch>,
    /// Stand-ins for the receivers' services.
    #[serde(default)]
    pub receivers: Vec<StandIn>,
    /// Dashboards.
    #[serde(default)]
    pub dashboards: Vec<DeclaredDashboard>,
    /// Data sources that must answer.
    #[serde(default)]
    pub datasources: Vec<String>,
    /// The traffic.
    #[serde(default)]
    pub workload: Option<StatedTraffic>,
    /// What counts as healthy.
    #[serde(default)]
    pub steady_state: SteadyState,
    /// Things that the time scale may not decide by itself: alert name to what is to be done.
    #[serde(default)]
    pub scaling: BTreeMap<String, ScalingDecision>,
    /// Image of the Compose file to image of ours, where the catalogue does not know it.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// Data of the owner's outside of the stack's folder.
    #[serde(default)]
    pub owner_data: OwnerData,
    /// Where the described system is left, with the reason.
    #[serde(default)]
    pub deviations: Vec<DeclaredDeviation>,
    /// Verdicts that the owner accepts for now.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
}

impl Declaration {
    /// The same stack where nothing of it was looked at: neither its signals nor its alerts belong
    /// into a report.
    pub fn unobserved(&self) -> Declaration {
        Declaration {
            logs: None,
            traces: None,
            workload: None,
            alerts: Vec::new(),
            gaps: Vec::new(),
            dead_mans_switches: Vec::new(),
            ..self.clone()
        }
    }
}

fn compose_file() -> String {
    "docker-compose.yml".into()
}
fn one() -> f64 {
    1.0
}
fn alpha() -> f64 {
    0.001
}

/// Which ports of 127.0.0.1 services are published on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PortBinding {
    /// Free ones, chosen when the run is planned.
    #[default]
    #[serde(rename = "chosen")]
    Ephemeral,
    /// Those that the Compose file names; one that is in use refuses the run.
    #[serde(rename = "as_written")]
    Fixed,
}

/// Who answers which question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// The metrics servers. Each of those of one `set` is expected to see the same.
    #[serde(default)]
    pub metrics: OneOrList<Role>,
    /// The alert managers. Several are one cluster.
    #[serde(default)]
    pub alerting: OneOrList<Role>,
    /// The dashboards. Of several the first that runs answers; files (`grafana-files`) are always
    /// there.
    #[serde(default)]
    pub dashboards: OneOrList<Role>,
    /// The log store; several are entrances to one.
    #[serde(default)]
    pub logs: OneOrList<Role>,
    /// The shippers of logs.
    #[serde(default)]
    pub shipper: OneOrList<Role>,
    /// The trace store; several are entrances to one.
    #[serde(default)]
    pub traces: OneOrList<Role>,
    /// The collectors of traces.
    #[serde(default)]
    pub collector: OneOrList<Role>,
}

/// The set of a metrics server where none is stated.
pub const MAIN_SET: &str = "main";

/// Kind of dashboards that are judged from the files which provision them.
pub const GRAFANA_FILES: &str = "grafana-files";

impl Roles {
    /// The metrics servers of one set.
    pub fn metrics_of<'r>(&'r self, set: &'r str) -> impl Iterator<Item = &'r Role> {
        self.metrics.iter().filter(move |role| role.set_name() == set)
    }

    /// Whether several servers of a role stand in for each other.
    pub fn are_redundant(&self) -> bool {
        self.metrics_of(MAIN_SET).count() > 1 || self.alerting.iter().count() > 1
    }

    /// The declared members that a verdict speaks of which rests on this role, by name.
    pub fn members(&self, role: verdict::check::members::Role) -> Vec<String> {
        let names = |of: &mut dyn Iterator<Item = &Role>| of.map(|r| r.service.clone()).collect();
        match role {
            verdict::check::members::Role::Metrics => names(&mut self.metrics_of(MAIN_SET)),
            verdict::check::members::Role::Alerting => names(&mut self.alerting.iter()),
        }
    }

    /// Who answers for the dashboards where these services run.
    pub fn dashboards_where(&self, runs: impl Fn(&str) -> bool) -> Option<&Role> {
        self.dashboards.iter().find(|role| role.kind == GRAFANA_FILES || runs(&role.service))
    }
}

/// One role.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Kind of server, as [`kinds`] has them: `prometheus`, `alertmanager`, `grafana`,
    /// `elasticsearch`, `filebeat`, `jaeger`, `otel-collector`; or `grafana-files`, which is none: `provisioning` is read in its
    /// place, and neither `service` nor `port` is needed.
    pub kind: String,
    /// Service of the Compose file. With `grafana-files`, the one whose mounts tell where its files
    /// are; by default that of the dashboards' other role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// Port inside the stack's network.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub port: u16,
    /// Its configuration file, relative to the declaration, where firedrill has to read it.
    pub config: Option<String>,
    /// With a metrics server: the set that it belongs to, `main` by default. What is expected of
    /// targets and rules is expected of each server of the set `main`; one that only shows what
    /// others scraped (a federation, a global view) is in a set of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// With an alert manager that has an event recorder: the file that it writes, by its path
    /// inside the container. It then tells why an alert did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<String>,
    /// With a store of logs or traces: the store's name. Servers with the same one are entrances to
    /// one store: they are asked in turn, until one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrance_to: Option<String>,
    /// With a metrics server: how long it must keep samples, as in `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// How it is spoken to: `http` by default, or `https`.
    #[serde(default, skip_serializing_if = "is_http")]
    pub scheme: Scheme,
    /// With `https`: the file with the certificates of the authorities that may vouch for it (PEM),
    /// relative to the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// With `https`, in place of `ca_file`: where inside its container it finds a certificate that the
    /// run's own authority issues to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// With `https`: the name that its certificate is for, the service's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// What stands before each path of its interface, as `--web.external-url` or
    /// `--web.route-prefix` say: `/prometheus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// User for basic authentication.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// File that holds the password and nothing else, relative to the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Variable of firedrill's environment that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// File that holds the bearer token and nothing else, relative to the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Variable of firedrill's environment that holds the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// With `grafana-files`: the folder that holds `dashboards` and `datasources`, relative to the
    /// declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<String>,
    /// With `grafana-files`: what providers call a folder, and where it is, relative to the
    /// declaration, if no service mounts it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, String>,
}

impl Role {
    /// The set that it belongs to.
    pub fn set_name(&self) -> &str {
        self.set.as_deref().unwrap_or(MAIN_SET)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_http(scheme: &Scheme) -> bool {
    *scheme == Scheme::Http
}

/// The files of a container in which its server finds a certificate of the run's authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Of the certificate, PEM.
    pub cert_file: String,
    /// Of its private key, PEM.
    pub key_file: String,
}

/// A service that may be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Optional {
    /// Service.
    pub service: String,
    /// Compose profile that turns it on: it is tried only where `--profile` asks for that, and must
    /// be had then. Without one it is tried always, and left out if its image can't be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Why it may be missing.
    pub why: String,
    /// Those of `datasources` that ask it: they must not answer without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasources: Vec<String>,
    /// Verdict ids that are skipped with it, besides those that its targets, endpoints, roles and
    /// alerts tell.
    #[serde(default)]
    pub verdicts: Vec<String>,
}

/// A documented health endpoint. Exactly one of `path` (HTTP) and `banner` (TCP) is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthEndpoint {
    /// Service.
    pub service: String,
    /// Port inside the network.
    pub port: u16,
    /// HTTP path.
    pub path: Option<String>,
    /// HTTP status that it answers with; default 200.
    pub status: Option<u16>,
    /// Text that the body must contain.
    pub contains: Option<String>,
    /// Text that a TCP server greets with; empty if connecting is enough.
    pub banner: Option<String>,
}

/// Targets of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredTarget {
    /// Job.
    pub job: String,
    /// Service that the job is about.
    pub service: String,
    /// Service that is scraped for it, where that is another: an exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Least number of targets.
    #[serde(default = "one_target")]
    pub count: u64,
    /// Why its service has no metrics yet, if it has none: the target is there and may answer
    /// without any, which keeps nothing from being steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_instrumented: Option<String>,
    /// The set of metrics servers that must have it: `main` by default.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
}

impl DeclaredTarget {
    /// Whether each server of this set must have it.
    pub fn is_in(&self, set: &str) -> bool {
        self.set.as_deref().unwrap_or(MAIN_SET) == set
    }

    /// The service that is scraped.
    pub fn scraped(&self) -> &str {
        self.from.as_ref().unwrap_or(&self.service)
    }
}

fn one_target() -> u64 {
    1
}

/// A service without metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WithoutMetrics {
    /// Service.
    pub service: String,
    /// Why it has none.
    pub why: String,
}

/// What must be found in the log store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// Field that holds the operation's id.
    pub id_field: String,
    /// Types of fields in every index.
    pub types: BTreeMap<String, String>,
    /// Sources.
    pub sources: Vec<LogSource>,
}

impl Logs {
    /// Sources whose lines answer for operations; of the others only the index and its types are
    /// asked for.
    pub fn answering(&self) -> impl Iterator<Item = &LogSource> {
        self.sources.iter().filter(|source| !source.steps.is_empty())
    }
}

/// A source of log lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSource {
    /// Name.
    pub source: String,
    /// Index prefix before the date `YYYY.MM.dd`.
    pub index_prefix: String,
    /// Field and value that select the lines which answer for an operation.
    #[serde(default)]
    pub select: BTreeMap<String, String>,
    /// Steps (`journey/step`) that lead to such a line each; empty if only the index and its types
    /// are asked for.
    #[serde(default)]
    pub steps: Vec<String>,
    /// Fields that each such line must have.
    #[serde(default)]
    pub required_fields: Vec<String>,
    /// Fields (of `types`) that this source does not write.
    #[serde(default)]
    pub without_fields: Vec<String>,
}

/// What must be found in the trace store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// Attribute that carries the operation's id; without one the trace's own id is the
    /// operation's, as it is where `workload.identity.traceparent` is on.
    #[serde(default)]
    pub id_attribute: String,
    /// Where and how traces are sampled.
    pub sampling: Sampling,
    /// What each step leads to.
    pub steps: Vec<DeclaredTrace>,
}

/// Where and how traces are sampled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// `collector` or `service`.
    pub place: String,
    /// `probabilistic`.
    pub kind: String,
    /// Share of traces kept, 0 to 1.
    pub rate: f64,
    /// Whether services that sample decide by themselves, whatever their caller decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignores_parent: bool,
}

/// The trace of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredTrace {
    /// `journey/step`.
    pub step: String,
    /// Its spans, root first.
    pub spans: Vec<DeclaredSpan>,
}

/// A span of a complete trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredSpan {
    /// Service that makes it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// `service: name` of its parent; none for the root.
    pub parent: Option<String>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredAlert {
    /// Name.
    pub name: String,
    /// Labels that it must carry.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Stand-ins that must receive it.
    pub receivers: Vec<String>,
    /// Whether it speaks about the host itself, which other programs load as well.
    #[serde(default)]
    pub about_host: bool,
    /// Seconds, at time scale 1, within which everybody must be told once the samples satisfy its
    /// expression. What the configuration can't promise is refused before anything starts.
    #[serde(default)]
    pub within_s: Option<f64>,
}

/// A dead man's switch: an alert that always fires, so that its silence says that nobody is told of
/// anything else either.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadMansSwitch {
    /// Name of the alert; `alerts` does not state it.
    pub name: String,
    /// Stand-ins that must keep receiving it.
    pub receivers: Vec<String>,
    /// Longest time between two notifications, seconds at time scale 1.
    pub every_s: f64,
}

/// A service that can be gone without anybody being notified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredGap {
    /// Service.
    pub service: String,
    /// Why that is so, and until when.
    pub why: String,
}

/// A stand-in for a receiver's service. It takes over the host name only; path, key and protocol
/// stay as configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// Name that alerts refer to.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Host name that it takes over.
    pub host: String,
    /// Port; default 443, for SMTP 587.
    pub port: Option<u16>,
    /// Path that it accepts (recipient for SMTP). Anything else is answered 404 (550).
    pub path: String,
    /// Key that it accepts, for protocols that have one.
    pub key: Option<String>,
    /// Channel that it accepts (Slack).
    pub channel: Option<String>,
    /// Whether it is told of resolutions.
    #[serde(default = "yes")]
    pub resolved: bool,
}

impl StandIn {
    /// What a history says of it.
    pub fn declared(&self) -> AlertEvent {
        AlertEvent::Declared {
            receiver: self.name.clone(),
            protocol: self.protocol,
            host: self.host.clone(),
            path: self.path.clone(),
        }
    }
}

fn yes() -> bool {
    true
}

/// A dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredDashboard {
    /// Uid.
    pub uid: String,
    /// Least number of panels with queries.
    pub panels: u64,
    /// Panels (titles) that may be empty in a healthy stack.
    #[serde(default)]
    pub may_be_empty: Vec<String>,
}

/// What counts as healthy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SteadyState {
    /// Seconds for which it must hold.
    pub hold_s: f64,
    /// Seconds within which it must be reached.
    pub within_s: f64,
    /// Largest share of operations that end otherwise than wanted.
    pub error_rate: f64,
    /// Largest 99th percentile of latency, ms.
    pub p99_ms: f64,
    /// Alerts that may be active while all is well.
    pub alerts: Vec<String>,
}

impl Default for SteadyState {
    fn default() -> Self {
        SteadyState {
            hold_s: 3.0,
            within_s: 60.0,
            error_rate: 0.01,
            p99_ms: 1000.0,
            alerts: Vec::new(),
        }
    }
}

/// What becomes of data outside of the stack's folder, which a run never writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerData {
    /// Sources of mounts (paths, relative to the declaration's folder, and external volumes) in
    /// whose place a run mounts nothing but an empty folder or volume.
    #[serde(default)]
    pub empty: Vec<String>,
}

/// Where the described system is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredDeviation {
    /// What differs.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A verdict that the owner accepts for now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Verdict id.
    pub verdict: String,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Day on which it becomes void, `YYYY-MM-DD`.
    pub expires: String,
}
