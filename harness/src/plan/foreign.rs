//! Our owner's own files as nobody should write them: declarations, scenarios, journals, histories.

use crate::declaration::Declaration;
use crate::journal::Journal;
use crate::plan::scenario;
use crate::{record, yaml};
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use std::path::Path;

const DECLARATIONS: &[&str] = &[
    include_str!("../../../compose/stacks/email/firedrill.yaml"),
    include_str!("../../../compose/stacks/mini/firedrill.yaml"),
];
const SCENARIOS: &[&str] = &[
    include_str!("../../../scenarios/mini/exporter_stopped.yaml"),
    include_str!("../../../scenarios/mini/spare_paused.yaml"),
    include_str!("../../../scenarios/email/dovecot_stopped.yaml"),
    PHASES,
];
const PHASES: &str = "
schema: 2
name: drill
summary: A part is gone, then all of it.
phases:
  - name: lost
    inject:
      - {id: one, kind: stop, on: {service: web, share: 0.5}}
      - {id: two, kind: cut, between: [{zone: a}], and: [{role: alerting, which: all}], way: there}
    alerts: [Down]
    stays: {s: 3}
  - {name: back, heal: [one, two], resolves: [Down]}
builds_up_s: {Down: 2}
";
const JOURNALS: &[&str] = &[
    "{\"id\":1,\"at\":\"2026-11-30T12:00:00Z\",\"what\":\"a\",\"undo\":{\"StopContainer\":{\"id\":\"x\"}}}\n{\"id\":1,\"undo\":null}\n",
];
const HISTORIES: &[&str] = &[
    "{\"seq\":0,\"at\":{\"mono_ms\":0,\"wall_ms\":1764500000000},\"kind\":{\"run\":{\"ended\":{\"complete\":true}}}}\n{\"seq\":1}\n",
];

fn declaration_is_read(text: &str) {
    let file = Path::new("firedrill.yaml");
    for error in [
        yaml::parse::<Declaration>(file, text).err(),
        scenario::parse(file, text).err(),
        yaml::tree(file, text).err(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(error.place.file == file && !error.problem.is_empty(), "{error:?}");
    }
}

fn scenario_is_read(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("drill.yaml");
    std::fs::write(&file, text).expect("a file");
    if let Err(error) = scenario::read(&file) {
        assert!(error.place.file == file && !error.problem.is_empty(), "{error:?}");
    }
}

fn record_is_read(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("history.jsonl"), text).expect("a file");
    let _ = record::read(folder.path());
    let journal = Journal::at(folder.path());
    std::fs::write(journal.file(), text).expect("a file");
    journal.open_entries().expect("lines that can't be read are skipped");
}

proptest! {
    #![proptest_config(damaged::cases(60))]

    #[test]
    fn a_damaged_declaration(text in damaged(DECLARATIONS)) {
        declaration_is_read(&text);
    }

    #[test]
    fn a_damaged_scenario(text in damaged(SCENARIOS)) {
        scenario_is_read(&text);
    }

    #[test]
    fn a_damaged_record(text in prop_oneof![damaged(JOURNALS), damaged(HISTORIES)]) {
        record_is_read(&text);
    }

    #[test]
    fn anything_in_place_of_a_file(text in anything()) {
        declaration_is_read(&text);
        scenario_is_read(&text);
        record_is_read(&text);
    }
}

#[test]
fn what_nests_deeply_is_read_or_refused() {
    for text in deep() {
        declaration_is_read(&text);
        record_is_read(&text);
    }
}
