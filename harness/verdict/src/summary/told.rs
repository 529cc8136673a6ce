//! A verdict and where it is told, with waivers applied.

use crate::check::calendar::parse_rfc3339;
use crate::history::run::RunEvent;
use crate::{Cause, Evidence, History, Status, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A verdict, and the step of a feature that asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedVerdict {
    /// Id, unique within the run.
    pub id: String,
    /// Name of the feature.
    pub feature: String,
    /// Name of the scenario.
    pub scenario: String,
    /// The `Then` step, as it is written.
    pub step: String,
    /// Where the step stands: `file:line`.
    pub place: String,
    /// What was expected, as a sentence.
    pub expected: String,
    /// Whether the expectation holds.
    pub status: Status,
    /// Why: what it rests on, what was seen, or what is missing.
    pub reason: String,
    /// The part that is broken; only failures have one.
    pub cause: Option<Cause>,
    /// The stage at which a signal stopped, where it has stages.
    pub stopped_at: Option<String>,
    /// What was looked at and how many of it.
    pub evidence: Vec<Evidence>,
    /// `seq` of the events that show it, at most twenty.
    pub witnesses: Vec<u64>,
    /// What to try next, for a failure.
    pub hint: Option<String>,
    /// Seconds of the drill that it rests on, or of the run.
    pub duration_s: f64,
}

/// The step of a feature that asks for a verdict.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Name of the feature.
    pub feature: &'a str,
    /// Name of the scenario.
    pub scenario: &'a str,
    /// The `Then` step, as it is written.
    pub step: &'a str,
    /// Where the step stands: `file:line`.
    pub place: &'a str,
}

/// Tells a verdict of an expectation that is about `drill`, or about the whole run.
pub fn tell(
    history: &History,
    verdict: &Verdict,
    place: Place<'_>,
    drill: Option<&str>,
) -> ReportedVerdict {
    let of_drill = drill
        .and_then(|d| history.drill_window(d))
        .and_then(|(began, ended)| Some(ended?.since(began)));
    let v = verdict.clone();
    ReportedVerdict {
        id: v.id,
        feature: place.feature.to_owned(),
        scenario: place.scenario.to_owned(),
        step: place.step.to_owned(),
        place: place.place.to_owned(),
        expected: v.expected,
        status: v.status,
        reason: v.reason,
        cause: v.cause,
        stopped_at: v.stopped_at.map(String::from),
        evidence: v.evidence,
        witnesses: v.witnesses,
        hint: v.hint,
        duration_s: of_drill.unwrap_or_else(|| super::duration_s(history)),
    }
}

/// The verdicts that the run itself says were left out, and the one on its being complete if it is
/// not.
pub fn skip(history: &History) -> Vec<ReportedVerdict> {
    let mut told = Vec::new();
    for (_, event) in history.run() {
        if let RunEvent::Skipped { verdict, reason } = event {
            let place =
                Place { feature: "Optional components", scenario: verdict, ..Place::default() };
            told.push(tell(
                history,
                &Verdict::skipped(verdict.clone(), verdict.clone(), reason.clone()),
                place,
                None,
            ));
        }
    }
    if !history.is_complete() {
        let why = history.run().find_map(|(_, r)| match r {
            RunEvent::Ended { reason, .. } => reason.clone(),
            _ => None,
        });
        let verdict = Verdict::unknown(
            "run.complete",
            "the run goes through all its phases",
            why.unwrap_or_else(|| "its record breaks off: the harness was killed".into()),
        )
        .hint("what was seen until then counts, what was not proves nothing: run it again");
        told.push(tell(
            history,
            &verdict,
            Place { feature: "The run", scenario: "It is complete", ..Place::default() },
            None,
        ));
    }
    told
}

/// A failure that the user accepts for now.
#[derive(Debug, Clone, Copy)]
pub struct Waiver<'a> {
    /// Id of the verdict.
    pub verdict: &'a str,
    /// Who accepts the failure.
    pub owner: &'a str,
    /// Why it is accepted for now.
    pub reason: &'a str,
    /// Day on which it becomes void, `YYYY-MM-DD`; anything else is void.
    pub expires: &'a str,
}

/// Applies a waiver on a day, `YYYY-MM-DD`: a failure becomes Waived, or tells of the waiver if
/// that has expired. Nothing but a failure can be waived: what could not be judged stays Unknown.
pub fn waive(verdict: &mut Verdict, waivers: &[Waiver<'_>], day: &str) {
    let Some(waiver) = waivers.iter().find(|w| w.verdict == verdict.id) else { return };
    if verdict.status != Status::Fail {
        return;
    }
    let is_date = parse_rfc3339(&format!("{}T00:00:00Z", waiver.expires)).is_some();
    if !is_date {
        verdict.reason = format!(
            "{} (the waiver of {} is void: {:?} is no date, wanted YYYY-MM-DD)",
            verdict.reason, waiver.owner, waiver.expires
        );
    } else if waiver.expires <= day {
        verdict.reason = format!(
            "{} (the waiver of {} expired on {})",
            verdict.reason, waiver.owner, waiver.expires
        );
    } else {
        verdict.status = Status::Waived;
        verdict.reason = format!(
            "{} (waived by {} until {}: {})",
            verdict.reason, waiver.owner, waiver.expires, waiver.reason
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_holds_until_its_day_and_for_failures_only() {
        let waiver = Waiver { verdict: "a", owner: "me", reason: "later", expires: "2026-02-02" };
        let waived = |mut v: Verdict, day: &str| {
            waive(&mut v, &[waiver], day);
            (v.status, v.reason)
        };
        let fail = || Verdict::fail("a", "", Cause::NoTraces, "none");
        assert_eq!(
            waived(fail(), "2026-02-01"),
            (Status::Waived, "none (waived by me until 2026-02-02: later)".into())
        );
        assert_eq!(
            waived(fail(), "2026-02-02"),
            (Status::Fail, "none (the waiver of me expired on 2026-02-02)".into())
        );
        assert_eq!(waived(Verdict::unknown("a", "", "none"), "2026-02-01").0, Status::Unknown);
        assert_eq!(
            waived(Verdict::fail("b", "", Cause::NoTraces, ""), "2026-02-01").0,
            Status::Fail
        );
    }

    #[test]
    fn a_waiver_until_no_date_is_void() {
        for expires in ["never", "", "2027-2-2", "2027-02-30"] {
            let mut verdict = Verdict::fail("a", "", Cause::NoTraces, "none");
            waive(
                &mut verdict,
                &[Waiver { verdict: "a", owner: "me", reason: "later", expires }],
                "2026-02-01",
            );
            assert_eq!(verdict.status, Status::Fail, "{expires}");
        }
    }

    #[test]
    fn a_record_that_breaks_off_is_unknown() {
        let told = skip(&History::default());
        assert_eq!((told[0].id.as_str(), told[0].status), ("run.complete", Status::Unknown));
    }
}
