//! The traffic of a stack: journeys are read from their own files, and all that it speaks of must be
//! there.

use super::Stack;
use super::check::Checked;
use crate::yaml::{self, suggest};
use config::yaml::ConfigError;
use loadgen::traffic::stated::Step;
use loadgen::traffic::{Mistake, Traffic, service_of};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folder of journeys, beside the declaration.
const FOLDER: &str = "journeys";

/// A journey's own file. The declaration states its weight.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JourneyFile {
    /// Version of this format; 1.
    schema: u32,
    /// What the user does, in a sentence.
    #[allow(dead_code, reason = "it is read by people")]
    summary: String,
    #[serde(default)]
    think_s: Option<[f64; 2]>,
    #[serde(default)]
    draw: BTreeMap<String, Vec<Value>>,
    steps: Vec<Step>,
}

fn read(file: &Path) -> Result<JourneyFile, ConfigError> {
    let read: JourneyFile = yaml::read(file)?;
    if read.schema == 1 {
        return Ok(read);
    }
    let what = format!("schema: seen {}, wanted 1", read.schema);
    Err(yaml::error_at(file, &["schema"], what, "this program reads version 1"))
}

impl Stack {
    /// Reads the journeys of which the declaration states the weight only.
    pub(super) fn read_journeys(&mut self) -> Checked {
        let Some(mut workload) = self.declaration.workload.take() else { return Ok(()) };
        let read = self.fill(&mut workload.journeys);
        self.declaration.workload = Some(workload);
        read
    }

    fn fill(
        &mut self,
        journeys: &mut BTreeMap<String, loadgen::traffic::stated::StatedJourney>,
    ) -> Checked {
        let folder = self.folder.join(FOLDER);
        let files: BTreeMap<String, PathBuf> = yaml::files(&folder)?
            .into_iter()
            .filter_map(|file| Some((file.file_stem()?.to_string_lossy().into_owned(), file)))
            .collect();
        for (name, journey) in journeys.iter_mut().filter(|(_, j)| j.steps.is_empty()) {
            let Some(file) = files.get(name) else {
                let known = files.keys().map(String::as_str);
                return Err(self.error(
                    &["workload", "journeys", name],
                    format!("there is no journey {name}: neither steps here nor a file {FOLDER}/{name}.yaml"),
                    suggest(name, known, "journeys with a file"),
                ));
            };
            let JourneyFile { think_s, draw, steps, .. } = read(file)?;
            (journey.think_s, journey.draw, journey.steps) = (think_s, draw, steps);
            self.journeys.insert(name.clone(), file.clone());
        }
        let stray = files.iter().find(|(name, _)| !journeys.contains_key(*name));
        if let Some((name, file)) = stray {
            let hint = format!("state its weight under `workload.journeys`, as in `{name}: 1`");
            return Err(ConfigError::of(file, format!("nobody walks journey {name}"), hint));
        }
        Ok(())
    }

    /// An error about a place of the traffic, in the file that states it.
    fn traffic_error(&self, keys: &[String], what: String, hint: String) -> ConfigError {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        if let ["journeys", name, below @ ..] = keys.as_slice()
            && let Some(file) = self.journeys.get(*name).filter(|_| *below != ["weight"])
        {
            return yaml::error_at(file, below, what, hint);
        }
        let whole: Vec<&str> = ["workload"].into_iter().chain(keys).collect();
        self.error(&whole, what, hint)
    }

    /// Whether the traffic makes sense, and everything that it speaks of is there.
    pub(super) fn traffic(&self) -> Checked {
        let Some(workload) = &self.declaration.workload else { return Ok(()) };
        if workload.imap.is_some() {
            return Err(self.error(
                &["workload", "imap"],
                "workload.imap: where mail arrives is stated as a sink",
                "write `sinks: {mail: {kind: imap, at: ..}}`, and `leads_to: [{sink: mail}]` in the step that sends",
            ));
        }
        Traffic::read(workload)
            .map_err(|Mistake { keys, what, hint }| self.traffic_error(&keys, what, hint))?;
        let services = self.project.services.keys().chain(self.project.left_out.keys());
        let services: Vec<&str> = services.map(String::as_str).collect();
        for (keys, place) in workload.places() {
            let service = service_of(&place);
            if !services.contains(&service) {
                let what = format!(
                    "workload: there is no service {service} in {}",
                    self.project.file.display()
                );
                let hint = suggest(service, services.iter().copied(), "services");
                return Err(self.traffic_error(&keys, what, hint));
            }
        }
        let by_trace = self.declaration.traces.as_ref().is_some_and(|t| t.id_attribute.is_empty());
        if by_trace && !workload.identity.traceparent {
            return Err(self.error(
                &["traces"],
                "traces: nothing tells which operation a trace is of",
                "state `id_attribute`, or turn `workload.identity.traceparent` on",
            ));
        }
        let sampled = self.declaration.traces.as_ref().map(|t| &t.sampling);
        let by_services = sampled.is_some_and(|s| s.place == "service" && !s.ignores_parent);
        if workload.identity.traceparent && by_services {
            return Err(self.error(
                &["workload", "identity", "traceparent"],
                "workload.identity.traceparent: services that sample would keep every trace, because the client asks for it",
                "remove it, or state `ignores_parent: true` under `traces.sampling` if they decide by themselves",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use damaged::{anything, damaged};
    use proptest::prelude::*;

    const JOURNEYS: &[&str] = &[
        include_str!("../../../compose/stacks/email/journeys/read.yaml"),
        include_str!("../../../compose/stacks/email/journeys/search.yaml"),
        include_str!("../../../compose/stacks/email/journeys/send_mail.yaml"),
        include_str!("../../../compose/stacks/email/journeys/wrong_password.yaml"),
    ];

    fn is_read(text: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("journey.yaml");
        std::fs::write(&file, text).expect("a file");
        if let Err(error) = read(&file) {
            assert!(error.place.file == file && !error.problem.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn whole_journeys_are_read() {
        for text in JOURNEYS {
            yaml::parse::<JourneyFile>(Path::new("journey.yaml"), text).expect("a journey");
        }
    }

    proptest! {
        #![proptest_config(damaged::cases(60))]

        #[test]
        fn a_damaged_journey(text in damaged(JOURNEYS)) {
            is_read(&text);
        }

        #[test]
        fn anything_in_place_of_a_journey(text in anything()) {
            is_read(&text);
        }
    }
}
