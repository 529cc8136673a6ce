//! The traffic of the e-mail stack, from its own files, for servers of a test.

use loadgen::Traffic;
use loadgen::traffic::stated::StatedTraffic;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Where its paths are asked.
pub const HTTP: &str = "email-service:5000";

/// What these users do, who all have this password. Without an address nobody looks for their mail.
pub fn traffic(users: &[String], password: &str, imap: Option<&str>) -> Arc<Traffic> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/stacks/email/journeys");
    let mut journeys = serde_json::Map::new();
    for entry in std::fs::read_dir(&folder).expect("journeys") {
        let file = entry.expect("a file").path();
        let text = std::fs::read_to_string(&file).expect("a journey");
        let mut journey: Value = serde_saphyr::from_str(&text).expect("YAML");
        let stated = journey.as_object_mut().expect("a mapping");
        assert!(stated.remove("schema").is_some() && stated.remove("summary").is_some());
        if imap.is_none() {
            for step in journey["steps"].as_array_mut().expect("steps") {
                step.as_object_mut().expect("a step").remove("leads_to");
            }
        }
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        journeys.insert(name, journey);
    }
    let stated: StatedTraffic = serde_json::from_value(json!({
        "rate": 20,
        "http": HTTP,
        "users": users,
        "password": password,
        "auth": {"basic": ["{user.name}", "{user.password}"]},
        "journeys": journeys,
        "sinks": imap.map_or(json!({}), |at| json!({"mail": {"kind": "imap", "at": at}})),
    }))
    .expect("traffic");
    Arc::new(Traffic::read(&stated).expect("traffic"))
}

/// Where they are reached.
pub fn places(http: impl ToString) -> BTreeMap<String, String> {
    BTreeMap::from([(HTTP.to_owned(), http.to_string())])
}
