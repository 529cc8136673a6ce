//! Several servers in one role: which of them an expectation is about, and what their answers come
//! to. Each member is judged on the history as if it were alone, so that no checker has to know that
//! there are others, and none can hide behind another's facts.

use super::Expectation;
use crate::history::fault::FaultEvent;
use crate::history::{EventKind, History};
use crate::observation::Fact;
use crate::observation::asked::Asked;
use crate::verdict::{Evidence, Status, Verdict};
use std::collections::BTreeSet;

/// A role whose servers answer the questions that a checker rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Metrics servers: they scrape targets and evaluate rules.
    Metrics,
    /// Alert managers: they group, silence and notify.
    Alerting,
}

/// What the answers of several members come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// It has to hold of each member; the worst answer counts.
    Each,
    /// It has to hold of one member, whichever; the best answer counts.
    Some,
    /// It is about how the members stand to each other, so that all are looked at together.
    Between,
}

/// Whose answers a checker rests on, and what several of them come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestsOn {
    /// The role.
    pub role: Role,
    /// How its members count.
    pub quantifier: Quantifier,
}

/// It has to hold of each metrics server.
pub const EACH_METRICS_SERVER: Option<RestsOn> =
    Some(RestsOn { role: Role::Metrics, quantifier: Quantifier::Each });
/// It has to hold of one metrics server.
pub const SOME_METRICS_SERVER: Option<RestsOn> =
    Some(RestsOn { role: Role::Metrics, quantifier: Quantifier::Some });
/// It is about how the metrics servers stand to each other.
pub const BETWEEN_METRICS_SERVERS: Option<RestsOn> =
    Some(RestsOn { role: Role::Metrics, quantifier: Quantifier::Between });
/// It is about how the alert managers stand to each other.
pub const BETWEEN_ALERT_MANAGERS: Option<RestsOn> =
    Some(RestsOn { role: Role::Alerting, quantifier: Quantifier::Between });
/// It rests on no role's servers: on what the harness itself saw, or on one store.
pub const NO_ROLE: Option<RestsOn> = None;

/// The verdict on an expectation that rests on these members, as they are declared.
pub(super) fn judge(
    expectation: &Expectation,
    history: &History,
    members: &[String],
    quantifier: Quantifier,
) -> Verdict {
    if quantifier == Quantifier::Between {
        return between(expectation, history, members);
    }
    let lost = expectation.drill().map(|drill| lost(history, drill)).unwrap_or_default();
    let excused = |m: &&String| quantifier == Quantifier::Each && lost.contains(m.as_str());
    // Where a fault takes all of them there is nobody else to hold it: then they are judged as one.
    let spared: Vec<&String> = members.iter().filter(|m| !excused(m)).collect();
    let asked = if spared.is_empty() { members.iter().collect() } else { spared };
    let verdicts: Vec<(&String, Verdict)> = asked
        .into_iter()
        .map(|member| {
            let others: Vec<&str> =
                members.iter().filter(|m| *m != member).map(String::as_str).collect();
            let verdict = expectation.without(&others).judge(&history.without_sources(&others));
            // What holds without a member's facts says nothing about it.
            let verdict = match absence(history, member) {
                Some(why) if verdict.status != Status::Fail => unanswered(expectation, why),
                _ => verdict,
            };
            (member, verdict)
        })
        .collect();
    merge(verdicts, quantifier, members.len())
}

/// Judged on all facts together; a member that never answered leaves it unknown.
fn between(expectation: &Expectation, history: &History, members: &[String]) -> Verdict {
    let verdict = expectation.judge(history);
    let absent = members.iter().find_map(|member| absence(history, member));
    match absent {
        Some(why) if verdict.status == Status::Pass => unanswered(expectation, why),
        _ => verdict,
    }
}

/// One claim about several drills: it has to hold in each of them, so that the worst verdict counts.
/// The first of those with that status gives the index.
pub fn of_drills(verdicts: Vec<(&str, Verdict)>) -> Option<(usize, Verdict)> {
    let worst = verdicts.iter().map(|(_, v)| v.status).max()?;
    let at = verdicts.iter().position(|(_, v)| v.status == worst)?;
    let names: Vec<String> = verdicts.iter().map(|(drill, _)| format!("drill {drill}")).collect();
    let declared = verdicts.len();
    let named = names.iter().zip(verdicts.into_iter().map(|(_, v)| v)).collect();
    Some((at, merge(named, Quantifier::Each, declared)))
}

fn unanswered(expectation: &Expectation, why: String) -> Verdict {
    let checker = expectation.checker();
    Verdict::unknown(checker.id(), checker.expected(), why)
}

/// Why nothing is known of a declared member, if so: it answered no question of the run. Its file of
/// events is no answer: it can be read while the server is gone.
fn absence(history: &History, member: &str) -> Option<String> {
    let mut error = None;
    for (_, o) in history.observations().filter(|(_, o)| o.source == member) {
        match &o.fact {
            Fact::ManagerEvents { .. }
            | Fact::Unreachable { question: Asked::ManagerEvents, .. } => {}
            Fact::Unreachable { error: e, .. } => error = Some(e.as_str()),
            _ => return None,
        }
    }
    Some(match error {
        Some(error) => format!("{member} never answered: {error}"),
        None => format!("{member} is declared, and nothing in the record is from it"),
    })
}

/// Instances that the faults of a drill were aimed at.
fn lost<'h>(history: &'h History, drill: &str) -> BTreeSet<&'h str> {
    let mut found = BTreeSet::new();
    for (_, fault) in history.faults() {
        if let FaultEvent::Injected { drill: d, target, instances, .. } = fault
            && d == drill
        {
            // Older histories, and faults on a service of one instance, name the service.
            found.extend(instances.iter().map(String::as_str));
            if instances.is_empty() {
                found.insert(target.as_str());
            }
        }
    }
    found
}

fn merge(verdicts: Vec<(&String, Verdict)>, quantifier: Quantifier, declared: usize) -> Verdict {
    let wanted = verdicts.iter().map(|(_, v)| v.status);
    let status = match quantifier {
        Quantifier::Some => wanted.min(),
        _ => wanted.max(),
    };
    let status = status.unwrap_or(Status::Unknown);
    let (these, others): (Vec<_>, Vec<_>) =
        verdicts.into_iter().partition(|(_, v)| v.status == status);
    let names = |of: &[(&String, Verdict)]| {
        of.iter().map(|(m, _)| m.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (all, rest) = (names(&these), names(&others));
    let alike = these.windows(2).all(|w| w[0].1.reason == w[1].1.reason);
    let reason = match these.as_slice() {
        [(_, only)] if declared == 1 => only.reason.clone(),
        several if alike && several.len() > 1 => format!("{all}: {}", several[0].1.reason),
        several => {
            several.iter().map(|(m, v)| format!("{m}: {}", v.reason)).collect::<Vec<_>>().join("; ")
        }
    };
    let reason = match (quantifier, status, rest.is_empty()) {
        (_, _, true) | (_, Status::Pass, false) => reason,
        (_, _, false) => format!("{reason} (otherwise: {rest})"),
    };
    let mut these = these.into_iter().map(|(_, v)| v);
    let Some(first) = these.next() else { unreachable!("there is at least one member") };
    these.fold(Verdict { reason, ..first }, |mut sum, v| {
        add(&mut sum.evidence, v.evidence);
        for seq in v.witnesses {
            if sum.witnesses.len() < 20 && !sum.witnesses.contains(&seq) {
                sum.witnesses.push(seq);
            }
        }
        sum
    })
}

fn add(sum: &mut Vec<Evidence>, more: Vec<Evidence>) {
    for e in more {
        match sum.iter_mut().find(|s| s.what == e.what) {
            Some(same) => same.count += e.count,
            None => sum.push(e),
        }
    }
}

impl History {
    /// The history without what these sources said.
    pub(crate) fn without_sources(&self, sources: &[&str]) -> History {
        let kept = |kind: &EventKind| match kind {
            EventKind::Observation(o) => !sources.contains(&o.source.as_str()),
            _ => true,
        };
        History { events: self.events.iter().filter(|e| kept(&e.kind)).cloned().collect() }
    }
}
