//! The event recorder of an alert manager: a file in its container, a line of JSON an event, as
//! Alertmanager 0.35 writes it. Lines that can't be read are counted; the last one may be cut off.

use super::ask::{BULK, Observer};
use crate::engine::Engine;
use crate::process::clock::RunClock;
use crate::process::failure::UserError;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use verdict::history::alert::NotifiedAlert;
use verdict::observation::alerts::{ManagerEvent, ManagerStep, Silence};
use verdict::observation::asked::Asked;
use verdict::observation::{Fact, Observation};

/// Largest file that is read.
const AT_MOST: usize = 64 * 1024 * 1024;

/// Reads what a server of a project has recorded since then (seconds since the epoch). That works
/// also where the server has ended.
pub async fn recorded(
    engine: &Engine,
    project: &str,
    server: &str,
    file: &str,
    since_s: f64,
    clock: RunClock,
) -> Vec<Observation> {
    let read = async {
        let container =
            engine.container_of(project, server).await.map_err(|e| e.advice().to_string())?;
        let text = engine.read_file(&container.id, file, AT_MOST).await;
        Ok::<_, String>(vec![fact(&text.map_err(|e| e.advice().to_string())?, since_s)])
    };
    let observer = Observer { source: server.to_owned(), clock };
    observer.observe(&Asked::ManagerEvents, BULK, read).await
}

fn fact(text: &[u8], since_s: f64) -> Fact {
    let (mut lines, mut unread) = (Vec::new(), 0);
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        match serde_json::from_slice::<Line>(line) {
            Ok(line) => lines.push(line),
            Err(_) => unread += 1,
        }
    }
    // An alert that inhibits another is given by its fingerprint; some event tells its labels.
    let known: HashMap<String, Labels> = lines
        .iter()
        .flat_map(|line| line.data.alerts())
        .filter(|alert| !alert.labels.is_empty())
        .map(|alert| (alert.fingerprint.clone(), alert.labels.clone()))
        .collect();
    let events = lines.into_iter().filter_map(|line| {
        let at_s = line.at.as_microsecond() as f64 / 1e6;
        let (alerts, step) = line.data.step(&known)?;
        (at_s >= since_s && !alerts.is_empty()).then_some(ManagerEvent { at_s, alerts, step })
    });
    Fact::ManagerEvents { events: events.collect(), unread }
}

type Labels = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "@timestamp")]
    at: jiff::Timestamp,
    #[serde(default)]
    data: Data,
}

/// One of these is there; other events are not about alerts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    alert_created: Option<Created>,
    alert_grouped: Option<Grouped>,
    silence_muted_alert: Option<Silenced>,
    inhibition_muted_alert: Option<Inhibited>,
    notification: Option<Notified>,
}

#[derive(Deserialize)]
struct Created {
    alert: Alert,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grouped {
    alert: GroupedAlert,
    group_info: Group,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Silenced {
    silence: FoundSilence,
    muted_alert: Alert,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inhibited {
    #[serde(default)]
    inhibit_rules: Vec<Rule>,
    muted_alert: Alert,
    #[serde(default)]
    inhibiting_fingerprints: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notified {
    #[serde(default)]
    alerts: Vec<GroupedAlert>,
    group_info: Group,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct GroupedAlert {
    #[serde(default)]
    fingerprint: String,
    details: Option<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    resolved: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    receiver_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundSilence {
    id: String,
    #[serde(default)]
    matchers: Vec<Matcher>,
    #[serde(default)]
    created_by: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    name: String,
    #[serde(default)]
    source_matchers: Vec<Matcher>,
    #[serde(default)]
    target_matchers: Vec<Matcher>,
    #[serde(default)]
    equal_labels: Vec<String>,
}

#[derive(Deserialize)]
struct Matcher {
    /// As Alertmanager writes it: `job="api"`.
    #[serde(default)]
    rendered: String,
}

fn rendered(matchers: &[Matcher]) -> Vec<String> {
    matchers.iter().map(|m| m.rendered.clone()).collect()
}

impl Data {
    /// The alerts that it shows with their labels.
    fn alerts(&self) -> Vec<&Alert> {
        let mut all = Vec::new();
        all.extend(self.alert_created.iter().map(|e| &e.alert));
        all.extend(self.silence_muted_alert.iter().map(|e| &e.muted_alert));
        all.extend(self.inhibition_muted_alert.iter().map(|e| &e.muted_alert));
        let grouped = self.alert_grouped.iter().map(|e| &e.alert);
        let notified = self.notification.iter().flat_map(|e| &e.alerts);
        all.extend(grouped.chain(notified).filter_map(|alert| alert.details.as_ref()));
        all
    }

    /// What was done, and with which alerts; none if it is not about alerts.
    fn step(self, known: &HashMap<String, Labels>) -> Option<(Vec<NotifiedAlert>, ManagerStep)> {
        let one = |alert: Alert| vec![seen(alert)];
        let of_group = |alert: GroupedAlert| {
            let labels = known.get(&alert.fingerprint);
            alert
                .details
                .map(seen)
                .or_else(|| Some(NotifiedAlert { resolved: false, labels: labels?.clone() }))
        };
        let name = |fingerprint: &String| {
            let named = known.get(fingerprint).and_then(|labels| labels.get("alertname"));
            named.unwrap_or(fingerprint).clone()
        };
        if let Some(e) = self.alert_created {
            Some((one(e.alert), ManagerStep::Created))
        } else if let Some(e) = self.alert_grouped {
            let receiver = e.group_info.receiver_name;
            Some((of_group(e.alert).into_iter().collect(), ManagerStep::Grouped { receiver }))
        } else if let Some(e) = self.silence_muted_alert {
            let silence = Silence {
                matchers: rendered(&e.silence.matchers),
                id: e.silence.id,
                created_by: e.silence.created_by,
                state: "active".into(),
            };
            Some((one(e.muted_alert), ManagerStep::Silenced { silence }))
        } else if let Some(e) = self.inhibition_muted_alert {
            let by = e.inhibiting_fingerprints.iter().map(name).collect();
            let rules: Vec<String> = e.inhibit_rules.iter().map(Rule::words).collect();
            let rule = rules.join("; ");
            Some((one(e.muted_alert), ManagerStep::Inhibited { by, rule }))
        } else {
            let e = self.notification?;
            let reason = e.reason.strip_prefix("NOTIFY_REASON_").unwrap_or(&e.reason);
            let reason = reason.to_lowercase().replace('_', " ");
            let receiver = e.group_info.receiver_name;
            let alerts = e.alerts.into_iter().filter_map(of_group).collect();
            Some((alerts, ManagerStep::Notified { receiver, reason }))
        }
    }
}

fn seen(alert: Alert) -> NotifiedAlert {
    NotifiedAlert { resolved: alert.resolved, labels: alert.labels }
}

impl Rule {
    /// The rule as its owner would look for it.
    fn words(&self) -> String {
        let matchers = |of: &[Matcher]| format!("{{{}}}", rendered(of).join(", "));
        let name = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        let equal = match self.equal_labels.as_slice() {
            [] => String::new(),
            labels => format!(", equal {}", labels.join(", ")),
        };
        let (source, target) = (matchers(&self.source_matchers), matchers(&self.target_matchers));
        format!("rule {name}{source} hides {target}{equal}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RECORDED: &str =
        include_str!("../../tests/email/probes/alertmanager-0.35.0-events.jsonl");

    fn read(text: &str, since_s: f64) -> (Vec<ManagerEvent>, u64) {
        match fact(text.as_bytes(), since_s) {
            Fact::ManagerEvents { events, unread } => (events, unread),
            other => panic!("{other:?}"),
        }
    }

    /// An event in one line: alerts (those that are over with a `-`), and what was done.
    fn told(e: &ManagerEvent) -> String {
        let over = |resolved| if resolved { "-" } else { "" };
        let alerts: Vec<String> = e
            .alerts
            .iter()
            .map(|a| format!("{}{}", over(a.resolved), a.labels["alertname"]))
            .collect();
        let step = match &e.step {
            ManagerStep::Created => "created".to_owned(),
            ManagerStep::Grouped { receiver } => format!("grouped for {receiver}"),
            ManagerStep::Silenced { silence } => {
                format!("silenced {} by {}", silence.matchers.join(","), silence.created_by)
            }
            ManagerStep::Inhibited { by, rule } => format!("inhibited by {by:?}, {rule}"),
            ManagerStep::Notified { receiver, reason } => format!("notified {receiver}, {reason}"),
        };
        format!("{} {step}", alerts.join(","))
    }

    #[test]
    fn recorded_lines_are_read() {
        let (events, unread) = read(RECORDED, 0.0);
        assert_eq!(unread, 0);
        assert_eq!(
            events.iter().map(told).collect::<Vec<_>>(),
            [
                "Watchdog created",
                "Watchdog grouped for switch",
                "Watchdog notified switch, first notification",
                "ExporterDown created",
                "ExporterDown created",
                "ExporterDown grouped for pager",
                "ExporterDown grouped for chat",
                "ExporterDown silenced alertname=\"ExporterDown\" by maintenance",
                "ExporterDown notified pager, first notification",
                "ExporterDown notified chat, first notification",
                "-ExporterDown notified chat, all alerts resolved",
                "ExporterDown notified chat, first notification",
                "ExporterDown notified pager, first notification",
                "PeersDisagree created",
                "PeersDisagree inhibited by [\"AlertmanagerDown\"], rule {alertname=\"AlertmanagerDown\"} hides {alertname=\"PeersDisagree\"}, equal cluster",
                "AlertmanagerDown notified pager, first notification",
            ]
        );
        let times: Vec<f64> = events.iter().map(|e| e.at_s).collect();
        assert!(times.is_sorted() && (times[0] - 1_796_044_037.554_267).abs() < 1e-3, "{times:?}");
    }

    #[test]
    fn what_was_before_the_run_is_left_out_and_its_names_are_known() {
        let all = read(RECORDED, 0.0).0;
        let since = all[14].at_s;
        let (late, unread) = read(RECORDED, since);
        assert_eq!((late.as_slice(), unread), (&all[14..], 0));
    }

    #[test]
    fn lines_that_cant_be_read_are_counted_and_the_others_are_read() {
        let torn = &RECORDED[..RECORDED.len() - 40];
        let (events, unread) = read(&format!("no json\n\n{torn}"), 0.0);
        assert_eq!((events.len(), unread), (15, 2));
        // Events of a later version, and those that are not about alerts, are none of ours.
        let other =
            "{\"@timestamp\":\"2026-11-30T13:07:05Z\",\"data\":{\"alertForgotten\":{\"x\":1}}}\n";
        assert_eq!(read(other, 0.0), (Vec::new(), 0));
    }

    #[test]
    fn an_alert_that_is_only_referred_to_is_known_by_its_fingerprint() {
        let line = "{\"@timestamp\":\"2026-11-30T13:09:00Z\",\"data\":{\"notification\":{\"alerts\":[{\"fingerprint\":\"622108983684359831\"},{\"fingerprint\":\"1\"}],\"groupInfo\":{\"receiverName\":\"switch\"}}}}";
        let (events, unread) = read(&format!("{RECORDED}{line}"), 0.0);
        assert_eq!(unread, 0);
        assert_eq!(events.last().map(told).unwrap(), "Watchdog notified switch, ");
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_file_is_read_as_far_as_it_can_be(
            text in proptest::prop_oneof![damaged::damaged(&[RECORDED]), damaged::anything()]
        ) {
            let (events, unread) = read(&text, 0.0);
            let lines = text.split('\n').filter(|l| !l.trim_ascii().is_empty()).count();
            proptest::prop_assert!(events.len() + unread as usize <= lines);
            proptest::prop_assert!(events.iter().all(|e| !e.alerts.is_empty()));
        }
    }
}
