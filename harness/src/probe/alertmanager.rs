//! The alert manager, asked over Alertmanager's API v2.

use super::ask::{ApiClient, REQUEST};
use super::{Probe, Question, exposition};
use config::monitoring::{RouteMatch, alertmanager as configuration};
use config::yaml::Document;
use futures::future::BoxFuture;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use verdict::observation::alerts::{ManagedAlert, ManagedRoute, Silence};
use verdict::observation::members::ClusterMember;
use verdict::observation::{Fact, Observation};

/// Asks Alertmanager.
pub struct Alertmanager {
    client: ApiClient,
}

impl Alertmanager {
    pub(super) fn new(client: ApiClient) -> Alertmanager {
        Alertmanager { client }
    }

    async fn answer(&self, question: &Question) -> Result<Vec<Fact>, String> {
        match question {
            Question::ManagedAlerts => {
                let alerts: Vec<Alert> = self.client.get("/api/v2/alerts", &[]).await?;
                // Only its groups tell what mutes an alert, and only its configuration how long
                // they wait.
                let groups: Vec<Group> = self.client.get("/api/v2/alerts/groups", &[]).await?;
                let routing = self.routing().await.map(|(routing, _)| routing);
                Ok(vec![Fact::ManagedAlerts {
                    alerts: managed(alerts, &groups, routing.as_ref().ok()),
                }])
            }
            Question::Silences => {
                let silences: Vec<FoundSilence> = self.client.get("/api/v2/silences", &[]).await?;
                let silences =
                    silences.into_iter().map(silence).filter(|s| s.state != "expired").collect();
                Ok(vec![Fact::Silences { silences }])
            }
            Question::ManagerReceivers => {
                let receivers: Vec<Named> = self.client.get("/api/v2/receivers", &[]).await?;
                Ok(vec![Fact::ManagerReceivers {
                    names: receivers.into_iter().map(|r| r.name).collect(),
                }])
            }
            Question::ClusterMember => self.cluster_member().await,
            Question::ProcessStarted => {
                let (_, since) = self.routing().await?;
                Ok(vec![Fact::ProcessStarted { at_s: seconds(since) }])
            }
            Question::Reload => Ok(vec![Fact::Reload(exposition::reload(
                &self.client.text("/metrics").await?,
                "alertmanager",
            )?)]),
            other => Err(format!("alertmanager has no answer to this question: {}", other.asked())),
        }
    }

    /// Its view of its cluster, and the parts of its configuration that members have alike.
    async fn cluster_member(&self) -> Result<Vec<Fact>, String> {
        let status: ServerStatus = self.client.get("/api/v2/status", &[]).await?;
        let peers = status.cluster.peers.into_iter().map(|p| p.address).collect();
        Ok(vec![Fact::ClusterMember(ClusterMember {
            name: status.cluster.name,
            status: status.cluster.status,
            peers,
            configuration: parts(&status.config.original),
        })])
    }

    /// The configuration in force, and since when the process runs.
    async fn routing(&self) -> Result<(configuration::Alertmanager, jiff::Timestamp), String> {
        let status: ServerStatus = self.client.get("/api/v2/status", &[]).await?;
        let document =
            Document::parse(Path::new("the configuration in force"), &status.config.original)
                .map_err(|e| e.to_string())?;
        Ok((
            configuration::Alertmanager::read(&document).map_err(|e| e.to_string())?,
            status.uptime,
        ))
    }
}

impl Probe for Alertmanager {
    fn source(&self) -> &str {
        self.client.source()
    }

    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Vec<Observation>> {
        Box::pin(async move {
            self.client.observe(&question.asked(), REQUEST, self.answer(question)).await
        })
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
struct Group {
    alerts: Vec<GroupedAlert>,
}

#[derive(Deserialize)]
struct GroupedAlert {
    fingerprint: String,
    status: Status,
}

#[derive(Deserialize)]
struct ServerStatus {
    config: InForce,
    cluster: Cluster,
    /// Not how long, but since when.
    uptime: jiff::Timestamp,
}

#[derive(Deserialize)]
struct Cluster {
    /// None where it has no peers.
    name: Option<String>,
    status: String,
    #[serde(default)]
    peers: Vec<Peer>,
}

#[derive(Deserialize)]
struct Peer {
    address: String,
}

#[derive(Deserialize)]
struct InForce {
    original: String,
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

/// The parts of a configuration, as Alertmanager prints the one in force: by its keys at the top.
/// What may hold a secret is given by its digest only.
fn parts(printed: &str) -> BTreeMap<String, String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut key = None;
    for line in printed.lines() {
        match line.split_once(':') {
            Some((name, rest)) if !line.starts_with([' ', '-', '#']) => {
                key = Some(name.to_owned());
                parts.insert(name.to_owned(), rest.trim().to_owned());
            }
            _ => {
                if let Some(part) = key.as_ref().and_then(|k| parts.get_mut(k)) {
                    part.push('\n');
                    part.push_str(line);
                }
            }
        }
    }
    for name in ["global", "receivers"] {
        if let Some(part) = parts.get_mut(name) {
            let digest = Sha256::digest(part.as_bytes());
            *part = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        }
    }
    parts
}

fn seconds(t: jiff::Timestamp) -> f64 {
    t.as_microsecond() as f64 / 1e6
}

/// The times of the routes that an alert ends in.
fn routes(
    config: &configuration::Alertmanager,
    labels: &BTreeMap<String, String>,
) -> Vec<ManagedRoute> {
    let route = |end: RouteMatch<'_>| ManagedRoute {
        receiver: end.route.receiver.clone(),
        group_wait_s: end.route.group_wait.as_secs_f64(),
        group_interval_s: end.route.group_interval.as_secs_f64(),
        repeat_interval_s: end.route.repeat_interval.as_secs_f64(),
    };
    config.route_for(labels).into_iter().map(route).collect()
}

fn managed(
    alerts: Vec<Alert>,
    groups: &[Group],
    routing: Option<&configuration::Alertmanager>,
) -> Vec<ManagedAlert> {
    let muted_by = |fingerprint: &str| {
        let grouped =
            groups.iter().flat_map(|g| &g.alerts).filter(|a| a.fingerprint == fingerprint);
        grouped.flat_map(|a| a.status.muted_by.iter().cloned()).collect::<BTreeSet<String>>()
    };
    // An inhibiting alert is given by its fingerprint; its name says more.
    let names: HashMap<String, String> = alerts
        .iter()
        .filter_map(|a| Some((a.fingerprint.clone(), a.labels.get("alertname")?.clone())))
        .collect();
    let alert = |a: Alert| ManagedAlert {
        routes: routing.map(|config| routes(config, &a.labels)).unwrap_or_default(),
        labels: a.labels,
        state: a.status.state,
        inhibited_by: a
            .status
            .inhibited_by
            .into_iter()
            .map(|f| names.get(&f).cloned().unwrap_or(f))
            .collect(),
        silenced_by: a.status.silenced_by,
        muted_by: muted_by(&a.fingerprint).into_iter().collect(),
        receivers: a.receivers.into_iter().map(|r| r.name).collect(),
        starts_at_s: seconds(a.starts_at),
        ends_at_s: seconds(a.ends_at),
    };
    alerts.into_iter().map(alert).collect()
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
    Silence {
        id: s.id,
        matchers: s.matchers.into_iter().map(matcher).collect(),
        created_by: s.created_by,
        state: s.status.state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_in_force_is_told_by_its_parts_and_without_its_secrets() {
        let printed = "global:\n  resolve_timeout: 5m\nroute:\n  receiver: pager\n  group_by:\n  - alertname\n  continue: false\nreceivers:\n- name: pager\n  webhook_configs:\n  - url: http://pager.test/hook/very-secret\ntemplates: []\n";
        let seen = parts(printed);
        assert_eq!(seen.keys().collect::<Vec<_>>(), ["global", "receivers", "route", "templates"]);
        assert_eq!(
            seen["route"],
            "\n  receiver: pager\n  group_by:\n  - alertname\n  continue: false"
        );
        assert!(!format!("{seen:?}").contains("very-secret"), "{seen:?}");
        let other = parts(&printed.replace("very-secret", "another"));
        assert!(seen["receivers"] != other["receivers"] && seen["route"] == other["route"]);
    }
}
