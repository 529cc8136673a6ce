//! Checkers: pure functions from a history to a verdict. One file below for each concern; a line
//! here registers it.

use crate::history::History;
use crate::left_out::Absent;
use crate::verdict::Verdict;
use members::{
    BETWEEN_ALERT_MANAGERS, BETWEEN_METRICS_SERVERS, EACH_METRICS_SERVER, NO_ROLE, RestsOn,
    SOME_METRICS_SERVER,
};
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
    ($($variant:ident($module:ident :: $checker:ident) rests on $rests_on:ident),* $(,)?) => {
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
            /// Whose answers it rests on, and what those of several members come to; `None` if it
            /// rests on what the harness itself saw, or on one store.
            pub fn rests_on(&self) -> Option<RestsOn> {
                match self { $(Expectation::$variant(_) => $rests_on),* }
            }

            /// The verdict on a history; a pass that rests on nothing is Unknown, and so is what
            /// compares times while a clock was set. One on a drill takes all attempts at it into
            /// account. The role that it rests on has one server; see [`Expectation::judge_members`].
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
mod answered;
pub mod attempts;
pub mod baseline;
pub(crate) mod calendar;
pub mod causes;
pub mod clock;
pub mod cluster;
pub mod dashboards;
pub mod drill;
mod evaluations;
pub mod firing;
pub mod health;
pub mod instrumented;
pub mod logs;
pub mod members;
pub mod proportion;
pub mod recovery;
pub mod retention;
pub mod roll_call;
pub mod scraping;
pub mod timeline;
pub mod traces;
pub mod under_load;
pub(crate) mod wording;

expectations! {
    ServicesReady(health::ServicesReady) rests on NO_ROLE,
    HealthEndpoints(health::HealthEndpoints) rests on NO_ROLE,
    TargetsUp(scraping::TargetsUp) rests on EACH_METRICS_SERVER,
    SeriesPresent(scraping::SeriesPresent) rests on EACH_METRICS_SERVER,
    MetricsEndpoints(scraping::MetricsEndpoints) rests on EACH_METRICS_SERVER,
    ServicesInstrumented(instrumented::ServicesInstrumented) rests on EACH_METRICS_SERVER,
    SamplesKept(retention::SamplesKept) rests on NO_ROLE,
    ConfigurationLoaded(scraping::ConfigurationLoaded) rests on EACH_METRICS_SERVER,
    ReplicasToldApart(cluster::ReplicasToldApart) rests on BETWEEN_METRICS_SERVERS,
    SentToEachManager(cluster::SentToEachManager) rests on EACH_METRICS_SERVER,
    ManagersClustered(cluster::ManagersClustered) rests on BETWEEN_ALERT_MANAGERS,
    ManagersAlike(cluster::ManagersAlike) rests on BETWEEN_ALERT_MANAGERS,
    AlertsHeldOnce(cluster::AlertsHeldOnce) rests on BETWEEN_ALERT_MANAGERS,
    LinesStored(logs::LinesStored) rests on NO_ROLE,
    FieldsTyped(logs::FieldsTyped) rests on NO_ROLE,
    TracesComplete(traces::TracesComplete) rests on NO_ROLE,
    SamplingRate(traces::SamplingRate) rests on NO_ROLE,
    AlertQuiet(alerts::AlertQuiet) rests on EACH_METRICS_SERVER,
    AlertFires(alerts::AlertFires) rests on EACH_METRICS_SERVER,
    AlertReaches(alerts::AlertReaches) rests on SOME_METRICS_SERVER,
    AlertResolves(alerts::AlertResolves) rests on SOME_METRICS_SERVER,
    AlertStages(alerts::AlertStages) rests on SOME_METRICS_SERVER,
    NothingElseFires(alerts::NothingElseFires) rests on EACH_METRICS_SERVER,
    NotifiedOnce(alerts::NotifiedOnce) rests on NO_ROLE,
    NotifiedRepeatedly(alerts::NotifiedRepeatedly) rests on NO_ROLE,
    NotifiedUntilOver(alerts::NotifiedUntilOver) rests on NO_ROLE,
    SomebodyNotified(alerts::SomebodyNotified) rests on NO_ROLE,
    StatesNotifiedOnce(alerts::StatesNotifiedOnce) rests on BETWEEN_ALERT_MANAGERS,
    PanelsReturnData(dashboards::PanelsReturnData) rests on NO_ROLE,
    DatasourcesHealthy(dashboards::DatasourcesHealthy) rests on NO_ROLE,
    FaultBitAndLeft(drill::FaultBitAndLeft) rests on NO_ROLE,
    TargetsStayScraped(under_load::TargetsStayScraped) rests on EACH_METRICS_SERVER,
    LoadKeptSchedule(drill::LoadKeptSchedule) rests on NO_ROLE,
    Recovered(recovery::Recovered) rests on NO_ROLE,
    WithinBaseline(baseline::WithinBaseline) rests on NO_ROLE,
}

impl Expectation {
    /// The verdict where `members` are the declared servers of the role that it rests on: each is
    /// judged as if it were alone, and the answers are put together by the quantifier.
    pub fn judge_members(&self, history: &History, members: &[String]) -> Verdict {
        match self.rests_on() {
            Some(rests_on) if members.len() > 1 => {
                members::judge(self, history, members, rests_on.quantifier)
            }
            _ => self.judge(history),
        }
    }

    /// The same where these servers are not looked at.
    pub(crate) fn without(&self, servers: &[&str]) -> Expectation {
        let mut same = self.clone();
        if let Expectation::ConfigurationLoaded(c) = &mut same {
            c.servers.retain(|server| !servers.contains(&server.as_str()));
        }
        same
    }

    /// Whether times that servers told are compared with our own, or with each other.
    fn compares_times(&self) -> bool {
        !matches!(
            self,
            Expectation::ServicesReady(_)
                | Expectation::HealthEndpoints(_)
                | Expectation::ConfigurationLoaded(_)
                | Expectation::FieldsTyped(_)
                | Expectation::SamplesKept(_)
                | Expectation::ReplicasToldApart(_)
                | Expectation::SentToEachManager(_)
                | Expectation::ManagersClustered(_)
                | Expectation::ManagersAlike(_)
                | Expectation::AlertsHeldOnce(_)
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
            Expectation::SomebodyNotified(c) => Some(&c.drill),
            Expectation::FaultBitAndLeft(c) => Some(&c.drill),
            Expectation::TargetsStayScraped(c) => Some(&c.drill),
            _ => None,
        }
    }
}
