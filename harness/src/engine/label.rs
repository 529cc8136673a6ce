//! Labels by which everything of ours is found again, and Compose's own, so that `docker compose
//! ps` sees a stack.

use std::collections::{BTreeMap, HashMap};

/// Label with the run's id.
pub const RUN: &str = "firedrill.run";
/// Label with the stack's name.
pub const STACK: &str = "firedrill.stack";
/// Compose's label with the project.
pub const PROJECT: &str = "com.docker.compose.project";
/// Compose's label with the service.
pub const SERVICE: &str = "com.docker.compose.service";

/// Compose's label with the number of the instance, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Label with what the instance is called (see [`super::instance::names`]).
pub const INSTANCE: &str = "firedrill.instance";

/// Whose things these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub run: String,
    pub stack: String,
    pub project: String,
}

impl Owner {
    /// Labels that networks, volumes and containers have alike.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (RUN.to_owned(), self.run.clone()),
            (STACK.to_owned(), self.stack.clone()),
            (PROJECT.to_owned(), self.project.clone()),
            ("com.docker.compose.version".to_owned(), "2.40.3".to_owned()),
        ])
    }
}

/// Filter by label: `RUN` alone finds every run.
pub fn filter(key: &str, value: Option<&str>) -> HashMap<String, Vec<String>> {
    let label = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
    HashMap::from([("label".to_owned(), vec![label])])
}
