//! Each panel's query returns data; data sources are healthy.

use super::Checker;
use super::timeline::{Timeline, unreachable_backend};
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
        let ours = |f: &Fact| matches!(f, Fact::Dashboards { .. } | Fact::Panel(_));
        let asks = |q: &Asked| matches!(q, Asked::Dashboards | Asked::Panels { .. });
        if let Some(s) = timeline.unreachable_source(ours, asks) {
            return unreachable_backend(id, expected, &s);
        }
        let mut known: Option<(u64, &Vec<Dashboard>)> = None;
        let mut panels: BTreeMap<(&str, &str, &str), (u64, &Panel)> = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            match &o.fact {
                Fact::Dashboards { dashboards } => known = Some((e.seq, dashboards)),
                Fact::Panel(p) => {
                    panels.insert((&p.dashboard, &p.panel, &p.query), (e.seq, p));
                }
                _ => {}
            }
        }
        let Some((list_seq, known)) = known else {
            return timeline.unanswered(id, expected, "dashboards", ours, asks);
        };
        let (mut queries, mut empty, mut seqs, mut unasked) =
            (0u64, Vec::new(), vec![list_seq], Vec::new());
        let mut skipped: Vec<String> = Vec::new();
        let mut failed: Option<(Cause, Vec<String>, Vec<u64>)> = None;
        let mut convict = |cause: Cause, what: String, seq: u64| match &mut failed {
            Some((_, all, seqs)) => {
                all.push(what);
                seqs.push(seq);
            }
            None => failed = Some((cause, vec![what], vec![seq])),
        };
        for wanted in &self.dashboards {
            let Some(there) = known.iter().find(|d| d.uid == wanted.uid) else {
                convict(
                    Cause::DashboardMissing,
                    format!("dashboard {} does not exist", wanted.uid),
                    list_seq,
                );
                continue;
            };
            let title = &there.title;
            if there.panels < wanted.panels {
                convict(
                    Cause::DashboardMissing,
                    format!(
                        "dashboard {title} has {}, {} wanted",
                        count(there.panels, "panel", "panels"),
                        wanted.panels
                    ),
                    list_seq,
                );
            }
            let of_this: Vec<&(u64, &Panel)> = panels
                .iter()
                .filter(|((uid, _, _), _)| *uid == wanted.uid)
                .map(|(_, p)| p)
                .collect();
            let answered = of_this.iter().filter(|(_, p)| p.skipped.is_none()).count();
            let asked =
                of_this.iter().map(|(_, p)| p.panel.as_str()).collect::<BTreeSet<_>>().len() as u64;
            if answered == 0 && asked > 0 {
                unasked.push(format!("any panel of dashboard {title}"));
            }
            for (seq, p) in of_this {
                if let Some(why) = &p.skipped {
                    skipped.push(format!("{title} / {} ({why})", p.panel));
                } else if let Some(error) = &p.error {
                    convict(
                        Cause::PanelQueryFails,
                        format!("{title} / {}: `{}` fails: {error}", p.panel, p.query),
                        *seq,
                    );
                } else if p.values == 0 && wanted.may_be_empty.contains(&p.panel) {
                    empty.push(p.panel.as_str());
                } else if p.values == 0 {
                    convict(
                        Cause::PanelWithoutData,
                        format!("{title} / {}: `{}` returns no data", p.panel, p.query),
                        *seq,
                    );
                } else {
                    queries += 1;
                    seqs.push(*seq);
                }
            }
            if asked < wanted.panels {
                unasked.push(format!(
                    "{} of {} panels of dashboard {title}",
                    wanted.panels.saturating_sub(asked),
                    wanted.panels
                ));
            }
        }
        if let Some((cause, what, witnesses)) = failed {
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
        if !unasked.is_empty() {
            let skipped = told("; not asked: ", &skipped);
            return Verdict::unknown(
                id,
                expected,
                format!(
                    "never queried while the stack was healthy: {}{skipped}",
                    list(&unasked, 5)
                ),
            );
        }
        let excused = told("; empty, as they may be: ", &empty) + &told("; not asked: ", &skipped);
        timeline.require_complete(
            Verdict::pass(
                id,
                expected,
                format!("{} with data{excused}", count(queries, "query", "queries")),
            )
            .evidence("panel queries with data", queries)
            .witnesses(seqs),
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
        let ours = |f: &Fact| matches!(f, Fact::Datasource(_));
        let asks = |q: &Asked| matches!(q, Asked::Datasources | Asked::Datasource { .. });
        if let Some(s) = timeline.unreachable_source(ours, asks) {
            return unreachable_backend(id, expected, &s);
        }
        let mut last: BTreeMap<&str, (u64, &Datasource)> = BTreeMap::new();
        for (e, o) in timeline.healthy_facts() {
            if let Fact::Datasource(d) = &o.fact {
                last.insert(&d.name, (e.seq, d));
            }
        }
        if last.is_empty() {
            return timeline.unanswered(id, expected, "data sources", ours, asks);
        }
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
