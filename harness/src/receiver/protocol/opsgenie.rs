//! Opsgenie's Alert API v2: create, update, close by alias.

use super::{Incidents, Judged, Request, named};
use crate::declaration::StandIn;
use crate::receiver::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use verdict::history::alert::{NotifiedAlert, Protocol};

const PROTOCOL: Protocol = Protocol::Opsgenie;

pub(super) fn judge(here: &[&StandIn], incidents: &Incidents, request: Request<'_>) -> Judged {
    let body: Value = serde_json::from_slice(request.body).unwrap_or(Value::Null);
    let key = request.authorization.and_then(|a| a.strip_prefix("GenieKey ")).map(str::trim);
    let request_id = uuid::Uuid::new_v4().to_string();
    let refuse = |status: u16, message: &str, error: String| {
        let answer = json!({"message": message, "took": 0.0, "requestId": request_id});
        Judged::json(PROTOCOL, status, answer).key(key).error(error).alerts(read(&body))
    };
    let there: Vec<(&&StandIn, &str)> = here
        .iter()
        .filter(|s| s.protocol == PROTOCOL)
        .filter_map(|s| Some((s, request.path.strip_prefix(s.path.trim_end_matches('/'))?)))
        .collect();
    let Some(does) = there.first().and_then(|(_, rest)| action(request.method, rest)) else {
        return refuse(
            404,
            "Not Found",
            format!("no API takes {} {}", request.method, request.path),
        );
    };
    if key.is_none() {
        return refuse(
            401,
            "Could not authenticate",
            "header Authorization without GenieKey".into(),
        );
    }
    let Some((stand_in, _)) =
        there.iter().find(|(s, _)| s.key.as_deref().is_none_or(|wanted| Some(wanted) == key))
    else {
        return refuse(
            403,
            "Key format is not valid!",
            format!("key {} is not valid", key.unwrap_or_default()),
        );
    };
    let answer =
        json!({"result": "Request will be processed", "took": 0.005, "requestId": request_id});
    let done = Judged::json(PROTOCOL, 202, answer).accepted_by(stand_in).key(key);
    match does {
        Action::Create if body["message"].as_str().is_none() => refuse(
            422,
            "Request body is not processable. Please check the errors.",
            "field message is missing".into(),
        ),
        Action::Create => {
            let done = done.alerts(read(&body));
            body["alias"].as_str().into_iter().fold(done, Judged::incident)
        }
        Action::Close(alias) => {
            let closed = incidents.resolved(&stand_in.name, &alias);
            // The real service answers 202 here too and finds out later that there is no such
            // alert.
            let error = closed
                .is_empty()
                .then(|| format!("close of alias {alias}, which was never created"));
            error.into_iter().fold(done.incident(&alias), Judged::error).alerts(closed)
        }
        // Changes the text of an alert and pages nobody.
        Action::Update(alias) => {
            let known = incidents.resolved(&stand_in.name, &alias);
            done.incident(&alias)
                .alerts(known.into_iter().map(|a| NotifiedAlert { resolved: false, ..a }).collect())
        }
    }
}

enum Action {
    Create,
    Close(String),
    Update(String),
}

fn action(method: &str, rest: &str) -> Option<Action> {
    if !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let parts: Vec<&str> = rest.split('/').filter(|p| !p.is_empty()).collect();
    match (method, parts.as_slice()) {
        ("POST", []) => Some(Action::Create),
        ("POST", [alias, "close"]) => Some(Action::Close((*alias).to_owned())),
        ("PUT", [alias, "message" | "description"]) => Some(Action::Update((*alias).to_owned())),
        _ => None,
    }
}

/// Alertmanager puts the labels that all alerts share into `details` and lists each alert in the
/// description.
fn read(body: &Value) -> Vec<NotifiedAlert> {
    let shared: BTreeMap<String, String> = body["details"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let mut alerts = text::alerts(body["description"].as_str().unwrap_or_default(), false);
    alerts.retain(|a| a.labels.contains_key("alertname"));
    if alerts.is_empty() && !shared.is_empty() {
        alerts.push(NotifiedAlert { resolved: false, labels: BTreeMap::new() });
    }
    for alert in &mut alerts {
        for (name, value) in &shared {
            alert.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    let mut alerts = named(alerts, body["message"].as_str().and_then(text::subject));
    alerts.retain(|a| a.labels.contains_key("alertname"));
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(incidents: &Incidents, path: &str, key: Option<&str>, body: &Value) -> Judged {
        let stand_in = StandIn {
            name: "genie".into(),
            protocol: PROTOCOL,
            host: "api.opsgenie.com".into(),
            port: None,
            path: "/v2/alerts".into(),
            key: Some("k".into()),
            channel: None,
            resolved: true,
        };
        let body = body.to_string();
        let authorization = key.map(|k| format!("GenieKey {k}"));
        let (authorization, host) = (authorization.as_deref(), "api.opsgenie.com");
        judge(
            &[&stand_in],
            incidents,
            Request { method: "POST", host, path, authorization, body: body.as_bytes() },
        )
    }

    fn create() -> Value {
        json!({"alias": "a1", "message": "[FIRING:2] A", "details": {"alertname": "A", "severity": "warning"},
               "description": "s\n\nAlerts Firing:\nLabels:\n - alertname = A\n - instance = 1\nAnnotations:\nSource: \n\
                               Labels:\n - alertname = A\n - instance = 2\nAnnotations:\nSource: \n"})
    }

    #[test]
    fn create_and_close_by_alias() {
        let mut incidents = Incidents::default();
        let got = ask(&incidents, "/v2/alerts", Some("k"), &create());
        assert_eq!(
            (got.status, got.receiver.as_deref(), got.alerts.len()),
            (202, Some("genie"), 2)
        );
        assert!(got.body.contains("requestId"));
        assert_eq!(got.alerts[1].labels["instance"], "2");
        assert_eq!(got.alerts[1].labels["severity"], "warning");
        incidents.learn("genie", "a1", &got.alerts);
        let got =
            ask(&incidents, "/v2/alerts/a1/close", Some("k"), &json!({"source": "alertmanager"}));
        assert_eq!((got.status, got.alerts.len(), got.error), (202, 2, None));
        assert!(got.alerts.iter().all(|a| a.resolved));
        let got = ask(&incidents, "/v2/alerts/never/close", Some("k"), &json!({}));
        assert!(got.status == 202 && got.alerts.is_empty() && got.error.unwrap().contains("never"));
    }

    #[test]
    fn refusals() {
        let none = Incidents::default();
        assert_eq!(ask(&none, "/v2/alerts", Some("wrong"), &create()).status, 403);
        assert_eq!(ask(&none, "/v2/alerts", None, &create()).status, 401);
        assert_eq!(ask(&none, "/v1/alerts", Some("k"), &create()).status, 404);
        assert_eq!(ask(&none, "/v2/alertsx", Some("k"), &create()).status, 404);
        assert_eq!(ask(&none, "/v2/alerts", Some("k"), &json!({"alias": "a"})).status, 422);
        for got in [
            ask(&none, "/v2/alerts", Some("wrong"), &create()),
            ask(&none, "/x", Some("k"), &create()),
        ] {
            assert_eq!((got.receiver, got.alerts.len(), got.error.is_some()), (None, 2, true));
        }
    }
}
