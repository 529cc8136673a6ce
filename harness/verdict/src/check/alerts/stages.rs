//! How long each stage took from the condition to the receivers, against what the configuration
//! allows for it.

use super::delivery::{self, Received};
use crate::cause::Cause;
use crate::check::Checker;
use crate::check::causes::Causes;
use crate::check::firing::{Firing, Onset};
use crate::check::timeline::{Interval, Timeline};
use crate::check::wording::{list, seconds};
use crate::history::History;
use crate::observation::Fact;
use crate::verdict::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Before the name of an alert: the name under which the capture records the samples of its
/// expression.
pub const CONDITION_SAMPLES: &str = "condition.";

/// What the configuration allows each stage, in seconds of the scaled configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StageBudget {
    /// From the last injection of its phase until recorded samples satisfy the expression: a window that fills, a
    /// scrape, a recorded series.
    pub condition_s: f64,
    /// From there until an evaluation finds it so.
    pub evaluation_s: f64,
    /// From there until it fires: `for`, in whole evaluations.
    pub hold_s: f64,
    /// From there until a receiver has it: the wait of the group, the peers' turn, the way.
    pub notify_s: f64,
    /// What other programs on the host may add to all of them together.
    pub noise_s: f64,
}

/// No stage took longer than the configuration allows it, but for what the host may add to all of
/// them together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertStages {
    /// Name of the alert, as its rule has it.
    pub alert: String,
    /// Id of the drill whose fault causes the alert.
    pub drill: String,
    /// Faults of the drill from which its times count.
    #[serde(default, skip_serializing_if = "Causes::is_any")]
    pub causes: Causes,
    /// Receivers that must have it; the last of them ends the stage `notify`.
    pub receivers: Vec<String>,
    /// Labels that the notified alert must carry, where the protocol shows labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds that the configuration allows each stage.
    pub allowed: StageBudget,
}

/// One stage, measured against what it may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageRow {
    /// `condition`, `evaluation`, `hold` or `notify`; `condition and evaluation` where the samples
    /// were not recorded.
    pub stage: String,
    /// Seconds that it took.
    pub measured_s: f64,
    /// Seconds that the configuration allows it.
    pub allowed_s: f64,
    /// Seconds beyond that, which the allowance for the host has to cover: 0 where the step of the
    /// samples may explain them.
    pub over_s: f64,
}

/// Whether the stages could be measured.
enum Measured {
    Stages { rows: Vec<StageRow>, end: f64, seqs: Vec<u64> },
    Not(String, Vec<u64>),
}

impl AlertStages {
    /// The stages as measured; none if the alert did not go all the way.
    pub fn rows(&self, history: &History) -> Vec<StageRow> {
        match self.measure(&Timeline::of(history)) {
            Measured::Stages { rows, .. } => rows,
            Measured::Not(..) => Vec::new(),
        }
    }

    fn measure(&self, timeline: &Timeline<'_>) -> Measured {
        let history = timeline.history;
        let struck = match timeline.struck(&self.drill, &self.causes) {
            Ok(struck) => struck,
            Err((why, seqs)) => return Measured::Not(why, seqs),
        };
        let injected = struck.injected;
        let firing = Firing::of(history);
        let Some(resolution) = firing.resolution(&self.alert) else {
            return Measured::Not(
                "the ALERTS series was never recorded".into(),
                vec![injected.seq],
            );
        };
        let (start, until) = (struck.first.at.wall_s(), struck.until);
        let fired = match firing.onset(&self.alert, struck.injection(), until, 0.0) {
            Onset::Fired(stretch) => stretch,
            Onset::AlreadyFiring(stretch) => {
                return Measured::Not(
                    "it was already firing before the fault was injected".into(),
                    vec![injected.seq, stretch.seq],
                );
            }
            Onset::Silent | Onset::Unrecorded(_) => {
                return Measured::Not("it was not seen to fire".into(), vec![injected.seq]);
            }
        };
        // Pending without a break until it fires; an alert without `for` never is.
        let pending = firing.pending(&self.alert).into_iter().rfind(|stretch| {
            stretch.labels == fired.labels && stretch.from >= start && stretch.from <= fired.from
        });
        let active = pending.map_or(fired.from, |stretch| stretch.from);
        let news = Interval { from: start.max(fired.from - resolution - 1e-3), to: until };
        let mut last = fired.from;
        let mut seqs = vec![injected.seq, fired.seq];
        for receiver in &self.receivers {
            let Received::At(at, seq) =
                delivery::received(history, &self.alert, &self.labels, receiver, news)
            else {
                return Measured::Not(format!("{receiver} was not notified"), seqs);
            };
            last = last.max(at);
            seqs.push(seq);
        }
        let condition =
            first_true(history, &self.alert, Interval { from: start, to: active + resolution })
                .filter(|at| *at <= active);
        let budget = &self.allowed;
        let row = |stage: &str, from: f64, to: f64, allowed_s: f64| {
            let measured_s = (to - from).max(0.0);
            // The edges of a stage are known to a step of the samples.
            let beyond = measured_s - allowed_s;
            StageRow {
                stage: stage.to_owned(),
                measured_s,
                allowed_s,
                over_s: if beyond > resolution { beyond } else { 0.0 },
            }
        };
        let mut rows = match condition {
            Some(at) => vec![
                row("condition", injected.at.wall_s(), at, budget.condition_s),
                row("evaluation", at, active, budget.evaluation_s),
            ],
            None => vec![row(
                "condition and evaluation",
                injected.at.wall_s(),
                active,
                budget.condition_s + budget.evaluation_s,
            )],
        };
        rows.push(row("hold", active, fired.from, budget.hold_s));
        rows.push(row("notify", fired.from, last, budget.notify_s));
        Measured::Stages { rows, end: last, seqs }
    }
}

/// The first recorded sample that satisfies the expression, where its samples were recorded.
fn first_true(history: &History, alert: &str, window: Interval) -> Option<f64> {
    let of_alert = |name: &str| name.strip_prefix(CONDITION_SAMPLES).is_some_and(|of| of == alert);
    let samples = history.observations().filter_map(|(_, observation)| match &observation.fact {
        Fact::Samples(samples) if of_alert(&samples.name) => Some(samples),
        _ => None,
    });
    let points = samples
        .flat_map(|samples| &samples.series)
        .flat_map(|series| &series.points)
        .map(|(at, _)| *at);
    points.filter(|at| *at >= window.from && *at <= window.to).reduce(f64::min)
}

impl Checker for AlertStages {
    fn id(&self) -> String {
        format!("alert.{}.stages", self.alert)
    }

    fn expected(&self) -> String {
        format!(
            "no stage of alert {} takes longer than its configuration allows in drill {}",
            self.alert, self.drill
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let (rows, end, seqs) = match self.measure(&timeline) {
            Measured::Stages { rows, end, seqs } => (rows, end, seqs),
            Measured::Not(why, seqs) => {
                return Verdict::unknown(
                    id,
                    expected,
                    format!("its stages can't be measured: {why}"),
                )
                .witnesses(seqs);
            }
        };
        let mut each: Vec<String> = rows
            .iter()
            .map(|row| {
                format!("{} {} of {}", row.stage, seconds(row.measured_s), seconds(row.allowed_s))
            })
            .collect();
        let over: f64 = rows.iter().map(|row| row.over_s).sum();
        if over > 0.0 {
            each.push(format!(
                "{} beyond in all, {} allowed for what else runs on the host",
                seconds(over),
                seconds(self.allowed.noise_s)
            ));
        }
        let each = list(each, 8);
        // The host's allowance is one for all stages: what is beyond in each adds up. The stage
        // that is most beyond is named.
        let latest =
            rows.iter().reduce(|worst, row| if row.over_s > worst.over_s { row } else { worst });
        let Some(late) = latest.filter(|_| over > self.allowed.noise_s) else {
            return timeline.require_complete(
                Verdict::pass(id, expected, each)
                    .evidence("stages measured", rows.len() as u64)
                    .witnesses(seqs),
            );
        };
        let start = timeline
            .drill(&self.drill)
            .and_then(|drill| drill.injected())
            .map_or(end, |moment| moment.at.wall_s());
        if let Some((why, seq)) = timeline.contended(Interval { from: start, to: end }) {
            return Verdict::late_while_contended(id, expected, &each, &why)
                .witnesses(seqs)
                .witnesses([seq]);
        }
        let hint = match late.stage.as_str() {
            "hold" => {
                "compare `for` in the rule with what the server has loaded; a series that comes and goes starts it again"
            }
            "notify" => {
                "look at the wait and the interval of the group, refusals of the receiver, and the peers of a cluster"
            }
            _ => {
                "look at the window of the expression, the job's interval and time-out, and the group's interval"
            }
        };
        Verdict::fail(id, expected, Cause::TooLate, each)
            .stopped_at(format!("{} too slow", late.stage))
            .hint(hint)
            .witnesses(seqs)
    }
}
