//! Requests and mails as no alert manager should send them: each is answered, and what is wrong
//! with it is said.

use super::protocol::{Incidents, Judged, Request, judge};
use super::{mail, text};
use crate::declaration::StandIn;
use damaged::{anything, damaged, deep};
use proptest::prelude::*;
use verdict::history::alert::Protocol;

const SLACK: &[&str] = &[
    r##"{"channel":"#ops","text":"t","attachments":[{"title":"[FIRING:2] Down","text":"*Firing*\nLabels:\n - alertname = Down\n - job = a\nAnnotations:\n - x = y\nSource: http://p\n","fallback":"[FIRING:2] Down","color":"danger","fields":[{"title":"severity","value":"page &lt;b&gt;"}]}]}"##,
];
const PAGERDUTY: &[&str] = &[
    r#"{"routing_key":"k","event_action":"trigger","dedup_key":"d1","payload":{"summary":"[FIRING:1] Down","source":"x","severity":"error","custom_details":{"firing":"Labels:\n - alertname = Down\n - service = s\nAnnotations:\n","resolved":"","num_firing":"1"}}}"#,
    r#"{"service_key":"k","event_type":"resolve","incident_key":"d1","description":"[RESOLVED] Down","details":{"resolved":"Labels:\n - alertname = Down\n"}}"#,
];
const OPSGENIE: &[&str] = &[
    r#"{"alias":"a1","message":"[FIRING:2] Down","details":{"alertname":"Down","severity":"page"},"description":"s\n\nAlerts Firing:\nLabels:\n - alertname = Down\n - instance = 1\nAnnotations:\nSource: \n"}"#,
];
const WEBHOOK: &[&str] = &[
    r#"{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"}},{"status":"resolved","labels":{"alertname":"B"}}]}"#,
];
const MAILS: &[&str] = &[
    "From: a@b.test\r\nTo: c@d.test\r\nSubject: [FIRING:1] Down (page)\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<table><tr><td>Labels<br/>alertname =3D Down<br/>job =3D a &amp; b<br/></td></tr></table>\r\n--x--\r\n",
    "Subject: =?UTF-8?B?W0ZJUklOR10gRG93bg==?=\r\nContent-Type: text/plain\r\n\r\nFiring\r\nLabels:\r\n - alertname = Down\r\nAnnotations:\r\n",
];

fn stand_in(protocol: Protocol, host: &str, path: &str) -> StandIn {
    StandIn {
        name: host.into(),
        protocol,
        host: host.into(),
        port: None,
        path: path.into(),
        key: Some("k".into()),
        channel: Some("#ops".into()),
        resolved: true,
    }
}

/// What all stand-ins do with a request: on the path that they accept, on one below it, and with
/// another method.
fn requested(body: &str) -> Vec<Judged> {
    let stand_ins = [
        stand_in(Protocol::Slack, "slack.test", "/services/x"),
        stand_in(Protocol::PagerdutyV1, "pager1.test", "/generic/create_event.json"),
        stand_in(Protocol::PagerdutyV2, "pager.test", "/v2/enqueue"),
        stand_in(Protocol::Opsgenie, "genie.test", "/v2/alerts"),
        stand_in(Protocol::Webhook, "hook.test", "/hook"),
    ];
    let mut incidents = Incidents::default();
    let mut all = Vec::new();
    for stand_in in &stand_ins {
        let paths = [stand_in.path.clone(), format!("{}/a1/close", stand_in.path), body.to_owned()];
        for (method, path) in
            paths.iter().flat_map(|path| [("POST", path), ("PUT", path), ("GET", path)])
        {
            let request = Request {
                method,
                host: &stand_in.host,
                path,
                authorization: Some(match stand_in.protocol {
                    Protocol::Opsgenie => "GenieKey k",
                    _ => "Bearer k",
                }),
                body: body.as_bytes(),
            };
            let judged = judge(&stand_ins, &incidents, request);
            assert!((200..500).contains(&judged.status), "{judged:?}");
            if judged.status >= 400 {
                let why = judged.error.as_deref().unwrap_or_default();
                assert!(!why.is_empty() && judged.receiver.is_none(), "{judged:?}");
            }
            if judged.content_type == "application/json" {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&judged.body).is_ok(),
                    "{judged:?}"
                );
            }
            if let Some(incident) = &judged.incident {
                incidents.learn(&stand_in.name, incident, &judged.alerts);
            }
            all.push(judged);
        }
    }
    all
}

fn mail_is_read(message: &str) {
    match mail::read(message.as_bytes()) {
        Ok(alerts) => assert!(!alerts.is_empty(), "{message:?}"),
        Err(why) => assert!(!why.is_empty(), "{message:?}"),
    }
    text::alerts(message, false);
    message.lines().for_each(|line| {
        text::subject(line);
    });
}

#[test]
fn what_is_damaged_below_is_accepted_as_long_as_it_is_whole() {
    for body in [SLACK, PAGERDUTY, OPSGENIE, WEBHOOK].into_iter().flatten() {
        let accepted = requested(body).into_iter().filter(|j| j.receiver.is_some());
        assert!(accepted.clone().any(|j| !j.alerts.is_empty()), "{body}");
    }
    for message in MAILS {
        assert!(mail::read(message.as_bytes()).is_ok_and(|a| a.len() == 1), "{message}");
    }
}

proptest! {
    #![proptest_config(damaged::cases(120))]

    #[test]
    fn a_damaged_request(
        body in prop_oneof![damaged(SLACK), damaged(PAGERDUTY), damaged(OPSGENIE), damaged(WEBHOOK)]
    ) {
        requested(&body);
    }

    #[test]
    fn a_damaged_mail(message in damaged(MAILS)) {
        mail_is_read(&message);
    }

    #[test]
    fn anything_in_place_of_a_notification(text in anything()) {
        requested(&text);
        mail_is_read(&text);
    }
}

#[test]
fn notifications_that_nest_deeply_are_read_or_refused() {
    for text in deep() {
        requested(&text);
        mail_is_read(&text);
    }
}
