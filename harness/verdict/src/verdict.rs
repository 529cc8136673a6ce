//! Verdicts: Pass with evidence, Fail with witnesses and a cause, or Unknown with the reason.

use crate::cause::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The worst wins when verdicts are merged. Unknown never counts as a pass.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Left out by a tag or because an optional component is absent; never changes the outcome.
    Skipped,
    /// Shown to hold, with evidence.
    Pass,
    /// A failure that the user accepts for now, with owner, reason and expiry.
    Waived,
    /// Could not be judged.
    Unknown,
    /// Shown not to hold, with witnesses.
    Fail,
}

impl Status {
    /// The worse of two. Associative, commutative and idempotent; `Skipped` is neutral.
    pub fn merge(self, other: Status) -> Status {
        self.max(other)
    }

    /// As it is written for people and in files.
    pub fn word(self) -> &'static str {
        match self {
            Status::Skipped => "skipped",
            Status::Pass => "pass",
            Status::Waived => "waived",
            Status::Unknown => "unknown",
            Status::Fail => "fail",
        }
    }
}

/// Something that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was looked at, for example `operations with their line`.
    pub what: String,
    /// How many of them.
    pub count: u64,
}

/// The answer to one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Id, unique within a run: the concern, the subject and the claim, joined by dots. The
    /// roll-call names it.
    pub id: String,
    /// What was expected, as one lowercase sentence without full stop.
    pub expected: String,
    /// The answer.
    pub status: Status,
    /// Why: for Pass what it rests on, for Fail what was seen, for Unknown what is missing.
    pub reason: String,
    /// What is broken, for a failure.
    pub cause: Option<Cause>,
    /// The stage at which a signal stopped, where it has stages.
    pub stopped_at: Option<String>,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// `seq` of the events that show it, at most twenty.
    pub witnesses: Vec<u64>,
    /// What to try, for a failure.
    pub hint: Option<String>,
}

impl Verdict {
    fn new(
        id: impl Into<String>,
        expected: impl Into<String>,
        status: Status,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict {
            id: id.into(),
            expected: expected.into(),
            status,
            reason: reason.into(),
            cause: None,
            stopped_at: None,
            evidence: Vec::new(),
            witnesses: Vec::new(),
            hint: None,
        }
    }

    /// It holds; say what that rests on with `evidence`.
    pub fn pass(
        id: impl Into<String>,
        expected: impl Into<String>,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict::new(id, expected, Status::Pass, reason)
    }

    /// It does not hold.
    pub fn fail(
        id: impl Into<String>,
        expected: impl Into<String>,
        cause: Cause,
        seen: impl Into<String>,
    ) -> Verdict {
        Verdict { cause: Some(cause), ..Verdict::new(id, expected, Status::Fail, seen) }
    }

    /// It could not be judged.
    pub fn unknown(
        id: impl Into<String>,
        expected: impl Into<String>,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict::new(id, expected, Status::Unknown, reason)
    }

    /// It was left out.
    pub fn skipped(
        id: impl Into<String>,
        expected: impl Into<String>,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict::new(id, expected, Status::Skipped, reason)
    }

    /// Adds evidence. A pass without any is turned into Unknown by `sealed`.
    pub fn evidence(mut self, what: impl Into<String>, count: u64) -> Verdict {
        self.evidence.push(Evidence { what: what.into(), count });
        self
    }

    /// Adds witnesses; the first twenty are kept.
    pub fn witnesses(mut self, seqs: impl IntoIterator<Item = u64>) -> Verdict {
        let room = 20usize.saturating_sub(self.witnesses.len());
        self.witnesses.extend(seqs.into_iter().take(room));
        self
    }

    /// Names the stage at which it stopped.
    pub fn stopped_at(mut self, stage: impl Into<String>) -> Verdict {
        self.stopped_at = Some(stage.into());
        self
    }

    /// Says what to try.
    pub fn hint(mut self, hint: impl Into<String>) -> Verdict {
        self.hint = Some(hint.into());
        self
    }

    /// The same verdict, but Unknown where a pass rests on nothing: nothing passes because nothing
    /// was looked at.
    pub fn require_evidence(mut self) -> Verdict {
        if self.status == Status::Pass && self.evidence.iter().map(|e| e.count).sum::<u64>() == 0 {
            self.status = Status::Unknown;
            self.reason = format!("nothing was looked at ({})", self.reason);
        }
        self
    }
}
