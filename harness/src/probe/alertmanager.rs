//! The alert manager, asked over Alertmanager's API v2.

use super::ask::{Asker, REQUEST};
use super::{Probe, Question, exposition};
use futures::future::BoxFuture;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use verdict::observation::alerts::{ManagedAlert, Silence};
use verdict::observation::{Fact, Observation};

/// Asks Alertmanager.
pub struct Alertmanager {
    asker: Asker,
}

impl Alertmanager {
    pub(super) fn new(asker: Asker) -> Alertmanager {
        Alertmanager { asker }
    }

    async fn answer(&self, question: &Question) -> Result<Vec<Fact>, String> {
        match question {
            Question::ManagedAlerts => {
                let alerts: Vec<Alert> = self.asker.get("/api/v2/alerts", &[]).await?;
                Ok(vec![Fact::ManagedAlerts { alerts: managed(alerts)? }])
            }
            Question::Silences => {
                let silences: Vec<FoundSilence> = self.asker.get("/api/v2/silences", &[]).await?;
                let silences = silences.into_iter().map(silence).filter(|s| s.state != "expired").collect();
                Ok(vec![Fact::Silences { silences }])
            }
            Question::Reload => Ok(vec![Fact::Reload(exposition::reload(&self.asker.text("/metrics").await?, "alertmanager")?)]),
            other => Err(format!("alertmanager has no answer to this question: {}", other.words())),
        }
    }
}

impl Probe for Alertmanager {
    fn source(&self) -> &str {
        &self.asker.source
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        Box::pin(async move { self.asker.observe(&question.words(), REQUEST, self.answer(question)).await })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    fingerprint: String,
    labels: BTreeMap<String, String>,
    starts_at: jiff::Timestamp,
    ends_at: jiff::Timestamp,
    receivers: Vec<Named>,
    status: Status,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: String,
    #[serde(default)]
    inhibited_by: Vec<String>,
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    muted_by: Vec<String>,
}

fn managed(alerts: Vec<Alert>) -> Result<Vec<ManagedAlert>, String> {
    // An inhibiting alert is given by its fingerprint; its name says more.
    let names: HashMap<String, String> =
        alerts.iter().filter_map(|a| Some((a.fingerprint.clone(), a.labels.get("alertname")?.clone()))).collect();
    let seconds = |t: jiff::Timestamp| t.as_microsecond() as f64 / 1e6;
    let alert = |a: Alert| ManagedAlert {
        labels: a.labels,
        state: a.status.state,
        inhibited_by: a.status.inhibited_by.into_iter().map(|f| names.get(&f).cloned().unwrap_or(f)).collect(),
        silenced_by: a.status.silenced_by,
        muted_by: a.status.muted_by,
        receivers: a.receivers.into_iter().map(|r| r.name).collect(),
        starts_at_s: seconds(a.starts_at),
        ends_at_s: seconds(a.ends_at),
    };
    Ok(alerts.into_iter().map(alert).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundSilence {
    id: String,
    matchers: Vec<Matcher>,
    #[serde(default)]
    created_by: String,
    status: SilenceStatus,
}

#[derive(Deserialize)]
struct SilenceStatus {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "equal")]
    is_equal: bool,
}

fn equal() -> bool {
    true
}

fn silence(s: FoundSilence) -> Silence {
    let matcher = |m: Matcher| {
        let operator = match (m.is_equal, m.is_regex) {
            (true, false) => "=",
            (true, true) => "=~",
            (false, false) => "!=",
            (false, true) => "!~",
        };
        format!("{}{operator}{:?}", m.name, m.value)
    };
    Silence { id: s.id, matchers: s.matchers.into_iter().map(matcher).collect(), created_by: s.created_by, state: s.status.state }
}
