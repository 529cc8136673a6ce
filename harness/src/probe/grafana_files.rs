//! The dashboards, judged from the files that provision them: what Grafana's server would ask of
//! each data source is asked of it. What is asked is worked out in `prometheus` and
//! `elasticsearch`; here it is sent.

mod elasticsearch;
mod prometheus;

use super::ask::{ApiClient, BULK, Observer, REQUEST};
use super::boards::{self, Answer, Failed, PANEL, Runner, Together};
use super::{Probe, Question};
use crate::backend::{Access, Client, Kept, Login, Redirects};
use crate::dashboards::{DataSource, Lack, Proxy, health_path};
use crate::process::clock::RunClock;
use crate::process::failure::UserError;
use crate::secret::start_of;
use crate::stack::dashboards::files::{Files, Hosts, Place, Provisioned};
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use verdict::observation::dashboards::{Dashboard, Datasource};
use verdict::observation::{Fact, Observation};

/// Who answers, in messages: no service does.
const NAME: &str = "dashboard files";

/// Where services are reached: by name inside the stack's network and port there, the port on
/// 127.0.0.1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reach {
    /// Names in the stack's network.
    pub hosts: Hosts,
    /// Published ports by service and port inside.
    pub published: BTreeMap<(String, u16), u16>,
}

/// Asks data sources in Grafana's place. Files are read anew for each question: they may be changed
/// while the stack runs.
pub struct GrafanaFiles {
    observer: Observer,
    place: Place,
    reach: Reach,
    /// How each data source is reached, by uid, as of the last question about panels: what a query
    /// takes is the data source's time.
    reached: Mutex<BTreeMap<String, Reached>>,
}

/// What asks a data source, and what stands before its paths; or why nothing does.
type Reached = Result<Arc<(ApiClient, String)>, Lack>;

impl GrafanaFiles {
    /// Reads files there, and reaches data sources so.
    pub fn new(place: Place, reach: Reach, clock: RunClock) -> GrafanaFiles {
        GrafanaFiles {
            observer: Observer { source: NAME.to_owned(), clock },
            place,
            reach,
            reached: Mutex::default(),
        }
    }

    fn files(&self) -> Result<Files, String> {
        self.place.read().map_err(|e| e.advice().in_one_line())
    }

    fn reach(&self, source: &Provisioned) -> Reached {
        let name = &source.source.name;
        let fails = |why: &str| Lack::Fails(format!("data source {name} {why}"));
        let not_asked = |why: String| Lack::NotAsked(format!("data source {name} {why}"));
        let address = source.address.as_ref().ok_or_else(|| fails("has no url"))?;
        if address.tls {
            return Err(not_asked(
                "is reached by https, and only Grafana knows whom it trusts".into(),
            ));
        }
        let service = self
            .reach
            .hosts
            .get(&address.host)
            .ok_or_else(|| fails("is no service of the stack"))?;
        // What runs has its port published, whether or not it answers there.
        let port = self.reach.published.get(&(service.clone(), address.port));
        let port =
            *port.ok_or_else(|| not_asked(format!("is service {service}, which does not run")))?;
        let login = source.login.clone().map_or(Login::None, |login| Login::Basic {
            user: login.user,
            password: login.password.map(Kept::Given),
        });
        let headers = source.headers.iter().map(|h| (h.name.clone(), h.value.clone())).collect();
        let client = Client::new(&Access { login, ..Access::plain(port) }, Redirects::Followed)
            .map_err(|why| fails(&format!("can't be asked: {}", why.in_one_line())))?;
        let client = ApiClient::new(name, client.with(headers), self.observer.clock);
        Ok(Arc::new((client, address.prefix.clone())))
    }

    /// How a data source is reached that a dashboard means.
    fn reached(&self, source: &DataSource) -> Reached {
        let known = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&source.uid).cloned().unwrap_or_else(|| {
            Err(Lack::Fails(format!("data source {} is in no file", source.name)))
        })
    }

    fn dashboards(&self) -> Result<Vec<Fact>, String> {
        let dashboard = |b: &crate::stack::dashboards::files::Board| Dashboard {
            uid: b.uid.clone(),
            title: b.title.clone(),
            panels: b.panels().len() as u64,
        };
        Ok(vec![Fact::Dashboards {
            dashboards: self.files()?.boards.iter().map(dashboard).collect(),
        }])
    }

    async fn datasources(&self) -> Result<Vec<Fact>, String> {
        let mut facts = Vec::new();
        // What can't be asked without Grafana can't be declared either: reading the stack refuses
        // that.
        for provisioned in
            self.files()?.sources.into_iter().filter(|s| s.address.as_ref().is_some_and(|a| !a.tls))
        {
            let seen = match self.reach(&provisioned) {
                Err(Lack::Fails(why) | Lack::NotAsked(why)) => Err(why),
                Ok(reached) => health(&provisioned.source, &reached.0, &reached.1).await,
            };
            let DataSource { uid, name, r#type: kind, .. } = provisioned.source;
            let (ok, seen) = seen.map_or_else(|why| (false, why), |seen| (true, seen));
            facts.push(Fact::Datasource(Datasource { name, uid, kind, ok, seen }));
        }
        Ok(facts)
    }

    async fn answered(&self, together: &Together<'_>) -> Result<Answer, Failed> {
        let Some((source, target)) = together.asked() else {
            return Ok(Answer::failed("no query"));
        };
        let not_asked = |why: String| Err(Failed::NotAsked(why));
        let query = together.context.query(target, together.wanted, source, together.panel);
        let range = (together.context.from_ms, together.context.to_ms);
        match source.r#type.as_str() {
            "prometheus" => {
                let requests = match prometheus::requests(&query, source, range) {
                    Ok(requests) => requests,
                    Err(error) => return Ok(Answer::failed(error)),
                };
                let reached = match self.reached(source) {
                    Ok(reached) => reached,
                    Err(Lack::Fails(error)) => return Ok(Answer::failed(error)),
                    Err(Lack::NotAsked(why)) => return not_asked(why),
                };
                let (client, prefix) = &*reached;
                let mut total = Answer::default();
                for request in requests {
                    let answer = ask_prometheus(client, prefix, &request).await;
                    total = Answer {
                        frames: total.frames + answer.frames,
                        values: total.values + answer.values,
                        error: total.error.or(answer.error),
                    };
                }
                Ok(total)
            }
            "elasticsearch" => {
                let search = match elasticsearch::search(&query, source, range) {
                    Ok(search) => search,
                    Err(elasticsearch::Refused::Fails(error)) => return Ok(Answer::failed(error)),
                    Err(elasticsearch::Refused::NotAsked(why)) => return not_asked(why),
                };
                let reached = match self.reached(source) {
                    Ok(reached) => reached,
                    Err(Lack::Fails(error)) => return Ok(Answer::failed(error)),
                    Err(Lack::NotAsked(why)) => return not_asked(why),
                };
                let (client, prefix) = &*reached;
                let path = format!("/{prefix}_msearch?max_concurrent_shard_requests=5");
                Ok(
                    match client
                        .post_any_within(PANEL, &path, "application/x-ndjson", search.body())
                        .await
                    {
                        Ok((status, text)) => search.answer(status, &text),
                        Err(error) => Answer::failed(error),
                    },
                )
            }
            "__expr__" => {
                not_asked("it is computed from other queries, which only Grafana does".into())
            }
            "datasource" => not_asked("it shows what only Grafana knows".into()),
            kind => not_asked(format!(
                "queries of a data source of type {kind} are not asked without Grafana; its health is"
            )),
        }
    }
}

async fn ask_prometheus(client: &ApiClient, prefix: &str, request: &prometheus::Request) -> Answer {
    let (path, form) = (format!("/{prefix}{}", request.path()), request.form());
    let sent = match request.by_get {
        true => client.send_any_within(PANEL, Method::GET, &format!("{path}?{form}"), None).await,
        false => {
            client.post_any_within(PANEL, &path, "application/x-www-form-urlencoded", form).await
        }
    };
    match sent {
        Ok((status, text)) => prometheus::answer(status, &text),
        // A query in an address is as long as it is; what is said about it needs only the place.
        Err(error) => Answer::failed(error.replace(&format!("?{}", request.form()), "")),
    }
}

/// A real question to a data source: a computation where it computes, else whatever its plug-in
/// asks first.
async fn health(source: &DataSource, client: &ApiClient, prefix: &str) -> Result<String, String> {
    let path = match (source.r#type.as_str(), health_path(source)) {
        ("prometheus", _) => "api/v1/query?query=1%2B1".to_owned(),
        (_, Some(path)) => path,
        ("loki", _) => "loki/api/v1/labels".to_owned(),
        _ => String::new(),
    };
    let (status, text) =
        client.send_any_within(REQUEST, Method::GET, &format!("/{prefix}{path}"), None).await?;
    let seen = format!("GET /{prefix}{path}: HTTP {status}: {}", start_of(text.as_bytes()));
    let answered = match source.r#type.as_str() {
        "prometheus" => {
            status == 200
                && serde_json::from_str::<Value>(&text).is_ok_and(|v| v["status"] == "success")
        }
        _ => status == 200,
    };
    if answered { Ok(seen) } else { Err(seen) }
}

impl Proxy for GrafanaFiles {
    fn get<'a>(
        &'a self,
        source: &'a DataSource,
        path: String,
    ) -> BoxFuture<'a, Result<(u16, String), String>> {
        async move {
            let reached = self.reached(source).map_err(|lack| match lack {
                Lack::Fails(why) | Lack::NotAsked(why) => why,
            })?;
            let (client, prefix) = &*reached;
            client.send_any_within(PANEL, Method::GET, &format!("/{prefix}{path}"), None).await
        }
        .boxed()
    }
}

impl Runner for GrafanaFiles {
    fn dashboard<'a>(
        &'a self,
        uid: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<DataSource>, Value), String>> {
        async move {
            let files = self.files()?;
            let reached =
                files.sources.iter().map(|s| (s.source.uid.clone(), self.reach(s))).collect();
            *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = reached;
            let board = files
                .boards
                .into_iter()
                .find(|b| b.uid == uid)
                .ok_or_else(|| format!("dashboard {uid} is in no file"))?;
            Ok((files.sources.into_iter().map(|s| s.source).collect(), board.json))
        }
        .boxed()
    }

    fn run<'a>(&'a self, together: Together<'a>) -> BoxFuture<'a, Result<Answer, Failed>> {
        async move { self.answered(&together).await }.boxed()
    }

    fn is_there(&self) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }
}

impl Probe for GrafanaFiles {
    fn source(&self) -> &str {
        &self.observer.source
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        Box::pin(async move {
            let asked = question.asked();
            match question {
                Question::Dashboards => {
                    self.observer.observe(&asked, BULK, async { self.dashboards() }).await
                }
                Question::Datasources => {
                    self.observer.observe(&asked, BULK, self.datasources()).await
                }
                Question::Panels { dashboard, start_s, end_s } => {
                    boards::ask(self, &self.observer, &asked, dashboard, (*start_s, *end_s)).await
                }
                other => {
                    let error =
                        format!("{NAME} have no answer to this question: {}", other.asked());
                    self.observer.observe(&asked, REQUEST, async { Err(error) }).await
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
