//! Checkers: pure functions from a history to a verdict. One file below for each concern; a line
//! here registers it.

use crate::history::History;
use crate::left_out::Absent;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

/// A question that a history answers. Laws that all obey, as property tests: an empty or truncated
/// history never passes; shifting all times or swapping unrelated events changes nothing.
pub trait Checker {
    /// Id of the verdict, for example `alert.PostfixDown.fires`.
    fn id(&self) -> String;
    /// What is expected, as one lowercase sentence without full stop.
    fn expected(&self) -> String;
    /// The answer. Implementations build it with `Verdict::{pass, fail, unknown}`.
    fn check(&self, history: &History) -> Verdict;
}

macro_rules! expectations {
    ($($variant:ident($module:ident :: $checker:ident)),* $(,)?) => {
        /// Everything that a plan can expect; saved with the run, so that it can be judged again.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "check", rename_all = "snake_case")]
        pub enum Expectation { $(
            #[doc = concat!("See [`", stringify!($module), "::", stringify!($checker), "`].")]
            $variant($module::$checker)
        ),* }

        impl Expectation {
            /// The checker behind it.
            pub fn checker(&self) -> &dyn Checker { match self { $(Expectation::$variant(c) => c),* } }
            /// The verdict on a history; a pass that rests on nothing is Unknown, and so is what
            /// compares times while a clock was set. One on a drill takes all attempts at it into
            /// account.
            pub fn judge(&self, history: &History) -> Verdict {
                let attempts = self.drill().map_or(1, |drill| attempts::attempts(history, drill));
                let verdict = match self.drill() {
                    Some(drill) if attempts > 1 => attempts::judge(self.checker(), history, drill, attempts),
                    _ => self.checker().check(history),
                }
                .require_evidence();
                if self.compares_times() { clock::doubted(verdict, history) } else { verdict }
            }
        }
        $(impl From<$module::$checker> for Expectation { fn from(c: $module::$checker) -> Self { Expectation::$variant(c) } })*
    };
}

pub mod alerts;
pub mod attempts;
pub mod baseline;
pub(crate) mod calendar;
pub mod clock;
pub mod dashboards;
pub mod drill;
mod evaluations;
pub mod firing;
pub mod health;
pub mod logs;
pub mod proportion;
pub mod recovery;
pub mod roll_call;
pub mod scraping;
pub mod timeline;
pub mod traces;
pub mod under_load;
pub(crate) mod wording;

expectations! {
    ServicesReady(health::ServicesReady),
    HealthEndpoints(health::HealthEndpoints),
    TargetsUp(scraping::TargetsUp),
    SeriesPresent(scraping::SeriesPresent),
    MetricsEndpoints(scraping::MetricsEndpoints),
    ConfigurationLoaded(scraping::ConfigurationLoaded),
    LinesStored(logs::LinesStored),
    FieldsTyped(logs::FieldsTyped),
    TracesComplete(traces::TracesComplete),
    SamplingRate(traces::SamplingRate),
    AlertQuiet(alerts::AlertQuiet),
    AlertFires(alerts::AlertFires),
    AlertReaches(alerts::AlertReaches),
    AlertResolves(alerts::AlertResolves),
    AlertStages(alerts::AlertStages),
    NothingElseFires(alerts::NothingElseFires),
    NotifiedOnce(alerts::NotifiedOnce),
    NotifiedRepeatedly(alerts::NotifiedRepeatedly),
    NotifiedUntilOver(alerts::NotifiedUntilOver),
    PanelsReturnData(dashboards::PanelsReturnData),
    DatasourcesHealthy(dashboards::DatasourcesHealthy),
    FaultBitAndLeft(drill::FaultBitAndLeft),
    TargetsStayScraped(under_load::TargetsStayScraped),
    LoadKeptSchedule(drill::LoadKeptSchedule),
    Recovered(recovery::Recovered),
    WithinBaseline(baseline::WithinBaseline),
}

impl Expectation {
    /// Whether times that servers told are compared with our own, or with each other.
    fn compares_times(&self) -> bool {
        !matches!(
            self,
            Expectation::ServicesReady(_)
                | Expectation::HealthEndpoints(_)
                | Expectation::ConfigurationLoaded(_)
                | Expectation::FieldsTyped(_)
                | Expectation::WithinBaseline(_)
        )
    }

    /// What it expects absent, because its services are left out.
    pub fn absent(&self) -> &[Absent] {
        match self {
            Expectation::ServicesReady(c) => &c.left_out,
            Expectation::HealthEndpoints(c) => &c.left_out,
            Expectation::TargetsUp(c) => &c.absent,
            Expectation::SeriesPresent(c) => &c.absent,
            Expectation::MetricsEndpoints(c) => &c.absent,
            Expectation::DatasourcesHealthy(c) => &c.left_out,
            _ => &[],
        }
    }

    /// The drill that it rests on, if it rests on one.
    pub fn drill(&self) -> Option<&str> {
        match self {
            Expectation::AlertFires(c) => Some(&c.drill),
            Expectation::AlertReaches(c) => Some(&c.drill),
            Expectation::AlertResolves(c) => Some(&c.drill),
            Expectation::AlertStages(c) => Some(&c.drill),
            Expectation::NothingElseFires(c) => Some(&c.drill),
            Expectation::NotifiedOnce(c) => Some(&c.drill),
            Expectation::NotifiedRepeatedly(c) => c.drill.as_deref(),
            Expectation::NotifiedUntilOver(c) => Some(&c.drill),
            Expectation::FaultBitAndLeft(c) => Some(&c.drill),
            Expectation::TargetsStayScraped(c) => Some(&c.drill),
            _ => None,
        }
    }
}
