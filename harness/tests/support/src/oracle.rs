//! What a command returned when it was last agreed on: verdict ids and statuses, as data in
//! `harness/tests/oracle`. Whoever changes them on purpose writes them anew with `FIREDRILL_ORACLE=write` and
//! says in the commit which changed and why.

use crate::root;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a command returns: each verdict's id, with its status or, for a sabotage, its conviction.
pub type Returned = BTreeMap<String, String>;

/// What was agreed on for a command, such as `verify-mini`.
pub fn agreed(command: &str) -> Result<Returned, String> {
    let path = file(command);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Compares what a command returned with what was agreed on, or writes it where the environment
/// asks for that.
pub fn hold(command: &str, returned: &Returned) -> Result<(), String> {
    if std::env::var("FIREDRILL_ORACLE").is_ok_and(|v| v == "write") {
        let text = serde_json::to_string_pretty(returned).map_err(|e| e.to_string())? + "\n";
        return std::fs::write(file(command), text).map_err(|e| e.to_string());
    }
    let differences = differences(&agreed(command)?, returned);
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("{command} returns other than was agreed on:\n  {}", differences.join("\n  ")))
}

/// Every id that appears, disappears or changes.
pub fn differences(agreed: &Returned, returned: &Returned) -> Vec<String> {
    let mut found = Vec::new();
    for (id, was) in agreed {
        match returned.get(id) {
            None => found.push(format!("{id} disappeared; it was {was}")),
            Some(is) if is != was => found.push(format!("{id} changed from {was} to {is}")),
            Some(_) => {}
        }
    }
    found.extend(
        returned
            .iter()
            .filter(|(id, _)| !agreed.contains_key(*id))
            .map(|(id, is)| format!("{id} appeared; it is {is}")),
    );
    found
}

fn file(command: &str) -> PathBuf {
    root().join("harness/tests/oracle").join(format!("{command}.json"))
}
