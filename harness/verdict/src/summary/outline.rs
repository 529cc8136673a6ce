//! What a reader sees first, and how like verdicts fold into one line.

use super::ReportedVerdict;
use crate::{Evidence, Status};
use serde::Serialize;

/// The order of a report: what went wrong, then all else by feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outline<'a> {
    /// Failures, then what could not be judged; those with one reason together.
    pub troubles: Vec<FailureGroup<'a>>,
    /// Features with what they expect, like verdicts folded.
    pub sections: Vec<Section<'a>>,
    /// Verdicts that were left out.
    pub skipped: Vec<&'a ReportedVerdict>,
}

/// Verdicts that went wrong for one reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailureGroup<'a> {
    /// The first of them, which is shown whole.
    pub first: &'a ReportedVerdict,
    /// The others, which went wrong for the same reason.
    pub others: Vec<&'a ReportedVerdict>,
}

/// A feature and its verdicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section<'a> {
    /// Name of the feature.
    pub feature: &'a str,
    /// The worst of its verdicts.
    pub status: Status,
    /// Number of its verdicts that passed.
    pub passed: usize,
    /// Number of all its verdicts.
    pub of: usize,
    /// Its verdicts, those that claim the same folded into one.
    pub folds: Vec<VerdictGroup<'a>>,
}

/// Verdicts of one status that make the same claim of different subjects, or a single one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerdictGroup<'a> {
    /// The status that all of them have.
    pub status: Status,
    /// What they say together, as one sentence.
    pub text: String,
    /// What they rest on together.
    pub evidence: Vec<Evidence>,
    /// The verdicts themselves, in order.
    pub verdicts: Vec<&'a ReportedVerdict>,
}

/// Concerns in the order in which one asks for them: nothing above the stack's health can be
/// trusted if that is not given.
const CONCERNS: [&str; 9] =
    ["health", "load", "scraping", "dashboards", "logs", "traces", "alert", "drill", "recovery"];

fn concern(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

/// Sorts verdicts into the order of the concerns, features kept together; within a feature they
/// keep their order.
pub fn order(told: &mut [ReportedVerdict]) {
    let rank = |t: &ReportedVerdict| {
        CONCERNS.iter().position(|c| *c == concern(&t.id)).unwrap_or(CONCERNS.len())
    };
    let mut features: Vec<(String, usize, usize)> = Vec::new();
    for (i, t) in told.iter().enumerate() {
        match features.iter_mut().find(|f| f.0 == t.feature) {
            Some(f) => f.1 = f.1.min(rank(t)),
            None => features.push((t.feature.clone(), rank(t), i)),
        }
    }
    told.sort_by_key(|t| features.iter().find(|f| f.0 == t.feature).map(|f| (f.1, f.2)));
}

/// The outline of verdicts that are in order.
pub fn outline(told: &[ReportedVerdict]) -> Outline<'_> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for t in told.iter().filter(|t| t.status != Status::Skipped) {
        match sections.iter_mut().find(|s| s.feature == t.feature) {
            Some(section) => {
                section.status = section.status.merge(t.status);
                section.passed += usize::from(t.status == Status::Pass);
                section.of += 1;
            }
            None => sections.push(Section {
                feature: &t.feature,
                status: t.status,
                passed: usize::from(t.status == Status::Pass),
                of: 1,
                folds: Vec::new(),
            }),
        }
    }
    for section in &mut sections {
        section.folds = folds(
            told.iter()
                .filter(|t| t.feature == section.feature && t.status != Status::Skipped)
                .collect(),
        );
    }
    let mut troubles = troubles(told, Status::Fail);
    troubles.extend(self::troubles(told, Status::Unknown));
    Outline {
        troubles,
        sections,
        skipped: told.iter().filter(|t| t.status == Status::Skipped).collect(),
    }
}

fn troubles(told: &[ReportedVerdict], status: Status) -> Vec<FailureGroup<'_>> {
    let mut found: Vec<FailureGroup<'_>> = Vec::new();
    for t in told.iter().filter(|t| t.status == status) {
        match found.iter_mut().find(|f| (&f.first.reason, f.first.cause) == (&t.reason, t.cause)) {
            Some(trouble) => trouble.others.push(t),
            None => found.push(FailureGroup { first: t, others: Vec::new() }),
        }
    }
    found
}

/// Concern and claim of an id `concern.subject.claim`; `None` if it speaks of no single subject.
fn claim(id: &str) -> Option<(&str, &str)> {
    let (concern, rest) = id.split_once('.')?;
    Some((concern, rest.rsplit_once('.')?.1))
}

fn folds(told: Vec<&ReportedVerdict>) -> Vec<VerdictGroup<'_>> {
    let mut groups: Vec<Vec<&ReportedVerdict>> = Vec::new();
    for t in &told {
        let like = |g: &&mut Vec<&ReportedVerdict>| {
            t.status == Status::Pass
                && claim(&t.id).is_some()
                && g[0].status == t.status
                && claim(&g[0].id) == claim(&t.id)
        };
        match groups.iter_mut().find(like) {
            Some(group) => group.push(t),
            None => groups.push(vec![t]),
        }
    }
    let mut folded = Vec::new();
    for verdicts in groups {
        let of = told.iter().filter(|t| claim(&t.id) == claim(&verdicts[0].id)).count();
        folded.push(VerdictGroup {
            status: verdicts[0].status,
            text: text(&verdicts, of),
            evidence: evidence(&verdicts),
            verdicts,
        });
    }
    folded
}

fn text(verdicts: &[&ReportedVerdict], of: usize) -> String {
    let [first, _, ..] = verdicts else { return verdicts[0].expected.clone() };
    let n =
        if verdicts.len() == of { of.to_string() } else { format!("{} of {of}", verdicts.len()) };
    match claim(&first.id) {
        Some(("alert", "quiet")) => format!("{n} alerts are quiet while nothing is wrong"),
        Some(("alert", "fires")) => {
            format!("{n} alerts fire under their fault, within their budget")
        }
        Some(("alert", "reaches")) => {
            format!("{n} alerts reach each of their receivers, within their budget")
        }
        Some(("alert", "resolves")) => {
            format!("{n} alerts resolve after healing, and their receivers are notified")
        }
        Some(("drill", "fault")) => format!("{n} faults bite, are healed, and leave"),
        Some(("drill", "quiet_elsewhere")) => {
            format!("in {n} drills nothing beyond the blast radius fires")
        }
        Some(("logs", "lines")) => {
            format!("each acknowledged operation has its line, in {n} sources")
        }
        Some(("logs", "types")) => {
            format!("the indices of {n} sources map their fields as declared")
        }
        _ => format!("{n} times: {}", first.expected),
    }
}

fn evidence(verdicts: &[&ReportedVerdict]) -> Vec<Evidence> {
    let mut sum: Vec<Evidence> = Vec::new();
    for e in verdicts.iter().flat_map(|t| &t.evidence) {
        match sum.iter_mut().find(|s| s.what == e.what) {
            Some(s) => s.count += e.count,
            None => sum.push(e.clone()),
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::{Place, tell};
    use super::*;
    use crate::{Cause, History, Verdict};

    fn told(feature: &str, verdict: Verdict) -> ReportedVerdict {
        tell(&History::default(), &verdict, Place { feature, ..Place::default() }, None)
    }

    fn pass(id: &str) -> Verdict {
        Verdict::pass(id, format!("{id} holds"), "").evidence("looks", 2)
    }

    #[test]
    fn features_come_in_the_order_of_their_concerns_and_stay_together() {
        let mut all = vec![
            told("own", pass("own.x")),
            told("alerts", pass("alert.A.quiet")),
            told("health", pass("load.x.schedule")),
            told("alerts", pass("drill.d.fault")),
            told("health", pass("health.services")),
        ];
        order(&mut all);
        let ids: Vec<&str> = all.iter().map(|t| t.id.as_str()).collect();
        assert_eq!(
            ids,
            ["load.x.schedule", "health.services", "alert.A.quiet", "drill.d.fault", "own.x"]
        );
    }

    #[test]
    fn like_passes_fold_and_nothing_else_does() {
        let all = [
            told("f", pass("alert.A.quiet")),
            told(
                "f",
                Verdict::fail("alert.B.quiet", "B is quiet", Cause::FiredWhileHealthy, "it fired"),
            ),
            told("f", pass("alert.C.quiet")),
            told("f", pass("health.services")),
            told("f", pass("health.endpoints")),
        ];
        let outline = outline(&all);
        let section = &outline.sections[0];
        let texts: Vec<&str> = section.folds.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "2 of 3 alerts are quiet while nothing is wrong",
                "B is quiet",
                "health.services holds",
                "health.endpoints holds"
            ]
        );
        assert_eq!(section.folds[0].evidence, [Evidence { what: "looks".into(), count: 4 }]);
        assert_eq!((section.status, section.passed, section.of), (Status::Fail, 4, 5));
    }

    #[test]
    fn every_verdict_is_somewhere_and_one_reason_is_told_once() {
        let all = [
            told("f", Verdict::unknown("a", "", "too slow")),
            told("f", pass("b")),
            told("f", Verdict::fail("c", "", Cause::NoTraces, "too slow")),
            told("g", Verdict::unknown("d", "", "too slow")),
            told("g", Verdict::skipped("e", "", "not here")),
        ];
        let outline = outline(&all);
        assert_eq!(
            outline.sections.iter().flat_map(|s| &s.folds).map(|f| f.verdicts.len()).sum::<usize>()
                + outline.skipped.len(),
            all.len()
        );
        let troubles: Vec<(&str, usize)> =
            outline.troubles.iter().map(|t| (t.first.id.as_str(), t.others.len())).collect();
        assert_eq!(troubles, [("c", 0), ("a", 1)], "failures first");
    }
}
