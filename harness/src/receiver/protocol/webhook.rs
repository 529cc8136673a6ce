//! Alertmanager's generic webhook, version 4.

use super::{Judged, Request};
use crate::declaration::StandIn;
use serde::Deserialize;
use std::collections::BTreeMap;
use verdict::history::alert::{NotifiedAlert, Protocol};

const PROTOCOL: Protocol = Protocol::Webhook;

#[derive(Debug, Deserialize)]
struct Message {
    version: String,
    alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
}

pub(super) fn judge(here: &[&StandIn], request: Request<'_>) -> Judged {
    let message = serde_json::from_slice::<Message>(request.body);
    let read = |m: &Message| {
        m.alerts
            .iter()
            .map(|a| NotifiedAlert { resolved: a.status == "resolved", labels: a.labels.clone() })
            .collect::<Vec<_>>()
    };
    let token = request.authorization.map(|a| a.strip_prefix("Bearer ").unwrap_or(a));
    let there: Vec<&&StandIn> =
        here.iter().filter(|s| s.protocol == PROTOCOL && s.path == request.path).collect();
    let refuse = |status, body: &str, error: String| {
        let judged = Judged::answer(PROTOCOL, status, "text/plain", body).key(token).error(error);
        judged.alerts(message.as_ref().map(read).unwrap_or_default())
    };
    if there.is_empty() {
        return refuse(404, "not found", format!("no webhook has path {}", request.path));
    }
    if request.method != "POST" {
        return refuse(405, "method not allowed", format!("{} seen, POST wanted", request.method));
    }
    let Some(stand_in) = there.iter().find(|s| s.key.is_none() || s.key.as_deref() == token) else {
        return refuse(
            401,
            "unauthorized",
            format!("key {} is not valid", token.unwrap_or("(none)")),
        );
    };
    match &message {
        Err(e) => refuse(400, "bad request", format!("body is no message of Alertmanager: {e}")),
        Ok(m) if m.version != "4" => {
            refuse(400, "bad request", format!("version {:?} seen, \"4\" wanted", m.version))
        }
        Ok(m) => Judged::answer(PROTOCOL, 200, "text/plain", "")
            .accepted_by(stand_in)
            .key(token)
            .alerts(read(m)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, method: &str, body: &str) -> Judged {
        let stand_in = StandIn {
            name: "hook".into(),
            protocol: PROTOCOL,
            host: "webhook.test".into(),
            port: None,
            path: "/hook".into(),
            key: None,
            channel: None,
            resolved: true,
        };
        judge(
            &[&stand_in],
            Request {
                method,
                host: "webhook.test",
                path,
                authorization: None,
                body: body.as_bytes(),
            },
        )
    }

    const BODY: &str = r#"{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"}},
        {"status":"resolved","labels":{"alertname":"B"}}]}"#;

    #[test]
    fn reads_each_alert_with_its_own_status() {
        let got = ask("/hook", "POST", BODY);
        assert_eq!((got.status, got.receiver.as_deref()), (200, Some("hook")));
        assert_eq!(got.alerts.iter().map(|a| a.resolved).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn refusals_keep_what_was_in_them() {
        let got = ask("/hooks", "POST", BODY);
        assert_eq!((got.status, got.receiver, got.alerts.len()), (404, None, 2));
        assert_eq!(ask("/hook", "POST", "{").status, 400);
        assert_eq!(ask("/hook", "POST", &BODY.replace("\"4\"", "\"3\"")).status, 400);
        assert_eq!(ask("/hook", "GET", "").status, 405);
    }
}
