//! What a declaration names and the configuration does not have.

use super::{Findings, discover};
use crate::stack::Stack;
use crate::yaml::suggest;
use config::monitoring::MonitoringConfig;
use config::yaml::Place;

pub(super) fn check(stack: &Stack, config: &MonitoringConfig, findings: &mut Findings) {
    let names: Vec<&str> = config
        .rules()
        .filter(|(_, _, rule)| rule.is_alert())
        .map(|(_, _, rule)| rule.name.as_str())
        .collect();
    for server in &config.prometheus {
        if !server.config.view.rule_files.is_empty() {
            continue;
        }
        let folder = server.config.doc.file.parent().unwrap_or(&stack.folder);
        if let Some(file) = discover::rules_below(folder).first() {
            findings.error(
                "rules-not-loaded",
                &Place::of(&server.config.doc.file),
                format!(
                    "no `rule_files`: nothing is evaluated, and {} is not loaded",
                    file.display()
                ),
                "name the rule files under `rule_files`",
            );
        }
    }
    // Rules that can't be read are told already.
    let unread = findings
        .0
        .iter()
        .any(|one| ["parse", "unknown-key", "refused", "rule-file-missing"].contains(&one.check));
    if config.prometheus.is_empty() || unread {
        return;
    }
    for (at, alert) in stack.declaration.alerts.iter().enumerate() {
        if !names.contains(&alert.name.as_str()) {
            let mark = stack.mark(&["alerts", &at.to_string()]);
            findings.error(
                "alert-not-in-rules",
                &Place::new(&mark.file, mark.line, ""),
                format!("alert `{}` is declared, and no rule is called so", alert.name),
                suggest(&alert.name, names.iter().copied(), "alerts"),
            );
        }
    }
}
