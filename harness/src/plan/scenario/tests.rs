//! Both formats as they are read, written down, and told.

use super::*;
use std::path::Path;

const STOPPED: &str = "
schema: 1
name: drill
summary: The exporter is gone.
fault: {kind: refuse_connections, target: exporter, settings: {to: \"store:6379\"}}
alerts: [ExporterDown]
hold_s: 8
builds_up_s: 2
";

const PAIR_CUT: &str = "
schema: 2
name: drill
summary: The Alertmanagers don't reach each other, so that each notifies for itself; then they do again.
phases:
  - name: cut
    inject:
      - {id: gossip, kind: cut, between: [{service: alertmanager-a}], and: [alertmanager-b], way: both}
    alerts: [PeersDisagree]
  - name: notified_by_each
    inject:
      - {id: exporter, kind: pause, on: {service: exporter, instance: 2}}
    alerts: [ExporterDown]
    stays: {s: 3}
  - name: back
    heal: [gossip, exporter]
    resolves: [PeersDisagree]
needs: [prometheus-a]
builds_up_s: {PeersDisagree: 7}
";

fn read(text: &str) -> Scenario {
    parse(Path::new("drill.yaml"), text).unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

#[test]
fn format_1_is_two_phases() {
    let scenario = read(STOPPED);
    let [injected, healed] = scenario.phases.as_slice() else { panic!("{scenario:?}") };
    assert_eq!((injected.inject[0].id.as_str(), injected.hold_s), ("fault", 8.0));
    assert_eq!(healed.heal, ["fault"]);
    assert_eq!((&injected.alerts, &healed.resolves), (&healed.resolves, &words(&["ExporterDown"])));
    assert_eq!(scenario.course(), "refuse_connections on exporter → ExporterDown");
    assert_eq!(scenario.told("ExporterDown"), "refuse_connections on exporter");
    // Of one fault it is not said which.
    assert_eq!(scenario.causes("ExporterDown"), Causes::default());
    assert!(scenario.named_faults().is_empty());
    assert_eq!(scenario.blast_radius().services, ["exporter"]);
    let keys = |below: &[&str]| scenario.keys(0, below);
    assert_eq!(keys(&["inject", "0", "on"]), ["fault", "target"]);
    assert_eq!(keys(&["inject", "0", "settings", "to"]), ["fault", "settings", "to"]);
    assert_eq!(keys(&["alerts", "0"]), ["alerts", "0"]);
}

#[test]
fn format_1_is_written_down_as_versions_do_that_know_no_other() {
    let written = serde_json::to_value(read(STOPPED)).unwrap();
    let wanted = serde_json::json!({
        "schema": 1, "name": "drill", "summary": "The exporter is gone.",
        "fault": {"kind": "refuse_connections", "target": "exporter", "settings": {"to": "store:6379"}},
        "load": null, "alerts": ["ExporterDown"], "also_raises": [], "disturbs": [], "needs": [],
        "needs_journeys": [], "journeys_disturbed": false, "leaves_journeys": [],
        "builds_up_s": 2.0, "clears_s": 0.0, "hold_s": 8.0, "begins": "in_wave", "overrides": [],
    });
    assert_eq!(written, wanted);
    assert_eq!(serde_json::from_value::<Scenario>(written).unwrap(), read(STOPPED));
}

#[test]
fn format_2_has_faults_and_phases() {
    let scenario = read(PAIR_CUT);
    assert_eq!(
        scenario.course(),
        "cut between alertmanager-a and alertmanager-b → PeersDisagree; pause on exporter (instance 2) → ExporterDown; heals gossip, exporter"
    );
    assert_eq!(scenario.named_faults(), ["gossip", "exporter"]);
    assert_eq!(scenario.phases[1].hold_s, 3.0);
    let causes = |injected: &str, healed: &[&str]| Causes {
        injected: words(&[injected]),
        healed: words(healed),
    };
    assert_eq!(scenario.causes("PeersDisagree"), causes("gossip", &["gossip", "exporter"]));
    // What no phase ends is over when all is healed.
    assert_eq!(scenario.causes("ExporterDown"), causes("exporter", &[]));
    let radius = scenario.blast_radius();
    assert_eq!(radius.services, ["alertmanager-a", "alertmanager-b", "exporter"]);
    assert_eq!(radius.alerts, ["ExporterDown", "PeersDisagree"]);
    assert_eq!(scenario.keys(1, &["inject", "0"]), ["phases", "1", "inject", "0"]);
    let written = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&written).unwrap(), scenario);
}

#[test]
fn a_fault_is_aimed_at_each_instance_and_a_cut_at_all_of_them() {
    let scenario = read(PAIR_CUT);
    let members =
        |target: &Target| target.members(|s| vec![format!("{s}-1"), format!("{s}-2")], None);
    let aimed = |n: usize| -> Vec<(String, Vec<String>)> {
        let faults = scenario.phases[n].inject[0].aim(|target| members(target).unwrap()).unwrap();
        let told = |f: &dyn Fault| (f.target().to_owned(), f.blast_radius().services);
        faults.iter().map(|f| told(f.as_ref())).collect()
    };
    assert_eq!(aimed(1), [("exporter-2".to_owned(), words(&["exporter-2"]))]);
    let both =
        words(&["alertmanager-a-1", "alertmanager-a-2", "alertmanager-b-1", "alertmanager-b-2"]);
    assert_eq!(aimed(0), [("alertmanager-a-1, alertmanager-a-2".to_owned(), both)]);
}

#[test]
fn instances_of_one_service_may_be_cut_off_from_each_other() {
    let text = |and: &str| {
        PAIR_CUT
            .replace("{service: alertmanager-a}", "{service: web, instance: 1}")
            .replace("and: [alertmanager-b]", &format!("and: [{and}]"))
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drill.yaml");
    let checked = |and: &str| {
        std::fs::write(&file, text(and)).unwrap();
        super::read(&file).map(drop).map_err(|e| e.problem)
    };
    assert_eq!(checked("{service: web, instance: 2}"), Ok(()));
    for own in ["{service: web, instance: 1}", "web", "{service: web, share: 0.5}"] {
        let problem = checked(own).unwrap_err();
        assert!(problem.contains("web (instance 1) would be cut off from itself"), "{problem}");
    }
}
