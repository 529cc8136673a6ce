//! The roll-call: every verdict that a run must return, and the least that it must rest on. What is
//! missing makes the run Unknown.

use super::wording::list;
use crate::verdict::{Status, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A verdict that a run must return. Read from `compose/stacks/<stack>/verdicts.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Required {
    /// Id of the verdict that must be there.
    pub id: String,
    /// Least evidence: the largest count that the verdict rests on must reach it; 1 by default.
    #[serde(default = "one")]
    pub least_evidence: u64,
    /// Whether it may be skipped without an unknown verdict in its place.
    #[serde(default)]
    pub may_skip: bool,
    /// What the run leaves out of that evidence, because its services' images can't be had: name to
    /// number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without: BTreeMap<String, u64>,
}

fn one() -> u64 {
    1
}

impl Required {
    /// A verdict that must be there with this least evidence, and may not be skipped.
    pub fn new(id: impl Into<String>, least_evidence: u64) -> Required {
        Required { id: id.into(), least_evidence, may_skip: false, without: BTreeMap::new() }
    }

    /// The least evidence of this run: without what it leaves out.
    pub fn least(&self) -> u64 {
        self.least_evidence.saturating_sub(self.without.values().sum())
    }
}

/// One Unknown verdict, `roll_call.<id>`, for each required one that is missing, skipped without
/// being allowed to, or passes with less evidence than required; and `roll_call.verdicts` if there
/// is none at all. Empty if all answer.
pub fn roll_call(verdicts: &[Verdict], required: &[Required]) -> Vec<Verdict> {
    if verdicts.is_empty() {
        return vec![
            Verdict::unknown(
                "roll_call.verdicts",
                "the run returns verdicts",
                "there is none at all",
            )
            .hint("did the selection match anything, and did the run get as far as judging?"),
        ];
    }
    required.iter().filter_map(|r| absent(verdicts, r)).collect()
}

fn absent(verdicts: &[Verdict], required: &Required) -> Option<Verdict> {
    let without = match required.without.is_empty() {
        true => String::new(),
        false => {
            format!(" ({} without {})", required.least_evidence, list(required.without.keys(), 5))
        }
    };
    let expected = format!(
        "verdict {} is returned, on evidence of at least {}{without}",
        required.id,
        required.least()
    );
    let unknown = |why: String| {
        Some(Verdict::unknown(format!("roll_call.{}", required.id), expected.clone(), why))
    };
    let mut of_id = verdicts.iter().filter(|v| v.id == required.id).peekable();
    if of_id.peek().is_none() {
        return unknown("it is missing".into());
    }
    of_id.find_map(|v| match v.status {
        Status::Skipped if !required.may_skip => {
            unknown(format!("it was skipped, and may not be: {}", v.reason))
        }
        Status::Pass => {
            let evidence = v.evidence.iter().map(|e| e.count).max().unwrap_or(0);
            if evidence < required.least() {
                unknown(format!("it passed on evidence of {evidence}: {}", v.reason))
            } else {
                None
            }
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;

    fn required(id: &str, least_evidence: u64, may_skip: bool) -> Required {
        Required { id: id.into(), least_evidence, may_skip, without: BTreeMap::new() }
    }

    #[test]
    fn whoever_answers_is_not_named() {
        let verdicts = [
            Verdict::pass("a", "", "").evidence("x", 5),
            Verdict::fail("b", "", Cause::NoTraces, ""),
            Verdict::unknown("c", "", ""),
            Verdict::skipped("d", "", "not here"),
        ];
        let all = [
            required("a", 5, false),
            required("b", 1, false),
            required("c", 1, false),
            required("d", 1, true),
        ];
        assert_eq!(roll_call(&verdicts, &all), vec![]);
    }

    #[test]
    fn whoever_is_missing_skipped_or_short_of_evidence_is_unknown() {
        let verdicts = [
            Verdict::pass("a", "", "").evidence("x", 2).evidence("y", 4),
            Verdict::skipped("d", "", "not here"),
        ];
        let answers = roll_call(
            &verdicts,
            &[required("a", 5, false), required("d", 1, false), required("e", 1, true)],
        );
        let ids: Vec<&str> = answers.iter().map(|v| v.id.as_str()).collect();
        assert_eq!(ids, ["roll_call.a", "roll_call.d", "roll_call.e"]);
        assert!(answers.iter().all(|v| v.status == Status::Unknown));
    }

    #[test]
    fn what_is_left_out_lowers_the_evidence_by_its_number_and_no_more() {
        let verdicts = [Verdict::pass("a", "", "").evidence("x", 3)];
        let less = |without: &[(&str, u64)]| Required {
            without: without.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            ..required("a", 5, false)
        };
        assert_eq!(roll_call(&verdicts, &[less(&[("boards", 1), ("search", 1)])]), vec![]);
        let short = &roll_call(&verdicts, &[less(&[("boards", 1)])])[0];
        assert_eq!(short.status, Status::Unknown);
        assert!(short.expected.ends_with("at least 4 (5 without boards)"), "{short:?}");
        // More than there is leaves nothing to be asked, and nothing passes on nothing.
        assert_eq!(less(&[("boards", 9)]).least(), 0);
    }

    #[test]
    fn no_verdicts_at_all_is_unknown() {
        let answers = roll_call(&[], &[]);
        assert_eq!((answers.len(), answers[0].status), (1, Status::Unknown));
    }
}
