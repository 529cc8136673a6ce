//! Each panel's query returns data; data sources are healthy.

use super::Checker;
use super::answered::Wanted;
use super::timeline::Timeline;
use super::wording::{count, list};
use crate::cause::Cause;
use crate::left_out::{self, Absent};
use crate::observation::Fact;
use crate::observation::asked::Asked;
use crate::observation::dashboards::{Dashboard, Datasource, Panel};
use crate::{History, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A dashboard that must exist and show data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectedDashboard {
    /// Uid of the dashboard in the server.
    pub uid: String,
    /// Least number of panels that have queries.
    pub panels: u64,
    /// Titles of panels that are empty in a healthy stack, for example errors by kind.
    pub may_be_empty: Vec<String>,
}

/// Each query of each panel of the dashboards returns data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelsReturnData {
    /// The dashboards whose panels are asked.
    pub dashboards: Vec<ExpectedDashboard>,
}

/// Each declared data source answers a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasourcesHealthy {
    /// Names of the data sources, as the declaration has them.
    pub names: Vec<String>,
    /// Data sources whose services are left out: they must not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Absent>,
}

const PANELS: Wanted = Wanted {
    what: "dashboards",
    is: |fact| matches!(fact, Fact::Dashboards { .. } | Fact::Panel(_)),
    asks: |question| matches!(question, Asked::Dashboards | Asked::Panels { .. }),
};

const DATASOURCES: Wanted = Wanted {
    what: "data sources",
    is: |fact| matches!(fact, Fact::Datasource(_)),
    asks: |question| matches!(question, Asked::Datasources | Asked::Datasource { .. }),
};

/// What the server showed last while the stack was healthy.
struct Shown<'h> {
    /// The event that lists the dashboards.
    seq: u64,
    dashboards: &'h [Dashboard],
    /// By dashboard, panel and query: the event, and the answer.
    panels: BTreeMap<(&'h str, &'h str, &'h str), (u64, &'h Panel)>,
}

impl<'h> Shown<'h> {
    /// None if the dashboards were never listed.
    fn of(timeline: &Timeline<'h>) -> Option<Shown<'h>> {
        let mut known: Option<(u64, &[Dashboard])> = None;
        let mut panels = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            match &o.fact {
                Fact::Dashboards { dashboards } => known = Some((e.seq, dashboards)),
                Fact::Panel(p) => {
                    let place = (p.dashboard.as_str(), p.panel.as_str(), p.query.as_str());
                    panels.insert(place, (e.seq, p));
                }
                _ => {}
            }
        }
        known.map(|(seq, dashboards)| Shown { seq, dashboards, panels })
    }
}

/// The panels of all dashboards, sorted by what becomes of them.
#[derive(Default)]
struct Sorted<'h> {
    /// Queries with data, and their events.
    queries: u64,
    seqs: Vec<u64>,
    /// Panels that are empty, as they may be.
    empty: Vec<&'h str>,
    /// Panels that can't be asked, with the reason.
    skipped: Vec<String>,
    /// What should have been asked and was not.
    unasked: Vec<String>,
    /// The first cause, all that is wrong, and the events that show it.
    failed: Option<(Cause, Vec<String>, Vec<u64>)>,
}

impl<'h> Sorted<'h> {
    fn convict(&mut self, cause: Cause, what: String, seq: u64) {
        match &mut self.failed {
            Some((_, all, seqs)) => {
                all.push(what);
                seqs.push(seq);
            }
            None => self.failed = Some((cause, vec![what], vec![seq])),
        }
    }

    fn dashboard(&mut self, wanted: &ExpectedDashboard, shown: &Shown<'h>) {
        let Some(there) = shown.dashboards.iter().find(|d| d.uid == wanted.uid) else {
            let what = format!("dashboard {} does not exist", wanted.uid);
            return self.convict(Cause::DashboardMissing, what, shown.seq);
        };
        let title = &there.title;
        if there.panels < wanted.panels {
            let what = format!(
                "dashboard {title} has {}, {} wanted",
                count(there.panels, "panel", "panels"),
                wanted.panels
            );
            self.convict(Cause::DashboardMissing, what, shown.seq);
        }
        let of_this: Vec<(u64, &'h Panel)> = shown
            .panels
            .iter()
            .filter(|((uid, _, _), _)| *uid == wanted.uid)
            .map(|(_, answer)| *answer)
            .collect();
        let answered = of_this.iter().filter(|(_, p)| p.skipped.is_none()).count();
        let asked =
            of_this.iter().map(|(_, p)| p.panel.as_str()).collect::<BTreeSet<_>>().len() as u64;
        if answered == 0 && asked > 0 {
            self.unasked.push(format!("any panel of dashboard {title}"));
        }
        for (seq, panel) in of_this {
            self.panel(title, panel, seq, wanted.may_be_empty.contains(&panel.panel));
        }
        if asked < wanted.panels {
            self.unasked.push(format!(
                "{} of {} panels of dashboard {title}",
                wanted.panels.saturating_sub(asked),
                wanted.panels
            ));
        }
    }

    fn panel(&mut self, title: &str, p: &'h Panel, seq: u64, may_be_empty: bool) {
        if let Some(why) = &p.skipped {
            self.skipped.push(format!("{title} / {} ({why})", p.panel));
        } else if let Some(error) = &p.error {
            let what = format!("{title} / {}: `{}` fails: {error}", p.panel, p.query);
            self.convict(Cause::PanelQueryFails, what, seq);
        } else if p.values > 0 {
            self.queries += 1;
            self.seqs.push(seq);
        } else if may_be_empty {
            self.empty.push(&p.panel);
        } else {
            let what = format!("{title} / {}: `{}` returns no data", p.panel, p.query);
            self.convict(Cause::PanelWithoutData, what, seq);
        }
    }
}

impl Checker for PanelsReturnData {
    fn id(&self) -> String {
        "dashboards.panels".into()
    }

    fn expected(&self) -> String {
        format!(
            "each panel's query returns data on {}",
            count(self.dashboards.len() as u64, "dashboard", "dashboards")
        )
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let shown = match PANELS.found(&timeline, (&id, &expected), Shown::of) {
            Ok(shown) => shown,
            Err(verdict) => return *verdict,
        };
        let mut sorted = Sorted { seqs: vec![shown.seq], ..Sorted::default() };
        for wanted in &self.dashboards {
            sorted.dashboard(wanted, &shown);
        }
        if let Some((cause, what, witnesses)) = sorted.failed {
            let hint = match cause {
                Cause::DashboardMissing => {
                    "was it provisioned? look at the server's log for the file that it refused"
                }
                Cause::PanelQueryFails => "run the query by hand against its data source",
                _ => "was a metric or label renamed that the panel still asks for by its old name?",
            };
            return Verdict::fail(id, expected, cause, list(&what, 5))
                .witnesses(witnesses)
                .hint(hint);
        }
        let skipped = told("; not asked: ", &sorted.skipped);
        if !sorted.unasked.is_empty() {
            let never = list(&sorted.unasked, 5);
            let why = format!("never queried while the stack was healthy: {never}{skipped}");
            return Verdict::unknown(id, expected, why);
        }
        let empty = told("; empty, as they may be: ", &sorted.empty);
        let queries = count(sorted.queries, "query", "queries");
        timeline.require_complete(
            Verdict::pass(id, expected, format!("{queries} with data{empty}{skipped}"))
                .evidence("panel queries with data", sorted.queries)
                .witnesses(sorted.seqs),
        )
    }
}

/// Words and what they are about, if there is any.
fn told<T: AsRef<str>>(words: &str, what: &[T]) -> String {
    if what.is_empty() {
        String::new()
    } else {
        format!("{words}{}", list(what.iter().map(AsRef::as_ref), 5))
    }
}

/// Each data source as it was last while the stack was healthy, with its event; none if none was
/// asked.
fn sources<'h>(timeline: &Timeline<'h>) -> Option<BTreeMap<&'h str, (u64, &'h Datasource)>> {
    let mut last: BTreeMap<&str, (u64, &Datasource)> = BTreeMap::new();
    for (e, o) in timeline.healthy_facts() {
        if let Fact::Datasource(d) = &o.fact {
            last.insert(&d.name, (e.seq, d));
        }
    }
    (!last.is_empty()).then_some(last)
}

impl Checker for DatasourcesHealthy {
    fn id(&self) -> String {
        "dashboards.datasources".into()
    }

    fn expected(&self) -> String {
        format!("data sources {} answer", list(&self.names, 8))
    }

    fn check(&self, history: &History) -> Verdict {
        let (id, expected) = (self.id(), self.expected());
        let timeline = Timeline::of(history);
        let last = match DATASOURCES.found(&timeline, (&id, &expected), sources) {
            Ok(last) => last,
            Err(verdict) => return *verdict,
        };
        let answers =
            |a: &Absent| last.get(a.name.as_str()).filter(|(_, d)| d.ok).map(|(seq, _)| *seq);
        if let Some((absent, seq)) = self.left_out.iter().find_map(|a| Some((a, answers(a)?))) {
            let seen = format!(
                "{} is left out, and something else answers for data source {}",
                absent.service, absent.name
            );
            return Verdict::fail(id, expected, Cause::LeftOutAnswers, seen).witnesses([seq]).hint(
                "correct the data source's URL, or the service that firedrill.yaml states for it",
            );
        }
        let (mut ok, mut broken) = (Vec::new(), Vec::new());
        for name in &self.names {
            match last.get(name.as_str()) {
                Some((seq, d)) if d.ok => ok.push(*seq),
                Some((seq, d)) => broken.push((format!("{name}: {}", d.seen), Some(*seq))),
                None => broken.push((
                    format!("{name} does not exist; there are {}", list(last.keys(), 8)),
                    None,
                )),
            }
        }
        if !broken.is_empty() {
            return Verdict::fail(id, expected, Cause::DatasourceUnhealthy, list(broken.iter().map(|(w, _)| w), 5))
                .witnesses(broken.iter().filter_map(|(_, s)| *s))
                .hint("check the data source's URL and credentials as seen from the dashboards' own container");
        }
        timeline.require_complete(
            Verdict::pass(
                id,
                expected,
                format!("all {} answer{}", ok.len(), left_out::told(&self.left_out)),
            )
            .evidence("data sources that answer", ok.len() as u64)
            .witnesses(ok),
        )
    }
}
