//! The panels of a dashboard, asked one after the other, whoever runs their queries.

use super::ask::{BULK, Observer};
use crate::dashboards::format::Style;
use crate::dashboards::panels::{PanelModel, panels};
use crate::dashboards::query::{Context, as_written};
use crate::dashboards::resolve::resolve;
use crate::dashboards::{DataSource, Lack, Proxy, variables};
use futures::future::BoxFuture;
use serde_json::Value;
use std::time::{Duration, Instant};
use verdict::observation::asked::Asked;
use verdict::observation::dashboards::Panel;
use verdict::observation::{Fact, Observation};

/// Bound of a panel's query. People wait no longer, and Grafana itself gives up on a data source by
/// then (`dataproxy.timeout`).
pub(crate) const PANEL: Duration = Duration::from_secs(30);

/// Queries to run together, because one is computed from the others, or just one.
pub(crate) struct Together<'a> {
    pub(crate) panel: &'a PanelModel,
    /// What they share.
    pub(crate) context: &'a Context,
    /// Each with its place in the panel, its data source, and as it is written.
    pub(crate) queries: Vec<(usize, DataSource, &'a Value)>,
    /// Place of the one whose answer is wanted.
    pub(crate) wanted: usize,
}

/// What a query answered.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) frames: u64,
    /// Values that are numbers.
    pub(crate) values: u64,
    /// Why it failed, if it did.
    pub(crate) error: Option<String>,
}

impl Answer {
    /// The answer of a query that failed.
    pub(crate) fn failed(error: impl Into<String>) -> Answer {
        Answer { error: Some(error.into()), ..Answer::default() }
    }
}

/// Why there is no answer.
pub(crate) enum Failed {
    /// The query is not asked; that says nothing about what people see.
    NotAsked(String),
    /// Who runs queries can't be asked.
    Server(String),
}

/// Who runs the queries of panels.
pub(crate) trait Runner: Proxy {
    /// The data sources, and the dashboard of a uid.
    fn dashboard<'a>(
        &'a self,
        uid: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<DataSource>, Value), String>>;
    /// Runs queries and gives the answer of the one that is wanted.
    fn run<'a>(&'a self, together: Together<'a>) -> BoxFuture<'a, Result<Answer, Failed>>;
    /// Whether it answers anything now.
    fn is_there(&self) -> BoxFuture<'_, bool>;
}

/// One observation for each query of each panel of a dashboard.
pub(crate) async fn ask(
    runner: &dyn Runner,
    observer: &Observer,
    question: &Asked,
    uid: &str,
    (start_s, end_s): (f64, f64),
) -> Vec<Observation> {
    let (began, asked) = (Instant::now(), observer.clock.now());
    let prepared = tokio::time::timeout(BULK, async {
        let (sources, dashboard) = runner.dashboard(uid).await?;
        let mut context = Context::new(sources, &dashboard, start_s, end_s);
        resolve(&mut context, &dashboard, runner).await;
        Ok::<_, String>((context, panels(&dashboard)))
    });
    let (context, models) = match prepared.await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return observer.observe(question, BULK, async { Err(error) }).await,
        Err(_) => {
            return observer
                .observe(question, BULK, async { Err("no answer within 60 s".into()) })
                .await;
        }
    };
    let mut observations = Vec::new();
    for panel in &models {
        if began.elapsed() > BULK {
            let error = format!("given up before panel {} after {} s", panel.title, BULK.as_secs());
            observations.extend(observer.observe(question, BULK, async { Err(error) }).await);
            break;
        }
        observations.extend(
            observer.observe(question, BULK, ask_panel(runner, uid, panel, &context)).await,
        );
    }
    if models.is_empty() {
        let error = format!("dashboard {uid} has no panel with a query");
        let mut none = observer.observe(question, BULK, async { Err(error) }).await;
        none.iter_mut().for_each(|o| o.asked = asked);
        return none;
    }
    observations
}

async fn ask_panel(
    runner: &dyn Runner,
    uid: &str,
    panel: &PanelModel,
    context: &Context,
) -> Result<Vec<Fact>, String> {
    let fact = |query: String, datasource: String, answer: Answer, skipped: Option<String>| {
        let Answer { frames, values, error } = answer;
        let (dashboard, panel) = (uid.to_owned(), panel.title.clone());
        Panel {
            dashboard,
            panel,
            query,
            datasource,
            frames,
            values,
            error,
            took_s: 0.0,
            timed_out: false,
            skipped,
        }
    };
    if let Some(why) = &panel.elsewhere {
        return Ok(vec![Fact::Panel(fact(
            String::new(),
            String::new(),
            Answer::default(),
            Some(why.clone()),
        ))]);
    }
    let mut facts = Vec::new();
    for (context, told) in context.repeated(panel) {
        for (index, target) in panel.shown() {
            let query = format!("{}{told}", as_written(target));
            let began = Instant::now();
            let (mut datasource, together) = match together(panel, &context, index) {
                Ok((name, together)) => (name, Ok(together)),
                Err((name, lack)) => (name, Err(lack)),
            };
            let ran = match together {
                Ok(together) => runner.run(together).await,
                Err(Lack::Fails(error)) => Ok(Answer::failed(error)),
                Err(Lack::NotAsked(why)) => Err(Failed::NotAsked(why)),
            };
            let took = began.elapsed();
            let timed_out = took >= PANEL;
            let (answer, skipped) = match ran {
                Ok(answer) => (answer, None),
                Err(Failed::NotAsked(why)) => (Answer::default(), Some(why)),
                // Whoever answers something else meanwhile is there: it is the query that takes so
                // long.
                Err(Failed::Server(error)) if timed_out && runner.is_there().await => {
                    datasource = as_written(panel.reference(target));
                    (Answer::failed(error), None)
                }
                Err(Failed::Server(error)) => return Err(error),
            };
            let timed_out = timed_out && answer.error.is_some();
            let took_s = if skipped.is_some() { 0.0 } else { took.as_secs_f64() };
            facts.push(Fact::Panel(Panel {
                took_s,
                timed_out,
                ..fact(query, datasource, answer, skipped)
            }));
        }
    }
    Ok(facts)
}

/// What must be run to have the answer of the query at `wanted`, and the name of its data source;
/// or why that can't be.
fn together<'a>(
    panel: &'a PanelModel,
    context: &'a Context,
    wanted: usize,
) -> Result<(String, Together<'a>), (String, Lack)> {
    // A computed query needs those that it is computed from in the same request.
    let all = panel
        .targets
        .iter()
        .enumerate()
        .filter(|(index, _)| *index == wanted || panel.is_computed());
    let (mut queries, mut name) = (Vec::new(), String::new());
    for (index, target) in all {
        let reference = panel.reference(target);
        let lacks = |lack: Lack| (as_written(reference), lack);
        if let Some(lack) = context.lacks(target).or_else(|| context.lacks(reference)) {
            return Err(lacks(lack));
        }
        let source = context.source(reference).map_err(lacks)?;
        let filtered = context
            .filters
            .iter()
            .find(|(_, of)| context.source(of).is_ok_and(|s| s.uid == source.uid));
        if let Some((variable, _)) = filtered {
            return Err(lacks(Lack::NotAsked(format!(
                "the filters of variable {variable} are not put into it"
            ))));
        }
        if index == wanted {
            name.clone_from(&source.name);
        }
        queries.push((index, source, target));
    }
    Ok((name, Together { panel, context, queries, wanted }))
}

impl Together<'_> {
    /// The data source of the query that is wanted, and the query as it is written.
    pub(crate) fn asked(&self) -> Option<(&DataSource, &Value)> {
        self.queries
            .iter()
            .find(|(index, _, _)| *index == self.wanted)
            .map(|(_, source, target)| (source, *target))
    }

    /// A query of it with the variables' values, for a data source that is asked without its
    /// plug-in.
    pub(crate) fn plain(&self, target: &Value) -> Value {
        let mut target = target.clone();
        variables::put_all(&mut target, &self.context.values, Style::Glob);
        target
    }
}
