//! Slack's incoming webhook.

use super::{Judged, Request, named};
use crate::declaration::StandIn;
use crate::receiver::text;
use serde::Deserialize;
use verdict::history::alert::{NotifiedAlert, Protocol};

const PROTOCOL: Protocol = Protocol::Slack;

#[derive(Debug, Deserialize)]
struct Message {
    channel: Option<String>,
    text: Option<String>,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attachment {
    title: Option<String>,
    pretext: Option<String>,
    text: Option<String>,
    fallback: Option<String>,
    color: Option<String>,
    fields: Vec<Field>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Field {
    title: String,
    value: String,
}

pub(super) fn judge(here: &[&StandIn], request: Request<'_>) -> Judged {
    let refuse = |status, body: &str, error: String| {
        Judged::answer(PROTOCOL, status, "text/html", body).error(error)
    };
    let hooks: Vec<&&StandIn> =
        here.iter().filter(|s| s.protocol == PROTOCOL && s.path == request.path).collect();
    let message: Option<Message> = serde_json::from_slice(request.body).ok();
    let channel = message.as_ref().and_then(|m| m.channel.as_deref());
    let alerts = message.as_ref().map(read).unwrap_or_default();
    if hooks.is_empty() {
        let error = format!("no webhook has path {}", request.path);
        return refuse(404, "no_service", error).key(channel).alerts(alerts);
    }
    if request.method != "POST" || message.is_none() {
        return refuse(
            400,
            "invalid_payload",
            format!("{} without a message in JSON", request.method),
        );
    }
    let fits = |s: &StandIn| match (&s.channel, channel) {
        (None, _) => true,
        (Some(want), Some(seen)) => want == seen,
        // A message without channel goes to the one that the webhook was made for.
        (Some(_), None) => hooks.len() == 1,
    };
    let Some(stand_in) = hooks.iter().find(|s| fits(s)) else {
        let wanted: Vec<_> = hooks.iter().filter_map(|s| s.channel.as_deref()).collect();
        let error =
            format!("channel {} seen, {} wanted", channel.unwrap_or("none"), wanted.join(" or "));
        return refuse(404, "channel_not_found", error).key(channel).alerts(alerts);
    };
    Judged::answer(PROTOCOL, 200, "text/html", "ok")
        .accepted_by(stand_in)
        .key(channel)
        .alerts(alerts)
}

fn read(message: &Message) -> Vec<NotifiedAlert> {
    let mut found = Vec::new();
    for part in &message.attachments {
        let line = [&part.title, &part.fallback, &part.pretext]
            .into_iter()
            .flatten()
            .find_map(|l| text::subject(l));
        let resolved = line.as_ref().map_or(part.color.as_deref() == Some("good"), |s| s.resolved);
        let mut lines = String::new();
        for said in [&part.pretext, &part.text].into_iter().flatten() {
            lines.push_str(&unescape(said));
            lines.push('\n');
        }
        for field in &part.fields {
            // A field may hold a whole list (title "Alerts") or one label (title "severity").
            let separator = if field.value.contains('\n') { ":\n" } else { ": " };
            lines.push_str(&format!("{}{separator}{}\n", field.title, unescape(&field.value)));
        }
        found.extend(named(text::alerts(&lines, resolved), line));
    }
    if found.is_empty() {
        let said = message.text.as_deref().map(unescape).unwrap_or_default();
        let line = text::subject(&said);
        found = named(text::alerts(&said, line.as_ref().is_some_and(|s| s.resolved)), line);
    }
    found.retain(|a| a.labels.contains_key("alertname"));
    found
}

/// Slack's control sequences for three characters.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_in(name: &str, path: &str, channel: &str) -> StandIn {
        StandIn {
            name: name.into(),
            protocol: PROTOCOL,
            host: "hooks.slack.com".into(),
            port: None,
            path: path.into(),
            key: None,
            channel: Some(channel.into()),
            resolved: true,
        }
    }

    fn post<'a>(path: &'a str, body: &'a str) -> Request<'a> {
        Request {
            method: "POST",
            host: "hooks.slack.com",
            path,
            authorization: None,
            body: body.as_bytes(),
        }
    }

    const FIRING: &str = r##"{"channel":"#ops","attachments":[{"title":"[FIRING:1] PostfixDown postfix (critical)",
        "text":"Labels:\n - alertname = PostfixDown\n - severity = critical\nAnnotations:\n","color":"danger"}]}"##;

    #[test]
    fn answers_ok_on_the_declared_path_and_channel() {
        let a = stand_in("a", "/services/T/B/a", "#other");
        let b = stand_in("b", "/services/T/B/a", "#ops");
        let judged = judge(&[&a, &b], post("/services/T/B/a", FIRING));
        assert_eq!(
            (judged.status, judged.body.as_str(), judged.receiver.as_deref()),
            (200, "ok", Some("b"))
        );
        assert_eq!(judged.alerts[0].labels["severity"], "critical");
        assert!(!judged.alerts[0].resolved);
        assert_eq!(judged.error, None);
    }

    #[test]
    fn a_wrong_path_and_a_wrong_channel_are_refused_and_say_why() {
        let a = stand_in("a", "/services/T/B/a", "#other");
        let judged = judge(&[&a], post("/services/T/B/x", FIRING));
        assert_eq!(
            (judged.status, judged.body.as_str(), judged.receiver),
            (404, "no_service", None)
        );
        assert_eq!(judged.alerts.len(), 1);
        let judged = judge(&[&a], post("/services/T/B/a", FIRING));
        assert_eq!(
            (judged.status, judged.body.as_str(), judged.receiver),
            (404, "channel_not_found", None)
        );
        assert!(judged.error.unwrap().contains("#ops"));
    }

    #[test]
    fn the_default_template_still_gives_the_name() {
        let a = stand_in("a", "/s", "#c");
        let body = r##"{"channel":"#c","attachments":[{"title":"[RESOLVED] RedisEvictions redis","text":"","color":"good"}]}"##;
        let judged = judge(&[&a], post("/s", body));
        assert_eq!(judged.alerts.len(), 1);
        assert!(judged.alerts[0].resolved);
        assert_eq!(judged.alerts[0].labels["alertname"], "RedisEvictions");
    }

    #[test]
    fn fields_are_labels_too() {
        let a = stand_in("a", "/s", "#c");
        let body = r#"{"attachments":[{"title":"[FIRING:1] A","fields":[{"title":"severity","value":"warning","short":true}]}]}"#;
        let judged = judge(&[&a], post("/s", body));
        assert_eq!(judged.alerts[0].labels["severity"], "warning");
        assert_eq!(judged.alerts[0].labels["alertname"], "A");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let a = stand_in("a", "/s", "#c");
        assert_eq!(judge(&[&a], post("/s", "hello")).status, 400);
        assert!(judge(&[&a], post("/s", "{}")).error.unwrap().contains("no alert"));
    }
}
