//! Alerts are quiet when healthy, fire under their fault, reach their receivers, and resolve; and
//! why they don't.
//!
//! Firing is read from `Samples` named `alerts` (the `ALERTS` series over the whole run, step =
//! evaluation interval), never by polling.

mod delivery;
mod events;
mod fires;
mod gap;
mod notified;
mod quiet;
mod reaches;
mod resolves;
mod silence;
mod stages;
mod states;

pub use fires::AlertFires;
pub use gap::SomebodyNotified;
pub use notified::{NotifiedOnce, NotifiedRepeatedly, NotifiedUntilOver};
pub use quiet::{AlertQuiet, NothingElseFires};
pub use reaches::AlertReaches;
pub use resolves::AlertResolves;
pub use stages::{AlertStages, CONDITION_SAMPLES, StageBudget, StageRow};
pub use states::StatesNotifiedOnce;

use crate::cause::Cause;
use crate::check::timeline::Moment;
use crate::verdict::Verdict;

/// Why an alert did not fire, or did not arrive: the stage at which it stopped.
struct Diagnosis {
    cause: Cause,
    /// The stage, for `stopped_at`.
    stage: String,
    /// What was seen.
    seen: String,
    /// What to try.
    hint: String,
    witnesses: Vec<u64>,
}

impl Diagnosis {
    fn verdict(self, id: String, expected: String, injected: Moment) -> Verdict {
        Verdict::fail(id, expected, self.cause, self.seen)
            .stopped_at(self.stage)
            .hint(self.hint)
            .witnesses([injected.seq])
            .witnesses(self.witnesses)
    }
}
