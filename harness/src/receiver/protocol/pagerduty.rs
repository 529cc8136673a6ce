//! PagerDuty's Events API: v1 (`service_key`) and v2 (`routing_key`).

use super::{Incidents, Judged, Request, named};
use crate::declaration::StandIn;
use crate::receiver::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use verdict::history::alert::{NotifiedAlert, Protocol};

const V1_PATH: &str = "/generic/2010-04-15/create_event.json";

pub(super) fn judge(here: &[&StandIn], incidents: &Incidents, request: Request<'_>) -> Judged {
    let body: Value = serde_json::from_slice(request.body).unwrap_or(Value::Null);
    let text_of = |field: &str| body[field].as_str();
    let v1 = request.path == V1_PATH || text_of("service_key").is_some();
    let protocol = if v1 { Protocol::PagerdutyV1 } else { Protocol::PagerdutyV2 };
    let (key_field, incident_field) =
        if v1 { ("service_key", "incident_key") } else { ("routing_key", "dedup_key") };
    let action_field = if v1 { "event_type" } else { "event_action" };
    let key = text_of(key_field);
    let action = text_of(action_field);
    let resolved = action == Some("resolve");
    let invalid = |what: String| {
        let answer = json!({"status": "invalid event", "message": "Event object is invalid", "errors": [what]});
        Judged::json(protocol, 400, answer).key(key).error(what).alerts(read(&body, resolved))
    };
    let there: Vec<&&StandIn> =
        here.iter().filter(|s| s.protocol == protocol && s.path == request.path).collect();
    if there.is_empty() || request.method != "POST" {
        let answer =
            Judged::json(protocol, 404, json!({"error": {"message": "Not Found", "code": 2100}}));
        let error = format!("no events API takes {} {}", request.method, request.path);
        return answer.key(key).error(error).alerts(read(&body, resolved));
    }
    if !action.is_some_and(|a| ["trigger", "resolve", "acknowledge"].contains(&a)) {
        let seen = action.unwrap_or("nothing");
        return invalid(format!(
            "{action_field} is {seen}; trigger, resolve or acknowledge wanted"
        ));
    }
    let fits = |s: &StandIn| s.key.as_deref().is_none_or(|wanted| Some(wanted) == key);
    let Some(stand_in) = there.iter().find(|s| key.is_some() && fits(s)) else {
        return invalid(format!("{key_field} {} is not valid", key.unwrap_or("(none)")));
    };
    let incident = match text_of(incident_field) {
        Some(given) => given.to_owned(),
        None if resolved => return invalid(format!("{incident_field} is missing")),
        None => uuid::Uuid::new_v4().simple().to_string(),
    };
    let mut alerts = read(&body, resolved);
    if resolved {
        // A resolve closes the whole incident, whatever part of it the message lists.
        for known in incidents.resolved(&stand_in.name, &incident) {
            if !alerts.iter().any(|a| a.labels == known.labels) {
                alerts.push(known);
            }
        }
    }
    let answer =
        json!({"status": "success", "message": "Event processed", incident_field: incident});
    let status = if v1 { 200 } else { 202 };
    Judged::json(protocol, status, answer)
        .accepted_by(stand_in)
        .key(key)
        .incident(&incident)
        .alerts(alerts)
}

/// Alertmanager lists the labels of all alerts in the details `firing` and `resolved`; users' own
/// details are labels as they stand.
fn read(body: &Value, resolved: bool) -> Vec<NotifiedAlert> {
    let payload = &body["payload"];
    let details =
        [&payload["custom_details"], &body["details"]].into_iter().find_map(Value::as_object);
    let subject = [&payload["summary"], &body["description"]]
        .into_iter()
        .filter_map(Value::as_str)
        .find_map(text::subject);
    let mut alerts = Vec::new();
    for (name, is_resolved) in [("firing", false), ("resolved", true)] {
        let listed = details.and_then(|d| d.get(name)).and_then(Value::as_str).unwrap_or_default();
        alerts.extend(text::alerts(listed, is_resolved));
    }
    if alerts.is_empty() {
        let own: BTreeMap<String, String> = details
            .into_iter()
            .flatten()
            .filter(|(name, _)| {
                !["firing", "resolved", "num_firing", "num_resolved"].contains(&name.as_str())
            })
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        if !own.is_empty() {
            alerts.push(NotifiedAlert { resolved, labels: own });
        }
    }
    let mut alerts = named(alerts, subject);
    if resolved {
        alerts.iter_mut().for_each(|a| a.resolved = true);
    }
    alerts.retain(|a| a.labels.contains_key("alertname"));
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_in(protocol: Protocol, path: &str, key: &str) -> StandIn {
        StandIn {
            name: "pager".into(),
            protocol,
            host: "events.pagerduty.com".into(),
            port: None,
            path: path.into(),
            key: Some(key.into()),
            channel: None,
            resolved: true,
        }
    }

    fn ask(stand_ins: &[&StandIn], incidents: &Incidents, path: &str, body: &Value) -> Judged {
        let body = body.to_string();
        let host = "events.pagerduty.com";
        judge(
            stand_ins,
            incidents,
            Request { method: "POST", host, path, authorization: None, body: body.as_bytes() },
        )
    }

    fn v2(key: &str, action: &str, details: Value) -> Value {
        json!({"routing_key": key, "event_action": action, "dedup_key": "d1",
               "payload": {"summary": "[FIRING:1] A", "source": "x", "severity": "error", "custom_details": details}})
    }

    const LIST: &str = "Labels:\n - alertname = A\n - service = s\nAnnotations:\n";

    #[test]
    fn v2_answers_202_and_reads_the_list() {
        let s = stand_in(Protocol::PagerdutyV2, "/v2/enqueue", "k");
        let body = v2("k", "trigger", json!({"firing": LIST, "resolved": ""}));
        let got = ask(&[&s], &Incidents::default(), "/v2/enqueue", &body);
        assert_eq!((got.status, got.receiver.as_deref()), (202, Some("pager")));
        assert!(got.body.contains("\"dedup_key\":\"d1\""), "{}", got.body);
        assert_eq!(got.alerts[0].labels["service"], "s");
        assert!(!got.alerts[0].resolved);
    }

    #[test]
    fn a_wrong_key_is_an_invalid_event() {
        let s = stand_in(Protocol::PagerdutyV2, "/v2/enqueue", "k");
        let got = ask(
            &[&s],
            &Incidents::default(),
            "/v2/enqueue",
            &v2("wrong", "trigger", json!({"firing": LIST})),
        );
        assert_eq!((got.status, got.receiver), (400, None));
        assert_eq!(got.key.as_deref(), Some("wrong"));
        assert!(got.error.unwrap().contains("routing_key"));
        assert_eq!(got.alerts.len(), 1);
    }

    #[test]
    fn a_wrong_path_is_not_found() {
        let s = stand_in(Protocol::PagerdutyV2, "/v2/enqueue", "k");
        let got = ask(
            &[&s],
            &Incidents::default(),
            "/v2/enqueu",
            &v2("k", "trigger", json!({"firing": LIST})),
        );
        assert_eq!((got.status, got.receiver, got.alerts.len()), (404, None, 1));
    }

    #[test]
    fn a_resolve_that_lists_nothing_closes_what_was_opened() {
        let s = stand_in(Protocol::PagerdutyV1, V1_PATH, "k");
        let mut incidents = Incidents::default();
        let open = json!({"service_key": "k", "event_type": "trigger", "incident_key": "i", "description": "[FIRING:1] A",
                          "details": {"firing": LIST}});
        let got = ask(&[&s], &incidents, V1_PATH, &open);
        assert_eq!((got.status, got.incident.as_deref()), (200, Some("i")));
        incidents.learn("pager", "i", &got.alerts);
        let close = json!({"service_key": "k", "event_type": "resolve", "incident_key": "i"});
        let got = ask(&[&s], &incidents, V1_PATH, &close);
        let labels =
            BTreeMap::from([("alertname".into(), "A".into()), ("service".into(), "s".into())]);
        assert_eq!(got.alerts, [NotifiedAlert { resolved: true, labels }]);
    }
}
