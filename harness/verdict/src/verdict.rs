//! Verdicts: Pass with evidence, Fail with witnesses and a cause, or Unknown with the reason.

use crate::cause::Cause;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an expectation fared. The order is that of severity: the worst wins when verdicts are
/// merged, and Unknown never counts as a pass.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Left out by a tag or because an optional component is absent; never changes the outcome.
    Skipped,
    /// Shown to hold, with evidence that says on what it rests.
    Pass,
    /// A failure that the user accepts for now, with owner, reason and expiry.
    Waived,
    /// Could not be judged; the reason says what is missing.
    Unknown,
    /// Shown not to hold, with witnesses and a cause.
    Fail,
}

impl Status {
    /// The worse of two. Associative, commutative and idempotent; `Skipped` is neutral.
    pub fn merge(self, other: Status) -> Status {
        self.max(other)
    }

    /// The status as it is written for people and in files.
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

/// Something that was looked at and that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was looked at, for example `operations with their line`.
    pub what: String,
    /// Number of them that were looked at.
    pub count: u64,
}

/// Where a signal stopped on its way. Written as its words, as reports always had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum StoppedAt {
    /// Something was late while the host was contended: the only stop that a repetition of the
    /// drill may answer.
    LateWhileContended,
    /// A stage, in words for people; nothing is decided by them.
    Stage(String),
}

/// The words of [`StoppedAt::LateWhileContended`].
const LATE_WHILE_CONTENDED: &str = "late while the host was contended";

impl StoppedAt {
    /// The stage in words, as reports show it.
    pub fn words(&self) -> &str {
        match self {
            StoppedAt::LateWhileContended => LATE_WHILE_CONTENDED,
            StoppedAt::Stage(words) => words,
        }
    }
}

impl From<StoppedAt> for String {
    fn from(stopped: StoppedAt) -> String {
        stopped.words().to_owned()
    }
}

impl From<String> for StoppedAt {
    fn from(words: String) -> StoppedAt {
        if words == LATE_WHILE_CONTENDED {
            StoppedAt::LateWhileContended
        } else {
            StoppedAt::Stage(words)
        }
    }
}

/// The answer to one expectation, as a checker gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Id, unique within a run: the concern, the subject and the claim, joined by dots. The
    /// roll-call names it.
    pub id: String,
    /// What was expected, as one lowercase sentence without full stop.
    pub expected: String,
    /// Whether the expectation holds.
    pub status: Status,
    /// Why: for Pass what it rests on, for Fail what was seen, for Unknown what is missing.
    pub reason: String,
    /// The part that is broken; only failures have one.
    pub cause: Option<Cause>,
    /// The stage at which a signal stopped, where it has stages and did not go through all.
    pub stopped_at: Option<StoppedAt>,
    /// What was looked at and how many of it; a pass needs some.
    pub evidence: Vec<Evidence>,
    /// `seq` of the events that show it, at most twenty.
    pub witnesses: Vec<u64>,
    /// What to try next; failures have one.
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

    /// A verdict that the expectation holds; `evidence` adds what that rests on.
    pub fn pass(
        id: impl Into<String>,
        expected: impl Into<String>,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict::new(id, expected, Status::Pass, reason)
    }

    /// A verdict that the expectation does not hold, with what is broken and what was seen.
    pub fn fail(
        id: impl Into<String>,
        expected: impl Into<String>,
        cause: Cause,
        seen: impl Into<String>,
    ) -> Verdict {
        Verdict { cause: Some(cause), ..Verdict::new(id, expected, Status::Fail, seen) }
    }

    /// A verdict that the expectation could not be judged, with the reason.
    pub fn unknown(
        id: impl Into<String>,
        expected: impl Into<String>,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict::new(id, expected, Status::Unknown, reason)
    }

    /// A verdict that something was late while the host was contended, so that its lateness can't
    /// be judged: `late` says what took how long, `contended` how the host was.
    pub fn late_while_contended(
        id: impl Into<String>,
        expected: impl Into<String>,
        late: &str,
        contended: &str,
    ) -> Verdict {
        let reason = format!("{LATE_WHILE_CONTENDED}: {late}; {contended}");
        let stopped_at = Some(StoppedAt::LateWhileContended);
        Verdict { stopped_at, ..Verdict::unknown(id, expected, reason) }
    }

    /// A verdict that the expectation was left out, with the reason.
    pub fn skipped(
        id: impl Into<String>,
        expected: impl Into<String>,
        reason: impl Into<String>,
    ) -> Verdict {
        Verdict::new(id, expected, Status::Skipped, reason)
    }

    /// Adds evidence. A pass without any becomes Unknown in `require_evidence`.
    pub fn evidence(mut self, what: impl Into<String>, count: u64) -> Verdict {
        self.evidence.push(Evidence { what: what.into(), count });
        self
    }

    /// Adds witnesses by their `seq`; the first twenty of all are kept.
    pub fn witnesses(mut self, seqs: impl IntoIterator<Item = u64>) -> Verdict {
        let room = 20usize.saturating_sub(self.witnesses.len());
        self.witnesses.extend(seqs.into_iter().take(room));
        self
    }

    /// Names the stage at which it stopped.
    pub fn stopped_at(mut self, stage: impl Into<String>) -> Verdict {
        self.stopped_at = Some(StoppedAt::Stage(stage.into()));
        self
    }

    /// The stage at which it stopped, in words, if it did.
    pub fn stage(&self) -> Option<&str> {
        self.stopped_at.as_ref().map(StoppedAt::words)
    }

    /// Says what to try next.
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stop_is_written_as_its_words_and_read_again() {
        for (stopped, words) in [
            (StoppedAt::LateWhileContended, "late while the host was contended"),
            (StoppedAt::Stage("pending".into()), "pending"),
        ] {
            assert_eq!(serde_json::to_value(&stopped).unwrap(), json!(words));
            assert_eq!(serde_json::from_value::<StoppedAt>(json!(words)).unwrap(), stopped);
        }
    }
}
