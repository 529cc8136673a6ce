//! What nobody is notified of: a service that is gone, and no alert that says so.

use super::delivery::{accepted, received_s};
use super::notified::window;
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::Causes;
use crate::check::firing::ALERT_NAME;
use crate::check::timeline::Timeline;
use crate::check::wording::{list, seconds};
use crate::history::History;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// While a drill takes a service away somebody is notified of an alert that no other drill causes;
/// or the gap is declared, and named with the rule that would close it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SomebodyNotified {
    /// Id of the drill that takes the service away.
    pub drill: String,
    /// The fault of the drill that does.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Name of the service, as the Compose file has it.
    pub service: String,
    /// The rule that would notice.
    pub rule: String,
    /// How long the service must be gone, in seconds: as long as the slowest of the stack's rules
    /// takes to fire.
    pub least_s: f64,
    /// Alerts that say nothing of this service: switches, and what other drills and other phases
    /// cause.
    pub others: Vec<String>,
    /// Why nobody is notified, if that is declared.
    pub gap: Option<String>,
}

impl Checker for SomebodyNotified {
    fn id(&self) -> String {
        format!("drill.{}.noticed", self.drill)
    }

    fn expected(&self) -> String {
        format!("somebody is notified while {} is gone, or the gap is declared", self.service)
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (injected, window) = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => (struck.injected, window(&struck)),
            Err((why, seqs)) => return Verdict::unknown(id, expected, why).witnesses(seqs),
        };
        // By alert: when somebody was first notified of it, and the event.
        let mut notified: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
        for (e, n) in history.notifications().filter(|(_, n)| accepted(n)) {
            let at = received_s(n);
            if !(window.from..=window.to).contains(&at) {
                continue;
            }
            for alert in n.alerts.iter().filter(|a| !a.resolved) {
                let name = alert.labels.get(ALERT_NAME).map_or("?", String::as_str);
                if !self.others.iter().any(|other| other == name) {
                    let first = notified.entry(name).or_insert((at, e.seq));
                    *first = if at < first.0 { (at, e.seq) } else { *first };
                }
            }
        }
        let lasted = window.to - window.from;
        let verdict = match (notified.first_key_value(), &self.gap) {
            (Some(_), gap) => {
                let told = notified
                    .iter()
                    .map(|(name, (at, _))| format!("{name} after {}", seconds(at - window.from)));
                let closed = gap
                    .as_ref()
                    .map_or("", |_| "; the gap is closed by now, remove it from `gaps`");
                Verdict::pass(id, expected, format!("{}{closed}", list(told, 5)))
                    .evidence("alerts that somebody was notified of", notified.len() as u64)
                    .witnesses(notified.values().map(|(_, seq)| *seq))
            }
            _ if lasted < self.least_s => {
                let seen = format!(
                    "{} was gone for {}, and a rule of this stack may take {} to fire",
                    self.service,
                    seconds(lasted),
                    seconds(self.least_s)
                );
                return Verdict::unknown(id, expected, seen).witnesses([injected.seq]);
            }
            (None, Some(why)) => {
                let seen = format!(
                    "a gap, by declaration ({why}): nobody is notified while {} is gone; a rule that would close it: {}",
                    self.service, self.rule
                );
                Verdict::pass(id, expected, seen).evidence("services that were gone", 1)
            }
            (None, None) => {
                let seen = format!(
                    "nobody was notified in the {} in which {} was gone",
                    seconds(lasted),
                    self.service
                );
                let verdict = Verdict::fail(id, expected, Cause::Gap, seen)
                    .stopped_at("no rule")
                    .hint(format!("add a rule such as {}; or declare the gap under `gaps` in firedrill.yaml, and why", self.rule))
                    .witnesses([injected.seq]);
                return timeline.unless_truncated(verdict);
            }
        };
        timeline.require_complete(verdict.witnesses([injected.seq]))
    }
}
