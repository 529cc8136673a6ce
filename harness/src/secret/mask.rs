//! Secrets that are known by where they stand: keys and webhook paths of stand-ins, passwords of a
//! declaration. They are masked whatever their length, and whether or not anybody learned them.

use config::secret::scrub::{is_mask, mask};
use serde_json::Value;
use verdict::EventKind;
use verdict::history::alert::{AlertEvent, Protocol};

/// Whether the path is the key: of these, whoever knows the path may post.
pub fn is_webhook(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Slack | Protocol::Webhook)
}

fn hide(field: &str, value: &mut String, texts: &mut [&mut String]) {
    let bare = value.trim_start_matches('/');
    if bare.is_empty() || is_mask(value) {
        return;
    }
    let slash = if value.starts_with('/') { "/" } else { "" };
    let shown = format!("{slash}{}", mask(field, bare));
    for text in texts {
        **text = text.replace(value.as_str(), &shown);
    }
    *value = shown;
}

/// Hides what an event tells of a receiver's key. Which host, protocol and receiver it is stays,
/// and so do all verdicts.
pub fn event(kind: &mut EventKind) {
    match kind {
        EventKind::Alert(AlertEvent::Declared { protocol, path, .. }) if is_webhook(*protocol) => {
            hide("path", path, &mut [])
        }
        EventKind::Alert(AlertEvent::Notification(n)) => {
            let mut error = n.error.take().unwrap_or_default();
            if is_webhook(n.protocol) {
                hide("path", &mut n.path, &mut [&mut error]);
            }
            // Slack's is the channel.
            if let Some(key) = n.key.as_mut().filter(|_| n.protocol != Protocol::Slack) {
                if let Some((_, password)) =
                    key.clone().split_once(':').filter(|_| n.protocol == Protocol::Smtp)
                {
                    error = error.replace(password, &mask("password", password));
                }
                hide("key", key, &mut [&mut error]);
            }
            n.error = Some(error).filter(|e| !e.is_empty());
        }
        _ => {}
    }
}

/// Hides what a declaration that is written tells: passwords, and keys and paths of stand-ins.
pub fn fields(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(fields),
        Value::Object(entries) => {
            let protocol: Option<Protocol> =
                entries.get("protocol").and_then(|p| serde_json::from_value(p.clone()).ok());
            // Of a server: elsewhere a token may be no secret.
            let role = entries.contains_key("kind") && entries.contains_key("service");
            let stand_in =
                protocol.filter(|_| entries.contains_key("host") && entries.contains_key("path"));
            for (name, value) in entries.iter_mut() {
                match (value, stand_in) {
                    (Value::String(text), _) if name == "password" => {
                        hide("password", text, &mut [])
                    }
                    (Value::String(text), _) if role && name == "token" => {
                        hide("token", text, &mut [])
                    }
                    (Value::String(text), Some(protocol))
                        if name == "path" && is_webhook(protocol) =>
                    {
                        hide("path", text, &mut [])
                    }
                    (Value::String(text), Some(protocol))
                        if name == "key" && protocol != Protocol::Slack =>
                    {
                        hide("key", text, &mut [])
                    }
                    (value, _) => fields(value),
                }
            }
        }
        _ => {}
    }
}

/// Changes every text, names included.
pub fn texts(value: &mut Value, change: &dyn Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(changed) = change(text) {
                *text = changed;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, change)),
        Value::Object(entries) => {
            entries.iter_mut().for_each(|(_, value)| texts(value, change));
            if entries.keys().any(|name| change(name).is_some()) {
                *entries = std::mem::take(entries)
                    .into_iter()
                    .map(|(name, value)| (change(&name).unwrap_or(name), value))
                    .collect();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::history::alert::Notification;

    fn notification(protocol: Protocol, path: &str, key: &str, error: &str) -> Notification {
        let mut kind = EventKind::Alert(AlertEvent::Notification(Notification {
            receiver: None,
            protocol,
            host: "h.test".into(),
            path: path.into(),
            key: Some(key.into()),
            answered: 404,
            alerts: Vec::new(),
            error: Some(error.into()),
            received_wall_us: 1,
            from: None,
        }));
        event(&mut kind);
        let before = kind.clone();
        event(&mut kind);
        assert_eq!(kind, before, "once is enough");
        let EventKind::Alert(AlertEvent::Notification(n)) = kind else { panic!("another event") };
        n
    }

    #[test]
    fn what_arrives_at_a_stand_in_is_recorded_without_path_and_key() {
        let n = notification(
            Protocol::Slack,
            "/services/T1/B1/abcdefgh",
            "#ops",
            "no webhook has path /services/T1/B1/abcdefgh",
        );
        assert_eq!((n.path.as_str(), n.key.as_deref()), ("/[path …efgh]", Some("#ops")));
        assert_eq!(n.error.as_deref(), Some("no webhook has path /[path …efgh]"));
        let n = notification(Protocol::Webhook, "/a", "t0", "key t0 is not valid");
        assert_eq!(
            (n.path.as_str(), n.key.as_deref(), n.error.as_deref()),
            ("/[path]", Some("[key]"), Some("key [key] is not valid"))
        );
        let n = notification(
            Protocol::PagerdutyV2,
            "/v2/enqueue",
            "R0123456789abcdef",
            "routing_key R0123456789abcdef is not valid",
        );
        assert_eq!((n.path.as_str(), n.key.as_deref()), ("/v2/enqueue", Some("[key …cdef]")));
        let n = notification(
            Protocol::Smtp,
            "mail@ops.test",
            "user:hunter2",
            "user:hunter2 is not valid",
        );
        assert_eq!((n.path.as_str(), n.key.as_deref()), ("mail@ops.test", Some("[key]")));
        assert!(!format!("{n:?}").contains("hunter2"));
    }

    #[test]
    fn a_declaration_is_written_without_them() {
        let mut file = serde_json::json!({
            "roles": {"dashboards": {"user": "admin", "password": "admin"},
                      "metrics": {"kind": "prometheus", "service": "p", "token": "short", "path": "/p"}},
            "receivers": [
                {"protocol": "webhook", "host": "h", "path": "/alive", "key": null},
                {"protocol": "opsgenie", "host": "h", "path": "/v2/alerts", "key": "abc"},
            ],
            "health": [{"path": "/health"}],
        });
        fields(&mut file);
        let wanted = serde_json::json!({
            "roles": {"dashboards": {"user": "admin", "password": "[password]"},
                      "metrics": {"kind": "prometheus", "service": "p", "token": "[token]", "path": "/p"}},
            "receivers": [
                {"protocol": "webhook", "host": "h", "path": "/[path]", "key": null},
                {"protocol": "opsgenie", "host": "h", "path": "/v2/alerts", "key": "[key]"},
            ],
            "health": [{"path": "/health"}],
        });
        assert_eq!(file, wanted);
    }
}
