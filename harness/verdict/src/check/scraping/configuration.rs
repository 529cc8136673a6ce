//! The configuration in force is the one last given: reloads were accepted, files are the ones
//! mounted, every rule is loaded and evaluates.

use super::super::Checker;
use super::super::timeline::{Timeline, unreachable_backend};
use super::super::wording::{count, list};
use crate::cause::Cause;
use crate::observation::Fact;
use crate::observation::asked::Asked;
use crate::observation::host::MountedFile;
use crate::observation::metrics::{Reload, Rule};
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The metrics server and the alert manager run with the configuration they were last given, and
/// every rule group evaluates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationLoaded {
    /// Services that must say that their last reload was accepted.
    pub servers: Vec<String>,
    /// Names of the alerts whose rules must be loaded.
    pub alerts: Vec<String>,
}

/// What convicts, and what to do about it.
struct Wrong {
    cause: Cause,
    seen: String,
    hint: String,
}

impl Wrong {
    fn new(cause: Cause, seen: String, hint: impl Into<String>) -> Wrong {
        Wrong { cause, seen, hint: hint.into() }
    }

    fn verdict(self, id: String, expected: String, seqs: Vec<u64>) -> Verdict {
        Verdict::fail(id, expected, self.cause, self.seen).witnesses(seqs).hint(self.hint)
    }
}

/// A rule with the name of its group.
type InGroup<'h> = (&'h str, &'h Rule);

/// The rules as each server listed them last while the stack was healthy.
struct Rules<'h> {
    /// By server: the event, and its rules.
    by_server: BTreeMap<&'h str, (u64, Vec<InGroup<'h>>)>,
}

impl<'h> Rules<'h> {
    fn of(timeline: &Timeline<'h>) -> Rules<'h> {
        let mut by_server = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            if let Fact::Rules { groups } = &o.fact {
                let rules = groups
                    .iter()
                    .flat_map(|g| g.rules.iter().map(|r| (g.name.as_str(), r)))
                    .collect();
                by_server.insert(o.source.as_str(), (e.seq, rules));
            }
        }
        Rules { by_server }
    }

    fn all(&self) -> impl Iterator<Item = InGroup<'h>> {
        self.by_server.values().flat_map(|(_, rules)| rules.iter().copied())
    }

    /// What is wrong with them, the gravest first; `wanted` are the alerts that must be there.
    fn wrong(&self, wanted: &[String]) -> Option<Wrong> {
        self.missing(wanted).or_else(|| self.failing()).or_else(|| self.doubled())
    }

    fn missing(&self, wanted: &[String]) -> Option<Wrong> {
        if self.by_server.is_empty() {
            return None;
        }
        let loaded = |name: &str| self.all().any(|(_, r)| r.alerting && r.name == name);
        let missing: Vec<&String> = wanted.iter().filter(|name| !loaded(name)).collect();
        (!missing.is_empty()).then(|| {
            Wrong::new(
                Cause::RuleNotLoaded,
                format!(
                    "{} not loaded, of {} rules that are",
                    list(&missing, 8),
                    self.all().count()
                ),
                "is the rule's file listed under the server's rule files, and was the server reloaded since it was written?",
            )
        })
    }

    fn failing(&self) -> Option<Wrong> {
        let failing: Vec<String> = self
            .all()
            .filter(|(_, r)| r.health == "err" || !r.last_error.is_empty())
            .map(|(g, r)| format!("{} of group {g}: {}", r.name, r.last_error))
            .collect();
        (!failing.is_empty()).then(|| {
            Wrong::new(
                Cause::RuleFailing,
                list(&failing, 5),
                "run the expression by hand: many-to-many matches and duplicate series are the usual reasons",
            )
        })
    }

    fn doubled(&self) -> Option<Wrong> {
        let twice: Vec<String> =
            self.by_server.values().flat_map(|(_, rules)| duplicated(rules)).collect();
        (!twice.is_empty()).then(|| {
            Wrong::new(
                Cause::RuleDuplicated,
                format!("rules with the same name and labels: {}", list(&twice, 5)),
                "give each rule labels of its own, such as a severity: the alert manager can't tell their alerts apart, and the end of one ends the other",
            )
        })
    }
}

/// Alerting rules that no label tells apart: group, name.
fn duplicated(rules: &[(&str, &Rule)]) -> Vec<String> {
    type Identity<'a> = (&'a str, Vec<(&'a String, &'a String)>);
    let mut by_identity: BTreeMap<Identity<'_>, Vec<&str>> = BTreeMap::new();
    for (group, rule) in rules.iter().filter(|(_, r)| r.alerting) {
        by_identity.entry((&rule.name, rule.labels.iter().collect())).or_default().push(group);
    }
    let twice = by_identity.into_iter().filter(|(_, groups)| groups.len() > 1);
    twice.map(|((name, _), groups)| format!("{name} in {}", list(&groups, 5))).collect()
}

impl ConfigurationLoaded {
    /// A file of one of the servers that was replaced under its mount, as last seen: the event, and
    /// what is wrong.
    fn replaced(&self, history: &History) -> Option<(u64, String)> {
        let mut last: BTreeMap<&str, (u64, &Vec<MountedFile>)> = BTreeMap::new();
        for (e, o) in history.observations() {
            if let Fact::MountedFiles { files } = &o.fact
                && self.servers.contains(&o.source)
            {
                last.insert(&o.source, (e.seq, files));
            }
        }
        last.into_iter().find_map(|(server, (seq, files))| {
            let file = files.iter().find(|f| f.replaced)?;
            Some((
                seq,
                format!(
                    "{server} still reads the old {}: the file was replaced under its mount, and a reload reads the old one again",
                    file.inside
                ),
            ))
        })
    }

    /// The last reload status of each server while the stack was healthy, and the last of all.
    fn reloads<'h>(&self, timeline: &Timeline<'h>) -> BTreeMap<&'h str, Vec<(u64, &'h Reload)>> {
        let mut found: BTreeMap<&str, Vec<(u64, &Reload)>> = BTreeMap::new();
        let mut all: Vec<_> = timeline.history.observations().collect();
        all.sort_by_key(|(_, o)| o.answered.mono_us);
        for facts in [timeline.healthy_facts(), all] {
            let mut last: BTreeMap<&str, (u64, &Reload)> = BTreeMap::new();
            for (e, o) in facts {
                if let Fact::Reload(r) = &o.fact {
                    last.insert(&o.source, (e.seq, r));
                }
            }
            for (source, reload) in last {
                found.entry(source).or_default().push(reload);
            }
        }
        found
    }

    /// A server that refused its last configuration, and the events that say that the others did
    /// not; a server that never said so is added to `unasked`.
    fn refused(
        &self,
        timeline: &Timeline<'_>,
        unasked: &mut Vec<String>,
    ) -> Result<Vec<u64>, (u64, Wrong)> {
        let reloads = self.reloads(timeline);
        let mut seqs = Vec::new();
        for server in &self.servers {
            let Some(of_server) = reloads.get(server.as_str()) else {
                unasked.push(format!("the reload status of {server}"));
                continue;
            };
            if let Some((seq, r)) = of_server.iter().find(|(_, r)| !r.successful) {
                let seen = format!(
                    "{server} refused its last configuration and runs on an older one: {}",
                    r.seen
                );
                let hint = format!(
                    "check the files of {server} with its own checking tool, correct them, and reload; until then every edit since is without effect"
                );
                return Err((*seq, Wrong::new(Cause::ReloadRejected, seen, hint)));
            }
            seqs.extend(of_server.first().map(|(s, _)| *s));
        }
        Ok(seqs)
    }
}

impl Checker for ConfigurationLoaded {
    fn id(&self) -> String {
        "scraping.configuration".into()
    }

    fn expected(&self) -> String {
        format!(
            "{} with the configuration last given, {} loaded, and every rule evaluates",
            list(&self.servers, 5) + " run",
            count(self.alerts.len() as u64, "alert is", "alerts are")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let mut unasked = Vec::new();
        let mut seqs = match self.refused(&timeline, &mut unasked) {
            Ok(accepted) => accepted,
            Err((seq, wrong)) => return wrong.verdict(id, expected, vec![seq]),
        };
        if let Some((seq, seen)) = self.replaced(history) {
            let hint = "mount the folder instead of the file, or write the file in place; until then recreate the container after each edit";
            let wrong = Wrong::new(Cause::FileReplacedUnderMount, seen, hint);
            return wrong.verdict(id, expected, vec![seq]);
        }
        let is_rules = |f: &Fact| matches!(f, Fact::Rules { .. } | Fact::Reload(_));
        let asks = |q: &Asked| {
            matches!(
                q,
                Asked::Rules | Asked::Evaluations | Asked::RuleInputs { .. } | Asked::Reload
            )
        };
        if let Some(s) = timeline.unreachable_source(is_rules, asks) {
            return unreachable_backend(id, expected, &s);
        }
        let rules = Rules::of(&timeline);
        seqs.extend(rules.by_server.values().map(|(seq, _)| *seq));
        if rules.by_server.is_empty() && !self.alerts.is_empty() {
            unasked.push("the rules".into());
        }
        if let Some(wrong) = rules.wrong(&self.alerts) {
            return wrong.verdict(id, expected, seqs);
        }
        let unevaluated: Vec<&str> =
            rules.all().filter(|(_, r)| r.health != "ok").map(|(_, r)| r.name.as_str()).collect();
        if !unevaluated.is_empty() {
            unasked.push(format!("an evaluation of {}", list(&unevaluated, 5)));
        }
        if !unasked.is_empty() {
            let why = format!("not seen while the stack was healthy: {}", list(&unasked, 5));
            return Verdict::unknown(id, expected, why).witnesses(seqs);
        }
        let evaluating = rules.all().count() as u64;
        let reason = format!(
            "{} up to date, {} evaluate",
            list(&self.servers, 5),
            count(evaluating, "rule", "rules")
        );
        let verdict = Verdict::pass(id, expected, reason)
            .evidence("servers with their last configuration", self.servers.len() as u64)
            .evidence("rules that evaluate", evaluating);
        timeline.require_complete(verdict.witnesses(seqs))
    }
}
