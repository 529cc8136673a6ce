//! Makes the small golden run out of a recorded run of the e-mail stack: two drills, one operation
//! in 180 with what is stored of it, and nothing that names the machine it ran on.

use firedrill::record;
use firedrill::report::RunFile;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use verdict::history::alert::AlertEvent;
use verdict::history::load::{LoadEvent, Outcome};
use verdict::history::run::RunEvent;
use verdict::history::stack::StackEvent;
use verdict::{Event, EventKind, Fact, History, Observation};

const DRILLS: [&str; 2] = ["email_service_stopped", "redis_evicts"];
const ALERTS: [&str; 2] = ["EmailServiceDown", "RedisEvictions"];
/// Verdicts of the golden run besides those about its alerts and faults.
const OTHERS: [&str; 8] = [
    "health.services",
    "load.background.schedule",
    "scraping.targets",
    "dashboards.datasources",
    "logs.email-service.lines",
    "logs.celery-worker.lines",
    "logs.email-service.types",
    "logs.celery-worker.types",
];
/// One operation in so many is kept.
const SHARE: usize = 150;
/// Fields of a log line that are about the line and not about the container that shipped it.
const FOREIGN: [&str; 5] = ["agent", "host", "input", "ecs", "log"];

/// What is kept of the bulk.
struct Keep {
    /// Operations.
    ids: BTreeSet<String>,
    /// Names of the rule groups that hold the alerts.
    groups: BTreeSet<String>,
    /// How many of each were seen; one in so many is kept.
    pressures: usize,
    evaluations: usize,
}

fn groups(history: &History) -> BTreeSet<String> {
    let all = history.observations().filter_map(|(_, o)| match &o.fact {
        Fact::Rules { groups } => Some(groups),
        _ => None,
    });
    all.flatten()
        .filter(|g| g.rules.iter().any(|r| ALERTS.contains(&r.name.as_str())))
        .map(|g| g.name.clone())
        .collect()
}

/// Writes the golden run into `to`.
pub fn shrink(from: &Path, to: &Path) {
    let mut file: RunFile = record::read_json(from, "run.json").unwrap();
    let history = record::read(from).unwrap();
    std::fs::create_dir_all(to).unwrap();
    plan(&mut file);
    record::write_json(to, "run.json", &serde_json::to_value(&file).unwrap()).unwrap();
    let ids: BTreeSet<String> = history
        .operations()
        .filter(|(_, o)| o.outcome == Outcome::Acknowledged)
        .step_by(SHARE)
        .map(|(_, o)| o.id.clone())
        .collect();
    let mut keep = Keep { ids, groups: groups(&history), pressures: 0, evaluations: 0 };
    let mut events: Vec<Event> =
        history.events.into_iter().filter_map(|e| kept(e, &mut keep)).collect();
    for (seq, event) in events.iter_mut().enumerate() {
        event.seq = seq as u64;
    }
    write(&events, to);
}

fn plan(file: &mut RunFile) {
    let verdicts: BTreeSet<String> = ALERTS
        .iter()
        .flat_map(|a| ["quiet", "fires", "reaches", "resolves"].map(|c| format!("alert.{a}.{c}")))
        .chain(DRILLS.map(|d| format!("drill.{d}.fault")))
        .chain(OTHERS.map(str::to_owned))
        .collect();
    let required = std::mem::take(&mut file.plan.required);
    let drills = file.plan.drills.clone();
    file.plan.only_verdicts(&verdicts, &BTreeSet::new());
    // Waves as they were run.
    file.plan.drills =
        drills.into_iter().filter(|d| DRILLS.contains(&d.scenario.name.as_str())).collect();
    file.plan.required = required.into_iter().filter(|r| verdicts.contains(&r.id)).collect();
    for required in &mut file.plan.required {
        required.least_evidence = 1;
    }
    file.plan.budgets.retain(|a, _| ALERTS.contains(&a.as_str()));
    let d = &mut file.declaration;
    d.alerts.retain(|a| ALERTS.contains(&a.name.as_str()));
    d.series.clear();
    d.health.clear();
    d.dashboards.clear();
    d.deviations.clear();
    d.scaling.clear();
    file.versions.retain(|name, _| matches!(name.as_str(), "firedrill" | "image of postgres"));
}

fn of_alert(labels: &BTreeMap<String, String>) -> bool {
    labels.get("alertname").is_some_and(|a| ALERTS.contains(&a.as_str()))
}

/// The event as the golden run has it, if it does.
fn kept(mut event: Event, keep: &mut Keep) -> Option<Event> {
    let ids = &keep.ids;
    let wanted = match &mut event.kind {
        EventKind::Run(run) => match run {
            RunEvent::SideFile { .. } | RunEvent::Ended { .. } => false,
            RunEvent::DrillBegan { drill, .. } | RunEvent::DrillEnded { drill } => {
                DRILLS.contains(&drill.as_str())
            }
            _ => true,
        },
        EventKind::Stack(stack) => {
            if let StackEvent::Started { container, image, .. } = stack {
                (*container, *image) = ("container".into(), "image".into());
            }
            true
        }
        EventKind::Load(LoadEvent::Operation(o)) => ids.contains(&o.id),
        EventKind::Load(LoadEvent::Seen { operation, .. }) => ids.contains(operation),
        EventKind::Load(LoadEvent::Began { stream, .. } | LoadEvent::Ended { stream, .. }) => {
            stream == "background"
        }
        EventKind::Fault(fault) => DRILLS.contains(&fault.drill()),
        EventKind::Alert(AlertEvent::Declared { .. }) | EventKind::Measure(_) => true,
        EventKind::Alert(AlertEvent::Notification(n)) => {
            n.alerts.iter().any(|a| of_alert(&a.labels))
        }
        EventKind::Observation(o) => observed(o, keep),
    };
    wanted.then_some(event)
}

fn observed(observation: &mut Observation, keep: &mut Keep) -> bool {
    let ids = &keep.ids;
    match &mut observation.fact {
        Fact::Pressure(p) => {
            // Wherever it was recorded: here lateness is the stack's own.
            p.cpu_some_avg10 = p.cpu_some_avg10.min(20.0);
            keep.pressures += 1;
            keep.pressures % 30 == 1
        }
        Fact::Samples(samples) => {
            samples.series.retain(|s| of_alert(&s.labels));
            true
        }
        Fact::Rules { groups } => {
            groups.iter_mut().for_each(|g| g.rules.retain(|r| ALERTS.contains(&r.name.as_str())));
            groups.retain(|g| !g.rules.is_empty());
            true
        }
        Fact::Evaluations { groups } => {
            groups.retain(|g| keep.groups.contains(&g.name));
            keep.evaluations += 1;
            keep.evaluations % 3 == 1
        }
        Fact::FieldTypes(types) => ["logs-email-service-", "logs-celery-worker-"]
            .iter()
            .any(|p| types.index.starts_with(p)),
        Fact::Documents { documents, .. } => {
            documents.retain(|d| {
                d.fields
                    .parsed()
                    .get("operation_id")
                    .and_then(|i| i.as_str())
                    .is_some_and(|i| ids.contains(i))
            });
            for document in documents.iter_mut() {
                let mut fields = document.fields.parsed();
                fields.retain(|name, _| !FOREIGN.contains(&name.as_str()));
                document.fields = fields.into();
            }
            true
        }
        Fact::Spans { spans, .. } => {
            let traces: BTreeSet<String> = spans
                .iter()
                .filter(|s| s.attributes.text("operation.id").is_some_and(|i| ids.contains(&i)))
                .map(|s| s.trace_id.clone())
                .collect();
            spans.retain(|s| traces.contains(&s.trace_id));
            spans.iter_mut().for_each(|s| {
                let mut attributes = s.attributes.parsed();
                attributes.retain(|name, _| name == "operation.id");
                s.attributes = attributes.into();
            });
            true
        }
        Fact::ManagedAlerts { .. }
        | Fact::Health(_)
        | Fact::Panel(_)
        | Fact::Dashboards { .. }
        | Fact::SeriesCount { .. }
        | Fact::RuleInputs(_)
        | Fact::Freshness(_) => false,
        Fact::Unreachable { .. }
        | Fact::Targets { .. }
        | Fact::Reload(_)
        | Fact::Silences { .. }
        | Fact::ManagerReceivers { .. }
        | Fact::ManagerEvents { .. }
        | Fact::ProcessStarted { .. }
        | Fact::Retention { .. }
        | Fact::Replica(_)
        | Fact::ClusterMember(_)
        | Fact::MountedFiles { .. }
        | Fact::Indices { .. }
        | Fact::Annotations { .. }
        | Fact::Datasource(_) => true,
        // The golden run was made without mutation.
        Fact::Replay(_) => false,
    }
}

/// Writes events as a recorder does.
pub fn write(events: &[Event], to: &Path) {
    let mut files: BTreeMap<&str, (String, u64)> = BTreeMap::new();
    let line = |e: &Event| serde_json::to_string(e).unwrap() + "\n";
    for event in events {
        let of = files.entry(event.kind.side_file().unwrap_or("history.jsonl")).or_default();
        of.0 += &line(event);
        of.1 += 1;
    }
    let (at, mut seq) = events.last().map(|e| (e.at, e.seq)).unwrap();
    let mut history = files.remove("history.jsonl").unwrap().0;
    let references = files.iter().map(|(name, (text, lines))| RunEvent::SideFile {
        name: (*name).into(),
        lines: *lines,
        sha256: Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect(),
    });
    for run in references.chain([RunEvent::Ended { complete: true, reason: None }]) {
        seq += 1;
        history += &line(&Event { seq, at, kind: EventKind::Run(run) });
    }
    for (name, text) in files.iter().map(|(n, f)| (*n, &f.0)).chain([("history.jsonl", &history)]) {
        std::fs::write(to.join(name), text).unwrap();
    }
}
