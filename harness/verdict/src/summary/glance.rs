//! The answer in a few figures.

use super::{AlertRow, FaultRow, LedgerRow, Summary};
use crate::{Status, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The figures that one wants to know first of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headline {
    /// What the run comes to as a whole.
    pub outcome: Status,
    /// Number of declared alerts.
    pub alerts: u64,
    /// Those that a drill of this run was about.
    pub drilled: u64,
    /// Those that fired in time, reached every receiver and resolved.
    pub proved: u64,
    /// Those that failed to do so, each by name.
    pub missed: Vec<String>,
    /// Alerts that were quiet while nothing was wrong.
    pub quiet: u64,
    /// Number of faults that were injected.
    pub faults: u64,
    /// Those that were seen to bite and were healed.
    pub healed: u64,
    /// The slowest notification of a proved alert, seconds after the injection of its fault.
    pub slowest_s: Option<f64>,
    /// Name of the alert that `slowest_s` is of.
    pub slowest: Option<String>,
    /// Operations or signals that were acknowledged and are not stored, over all rows of the
    /// ledger.
    pub lost: u64,
}

/// The first figures of a run, from what else its report shows.
pub fn glance(
    summary: Summary,
    verdicts: &[Verdict],
    alerts: &[AlertRow],
    faults: &[FaultRow],
    ledger: &[LedgerRow],
) -> Headline {
    let claims = |alert: &AlertRow| -> Vec<Status> {
        ["fires", "reaches", "resolves"]
            .iter()
            .filter_map(|c| verdicts.iter().find(|v| v.id == format!("alert.{}.{c}", alert.rule)))
            .map(|v| v.status)
            .collect()
    };
    let proved: Vec<&AlertRow> = alerts
        .iter()
        .filter(|a| matches!(claims(a).as_slice(), [Status::Pass, Status::Pass, Status::Pass]))
        .collect();
    let slowest = proved
        .iter()
        .filter(|a| a.notify_s.is_some())
        .max_by(|a, b| a.notify_s.unwrap_or(0.0).total_cmp(&b.notify_s.unwrap_or(0.0)));
    Headline {
        outcome: summary.outcome(),
        alerts: alerts.len() as u64,
        drilled: alerts.iter().filter(|a| !claims(a).is_empty()).count() as u64,
        proved: proved.len() as u64,
        missed: alerts
            .iter()
            .filter(|a| claims(a).contains(&Status::Fail))
            .map(|a| a.rule.clone())
            .collect(),
        quiet: alerts.iter().filter(|a| a.quiet_when_healthy == Some(true)).count() as u64,
        faults: faults.len() as u64,
        healed: faults.iter().filter(|f| f.bit_at.is_some() && f.healed_at.is_some()).count()
            as u64,
        slowest_s: slowest.and_then(|a| a.notify_s),
        slowest: slowest.map(|a| a.rule.clone()),
        lost: ledger.iter().filter_map(|l| l.lost).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AboutAlert, alerts};
    use super::*;
    use crate::{Cause, History};

    #[test]
    fn an_alert_is_proved_by_all_three_and_missed_by_one() {
        let pass = |id: &str| Verdict::pass(id, "", "").evidence("x", 1);
        let verdicts = [
            pass("alert.A.fires"),
            pass("alert.A.reaches"),
            pass("alert.A.resolves"),
            pass("alert.B.fires"),
            Verdict::fail("alert.B.reaches", "", Cause::ReceiverRefused, ""),
            Verdict::unknown("alert.B.resolves", "", ""),
            pass("alert.C.quiet"),
        ];
        let planned = ["A", "B", "C"].map(|a| (a.to_owned(), AboutAlert::default())).into();
        let rows = alerts(&History::default(), &verdicts, &planned);
        let seen =
            glance(Summary::of(verdicts.iter().map(|v| v.status)), &verdicts, &rows, &[], &[]);
        assert_eq!(
            (seen.outcome, seen.alerts, seen.drilled, seen.proved, seen.quiet),
            (Status::Fail, 3, 2, 1, 1)
        );
        assert_eq!(seen.missed, ["B"]);
    }
}
