//! What a backend answered in the healthy stack, or the verdict where it did not.

use super::timeline::{Timeline, unreachable_backend};
use crate::Verdict;
use crate::observation::Fact;
use crate::observation::asked::Asked;

/// A question that the healthy stack must answer.
pub(super) struct Wanted {
    /// What is asked for, in the plural.
    pub(super) what: &'static str,
    /// Whether a fact answers it.
    pub(super) is: fn(&Fact) -> bool,
    /// Whether an answer that did not come would have been about it.
    pub(super) asks: fn(&Asked) -> bool,
}

impl Wanted {
    /// What `find` finds of the answers. Else the verdict: a backend that does not answer in the
    /// healthy stack is a failure, one that was not asked is unknown.
    pub(super) fn found<'h, T>(
        &self,
        timeline: &Timeline<'h>,
        (id, expected): (&str, &str),
        find: impl FnOnce(&Timeline<'h>) -> Option<T>,
    ) -> Result<T, Box<Verdict>> {
        let (id, expected) = (id.to_owned(), expected.to_owned());
        if let Some(silent) = timeline.unreachable_source(self.is, self.asks) {
            return Err(unreachable_backend(id, expected, &silent).into());
        }
        find(timeline)
            .ok_or_else(|| timeline.unanswered(id, expected, self.what, self.is, self.asks).into())
    }
}
